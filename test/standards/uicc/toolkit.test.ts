import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import {
  EVENT,
  PROACTIVE,
  REFRESH,
  commandDetails,
  decodeEnvelope,
  decodeProactiveCommand,
  decodeTerminalProfile,
  decodeTerminalResponse,
  decodeTimerValue,
  encodeEnvelope,
  encodeProactiveCommand,
  encodeTerminalProfile,
  encodeTerminalResponse,
  encodeTimerValue,
  international,
  type Envelope,
  type ProactiveCommand,
  type TerminalResponse,
} from '../../../src/standards/uicc/index.ts';
import { surviveHostile } from '../hostile.ts';

/** Layout as the sequences of TS 31.124 and TS 102 384 have it: details, devices, then the command's own. */
const commands: [string, ProactiveCommand][] = [
  ['d009 8103010104 82028182', { type: 'refresh', number: 1, mode: REFRESH.uiccReset }],
  [
    'd010 8103010101 82028182 9205013f002fe2',
    { type: 'refresh', number: 1, mode: REFRESH.fileChange, files: [[0x3f00, 0x2fe2]] },
  ],
  ['d009 8103010200 82028182', { type: 'moreTime', number: 1 }],
  [
    'd00d 8103010300 82028182 84020114',
    { type: 'pollInterval', number: 1, interval: { unit: 'seconds', value: 20 } },
  ],
  ['d009 8103010400 82028182', { type: 'pollingOff', number: 1 }],
  [
    'd00d 8103010500 82028182 99020312',
    { type: 'setUpEventList', number: 1, events: [EVENT.locationStatus, EVENT.networkRejection] },
  ],
  [
    'd018 8103011300 82028183 86079111223344 55f6 8b0401020304',
    {
      type: 'sendShortMessage',
      number: 1,
      address: international('11223344556'),
      tpdu: fromHex('01020304'),
    },
  ],
  [
    'd011 8103012700 82028182 a40101 a503002000',
    { type: 'timerManagement', number: 1, timer: 1, action: 'start', seconds: 120 },
  ],
  [
    'd00c 8103012702 82028182 a40108',
    { type: 'timerManagement', number: 1, timer: 8, action: 'currentValue' },
  ],
  ['d009 8103012600 82028182', { type: 'provideLocalInformation', number: 1, what: 0 }],
  [
    'd010 8103012180 82028102 8d050448656c6c',
    { type: 'displayText', number: 1, qualifier: 0x80, dcs: 4, text: fromHex('48656c6c') },
  ],
  [
    'd00b 8103014000 82028182 0500',
    {
      type: 'other',
      number: 1,
      details: { number: 1, type: 0x40, qualifier: 0 },
      destination: 0x82,
      objects: [{ tag: 5, required: false, value: new Uint8Array() }],
    },
  ],
];
const flat = (hex: string): Uint8Array => fromHex(hex.replaceAll(' ', ''));

test('proactive commands, both ways', () => {
  for (const [hex, command] of commands) {
    assert.deepEqual(decodeProactiveCommand(flat(hex)), command, hex);
    assert.equal(toHex(encodeProactiveCommand(command)), toHex(flat(hex)));
  }
});

test('a data object we do not know is handed on, with whether it must be understood', () => {
  const command = decodeProactiveCommand(flat('d010 8103010300 82028182 84020114' + 'de0101'));
  assert.deepEqual(command.extra, [{ tag: 0x5e, required: true, value: fromHex('01') }]);
  assert.deepEqual(commandDetails(command), { number: 1, type: PROACTIVE.pollInterval, qualifier: 0 });
});

test('what is not a command of its type is refused', () => {
  for (const hex of [
    'd009 8103010300 82028182', // no duration
    'd00d 8103010300 82028182 84020314', // unknown unit
    'd00d 8103010300 82028182 84020100', // no time
    'd00c 8103012700 82028182 a40101', // a timer that starts without a value
    'd00c 8103012702 82028182 a40109', // no such timer
    'd00c 8103012703 82028182 a40101', // no such action
    'd009 8103010104 82028282', // not from the UICC
    'd009 8103010104 8202818200', // bytes after the end
    'd104 81020101',
  ]) {
    assert.throws(() => decodeProactiveCommand(flat(hex)), { name: 'DecodeError' }, hex);
  }
  assert.throws(
    () => encodeProactiveCommand({ type: 'timerManagement', number: 1, timer: 1, action: 'start' }),
    { field: 'seconds' },
  );
});

test('proactive commands survive hostile bytes, and what is accepted comes back', () => {
  surviveHostile(
    decodeProactiveCommand,
    commands.map(([hex]) => flat(hex)),
    encodeProactiveCommand,
  );
});

const responses: [string, TerminalResponse][] = [
  ['8103010500 82028281 830100', { command: { number: 1, type: 5, qualifier: 0 }, result: 0 }],
  [
    '8103011300 82028281 83022004',
    { command: { number: 1, type: 0x13, qualifier: 0 }, result: 0x20, additional: fromHex('04') },
  ],
  [
    '8103010300 82028281 830100 8402001e',
    { command: { number: 1, type: 3, qualifier: 0 }, result: 0, interval: { unit: 'minutes', value: 30 } },
  ],
  [
    '8103012600 82028281 830100 9309 00f110 0001 0000001f',
    {
      command: { number: 1, type: 0x26, qualifier: 0 },
      result: 0,
      location: { plmn: '00101', code: 1, cell: fromHex('0000001f') },
    },
  ],
  [
    '8103012601 82028281 830100 94083a32547698103254',
    {
      command: { number: 1, type: 0x26, qualifier: 1 },
      result: 0,
      imei: '323456789012345',
    },
  ],
  [
    '8103012608 82028281 830100 e20933325476981032 54f6',
    {
      command: { number: 1, type: 0x26, qualifier: 8 },
      result: 0,
      imeisv: '3234567890123456',
    },
  ],
  [
    '8103012701 82028281 830100 a40101 a503001051',
    { command: { number: 1, type: 0x27, qualifier: 1 }, result: 0, timer: 1, seconds: 75 },
  ],
  [
    '8103012606 82028281 830100 bf0108',
    { command: { number: 1, type: 0x26, qualifier: 6 }, result: 0, accessTechnology: 8 },
  ],
  [
    '8103012603 82028281 830100 a60702112342650000',
    { command: { number: 1, type: 0x26, qualifier: 3 }, result: 0, dateTime: fromHex('02112342650000') },
  ],
];

test('terminal responses, both ways, and hostile', () => {
  for (const [hex, response] of responses) {
    assert.deepEqual(decodeTerminalResponse(flat(hex)), response, hex);
    assert.equal(toHex(encodeTerminalResponse(response)), toHex(flat(hex)));
  }
  assert.equal(
    decodeTerminalResponse(flat('0103010500 02028281 030100')).result,
    0,
    'the flag does not matter',
  );
  assert.throws(() => decodeTerminalResponse(flat('8103010500 82028182 830100')), {
    field: 'device identities',
  });
  surviveHostile(
    decodeTerminalResponse,
    responses.map(([hex]) => flat(hex)),
    encodeTerminalResponse,
  );
});

const envelopes: [string, Envelope][] = [
  [
    'd117 82028381 8607914477581006 50 8b08 0102030405060708',
    { type: 'smsPpDownload', address: international('447785016005'), tpdu: fromHex('0102030405060708') },
  ],
  ['d70c 82028281 a40101 a503002000', { type: 'timerExpiration', timer: 1, seconds: 120 }],
  [
    'd615 990103 82028281 9b0100 9309 00f110 0001 0000001f',
    { type: 'locationStatus', status: 0, location: { plmn: '00101', code: 1, cell: fromHex('0000001f') } },
  ],
  ['d60a 990103 82028281 9b0102', { type: 'locationStatus', status: 2 }],
  [
    'd617 990112 82028381 fd0500f1100007 bf0108 f40109 f50108',
    {
      type: 'networkRejection',
      trackingArea: { plmn: '00101', code: 7 },
      accessTechnology: 8,
      updateAttachType: 9,
      cause: 8,
    },
  ],
  ['d607 990104 82028281', { type: 'event', event: 4, source: 0x82, objects: [] }],
  [
    'd304 82020181',
    { type: 'other', tag: 0xd3, objects: [{ tag: 2, required: true, value: fromHex('0181') }] },
  ],
];

test('envelopes, both ways, and hostile (network rejection: TS 31.111 §7.5.2)', () => {
  for (const [hex, envelope] of envelopes) {
    assert.deepEqual(decodeEnvelope(flat(hex)), envelope, hex);
    assert.equal(toHex(encodeEnvelope(envelope)), toHex(flat(hex)));
  }
  for (const hex of [
    'd70b 82028281 a40101 a5020020',
    'd607 990103 82028281',
    'd10482028381',
    'd60a 990103 82028381 9b0102',
  ]) {
    assert.throws(() => decodeEnvelope(flat(hex)), { name: 'DecodeError' }, hex);
  }
  surviveHostile(
    decodeEnvelope,
    envelopes.map(([hex]) => flat(hex)),
    encodeEnvelope,
  );
});

test('timer values are hours, minutes, seconds in swapped digits', () => {
  assert.equal(toHex(encodeTimerValue(23 * 3600 + 59 * 60 + 58)), '329585');
  fc.assert(fc.property(fc.nat(86399), (seconds) => decodeTimerValue(encodeTimerValue(seconds)) === seconds));
  for (const hex of ['420000', '000600', '0a0000', '0000']) {
    assert.throws(() => decodeTimerValue(fromHex(hex)), { name: 'DecodeError' }, hex);
  }
});

test('terminal profile: bits where TS 102 223 §5.2 and TS 31.111 §5.2 have them', () => {
  const all = [
    'profileDownload',
    'refresh',
    'setUpEventList',
    'timerManagement',
    'networkRejectionEvent',
  ] as const;
  const profile = encodeTerminalProfile(all);
  assert.equal(toHex(profile), `01008000010000010000000000000000000000000000000010`);
  assert.deepEqual(decodeTerminalProfile(profile), new Set(all));
  assert.deepEqual(decodeTerminalProfile(new Uint8Array()), new Set());
});
