import { FieldError, expectLength } from '../bytes/index.ts';
import { prepareMilenage, type MilenageConstants } from './milenage.ts';
import type { AkaKey } from './functions.ts';
import { prepareTestXor } from './test-xor.ts';
import { prepareTuak } from './tuak.ts';

export type { AkaKey, AkaResponse } from './functions.ts';
export { opcFromOp, MILENAGE_CONSTANTS, type MilenageConstants } from './milenage.ts';
export { topcFromTop, tuak, type TuakFunctions, type TuakLengths } from './tuak.ts';

/** What subscriber and operator share. Never log it. */
export interface SubscriberKey {
  /** `milenage` (TS 35.206); `tuak` (TS 35.231); `test-xor` (TS 34.108 §8.1.2), for test networks only */
  algorithm: AkaKey['algorithm'];
  /** K: 16 bytes, or for TUAK 32 */
  k: Uint8Array;
  /** OPc: 16 bytes; Milenage only */
  opc?: Uint8Array;
  /** TOPc: 32 bytes; TUAK only */
  topc?: Uint8Array;
  /**
   * bytes of RES, which has 16 at most (TS 33.102 §6.3.7): 4–8 for Milenage, whose f2 gives 64 bits (default 8);
   * 4, 8 or 16 for TUAK (default 8); 4–16 for test-xor (default 16)
   */
  resLength?: number;
  /** how often TUAK applies Keccak-f[1600], 1–255; TUAK only, default 1 */
  keccakIterations?: number;
  /** operator's own c1–c5 and r1–r5; Milenage only, the default is TS 35.206 §4.1's */
  constants?: MilenageConstants;
}

/**
 * Makes a subscriber's functions. Keep the result as long as the key is in use: the key schedule is most of
 * the work.
 * @throws FieldError on a wrong length (the value is not shown), an OPc that is missing or not wanted
 */
export function prepare(key: SubscriberKey): AkaKey {
  const { algorithm, k, opc, topc, constants, keccakIterations } = key;
  const resLength = (most: number, usual: number): number => {
    const length = key.resLength ?? usual;
    if (!Number.isInteger(length) || length < 4 || length > most) {
      throw new FieldError('resLength', String(length), `4 to ${most} bytes for ${algorithm}`);
    }
    return length;
  };
  const none = (fields: { [Field in keyof SubscriberKey]?: SubscriberKey[Field] | undefined }): void => {
    for (const [field, value] of Object.entries(fields)) {
      if (value !== undefined) throw new FieldError(field, 'present', `none for ${algorithm}`);
    }
  };
  switch (algorithm) {
    case 'milenage':
      none({ topc, keccakIterations });
      expectLength('k', k, 16);
      if (opc === undefined) throw new FieldError('opc', 'absent', '16 bytes for milenage');
      return prepareMilenage(k, expectLength('opc', opc, 16), resLength(8, 8), constants);
    case 'tuak': {
      none({ opc, constants });
      if (topc === undefined) throw new FieldError('topc', 'absent', '32 bytes for tuak');
      const length = resLength(16, 8);
      if (![4, 8, 16].includes(length)) {
        throw new FieldError('resLength', String(length), '4, 8 or 16 bytes for tuak');
      }
      return prepareTuak(k, topc, length, keccakIterations);
    }
    case 'test-xor':
      none({ opc, topc, keccakIterations });
      return prepareTestXor(expectLength('k', k, 16), resLength(16, 16));
    default:
      throw new FieldError('algorithm', JSON.stringify(algorithm), 'milenage, tuak or test-xor');
  }
}
