/** The command line as a user calls it: words and a document in; exit code and what it said out. */
import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { format } from 'node:util';
import { mock } from 'node:test';
import { call } from '../../src/cli/program.ts';

export const REHOME = join(import.meta.dirname, '../../rehome');

export interface Outcome {
  code: number | null;
  out: string;
  err: string;
}

/** In a process of its own. From another folder: the command must find its own way home. */
export async function spawned(words: readonly string[], input = ''): Promise<Outcome> {
  const child = spawn(REHOME, words, { cwd: tmpdir(), stdio: 'pipe' });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, out, err };
}

/** In this process, where a call takes no start; one at a time. */
export async function called(words: readonly string[], input = ''): Promise<Outcome> {
  let [out, err] = ['', ''];
  const stdin = Object.getOwnPropertyDescriptor(process, 'stdin')!;
  const { exitCode } = process;
  const guards = process.listeners('uncaughtException');
  const mocks = [
    mock.method(console, 'log', (...said: unknown[]) => void (out += `${format(...said)}\n`)),
    mock.method(console, 'error', (...said: unknown[]) => void (err += `${format(...said)}\n`)),
  ];
  const document = Readable.from(input === '' ? [] : [Buffer.from(input)]);
  Object.defineProperty(process, 'stdin', { configurable: true, value: document });
  process.exitCode = undefined;
  try {
    return { code: await call(words), out, err };
  } finally {
    process.exitCode = exitCode;
    Object.defineProperty(process, 'stdin', stdin);
    for (const each of mocks) each.mock.restore();
    for (const each of process.listeners('uncaughtException')) {
      if (!guards.includes(each)) process.off('uncaughtException', each);
    }
  }
}
