/** The script that makes a plain card another operator's, against the card that runs it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  iccidRead,
  isimScript,
  readIccidScript,
  subscriptionScript,
} from '../../../src/network/operator/remote-files.ts';
import type { Settings } from '../../../src/network/operator/client.ts';
import { FILES, pathOf, placeOf } from '../../../src/device/uicc/layout.ts';
import { TRANSIENT_FILES, issuedContents } from '../../../src/device/uicc/state.ts';
import { createCard, createCardFile, memoryStore, type CardFile } from '../../../src/device/uicc/index.ts';
import { FieldError, concat, fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import {
  TAR,
  decodeCompactResponse,
  decodeExpandedCommands,
  decodeExpandedResponse,
  encodeCompactCommands,
  encodePacketSms,
} from '../../../src/standards/ota/index.ts';
import * as uicc from '../../../src/standards/uicc/index.ts';
import { drawn, gatewayOf, terminalOf, type Gateway, type Terminal } from '../../device/uicc/terminal.ts';

const OLD = {
  imsi: '001010000000001',
  msisdn: '99901000001',
  serviceCentre: '9990199000001',
  spn: 'Operator A',
};
const settings = (more: Partial<Settings> = {}): Settings => ({
  mncLength: 2,
  serviceCentre: '9990299000001',
  msisdn: '99902000042',
  serviceProviderName: 'Operator B',
  apn: 'm2m.b',
  reportTo: '9990299000002',
  ...more,
});

/** A plain card of A, whose every transient file remembers something. */
function plain(tar: Uint8Array, apn = 'm2m.a'): { terminal: Terminal; gateway: Gateway; file: CardFile } {
  const made = createCardFile({ ...OLD, apn, pairs: 0 }, drawn('plain'));
  const remembered = TRANSIENT_FILES.map((place): [string, string] => {
    const { length, records } = FILES[place]!;
    return [pathOf(FILES[place]!), '5a'.repeat(length * records)];
  });
  const file = { ...made, files: Object.fromEntries(remembered) };
  const card = createCard({ store: memoryStore(), file });
  card.powerOn();
  const [set] = file.ota!.keySets;
  const pairs = [{ index: 0, state: 'current' as const, kic: set!.kic, kid: set!.kid }];
  return {
    terminal: terminalOf(card),
    gateway: gatewayOf({ ...file, keyList: { pairs, next: 1 } }, 0, tar),
    file,
  };
}

/** Runs the script. @returns status words, and whether the card asks for a reset */
function run(terminal: Terminal, gateway: Gateway, script: Uint8Array): { words: number[]; reset: boolean } {
  const proof = gateway.send(terminal, script);
  assert.equal(proof?.status, 0);
  const { answers } = decodeExpandedResponse(proof.data);
  const reset = terminal
    .proactive(gateway.lastSw)
    .some((each) => each.type === 'refresh' && each.mode === uicc.REFRESH.uiccReset);
  return { words: answers.map((each) => (each.type === 'apdu' ? each.sw : -1)), reset };
}

const issuedFor = (
  file: CardFile,
  imsi: string,
  { mncLength, msisdn, serviceCentre, serviceProviderName, apn }: Settings,
): readonly Uint8Array[] =>
  issuedContents(file.iccid, { imsi, mncLength, msisdn, serviceCentre, serviceProviderName, apn });

/** Of these only the key set identifier is written: without one the keys are none. */
const IDENTIFIER_ONLY = [uicc.EF_KEYS, uicc.EF_KEYSPS].map(placeOf);

test('afterwards every file is as on a card issued for B', () => {
  const digits = (length: number): fc.Arbitrary<string> =>
    fc.stringMatching(new RegExp(`^[0-9]{${length}}$`));
  fc.assert(
    fc.property(
      fc.record({ imsi: digits(15), mncLength: fc.constantFrom(2 as const, 3 as const), msisdn: digits(14) }),
      fc.stringMatching(/^[A-Za-z ]{1,15}$/),
      fc.constantFrom('b', 'm2m.b', 'a.very.long.name.of.an.access.point.of.b'),
      fc.constantFrom('a', 'iot.a', 'another.long.name.of.an.access.point.of.a'),
      fc.boolean(),
      ({ imsi, mncLength, msisdn }, serviceProviderName, apn, apnBefore, known) => {
        const { terminal, gateway, file } = plain(TAR.rfmUsim, apnBefore);
        const to = settings({ mncLength, msisdn, serviceProviderName, apn });
        terminal.boot();
        const { words, reset } = run(
          terminal,
          gateway,
          subscriptionScript(imsi, to, known ? apnBefore : undefined),
        );
        assert.deepEqual(new Set(words), new Set([0x9000]));
        assert.ok(reset);
        const { contents } = terminal.card.state;
        issuedFor(file, imsi, to).forEach((expected, place) => {
          if (FILES[place]!.parent === 'isim') return;
          const length = IDENTIFIER_ONLY.includes(place) ? 1 : expected.length;
          const { name } = FILES[place]!;
          assert.equal(
            toHex(contents[place]!.subarray(0, length)),
            toHex(expected.subarray(0, length)),
            name,
          );
        });
        assert.deepEqual(uicc.EF_ACL.decode(contents[placeOf(uicc.EF_ACL)]!), [apn]);
        assert.equal(uicc.EF_KEYS.decode(contents[placeOf(uicc.EF_KEYS)]!).ksi, 7);
      },
    ),
    { numRuns: 40, seed: 5 },
  );
});

test('the ISIM’s script writes its four files whole, whatever was in them, in two short messages', () => {
  for (const before of [
    '00'.repeat(60),
    uicc.EF_IMPI.encode('a.longer.identity.of.a.s.own@ims.example.org'),
  ]) {
    const { terminal, gateway, file } = plain(TAR.rfmIsim);
    const command = encodeCompactCommands([
      concat(fromHex('00d682003c'), typeof before === 'string' ? fromHex(before) : before),
      fromHex('00a4000c026f09'),
      concat(fromHex('00dc010430'), uicc.EF_PCSCF.encode({ type: 'fqdn', name: 'pcscf.a.example' })),
    ]);
    assert.equal(decodeCompactResponse(gateway.send(terminal, command)!.data).sw, 0x9000);
    const script = isimScript('001025000000001', 2);
    // As many bytes as two messages have room for: docs/alternatives/3a.md counts on it.
    assert.equal(script.length, 239);
    assert.equal(gateway.messages(script).length, 2);
    const { executed, sw } = decodeCompactResponse(gateway.send(terminal, script)!.data);
    assert.deepEqual([executed, sw], [5, 0x9000]);
    const issued = issuedContents(file.iccid, { imsi: '001025000000001', mncLength: 2 });
    const { contents } = terminal.card.state;
    for (const each of [uicc.EF_IMPI, uicc.EF_IMPU, uicc.EF_DOMAIN, uicc.EF_PCSCF]) {
      assert.equal(toHex(contents[placeOf(each)]!), toHex(issued[placeOf(each)]!), each.name);
    }
    assert.equal(uicc.EF_IMSI.decode(contents[placeOf(uicc.EF_IMSI)]!), OLD.imsi, 'the USIM is still A’s');
  }
  assert.throws(() => isimScript('12345', 2), FieldError);
});

test('EF.IMSI is written last: a card whose script is cut short is still A’s', () => {
  const { commands } = decodeExpandedCommands(subscriptionScript('001020000000042', settings()));
  const [action, imsi, ...before] = commands.reverse();
  assert.equal(action?.type, 'immediateAction');
  assert.ok(
    imsi?.type === 'apdu' && toHex(imsi.apdu.subarray(0, 4)) === '00d68700',
    'EF.IMSI by its short identifier',
  );
  for (const each of before) assert.ok(each.type === 'apdu' && toHex(each.apdu.subarray(0, 3)) !== '00d687');
});

test('the script of the lab’s settings goes out in four short messages', () => {
  const { gateway } = plain(TAR.rfmUsim);
  const script = subscriptionScript('001025000000001', settings(), 'm2m.a');
  assert.equal(script.length, 497);
  assert.equal(gateway.messages(script).length, 4);
  // As many as the rest of a packet leaves: header, counter, checksum and padding.
  assert.equal(encodePacketSms('command', new Uint8Array(497 + 32)).length, 4);
});

test('what no file can hold is refused before anything is sent', () => {
  for (const [imsi, more] of [
    ['12345', {}],
    ['0010200000000422', {}],
    ['001020000000042', { apn: 'a'.repeat(100) }],
    ['001020000000042', { serviceProviderName: 'a name of more than sixteen characters' }],
    ['001020000000042', { msisdn: '1'.repeat(21) }],
    ['001020000000042', { serviceCentre: 'x' }],
  ] as const) {
    assert.throws(() => subscriptionScript(imsi, settings(more)), FieldError, JSON.stringify([imsi, more]));
  }
});

test('the card tells its ICCID to whoever has its keys', () => {
  const { terminal, gateway, file } = plain(TAR.rfmShared);
  const proof = gateway.send(terminal, readIccidScript());
  const { executed, sw, data } = decodeCompactResponse(proof!.data);
  assert.deepEqual([executed, sw], [2, 0x9000]);
  assert.equal(iccidRead(data), file.iccid);
  for (const wrong of [
    new Uint8Array(),
    new Uint8Array(9),
    new Uint8Array(10).fill(0xff),
    data.subarray(0, 9),
  ]) {
    assert.equal(iccidRead(wrong), undefined);
  }
});
