/** How a message is laid out, as a table (TS 24.007 §11.2): one table serves encoder, decoder and types. */
import { DecodeError, FieldError, type Reader, type Writer } from '../bytes/index.ts';

/** Who sent a message. */
export type Direction = 'uplink' | 'downlink';

/** The value part of an information element. */
export interface Codec<T> {
  encode(value: T, field: string): Uint8Array;
  /** gets bytes whose length is within the field's limits */
  decode(bytes: Uint8Array, field: string): T;
}

/** `half`: half an octet, the low one first · `TV1`: identifier in the high half, value in the low one */
type Format = 'half' | 'V' | 'LV' | 'LVE' | 'TV1' | 'TV' | 'TLV' | 'TLVE';

export interface Field<T> {
  readonly format: Format;
  /** information element identifier; TV1: its high half, as 0x90 */
  readonly iei: number;
  /** bytes of the value */
  readonly min: number;
  readonly max: number;
  readonly codec: Codec<T>;
}

/** 1 byte, or half of one, as a number. */
export const number: Codec<number> = {
  encode(value, field) {
    if (!Number.isInteger(value) || value < 0 || value > 255) {
      throw new FieldError(field, String(value), '0 to 255');
    }
    return Uint8Array.of(value);
  },
  decode: (bytes) => bytes[0]!,
};

/** Bytes as they are; what is decoded is a view. */
export const octets: Codec<Uint8Array> = { encode: (value) => value, decode: (bytes) => bytes };

const field = <T>(format: Format, iei: number, min: number, max: number, codec: Codec<T>): Field<T> => ({
  format,
  iei,
  min,
  max,
  codec,
});
export const half: Field<number> = field('half', 0, 1, 1, number);
export const v = <T>(length: number, codec: Codec<T>): Field<T> => field('V', 0, length, length, codec);
export const lv = <T>(min: number, max: number, codec: Codec<T>): Field<T> => field('LV', 0, min, max, codec);
export const lve = <T>(min: number, codec: Codec<T>): Field<T> => field('LVE', 0, min, 65535, codec);
export const tv1 = (iei: number): Field<number> => field('TV1', iei, 1, 1, number);
export const tv = <T>(iei: number, length: number, codec: Codec<T>): Field<T> =>
  field('TV', iei, length, length, codec);
export const tlv = <T>(iei: number, min: number, max: number, codec: Codec<T>): Field<T> =>
  field('TLV', iei, min, max, codec);
export const tlve = <T>(iei: number, min: number, codec: Codec<T>): Field<T> =>
  field('TLVE', iei, min, 65535, codec);

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a table holds fields of all types
type Fields = Record<string, Field<any>>;

/** A message: its type octet, what it must have and what it may have, in the order of the specification. */
export interface Layout<M extends Fields = Fields, O extends Fields = Fields> {
  readonly code: number;
  readonly mandatory: M;
  readonly optional: O;
}

/** Declares a message. */
export function layout<M extends Fields, O extends Fields = Record<never, never>>(
  code: number,
  mandatory: M,
  optional?: O,
): Layout<M, O> {
  return { code, mandatory, optional: optional ?? ({} as O) };
}

type Value<F> = F extends Field<infer T> ? T : never;
/** The message a layout stands for. */
export type Body<L> =
  L extends Layout<infer M, infer O>
    ? { -readonly [K in keyof M]: Value<M[K]> } & { -readonly [K in keyof O]?: Value<O[K]> }
    : never;

/** What `encodeBody` needs of any message. */
type AnyBody = Record<string, unknown>;

function encodeValue(name: string, { codec, min, max }: Field<unknown>, value: unknown): Uint8Array {
  const bytes = codec.encode(value, name);
  if (bytes.length < min || bytes.length > max) {
    throw new FieldError(
      name,
      `${bytes.length} bytes`,
      min === max ? `${min} bytes` : `${min} to ${max} bytes`,
    );
  }
  return bytes;
}

function nibble(name: string, value: unknown): number {
  if (!Number.isInteger(value) || (value as number) < 0 || (value as number) > 15) {
    throw new FieldError(name, String(value), '0 to 15');
  }
  return value as number;
}

/** Writes the fields of a message. @throws FieldError naming the field */
export function encodeBody(out: Writer, { mandatory, optional }: Layout, body: AnyBody): void {
  let low = -1;
  for (const name in mandatory) {
    const one = mandatory[name]!;
    const value = body[name];
    if (value === undefined) throw new FieldError(name, 'absent', 'present');
    if (one.format === 'half') {
      if (low < 0) {
        low = nibble(name, value);
      } else {
        out.u8((nibble(name, value) << 4) | low);
        low = -1;
      }
      continue;
    }
    // The other half is spare.
    if (low >= 0) out.u8(low);
    low = -1;
    const bytes = encodeValue(name, one, value);
    if (one.format === 'LV') out.u8(bytes.length);
    else if (one.format === 'LVE') out.u16(bytes.length);
    out.put(bytes);
  }
  if (low >= 0) out.u8(low);
  for (const name in optional) {
    const value = body[name];
    if (value === undefined) continue;
    const one = optional[name]!;
    if (one.format === 'TV1') {
      out.u8(one.iei | nibble(name, value));
      continue;
    }
    const bytes = encodeValue(name, one, value);
    out.u8(one.iei);
    if (one.format === 'TLV') out.u8(bytes.length);
    else if (one.format === 'TLVE') out.u16(bytes.length);
    out.put(bytes);
  }
}

function decodeValue(name: string, { codec, min, max }: Field<unknown>, bytes: Uint8Array): unknown {
  if (bytes.length < min || bytes.length > max) {
    throw new DecodeError(
      name,
      `${bytes.length} bytes`,
      min === max ? `${min} bytes` : `${min} to ${max} bytes`,
    );
  }
  return codec.decode(bytes, name);
}

/** Skips an element this message does not know (TS 24.301 §7.6.1, TS 24.007 §11.2.4). */
function skip(reader: Reader, iei: number): void {
  if (iei < 0x10) {
    throw new DecodeError(
      'IEI',
      `0x${iei.toString(16)}`,
      'no unknown element whose comprehension is required',
    );
  }
  if (iei >= 0x80) return;
  reader.take(iei >> 4 === 7 ? reader.u16('length') : reader.u8('length'), 'unknown element');
}

/**
 * Reads the fields of a message into `body`. Elements may come in any order; of a repeated one the first
 * counts (TS 24.301 §7.6.3), unknown ones are passed over. Spare halves are ignored.
 * @throws DecodeError naming the field
 */
export function decodeBody(reader: Reader, { mandatory, optional }: Layout, body: AnyBody): void {
  let high = -1;
  for (const name in mandatory) {
    const one = mandatory[name]!;
    if (one.format === 'half') {
      if (high < 0) {
        const octet = reader.u8(name);
        body[name] = octet & 15;
        high = octet >> 4;
      } else {
        body[name] = high;
        high = -1;
      }
      continue;
    }
    high = -1;
    const length = one.format === 'LV' ? reader.u8(name) : one.format === 'LVE' ? reader.u16(name) : one.max;
    body[name] = decodeValue(name, one, reader.take(length, name));
  }
  while (reader.remaining > 0) {
    const iei = reader.u8('IEI');
    let known = false;
    for (const name in optional) {
      const one = optional[name]!;
      let value: unknown;
      if (one.format === 'TV1') {
        if ((iei & 0xf0) !== one.iei) continue;
        value = iei & 15;
      } else if (iei !== one.iei) {
        continue;
      } else {
        const length =
          one.format === 'TV' ? one.max : one.format === 'TLV' ? reader.u8(name) : reader.u16(name);
        value = decodeValue(name, one, reader.take(length, name));
      }
      body[name] ??= value;
      known = true;
      break;
    }
    if (!known) skip(reader, iei);
  }
}
