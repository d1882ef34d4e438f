/** The method of 2 by itself: whether a card is in the device is what the owner answers, not what his feed has told yet. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Change, Facts } from '../../src/change/change.ts';
import { createSwapMethod } from '../../src/change/swap/method.ts';
import type { OperatorClient } from '../../src/network/operator/client.ts';
import type { OwnerClient } from '../../src/network/owner/client.ts';

type Became = 'cancelled' | 'done' | 'none';

/** A roll-back whose owner answers that of the work order; and what owner and operators were asked. */
function method(became: Became): {
  rollBack: (data?: Facts, facts?: Facts) => Promise<object>;
  asked: string[];
} {
  const asked: string[] = [];
  const owner: Partial<OwnerClient> = {
    cancelWork: (changes) => {
      asked.push('cancel');
      return Promise.resolve(changes.map(() => became));
    },
    orderWork: (work) => {
      asked.push(...work.map(({ kind }) => kind));
      return Promise.resolve();
    },
  };
  const operator: Partial<OperatorClient> = {
    giveBack: (orders) => {
      asked.push('giveBack');
      return Promise.resolve(orders.map(() => ({ ok: true as const })));
    },
  };
  const operators = { A: operator as OperatorClient, B: operator as OperatorClient };
  const made = createSwapMethod({ parties: { owner: owner as OwnerClient, operators } });
  const change = (data: Facts, facts: Facts): Change => ({
    change: '00000000000000aa',
    device: 'd',
    alternative: '2',
    from: 'A',
    to: 'B',
    step: 'rollBack',
    attempt: 1,
    since: 1000,
    overdue: false,
    data: { order: 'x', imsi: '001020000000001', iccid: '8999900200000000018', ...data },
    facts,
  });
  return {
    async rollBack(data = { sent: true }, facts = {}) {
      return (await made.run('rollBack', [change(data, facts)]))[0]!;
    },
    asked,
  };
}

test('a card that was scanned, of which the feed does not tell yet, is fetched back before it is given back', async () => {
  const { rollBack, asked } = method('done');
  const first = (await rollBack()) as { go: string; data: Facts };
  assert.deepEqual(asked, ['cancel', 'restore']);
  assert.equal(first.go, 'wait');
  assert.deepEqual(first.data, { restoring: true, stopped: true, paired: true });
  // It is on file, and asked no more; the feed is still late.
  const again = (await rollBack({ sent: true, ...first.data })) as { go: string };
  assert.deepEqual([again.go, asked.includes('giveBack')], ['wait', false]);
  const home = { 'paired restore': 2000, 'heard A': { at: 3000, imsi: '001010000000001' } };
  assert.deepEqual(await rollBack({ sent: true, ...first.data }, home), { go: 'end', state: 'rolledBack' });
  assert.deepEqual(asked, ['cancel', 'restore', 'giveBack']);
});

for (const became of ['cancelled', 'none'] as const) {
  test(`a card whose work order is answered by ${became} is in no device, and is given back at once`, async () => {
    const { rollBack, asked } = method(became);
    const data = { stopped: true, paired: false };
    assert.deepEqual(await rollBack(), { go: 'end', state: 'rolledBack', data });
    assert.deepEqual(asked, ['cancel', 'giveBack']);
  });
}

test('a work order of which no answer came is called off too', async () => {
  const { rollBack, asked } = method('done');
  await rollBack({});
  assert.deepEqual(asked, ['cancel', 'restore']);
});
