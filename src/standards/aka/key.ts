import { FieldError, expectLength } from '../bytes/index.ts';
import { prepareMilenage, type MilenageConstants } from './milenage.ts';
import type { AkaKey } from './functions.ts';
import { prepareTestXor } from './test-xor.ts';

export type { AkaKey, AkaResponse } from './functions.ts';
export { opcFromOp, MILENAGE_CONSTANTS, type MilenageConstants } from './milenage.ts';

/** What subscriber and operator share. Never log it. */
export interface SubscriberKey {
  /** `milenage` (TS 35.206); `test-xor` (TS 34.108 §8.1.2), for test networks only */
  algorithm: 'milenage' | 'test-xor';
  /** K: 16 bytes */
  k: Uint8Array;
  /** OPc: 16 bytes; Milenage only */
  opc?: Uint8Array;
  /** bytes of RES: 4–8 for Milenage, whose f2 gives 64 bits (default 8); 4–16 for test-xor (default 16) */
  resLength?: number;
  /** operator's own c1–c5 and r1–r5; Milenage only, the default is TS 35.206 §4.1's */
  constants?: MilenageConstants;
}

/**
 * Makes a subscriber's functions. Keep the result as long as the key is in use: the key schedule is most of
 * the work.
 * @throws FieldError on a wrong length (the value is not shown), an OPc that is missing or not wanted
 */
export function prepare(key: SubscriberKey): AkaKey {
  expectLength('k', key.k, 16);
  const resLength = (most: number, usual: number): number => {
    const length = key.resLength ?? usual;
    if (!Number.isInteger(length) || length < 4 || length > most) {
      throw new FieldError('resLength', String(length), `4 to ${most} bytes for ${key.algorithm}`);
    }
    return length;
  };
  if (key.algorithm === 'milenage') {
    if (key.opc === undefined) throw new FieldError('opc', 'absent', '16 bytes for milenage');
    return prepareMilenage(key.k, expectLength('opc', key.opc, 16), resLength(8, 8), key.constants);
  }
  if (key.algorithm === 'test-xor') {
    if (key.opc !== undefined) throw new FieldError('opc', 'present', 'none for test-xor');
    return prepareTestXor(key.k, resLength(16, 16));
  }
  throw new FieldError('algorithm', JSON.stringify(key.algorithm), 'milenage or test-xor');
}
