/** Typed AVPs and groups of them: what a dictionary is made of (RFC 6733 §4.2–4.4). */
import {
  DecodeError,
  FieldError,
  Writer,
  decodeBcd,
  decodePlmn,
  encodeBcd,
  encodePlmn,
} from '../bytes/index.ts';
import { AvpError, readAvps, writeAvps, type Avp } from './message.ts';

/** One entry of the dictionary. */
export interface AvpType<T> {
  readonly name: string;
  readonly code: number;
  /** 0: RFC 6733 and its like; 10415: 3GPP */
  readonly vendor: number;
  /** M bit */
  readonly mandatory: boolean;
  /** the specification's name of the type */
  readonly type: string;
  /** of a Grouped AVP whose content the dictionary knows */
  readonly members?: Members;
  encode(value: T): Uint8Array;
  /** @throws DecodeError */
  decode(data: Uint8Array): T;
}

export const VENDOR_3GPP = 10415;

const known = new Map<string, AvpType<unknown>>();
const keyOf = (code: number, vendor: number): string => `${vendor}:${code}`;

/** Every AVP of the dictionary. */
export const dictionary = (): AvpType<unknown>[] => [...known.values()];

export interface Where {
  vendor?: number;
  mandatory?: boolean;
}

function define<T>(
  name: string,
  code: number,
  { vendor = 0, mandatory = true }: Where,
  type: string,
  encode: (value: T) => Uint8Array,
  decode: (data: Uint8Array) => T,
  members?: Members,
): AvpType<T> {
  const avp: AvpType<T> = {
    name,
    code,
    vendor,
    mandatory,
    type,
    ...(members ? { members } : {}),
    encode,
    decode,
  };
  known.set(keyOf(code, vendor), avp as AvpType<unknown>);
  return avp;
}

export const octets = (name: string, code: number, where: Where = {}): AvpType<Uint8Array> =>
  define(
    name,
    code,
    where,
    'OctetString',
    (value) => value,
    (data) => data,
  );

/** @param lengths the lengths in bytes that the specification allows */
export const octetsOf = (
  name: string,
  code: number,
  lengths: readonly number[],
  where: Where = {},
): AvpType<Uint8Array> => {
  const wrong = (length: number): [string, string, string] => [
    name,
    `${length} bytes`,
    `${lengths.join(' or ')} bytes`,
  ];
  return define(
    name,
    code,
    where,
    'OctetString',
    (value) => {
      if (!lengths.includes(value.length)) throw new FieldError(...wrong(value.length));
      return value;
    },
    (data) => {
      if (!lengths.includes(data.length)) throw new DecodeError(...wrong(data.length));
      return data;
    },
  );
};

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function textOf(name: string, data: Uint8Array): string {
  try {
    return decoder.decode(data);
  } catch {
    throw new DecodeError(name, `${data.length} bytes`, 'UTF-8');
  }
}

export const utf8 = (name: string, code: number, where: Where = {}): AvpType<string> =>
  define(
    name,
    code,
    where,
    'UTF8String',
    (value) => encoder.encode(value),
    (data) => textOf(name, data),
  );

const IDENTITY = /^[\x21-\x7e]{1,255}$/;

/** A host or realm: 1–255 visible ASCII characters. */
export const identity = (name: string, code: number, where: Where = {}): AvpType<string> =>
  define(
    name,
    code,
    where,
    'DiameterIdentity',
    (value) => {
      if (!IDENTITY.test(value)) throw new FieldError(name, JSON.stringify(value), 'a Diameter identity');
      return encoder.encode(value);
    },
    (data) => {
      const value = textOf(name, data);
      if (!IDENTITY.test(value)) throw new DecodeError(name, JSON.stringify(value), 'a Diameter identity');
      return value;
    },
  );

function u32(name: string, value: number): Uint8Array {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
    throw new FieldError(name, String(value), 'a whole number from 0 to 2^32-1');
  }
  return new Writer(4).u32(value).done();
}

function fromU32(name: string, data: Uint8Array): number {
  if (data.length !== 4) throw new DecodeError(name, `${data.length} bytes`, '4 bytes');
  return ((data[0]! << 24) | (data[1]! << 16) | (data[2]! << 8) | data[3]!) >>> 0;
}

export const unsigned32 = (
  name: string,
  code: number,
  where: Where = {},
  type = 'Unsigned32',
): AvpType<number> =>
  define(
    name,
    code,
    where,
    type,
    (value) => u32(name, value),
    (data) => fromU32(name, data),
  );

/** Values are not checked against the list: a later release may have more. Negative ones are not used. */
export const enumerated = (name: string, code: number, where: Where = {}): AvpType<number> =>
  unsigned32(name, code, where, 'Enumerated');

/** Seconds between 1900 and 1970; times before 2004 are not expected, so the counter's second era is known. */
const NTP_EPOCH = 2_208_988_800;
const ERA = 0x1_0000_0000;

/** Milliseconds since 1970; whole seconds travel (RFC 6733 §4.3.1, the years 1968 to 2104). */
export const time = (name: string, code: number, where: Where = {}): AvpType<number> =>
  define(
    name,
    code,
    where,
    'Time',
    (value) => u32(name, (Math.floor(value / 1000) + NTP_EPOCH) % ERA),
    (data) => {
      const seconds = fromU32(name, data);
      return ((seconds < 0x8000_0000 ? seconds + ERA : seconds) - NTP_EPOCH) * 1000;
    },
  );

/** An IP address: 4 or 16 bytes, behind its address family. */
export const address = (name: string, code: number, where: Where = {}): AvpType<Uint8Array> =>
  define(
    name,
    code,
    where,
    'IPAddress',
    (value) => {
      if (value.length !== 4 && value.length !== 16) {
        throw new FieldError(name, `${value.length} bytes`, '4 or 16 bytes');
      }
      return new Writer(18)
        .u16(value.length === 4 ? 1 : 2)
        .put(value)
        .done();
    },
    (data) => {
      const family = data.length < 2 ? 0 : (data[0]! << 8) | data[1]!;
      if ((family === 1 && data.length === 6) || (family === 2 && data.length === 18)) {
        return data.subarray(2);
      }
      throw new DecodeError(name, `${data.length} bytes of family ${family}`, 'an IPv4 or IPv6 address');
    },
  );

/** Digits as TBCD: swapped nibbles, filler 0xF (TS 29.002 §17.7.8), without a type of number. */
export const digits = (name: string, code: number, where: Where = {}): AvpType<string> =>
  define(
    name,
    code,
    where,
    'OctetString',
    (value) => encodeBcd(value, name),
    (data) => {
      if (data.length > 20) throw new DecodeError(name, `${data.length} bytes`, 'at most 20 bytes');
      return decodeBcd(data, name);
    },
  );

/** A PLMN as 5 or 6 digits, coded in 3 bytes as TS 23.003 has it (TS 29.272 §7.3.9). */
export const plmn = (name: string, code: number, where: Where = {}): AvpType<string> =>
  define(
    name,
    code,
    where,
    'OctetString',
    (value) => encodePlmn(value, name),
    (data) => decodePlmn(data, name),
  );

type How = 'one' | 'optional' | 'many' | 'fixed';

/** An AVP's place in a group: exactly once, at most once, any number of times, or always with one value. */
export interface Member<T, H extends How> {
  readonly avp: AvpType<T>;
  readonly how: H;
  readonly value?: T;
}

export const one = <T>(avp: AvpType<T>): Member<T, 'one'> => ({ avp, how: 'one' });
export const optional = <T>(avp: AvpType<T>): Member<T, 'optional'> => ({ avp, how: 'optional' });
export const many = <T>(avp: AvpType<T>): Member<T, 'many'> => ({ avp, how: 'many' });
/** Written always, and not read: it says nothing that the command does not say already. */
export const fixed = <T>(avp: AvpType<T>, value: T): Member<T, 'fixed'> => ({ avp, how: 'fixed', value });

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a group holds members of every type
export type Members = Readonly<Record<string, Member<any, How>>>;
type ValueOf<M> = M extends Member<infer T, How> ? T : never;
type Of<M extends Members, H extends How> = {
  [K in keyof M]: M[K]['how'] extends H ? K : never;
}[keyof M];

/** The object that a group of AVPs is. */
export type Values<M extends Members> = { [K in Of<M, 'one'>]: ValueOf<M[K]> } & {
  [K in Of<M, 'optional'>]?: ValueOf<M[K]>;
} & { [K in Of<M, 'many'>]?: ValueOf<M[K]>[] };

const MISSING_AVP = 5005;
const AVP_UNSUPPORTED = 5001;
const OCCURS_TOO_OFTEN = 5009;
const INVALID_AVP_VALUE = 5004;

/** The AVPs of an object, in the group's order. @throws FieldError naming the AVP */
export function encodeMembers<M extends Members>(members: M, values: Values<M>): Avp[] {
  const avps: Avp[] = [];
  for (const [name, member] of Object.entries(members)) {
    const value =
      member.how === 'fixed' ? (member.value as unknown) : (values as Record<string, unknown>)[name];
    if (value === undefined) {
      if (member.how === 'one') throw new FieldError(member.avp.name, 'absent', 'present');
      continue;
    }
    const { code, vendor, mandatory } = member.avp;
    for (const single of member.how === 'many' ? (value as unknown[]) : [value]) {
      avps.push({ code, vendor, mandatory, data: (member.avp as AvpType<unknown>).encode(single) });
    }
  }
  return avps;
}

/**
 * The object that AVPs are, in any order. AVPs outside the group are ignored, unless their M bit is set and the
 * dictionary does not know them.
 * @throws AvpError
 */
export function decodeMembers<M extends Members>(members: M, avps: readonly Avp[], what: string): Values<M> {
  const places = placesOf(members);
  const values: Record<string, unknown> = {};
  for (const avp of avps) {
    const name = places.get(keyOf(avp.code, avp.vendor));
    if (name === undefined) {
      if (avp.mandatory && !known.has(keyOf(avp.code, avp.vendor))) {
        throw new AvpError(
          AVP_UNSUPPORTED,
          what,
          `AVP ${avp.code} of vendor ${avp.vendor} with M bit`,
          'AVPs of the dictionary',
          avp,
        );
      }
      continue;
    }
    const member = members[name]!;
    if (member.how === 'fixed') continue;
    const value = decodeValue(member.avp as AvpType<unknown>, avp);
    if (member.how === 'many') {
      ((values[name] ??= []) as unknown[]).push(value);
    } else if (values[name] !== undefined) {
      throw new AvpError(OCCURS_TOO_OFTEN, member.avp.name, 'twice', 'once', avp);
    } else {
      values[name] = value;
    }
  }
  for (const [name, member] of Object.entries(members)) {
    if (member.how === 'one' && values[name] === undefined) {
      const { code, vendor, mandatory } = member.avp;
      const failed = { code, vendor, mandatory, data: new Uint8Array(0) };
      throw new AvpError(MISSING_AVP, `${what} ${member.avp.name}`, 'absent', 'present', failed);
    }
  }
  return values as Values<M>;
}

function decodeValue(type: AvpType<unknown>, avp: Avp): unknown {
  try {
    return type.decode(avp.data);
  } catch (error) {
    if (error instanceof AvpError || !(error instanceof FieldError)) throw error;
    throw new AvpError(INVALID_AVP_VALUE, error.field, error.value, error.expected, avp);
  }
}

const placeCache = new WeakMap<Members, Map<string, string>>();

function placesOf(members: Members): Map<string, string> {
  let places = placeCache.get(members);
  if (!places) {
    places = new Map(Object.entries(members).map(([name, { avp }]) => [keyOf(avp.code, avp.vendor), name]));
    placeCache.set(members, places);
  }
  return places;
}

/** An AVP that is a group. */
export const grouped = <M extends Members>(
  name: string,
  code: number,
  members: M,
  where: Where = {},
): AvpType<Values<M>> =>
  define(
    name,
    code,
    where,
    'Grouped',
    (value) => {
      const out = new Writer(64);
      writeAvps(out, encodeMembers(members, value));
      return out.done();
    },
    (data) => decodeMembers(members, readAvps(data), name),
    members,
  );

/** Failed-AVP: whole AVPs of any kind. */
export const anyAvps = (name: string, code: number, where: Where = {}): AvpType<Avp[]> =>
  define(
    name,
    code,
    where,
    'Grouped',
    (value) => {
      const out = new Writer(64);
      writeAvps(out, value);
      return out.done();
    },
    readAvps,
  );
