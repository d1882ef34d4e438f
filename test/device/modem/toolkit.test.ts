import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import { decodeCp, decodeRp, encodeCp, encodeRp, international } from '../../../src/standards/sms/index.ts';
import {
  EF_EPSLOCI,
  EF_IMSI,
  EVENT,
  LOCAL_INFORMATION,
  LOCATION_STATUS,
  REFRESH,
  RESULT,
  type ProactiveCommand,
} from '../../../src/standards/uicc/index.ts';
import { IMEI, IMSI, attached, makeWorld, settle, type World } from './world.ts';

const MINUTE = 60_000;

/** The card asks for these when it is started. */
async function asking(t: Parameters<typeof attached>[0], ...commands: ProactiveCommand[]): Promise<World> {
  const world = await makeWorld(t);
  world.card.proactive.push(...commands);
  await world.modem.powerOn();
  await settle();
  return world;
}

test('carries out what it can, and says so of the rest', async (t) => {
  const { card } = await asking(
    t,
    { type: 'moreTime', number: 1 },
    { type: 'pollingOff', number: 2 },
    { type: 'displayText', number: 3, dcs: 4, text: fromHex('41'), qualifier: 0 },
    {
      type: 'other',
      number: 4,
      details: { number: 4, type: 0x15, qualifier: 0 },
      destination: 0x82,
      objects: [],
    },
    { type: 'provideLocalInformation', number: 5, what: LOCAL_INFORMATION.imei },
    { type: 'provideLocalInformation', number: 6, what: LOCAL_INFORMATION.dateTime },
    { type: 'provideLocalInformation', number: 7, what: LOCAL_INFORMATION.location },
    { type: 'timerManagement', number: 8, timer: 1, action: 'currentValue' },
    { type: 'moreTime', number: 9, extra: [{ tag: 0x33, required: true, value: fromHex('00') }] },
  );
  assert.deepEqual(
    card.responses.map(({ command, result }) => [command.number, result]),
    [
      [1, RESULT.ok],
      [2, RESULT.ok],
      [3, RESULT.beyondCapabilities],
      [4, RESULT.beyondCapabilities],
      [5, RESULT.ok],
      [6, RESULT.ok],
      [7, RESULT.terminalUnable],
      [8, RESULT.timerContradiction],
      [9, RESULT.dataNotUnderstood],
    ],
  );
  assert.equal(card.responses[4]!.imei, IMEI);
  // 2026-01-01 00:00:00, UTC.
  assert.equal(toHex(card.responses[5]!.dateTime!), '62101000000000');
  // Asked before it was registered: no service.
  assert.equal(toHex(card.responses[6]!.additional!), '04');
});

test('timers: run out with an envelope, tell what is left, stop', async (t) => {
  const { card, pass } = await asking(
    t,
    { type: 'timerManagement', number: 1, timer: 1, action: 'start', seconds: 3600 },
    { type: 'timerManagement', number: 2, timer: 2, action: 'start', seconds: 600 },
    { type: 'timerManagement', number: 3, timer: 3, action: 'start', seconds: 600 },
    { type: 'pollInterval', number: 4, interval: { unit: 'seconds', value: 60 } },
  );
  card.proactive.push(
    { type: 'timerManagement', number: 5, timer: 1, action: 'currentValue' },
    { type: 'timerManagement', number: 6, timer: 2, action: 'deactivate' },
    { type: 'pollingOff', number: 7 },
  );
  await pass(MINUTE);
  assert.equal(card.responses.find(({ command }) => command.number === 5)!.seconds, 3540);
  assert.equal(card.responses.find(({ command }) => command.number === 6)!.seconds, 540);
  const { statuses } = card;
  await pass(60 * MINUTE);
  assert.equal(card.statuses, statuses);
  assert.deepEqual(
    card.envelopes.filter(({ type }) => type === 'timerExpiration'),
    [
      { type: 'timerExpiration', timer: 3, seconds: 600 },
      { type: 'timerExpiration', timer: 1, seconds: 3600 },
    ],
  );
});

test('polls the card as often as it asks', async (t) => {
  const { card, pass } = await asking(t, {
    type: 'pollInterval',
    number: 1,
    interval: { unit: 'minutes', value: 1 },
  });
  const { statuses } = card;
  await pass(5 * MINUTE);
  assert.equal(card.statuses, statuses + 5);
  assert.deepEqual(card.responses[0]!.interval, { unit: 'minutes', value: 1 });
});

test('tells the location status only to a card that asked', async (t) => {
  const { card } = await asking(t, { type: 'setUpEventList', number: 1, events: [EVENT.locationStatus] });
  assert.deepEqual(card.envelopes, [
    { type: 'locationStatus', status: LOCATION_STATUS.normal, location: { plmn: '00199', code: 1 } },
  ]);
  const other = await attached(t);
  assert.deepEqual(other.card.envelopes, []);
});

for (const mode of [REFRESH.uiccReset, REFRESH.applicationReset, REFRESH.sessionReset, REFRESH.init]) {
  test(`REFRESH ${mode} with another IMSI: leaves, reads, comes back as the other`, async (t) => {
    const world = await asking(t, {
      type: 'pollInterval',
      number: 1,
      interval: { unit: 'minutes', value: 1 },
    });
    const { card, net, modem, events, pass } = world;
    card.put(EF_IMSI, '001020000000002');
    card.put(EF_EPSLOCI, { status: 1 });
    card.proactive.push({ type: 'refresh', number: 2, mode });
    await pass(MINUTE);
    assert.equal(net.last('detachRequest')!.detachType, 9);
    assert.deepEqual(net.last('attachRequest')!.epsMobileIdentity, {
      kind: 'imsi',
      digits: '001020000000002',
    });
    assert.deepEqual([modem.state.emm, modem.state.imsi], ['registered', '001020000000002']);
    assert.deepEqual(
      events.filter(({ type }) => type !== 'plainNas').map(({ type }) => type),
      ['attached', 'refresh', 'detached', 'attached'],
    );
    assert.equal(card.resets, mode === REFRESH.uiccReset ? 2 : 1);
    // A reset leaves nobody who waits for a response.
    assert.equal(
      card.responses.some(({ command }) => command.number === 2),
      mode !== REFRESH.uiccReset,
    );
  });
}

test('REFRESH with file change alone leaves the registration as it is', async (t) => {
  const { card, net, modem } = await asking(t, {
    type: 'refresh',
    number: 1,
    mode: REFRESH.fileChange,
    files: [[0x3f00, 0x7fff, 0x6f46]],
  });
  await settle();
  assert.equal(net.count('detachRequest'), 0);
  assert.deepEqual([modem.state.emm, modem.state.imsi], ['registered', IMSI]);
  assert.equal(card.responses[0]!.result, RESULT.ok);
});

test('SEND SHORT MESSAGE: relayed, acknowledged, responded to; envelopes wait meanwhile', async (t) => {
  const world = await asking(
    t,
    { type: 'setUpEventList', number: 1, events: [EVENT.locationStatus] },
    { type: 'pollInterval', number: 2, interval: { unit: 'minutes', value: 1 } },
  );
  const { card, net, events, pass } = world;
  const tpdu = fromHex('01000a91214365870900f60161');
  card.proactive.push({
    type: 'sendShortMessage',
    number: 3,
    tpdu,
    address: { tonNpi: 0x91, digits: '4912345' },
  });
  await pass(MINUTE);
  const cp = decodeCp(net.last('uplinkNasTransport')!.nasMessageContainer);
  assert.ok(cp.type === 'data' && cp.fromInitiator);
  const rp = decodeRp(cp.rp);
  assert.ok(rp.type === 'data' && !rp.toDevice);
  assert.deepEqual([rp.destination, toHex(rp.tpdu)], [international('4912345'), toHex(tpdu)]);
  assert.equal(
    card.responses.some(({ command }) => command.number === 3),
    false,
  );

  const reply = (message: Parameters<typeof encodeCp>[0]): void =>
    net.send({ type: 'downlinkNasTransport', nasMessageContainer: encodeCp(message) });
  reply({ transaction: cp.transaction, fromInitiator: false, type: 'ack' });
  const ack = encodeRp({ type: 'ack', toDevice: true, reference: rp.reference });
  reply({ transaction: cp.transaction, fromInitiator: false, type: 'data', rp: ack });
  await settle();
  assert.equal(card.responses.find(({ command }) => command.number === 3)!.result, RESULT.ok);
  assert.deepEqual(events.at(-1), { type: 'sms', direction: 'fromCard', delivered: true });
  // The last word is ours: CP-ACK.
  assert.deepEqual(decodeCp(net.last('uplinkNasTransport')!.nasMessageContainer), {
    transaction: cp.transaction,
    fromInitiator: true,
    type: 'ack',
  });
});

test('SEND SHORT MESSAGE unanswered: sent three times, then the card is told', async (t) => {
  const world = await asking(t, { type: 'pollInterval', number: 1, interval: { unit: 'minutes', value: 1 } });
  const { card, net, pass } = world;
  const tpdu = fromHex('01000a91214365870900f60161');
  card.proactive.push({ type: 'sendShortMessage', number: 2, tpdu, address: { tonNpi: 0x91, digits: '49' } });
  await pass(4 * MINUTE);
  assert.equal(card.responses.at(-1)!.result, RESULT.networkUnable);
  const references = net.heard
    .filter((one) => one.type === 'uplinkNasTransport')
    .map(({ nasMessageContainer }) => decodeCp(nasMessageContainer))
    .map((cp) => (cp.type === 'data' ? decodeRp(cp.rp).reference : -1));
  // Three attempts, each with two repetitions of its CP-DATA.
  assert.deepEqual(references, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
});

test('SEND SHORT MESSAGE without service is refused at once', async (t) => {
  const world = await makeWorld(t);
  world.net.onAttach = () => {
    world.net.send({ type: 'attachReject', emmCause: 3 }, 0);
    return true;
  };
  world.card.proactive.push({ type: 'pollInterval', number: 1, interval: { unit: 'minutes', value: 1 } });
  await world.modem.powerOn();
  await settle();
  const tpdu = fromHex('01000a91214365870900f60161');
  world.card.proactive.push({
    type: 'sendShortMessage',
    number: 2,
    tpdu,
    address: { tonNpi: 0x91, digits: '49' },
  });
  await world.pass(MINUTE);
  assert.deepEqual(
    world.card.responses.map(({ result, additional }) => [result, additional && toHex(additional)]).at(-1),
    [RESULT.terminalUnable, '04'],
  );
});
