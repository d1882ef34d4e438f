import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import {
  STEPS,
  type Change,
  type ChangeMethod,
  type NewChange,
  type Outcome,
  type Step,
} from '../../src/change/change.ts';
import { createChangeEngine } from '../../src/change/engine.ts';
import { openChangeStore, type Claimed } from '../../src/change/store.ts';
import type { FieldError } from '../../src/standards/bytes/index.ts';
import { VirtualClock } from '../../src/lab/clock.ts';

const policy = { timeout: 3_600_000, pause: 1000, longestPause: 60_000 };
const policies = Object.fromEntries(STEPS.map((step) => [step, policy])) as ChangeMethod['policies'];

const method = (run: (step: Step, change: Change) => Outcome): ChangeMethod => ({
  alternative: '3b',
  policies,
  run: (step, changes) => Promise.resolve(changes.map((change) => run(step, change))),
});

const changes = (count: number): NewChange[] =>
  Array.from({ length: count }, (_, i) => ({
    change: i.toString(16).padStart(16, '0'),
    device: `device-${i}`,
    alternative: '3b',
    from: 'A',
    to: 'B',
    data: { order: 'x' },
  }));

const drive = (clock: VirtualClock, store: ReturnType<typeof openChangeStore>): Promise<boolean> =>
  clock.run(
    () => store.counts().live === 0,
    () => 0,
  );

test('a change goes through its six steps in order, each outcome logged', async () => {
  const clock = new VirtualClock(0);
  const store = openChangeStore(':memory:');
  const seen: Step[] = [];
  const engine = createChangeEngine({
    clock,
    store,
    methods: [
      method((step) => {
        seen.push(step);
        return { go: 'next' };
      }),
    ],
  });
  store.enqueue(changes(1), clock.now());
  engine.wake();
  assert.ok(await drive(clock, store));
  assert.deepEqual(seen, STEPS.slice(0, 6));
  const log = store.state('0000000000000000')!;
  assert.equal(log.state, 'done');
  assert.deepEqual(
    log.log.map(({ step, attempt, what }) => [step, attempt, what]),
    seen.map((step) => [step, 1, 'next']),
  );
  await engine.close();
  store.close();
});

test('a retry backs off, doubling to its longest pause; an overdue step turns back', async () => {
  const clock = new VirtualClock(0);
  const store = openChangeStore(':memory:');
  const at: number[] = [];
  const engine = createChangeEngine({
    clock,
    store,
    methods: [
      method((step) => {
        if (step === 'rollBack') return { go: 'end', state: 'rolledBack' };
        at.push(clock.now());
        return { go: 'retry', why: 'not yet' };
      }),
    ],
  });
  store.enqueue(changes(1), clock.now());
  engine.wake();
  assert.ok(await drive(clock, store));
  const pauses = at.slice(1).map((each, i) => each - at[i]!);
  assert.deepEqual(pauses.slice(0, 8), [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
  assert.ok(at.at(-1)! >= policy.timeout);
  assert.equal(store.counts().ended.rolledBack, 1);
  store.close();
});

for (const says of ['retries', 'waits'] as const) {
  test(`a way back that ${says} until its time is over needs a visit`, async () => {
    const clock = new VirtualClock(0);
    const store = openChangeStore(':memory:');
    const run = (step: Step): Outcome => {
      if (step !== 'rollBack') return { go: 'back', why: 'no' };
      return says === 'waits'
        ? { go: 'wait', until: clock.now() + policy.timeout }
        : { go: 'retry', why: 'a role is away' };
    };
    const engine = createChangeEngine({ clock, store, methods: [method(run)] });
    store.enqueue(changes(1), clock.now());
    engine.wake();
    await clock.run(
      () => store.counts().live === 0 || clock.now() > 3 * policy.timeout,
      () => 0,
    );
    const { state, log } = store.state('0000000000000000')!;
    assert.equal(state, 'awaitingVisit');
    assert.ok(clock.now() >= policy.timeout && clock.now() <= policy.timeout + policy.longestPause);
    assert.deepEqual([log.at(-1)!.step, log.at(-1)!.what], ['rollBack', 'end']);
    await engine.close();
    store.close();
  });
}

test('a signal wakes a waiting change at once, by its name or its device, and while a step runs', async () => {
  const clock = new VirtualClock(0);
  const store = openChangeStore(':memory:');
  let engine: ReturnType<typeof createChangeEngine> | undefined = undefined;
  const doneAt: number[] = [];
  engine = createChangeEngine({
    clock,
    store,
    methods: [
      method((step, { facts, device }) => {
        if (step !== 'reserve') return { go: 'next' };
        if (facts.go === true) {
          doneAt.push(clock.now());
          return { go: 'next' };
        }
        // Device 2 is signalled between claim and outcome: it must not sleep over it.
        if (device === 'device-2') store.signal([{ of: { device }, facts: { go: true } }], clock.now());
        return { go: 'wait', until: clock.now() + 3_000_000 };
      }),
    ],
  });
  store.enqueue(changes(3), clock.now());
  engine.wake();
  clock.after(5000, () => engine.signal([{ of: { change: '0000000000000000' }, facts: { go: true } }]));
  clock.after(7000, () => engine.signal([{ of: { device: 'device-1' }, facts: { go: true } }]));
  assert.ok(await drive(clock, store));
  assert.deepEqual(doneAt, [0, 5000, 7000]);
  store.close();
});

test('one live change a device; the next only when it has ended', () => {
  const store = openChangeStore(':memory:');
  store.enqueue(changes(2), 0);
  assert.throws(
    () => store.enqueue([{ ...changes(1)[0]!, change: 'f'.repeat(16) }], 0),
    (error: FieldError) => error.field === 'device' && error.value === 'device-0',
  );
  assert.equal(store.counts().live, 2);
  store.close();
});

test('what becomes known of a change that has ended says nothing of the next one of its device', () => {
  const store = openChangeStore(':memory:');
  const [first] = changes(1);
  store.enqueue([first!], 0);
  const [{ id, step, attempt }] = store.turn([], 0) as [Claimed];
  const ended = { id, from: step, step, attempt, fresh: false, due: 0, data: undefined, outcome: 'end' };
  store.turn([{ ...ended, state: 'rolledBack' }], 0);
  store.enqueue([{ ...first!, change: 'f'.repeat(16) }], 0);
  store.signal([{ of: { change: first!.change }, facts: { report: 'timeOut' } }], 0);
  assert.deepEqual(store.turn([], 0)[0]!.facts, {});
  store.close();
});

test('a batch that was under way when the store was left is in doubt, and is run again', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rehome-engine-'));
  try {
    const path = join(folder, 'changes.db');
    const first = openChangeStore(path);
    first.enqueue(changes(3), 0);
    assert.equal(first.turn([], 0).length, 3);
    first.close();
    const second = openChangeStore(path);
    assert.equal(second.inDoubt, 3);
    assert.equal(second.state('0000000000000000')!.log.at(-1)!.what, 'in doubt');
    const claimed = second.turn([], 0);
    assert.deepEqual(
      claimed.map(({ attempt }) => attempt),
      [2, 2, 2],
    );
    second.close();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a feed is remembered as read in the transaction that keeps its facts', () => {
  const store = openChangeStore(':memory:');
  store.enqueue(changes(1), 0);
  store.signal([{ of: { change: '0000000000000000' }, facts: { a: 1 } }], 0, ['operator A', 7]);
  store.signal([{ of: { change: '0000000000000000' }, facts: { b: 'x' } }], 0, ['operator A', 9]);
  assert.equal(store.cursor('operator A'), 9);
  assert.equal(store.cursor('operator B'), 0);
  assert.deepEqual(store.turn([], 0)[0]!.facts, { a: 1, b: 'x' });
  store.close();
});

test('whatever the steps say, every change ends, exactly once, and none is left silent', async () => {
  const outcome = fc.constantFrom<'next' | 'wait' | 'retry' | 'back' | 'throw'>(
    'next',
    'wait',
    'retry',
    'back',
    'throw',
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(outcome, { minLength: 1, maxLength: 30 }),
      fc.integer({ min: 1, max: 20 }),
      async (script, count) => {
        const clock = new VirtualClock(0);
        const store = openChangeStore(':memory:');
        let turn = 0;
        const ended = new Map<string, number>();
        const engine = createChangeEngine({
          clock,
          store,
          observe: ({ change, state }) => {
            if (state !== undefined) ended.set(change, (ended.get(change) ?? 0) + 1);
          },
          methods: [
            method((step): Outcome => {
              const say = script[turn++ % script.length]!;
              if (say === 'throw' && turn < 200) throw new Error('a role is away');
              if (step === 'rollBack' && say !== 'wait' && say !== 'retry')
                return { go: 'end', state: 'rolledBack' };
              if (say === 'wait') return { go: 'wait', until: clock.now() + 10_000 };
              if (say === 'retry') return { go: 'retry', why: 'again' };
              if (say === 'back') return { go: 'back', why: 'no' };
              return { go: 'next' };
            }),
          ],
        });
        store.enqueue(changes(count), 0);
        engine.wake();
        assert.ok(await drive(clock, store));
        const { live, ended: counts } = store.counts();
        assert.equal(live, 0);
        assert.equal(counts.done + counts.rolledBack + counts.awaitingVisit, count);
        assert.deepEqual([...ended.values()], Array(count).fill(1));
        await engine.close();
        store.close();
      },
    ),
    { numRuns: 60 },
  );
});
