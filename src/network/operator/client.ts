/** An operator as the one who drives a change reaches it; in batches, one answer per request, in order. */
import { z } from 'zod';
import type { Edge, Endpoint } from '../../edge/index.ts';
import { followFeed, type FeedEvent } from '../wire/feed.ts';
import { callRole } from '../wire/http.ts';

/** Why one request of a batch was refused; the others are not touched by it. */
export interface Refused {
  error: string;
  /** short and stable: `list-exhausted` */
  code: string;
}

/** What B wants on the card beside the IMSI: the data settings of its network. */
export const settingsSchema = z.strictObject({
  mncLength: z.union([z.literal(2), z.literal(3)]),
  serviceCentre: z.string(),
  msisdn: z.string(),
  serviceProviderName: z.string(),
  apn: z.string(),
  reportTo: z.string(),
});
export type Settings = z.infer<typeof settingsSchema>;

export const switchRequestSchema = z.strictObject({
  order: z.string(),
  imsi: z.string().regex(/^[0-9]{6,15}$/, 'expected an IMSI of 6 to 15 digits'),
  index: z.number().int().min(1).max(254),
  settings: settingsSchema,
  trialSeconds: z.number().int().min(1).max(0xffffffff),
  delaySeconds: z.number().int().min(0).max(0xffff),
  commitOnAka: z.boolean(),
});
export type SwitchRequest = z.infer<typeof switchRequestSchema>;

const refused = z.object({ error: z.string(), code: z.string() });
const done = z.object({ ok: z.literal(true) });
const each = <T extends z.ZodType>(schema: T) => z.object({ results: z.array(z.union([refused, schema])) });

const reserved = each(z.object({ imsi: z.string(), settings: settingsSchema }));
const released = each(z.object({ release: z.string(), index: z.number() }));
const plain = each(done);

export interface OperatorClient {
  /** B: allocates a subscription for the device of each order; the same again for the same change. */
  reserve(orders: readonly string[]): Promise<(Refused | { imsi: string; settings: Settings })[]>;
  /** A: consents, and names the index that the escrow may release to B. */
  release(orders: readonly string[]): Promise<(Refused | { release: string; index: number })[]>;
  /** B: fetches the pairs from the escrow; afterwards its HSS can authenticate the subscriptions. */
  subscribe(requests: readonly { order: string; release: string }[]): Promise<(Refused | { ok: true })[]>;
  /** B: asks its own HSS by S6a for vectors; an IMSI nobody has proves at least that it answers. */
  probe(imsis: readonly string[]): Promise<(Refused | { ok: true })[]>;
  /** A: sends the SWITCH by OTA; the proof comes by the feed. */
  switch(requests: readonly SwitchRequest[]): Promise<(Refused | { ok: true })[]>;
  /** B: ends the trial for good, by OTA. */
  commit(changes: readonly string[]): Promise<(Refused | { ok: true })[]>;
  /** A: stops a SWITCH that has no proof yet. B: ends the trial with the fall-back, by OTA. */
  stop(changes: readonly string[]): Promise<(Refused | { ok: true })[]>;
  /** A: removes the old subscription. */
  retire(orders: readonly string[]): Promise<(Refused | { ok: true })[]>;
  /** B: gives the change up; its subscription is removed and the pair burnt. */
  undo(changes: readonly string[]): Promise<(Refused | { ok: true })[]>;
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
    commit: (changes) => ask('/commits', changes, plain),
    stop: (changes) => ask('/stops', changes, plain),
    retire: (orders) => ask('/retirements', orders, plain),
    undo: (changes) => ask('/undos', changes, plain),
    follow: (after, receive) => followFeed(edge.clock, caller, after, receive),
    close: () => caller.close(),
  };
}
