/**
 * The life of one device under alternative 3b, as a story: attached to A, moved to B, back to A, to B again,
 * until its list is at its end; with a refused trial in between.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { begin } from './story.ts';

test('a device lives on A, is moved to B and on, until its list is at its end', async (t) => {
  const story = await begin(1);
  const device = 'device-1';
  await t.test('1. it attaches with its real card, and its application is heard over A', async () => {
    await story.pass(5);
    assert.deepEqual((await story.heard(device))?.operator, 'A');
  });
  await t.test('2. its owner orders it to B: six steps, two short messages, and B hears it', async () => {
    const { state, steps } = await story.move(device, 'A', 'B');
    assert.equal(state, 'done');
    assert.deepEqual(steps, ['reserve', 'prepare', 'deliver', 'switch', 'confirm', 'retire']);
    assert.equal(story.sms, 2);
    assert.equal((await story.heard(device))?.operator, 'B');
    assert.match((await story.heard(device))!.imsi, /^00102/);
  });
  await t.test(
    '3. it goes back to A, as any operator is A in one change and B in another: index 2',
    async () => {
      const { state, why } = await story.move(device, 'B', 'A');
      assert.equal(state, 'done', why);
      assert.equal((await story.heard(device))?.operator, 'A');
    },
  );
  await t.test(
    '4. B’s network refuses it on trial: the card comes back to A by itself, and says so',
    async () => {
      story.faults.cause = 8;
      const { state, why } = await story.move(device, 'A', 'B');
      assert.equal(state, 'rolledBack');
      assert.match(why ?? '', /fell back: rejected/);
      delete story.faults.cause;
      await story.pass(20);
      assert.equal((await story.heard(device))?.operator, 'A');
    },
  );
  await t.test(
    '5. indexes 1 and 2 are used, 3 is burnt: the list is exhausted, said before anything moves',
    async () => {
      const { state, why, steps } = await story.move(device, 'A', 'B');
      assert.equal(state, 'rolledBack');
      assert.match(why ?? '', /list of 4 pairs is exhausted, 1 of them burnt/);
      assert.deepEqual(steps, ['reserve']);
      assert.equal(story.sms, 0);
      await story.pass(20);
      assert.equal((await story.heard(device))?.operator, 'A');
    },
  );
  await story.end();
});

test('commit-on-AKA: one short message a change, and the card stays', async () => {
  const story = await begin(1, { commitOnAka: true });
  await story.pass(5);
  const { state } = await story.move('device-1', 'A', 'B');
  assert.equal(state, 'done');
  assert.equal(story.sms, 1);
  // Beyond the trial time: a card that had not committed would be back at A.
  await story.pass(150);
  assert.equal((await story.heard('device-1'))?.operator, 'B');
  await story.end();
});

test('commit-on-AKA: B’s HSS falls silent for two hours as soon as the card has authenticated there', async () => {
  const story = await begin(1, { commitOnAka: true, trialSeconds: 120 });
  await story.pass(5);
  const following = story.world.operators.B.follow(0, (events) => {
    if (!events.some(({ kind }) => kind === 'authenticated')) return;
    following.close();
    story.world.setTargetDown(true);
    story.world.clock.after(2 * 3_600_000, () => story.world.setTargetDown(false));
  });
  // The card is B's for good from then on, whatever the change believes meanwhile.
  const { state } = await story.move('device-1', 'A', 'B');
  assert.equal(state, 'done');
  await story.pass(60);
  assert.equal((await story.heard('device-1'))?.operator, 'B');
  await story.end();
});

test('after the commit B may fall silent for a day: the card does not go back', async () => {
  const story = await begin(2, {}, { long: true });
  await story.pass(5);
  for (const device of ['device-1', 'device-2']) {
    assert.equal((await story.move(device, 'A', 'B')).state, 'done');
  }
  story.world.setTargetDown(true);
  await story.pass(24 * 60);
  story.world.setTargetDown(false);
  await story.pass(60);
  for (const device of ['device-1', 'device-2']) assert.equal((await story.heard(device))?.operator, 'B');
  await story.end();
});

test('B hears the device but its COMMIT cannot be delivered: the card falls back, and the change with it', async () => {
  const story = await begin(1, { trialSeconds: 600 });
  await story.pass(5);
  // The HSS hangs as soon as the device has registered: the service centre learns no route for the COMMIT.
  story.on = ({ step, outcome }) => {
    if (step !== 'switch' || outcome !== 'next') return;
    story.world.setTargetDown(true);
    story.world.clock.after(4 * 3_600_000, () => story.world.setTargetDown(false));
  };
  const { state, why } = await story.move('device-1', 'A', 'B');
  assert.equal(state, 'rolledBack');
  assert.match(why ?? '', /fell back: timeOut|back at the old operator/);
  await story.pass(5 * 60);
  assert.equal((await story.heard('device-1'))?.operator, 'A');
  await story.end();
});
