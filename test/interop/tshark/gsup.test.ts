import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { openCapture } from '../../../src/lab/capture.ts';
import { concat, fromHex } from '../../../src/standards/bytes/index.ts';
import {
  IDENTITY,
  IPA_EXTENSION,
  IPA_PROTOCOL,
  encodeCcm,
  encodeGsup,
  encodeIpa,
  type GsupMessage,
} from '../../../src/standards/gsup/index.ts';
import { messageNames, messagesOf } from '../../standards/gsup/arbitrary.ts';
import { findCommand, requirePeer } from '../peer.ts';
import { dissect } from './capture.ts';
import { tcpCapture } from './tcp.ts';

const frame = (message: GsupMessage): Uint8Array =>
  encodeIpa({ protocol: IPA_PROTOCOL.osmo, extension: IPA_EXTENSION.gsup, payload: encodeGsup(message) });

/** A message of a type with all it may have, and values that mean something where tshark looks into them. */
function sensible(name: GsupMessage['type']): GsupMessage {
  const [message] = fc.sample(messagesOf(name, true), { numRuns: 1, seed: 7 });
  const { others: _others, ...rest } = message! as GsupMessage & Record<string, unknown>;
  // Without a value, as libosmocore writes them; Debian 12's tshark wants one.
  delete rest.pdpInfoComplete;
  delete rest.freezePtmsi;
  const text = new TextEncoder().encode('MSC-1\0');
  const known: Record<string, unknown> = {
    imsi: '001010123456789',
    cause: 17,
    cnDomain: 1,
    cancelType: 1,
    messageClass: 1,
    msisdn: '491234567890',
    hlrNumber: '491234567890',
    sourceName: text,
    destinationName: text,
    supportedRats: [1, 2, 3],
    currentRat: 3,
    charging: fromHex('0800'),
    tuples: [
      {
        rand: new Uint8Array(16).fill(1),
        gsm: { sres: new Uint8Array(4).fill(2), kc: new Uint8Array(8).fill(3) },
        umts: {
          ik: new Uint8Array(16).fill(4),
          ck: new Uint8Array(16).fill(5),
          autn: new Uint8Array(16).fill(6),
          res: new Uint8Array(8).fill(7),
        },
      },
    ],
    pdpInfos: [{ contextId: 1, type: { number: 0x21, address: fromHex('0a000001') }, apn: 'iot.example' }],
  };
  return Object.fromEntries(
    Object.entries(rest).map(([field, value]) => [field, field in known ? known[field] : value]),
  ) as unknown as GsupMessage;
}

test('tshark names every GSUP message and element and dissects it without complaint', (t) => {
  const tshark = requirePeer(t, findCommand('tshark'), 'tshark', 'tshark');
  if (tshark === undefined) return;
  const messages = messageNames.map((name) => sensible(name));
  const shown = dissect(tshark, tcpCapture(4222, messages.map(frame)), ['-V'])
    .split(/^(?=Frame \d+: )/m)
    .filter((each) => each.startsWith('Frame '));
  assert.equal(shown.length, messages.length);
  for (const [i, message] of messages.entries()) {
    const text = shown[i]!;
    const [, kind, outcome] = /^(.*?)(Request|Error|Result|Report)$/.exec(message.type)!;
    const title = /Message Type: (.*) \(/.exec(text)?.[1] ?? '';
    assert.match(
      title.replaceAll(/\W/g, ''),
      new RegExp(
        kind!.replace('Data', '.*Data').replace('Failure', '.*Fail').replace('Cancel', '.*Cancel'),
        'i',
      ),
      title,
    );
    if (outcome !== 'Report') assert.match(title, new RegExp(outcome!));
    const bad = text
      .split('\n')
      .filter((line) => /Malformed|invalid|Expert Info \((?:Error|Warning)/i.test(line));
    assert.deepEqual(bad, [], message.type);
    assert.match(text, /IMSI: 001010123456789/);
  }
  const tuples = shown[messageNames.indexOf('sendAuthInfoResult')]!;
  for (const part of ['RAND', 'SRES', 'Kc', 'IK', 'CK', 'AUTN', 'RES'])
    assert.match(tuples, new RegExp(`${part}: `));
});

test('the lab’s capture shows GSUP and its connection management on the registered port', (t) => {
  const tshark = requirePeer(t, findCommand('tshark'), 'tshark', 'tshark');
  if (tshark === undefined) return;
  const folder = mkdtempSync(join(tmpdir(), 'rehome-gsup-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'gsup.pcapng');
  const capture = openCapture(file, {
    now: () => 0,
    after: () => ({ cancel: () => undefined }),
    hold: (work) => work,
  });
  const msc = { address: '10.3.0.1', port: 40000 };
  const hlr = { address: '10.1.0.1', port: 4222 };
  const ccm = encodeIpa({
    protocol: IPA_PROTOCOL.ccm,
    payload: encodeCcm({ type: 'idResp', values: [{ tag: IDENTITY.serialNumber, value: 'MSC-1' }] }),
  });
  const asked = frame(sensible('updateLocationRequest'));
  const chunks = concat(ccm, asked);
  capture.tcp('gsup', msc, hlr, chunks.subarray(0, 9));
  capture.tcp('gsup', msc, hlr, chunks.subarray(9));
  capture.tcp('gsup', hlr, msc, frame(sensible('updateLocationResult')));
  capture.close();
  const shown = dissect(tshark, readFileSync(file), [
    '-T',
    'fields',
    '-e',
    'tcp.dstport',
    '-e',
    '_ws.col.Protocol',
  ]);
  assert.deepEqual(shown.trim().split('\n'), ['4222\tIPA', '4222\tGSUP', '40000\tGSUP']);
});
