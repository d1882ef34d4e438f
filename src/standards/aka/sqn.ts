import { FieldError, expectLength } from '../bytes/index.ts';

/**
 * How sequence numbers are made and judged (TS 33.102 annex C): SQN = SEQ || IND, 48 bits.
 * One value serves both sides; the generator ignores delta and ageLimit, the card ignores generation.
 */
export interface SqnScheme {
  /** bits of IND, 0–16; the card keeps 2^indLength sequence numbers. Default of annex C.3: 5 */
  indLength: number;
  /**
   * `counter`: one more each time (C.1.1.2) · `partlyTime`: a clock above, a counter of seq2Length bits below
   * (C.1.1.1) · `time`: the clock and a difference (C.1.1.3)
   */
  generation: 'counter' | 'partlyTime' | 'time';
  /** partlyTime: bits of SEQ2, the lower part of SEQ */
  seq2Length?: number;
  /** Δ, how far SEQ may jump (C.2.1); default 2^28 */
  delta?: number;
  /** L, how old SEQ may be in comparison with the highest (C.2.2); none by default */
  ageLimit?: number;
}

/** Profile 2 of TS 33.102 §C.3.2: not time-based, IND of 5 bits, Δ = 2^28, no age limit. */
export const SQN_DEFAULT: SqnScheme = { indLength: 5, generation: 'counter', delta: 2 ** 28 };

function check(scheme: SqnScheme): SqnScheme {
  const { indLength, seq2Length = 0 } = scheme;
  if (!Number.isInteger(indLength) || indLength < 0 || indLength > 16) {
    throw new FieldError('indLength', String(indLength), '0 to 16 bits');
  }
  if (!Number.isInteger(seq2Length) || seq2Length < 0 || seq2Length > 47 - indLength) {
    throw new FieldError('seq2Length', String(seq2Length), `0 to ${47 - indLength} bits`);
  }
  return scheme;
}

/** 6 bytes, big-endian, of SEQ and IND. */
export function encodeSqn(scheme: SqnScheme, seq: number, ind: number): Uint8Array {
  let value = seq * 2 ** scheme.indLength + ind;
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** 48 || ind < 0 || ind >= 2 ** scheme.indLength) {
    throw new FieldError('sqn', `SEQ ${seq}, IND ${ind}`, `48 bits, ${scheme.indLength} of them IND`);
  }
  const sqn = new Uint8Array(6);
  for (let i = 5; i >= 0; i--) {
    sqn[i] = value % 256;
    value = Math.floor(value / 256);
  }
  return sqn;
}

/** SEQ and IND of 6 bytes. */
export function decodeSqn(scheme: SqnScheme, sqn: Uint8Array): { seq: number; ind: number } {
  expectLength('sqn', sqn, 6);
  let value = 0;
  for (const byte of sqn) value = value * 256 + byte;
  const size = 2 ** scheme.indLength;
  return { seq: Math.floor(value / size), ind: value % size };
}

/** What the authentication centre keeps per subscriber; plain, to be stored as it is. */
export interface SqnGenerator {
  /** SEQ_HE: the last one given out */
  seq: number;
  /** IND of the last one */
  ind: number;
  /** DIF: SEQ minus clock (`time` only) */
  difference: number;
}

/** A subscriber whose card is new. */
export const NEW_SQN_GENERATOR: Readonly<SqnGenerator> = { seq: 0, ind: 0, difference: 0 };

export interface NextSqn {
  /** 6 bytes */
  sqn: Uint8Array;
  /** to be stored before the vector leaves */
  state: SqnGenerator;
}

/** The highest SEQ that 48 bits hold beside IND. */
export function highestSeq(scheme: SqnScheme): number {
  return 2 ** (48 - check(scheme).indLength) - 1;
}

function following(scheme: SqnScheme, state: SqnGenerator, clock: number): Omit<SqnGenerator, 'ind'> {
  const { difference } = state;
  switch (scheme.generation) {
    case 'counter':
      return { seq: state.seq + 1, difference };
    case 'partlyTime': {
      // SEQ1 follows the clock; while it is at it or ahead, SEQ2 counts on. Never back: cards would refuse.
      const seq2 = 2 ** (scheme.seq2Length ?? 0);
      const behind = Math.floor(state.seq / seq2) < clock;
      return { seq: behind ? clock * seq2 + (state.seq % seq2) : state.seq + 1, difference };
    }
    case 'time': {
      const seq = clock + difference;
      // Two in one tick, or a clock set back: the difference grows instead of a number being used twice.
      return seq > state.seq
        ? { seq, difference }
        : { seq: state.seq + 1, difference: state.seq + 1 - clock };
    }
  }
}

/**
 * The next sequence number (TS 33.102 §C.1.1).
 * @param clock GLC, the centre's clock in ticks; 0 for `counter`
 * @param ind where in the card's array it shall go; default the next one round (§C.1.2)
 * @throws FieldError when the 48 bits are used up
 */
export function nextSqn(scheme: SqnScheme, state: SqnGenerator, clock = 0, ind?: number): NextSqn {
  const at = ind ?? (state.ind + 1) % 2 ** check(scheme).indLength;
  const { seq, difference } = following(scheme, state, clock);
  return { sqn: encodeSqn(scheme, seq, at), state: { seq, ind: at, difference } };
}

/**
 * The centre's part of a resynchronisation, once AUTS is verified (TS 33.102 §6.3.5): nothing changes if the card
 * would accept the next number; otherwise the centre follows the card. Back goes only a centre that is more than
 * Δ ahead of the card, which would take none of its numbers any more.
 * @param sqnMs 6 bytes
 * @returns undefined if SEQ_MS is more than Δ above the centre's (no card comes there by numbers of this centre,
 * §C.2.1), or so near the end that numbers could run out before the card can say where it is: within 2Δ
 */
export function resynchronise(
  scheme: SqnScheme,
  state: SqnGenerator,
  sqnMs: Uint8Array,
  clock = 0,
): SqnGenerator | undefined {
  const { seq, ind } = decodeSqn(check(scheme), sqnMs);
  const { delta = 2 ** 28 } = scheme;
  const next = following(scheme, state, clock).seq;
  if (seq - (next - 1) > delta) return undefined;
  if (next > seq && next - seq <= delta) return state;
  if (seq > highestSeq(scheme) + 1 - 2 * delta) return undefined;
  return { seq, ind, difference: scheme.generation === 'time' ? seq - clock : state.difference };
}

/** What the card keeps: the highest SEQ accepted for each IND, 2^indLength of them. Plain; replaced whole. */
export interface SqnArray {
  seq: readonly number[];
}

/** The array of a new card: all zeros. */
export function newSqnArray(scheme: SqnScheme): SqnArray {
  return { seq: new Array<number>(2 ** check(scheme).indLength).fill(0) };
}

/** SEQ_MS || IND: the highest number accepted so far, 6 bytes (TS 33.102 §C.2.2). */
export function highestSqn(scheme: SqnScheme, array: SqnArray): Uint8Array {
  let ind = 0;
  for (let i = 1; i < array.seq.length; i++) if (array.seq[i]! > array.seq[ind]!) ind = i;
  return encodeSqn(scheme, array.seq[ind] ?? 0, ind);
}

export type SqnVerdict =
  /** take `array` as the new state, then answer */
  | { accepted: true; array: SqnArray }
  /** nothing changes; answer with AUTS of sqnMs (6 bytes) */
  | { accepted: false; reason: 'notFresh' | 'jump' | 'tooOld'; sqnMs: Uint8Array };

/**
 * Judges a sequence number whose MAC was found right (TS 33.102 §C.2).
 * @param sqn 6 bytes
 * @throws FieldError if the array is not of this scheme
 */
export function verifySqn(scheme: SqnScheme, array: SqnArray, sqn: Uint8Array): SqnVerdict {
  const { seq, ind } = decodeSqn(check(scheme), sqn);
  if (array.seq.length !== 2 ** scheme.indLength) {
    throw new FieldError('array', `${array.seq.length} entries`, `${2 ** scheme.indLength} entries`);
  }
  const sqnMs = highestSqn(scheme, array);
  const highest = decodeSqn(scheme, sqnMs).seq;
  const refuse = (reason: 'notFresh' | 'jump' | 'tooOld'): SqnVerdict => ({ accepted: false, reason, sqnMs });
  if (seq - highest > (scheme.delta ?? 2 ** 28)) return refuse('jump');
  if (scheme.ageLimit !== undefined && highest - seq >= scheme.ageLimit) return refuse('tooOld');
  if (seq <= array.seq[ind]!) return refuse('notFresh');
  return { accepted: true, array: { seq: array.seq.with(ind, seq) } };
}
