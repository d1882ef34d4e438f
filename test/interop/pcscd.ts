/**
 * pcscd with the virtual reader, for one test at a time: tests take turns by a lock. A pcscd that already runs
 * is used and left running; one that is started here is stopped.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { findCommand, findFile, requirePeer } from './peer.ts';

/** Where Debian's vpcd waits for the card of its first slot. */
export const VPCD = { host: '127.0.0.1', port: 35963 };

const LOCK = join(tmpdir(), 'rehome-test-pcscd.lock');

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function takeLock(): Promise<void> {
  for (const end = Date.now() + 120_000; Date.now() < end;) {
    try {
      mkdirSync(LOCK);
      writeFileSync(join(LOCK, 'pid'), String(process.pid));
      return;
    } catch {
      let holder = 0;
      try {
        holder = Number(readFileSync(join(LOCK, 'pid'), 'utf8'));
      } catch {
        // Taken a moment ago, not signed yet; or left so.
        try {
          if (Date.now() - statSync(LOCK).mtimeMs < 5000) holder = process.pid;
        } catch {
          continue;
        }
      }
      if (holder === 0 || !alive(holder)) rmSync(LOCK, { recursive: true, force: true });
      else await sleep(200);
    }
  }
  throw new Error(`pcscd is taken by another test: ${LOCK}`);
}

async function listens(): Promise<boolean> {
  const socket = createConnection(VPCD);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const forced = setTimeout(() => child.kill('SIGKILL'), 5000);
  await gone;
  clearTimeout(forced);
}

/**
 * Makes a virtual reader wait at VPCD until the test ends.
 * @returns false after the test was marked as skipped
 */
export async function withPcscd(t: TestContext): Promise<boolean> {
  const pcscd = requirePeer(t, findCommand('pcscd'), 'pcscd', 'pcscd');
  if (pcscd === undefined) return false;
  const driver = findFile('/etc/reader.conf.d/vpcd');
  if (requirePeer(t, driver, 'the vpcd driver', 'vsmartcard-vpcd') === undefined) return false;
  await takeLock();
  t.after(() => rmSync(LOCK, { recursive: true, force: true }));
  if (await listens()) return true;
  if (process.getuid?.() !== 0) {
    requirePeer(t, undefined, 'a running pcscd (it needs root)', 'pcscd');
    return false;
  }
  const child = spawn(pcscd, ['--foreground'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2000);
  });
  t.after(() => stop(child));
  for (const end = Date.now() + 10_000; Date.now() < end; await sleep(100)) {
    if (child.exitCode !== null) break;
    if (await listens()) return true;
  }
  throw new Error(`pcscd did not open port ${VPCD.port}: ${said}`);
}
