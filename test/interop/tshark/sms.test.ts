import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex } from '../../../src/standards/bytes/index.ts';
import {
  GSMTAP_LTE_NAS,
  GSMTAP_NAS,
  GSMTAP_PORT,
  encodeGsmtap,
} from '../../../src/standards/gsmtap/index.ts';
import { encodeNas } from '../../../src/standards/nas/index.ts';
import {
  decodeSpi,
  encodeCommandPacket,
  encodePacketSms,
  encodeResponsePacket,
} from '../../../src/standards/ota/index.ts';
import {
  DCS_CARD,
  PID_CARD,
  encodeCp,
  encodeGsm7,
  encodeRp,
  encodeTpdu,
  international,
  type RpMessage,
  type Tpdu,
} from '../../../src/standards/sms/index.ts';
import { findCommand, requirePeer } from '../peer.ts';
import { dissect, udpCapture } from './capture.ts';

const timeStamp = { time: Date.UTC(2026, 10, 24, 8, 30), zone: 4 };
const header = { security: decodeSpi(0x1619), kic: 0x22, kid: 0x22, tar: fromHex('bfff3b') };
const keys = { kic: new Uint8Array(16).fill(1), kid: new Uint8Array(16).fill(2) };
const command = encodeCommandPacket({ ...header, counter: 7, data: new Uint8Array(150) }, keys);
const response = encodeResponsePacket(
  { tar: header.tar, counter: 7, status: 0, data: fromHex('019000') },
  header,
  keys,
);
const [first, second] = encodePacketSms('command', command, 0x5a);
const [report] = encodePacketSms('response', response);

const toDevice = (tpdu: Tpdu): RpMessage => ({
  type: 'data',
  toDevice: true,
  reference: 1,
  originator: international('491770000000'),
  tpdu: encodeTpdu(tpdu),
});
const deliver = { type: 'deliver' as const, originator: international('4915112345678'), timeStamp };

const messages: [what: string, rp: RpMessage, shows: RegExp[]][] = [
  [
    'the first part of a secured packet',
    toDevice({ ...deliver, moreMessages: true, pid: PID_CARD, dcs: DCS_CARD, userData: first! }),
    [
      /SMS-DELIVER/,
      /\(U\)SIM Data Download/i,
      /Security Headers|IE: \(U\)SIM Toolkit Security/i,
      /Message part number: 1$/m,
    ],
  ],
  [
    'the second part of a secured packet',
    toDevice({ ...deliver, moreMessages: false, pid: PID_CARD, dcs: DCS_CARD, userData: second! }),
    [/SMS-DELIVER/, /Message part number: 2$/m],
  ],
  [
    'a deliver report with a proof of receipt',
    {
      type: 'ack',
      toDevice: false,
      reference: 1,
      tpdu: encodeTpdu({ type: 'deliverReport', pid: PID_CARD, dcs: DCS_CARD, userData: report! }),
    },
    [/RP-ACK/, /SMS-DELIVER REPORT/],
  ],
  [
    'a deliver report of a failure',
    {
      type: 'error',
      toDevice: false,
      reference: 2,
      cause: 22,
      tpdu: encodeTpdu({ type: 'deliverReport', cause: 0xd0 }),
    },
    [/RP-ERROR/, /Memory capacity exceeded/, /SMS-DELIVER REPORT/],
  ],
  [
    'a submitted text',
    {
      type: 'data',
      toDevice: false,
      reference: 3,
      destination: international('491770000000'),
      tpdu: encodeTpdu({
        type: 'submit',
        reference: 9,
        destination: international('4915112345678'),
        pid: 0,
        dcs: 0,
        validity: { format: 'absolute', stamp: timeStamp },
        userData: { header: [], data: encodeGsm7('meter 42 {ok}') },
      }),
    },
    [/SMS-SUBMIT/, /meter 42 \{ok\}/],
  ],
  [
    'a submit report',
    {
      type: 'ack',
      toDevice: true,
      reference: 3,
      tpdu: encodeTpdu({ type: 'submitReport', timeStamp }),
    },
    [/SMS-SUBMIT REPORT/],
  ],
  [
    'a status report',
    toDevice({
      type: 'statusReport',
      moreMessages: false,
      reference: 9,
      recipient: international('4915112345678'),
      timeStamp,
      dischargeTime: timeStamp,
      status: 0,
    }),
    [/SMS-STATUS-?\s?REPORT/],
  ],
  [
    'a command',
    {
      type: 'data',
      toDevice: false,
      reference: 4,
      destination: international('491770000000'),
      tpdu: encodeTpdu({
        type: 'command',
        reference: 1,
        pid: 0,
        command: 0,
        messageNumber: 9,
        destination: international('4915112345678'),
        data: new Uint8Array(0),
      }),
    },
    [/SMS-COMMAND/],
  ],
  ['memory available', { type: 'memoryAvailable', toDevice: false, reference: 5 }, [/RP-SMMA/]],
];

test('tshark dissects our short messages from NAS down to the secured packet without complaint', (t) => {
  const tshark = requirePeer(t, findCommand('tshark'), 'tshark', 'tshark');
  if (tshark === undefined) return;
  const datagrams = messages.map(([, rp], i) => {
    const control = encodeCp({ type: 'data', transaction: i % 7, fromInitiator: true, rp: encodeRp(rp) });
    const payload = encodeNas(
      rp.toDevice
        ? { type: 'downlinkNasTransport', nasMessageContainer: control }
        : { type: 'uplinkNasTransport', nasMessageContainer: control },
    );
    const uplink = !rp.toDevice;
    return encodeGsmtap({ type: GSMTAP_LTE_NAS, subType: GSMTAP_NAS.plain, uplink, payload });
  });
  const shown = dissect(tshark, udpCapture(GSMTAP_PORT, datagrams), ['-V'])
    .split(/^(?=Frame \d+: )/m)
    .filter((frame) => frame.startsWith('Frame '));
  assert.equal(shown.length, messages.length);
  for (const [i, [what, , shows]] of messages.entries()) {
    const frame = shown[i]!;
    for (const bad of [/Malformed/, /Extraneous/, /Expert Info \((?:Error|Warning)/, /Unknown/]) {
      const line = frame.split('\n').find((one) => bad.test(one));
      assert.equal(line, undefined, `${what}: ${line}`);
    }
    for (const shown of shows) assert.match(frame, shown, what);
  }
});
