import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  createCard,
  createCardFile,
  fileOf,
  fileStore,
  formatCardFile,
  formatFile,
  parseCardFile,
  stateOf,
  type CardFile,
} from '../../../src/device/uicc/index.ts';
import { realDisk } from '../../../src/edge/real.ts';
import { FieldError, fromHex } from '../../../src/standards/bytes/index.ts';
import { luhnDigit } from '../../../src/standards/uicc/index.ts';
import { drawn } from './terminal.ts';

const fresh = (): CardFile => createCardFile({ imsi: '001010000000001', msisdn: '88210' }, drawn('file'));

test('a new card has an ICCID with its check digit, an IMSI of the test network, keys of its own', () => {
  const one = createCardFile({}, drawn('one'));
  const two = createCardFile({}, drawn('two'));
  assert.match(one.iccid, /^89\d{17}$/);
  assert.equal(luhnDigit(one.iccid.slice(0, -1)), Number(one.iccid.at(-1)));
  assert.match(one.usim.imsi, /^00101\d{10}$/);
  assert.notEqual(one.usim.k, two.usim.k);
  assert.equal(one.keyList?.pairs.length, 4);
  assert.equal(new Set(one.keyList?.pairs.map(({ k }) => k)).size, 4);
  assert.equal(one.usim.k, one.keyList?.pairs[0]?.k, 'the pair in use is the USIM’s');
});

test('options are what the card has; wrong ones are named', () => {
  const file = createCardFile(
    { iccid: '89882110000000000017', spn: 'Red', apn: 'iot', pairs: 0 },
    drawn('x'),
  );
  assert.equal(file.iccid, '89882110000000000017');
  assert.equal(file.keyList, undefined);
  assert.equal(file.ota?.keySets[0]?.number, 1);
  for (const [options, field] of [
    [{ iccid: '89x' }, 'iccid'],
    [{ imsi: '123' }, 'usim.imsi'],
    [{ mncLength: 4 as 2 }, 'usim.mncLength'],
    [{ pairs: 256 }, 'pairs'],
    [{ spn: 'a name much too long' }, 'usim.spn'],
    [{ apn: 'a..b', pairs: 1 }, 'usim'],
    [{ algorithm: 'test-xor' as const }, 'algorithm'],
  ] as const) {
    assert.throws(() => createCardFile(options, drawn('x')), { field }, field);
  }
});

test('file to state and back, in every state of a card', () => {
  const file = fresh();
  const state = stateOf(file);
  assert.deepEqual(stateOf(parseCardFile(formatCardFile(state))), state);
  const again = fileOf(state);
  assert.deepEqual([again.iccid, again.usim.imsi, again.usim.k], [file.iccid, file.usim.imsi, file.usim.k]);
});

test('an edit by hand that makes no card is one line: the place, what was found, what was expected', () => {
  const set = (number: number, algorithm: string): unknown => ({
    keySets: [{ number, algorithm, kic: '11'.repeat(16), kid: '11'.repeat(16) }],
  });
  const edits: [place: string, value: unknown, message: RegExp][] = [
    ['iccid', undefined, /^iccid: absent, expected 18 to 20 digits$/],
    ['usim.imsi', 12345, /^usim\.imsi: 12345, expected 6 to 15 digits$/],
    ['usim.k', 'abcd', /^usim\.k: 4 characters, expected 32 hexadecimal digits$/],
    ['usim', undefined, /^usim: absent, expected an object$/],
    ['colour', 'red', /^colour: present, expected no such field$/],
    ['format', 'rehome-card/2', /^format: "rehome-card\/2", expected "rehome-card\/1"$/],
    ['keyList.pairs.2.kic', 'zz', /^keyList\.pairs\[2\]\.kic: 2 characters, expected 32, 48 or 64/],
    ['keyList.pairs.1.index', 7, /^keyList\.pairs\[1\]\.index: 7, expected 1$/],
    [
      'keyList.pairs.1.state',
      'burnt',
      /^keyList\.pairs\[1\]\.k: present, expected none in a pair that is burnt$/,
    ],
    ['keyList.pairs.0.state', 'unused', /^keyList\.pairs: none or several current, expected one/],
    ['usim.k', 'ab'.repeat(16), /^usim\.k: another key, expected that of the current pair/],
    ['usim.opc', undefined, /^usim\.opc: absent, expected 16 bytes/],
    ['keyList.next', 0, /^keyList\.next: 0, expected/],
    ['files', { '7fff/6f07': '00' }, /^files\.7fff\/6f07: 2 hexadecimal digits, expected 18$/],
    ['files', { '7fff/1111': '00' }, /^files: "7fff\/1111", expected a file of the card$/],
    ['ota', set(1, 'aes'), /^ota\.keySets\[0\]\.number: 1, expected/],
    [
      'ota',
      set(2, 'des3-3'),
      /^ota\.keySets\[0\]\.kic: 32 characters, expected 48 hexadecimal digits for des3-3$/,
    ],
    ['pin1', 1234, /^pin1: a number, expected 4 to 8 digits$/],
    ['keyList.armed', '00', /^keyList\.armed: /],
  ];
  for (const [place, value, message] of edits) {
    const file = structuredClone(fresh()) as unknown as Record<string, unknown>;
    const path = place.split('.');
    let at = file;
    for (const part of path.slice(0, -1)) at = at[part] as Record<string, unknown>;
    at[path.at(-1)!] = value;
    assert.throws(
      () => parseCardFile(JSON.stringify(file)),
      (error) => error instanceof FieldError && message.test(error.message) && !error.message.includes('\n'),
      String(message),
    );
  }
});

test('a mistake in the JSON is told by its line, and nothing of the text', () => {
  const lines = formatFile(fresh()).split('\n');
  lines[10] = `!${lines[10]!}`;
  assert.throws(
    () => parseCardFile(lines.join('\n')),
    (error) =>
      error instanceof FieldError && /^card file: a mistake in line 11, expected JSON$/.test(error.message),
  );
  assert.throws(() => parseCardFile('{'), { message: /^card file: .*expected JSON$/ });
  assert.throws(() => parseCardFile('[]'), { field: 'card file' });
});

test('any JSON is a card or a FieldError', () => {
  const text = formatFile(fresh());
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.string({ maxLength: 3 }), (at, put) => {
      try {
        parseCardFile(text.slice(0, at) + put + text.slice(at + put.length));
      } catch (error) {
        if (!(error instanceof FieldError)) throw error;
      }
    }),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(fc.json(), (json) => {
      assert.throws(() => parseCardFile(json), FieldError);
    }),
  );
});

test('a card file is its owner’s alone, replaced whole, and nothing is left beside it', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'rehome-card-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'card.json');
  const store = fileStore(realDisk, path);
  store.save(stateOf(fresh()));
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const card = createCard({ store });
  card.powerOn();
  card.transmit(fromHex('00a4080c047f106f3a'));
  assert.deepEqual(card.transmit(fromHex(`00dc01041c${'05'.repeat(28)}`)), fromHex('9000'));
  assert.match(readFileSync(path, 'utf8'), /"3f00\/7f10\/6f3a": "0505/);
  assert.deepEqual(readdirSync(folder), ['card.json']);
  assert.deepEqual(fileStore(realDisk, path).load(), card.state);
});
