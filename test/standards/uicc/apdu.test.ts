import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import {
  AUTHENTICATE_P2,
  channelOf,
  decodeAuthenticateResult,
  decodeChallenge,
  decodeCommand,
  decodeGsmResult,
  decodeResponse,
  describeStatus,
  encodeAuthenticateResult,
  encodeChallenge,
  encodeCommand,
  encodeGsmResult,
  encodeResponse,
  exchange,
  isSuccess,
  onChannel,
  transceive,
  transceiveAsync,
  type CommandApdu,
} from '../../../src/standards/uicc/index.ts';
import { surviveHostile } from '../hostile.ts';

const cases: [string, string, CommandApdu][] = [
  ['case 1', '00a40000', { cla: 0, ins: 0xa4, p1: 0, p2: 0 }],
  ['case 2', '00b000000a', { cla: 0, ins: 0xb0, p1: 0, p2: 0, le: 10 }],
  ['case 2, 256 bytes', '00b0000000', { cla: 0, ins: 0xb0, p1: 0, p2: 0, le: 256 }],
  ['case 3', '00a4000c023f00', { cla: 0, ins: 0xa4, p1: 0, p2: 12, data: fromHex('3f00') }],
  ['case 4', '00a40004023f0000', { cla: 0, ins: 0xa4, p1: 0, p2: 4, data: fromHex('3f00'), le: 256 }],
  ['case 2E', '00b00000000200', { cla: 0, ins: 0xb0, p1: 0, p2: 0, le: 512 }],
  ['case 2E, 65536', '00b00000000000', { cla: 0, ins: 0xb0, p1: 0, p2: 0, le: 65536 }],
  [
    'case 3E, short enough',
    '00d60000000001aa',
    { cla: 0, ins: 0xd6, p1: 0, p2: 0, data: fromHex('aa'), extended: true },
  ],
  ['case 4E', '00d60000000001aa0200', { cla: 0, ins: 0xd6, p1: 0, p2: 0, data: fromHex('aa'), le: 512 }],
];

test('commands of all cases of ISO/IEC 7816-4 §5.1, both ways', () => {
  for (const [name, hex, command] of cases) {
    assert.deepEqual(decodeCommand(fromHex(hex)), command, name);
    assert.equal(toHex(encodeCommand(command)), hex, name);
  }
});

test('a command or response that is cut, or goes on, is refused', () => {
  for (const hex of [
    '',
    '00a400',
    '00a40000023f',
    '00a40000023f000000',
    '00b000000000',
    '00b0000000000001',
  ]) {
    assert.throws(() => decodeCommand(fromHex(hex)), { name: 'DecodeError' }, hex);
  }
  assert.throws(() => decodeResponse(fromHex('90')), { name: 'DecodeError' });
  assert.throws(() => encodeCommand({ cla: 0, ins: 0, p1: 0, p2: 0, le: 0 }), { field: 'le' });
  assert.throws(() => encodeCommand({ cla: 256, ins: 0, p1: 0, p2: 0 }), { field: 'cla' });
});

test('any command and response comes back as it was', () => {
  const u8 = fc.nat(255);
  fc.assert(
    fc.property(
      u8,
      u8,
      u8,
      u8,
      fc.option(fc.uint8Array({ minLength: 1, maxLength: 400 })),
      fc.option(fc.integer({ min: 1, max: 65536 })),
      (cla, ins, p1, p2, data, le) => {
        const command: CommandApdu = { cla, ins, p1, p2, ...(data && { data }), ...(le !== null && { le }) };
        assert.deepEqual(decodeCommand(encodeCommand(command)), command);
      },
    ),
  );
  surviveHostile(
    decodeCommand,
    cases.map(([, hex]) => fromHex(hex)),
    encodeCommand,
  );
  surviveHostile(decodeResponse, [fromHex('01029000')], encodeResponse);
});

test('logical channels 0 to 19 in the class byte (TS 102 221 tables 10.3, 10.4)', () => {
  for (let channel = 0; channel < 20; channel++) {
    assert.equal(channelOf(onChannel(0x00, channel)), channel);
    assert.equal(channelOf(onChannel(0x80, channel)), channel);
  }
  assert.deepEqual(
    [onChannel(0x00, 3), onChannel(0x80, 3), onChannel(0x00, 4), onChannel(0x80, 19)],
    [3, 0x83, 0x40, 0xcf],
  );
  for (const cla of [0x10, 0x20, 0x30, 0x90, 0xb0, 0xff]) assert.equal(channelOf(cla), undefined);
  assert.throws(() => onChannel(0, 20), { field: 'channel' });
});

test('61xx is followed by GET RESPONSE on the same channel, 6Cxx by the same command with that length', async () => {
  const script: [string, string][] = [
    ['81f2000000', '6c20'],
    ['81f2000020', 'aa6103'],
    ['01c0000003', '0102036102'],
    ['01c0000002', '04059120'],
  ];
  const play = (): ((apdu: Uint8Array) => Uint8Array) => {
    let at = 0;
    return (apdu) => {
      const [expected, answer] = script[at++]!;
      assert.equal(toHex(apdu), expected);
      return fromHex(answer);
    };
  };
  const status: CommandApdu = { cla: 0x81, ins: 0xf2, p1: 0, p2: 0, le: 256 };
  const response = transceive(play(), status);
  assert.deepEqual(response, { data: fromHex('aa0102030405'), sw: 0x9120 });
  const transmit = play();
  assert.deepEqual(await transceiveAsync((apdu) => Promise.resolve(transmit(apdu)), status), response);
});

test('a card that never ends does not hold us for ever', () => {
  const read: CommandApdu = { cla: 0, ins: 0xb0, p1: 0, p2: 0, le: 1 };
  assert.equal(transceive(() => fromHex('6c01'), read).sw, 0x6c01);
  const steps = exchange({ cla: 0, ins: 0xb0, p1: 0, p2: 0, le: 256 });
  let turns = 0;
  let step = steps.next();
  assert.throws(() => {
    for (; step.done !== true; turns++) step = steps.next(fromHex('6100'));
  });
  assert.ok(turns <= 300);
});

test('status words by name', () => {
  assert.equal(describeStatus(0x6a82), 'file not found');
  assert.equal(describeStatus(0x63c2), 'failed, 2 tries left');
  assert.equal(describeStatus(0x910b), 'done, a proactive command of 11 bytes waits');
  assert.equal(describeStatus(0x1234), 'unknown status');
  assert.deepEqual([0x9000, 0x9110, 0x6282, 0x6a82].map(isSuccess), [true, true, true, false]);
});

test('AUTHENTICATE: challenge, success, synchronisation failure, GSM (TS 31.102 §7.1.2)', () => {
  const rand = new Uint8Array(16).fill(0x11);
  const autn = new Uint8Array(16).fill(0x22);
  assert.equal(toHex(encodeChallenge({ rand, autn })), `10${'11'.repeat(16)}10${'22'.repeat(16)}`);
  const success = `db08${'aa'.repeat(8)}10${'bb'.repeat(16)}10${'cc'.repeat(16)}08${'dd'.repeat(8)}`;
  assert.equal(toHex(encodeAuthenticateResult(decodeAuthenticateResult(fromHex(success)))), success);
  const failure = `dc0e${'ee'.repeat(14)}`;
  const decoded = decodeAuthenticateResult(fromHex(failure));
  assert.equal(decoded.kind, 'synchronisationFailure');
  assert.equal(toHex(encodeAuthenticateResult(decoded)), failure);
  assert.throws(() => encodeChallenge({ rand: rand.subarray(1), autn }), { field: 'rand' });
  surviveHostile(
    decodeChallenge,
    [encodeChallenge({ rand, autn }), encodeChallenge({ rand })],
    encodeChallenge,
  );
  surviveHostile(decodeAuthenticateResult, [fromHex(success), fromHex(failure)], encodeAuthenticateResult);
  surviveHostile(decodeGsmResult, [fromHex('04010203040808090a0b0c0d0e0f')], encodeGsmResult);
  assert.deepEqual(AUTHENTICATE_P2, { gsm: 0x80, umts: 0x81, ims: 0x81, httpDigest: 0x82, gba: 0x84 });
});
