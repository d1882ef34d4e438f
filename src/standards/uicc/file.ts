/** What every elementary file has: where it is, how it is built, and its content both ways. */
import { DecodeError, FieldError } from '../bytes/index.ts';

export interface ElementaryFile<T> {
  /** as its specification names it */
  name: string;
  parent: 'mf' | 'usim' | 'isim' | 'telecom';
  fid: number;
  /** short file identifier, 0 for none */
  sfi: number;
  structure: 'transparent' | 'linearFixed' | 'cyclic';
  /** bytes of the file, or of a record, where nothing else is asked for */
  length: number;
  /** The content in `length` bytes, filled as the specification says. @throws FieldError */
  encode(value: T, length?: number): Uint8Array;
  /** The content of a whole file or record. @throws DecodeError */
  decode(bytes: Uint8Array): T;
}

/** A file whose codec never needs another length than its own. */
export function file<T>(
  name: string,
  parent: ElementaryFile<T>['parent'],
  fid: number,
  sfi: number,
  structure: ElementaryFile<T>['structure'],
  length: number,
  encode: (value: T, length: number) => Uint8Array,
  decode: (bytes: Uint8Array) => T,
): ElementaryFile<T> {
  return {
    name,
    parent,
    fid,
    sfi,
    structure,
    length,
    encode: (value, asked) => {
      const bytes = encode(value, asked ?? length);
      if (bytes.length !== (asked ?? length)) {
        throw new FieldError(name, `${bytes.length} bytes`, `${asked ?? length} bytes`);
      }
      return bytes;
    },
    decode,
  };
}

/** `bytes`, and FF up to `length`. @throws FieldError if it does not fit */
export function padded(bytes: Uint8Array, length: number, field: string): Uint8Array {
  if (bytes.length > length) throw new FieldError(field, `${bytes.length} bytes`, `at most ${length} bytes`);
  const out = new Uint8Array(length).fill(0xff);
  out.set(bytes);
  return out;
}

/** @throws DecodeError unless there are exactly so many bytes */
export function exact(bytes: Uint8Array, length: number, field: string): Uint8Array {
  if (bytes.length !== length) throw new DecodeError(field, `${bytes.length} bytes`, `${length} bytes`);
  return bytes;
}

/** @throws DecodeError if anything but FF is left */
export function onlyFilling(bytes: Uint8Array, field: string): void {
  if (!bytes.every((byte) => byte === 0xff))
    throw new DecodeError(field, 'bytes after its end', 'filling FF');
}

/** A number in so many bytes. @throws FieldError */
export function unsigned(value: number, length: number, field: string): Uint8Array {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * length)) {
    throw new FieldError(field, String(value), `${8 * length} bits`);
  }
  const out = new Uint8Array(length);
  for (let i = length - 1, rest = value; i >= 0; i--, rest = Math.floor(rest / 256)) out[i] = rest % 256;
  return out;
}

export function numberOf(bytes: Uint8Array): number {
  let number = 0;
  for (const byte of bytes) number = number * 256 + byte;
  return number;
}
