/**
 * The invariants hold whatever goes wrong when; and what watches them sees when they do not: with make-before-break
 * broken on purpose it must find that out. More plans: invariants.soak.ts.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChangeMethod, Step } from '../../src/change/change.ts';
import { broken, holds, type Plan } from './invariants.ts';

test('over random plans of faults: make before break, nothing twice, nobody without an order, everybody somewhere', async () => {
  await holds(6);
});

const fair: Omit<Plan, 'alternative'> = {
  devices: 3,
  seed: 5,
  trialMinutes: 60,
  commitOnAka: false,
  escrowApart: false,
  agent: false,
  faults: [],
  bad: [],
  down: [],
  refused: [],
};

/** A method that says of some steps that they hold, and does nothing for them. */
const without =
  (steps: readonly Step[]) =>
  (method: ChangeMethod): ChangeMethod => ({
    ...method,
    run: (each, changes) =>
      steps.includes(each)
        ? Promise.resolve(changes.map(() => ({ go: 'next' as const })))
        : method.run(each, changes),
  });

for (const [alternative, steps, why] of [
  ['3b', ['confirm'], /A’s subscription is gone, and its trial is not over/],
  ['3a', ['confirm'], /A’s subscription is gone, and its trial is not over/],
  ['2', ['deliver', 'switch', 'confirm'], /A’s subscription is gone, and it lives on it/],
] as const) {
  test(`${alternative} whose ${steps.join(', ')} is left out is found out`, async () => {
    assert.deepEqual(await broken({ ...fair, alternative }), [], 'whole, it is good');
    const found = await broken({ ...fair, alternative }, without(steps));
    assert.ok(
      found.some((each) => why.test(each)),
      found.join('\\n'),
    );
  });
}
