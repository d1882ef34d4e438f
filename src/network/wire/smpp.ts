/** SMPP sessions over sockets of the edge: framing, requests and their responses, links kept up. */
import type { Socket } from 'node:net';
import type { Edge, Endpoint, Listener, Timer } from '../../edge/index.ts';
import { DecodeError, concat } from '../../standards/bytes/index.ts';
import {
  COMMAND_STATUS,
  UnknownCommand,
  decodePdu,
  encodePdu,
  pduLength,
  type Bind,
  type Pdu,
  type ShortMessage,
} from '../../standards/smpp/index.ts';

/** How long a request may stay unanswered, in milliseconds. */
const RESPONSE_TIME = 30_000;
/** Pause before a link that broke is opened again, in milliseconds. */
const RECONNECT = 5_000;

export type SmppRequest = Extract<Pdu, { command: 'submit_sm' | 'deliver_sm' | 'query_sm' | 'cancel_sm' }>;
type Response = Exclude<Pdu, SmppRequest | Bind>;
/** A request before it has its number. */
type Unsent<P> = P extends Pdu ? Omit<P, 'sequence' | 'status'> : never;

/** A link with both directions of requests. */
export interface SmppSession {
  /** Sends a request; settles with its response. Rejects when none comes, or the link breaks. */
  request(
    pdu: Omit<SmppRequest, 'sequence' | 'status'> | Omit<Bind, 'sequence' | 'status'>,
  ): Promise<Response>;
  close(): void;
  readonly closed: Promise<void>;
}

/** Answers a request of the other side. Throwing closes nothing: it is answered with ESME_RSYSERR. */
type Answer = (pdu: SmppRequest | Bind, session: SmppSession) => Response | Promise<Response>;

/** A refusal in the shape of the request. */
export function refusal(pdu: SmppRequest | Bind, status: number): Response {
  const head = { sequence: pdu.sequence, status };
  switch (pdu.command) {
    case 'bind_receiver':
    case 'bind_transmitter':
    case 'bind_transceiver':
      return { command: `${pdu.command}_resp`, ...head, tlvs: [] };
    case 'cancel_sm':
      return { command: 'cancel_sm_resp', ...head };
    case 'submit_sm':
      return { command: 'submit_sm_resp', ...head };
    case 'deliver_sm':
      return { command: 'deliver_sm_resp', ...head };
    case 'query_sm':
      return { command: 'query_sm_resp', ...head };
  }
}

function openSession(edge: Edge, socket: Socket, answer: Answer): SmppSession {
  let sequence = 0;
  let pending: Uint8Array = new Uint8Array(0);
  const waiting = new Map<
    number,
    { resolve: (pdu: Response) => void; reject: (error: Error) => void; timer: Timer }
  >();
  let settleClosed: () => void = () => undefined;
  const closed = new Promise<void>((resolve) => {
    settleClosed = resolve;
  });
  const send = (pdu: Pdu): void => {
    if (!socket.destroyed) socket.write(encodePdu(pdu));
  };
  const receive = (pdu: Pdu): void => {
    switch (pdu.command) {
      case 'enquire_link':
        send({ command: 'enquire_link_resp', sequence: pdu.sequence, status: 0 });
        return;
      case 'unbind':
        send({ command: 'unbind_resp', sequence: pdu.sequence, status: 0 });
        socket.end();
        return;
      case 'submit_sm':
      case 'deliver_sm':
      case 'query_sm':
      case 'cancel_sm':
      case 'bind_receiver':
      case 'bind_transmitter':
      case 'bind_transceiver':
        Promise.resolve()
          .then(() => answer(pdu, session))
          .catch(() => refusal(pdu, COMMAND_STATUS.ESME_RSYSERR))
          .then(send)
          .catch(() => socket.destroy());
        return;
      default: {
        const entry = waiting.get(pdu.sequence);
        if (!entry) return;
        waiting.delete(pdu.sequence);
        entry.timer.cancel();
        entry.resolve(pdu);
      }
    }
  };
  socket.on('data', (chunk: Uint8Array) => {
    pending = pending.length === 0 ? chunk : concat(pending, chunk);
    try {
      for (;;) {
        const length = pduLength(pending);
        if (length === undefined || pending.length < length) return;
        const whole = pending.subarray(0, length);
        pending = pending.subarray(length);
        try {
          receive(decodePdu(whole));
        } catch (error) {
          if (!(error instanceof UnknownCommand)) throw error;
          send({ command: 'generic_nack', sequence: error.sequence, status: COMMAND_STATUS.ESME_RINVCMDID });
        }
      }
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      // What cannot be read cannot be answered, and where the next PDU begins is not known.
      socket.destroy();
    }
  });
  socket.on('error', () => undefined);
  socket.once('close', () => {
    for (const { reject, timer } of waiting.values()) {
      timer.cancel();
      reject(new Error('SMPP link closed before the response'));
    }
    waiting.clear();
    settleClosed();
  });
  const session: SmppSession = {
    closed,
    request: (pdu) =>
      new Promise((resolve, reject) => {
        if (socket.destroyed) {
          reject(new Error('SMPP link is closed'));
          return;
        }
        sequence = sequence === 0x7fffffff ? 1 : sequence + 1;
        const number = sequence;
        const timer = edge.clock.after(RESPONSE_TIME, () => {
          waiting.delete(number);
          reject(new Error('SMPP request unanswered'));
        });
        waiting.set(number, { resolve, reject, timer });
        send({ ...pdu, sequence: number, status: 0 } as Pdu);
      }),
    close: () => socket.end(),
  };
  return session;
}

export interface SmppServerOptions {
  edge: Edge;
  at: Endpoint;
  systemId: string;
  /** ESME_ROK, or why the bind is refused */
  bind(pdu: Bind, session: SmppSession): number;
  /** a bound ESME asks */
  answer(pdu: SmppRequest, session: SmppSession): Response | Promise<Response>;
}

/** The SMSC's side: ESMEs bind to it. */
export function serveSmpp(options: SmppServerOptions): Promise<Listener> {
  return options.edge.sockets.listen('smpp', options.at, (socket) => {
    let bound = false;
    openSession(options.edge, socket, (pdu, session) => {
      if ('password' in pdu) {
        const status = bound ? COMMAND_STATUS.ESME_RALYBND : options.bind(pdu, session);
        if (status !== COMMAND_STATUS.ESME_ROK) return refusal(pdu, status);
        bound = true;
        return {
          command: `${pdu.command}_resp`,
          sequence: pdu.sequence,
          status: 0,
          systemId: options.systemId,
          tlvs: [],
        };
      }
      return bound ? options.answer(pdu, session) : refusal(pdu, COMMAND_STATUS.ESME_RINVBNDSTS);
    });
  });
}

export interface EsmeOptions {
  edge: Edge;
  to: Endpoint;
  systemId: string;
  /** at most 8 characters; never logged */
  password: string;
  /** what the SMSC delivers; the response's status is what is returned */
  deliver(pdu: ShortMessage): number;
  /** the link is bound, first or again */
  bound?: () => void;
}

/** The ESME's side: bound as a transceiver, and bound again after a break. */
export interface Esme {
  /** @throws Error while the link is down */
  request(pdu: Unsent<SmppRequest>): Promise<Response>;
  readonly isBound: boolean;
  close(): void;
}

export function connectSmpp(options: EsmeOptions): Esme {
  const { edge } = options;
  let session: SmppSession | undefined;
  let isBound = false;
  let timer: Timer | undefined;
  let closed = false;
  const again = (): void => {
    isBound = false;
    session = undefined;
    if (!closed) timer = edge.clock.after(RECONNECT, open);
  };
  const open = (): void => {
    const socket = edge.sockets.connect('smpp', options.to);
    const link = openSession(edge, socket, (pdu) =>
      pdu.command === 'deliver_sm'
        ? { command: 'deliver_sm_resp', sequence: pdu.sequence, status: options.deliver(pdu), messageId: '' }
        : refusal(pdu, COMMAND_STATUS.ESME_RINVCMDID),
    );
    session = link;
    void link.closed.then(again);
    socket.once('connect', () => {
      link
        .request({
          command: 'bind_transceiver',
          systemId: options.systemId,
          password: options.password,
          systemType: '',
          interfaceVersion: 0x34,
          addressTon: 0,
          addressNpi: 0,
          addressRange: '',
        })
        .then(
          (response) => {
            if (response.status !== COMMAND_STATUS.ESME_ROK) {
              link.close();
              return;
            }
            isBound = true;
            options.bound?.();
          },
          () => link.close(),
        );
    });
  };
  open();
  return {
    get isBound() {
      return isBound;
    },
    request: (pdu) =>
      session && isBound ? session.request(pdu) : Promise.reject(new Error('SMPP link is down')),
    close: () => {
      closed = true;
      timer?.cancel();
      session?.close();
    },
  };
}
