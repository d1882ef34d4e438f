/** A real osmo-hlr on a loopback address of its own, as its ports are fixed; and what else these tests share. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Endpoint } from '../../../src/edge/index.ts';
import { GSUP_PORT, OSMO_HLR_CTRL_PORT } from '../../../src/standards/gsup/index.ts';
import { findCommand, requirePeer } from '../peer.ts';

export interface RealHlr {
  gsup: Endpoint;
  ctrl: Endpoint;
  /** everything it wrote */
  log(): string;
}

export const sleep = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

/** A generous limit: it only ends a test that hangs. */
export async function until(
  what: string,
  condition: () => boolean,
  log: () => string,
  seconds = 60,
): Promise<void> {
  const end = Date.now() + seconds * 1000;
  while (!condition()) {
    if (Date.now() > end) assert.fail(`${what} did not happen in ${seconds} s\n${log().slice(-3000)}`);
    await sleep(10);
  }
}

const answers = (to: Endpoint): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(to.port, to.host);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });

/** Starts one, with an empty database and these lines of configuration besides, or skips the test. */
export async function startHlr(t: TestContext, config: readonly string[] = []): Promise<RealHlr | undefined> {
  const daemon = requirePeer(t, findCommand('osmo-hlr'), 'osmo-hlr', 'osmo-hlr');
  const tool = requirePeer(t, findCommand('osmo-hlr-db-tool'), 'osmo-hlr-db-tool', 'osmo-hlr');
  if (daemon === undefined || tool === undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'rehome-osmo-hlr-'));
  const host = `127.${randomInt(1, 255)}.${randomInt(0, 256)}.${randomInt(2, 255)}`;
  writeFileSync(
    join(folder, 'hlr.cfg'),
    [
      'log stderr',
      ' logging level set-all info',
      'line vty',
      ` bind ${host}`,
      'ctrl',
      ` bind ${host}`,
      'hlr',
      ' gsup',
      `  bind ip ${host}`,
      '  ipa-name HLR-test',
      ...config,
      '',
    ].join('\n'),
  );
  const database = join(folder, 'hlr.db');
  execFileSync(tool, ['-l', database, 'create'], { stdio: 'ignore' });
  const hlr = spawn(daemon, ['-c', join(folder, 'hlr.cfg'), '-l', database], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  let gone = false;
  hlr.stdout.on('data', (text: Buffer) => (log += text.toString()));
  hlr.stderr.on('data', (text: Buffer) => (log += text.toString()));
  const ended = new Promise<void>((resolve) => {
    hlr.once('close', () => {
      gone = true;
      resolve();
    });
  });
  t.after(async () => {
    hlr.kill('SIGKILL');
    await ended;
    rmSync(folder, { recursive: true });
  });
  const gsup = { host, port: GSUP_PORT };
  const ctrl = { host, port: OSMO_HLR_CTRL_PORT };
  while (!((await answers(gsup)) && (await answers(ctrl)))) {
    assert.ok(!gone, `osmo-hlr ended: ${log}`);
    await sleep(20);
  }
  return { gsup, ctrl, log: () => log };
}
