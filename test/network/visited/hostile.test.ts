/** What is not proven does nothing: each message here would do something if it were believed. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { concat } from '../../../src/standards/bytes/index.ts';
import { connectionManagement, moData, updateLocation } from '../../../src/standards/diameter/index.ts';
import {
  DETACH_TYPE,
  EMM_CAUSE,
  IDENTITY_TYPE,
  SECURITY_HEADER,
  UPDATE_TYPE,
  encodeNas,
  type Guti,
  type NasMessage,
} from '../../../src/standards/nas/index.ts';
import { encodeCp, encodeRp, encodeTpdu, international } from '../../../src/standards/sms/index.ts';
import { stage, type Stage } from './home.ts';
import type { ScriptedUe } from './ue.ts';

/** A device that is served, and somebody else with a transmitter. */
async function served(
  t: TestContext,
): Promise<Stage & { victim: ScriptedUe; attacker: ScriptedUe; nothingHappened(): Promise<void> }> {
  const made = await stage(t);
  const { home, visited, events, until } = made;
  const victim = await made.ue();
  await victim.attach();
  await until('attached', () => visited.registered() === 1);
  await until('connected', () => home.seen.some(({ command }) => command === connectionManagement.code));
  home.seen.length = 0;
  events.length = 0;
  let fence = 0;
  return {
    ...made,
    victim,
    attacker: await made.ue(),
    /** What came before has been taken when this comes through; and it is all that came through. */
    async nothingHappened() {
      const data = Uint8Array.of(0xfe, ++fence);
      victim.send({ type: 'esmDataTransport', ebi: 5, pti: 0, userDataContainer: data });
      await until('fence', () => home.seen.some(({ command }) => command === moData.code));
      assert.deepEqual(home.last(moData).nonIpData, data);
      assert.deepEqual(home.commands(), ['MO-Data']);
      assert.equal(visited.registered(), 1);
      assert.deepEqual(
        events.filter(({ type }) => type !== 'plainNas'),
        [],
      );
      home.seen.length = 0;
      events.length = 0;
    },
  };
}

const SMS = encodeCp({
  type: 'data',
  transaction: 1,
  fromInitiator: true,
  rp: encodeRp({
    type: 'data',
    toDevice: false,
    reference: 1,
    destination: international('9990199000001'),
    tpdu: encodeTpdu({
      type: 'submit',
      reference: 1,
      destination: international('9990199000002'),
      pid: 0,
      dcs: 4,
      userData: { header: [], data: Uint8Array.of(9) },
    }),
  }),
});
const DATA = encodeNas({
  type: 'esmDataTransport',
  ebi: 5,
  pti: 0,
  userDataContainer: Uint8Array.of(0x66),
});
const service = (containers: { esmMessageContainer?: Uint8Array; nasMessageContainer?: Uint8Array }) =>
  ({
    type: 'controlPlaneServiceRequest',
    controlPlaneServiceType: 0,
    nasKeySetIdentifier: 0,
    ...containers,
  }) satisfies NasMessage;

const SERVICES = {
  'a short message': service({ nasMessageContainer: SMS }),
  data: service({ esmMessageContainer: DATA }),
  both: service({ esmMessageContainer: DATA, nasMessageContainer: SMS }),
  nothing: service({}),
};

/** As if integrity protected, by someone without the key. */
const forged = (message: NasMessage, headerType: number, sequence = 200): Uint8Array =>
  concat(Uint8Array.of((headerType << 4) | 7, 1, 2, 3, 4, sequence), encodeNas(message));

/** That all that is answered is a refusal without protection, of whoever cannot be known. */
async function refused(ue: ScriptedUe, type: 'serviceReject' | 'trackingAreaUpdateReject'): Promise<void> {
  const { message, verified } = await ue.hear();
  assert(message.type === type, message.type);
  assert.equal(message.emmCause, EMM_CAUSE.ueIdentityCannotBeDerived);
  assert.equal(verified, false);
}

for (const [what, request] of Object.entries(SERVICES)) {
  test(`a service request with ${what} in it does nothing unless it is proven`, async (t) => {
    const { victim, attacker, nothingHappened } = await served(t);
    for (const sender of [victim, attacker]) {
      sender.sendPlain(request);
      await refused(sender, 'serviceReject');
      await nothingHappened();
      sender.sendBytes(forged(request, SECURITY_HEADER.integrity));
      await refused(sender, 'serviceReject');
      // Ciphered, it is a message of nobody.
      sender.sendBytes(forged(request, SECURITY_HEADER.integrityCiphered));
      await nothingHappened();
    }
    await attacker.silence(20);
    await victim.silence(20);
  });
}

test('a service request that was heard before does nothing the second time, wherever it comes from', async (t) => {
  const { victim, attacker, home, until, nothingHappened } = await served(t);
  const bytes = victim.security!.protect(encodeNas(SERVICES.data), 'uplink', SECURITY_HEADER.integrity);
  victim.sendBytes(bytes);
  await victim.expect('serviceAccept');
  await until('data', () => home.seen.length === 1);
  assert.deepEqual(home.last(moData).nonIpData, Uint8Array.of(0x66));
  home.seen.length = 0;
  for (const sender of [victim, attacker]) {
    sender.sendBytes(bytes);
    await refused(sender, 'serviceReject');
    await nothingHappened();
  }
});

test('nor does one from where a device was that has left', async (t) => {
  const { victim, home, visited, until } = await served(t);
  victim.send({
    type: 'detachRequest',
    detachType: DETACH_TYPE.eps,
    nasKeySetIdentifier: 0,
    epsMobileIdentity: victim.guti!,
  });
  await victim.expect('detachAccept');
  await until('detached', () => visited.registered() === 0);
  const before = home.seen.length;
  for (const request of Object.values(SERVICES)) {
    victim.sendPlain(request);
    await refused(victim, 'serviceReject');
    victim.sendBytes(forged(request, SECURITY_HEADER.integrity));
    await refused(victim, 'serviceReject');
  }
  assert.equal(visited.registered(), 0);
  assert.equal(home.seen.length, before);
});

test('an update, a detach, data and short messages that are not proven change nothing', async (t) => {
  const { victim, attacker, nothingHappened } = await served(t);
  const update: NasMessage = {
    type: 'trackingAreaUpdateRequest',
    epsUpdateType: UPDATE_TYPE.periodic,
    nasKeySetIdentifier: 0,
    oldGuti: victim.guti!,
  };
  const silentlyIgnored: NasMessage[] = [
    {
      type: 'detachRequest',
      detachType: DETACH_TYPE.eps,
      nasKeySetIdentifier: 0,
      epsMobileIdentity: victim.guti!,
    },
    { type: 'uplinkNasTransport', nasMessageContainer: SMS },
    { type: 'esmDataTransport', ebi: 5, pti: 0, userDataContainer: Uint8Array.of(0x66) },
    { type: 'pdnConnectivityRequest', ebi: 0, pti: 2, requestType: 1, pdnType: 5 },
  ];
  for (const sender of [victim, attacker]) {
    for (const bytes of [encodeNas(update), forged(update, SECURITY_HEADER.integrity)]) {
      sender.sendBytes(bytes);
      await refused(sender, 'trackingAreaUpdateReject');
      await nothingHappened();
    }
    for (const message of silentlyIgnored) {
      sender.sendBytes(encodeNas(message));
      sender.sendBytes(forged(message, SECURITY_HEADER.integrity));
      sender.sendBytes(forged(message, SECURITY_HEADER.integrityCiphered));
      await nothingHappened();
    }
  }
  await victim.silence(20);
  await attacker.silence(20);
});

test('once security runs, no question is answered without it', async (t) => {
  const { home, visited, events, ue: make, until } = await stage(t);
  const ue = await make();
  ue.sendPlain(ue.attachRequest());
  await ue.authenticate(undefined);
  const { identityType } = await ue.expect('identityRequest');
  assert.equal(identityType, IDENTITY_TYPE.imeisv);
  // Each of these is an answer of its kind where security does not run yet.
  const answers: NasMessage[] = [
    { type: 'identityResponse', mobileIdentity: { kind: 'imeisv', digits: '6666666666666601' } },
    { type: 'identityResponse', mobileIdentity: { kind: 'none' } },
    { type: 'authenticationResponse', res: new Uint8Array(8) },
    { type: 'authenticationFailure', emmCause: EMM_CAUSE.macFailure },
    { type: 'securityModeReject', emmCause: EMM_CAUSE.securityModeRejected },
  ];
  for (const answer of answers) {
    ue.sendPlain(answer);
    ue.sendBytes(forged(answer, SECURITY_HEADER.integrity));
    ue.sendBytes(forged(answer, SECURITY_HEADER.integrityCipheredNewContext));
  }
  await ue.silence(50);
  assert.equal(home.commands().includes('3GPP-Update-Location'), false);
  assert.deepEqual(
    events.filter(({ type }) => type !== 'plainNas'),
    [],
  );
  ue.send({ type: 'identityResponse', mobileIdentity: { kind: 'imeisv', digits: '3520990017614801' } });
  await ue.expect('attachAccept');
  await until('located', () => home.commands().includes('3GPP-Update-Location'));
  assert.equal(home.last(updateLocation).terminalInformation?.imei, '352099001761481');
  assert.equal(visited.registered(), 0);
});

test('a GUTI of another network, group or MME names nobody here, proven or not', async (t) => {
  const { victim, attacker, nothingHappened } = await served(t);
  const guti = victim.guti!;
  const others: Guti[] = [
    { ...guti, plmn: '00109' },
    { ...guti, mmeGroupId: guti.mmeGroupId ^ 1 },
    { ...guti, mmeCode: guti.mmeCode ^ 1 },
    { ...guti, mTmsi: (guti.mTmsi ^ 1) >>> 0 },
  ];
  for (const epsMobileIdentity of others) {
    const request = attacker.attachRequest({ epsMobileIdentity, nasKeySetIdentifier: 0 });
    attacker.sendPlain(request);
    const { identityType } = await attacker.expect('identityRequest');
    assert.equal(identityType, IDENTITY_TYPE.imsi);
    await nothingHappened();
    // Even under the right key: that context belongs to another name.
    attacker.sendBytes(victim.security!.protect(encodeNas(request), 'uplink', SECURITY_HEADER.integrity));
    await attacker.expect('identityRequest');
    await nothingHappened();
    attacker.sendBytes(
      victim.security!.protect(
        encodeNas({
          type: 'trackingAreaUpdateRequest',
          epsUpdateType: UPDATE_TYPE.periodic,
          nasKeySetIdentifier: 0,
          oldGuti: epsMobileIdentity,
        }),
        'uplink',
        SECURITY_HEADER.integrity,
      ),
    );
    await refused(attacker, 'trackingAreaUpdateReject');
    await nothingHappened();
  }
});
