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
import { subscriptionFiles, withFiles } from '../../../src/device/uicc/state.ts';
import { realDisk } from '../../../src/edge/real.ts';
import { FieldError, fromHex } from '../../../src/standards/bytes/index.ts';
import { decodeKeyListSwitch, encodeKeyListSwitch } from '../../../src/standards/ota/index.ts';
import { luhnDigit } from '../../../src/standards/uicc/index.ts';
import { drawn, freshCard } from './terminal.ts';

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
    { iccid: '89882110000000000010', spn: 'Red', apn: 'iot', pairs: 0 },
    drawn('x'),
  );
  assert.equal(file.iccid, '89882110000000000010');
  assert.equal(file.keyList, undefined);
  assert.equal(file.ota?.keySets[0]?.number, 1);
  for (const [options, field] of [
    [{ iccid: '89x' }, 'iccid'],
    [{ imsi: '123' }, 'usim.imsi'],
    [{ mncLength: 4 as 2 }, 'usim.mncLength'],
    [{ pairs: 256 }, 'pairs'],
    [{ spn: 'a name much too long' }, 'usim.spn'],
    [{ iccid: '8988211000000000010' }, 'iccid'],
    [{ iccid: '89882110000000000017' }, 'iccid'],
    [{ spn: '[a name]' }, 'usim.spn'],
    [{ apn: 'a..b', pairs: 1 }, 'usim.apn'],
    [{ algorithm: 'test-xor' as const, imsi: '262010000000001', pairs: 0 }, 'usim.algorithm'],
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
    ['usim.k', 'abcd', /^usim\.k: 4 characters, expected 32 hexadecimal digits, or 64 for tuak$/],
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
    ['files', { EF: '00' }, /^files\.EF: present, expected a path such as 7fff\/6f07 or isim\/6f02$/],
    [
      'files',
      { '7fff/6f07': '081902100000000020' },
      /^files\.7fff\/6f07: another IMSI, expected that of usim\.imsi$/,
    ],
    ['files', { '3f00/2fe2': '988812010000400310f0' }, /^files\.3f00\/2fe2: another ICCID, expected that of/],
    ['files', { '3f00/2fe2': 'ff'.repeat(10) }, /^files\.3f00\/2fe2: another ICCID/],
    ['files', { '7fff/6fad': '80000003' }, /^files\.7fff\/6fad: another length of the MNC, expected that of/],
    ['iccid', '8988211000000430011', /^iccid: "8988211000000430011", expected a check digit that holds/],
    ['usim.apn', 'a..b', /^usim\.apn: "a\.\.b", expected labels joined by single dots$/],
    ['usim.spn', '[a name]', /^usim\.spn: "\[a name\]", expected at most 7 characters where/],
    [
      'usim.sqn',
      { indLength: 5, seq: [...new Array<number>(31).fill(0), 2 ** 43] },
      /^usim\.sqn\.seq\[31\]: 8796093022208, expected less than 2\^43/,
    ],
    ['usim.sqn', { indLength: 5, seq: [0] }, /^usim\.sqn\.seq: 1 numbers, expected 32 numbers$/],
    ['usim.sqn', { indLength: 0, seq: [2 ** 48] }, /^usim\.sqn\.seq\[0\]: .* from 0 to 281474976710655$/],
    ['c0ffee'.repeat(6), 1, /^\(a name of 36 characters\): present, expected no such field$/],
    ['ota', set(1, 'aes'), /^ota\.keySets\[0\]\.number: 1, expected/],
    [
      'ota',
      set(2, 'des3-3'),
      /^ota\.keySets\[0\]\.kic: 32 characters, expected 48 hexadecimal digits for des3-3$/,
    ],
    ['pin1', 1234, /^pin1: a number, expected 4 to 8 digits$/],
    ['keyList.armed', '00', /^keyList\.armed: 2 characters, expected data of a SWITCH/],
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

test('test-xor is for test networks', () => {
  const file = (imsi: string): CardFile => {
    const { opc, ...usim } = fresh().usim;
    assert.ok(opc);
    const { keyList, ...rest } = fresh();
    assert.ok(keyList);
    return { ...rest, usim: { ...usim, imsi, algorithm: 'test-xor' } };
  };
  for (const imsi of ['001010000000001', '999990000000001'])
    assert.equal(stateOf(file(imsi)).iccid.length, 19);
  for (const imsi of ['262010000000001', '000010000000001', '901700000000001']) {
    assert.throws(() => parseCardFile(formatFile(file(imsi))), {
      field: 'usim.algorithm',
      message: /milenage or tuak outside test networks/,
    });
  }
});

/** A card in the middle of a trial. */
function onTrial(): CardFile {
  const { card } = freshCard().terminal;
  const state = card.state;
  const command = decodeKeyListSwitch(
    encodeKeyListSwitch({
      change: new Uint8Array(8).fill(1),
      index: 1,
      imsi: '001010000000002',
      mncLength: 2,
      trialSeconds: 300,
      delaySeconds: 1,
      policy: 0,
    }).subarray(5),
  );
  const [first, second, ...others] = state.list!.pairs;
  return fileOf({
    ...state,
    contents: withFiles(state.contents, subscriptionFiles(command)),
    usim: { ...state.usim, k: second!.keys!.k, opc: second!.keys!.opc },
    list: {
      ...state.list!,
      pairs: [{ ...first!, state: 'saved' }, { ...second!, state: 'current' }, ...others],
      current: 1,
      next: 2,
      change: command.change,
      trial: {
        command,
        from: 0,
        secondsLeft: 300,
        rejections: 0,
        saved: subscriptionFiles(command).map(([place]) => [place, state.contents[place]!]),
        savedSqn: state.usim.sqn,
      },
    },
  });
}

test('a trial falls back to all that it took, under the scheme of its card, and to nothing else', () => {
  const file = onTrial();
  assert.deepEqual(fileOf(stateOf(file)), file);
  const refused = (change: (trial: Trial) => void, message: RegExp): void => {
    const edited = structuredClone(file);
    change(edited.keyList!.trial!);
    assert.throws(() => parseCardFile(JSON.stringify(edited)), { message });
  };
  type Trial = NonNullable<NonNullable<CardFile['keyList']>['trial']>;
  refused((trial) => (trial.saved = {}), /^keyList\.trial\.saved\.7fff\/6f07: absent, expected every file/);
  for (const path of Object.keys(file.keyList!.trial!.saved)) {
    refused(
      (trial) => void Reflect.deleteProperty(trial.saved, path),
      new RegExp(`^keyList\\.trial\\.saved\\.${path}: absent`),
    );
  }
  refused(
    (trial) => (trial.saved['7fff/6f7b'] = 'ff'.repeat(12)),
    /^keyList\.trial\.saved\.7fff\/6f7b: present, expected only files/,
  );
  refused(
    (trial) => (trial.savedSqn = { indLength: 0, seq: [0] }),
    /^keyList\.trial\.savedSqn\.indLength: 0, expected 5, that of usim\.sqn$/,
  );
  refused(
    (trial) => (trial.savedSqn.seq[3] = 2 ** 43),
    /^keyList\.trial\.savedSqn\.seq\[3\]: 8796093022208, expected less than 2\^43/,
  );
  // The order of a hand-edited file is no matter.
  const turned = structuredClone(file);
  const { trial } = turned.keyList!;
  trial!.saved = Object.fromEntries(Object.entries(trial!.saved).reverse());
  assert.deepEqual(stateOf(turned), stateOf(file));
});

/** Every place of a JSON value that holds no other. */
function* leaves(value: unknown, path: (string | number)[] = []): Generator<(string | number)[]> {
  if (value === null || typeof value !== 'object') return yield path;
  for (const [name, each] of Object.entries(value)) {
    yield* leaves(each, [...path, Array.isArray(value) ? Number(name) : name]);
  }
}

test('whatever is wrong with a secret, the message does not show it', () => {
  const full: CardFile = onTrial();
  full.pinStatus = Object.fromEntries(
    ['pin1', 'pin2', 'adm1'].map((name) => [name, { enabled: true, tries: 3, unblockTries: 10 }]),
  );
  full.usim = { ...full.usim, resLength: 8, spn: 'Red', serviceCentre: '882', apn: 'iot', accessClasses: 1 };
  const key = 'ab'.repeat(16);
  full.ota = {
    keySets: [{ number: 2, algorithm: 'aes', kic: key, kid: key, kik: key, counter: 1, tars: ['b00010'] }],
  };
  Object.assign(full.keyList!, { last: 'none', report: '88299' });
  full.files = { ...full.files, '7fff/6f08': '07'.repeat(33), '7fff/6fe4': 'ff'.repeat(80) };
  full.deactivated = ['7fff/6f08'];
  const armed = structuredClone(full);
  armed.keyList = { ...fresh().keyList!, armed: full.keyList!.trial!.command };
  armed.usim = { ...armed.usim, k: armed.keyList.pairs[0]!.k!, opc: armed.keyList.pairs[0]!.opc! };
  const tuak: CardFile = createCardFile({ algorithm: 'tuak', pairs: 0 }, drawn('tuak'));
  tuak.usim = { ...tuak.usim, resLength: 8, keccakIterations: 2 };
  stateOf(full);
  stateOf(armed);
  stateOf(tuak);
  const secret =
    /(?:^|\.)(?:k|opc|topc|kic|kid|kik|(?:(?<!pinStatus\.)(?:pin[12]|puk[12]|adm1))|armed|command)$|(?:^|\.)(?:files|saved)\./;
  const told = { secret: 0, open: 0 };
  for (const file of [full, armed, tuak]) {
    for (const path of leaves(file)) {
      const isSecret = secret.test(path.join('.'));
      for (const [marker, ...values] of [
        ['c0ffee', 'c0ffee', `x${'c0ffee'.repeat(8)}`, `c0ffee${'0'.repeat(26)}`, ['c0ffee'], { c0ffee: 1 }],
        ['7654321', 7654321.5, 76543210],
      ] as const) {
        for (const value of values) {
          const edited = structuredClone(file);
          let at = edited as unknown as Record<string | number, unknown>;
          for (const part of path.slice(0, -1)) at = at[part] as Record<string | number, unknown>;
          at[path.at(-1)!] = value;
          let message: string;
          try {
            parseCardFile(JSON.stringify(edited));
            continue;
          } catch (error) {
            assert.ok(error instanceof FieldError, String(error));
            message = error.message;
          }
          if (isSecret) {
            assert.ok(!message.includes(marker), `${path.join('.')}: ${message}`);
            told.secret++;
          } else if (message.includes(marker)) {
            told.open++;
          }
        }
      }
    }
  }
  assert.ok(told.secret > 200 && told.open > 100, JSON.stringify(told));
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
  store.close();
  assert.deepEqual(readdirSync(folder), ['card.json']);
  const again = fileStore(realDisk, path);
  assert.deepEqual(again.load(), card.state);
  again.close();
});
