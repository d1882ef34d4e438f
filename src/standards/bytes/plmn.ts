import { DecodeError, FieldError } from './error.ts';

/**
 * A network as 3 bytes: MCC digit 2 and 1, MNC digit 3 (0xF if it has two) and MCC digit 3, MNC digit 2 and 1
 * (TS 24.301 §9.9.3.32).
 * @param plmn MCC and MNC, 5 or 6 digits
 */
export function encodePlmn(plmn: string, field = 'plmn'): Uint8Array {
  if (!/^[0-9]{5,6}$/.test(plmn)) throw new FieldError(field, JSON.stringify(plmn), '5 or 6 decimal digits');
  const d = (i: number): number => (i < plmn.length ? plmn.charCodeAt(i) - 0x30 : 0xf);
  return Uint8Array.of((d(1) << 4) | d(0), (d(5) << 4) | d(2), (d(4) << 4) | d(3));
}

/** MCC and MNC, 5 or 6 digits, of 3 bytes. @throws DecodeError */
export function decodePlmn(bytes: Uint8Array, field = 'plmn'): string {
  if (bytes.length !== 3) throw new DecodeError(field, `${bytes.length} bytes`, '3 bytes');
  const [a, b, c] = [bytes[0]!, bytes[1]!, bytes[2]!];
  const digits = [a & 15, a >> 4, b & 15, c & 15, c >> 4];
  if (b >> 4 !== 15) digits.push(b >> 4);
  if (digits.some((digit) => digit > 9)) {
    throw new DecodeError(field, `${bytes.length} bytes with a nibble above 9`, 'decimal digits');
  }
  return digits.join('');
}
