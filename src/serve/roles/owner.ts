/** Serves an owner, and the engine of changes beside him: his fleet server. */
import { z } from 'zod';
import { createChangeEngine, type ChangeEngine } from '../../change/engine.ts';
import { METHODS } from '../../change/methods.ts';
import { closeParties, followParties, type Parties } from '../../change/parties.ts';
import { openChangeStore, type ChangeStore } from '../../change/store.ts';
import type { Edge, Endpoint } from '../../edge/index.ts';
import { createOperatorClient } from '../../network/operator/client.ts';
import { createOtaAgentClient } from '../../network/ota-agent/client.ts';
import { createOwnerClient, type OwnerClient } from '../../network/owner/client.ts';
import { changeSchema, createOwner } from '../../network/owner/owner.ts';
import { Problem, get, post, serveApi, type Route } from '../../network/wire/http.ts';
import { createSigner } from '../../network/wire/statements.ts';
import { toHex } from '../../standards/bytes/index.ts';
import type { Section } from '../config/schema.ts';
import type { Files } from '../files.ts';
import { devicesOf, takeIn } from '../take-in.ts';
import { databaseFile, reached, seconds, type RoleContext, type Start } from './role.ts';

const requestSchema = z.strictObject({
  /** names the change; drawn if not given. The same once more is the same change */
  change: changeSchema.optional(),
  device: z.string().min(1),
  to: z.string().min(1),
  alternative: z.enum(['2', '3a', '3b']),
});

/** What is asked of the fleet server: changes begun, and how they go. */
function changeRoutes(
  { clock, random }: Edge,
  owner: OwnerClient,
  store: ChangeStore,
  engine: ChangeEngine,
  alternatives: readonly string[],
  agent: string | undefined,
): Route[] {
  return [
    post('/changes', z.array(requestSchema).min(1).max(500), async ({ body }) => {
      const wanted = body.map((each) => ({ ...each, change: each.change ?? toHex(random.bytes(8)) }));
      for (const { alternative } of wanted) {
        if (!alternatives.includes(alternative)) {
          throw new Problem(422, 'alternative-not-driven', `alternative: ${alternative} is not driven here`);
        }
      }
      const fresh = wanted.filter(({ change }) => store.state(change) === undefined);
      const devices = await Promise.all(fresh.map(({ device }) => owner.device(device)));
      const orders = await owner.order(
        fresh.map((each) => ({
          ...each,
          ...(agent !== undefined && each.alternative === '3b' && { agent }),
        })),
      );
      store.enqueue(
        fresh.map((each, i) => ({ ...each, from: devices[i]!.operator, data: { order: orders[i]! } })),
        clock.now(),
      );
      engine.wake();
      return { changes: wanted.map(({ change, device }) => ({ change, device })) };
    }),
    get('/changes', () => store.counts()),
    get('/changes/:change', ({ params }) => {
      const state = store.state(params.change!);
      if (!state) throw new Problem(404, 'unknown-change', `change ${params.change} is not known here`);
      return state;
    }),
  ];
}

async function startChanges(
  context: RoleContext,
  changes: NonNullable<Section<'owner'>['changes']>,
  parties: Parties,
): Promise<{ endpoint: Endpoint; store: ChangeStore }> {
  const { edge, closing, progress, onError } = context;
  const store = openChangeStore(changes.database);
  closing.push(() => store.close());
  const alternatives = [...new Set(changes.alternatives)];
  const engine = createChangeEngine({
    clock: edge.clock,
    store,
    methods: alternatives.map((each) => METHODS[each]({ clock: edge.clock, parties })),
    observe: progress,
  });
  closing.push(() => engine.close());
  const following = followParties(parties, store, engine);
  closing.push(() => following.close());
  const routes = changeRoutes(edge, parties.owner, store, engine, alternatives, parties.agent?.name);
  const api = await serveApi(edge, changes.listen, routes, onError);
  closing.push(() => api.close());
  // What was under way when the process ended is in doubt, and goes on.
  engine.wake();
  return { endpoint: api.endpoint, store };
}

export function prepareOwner(section: Section<'owner'>, organisation: string, files: Files): Start {
  const database = databaseFile(files, 'owner.database', section.database);
  const signing = files.privateKey('owner.signingKey', section.signingKey, 'ed25519');
  const { operators, agent, changes, audience = [], listen } = section;
  if (changes) databaseFile(files, 'owner.changes.database', changes.database);
  const devices =
    section.devices === undefined ? undefined : files.toTakeIn('owner.devices', section.devices, false);
  return async (context) => {
    const { edge, onError, tookIn, closing } = context;
    const owner = await createOwner({
      edge,
      name: organisation,
      api: listen.api,
      database,
      signer: await createSigner(edge.clock, organisation, signing),
      operators: Object.keys(operators),
      audience: agent ? [...new Set([...audience, agent.name])] : audience,
      ...seconds('silentAfterMs', section.silentAfterSeconds),
      ...seconds('longPollMs', section.longPollSeconds),
      onError,
    });
    closing.push(() => owner.close());
    if (devices && takeIn(database, devices, () => owner.register(devicesOf(devices)))) tookIn(devices.path);
    const peers = {
      ...Object.fromEntries(Object.entries(operators).map(([name, { at }]) => [`operator ${name}`, at])),
      ...(agent && { [`agent ${agent.name}`]: agent.at }),
    };
    if (!changes) return { endpoints: { api: owner.endpoint }, databases: [database], peers };
    const parties: Parties = {
      owner: createOwnerClient(edge, reached(owner.endpoint)),
      operators: Object.fromEntries(
        Object.entries(operators).map(([name, { at }]) => [name, createOperatorClient(edge, at)]),
      ),
      ...(agent && { agent: { name: agent.name, client: createOtaAgentClient(edge, agent.at) } }),
    };
    closing.push(() => closeParties(parties));
    const { endpoint, store } = await startChanges(context, changes, parties);
    return {
      endpoints: { api: owner.endpoint, changes: endpoint },
      databases: [database, changes.database],
      peers,
      gauges: { live: () => store.counts().live },
    };
  };
}
