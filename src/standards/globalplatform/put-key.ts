/**
 * PUT KEY for OTA key sets (TS 102 226 §8.2.1.5; GlobalPlatform Card Specification §11.8, Amendment D §7.2),
 * sent to the issuer security domain in a secured packet.
 */
import { createCipheriv } from 'node:crypto';
import { FieldError, Writer, concat, expectLength } from '../bytes/index.ts';
import { keyLengths } from '../ota/index.ts';

/** INS of PUT KEY. */
export const PUT_KEY = 0xd8;

/** Key types of GlobalPlatform table 11-16. */
export const KEY_TYPE = { des: 0x80, aes: 0x88 } as const;

/** What a key set is of; single DES is not made any more. */
export type KeySetAlgorithm = 'aes' | 'des3-2' | 'des3-3';

export interface PutKey {
  /** number of the set that is replaced; 0: a new one */
  replaces: number;
  /** number of the set, 1–15 */
  keySet: number;
  algorithm: KeySetAlgorithm;
  /** KIc, KID, KIK, in this order: keys 1 to 3 */
  keys: readonly [kic: Uint8Array, kid: Uint8Array, kik: Uint8Array];
  /** KIK of the set that secures the packet, of the same algorithm */
  under: Uint8Array;
}

/** A key as a block cipher for a few blocks; two-key 3DES as K1 K2 K1. */
export function keyCipher(
  algorithm: KeySetAlgorithm,
  key: Uint8Array,
): { name: string; key: Uint8Array; iv: Uint8Array | null; block: number } {
  if (algorithm === 'aes') {
    return { name: `aes-${8 * key.length}-cbc`, key, iv: new Uint8Array(16), block: 16 };
  }
  const whole = key.length === 16 ? concat(key, key.subarray(0, 8)) : key;
  return { name: 'des-ede3-ecb', key: whole, iv: null, block: 8 };
}

/** Key check value: 3 bytes of a block of 01 (AES) or 00 (DES) under the key. */
export function keyCheckValue(algorithm: KeySetAlgorithm, key: Uint8Array): Uint8Array {
  const { name, key: whole, iv, block } = keyCipher(algorithm, key);
  const input = new Uint8Array(block).fill(algorithm === 'aes' ? 1 : 0);
  return new Uint8Array(createCipheriv(name, whole, iv).setAutoPadding(false).update(input).subarray(0, 3));
}

/** The APDU `80 D8 P1 81 Lc data`. @throws FieldError on a number or a length that cannot be */
export function encodePutKey({ replaces, keySet, algorithm, keys, under }: PutKey): Uint8Array {
  const whole = (field: string, value: number, least: number): void => {
    if (!Number.isInteger(value) || value < least || value > 15) {
      throw new FieldError(field, String(value), `a whole number from ${least} to 15`);
    }
  };
  whole('keySet', keySet, 1);
  whole('replaces', replaces, 0);
  expectLength('under', under, ...keyLengths(algorithm));
  const { name, key: kik, iv, block } = keyCipher(algorithm, under);
  const data = new Writer(96).u8(keySet);
  for (const key of keys) {
    expectLength('key', key, ...keyLengths(algorithm));
    const padded = new Uint8Array(Math.ceil(key.length / block) * block);
    padded.set(key);
    const ciphered = createCipheriv(name, kik, iv).setAutoPadding(false).update(padded);
    data.u8(algorithm === 'aes' ? KEY_TYPE.aes : KEY_TYPE.des);
    // Of AES the clear length goes before, since what is ciphered is whole blocks.
    data.lv(algorithm === 'aes' ? concat(Uint8Array.of(key.length), ciphered) : ciphered, 'key');
    data.lv(keyCheckValue(algorithm, key), 'key check value');
  }
  const body = data.done();
  return new Writer(5 + body.length)
    .u8(0x80)
    .u8(PUT_KEY)
    .u8(replaces)
    .u8(0x81)
    .u8(body.length)
    .put(body)
    .done();
}
