/**
 * pcscd with the virtual reader, for one test at a time: tests take turns by a lock. A pcscd that already runs
 * is used and left running; one that is started here is stopped.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Endpoint } from '../../src/edge/index.ts';
import { findCommand, findFile, requirePeer } from './peer.ts';

/** Where Debian's vpcd waits for the card of its first slot. */
const DEBIAN = { host: '127.0.0.1', port: 35963 };
/** Where ours does: below the ports that the kernel gives to whoever connects, so that nobody else has it. */
const OURS = { host: '127.0.0.1', port: 20963 };
const DRIVER = '/usr/lib/pcsc/drivers/serial/libifdvpcd.so';

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

async function listens(at: Endpoint): Promise<boolean> {
  const socket = createConnection(at);
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
 * Makes a virtual reader wait for a card until the test ends.
 * @returns where; undefined after the test was marked as skipped
 */
export async function withPcscd(t: TestContext): Promise<Endpoint | undefined> {
  const pcscd = requirePeer(t, findCommand('pcscd'), 'pcscd', 'pcscd');
  if (pcscd === undefined) return undefined;
  const driver = findFile(DRIVER);
  if (requirePeer(t, driver, 'the vpcd driver', 'vsmartcard-vpcd') === undefined) return undefined;
  await takeLock();
  t.after(() => rmSync(LOCK, { recursive: true, force: true }));
  if (await listens(DEBIAN)) return DEBIAN;
  if (process.getuid?.() !== 0) {
    requirePeer(t, undefined, 'a running pcscd (it needs root)', 'pcscd');
    return undefined;
  }
  const folder = mkdtempSync(join(tmpdir(), 'rehome-pcscd-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const config = join(folder, 'reader.conf');
  const channel = `0x${OURS.port.toString(16)}`;
  writeFileSync(
    config,
    `FRIENDLYNAME "Virtual PCD"\nDEVICENAME /dev/null:${channel}\nLIBPATH ${DRIVER}\nCHANNELID ${channel}\n`,
  );
  const child = spawn(pcscd, ['--foreground', '--config', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2000);
  });
  t.after(() => stop(child));
  for (const end = Date.now() + 10_000; Date.now() < end; await sleep(100)) {
    if (child.exitCode !== null) break;
    if (await listens(OURS)) return OURS;
  }
  throw new Error(`pcscd did not open port ${OURS.port}: ${said}`);
}
