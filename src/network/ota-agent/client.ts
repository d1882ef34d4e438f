/** An OTA agent as the one who drives a change reaches it; in batches, one answer per request, in order. */
import { z } from 'zod';
import type { Edge, Endpoint } from '../../edge/index.ts';
import { followFeed, type FeedEvent } from '../wire/feed.ts';
import { callRole } from '../wire/http.ts';

const jws = z.string().max(20_000);

/** What the agent acts on: the owner's order, A's word for the index and for where the card is, B's for what it becomes. */
const mandate = { order: jws, release: jws, reservation: jws };
export const agentSwitchSchema = z.strictObject({
  ...mandate,
  trialSeconds: z.number().int().min(1).max(0xffffffff),
  delaySeconds: z.number().int().min(0).max(0xffff),
  commitOnAka: z.boolean(),
});
export type AgentSwitch = z.infer<typeof agentSwitchSchema>;
export const agentCommitSchema = z.strictObject({ ...mandate, consent: jws });
export type AgentCommit = z.infer<typeof agentCommitSchema>;
export const agentStopSchema = z.strictObject({ ...mandate, over: z.string().min(1) });
export type AgentStop = z.infer<typeof agentStopSchema>;

const answers = z.object({
  results: z.array(
    z.union([z.object({ error: z.string(), code: z.string() }), z.object({ ok: z.literal(true) })]),
  ),
});
export type AgentAnswer = z.infer<typeof answers>['results'][number];

export interface OtaAgentClient {
  /** Sends the SWITCH over A; its proof comes by the feed, as that of A. */
  switch(requests: readonly AgentSwitch[]): Promise<AgentAnswer[]>;
  /** Ends the trial for good over B, with B's consent. */
  commit(requests: readonly AgentCommit[]): Promise<AgentAnswer[]>;
  /** Calls the switch off, over the operator that is named. */
  stop(requests: readonly AgentStop[]): Promise<AgentAnswer[]>;
  follow(after: number, receive: (events: FeedEvent[]) => void): { close(): void };
  close(): void;
}

export function createOtaAgentClient(edge: Edge, at: Endpoint): OtaAgentClient {
  const caller = callRole(edge, at);
  const ask = async (path: string, requests: readonly unknown[]): Promise<AgentAnswer[]> =>
    answers.parse(await caller.call('POST', path, { requests })).results;
  return {
    switch: (requests) => ask('/switches', requests),
    commit: (requests) => ask('/commits', requests),
    stop: (requests) => ask('/stops', requests),
    follow: (after, receive) => followFeed(edge.clock, caller, after, receive),
    close: () => caller.close(),
  };
}
