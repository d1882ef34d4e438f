/** A run of the lab in a process of its own that is killed at some moment and goes on in another. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';

const REHOME = join(import.meta.dirname, '../../rehome');

export interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** So many milliseconds after the first line of progress; or when the first change has ended, and others have not. */
export type Moment = number | 'ended';

/** Runs the command; kills it (SIGKILL) at that moment, if given. */
export async function lab(words: readonly string[], moment?: Moment): Promise<Ended> {
  const child = spawn(REHOME, ['lab', '--json', ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text: Buffer) => (stdout += text.toString()));
  child.stderr.on('data', (text: Buffer) => {
    if (stderr === '' && typeof moment === 'number') setTimeout(() => child.kill('SIGKILL'), moment).unref();
    stderr += text.toString();
    if (moment === 'ended' && /^[0-9:]+ {2}device-.* \d+\/\d+$/m.test(stderr)) child.kill('SIGKILL');
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

/** A fresh place for a store, gone afterwards. */
export async function withStore(use: (path: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'rehome-store-'));
  try {
    await use(join(folder, 'run.db'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Kills a run at each of these moments, then lets it end, and says where the devices are. Nothing if it was quicker than
 * so many milliseconds; at work it is killed in any case.
 */
export async function killedAt(
  moments: readonly Moment[],
  devices: number,
  more: readonly string[] = [],
): Promise<Record<string, number>> {
  let result: Record<string, number> = {};
  await withStore(async (store) => {
    const words = ['--alternative', '3a,3b', '--devices', String(devices), '--store', store, ...more];
    let resume: string[] = [];
    for (const moment of moments) {
      const { code } = await lab([...words, ...resume], moment);
      if (moment === 'ended') assert.equal(code, null, 'it was killed while it worked');
      if (code !== null) assert.equal(code, 0);
      if (code === 0) return;
      resume = ['--resume'];
    }
    const { code, stdout, stderr } = await lab([...words, ...resume]);
    assert.equal(code, 0, stderr.slice(-2000));
    result = JSON.parse(stdout) as Record<string, number>;
    assert.equal(result.resumed, true);
    assert.ok(Number.isInteger(result.inDoubt) && result.inDoubt! >= 0, stdout);
    assert.equal(result.stranded, 0, stdout);
    assert.equal(result.effectsRepeated, 0, stdout);
    assert.equal(
      result.moved! + result.rolledBack! + result.awaitingVisit! + result.pristine!,
      devices,
      stdout,
    );
  });
  return result;
}
