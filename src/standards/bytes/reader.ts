import { DecodeError } from './error.ts';

/**
 * Reads a byte string from front to back, never past its end: each read of what is not there throws a
 * DecodeError that names the field. Big-endian. Slices are views, not copies.
 */
export class Reader {
  readonly bytes: Uint8Array;
  offset = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get remaining(): number {
    return this.bytes.length - this.offset;
  }

  #take(length: number, field: string): number {
    if (length < 0 || length > this.remaining) {
      throw new DecodeError(field, `${this.remaining} bytes left`, `${length} bytes`);
    }
    const at = this.offset;
    this.offset += length;
    return at;
  }

  u8(field: string): number {
    return this.bytes[this.#take(1, field)]!;
  }

  u16(field: string): number {
    const at = this.#take(2, field);
    return (this.bytes[at]! << 8) | this.bytes[at + 1]!;
  }

  u24(field: string): number {
    const at = this.#take(3, field);
    return (this.bytes[at]! << 16) | (this.bytes[at + 1]! << 8) | this.bytes[at + 2]!;
  }

  u32(field: string): number {
    const at = this.#take(4, field);
    const b = this.bytes;
    return ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!) >>> 0;
  }

  /** The next byte, left where it is; undefined at the end. */
  peek(): number | undefined {
    return this.bytes[this.offset];
  }

  take(length: number, field: string): Uint8Array {
    const at = this.#take(length, field);
    return this.bytes.subarray(at, at + length);
  }

  rest(): Uint8Array {
    return this.take(this.remaining, 'rest');
  }

  /** A length byte, then that many bytes. */
  lv(field: string): Uint8Array {
    return this.take(this.u8(field), field);
  }

  /** @throws DecodeError if anything is left */
  end(what: string): void {
    if (this.remaining !== 0) {
      throw new DecodeError(what, `${this.remaining} bytes too many`, 'the end');
    }
  }
}
