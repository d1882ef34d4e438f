/** A capture that goes on after its process was killed, as a foreign reader sees it: a section for each process. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Clock } from '../../../src/edge/index.ts';
import { openCapture } from '../../../src/lab/capture.ts';
import { FieldError } from '../../../src/standards/bytes/index.ts';
import { killedAt } from '../../lab/resume.ts';
import { findCommand, requirePeer } from '../peer.ts';

const clock: Clock = { now: () => 0, after: () => ({ cancel: () => undefined }), hold: (work) => work };
const ENDS = [
  { address: '10.0.0.1', port: 1000 },
  { address: '10.0.0.2', port: 2000 },
] as const;

function place(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'rehome-capture-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, 'run.pcapng');
}

/** Of each frame: its section, and what UDP carried. */
function framesOf(tshark: string, file: string): string[] {
  const fields = ['frame.section_number', 'udp.payload', '_ws.malformed'];
  return execFileSync(tshark, ['-r', file, '-T', 'fields', ...fields.flatMap((field) => ['-e', field])], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
    .trim()
    .split('\n')
    .map((row) => row.trim().replace('\t', ' '));
}

/** A capture of one process: so many frames of one byte. */
function process(file: string, append: boolean, ...bytes: number[]): void {
  const capture = openCapture(file, clock, append);
  for (const byte of bytes) capture.udp(...ENDS, Uint8Array.of(byte));
  capture.close();
}

test('a second process appends a section, behind the last whole block; a new run begins anew', (t) => {
  const tshark = requirePeer(t, findCommand('tshark'), 'tshark', 'tshark');
  if (tshark === undefined) return;
  const file = place(t);
  // There is none yet: nothing was captured before.
  process(file, true, 1, 2);
  process(file, true, 3);
  assert.deepEqual(framesOf(tshark, file), ['1 01', '1 02', '2 03']);
  // Killed, or the disk full, within a block.
  const whole = readFileSync(file).length;
  process(file, true, 4);
  truncateSync(file, readFileSync(file).length - 5);
  process(file, true, 5);
  assert.ok(readFileSync(file).length > whole);
  assert.deepEqual(framesOf(tshark, file), ['1 01', '1 02', '2 03', '4 05']);
  process(file, false, 6);
  assert.deepEqual(framesOf(tshark, file), ['1 06']);
});

test('what is there and is no pcapng is refused, and left as it is', (t) => {
  const file = place(t);
  for (const content of ['not a capture, and of somebody else', 'x', '\n\r\r\n and nothing that follows']) {
    writeFileSync(file, content);
    assert.throws(
      () => openCapture(file, clock, true),
      (error) => error instanceof FieldError && /a capture \(pcapng\) to go on with/.test(error.message),
    );
    assert.equal(readFileSync(file, 'utf8'), content);
  }
});

test('what was gathered is on file after a hundred frames, at a signal and at the end of the process', (t) => {
  const tshark = requirePeer(t, findCommand('tshark'), 'tshark', 'tshark');
  if (tshark === undefined) return;
  const file = place(t);
  const ended = (frames: number, end: string): { signal: string | null; count: number } => {
    const code = `
      import { openCapture } from ${JSON.stringify(join(import.meta.dirname, '../../../src/lab/capture.ts'))};
      const capture = openCapture(${JSON.stringify(file)}, { now: () => 0 });
      for (let i = 0; i < ${frames}; i++) capture.udp(...${JSON.stringify(ENDS)}, Uint8Array.of(1));
      ${end};
      setTimeout(() => undefined, 60_000);`;
    const { signal } = spawnSync(globalThis.process.execPath, ['--input-type=module', '-e', code]);
    return { signal, count: framesOf(tshark, file).filter(Boolean).length };
  };
  const kill = (signal: string): string => `process.kill(process.pid, ${JSON.stringify(signal)})`;
  assert.deepEqual(ended(250, kill('SIGKILL')), { signal: 'SIGKILL', count: 200 });
  assert.deepEqual(ended(3, kill('SIGTERM')), { signal: 'SIGTERM', count: 3 });
  assert.deepEqual(ended(3, kill('SIGINT')), { signal: 'SIGINT', count: 3 });
  assert.deepEqual(ended(3, 'process.exit(0)'), { signal: null, count: 3 });
});

test('a lab that was killed at work goes on in the capture, and neither process’ messages are malformed', async (t) => {
  const tshark = requirePeer(t, findCommand('tshark'), 'tshark', 'tshark');
  if (tshark === undefined) return;
  const file = place(t);
  await killedAt(['ended'], 6, ['--pcap', file]);
  const frames = framesOf(tshark, file);
  const ofSection = (section: string): number => frames.filter((frame) => frame.startsWith(section)).length;
  // Attach and changes before, changes and heartbeats after.
  assert.ok(ofSection('1') > 100, `${ofSection('1')}`);
  assert.ok(ofSection('2') > 100, `${ofSection('2')}`);
  assert.ok(!frames.some((frame) => frame.includes('Malformed')));
});
