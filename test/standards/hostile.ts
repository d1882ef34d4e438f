/** Hostile input in numbers: random bytes, and valid messages bent a little. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { DecodeError } from '../../src/standards/bytes/index.ts';

/** Inputs a decoder is given in all. */
export const HOSTILE_INPUTS = 100_000;
const PER_RUN = 1000;

/** Small, fast and repeatable (xorshift32). */
function stream(seed: number): (below: number) => number {
  let x = seed | 1;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

function bend(valid: Uint8Array, next: (below: number) => number): Uint8Array {
  const bytes = Uint8Array.from(valid);
  const kind = next(4);
  if (kind === 0 || bytes.length === 0) return bytes.subarray(0, next(bytes.length + 1));
  for (let n = next(4) + 1; n > 0; n--) bytes[next(bytes.length)] = next(256);
  if (kind === 1) bytes[next(bytes.length)] = 0xff;
  if (kind === 2) {
    const longer = new Uint8Array(bytes.length + next(8));
    longer.set(bytes);
    return longer;
  }
  return bytes;
}

/**
 * Gives `decode` random bytes and bent copies of `valid`: it may answer or throw a DecodeError, nothing else.
 * @param decode also checks what it decoded
 */
export function survivesHostileInput(
  valid: readonly Uint8Array[],
  decode: (bytes: Uint8Array) => void,
): void {
  let decoded = 0;
  let refused = 0;
  const one = (bytes: Uint8Array): void => {
    try {
      decode(bytes);
      decoded++;
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      refused++;
    }
  };
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const next = stream(seed);
      for (let i = 0; i < PER_RUN; i++) {
        if (i % 4 === 0 || valid.length === 0) {
          const bytes = new Uint8Array(next(64));
          for (let at = 0; at < bytes.length; at++) bytes[at] = next(256);
          one(bytes);
        } else {
          one(bend(valid[next(valid.length)]!, next));
        }
      }
    }),
    { numRuns: HOSTILE_INPUTS / PER_RUN },
  );
  assert.equal(decoded + refused, HOSTILE_INPUTS);
  assert.ok(refused > 0 && decoded > 0, `${decoded} decoded, ${refused} refused`);
}
