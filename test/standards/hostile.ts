/**
 * Hostile input for decoders: random bytes, and valid messages cut, grown, flipped and overwritten, from a
 * seeded generator, so that a hundred thousand of them take a moment.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { DecodeError, equal } from '../../src/standards/bytes/index.ts';
import { bounded, metered } from './meter.ts';

/** Inputs per decoder. */
const INPUTS = 100_000;
const EACH = 500;
const LONGEST_RANDOM = 64;

/** Small, fast and repeatable (xorshift32). */
function generator(seed: number): (below: number) => number {
  let state = (seed | 0) === 0 ? 1 : seed | 0;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

function random(next: (below: number) => number): Uint8Array {
  const bytes = new Uint8Array(next(LONGEST_RANDOM));
  for (let at = 0; at < bytes.length; at++) bytes[at] = next(256);
  return bytes;
}

/** Lengths and tags that mean something: none, the ends of a coding, the forms of a BER length. */
const TELLING = [0x00, 0x7f, 0x80, 0x81, 0x82, 0x83, 0xff];

function mutate(next: (below: number) => number, valid: Uint8Array): Uint8Array {
  const grown = next(4) === 0 ? next(8) : 0;
  const out = new Uint8Array(valid.length + grown);
  out.set(valid);
  for (let i = valid.length; i < out.length; i++) out[i] = next(256);
  for (let changes = next(4); changes >= 0 && out.length > 0; changes--) {
    const at = next(out.length);
    switch (next(4)) {
      case 0:
        out[at]! ^= 1 << next(8);
        break;
      case 1:
        out[at] = TELLING[next(TELLING.length)]!;
        break;
      default:
        out[at] = next(256);
    }
  }
  return next(3) === 0 ? out.subarray(0, next(out.length + 1)) : out;
}

/**
 * Holds that `decode` returns or throws a DecodeError and nothing else, that it allocates and reads no more than
 * its input warrants (meter.ts), that it leaves its input as it was, and that what it accepts survives `encode`
 * and a second `decode`.
 * @param check of everything that was accepted
 * @param inputs how many; where a fast test takes fewer than usual, a *.soak.ts takes them all
 */
export function surviveHostile<T>(
  decode: (bytes: Uint8Array) => T,
  samples: readonly Uint8Array[],
  encode?: (value: T, length: number) => Uint8Array,
  check?: (value: T, bytes: Uint8Array) => void,
  inputs = INPUTS,
): void {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  let accepted = 0;
  const one = (seed: number): void => {
    const next = generator(seed);
    for (let i = 0; i < EACH; i++) {
      const input =
        samples.length === 0 || next(4) === 0 ? random(next) : mutate(next, samples[next(samples.length)]!);
      const before = i % 16 === 0 ? input.slice() : undefined;
      let value: T;
      try {
        value = bounded(input, decode);
      } catch (error) {
        if (error instanceof DecodeError) continue;
        throw error;
      }
      accepted++;
      if (before) assert.ok(equal(before, input), 'the input was changed');
      if (encode && accepted % 4 === 0) {
        assert.deepEqual(decode(encode(value, input.length)), value);
      }
      check?.(value, input);
    }
  };
  try {
    metered(() => fc.assert(fc.property(fc.integer(), one), { numRuns: inputs / EACH }));
  } finally {
    Error.stackTraceLimit = limit;
  }
  assert.ok(accepted > 0, 'nothing was ever accepted: the property says little');
}
