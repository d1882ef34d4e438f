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

const refused = z.object({ error: z.string(), code: z.string() });
const done = z.object({ ok: z.literal(true) });
const each = <T extends z.ZodType>(schema: T) => z.object({ results: z.array(z.union([refused, schema])) });

const reserved = each(z.object({ imsi: z.string(), settings: settingsSchema, reservation: z.string() }));
const released = each(z.object({ release: z.string(), index: z.number() }));
const plain = each(done);

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
  /** A: removes the old subscription. */
  retire(orders: readonly string[]): Promise<(Refused | { ok: true })[]>;
  /** B: gives the change up; its subscription is removed and the pair burnt. */
  undo(orders: readonly string[]): Promise<(Refused | { ok: true })[]>;
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
    retire: (orders) => ask('/retirements', orders, plain),
    undo: (orders) => ask('/undos', orders, plain),
    follow: (after, receive) => followFeed(edge.clock, caller, after, receive),
    close: () => caller.close(),
  };
}
