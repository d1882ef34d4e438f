import assert from 'node:assert/strict';
import { test } from 'node:test';
import { realEdge } from '../../../src/edge/real.ts';
import { openChallenge } from '../../../src/standards/aka/index.ts';
import { toHex } from '../../../src/standards/bytes/index.ts';
import {
  CANCELLATION_TYPE,
  EXPERIMENTAL_RESULT,
  RESULT,
  authenticationInformation,
  cancelLocation,
  experimental,
  purgeUe,
  requestOf,
  updateLocation,
} from '../../../src/standards/diameter/index.ts';
import {
  DETACH_TYPE,
  EMM_CAUSE,
  IDENTITY_TYPE,
  SECURITY_HEADER,
  UPDATE_TYPE,
  decodeNas,
  encodeNas,
} from '../../../src/standards/nas/index.ts';
import { HOME_REALM, patientClock, stage, type Stage } from './home.ts';
import { SQN_MS, autsOf, key } from './ue.ts';

const IMSI = '001010000000001';
/** Six seconds of a NAS timer in 60 ms. */
const FAST = { timerScale: 0.01 };

const cancel = (home: Stage['home'], cancellationType: number) =>
  home.node.request(
    requestOf(cancelLocation, {
      sessionId: home.node.sessionId(),
      originHost: home.node.originHost,
      originRealm: HOME_REALM,
      destinationHost: 'mme.epc.mnc003.mcc001.3gppnetwork.org',
      destinationRealm: 'epc.mnc003.mcc001.3gppnetwork.org',
      userName: IMSI,
      cancellationType,
    }),
  );

test('a device attaches by IMSI: vector, challenge, security mode, location with its IMEI, bearer', async (t) => {
  const { home, visited, events, ue: make, until } = await stage(t);
  const ue = await make();
  const accept = await ue.attach('m2m.a');
  assert.equal(accept.additionalUpdateResult, 2);
  assert.deepEqual(accept.taiList, [{ kind: 'codes', plmn: '00103', tacs: [1] }]);
  const esm = decodeNas(accept.esmMessageContainer, 'downlink');
  assert(esm.type === 'activateDefaultEpsBearerContextRequest');
  assert.equal(esm.accessPointName, 'm2m.a');
  await until('attached', () => visited.registered() === 1);
  await until('connection', () => home.seen.length === 3);
  assert.deepEqual(home.commands(), [
    '3GPP-Authentication-Information',
    '3GPP-Update-Location',
    'Connection-Management',
  ]);
  const ulr = home.last(updateLocation);
  // Luhn digit of TAC and SNR, and the software version: TS 23.003 §6.2
  assert.deepEqual(ulr.terminalInformation, { imei: '352099001761481', softwareVersion: '01' });
  assert.equal(ulr.visitedPlmnId, '00103');
  const attached = events.find(({ type }) => type === 'attached');
  assert.deepEqual(attached, { type: 'attached', imsi: IMSI, imei: '352099001761481', device: ue.endpoint });
  // Each ciphered message of the device was seen deciphered.
  const plain = events.flatMap((event) => (event.type === 'plainNas' ? [event.bytes] : []));
  assert.deepEqual(
    plain.map((bytes) => decodeNas(bytes, 'uplink').type),
    ['securityModeComplete', 'esmInformationResponse', 'attachComplete'],
  );
});

test('a device attaches by GUTI under its stored context without another challenge', async (t) => {
  const { home, visited, ue: make, until } = await stage(t);
  const ue = await make();
  const { guti } = await ue.attach();
  await until('attached', () => visited.registered() === 1);
  // From another address too: it is known by its name and its proof.
  const later = await make();
  later.guti = guti;
  later.security = ue.security;
  const accept = await later.attach();
  assert.notEqual(accept.guti?.mTmsi, guti?.mTmsi);
  await until('located', () => home.commands().filter((name) => /Update-Location/.test(name)).length === 2);
  assert.equal(home.commands().filter((name) => /Authentication/.test(name)).length, 1);
  await until('attached again', () => visited.registered() === 1);
});

test('an unknown GUTI leads to identification', async (t) => {
  const { visited, ue: make, until } = await stage(t);
  const ue = await make();
  const guti = { kind: 'guti', plmn: '00109', mmeGroupId: 1, mmeCode: 2, mTmsi: 3 } as const;
  ue.sendPlain(ue.attachRequest({ epsMobileIdentity: guti }));
  const { identityType } = await ue.expect('identityRequest');
  assert.equal(identityType, IDENTITY_TYPE.imsi);
  ue.sendPlain({ type: 'identityResponse', mobileIdentity: { kind: 'imsi', digits: IMSI } });
  await ue.authenticate();
  await ue.expect('attachAccept');
  ue.send({
    type: 'attachComplete',
    esmMessageContainer: encodeNas({ type: 'activateDefaultEpsBearerContextAccept', ebi: 5, pti: 0 }),
  });
  await until('attached', () => visited.registered() === 1);
});

test('a synchronisation failure goes to the home network, whose next vector is right', async (t) => {
  const { home, ue: make } = await stage(t);
  const ue = await make();
  ue.sendPlain(ue.attachRequest());
  const { rand } = await ue.expect('authenticationRequest');
  ue.sendPlain({
    type: 'authenticationFailure',
    emmCause: EMM_CAUSE.synchFailure,
    authenticationFailureParameter: autsOf(rand),
  });
  await ue.authenticate();
  await ue.expect('attachAccept');
  assert.equal(home.resynchronised, toHex(SQN_MS));
});

test('a device that cannot be brought into step is refused', async (t) => {
  const { ue: make } = await stage(t);
  const ue = await make();
  ue.sendPlain(ue.attachRequest());
  for (let i = 0; i < 3; i++) {
    const { rand } = await ue.expect('authenticationRequest');
    ue.sendPlain({
      type: 'authenticationFailure',
      emmCause: EMM_CAUSE.synchFailure,
      authenticationFailureParameter: autsOf(rand),
    });
  }
  await ue.expect('authenticationReject');
});

for (const [what, answer] of [
  ['a wrong RES', { type: 'authenticationResponse', res: new Uint8Array(8) }],
  ['a short RES', { type: 'authenticationResponse', res: new Uint8Array(4) }],
  ['a MAC failure', { type: 'authenticationFailure', emmCause: EMM_CAUSE.macFailure }],
] as const) {
  test(`${what} ends in an authentication reject, and the home network hears of no location`, async (t) => {
    const { home, events, visited, ue: make } = await stage(t);
    const ue = await make();
    ue.sendPlain(ue.attachRequest());
    await ue.expect('authenticationRequest');
    ue.sendPlain(answer);
    await ue.expect('authenticationReject');
    assert.deepEqual(home.commands(), ['3GPP-Authentication-Information']);
    assert(events.some(({ type }) => type === 'authenticationRejected'));
    assert.equal(visited.registered(), 0);
  });
}

const refusals: [what: string, command: { code: number }, answer: object, cause: number][] = [
  ['user unknown (AIR)', authenticationInformation, experimental(EXPERIMENTAL_RESULT.userUnknown), 8],
  ['no vectors (AIR)', authenticationInformation, experimental(4181), 17],
  ['unable to comply (AIR)', authenticationInformation, { resultCode: RESULT.unableToComply }, 17],
  ['user unknown (ULR)', updateLocation, experimental(EXPERIMENTAL_RESULT.userUnknown), 8],
  ['roaming not allowed (ULR)', updateLocation, experimental(EXPERIMENTAL_RESULT.roamingNotAllowed), 11],
  ['RAT not allowed (ULR)', updateLocation, experimental(EXPERIMENTAL_RESULT.ratNotAllowed), 15],
  [
    'unknown EPS subscription (ULR)',
    updateLocation,
    { ...experimental(EXPERIMENTAL_RESULT.unknownEpsSubscription), errorDiagnostic: 1 },
    7,
  ],
  [
    'roaming barred for this network (ULR)',
    updateLocation,
    { ...experimental(EXPERIMENTAL_RESULT.roamingNotAllowed), errorDiagnostic: 4 },
    14,
  ],
  ['no answer (AIR)', authenticationInformation, 'nothing' as unknown as object, 17],
];
for (const [what, command, answer, cause] of refusals) {
  test(`S6a "${what}" becomes EMM cause #${cause}`, async (t) => {
    const { home, events, visited, ue: make } = await stage(t, { homeAnswerMs: 300 });
    home.answers.set(command.code, answer);
    const ue = await make();
    ue.sendPlain(ue.attachRequest());
    if (command === updateLocation) await ue.authenticate();
    const { message, verified } = await ue.hear();
    assert(message.type === 'attachReject', message.type);
    assert.equal(message.emmCause, cause);
    assert.equal(verified, command === updateLocation);
    assert.equal(visited.registered(), 0);
    assert(events.some((event) => event.type === 'rejected' && event.cause === cause));
  });
}

test('an IMSI whose home is not reachable gets cause #17, and the next device is served', async (t) => {
  const { ue: make, visited, until } = await stage(t, { homeAnswerMs: 300 });
  const stranger = await make('999990000000001');
  stranger.sendPlain(stranger.attachRequest());
  assert.equal((await stranger.expect('attachReject')).emmCause, EMM_CAUSE.networkFailure);
  await (await make()).attach();
  await until('attached', () => visited.registered() === 1);
});

test('a policy refuses a subscription with its cause, before the home network is asked', async (t) => {
  const { home, ue: make } = await stage(t, { rejectWith: (imsi) => (imsi === IMSI ? 12 : undefined) });
  const ue = await make();
  ue.sendPlain(ue.attachRequest());
  assert.equal((await ue.expect('attachReject')).emmCause, 12);
  assert.deepEqual(home.seen, []);
  await (await make('001010000000002')).attach();
});

test('a refusal is protected when the request proved a context, so that the device can believe it', async (t) => {
  const causes: number[] = [];
  const { ue: make, visited, until } = await stage(t, { rejectWith: () => causes[0] });
  const ue = await make();
  await ue.attach();
  await until('attached', () => visited.registered() === 1);
  causes.push(EMM_CAUSE.illegalUe);
  ue.send(ue.attachRequest(), SECURITY_HEADER.integrity);
  const { message, verified } = await ue.hear();
  assert(message.type === 'attachReject' && message.emmCause === EMM_CAUSE.illegalUe);
  assert.equal(verified, true);
  // Who proves nothing is told as much.
  ue.sendPlain(ue.attachRequest());
  const other = await ue.hear();
  assert.deepEqual([other.message.type, other.verified], ['attachReject', false]);
});

test('a device without 128-EIA2, and one with an unsubscribed access point, are refused', async (t) => {
  const { ue: make } = await stage(t);
  const weak = await make();
  weak.sendPlain(
    weak.attachRequest({ ueNetworkCapability: { eea: 0x80, eia: 0x80, more: new Uint8Array() } }),
  );
  assert.equal((await weak.expect('attachReject')).emmCause, EMM_CAUSE.ueSecurityCapabilitiesMismatch);
  const ue = await make();
  await assert.rejects(ue.attach('other'), /attachReject/);
});

test('questions are asked again on their timer, and given up after the fifth', async (t) => {
  const { visited, ue: make, home } = await stage(t, FAST);
  const ue = await make();
  ue.sendPlain(ue.attachRequest());
  const first = await ue.hear();
  assert.equal(first.message.type, 'authenticationRequest');
  for (let i = 0; i < 4; i++) assert.deepEqual((await ue.hear()).bytes, first.bytes);
  await ue.silence(200);
  assert.equal(home.seen.length, 1);
  assert.equal(visited.registered(), 0);
});

test('a lost attach accept is sent again under a new count, and one location update is enough', async (t) => {
  const { visited, ue: make, home, until } = await stage(t, FAST);
  const ue = await make();
  ue.sendPlain(ue.attachRequest());
  await ue.authenticate();
  await ue.expect('attachAccept');
  const again = await ue.expect('attachAccept');
  ue.guti = again.guti;
  ue.send({
    type: 'attachComplete',
    esmMessageContainer: encodeNas({ type: 'activateDefaultEpsBearerContextAccept', ebi: 5, pti: 0 }),
  });
  await until('attached', () => visited.registered() === 1);
  assert.equal(home.commands().filter((name) => /Update-Location/.test(name)).length, 1);
});

test('a request that comes twice is one attach', async (t) => {
  const {
    visited,
    ue: make,
    home,
    until,
  } = await stage(t, {
    disturb: (message) => [
      { afterMs: 0, message },
      { afterMs: 1, message },
    ],
  });
  const ue = await make();
  const request = encodeNas(ue.attachRequest());
  ue.sendBytes(request);
  // Everything is heard twice, too; what is protected only the first time.
  const { rand, autn, nasKeySetIdentifier } = await ue.expect('authenticationRequest');
  assert.equal(nasKeySetIdentifier, 0);
  await ue.expect('authenticationRequest');
  ue.sendPlain({ type: 'authenticationResponse', res: openChallenge(key, rand, autn).res });
  await ue.expect('securityModeCommand');
  await ue.expect('securityModeCommand');
  assert.deepEqual(home.commands(), ['3GPP-Authentication-Information']);
  await until('quiet', () => visited.registered() === 0);
});

test('tracking area updates are answered, those of strangers refused', async (t) => {
  const { visited, ue: make, until } = await stage(t);
  const ue = await make();
  await ue.attach();
  await until('attached', () => visited.registered() === 1);
  const update = {
    type: 'trackingAreaUpdateRequest',
    epsUpdateType: UPDATE_TYPE.periodic,
    nasKeySetIdentifier: 0,
    oldGuti: ue.guti!,
    epsBearerContextStatus: Uint8Array.of(0x20, 0),
  } as const;
  ue.send(update, SECURITY_HEADER.integrity);
  const accept = await ue.expect('trackingAreaUpdateAccept');
  assert.deepEqual(accept.epsBearerContextStatus, Uint8Array.of(0x20, 0));
  assert.equal(accept.t3412Value !== undefined, true);
  const stranger = await make();
  stranger.sendPlain(update);
  const { emmCause } = await stranger.expect('trackingAreaUpdateReject');
  assert.equal(emmCause, EMM_CAUSE.ueIdentityCannotBeDerived);
  assert.equal(visited.registered(), 1);
});

test('a device detaches, with an answer or without', async (t) => {
  const { visited, events, ue: make, until } = await stage(t);
  const ue = await make();
  for (const switchOff of [false, true]) {
    await ue.attach();
    await until('attached', () => visited.registered() === 1);
    ue.send({
      type: 'detachRequest',
      detachType: DETACH_TYPE.eps | (switchOff ? DETACH_TYPE.switchOff : 0),
      nasKeySetIdentifier: ue.security!.state.ksi,
      epsMobileIdentity: ue.guti!,
    });
    if (switchOff) await ue.silence();
    else await ue.expect('detachAccept');
    await until('detached', () => visited.registered() === 0);
  }
  assert.equal(events.filter((event) => event.type === 'detached' && event.by === 'device').length, 2);
});

test('a withdrawn subscription is detached by the network; one that moved on is forgotten', async (t) => {
  const { home, visited, ue: make, until } = await stage(t, FAST);
  const ue = await make();
  await ue.attach();
  await until('attached', () => visited.registered() === 1);
  await cancel(home, CANCELLATION_TYPE.subscriptionWithdrawal);
  await ue.expect('networkDetachRequest');
  await ue.expect('networkDetachRequest');
  ue.send({ type: 'detachAccept' });
  await until('detached', () => visited.registered() === 0);
  await ue.silence(200);
  // Its GUTI means nothing any more.
  ue.sendPlain(ue.attachRequest());
  await ue.expect('identityRequest');
  const other = await make();
  await other.attach();
  await until('attached', () => visited.registered() === 1);
  await cancel(home, CANCELLATION_TYPE.mmeUpdateProcedure);
  assert.equal(visited.registered(), 0);
  await other.silence(50);
});

test('a silent device is detached and purged', async (t) => {
  const { clock, pass } = patientClock();
  const {
    home,
    events,
    visited,
    ue: make,
    until,
  } = await stage(t, {
    edge: { ...realEdge, clock },
    periodicUpdateSeconds: 60,
  });
  await (await make()).attach();
  await until('attached', () => visited.registered() === 1);
  // T3412, and eight minutes; less the time it took to come here.
  pass(60_000 + 8 * 60_000 - 10_000);
  assert.equal(visited.registered(), 1);
  pass(10_000);
  assert.equal(visited.registered(), 0);
  assert(events.some((event) => event.type === 'detached' && event.by === 'silence'));
  await until('purged', () => home.seen.some(({ command }) => command === purgeUe.code));
  assert.equal(home.last(purgeUe).userName, IMSI);
});

test('what others send at a registered device does it no harm', async (t) => {
  const { visited, events, ue: make, until } = await stage(t);
  const ue = await make();
  await ue.attach();
  await until('attached', () => visited.registered() === 1);
  const attacker = await make('001010000000666');
  // A detach by its name, a plain attach as its IMSI, a replay of its own messages.
  attacker.sendPlain({
    type: 'detachRequest',
    detachType: DETACH_TYPE.eps,
    nasKeySetIdentifier: 0,
    epsMobileIdentity: ue.guti!,
  });
  attacker.sendPlain(attacker.attachRequest({ epsMobileIdentity: { kind: 'imsi', digits: IMSI } }));
  await attacker.expect('authenticationRequest');
  attacker.sendPlain({ type: 'authenticationResponse', res: new Uint8Array(8) });
  await attacker.expect('authenticationReject');
  attacker.sendBytes(ue.security!.protect(encodeNas({ type: 'detachAccept' }), 'downlink', 2));
  // Its own address cannot be used without protection either.
  ue.sendPlain({
    type: 'detachRequest',
    detachType: DETACH_TYPE.eps,
    nasKeySetIdentifier: 0,
    epsMobileIdentity: ue.guti!,
  });
  ue.sendPlain({ type: 'uplinkNasTransport', nasMessageContainer: Uint8Array.of(0x09, 0x04) });
  await ue.silence();
  assert.equal(visited.registered(), 1);
  assert.equal(events.filter(({ type }) => type === 'detached').length, 0);
});

test('20000 hostile messages, from strangers and from within, leave everybody served', async (t) => {
  const { visited, events, ue: make, until } = await stage(t);
  const ue = await make();
  await ue.attach();
  await until('attached', () => visited.registered() === 1);
  const attacker = await make('001010000000666');
  let seed = 7;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 0x1_0000_0000) * below);
  };
  const templates = [
    encodeNas(ue.attachRequest()),
    encodeNas({ type: 'uplinkNasTransport', nasMessageContainer: Uint8Array.of(0x09, 0x01, 2, 0, 1) }),
    encodeNas({ type: 'esmDataTransport', ebi: 5, pti: 0, userDataContainer: Uint8Array.of(1) }),
    encodeNas({ type: 'identityResponse', mobileIdentity: { kind: 'imsi', digits: IMSI } }),
    encodeNas({
      type: 'trackingAreaUpdateRequest',
      epsUpdateType: 0,
      nasKeySetIdentifier: 0,
      oldGuti: ue.guti!,
    }),
    encodeNas({ type: 'controlPlaneServiceRequest', controlPlaneServiceType: 0, nasKeySetIdentifier: 0 }),
  ];
  for (let i = 0; i < 20_000; i++) {
    const bytes = templates[i % templates.length]!.slice();
    for (let times = random(4); times > 0; times--) bytes[random(bytes.length)] = random(256);
    // A detach from within is none of this test's business.
    if (bytes[1] === 0x45) continue;
    if (i % 3 === 0) ue.sendBytes(ue.security!.protect(bytes, 'uplink', 1 + random(2)));
    else if (i % 3 === 1) attacker.sendBytes(bytes);
    else {
      const protectedBytes = new Uint8Array(6 + bytes.length);
      protectedBytes.set([(random(16) << 4) | 7, random(256)]);
      protectedBytes.set(bytes, 6);
      attacker.sendBytes(protectedBytes);
    }
    if (i % 200 === 199) await new Promise((resolve) => setImmediate(resolve));
  }
  // What is still in the socket's buffer is taken first; more than it holds was lost on the way.
  await new Promise((resolve) => setTimeout(resolve, 500));
  const other = await make('001010000000002');
  await other.attach();
  await until('other attached', () => events.some((e) => e.type === 'attached' && e.imsi === other.imsi));
});

test('300 devices attach at once', async (t) => {
  const { visited, ue: make, until, home } = await stage(t);
  const ues = await Promise.all(
    Array.from({ length: 300 }, (_, i) => make(`00101${String(i).padStart(10, '0')}`)),
  );
  await Promise.all(ues.map((ue) => ue.attach()));
  await until('all attached', () => visited.registered() === 300);
  assert.equal(new Set(ues.map((ue) => ue.guti!.mTmsi)).size, 300);
  assert.equal(home.commands().filter((name) => /Update-Location/.test(name)).length, 300);
});

test('the port in use is named', async (t) => {
  const { visited } = await stage(t);
  const { port } = visited.cellEndpoint;
  await assert.rejects(stage(t, { cell: { host: '127.0.0.1', port } }), new RegExp(`port ${port}`));
});
