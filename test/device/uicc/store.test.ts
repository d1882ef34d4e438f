import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import fc from 'fast-check';
import {
  createCard,
  createCardFile,
  fileStore,
  formatCardFile,
  formatFile,
  parseCardFile,
  stateOf,
  writeWhole,
  type CardFile,
  type CardState,
} from '../../../src/device/uicc/index.ts';
import { FILES, pathOf, placeOf } from '../../../src/device/uicc/layout.ts';
import { withFiles } from '../../../src/device/uicc/state.ts';
import type { Disk } from '../../../src/edge/index.ts';
import { realDisk } from '../../../src/edge/real.ts';
import { concat, fromHex } from '../../../src/standards/bytes/index.ts';
import * as uicc from '../../../src/standards/uicc/index.ts';
import { drawn, terminalOf, type Terminal } from './terminal.ts';

const PATH = 'card.json';

/** A disk without a disk. */
function memoryDisk(): Disk & { files: Map<string, string> } {
  const files = new Map<string, string>();
  return {
    files,
    read: (path) => files.get(path)!,
    write: (path, text) => void files.set(path, text),
    replace(from, to) {
      files.set(to, files.get(from)!);
      files.delete(from);
    },
    remove: (path) => void files.delete(path),
    hold: (path) => ({ path, release: () => undefined }),
  };
}

const issued = createCardFile({ imsi: '001010000000001', msisdn: '88210', apn: 'iot' }, drawn('store'));

/** A card in a store on that disk, its USIM selected and every code verified. */
function opened(disk: Disk, file: CardFile = issued): Terminal {
  const store = fileStore(disk, PATH);
  store.save(stateOf(file));
  const card = createCard({
    store,
    fault: (error) => {
      throw error;
    },
  });
  card.powerOn();
  const terminal = terminalOf(card);
  terminal.selectUsim();
  for (const [reference, value] of [
    [uicc.PIN.adm1, file.adm1],
    [uicc.PIN.pin2, file.pin2],
  ] as const) {
    assert.equal(terminal.sw(0, 0x20, 0, reference, coded(value)), 0x9000);
  }
  return terminal;
}

const coded = (value: string): Uint8Array => {
  const out = new Uint8Array(8).fill(0xff);
  out.set(new TextEncoder().encode(value));
  return out;
};

/** UPDATE of a file, or of one of its records, from a byte on. */
function update(terminal: Terminal, place: number, record: number, offset: number, data: Uint8Array): number {
  const spec = FILES[place]!;
  const from = { mf: '', telecom: '7f10', usim: '7fff', isim: '7fff' }[spec.parent];
  const name = spec.parent === 'isim' ? uicc.ISIM_AID_PREFIX : uicc.USIM_AID_PREFIX;
  assert.equal(terminal.sw(0, 0xa4, 0x04, 0x0c, name), 0x9000);
  const path = fromHex(`${from}${spec.fid.toString(16).padStart(4, '0')}`);
  // 6283: it is deactivated.
  assert.ok([0x9000, 0x6283].includes(terminal.sw(0, 0xa4, 0x08, 0x0c, path)));
  if (spec.structure === 'transparent') return terminal.sw(0, 0xd6, offset >> 8, offset & 0xff, data);
  return spec.structure === 'cyclic'
    ? terminal.sw(0, 0xdc, 0, 3, data)
    : terminal.sw(0, 0xdc, record, 4, data);
}

function reloads(disk: ReturnType<typeof memoryDisk>, state: CardState): void {
  assert.deepEqual(fileStore(disk, PATH).load(), state);
  assert.equal(formatCardFile(state), disk.files.get(PATH));
}

const text = fc.oneof(
  fc.string({ minLength: 1, maxLength: 16 }),
  fc.string({ unit: fc.constantFrom(...'Télé@£$[]^{}Ωж '), minLength: 1, maxLength: 16 }),
);
const apn = fc
  .array(fc.stringMatching(/^[a-z0-9 -]{1,40}$/), { minLength: 1, maxLength: 4 })
  .map((labels) => labels.join('.'));
const digits = fc.record({
  tonNpi: fc.constantFrom(0x91, 0x81, 0xff, 0),
  digits: fc.stringMatching(/^[0-9*#abc]{0,20}$/),
});

/** Content that a file can hold and a card file may have no words for. */
const sensible = fc.oneof(
  fc.tuple(fc.constant(uicc.EF_SPN), fc.record({ display: fc.nat(3), name: text })),
  fc.tuple(fc.constant(uicc.EF_ACL), fc.array(fc.oneof(apn, fc.constant('')), { maxLength: 2 })),
  fc.tuple(fc.constant(uicc.EF_IMSI), fc.stringMatching(/^[0-9]{6,15}$/)),
  fc.tuple(
    fc.constant(uicc.EF_AD),
    fc.record({
      mode: fc.nat(255),
      information: fc.nat(0xffff),
      mncLength: fc.constantFrom(2 as const, 3 as const),
    }),
  ),
  fc.tuple(fc.constant(uicc.EF_ACC), fc.nat(0xffff)),
  fc.tuple(
    fc.constantFrom(uicc.EF_IMPI, uicc.EF_DOMAIN, uicc.EF_IMPU),
    fc.option(fc.constantFrom('a@b', 'ims.example.org', 'sip:a@b', 'tel:+8821'), { nil: undefined }),
  ),
  fc.tuple(
    fc.constant(uicc.EF_MSISDN),
    fc.record({ alpha: text, number: digits, configuration: fc.nat(255), extension: fc.nat(255) }),
  ),
  fc.tuple(fc.constant(uicc.EF_SMSP), fc.record({ alpha: fc.constant(''), serviceCentre: digits })),
);

const content = fc.oneof(
  fc
    .tuple(fc.nat(FILES.length - 1), fc.uint8Array({ minLength: 1, maxLength: 176 }), fc.nat(200), fc.nat(9))
    .map(([place, bytes, offset, record]) => {
      const { structure, length, records } = FILES[place]!;
      if (structure !== 'transparent') {
        const whole = new Uint8Array(length).map((_, i) => bytes[i % bytes.length]!);
        return { place, record: 1 + (record % records), offset: 0, data: whole };
      }
      const at = offset % length;
      return { place, record: 1, offset: at, data: bytes.subarray(0, length - at) };
    }),
  sensible
    .map(([file, value]) => {
      const place = placeOf(file);
      try {
        return { place, record: 1, offset: 0, data: file.encode(value as never, FILES[place]!.length) };
      } catch {
        return undefined;
      }
    })
    .filter((found) => found !== undefined),
);

const code = fc.oneof(
  fc.stringMatching(/^[0-9]{4,8}$/).map(coded),
  fc.constantFrom(...[issued.pin1, issued.pin2, issued.adm1, issued.puk1, issued.puk2].map(coded)),
);

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ what: fc.constant('update' as const), content }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('state' as const), content }) },
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constant('pin' as const),
      ins: fc.constantFrom(0x20, 0x24, 0x26, 0x28, 0x2c),
      reference: fc.constantFrom(0x01, 0x81, 0x0a),
      codes: fc.tuple(code, code),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      what: fc.constant('activate' as const),
      ins: fc.constantFrom(0x04, 0x44),
      place: fc.nat(FILES.length - 1),
    }),
  },
);

test('whatever is written into a card, its file is loaded again as the very same card', () => {
  let accepted = 0;
  const kept = new Set<string>();
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 8 }), (steps) => {
      const disk = memoryDisk();
      const terminal = opened(disk);
      for (const one of steps) {
        if (one.what === 'state') {
          const { place, record, offset, data } = one.content;
          // EF.ICCID and the access rules are never written.
          if (FILES[place]!.rule === 1) continue;
          const state = stateOf(parseCardFile(disk.read(PATH)));
          const changed = state.contents[place]!.slice();
          changed.set(data, (record - 1) * FILES[place]!.length + offset);
          const next = { ...state, contents: withFiles(state.contents, [[place, changed]]) };
          const other = memoryDisk();
          fileStore(other, PATH).save(next);
          reloads(other, next);
          continue;
        }
        let sw: number;
        if (one.what === 'update') {
          const { place, record, offset, data } = one.content;
          sw = update(terminal, place, record, offset, data);
          if (sw === 0x9000) kept.add(FILES[place]!.name);
        } else if (one.what === 'pin') {
          const both = one.ins === 0x24 || one.ins === 0x2c;
          sw = terminal.sw(0, one.ins, 0, one.reference, both ? concat(...one.codes) : one.codes[0]);
        } else {
          const path = fromHex(`7fff${FILES[one.place]!.fid.toString(16)}`);
          terminal.sw(0, 0xa4, 0x08, 0x0c, path);
          sw = terminal.sw(0, one.ins, 0, 0);
        }
        if (sw === 0x9000) accepted++;
        reloads(disk, terminal.card.state);
      }
    }),
    { numRuns: 400 },
  );
  assert.ok(accepted > 400, `only ${accepted} commands were accepted`);
  for (const name of [
    'EF.SPN',
    'EF.ACL',
    'EF.IMSI',
    'EF.AD',
    'EF.MSISDN',
    'EF.SMSP',
    'EF.Keys',
    'EF.IMPI',
    'EF.IMPU',
  ]) {
    assert.ok(kept.has(name), `${name} was never written`);
  }
});

test('what a card file has no words for stays in its `files`', () => {
  const long = `${'a'.repeat(40)}.${'b'.repeat(39)}`;
  for (const [file, value, field] of [
    [uicc.EF_SPN, { display: 1, name: 'Télécom' }, 'spn'],
    [uicc.EF_SPN, { display: 0, name: 'Blue' }, 'spn'],
    [uicc.EF_ACL, [long], 'apn'],
    [uicc.EF_ACL, ['iot', 'spare'], 'apn'],
    [
      uicc.EF_MSISDN,
      { alpha: '', number: { tonNpi: 0x81, digits: '112' }, configuration: 0xff, extension: 0xff },
      'msisdn',
    ],
  ] as const) {
    const disk = memoryDisk();
    const terminal = opened(disk);
    const place = placeOf(file);
    const data = (file as uicc.ElementaryFile<unknown>).encode(value, FILES[place]!.length);
    terminal.sw(0, 0x20, 0, 1, coded(issued.pin1));
    assert.equal(update(terminal, place, 1, 0, data), 0x9000);
    const written = parseCardFile(disk.read(PATH));
    assert.equal(written.usim[field], undefined, field);
    assert.ok(written.files?.[pathOf(FILES[place]!)], field);
    reloads(disk, terminal.card.state);
  }
});

test('a state that no card file can hold does not replace one that could be loaded', () => {
  const disk = memoryDisk();
  const testCard = createCardFile({ imsi: '001010000000001', algorithm: 'test-xor', pairs: 0 }, drawn('xor'));
  const terminal = opened(disk, testCard);
  const imsi = placeOf(uicc.EF_IMSI);
  assert.equal(update(terminal, imsi, 1, 0, fromHex('ffffffffffffffffff')), 0x9000);
  reloads(disk, terminal.card.state);
  const before = disk.read(PATH);
  // test-xor in a network that is no test network.
  assert.throws(() => update(terminal, imsi, 1, 0, uicc.EF_IMSI.encode('262010000000001')), /not saved/);
  assert.equal(disk.read(PATH), before);
  assert.deepEqual([...disk.files.keys()], [PATH]);
  const state = stateOf(issued);
  const odd = { ...state, pins: { ...state.pins, pin1: { ...state.pins.pin1, tries: 99 } } };
  assert.throws(() => fileStore(disk, PATH).save(odd), /^Error: not saved, .*pinStatus\.pin1\.tries/);
});

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'rehome-store-'));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

class PowerCut extends Error {}

test('a power cut before the rename leaves no keys behind once the card was loaded again', (t) => {
  const where = folder(t);
  const path = join(where, PATH);
  let power = true;
  // The power goes between the write beside the file and the rename.
  const disk: Disk = {
    ...realDisk,
    write(file, text) {
      realDisk.write(file, text);
      power = false;
    },
    replace() {
      throw new PowerCut();
    },
    remove(file) {
      if (power) realDisk.remove(file);
    },
  };
  const state = stateOf(issued);
  writeWhole(realDisk, path, formatFile(issued));
  const first = fileStore(disk, path);
  assert.throws(() => first.save({ ...state, deactivated: [1] }), PowerCut);
  first.close();
  const secret = issued.keyList!.pairs[3]!.k!;
  const stale = readdirSync(where).filter((name) => name !== PATH);
  assert.equal(stale.length, 1);
  assert.ok(readFileSync(join(where, stale[0]!), 'utf8').includes(secret), 'the cut left the keys');
  assert.equal(statSync(join(where, stale[0]!)).mode & 0o777, 0o600);

  const second = fileStore(realDisk, path);
  const list = state.list!;
  const erased = { index: 3, counter: 0, state: 'burnt' as const };
  assert.deepEqual(second.load(), state);
  second.save({ ...state, list: { ...list, pairs: [...list.pairs.slice(0, 3), erased] } });
  second.close();
  assert.deepEqual(readdirSync(where), [PATH]);
  assert.ok(!readFileSync(path, 'utf8').includes(secret));
});

test('a stale file is overwritten without a load, and a link in its place is not followed', (t) => {
  const where = folder(t);
  const path = join(where, PATH);
  const other = join(where, 'other');
  writeFileSync(other, 'of somebody else');
  symlinkSync(other, `${path}.tmp`);
  writeWhole(realDisk, path, formatFile(issued));
  assert.equal(readFileSync(other, 'utf8'), 'of somebody else');
  assert.deepEqual(readdirSync(where).sort(), [PATH, 'other']);
  writeFileSync(`${path}.tmp`, 'stale', { mode: 0o644 });
  writeWhole(realDisk, path, formatFile(issued));
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(where).sort(), [PATH, 'other']);
});

test('a card file is one store’s at a time, by whichever name', (t) => {
  const where = folder(t);
  const path = join(where, PATH);
  const link = join(where, 'link.json');
  const text = formatFile(issued);
  writeWhole(realDisk, path, text);
  symlinkSync(path, link);
  const store = fileStore(realDisk, link);
  for (const name of [path, link]) {
    assert.throws(() => fileStore(realDisk, name), {
      message: `${name} is in use by another process; one at a time can have it`,
    });
    assert.throws(() => writeWhole(realDisk, name, text), /in use/);
  }
  assert.deepEqual(readdirSync(where).sort(), [PATH, `${PATH}.lock`, 'link.json']);
  // The attempts of this process did not cost it the lock: another process finds it held.
  const attempt = `import { hold } from '${join(import.meta.dirname, '../../../src/edge/hold.ts')}'; hold('${path}');`;
  const elsewhere = spawnSync(process.execPath, ['--input-type=module', '-e', attempt], { encoding: 'utf8' });
  assert.equal(elsewhere.status, 1);
  assert.match(elsewhere.stderr, /card\.json is in use by another process/);
  store.save({ ...store.load(), deactivated: [1] });
  assert.match(readFileSync(path, 'utf8'), /"deactivated"/, 'the file is written, not the link');
  store.close();
  store.close();
  assert.throws(() => store.load(), /given back/);
  assert.throws(() => store.save(stateOf(issued)), /given back/);
  assert.ok(!existsSync(`${path}.lock`));
  const next = fileStore(realDisk, path);
  assert.deepEqual(next.load().deactivated, [1]);
  next.close();
  assert.throws(() => fileStore(realDisk, join(where, 'no', PATH)), { code: 'ENOENT' });
});

test('a lock file that is a link, or no lock of ours, is left alone', (t) => {
  const where = folder(t);
  const path = join(where, PATH);
  const other = join(where, 'other');
  symlinkSync(other, `${path}.lock`);
  assert.throws(() => fileStore(realDisk, path), { code: 'ELOOP' });
  assert.ok(!existsSync(other));
  rmSync(`${path}.lock`);
  const notes = 'notes of somebody\n'.repeat(100);
  writeFileSync(`${path}.lock`, notes);
  assert.throws(() => fileStore(realDisk, path), /cannot lock .*card\.json\.lock/);
  assert.equal(readFileSync(`${path}.lock`, 'utf8'), notes);
});
