/**
 * BER-TLV (ISO/IEC 8825-1; tags up to three bytes, definite lengths in the shortest form) and
 * COMPREHENSION-TLV (TS 101 220 §7.1.1), whose tag carries the comprehension-required flag.
 */
import { DecodeError, FieldError, Reader, Writer } from '../bytes/index.ts';

/** A data object. The tag is its bytes as one big-endian number: 0x62, 0x5f2d. */
export interface Tlv {
  tag: number;
  value: Uint8Array;
}

/** A comprehension-TLV data object; the tag is without the flag: 0x01–0x7e, or 15 bits. */
export interface ComprehensionTlv {
  tag: number;
  /** the receiver must understand it, else refuse the whole */
  required: boolean;
  value: Uint8Array;
}

function putLength(out: Writer, length: number): void {
  if (length < 0x80) out.u8(length);
  else if (length <= 0xff) out.u8(0x81).u8(length);
  else if (length <= 0xffff) out.u8(0x82).u16(length);
  else if (length <= 0xffffff) out.u8(0x83).u24(length);
  else throw new FieldError('length', String(length), 'at most 16777215');
}

function takeLength(reader: Reader, what: string): number {
  const first = reader.u8(`${what} length`);
  if (first < 0x80) return first;
  const length =
    first === 0x81
      ? reader.u8(`${what} length`)
      : first === 0x82
        ? reader.u16(`${what} length`)
        : first === 0x83
          ? reader.u24(`${what} length`)
          : -1;
  const least = first === 0x81 ? 0x80 : first === 0x82 ? 0x100 : 0x10000;
  if (length < least) {
    throw new DecodeError(
      `${what} length`,
      `first byte ${first.toString(16)}`,
      'a length in its shortest form',
    );
  }
  return length;
}

/** @throws FieldError if the number is not the bytes of one tag */
function putTag(out: Writer, tag: number): void {
  const bytes = tag > 0xffff ? 3 : tag > 0xff ? 2 : 1;
  const first = tag >>> (8 * (bytes - 1));
  const low = tag & 0xff;
  const middle = (tag >> 8) & 0xff;
  const good =
    tag > 0 &&
    tag <= 0xffffff &&
    (bytes === 1
      ? (first & 0x1f) !== 0x1f
      : (first & 0x1f) === 0x1f &&
        low < 0x80 &&
        (bytes === 2 ? low >= 0x1f : middle > 0x80 && (middle & 0x7f) << 7 >= 0x80));
  if (!good) throw new FieldError('tag', tag.toString(16), 'a BER tag of 1 to 3 bytes');
  if (bytes === 3) out.u8(first).u8(middle);
  else if (bytes === 2) out.u8(first);
  out.u8(low);
}

function takeTag(reader: Reader, what: string): number {
  const first = reader.u8(`${what} tag`);
  if ((first & 0x1f) !== 0x1f) {
    if (first === 0) throw new DecodeError(`${what} tag`, '00', 'a tag');
    return first;
  }
  const second = reader.u8(`${what} tag`);
  if (second < 0x80) {
    if (second < 0x1f)
      throw new DecodeError(`${what} tag`, 'a long form of a short tag', 'the shortest form');
    return (first << 8) | second;
  }
  const third = reader.u8(`${what} tag`);
  if (third >= 0x80 || second === 0x80) throw new DecodeError(`${what} tag`, 'too long', 'at most 3 bytes');
  return (first << 16) | (second << 8) | third;
}

/** Whether the value of a BER-TLV is itself data objects. */
export function isConstructed(tag: number): boolean {
  const first = tag > 0xffff ? tag >> 16 : tag > 0xff ? tag >> 8 : tag;
  return (first & 0x20) !== 0;
}

/** Appends one BER-TLV to what is being written. */
export function putBerTlv(out: Writer, tag: number, value: Uint8Array): Writer {
  putTag(out, tag);
  putLength(out, value.length);
  return out.put(value);
}

export function encodeBerTlv(tag: number, value: Uint8Array): Uint8Array {
  return putBerTlv(new Writer(value.length + 7), tag, value).done();
}

export function encodeBerTlvs(objects: readonly Tlv[]): Uint8Array {
  const out = new Writer();
  for (const object of objects) putBerTlv(out, object.tag, object.value);
  return out.done();
}

/** The next data object; its value is a view. @throws DecodeError naming `what` */
export function takeBerTlv(reader: Reader, what: string): Tlv {
  const tag = takeTag(reader, what);
  return { tag, value: reader.take(takeLength(reader, what), what) };
}

/** All data objects, one after the other, nothing between or after. @throws DecodeError */
export function decodeBerTlvs(bytes: Uint8Array, what = 'BER-TLV'): Tlv[] {
  const reader = new Reader(bytes);
  const objects: Tlv[] = [];
  while (reader.remaining > 0) objects.push(takeBerTlv(reader, what));
  return objects;
}

/** One data object of the given tag, and nothing after it: its value. @throws DecodeError */
export function decodeBerTlv(bytes: Uint8Array, tag: number, what: string): Uint8Array {
  const reader = new Reader(bytes);
  const object = takeBerTlv(reader, what);
  if (object.tag !== tag)
    throw new DecodeError(what, `tag ${object.tag.toString(16)}`, `tag ${tag.toString(16)}`);
  reader.end(what);
  return object.value;
}

/** Appends one comprehension-TLV to what is being written. */
export function putComprehensionTlv(out: Writer, tag: number, value: Uint8Array, required = true): Writer {
  if (!Number.isInteger(tag) || tag < 1 || tag > 0x7fff || (tag > 0x7e && tag < 0x100)) {
    throw new FieldError('tag', String(tag), '1 to 7e, or 15 bits above ff');
  }
  if (tag > 0xff) out.u8(0x7f).u16(tag | (required ? 0x8000 : 0));
  else out.u8(tag | (required ? 0x80 : 0));
  putLength(out, value.length);
  return out.put(value);
}

export function encodeComprehensionTlvs(objects: readonly ComprehensionTlv[]): Uint8Array {
  const out = new Writer();
  for (const { tag, value, required } of objects) putComprehensionTlv(out, tag, value, required);
  return out.done();
}

/** All data objects, one after the other, nothing between or after. @throws DecodeError */
export function decodeComprehensionTlvs(bytes: Uint8Array, what = 'COMPREHENSION-TLV'): ComprehensionTlv[] {
  const reader = new Reader(bytes);
  const objects: ComprehensionTlv[] = [];
  while (reader.remaining > 0) {
    const first = reader.u8(`${what} tag`);
    let tag = first & 0x7f;
    let required = first >= 0x80;
    if (first === 0x7f) {
      const long = reader.u16(`${what} tag`);
      tag = long & 0x7fff;
      required = long >= 0x8000;
      if (tag <= 0xff)
        throw new DecodeError(`${what} tag`, 'a long form of a short tag', 'the shortest form');
    } else if (tag === 0 || first === 0xff) {
      throw new DecodeError(`${what} tag`, first.toString(16), 'a comprehension-TLV tag');
    }
    objects.push({ tag, required, value: reader.take(takeLength(reader, what), what) });
  }
  return objects;
}
