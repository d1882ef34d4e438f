/** Alternative 2 as a story: a person swaps the cards, and nobody is sent for nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseFaults } from '../../src/lab/faults.ts';
import { makeFleet } from '../../src/lab/fleet.ts';
import { runLab, type LabLine, type LabRun } from '../../src/lab/lab.ts';
import { PROFILES } from '../../src/lab/operators.ts';
import { noStore } from '../../src/lab/store.ts';
import type { World } from '../../src/lab/world.ts';
import { begin } from './story.ts';

const SEED = 11;

async function story(
  devices: number,
  fault: string | undefined,
  beforeVerdict?: (world: World) => void,
): Promise<LabRun & { lines: LabLine[] }> {
  const lines: LabLine[] = [];
  const run = await runLab({
    alternatives: ['2'],
    devices,
    seed: SEED,
    faults: parseFaults(fault === undefined ? [] : [fault]),
    // An HSS is silent for a day: no link to it is looked at meanwhile.
    patienceMs: 86_400_000,
    tell: (line) => lines.push(line),
    ...(beforeVerdict && { beforeVerdict }),
  });
  return { ...run, lines };
}

test('1. each device gets B’s card by one visit; A knew the old Ki, B alone knows the new one', async () => {
  const { result, complete, visits, knowers } = await story(3, undefined);
  assert.ok(complete);
  assert.equal(result.moved, 3);
  assert.deepEqual(visits, { '2': 3 });
  assert.deepEqual(knowers, { '2': { B: 3 } });
  assert.equal(result.alternatives['2']!.smsPerDevice, 0);
});

test('2. B’s HSS is silent: nobody is sent, everybody stays with A', async () => {
  const { result, visits, lines } = await story(3, 'target-down');
  assert.equal(result.rolledBack, 3);
  assert.deepEqual(visits, { '2': 0 });
  for (const line of lines) {
    if (line.type === 'ended') assert.match(line.why ?? '', /HSS of B does not answer/);
  }
});

test('3. B’s HSS falls silent when the cards are in: another visit puts the old ones back, a third B’s again', async () => {
  const { result, complete, visits, lines } = await story(4, 'target-down-late');
  assert.ok(complete, JSON.stringify(result));
  const back = lines.filter((line) => line.type === 'ended' && line.state === 'rolledBack').length;
  assert.ok(back > 0);
  assert.equal(result.moved, 4);
  assert.equal(visits['2'], 4 + 2 * back);
});

test('4. B’s card turns up in another device: refused, with an alarm that names the IMEI', async () => {
  const box = makeFleet(2, ['2'], SEED, PROFILES.A, PROFILES.B).box;
  const alarms: Record<string, unknown>[] = [];
  const thief: { imei?: string; stolen?: string } = {};
  const { result, complete } = await story(2, undefined, (world) => {
    const [first, second] = world.devices;
    thief.imei = first!.made.imei;
    thief.stolen = second!.iccid();
    const { card } = box.find(({ iccid }) => iccid === thief.stolen)!;
    // Out of the wall with the second device's card, and into the first.
    void second!.close();
    void first!.insert(card, noStore().card('device-1', 'stolen'));
    world.operators.B.follow(0, (events) => {
      alarms.push(...events.filter(({ kind }) => kind === 'alarm'));
    });
  });
  assert.equal(complete, false);
  assert.equal(result.stranded, 2, 'neither is heard');
  assert.ok(alarms.length > 0);
  assert.equal(String(alarms[0]!.imei).slice(0, 14), thief.imei!.slice(0, 14));
});

test('5. who got B’s card by hand goes back to A over the air, on the card that is in it now', async () => {
  const told = await begin(2, {}, { alternative: '2' });
  await told.pass(5);
  const old = told.device('device-1').iccid();
  assert.equal((await told.move('device-1', 'A', 'B')).state, 'done');
  const card = told.device('device-1').iccid();
  assert.notEqual(card, old);
  await told.pass(20);
  assert.equal((await told.heard('device-1'))?.operator, 'B');

  const { state, why } = await told.move('device-1', 'B', 'A', '3a');
  assert.deepEqual([state, why], ['done', undefined]);
  await told.pass(20);
  const heard = await told.heard('device-1');
  assert.equal(heard?.operator, 'A');
  assert.equal(heard?.imsi, told.device('device-1').imsi());
  assert.equal(told.device('device-1').iccid(), card);
  assert.equal((await told.heard('device-2'))?.operator, 'A', 'nobody ordered it');
  await told.end();
});

test('6. B’s card turns up in another device and is suspended; back where it belongs and resumed, it is heard again', async () => {
  const told = await begin(2, {}, { alternative: '2', onAlarm: 'suspend' });
  await told.pass(5);
  const { owner, operators } = told.world;
  const seen: string[] = [];
  const following = operators.B.follow(0, (events) => seen.push(...events.map(({ kind }) => kind)));
  assert.equal((await told.move('device-1', 'A', 'B')).state, 'done');
  await told.pass(20);
  const robbed = told.device('device-1');
  const thief = told.device('device-2');
  const iccid = robbed.iccid();
  const { card } = makeFleet(2, ['2'], 3, PROFILES.A, PROFILES.B).box.find((each) => each.iccid === iccid)!;

  robbed.powerOff();
  await told.ask(thief.insert(card, noStore().card('device-2', 'stolen')));
  await told.pass(20);
  assert.deepEqual(
    seen.filter((kind) => kind === 'alarm' || kind === 'suspended'),
    ['alarm', 'suspended'],
  );
  thief.powerOff();

  // Back in its device it is refused all the same, until its owner has said so.
  await told.ask(robbed.insert(card, noStore().card('device-1', iccid)));
  await told.pass(60);
  assert.equal(await told.heard('device-1'), null);
  const word = { device: 'device-1', suspend: false, reason: 'found, and put back' };
  assert.deepEqual(await told.ask(operators.B.suspend(await told.ask(owner.suspension([word])))), [
    { ok: true },
  ]);
  assert.ok(await told.until(() => seen.at(-1) === 'registered', 24 * 60), seen.join());
  await told.pass(20);
  assert.equal((await told.heard('device-1'))?.operator, 'B');
  following.close();
  await told.end();
});
