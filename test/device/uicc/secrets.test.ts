import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  authenticationVector,
  decodeSqn,
  encodeSqn,
  prepare,
  SQN_DEFAULT,
  verifyAuts,
} from '../../../src/standards/aka/index.ts';
import { concat, fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import {
  decodeAuthenticateResult,
  decodeGsmResult,
  encodeChallenge,
} from '../../../src/standards/uicc/index.ts';
import { drawn, freshCard } from './terminal.ts';

const pin = (value: string): string => Buffer.from(value).toString('hex').padEnd(16, 'f');

test('VERIFY PIN counts down, blocks, and PUK opens again', () => {
  const { terminal, file } = freshCard({ pin1Enabled: true });
  terminal.selectUsim();
  const wrong = file.pin1 === '0000' ? '1111' : '0000';
  assert.equal(terminal.sw(0, 0xb0, 0x87, 0, undefined, 9), 0x6982);
  assert.equal(terminal.sw(0, 0x20, 0, 1), 0x63c3);
  for (const tries of [2, 1, 0]) assert.equal(terminal.sw(0, 0x20, 0, 1, pin(wrong)), 0x63c0 | tries);
  assert.equal(terminal.sw(0, 0x20, 0, 1, pin(file.pin1)), 0x6983);
  terminal.card.powerOn();
  terminal.selectUsim();
  assert.equal(terminal.sw(0, 0x20, 0, 1), 0x6983, 'power does not help');
  assert.equal(terminal.sw(0, 0x2c, 0, 1), 0x63ca);
  const wrongPuk = file.puk1 === '00000000' ? '11111111' : '00000000';
  assert.equal(terminal.sw(0, 0x2c, 0, 1, pin(wrongPuk) + pin('4321')), 0x63c9);
  assert.equal(terminal.sw(0, 0x2c, 0, 1, pin(file.puk1) + pin('4321')), 0x9000);
  assert.equal(terminal.sw(0, 0xb0, 0x87, 0, undefined, 9), 0x9000);
  terminal.card.powerOn();
  assert.equal(terminal.sw(0, 0x20, 0, 1, pin('4321')), 0x9000);
});

test('CHANGE, DISABLE and ENABLE PIN; PIN2 and ADM1 cannot be switched off', () => {
  const { terminal, file } = freshCard({ pin1Enabled: true });
  assert.equal(terminal.sw(0, 0x24, 0, 1, pin(file.pin1) + pin('987654')), 0x9000);
  assert.equal(terminal.sw(0, 0x24, 0, 1, pin('987654') + pin('12')), 0x6a80);
  assert.equal(terminal.sw(0, 0x28, 0, 1, pin('987654')), 0x6984, 'enabled already');
  assert.equal(terminal.sw(0, 0x26, 0, 1, pin('987654')), 0x9000);
  assert.equal(terminal.sw(0, 0x20, 0, 1, pin('987654')), 0x6984, 'nothing to verify');
  assert.equal(terminal.sw(0, 0x28, 0, 1, pin('987654')), 0x9000);
  assert.equal(terminal.sw(0, 0x26, 0, 0x81, pin(file.pin2)), 0x6985);
  assert.equal(terminal.sw(0, 0x2c, 0, 0x0a, pin('12345678') + pin('1234')), 0x6a81);
  assert.equal(terminal.sw(0, 0x20, 0, 0x05, pin('1234')), 0x6a88);
  assert.equal(terminal.sw(0, 0x20, 0, 1, pin('987654').slice(2)), 0x6700);
});

function vectors(
  seq: number,
  ind: number,
  key: { k: string; opc?: string | undefined },
): ReturnType<typeof authenticationVector> {
  const aka = prepare({ algorithm: 'milenage', k: fromHex(key.k), opc: fromHex(key.opc!) });
  return authenticationVector(
    aka,
    drawn(`rand ${seq}`).bytes(16),
    encodeSqn(SQN_DEFAULT, seq, ind),
    fromHex('8000'),
  );
}

test('AUTHENTICATE: the network’s own RES, CK and IK', () => {
  const { terminal, file } = freshCard();
  const vector = vectors(1, 1, file.usim);
  const challenge = encodeChallenge(vector);
  assert.equal(terminal.sw(0, 0x88, 0, 0x81, challenge, 256), 0x6985, 'no application yet');
  terminal.selectUsim();
  const { data } = terminal.command(0, 0x88, 0, 0x81, challenge, 256);
  const result = decodeAuthenticateResult(data);
  assert.ok(result.kind === 'success');
  assert.deepEqual(
    [result.res, result.ck, result.ik].map(toHex),
    [vector.xres, vector.ck, vector.ik].map(toHex),
  );
});

test('a number used before brings AUTS, which tells the network the highest', () => {
  const { terminal, file } = freshCard();
  terminal.selectUsim();
  for (const [seq, ind] of [
    [5, 1],
    [9, 2],
    [7, 3],
  ] as const) {
    const { data } = terminal.command(0, 0x88, 0, 0x81, encodeChallenge(vectors(seq, ind, file.usim)), 256);
    assert.equal(decodeAuthenticateResult(data).kind, 'success', `SEQ ${seq} in its own place`);
  }
  terminal.card.powerOn();
  terminal.selectUsim();
  const old = vectors(5, 1, file.usim);
  const { data } = terminal.command(0, 0x88, 0, 0x81, encodeChallenge(old), 256);
  const result = decodeAuthenticateResult(data);
  assert.ok(result.kind === 'synchronisationFailure');
  const key = prepare({ algorithm: 'milenage', k: fromHex(file.usim.k), opc: fromHex(file.usim.opc!) });
  const sqnMs = verifyAuts(key, old.rand, result.auts);
  assert.deepEqual(decodeSqn(SQN_DEFAULT, sqnMs!), { seq: 9, ind: 2 });
});

test('a MAC that is not the network’s: 9862, and no number is used up', () => {
  const { terminal, file } = freshCard();
  terminal.selectUsim();
  const { rand, autn } = vectors(1, 1, file.usim);
  const forged = autn.slice();
  forged[15]! ^= 1;
  assert.equal(terminal.sw(0, 0x88, 0, 0x81, encodeChallenge({ rand, autn: forged }), 256), 0x9862);
  assert.equal(terminal.sw(0, 0x88, 0, 0x81, encodeChallenge({ rand, autn }), 256), 0x9000);
  assert.equal(terminal.sw(0, 0x88, 0, 0x81, encodeChallenge({ rand }), 256), 0x6700);
  assert.equal(terminal.sw(0, 0x88, 0, 0x84, encodeChallenge({ rand }), 256), 0x9864);
});

test('GSM context: SRES and Kc are folded from RES, CK and IK (TS 33.102 §6.8.1.2)', () => {
  const { terminal, file } = freshCard();
  terminal.selectUsim();
  const vector = vectors(3, 0, file.usim);
  const { data } = terminal.command(0, 0x88, 0, 0x80, encodeChallenge({ rand: vector.rand }), 256);
  const { sres, kc } = decodeGsmResult(data);
  const keys = concat(vector.ck, vector.ik);
  assert.equal(toHex(sres), toHex(vector.xres.slice(0, 4).map((byte, i) => byte ^ vector.xres[4 + i]!)));
  assert.equal(
    toHex(kc),
    toHex(keys.slice(0, 8).map((byte, i) => byte ^ keys[8 + i]! ^ keys[16 + i]! ^ keys[24 + i]!)),
  );
});
