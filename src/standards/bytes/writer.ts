import { FieldError } from './error.ts';

/** Writes a byte string from front to back, growing as needed. Big-endian. */
export class Writer {
  #bytes: Uint8Array;
  #length = 0;

  constructor(expected = 64) {
    this.#bytes = new Uint8Array(expected);
  }

  get length(): number {
    return this.#length;
  }

  #room(length: number): number {
    const at = this.#length;
    this.#length += length;
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    return at;
  }

  u8(value: number): this {
    // Room first: it may put another array in place.
    const at = this.#room(1);
    this.#bytes[at] = value;
    return this;
  }

  u16(value: number): this {
    const at = this.#room(2);
    this.#bytes[at] = value >> 8;
    this.#bytes[at + 1] = value;
    return this;
  }

  u24(value: number): this {
    const at = this.#room(3);
    this.#bytes[at] = value >> 16;
    this.#bytes[at + 1] = value >> 8;
    this.#bytes[at + 2] = value;
    return this;
  }

  u32(value: number): this {
    const at = this.#room(4);
    this.#bytes[at] = value >>> 24;
    this.#bytes[at + 1] = value >>> 16;
    this.#bytes[at + 2] = value >>> 8;
    this.#bytes[at + 3] = value;
    return this;
  }

  put(bytes: Uint8Array): this {
    const at = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  /** A length byte, then the bytes. */
  lv(bytes: Uint8Array, field: string): this {
    if (bytes.length > 255) throw new FieldError(field, `${bytes.length} bytes`, 'at most 255 bytes');
    return this.u8(bytes.length).put(bytes);
  }

  /** What was written; the writer is done with. */
  done(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
}
