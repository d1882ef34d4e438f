/**
 * A Diameter node over TCP (RFC 6733): peers, capabilities, watchdog (RFC 3539), requests and answers both ways
 * over each connection, routing by realm. Transport security is the operator's tunnel's.
 */
import type { Socket } from 'node:net';
import type { Clock, Edge, Endpoint, Listener, Timer } from '../../edge/index.ts';
import { FieldError, concat, toHex } from '../../standards/bytes/index.ts';
import {
  APPLICATION,
  AvpError,
  DISCONNECT_CAUSE,
  RESULT,
  VENDOR_3GPP,
  answerOf,
  avp,
  capabilitiesExchange,
  decodeMessage,
  deviceWatchdog,
  disconnectPeer,
  encodeMessage,
  errorAnswer,
  findAvp,
  messageLength,
  readAnswer,
  readRequest,
  requestOf,
  type AnswerValues,
  type Message,
  type RequestValues,
} from '../../standards/diameter/index.ts';

export interface DiameterPeer {
  /** the peer's Diameter identity; learned from it if not given */
  host?: string;
  /** the realm it serves, or '*': an agent that routes to every other realm */
  realm: string;
  endpoint: Endpoint;
}

export interface DiameterNodeOptions {
  edge: Edge;
  originHost: string;
  originRealm: string;
  /** Application-Ids, all of 3GPP */
  applications: readonly number[];
  /** those of them for a peer that connects to this node, by the Diameter identity it says; all if not given */
  applicationsFor?(host: string): readonly number[];
  /** where to wait for peers; peers that connect are taken by the realm they say */
  listen?: Endpoint;
  /** whom to connect to, and stay connected with; entries of one endpoint share a connection */
  peers: readonly DiameterPeer[];
  /**
   * A request to this node, by which peer it came (a Diameter identity): who is connected, not who asks.
   * An AvpError it throws is answered with its Result-Code, anything else with 5012.
   */
  handle(request: Message, peer: string): Promise<Message> | Message;
  /** bytes of the longest message taken; 65536 if not given */
  longestMessage?: number;
  /** milliseconds of silence after which a watchdog goes out; 30000 if not given */
  watchdogMs?: number;
}

export interface DiameterNode {
  readonly originHost: string;
  readonly originRealm: string;
  /** where it listens; undefined if it does not */
  readonly endpoint: Endpoint | undefined;
  /** a new Session-Id (RFC 6733 §8.8) */
  sessionId(): string;
  /**
   * Sends a request to a peer that speaks its application, for its Destination-Host, its Destination-Realm or
   * every realm, and resolves with the answer, also if that is an error. Waits for a configured peer that is not
   * connected yet.
   * @throws DiameterFailure if there is no peer for the realm, no answer in time, or the connection is lost
   */
  request(message: Message, options?: { timeoutMs?: number }): Promise<Message>;
  /** Says goodbye to every peer and stops. */
  close(): Promise<void>;
}

/** Why a request has no answer. */
export class DiameterFailure extends Error {
  readonly reason: 'unreachable' | 'timeout' | 'lost' | 'closed';

  constructor(reason: DiameterFailure['reason'], message: string) {
    super(message);
    this.name = 'DiameterFailure';
    this.reason = reason;
  }
}

const LONGEST = 1 << 16;
/** What a peer may leave unread in our buffers before it is given up. */
const MOST_UNSENT = 16 << 20;
const HANDSHAKE_MS = 10_000;
const ANSWER_MS = 10_000;
const GOODBYE_MS = 1_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 30_000;

const NO_REALMS: ReadonlySet<string> = new Set();
const EVERY_REALM: ReadonlySet<string> = new Set(['*']);

const text = new TextDecoder();
const textAvp = (message: Message, code: number): string | undefined => {
  const data = findAvp(message, code);
  return data && text.decode(data);
};

interface Pending {
  resolve: (answer: Message) => void;
  reject: (failure: DiameterFailure) => void;
  timer: Timer;
}

/** What a peer says of itself in CER or CEA. */
interface Offer {
  originHost: string;
  originRealm: string;
  authApplicationIds?: number[];
  vendorSpecificApplicationIds?: { authApplicationId?: number }[];
}

const offered = (offer: Offer): Set<number> =>
  new Set([
    ...(offer.authApplicationIds ?? []),
    ...(offer.vendorSpecificApplicationIds ?? []).flatMap(({ authApplicationId }) => authApplicationId ?? []),
  ]);

/** What a connection tells the node. */
interface ConnectionEvents {
  opened(): void;
  request(message: Message): void;
  closed(): void;
}

/** One TCP connection to a peer. */
interface Connection {
  /** who the peer says it is, and what it speaks, once capabilities are exchanged */
  peer: { host: string; realm: string; applications: ReadonlySet<number> } | undefined;
  /** what this node speaks with it */
  applications: readonly number[];
  /** may take requests: open, and not suspected by the watchdog */
  ready(): boolean;
  send(request: Message, timeoutMs: number): Promise<Message>;
  reply(answer: Message): void;
  goodbye(): Promise<void>;
}

function openConnection(
  socket: Socket,
  outgoing: boolean,
  expectedHost: string | undefined,
  options: DiameterNodeOptions,
  events: ConnectionEvents,
): Connection {
  const { clock, random } = options.edge;
  const origin = { originHost: options.originHost, originRealm: options.originRealm };
  const longest = options.longestMessage ?? LONGEST;
  const pending = new Map<number, Pending>();
  const first = random.bytes(4);
  let hopByHop = ((first[0]! << 24) | (first[1]! << 16) | (first[2]! << 8) | first[3]!) >>> 0;
  let state: 'handshake' | 'open' | 'leaving' | 'closed' = 'handshake';
  let unparsed: Uint8Array = new Uint8Array(0);
  let handshake: Timer | undefined = clock.after(HANDSHAKE_MS, () => shut());
  let watchdog: Timer | undefined;
  /** unanswered watchdogs: one makes the peer suspect, two end the connection */
  let unanswered = 0;

  const connection: Connection = {
    peer: undefined,
    applications: options.applications,
    ready: () => state === 'open' && unanswered === 0,
    send,
    reply: write,
    goodbye,
  };

  function write(message: Message): void {
    if (state === 'closed') return;
    socket.write(encodeMessage(message));
    if (socket.writableLength > MOST_UNSENT) shut();
  }

  function send(message: Message, timeoutMs: number): Promise<Message> {
    if (state === 'closed') {
      return Promise.reject(new DiameterFailure('lost', 'the connection to the peer was lost'));
    }
    hopByHop = (hopByHop + 1) >>> 0;
    const id = hopByHop;
    const sent = { ...message, hopByHop: id };
    return new Promise((resolve, reject) => {
      const timer = clock.after(timeoutMs, () => {
        pending.delete(id);
        reject(new DiameterFailure('timeout', `no answer in ${timeoutMs} ms to command ${message.command}`));
      });
      pending.set(id, { resolve, reject, timer });
      write(sent);
    });
  }

  function shut(): void {
    socket.destroy();
    ended();
  }

  function ended(): void {
    if (state === 'closed') return;
    state = 'closed';
    handshake?.cancel();
    watchdog?.cancel();
    for (const { reject, timer } of pending.values()) {
      timer.cancel();
      reject(new DiameterFailure('lost', 'the connection to the peer was lost'));
    }
    pending.clear();
    events.closed();
  }

  function rearm(): void {
    watchdog?.cancel();
    // RFC 3539 §3.4.1: jitter of ±2 s, kept in proportion for shorter intervals
    const interval = options.watchdogMs ?? 30_000;
    const jitter = (random.bytes(1)[0]! / 255 - 0.5) * (interval / 7.5);
    watchdog = clock.after(interval + jitter, () => {
      if (unanswered >= 2) {
        shut();
        return;
      }
      unanswered++;
      rearm();
      send(requestOf(deviceWatchdog, origin), interval).then(
        () => undefined,
        () => undefined,
      );
    });
  }

  function opened(peer: Offer): void {
    state = 'open';
    connection.peer = { host: peer.originHost, realm: peer.originRealm, applications: offered(peer) };
    handshake?.cancel();
    handshake = undefined;
    rearm();
    events.opened();
  }

  function capabilities(): RequestValues<typeof capabilitiesExchange> {
    return {
      ...origin,
      hostIpAddresses: [ipv4(socket.localAddress)],
      vendorId: 0,
      productName: 'rehome',
      supportedVendorIds: [VENDOR_3GPP],
      vendorSpecificApplicationIds: connection.applications.map((application) => ({
        vendorId: VENDOR_3GPP,
        authApplicationId: application,
      })),
    };
  }

  const common = (offer: Offer): boolean => {
    const theirs = offered(offer);
    return theirs.has(APPLICATION.relay) || connection.applications.some((id) => theirs.has(id));
  };

  function takeCer(message: Message): void {
    const cer = readRequest(capabilitiesExchange, message);
    connection.applications = options.applicationsFor?.(cer.originHost) ?? options.applications;
    const accepted = common(cer);
    const answer: AnswerValues<typeof capabilitiesExchange> = {
      ...capabilities(),
      resultCode: accepted ? RESULT.success : RESULT.noCommonApplication,
    };
    write(answerOf(capabilitiesExchange, message, answer));
    if (accepted) opened(cer);
    else socket.end();
  }

  /** Takes one message; whatever it throws ends the connection. */
  function take(message: Message): void {
    if (state === 'handshake') {
      if (message.command !== capabilitiesExchange.code || message.request === outgoing) {
        throw new FieldError('first message', `command ${message.command}`, 'a capabilities exchange');
      }
      if (message.request) takeCer(message);
      else settle(message);
      return;
    }
    unanswered = 0;
    rearm();
    if (!message.request) {
      settle(message);
      return;
    }
    if (message.command === deviceWatchdog.code) {
      readRequest(deviceWatchdog, message);
      write(answerOf(deviceWatchdog, message, { resultCode: RESULT.success, ...origin }));
    } else if (message.command === disconnectPeer.code) {
      readRequest(disconnectPeer, message);
      write(answerOf(disconnectPeer, message, { resultCode: RESULT.success, ...origin }));
      state = 'leaving';
      socket.end();
    } else {
      events.request(message);
    }
  }

  function settle(answer: Message): void {
    const waiting = pending.get(answer.hopByHop);
    // An answer nobody waits for came too late.
    if (!waiting) return;
    pending.delete(answer.hopByHop);
    waiting.timer.cancel();
    waiting.resolve(answer);
  }

  function receive(chunk: Uint8Array): void {
    let bytes = unparsed.length === 0 ? chunk : concat(unparsed, chunk);
    while (bytes.length >= 4 && state !== 'closed') {
      const length = messageLength(bytes);
      if (length > longest) {
        throw new FieldError('Message-Length', String(length), `at most ${longest} bytes`);
      }
      if (bytes.length < length) break;
      take(decodeMessage(bytes.subarray(0, length)));
      bytes = bytes.subarray(length);
    }
    // A copy, so that a few bytes left over do not keep a large chunk alive.
    unparsed = bytes.slice();
  }

  async function goodbye(): Promise<void> {
    if (state === 'open') {
      state = 'leaving';
      const request = requestOf(disconnectPeer, {
        ...origin,
        disconnectCause: DISCONNECT_CAUSE.rebooting,
      });
      await send(request, GOODBYE_MS).catch(() => undefined);
    }
    shut();
  }

  socket.on('data', (chunk: Uint8Array) => {
    try {
      // As a plain Uint8Array, whatever class the socket gives.
      receive(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length));
    } catch {
      shut();
    }
  });
  socket.on('error', () => shut());
  socket.on('close', ended);
  if (outgoing) {
    socket.once('connect', () => {
      send(requestOf(capabilitiesExchange, capabilities()), HANDSHAKE_MS)
        .then((answer) => {
          const cea = readAnswer(capabilitiesExchange, answer);
          const rightHost = expectedHost === undefined || expectedHost === cea.originHost;
          if (cea.resultCode !== RESULT.success || !rightHost || !common(cea)) shut();
          else opened(cea);
        })
        .catch(() => shut());
    });
  }
  return connection;
}

function ipv4(address: string | undefined): Uint8Array {
  const parts = (address ?? '')
    .replace(/^::ffff:/, '')
    .split('.')
    .map(Number);
  return parts.length === 4 && parts.every((part) => part >= 0 && part <= 255)
    ? Uint8Array.from(parts)
    : Uint8Array.of(0, 0, 0, 0);
}

/** A configured peer, connected again and again. */
interface Link {
  realms: Set<string>;
  host: string | undefined;
  connection: Connection | undefined;
  retry: Timer | undefined;
  retryMs: number;
}

/** Starts a node. Rejects with a line that names the port if it cannot listen. */
export async function createDiameterNode(options: DiameterNodeOptions): Promise<DiameterNode> {
  const { edge, originHost, originRealm } = options;
  const origin = { originHost, originRealm };
  const links = new Map<string, Link & { endpoint: Endpoint }>();
  const accepted = new Set<Connection>();
  const waiting = new Set<() => void>();
  let listener: Listener | undefined;
  let closing = false;
  // RFC 6733 §3: the high 12 bits from the time, the rest random, then counted up.
  const random = edge.random.bytes(3);
  let endToEnd =
    (((Math.floor(edge.clock.now() / 1000) & 0xfff) << 20) |
      ((random[0]! & 0x0f) << 16) |
      (random[1]! << 8) |
      random[2]!) >>>
    0;
  const sessionHigh = Math.floor(edge.clock.now() / 1000);
  const sessionLow = toHex(edge.random.bytes(4));
  let sessions = 0;

  for (const { host, realm, endpoint } of options.peers) {
    const key = `${endpoint.host}:${endpoint.port}`;
    const link = links.get(key);
    if (link) link.realms.add(realm);
    else {
      const realms = new Set([realm]);
      links.set(key, {
        realms,
        host,
        endpoint,
        connection: undefined,
        retry: undefined,
        retryMs: FIRST_RETRY_MS,
      });
    }
  }

  function wake(): void {
    for (const run of [...waiting]) run();
  }

  async function answer(connection: Connection, request: Message): Promise<void> {
    let reply: Message;
    try {
      const host = textAvp(request, avp.destinationHost.code);
      const realm = textAvp(request, avp.destinationRealm.code);
      if ((host !== undefined && host !== originHost) || (realm !== undefined && realm !== originRealm)) {
        reply = errorAnswer(request, origin, RESULT.unableToDeliver);
      } else if (!connection.applications.includes(request.application)) {
        reply = errorAnswer(request, origin, RESULT.applicationUnsupported);
      } else {
        reply = await options.handle(request, connection.peer!.host);
      }
    } catch (error) {
      reply =
        error instanceof AvpError
          ? errorAnswer(request, origin, error.resultCode, {
              errorMessage: error.message,
              ...(error.failed ? { failed: error.failed } : {}),
            })
          : errorAnswer(request, origin, RESULT.unableToComply);
    }
    connection.reply({ ...reply, hopByHop: request.hopByHop, endToEnd: request.endToEnd });
  }

  function connect(link: Link & { endpoint: Endpoint }): void {
    link.retry = undefined;
    if (closing) return;
    const connection = openConnection(
      edge.sockets.connect('diameter', link.endpoint),
      true,
      link.host,
      options,
      {
        opened() {
          link.retryMs = FIRST_RETRY_MS;
          wake();
        },
        request: (message) => void answer(connection, message),
        closed() {
          link.connection = undefined;
          if (closing) return;
          link.retry = edge.clock.after(link.retryMs, () => connect(link));
          link.retryMs = Math.min(2 * link.retryMs, LAST_RETRY_MS);
        },
      },
    );
    link.connection = connection;
  }

  function accept(socket: Socket): void {
    const connection = openConnection(socket, false, undefined, options, {
      opened: wake,
      request: (message) => void answer(connection, message),
      closed: () => accepted.delete(connection),
    });
    accepted.add(connection);
  }

  /**
   * The connection for a request, the most specific: by host, by realm, through an agent; each only if the peer
   * speaks the application. `hope`: a configured peer that might serve it is not connected.
   */
  function route(
    host: string | undefined,
    realm: string,
    application: number,
  ): { best: Connection | undefined; hope: boolean } {
    let hope = false;
    let best: Connection | undefined;
    let bestRank = 0;
    const rankOf = (peer: Connection['peer'], realms: ReadonlySet<string>): number => {
      if (host !== undefined && peer?.host === host) return 3;
      if (realms.has(realm) || peer?.realm === realm) return 2;
      return realms.has('*') ? 1 : 0;
    };
    const consider = (connection: Connection, realms: ReadonlySet<string>): void => {
      const theirs = connection.peer?.applications;
      const rank = rankOf(connection.peer, realms);
      if (rank <= bestRank || !connection.ready()) return;
      if (!theirs?.has(application) && !theirs?.has(APPLICATION.relay)) return;
      best = connection;
      bestRank = rank;
    };
    for (const link of links.values()) {
      const suits =
        link.realms.has(realm) || link.realms.has('*') || (host !== undefined && link.host === host);
      if (suits && !link.connection?.ready()) hope = true;
      if (link.connection) consider(link.connection, link.realms);
    }
    // A relay that came to us takes what nobody else does (RFC 6733 §2.4).
    for (const connection of accepted) {
      consider(connection, connection.peer?.applications.has(APPLICATION.relay) ? EVERY_REALM : NO_REALMS);
    }
    return { best, hope };
  }

  async function request(message: Message, { timeoutMs = ANSWER_MS } = {}): Promise<Message> {
    const host = textAvp(message, avp.destinationHost.code);
    const realm = textAvp(message, avp.destinationRealm.code);
    if (realm === undefined) throw new FieldError('Destination-Realm', 'absent', 'present');
    endToEnd = (endToEnd + 1) >>> 0;
    const sent = { ...message, endToEnd };
    const deadline = edge.clock.now() + timeoutMs;
    for (;;) {
      if (closing) throw new DiameterFailure('closed', 'the node was closed');
      const { best, hope } = route(host, realm, message.application);
      const left = deadline - edge.clock.now();
      if (best) return best.send(sent, Math.max(1, left));
      if (!hope || left <= 0) {
        throw new DiameterFailure(
          'unreachable',
          `no peer for realm ${realm}, application ${message.application}`,
        );
      }
      await change(edge.clock, left);
    }
  }

  /** Until a connection opened, or the time is over. */
  function change(clock: Clock, milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        timer.cancel();
        waiting.delete(done);
        resolve();
      };
      const timer = clock.after(milliseconds, done);
      waiting.add(done);
    });
  }

  if (options.listen) listener = await edge.sockets.listen('diameter', options.listen, accept);
  for (const link of links.values()) connect(link);

  return {
    originHost,
    originRealm,
    endpoint: listener?.endpoint,
    sessionId: () => `${originHost};${sessionHigh};${++sessions};${sessionLow}`,
    request,
    async close() {
      closing = true;
      wake();
      const connections = [...accepted];
      for (const link of links.values()) {
        link.retry?.cancel();
        if (link.connection) connections.push(link.connection);
      }
      await Promise.all(connections.map((connection) => connection.goodbye()));
      await listener?.close();
    },
  };
}
