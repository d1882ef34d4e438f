import { FieldError } from './error.ts';

/** Lower-case hexadecimal digits, two a byte. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/**
 * Bytes of hexadecimal digits, either case.
 * @param field names the value in the error; the value itself is not shown, it may be a key
 * @throws FieldError on an odd number of digits or a digit that is none
 */
export function fromHex(text: string, field = 'hex'): Uint8Array {
  if (text.length % 2 !== 0) {
    throw new FieldError(field, `${text.length} hexadecimal digits`, 'an even number of hexadecimal digits');
  }
  if (!/^[0-9a-fA-F]*$/.test(text)) {
    throw new FieldError(field, 'a character that is not hexadecimal', 'hexadecimal digits only');
  }
  return new Uint8Array(Buffer.from(text, 'hex'));
}

/** All parts, one after the other, in a new array. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** Whether two byte strings are the same; not for secrets (use node:crypto's timingSafeEqual). */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
