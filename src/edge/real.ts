/** The edge as the machine gives it: the wall clock, the system's sockets and random bytes. */
import { randomBytes } from 'node:crypto';
import { createSocket, type SocketOptions } from 'node:dgram';
import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { lookup } from 'node:dns';
import { connect, createServer, isIP, type Socket } from 'node:net';
import { dirname } from 'node:path';
import { hold } from './hold.ts';
import type {
  Clock,
  Datagrams,
  Edge,
  Endpoint,
  FolderDisk,
  Listener,
  Random,
  Service,
  Sockets,
} from './index.ts';

/** Longest that Node's timers can wait, in milliseconds; more than that they would not wait at all. */
const LONGEST_TIMER = 2 ** 31 - 1;
/** Of the time that passes, how much the clock may be set by to follow the wall clock. */
const SLEW = 0.01;

export interface RealClockOptions {
  /** milliseconds since 1970, as the machine believes; it may be set, forwards and backwards */
  wall?: () => number;
  /** milliseconds that only ever grow with time */
  monotonic?: () => number;
  /** time that had passed before, as far as somebody wrote down: a machine set back begins no earlier */
  notBefore?: number;
}

/**
 * The machine's time, kept by its monotonic clock: who sets the wall clock, by hours even, moves nothing that is due,
 * and no statement expires for it. It follows the wall clock by at most a hundredth of the time that passes, and never
 * goes backwards.
 */
export function createRealClock(options: RealClockOptions = {}): Clock {
  const { wall = () => Date.now(), monotonic = () => performance.now(), notBefore = 0 } = options;
  let now = Math.max(wall(), notBefore);
  let read = monotonic();
  return {
    now() {
      const at = monotonic();
      const passed = Math.max(0, at - read);
      read = at;
      const apart = wall() - (now + passed);
      now += passed + Math.max(-SLEW * passed, Math.min(SLEW * passed, apart));
      return Math.floor(now);
    },
    after(milliseconds, run) {
      let handle: NodeJS.Timeout;
      const wait = (left: number): void => {
        handle = setTimeout(
          () => (left > LONGEST_TIMER ? wait(left - LONGEST_TIMER) : run()),
          Math.min(left, LONGEST_TIMER),
        );
      };
      wait(milliseconds);
      return { cancel: () => clearTimeout(handle) };
    },
    hold: (work) => work,
  };
}

export const realClock: Clock = createRealClock();

export const realRandom: Random = { bytes: (length) => new Uint8Array(randomBytes(length)) };

/** Turns the system's word for a failed bind into one that names the thing. */
export function bindError(error: unknown, at: Endpoint): Error {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'EADDRINUSE') {
    return new Error(
      `port ${at.port} on ${at.host} is in use; free it or choose another (0: the system picks)`,
    );
  }
  if (code === 'EMFILE' || code === 'ENFILE') {
    return new Error(
      `no more files may be open at once (${code}): raise the limit (ulimit -n), or ask for less`,
    );
  }
  return new Error(`cannot listen on ${at.host} port ${at.port}: ${code ?? String(error)}`);
}

/** An address needs no looking up, so that a message is on its way before the socket is closed. */
const atOnce: NonNullable<SocketOptions['lookup']> = (host, options, done) => {
  if (isIP(host)) done(null, host, 4);
  else lookup(host, options, done);
};

export const realSockets: Sockets = {
  listen(_service: Service, at: Endpoint, accept: (socket: Socket) => void): Promise<Listener> {
    return new Promise((resolve, reject) => {
      const open = new Set<Socket>();
      const server = createServer({ noDelay: true }, (socket) => {
        open.add(socket);
        socket.once('close', () => open.delete(socket));
        accept(socket);
      });
      server.once('error', (error) => reject(bindError(error, at)));
      server.listen(at.port, at.host, () => {
        const { address, port } = server.address() as { address: string; port: number };
        resolve({
          endpoint: { host: address, port },
          close: () =>
            new Promise((done) => {
              server.close(() => done());
              for (const socket of open) socket.destroy();
            }),
        });
      });
    });
  },
  connect: (_service, to) => connect({ host: to.host, port: to.port, noDelay: true }),
  bind(_service, at, receive): Promise<Datagrams> {
    return new Promise((resolve, reject) => {
      const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20, lookup: atOnce });
      socket.once('error', (error) => reject(bindError(error, at)));
      socket.on('message', (message, from) => receive(message, { host: from.address, port: from.port }));
      socket.bind(at.port, at.host, () => {
        const { address, port } = socket.address();
        resolve({
          endpoint: { host: address, port },
          send: (message, to) => socket.send(message, to.port, to.host),
          close: () => socket.close(),
        });
      });
    });
  },
};

export const realDisk: FolderDisk = {
  read: (path) => readFileSync(path, 'utf8'),
  write(path, text) {
    const file = openSync(path, 'wx', 0o600);
    try {
      writeFileSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  },
  replace(from, to) {
    renameSync(from, to);
    const folder = openSync(dirname(to), 'r');
    try {
      fsyncSync(folder);
    } finally {
      closeSync(folder);
    }
  },
  remove(path) {
    try {
      unlinkSync(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  },
  list: (folder) => readdirSync(folder).sort(),
  hold,
};

/** Opens a Unix socket on this machine; it is returned at once, still connecting. */
export const connectLocal = (path: string): Socket => connect({ path });

export const realEdge: Edge = { clock: realClock, sockets: realSockets, random: realRandom };
