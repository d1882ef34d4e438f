/** Reading a card file (docs/cards.md): strictly, down to what its fields say together. */
import {
  SQN_DEFAULT,
  newSqnArray,
  prepare,
  type SqnArray,
  type SqnScheme,
  type SubscriberKey,
} from '../../standards/aka/index.ts';
import { FieldError, equal, fromHex } from '../../standards/bytes/index.ts';
import { decodeCertificate, publicKeyOf } from '../../standards/globalplatform/index.ts';
import { KEY_LIST_KEY_SET, decodeKeyListSwitch, keyLengths } from '../../standards/ota/index.ts';
import * as uicc from '../../standards/uicc/index.ts';
import { CARD_FORMAT, checkFields, type CardFile } from './card-file-schema.ts';
import { isimIn, savedIsim, type OwnIdentity } from './isim.ts';
import { FILES, pathOf, placeOf } from './layout.ts';
import {
  NO_IMSI,
  PIN_TRIES,
  PUK_TRIES,
  SUBSCRIPTION_FILES,
  issuedContents,
  readContent,
  withFiles,
  type CardState,
  type Casd,
  type KeyList,
  type KeySet,
  type Pair,
  type PinState,
  type Subscription,
} from './state.ts';

export { CARD_FORMAT, type CardFile };

/** A card file that came from outside as JSON already. @throws FieldError naming the place */
export function checkCardFile(value: unknown): CardFile {
  const file = checkFields(value);
  stateOf(file);
  return file;
}

/** @throws FieldError naming the place in the JSON, what was found (never a secret), and what was expected */
export const parseCardFile = (json: string): CardFile => checkCardFile(parsed(json));

/** The card of a card file's text. @throws FieldError as `parseCardFile` */
export const loadCardFile = (json: string): CardState => stateOf(checkFields(parsed(json)));

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
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
}

/** Data of a SWITCH. What is wrong in it is not shown, but where. */
function commandOf(hex: string, field: string): ReturnType<typeof decodeKeyListSwitch> {
  try {
    return decodeKeyListSwitch(fromHex(hex));
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    throw new FieldError(field, `${hex.length} characters`, `data of a SWITCH: a fault at ${error.field}`);
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

/** SEQ and IND share 48 bits (TS 33.102 §C.1.1.1). */
function sqnOf({ indLength, seq }: NonNullable<CardFile['usim']['sqn']>, field: string): SqnArray {
  if (seq.length !== 2 ** indLength) {
    throw new FieldError(`${field}.seq`, `${seq.length} numbers`, `${2 ** indLength} numbers`);
  }
  const tooHigh = seq.findIndex((each) => each >= 2 ** (48 - indLength));
  if (tooHigh >= 0) {
    throw new FieldError(
      `${field}.seq[${tooHigh}]`,
      String(seq[tooHigh]),
      `less than 2^${48 - indLength}, as SEQ and ${indLength} bits of IND are 48`,
    );
  }
  return { seq };
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
    ...(set.agreed && { agreed: true }),
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
  const list: KeyList = { pairs, current, next: file.next, ...progressOf(file, 'keyList') };
  const saved = pairs.filter((pair) => pair.state === 'saved');
  const { trial } = list;
  if (!trial) {
    if (saved.length > 0) throw new FieldError('keyList.trial', 'absent', 'present beside a saved pair');
    return list;
  }
  if (saved.length !== 1 || saved[0]!.index !== trial.from) {
    throw new FieldError('keyList.trial.from', String(trial.from), 'the one pair that is saved');
  }
  if (trial.command.index !== current) {
    throw new FieldError(
      'keyList.trial.command',
      `index ${trial.command.index}`,
      `the current pair, ${current}`,
    );
  }
  return list;
}

/** The fall-back application: a list without pairs, whose commands have index 0. */
function fallbackOf(file: NonNullable<CardFile['fallback']>): KeyList {
  const list: KeyList = { pairs: [], current: 0, next: 0, ...progressOf(file, 'fallback') };
  const { command } = list.armed ?? list.trial ?? {};
  if ((command?.index ?? 0) !== 0 || (list.trial?.from ?? 0) !== 0) {
    throw new FieldError('fallback.trial', 'an index of a list', 'index 0');
  }
  return list;
}

/** What an application remembers of switches. @param place where it stands in the file */
function progressOf(
  file: NonNullable<CardFile['fallback']>,
  place: 'keyList' | 'fallback',
): Omit<KeyList, 'pairs' | 'current' | 'next'> {
  const { armed, trial } = file;
  if (armed !== undefined && trial) {
    throw new FieldError(`${place}.armed`, 'present', 'none while a trial runs');
  }
  return {
    change: file.change === undefined ? new Uint8Array(8) : fromHex(file.change),
    last: file.last ?? 'none',
    ...(file.report !== undefined && { report: file.report }),
    ...(armed !== undefined && { armed: { command: commandOf(armed, `${place}.armed`) } }),
    ...(trial && {
      trial: {
        command: commandOf(trial.command, `${place}.trial.command`),
        from: trial.from,
        secondsLeft: trial.secondsLeft,
        rejections: trial.rejections,
        saved: savedOf(trial.saved, `${place}.trial.saved`),
        savedSqn: sqnOf(trial.savedSqn, `${place}.trial.savedSqn`),
        ...(trial.proven && { proven: true }),
      },
    }),
  };
}

/** What a trial falls back to: every file that a switch writes, and no other. */
function savedOf(files: Record<string, string>, field: string): [number, Uint8Array][] {
  const given = contentsAt(files, field);
  const found = new Map([...savedIsim(given), ...given]);
  for (const place of SUBSCRIPTION_FILES) {
    if (!found.has(place)) {
      throw new FieldError(`${field}.${pathOf(FILES[place]!)}`, 'absent', 'every file that a switch writes');
    }
  }
  for (const place of found.keys()) {
    if (!SUBSCRIPTION_FILES.includes(place)) {
      throw new FieldError(`${field}.${pathOf(FILES[place]!)}`, 'present', 'only files that a switch writes');
    }
  }
  return SUBSCRIPTION_FILES.map((place) => [place, found.get(place)!]);
}

/** `files` must not say of the card's identity what other fields deny. */
function agree({ iccid, usim, files }: CardFile, contents: readonly Uint8Array[]): void {
  const other = (file: Parameters<typeof placeOf>[0], what: string, of: string): FieldError =>
    new FieldError(`files.${pathOf(FILES[placeOf(file)]!)}`, `another ${what}`, `that of ${of}`);
  if (!files) return;
  // Nobody may write EF.ICCID.
  if (!equal(contents[placeOf(uicc.EF_ICCID)]!, uicc.EF_ICCID.encode(iccid))) {
    throw other(uicc.EF_ICCID, 'ICCID', 'iccid');
  }
  const imsi = readContent(contents, uicc.EF_IMSI);
  if (imsi !== undefined && imsi !== usim.imsi) throw other(uicc.EF_IMSI, 'IMSI', 'usim.imsi');
  const data = readContent(contents, uicc.EF_AD);
  if (data !== undefined && data.mncLength !== usim.mncLength) {
    throw other(uicc.EF_AD, 'length of the MNC', 'usim.mncLength');
  }
}

/** test-xor protects nobody; TS 34.108 has it for test networks. 999: networks not known outside (E.212). */
const TEST_NETWORK = /^(?:001|999)/;

/** A Ki and what goes with it. @throws FieldError if it is not whole */
function keyOf(file: NonNullable<CardFile['usim']['renewed']>, field: string): SubscriberKey {
  const key: SubscriberKey = {
    algorithm: file.algorithm,
    k: fromHex(file.k),
    ...(file.opc !== undefined && { opc: fromHex(file.opc) }),
    ...(file.topc !== undefined && { topc: fromHex(file.topc) }),
    ...(file.resLength !== undefined && { resLength: file.resLength }),
    ...(file.keccakIterations !== undefined && { keccakIterations: file.keccakIterations }),
  };
  try {
    prepare(key);
  } catch (error) {
    if (error instanceof FieldError)
      throw new FieldError(`${field}.${error.field}`, error.value, error.expected);
    throw error;
  }
  return key;
}

/** The key agreement key, and that the certificate is of it. */
function casdOf({ privateKey, certificate }: NonNullable<CardFile['casd']>): Casd {
  const casd = { privateKey: fromHex(privateKey), certificate: fromHex(certificate) };
  let own: Uint8Array;
  try {
    own = publicKeyOf(casd.privateKey);
  } catch {
    throw new FieldError('casd.privateKey', '64 characters', 'a private key of P-256');
  }
  let certified: Uint8Array;
  try {
    certified = decodeCertificate(casd.certificate).publicKey;
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    throw new FieldError('casd.certificate', `a fault at ${error.field}`, 'a certificate (tag 7f21)');
  }
  if (!equal(own, certified))
    throw new FieldError('casd.certificate', 'of another key', 'that of casd.privateKey');
  return casd;
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
    ...(file.isim && { isim: file.isim as OwnIdentity }),
  };
  const withIsim = isimIn(file);
  const key = keyOf(usim, 'usim');
  if (usim.algorithm === 'test-xor' && usim.imsi !== NO_IMSI && !TEST_NETWORK.test(usim.imsi)) {
    throw new FieldError(
      'usim.algorithm',
      '"test-xor"',
      'milenage or tuak outside test networks, whose IMSI begins with 001 or 999',
    );
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
  const issued = issuedContents(file.iccid, subscription, withIsim);
  const contents = file.files ? withFiles(issued, contentsAt(file.files, 'files')) : issued;
  agree(file, contents);
  const { sqn = { indLength: SQN_DEFAULT.indLength, ...newSqnArray(SQN_DEFAULT) } } = usim;
  if (file.keyList && file.fallback) {
    throw new FieldError('fallback', 'present', 'none beside a key list');
  }
  // The pairs of a list are all the Ki that its card has.
  if (file.keyList && usim.renewed) throw new FieldError('usim.renewed', 'present', 'none beside a key list');
  const { trial } = file.keyList ?? file.fallback ?? {};
  if (trial && trial.savedSqn.indLength !== sqn.indLength) {
    throw new FieldError(
      `${file.keyList ? 'keyList' : 'fallback'}.trial.savedSqn.indLength`,
      String(trial.savedSqn.indLength),
      `${sqn.indLength}, that of usim.sqn`,
    );
  }
  return {
    iccid: file.iccid,
    contents,
    deactivated: (file.deactivated ?? []).map((path) => placeAt(path, 'deactivated')),
    pins: {
      pin1: pinState('pin1', file.pin1, file.puk1),
      pin2: pinState('pin2', file.pin2, file.puk2),
      adm1: pinState('adm1', file.adm1),
    },
    usim: {
      ...key,
      ...(usim.renewed && { renewed: keyOf(usim.renewed, 'usim.renewed') }),
      scheme: scheme(sqn.indLength),
      sqn: sqnOf(sqn as NonNullable<typeof usim.sqn>, 'usim.sqn'),
    },
    isim: withIsim,
    keySets,
    ...(file.keyList && { list: listOf(file.keyList, usim) }),
    ...(file.fallback && { list: fallbackOf(file.fallback) }),
    ...(file.casd && { casd: casdOf(file.casd) }),
  };
}
