/** An operator as the one who drives a change reaches it; in batches, one answer per request, in order. */
import { z } from 'zod';
import type { Edge, Endpoint } from '../../edge/index.ts';
import { followFeed, type FeedEvent } from '../wire/feed.ts';
import { callRole } from '../wire/http.ts';
import { settingsSchema, type Settings } from '../wire/statements.ts';

/** Why one request of a batch was refused; the others are not touched by it. */
export interface Refused {
  error: string;
  /** short and stable: `list-exhausted` */
  code: string;
}

export type { Settings };

/** A statement as it travels: compact JWS. */
export const jwsSchema = z.string().max(20_000);

/** What B reserved, and its signed word for it. */
export interface Reserved {
  imsi: string;
  settings: Settings;
  reservation: string;
}

export const switchRequestSchema = z.strictObject({
  order: jwsSchema,
  /** B's */
  reservation: jwsSchema,
  /** of the card's list; 0 where the card keeps its keys */
  index: z.number().int().min(0).max(254),
  trialSeconds: z.number().int().min(1).max(0xffffffff),
  delaySeconds: z.number().int().min(0).max(0xffff),
  commitOnAka: z.boolean(),
});
export type SwitchRequest = z.infer<typeof switchRequestSchema>;

/** What an authentication centre must support for a card, and what the card can do; nothing of it is secret. */
export const cardProfileSchema = z.strictObject({
  algorithm: z.enum(['milenage', 'tuak', 'test-xor']),
  resLength: z.number().int(),
  ownConstants: z.boolean(),
  /** bits of IND in its sequence numbers (TS 33.102 §C.1.1) */
  indLength: z.number().int(),
  /** whether the card tries a new subscription and falls back by itself */
  fallback: z.boolean(),
});
export type CardProfile = z.infer<typeof cardProfileSchema>;

const refused = z.object({ error: z.string(), code: z.string() });
const done = z.object({ ok: z.literal(true) });
const each = <T extends z.ZodType>(schema: T) => z.object({ results: z.array(z.union([refused, schema])) });

const reserved = each(z.object({ imsi: z.string(), settings: settingsSchema, reservation: z.string() }));
const released = each(z.object({ release: z.string(), index: z.number() }));
const plain = each(done);
const assigned = each(z.object({ imsi: z.string(), iccid: z.string() }));
const profiled = each(z.object({ profile: cardProfileSchema, wayBack: z.string() }));
const accepted = each(z.object({ ok: z.literal(true), hardened: z.boolean() }));
const consented = each(z.object({ consent: z.string() }));
const transferred = each(z.object({ transfer: z.string() }));
const destroyed = each(z.object({ receipt: z.string() }));

export interface OperatorClient {
  /** B: allocates a subscription for the device of each order; the same again for the same change. */
  reserve(orders: readonly string[]): Promise<(Refused | Reserved)[]>;
  /** A: consents, and names the index that the escrow may release to B. */
  release(orders: readonly string[]): Promise<(Refused | { release: string; index: number })[]>;
  /** B: fetches the pairs from the escrow; afterwards its HSS can authenticate the subscriptions. */
  subscribe(requests: readonly { order: string; release: string }[]): Promise<(Refused | { ok: true })[]>;
  /** B: asks its own HSS by S6a for vectors; an IMSI nobody has proves at least that it answers. */
  probe(imsis: readonly string[]): Promise<(Refused | { ok: true })[]>;
  /** A: sends the SWITCH by OTA; the proof comes by the feed. */
  switch(requests: readonly SwitchRequest[]): Promise<(Refused | { ok: true })[]>;
  /** B: ends the trial for good, by OTA. */
  commit(orders: readonly string[]): Promise<(Refused | { ok: true })[]>;
  /** A: takes its SWITCH back, by OTA where it may have arrived. B: ends the trial with the fall-back, by OTA. */
  stop(orders: readonly string[]): Promise<(Refused | { ok: true })[]>;
  /** B: its signed consent, for the order's OTA agent, that the trial is ended for good. */
  consent(orders: readonly string[]): Promise<(Refused | { consent: string })[]>;
  /** A: removes the old subscription. */
  retire(orders: readonly string[]): Promise<(Refused | { ok: true })[]>;
  /** B: gives the change up; its subscription is removed and the pair burnt. */
  undo(orders: readonly string[]): Promise<(Refused | { ok: true })[]>;
  /** A: what the card is, and A's signed word for what it goes back to. */
  profile(orders: readonly string[]): Promise<(Refused | { profile: CardProfile; wayBack: string })[]>;
  /** B: whether its authentication centre can take the card over; and whether so that A cannot follow. */
  accept(
    requests: readonly { order: string; profile: CardProfile }[],
  ): Promise<(Refused | { ok: true; hardened: boolean })[]>;
  /** A: reads the card's ICCID by OTA; the proof comes by the feed. */
  reach(orders: readonly string[]): Promise<(Refused | { ok: true })[]>;
  /** A: all keys of the card, wrapped to B's vault, once the card was reached. */
  transfer(orders: readonly string[]): Promise<(Refused | { transfer: string })[]>;
  /** B: takes the keys in; afterwards its HSS can authenticate the subscription. */
  takeIn(requests: readonly { order: string; transfer: string }[]): Promise<(Refused | { ok: true })[]>;
  /** A: writes B's subscription to the card by OTA, as one script. */
  write(requests: readonly { order: string; reservation: string }[]): Promise<(Refused | { ok: true })[]>;
  /** A or B: writes A's subscription back; A takes what it had sent back first. */
  restore(requests: readonly { order: string; wayBack: string }[]): Promise<(Refused | { ok: true })[]>;
  /** B: replaces every OTA key that A knew. */
  takeOver(orders: readonly string[]): Promise<(Refused | { ok: true })[]>;
  /** B: has a card that was taken over reset its terminal, so that it is authenticated with its new Ki. */
  reset(orders: readonly string[]): Promise<(Refused | { ok: true })[]>;
  /** B: destroys the keys it was given, takes in none that come later, and says so. */
  destroy(orders: readonly string[]): Promise<(Refused | { receipt: string })[]>;
  /** A: marks the card's Ki as known to B, with B's receipt. */
  exposed(receipts: readonly string[]): Promise<(Refused | { ok: true })[]>;
  /** B: a card of its stock for the device of each order. */
  assign(orders: readonly string[]): Promise<(Refused | { imsi: string; iccid: string })[]>;
  /** B: the assigned card may attach, with the IMEI of the order alone. */
  activate(orders: readonly string[]): Promise<(Refused | { ok: true })[]>;
  /** B: the card goes back into stock. */
  giveBack(orders: readonly string[]): Promise<(Refused | { ok: true })[]>;
  /** Suspends or resumes subscriptions, at the owner's word. */
  suspend(suspensions: readonly string[]): Promise<(Refused | { ok: true })[]>;
  follow(after: number, receive: (events: FeedEvent[]) => void): { close(): void };
  close(): void;
}

export function createOperatorClient(edge: Edge, at: Endpoint): OperatorClient {
  const caller = callRole(edge, at);
  const ask = async <T extends z.ZodType<{ results: unknown[] }>>(
    path: string,
    requests: readonly unknown[],
    schema: T,
  ): Promise<z.infer<T>['results']> => schema.parse(await caller.call('POST', path, { requests })).results;
  return {
    reserve: (orders) => ask('/reservations', orders, reserved),
    release: (orders) => ask('/releases', orders, released),
    subscribe: (requests) => ask('/subscriptions', requests, plain),
    probe: (imsis) => ask('/probes', imsis, plain),
    switch: (requests) => ask('/switches', requests, plain),
    commit: (orders) => ask('/commits', orders, plain),
    stop: (orders) => ask('/stops', orders, plain),
    consent: (orders) => ask('/consents', orders, consented),
    retire: (orders) => ask('/retirements', orders, plain),
    undo: (orders) => ask('/undos', orders, plain),
    profile: (orders) => ask('/profiles', orders, profiled),
    accept: (requests) => ask('/acceptances', requests, accepted),
    reach: (orders) => ask('/readings', orders, plain),
    transfer: (orders) => ask('/transfers', orders, transferred),
    takeIn: (requests) => ask('/keys', requests, plain),
    write: (requests) => ask('/writings', requests, plain),
    restore: (requests) => ask('/restorations', requests, plain),
    takeOver: (orders) => ask('/takeovers', orders, plain),
    reset: (orders) => ask('/resets', orders, plain),
    destroy: (orders) => ask('/destructions', orders, destroyed),
    exposed: (receipts) => ask('/exposures', receipts, plain),
    assign: (orders) => ask('/assignments', orders, assigned),
    activate: (orders) => ask('/activations', orders, plain),
    giveBack: (orders) => ask('/returns', orders, plain),
    suspend: (suspensions) => ask('/suspensions', suspensions, plain),
    follow: (after, receive) => followFeed(edge.clock, caller, after, receive),
    close: () => caller.close(),
  };
}
