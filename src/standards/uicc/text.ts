/**
 * Text on a card (TS 102 221 annex A): the GSM default alphabet (TS 23.038 §6.2.1), one character a byte, or
 * UCS2 after a first byte 80, 81 or 82. Written as GSM where that is possible, else as 80.
 */
import { DecodeError, FieldError } from '../bytes/index.ts';

// The escape to the extension table (1B) has no character of its own; U+E01B stands for it.
const GSM =
  '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\ue01bÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?' +
  '¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà';
const CODES = new Map([...GSM].map((character, code) => [character, code]));
CODES.delete('\ue01b');

/** Text in exactly `length` bytes, filled with FF. @throws FieldError if it does not fit */
export function encodeText(text: string, length: number, field: string): Uint8Array {
  const out = new Uint8Array(length).fill(0xff);
  const codes = [...text].map((character) => CODES.get(character));
  if (codes.every((code) => code !== undefined)) {
    if (codes.length > length) {
      throw new FieldError(field, `${codes.length} characters`, `at most ${length} bytes`);
    }
    out.set(codes);
    return out;
  }
  if (1 + 2 * text.length > length) {
    throw new FieldError(field, `${text.length} characters of UCS2`, `at most ${(length - 1) >> 1}`);
  }
  out[0] = 0x80;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === 0xffff) throw new FieldError(field, 'U+FFFF', 'characters');
    out[1 + 2 * i] = unit >> 8;
    out[2 + 2 * i] = unit;
  }
  return out;
}

/** Text up to the filling. @throws DecodeError on a code that is no character */
export function decodeText(bytes: Uint8Array, field: string): string {
  const first = bytes[0];
  if (first === undefined || first === 0xff) return decodeGsm(bytes, field);
  if (first === 0x80) {
    let text = '';
    for (let i = 1; i + 1 < bytes.length; i += 2) {
      const unit = (bytes[i]! << 8) | bytes[i + 1]!;
      if (unit === 0xffff) break;
      text += String.fromCharCode(unit);
    }
    return text;
  }
  if (first !== 0x81 && first !== 0x82) return decodeGsm(bytes, field);
  // Characters of one half page of 128, at a base given in one byte or two; below 80 they are GSM's.
  const start = first === 0x81 ? 3 : 4;
  const count = bytes[1] ?? 0;
  const base = first === 0x81 ? (bytes[2] ?? 0) << 7 : ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0);
  if (start + count > bytes.length) {
    throw new DecodeError(field, `${bytes.length} bytes`, `${count} characters after the base`);
  }
  let text = '';
  for (const code of bytes.subarray(start, start + count)) {
    text += code < 0x80 ? GSM[code]! : String.fromCharCode(base + (code & 0x7f));
  }
  return text;
}

function decodeGsm(bytes: Uint8Array, field: string): string {
  let text = '';
  let ended = false;
  for (const code of bytes) {
    if (code === 0xff) {
      ended = true;
    } else if (ended || code > 0x7f || code === 0x1b) {
      throw new DecodeError(field, `code ${code.toString(16)}`, 'the GSM default alphabet, then FF');
    } else {
      text += GSM[code]!;
    }
  }
  return text;
}
