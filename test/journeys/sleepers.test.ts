/** Devices that sleep, for a day or for ever, when they are ordered or while they are moved. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OperatorClient } from '../../src/network/operator/client.ts';
import type { LabDevice } from '../../src/lab/device.ts';
import { begin, type Story } from './story.ts';

const NAME = 'device-1';
const DAY = 24 * 60;

/** Sleeps since before it was ordered; as soon as it wakes, what waited for it comes. */
async function asleep(
  setting: Parameters<typeof begin>[2] = {},
): Promise<{ story: Story; device: LabDevice; messages: () => number }> {
  const story = await begin(1, {}, { long: true, ...setting });
  await story.pass(5);
  const device = story.device(NAME);
  device.powerOff();
  await story.pass(10);
  const before = story.world.traffic['3b'].sms;
  return { story, device, messages: () => story.world.traffic['3b'].sms - before };
}

/** The battery is flat as soon as the device was heard over B: COMMIT cannot reach it. */
async function diesAtB(): Promise<Story> {
  const story = await begin(1, {}, { long: true });
  await story.pass(5);
  const following = story.world.owner.follow(0, (events) => {
    if (!events.some(({ kind, operator }) => kind === 'heard' && operator === 'B')) return;
    following.close();
    story.device(NAME).powerOff();
  });
  return story;
}

test('a device that sleeps for a day is moved when it wakes, by one SWITCH and one COMMIT', async () => {
  const { story, device, messages } = await asleep();
  const ordered = await story.order(NAME, 'A', 'B');
  story.begin(ordered);
  await story.pass(DAY);
  assert.deepEqual([story.standing(ordered.change).step, messages()], ['deliver', 0]);
  assert.equal(story.submitted('A'), 1, 'the service centre keeps it; nobody sends it again');
  device.powerOn();
  assert.equal((await story.ending(ordered.change, 1)).state, 'done');
  await story.pass(DAY);
  assert.deepEqual([messages(), device.switches], [2, 1]);
  assert.equal((await story.heard(NAME))?.operator, 'B');
  await story.end();
});

test('a device that sleeps for five weeks lives on A when it wakes, and its card has done nothing', async () => {
  const { story, device } = await asleep();
  const ordered = await story.order(NAME, 'A', 'B');
  story.begin(ordered);
  await story.pass(35 * DAY);
  assert.deepEqual([story.standing(ordered.change).step, device.switches], ['rollBack', 0]);
  // With an order that is older than its thirty days, B's part is undone all the same.
  device.powerOn();
  const { state, why } = await story.ending(ordered.change, 2);
  assert.equal(state, 'rolledBack');
  assert.match(why ?? '', /SWITCH/);
  await story.pass(2 * DAY);
  assert.equal(device.switches, 0, 'no late SWITCH');
  assert.equal((await story.heard(NAME))?.operator, 'A');
  await story.end();
});

test('a SWITCH that A takes back while the device sleeps never reaches it', async () => {
  const { story, device, messages } = await asleep();
  const ordered = await story.order(NAME, 'A', 'B');
  story.begin(ordered);
  await story.pass(30);
  assert.equal(story.submitted('A'), 1);
  await story.ask(story.world.operators.A.stop([ordered.order]));
  device.powerOn();
  await story.pass(30);
  assert.deepEqual([messages(), device.switches], [1, 0], 'CANCEL alone');
  assert.equal((await story.heard(NAME))?.operator, 'A');
  await story.end();
});

test('heard over A is not enough: the way back ends when the card has answered A’s CANCEL', async () => {
  let real: OperatorClient['stop'] | undefined;
  const { story, device } = await asleep({
    hearing: ({ owner, operators: { A, B } }) => {
      real = A!.stop.bind(A);
      // Taken, and lost on the way to the card.
      const stop: OperatorClient['stop'] = (orders) => Promise.resolve(orders.map(() => ({ ok: true })));
      return { owner, operators: { A: { ...A!, stop }, B: B! } };
    },
  });
  const ordered = await story.order(NAME, 'A', 'B');
  story.begin(ordered);
  await story.until(() => story.standing(ordered.change).step === 'rollBack', 31 * DAY);
  await story.pass(DAY);
  device.powerOn();
  await story.pass(DAY);
  assert.equal((await story.heard(NAME))?.operator, 'A');
  assert.equal(story.standing(ordered.change).state, 'live');
  await story.ask(real!([ordered.order]));
  assert.equal((await story.ending(ordered.change, 1)).state, 'rolledBack');
  await story.end();
});

test('a battery that dies for good before COMMIT: few messages, and in the end a visit', async () => {
  const story = await diesAtB();
  const ordered = await story.order(NAME, 'A', 'B');
  story.begin(ordered);
  await story.until(() => story.standing(ordered.change).step === 'confirm', DAY);
  await story.pass(3 * DAY);
  assert.ok(story.submitted('B') > 0, 'COMMIT was asked for');
  assert.ok(story.submitted('B') <= 8, `${story.submitted('B')} messages for one sleeping device`);
  const { state, why } = await story.ending(ordered.change, 150);
  assert.deepEqual([state, why], ['awaitingVisit', 'no answer to COMMIT']);
  assert.ok(story.submitted('B') <= 60, `${story.submitted('B')} messages in four months`);
  await story.end();
});

test('a battery that is replaced after five weeks, in the trial: COMMIT and retirement with an order of then', async () => {
  const story = await diesAtB();
  const ordered = await story.order(NAME, 'A', 'B');
  story.begin(ordered);
  await story.pass(35 * DAY);
  assert.equal(story.standing(ordered.change).step, 'confirm');
  const [late] = await story.ask(story.world.operators.B.reserve([ordered.order]));
  assert.match((late as { error: string }).error, /order: expired/);
  story.device(NAME).powerOn();
  assert.equal((await story.ending(ordered.change, 3)).state, 'done');
  await story.pass(120);
  assert.equal((await story.heard(NAME))?.operator, 'B');
  await story.end();
});
