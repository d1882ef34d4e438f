import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { FieldError } from '../../src/standards/bytes/index.ts';
import { devicesOf, pairsOf, takeIn } from '../../src/serve/take-in.ts';

const folder = mkdtempSync(join(tmpdir(), 'rehome-take-in-'));
after(() => rmSync(folder, { recursive: true }));
let count = 0;
const database = (): string => join(folder, `${count++}.db`);
const file = { path: 'cards.csv', text: 'iccid,…' };
const there = (): never => {
  throw new FieldError('line 2, imsi', '1', 'one that this operator does not have yet');
};

describe('what a role takes in', () => {
  it('is taken in once, until it is another', () => {
    const at = database();
    let times = 0;
    assert.equal(
      takeIn(at, file, () => times++),
      true,
    );
    assert.equal(
      takeIn(at, file, () => times++),
      false,
    );
    assert.equal(
      takeIn(at, { ...file, path: 'the same under another name' }, () => times++),
      false,
    );
    assert.equal(
      takeIn(at, { ...file, text: 'more' }, () => times++),
      true,
    );
    assert.equal(times, 2);
  });

  it('is not remembered where it was refused', () => {
    const at = database();
    assert.throws(
      () => takeIn(at, file, there),
      /^FieldError: cards\.csv: line 2, imsi: 1, expected one that this/,
    );
    assert.throws(() => takeIn(at, file, there));
    assert.equal(
      takeIn(at, file, () => undefined),
      true,
    );
  });

  it('is all there where the process was killed before that was remembered', () => {
    const at = database();
    const killed = (): never => {
      throw Object.assign(new Error('killed'), { errcode: 10 });
    };
    assert.throws(() => takeIn(at, file, killed));
    // As a kill leaves it: begun, and the role's own transaction done.
    const store = new DatabaseSync(at);
    store.exec("INSERT INTO taken_in SELECT 'x', 'begun'; DELETE FROM taken_in");
    takeIn(at, { ...file, text: 'learn the digest' }, () => undefined);
    store.exec("UPDATE taken_in SET state = 'begun'");
    store.close();
    assert.equal(takeIn(at, { ...file, text: 'learn the digest' }, there), true);
    assert.equal(takeIn(at, { ...file, text: 'learn the digest' }, there), false);
  });

  it('is all there where the role says so by its database', () => {
    const at = database();
    const unique = (): never => {
      throw Object.assign(new Error('UNIQUE constraint failed: device.device'), { errcode: 1555 });
    };
    assert.throws(() => takeIn(at, file, unique), /^FieldError: cards\.csv: a part that is there already/);
  });
});

describe('files that are taken in', () => {
  const device = {
    device: 'd',
    iccid: '8'.repeat(19),
    imei: '1'.repeat(15),
    operator: 'A',
    imsi: '001010000000001',
  };
  const pair = {
    iccid: '8'.repeat(19),
    index: 1,
    aka: { algorithm: 'milenage', k: '00'.repeat(16), opc: '11'.repeat(16) },
    ota: { kic: '22'.repeat(16), kid: '33'.repeat(16) },
  };
  const json = (value: unknown): { path: string; text: string } => ({
    path: 'f.json',
    text: JSON.stringify(value),
  });

  it('are read as they must be', () => {
    assert.deepEqual(devicesOf(json([device])), [device]);
    const [read] = pairsOf(json([pair]));
    assert.equal(read!.aka.k.length, 16);
    assert.deepEqual([...read!.ota.kid], new Array(16).fill(0x33));
  });

  const bad: [what: string, read: () => unknown, message: RegExp][] = [
    ['no JSON', () => devicesOf({ path: 'f.json', text: 'SECRET' }), /^f\.json: no JSON/],
    ['no list', () => devicesOf(json(device)), /^f\.json: the document, not as it must be/],
    [
      'an IMSI that is none',
      () => devicesOf(json([device, { ...device, imsi: 'SECRET' }])),
      /^f\.json: 1\.imsi, not/,
    ],
    [
      'a key that is none',
      () => pairsOf(json([{ ...pair, aka: { ...pair.aka, k: 'SECRET' } }])),
      /^f\.json: 0\.aka\.k, not/,
    ],
    [
      'Milenage without OPc',
      () => pairsOf(json([{ ...pair, aka: { algorithm: 'milenage', k: '00' } }])),
      /^f\.json: 0\.aka, not/,
    ],
    ['a field more', () => pairsOf(json([{ ...pair, note: 'SECRET' }])), /^f\.json: 0, not/],
    ['an index of 0', () => pairsOf(json([{ ...pair, index: 0 }])), /^f\.json: 0\.index, not/],
  ];
  for (const [what, read, message] of bad) {
    it(`are refused with ${what}, and nothing of it is shown`, () => {
      assert.throws(read, (error: Error) => {
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /SECRET/);
        return error instanceof FieldError;
      });
    });
  }
});
