/**
 * A whole world on this machine: an owner, an escrow, operators A and B, a visited network with its cell, and
 * devices with cards. Every role has an edge and a database of its own; they meet on real sockets only.
 */
import { createCard, memoryStore } from '../device/uicc/index.ts';
import { createModem, type CardReader, type Modem, type ModemEvent } from '../device/modem/index.ts';
import type { Edge, Endpoint } from '../edge/index.ts';
import { createEscrowClient } from '../network/escrow/client.ts';
import { createEscrow } from '../network/escrow/escrow.ts';
import { createOperatorClient, type OperatorClient } from '../network/operator/client.ts';
import { createOperator, type Operator } from '../network/operator/operator.ts';
import { epcRealm } from '../network/operator/profile.ts';
import { createOwnerClient, type OwnerClient } from '../network/owner/client.ts';
import { createOwner } from '../network/owner/owner.ts';
import { createSoftwareVault } from '../network/vault/software.ts';
import { createVisited, type Visited } from '../network/visited/index.ts';
import { createSigner } from '../network/wire/statements.ts';
import { GSMTAP_LTE_NAS, GSMTAP_NAS, encodeGsmtap } from '../standards/gsmtap/index.ts';
import { openCapture, type Capture } from './capture.ts';
import { VirtualClock } from './clock.ts';
import type { Faults } from './faults.ts';
import { makeFleet, type MadeDevice, type MadeFleet } from './fleet.ts';
import { PROFILES } from './operators.ts';
import { seededRandom } from './random.ts';
import { Wires } from './wires.ts';

/** Virtual time begins here, so that a seed gives the same run on any day. */
const START = Date.UTC(2026, 0, 1);
/** How often a device's application reports, in milliseconds. */
export const HEARTBEAT = 900_000;
/** Devices come on the air within this time, in milliseconds. */
const POWER_ON = 60_000;
/** Diameter watchdogs, in milliseconds: rarer than on a real link, as days pass in seconds here. */
const WATCHDOG = 900_000;
const ANY: Endpoint = { host: '127.0.0.1', port: 0 };

/** Addresses in the capture; device n has 10.128.0.0 + n. */
const ADDRESS = { owner: '10.0.0.1', escrow: '10.0.0.2', A: '10.1.0.1', B: '10.2.0.1', visited: '10.3.0.1' };
const deviceAddress = (n: number): string => `10.${128 + (n >> 16)}.${(n >> 8) & 0xff}.${n & 0xff}`;

const VISITED_PLMN = '00103';

export interface WorldOptions {
  devices: number;
  seed: number;
  faults: Faults;
  pcap?: string;
  /** something happened to a device */
  observe?: (device: string, event: ModemEvent) => void;
  onError: (error: unknown) => void;
}

/** What went over the air so far. */
export interface AirCount {
  /** short messages, both ways, as the devices saw them */
  sms: number;
  /** bytes of NAS messages as sent, both ways */
  bytes: number;
}

export interface World {
  readonly clock: VirtualClock;
  readonly owner: OwnerClient;
  readonly operators: Record<'A' | 'B', OperatorClient>;
  readonly fleet: MadeFleet;
  readonly air: AirCount;
  /** requests between roles so far */
  readonly roleMessages: () => number;
  /** messages the machine lost, against its promise */
  readonly lost: () => number;
  /** B's HSS stops answering, or answers again. */
  setTargetDown(down: boolean): void;
  /** Lets time pass until `done`. @returns false if nothing could happen any more */
  run(done: () => boolean): Promise<boolean>;
  close(): Promise<void>;
}

export async function createWorld(options: WorldOptions): Promise<World> {
  const { seed } = options;
  const clock = new VirtualClock(START);
  const capture: Capture | undefined =
    options.pcap === undefined ? undefined : openCapture(options.pcap, clock);
  const air: AirCount = { sms: 0, bytes: 0 };
  let roleMessages = 0;
  const wires = new Wires((service, transport, from, to, bytes) => {
    if (service === 'gsmtap') air.bytes += bytes.length - 16;
    if (service === 'http') {
      // Answers are small and come one at a time: each begins a chunk of its own.
      if (Buffer.from(bytes.subarray(0, 7)).toString('latin1') === 'HTTP/1.') roleMessages++;
      return;
    }
    if (transport === 'udp') capture?.udp(from, to, bytes);
    else if (service === 'diameter' || service === 'smpp') capture?.tcp(service, from, to, bytes);
  });
  const edge = (name: string, address: string): Edge => ({
    clock,
    sockets: wires.of(address),
    random: seededRandom(seed, name),
  });
  const closing: (() => unknown)[] = [];
  const random = seededRandom(seed, 'world');

  const edges = {
    owner: edge('owner', ADDRESS.owner),
    escrow: edge('escrow', ADDRESS.escrow),
    A: edge('A', ADDRESS.A),
    B: edge('B', ADDRESS.B),
    visited: edge('visited', ADDRESS.visited),
  };
  const vault = (name: string) =>
    createSoftwareVault({
      keyEncryptionKey: seededRandom(seed, `kek ${name}`).bytes(32),
      random: seededRandom(seed, `vault ${name}`),
      clock,
    });
  const signers = {
    owner: await createSigner(clock, 'owner'),
    A: await createSigner(clock, 'A'),
    B: await createSigner(clock, 'B'),
  };
  const ring = {
    owner: { role: 'owner' as const, key: signers.owner.publicKey },
    A: { role: 'operator' as const, key: signers.A.publicKey },
    B: { role: 'operator' as const, key: signers.B.publicKey },
  };
  const vaults = { A: await vault('A'), B: await vault('B'), escrow: await vault('escrow') };

  const fleet = makeFleet(options.devices, seed, PROFILES.A);
  const owner = await createOwner({
    edge: edges.owner,
    name: 'owner',
    api: ANY,
    database: ':memory:',
    signer: signers.owner,
    audience: ['escrow'],
    onError: options.onError,
  });
  closing.push(() => owner.close());
  owner.register(fleet.owned);
  const escrow = await createEscrow({
    edge: edges.escrow,
    name: 'escrow',
    api: ANY,
    database: ':memory:',
    vault: vaults.escrow,
    ring,
    vaults: { A: vaults.A.publicKey, B: vaults.B.publicKey },
    onError: options.onError,
  });
  closing.push(() => escrow.close());
  escrow.deposit(fleet.pairs);

  const operators = {} as Record<'A' | 'B', Operator>;
  const hssSockets = wires.of(ADDRESS.B);
  for (const name of ['A', 'B'] as const) {
    const escrowClient = createEscrowClient(edges[name], escrow.endpoint);
    const ownerClient = createOwnerClient(edges[name], owner.endpoint);
    operators[name] = await createOperator({
      edge: edges[name],
      ...(name === 'B' ? { hssEdge: { ...edges.B, sockets: hssSockets } } : {}),
      profile: PROFILES[name],
      database: ':memory:',
      vault: vaults[name],
      signer: signers[name],
      ring,
      escrow: { name: 'escrow', client: escrowClient },
      owner: ownerClient,
      api: ANY,
      hss: ANY,
      smsc: ANY,
      scef: ANY,
      smpp: ANY,
      otaPassword: Buffer.from(random.bytes(6)).toString('base64'),
      watchdogMs: WATCHDOG,
      onError: options.onError,
    });
    closing.push(
      () => operators[name].close(),
      () => escrowClient.close(),
      () => ownerClient.close(),
    );
  }
  operators.A.importCardData(fleet.csv);

  /** Beside each ciphered message its deciphered twin, so that a reader of the capture sees what it said. */
  const twin = (device: number, direction: 'uplink' | 'downlink', bytes: Uint8Array): void => {
    if (!capture) return;
    const ends = [
      { address: deviceAddress(device), port: 4729 },
      { address: ADDRESS.visited, port: 4729 },
    ] as const;
    const [from, to] = direction === 'uplink' ? ends : [ends[1], ends[0]];
    capture.udp(
      from,
      to,
      encodeGsmtap({
        type: GSMTAP_LTE_NAS,
        subType: GSMTAP_NAS.plain,
        uplink: direction === 'uplink',
        payload: bytes,
      }),
      'deciphered',
    );
  };
  const deviceOfPort = new Map<number, number>();

  const visited: Visited = await createVisited({
    edge: edges.visited,
    plmn: VISITED_PLMN,
    tac: 1,
    realm: epcRealm(VISITED_PLMN),
    originHost: `mme.${epcRealm(VISITED_PLMN)}`,
    cell: ANY,
    watchdogMs: WATCHDOG,
    peers: (['A', 'B'] as const).flatMap((name) => {
      const { hss, smsc, scef } = operators[name].endpoints;
      return [hss, smsc, scef].map((endpoint) => ({ realm: epcRealm(PROFILES[name].plmn), endpoint }));
    }),
    rejectWith: (imsi) => (imsi.startsWith(PROFILES.B.plmn) ? options.faults.cause : undefined),
    observe: (event) => {
      if (event.type === 'plainNas') twin(deviceOfPort.get(event.device.port) ?? 0, 'uplink', event.bytes);
    },
  });
  closing.push(() => visited.close());

  const modems: Modem[] = [];
  const start = async (made: MadeDevice, n: number): Promise<void> => {
    const card = createCard({ file: made.card, store: memoryStore() });
    const reader: CardReader = {
      powerOn: () => Promise.resolve(card.powerOn()),
      powerOff: () => Promise.resolve(card.powerOff()),
      transmit: (apdu) => Promise.resolve(card.transmit(apdu)),
    };
    const modem = await createModem({
      edge: edge(made.name, deviceAddress(n)),
      card: reader,
      imei: made.imei,
      cells: [{ plmn: VISITED_PLMN, tac: 1, endpoint: visited.cellEndpoint }],
      bind: ANY,
      heartbeat: {
        intervalMs: HEARTBEAT,
        payload: (count) => new TextEncoder().encode(`${made.name} ${count}`),
      },
      observe: (event) => {
        if (event.type === 'plainNas') twin(n, 'downlink', event.bytes);
        else {
          if (event.type === 'sms') air.sms++;
          options.observe?.(made.name, event);
        }
      },
    });
    deviceOfPort.set(modem.endpoint.port, n);
    modems.push(modem);
    clock.after(random.next() * POWER_ON, () => void modem.powerOn());
  };
  for (const [i, made] of fleet.devices.entries()) await start(made, i + 1);

  // The engine's side: the owner's fleet server.
  const clients = {
    owner: createOwnerClient(edges.owner, owner.endpoint),
    A: createOperatorClient(edges.owner, operators.A.endpoints.api),
    B: createOperatorClient(edges.owner, operators.B.endpoints.api),
  };
  closing.push(() => Object.values(clients).forEach((client) => client.close()));
  closing.push(() => Promise.all(modems.map((modem) => modem.close())));

  return {
    clock,
    owner: clients.owner,
    operators: { A: clients.A, B: clients.B },
    fleet,
    air,
    roleMessages: () => roleMessages,
    lost: () => wires.lost,
    setTargetDown: (down) => wires.freeze(hssSockets, down),
    run: (done) => clock.run(done, () => wires.inFlight()),
    async close() {
      // Goodbyes wait for answers, and answers for time: let it pass until all are gone.
      let closed = false;
      const all = (async () => {
        for (const close of closing.reverse()) await close();
      })().finally(() => {
        closed = true;
      });
      await clock.run(
        () => closed,
        () => wires.inFlight(),
      );
      await all;
      capture?.close();
    },
  };
}
