import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  NEW_SQN_GENERATOR,
  SQN_DEFAULT,
  decodeSqn,
  encodeSqn,
  highestSeq,
  highestSqn,
  newSqnArray,
  nextSqn,
  resynchronise,
  verifySqn,
  type SqnArray,
  type SqnScheme,
} from '../../../src/standards/aka/index.ts';
import { FieldError, fromHex, toHex } from '../../../src/standards/bytes/index.ts';

const schemes: fc.Arbitrary<SqnScheme> = fc.oneof(
  fc.record({ indLength: fc.nat(8), generation: fc.constant('counter' as const) }),
  fc.record({ indLength: fc.nat(8), generation: fc.constant('time' as const) }),
  fc.record({
    indLength: fc.nat(8),
    generation: fc.constant('partlyTime' as const),
    seq2Length: fc.constant(16),
  }),
);

test('SQN: SEQ above, IND below, 48 bits big-endian', () => {
  assert.equal(toHex(encodeSqn(SQN_DEFAULT, 1, 3)), '000000000023');
  assert.deepEqual(decodeSqn(SQN_DEFAULT, fromHex('ffffffffffff')), { seq: 2 ** 43 - 1, ind: 31 });
  assert.throws(() => encodeSqn(SQN_DEFAULT, 2 ** 43, 0), FieldError);
  assert.throws(() => encodeSqn(SQN_DEFAULT, 1, 32), FieldError);
});

test('every number the centre makes is accepted once, and never again', () => {
  fc.assert(
    fc.property(schemes, fc.array(fc.nat(3), { minLength: 1, maxLength: 40 }), (scheme, ticks) => {
      let state = { ...NEW_SQN_GENERATOR };
      let array: SqnArray = newSqnArray(scheme);
      let clock = 1000;
      for (const tick of ticks) {
        clock += tick;
        const next = nextSqn(scheme, state, clock);
        state = next.state;
        const verdict = verifySqn(scheme, array, next.sqn);
        assert.ok(verdict.accepted, `${scheme.generation} at ${clock}`);
        array = verdict.array;
        const again = verifySqn(scheme, array, next.sqn);
        assert.deepEqual(again, { accepted: false, reason: 'notFresh', sqnMs: highestSqn(scheme, array) });
      }
      // Plain values: what comes back from a store is the same.
      assert.deepEqual(JSON.parse(JSON.stringify({ state, array })), { state, array });
    }),
  );
});

test('vectors of one batch may come in any order, each at its own IND', () => {
  const made: Uint8Array[] = [];
  let state = { ...NEW_SQN_GENERATOR };
  for (let i = 0; i < 5; i++) {
    const next = nextSqn(SQN_DEFAULT, state);
    made.push(next.sqn);
    state = next.state;
  }
  let array = newSqnArray(SQN_DEFAULT);
  for (const sqn of made.toReversed()) {
    const verdict = verifySqn(SQN_DEFAULT, array, sqn);
    assert.ok(verdict.accepted);
    array = verdict.array;
  }
});

test('after a resynchronisation the next number is accepted, whatever the centre had lost', () => {
  fc.assert(
    fc.property(schemes, fc.nat(2 ** 20), fc.nat(2 ** 20), (scheme, cardSeq, clock) => {
      const seq = newSqnArray(scheme).seq.map((_, i) => (i === 0 ? cardSeq : 0));
      const sqnMs = highestSqn(scheme, { seq });
      const state = resynchronise(scheme, NEW_SQN_GENERATOR, sqnMs, clock);
      assert.ok(state);
      const { sqn } = nextSqn(scheme, state, clock);
      assert.ok(verifySqn({ ...scheme, delta: 2 ** 47 }, { seq }, sqn).accepted);
      const behind = scheme.generation === 'counter' || clock <= cardSeq;
      if (scheme.generation !== 'partlyTime' && behind) assert.equal(decodeSqn(scheme, sqn).seq, cardSeq + 1);
    }),
  );
});

test('a resynchronisation changes nothing that the card would accept, and leaves the card none that it would not', () => {
  const scheme: SqnScheme = { ...SQN_DEFAULT, delta: 100 };
  const after = (seqHe: number, seqMs: number): number | undefined =>
    resynchronise(scheme, { seq: seqHe, ind: 7, difference: 0 }, encodeSqn(scheme, seqMs, 3))?.seq;
  assert.equal(after(50, 49), 50);
  assert.equal(after(50, 50), 50);
  assert.equal(after(50, 51), 51);
  assert.equal(after(50, 150), 150, 'as far as Δ above');
  assert.equal(after(50, 151), undefined);
  assert.equal(after(150, 51), 150, 'an old AUTS');
  assert.equal(after(150, 50), 50, 'the card would find 151 too far ahead');
  const end = highestSeq(scheme);
  assert.equal(after(end - 250, end - 199), end - 199);
  assert.equal(after(end - 250, end - 198), undefined, 'followed no further than to 2Δ before the end');
  assert.equal(after(end - 50, end - 51), end - 50);
  assert.equal(after(end, end - 200), end - 200);
  fc.assert(
    fc.property(fc.nat(2 ** 10), fc.nat(2 ** 10), fc.nat(31), (seqHe, seqMs, ind) => {
      const state = { seq: seqHe, ind, difference: 0 };
      const made = resynchronise(scheme, state, encodeSqn(scheme, seqMs, ind));
      if (!made) return assert.ok(seqMs > seqHe + 100);
      const { sqn } = nextSqn(scheme, made);
      const array = { seq: newSqnArray(scheme).seq.with(ind, seqMs) };
      assert.ok(verifySqn(scheme, array, sqn).accepted);
      assert.ok(made.seq >= seqHe || seqHe + 1 - seqMs > 100, 'back');
    }),
  );
});

test('partly time-based: follows the clock, counts on within a tick', () => {
  const scheme: SqnScheme = { indLength: 5, generation: 'partlyTime', seq2Length: 24 };
  const first = nextSqn(scheme, NEW_SQN_GENERATOR, 5);
  assert.equal(first.state.seq, 5 * 2 ** 24);
  const second = nextSqn(scheme, first.state, 5);
  assert.equal(second.state.seq, 5 * 2 ** 24 + 1);
  assert.equal(nextSqn(scheme, second.state, 6).state.seq, 6 * 2 ** 24 + 1);
});

test('limits: Δ against a jump, L against the old, and the end of the 48 bits', () => {
  const scheme: SqnScheme = { ...SQN_DEFAULT, delta: 100, ageLimit: 10 };
  const array = { seq: newSqnArray(scheme).seq.with(2, 50) };
  const judge = (seq: number, ind: number): string => {
    const verdict = verifySqn(scheme, array, encodeSqn(scheme, seq, ind));
    return verdict.accepted ? 'accepted' : verdict.reason;
  };
  assert.equal(judge(150, 3), 'accepted');
  assert.equal(judge(151, 3), 'jump');
  assert.equal(judge(41, 3), 'accepted');
  assert.equal(judge(40, 3), 'tooOld');
  assert.equal(judge(50, 2), 'notFresh');
  assert.equal(toHex(highestSqn(scheme, array)), toHex(encodeSqn(scheme, 50, 2)));
  assert.throws(() => nextSqn(scheme, { seq: 2 ** 43 - 1, ind: 0, difference: 0 }), /^FieldError: sqn/);
  assert.throws(() => verifySqn(scheme, { seq: [0] }, new Uint8Array(6)), /^FieldError: array: 1 entries/);
  assert.throws(() => newSqnArray({ ...scheme, indLength: 17 }), /^FieldError: indLength: 17/);
});
