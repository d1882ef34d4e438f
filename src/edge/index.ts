/**
 * The edge: what touches the world (clock, sockets, randomness, disk), as interfaces that are passed in,
 * so that the lab can drive time and faults and a real deployment can use the real thing.
 */
import type { Socket } from 'node:net';

/** A timer that can be called off. Calling it off after it fired does nothing. */
export interface Timer {
  cancel(): void;
}

/** Time, real or virtual. */
export interface Clock {
  /** Milliseconds since 1970-01-01T00:00:00Z. */
  now(): number;
  /** Calls `run` once, `milliseconds` from now. */
  after(milliseconds: number, run: () => void): Timer;
  /**
   * Says that `work` is under way outside this event loop's sight (a request to another role, a thread):
   * a virtual clock stands still until it settles. Returns `work`.
   */
  hold<T>(work: Promise<T>): Promise<T>;
}

/** Where a socket is: an IP address and a port. */
export interface Endpoint {
  host: string;
  port: number;
}

/** What a socket speaks; names the registered port in a capture. `feed`: HTTP that waits for its answer. */
export type Service = 'gsmtap' | 'diameter' | 'smpp' | 'gsup' | 'ctrl' | 'http' | 'feed' | 'vpcd';

export interface Listener {
  readonly endpoint: Endpoint;
  close(): Promise<void>;
}

/** A bound UDP socket. */
export interface Datagrams {
  readonly endpoint: Endpoint;
  send(message: Uint8Array, to: Endpoint): void;
  close(): void;
}

/** Sockets, real ones; the lab's also count what is in flight and write the capture. */
export interface Sockets {
  /** Listens for TCP. Port 0: the system picks. Rejects with a one-line error naming the port in use. */
  listen(service: Service, at: Endpoint, accept: (socket: Socket) => void): Promise<Listener>;
  /** Opens a TCP connection; the socket is returned at once, still connecting. */
  connect(service: Service, to: Endpoint): Socket;
  /** Binds a UDP socket. Port 0: the system picks. */
  bind(
    service: Service,
    at: Endpoint,
    receive: (message: Uint8Array, from: Endpoint) => void,
  ): Promise<Datagrams>;
}

/** Randomness. */
export interface Random {
  /** `length` unpredictable bytes. */
  bytes(length: number): Uint8Array;
}

/** A file that is one process's alone until it is given back, or the process is gone. */
export interface Hold {
  /** the file's own name, links followed */
  readonly path: string;
  /** Gives it back; a second time does nothing. */
  release(): void;
}

/** The few things that keeping a file safe asks of a disk. */
export interface Disk {
  read(path: string): string;
  /**
   * Creates a file that only its owner may read, writes it, and returns when the disk has it.
   * @throws if there is one, be it a link
   */
  write(path: string, text: string): void;
  /** Puts one file in the place of another, at once, and returns when the disk knows. */
  replace(from: string, to: string): void;
  /** Does nothing if there is no such file. */
  remove(path: string): void;
  /** Takes a file, which need not be there yet. @throws Error naming it if somebody else has it */
  hold(path: string): Hold;
}

/** A disk whose folders can be looked into. */
export interface FolderDisk extends Disk {
  /** Names of the files in a folder, in order. @throws if there is no such folder */
  list(folder: string): string[];
}

/** A request of another role, as who measures is told of it. */
export interface ObservedRequest {
  method: string;
  /** as the role words it, `/cards/:iccid`, where it is served; as it is sent, where it is made */
  path: string;
  /** only to find out which changes it is about */
  body: unknown;
}

/** Who measures what a role does: he changes nothing of it. */
export interface Observer {
  /** Runs what handles a request, and gives on what comes of it. */
  served<T>(
    request: ObservedRequest & {
      /** who asks, as his certificate says: `operator:A` */
      caller?: string | undefined;
      /** W3C Trace Context, if it came with the request */
      traceparent?: string | undefined;
    },
    handle: () => Promise<T>,
  ): Promise<T>;
  /** A request goes out. @returns what headers it is to have besides, and who is told how it ended; 0: no answer */
  made(request: ObservedRequest & { to: Endpoint }): {
    headers: Record<string, string>;
    ended(status: number): void;
  };
  /** Something else that is counted has happened, for a change if it was for one. */
  happened(what: 'authentication' | 'sms', about?: { change: string | null }): void;
}

/** The edge that a role or a device is given. */
export interface Edge {
  clock: Clock;
  sockets: Sockets;
  random: Random;
  /** nobody measures if not given */
  observer?: Observer;
}
