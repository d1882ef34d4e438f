import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import { test } from 'node:test';
import { createCard, memoryStore } from '../../../src/device/uicc/index.ts';
import { concat, fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import {
  RESPONSE_STATUS,
  TAR,
  decodeCompactResponse,
  decodeExpandedResponse,
  encodeExpandedCommands,
  keyByte,
} from '../../../src/standards/ota/index.ts';
import { decodeTpduFromDevice } from '../../../src/standards/sms/index.ts';
import { EF_IMSI } from '../../../src/standards/uicc/index.ts';
import { freshCard, gatewayOf, proofOf, terminalOf, type Gateway } from './terminal.ts';

const imsi = EF_IMSI.encode('001020000000007');
const select = (fid: string): Uint8Array => fromHex(`00a4000c02${fid}`);
const update = (data: Uint8Array): Uint8Array =>
  concat(fromHex('00d60000'), Uint8Array.of(data.length), data);

test('remote file management writes what only the operator may, under its keys', () => {
  const { terminal, file } = freshCard();
  const gateway = gatewayOf(file, 0, TAR.rfmUsim);
  const answer = gateway.run(terminal, select('6f07'), update(imsi), fromHex('00b0000000'));
  assert.deepEqual(answer, { executed: 3, sw: 0x9000, data: imsi });
  terminal.selectUsim();
  assert.deepEqual(terminal.command(0, 0xb0, 0x87, 0, undefined, 9).data, imsi);
});

test('remote file management: the shared file system starts at the MF; never stays never', () => {
  const { terminal, file } = freshCard();
  const gateway = gatewayOf(file, 0, TAR.rfmShared);
  const { executed, sw } = gateway.run(
    terminal,
    select('2fe2'),
    update(fromHex('98')),
    fromHex('00b0000000'),
  );
  assert.deepEqual([executed, sw], [2, 0x6982], 'the script ends where it fails');
  assert.equal(gateway.run(terminal, select('6f07')).sw, 0x6a82);
  assert.equal(gateway.run(terminal, fromHex('00880081021000')).sw, 0x6d00, 'not of a remote script');
  const fcp = gateway.run(terminal, fromHex('00a40004022fe2'), fromHex('00c0000019'));
  assert.deepEqual([fcp.sw, fcp.data[0]], [0x9000, 0x62]);
  assert.equal(gateway.run(terminal, fromHex('00a4000c022f00'), fromHex('00b2010400')).data.length, 38);
});

test('expanded format: an answer for each command; REFRESH at once', () => {
  const { terminal, file } = freshCard();
  terminal.boot();
  const gateway = gatewayOf(file, 0, TAR.rfmUsim);
  const script = encodeExpandedCommands([
    { type: 'apdu', apdu: select('6f07') },
    { type: 'apdu', apdu: fromHex('00b0000009') },
    { type: 'immediateAction', value: fromHex('8103010104') },
  ]);
  const proof = gateway.send(terminal, script);
  const { executed, answers } = decodeExpandedResponse(proof!.data);
  assert.equal(executed, 3);
  assert.deepEqual(
    answers.map((answer) => (answer.type === 'apdu' ? answer.sw : answer.type)),
    [0x9000, 0x9000],
  );
  const [refresh] = terminal.proactive(gateway.lastSw);
  assert.ok(refresh?.type === 'refresh' && refresh.mode === 4);
  const bad = gateway.send(terminal, fromHex('aa0322ff00'));
  assert.deepEqual(decodeExpandedResponse(bad!.data).answers, [{ type: 'badFormat', reason: 2 }]);
});

test('a packet is carried out once: replayed, it is refused and proven refused', () => {
  const { terminal, file } = freshCard();
  const gateway = gatewayOf(file, 0, TAR.rfmUsim);
  gateway.counter = 5;
  const [tpdu] = gateway.messages(fromHex('00a4000c026f07'));
  const first = terminal.envelope({ type: 'smsPpDownload', tpdu: tpdu! });
  assert.equal(proofOf(gateway, first.data).status, RESPONSE_STATUS.ok);
  const again = terminal.envelope({ type: 'smsPpDownload', tpdu: tpdu! });
  assert.equal(proofOf(gateway, again.data).status, RESPONSE_STATUS.counterLow);
  terminal.card.powerOn();
  const later = terminal.envelope({ type: 'smsPpDownload', tpdu: tpdu! });
  assert.equal(proofOf(gateway, later.data).status, RESPONSE_STATUS.counterLow, 'after power, too');
});

test('what is not proven is not done: wrong keys, no checksum, no counter, another set, another application', () => {
  const { terminal, file } = freshCard();
  const before = terminal.card.state;
  const send = (gateway: ReturnType<typeof gatewayOf>): number | undefined =>
    gateway.send(terminal, concat(select('6f07'), update(imsi)))?.status;
  const stranger = gatewayOf(file, 1, TAR.rfmUsim);
  assert.equal(send(stranger), RESPONSE_STATUS.integrityFailed);
  const otherSet = gatewayOf(file, 0, TAR.rfmUsim);
  otherSet.header = { ...otherSet.header, kic: keyByte(2, 'aes'), kid: keyByte(2, 'aes') };
  assert.equal(send(otherSet), RESPONSE_STATUS.securityError);
  assert.equal(terminal.card.state, before, 'nothing was even written');
  assert.equal(
    send(gatewayOf(file, 0, TAR.rfmUsim, { counter: 'none' })),
    RESPONSE_STATUS.insufficientSecurityLevel,
  );
  assert.equal(
    send(gatewayOf(file, 0, TAR.rfmUsim, { integrity: 'none', proofIntegrity: 'none' })),
    RESPONSE_STATUS.insufficientSecurityLevel,
  );
  const unknown = gatewayOf(file, 0, fromHex('b0ffff'));
  assert.equal(send(unknown), RESPONSE_STATUS.tarUnknown);
  terminal.selectUsim();
  assert.equal(EF_IMSI.decode(terminal.command(0, 0xb0, 0x87, 0, undefined, 9).data), file.usim.imsi);
});

test('a long packet comes in parts, in any order, twice', () => {
  const { terminal, file } = freshCard();
  const gateway = gatewayOf(file, 0, TAR.rfmUsim);
  gateway.counter = 1;
  const sms = concat(fromHex('00a4000c026f3c'), fromHex('00dc0104b0'), new Uint8Array(176).fill(7));
  const parts = gateway.messages(sms);
  assert.equal(parts.length, 2);
  const send = (at: number): Uint8Array =>
    terminal.envelope({ type: 'smsPpDownload', tpdu: parts[at]! }).data;
  assert.equal(send(1).length, 0);
  assert.equal(send(1).length, 0);
  const proof = proofOf(gateway, send(0));
  assert.deepEqual(decodeCompactResponse(proof.data), { executed: 2, sw: 0x9000, data: new Uint8Array() });
});

test('proof by SMS-SUBMIT, and when a deliver report is too short for it', () => {
  const { terminal, file } = freshCard();
  terminal.boot();
  const submitting = gatewayOf(file, 0, TAR.rfmUsim, { proofBy: 'submit' });
  assert.equal(submitting.send(terminal, select('6f07')), undefined);
  const [message] = terminal.proactive(submitting.lastSw);
  assert.ok(message?.type === 'sendShortMessage');
  const tpdu = decodeTpduFromDevice(message.tpdu);
  assert.ok(tpdu.type === 'submit' && tpdu.destination.value === '88299');
  const long = gatewayOf(file, 0, TAR.rfmUsim);
  long.counter = 10;
  const proof = long.send(terminal, concat(fromHex('00a4000c026f3c'), fromHex('00b2010400')));
  assert.equal(proof?.status, RESPONSE_STATUS.bySubmit);
  assert.equal(terminal.proactive(long.lastSw).length, 2, 'a record of 176 bytes takes two messages');
});

test('no proof is sent to who wants none; garbage is a data download error', () => {
  const { terminal, file } = freshCard();
  const silent = gatewayOf(file, 0, TAR.rfmUsim, { proof: 'none' });
  assert.equal(silent.send(terminal, concat(select('6f07'), update(imsi))), undefined);
  assert.equal(silent.lastSw, 0x9000);
  const onError = gatewayOf(file, 0, TAR.rfmUsim, { proof: 'onError' });
  assert.equal(onError.send(terminal, select('6f07'))?.status, RESPONSE_STATUS.counterLow);
  assert.equal(terminal.envelope({ type: 'smsPpDownload', tpdu: fromHex('00') }).sw, 0x6f00);
  assert.equal(terminal.sw(0x80, 0xc2, 0, 0, 'd10482028381'), 0x6a80);
  assert.equal(terminal.sw(0x80, 0xc2, 0, 0, 'd30782028281900101'), 0x9000, 'an envelope we do not act on');
});

test('a key set made for some applications opens no other', () => {
  const { file } = freshCard({ pairs: 0 });
  const limited = structuredClone(file);
  const set = limited.ota!.keySets[0]!;
  set.tars = ['b00000'];
  const card = createCard({ store: memoryStore(), file: limited });
  card.powerOn();
  const terminal = terminalOf(card);
  const { kic, kid } = set;
  const keys = { ...file, keyList: { pairs: [{ index: 0, state: 'current' as const, kic, kid }], next: 1 } };
  assert.equal(gatewayOf(keys, 0, TAR.rfmShared).run(terminal, select('2fe2')).sw, 0x9000);
  const other = gatewayOf(keys, 0, TAR.rfmUsim);
  other.counter = 10;
  assert.equal(other.send(terminal, select('6f07'))?.status, RESPONSE_STATUS.securityError);
});

/** PUT KEY of a whole set under this KIK: AES, by GlobalPlatform Amendment D §7.2. */
function putKey(kik: string, replaces: number, number: number, keys: Uint8Array[]): Uint8Array {
  const fields = keys.map((key) => {
    const cipher = createCipheriv('aes-128-cbc', fromHex(kik), new Uint8Array(16)).setAutoPadding(false);
    const check = createCipheriv('aes-128-ecb', key, null).update(new Uint8Array(16).fill(1)).subarray(0, 3);
    return concat(fromHex('881110'), cipher.update(key), fromHex('03'), check);
  });
  const data = concat(Uint8Array.of(number), ...fields);
  return concat(Uint8Array.of(0x80, 0xd8, replaces, 0x81, data.length), data);
}

test('PUT KEY replaces a key set, and makes one: the old keys are heard no more', () => {
  const { terminal, file } = freshCard({ pairs: 0 });
  const set = file.ota!.keySets[0]!;
  const under = (kic: string, kid: string, tar: Uint8Array): Gateway =>
    gatewayOf({ ...file, keyList: { pairs: [{ index: 0, state: 'current', kic, kid }], next: 1 } }, 0, tar);
  const old = under(set.kic, set.kid, TAR.issuerSecurityDomain);
  const keys = ['a1', 'b2', 'c3'].map((byte) => new Uint8Array(16).fill(parseInt(byte, 16)));
  const bent = putKey(set.kik!, 1, 1, keys);
  bent[20]! ^= 1;
  assert.equal(old.run(terminal, bent).sw, 0x6a80, 'a check value that does not hold');
  assert.equal(old.run(terminal, putKey(set.kik!, 2, 2, keys)).sw, 0x6a88, 'no such set');
  assert.equal(old.run(terminal, putKey(set.kik!, 0, 1, keys)).sw, 0x6985, 'there is a set of that number');
  const more = old.run(terminal, putKey(set.kik!, 0, 2, keys));
  assert.deepEqual([more.sw, more.data.length, more.data[0]], [0x9000, 10, 2]);
  assert.equal(
    old.run(terminal, putKey(set.kik!, 1, 1, keys)).sw,
    0x9000,
    'proven under the keys that asked',
  );
  assert.equal(old.send(terminal, select('6f07'))?.status, RESPONSE_STATUS.integrityFailed);
  const fresh = under(toHex(keys[0]!), toHex(keys[1]!), TAR.rfmUsim);
  assert.equal(fresh.run(terminal, select('6f07')).sw, 0x9000, 'from counter 1 on');
});

test('PUT KEY needs a KIK, and leaves the pair of a key list alone', () => {
  const { terminal, file } = freshCard();
  const gateway = gatewayOf(file, 0, TAR.issuerSecurityDomain);
  const keys = [new Uint8Array(16), new Uint8Array(16)];
  assert.equal(gateway.run(terminal, putKey('00'.repeat(16), 1, 1, keys)).sw, 0x6985);
  assert.equal(gateway.run(terminal, fromHex('80e4000000')).sw, 0x6d00);
});
