/**
 * Transport keys: under which a card vendor enciphers the secret columns of what it delivers. Neither ECB nor
 * CBC says whether a key was the right one, so each key gathers evidence, and says when there is none.
 */
import { createCipheriv, createDecipheriv, type Decipheriv } from 'node:crypto';
import { z } from 'zod';
import { FieldError, fromHex, toHex } from '../../../standards/bytes/index.ts';

export type TransportCipher = 'aes' | '3des';

/** How a column is enciphered. */
export interface Encryption {
  cipher: TransportCipher;
  mode: 'ecb' | 'cbc';
  /** of CBC: 16 bytes for AES, 8 for 3DES; zeros if not given. The same for every cell. */
  iv?: Uint8Array;
  /** name of the transport key; if not given, the number that the file's header says */
  key?: string;
}

const hex = z.string().regex(/^(?:[0-9a-fA-F]{2})+$/, 'hexadecimal digits, two a byte');
const keySchema = z.union([hex, z.strictObject({ key: hex, kcv: hex.optional() })]);
const fileSchema = z.strictObject({
  keys: z.record(z.string().min(1), keySchema),
  op: hex.length(32, '32 hexadecimal digits').optional(),
  top: hex.length(64, '64 hexadecimal digits').optional(),
});

export interface TransportKeys {
  /** by name, in upper case: a number, a column or a group of columns */
  keys: ReadonlyMap<string, { name: string; key: Uint8Array; kcv?: string }>;
  /** operator variant algorithm configuration field (TS 35.206), 16 bytes */
  op?: Uint8Array;
  /** the same of TUAK (TS 35.231), 32 bytes */
  top?: Uint8Array;
}

/**
 * Reads `{"keys": {name: hex | {"key": hex, "kcv": hex}}, "op"?: hex, "top"?: hex}`.
 * @throws FieldError naming the place; what stands there is never shown
 */
export function parseTransportKeys(document: unknown): TransportKeys {
  const checked = fileSchema.safeParse(document);
  if (!checked.success) {
    const issue = checked.error.issues[0]!;
    const place = ['transport keys', ...issue.path.map(String)].join(', ');
    throw new FieldError(
      place,
      'not as specified',
      'an object {"keys": {name: hex or {"key": hex, "kcv": hex}}, "op": hex, "top": hex}',
    );
  }
  const { keys, op, top } = checked.data;
  const byName = new Map<string, { name: string; key: Uint8Array; kcv?: string }>();
  for (const [name, value] of Object.entries(keys)) {
    const { key, kcv } = typeof value === 'string' ? { key: value, kcv: undefined } : value;
    const field = `transport key ${name}`;
    const bytes = fromHex(key, field);
    if (![16, 24, 32].includes(bytes.length)) {
      throw new FieldError(field, `${bytes.length} bytes`, '16, 24 or 32 bytes');
    }
    const upper = name.toUpperCase();
    if (byName.has(upper)) throw new FieldError(field, 'there twice', 'names that differ beyond their case');
    byName.set(upper, {
      name,
      key: bytes,
      ...(kcv === undefined ? {} : { kcv: checkKcv(`${field}, kcv`, kcv) }),
    });
  }
  return {
    keys: byName,
    ...(op === undefined ? {} : { op: fromHex(op, 'op') }),
    ...(top === undefined ? {} : { top: fromHex(top, 'top') }),
  };
}

/** A key check value as text. @throws FieldError unless 2 to 8 bytes in hexadecimal */
export function checkKcv(field: string, text: string): string {
  if (!/^(?:[0-9a-f]{2}){2,8}$/i.test(text)) {
    throw new FieldError(
      field,
      `${text.length} characters`,
      'a key check value of 2 to 8 bytes in hexadecimal',
    );
  }
  return text.toLowerCase();
}

export const blockLength = (cipher: TransportCipher): number => (cipher === 'aes' ? 16 : 8);

/** 3DES with two keys is three of them, the first again at the end. */
const expanded = (cipher: TransportCipher, key: Uint8Array): Uint8Array =>
  cipher === '3des' && key.length === 16 ? Buffer.concat([key, key.subarray(0, 8)]) : key;

const nameOf = (cipher: TransportCipher, key: Uint8Array): string =>
  cipher === 'aes' ? `aes-${8 * key.length}-ecb` : 'des-ede3';

/**
 * Key check values: the key's encryption of a block of zeros, and for AES also of a block of bytes 01
 * (GlobalPlatform Card Specification §B.6), 8 bytes each in hexadecimal; one shows the first 3.
 */
export function keyCheckValues(cipher: TransportCipher, key: Uint8Array): { zeros: string; ones?: string } {
  const of = (fill: number): string => {
    const whole = expanded(cipher, key);
    const encipher = createCipheriv(nameOf(cipher, whole), whole, null).setAutoPadding(false);
    return toHex(encipher.update(new Uint8Array(blockLength(cipher)).fill(fill))).slice(0, 16);
  };
  return { zeros: of(0), ...(cipher === 'aes' ? { ones: of(1) } : {}) };
}

/** What can speak for a transport key. */
export type Evidence = 'kcv' | 'codes' | 'opc' | 'parity';

/** What is told of a key; nothing of it is secret. */
export interface KeyReport {
  name: string;
  cipher: TransportCipher;
  /** first 3 bytes of its check value, over zeros, in hexadecimal; absent when the key is not there */
  kcv?: string;
  /** it was there, and cells were deciphered with it */
  opened: boolean;
  /** what shows that it is the right one; empty: nothing does */
  verifiedBy: Evidence[];
}

/** A transport key at work on one file. */
export class OpenKey {
  readonly name: string;
  readonly cipher: TransportCipher;
  readonly #key: Uint8Array;
  readonly #decipher: Decipheriv;
  #kcv = false;
  #codes = 0;
  #operatorKeys = 0;
  #parity = { keys: 0, odd: 0 };
  cells = 0;

  /** @throws FieldError on a key that this cipher cannot have, or another key check value than was given */
  constructor(
    name: string,
    cipher: TransportCipher,
    key: Uint8Array,
    kcvs: Record<string, string | undefined>,
  ) {
    const field = `transport key ${name}`;
    if (cipher === '3des' && key.length === 32) {
      throw new FieldError(field, '32 bytes', '16 or 24 bytes for 3DES');
    }
    this.name = name;
    this.cipher = cipher;
    this.#key = key;
    const own = Object.values(keyCheckValues(cipher, key));
    for (const [where, kcv] of Object.entries(kcvs)) {
      if (kcv === undefined) continue;
      if (!own.some((value) => value.startsWith(kcv))) {
        throw new FieldError(
          field,
          `a key whose check value is ${own.map((value) => value.slice(0, kcv.length)).join(' or ')}`,
          `the key with check value ${kcv} (${where})`,
        );
      }
      this.#kcv = true;
    }
    const whole = expanded(cipher, key);
    this.#decipher = createDecipheriv(nameOf(cipher, whole), whole, null).setAutoPadding(false);
  }

  /** @param data whole blocks */
  open(data: Uint8Array, mode: 'ecb' | 'cbc', iv: Uint8Array | undefined): Uint8Array {
    this.cells++;
    const plain = this.#decipher.update(data);
    if (mode === 'ecb') return plain;
    const block = blockLength(this.cipher);
    for (let i = 0; i < plain.length; i++) plain[i]! ^= i < block ? (iv?.[i] ?? 0) : data[i - block]!;
    return plain;
  }

  /** A code came out as digits, or did not. @throws FieldError on the first one that did not */
  code(at: string, digits: boolean): void {
    if (digits) this.#codes++;
    else if (this.#codes === 0) throw this.#wrong(`${at} is not made of digits`);
  }

  /** OPc or TOPc was, or was not, that of OP or TOP and this Ki. */
  operatorKey(at: string, same: boolean): void {
    if (same) this.#operatorKeys++;
    else if (this.#operatorKeys === 0) throw this.#wrong(`${at} is not that of OP and this Ki`);
  }

  /** Of a DES key: vendors set the parity of each byte to odd, or none at all. */
  parity(desKey: Uint8Array): void {
    this.#parity.keys++;
    let odd = true;
    for (let byte of desKey) {
      byte ^= byte >> 4;
      byte ^= byte >> 2;
      odd &&= ((byte ^ (byte >> 1)) & 1) === 1;
    }
    if (odd) this.#parity.odd++;
  }

  #wrong(why: string): FieldError {
    return new FieldError(
      `transport key ${this.name}`,
      `deciphered with it, ${why}`,
      'the key that this file was made with (or another cipher, mode or IV in the mapping)',
    );
  }

  report(): KeyReport {
    const { keys, odd } = this.#parity;
    return {
      name: this.name,
      cipher: this.cipher,
      kcv: keyCheckValues(this.cipher, this.#key).zeros.slice(0, 6),
      opened: this.cells > 0,
      verifiedBy: [
        ...(this.#kcv ? (['kcv'] as const) : []),
        ...(this.#codes > 0 ? (['codes'] as const) : []),
        ...(this.#operatorKeys > 0 ? (['opc'] as const) : []),
        ...(keys > 0 && odd === keys ? (['parity'] as const) : []),
      ],
    };
  }
}
