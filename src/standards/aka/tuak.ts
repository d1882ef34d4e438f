import { createHash } from 'node:crypto';
import { FieldError, expectLength } from '../bytes/index.ts';
import type { AkaKey, AkaResponse } from './functions.ts';

/** What an operator chooses of TUAK (TS 35.231), beside K and TOPc. */
export interface TuakLengths {
  /** bytes of MAC-A and MAC-S: 8, 16 or 32; default 8 */
  macLength?: number;
  /** bytes of RES: 4, 8, 16 or 32; default 8 */
  resLength?: number;
  /** bytes of CK: 16 or 32; default 16 */
  ckLength?: number;
  /** bytes of IK: 16 or 32; default 16 */
  ikLength?: number;
  /** how often Keccak-f[1600] is applied, 1–255; default 1 */
  keccakIterations?: number;
}

/** The functions of TUAK with the lengths that were chosen. */
export interface TuakFunctions {
  /** f1: MAC-A, macLength bytes, of RAND (16), SQN (6), AMF (2) */
  f1(rand: Uint8Array, sqn: Uint8Array, amf: Uint8Array): Uint8Array;
  /** f1*: MAC-S, macLength bytes */
  f1Star(rand: Uint8Array, sqn: Uint8Array, amf: Uint8Array): Uint8Array;
  /** f2 to f5: RES, CK and IK as long as chosen, AK of 6 bytes */
  f2345(rand: Uint8Array): AkaResponse;
  /** f5*: AK for resynchronisation, 6 bytes */
  f5Star(rand: Uint8Array): Uint8Array;
}

/** Where the fields of IN begin, in bytes (TS 35.231 §6.1 to §6.5). */
const AT = { top: 0, instance: 32, name: 33, rand: 40, amf: 56, sqn: 58, k: 64, end: 96 } as const;
/** Bytes of a block of SHAKE256 (FIPS 202 §6.2). */
const BLOCK = 136;

/** INSTANCE: two bits of function, three of the length of MAC or RES, one each of CK, IK and K. */
const FUNCTION = { topc: 0x00, f1: 0x00, f1Star: 0x80, f2345: 0x40, f5Star: 0xc0 } as const;
const LENGTH: Readonly<Record<number, number>> = { 4: 0x00, 8: 0x08, 16: 0x10, 32: 0x20 };
const LONG = { ck: 0x04, ik: 0x02, k: 0x01 } as const;

/** The specification numbers bits from the last of a field: the bytes of each go in, and come out, backwards. */
function put(value: Uint8Array, into: Uint8Array, at: number): void {
  for (let i = 0; i < value.length; i++) into[at + i] = value[value.length - 1 - i]!;
}
const take = (out: Uint8Array, from: number, length: number): Uint8Array =>
  Uint8Array.from(out.subarray(from, from + length)).reverse();

const ALGONAME = new TextEncoder().encode('TUAK1.0');

/** IN without what differs from call to call. */
function inputOf(k: Uint8Array, top: Uint8Array): Uint8Array {
  const input = new Uint8Array(AT.end);
  put(top, input, AT.top);
  put(ALGONAME, input, AT.name);
  put(k, input, AT.k);
  return input;
}

/**
 * OUT of IN, as far as TUAK reads it. What follows the 96 bytes of IN, padding and 512 zero bits (TS 35.231
 * §5.2), is what SHAKE256 puts there, and each further block of SHAKE256 is one more Keccak-f[1600]: so its
 * n-th block is OUT after n iterations.
 */
function permuted(input: Uint8Array, iterations: number): Uint8Array {
  const out = createHash('shake256', { outputLength: BLOCK * iterations })
    .update(input)
    .digest();
  return out.subarray(BLOCK * (iterations - 1));
}

function checkIterations(keccakIterations: number): number {
  if (!Number.isInteger(keccakIterations) || keccakIterations < 1 || keccakIterations > 255) {
    throw new FieldError('keccakIterations', String(keccakIterations), '1 to 255');
  }
  return keccakIterations;
}

/**
 * TOPc of TOP (TS 35.231 §6.1).
 * @param k 16 or 32 bytes
 * @param top 32 bytes
 * @param keccakIterations 1–255, as in all functions of this operator
 * @returns 32 bytes
 */
export function topcFromTop(k: Uint8Array, top: Uint8Array, keccakIterations = 1): Uint8Array {
  expectLength('k', k, 16, 32);
  expectLength('top', top, 32);
  const input = inputOf(k, top);
  input[AT.instance] = FUNCTION.topc | (k.length === 32 ? LONG.k : 0);
  return take(permuted(input, checkIterations(keccakIterations)), 0, 32);
}

/**
 * TUAK (TS 35.231) with any lengths it knows. EPS takes fewer: see `prepare`.
 * @param k 16 or 32 bytes
 * @param topc 32 bytes
 * @throws FieldError on a length or number that TUAK does not know
 */
export function tuak(k: Uint8Array, topc: Uint8Array, lengths: TuakLengths = {}): TuakFunctions {
  expectLength('k', k, 16, 32);
  expectLength('topc', topc, 32);
  const iterations = checkIterations(lengths.keccakIterations ?? 1);
  const oneOf = (
    field: 'macLength' | 'resLength' | 'ckLength' | 'ikLength',
    ...allowed: number[]
  ): number => {
    const length = lengths[field] ?? (field === 'ckLength' || field === 'ikLength' ? 16 : 8);
    if (allowed.includes(length)) return length;
    throw new FieldError(field, String(length), `${allowed.join(', ')} bytes`.replace(/, (\d+ )/, ' or $1'));
  };
  const macLength = oneOf('macLength', 8, 16, 32);
  const resLength = oneOf('resLength', 4, 8, 16, 32);
  const ckLength = oneOf('ckLength', 16, 32);
  const ikLength = oneOf('ikLength', 16, 32);
  const own = inputOf(k, topc);
  const long = k.length === 32 ? LONG.k : 0;

  function run(instance: number, rand: Uint8Array, sqn?: Uint8Array, amf?: Uint8Array): Uint8Array {
    const input = own.slice();
    input[AT.instance] = instance | long;
    put(expectLength('rand', rand, 16), input, AT.rand);
    if (sqn) put(expectLength('sqn', sqn, 6), input, AT.sqn);
    if (amf) put(expectLength('amf', amf, 2), input, AT.amf);
    return permuted(input, iterations);
  }
  const macInstance = LENGTH[macLength]!;
  const responseInstance =
    FUNCTION.f2345 | LENGTH[resLength]! | (ckLength === 32 ? LONG.ck : 0) | (ikLength === 32 ? LONG.ik : 0);

  return {
    f1: (rand, sqn, amf) => take(run(FUNCTION.f1 | macInstance, rand, sqn, amf), 0, macLength),
    f1Star: (rand, sqn, amf) => take(run(FUNCTION.f1Star | macInstance, rand, sqn, amf), 0, macLength),
    f2345(rand) {
      const out = run(responseInstance, rand);
      return {
        res: take(out, 0, resLength),
        ck: take(out, 32, ckLength),
        ik: take(out, 64, ikLength),
        ak: take(out, 96, 6),
      };
    },
    f5Star: (rand) => take(run(FUNCTION.f5Star, rand), 96, 6),
  };
}

/** TUAK as UMTS and EPS take it (TS 33.102 §6.3.7): MAC of 64 bits, CK and IK of 128. */
export function prepareTuak(
  k: Uint8Array,
  topc: Uint8Array,
  resLength: number,
  keccakIterations = 1,
): AkaKey {
  const { f1, f1Star, f2345, f5Star } = tuak(k, topc, { resLength, keccakIterations });
  return {
    algorithm: 'tuak',
    resLength,
    f1,
    f1Star,
    f2345,
    f12345: (rand, sqn, amf) => ({ ...f2345(rand), mac: f1(rand, sqn, amf) }),
    f5Star,
  };
}
