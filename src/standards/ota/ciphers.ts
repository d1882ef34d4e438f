/** Ciphers and checks of secured packets (TS 102 225 §5.1.2, §5.1.3, annex B). */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { FieldError } from '../bytes/index.ts';
import { keyLengths, type OtaAlgorithm, type OtaRedundancy } from './security.ts';

const ZERO = new Uint8Array(16);

/** Block length in bytes. */
export const blockLength = (algorithm: OtaAlgorithm): number => (algorithm === 'aes' ? 16 : 8);

function nameOf(algorithm: OtaAlgorithm, key: Uint8Array): string {
  switch (algorithm) {
    case 'des':
    case 'des3-2':
      return 'des-ede-cbc';
    case 'des3-3':
      return 'des-ede3-cbc';
    case 'aes':
      return `aes-${key.length * 8}-cbc`;
  }
}

/** @throws FieldError with the key's length, never its content */
export function expectKey(field: string, algorithm: OtaAlgorithm, key: Uint8Array | undefined): Uint8Array {
  const lengths = keyLengths(algorithm);
  if (!key) throw new FieldError(field, 'absent', `a key of ${lengths.join(' or ')} bytes`);
  if (!lengths.includes(key.length)) {
    throw new FieldError(field, `${key.length} bytes`, `${lengths.join(' or ')} bytes for ${algorithm}`);
  }
  return key;
}

/** Single DES is 3DES with the same key twice. */
function cipherKey(algorithm: OtaAlgorithm, key: Uint8Array): Uint8Array {
  if (algorithm !== 'des') return key;
  const twice = new Uint8Array(16);
  twice.set(key);
  twice.set(key, 8);
  return twice;
}

const ivOf = (algorithm: OtaAlgorithm): Uint8Array => (algorithm === 'aes' ? ZERO : ZERO.subarray(0, 8));

/** A Buffer as the Uint8Array it is, so that nobody meets Buffer's other meaning of slice. */
const plain = (buffer: Buffer): Uint8Array =>
  new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);

/** CBC with a zero initial value; `data` is whole blocks. */
export function encrypt(algorithm: OtaAlgorithm, key: Uint8Array, data: Uint8Array): Uint8Array {
  const cipher = createCipheriv(nameOf(algorithm, key), cipherKey(algorithm, key), ivOf(algorithm));
  cipher.setAutoPadding(false);
  return plain(cipher.update(data));
}

export function decrypt(algorithm: OtaAlgorithm, key: Uint8Array, data: Uint8Array): Uint8Array {
  const decipher = createDecipheriv(nameOf(algorithm, key), cipherKey(algorithm, key), ivOf(algorithm));
  decipher.setAutoPadding(false);
  return plain(decipher.update(data));
}

/** x·block in GF(2^128) (NIST SP 800-38B §6.1). */
function double(block: Uint8Array): Uint8Array {
  const out = new Uint8Array(16);
  let carry = 0;
  for (let i = 15; i >= 0; i--) {
    const byte = block[i]!;
    out[i] = (byte << 1) | carry;
    carry = byte >> 7;
  }
  out[15] = out[15]! ^ (carry * 0x87);
  return out;
}

/** AES-CMAC (NIST SP 800-38B), all 16 bytes. */
export function aesCmac(key: Uint8Array, data: Uint8Array): Uint8Array {
  const cipher = createCipheriv(nameOf('aes', key), key, ZERO);
  cipher.setAutoPadding(false);
  // CBC of a zero block is E(0), from which the subkeys come; what it leaves in the chain is taken out of the
  // first block, so that one cipher does for both.
  const l = plain(cipher.update(ZERO));
  const k1 = double(l);
  const whole = data.length > 0 && data.length % 16 === 0;
  const blocks = new Uint8Array(Math.max(16, Math.ceil(data.length / 16) * 16));
  blocks.set(data);
  if (!whole) blocks[data.length] = 0x80;
  const subkey = whole ? k1 : double(k1);
  const last = blocks.length - 16;
  for (let i = 0; i < 16; i++) blocks[last + i] = blocks[last + i]! ^ subkey[i]!;
  for (let i = 0; i < 16; i++) blocks[i] = blocks[i]! ^ l[i]!;
  return plain(cipher.update(blocks)).subarray(last);
}

/** Cryptographic checksum: last block of 3DES CBC over zero padded data (8 bytes), or AES-CMAC cut to `length`. */
export function checksum(
  algorithm: OtaAlgorithm,
  key: Uint8Array,
  data: Uint8Array,
  length: number,
): Uint8Array {
  if (algorithm === 'aes') return aesCmac(key, data).subarray(0, length);
  let blocks = data;
  if (data.length % 8 !== 0) {
    blocks = new Uint8Array(Math.ceil(data.length / 8) * 8);
    blocks.set(data);
  }
  const out = encrypt(algorithm, key, blocks);
  return out.subarray(out.length - 8);
}

function reflectedTable(polynomial: number): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = (value & 1) !== 0 ? (value >>> 1) ^ polynomial : value >>> 1;
    return value;
  });
}

const TABLE16 = reflectedTable(0x8408);
const TABLE32 = reflectedTable(0xedb88320);

/** CRC-16 (2 bytes) or CRC-32 (4 bytes) as ISO/IEC 13239 has them, most significant byte first. */
export function redundancy(kind: OtaRedundancy, data: Uint8Array): Uint8Array {
  const table = kind === 'crc16' ? TABLE16 : TABLE32;
  let crc = kind === 'crc16' ? 0xffff : 0xffffffff;
  for (const byte of data) crc = table[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  crc = ~crc >>> 0;
  return kind === 'crc16'
    ? Uint8Array.of(crc >> 8, crc)
    : Uint8Array.of(crc >>> 24, crc >>> 16, crc >>> 8, crc);
}
