/**
 * GSUP sessions over sockets of the edge, in IPA framing: who has connected, pings, requests both ways. An answer
 * bears no number: it belongs to the request of the same IMSI and procedure, of which one is out at a time.
 */
import type { Socket } from 'node:net';
import type { Edge, Endpoint, Listener, Timer } from '../../edge/index.ts';
import { concat } from '../../standards/bytes/index.ts';
import {
  GMM_CAUSE,
  IDENTITY,
  IPA_EXTENSION,
  IPA_PROTOCOL,
  UnknownGsupMessage,
  decodeCcm,
  decodeGsup,
  decodeIpa,
  encodeCcm,
  encodeGsup,
  encodeIpa,
  gsupErrorOf,
  gsupType,
  identityOf,
  ipaLength,
  isGsupRequest,
  type Ccm,
  type GsupError,
  type GsupMessage,
  type GsupOf,
  type GsupRequest,
  type GsupResult,
} from '../../standards/gsup/index.ts';

/** Milliseconds that a request waits for its answer, the link among it. */
const ANSWER_MS = 10_000;
/** Milliseconds that a peer may take to say who it is. */
const HANDSHAKE_MS = 10_000;
const PING_MS = 20_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 30_000;
/** Bytes that a peer may leave unread in our buffers before it is given up. */
const MOST_UNSENT = 16 << 20;
/** Messages that may come before their sender has said who it is: Osmocom's clients do not wait to be asked. */
const MOST_EARLY = 1_000;

/** Why a request has no answer. */
export class GsupFailure extends Error {
  readonly reason: 'timeout' | 'lost' | 'closed';

  constructor(reason: GsupFailure['reason'], message: string) {
    super(message);
    this.name = 'GsupFailure';
    this.reason = reason;
  }
}

export type GsupAnswer = GsupResult | GsupError;

/** Both ends answer the other's requests; what throws is refused as a network failure. */
type Handle = (request: GsupRequest) => GsupAnswer | Promise<GsupAnswer>;

interface Waiting {
  request: GsupRequest;
  resolve(answer: GsupAnswer): void;
  reject(failure: GsupFailure): void;
  timer: Timer;
}

/** The procedure of a message, and for whom it is. */
const laneOf = (message: GsupMessage): string => `${gsupType(message.type) >> 2} ${message.imsi}`;

interface Session {
  request(message: GsupRequest, timeoutMs: number): Promise<GsupAnswer>;
  tell(message: GsupMessage): void;
  ccm(message: Ccm): void;
  close(): void;
}

interface SessionEvents {
  handle: Handle;
  /** what is neither request nor answer */
  report(message: GsupMessage): void;
  /** CCM beside pings */
  ccm(message: Ccm): void;
  closed(): void;
  /** whether the sender has said who it is; what comes before is taken after */
  known(): boolean;
}

function openSession(edge: Edge, socket: Socket, pingMs: number, events: SessionEvents): Session {
  const { clock } = edge;
  const lanes = new Map<string, Waiting[]>();
  let pending: Uint8Array = new Uint8Array(0);
  let open = true;
  let corked = false;
  let heard = true;
  let ping: Timer | undefined;
  const early: Uint8Array[] = [];

  const write = (protocol: number, payload: Uint8Array, extension?: number): void => {
    if (!open) return;
    // One system call for all that one turn of the event loop sends.
    if (!corked) {
      corked = true;
      socket.cork();
      process.nextTick(() => {
        corked = false;
        socket.uncork();
      });
    }
    socket.write(encodeIpa({ protocol, payload, ...(extension === undefined ? {} : { extension }) }));
    if (socket.writableLength > MOST_UNSENT) socket.destroy();
  };
  const ccm = (message: Ccm): void => write(IPA_PROTOCOL.ccm, encodeCcm(message));
  const sendBytes = (bytes: Uint8Array): void => write(IPA_PROTOCOL.osmo, bytes, IPA_EXTENSION.gsup);
  const tell = (message: GsupMessage): void => sendBytes(encodeGsup(message));

  const ended = (): void => {
    if (!open) return;
    open = false;
    ping?.cancel();
    for (const { reject, timer } of [...lanes.values()].flat()) {
      timer.cancel();
      reject(new GsupFailure('lost', 'the GSUP link was lost before the answer'));
    }
    lanes.clear();
    events.closed();
  };
  const shut = (): void => {
    socket.destroy();
    ended();
  };

  const keepAlive = (): void => {
    ping = clock.after(pingMs, () => {
      if (!heard) {
        shut();
        return;
      }
      heard = false;
      ccm({ type: 'ping' });
      keepAlive();
    });
  };

  const answer = async (request: GsupRequest): Promise<void> => {
    let reply: GsupAnswer;
    try {
      reply = await events.handle(request);
    } catch {
      reply = gsupErrorOf(request, GMM_CAUSE.networkFailure);
    }
    // Back the way it came, where a proxy stands between.
    const { sourceName, messageClass } = request;
    tell({
      ...reply,
      ...(sourceName ? { destinationName: sourceName } : {}),
      ...(messageClass === undefined ? {} : { messageClass }),
    });
  };

  const receive = (message: GsupMessage): void => {
    if (isGsupRequest(message)) {
      answer(message).catch(shut);
      return;
    }
    if (message.type === 'authFailureReport') {
      events.report(message);
      return;
    }
    const key = laneOf(message);
    const lane = lanes.get(key);
    const first = lane?.shift();
    // An answer nobody waits for.
    if (!first) return;
    first.timer.cancel();
    if (lane!.length > 0) tell(lane![0]!.request);
    else lanes.delete(key);
    first.resolve(message as GsupAnswer);
  };

  const take = (bytes: Uint8Array): void => {
    const frame = decodeIpa(bytes);
    if (frame.protocol === IPA_PROTOCOL.ccm) {
      const message = decodeCcm(frame.payload);
      if (message.type === 'ping') ccm({ type: 'pong' });
      else if (message.type !== 'pong') events.ccm(message);
      if (early.length > 0 && events.known()) for (const payload of early.splice(0)) takeGsup(payload);
      return;
    }
    // Other users of the multiplex are no concern of ours.
    if (frame.protocol !== IPA_PROTOCOL.osmo || frame.extension !== IPA_EXTENSION.gsup) return;
    if (events.known()) takeGsup(frame.payload);
    else if (early.push(frame.payload.slice()) > MOST_EARLY) shut();
  };

  const takeGsup = (payload: Uint8Array): void => {
    try {
      receive(decodeGsup(payload));
    } catch (error) {
      if (!(error instanceof UnknownGsupMessage)) throw error;
      const refusal = error.refusal();
      if (refusal) sendBytes(refusal);
    }
  };

  socket.on('data', (chunk: Uint8Array) => {
    heard = true;
    try {
      let bytes =
        pending.length === 0
          ? new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length)
          : concat(pending, chunk);
      for (;;) {
        const length = ipaLength(bytes);
        if (length === undefined || bytes.length < length || !open) break;
        take(bytes.subarray(0, length));
        bytes = bytes.subarray(length);
      }
      // A copy, so that a few bytes left over do not keep a large chunk alive.
      pending = bytes.slice();
    } catch {
      // What cannot be read cannot be answered.
      shut();
    }
  });
  socket.on('error', () => shut());
  socket.once('close', ended);
  keepAlive();

  return {
    tell,
    ccm,
    close: shut,
    request(message, timeoutMs) {
      if (!open) return Promise.reject(new GsupFailure('lost', 'the GSUP link is down'));
      return new Promise((resolve, reject) => {
        const key = laneOf(message);
        const timer = clock.after(timeoutMs, () => {
          reject(
            new GsupFailure(
              'timeout',
              `no answer in ${timeoutMs} ms to ${message.type} for IMSI ${message.imsi}`,
            ),
          );
          // An answer that still came would be taken for the next request's.
          shut();
        });
        const entry = { request: message, resolve, reject, timer };
        const lane = lanes.get(key);
        if (lane) {
          lane.push(entry);
          return;
        }
        lanes.set(key, [entry]);
        tell(message);
      });
    },
  };
}

export interface GsupClientOptions {
  edge: Edge;
  to: Endpoint;
  /** what it says when the server asks who it is, as serial number and unit name: ASCII */
  unitName: string;
  /** a request of the server; refused as unknown if not given */
  handle?: Handle;
  /** milliseconds between pings; 20000 if not given. A link that is silent from one to the next is given up. */
  pingMs?: number;
}

/** The serving network's side: connected, and connected again after a break. */
export interface GsupClient {
  readonly isUp: boolean;
  /**
   * Sends a request, waiting for the link if it is down, and resolves with its answer, also if that is an error.
   * @throws GsupFailure if none comes in time, or the link breaks
   */
  request(message: GsupRequest, timeoutMs?: number): Promise<GsupAnswer>;
  /** Sends what has no answer; lost if the link is down. */
  tell(message: GsupOf<'authFailureReport'>): void;
  close(): void;
}

export function connectGsup(options: GsupClientOptions): GsupClient {
  const { edge } = options;
  const { clock } = edge;
  let session: Session | undefined;
  let isUp = false;
  let closed = false;
  let retryMs = FIRST_RETRY_MS;
  let retry: Timer | undefined;
  const waiting = new Set<(failure?: GsupFailure) => void>();

  const identity = (tag: number): string | undefined => {
    switch (tag) {
      case IDENTITY.serialNumber:
      case IDENTITY.unitName:
        return options.unitName;
      case IDENTITY.unitId:
        return '0/0/0';
      case IDENTITY.softwareVersion:
      case IDENTITY.equipmentVersion:
        return 'rehome';
      default:
        return undefined;
    }
  };

  const open = (): void => {
    retry = undefined;
    const socket = edge.sockets.connect('gsup', options.to);
    const handshake = clock.after(HANDSHAKE_MS, () => socket.destroy());
    const link = openSession(edge, socket, options.pingMs ?? PING_MS, {
      handle: options.handle ?? ((request) => gsupErrorOf(request, GMM_CAUSE.messageTypeNonExistent)),
      report: () => undefined,
      known: () => true,
      ccm(message) {
        if (message.type === 'idAck') {
          link.ccm({ type: 'idAck' });
          return;
        }
        if (message.type !== 'idGet') return;
        link.ccm({
          type: 'idResp',
          values: message.tags.flatMap((tag) => {
            const value = identity(tag);
            return value === undefined ? [] : [{ tag, value }];
          }),
        });
        handshake.cancel();
        if (isUp) return;
        isUp = true;
        retryMs = FIRST_RETRY_MS;
        for (const run of [...waiting]) run();
      },
      closed() {
        handshake.cancel();
        isUp = false;
        session = undefined;
        if (closed) return;
        retry = clock.after(retryMs, open);
        retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
      },
    });
    session = link;
  };

  /** @returns milliseconds that are left of the time given */
  const up = (timeoutMs: number): Promise<number> =>
    new Promise((resolve, reject) => {
      const since = clock.now();
      const settle = (failure?: GsupFailure): void => {
        waiting.delete(settle);
        timer.cancel();
        if (failure) reject(failure);
        else resolve(Math.max(1, timeoutMs - (clock.now() - since)));
      };
      const timer = clock.after(timeoutMs, () =>
        settle(
          new GsupFailure(
            'timeout',
            `no GSUP link to ${options.to.host} port ${options.to.port} in ${timeoutMs} ms`,
          ),
        ),
      );
      waiting.add(settle);
    });

  open();
  return {
    get isUp() {
      return isUp;
    },
    async request(message, timeoutMs = ANSWER_MS) {
      if (closed) throw new GsupFailure('closed', 'the GSUP client is closed');
      const left = isUp ? timeoutMs : await up(timeoutMs);
      if (!session) throw new GsupFailure('lost', 'the GSUP link is down');
      return session.request(message, left);
    },
    tell(message) {
      if (isUp) session?.tell(message);
    },
    close() {
      closed = true;
      retry?.cancel();
      for (const run of [...waiting]) run(new GsupFailure('closed', 'the GSUP client is closed'));
      session?.close();
    },
  };
}

/** A client that is connected to a server. */
export interface GsupPeer {
  /** its serial number, as CCM says it */
  readonly name: string;
  request(message: GsupRequest, timeoutMs?: number): Promise<GsupAnswer>;
}

export interface GsupServerOptions {
  edge: Edge;
  at: Endpoint;
  /** a request of a peer; what it throws is answered as a network failure */
  answer(request: GsupRequest, peer: GsupPeer): GsupAnswer | Promise<GsupAnswer>;
  /** an authentication failed at a peer */
  report?: (message: GsupMessage, peer: GsupPeer) => void;
  /** milliseconds between pings; 20000 if not given */
  pingMs?: number;
}

export interface GsupServer {
  readonly endpoint: Endpoint;
  /** The peer of that name, if it is connected. */
  peer(name: string): GsupPeer | undefined;
  close(): Promise<void>;
}

/** The HLR's side. Rejects with a line that names the port if it cannot listen. */
export async function serveGsup(options: GsupServerOptions): Promise<GsupServer> {
  const { edge } = options;
  const peers = new Map<string, { peer: GsupPeer; session: Session }>();
  const sessions = new Set<Session>();
  const listener: Listener = await edge.sockets.listen('gsup', options.at, (socket) => {
    let peer: GsupPeer | undefined;
    const handshake = edge.clock.after(HANDSHAKE_MS, () => socket.destroy());
    const session = openSession(edge, socket, options.pingMs ?? PING_MS, {
      handle: (request) => options.answer(request, peer!),
      report: (message) => options.report?.(message, peer!),
      known: () => peer !== undefined,
      ccm(message) {
        if (message.type !== 'idResp' || peer) return;
        const name =
          identityOf(message.values, IDENTITY.serialNumber) ?? identityOf(message.values, IDENTITY.unitName);
        if (!name) {
          session.close();
          return;
        }
        handshake.cancel();
        // One that comes again has lost its first connection, though we did not hear of it.
        peers.get(name)?.session.close();
        peer = { name, request: (request, timeoutMs = ANSWER_MS) => session.request(request, timeoutMs) };
        peers.set(name, { peer, session });
        session.ccm({ type: 'idAck' });
      },
      closed() {
        handshake.cancel();
        sessions.delete(session);
        if (peer && peers.get(peer.name)?.session === session) peers.delete(peer.name);
      },
    });
    sessions.add(session);
    session.ccm({ type: 'idGet', tags: [IDENTITY.unitId, IDENTITY.unitName, IDENTITY.serialNumber] });
  });
  return {
    endpoint: listener.endpoint,
    peer: (name) => peers.get(name)?.peer,
    async close() {
      for (const session of [...sessions]) session.close();
      await listener.close();
    },
  };
}
