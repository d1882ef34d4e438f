import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import { decodeNas, encodeNas, type SecurityCapability } from '../../../src/standards/nas/index.ts';
import { EF_EPSLOCI, EF_EPSNSC, EF_FPLMN } from '../../../src/standards/uicc/index.ts';
import { DURATION } from '../../../src/device/modem/index.ts';
import { IMEI, IMSI, attached, makeWorld, settle, type World } from './world.ts';

const MINUTE = 60_000;

test('attaches with its IMSI, is authenticated, and says the rest in cipher', async (t) => {
  const heartbeat = { intervalMs: MINUTE, payload: (n: number) => Uint8Array.of(n) };
  const { net, modem, card, events, pass } = await attached(t, { cardApn: 'meter', heartbeat });
  assert.deepEqual(modem.state, {
    emm: 'registered',
    iccid: '89882110000000000001',
    imsi: IMSI,
    plmn: '00199',
  });
  const request = net.last('attachRequest')!;
  assert.deepEqual(request.epsMobileIdentity, { kind: 'imsi', digits: IMSI });
  assert.equal(request.nasKeySetIdentifier, 7);
  // The access point name was not told before security ran.
  assert.ok(!toHex(request.esmMessageContainer).includes(toHex(new TextEncoder().encode('meter'))));
  assert.equal(net.last('esmInformationResponse')!.accessPointName, 'meter');
  assert.deepEqual(net.last('securityModeComplete')!.imeisv, {
    kind: 'imeisv',
    digits: `${IMEI.slice(0, 14)}01`,
  });
  const complete = decodeNas(net.last('attachComplete')!.esmMessageContainer, 'uplink');
  assert.equal(complete.type, 'activateDefaultEpsBearerContextAccept');
  assert.deepEqual(
    events.find(({ type }) => type === 'attached'),
    { type: 'attached', imsi: IMSI, plmn: '00199' },
  );

  // What it learned is on the card; the context is not, while it is in use.
  const location = card.get(EF_EPSLOCI);
  assert.deepEqual(
    [location.status, location.guti?.mTmsi, location.area],
    [0, 0x1234, { plmn: '00199', code: 1 }],
  );
  assert.equal(card.get(EF_EPSNSC), undefined);

  // The first heartbeat at once, then each interval.
  await pass(2 * MINUTE);
  const beats = net.heard.filter((one) => one.type === 'esmDataTransport');
  assert.deepEqual(
    beats.map(({ ebi, userDataContainer }) => [ebi, toHex(userDataContainer)]),
    [
      [5, '00'],
      [5, '01'],
      [5, '02'],
    ],
  );
  // Downlink in cipher is seen deciphered, too.
  const twins = events.filter((event) => event.type === 'plainNas');
  assert.deepEqual(
    twins.map(({ bytes }) => decodeNas(bytes, 'downlink').type),
    ['esmInformationRequest', 'attachAccept'],
  );
});

test('an attach without PDN connectivity carries a dummy', async (t) => {
  const { net, modem } = await attached(t, { withoutPdn: true });
  assert.equal(toHex(net.last('attachRequest')!.esmMessageContainer), '0200dc');
  assert.equal(modem.state.emm, 'registered');
});

test('resynchronises: AUTS, then the next vector is good', async (t) => {
  const world = await makeWorld(t);
  world.card.sqn = fromHex('000000ff0020');
  await world.modem.powerOn();
  await settle();
  assert.equal(world.net.count('authenticationFailure'), 1);
  assert.equal(world.net.last('authenticationFailure')!.emmCause, 21);
  assert.equal(world.modem.state.emm, 'registered');
});

test('a network without the key: MAC failure, and after three of them another cell', async (t) => {
  const world = await makeWorld(t, { plmns: ['00199', '00198'] });
  const [falseNet, trueNet] = world.networks;
  falseNet!.spoilMac = true;
  await world.modem.powerOn();
  await settle();
  for (let i = 0; i < 2; i++) {
    falseNet!.send({ type: 'identityRequest', identityType: 1 }, 0);
    await settle();
  }
  assert.equal(falseNet!.count('authenticationFailure'), 3);
  assert.equal(falseNet!.last('authenticationFailure')!.emmCause, 20);
  await world.pass(DURATION.t3411);
  assert.equal(trueNet!.count('attachRequest'), 1);
  assert.equal(world.modem.state.plmn, '00198');
});

test('AMF without the separation bit is not for EPS: cause 26', async (t) => {
  const world = await makeWorld(t);
  world.net.amf = '0000';
  await world.modem.powerOn();
  await settle();
  assert.equal(world.net.last('authenticationFailure')!.emmCause, 26);
});

const ACCEPT = {
  epsAttachResult: 1,
  t3412Value: 0xe0,
  taiList: [{ kind: 'codes' as const, plmn: '00199', tacs: [1] }],
  esmMessageContainer: encodeNas({ type: 'esmDummyMessage', ebi: 0, pti: 0 }),
};

/** That the modem refuses the security mode with cause 23, and takes nothing of it into use. */
async function refusesSecurityMode({ net, modem, card }: World, what?: string): Promise<void> {
  await modem.powerOn();
  await settle();
  assert.equal(net.last('securityModeReject')?.emmCause, 23, what);
  assert.equal(net.count('securityModeComplete'), 0);
  assert.equal(modem.state.emm, 'attaching');
  // What comes under the refused context is not heard.
  net.send({ type: 'attachAccept', ...ACCEPT });
  net.send({ type: 'identityRequest', identityType: 2 });
  await settle();
  assert.equal(modem.state.emm, 'attaching');
  assert.equal(net.count('identityResponse'), 0);
  assert.equal(card.get(EF_EPSNSC), undefined);
}

test('null integrity, and algorithms that it does not have, are refused', async (t) => {
  for (const algorithms of [
    { eea: 2, eia: 0 },
    { eea: 2, eia: 1 },
    { eea: 1, eia: 2 },
  ]) {
    const world = await makeWorld(t);
    world.net.algorithms = algorithms;
    await refusesSecurityMode(world);
  }
});

test('a capability that was bent on its way to the network is found out (TS 33.401 §7.2.4.4)', async (t) => {
  // What a man in the middle took away, or added: EEA2, all ciphering, EIA2; EEA1, EIA0, EIA1; UEA1, UIA1.
  const bent: [what: string, (said: SecurityCapability) => SecurityCapability][] = [
    ['without EEA2', ({ eia }) => ({ eea: 0x80, eia, more: new Uint8Array() })],
    ['without ciphering', ({ eia }) => ({ eea: 0, eia, more: new Uint8Array() })],
    ['without EIA2', ({ eea }) => ({ eea, eia: 0, more: new Uint8Array() })],
    ['with EEA1', ({ eea, eia }) => ({ eea: eea | 0x40, eia, more: new Uint8Array() })],
    ['with EIA0', ({ eea, eia }) => ({ eea, eia: eia | 0x80, more: new Uint8Array() })],
    ['with EIA1', ({ eea, eia }) => ({ eea, eia: eia | 0x40, more: new Uint8Array() })],
    ['with UEA1', ({ eea, eia }) => ({ eea, eia, more: Uint8Array.of(0x40, 0) })],
    ['with UIA1', ({ eea, eia }) => ({ eea, eia, more: Uint8Array.of(0, 0x40) })],
  ];
  for (const [what, replayed] of bent) {
    const world = await makeWorld(t);
    world.net.replayed = replayed;
    await refusesSecurityMode(world, what);
  }
  const world = await makeWorld(t);
  world.net.replayed = ({ eea, eia }) => ({ eea, eia, more: Uint8Array.of(0, 0) });
  await world.modem.powerOn();
  await settle();
  assert.equal(world.modem.state.emm, 'registered');
});

test('a security mode command whose integrity does not hold is refused, capability and all', async (t) => {
  const { net, modem } = await makeWorld(t);
  const send = net.sendRaw.bind(net);
  net.sendRaw = (bytes) => {
    if (bytes[0] === 0x37) bytes[1]! ^= 1;
    send(bytes);
  };
  await modem.powerOn();
  await settle();
  assert.equal(net.last('securityModeReject')?.emmCause, 24);
  assert.equal(net.count('securityModeComplete'), 0);
  assert.equal(modem.state.emm, 'attaching');
});

test('comes back with its GUTI; a network that does not know it asks for the IMSI', async (t) => {
  const { net, modem, card } = await attached(t);
  await modem.powerOff();
  assert.equal(net.count('detachRequest'), 0);
  await modem.powerOn();
  await settle();
  assert.equal(net.last('attachRequest')!.epsMobileIdentity.kind, 'guti');
  assert.deepEqual(net.last('identityResponse')!.mobileIdentity, { kind: 'imsi', digits: IMSI });
  assert.equal(modem.state.emm, 'registered');
  assert.equal(card.resets, 2);
});

test('switched off in order, its context lives on the card and signs the next attach', async (t) => {
  const { net, modem, card, networks } = await attached(t);
  await modem.close();
  await settle();
  assert.equal(net.last('detachRequest')!.detachType, 9);
  const stored = card.get(EF_EPSNSC)!;
  assert.deepEqual([stored.ksi, stored.kAsme.length, stored.algorithms], [0, 32, 0x22]);
  assert.equal(stored.uplinkCount, net.security!.state.uplink);

  const again = await makeWorld(t, {
    card,
    cells: networks.map(({ plmn, tac, endpoint }) => ({ plmn, tac, endpoint })),
  });
  net.onAttach = () => {
    // It opened: the network's context is the device's.
    net.send({ type: 'attachAccept', ...ACCEPT });
    return true;
  };
  const uplink = net.security!.state.uplink;
  await again.modem.powerOn();
  await settle();
  assert.equal(again.modem.state.emm, 'registered');
  assert.ok(net.security!.state.uplink > uplink);
  assert.equal(card.get(EF_EPSNSC)?.ksi, 7);
});

test('periodic updates keep it registered; an unanswered one is tried again', async (t) => {
  const world = await makeWorld(t);
  world.net.t3412 = 0x21;
  await world.modem.powerOn();
  await settle();
  await world.pass(MINUTE);
  assert.equal(world.net.count('trackingAreaUpdateRequest'), 1);
  world.net.silent = true;
  await world.pass(MINUTE + DURATION.t3430);
  world.net.silent = false;
  await world.pass(DURATION.t3411);
  assert.equal(world.net.count('trackingAreaUpdateRequest'), 2);
  assert.equal(world.modem.state.emm, 'registered');
});

test('a lost context is found out by the update: cause 9, and a new attach', async (t) => {
  const world = await makeWorld(t);
  world.net.t3412 = 0x21;
  await world.modem.powerOn();
  await settle();
  const handled = world.net.count('attachRequest');
  world.net.send({ type: 'networkDetachRequest', detachType: 1 });
  await settle();
  assert.equal(world.net.count('detachAccept'), 1);
  assert.equal(world.net.count('attachRequest'), handled + 1);
  assert.equal(world.modem.state.emm, 'registered');
});

test('no answer: five attempts, then T3402, then again', async (t) => {
  const world = await makeWorld(t);
  let requests = 0;
  world.net.onAttach = () => {
    requests++;
    return true;
  };
  await world.modem.powerOn();
  await settle();
  await world.pass(5 * DURATION.t3410 + 4 * DURATION.t3411);
  assert.equal(requests, 5);
  await world.pass(DURATION.t3402 - 1);
  assert.equal(requests, 5);
  await world.pass(1);
  assert.equal(requests, 6);
});

test('timers are scaled', async (t) => {
  const world = await makeWorld(t, { timerScale: 0.01 });
  world.net.onAttach = () => true;
  await world.modem.powerOn();
  await settle();
  await world.pass((DURATION.t3410 + DURATION.t3411) / 100);
  assert.equal(world.net.count('attachRequest'), 2);
});

test('networks are chosen: home before preferred before heard first; forbidden ones not at all', async (t) => {
  const world = await makeWorld(t, { plmns: ['00199', '00198', '00101'] });
  await world.modem.powerOn();
  await settle();
  assert.equal(world.modem.state.plmn, '00101');
  const other = await makeWorld(t, { plmns: ['00199', '00198'] });
  other.card.put(EF_FPLMN, ['00199']);
  await other.modem.powerOn();
  await settle();
  assert.equal(other.modem.state.plmn, '00198');
});
