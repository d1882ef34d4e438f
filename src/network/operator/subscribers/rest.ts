/**
 * An HSS that is fed over HTTP: `PUT /subscribers/{imsi}` and `DELETE /subscribers/{imsi}`, JSON, each with an
 * Idempotency-Key. Keys go as a JWE to the HSS's public key (ECDH-ES+A256KW, A256GCM), made by the vault.
 */
import { Agent, request as httpRequest } from 'node:http';
import type { Duplex } from 'node:stream';
import type { JWK } from 'jose';
import type { Edge, Endpoint } from '../../../edge/index.ts';
import { SQN_DEFAULT, encodeSqn } from '../../../standards/aka/index.ts';
import { toHex } from '../../../standards/bytes/index.ts';
import type { KeyVault } from '../../vault/vault.ts';
import type { FeedEntry, FeedOutcome, SubscriberFeeder } from './keeper.ts';

const ANSWER_MS = 10_000;
const CONNECTIONS = 8;
/** Bytes of an answer that are read; what it says beyond its status does not matter. */
const MOST_ANSWER = 64 << 10;
/** Longest that the HSS may put us off, in milliseconds. */
const MOST_RETRY_AFTER = 3_600_000;

export interface RestFeederOptions {
  edge: Edge;
  vault: KeyVault;
  /** where it listens, and the `Host` it is called by; TLS is a proxy's or a tunnel's */
  to: Endpoint;
  hostName?: string;
  /** before `/subscribers`: `/provisioning/v1` */
  prefix?: string;
  /** P-256 key of the HSS, to which subscribers' keys are wrapped */
  key: JWK;
  /** of an Authorization header; from a file, never logged */
  bearer?: string;
  /** milliseconds that it may take to answer; 10000 if not given */
  answerMs?: number;
}

/** What is inside the JWE of an entry: what the vault wraps, for this purpose. */
export const restContext = (id: string, imsi: string): string => `hss ${id} ${imsi}`;

interface Answer {
  status: number;
  retryAfter: string | undefined;
}

/** A refusal that a later try may not meet. */
const passing = (status: number): boolean =>
  status === 408 || status === 425 || status === 429 || status >= 500;

export function restFeeder(options: RestFeederOptions): SubscriberFeeder {
  const { edge, vault, to } = options;
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  agent.createConnection = (): Duplex => edge.sockets.connect('http', to);
  const answerMs = options.answerMs ?? ANSWER_MS;

  const ask = (method: 'PUT' | 'DELETE', id: string, imsi: string, body?: object): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const text = body && Buffer.from(JSON.stringify(body));
      const request = httpRequest(
        {
          agent,
          host: options.hostName ?? to.host,
          port: to.port,
          method,
          path: `${options.prefix ?? ''}/subscribers/${imsi}`,
          headers: {
            'idempotency-key': id,
            ...(options.bearer === undefined ? {} : { authorization: `Bearer ${options.bearer}` }),
            ...(text ? { 'content-type': 'application/json', 'content-length': text.length } : {}),
          },
        },
        (response) => {
          let length = 0;
          response.on('data', (part: Buffer) => {
            length += part.length;
            if (length > MOST_ANSWER) request.destroy();
          });
          response.on('error', failed);
          response.on('end', () => {
            timer.cancel();
            resolve({ status: response.statusCode ?? 500, retryAfter: response.headers['retry-after'] });
          });
        },
      );
      const failed = (error: NodeJS.ErrnoException): void => {
        timer.cancel();
        reject(new Error(error.code ?? error.message));
      };
      const timer = edge.clock.after(answerMs, () => {
        reject(new Error(`no answer in ${answerMs} ms`));
        request.destroy();
      });
      request.on('error', failed);
      request.on('close', () => failed(new Error('the connection was closed before the answer')));
      request.end(text);
    });

  const tell = async (entry: FeedEntry): Promise<Answer> => {
    const { id } = entry;
    if (entry.action === 'remove') return ask('DELETE', id, entry.imsi);
    const { imsi, msisdn, iccid, aka, label, seq } = entry.subscriber;
    return ask('PUT', id, imsi, {
      id,
      imsi,
      msisdn,
      iccid,
      sqn: toHex(encodeSqn(SQN_DEFAULT, seq, 0)),
      key: await vault.wrap({ aka, ota: [] }, label, options.key, restContext(id, imsi)),
    });
  };

  const one = async (entry: FeedEntry): Promise<FeedOutcome> => {
    let answer: Answer;
    try {
      answer = await tell(entry);
    } catch (error) {
      return { later: (error as Error).message };
    }
    const { status, retryAfter } = answer;
    // Who is gone already is gone.
    if (
      (status >= 200 && status < 300) ||
      (entry.action === 'remove' && (status === 404 || status === 410))
    ) {
      return { taken: true };
    }
    const why = `HTTP ${status}`;
    if (!passing(status)) return { refused: why, code: 'hss-refuses' };
    const seconds = Number(retryAfter);
    if (!(seconds >= 0)) return { later: why };
    return { later: why, afterMs: Math.min(1000 * Math.max(1, seconds), MOST_RETRY_AFTER) };
  };

  return {
    feed: (entries) => Promise.all(entries.map(one)),
    close: () => agent.destroy(),
  };
}
