/** Where a run left its devices: the application's word, not the state machine's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { judge, type Outcome } from '../../src/lab/verdict.ts';

const one = (state: Outcome['state'], heardOver: string | undefined, switches = 0): Outcome => ({
  state,
  heardOver,
  switches,
});
const tally = (outcome: Outcome) => judge([outcome], 'A', 'B').tally;

test('done counts as moved only where the application is heard over B, rolled back only over A', () => {
  assert.equal(tally(one('done', 'B')).moved, 1);
  assert.equal(tally(one('rolledBack', 'A')).rolledBack, 1);
  assert.equal(tally(one('awaitingVisit', 'A')).awaitingVisit, 1);
  for (const wrong of [
    one('done', undefined),
    one('done', 'A'),
    one('rolledBack', undefined),
    one('rolledBack', 'B'),
    one('awaitingVisit', undefined),
    one('live', 'A'),
    one('live', 'B'),
  ]) {
    assert.equal(tally(wrong).stranded, 1, JSON.stringify(wrong));
  }
});

test('a card that took another IMSI more often than its change needs had an effect twice', () => {
  const repeated = (state: Outcome['state'], switches: number): number =>
    judge([one(state, 'B', switches)], 'A', 'B').effectsRepeated;
  assert.deepEqual(
    [0, 1, 2, 3].map((switches) => repeated('done', switches)),
    [0, 0, 1, 2],
  );
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((switches) => repeated('rolledBack', switches)),
    [0, 0, 0, 1, 2],
  );
});

test('every device is counted once', () => {
  const outcome = fc.record({
    state: fc.constantFrom<Outcome['state']>('done', 'rolledBack', 'pristine', 'awaitingVisit', 'live'),
    heardOver: fc.constantFrom('A', 'B', undefined),
    switches: fc.nat(5),
  });
  fc.assert(
    fc.property(fc.array(outcome), (outcomes) => {
      const { devices, ...counts } = judge(outcomes, 'A', 'B').tally;
      assert.equal(devices, outcomes.length);
      assert.equal(
        Object.values(counts).reduce((sum, count) => sum + count, 0),
        devices,
      );
    }),
  );
});
