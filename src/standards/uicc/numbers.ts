/** Numbers inside card data: areas (TS 24.008 §10.5.1.13) and dialling numbers (§10.5.4.7). */
import { DecodeError, FieldError, decodePlmn, encodePlmn } from '../bytes/index.ts';

/** Whether a field for a PLMN is empty: all ones. */
export const isBlank = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0xff);

const DIGITS = '0123456789*#abc';

/** A number as dialled: type of number and numbering plan, and digits (0–9 * # a b c). */
export interface DiallingNumber {
  /** 0x91 international, 0x81 unknown; both ISDN (E.164) */
  tonNpi: number;
  digits: string;
}

/** The international number of these digits. */
export const international = (digits: string): DiallingNumber => ({ tonNpi: 0x91, digits });

/** Swapped nibbles, an odd number of digits filled with 0xF. */
export function encodeDigits(digits: string, field: string, most = 20): Uint8Array {
  if (digits.length > most) throw new FieldError(field, JSON.stringify(digits), `at most ${most} digits`);
  const out = new Uint8Array((digits.length + 1) >> 1).fill(0xff);
  for (let i = 0; i < digits.length; i++) {
    const nibble = DIGITS.indexOf(digits[i]!);
    if (nibble < 0) throw new FieldError(field, JSON.stringify(digits), 'digits 0–9 * # a b c');
    out[i >> 1] = i % 2 === 0 ? 0xf0 | nibble : (nibble << 4) | (out[i >> 1]! & 0x0f);
  }
  return out;
}

/** Digits up to a filler, after which only fillers may follow. @throws DecodeError */
export function decodeDigits(bytes: Uint8Array, field: string): string {
  let digits = '';
  let ended = false;
  for (const byte of bytes) {
    for (const nibble of [byte & 0x0f, byte >> 4]) {
      if (nibble === 0x0f) ended = true;
      else if (ended) throw new DecodeError(field, 'a digit after a filler', 'fillers to the end');
      else digits += DIGITS[nibble]!;
    }
  }
  return digits;
}

/** TON/NPI and digits, as in the address of TS 102 223 §8.1. */
export function encodeAddress(number: DiallingNumber, field = 'address'): Uint8Array {
  const digits = encodeDigits(number.digits, field, 40);
  const out = new Uint8Array(1 + digits.length);
  out[0] = number.tonNpi;
  out.set(digits, 1);
  return out;
}

/** @throws DecodeError */
export function decodeAddress(bytes: Uint8Array, field = 'address'): DiallingNumber {
  if (bytes.length < 1) throw new DecodeError(field, '0 bytes', 'at least 1 byte');
  const number = { tonNpi: bytes[0]!, digits: decodeDigits(bytes.subarray(1), field) };
  if (bytes.length - 1 !== (number.digits.length + 1) >> 1 || number.digits.length > 40) {
    throw new DecodeError(field, `${bytes.length} bytes`, 'no byte of fillers');
  }
  return number;
}

/** A location or tracking area (TS 24.008 §10.5.1.3, TS 24.301 §9.9.3.32). */
export interface Area {
  plmn: string;
  /** location or tracking area code, 16 bits */
  code: number;
}

export function encodeArea({ plmn, code }: Area): Uint8Array {
  if (!Number.isInteger(code) || code < 0 || code > 0xffff) {
    throw new FieldError('area code', String(code), '16 bits');
  }
  const out = new Uint8Array(5);
  out.set(encodePlmn(plmn));
  out[3] = code >> 8;
  out[4] = code;
  return out;
}

/** @throws DecodeError on other than 5 bytes or a PLMN that is none */
export function decodeArea(bytes: Uint8Array, field: string): Area {
  if (bytes.length !== 5) throw new DecodeError(field, `${bytes.length} bytes`, '5 bytes');
  return { plmn: decodePlmn(bytes.subarray(0, 3), field), code: (bytes[3]! << 8) | bytes[4]! };
}
