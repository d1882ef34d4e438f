import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import {
  DCS_CARD,
  PID_CARD,
  decodeCp,
  decodeRp,
  decodeTpduFromDevice,
  encodeCp,
  encodeRp,
  encodeTpdu,
  international,
  type CpMessage,
  type RpMessage,
  type SmsDeliver,
} from '../../../src/standards/sms/index.ts';
import { DURATION } from '../../../src/device/modem/index.ts';
import { attached, settle, type World } from './world.ts';

const CENTRE = international('491700000');

const deliver: SmsDeliver = {
  type: 'deliver',
  moreMessages: false,
  originator: international('4917'),
  pid: PID_CARD,
  dcs: DCS_CARD,
  timeStamp: { time: Date.UTC(2026, 0, 1), zone: 0 },
  userData: { header: [{ iei: 0x70, data: new Uint8Array() }], data: fromHex('00112233') },
};

let reference = 0;

function send(world: World, tpdu: Uint8Array, transaction = 0): Uint8Array {
  const rp = encodeRp({
    type: 'data',
    toDevice: true,
    reference: reference++ % 256,
    originator: CENTRE,
    tpdu,
  });
  const container = encodeCp({ transaction, fromInitiator: true, type: 'data', rp });
  world.net.send({ type: 'downlinkNasTransport', nasMessageContainer: container });
  return container;
}

const uplink = (world: World): CpMessage[] =>
  world.net.heard
    .filter((one) => one.type === 'uplinkNasTransport')
    .map(({ nasMessageContainer }) => decodeCp(nasMessageContainer));

function report(world: World): RpMessage {
  const data = uplink(world).findLast(({ type }) => type === 'data');
  assert.ok(data?.type === 'data' && !data.fromInitiator);
  return decodeRp(data.rp);
}

test('for the card: SMS-PP DOWNLOAD, and its answer in the deliver report', async (t) => {
  const world = await attached(t);
  const tpdu = encodeTpdu(deliver);
  world.card.download = () => ({ data: fromHex('027100' + '000eabcdef'), sw: 0x9000 });
  send(world, tpdu);
  await settle();
  assert.deepEqual(world.card.envelopes, [
    { type: 'smsPpDownload', address: { tonNpi: 0x91, digits: '491700000' }, tpdu },
  ]);
  assert.equal(uplink(world)[0]!.type, 'ack');
  const rp = report(world);
  assert.ok(rp.type === 'ack' && rp.tpdu);
  const answer = decodeTpduFromDevice(rp.tpdu);
  assert.ok(answer.type === 'deliverReport');
  assert.deepEqual([answer.pid, answer.dcs], [PID_CARD, DCS_CARD]);
  assert.equal(answer.userData!.header[0]!.iei, 0x71);
  assert.equal(toHex(answer.userData!.data), '000eabcdef');
});

test('a card that refuses: RP-ERROR with its data, or that it is busy', async (t) => {
  for (const [sw, data, fcs] of [
    [0x6200, '0102', 0xd5],
    [0x6f00, '', 0xd5],
    [0x9300, '', 0xd4],
  ] as const) {
    const world = await attached(t);
    world.card.download = () => ({ data: fromHex(data), sw });
    send(world, encodeTpdu(deliver));
    await settle();
    const rp = report(world);
    assert.ok(rp.type === 'error' && rp.tpdu);
    const answer = decodeTpduFromDevice(rp.tpdu, true);
    assert.ok(answer.type === 'deliverReport');
    assert.equal(answer.cause, fcs);
    assert.equal(answer.userData ? toHex(answer.userData.data) : '', data);
  }
});

test('the same message again is answered again and not carried out twice', async (t) => {
  const world = await attached(t);
  const container = send(world, encodeTpdu(deliver));
  await settle();
  const first = report(world);
  world.net.send({ type: 'downlinkNasTransport', nasMessageContainer: container });
  await settle();
  assert.equal(world.card.envelopes.length, 1);
  assert.deepEqual(
    uplink(world).map(({ type }) => type),
    ['ack', 'data', 'ack', 'data'],
  );
  assert.deepEqual(report(world), first);
});

test('an unacknowledged report is repeated, an acknowledged one is not', async (t) => {
  const world = await attached(t);
  send(world, encodeTpdu(deliver));
  await settle();
  const count = (): number => uplink(world).filter(({ type }) => type === 'data').length;
  await world.pass(DURATION.tc1);
  assert.equal(count(), 2);
  const ack = encodeCp({ transaction: 0, fromInitiator: true, type: 'ack' });
  world.net.send({ type: 'downlinkNasTransport', nasMessageContainer: ack });
  await settle();
  await world.pass(5 * DURATION.tc1);
  assert.equal(count(), 2);
});

test('what is not for the card is acknowledged and shown', async (t) => {
  const world = await attached(t);
  const tpdu = encodeTpdu({ ...deliver, pid: 0, dcs: 0, userData: { header: [], data: fromHex('4142') } });
  send(world, tpdu);
  await settle();
  assert.equal(world.card.envelopes.length, 0);
  assert.equal(report(world).type, 'ack');
  assert.deepEqual(world.events.at(-1), { type: 'sms', direction: 'toDevice', tpdu });
});

test('garbage is refused in its own layer', async (t) => {
  const world = await attached(t);
  send(world, fromHex('04ff'));
  await settle();
  const rp = report(world);
  assert.ok(rp.type === 'error');
  assert.equal(rp.cause, 96);
  for (const [container, want] of [
    ['0901', 'error'],
    ['0933', 'error'],
    ['3901020000', 'data'],
  ] as const) {
    const before = uplink(world).length;
    world.net.send({ type: 'downlinkNasTransport', nasMessageContainer: fromHex(container) });
    await settle();
    assert.equal(uplink(world).slice(before).at(-1)!.type, want, container);
  }
  assert.equal(world.seen('fault'), 0);
});
