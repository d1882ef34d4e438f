/** Randomness that a seed decides: for the lab alone, where a run must be repeatable. */
import { createHash } from 'node:crypto';
import type { Random } from '../edge/index.ts';

export interface SeededRandom extends Random {
  /** a number from 0 to below 1 */
  next(): number;
}

/** SHA-256 in counter mode over the seed and what the stream is for. */
export function seededRandom(seed: number, purpose: string): SeededRandom {
  let block = new Uint8Array(0);
  let used = 0;
  let counter = 0;
  const bytes = (length: number): Uint8Array => {
    const out = new Uint8Array(length);
    for (let i = 0; i < length; i++) {
      if (used === block.length) {
        block = new Uint8Array(createHash('sha256').update(`${seed} ${purpose} ${counter++}`).digest());
        used = 0;
      }
      out[i] = block[used++]!;
    }
    return out;
  };
  return {
    bytes,
    next: () => {
      const [a, b, c, d] = bytes(4) as unknown as [number, number, number, number];
      return (((a << 24) | (b << 16) | (c << 8) | d) >>> 0) / 2 ** 32;
    },
  };
}
