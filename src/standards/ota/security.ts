/** The security parameters of a secured packet: SPI, KIc, KID (TS 102 225 §5.1.1–5.1.3). */
import { DecodeError, FieldError } from '../bytes/index.ts';

/** Redundancy check, cryptographic checksum or digital signature. */
export type Integrity = 'none' | 'rc' | 'cc' | 'ds';
/**
 * `none`: the field is there and means nothing · `unchecked`: a counter is there, replay is not checked ·
 * `higher`: processed only if higher than the last · `oneHigher`: only if one higher than the last
 */
export type CounterMode = 'none' | 'unchecked' | 'higher' | 'oneHigher';
export type ProofRequest = 'none' | 'always' | 'onError';

/** What SPI says, both bytes. */
export interface SecurityParameters {
  integrity: Integrity;
  ciphered: boolean;
  counter: CounterMode;
  /** proof of receipt: whether, and how the response packet is secured and sent */
  proof: ProofRequest;
  proofIntegrity: Integrity;
  proofCiphered: boolean;
  proofBy: 'deliverReport' | 'submit';
}

const INTEGRITIES: readonly Integrity[] = ['none', 'rc', 'cc', 'ds'];
const COUNTERS: readonly CounterMode[] = ['none', 'unchecked', 'higher', 'oneHigher'];
const PROOFS: readonly ProofRequest[] = ['none', 'always', 'onError'];

function indexOf<T>(values: readonly T[], value: T, field: string): number {
  const index = values.indexOf(value);
  if (index < 0) throw new FieldError(field, JSON.stringify(value), values.join(', '));
  return index;
}

/** SPI as a 16 bit number, the first byte the more significant. */
export function encodeSpi(security: SecurityParameters): number {
  const first =
    indexOf(INTEGRITIES, security.integrity, 'integrity') |
    (security.ciphered ? 0x04 : 0) |
    (indexOf(COUNTERS, security.counter, 'counter') << 3);
  const second =
    indexOf(PROOFS, security.proof, 'proof') |
    (indexOf(INTEGRITIES, security.proofIntegrity, 'proofIntegrity') << 2) |
    (security.proofCiphered ? 0x10 : 0) |
    (security.proofBy === 'submit' ? 0x20 : 0);
  return (first << 8) | second;
}

/** @throws DecodeError on reserved bits or the reserved proof of receipt 3 */
export function decodeSpi(spi: number): SecurityParameters {
  const first = spi >> 8;
  const second = spi & 0xff;
  const hex = spi.toString(16).padStart(4, '0');
  if (first > 0x1f || second > 0x3f) {
    throw new DecodeError('SPI', hex, 'bits 8 to 6 of the first and 8 and 7 of the second byte zero');
  }
  const proof = PROOFS[second & 3];
  if (proof === undefined) throw new DecodeError('SPI', hex, 'proof of receipt 0, 1 or 2');
  return {
    integrity: INTEGRITIES[first & 3]!,
    ciphered: (first & 0x04) !== 0,
    counter: COUNTERS[(first >> 3) & 3]!,
    proof,
    proofIntegrity: INTEGRITIES[(second >> 2) & 3]!,
    proofCiphered: (second & 0x10) !== 0,
    proofBy: (second & 0x20) !== 0 ? 'submit' : 'deliverReport',
  };
}

/**
 * Algorithms of KIc, and of KID with a cryptographic checksum: 3DES in outer CBC with 2 or 3 keys, AES in CBC
 * (KIc) or CMAC (KID). `des` is accepted from old senders and never sent.
 */
export type OtaAlgorithm = 'des' | 'des3-2' | 'des3-3' | 'aes';
/** Algorithms of KID with a redundancy check. */
export type OtaRedundancy = 'crc16' | 'crc32';

const ALGORITHM_CODES: Record<OtaAlgorithm, number> = { des: 1, 'des3-2': 5, 'des3-3': 9, aes: 2 };
const CODE_ALGORITHMS = new Map(
  Object.entries(ALGORITHM_CODES).map(([name, code]) => [code, name as OtaAlgorithm]),
);

/** KIc or KID: key set number 1–15 (0: by agreement) in the high nibble, algorithm in the low. */
export function keyByte(set: number, algorithm: OtaAlgorithm | OtaRedundancy): number {
  if (!Number.isInteger(set) || set < 0 || set > 15) {
    throw new FieldError('key set', String(set), 'a key set number from 0 to 15');
  }
  const code = algorithm === 'crc16' ? 1 : algorithm === 'crc32' ? 5 : ALGORITHM_CODES[algorithm];
  return (set << 4) | code;
}

/** The key set number of KIc or KID. */
export const keySetOf = (key: number): number => key >> 4;

/** The algorithm of KIc, or of KID with a cryptographic checksum; undefined if it is none of ours. */
export const algorithmOf = (key: number): OtaAlgorithm | undefined => CODE_ALGORITHMS.get(key & 0x0f);

/** The algorithm of KID with a redundancy check; undefined if it is none of ours. */
export function redundancyOf(kid: number): OtaRedundancy | undefined {
  const code = kid & 0x0f;
  return code === 1 ? 'crc16' : code === 5 ? 'crc32' : undefined;
}

/** Lengths in bytes that a key of this algorithm may have. */
export function keyLengths(algorithm: OtaAlgorithm): readonly number[] {
  switch (algorithm) {
    case 'des':
      return [8];
    case 'des3-2':
      return [16];
    case 'des3-3':
      return [24];
    case 'aes':
      return [16, 24, 32];
  }
}
