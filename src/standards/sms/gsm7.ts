/** The GSM 7 bit default alphabet and its packing (TS 23.038 §6.1.2.1, §6.2.1). */
import { DecodeError, FieldError } from '../bytes/index.ts';

const BASIC =
  '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\u001bÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿' +
  'abcdefghijklmnopqrstuvwxyzäöñüà';
const ESCAPE = 0x1b;
const EXTENSION: readonly [septet: number, character: string][] = [
  [0x0a, '\f'],
  [0x14, '^'],
  [0x28, '{'],
  [0x29, '}'],
  [0x2f, '\\'],
  [0x3c, '['],
  [0x3d, '~'],
  [0x3e, ']'],
  [0x40, '|'],
  [0x65, '€'],
];
const extended = new Map(EXTENSION);
const septetsOf = new Map<string, readonly number[]>([
  ...[...BASIC]
    .map((character, septet): [string, number[]] => [character, [septet]])
    .filter(([, [septet]]) => septet !== ESCAPE),
  ...EXTENSION.map(([septet, character]): [string, number[]] => [character, [ESCAPE, septet]]),
]);

/**
 * Text as septets, one a byte; characters of the extension table take two.
 * @throws FieldError on a character the alphabet lacks
 */
export function encodeGsm7(text: string, field = 'text'): Uint8Array {
  const septets: number[] = [];
  for (const character of text) {
    const found = septetsOf.get(character);
    if (!found) {
      throw new FieldError(field, JSON.stringify(character), 'characters of the GSM 7 bit default alphabet');
    }
    septets.push(...found);
  }
  return Uint8Array.from(septets);
}

/**
 * Septets, one a byte, as text. An escape before an unknown code shows as a space and then the basic character,
 * as TS 23.038 §6.2.1.1 asks.
 * @throws DecodeError on a byte over 0x7F
 */
export function decodeGsm7(septets: Uint8Array, field = 'text'): string {
  let text = '';
  for (let i = 0; i < septets.length; i++) {
    const septet = septets[i]!;
    if (septet > 0x7f) throw new DecodeError(field, `0x${septet.toString(16)}`, 'septets, at most 0x7f');
    if (septet !== ESCAPE) {
      text += BASIC[septet]!;
      continue;
    }
    const next = septets[i + 1];
    const character = next === undefined ? undefined : extended.get(next);
    if (character === undefined) {
      text += ' ';
    } else {
      text += character;
      i++;
    }
  }
  return text;
}

/**
 * Packs septets, least significant bit first.
 * @param fill bits (0–6) of zeros in front, to start on a septet boundary after a user data header
 * @returns ceil((fill + 7·n) / 8) bytes, unused bits zero
 */
export function packSeptets(septets: Uint8Array, fill = 0): Uint8Array {
  const out = new Uint8Array(Math.ceil((fill + 7 * septets.length) / 8));
  let bit = fill;
  for (const septet of septets) {
    const at = bit >> 3;
    const shift = bit & 7;
    const value = (septet & 0x7f) << shift;
    out[at] = out[at]! | value;
    if (shift > 1) out[at + 1] = value >> 8;
    bit += 7;
  }
  return out;
}

/**
 * The `count` septets packed in `bytes`, after `fill` bits.
 * @throws DecodeError if there are fewer bytes than that takes
 */
export function unpackSeptets(bytes: Uint8Array, count: number, fill = 0, field = 'septets'): Uint8Array {
  if (bytes.length * 8 < fill + 7 * count) {
    throw new DecodeError(field, `${bytes.length} bytes`, `${Math.ceil((fill + 7 * count) / 8)} bytes`);
  }
  const out = new Uint8Array(count);
  let bit = fill;
  for (let i = 0; i < count; i++) {
    const at = bit >> 3;
    out[i] = ((bytes[at]! | ((bytes[at + 1] ?? 0) << 8)) >> (bit & 7)) & 0x7f;
    bit += 7;
  }
  return out;
}
