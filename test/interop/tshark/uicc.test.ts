import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Writer, concat, fromHex } from '../../../src/standards/bytes/index.ts';
import {
  TERMINAL_FACILITY,
  encodeCommand,
  encodeEnvelope,
  encodeProactiveCommand,
  encodeTerminalProfile,
  encodeTerminalResponse,
  type Envelope,
  type ProactiveCommand,
  type TerminalFacility,
} from '../../../src/standards/uicc/index.ts';
import { findCommand, requirePeer } from '../peer.ts';
import { dissect, udpCapture } from './capture.ts';

/** GSMTAP, type SIM: command and response of one exchange. */
const exchange = (ins: number, data: Uint8Array): Uint8Array =>
  concat(
    new Writer(16).u32(0x02040400).u32(0).u32(0).u32(0).done(),
    encodeCommand({ cla: 0x80, ins, p1: 0, p2: 0, data }),
    fromHex('9000'),
  );
const fetched = (command: ProactiveCommand): Uint8Array => {
  const data = encodeProactiveCommand(command);
  return concat(
    new Writer(16).u32(0x02040400).u32(0).u32(0).u32(0).done(),
    fromHex('80120000'),
    Uint8Array.of(data.length),
    data,
    fromHex('9000'),
  );
};
const told = (envelope: Envelope): Uint8Array => exchange(0xc2, encodeEnvelope(envelope));

test('tshark reads the toolkit as we write it', (t) => {
  const tshark = requirePeer(t, findCommand('tshark'), 'tshark', 'tshark');
  if (tshark === undefined) return;
  const packets: [Uint8Array, ...RegExp[]][] = [
    [
      exchange(0x10, encodeTerminalProfile(Object.keys(TERMINAL_FACILITY) as TerminalFacility[])),
      /SMS-PP Data Download: Supported/,
      /Timer expiration: Supported/,
      /DISPLAY TEXT: Supported/,
      /MORE TIME: Supported/,
      /POLL INTERVAL: Supported/,
      /POLLING OFF: Supported/,
      /REFRESH: Supported/,
      /SEND SHORT MESSAGE: Supported/,
      /PROVIDE LOCAL INFORMATION: Supported/,
      /SET UP EVENT LIST: Supported/,
      /Event: Location status: Supported/,
      /TIMER MANAGEMENT \(start, stop\): Supported/,
      /TIMER MANAGEMENT \(get current value\): Supported/,
      /Network Rejection for GERAN\/UTRAN: Supported/,
      /Network Rejection for E-UTRAN: Supported/,
    ],
    [
      fetched({ type: 'timerManagement', number: 1, timer: 1, action: 'start', seconds: 3725 }),
      /Command Type: TIMER MANAGEMENT/,
      /Hours: 1 .*\n\s*Minutes: 2 .*\n\s*Seconds: 5 /,
    ],
    [
      fetched({ type: 'setUpEventList', number: 2, events: [3, 0x12] }),
      /Event: Location status/,
      /Event: Network Rejection/,
    ],
    [fetched({ type: 'refresh', number: 3, mode: 4 }), /Command Qualifier: UICC Reset/],
    [
      fetched({ type: 'pollInterval', number: 4, interval: { unit: 'seconds', value: 30 } }),
      /Time Unit: seconds/,
      /Time Interval: 30/,
    ],
    [
      told({
        type: 'networkRejection',
        trackingArea: { plmn: '00101', code: 7 },
        accessTechnology: 8,
        updateAttachType: 9,
        cause: 3,
      }),
      /Tracking area code\(TAC\): 7/,
      /Access technology: E-UTRAN/,
      /EMM ATTACH REQUEST/,
      /Rejection Cause Code: 03/,
    ],
    [
      told({ type: 'timerExpiration', timer: 1, seconds: 3725 }),
      /BER-TLV Tag: Timer Expiration/,
      /Seconds: 5 /,
    ],
    [
      told({ type: 'locationStatus', status: 0, location: { plmn: '00101', code: 7 } }),
      /Location Status: Normal service/,
      /Tracking Area Code: 0x0007/,
    ],
    [
      exchange(
        0x14,
        encodeTerminalResponse({
          command: { number: 1, type: 0x26, qualifier: 1 },
          result: 0,
          imei: '356938035643809',
        }),
      ),
      /Command performed successfully/,
      /BCD Digits: 356938035643809/,
    ],
  ];
  const text = dissect(
    tshark,
    udpCapture(
      4729,
      packets.map(([packet]) => packet),
    ),
    ['-V', '-O', 'gsm_sim,etsi_cat'],
  );
  const frames = text.split(/^Frame \d+/m).slice(1);
  assert.equal(frames.length, packets.length);
  packets.forEach(([, ...expected], i) => {
    for (const pattern of expected) assert.match(frames[i]!, pattern);
  });
  assert.doesNotMatch(text, /Malformed/);
});
