/** Who takes part in changes, as clients; and what they tell, turned into signals for the engine. */
import type { OperatorClient } from '../network/operator/client.ts';
import type { OtaAgentClient } from '../network/ota-agent/client.ts';
import type { OwnerClient } from '../network/owner/client.ts';
import type { FeedEvent } from '../network/wire/feed.ts';
import type { Signal } from './change.ts';
import type { ChangeEngine } from './engine.ts';
import type { ChangeStore } from './store.ts';

export interface Parties {
  owner: OwnerClient;
  operators: Record<string, OperatorClient>;
  /** who switches cards of 3b, where it is not their operators */
  agent?: { name: string; client: OtaAgentClient };
}

/** Ends the connections to all of them. */
export function closeParties({ owner, operators, agent }: Parties): void {
  owner.close();
  for (const client of Object.values(operators)) client.close();
  agent?.client.close();
}

/** What an operator's event means for a change. */
function ofOperator(name: string, event: FeedEvent): Signal | undefined {
  if (typeof event.change !== 'string') return undefined;
  const of = { change: event.change };
  switch (event.kind) {
    case 'authenticated':
      return { of, facts: { [`authenticated ${name}`]: event.at } };
    case 'registered':
      return { of, facts: { [`registered ${name}`]: event.at } };
    case 'proof':
      return {
        of,
        facts: {
          [`proof ${String(event.command)} ${name}`]: String(event.result),
          [`sw ${String(event.command)} ${name}`]: typeof event.sw === 'string' ? event.sw : null,
        },
      };
    case 'report':
      return { of, facts: { report: String(event.last), reportAt: event.at } };
    default:
      return undefined;
  }
}

/** What an OTA agent's event means: the card said it over that operator. */
const ofAgent = (event: FeedEvent): Signal | undefined => ofOperator(String(event.over), event);

/** What the owner's event means: a device was heard, a technician has done his work. */
function ofOwner(event: FeedEvent): Signal | undefined {
  switch (event.kind) {
    case 'heard':
      return {
        of: { device: String(event.device) },
        facts: { [`heard ${String(event.operator)}`]: { at: event.at, imsi: String(event.imsi) } },
      };
    case 'paired':
      return { of: { change: String(event.change) }, facts: { [`paired ${String(event.work)}`]: event.at } };
    default:
      return undefined;
  }
}

/** Follows what owner and operators tell, from where the store last stood. */
export function followParties(parties: Parties, store: ChangeStore, engine: ChangeEngine): { close(): void } {
  const follow = (
    feed: string,
    from: OwnerClient | OperatorClient | OtaAgentClient,
    signalOf: (event: FeedEvent) => Signal | undefined,
  ): { close(): void } =>
    from.follow(store.cursor(feed), (events) => {
      const signals = events.map(signalOf).filter((signal) => signal !== undefined);
      engine.signal(signals, [feed, events.at(-1)!.id]);
    });
  const following = [
    follow('owner', parties.owner, ofOwner),
    ...Object.entries(parties.operators).map(([name, client]) =>
      follow(`operator ${name}`, client, (event) => ofOperator(name, event)),
    ),
    ...(parties.agent ? [follow(`agent ${parties.agent.name}`, parties.agent.client, ofAgent)] : []),
  ];
  return { close: () => following.forEach((each) => each.close()) };
}
