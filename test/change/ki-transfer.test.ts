/** The method of 3a by itself: what it records before a key leaves, and how many changes have keys under way. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Change, Outcome, Step } from '../../src/change/change.ts';
import { createKiTransferMethod } from '../../src/change/ki-transfer/method.ts';
import type { Parties } from '../../src/change/parties.ts';
import { VirtualClock } from '../../src/lab/clock.ts';
import type { OperatorClient } from '../../src/network/operator/client.ts';

const ok = (requests: readonly unknown[]): Promise<{ ok: true }[]> =>
  Promise.resolve(requests.map(() => ({ ok: true as const })));

/** A method whose operators say yes to everything, unless told otherwise; and what they were asked. */
function method(
  wave: number,
  a: Partial<OperatorClient> = {},
  b: Partial<OperatorClient> = {},
): { run: (step: Step, changes: Change[]) => Promise<Outcome[]>; asked: string[] } {
  const asked: string[] = [];
  const operator = (name: string, own: Partial<OperatorClient>): OperatorClient =>
    new Proxy(own, {
      get: (target, verb: keyof OperatorClient) => (requests: readonly never[]) => {
        asked.push(`${name} ${verb} ${requests.length}`);
        return ((target[verb] ?? ok) as (requests: readonly never[]) => unknown)(requests);
      },
    }) as OperatorClient;
  const transfer: OperatorClient['transfer'] = (orders) =>
    Promise.resolve(orders.map(() => ({ transfer: 'wrapped' })));
  const destroy: OperatorClient['destroy'] = (orders) =>
    Promise.resolve(orders.map((order) => ({ receipt: `receipt of ${order}` })));
  const operators = { A: operator('A', { transfer, ...a }), B: operator('B', { destroy, ...b }) };
  const made = createKiTransferMethod({
    clock: new VirtualClock(1000),
    parties: { owner: {} as Parties['owner'], operators },
    wave,
  });
  return { run: (step, changes) => made.run(step, changes), asked };
}

const change = (name: string, data: Change['data'] = {}): Change => ({
  change: name,
  device: name,
  alternative: '3a',
  from: 'A',
  to: 'B',
  step: 'prepare',
  attempt: 1,
  since: 1000,
  overdue: false,
  data: { order: name, imsi: '001020000000001', fallback: false, wayBack: 'back', reachedAt: 900, ...data },
  facts: { 'proof reach A': 'done' },
});

test('that keys are about to leave is on file before they do', async () => {
  const { run, asked } = method(10);
  const [first] = await run('prepare', [change('1')]);
  assert.deepEqual(first, { go: 'wait', until: 1000, data: { releasing: true } });
  assert.ok(!asked.some((each) => each.includes('transfer')));
  const [second] = await run('prepare', [change('1', { releasing: true })]);
  assert.equal(second?.go, 'next');
  assert.deepEqual(second?.data, { transferred: true });
});

test('whatever became of the transfer, the way back has B destroy what it may have, and A told', async () => {
  const { run, asked } = method(10, {}, { takeIn: () => Promise.reject(new Error('hung up')) });
  await assert.rejects(run('prepare', [change('1', { releasing: true })]));
  const [end] = await run('rollBack', [change('1', { releasing: true })]);
  assert.deepEqual(end, { go: 'end', state: 'rolledBack' });
  assert.deepEqual(asked.slice(-3), ['B destroy 1', 'A exposed 1', 'B undo 1']);
});

test('keys that A never came to release need no receipt; other refusals are asked again', async () => {
  const refusing = (code: string): Partial<OperatorClient> => ({
    exposed: () => Promise.resolve([{ error: code, code }]),
  });
  const [none] = await method(10, refusing('not-given')).run('rollBack', [change('1', { releasing: true })]);
  assert.equal(none?.go, 'end');
  const { run, asked } = method(10, refusing('failed'));
  const [again] = await run('rollBack', [change('1', { releasing: true })]);
  assert.equal(again?.go, 'retry');
  assert.ok(!asked.some((each) => each.includes('undo')), 'B’s subscription stays until A has the receipt');
  const [never] = await method(10, refusing('failed')).run('rollBack', [change('1')]);
  assert.equal(never?.go, 'end', 'nothing was to leave A');
});

test('no more changes than a wave have keys under way; an end makes room, a lost device does not', async () => {
  const { run, asked } = method(2);
  const three = ['1', '2', '3'].map((name) => change(name));
  const outcomes = await run('prepare', three);
  const first = outcomes.map(({ data }) => data?.releasing === true);
  assert.deepEqual(first, [true, true, false]);
  const released = [change('1', { releasing: true }), change('2', { releasing: true })];
  await run('prepare', released);
  assert.ok(asked.includes('A transfer 2'));
  const waits = async (): Promise<boolean> => (await run('prepare', [change('3')]))[0]?.data === undefined;
  assert.ok(await waits());
  const lost = { ...change('1', { releasing: true, sent: true }), overdue: true };
  assert.deepEqual(await run('rollBack', [lost]), [{ go: 'end', state: 'awaitingVisit' }]);
  assert.ok(await waits(), 'lost devices stop a campaign');
  assert.equal((await run('rollBack', [released[1]!]))[0]?.go, 'end');
  assert.ok(!(await waits()));
});

test('a card whose ISIM refuses is called back at once; one that took it is waited for', async () => {
  const outcome = async (facts: Change['facts'], data: Change['data'] = {}): Promise<Outcome> => {
    const { run } = method(10);
    const one = { ...change('1', { sent: true, writtenAt: 900, ...data }), step: 'switch' as const, facts };
    return (await run('switch', [one]))[0]!;
  };
  for (const [facts, go] of [
    [{}, 'wait'],
    [{ 'proof write-isim A': 'refused' }, 'back'],
    [{ 'proof write-isim A': 'done' }, 'wait'],
    [{ 'proof write-isim A': 'done', 'proof write A': 'refused' }, 'back'],
    // Of an earlier try: what is asked of the card now is the ISIM's part.
    [{ 'proof write-isim A': 'unproven', 'proof write A': 'refused' }, 'wait'],
    [{ 'proof write A': 'refused' }, 'back'],
    [{ 'registered B': 950, 'proof write-isim A': 'refused' }, 'next'],
  ] as const) {
    assert.equal((await outcome(facts)).go, go, JSON.stringify(facts));
  }
  // Nothing is known of it after a while: it is asked again.
  const { run, asked } = method(10);
  const silent = { ...change('1', { sent: true, writtenAt: 1000 - 86_400_000, reservation: 'r' }) };
  await run('switch', [{ ...silent, step: 'switch', facts: { 'proof write-isim A': 'unproven' } }]);
  assert.deepEqual(asked, ['A write 1']);
});

test('a process that comes later counts those that were under way when they next run', async () => {
  const { run } = method(1);
  await run('confirm', [{ ...change('1', { releasing: true }), step: 'confirm' }]);
  assert.equal((await run('prepare', [change('2')]))[0]?.data, undefined);
});
