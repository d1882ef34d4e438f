/** Addresses as TS 23.040 §9.1.2.5 (in TPDUs) and TS 24.011 §8.2.5 (in RP messages) code them. */
import { DecodeError, FieldError, type Reader, type Writer } from '../bytes/index.ts';
import { decodeGsm7, encodeGsm7, packSeptets, unpackSeptets } from './gsm7.ts';

/** Type of number, by its code 0–7. */
export const TYPES_OF_NUMBER = [
  'unknown',
  'international',
  'national',
  'networkSpecific',
  'subscriber',
  'alphanumeric',
  'abbreviated',
  'reserved',
] as const;
export type TypeOfNumber = (typeof TYPES_OF_NUMBER)[number];

/** Numbering plan of ISDN and telephone numbers (E.164). */
export const PLAN_E164 = 1;

export interface Address {
  type: TypeOfNumber;
  /** numbering plan identification 0–15; 1 is E.164 */
  plan: number;
  /** digits 0–9 * # a b c; for `alphanumeric` text of the GSM 7 bit default alphabet, at most 11 septets */
  value: string;
}

const DIGITS = '0123456789*#abc';

/** An international E.164 number. */
export const international = (digits: string): Address => ({
  type: 'international',
  plan: PLAN_E164,
  value: digits,
});

function typeByte(address: Address, field: string): number {
  const type = TYPES_OF_NUMBER.indexOf(address.type);
  if (type < 0) throw new FieldError(`${field}.type`, JSON.stringify(address.type), 'a type of number');
  if (!Number.isInteger(address.plan) || address.plan < 0 || address.plan > 15) {
    throw new FieldError(`${field}.plan`, String(address.plan), 'a numbering plan from 0 to 15');
  }
  return 0x80 | (type << 4) | address.plan;
}

function semiOctets(digits: string, most: number, field: string): Uint8Array {
  if (digits.length > most) {
    throw new FieldError(field, `${digits.length} digits`, `at most ${most} digits`);
  }
  const out = new Uint8Array((digits.length + 1) >> 1);
  for (let i = 0; i < digits.length; i++) {
    const nibble = DIGITS.indexOf(digits[i]!);
    if (nibble < 0) throw new FieldError(field, JSON.stringify(digits), 'digits 0–9 * # a b c');
    out[i >> 1] = out[i >> 1]! | (nibble << (4 * (i & 1)));
  }
  if (digits.length % 2 === 1) out[out.length - 1] = out[out.length - 1]! | 0xf0;
  return out;
}

function digitsOf(bytes: Uint8Array, count: number, field: string): string {
  let digits = '';
  for (let i = 0; i < count; i++) {
    const nibble = (bytes[i >> 1]! >> (4 * (i & 1))) & 0x0f;
    if (nibble === 0x0f) throw new DecodeError(field, `a filler as digit ${i + 1}`, `${count} digits`);
    digits += DIGITS[nibble]!;
  }
  return digits;
}

function typeOf(byte: number, field: string): { type: TypeOfNumber; plan: number } {
  if ((byte & 0x80) === 0) {
    throw new DecodeError(field, `type of address 0x${byte.toString(16)}`, 'bit 8 set');
  }
  return { type: TYPES_OF_NUMBER[(byte >> 4) & 7]!, plan: byte & 0x0f };
}

/** TP address: number of semi-octets, type, at most 10 bytes of value. */
export function writeTpAddress(out: Writer, address: Address, field: string): void {
  const type = typeByte(address, field);
  if (address.type === 'alphanumeric') {
    const septets = encodeGsm7(address.value, field);
    if (septets.length > 11) {
      throw new FieldError(field, `${septets.length} septets`, 'at most 11 septets');
    }
    out.u8(Math.ceil((septets.length * 7) / 4)).u8(type);
    out.put(packSeptets(septets));
    return;
  }
  const value = semiOctets(address.value, 20, field);
  out.u8(address.value.length).u8(type).put(value);
}

export function readTpAddress(reader: Reader, field: string): Address {
  const length = reader.u8(field);
  if (length > 20) throw new DecodeError(field, `${length} semi-octets`, 'at most 20');
  const { type, plan } = typeOf(reader.u8(field), field);
  const bytes = reader.take((length + 1) >> 1, field);
  if (type === 'alphanumeric') {
    const count = Math.floor((length * 4) / 7);
    return { type, plan, value: decodeGsm7(unpackSeptets(bytes, count, 0, field), field) };
  }
  const value = digitsOf(bytes, length, field);
  if (length % 2 === 1 && bytes[bytes.length - 1]! >> 4 !== 0x0f) {
    throw new DecodeError(field, 'no filler after an odd number of digits', 'a filler 0xf');
  }
  return { type, plan, value };
}

/**
 * The value of an RP address: a type byte and the digits, 1–11 bytes; nothing for undefined.
 */
export function encodeRpAddress(address: Address | undefined, field: string): Uint8Array {
  if (address === undefined) return new Uint8Array(0);
  if (address.type === 'alphanumeric') throw new FieldError(`${field}.type`, 'alphanumeric', 'a number');
  const digits = semiOctets(address.value, 20, field);
  const out = new Uint8Array(1 + digits.length);
  out[0] = typeByte(address, field);
  out.set(digits, 1);
  return out;
}

export function decodeRpAddress(bytes: Uint8Array, field: string): Address | undefined {
  if (bytes.length === 0) return undefined;
  if (bytes.length > 11) throw new DecodeError(field, `${bytes.length} bytes`, 'at most 11 bytes');
  const { type, plan } = typeOf(bytes[0]!, field);
  if (type === 'alphanumeric') throw new DecodeError(field, 'alphanumeric', 'a number');
  const digits = bytes.subarray(1);
  const odd = digits.length > 0 && digits[digits.length - 1]! >> 4 === 0x0f;
  return { type, plan, value: digitsOf(digits, digits.length * 2 - (odd ? 1 : 0), field) };
}
