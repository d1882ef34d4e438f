import assert from 'node:assert/strict';
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
  type ExpandedCommand,
  type ExpandedResponse,
  type SecurityParameters,
} from '../../../src/standards/ota/index.ts';
import { decodeTpduFromDevice } from '../../../src/standards/sms/index.ts';
import { EF_IMSI, type ProactiveCommand } from '../../../src/standards/uicc/index.ts';
import { freshCard, gatewayOf, proofOf, terminalOf, type Gateway, type Terminal } from './terminal.ts';

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
  for (const counter of ['none', 'unchecked'] as const) {
    assert.equal(
      send(gatewayOf(file, 0, TAR.rfmUsim, { counter })),
      RESPONSE_STATUS.insufficientSecurityLevel,
    );
  }
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

/** The user data of what comes back, undeciphered; what the card would send. */
function answerOf(
  terminal: Terminal,
  gateway: Gateway,
  data = select('6f07'),
): { report: Uint8Array; sent: number } {
  const [tpdu] = gateway.messages(data);
  const { data: report, sw } = terminal.envelope({ type: 'smsPpDownload', tpdu: tpdu! });
  return { report, sent: terminal.proactive(sw).length };
}

/** A refusal in the clear: user data header, RPL, RHL, TAR, CNTR, PCNTR, status; nothing else. */
const inClear = (status: number, counter = '0000000000'): string =>
  `027100000b0a${'b00011'}${counter}00${status.toString(16).padStart(2, '0')}`;

const STRANGERS: readonly (readonly [what: string, security: Partial<SecurityParameters>, status: number])[] =
  [
    ['no integrity', { integrity: 'none', ciphered: false }, RESPONSE_STATUS.insufficientSecurityLevel],
    ['no integrity, ciphered', { integrity: 'none' }, RESPONSE_STATUS.insufficientSecurityLevel],
    ['a redundancy check', { integrity: 'rc', ciphered: false }, RESPONSE_STATUS.insufficientSecurityLevel],
    ['a wrong key', {}, RESPONSE_STATUS.integrityFailed],
    ['a wrong key, in clear', { ciphered: false }, RESPONSE_STATUS.integrityFailed],
  ];

for (const [what, security, status] of STRANGERS) {
  for (const proofBy of ['deliverReport', 'submit'] as const) {
    test(`to a stranger (${what}) the card signs, ciphers and sends nothing (proof by ${proofBy})`, () => {
      const { terminal, file } = freshCard();
      terminal.boot();
      const before = terminal.card.state;
      const wrong = gatewayOf(file, 1, TAR.rfmUsim, { ...security, proofBy });
      wrong.counter = 0x1234567890;
      if (security.integrity === 'rc') wrong.header.kid = keyByte(1, 'crc32');
      const { report, sent } = answerOf(terminal, wrong);
      assert.equal(toHex(report), inClear(status));
      assert.equal(sent, 0);
      assert.equal(terminal.card.state, before);
    });
  }
}

test('what is ciphered without a checksum is not deciphered for anyone: the answer is the same whatever it holds', () => {
  const { terminal, file } = freshCard();
  terminal.boot();
  const gateway = gatewayOf(file, 0, TAR.rfmUsim, { integrity: 'none' });
  gateway.counter = 0x1234567890;
  assert.equal(toHex(answerOf(terminal, gateway).report), inClear(RESPONSE_STATUS.insufficientSecurityLevel));
});

test('no key set ciphers an answer for the holder of another', () => {
  const { file } = freshCard();
  const set = { number: 3, algorithm: 'aes' as const, kic: '11'.repeat(16), kid: '22'.repeat(16) };
  const card = createCard({ store: memoryStore(), file: { ...file, ota: { keySets: [set] } } });
  card.powerOn();
  const terminal = terminalOf(card);
  const pairs = [{ index: 0, state: 'current' as const, kic: set.kic, kid: set.kid }];
  const agent = gatewayOf({ ...file, keyList: { pairs, next: 1 } }, 0, TAR.rfmUsim, { ciphered: false });
  agent.counter = 1;
  agent.header = { ...agent.header, kic: keyByte(1, 'aes'), kid: keyByte(3, 'aes') };
  const before = card.state;
  const { report } = answerOf(terminal, agent, concat(select('6f07'), update(imsi)));
  assert.equal(toHex(report), inClear(RESPONSE_STATUS.securityError, '0000000001'));
  assert.equal(card.state, before, 'a proof that cannot be given: nothing is done');
});

test('a proof that no card could give is refused before anything is done', () => {
  const { terminal, file } = freshCard();
  for (const proofIntegrity of ['ds', 'rc'] as const) {
    const before = terminal.card.state;
    const gateway = gatewayOf(file, 0, TAR.rfmUsim, { proofIntegrity });
    gateway.counter = 1;
    const { report } = answerOf(terminal, gateway, concat(select('6f07'), update(imsi)));
    assert.equal(toHex(report), inClear(RESPONSE_STATUS.securityError, '0000000001'));
    assert.equal(terminal.card.state, before);
  }
});

test('immediate action: an early response says what was done so far, and the script goes on', () => {
  const { terminal, file } = freshCard();
  terminal.boot();
  const gateway = gatewayOf(file, 0, TAR.rfmUsim);
  const run = (...commands: ExpandedCommand[]): ExpandedResponse =>
    decodeExpandedResponse(gateway.send(terminal, encodeExpandedCommands(commands))!.data);
  const apdu = (hex: Uint8Array): ExpandedCommand => ({ type: 'apdu', apdu: hex });
  const action = (hex: string): ExpandedCommand => ({ type: 'immediateAction', value: fromHex(hex) });
  const ok = { type: 'apdu' as const, data: new Uint8Array(), sw: 0x9000 };
  assert.deepEqual(run(action('81'), apdu(select('6f07'))), { executed: 2, answers: [ok] });
  assert.deepEqual(run(apdu(select('6f07')), action('82'), apdu(update(imsi))), {
    executed: 2,
    answers: [ok],
  });
  terminal.selectUsim();
  assert.deepEqual(terminal.command(0, 0xb0, 0x87, 0, undefined, 9).data, imsi);
  for (const record of ['01', '02', '7f']) {
    const { executed, answers } = run(action(record), apdu(update(imsi)));
    assert.deepEqual(
      [executed, answers],
      [1, [{ type: 'immediateAction', value: fromHex('830130') }]],
      'a record of a file that the card does not have: well formed, not done',
    );
  }
  for (const unknown of ['00', '80', '83', 'ff']) {
    assert.deepEqual(run(action(unknown)).answers, [{ type: 'badFormat', reason: 1 }]);
  }
});

test('immediate action: REFRESH in the modes there are, file change with its files', () => {
  const { terminal, file } = freshCard();
  terminal.boot();
  const gateway = gatewayOf(file, 0, TAR.rfmUsim);
  const sent = (value: string): ProactiveCommand[] | string => {
    const script = encodeExpandedCommands([{ type: 'immediateAction', value: fromHex(value) }]);
    const { answers } = decodeExpandedResponse(gateway.send(terminal, script)!.data);
    const commands = terminal.proactive(gateway.lastSw, () => ({ result: 0 }));
    return answers.length === 0 ? commands : answers[0]!.type;
  };
  for (const mode of [0, 3, 4, 5, 6]) {
    const commands = sent(`81030101${mode.toString(16).padStart(2, '0')}82028182`);
    assert.ok(Array.isArray(commands) && commands[0]?.type === 'refresh' && commands[0].mode === mode);
  }
  const [change] = sent('81030101019207013f007fff6f07') as ProactiveCommand[];
  assert.ok(change?.type === 'refresh' && change.mode === 1);
  assert.deepEqual(change.files, [[0x3f00, 0x7fff, 0x6f07]]);
  assert.equal(sent(`81030101019281c932${'3f006f07'.repeat(50)}`).length, 1, 'as long as can be fetched');
  for (const refused of [
    '8103010101',
    '8103010102',
    '8103010107',
    '8103010108',
    '81030101ff',
    '8103010304',
    '81020104',
    '8103010104920301',
    '9207013f007fff6f07',
    `81030101019281f13c${'3f006f07'.repeat(60)}`,
  ]) {
    assert.equal(sent(refused), 'badFormat', refused);
  }
});
