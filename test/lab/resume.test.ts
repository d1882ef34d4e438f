/** A world outlives its process. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { called } from '../cli/rehome.ts';
import { killedAt, lab, withStore } from './resume.ts';

test('killed twice while it works, then resumed: every device is somewhere, nothing is done twice', async () => {
  const result = await killedAt(['ended', 'ended'], 20);
  assert.equal(result.resumed, true);
  assert.equal(typeof result.inDoubt, 'number');
  assert.ok(result.moved! > 15, JSON.stringify(result));
});

test('a store that is missing, finished, there already, damaged or of other options is refused by name', async () => {
  await withStore(async (store) => {
    const words = ['--alternative', '3b', '--devices', '2', '--store', store];
    const refused = async (more: readonly string[], expected: RegExp): Promise<void> => {
      const { code, err } = await called(['lab', '--json', ...words, ...more]);
      assert.equal(code, 2, err);
      assert.match(err, expected);
      assert.equal(err.trim().split('\n').length, 1);
    };
    await refused(['--resume'], /^rehome: --store: .*a store to resume; there is none/);
    const first = await lab(words);
    assert.equal(first.code, 0, first.stderr);
    await refused([], /^rehome: --store: .*a file that is not there yet/);
    await refused(['--resume'], /^rehome: --store: .*this one has/);
    writeFileSync(
      `${store}.lab`,
      'not a database, but long enough to be taken for the head of one'.repeat(20),
    );
    await refused(['--resume'], /^rehome: --store: .*a store of the lab/);
  });
  await withStore(async (store) => {
    const words = ['--devices', '30', '--store', store];
    assert.equal((await lab(['--alternative', '3a', ...words], 50)).code, null);
    const { code, err } = await called(['lab', '--alternative', '3b', ...words, '--resume']);
    assert.equal(code, 2);
    assert.match(err, /^rehome: --store: .*the options that its world was made with/);
  });
});

test('each role has a file of its own; no key lies in one in the clear but in the cards and the key files', async () => {
  await withStore(async (store) => {
    const { code, stderr } = await lab(['--alternative', '3a,3b', '--devices', '4', '--store', store]);
    assert.equal(code, 0, stderr);
    const folder = dirname(store);
    const files = readdirSync(folder);
    for (const part of ['', '.lab', '.cards', '.owner', '.escrow', '.operator-A', '.operator-B']) {
      assert.ok(files.includes(`run.db${part}`), part);
    }
    const cards = readFileSync(join(folder, 'run.db.cards'), 'latin1');
    const keys = [...cards.matchAll(/"(?:k|opc|kic|kid|kik)": "([0-9a-f]{32})"/g)].map((match) => match[1]!);
    assert.ok(keys.length > 20);
    for (const file of files) {
      if (file.endsWith('.key') || file.startsWith('run.db.cards')) {
        assert.equal(statSync(join(folder, file)).mode & 0o077, 0, `${file} is its owner's alone`);
        continue;
      }
      const content = readFileSync(join(folder, file));
      for (const key of keys) {
        const raw = Buffer.from(key, 'hex');
        assert.ok(!content.includes(raw), `${file} holds a key`);
        assert.ok(!content.includes(key), `${file} holds a key in hexadecimal`);
        assert.ok(!content.includes(raw.toString('base64').slice(0, 20)), `${file} holds a key in base64`);
      }
    }
  });
});
