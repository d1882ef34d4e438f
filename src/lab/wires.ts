/**
 * The lab's sockets: real ones on loopback, of which the lab knows what is in flight, and what each role
 * received (for the capture). One view per role, so that a message has a sender and a receiver.
 */
import type { Socket } from 'node:net';
import { realSockets } from '../edge/real.ts';
import type { Endpoint, Service, Sockets } from '../edge/index.ts';

/** Real milliseconds after which a message that nobody received counts as lost: the kernel dropped it. */
const LOST_AFTER = 500;

/** Real milliseconds after which a connection that does not move, though both ends live, is not waited for. */
const DEAD_AFTER = 5_000;

/** An end of a wire as the capture shows it: the role's address, and the service's registered port. */
export interface WireEnd {
  address: string;
  port: number;
}

/** Called with each message as received; TCP chunks as they came, in order. */
export type Tap = (
  service: Service,
  transport: 'udp' | 'tcp',
  from: WireEnd,
  to: WireEnd,
  bytes: Uint8Array,
) => void;

/** Registered ports. */
const PORTS: Partial<Record<Service, number>> = {
  gsmtap: 4729,
  diameter: 3868,
  smpp: 2775,
  gsup: 4222,
  http: 80,
};

interface Pair {
  client: Socket | undefined;
  server: Socket | undefined;
  /** not waited for any more: given up, or frozen on purpose */
  failed: boolean;
  /** the view whose listener took it */
  listener?: Sockets;
  /** bytes received at both ends when it was last looked at for being dead, and when they last grew */
  seen?: { bytes: number; at: number };
}

export class Wires {
  readonly #tap: Tap | undefined;
  /** open TCP connections by the client's port */
  readonly #pairs = new Map<number, Pair>();
  #connecting = 0;
  /** sockets not yet connected, and the address of their role */
  readonly #opening = new Map<Socket, string>();
  /** UDP: messages on their way, by the receiver's port */
  readonly #flying = new Map<number, number>();
  #datagrams = 0;
  #stuckSince = 0;
  #moved = 0;
  #seen = -1;
  /** who owns a port on this machine */
  readonly #owners = new Map<string, WireEnd>();
  /** views that hear nothing for now, though their connections stand */
  readonly #frozen = new Set<Sockets>();
  lost = 0;

  constructor(tap?: Tap) {
    this.#tap = tap;
  }

  /** What is on the wires now: messages, and connections being opened or closed. */
  inFlight(): number {
    let count = this.#connecting + this.#datagrams;
    let progress = this.#moved;
    for (const { client, server, failed, listener } of this.#pairs.values()) {
      if (failed || (listener && this.#frozen.has(listener))) continue;
      if (!client || !server) {
        count++;
        continue;
      }
      progress += client.bytesRead + server.bytesRead;
      if (client.destroyed !== server.destroyed) count++;
      else if (client.bytesWritten !== server.bytesRead || server.bytesWritten !== client.bytesRead) count++;
    }
    if (count === 0) {
      this.#stuckSince = 0;
      return 0;
    }
    const now = performance.now();
    if (progress !== this.#seen || this.#stuckSince === 0) {
      this.#seen = progress;
      this.#stuckSince = now;
    } else if (now - this.#stuckSince > LOST_AFTER) {
      this.#giveUpDead(now);
      this.lost += count;
      this.#connecting = 0;
      this.#datagrams = 0;
      for (const port of this.#flying.keys()) this.#flying.set(port, 0);
      for (const pair of this.#pairs.values()) {
        if (pair.client?.destroyed !== false || pair.server?.destroyed !== false) pair.failed = true;
      }
      this.#stuckSince = 0;
    }
    return count;
  }

  /** Those whose two ends live and do not agree on what was sent: given up when nothing moved for long. */
  #giveUpDead(now: number): void {
    for (const pair of this.#pairs.values()) {
      const { client, server } = pair;
      if (pair.failed || !client || !server || client.destroyed || server.destroyed) continue;
      const moving = client.bytesWritten !== server.bytesRead || server.bytesWritten !== client.bytesRead;
      const bytes = client.bytesRead + server.bytesRead;
      if (!moving || pair.seen?.bytes !== bytes) pair.seen = { bytes, at: now };
      else if (now - pair.seen.at > DEAD_AFTER) {
        pair.failed = true;
        this.lost++;
      }
    }
  }

  #pair(port: number): Pair {
    let pair = this.#pairs.get(port);
    if (!pair) {
      pair = { client: undefined, server: undefined, failed: false };
      this.#pairs.set(port, pair);
    }
    return pair;
  }

  /** Whose connection comes from that port; the server may hear it before the client knows it is connected. */
  #clientAt(port: number): WireEnd {
    const known = this.#owners.get(`tcp ${port}`);
    if (known) return known;
    for (const [socket, address] of this.#opening) {
      if (socket.localPort === port) return { address, port };
    }
    return { address: '0.0.0.0', port };
  }

  #closed(port: number): void {
    this.#moved++;
    const pair = this.#pairs.get(port);
    if (pair && pair.client?.destroyed !== false && pair.server?.destroyed !== false)
      this.#pairs.delete(port);
  }

  /** What has moved so far: bytes received and connections opened and closed, when `inFlight` was last asked. */
  moved(): number {
    return this.#seen + this.#moved;
  }

  /** A view's listeners read nothing from now on, as if their process hung; or they read again. */
  freeze(view: Sockets, frozen: boolean): void {
    if (frozen) this.#frozen.add(view);
    else this.#frozen.delete(view);
    for (const { server, listener } of this.#pairs.values()) {
      if (listener !== view || !server) continue;
      if (frozen) server.pause();
      else server.resume();
    }
  }

  /** The sockets of one role, at `address` in the capture. */
  of(address: string): Sockets {
    const end = (service: Service): WireEnd => ({ address, port: PORTS[service] ?? 0 });
    const view: Sockets = {
      listen: async (service, at, accept) => {
        const listener = await realSockets.listen(service, at, (socket) => {
          const port = socket.remotePort ?? 0;
          const pair = this.#pair(port);
          pair.server = socket;
          pair.listener = view;
          this.#moved++;
          socket.once('close', () => this.#closed(port));
          // An HTTP server reads below the stream's events; its answers are seen at the client.
          if (this.#tap && service !== 'http') {
            const client = this.#clientAt(port);
            socket.on('data', (bytes: Uint8Array) => this.#tap!(service, 'tcp', client, end(service), bytes));
          }
          accept(socket);
          if (this.#frozen.has(view)) socket.pause();
        });
        this.#owners.set(`tcp ${listener.endpoint.port}`, end(service));
        return listener;
      },
      connect: (service, to) => {
        const socket = realSockets.connect(service, to);
        this.#connecting++;
        this.#opening.set(socket, address);
        let pending = true;
        const settled = (): void => {
          if (pending && this.#connecting > 0) this.#connecting--;
          pending = false;
          this.#opening.delete(socket);
          this.#moved++;
        };
        socket.once('connect', () => {
          settled();
          const port = socket.localPort ?? 0;
          this.#owners.set(`tcp ${port}`, { address, port });
          const pair = this.#pair(port);
          pair.client = socket;
          socket.once('close', () => this.#closed(port));
        });
        socket.once('close', settled);
        if (this.#tap) {
          socket.on('data', (bytes: Uint8Array) => {
            const server = this.#owners.get(`tcp ${to.port}`) ?? { address: to.host, port: to.port };
            this.#tap!(service, 'tcp', server, { address, port: socket.localPort ?? 0 }, bytes);
          });
        }
        return socket;
      },
      bind: async (service, at, receive) => {
        let port = 0;
        const socket = await realSockets.bind(service, at, (message, from) => {
          const flying = this.#flying.get(port) ?? 0;
          if (flying > 0) {
            this.#flying.set(port, flying - 1);
            this.#datagrams--;
          }
          this.#moved++;
          const sender = this.#owners.get(`udp ${from.port}`) ?? { address: from.host, port: from.port };
          this.#tap?.(service, 'udp', sender, end(service), message);
          receive(message, from);
        });
        port = socket.endpoint.port;
        this.#owners.set(`udp ${port}`, end(service));
        this.#flying.set(port, 0);
        return {
          endpoint: socket.endpoint,
          send: (message: Uint8Array, to: Endpoint) => {
            const flying = this.#flying.get(to.port);
            if (flying !== undefined) {
              this.#flying.set(to.port, flying + 1);
              this.#datagrams++;
            }
            socket.send(message, to);
          },
          close: () => {
            this.#datagrams -= this.#flying.get(port) ?? 0;
            this.#flying.delete(port);
            socket.close();
          },
        };
      },
    };
    return view;
  }
}
