import { DecodeError, FieldError } from './error.ts';

/**
 * Decimal digits as swapped nibbles, the first digit in the low nibble of the first byte; an odd number is
 * filled with 0xF (TS 24.008 §10.5.4.7, TS 31.102 §4.2.2, ITU-T E.212 coding).
 */
export function encodeBcd(digits: string, field = 'digits'): Uint8Array {
  if (!/^[0-9]*$/.test(digits)) throw new FieldError(field, JSON.stringify(digits), 'decimal digits');
  const out = new Uint8Array((digits.length + 1) >> 1);
  for (let i = 0; i < digits.length; i += 2) {
    const low = digits.charCodeAt(i) - 0x30;
    const high = i + 1 < digits.length ? digits.charCodeAt(i + 1) - 0x30 : 0xf;
    out[i >> 1] = (high << 4) | low;
  }
  return out;
}

/**
 * The digits of swapped nibbles; stops at a filler 0xF, after which only fillers may follow.
 * @throws DecodeError on a nibble 0xA–0xE, or a digit after a filler
 */
export function decodeBcd(bytes: Uint8Array, field = 'digits'): string {
  let digits = '';
  let ended = false;
  for (const byte of bytes) {
    for (const nibble of [byte & 0x0f, byte >> 4]) {
      if (nibble === 0x0f) {
        ended = true;
      } else if (nibble > 9 || ended) {
        throw new DecodeError(field, `nibble 0x${nibble.toString(16)}`, 'decimal digits, then fillers 0xF');
      } else {
        digits += nibble;
      }
    }
  }
  return digits;
}
