import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import {
  ALERT_REASON,
  EXPERIMENTAL_RESULT,
  RESULT,
  connectionManagement,
  experimental,
  moData,
  moForwardShortMessage,
  mtData,
  notify,
  readAnswer,
  requestOf,
  resultOf,
} from '../../../src/standards/diameter/index.ts';
import { DETACH_TYPE } from '../../../src/standards/nas/index.ts';
import {
  RP_CAUSE,
  decodeCp,
  decodeRp,
  encodeCp,
  encodeRp,
  encodeTpdu,
  international,
  type CpMessage,
  type RpMessage,
} from '../../../src/standards/sms/index.ts';
import type { VisitedOptions } from '../../../src/network/visited/index.ts';
import { HOME_REALM, stage } from './home.ts';
import type { ScriptedUe } from './ue.ts';
import type { TestContext } from 'node:test';

const IMSI = '001010000000001';
const FAST = { timerScale: 0.01 };
const TPDU = encodeTpdu({
  type: 'deliver',
  moreMessages: false,
  originator: international('9990199000002'),
  pid: 0x7f,
  dcs: 0xf6,
  timeStamp: { time: Date.UTC(2026, 10, 24), zone: 0 },
  userData: { header: [], data: Uint8Array.of(1, 2, 3) },
});
const REPORT = encodeTpdu({ type: 'deliverReport' });
/** With user data, as a card answers to a secured packet. */
const PROOF = encodeTpdu({
  type: 'deliverReport',
  pid: 0x7f,
  dcs: 0xf6,
  userData: { header: [], data: fromHex('0a0b0c') },
});

async function attached(t: TestContext, options?: Partial<VisitedOptions>) {
  const made = await stage(t, options);
  const ue = await made.ue();
  await ue.attach();
  await made.until('attached', () => made.visited.registered() === 1);
  await made.until('connected', () =>
    made.home.seen.some(({ command }) => command === connectionManagement.code),
  );
  made.home.seen.length = 0;
  return { ...made, ue, make: made.ue };
}

const sendCp = (ue: ScriptedUe, message: CpMessage): void =>
  ue.send({ type: 'uplinkNasTransport', nasMessageContainer: encodeCp(message) });

async function hearCp(ue: ScriptedUe): Promise<CpMessage> {
  return decodeCp((await ue.expect('downlinkNasTransport')).nasMessageContainer);
}

/** The RP-DATA that the network sends, acknowledged on the lower layer. */
async function hearData(
  ue: ScriptedUe,
): Promise<{ cp: CpMessage; rp: RpMessage & { type: 'data'; toDevice: true } }> {
  const cp = await hearCp(ue);
  assert(cp.type === 'data' && cp.fromInitiator);
  const rp = decodeRp(cp.rp);
  assert(rp.type === 'data' && rp.toDevice);
  sendCp(ue, { type: 'ack', transaction: cp.transaction, fromInitiator: false });
  return { cp, rp };
}

const answerRp = (ue: ScriptedUe, transaction: number, rp: RpMessage): void =>
  sendCp(ue, { type: 'data', transaction, fromInitiator: false, rp: encodeRp(rp) });

test('a message reaches the device, and its deliver report the service centre', async (t) => {
  const { home, ue, events } = await attached(t);
  const delivering = home.deliver(IMSI, TPDU);
  const { cp, rp } = await hearData(ue);
  assert.equal(rp.originator.value, '9990199000001');
  assert.deepEqual(rp.tpdu, TPDU);
  answerRp(ue, cp.transaction, { type: 'ack', toDevice: false, reference: rp.reference, tpdu: REPORT });
  assert.deepEqual(await hearCp(ue), { type: 'ack', transaction: cp.transaction, fromInitiator: true });
  const answer = await delivering;
  assert.equal(answer.resultCode, RESULT.success);
  // Two bytes, no parameter: it says no more than the result does.
  assert.equal(answer.smRpUi, undefined);
  const again = home.deliver(IMSI, TPDU);
  const second = await hearData(ue);
  answerRp(ue, second.cp.transaction, {
    type: 'ack',
    toDevice: false,
    reference: second.rp.reference,
    tpdu: PROOF,
  });
  await hearCp(ue);
  assert.deepEqual((await again).smRpUi, PROOF);
  assert(events.some((event) => event.type === 'sms' && event.outcome === 'delivered'));
});

test('what the device refuses is a delivery failure with its report', async (t) => {
  const { home, ue } = await attached(t);
  for (const [cause, enumerated] of [
    [RP_CAUSE.memoryCapacityExceeded, 0],
    [RP_CAUSE.protocolError, 1],
  ] as const) {
    const delivering = home.deliver(IMSI, TPDU);
    const { cp, rp } = await hearData(ue);
    const tpdu = encodeTpdu({ type: 'deliverReport', cause: 0xd0 });
    answerRp(ue, cp.transaction, { type: 'error', toDevice: false, reference: rp.reference, cause, tpdu });
    await hearCp(ue);
    const answer = await delivering;
    assert.equal(resultOf(answer), EXPERIMENTAL_RESULT.smDeliveryFailure);
    assert.deepEqual(answer.smDeliveryFailureCause, {
      smEnumeratedDeliveryFailureCause: enumerated,
      smDiagnosticInfo: tpdu,
    });
  }
});

test('CP-DATA is sent again until acknowledged; then the device is absent, until it is heard again', async (t) => {
  const { home, ue, until } = await attached(t, FAST);
  const delivering = home.deliver(IMSI, TPDU);
  const first = await hearCp(ue);
  assert.deepEqual(await hearCp(ue), first);
  assert.deepEqual(await hearCp(ue), first);
  const answer = await delivering;
  assert.equal(resultOf(answer), EXPERIMENTAL_RESULT.absentUser);
  assert.equal(answer.absentUserDiagnosticSm, 14);
  await ue.silence(150);
  assert.equal(
    home.seen.some(({ command }) => command === notify.code),
    false,
  );
  ue.send({ type: 'esmDataTransport', ebi: 5, pti: 0, userDataContainer: Uint8Array.of(1) });
  await until('alert', () => home.seen.some(({ command }) => command === notify.code));
  assert.equal(home.last(notify).alertReason, ALERT_REASON.uePresent);
  // Once, not with every message.
  ue.send({ type: 'esmDataTransport', ebi: 5, pti: 0, userDataContainer: Uint8Array.of(2) });
  await until('data', () => home.seen.filter(({ command }) => command === moData.code).length === 2);
  assert.equal(home.seen.filter(({ command }) => command === notify.code).length, 1);
});

test('a device that acknowledges and then says nothing is absent after TR1N', async (t) => {
  const { home, ue } = await attached(t, FAST);
  const delivering = home.deliver(IMSI, TPDU);
  await hearData(ue);
  const answer = await delivering;
  assert.equal(resultOf(answer), EXPERIMENTAL_RESULT.absentUser);
});

test('an answer that overtakes its acknowledgement counts, and its repetition is acknowledged only', async (t) => {
  const { home, ue } = await attached(t);
  const delivering = home.deliver(IMSI, TPDU);
  const cp = await hearCp(ue);
  assert(cp.type === 'data');
  const { reference } = decodeRp(cp.rp);
  const { transaction } = cp;
  answerRp(ue, transaction, { type: 'ack', toDevice: false, reference });
  assert.equal((await hearCp(ue)).type, 'ack');
  assert.equal((await delivering).resultCode, RESULT.success);
  answerRp(ue, transaction, { type: 'ack', toDevice: false, reference });
  assert.equal((await hearCp(ue)).type, 'ack');
  await ue.silence(50);
});

test('messages for one device go one after the other, in order', async (t) => {
  const { home, ue } = await attached(t);
  const tpdus = [1, 2, 3].map((n) => {
    const tpdu = TPDU.slice();
    tpdu[tpdu.length - 1] = n;
    return tpdu;
  });
  const delivering = tpdus.map((tpdu) => home.deliver(IMSI, tpdu));
  for (const tpdu of tpdus) {
    const { cp, rp } = await hearData(ue);
    assert.deepEqual(rp.tpdu, tpdu);
    await ue.silence(20);
    answerRp(ue, cp.transaction, { type: 'ack', toDevice: false, reference: rp.reference });
    assert.equal((await hearCp(ue)).type, 'ack');
  }
  for (const answer of await Promise.all(delivering)) assert.equal(answer.resultCode, RESULT.success);
});

test('a detached or unknown device is absent; the detached one is announced when it is back', async (t) => {
  const { home, ue, visited, until } = await attached(t);
  assert.equal(resultOf(await home.deliver('001010000000099', TPDU)), EXPERIMENTAL_RESULT.absentUser);
  ue.send({
    type: 'detachRequest',
    detachType: DETACH_TYPE.eps | DETACH_TYPE.switchOff,
    nasKeySetIdentifier: 0,
    epsMobileIdentity: ue.guti!,
  });
  await until('detached', () => visited.registered() === 0);
  const answer = await home.deliver(IMSI, TPDU);
  assert.equal(resultOf(answer), EXPERIMENTAL_RESULT.absentUser);
  assert.equal(answer.absentUserDiagnosticSm, 1);
  // Without its old context too.
  ue.security = undefined;
  ue.guti = undefined;
  await ue.attach();
  await until('alert', () => home.seen.some(({ command }) => command === notify.code));
});

test('a message that comes while the device attaches waits for it', async (t) => {
  const { home, ue, make, until } = await attached(t);
  const again = await make();
  again.sendPlain(again.attachRequest());
  await again.authenticate();
  const accept = await again.expect('attachAccept');
  const delivering = home.deliver(IMSI, TPDU);
  await again.silence(50);
  again.guti = accept.guti;
  again.send({ type: 'attachComplete', esmMessageContainer: fromHex('5200c2') });
  const { cp, rp } = await hearData(again);
  answerRp(again, cp.transaction, { type: 'ack', toDevice: false, reference: rp.reference });
  assert.equal((await delivering).resultCode, RESULT.success);
  assert.deepEqual(ue.inbox, []);
  await until('quiet', () => true);
});

test('what was under way when the device leaves is absent', async (t) => {
  const { home, ue } = await attached(t);
  const delivering = [home.deliver(IMSI, TPDU), home.deliver(IMSI, TPDU)];
  await hearData(ue);
  ue.send({
    type: 'detachRequest',
    detachType: DETACH_TYPE.eps | DETACH_TYPE.switchOff,
    nasKeySetIdentifier: 0,
    epsMobileIdentity: ue.guti!,
  });
  for (const answer of await Promise.all(delivering)) {
    assert.equal(resultOf(answer), EXPERIMENTAL_RESULT.absentUser);
  }
});

const SUBMIT = encodeTpdu({
  type: 'submit',
  reference: 1,
  destination: international('9990199000002'),
  pid: 0,
  dcs: 4,
  userData: { header: [], data: Uint8Array.of(9) },
});
const submit = (reference: number): Uint8Array =>
  encodeRp({
    type: 'data',
    toDevice: false,
    reference,
    destination: international('9990199000001'),
    tpdu: SUBMIT,
  });

test("a device's message goes to its service centre, once however often it is sent", async (t) => {
  const { home, ue } = await attached(t);
  const smRpUi = encodeTpdu({ type: 'submitReport', timeStamp: { time: Date.UTC(2026, 0, 1), zone: 0 } });
  home.answers.set(moForwardShortMessage.code, { resultCode: RESULT.success, smRpUi });
  for (let i = 0; i < 2; i++) {
    sendCp(ue, { type: 'data', transaction: 2, fromInitiator: true, rp: submit(7) });
    assert.deepEqual(await hearCp(ue), { type: 'ack', transaction: 2, fromInitiator: false });
    const reply = await hearCp(ue);
    assert(reply.type === 'data' && !reply.fromInitiator && reply.transaction === 2);
    assert.deepEqual(decodeRp(reply.rp), { type: 'ack', toDevice: true, reference: 7, tpdu: smRpUi });
  }
  sendCp(ue, { type: 'ack', transaction: 2, fromInitiator: true });
  const values = home.last(moForwardShortMessage);
  assert.equal(values.scAddress, '9990199000001');
  assert.deepEqual(values.userIdentifier, { userName: IMSI, msisdn: '9990100001' });
  assert.equal(toHex(values.smRpUi), toHex(SUBMIT));
  assert.equal(home.seen.length, 1);
});

test('a refusal by the home network is told to the device by its cause', async (t) => {
  const { home, ue } = await attached(t);
  let reference = 1;
  for (const [answer, cause] of [
    [experimental(EXPERIMENTAL_RESULT.userUnknown), RP_CAUSE.unidentifiedSubscriber],
    [experimental(EXPERIMENTAL_RESULT.smDeliveryFailure), RP_CAUSE.transferRejected],
    [{ resultCode: RESULT.tooBusy }, RP_CAUSE.temporaryFailure],
  ] as const) {
    home.answers.set(moForwardShortMessage.code, answer);
    sendCp(ue, { type: 'data', transaction: 0, fromInitiator: true, rp: submit(++reference) });
    await hearCp(ue);
    const reply = await hearCp(ue);
    assert(reply.type === 'data');
    assert.deepEqual(decodeRp(reply.rp), { type: 'error', toDevice: true, reference, cause });
    sendCp(ue, { type: 'ack', transaction: 0, fromInitiator: true });
  }
});

test('memory available again is told to the home network', async (t) => {
  const { home, ue } = await attached(t);
  const rp = encodeRp({ type: 'memoryAvailable', toDevice: false, reference: 3 });
  sendCp(ue, { type: 'data', transaction: 1, fromInitiator: true, rp });
  assert.equal((await hearCp(ue)).type, 'ack');
  const reply = await hearCp(ue);
  assert(reply.type === 'data');
  assert.deepEqual(decodeRp(reply.rp), { type: 'ack', toDevice: true, reference: 3 });
  assert.equal(home.last(notify).alertReason, ALERT_REASON.ueMemoryAvailable);
});

test('nonsense within short messages is answered as TS 24.011 §9 says', async (t) => {
  const { ue } = await attached(t);
  const send = (container: Uint8Array): void =>
    ue.send({ type: 'uplinkNasTransport', nasMessageContainer: container });
  send(Uint8Array.of(0x19, 0x77));
  assert.deepEqual(await hearCp(ue), { type: 'error', transaction: 1, fromInitiator: false, cause: 96 });
  sendCp(ue, { type: 'data', transaction: 3, fromInitiator: true, rp: Uint8Array.of(0, 5, 1) });
  assert.equal((await hearCp(ue)).type, 'ack');
  const reply = await hearCp(ue);
  assert(reply.type === 'data');
  assert.deepEqual(decodeRp(reply.rp), {
    type: 'error',
    toDevice: true,
    reference: 5,
    cause: RP_CAUSE.invalidMandatory,
  });
  send(Uint8Array.of(0x05, 0x01));
  await ue.silence(30);
});

test('small data goes to the exposure function, and comes from it', async (t) => {
  const { home, ue, events, until } = await attached(t);
  ue.send({ type: 'esmDataTransport', ebi: 5, pti: 0, userDataContainer: Uint8Array.of(4, 2) });
  await until('data', () => home.seen.some(({ command }) => command === moData.code));
  const values = home.last(moData);
  assert.deepEqual(values.nonIpData, Uint8Array.of(4, 2));
  assert.deepEqual(values.bearerIdentifier, Uint8Array.of(5));
  assert.equal(values.userIdentifier.userName, IMSI);
  home.answers.set(moData.code, { resultCode: RESULT.tooBusy });
  ue.send({ type: 'esmDataTransport', ebi: 5, pti: 0, userDataContainer: Uint8Array.of(4, 3) });
  await until('lost', () => events.some(({ type }) => type === 'dataLost'));
  // Another bearer than it has: not carried.
  home.seen.length = 0;
  ue.send({ type: 'esmDataTransport', ebi: 6, pti: 0, userDataContainer: Uint8Array.of(4, 4) });

  const push = async (userName: string): Promise<number | undefined> => {
    const request = requestOf(mtData, {
      sessionId: home.node.sessionId(),
      originHost: home.node.originHost,
      originRealm: HOME_REALM,
      destinationRealm: 'epc.mnc003.mcc001.3gppnetwork.org',
      userIdentifier: { userName },
      bearerIdentifier: Uint8Array.of(5),
      nonIpData: Uint8Array.of(8),
    });
    return resultOf(readAnswer(mtData, await home.node.request(request)));
  };
  assert.equal(await push(IMSI), RESULT.success);
  assert.deepEqual((await ue.expect('esmDataTransport')).userDataContainer, Uint8Array.of(8));
  assert.equal(await push('001010000000099'), 5653);
  assert.deepEqual(home.seen, []);
});
