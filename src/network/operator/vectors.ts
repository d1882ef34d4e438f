/**
 * Who computes authentication vectors: one interface for S6a and GSUP alike, and rehome's own authentication
 * centre. Many requests share one commit; a sequence number is on disk before its vector leaves.
 */
import type { Clock, Random } from '../../edge/index.ts';
import {
  AMF_SEPARATION_BIT,
  SQN_DEFAULT,
  encodeSqn,
  highestSeq,
  resynchronise,
  type AuthenticationVector,
} from '../../standards/aka/index.ts';
import type { KeyVault } from '../vault/vault.ts';
import { createIssued } from './issued.ts';
import { ACCESS_INDEXES, type OperatorStore, type Subscriber } from './store.ts';

/** Most vectors of one answer (TS 29.272 §5.2.3.1.3 leaves it to the HSS; GSUP carries 5). */
export const MOST_VECTORS = 5;
/** Most requests that one commit is for. */
const MOST_TOGETHER = 512;

/** More than one answer takes, so that its vectors do not make each other old. */
const IMS_INDEXES = 2 ** SQN_DEFAULT.indLength - ACCESS_INDEXES;

const AMF_EPS = Uint8Array.of(AMF_SEPARATION_BIT, 0x00);
const AMF_OTHER = Uint8Array.of(0x00, 0x00);

export interface VectorRequest {
  imsi: string;
  /** 1 to MOST_VECTORS */
  count: number;
  /** for EPS: with the separation bit (TS 33.102 annex H), and for nothing else */
  eps: boolean;
  /** for IMS: from indexes of its own (see store.ts) */
  ims?: boolean;
  /** the card found a number not fresh: RAND of 16 bytes, AUTS of 14 */
  resync?: { rand: Uint8Array; auts: Uint8Array };
}

export type Quintet = Pick<AuthenticationVector, 'rand' | 'autn' | 'xres' | 'ck' | 'ik'>;

export type VectorAnswer =
  | { vectors: Quintet[] }
  /**
   * `resync`: the AUTS is not believed · `exhausted`: no sequence numbers are left · `unavailable`: who computes does
   * not answer
   */
  | { refused: 'unknown' | 'resync' | 'exhausted' | 'unavailable' };

/**
 * What is wrong with a subscriber's sequence numbers. `unknown-rand`: AUTS for a challenge that was not given out
 * lately · `forged`: AUTS that the card's key did not sign · `out-of-range`: AUTS of a SEQ_MS that no card reaches ·
 * `exhausted`: none are left
 */
export type SqnTrouble = 'unknown-rand' | 'forged' | 'out-of-range' | 'exhausted';

export interface VectorSource {
  /** Resolves once the vectors may leave; never rejects for what concerns one request. */
  take(request: VectorRequest): Promise<VectorAnswer>;
}

export interface OwnVectorsOptions {
  clock: Clock;
  random: Random;
  store: OperatorStore;
  vault: KeyVault;
  /** vectors are refused for it; within the transaction of the request */
  alarm?: (subscriber: Subscriber, trouble: SqnTrouble) => void;
}

interface Waiting {
  request: VectorRequest;
  resolve(answer: VectorAnswer): void;
  reject(error: unknown): void;
}

/** The authentication centre of the operator's store and vault. */
export function createOwnVectors(options: OwnVectorsOptions): VectorSource {
  const { clock, random, store, vault, alarm } = options;
  let queue: Waiting[] = [];

  const issued = createIssued();
  const highest = highestSeq(SQN_DEFAULT);

  /** Goes after the card if AUTS says so and is to be believed (TS 33.102 §6.3.5). */
  const follow = (
    known: Subscriber,
    { rand, auts }: Required<VectorRequest>['resync'],
  ): SqnTrouble | undefined => {
    // Whoever knows Ki makes AUTS for any RAND; with one of ours he has at least to be asked by us.
    if (!issued.has(known.imsi, rand)) return 'unknown-rand';
    const sqnMs = vault.resynchronise(known.label!, known.aka!, rand, auts);
    if (!sqnMs) return 'forged';
    const state = { seq: known.seq, ind: known.ind, difference: 0 };
    const next = resynchronise(SQN_DEFAULT, state, sqnMs);
    if (!next) return 'out-of-range';
    if (next !== state) store.update(known.imsi, { seq: next.seq, ind: next.ind });
    return undefined;
  };

  /** Takes the numbers, within a transaction. @returns the error of what concerns this request alone */
  const number = ({
    imsi,
    count,
    ims,
    resync,
  }: VectorRequest): Subscriber | 'unknown' | 'resync' | 'exhausted' | Error => {
    const known = store.byImsi(imsi);
    if (known?.state !== 'ready' || !known.aka || !known.label) return 'unknown';
    const refuse = <T>(why: T, trouble: SqnTrouble): T => {
      alarm?.(known, trouble);
      return why;
    };
    if (resync) {
      try {
        const trouble = follow(known, resync);
        if (trouble) return refuse('resync', trouble);
      } catch (error) {
        return error as Error;
      }
    }
    if (store.byImsi(imsi)!.seq > highest - count) return refuse('exhausted', 'exhausted');
    return store.takeSqn(imsi, count, ims) ?? 'unknown';
  };

  /** @param last its numbers are those of the last vector */
  const compute = ({ imsi, count, eps, ims }: VectorRequest, last: Subscriber): VectorAnswer => {
    const rands = random.bytes(16 * count);
    issued.add(imsi, rands);
    const vectors = Array.from({ length: count }, (_, i) => {
      const back = count - 1 - i;
      const seq = last.seq - back;
      const ind = ims
        ? ACCESS_INDEXES + (seq % IMS_INDEXES)
        : (last.ind - back + ACCESS_INDEXES) % ACCESS_INDEXES;
      const sqn = encodeSqn(SQN_DEFAULT, seq, ind);
      const rand = rands.subarray(16 * i, 16 * i + 16);
      return vault.vector(last.label!, last.aka!, rand, sqn, eps ? AMF_EPS : AMF_OTHER);
    });
    return { vectors };
  };

  const flush = (): void => {
    const together = queue.slice(0, MOST_TOGETHER);
    queue = queue.slice(MOST_TOGETHER);
    if (queue.length > 0) schedule();
    try {
      const numbered = store.transaction(() => together.map(({ request }) => number(request)));
      // Committed: what is computed now may leave.
      together.forEach(({ request, resolve, reject }, i) => {
        const got = numbered[i]!;
        try {
          if (got instanceof Error) reject(got);
          else resolve(typeof got === 'string' ? { refused: got } : compute(request, got));
        } catch (error) {
          reject(error);
        }
      });
    } catch (error) {
      for (const { reject } of together) reject(error);
    }
  };
  /** After all that this turn of the event loop has read from sockets. */
  const schedule = (): void => void setImmediate(flush);

  return {
    take(request) {
      return clock.hold(
        new Promise((resolve, reject) => {
          if (queue.length === 0) schedule();
          queue.push({ request, resolve, reject });
        }),
      );
    },
  };
}

/** The number of vectors that is asked for, within what an answer takes. */
export const countOf = (wanted: number | undefined, otherwise: number): number =>
  wanted === undefined ? otherwise : Math.max(1, Math.min(wanted, MOST_VECTORS));
