/**
 * A client of Osmocom's control interface over sockets of the edge: variables are set and read by lines of text in
 * IPA frames (Osmocom GSM/IP protocols manual, "Control interface").
 */
import type { Socket } from 'node:net';
import type { Edge, Endpoint, Timer } from '../../edge/index.ts';
import { concat } from '../../standards/bytes/index.ts';
import { IPA_EXTENSION, IPA_PROTOCOL, decodeIpa, encodeIpa, ipaLength } from '../../standards/gsup/index.ts';

const ANSWER_MS = 5_000;

/** The program refused. Its reason is told only where what was asked holds no secret. */
export class CtrlRefused extends Error {
  readonly reason: string;

  constructor(variable: string, reason: string) {
    super(`${variable}: ${reason}`);
    this.name = 'CtrlRefused';
    this.reason = reason;
  }
}

export interface CtrlClient {
  /**
   * @param secret the value is one: a refusal does not repeat the program's words
   * @throws CtrlRefused, or Error if there is no answer
   */
  set(variable: string, value: string, secret?: 'secret'): Promise<string>;
  get(variable: string): Promise<string>;
  close(): void;
}

interface Waiting {
  variable: string;
  secret: boolean;
  resolve(value: string): void;
  reject(error: Error): void;
  timer: Timer;
}

const WORD = /^[!-~]+$/;

/** Connects when something is asked, and again after a break. */
export function connectCtrl(options: { edge: Edge; to: Endpoint }): CtrlClient {
  const { edge, to } = options;
  const text = new TextDecoder();
  const waiting = new Map<number, Waiting>();
  let socket: Socket | undefined;
  let pending: Uint8Array = new Uint8Array(0);
  let last = 0;

  const lost = (from: Socket, why: string): void => {
    if (socket !== from) return;
    socket = undefined;
    pending = new Uint8Array(0);
    from.destroy();
    for (const { reject, timer } of waiting.values()) {
      timer.cancel();
      reject(new Error(`control interface at ${to.host} port ${to.port}: ${why}`));
    }
    waiting.clear();
  };

  /** `SET_REPLY id variable value`, `GET_REPLY id variable value`, `ERROR id reason`; traps are not for us. */
  const take = (line: string): void => {
    const [, kind, id, rest] = /^(\S+) (\d+) ?([^]*)$/.exec(line) ?? [];
    const entry = waiting.get(Number(id));
    if (!entry || kind === undefined || kind === 'TRAP') return;
    waiting.delete(Number(id));
    entry.timer.cancel();
    if (kind === 'SET_REPLY' || kind === 'GET_REPLY') {
      entry.resolve((rest ?? '').replace(/^\S+ ?/, ''));
    } else {
      const reason = entry.secret ? 'refused' : (rest ?? '').trim();
      entry.reject(new CtrlRefused(entry.variable, reason));
    }
  };

  const open = (): Socket => {
    const made = edge.sockets.connect('ctrl', to);
    made.on('data', (chunk: Uint8Array) => {
      try {
        let bytes = concat(pending, chunk);
        for (;;) {
          const length = ipaLength(bytes);
          if (length === undefined || bytes.length < length) break;
          const frame = decodeIpa(bytes.subarray(0, length));
          bytes = bytes.subarray(length);
          if (frame.protocol === IPA_PROTOCOL.osmo && frame.extension === IPA_EXTENSION.ctrl) {
            take(text.decode(frame.payload));
          }
        }
        pending = bytes;
      } catch {
        lost(made, 'an answer that is none');
      }
    });
    made.on('error', (error: NodeJS.ErrnoException) => lost(made, error.code ?? error.message));
    made.once('close', () => lost(made, 'closed'));
    return made;
  };

  const ask = (kind: 'SET' | 'GET', variable: string, value: string, secret: boolean): Promise<string> =>
    new Promise((resolve, reject) => {
      if (!WORD.test(variable) || (kind === 'SET' && !WORD.test(value))) {
        reject(
          new Error(`${kind} ${WORD.test(variable) ? variable : 'variable'}: not a word of printable ASCII`),
        );
        return;
      }
      socket ??= open();
      const asked = socket;
      last = (last % 1_000_000_000) + 1;
      const timer = edge.clock.after(ANSWER_MS, () => lost(asked, `no answer in ${ANSWER_MS} ms`));
      waiting.set(last, { variable, secret, resolve, reject, timer });
      const line = `${kind} ${last} ${variable}${kind === 'SET' ? ` ${value}` : ''}`;
      asked.write(
        encodeIpa({
          protocol: IPA_PROTOCOL.osmo,
          extension: IPA_EXTENSION.ctrl,
          payload: new TextEncoder().encode(line),
        }),
      );
    });

  return {
    set: (variable, value, secret) => ask('SET', variable, value, secret !== undefined),
    get: (variable) => ask('GET', variable, '', false),
    close: () => {
      if (socket) lost(socket, 'closed');
    },
  };
}
