/**
 * The roles of the lab that belong to somebody: an owner, an escrow, a card manufacturer, operators A and B, and an
 * OTA agent where one is wanted. Each has an edge, a database and keys of its own; what the factory made is in them.
 */
import type { Clock, Edge, Endpoint, Random, Sockets } from '../edge/index.ts';
import { createEscrowClient } from '../network/escrow/client.ts';
import { createEscrow, type Escrow } from '../network/escrow/escrow.ts';
import { createManufacturerClient } from '../network/manufacturer/client.ts';
import { createManufacturer, type Manufacturer } from '../network/manufacturer/manufacturer.ts';
import { createOtaAgent, type OtaAgent } from '../network/ota-agent/agent.ts';
import { createOperator, type Operator } from '../network/operator/operator.ts';
import type { SubscriberKeeper } from '../network/operator/subscribers/keeper.ts';
import { createOwnerClient } from '../network/owner/client.ts';
import { createOwner, type Owner } from '../network/owner/owner.ts';
import { createSoftwareVault } from '../network/vault/software.ts';
import type { KeyVault } from '../network/vault/vault.ts';
import { createSigner } from '../network/wire/statements.ts';
import { newPrivateKey } from '../serve/keys.ts';
import { fromHex, toHex } from '../standards/bytes/index.ts';
import { imsDomain } from '../standards/uicc/index.ts';
import { ISSUER, makeFleet, type LabAlgorithm, type LabAlternative, type MadeFleet } from './fleet.ts';
import { PROFILES } from './operators.ts';
import { seededRandom, type SeededRandom } from './random.ts';
import type { LabStore } from './store.ts';
import type { Wires } from './wires.ts';

/** Diameter watchdogs, in milliseconds: rarer than on a real link, as days pass in seconds here. */
export const WATCHDOG = 900_000;
export const ANY: Endpoint = { host: '127.0.0.1', port: 0 };

/** Addresses in the capture; device n has 10.128.0.0 + n. */
export const ADDRESS = {
  owner: '10.0.0.1',
  escrow: '10.0.0.2',
  manufacturer: '10.0.0.3',
  agent: '10.0.0.4',
  A: '10.1.0.1',
  B: '10.2.0.1',
  visited: '10.3.0.1',
};

/** By which cards know an OTA agent. */
const AGENT_NUMBER = '9990399000002';

/** Another HSS for an operator of the lab; its own if undefined. Time stands still while it is asked. */
export type LabKeeper = (operator: 'A' | 'B', vault: KeyVault) => SubscriberKeeper | undefined;

export interface RolesOptions {
  devices: number;
  alternatives: readonly LabAlternative[];
  algorithm?: LabAlgorithm;
  keeper?: LabKeeper;
  agent?: boolean;
  escrowApart?: boolean;
  seed: number;
  store: LabStore;
  patienceMs?: number;
  onAlarm?: 'refuse' | 'suspend';
  onError: (error: unknown) => void;
  clock: Clock;
  wires: Wires;
  edge: (name: string, address: string) => Edge;
  draw: (purpose: string) => SeededRandom;
  random: Random;
  /** takes what ends a role, in the order in which they were made */
  closing: (() => unknown)[];
}

export interface Roles {
  owner: Owner;
  escrow: Escrow;
  manufacturer: Manufacturer;
  operators: Record<'A' | 'B', Operator>;
  agent: OtaAgent | undefined;
  fleet: MadeFleet;
  /** of B's HSS alone, which can be frozen */
  hssSockets: Sockets;
  ownerEdge: Edge;
}

/** Time stands still while a real HSS is asked. */
function seenBy(clock: Clock, { feeder, vectors, ...rest }: SubscriberKeeper): SubscriberKeeper {
  return {
    ...rest,
    feeder: { ...feeder, feed: (entries) => clock.hold(feeder.feed(entries)) },
    ...(vectors && { vectors: { take: (request) => clock.hold(vectors.take(request)) } }),
  };
}

export async function createRoles(options: RolesOptions): Promise<Roles> {
  const { seed, store, clock, wires, edge, draw, random, closing } = options;
  const edges = {
    owner: edge('owner', ADDRESS.owner),
    escrow: edge('escrow', ADDRESS.escrow),
    manufacturer: edge('manufacturer', ADDRESS.manufacturer),
    agent: edge('agent', ADDRESS.agent),
    A: edge('A', ADDRESS.A),
    B: edge('B', ADDRESS.B),
  };
  const vault = (name: string) =>
    createSoftwareVault({
      keyEncryptionKey: fromHex(
        store.secret(`${name}.vault`, () => toHex(seededRandom(seed, `kek ${name}`).bytes(32))),
      ),
      transportKey: store.secret(`${name}.transport`, () => newPrivateKey('p256')),
      random: draw(`vault ${name}`),
      clock,
    });
  const signer = (name: string) =>
    createSigner(
      clock,
      name,
      store.secret(`${name}.signing`, () => newPrivateKey('ed25519')),
    );
  const signers = {
    owner: await signer('owner'),
    A: await signer('A'),
    B: await signer('B'),
    manufacturer: await signer('manufacturer'),
  };
  const ring = {
    owner: { role: 'owner' as const, key: signers.owner.publicKey },
    A: { role: 'operator' as const, key: signers.A.publicKey },
    B: { role: 'operator' as const, key: signers.B.publicKey },
    manufacturer: {
      role: 'manufacturer' as const,
      key: signers.manufacturer.publicKey,
      iccids: [ISSUER],
    },
  };
  const vaults = {
    A: await vault('A'),
    B: await vault('B'),
    escrow: await vault('escrow'),
    manufacturer: await vault('manufacturer'),
    agent: await vault('agent'),
  };
  const agentAccount = {
    systemId: 'agent',
    password: Buffer.from(seededRandom(seed, 'agent account').bytes(6)).toString('base64'),
    address: AGENT_NUMBER,
  };

  const manufacturer = await createManufacturer({
    edge: edges.manufacturer,
    name: 'manufacturer',
    api: ANY,
    database: store.file('manufacturer'),
    certifyingKey: store.secret('manufacturer.certifying', () => newPrivateKey('p256')),
    vault: vaults.manufacturer,
    signer: signers.manufacturer,
    onError: options.onError,
  });
  closing.push(() => manufacturer.close());
  const fleet = makeFleet(options.devices, options.alternatives, seed, PROFILES.A, PROFILES.B, {
    certify: (iccid, publicKey) => manufacturer.certify(iccid, publicKey),
    agent: options.agent === true,
    ...(options.algorithm && { algorithm: options.algorithm }),
  });
  const longPoll = options.patienceMs === undefined ? {} : { longPollMs: options.patienceMs };
  const owner = await createOwner({
    edge: edges.owner,
    name: 'owner',
    api: ANY,
    database: store.file('owner'),
    signer: signers.owner,
    operators: Object.keys(PROFILES),
    ...longPoll,
    audience: ['escrow'],
    onError: options.onError,
  });
  closing.push(() => owner.close());
  if (!store.resumed) owner.register(fleet.owned);
  const escrow = await createEscrow({
    edge: edges.escrow,
    name: 'escrow',
    api: ANY,
    database: store.file('escrow'),
    vault: vaults.escrow,
    ring,
    vaults: { A: vaults.A.publicKey, B: vaults.B.publicKey },
    onError: options.onError,
  });
  closing.push(() => escrow.close());
  if (!store.resumed && !options.escrowApart) escrow.deposit(fleet.pairs);
  if (!store.resumed && options.escrowApart) {
    manufacturer.produce(fleet.pairs);
    const client = createEscrowClient(edges.manufacturer, escrow.endpoint);
    await manufacturer.handOver({ name: 'escrow', client, vault: vaults.escrow.publicKey });
    client.close();
  }

  const operators = {} as Record<'A' | 'B', Operator>;
  const hssSockets = wires.of(ADDRESS.B);
  for (const name of ['A', 'B'] as const) {
    const escrowClient = createEscrowClient(edges[name], escrow.endpoint);
    const ownerClient = createOwnerClient(edges[name], owner.endpoint);
    const manufacturerClient = createManufacturerClient(edges[name], manufacturer.endpoint);
    const keeper = options.keeper?.(name, vaults[name]);
    operators[name] = await createOperator({
      edge: edges[name],
      ...(keeper && { subscribers: seenBy(clock, keeper) }),
      ...(name === 'B' ? { hssEdge: { ...edges.B, sockets: hssSockets } } : {}),
      profile: PROFILES[name],
      ...(options.onAlarm && { onAlarm: options.onAlarm }),
      cscfs: [`scscf.${imsDomain(PROFILES[name].plmn)}`],
      database: store.file(`operator-${name}`),
      vault: vaults[name],
      signer: signers[name],
      ring,
      escrow: { name: 'escrow', client: escrowClient },
      vaults: { A: vaults.A.publicKey, B: vaults.B.publicKey },
      manufacturers: [{ name: 'manufacturer', key: manufacturer.publicKey, client: manufacturerClient }],
      owner: ownerClient,
      api: ANY,
      hss: ANY,
      smsc: ANY,
      scef: ANY,
      smpp: ANY,
      esmes: options.agent ? [{ ...agentAccount, addresses: [agentAccount.address] }] : [],
      otaPassword: Buffer.from(random.bytes(6)).toString('base64'),
      watchdogMs: options.patienceMs ?? WATCHDOG,
      ...longPoll,
      onError: options.onError,
    });
    closing.push(
      () => escrowClient.close(),
      () => ownerClient.close(),
      () => manufacturerClient.close(),
      () => operators[name].close(),
    );
  }
  const agent = options.agent
    ? await createOtaAgent({
        edge: edges.agent,
        name: 'agent',
        api: ANY,
        database: store.file('agent'),
        vault: vaults.agent,
        ring,
        accounts: {
          A: { ...agentAccount, smsc: operators.A.endpoints.smpp, messages: store.file('agent-A') },
          B: { ...agentAccount, smsc: operators.B.endpoints.smpp, messages: store.file('agent-B') },
        },
        ...longPoll,
        onError: options.onError,
      })
    : undefined;
  if (agent) closing.push(() => agent.close());
  if (!store.resumed) {
    agent?.importKeys(fleet.agentKeys);
    operators.A.importCardData(fleet.csv);
    if (fleet.box.length > 0) operators.B.importCardData(fleet.stock, 'stock');
  }

  return { owner, escrow, manufacturer, operators, agent, fleet, hssSockets, ownerEdge: edges.owner };
}
