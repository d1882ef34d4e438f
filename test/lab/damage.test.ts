/** What a store's files may have met while nobody ran: `--resume` says which file and what is wrong, and leaves all be. */
import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { createHash } from 'node:crypto';
import { FieldError } from '../../src/standards/bytes/index.ts';
import { openLabStore } from '../../src/lab/store.ts';
import { lab, withStore } from './resume.ts';

const PARTS = ['', '.owner', '.escrow', '.operator-A', '.operator-B', '.manufacturer', '.cards'];
const KEYS = ['.A.vault.key', '.B.transport.key', '.owner.signing.key'];

const contents = (folder: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder)
      .filter((name) => !/-(wal|shm)$/.test(name))
      .map((name) => [
        name,
        createHash('sha256')
          .update(readFileSync(join(folder, name)))
          .digest('hex'),
      ]),
  );

/** All that was written is in the files themselves, as SQLite leaves them when it is closed. */
function settle(store: string): void {
  for (const part of [...PARTS, '.lab']) {
    const database = new DatabaseSync(store + part);
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    database.close();
  }
}

test('every file of a store: damaged, cut, empty, gone, another world’s, another version’s', async () => {
  await withStore(async (store) => {
    const words = ['--alternative', '3b', '--devices', '12', '--store', store];
    assert.equal((await lab(words, 150)).code, null, 'it was to be killed');
    settle(store);
    const folder = dirname(store);
    const damages: Record<string, (file: string) => void> = {
      damaged: (file) => writeFileSync(file, Buffer.alloc(readFileSync(file).length, 0x5a)),
      cut: (file) => truncateSync(file, Math.floor(readFileSync(file).length / 2)),
      empty: (file) => truncateSync(file, 0),
      gone: (file) => rmSync(file),
    };
    const refusedBy = (file: string, what: RegExp): void => {
      const before = contents(folder);
      assert.throws(
        () => openLabStore(store, true).close(),
        (error: unknown) => {
          assert.ok(error instanceof FieldError, String(error));
          assert.ok(error.message.startsWith(`--store: ${file}, expected `), error.message);
          assert.match(error.message, what);
          return true;
        },
        file,
      );
      assert.deepEqual(contents(folder), before, `${file}: something was changed`);
    };
    const kept = join(folder, 'kept');
    mkdirSync(kept);
    for (const part of [...PARTS, ...KEYS]) {
      const file = store + part;
      const aside = join(kept, 'file');
      copyFileSync(file, aside);
      for (const [how, damage] of Object.entries(damages)) {
        rmSync(kept, { recursive: true });
        const saved = readFileSync(existsSync(file) ? file : aside);
        damage(file);
        refusedBy(file, how === 'gone' ? /it is gone/ : /whole|version|as this store was made with/);
        writeFileSync(file, saved, { mode: 0o600 });
        mkdirSync(kept);
        copyFileSync(file, aside);
      }
      if (part.endsWith('.key')) continue;
      rmSync(kept, { recursive: true });
      for (const [pragma, what] of [
        ['application_id', /another one/],
        ['user_version', /version 1, not of 7/],
      ] as const) {
        const saved = readFileSync(file);
        const database = new DatabaseSync(file);
        database.exec(`PRAGMA journal_mode=DELETE; PRAGMA ${pragma}=7`);
        database.close();
        refusedBy(file, what);
        writeFileSync(file, saved, { mode: 0o600 });
      }
      mkdirSync(kept);
    }
    rmSync(kept, { recursive: true });
    const gone = `${store}.owner`;
    const saved = readFileSync(gone);
    rmSync(gone);
    const { code, stderr } = await lab([...words, '--resume']);
    assert.equal(code, 2);
    assert.equal(stderr, `rehome: --store: ${gone}, expected the file of this store; it is gone\n`);
    writeFileSync(gone, saved);
    const last = await lab([...words, '--resume']);
    assert.equal(last.code, 0, last.stderr);
  });
});
