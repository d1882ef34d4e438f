/** The card file (docs/cards.md): a card as JSON, with its keys. Read strictly, written whole. */
import { z } from 'zod';
import { SQN_DEFAULT, newSqnArray, prepare, type SqnScheme } from '../../standards/aka/index.ts';
import { FieldError, equal, fromHex, toHex } from '../../standards/bytes/index.ts';
import {
  KEY_LIST_KEY_SET,
  decodeKeyListSwitch,
  encodeKeyListSwitch,
  keyLengths,
  type KeyListOutcome,
} from '../../standards/ota/index.ts';
import { FILES, pathOf } from './layout.ts';
import {
  PIN_TRIES,
  PUK_TRIES,
  issuedContents,
  subscriptionOf,
  withFiles,
  type CardState,
  type KeyList,
  type KeySet,
  type Pair,
  type PinState,
  type Subscription,
} from './state.ts';

export const CARD_FORMAT = 'rehome-card/1';

/** A text of a form, which the message of any failure names. */
const text = (pattern: RegExp, expected: string): z.ZodString =>
  z.string({ error: expected }).regex(pattern, { error: expected });
const whole = (least: number, most: number): z.ZodNumber => {
  const error = `a whole number from ${least} to ${most}`;
  return z.int({ error }).min(least, { error }).max(most, { error });
};
const key16 = text(/^[0-9a-fA-F]{32}$/, '32 hexadecimal digits');
const otaKey = text(/^(?:[0-9a-fA-F]{16}){2,4}$/, '32, 48 or 64 hexadecimal digits');
const bytes = text(/^(?:[0-9a-fA-F]{2})*$/, 'hexadecimal digits, two a byte');
const pin = text(/^[0-9]{4,8}$/, '4 to 8 digits');
const puk = text(/^[0-9]{8}$/, '8 digits');
const number = text(/^[0-9]{1,20}$/, 'an international number, 1 to 20 digits');
const counter = whole(0, 0xff_ffff_ffff);
const sqnArray = z.strictObject({ indLength: whole(0, 16), seq: z.array(whole(0, 2 ** 48)) });
const path = text(/^[0-9a-f]{4}(?:\/[0-9a-f]{4})+$/, 'a path such as 7fff/6f07');

const pinStatus = z.strictObject({
  enabled: z.boolean({ error: 'true or false' }).optional(),
  tries: whole(0, PIN_TRIES).optional(),
  unblockTries: whole(0, PUK_TRIES).optional(),
});

const schema = z.strictObject({
  format: z.literal(CARD_FORMAT, { error: `"${CARD_FORMAT}"` }),
  iccid: text(/^[0-9]{18,20}$/, '18 to 20 digits'),
  pin1: pin,
  puk1: puk,
  pin2: pin,
  puk2: puk,
  adm1: text(/^[\x21-\x7e]{8}$/, '8 printable characters'),
  /** what became of the PINs; as issued where absent */
  pinStatus: z
    .strictObject({ pin1: pinStatus.optional(), pin2: pinStatus.optional(), adm1: pinStatus.optional() })
    .optional(),
  usim: z.strictObject({
    imsi: text(/^[0-9]{6,15}$/, '6 to 15 digits'),
    mncLength: z.union([z.literal(2), z.literal(3)], { error: '2 or 3' }),
    algorithm: z.enum(['milenage', 'test-xor'], { error: 'milenage or test-xor' }),
    k: key16,
    opc: key16.optional(),
    resLength: whole(4, 16).optional(),
    sqn: sqnArray.optional(),
    msisdn: number.optional(),
    spn: text(/^[\x20-\x7e]{1,16}$/, '1 to 16 printable ASCII characters').optional(),
    serviceCentre: number.optional(),
    apn: text(/^[\x20-\x7e]{1,63}$/, '1 to 63 printable ASCII characters').optional(),
    accessClasses: whole(0, 0xffff).optional(),
  }),
  ota: z
    .strictObject({
      keySets: z.array(
        z.strictObject({
          number: whole(1, 15),
          algorithm: z.enum(['aes', 'des3-2', 'des3-3'], { error: 'aes, des3-2 or des3-3' }),
          kic: otaKey,
          kid: otaKey,
          kik: otaKey.optional(),
          counter: counter.optional(),
          tars: z.array(text(/^[0-9a-f]{6}$/, '6 hexadecimal digits')).optional(),
        }),
      ),
    })
    .optional(),
  keyList: z
    .strictObject({
      pairs: z
        .array(
          z.strictObject({
            index: whole(0, 254),
            state: z.enum(['unused', 'current', 'saved', 'burnt', 'skipped', 'erased'], {
              error: 'unused, current, saved, burnt, skipped or erased',
            }),
            k: key16.optional(),
            opc: key16.optional(),
            kic: otaKey.optional(),
            kid: otaKey.optional(),
            counter: counter.optional(),
          }),
        )
        .min(1, { error: 'at least one pair' })
        .max(255, { error: 'at most 255 pairs' }),
      next: whole(1, 255),
      change: text(/^[0-9a-fA-F]{16}$/, '16 hexadecimal digits').optional(),
      last: z
        .enum(['none', 'committed', 'timeOut', 'rejected', 'cancelled'], {
          error: 'none, committed, timeOut, rejected or cancelled',
        })
        .optional(),
      report: number.optional(),
      /** a switch that waits for its delay: its command data */
      armed: bytes.optional(),
      trial: z
        .strictObject({
          command: bytes,
          from: whole(0, 254),
          secondsLeft: whole(0, 0xffffffff),
          rejections: whole(0, 255),
          saved: z.record(path, bytes),
          savedSqn: sqnArray,
        })
        .optional(),
    })
    .optional(),
  /** contents that differ from those of a card just issued, by path */
  files: z.record(path, bytes).optional(),
  deactivated: z.array(path).optional(),
});

/** A card as JSON. */
export type CardFile = z.infer<typeof schema>;

/** Names whose value must never be shown. */
const SECRET = /^(k|opc|kic|kid|kik|pin1|pin2|puk1|puk2|adm1)$/;

function found(value: unknown, name: string): string {
  if (value === undefined) return 'absent';
  if (typeof value === 'string') {
    if (SECRET.test(name)) return `${value.length} characters`;
    return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  }
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (value !== null && typeof value === 'object') return 'an object';
  return SECRET.test(name) ? `a ${typeof value}` : String(value);
}

const join = (path: readonly PropertyKey[]): string =>
  path.reduce<string>(
    (text, part) =>
      typeof part === 'number' ? `${text}[${part}]` : text === '' ? String(part) : `${text}.${String(part)}`,
    '',
  );

/** The shape and fields of what came from outside. @throws FieldError naming the place */
export function checkCardFile(value: unknown): CardFile {
  const result = schema.safeParse(value);
  if (!result.success) {
    const issue = result.error.issues[0]!;
    if (issue.code === 'unrecognized_keys') {
      throw new FieldError(join([...issue.path, issue.keys[0]!]), 'present', 'no such field');
    }
    let at: unknown = value;
    for (const part of issue.path) at = (at as Record<PropertyKey, unknown> | undefined)?.[part];
    const name = String(issue.path.findLast((part) => typeof part === 'string') ?? '');
    const expected =
      issue.code === 'invalid_type' && issue.message.startsWith('Invalid')
        ? `${/^[aeiou]/.test(issue.expected) ? 'an' : 'a'} ${issue.expected}`
        : issue.message;
    throw new FieldError(join(issue.path) || 'card file', found(at, name), expected);
  }
  const file = result.data;
  stateOf(file);
  return file;
}

/** @throws FieldError naming the place in the JSON, what was found (never a secret), and what was expected */
export function parseCardFile(json: string): CardFile {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    // V8 quotes the text around the mistake, which may be a key: only the position is told.
    const position = /position (\d+)/.exec((error as Error).message)?.[1];
    const line = position === undefined ? undefined : json.slice(0, Number(position)).split('\n').length;
    throw new FieldError(
      'card file',
      line === undefined ? 'a text that ends early' : `a mistake in line ${line}`,
      'JSON',
    );
  }
  return checkCardFile(value);
}

/** Names the place of what went wrong in a part. */
function within<T>(place: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof FieldError) throw new FieldError(place, error.value, error.expected);
    throw error;
  }
}

const places = new Map(FILES.map((spec, place) => [pathOf(spec), place]));

function placeAt(path: string, field: string): number {
  const place = places.get(path);
  if (place === undefined) throw new FieldError(field, JSON.stringify(path), 'a file of the card');
  return place;
}

function contentsAt(files: Record<string, string>, field: string): [number, Uint8Array][] {
  return Object.entries(files).map(([path, hex]) => {
    const place = placeAt(path, field);
    const content = fromHex(hex);
    const { length, records } = FILES[place]!;
    if (content.length !== length * records) {
      throw new FieldError(`${field}.${path}`, `${hex.length} hexadecimal digits`, `${2 * length * records}`);
    }
    return [place, content];
  });
}

const scheme = (indLength: number): SqnScheme => ({ ...SQN_DEFAULT, indLength });

function sqnOf(sqn: z.infer<typeof sqnArray>, field: string): { seq: readonly number[] } {
  if (sqn.seq.length !== 2 ** sqn.indLength) {
    throw new FieldError(`${field}.seq`, `${sqn.seq.length} numbers`, `${2 ** sqn.indLength} numbers`);
  }
  return { seq: sqn.seq };
}

function keySetOf(set: NonNullable<CardFile['ota']>['keySets'][number], field: string): KeySet {
  const keys = { kic: fromHex(set.kic), kid: fromHex(set.kid), ...(set.kik && { kik: fromHex(set.kik) }) };
  const lengths = keyLengths(set.algorithm);
  for (const [name, key] of Object.entries(keys)) {
    if (!lengths.includes(key.length)) {
      throw new FieldError(
        `${field}.${name}`,
        `${2 * key.length} characters`,
        `${lengths.map((length) => 2 * length).join(' or ')} hexadecimal digits for ${set.algorithm}`,
      );
    }
  }
  return {
    number: set.number,
    algorithm: set.algorithm,
    ...keys,
    counter: set.counter ?? 0,
    ...(set.tars && { tars: set.tars }),
  };
}

const KEYLESS = new Set(['burnt', 'skipped', 'erased']);

function pairOf(pair: NonNullable<CardFile['keyList']>['pairs'][number], position: number): Pair {
  const field = `keyList.pairs[${position}]`;
  if (pair.index !== position) throw new FieldError(`${field}.index`, String(pair.index), String(position));
  const keyed = !KEYLESS.has(pair.state);
  for (const name of ['k', 'opc', 'kic', 'kid'] as const) {
    if ((pair[name] !== undefined) !== keyed) {
      throw new FieldError(
        `${field}.${name}`,
        keyed ? 'absent' : 'present',
        keyed ? `the key of a pair that is ${pair.state}` : `none in a pair that is ${pair.state}`,
      );
    }
  }
  return {
    index: pair.index,
    state: pair.state,
    counter: pair.counter ?? 0,
    ...(keyed && {
      keys: {
        k: fromHex(pair.k!),
        opc: fromHex(pair.opc!),
        kic: fromHex(pair.kic!),
        kid: fromHex(pair.kid!),
      },
    }),
  };
}

function listOf(file: NonNullable<CardFile['keyList']>, usim: CardFile['usim']): KeyList {
  const pairs = file.pairs.map(pairOf);
  const current = pairs.findIndex((pair) => pair.state === 'current');
  if (current < 0 || pairs.some((pair, i) => pair.state === 'current' && i !== current)) {
    throw new FieldError('keyList.pairs', 'none or several current', 'one pair that is current');
  }
  const keys = pairs[current]!.keys!;
  if (usim.algorithm !== 'milenage') {
    throw new FieldError(
      'usim.algorithm',
      JSON.stringify(usim.algorithm),
      'milenage in a card with a key list',
    );
  }
  if (!equal(keys.k, fromHex(usim.k)) || !equal(keys.opc, fromHex(usim.opc ?? ''))) {
    throw new FieldError('usim.k', 'another key', `that of the current pair, keyList.pairs[${current}]`);
  }
  if (file.next > pairs.length || file.next <= current) {
    throw new FieldError('keyList.next', String(file.next), `${current + 1} to ${pairs.length}`);
  }
  if (file.armed !== undefined && file.trial) {
    throw new FieldError('keyList.armed', 'present', 'none while a trial runs');
  }
  const command = (field: string, hex: string): ReturnType<typeof decodeKeyListSwitch> =>
    within(field, () => decodeKeyListSwitch(fromHex(hex)));
  const list: KeyList = {
    pairs,
    current,
    next: file.next,
    change: file.change === undefined ? new Uint8Array(8) : fromHex(file.change),
    last: file.last ?? 'none',
    ...(file.report !== undefined && { report: file.report }),
  };
  if (file.armed !== undefined) return { ...list, armed: { command: command('keyList.armed', file.armed) } };
  const saved = pairs.filter((pair) => pair.state === 'saved');
  if (!file.trial) {
    if (saved.length > 0) throw new FieldError('keyList.trial', 'absent', 'present beside a saved pair');
    return list;
  }
  const { trial } = file;
  if (saved.length !== 1 || saved[0]!.index !== trial.from) {
    throw new FieldError('keyList.trial.from', String(trial.from), 'the one pair that is saved');
  }
  const switched = command('keyList.trial.command', trial.command);
  if (switched.index !== current) {
    throw new FieldError('keyList.trial.command', `index ${switched.index}`, `the current pair, ${current}`);
  }
  return {
    ...list,
    trial: {
      command: switched,
      from: trial.from,
      secondsLeft: trial.secondsLeft,
      rejections: trial.rejections,
      saved: contentsAt(trial.saved, 'keyList.trial.saved'),
      savedSqn: sqnOf(trial.savedSqn, 'keyList.trial.savedSqn'),
    },
  };
}

/** The card that a file describes. @throws FieldError naming the place in the JSON */
export function stateOf(file: CardFile): CardState {
  const { usim } = file;
  const subscription: Subscription = {
    imsi: usim.imsi,
    mncLength: usim.mncLength,
    ...(usim.msisdn !== undefined && { msisdn: usim.msisdn }),
    ...(usim.spn !== undefined && { serviceProviderName: usim.spn }),
    ...(usim.serviceCentre !== undefined && { serviceCentre: usim.serviceCentre }),
    ...(usim.apn !== undefined && { apn: usim.apn }),
    ...(usim.accessClasses !== undefined && { accessClasses: usim.accessClasses }),
  };
  const key = {
    algorithm: usim.algorithm,
    k: fromHex(usim.k),
    ...(usim.opc !== undefined && { opc: fromHex(usim.opc) }),
    ...(usim.resLength !== undefined && { resLength: usim.resLength }),
  };
  try {
    prepare(key);
  } catch (error) {
    if (error instanceof FieldError) throw new FieldError(`usim.${error.field}`, error.value, error.expected);
    throw error;
  }
  const keySets = (file.ota?.keySets ?? []).map((set, i) => keySetOf(set, `ota.keySets[${i}]`));
  const numbers = new Set<number>(file.keyList ? [KEY_LIST_KEY_SET] : []);
  keySets.forEach((set, i) => {
    if (numbers.has(set.number)) {
      const whose = file.keyList && set.number === KEY_LIST_KEY_SET ? "the key list's pair" : 'another set';
      throw new FieldError(
        `ota.keySets[${i}].number`,
        String(set.number),
        `a number that is not of ${whose}`,
      );
    }
    numbers.add(set.number);
  });
  const pinState = (name: 'pin1' | 'pin2' | 'adm1', value: string, unblock?: string): PinState => {
    const status = file.pinStatus?.[name];
    return {
      value,
      enabled: status?.enabled ?? name !== 'pin1',
      tries: status?.tries ?? PIN_TRIES,
      ...(unblock !== undefined && { puk: unblock }),
      pukTries: status?.unblockTries ?? PUK_TRIES,
    };
  };
  const issued = within('usim', () => issuedContents(file.iccid, subscription));
  return {
    iccid: file.iccid,
    contents: file.files ? withFiles(issued, contentsAt(file.files, 'files')) : issued,
    deactivated: (file.deactivated ?? []).map((path) => placeAt(path, 'deactivated')),
    pins: {
      pin1: pinState('pin1', file.pin1, file.puk1),
      pin2: pinState('pin2', file.pin2, file.puk2),
      adm1: pinState('adm1', file.adm1),
    },
    usim: {
      ...key,
      scheme: scheme(usim.sqn?.indLength ?? SQN_DEFAULT.indLength),
      sqn: usim.sqn ? sqnOf(usim.sqn, 'usim.sqn') : newSqnArray(SQN_DEFAULT),
    },
    keySets,
    ...(file.keyList && { list: listOf(file.keyList, usim) }),
  };
}

const byPath = (files: Iterable<readonly [number, Uint8Array]>): Record<string, string> =>
  Object.fromEntries([...files].map(([place, content]) => [pathOf(FILES[place]!), toHex(content)]));

function listFile(list: KeyList, indLength: number): NonNullable<CardFile['keyList']> {
  const { trial } = list;
  return {
    pairs: list.pairs.map(({ index, state, keys, counter }) => ({
      index,
      state,
      ...(keys && { k: toHex(keys.k), opc: toHex(keys.opc), kic: toHex(keys.kic), kid: toHex(keys.kid) }),
      ...(counter > 0 && { counter }),
    })),
    next: list.next,
    ...(list.change.some((byte) => byte !== 0) && { change: toHex(list.change) }),
    ...(list.last !== 'none' && { last: list.last satisfies KeyListOutcome }),
    ...(list.report !== undefined && { report: list.report }),
    ...(list.armed && { armed: toHex(encodeKeyListSwitch(list.armed.command).subarray(5)) }),
    ...(trial && {
      trial: {
        command: toHex(encodeKeyListSwitch(trial.command).subarray(5)),
        from: trial.from,
        secondsLeft: trial.secondsLeft,
        rejections: trial.rejections,
        saved: byPath(trial.saved),
        savedSqn: { indLength, seq: [...trial.savedSqn.seq] },
      },
    }),
  };
}

/** The file that describes a card; what it was issued with where a file holds what cannot be read. */
export function fileOf(state: CardState): CardFile {
  const { pins, usim, keySets, list } = state;
  const read = subscriptionOf(state.contents);
  const subscription: Subscription = { imsi: '000000', mncLength: 2, ...read };
  const { imsi, mncLength, msisdn, serviceProviderName, serviceCentre, apn, accessClasses } = subscription;
  const issued = issuedContents(state.iccid, subscription);
  const changed = state.contents.flatMap((content, place): [number, Uint8Array][] =>
    content === issued[place] || equal(content, issued[place]!) ? [] : [[place, content]],
  );
  const status = (pin: PinState): z.infer<typeof pinStatus> => ({
    enabled: pin.enabled,
    tries: pin.tries,
    ...(pin.puk !== undefined && { unblockTries: pin.pukTries }),
  });
  return {
    format: CARD_FORMAT,
    iccid: state.iccid,
    pin1: pins.pin1.value,
    puk1: pins.pin1.puk!,
    pin2: pins.pin2.value,
    puk2: pins.pin2.puk!,
    adm1: pins.adm1.value,
    pinStatus: { pin1: status(pins.pin1), pin2: status(pins.pin2), adm1: status(pins.adm1) },
    usim: {
      imsi,
      mncLength,
      algorithm: usim.algorithm,
      k: toHex(usim.k),
      ...(usim.opc && { opc: toHex(usim.opc) }),
      ...(usim.resLength !== undefined && { resLength: usim.resLength }),
      sqn: { indLength: usim.scheme.indLength, seq: [...usim.sqn.seq] },
      ...(msisdn !== undefined && { msisdn }),
      ...(serviceProviderName !== undefined && { spn: serviceProviderName }),
      ...(serviceCentre !== undefined && { serviceCentre }),
      ...(apn !== undefined && { apn }),
      ...(accessClasses !== undefined && { accessClasses }),
    },
    ...(keySets.length > 0 && {
      ota: {
        keySets: keySets.map(({ number, algorithm, kic, kid, kik, counter, tars }) => ({
          number,
          algorithm,
          kic: toHex(kic),
          kid: toHex(kid),
          ...(kik && { kik: toHex(kik) }),
          counter,
          ...(tars && { tars: [...tars] }),
        })),
      },
    }),
    ...(list && { keyList: listFile(list, usim.scheme.indLength) }),
    ...(changed.length > 0 && { files: byPath(changed) }),
    ...(state.deactivated.length > 0 && {
      deactivated: state.deactivated.map((place) => pathOf(FILES[place]!)),
    }),
  };
}

/** The text of a card file; lists of numbers in one line. */
export function formatCardFile(state: CardState): string {
  return formatFile(fileOf(state));
}

export const formatFile = (file: CardFile): string =>
  `${JSON.stringify(file, null, 2).replace(/\[\s*(\d[\d,\s]*?)\s*\]/g, (_, numbers: string) => `[${numbers.replace(/\s+/g, ' ')}]`)}\n`;
