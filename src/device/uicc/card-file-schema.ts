/** The fields of a card file (docs/cards.md), each by itself; what they say together is read in card-file.ts. */
import { z } from 'zod';
import { FieldError } from '../../standards/bytes/index.ts';
import { EF_ACL, EF_DOMAIN, EF_IMPI, EF_IMPU, EF_SPN, luhnDigit } from '../../standards/uicc/index.ts';
import { PIN_TRIES, PUK_TRIES } from './state.ts';

export const CARD_FORMAT = 'rehome-card/1';

/** A text of a form, which the message of any failure names. */
const text = (pattern: RegExp, expected: string): z.ZodString =>
  z.string({ error: expected }).regex(pattern, { error: expected, abort: true });
const whole = (least: number, most: number): z.ZodNumber => {
  const error = `a whole number from ${least} to ${most}`;
  return z.int({ error }).min(least, { error }).max(most, { error });
};
/** Whether a file of the card can hold a value. */
const encodes = (encode: () => Uint8Array): boolean => {
  try {
    encode();
    return true;
  } catch (error) {
    if (error instanceof FieldError) return false;
    throw error;
  }
};
const key16 = text(/^[0-9a-fA-F]{32}$/, '32 hexadecimal digits');
const k = text(/^(?:[0-9a-fA-F]{32}){1,2}$/, '32 hexadecimal digits, or 64 for tuak');
const key32 = text(/^[0-9a-fA-F]{64}$/, '64 hexadecimal digits');
const otaKey = text(/^(?:[0-9a-fA-F]{16}){2,4}$/, '32, 48 or 64 hexadecimal digits');
const bytes = text(/^(?:[0-9a-fA-F]{2})*$/, 'hexadecimal digits, two a byte');
const pin = text(/^[0-9]{4,8}$/, '4 to 8 digits');
const puk = text(/^[0-9]{8}$/, '8 digits');
const number = text(/^[0-9]{1,20}$/, 'an international number, 1 to 20 digits');
const counter = whole(0, 0xff_ffff_ffff);
const sqnArray = z.strictObject({ indLength: whole(0, 16), seq: z.array(whole(0, 2 ** 48 - 1)) });
const path = text(/^(?:isim|[0-9a-f]{4})(?:\/[0-9a-f]{4})+$/, 'a path such as 7fff/6f07 or isim/6f02');

const pinStatus = z.strictObject({
  enabled: z.boolean({ error: 'true or false' }).optional(),
  tries: whole(0, PIN_TRIES).optional(),
  unblockTries: whole(0, PUK_TRIES).optional(),
});

const subscriberKey = {
  algorithm: z.enum(['milenage', 'tuak', 'test-xor'], { error: 'milenage, tuak or test-xor' }),
  k,
  opc: key16.optional(),
  topc: key32.optional(),
  resLength: whole(4, 16).optional(),
  keccakIterations: whole(1, 255).optional(),
};

const usim = z.strictObject({
  imsi: text(/^[0-9]{6,15}$/, '6 to 15 digits'),
  mncLength: z.union([z.literal(2), z.literal(3)], { error: '2 or 3' }),
  ...subscriberKey,
  /** a Ki that waits for its first use */
  renewed: z.strictObject(subscriberKey).optional(),
  sqn: sqnArray.optional(),
  msisdn: number.optional(),
  spn: text(/^[\x20-\x7e]{1,16}$/, '1 to 16 printable ASCII characters')
    .refine((name) => encodes(() => EF_SPN.encode({ display: 1, name })), {
      error: 'at most 7 characters where one is not of the GSM default alphabet',
    })
    .optional(),
  serviceCentre: number.optional(),
  apn: text(/^[\x20-\x7e]{1,63}$/, '1 to 63 printable ASCII characters')
    .refine((name) => encodes(() => EF_ACL.encode([name])), { error: 'labels joined by single dots' })
    .optional(),
  accessClasses: whole(0, 0xffff).optional(),
});

/** A text that a file of the ISIM can hold. */
const ofIsim = (file: typeof EF_IMPI, expected: string): z.ZodString =>
  z.string({ error: expected }).refine((value) => encodes(() => file.encode(value)), { error: expected });

const isim = z
  .strictObject({
    impi: ofIsim(EF_IMPI, 'a private user identity, user@realm, of at most 58 characters').optional(),
    impu: ofIsim(EF_IMPU, 'a SIP or tel URI of at most 62 characters').optional(),
    domain: ofIsim(EF_DOMAIN, 'a domain name of at most 38 characters').optional(),
  })
  .nullable();

/** What a list and a fall-back application remember of switches. */
const progress = {
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
      proven: z.boolean({ error: 'true or false' }).optional(),
    })
    .optional(),
};

const schema = z.strictObject({
  format: z.literal(CARD_FORMAT, { error: `"${CARD_FORMAT}"` }),
  // E.118 ends at 19 digits, the last of them the check digit; cards of 20 have it too, 18 are without it.
  iccid: text(/^[0-9]{18,20}$/, '18 to 20 digits').refine(
    (digits) => digits.length === 18 || luhnDigit(digits.slice(0, -1)) === Number(digits.at(-1)),
    { error: 'a check digit that holds (ITU-T E.118), or 18 digits without one' },
  ),
  pin1: pin,
  puk1: puk,
  pin2: pin,
  puk2: puk,
  // CHANGE PIN makes it as short as any PIN.
  adm1: text(/^[\x21-\x7e]{4,8}$/, '4 to 8 printable characters'),
  /** what became of the PINs; as issued where absent */
  pinStatus: z
    .strictObject({ pin1: pinStatus.optional(), pin2: pinStatus.optional(), adm1: pinStatus.optional() })
    .optional(),
  usim,
  /** what is not derived from the IMSI; null: the card has no ISIM */
  isim: isim.optional(),
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
          agreed: z.boolean({ error: 'true or false' }).optional(),
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
      ...progress,
    })
    .optional(),
  /** the fall-back application of alternative 3a: it is there */
  fallback: z.strictObject(progress).optional(),
  /** what agrees on key sets: the card's own key and its manufacturer's certificate */
  casd: z.strictObject({ privateKey: key32, certificate: bytes }).optional(),
  /** contents that differ from those of a card just issued, by path */
  files: z.record(path, bytes).optional(),
  deactivated: z.array(path).optional(),
});

/** A card as JSON. */
export type CardFile = z.infer<typeof schema>;

/** Whether a field of `usim` can be written as it is. */
export const accepts = (name: keyof CardFile['usim'], value: unknown): boolean =>
  usim.shape[name].safeParse(value).success;

/**
 * Names whose value may be shown. All others are told by their length: keys and PINs, and file contents, which
 * hold CK and IK (EF.Keys) and K_ASME (EF.EPSNSC).
 */
const HARMLESS = new Set(
  (
    'format iccid imsi mncLength algorithm resLength keccakIterations indLength seq msisdn spn serviceCentre apn accessClasses ' +
    'enabled tries unblockTries number counter tars index state next last report from secondsLeft rejections ' +
    'deactivated impi domain impu agreed proven'
  ).split(' '),
);

function found(value: unknown, name: string): string {
  if (value === undefined) return 'absent';
  if (typeof value === 'string') {
    if (!HARMLESS.has(name)) return `${value.length} characters`;
    return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  }
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (value !== null && typeof value === 'object') return 'an object';
  return HARMLESS.has(name) || value === null ? String(value) : `a ${typeof value}`;
}

/** A name as it is, unless it is longer than any of ours: a key that slipped into its place. */
const named = (name: string): string => (name.length <= 24 ? name : `(a name of ${name.length} characters)`);

const join = (path: readonly PropertyKey[]): string =>
  path.reduce<string>(
    (text, part) =>
      typeof part === 'number'
        ? `${text}[${part}]`
        : text === ''
          ? named(String(part))
          : `${text}.${named(String(part))}`,
    '',
  );

/** The fields of what came from outside, each by itself. @throws FieldError naming the place */
export function checkFields(value: unknown): CardFile {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  if (issue.code === 'unrecognized_keys') {
    throw new FieldError(join([...issue.path, issue.keys[0]!]), 'present', 'no such field');
  }
  if (issue.code === 'invalid_key') {
    throw new FieldError(join(issue.path), 'present', issue.issues[0]?.message ?? 'another name');
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
