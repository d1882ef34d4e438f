import { createHmac } from 'node:crypto';
import { FieldError, Writer, concat, expectLength } from '../bytes/index.ts';

/**
 * The key derivation function of 3GPP (TS 33.220 annex B): HMAC-SHA-256 of FC, then each parameter and its
 * 2-byte length.
 * @param fc 1 byte
 * @returns 32 bytes
 */
export function kdf(key: Uint8Array, fc: number, ...parameters: readonly Uint8Array[]): Uint8Array {
  const s = new Writer(64).u8(fc);
  for (const parameter of parameters) {
    if (parameter.length > 0xffff) {
      throw new FieldError('parameter', `${parameter.length} bytes`, 'at most 65535 bytes');
    }
    s.put(parameter).u16(parameter.length);
  }
  return new Uint8Array(createHmac('sha256', key).update(s.done()).digest());
}

/**
 * K_ASME (TS 33.401 §A.2).
 * @param ck 16 bytes
 * @param ik 16 bytes
 * @param snId serving network: MCC and MNC as in TS 24.301 §9.9.3.32, 3 bytes
 * @param sqnXorAk 6 bytes, the first of AUTN
 * @returns 32 bytes
 */
export function deriveKasme(
  ck: Uint8Array,
  ik: Uint8Array,
  snId: Uint8Array,
  sqnXorAk: Uint8Array,
): Uint8Array {
  expectLength('ck', ck, 16);
  expectLength('ik', ik, 16);
  expectLength('snId', snId, 3);
  expectLength('sqnXorAk', sqnXorAk, 6);
  return kdf(concat(ck, ik), 0x10, snId, sqnXorAk);
}

/** Algorithm type distinguishers (TS 33.401 table A.7-1). */
export const ALGORITHM_TYPE = { nasEnc: 1, nasInt: 2, rrcEnc: 3, rrcInt: 4, upEnc: 5, upInt: 6 } as const;

/**
 * An algorithm key (TS 33.401 §A.7): from K_ASME for NAS, from K_eNB for RRC and user plane.
 * @param parent 32 bytes
 * @param algorithm identity of the EEA or EIA, 0–15
 * @returns 16 bytes, the last of the KDF's output
 */
export function deriveAlgorithmKey(
  parent: Uint8Array,
  type: keyof typeof ALGORITHM_TYPE,
  algorithm: number,
): Uint8Array {
  expectLength(type.startsWith('nas') ? 'kAsme' : 'kEnb', parent, 32);
  if (!Number.isInteger(algorithm) || algorithm < 0 || algorithm > 15) {
    throw new FieldError('algorithm', String(algorithm), '0 to 15');
  }
  return kdf(parent, 0x15, Uint8Array.of(ALGORITHM_TYPE[type]), Uint8Array.of(algorithm)).slice(16);
}

/**
 * K_eNB (TS 33.401 §A.3).
 * @param kAsme 32 bytes
 * @param uplinkCount uplink NAS COUNT, 32 bits
 * @returns 32 bytes
 */
export function deriveKenb(kAsme: Uint8Array, uplinkCount: number): Uint8Array {
  expectLength('kAsme', kAsme, 32);
  return kdf(kAsme, 0x11, new Writer(4).u32(uplinkCount).done());
}
