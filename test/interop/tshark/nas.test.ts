import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import {
  GSMTAP_LTE_NAS,
  GSMTAP_NAS,
  GSMTAP_PORT,
  encodeGsmtap,
} from '../../../src/standards/gsmtap/index.ts';
import { createNasSecurity, encodeNas, isEsm, type Direction } from '../../../src/standards/nas/index.ts';
import { SAMPLES } from '../../standards/nas/samples.ts';
import { findCommand, requirePeer } from '../peer.ts';
import { dissect, udpCapture } from './capture.ts';

/** Message names as tshark has them, in the order of the samples. */
const NAMES: Record<string, RegExp> = {
  attachRequest: /Attach request/,
  attachAccept: /Attach accept/,
  attachComplete: /Attach complete/,
  attachReject: /Attach reject/,
  detachRequest: /Detach request/,
  networkDetachRequest: /Detach request/,
  trackingAreaUpdateRequest: /Tracking area update request/,
  controlPlaneServiceRequest: /Control plane service request/,
  securityModeCommand: /Security mode command/,
  downlinkNasTransport: /Downlink NAS transport/,
  uplinkNasTransport: /Uplink NAS transport/,
  esmDataTransport: /ESM data transport/,
  pdnConnectivityRequest: /PDN connectivity request/,
};

const packet = (payload: Uint8Array, direction: Direction, subType: number): Uint8Array =>
  encodeGsmtap({ type: GSMTAP_LTE_NAS, subType, uplink: direction === 'uplink', payload });

function frames(text: string): string[] {
  return text.split(/^(?=Frame \d+: )/m).filter((frame) => frame.startsWith('Frame '));
}

function expectClean(frame: string, what: string): void {
  for (const bad of [/Malformed/, /Extraneous Data/, /Expert Info \((?:Error|Warning)/, /Unknown (?!\(\d)/]) {
    const line = frame.split('\n').find((one) => bad.test(one));
    assert.equal(line, undefined, `${what}: ${line}`);
  }
}

test('tshark dissects every NAS message, plain, without complaint', (t) => {
  const tshark = requirePeer(t, findCommand('tshark'), 'tshark', 'tshark');
  if (tshark === undefined) return;
  // ESM messages travel in EMM ones or protected; alone they are shown as their own kind too.
  const plain = SAMPLES.map(([direction, message]) =>
    packet(encodeNas(message), direction, GSMTAP_NAS.plain),
  );
  const shown = frames(dissect(tshark, udpCapture(GSMTAP_PORT, plain), ['-V']));
  assert.equal(shown.length, SAMPLES.length);
  for (const [i, [direction, message]] of SAMPLES.entries()) {
    const frame = shown[i]!;
    expectClean(frame, message.type);
    assert.match(frame, NAMES[message.type] ?? /NAS EPS/, message.type);
    assert.match(frame, direction === 'uplink' ? /Uplink: 1/ : /Uplink: 0/, message.type);
    assert.match(frame, isEsm(message) ? /EPS session management/ : /EPS mobility management/, message.type);
  }
});

test('tshark sees header, code and count of protected messages, and into those that are not ciphered', (t) => {
  const tshark = requirePeer(t, findCommand('tshark'), 'tshark', 'tshark');
  if (tshark === undefined) return;
  const security = (eea: number) =>
    createNasSecurity({ ksi: 0, kAsme: new Uint8Array(32), eea, eia: 2, uplink: 5, downlink: 9 });
  const sent = SAMPLES.map(([direction, message]) => security(0).protect(encodeNas(message), direction, 1));
  const shown = frames(
    dissect(
      tshark,
      udpCapture(
        GSMTAP_PORT,
        sent.map((bytes, i) => packet(bytes, SAMPLES[i]![0], GSMTAP_NAS.protected)),
      ),
      ['-V'],
    ),
  );
  for (const [i, [direction, message]] of SAMPLES.entries()) {
    const frame = shown[i]!;
    expectClean(frame, message.type);
    assert.match(frame, /Security header type: Integrity protected \(1\)/, message.type);
    assert.match(frame, new RegExp(`Message authentication code: 0x${toHex(sent[i]!.subarray(1, 5))}`));
    assert.match(frame, direction === 'uplink' ? /Sequence number: 5/ : /Sequence number: 9/);
    assert.match(frame, NAMES[message.type] ?? /NAS EPS/, message.type);
  }
  const ciphered = security(2).protect(fromHex('0762020904'), 'downlink', 2);
  const [frame] = frames(
    dissect(tshark, udpCapture(GSMTAP_PORT, [packet(ciphered, 'downlink', GSMTAP_NAS.protected)]), ['-V']),
  );
  assert.match(frame!, /Integrity protected and ciphered \(2\)/);
  assert.match(frame!, /Ciphered message/);
});
