/**
 * Who keeps the operator's subscribers and answers for them: rehome's own HSS, if nothing else is said, or one that
 * is there already. Such a one is told of every subscriber that becomes ready or is gone (outbox.ts), and is asked
 * for vectors where it gives any.
 */
import type { Endpoint } from '../../../edge/index.ts';
import type { VectorSource } from '../vectors.ts';

/** A subscriber as an HSS is told of it. Keys are sealed by the operator's vault. */
export interface FedSubscriber {
  imsi: string;
  msisdn: string;
  iccid: string;
  aka: Uint8Array;
  /** what the vault bound the keys to */
  label: string;
  /** the highest SEQ that the card may have seen */
  seq: number;
}

/** One thing to tell. The same `id` means the same thing, however often it is told. */
export type FeedEntry =
  /** `known`: the HSS took this IMSI before, and it was not removed since */
  | { id: string; action: 'put'; known: boolean; subscriber: FedSubscriber }
  | { id: string; action: 'remove'; imsi: string };

export type FeedOutcome =
  /** the HSS has really taken it: it can authenticate the subscriber, or cannot any more */
  | { taken: true }
  /** not tried again by itself */
  | { refused: string; code: 'algorithm-unsupported' | 'hss-refuses' }
  /** tried again, after so many milliseconds where the feeder knows better than the outbox */
  | { later: string; afterMs?: number };

/** How an HSS is told. Reasons in outcomes never contain a key. */
export interface SubscriberFeeder {
  /** One outcome per entry, in their order; at most one entry per IMSI. A rejection is `later` for all. */
  feed(entries: readonly FeedEntry[]): Promise<FeedOutcome[]>;
  /** These are on file as taken or refused: what the feeder keeps of them it may forget. */
  settled?(ids: readonly string[]): void;
  close(): void | Promise<void>;
}

export interface SubscriberKeeper {
  feeder: SubscriberFeeder;
  /** Computes vectors for our S6a and GSUP. None: that HSS answers serving networks itself. */
  vectors?: VectorSource;
  /** S6a of an HSS that answers itself: what a change asks to hear whether it is ready */
  s6a?: Endpoint;
}
