import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { VirtualClock } from '../../src/lab/clock.ts';

test('timers fire in order of time, then of setting; a cancelled one never does', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ at: fc.nat(1000), cancel: fc.boolean() }), { maxLength: 60 }),
      async (plan) => {
        const clock = new VirtualClock(5);
        const fired: number[] = [];
        const timers = plan.map(({ at }, i) => clock.after(at, () => fired.push(i)));
        plan.forEach(({ cancel }, i) => cancel && timers[i]!.cancel());
        await clock.run(
          () => false,
          () => 0,
        );
        const expected = plan
          .map((each, i) => ({ ...each, i }))
          .filter(({ cancel }) => !cancel)
          .sort((a, b) => a.at - b.at || a.i - b.i)
          .map(({ i }) => i);
        assert.deepEqual(fired, expected);
      },
    ),
    { numRuns: 200 },
  );
});

test('time stands still while work is held or a message is in flight', async () => {
  const clock = new VirtualClock(0);
  let heldUntil = -1;
  let inFlight = 3;
  clock.after(1000, () => assert.ok(heldUntil === 0 && inFlight === 0));
  void clock
    .hold(new Promise<void>((resolve) => setTimeout(resolve, 20)))
    .then(() => (heldUntil = clock.now()));
  const done = await clock.run(
    () => clock.now() >= 1000,
    () => (heldUntil === 0 && inFlight > 0 ? inFlight-- : 0),
  );
  assert.ok(done);
});

test('with nothing left that could happen it says so instead of hanging', async () => {
  assert.equal(
    await new VirtualClock(0).run(
      () => false,
      () => 0,
    ),
    false,
  );
});
