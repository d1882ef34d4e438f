import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  RESULT,
  allCommands,
  answerOf,
  avp,
  dictionary,
  encodeMessage,
  requestOf,
  type AvpType,
  type Members,
} from '../../../src/standards/diameter/index.ts';
import { fromHex } from '../../../src/standards/bytes/index.ts';
import { valuesOf } from '../../standards/diameter/arbitrary.ts';
import { findCommand, findFile, requirePeer } from '../peer.ts';
import { dissect } from './capture.ts';
import { tcpCapture } from './tcp.ts';

/** AVPs newer than the dictionary of Debian 12's tshark, which shows them as unknown. */
const NEWER = ['HSS-ID', 'Originating-SIP-URI', 'Destination-SIP-URI', 'SMSMI-Correlation-ID', 'OFR-Flags'];

/** What tshark looks into, and says so if it makes no sense. */
const SENSIBLE: Record<string, unknown> = {
  userName: '001010000000001',
  msisdn: '491234567',
  scAddress: '491234567',
  sgsnNumber: '491234567',
  mscNumber: '491234567',
  mmeNumberForMtSms: '491234567',
  smsGmscAddress: '491234567',
  smRpUi: fromHex('0001000b916407281553f8000004c8329bfd'),
  smRpSmea: fromHex('0b916407281553f8'),
  extendedPco: fromHex('80'),
  visitedPlmnId: '00101',
  imei: '35209900176148',
  softwareVersion: '01',
  externalIdentifier: 'camera@example.org',
  userIds: ['00101'],
};

function sensible(values: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(values)) {
    if (name in SENSIBLE) values[name] = SENSIBLE[name];
    else if (value === '') values[name] = 'x';
    else if (value instanceof Uint8Array && value.length === 0) values[name] = Uint8Array.of(0);
    else if (value?.constructor === Object) sensible(value as Record<string, unknown>);
    else if (Array.isArray(value)) {
      for (const one of value) if (one?.constructor === Object) sensible(one as Record<string, unknown>);
    }
  }
}

/** Every member but the newer ones, so that each AVP is seen once. */
function full(members: Members): Record<string, unknown> {
  const known = Object.fromEntries(
    Object.entries(members).filter(([, { avp: one }]) => !NEWER.includes((one as AvpType<unknown>).name)),
  );
  const [values] = fc.sample(valuesOf(known, true), { numRuns: 1, seed: 7 });
  const result = values as Record<string, unknown>;
  sensible(result);
  delete result.failedAvps;
  return result;
}

test('tshark names every command and dissects it without complaint', (t) => {
  const tshark = requirePeer(t, findCommand('tshark'), 'tshark', 'tshark');
  if (tshark === undefined) return;
  const messages: [name: string, avps: number, bytes: Uint8Array][] = [];
  for (const command of allCommands()) {
    const request = requestOf(command, full(command.request) as never);
    const reply = full(command.answer);
    delete reply.experimentalResult;
    const answer = answerOf(command, request, { ...reply, resultCode: RESULT.success } as never);
    messages.push([`${command.name} Request`, request.avps.length, encodeMessage(request)]);
    messages.push([`${command.name} Answer`, answer.avps.length, encodeMessage(answer)]);
  }
  const capture = tcpCapture(
    3868,
    messages.map(([, , bytes]) => bytes),
  );
  const shown = dissect(tshark, capture, ['-V'])
    .split(/^(?=Frame \d+: )/m)
    .filter((frame) => frame.startsWith('Frame '));
  assert.equal(shown.length, messages.length);
  for (const [i, [name, avps]] of messages.entries()) {
    const frame = shown[i]!;
    const diameter = frame.slice(frame.indexOf('Diameter Protocol'));
    for (const bad of [
      /Malformed/,
      /Expert Info \((?:Error|Warning)/,
      /AVP: Unknown/,
      /Command Code: Unknown/,
    ]) {
      const line = diameter.split('\n').find((one) => bad.test(one));
      assert.equal(line, undefined, `${name}: ${line}`);
    }
    const [command] = name.split(' ');
    assert(
      diameter.includes(`Command Code: ${command!} (`),
      `${name}: ${/Command Code.*/.exec(diameter)?.[0]}`,
    );
    const top = diameter.split('\n').filter((line) => /^ {4}AVP: /.test(line));
    assert.equal(top.length, avps, name);
  }
});

test("tshark's dictionary has our AVPs under the same code, vendor and type", (t) => {
  const folder = '/usr/share/wireshark/diameter';
  const found = requirePeer(
    t,
    findFile(`${folder}/dictionary.xml`),
    "tshark's dictionary",
    'libwireshark-data',
  );
  if (found === undefined) return;
  const entries = new Map<string, { code: number; vendor: string | undefined; type: string | undefined }[]>();
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.xml'))) {
    const xml = readFileSync(`${folder}/${file}`, 'utf8');
    for (const [, attributes, body] of xml.matchAll(/<avp\s([^>]*)>(.*?)<\/avp>/gs)) {
      const attribute = (name: string): string | undefined =>
        new RegExp(`${name}="([^"]*)"`).exec(attributes!)?.[1];
      const name = attribute('name')!;
      const type = body!.includes('<grouped') ? 'Grouped' : /type-name="([^"]*)"/.exec(body!)?.[1];
      const entry = { code: Number(attribute('code')), vendor: attribute('vendor-id'), type };
      entries.set(name, [...(entries.get(name) ?? []), entry]);
    }
  }
  const alike = (type: string | undefined): string | undefined =>
    type === 'VendorId' || type === 'AppId' || type === 'Enumerated' ? 'Unsigned32' : type;
  for (const one of dictionary()) {
    if (NEWER.includes(one.name)) continue;
    const vendor = one.vendor === 0 ? undefined : 'TGPP';
    const theirs = entries.get(one.name)?.find((entry) => entry.vendor === vendor);
    assert(theirs, `${one.name} is not in the dictionary`);
    assert.equal(theirs.code, one.code, one.name);
    if (one.name !== avp.failedAvp.name) assert.equal(alike(one.type), alike(theirs.type), one.name);
  }
});
