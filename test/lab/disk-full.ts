/**
 * A store on a disk of its own that becomes full: said in one line, nothing half done; and when there is room, the
 * world goes on.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { lab } from './resume.ts';

/** Each of these sizes, in kB, is too small for a world of so many devices. */
export function fullDisks(sizes: readonly number[], devices: number): void {
  let folder: string;
  let reason: string | false = false;
  try {
    folder = mkdtempSync(join(tmpdir(), 'rehome-full-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'rehome-full', folder], { stdio: 'pipe' });
    execFileSync('umount', [folder], { stdio: 'pipe' });
  } catch {
    reason = 'no file system of its own may be mounted here (needs root)';
  }

  describe('a full disk', { skip: reason }, () => {
    after(() => rmdirSync(folder));
    for (const size of sizes) {
      test(`at ${size} kB`, async () => {
        execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}k`, 'rehome-full', folder]);
        try {
          const store = join(folder, 'run.db');
          const words = ['--alternative', '2,3a,3b', '--devices', String(devices), '--store', store];
          const first = await lab(words);
          assert.equal(first.code, 1, first.stderr.slice(-1000));
          const said = first.stderr
            .split('\n')
            .filter((line) => line !== '' && !/^\d\d:\d\d:\d\d /.test(line));
          assert.deepEqual(said, [
            `rehome: the disk of ${store} and the files beside it is full; make room, then --resume goes on`,
          ]);
          execFileSync('mount', ['-o', 'remount,size=256m', folder]);
          const { code, stdout, stderr } = await lab([...words, '--resume']);
          assert.equal(code, 0, stderr.slice(-1000));
          const result = JSON.parse(stdout) as Record<string, number>;
          assert.equal(result.stranded, 0, stdout);
          assert.equal(result.effectsRepeated, 0, stdout);
          assert.equal(
            result.moved! + result.rolledBack! + result.awaitingVisit! + result.pristine!,
            devices,
          );
        } finally {
          execFileSync('umount', [folder]);
        }
      });
    }
  });
}
