/**
 * A whole world on this machine: an owner, an escrow, a card manufacturer, operators A and B, a visited network with its cell, and
 * devices with cards. Every role has an edge and a database of its own; they meet on real sockets only.
 */
import type { ModemEvent } from '../device/modem/index.ts';
import { closeParties, type Parties } from '../change/parties.ts';
import type { Edge, Endpoint } from '../edge/index.ts';
import { createOtaAgentClient } from '../network/ota-agent/client.ts';
import { createOperatorClient, type OperatorClient } from '../network/operator/client.ts';
import { epcRealm } from '../network/operator/profile.ts';
import { createOwnerClient, type OwnerClient } from '../network/owner/client.ts';
import { createVisited, type Disturb, type Visited } from '../network/visited/index.ts';
import { GSMTAP_LTE_NAS, GSMTAP_NAS, encodeGsmtap } from '../standards/gsmtap/index.ts';
import { openCapture, type Capture } from './capture.ts';
import { VirtualClock } from './clock.ts';
import { createLabDevice, type LabDevice } from './device.ts';
import { count, createJam, smsFault, type FaultCounts, type Faults } from './faults.ts';
import { LAB_ALTERNATIVES, type LabAlgorithm, type LabAlternative, type MadeDevice } from './fleet.ts';
import { createLink } from './link.ts';
import { PROFILES } from './operators.ts';
import { seededRandom, type SeededRandom } from './random.ts';
import type { LabStore } from './store.ts';
import { createTechnician, insertedSlot } from './technician.ts';
import { ADDRESS, ANY, WATCHDOG, createRoles, type LabKeeper } from './roles.ts';
import { Wires } from './wires.ts';

/** Virtual time begins here, so that a seed gives the same run on any day. */
const START = Date.UTC(2026, 0, 1);
/** How often a device's application reports, in milliseconds. */
export const HEARTBEAT = 900_000;
/** Devices come on the air within this time, in milliseconds. */
const POWER_ON = 60_000;

/** Of whoever else takes part. */
const GUEST_ADDRESS = '10.0.0.9';
/** Of the link between a service centre and the visited network, where it is bad. */
const LINK_ADDRESS = { A: '10.1.0.9', B: '10.2.0.9' };
const deviceAddress = (n: number): string => `10.${128 + (n >> 16)}.${(n >> 8) & 0xff}.${n & 0xff}`;

const VISITED_PLMN = '00103';
export interface WorldOptions {
  devices: number;
  alternatives: readonly LabAlternative[];
  /** of the cards without a key list; milenage if not given */
  algorithm?: LabAlgorithm;
  seed: number;
  /** cards of 3b are switched by an OTA agent who is neither A nor B */
  agent?: boolean;
  /** the escrow of key lists is another party than the manufacturer, who hands the pairs over and forgets them */
  escrowApart?: boolean;
  faults: Faults;
  /** what A and B do when a card that is bound to a device turns up in another; they refuse it if not given */
  onAlarm?: 'refuse' | 'suspend';
  pcap?: string;
  store: LabStore;
  /** milliseconds after which links and readers with nothing to do are seen to; 15 and 10 minutes if not given */
  patienceMs?: number;
  /** another HSS keeps the subscribers of that operator, and is a real one */
  keeper?: LabKeeper;
  /** something happened to a device */
  observe?: (device: string, event: ModemEvent) => void;
  onError: (error: unknown) => void;
}

/** What went over air and wires so far, for the devices of one alternative. */
export interface Traffic {
  /** short messages, both ways, as the devices saw them */
  sms: number;
  /** bytes of NAS messages as sent, both ways */
  bytes: number;
  /** requests between roles */
  roleMessages: number;
}

export const noTraffic = (): Traffic => ({ sms: 0, bytes: 0, roleMessages: 0 });

export interface World {
  readonly clock: VirtualClock;
  readonly owner: OwnerClient;
  readonly operators: Record<'A' | 'B', OperatorClient>;
  readonly agent: Parties['agent'];
  /** Who takes part, reached by a client of that alternative alone, so that its requests can be counted. */
  parties(alternative: LabAlternative): Parties;
  readonly devices: readonly LabDevice[];
  /** by alternative; what roles ask of each other without saying for which device is not in it */
  readonly traffic: Record<LabAlternative, Traffic>;
  /** requests between roles that no alternative can be made answerable for */
  readonly sharedRoleMessages: () => number;
  /** messages the machine lost, against its promise */
  readonly lost: () => number;
  /** visits of technicians since this process began */
  readonly visits: () => number;
  /** Whose vaults hold the Ki that is in use on a device's card: from their databases, as they are. */
  knowers(device: LabDevice): string[];
  /** what went wrong so far, and how often */
  readonly wrong: FaultCounts;
  /** The device's change has ended: what it says from now on is not counted for it. */
  settled(device: string): void;
  /** From now on things go wrong as the faults say, or no more. */
  setFaults(active: boolean): void;
  /** B's HSS stops answering, or answers again. */
  setTargetDown(down: boolean): void;
  /** Where each HSS listens, and an edge for somebody else who speaks to it: its serving CSCF, `scscf.` in its domain of IMS. */
  readonly hss: Record<'A' | 'B', Endpoint>;
  guest(name: string): Edge;
  /** Lets time pass until `done`. @returns false if nothing could happen any more */
  run(done: () => boolean): Promise<boolean>;
  close(): Promise<void>;
}

/** Makes the world, or nothing: what was begun is ended if the rest cannot be. */
export async function createWorld(options: WorldOptions): Promise<World> {
  const closing: (() => unknown)[] = [];
  let close: (() => Promise<void>) | undefined;
  try {
    return await makeWorld(options, closing, (end) => (close = end));
  } catch (error) {
    await close?.();
    throw error;
  }
}

async function makeWorld(
  options: WorldOptions,
  closing: (() => unknown)[],
  closable: (close: () => Promise<void>) => void,
): Promise<World> {
  const { seed, store, faults } = options;
  const clock = new VirtualClock(store.time ?? START, (to) => store.passing(to));
  // After a resume nothing is drawn that was drawn before.
  const generation = (store.get<number>('generation') ?? -1) + 1;
  store.put('generation', generation);
  const draw = (purpose: string): SeededRandom =>
    seededRandom(seed, generation === 0 ? purpose : `${purpose} ${generation}`);
  const capture: Capture | undefined =
    options.pcap === undefined ? undefined : openCapture(options.pcap, clock, store.resumed);
  const traffic = Object.fromEntries(
    LAB_ALTERNATIVES.map((alternative) => [alternative, noTraffic()]),
  ) as Record<LabAlternative, Traffic>;
  /** whose traffic an address is */
  const byAddress = new Map<string, Traffic>([
    [ADDRESS.escrow, traffic['3b']],
    [ADDRESS.manufacturer, traffic['3a']],
    [ADDRESS.agent, traffic['3b']],
  ]);
  let sharedRoleMessages = 0;
  let visits = 0;
  const wires = new Wires((service, transport, from, to, bytes) => {
    if (service === 'feed') return;
    const whose = byAddress.get(from.address) ?? byAddress.get(to.address);
    if (service === 'gsmtap' && whose) whose.bytes += bytes.length - 16;
    if (service === 'http') {
      // Answers are small and come one at a time: each begins a chunk of its own.
      if (Buffer.from(bytes.subarray(0, 7)).toString('latin1') !== 'HTTP/1.') return;
      if (whose) whose.roleMessages++;
      // What an owner answers to an operator is about his application's data, not about a change.
      else if (from.address !== ADDRESS.owner) sharedRoleMessages++;
      return;
    }
    if (transport === 'udp') capture?.udp(from, to, bytes);
    else if (service === 'diameter' || service === 'smpp' || service === 'gsup') {
      capture?.tcp(service, from, to, bytes);
    }
  });
  const edge = (name: string, address: string): Edge => ({
    clock,
    sockets: wires.of(address),
    random: draw(name),
  });
  const close = async (): Promise<void> => {
    // Goodbyes wait for answers, and answers for time: let it pass until all are gone.
    let closed = false;
    const all = (async () => {
      for (const end of closing.splice(0).reverse()) await end();
    })().finally(() => {
      closed = true;
    });
    await clock.run(
      () => closed,
      () => wires.inFlight(),
      () => wires.moved(),
    );
    await all;
    capture?.close();
  };
  closable(close);
  const random = seededRandom(seed, 'world');

  const { owner, escrow, manufacturer, operators, agent, fleet, hssSockets, ownerEdge } = await createRoles({
    ...options,
    clock,
    wires,
    edge,
    draw,
    random,
    closing,
  });

  /** Things go wrong now. */
  let active = false;
  const wrong: FaultCounts = new Map();
  const badSms = faults.loseSms || faults.duplicateSms || faults.reorder;
  const onLink = draw('link');
  const smscOf = async (name: 'A' | 'B'): Promise<Endpoint> => {
    const { smsc } = operators[name].endpoints;
    if (!badSms) return smsc;
    const link = await createLink({
      clock,
      sockets: wires.of(LINK_ADDRESS[name]),
      at: ANY,
      to: smsc,
      disturb: () => (active ? smsFault(faults, onLink, wrong) : [0]),
    });
    closing.push(() => link.close());
    return link.endpoint;
  };
  const smscs = { A: await smscOf('A'), B: await smscOf('B') };
  const onAir = draw('air');
  const jammed = createJam(draw('jam'));
  const disturb: Disturb = (message, _direction, _device, carriesSms) => {
    if (!active) return [{ afterMs: 0, message }];
    if (faults.jam && jammed(clock.now())) {
      count(wrong, 'jam');
      return [];
    }
    if (!badSms || !carriesSms()) return [{ afterMs: 0, message }];
    return smsFault(faults, onAir, wrong).map((afterMs) => ({ afterMs, message }));
  };

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
  const devices: LabDevice[] = [];

  const visited: Visited = await createVisited({
    edge: edge('visited', ADDRESS.visited),
    plmn: VISITED_PLMN,
    tac: 1,
    realm: epcRealm(VISITED_PLMN),
    originHost: `mme.${epcRealm(VISITED_PLMN)}`,
    cell: ANY,
    watchdogMs: options.patienceMs ?? WATCHDOG,
    peers: (['A', 'B'] as const).flatMap((name) => {
      const { hss, scef } = operators[name].endpoints;
      return [hss, smscs[name], scef].map((endpoint) => ({ realm: epcRealm(PROFILES[name].plmn), endpoint }));
    }),
    rejectWith: (imsi) =>
      faults.cause !== undefined &&
      imsi.startsWith(PROFILES.B.plmn) &&
      devices.some((device) => device.card().list?.trial !== undefined && device.imsi() === imsi)
        ? faults.cause
        : undefined,
    ...(badSms || faults.jam ? { disturb } : {}),
    observe: (event) => {
      if (event.type === 'plainNas') twin(deviceOfPort.get(event.device.port) ?? 0, 'uplink', event.bytes);
    },
  });
  closing.push(() => visited.close());
  closing.push(() => Promise.all(devices.map((device) => device.close())));

  const start = async (made: MadeDevice, n: number): Promise<void> => {
    byAddress.set(deviceAddress(n), traffic[made.alternative]);
    const slot = store.get<string>(insertedSlot(made.name)) ?? 'usim';
    const device = await createLabDevice({
      edge: edge(made.name, deviceAddress(n)),
      made,
      card: fleet.box.find(({ iccid }) => iccid === slot)?.card ?? made.card,
      store: store.card(made.name, slot),
      cell: { plmn: VISITED_PLMN, tac: 1, endpoint: visited.cellEndpoint },
      heartbeatMs: HEARTBEAT,
      cut: () => count(wrong, 'cut-power'),
      observe: (event) => {
        if (event.type === 'plainNas') twin(n, 'downlink', event.bytes);
        else {
          if (event.type === 'sms') byAddress.get(deviceAddress(n))!.sms++;
          options.observe?.(made.name, event);
        }
      },
    });
    deviceOfPort.set(device.endpoint.port, n);
    devices.push(device);
    clock.after(random.next() * POWER_ON, () => device.powerOn());
  };
  for (const [i, made] of fleet.devices.entries()) await start(made, i + 1);
  store.put('state', 'made');

  // The engine's side: the owner's fleet server.
  const clientsAt = (own: Edge): Parties & { operators: Record<'A' | 'B', OperatorClient> } => {
    const clients = {
      owner: createOwnerClient(own, owner.endpoint),
      operators: {
        A: createOperatorClient(own, operators.A.endpoints.api),
        B: createOperatorClient(own, operators.B.endpoints.api),
      },
    };
    const parties = agent
      ? { ...clients, agent: { name: 'agent', client: createOtaAgentClient(own, agent.endpoint) } }
      : clients;
    closing.push(() => closeParties(parties));
    return parties;
  };
  const clients = clientsAt(ownerEdge);
  if (options.alternatives.includes('2')) {
    const technician = createTechnician({
      clock,
      owner: clients.owner,
      random: draw('technician'),
      store,
      devices: new Map(devices.map((device) => [device.made.name, device])),
      box: fleet.box,
      visited: () => visits++,
      onError: options.onError,
    });
    closing.push(() => technician.close());
  }
  const parties = new Map(
    options.alternatives.map((alternative, i) => {
      const address = `10.0.1.${i + 1}`;
      byAddress.set(address, traffic[alternative]);
      return [alternative, clientsAt(edge(`fleet server ${alternative}`, address))];
    }),
  );

  return {
    clock,
    owner: clients.owner,
    operators: clients.operators,
    agent: clients.agent,
    parties: (alternative) => parties.get(alternative)!,
    devices,
    hss: { A: operators.A.endpoints.hss, B: operators.B.endpoints.hss },
    guest: (name) => edge(name, GUEST_ADDRESS),
    traffic,
    wrong,
    sharedRoleMessages: () => sharedRoleMessages,
    visits: () => visits,
    knowers(device) {
      const iccid = device.iccid();
      const k = device.ki();
      const known = [operators.A, operators.B].filter((operator) => operator.knowsKi(iccid, k));
      return [
        ...known.map(({ name }) => name),
        ...(escrow.knowsKi(iccid, k) ? ['escrow'] : []),
        ...(manufacturer.knowsKi(iccid, k) ? ['manufacturer'] : []),
      ];
    },
    lost: () => wires.lost,
    settled(device) {
      const n = devices.findIndex(({ made }) => made.name === device) + 1;
      byAddress.set(deviceAddress(n), noTraffic());
    },
    setFaults(on) {
      if (active === on) return;
      active = on;
      if (!faults.cutPower) return;
      for (const device of devices) {
        if (on) device.cutPower(draw(`power ${device.made.name}`));
        else device.spare();
      }
    },
    setTargetDown: (down) => wires.freeze(hssSockets, down),
    run: (done) =>
      clock.run(
        done,
        () => wires.inFlight(),
        () => wires.moved(),
      ),
    close,
  };
}
