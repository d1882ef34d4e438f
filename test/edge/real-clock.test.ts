/** The machine's clock is set while roles run: nothing is due later or sooner, nothing expires, nothing is done twice. */
import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import fc from 'fast-check';
import { createChangeEngine } from '../../src/change/engine.ts';
import { STEPS, type ChangeMethod, type Step, type StepPolicy } from '../../src/change/change.ts';
import { openChangeStore } from '../../src/change/store.ts';
import { createRealClock } from '../../src/edge/real.ts';
import { createSigner, readStatement } from '../../src/network/wire/statements.ts';

const HOUR = 3_600_000;
const START = Date.UTC(2026, 0, 1);

test('whoever sets the wall clock, time passes as it does, never backwards, and a hundredth faster or slower at most', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0, max: HOUR }), fc.integer({ min: -48 * HOUR, max: 48 * HOUR }))),
      (moves) => {
        let [passed, set] = [0, 0];
        const clock = createRealClock({ monotonic: () => passed, wall: () => START + passed + set });
        let last = clock.now();
        assert.equal(last, START);
        for (const [milliseconds, by] of moves) {
          passed += milliseconds;
          set += by;
          const now = clock.now();
          const went = now - last;
          assert.ok(went >= 0.99 * milliseconds - 1 && went <= 1.01 * milliseconds + 1, `${went}`);
          last = now;
        }
      },
    ),
  );
});

test('it comes to agree with the wall clock, from either side', () => {
  for (const set of [-HOUR, HOUR]) {
    let passed = 0;
    const clock = createRealClock({
      monotonic: () => passed,
      wall: () => START + passed + (passed > 0 ? set : 0),
    });
    for (let hours = 1; hours <= 101; hours++) {
      passed = hours * HOUR;
      clock.now();
    }
    assert.equal(clock.now(), START + passed + set);
  }
});

test('a machine that was set back before it began goes on where it was', () => {
  const clock = createRealClock({ wall: () => START - 5 * HOUR, monotonic: () => 0, notBefore: START });
  assert.equal(clock.now(), START);
});

test('a timer of more than 24.8 days fires then, and not at once', () => {
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const clock = createRealClock();
    let fired = 0;
    clock.after(60 * 24 * HOUR, () => fired++);
    const cancelled = clock.after(60 * 24 * HOUR, () => (fired += 10));
    mock.timers.tick(1000);
    assert.equal(fired, 0);
    for (let day = 0; day < 30; day++) mock.timers.tick(24 * HOUR);
    cancelled.cancel();
    assert.equal(fired, 0);
    // Mocked timers that are set within a step count from its end.
    for (let day = 0; day < 32; day++) mock.timers.tick(24 * HOUR);
    assert.equal(fired, 1);
  } finally {
    mock.timers.reset();
  }
});

for (const set of [-6 * HOUR, 6 * HOUR]) {
  test(`changes run on while the clock is set by ${set / HOUR} hours: each step once, none late, no timeout, statements hold`, async () => {
    let by = 0;
    const clock = createRealClock({ wall: () => Date.now() + by });
    const ran: string[] = [];
    const policies = Object.fromEntries(
      [...STEPS, 'rollBack'].map((step) => [step, { timeout: HOUR, pause: 1000, longestPause: 1000 }]),
    ) as Record<Step, StepPolicy>;
    const waited = new Set<string>();
    const method: ChangeMethod = {
      alternative: '3b',
      policies,
      run: (step, changes) =>
        Promise.resolve(
          changes.map(({ change, overdue }) => {
            assert.equal(overdue, false);
            // Every second step waits a moment; the clock is set while it does.
            if (STEPS.indexOf(step) % 2 === 1 && !waited.has(`${change} ${step}`)) {
              waited.add(`${change} ${step}`);
              const until = clock.now() + 20;
              by += set;
              return { go: 'wait' as const, until };
            }
            ran.push(`${change} ${step}`);
            return { go: 'next' as const };
          }),
        ),
    };
    const signer = await createSigner(clock, 'A');
    const iat = Math.floor(clock.now() / 1000);
    const change = '00112233445566aa';
    const statement = await signer.sign('destroyed', {
      aud: ['B'],
      iat,
      exp: iat + 3600,
      change,
      iccid: '8988211000000000011',
    });
    const store = openChangeStore(':memory:');
    let done: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => (done = resolve));
    const engine = createChangeEngine({
      clock,
      store,
      methods: [method],
      observe: ({ state }) => state !== undefined && done(),
    });
    store.enqueue([{ change, device: 'd', from: 'A', to: 'B', alternative: '3b', data: {} }], clock.now());
    engine.wake();
    await ended;
    await engine.close();
    assert.deepEqual(
      ran,
      STEPS.filter((step) => step !== 'rollBack').map((step) => `${change} ${step}`),
    );
    assert.equal(store.state(change)!.state, 'done');
    const ring = { A: { role: 'operator' as const, key: signer.publicKey } };
    assert.equal((await readStatement('destroyed', statement, ring, 'B', clock)).iss, 'A');
    store.close();
  });
}
