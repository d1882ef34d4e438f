/** `rehome lab`: a fleet is made, attaches to A, is moved to B, and is heard there; then the sums are drawn. */
import { createChangeEngine, type Progress } from '../change/engine.ts';
import { METHODS } from '../change/methods.ts';
import { followParties, type Parties } from '../change/parties.ts';
import { openChangeStore } from '../change/store.ts';
import { toHex } from '../standards/bytes/index.ts';
import type { Faults } from './faults.ts';
import type { CardClass, LabAlgorithm, LabAlternative, LabVariant } from './fleet.ts';
import { PROFILES } from './operators.ts';
import { seededRandom } from './random.ts';
import { isDiskFull, noStore, type LabStore } from './store.ts';
import { judge, type Tally } from './verdict.ts';
import type { LabKeeper } from './roles.ts';
import { HEARTBEAT, createWorld, noTraffic, type Traffic, type World } from './world.ts';

export interface LabOptions {
  alternatives: readonly LabAlternative[];
  /** of the cards without a key list; milenage if not given */
  algorithm?: LabAlgorithm;
  devices: number;
  /** of 3b: its variants that are run; none if not given */
  variants?: readonly LabVariant[];
  seed: number;
  faults: Faults;
  /** file to write the capture to */
  pcap?: string;
  /** where the world outlives this process; nowhere if not given */
  store?: LabStore;
  /** another HSS keeps an operator's subscribers */
  keeper?: LabKeeper;
  /** milliseconds after which links and readers with nothing to do are seen to; as the world has it if not given */
  patienceMs?: number;
  /** called when every change has ended, before the devices are asked whether they are heard */
  beforeVerdict?: (world: World) => void;
  tell: (line: LabLine) => void;
}

/** What the lab tells as it happens; `at` is virtual seconds since its start. */
export type LabLine =
  | { type: 'stage'; at: number; text: string }
  | {
      type: 'ended';
      at: number;
      device: string;
      state: string;
      why?: string;
      ended: number;
      devices: number;
    };

export interface AlternativeResult extends Tally {
  /** of 3a: how many cards cannot fall back by themselves, and how many can */
  cards?: { plain: number; fallback: number };
  /** of those that can: how many have a certified key agreement key, so that A cannot follow */
  hardened?: number;
  smsPerDevice: number;
  airBytesPerDevice: number;
  roleMessagesPerDevice: number;
}

/** The answer of `rehome lab --json`. */
export interface LabResult extends Tally {
  from: string;
  to: string;
  /** real seconds, start and end included */
  seconds: number;
  resumed: boolean;
  inDoubt: number;
  effectsRepeated: number;
  alternatives: Record<string, AlternativeResult>;
}

/** What the owner wants of a device. */
interface Request {
  change: string;
  device: string;
  to: string;
  alternative: LabAlternative;
}

/** Virtual time in which a fleet must have attached before anything is ordered. */
const ATTACH_TIME = 3_600_000;
const DAY = 86_400_000;
/** Real milliseconds between two times that the sums so far are written down. */
const SAVE_EVERY = 200;
/** Of an alternative that had no device: 0. */
const perDevice = (sum: number, devices: number): number =>
  devices === 0 ? 0 : Math.round((100 * sum) / devices) / 100;

/** What went over air and wires since the orders. */
interface Sums {
  traffic: Record<string, Traffic>;
  shared: number;
  /** visits of technicians */
  visits: number;
}

const plus = (a: Traffic, b: Traffic, sign = 1): Traffic => ({
  sms: a.sms + sign * b.sms,
  bytes: a.bytes + sign * b.bytes,
  roleMessages: a.roleMessages + sign * b.roleMessages,
});

export interface LabRun {
  result: LabResult;
  /** nothing is stranded, every change has ended, nothing was done twice */
  complete: boolean;
  /** visits that people had to make */
  visits: Record<string, number>;
  /** by alternative: who knows the Ki in use on how many devices, as `A+B`: 3 */
  knowers: Record<string, Record<string, number>>;
}

export async function runLab(options: LabOptions): Promise<LabRun> {
  const closing: (() => unknown)[] = [];
  try {
    return await run(options, closing);
  } finally {
    for (const close of closing.reverse()) await close();
  }
}

/** @param closing what is to be closed at the end, or at a failure, the last first */
async function run(options: LabOptions, closing: (() => unknown)[]): Promise<LabRun> {
  const began = performance.now();
  const { devices, seed, alternatives } = options;
  const kept = options.store ?? noStore();
  const reasons = new Map<string, string>();
  const errors: unknown[] = [];
  /** nothing that happens from now on could be kept */
  let full = false;
  const world = await createWorld({
    devices,
    alternatives,
    ...(options.algorithm && { algorithm: options.algorithm }),
    seed,
    faults: options.faults,
    store: kept,
    ...(options.pcap === undefined ? {} : { pcap: options.pcap }),
    ...(options.keeper && { keeper: options.keeper }),
    ...(options.patienceMs === undefined ? {} : { patienceMs: options.patienceMs }),
    escrowApart: options.variants?.includes('escrow') ?? false,
    agent: options.variants?.includes('agent') ?? false,
    onError(error) {
      errors.push(error);
      if (isDiskFull(error)) full = true;
    },
  });
  closing.push(() => world.close());
  const { clock, owner } = world;
  const start = clock.now();
  const at = (): number => (clock.now() - start) / 1000;
  const stage = (text: string): void => options.tell({ type: 'stage', at: at(), text });

  // Over which operator each device was last heard, as its owner's application knows.
  const heard = new Map<string, { operator: string; at: number }>();
  const listening = owner.follow(0, (events) => {
    for (const event of events) {
      if (event.kind === 'heard')
        heard.set(String(event.device), { operator: String(event.operator), at: event.at });
    }
  });
  closing.push(() => listening.close());
  const heardSince = (device: string, since: number): string | undefined => {
    const last = heard.get(device);
    return last && last.at > since ? last.operator : undefined;
  };

  const store = openChangeStore(kept.engine);
  closing.push(() => store.close());
  const fresh = !kept.resumed || store.counts().total === 0;
  if (fresh) {
    stage(`${devices} devices with a card of ${PROFILES.A.serviceProviderName} come on the air`);
    await world.run(() => heard.size === devices || clock.now() > start + ATTACH_TIME);
    stage(
      `${heard.size} of ${devices} heard over A; their owner orders them to B by ${alternatives.join(', ')}`,
    );
  } else {
    stage(`the world goes on: ${store.inDoubt} changes were in doubt`);
  }

  const names = seededRandom(seed, 'changes');
  const requests: Request[] = world.devices.map(({ made }) => ({
    change: toHex(names.bytes(8)),
    device: made.name,
    to: 'B',
    alternative: made.alternative,
  }));
  /** those that came back when B fell silent are ordered once more */
  const again = kept.get<Request[]>('again') ?? [];
  /** The device's last change. */
  const lastOf = (device: string): string =>
    [...requests, ...again].findLast((each) => each.device === device)!.change;
  const hasEnded = (change: string): boolean => (store.state(change)?.state ?? 'live') !== 'live';
  let ended = requests.filter(({ device }) => hasEnded(lastOf(device))).length;
  let lateUntil = kept.get<number>('late until');
  const late = (until: number): void => {
    lateUntil = until;
    kept.put('late until', until);
    world.setTargetDown(true);
    stage('the HSS of B stops answering, for a day');
    clock.after(until - clock.now(), () => {
      world.setTargetDown(false);
      stage('the HSS of B answers again');
    });
  };
  if (lateUntil !== undefined && lateUntil > clock.now()) late(lateUntil);
  const observe = (progress: Progress): void => {
    if (progress.why !== undefined && (progress.outcome === 'back' || !reasons.has(progress.device))) {
      reasons.set(progress.device, progress.why);
    }
    if (options.faults.targetDown === 'late' && progress.next === 'switch' && lateUntil === undefined) {
      late(clock.now() + DAY);
    }
    if (progress.state === undefined) return;
    ended++;
    const comesBack = lateUntil !== undefined && progress.state === 'rolledBack' && again.length === 0;
    if (!comesBack) world.settled(progress.device);
    const why = progress.state === 'done' ? undefined : reasons.get(progress.device);
    options.tell({
      type: 'ended',
      at: at(),
      device: progress.device,
      state: progress.state,
      ended,
      devices,
      ...(why === undefined ? {} : { why }),
    });
  };
  const parties: Parties = {
    owner,
    operators: world.operators,
    ...(world.agent && { agent: world.agent }),
  };
  const engine = createChangeEngine({
    clock,
    store,
    methods: alternatives.map((each) => METHODS[each]({ clock, parties: world.parties(each) })),
    observe,
  });
  closing.push(() => engine.close());
  const following = followParties(parties, store, engine);
  closing.push(() => following.close());
  if (options.faults.targetDown === 'always') world.setTargetDown(true);
  const earlier = kept.get<Sums>('sums');
  const atOrder = { traffic: structuredClone(world.traffic), shared: world.sharedRoleMessages() };
  const sumsNow = (): Sums => ({
    traffic: Object.fromEntries(
      alternatives.map((each) => [
        each,
        plus(earlier?.traffic[each] ?? noTraffic(), plus(world.traffic[each], atOrder.traffic[each], -1)),
      ]),
    ),
    shared: (earlier?.shared ?? 0) + world.sharedRoleMessages() - atOrder.shared,
    visits: (earlier?.visits ?? 0) + world.visits(),
  });
  for (const { device } of requests) if (hasEnded(lastOf(device))) world.settled(device);
  world.setFaults(true);
  /** Orders those that are not ordered yet, and lets time pass until all have ended. */
  const order = async (all: readonly Request[]): Promise<void> => {
    const open = all.filter(({ change }) => store.state(change) === undefined);
    for (let i = 0; i < open.length; i += 500) {
      const some = open.slice(i, i + 500);
      const orders = await owner.order(
        some.map((request) => ({
          ...request,
          ...(parties.agent && request.alternative === '3b' ? { agent: parties.agent.name } : {}),
        })),
      );
      store.enqueue(
        some.map((request, j) => ({ ...request, from: 'A', data: { order: orders[j]! } })),
        clock.now(),
      );
      engine.wake();
    }
    let saved = performance.now();
    await world.run(() => {
      if (performance.now() > saved + SAVE_EVERY) {
        kept.put('sums', sumsNow());
        saved = performance.now();
      }
      return full || ended >= devices;
    });
    if (full) throw errors.find(isDiskFull);
  };
  await order([...requests, ...again]);
  const cameBack = requests.filter(({ change }) => store.state(change)?.state === 'rolledBack');
  if (lateUntil !== undefined && again.length === 0 && cameBack.length > 0) {
    await world.run(() => clock.now() > lateUntil!);
    stage(`their owner orders the ${cameBack.length} that came back once more`);
    again.push(...cameBack.map((each) => ({ ...each, change: toHex(names.bytes(8)) })));
    kept.put('again', again);
    ended -= again.length;
    await order(again);
  }
  world.setFaults(false);
  if (world.wrong.size > 0) {
    stage(`went wrong: ${[...world.wrong].map(([fault, times]) => `${fault} ${times}×`).join(', ')}`);
  }
  const total = sumsNow();
  kept.put('sums', total);

  // The state machine's opinion is not asked: who is not heard now is stranded.
  stage('every change has ended; is every device heard?');
  options.beforeVerdict?.(world);
  if (lateUntil !== undefined) await world.run(() => clock.now() > lateUntil!);
  const asked = clock.now();
  await world.run(
    () =>
      clock.now() > asked + 3 * HEARTBEAT ||
      world.devices.every(({ made }) => heardSince(made.name, asked) !== undefined),
  );
  const outcomes = requests.map(({ device }, i) => ({
    state: store.state(lastOf(device))!.state,
    heardOver: heardSince(device, asked),
    // There and back once, where it was ordered twice.
    switches: Math.max(
      0,
      world.devices[i]!.switches - (again.some((each) => each.device === device) ? 2 : 0),
    ),
  }));
  const { tally, effectsRepeated } = judge(outcomes, 'A', 'B');
  const { live } = store.counts();
  const inDoubt = store.inDoubt;
  const knowers: LabRun['knowers'] = {};
  for (const device of world.devices) {
    const known = (knowers[device.made.alternative] ??= {});
    const who = world.knowers(device).join('+') || 'nobody';
    known[who] = (known[who] ?? 0) + 1;
  }
  kept.put('state', 'finished');
  if (errors.length > 0) throw errors[0];

  const results = alternatives.map((name): [string, AlternativeResult] => {
    const own = world.devices.map(({ made }) => made).map((made, i) => ({ made, outcome: outcomes[i]! }));
    const mine = own.filter(({ made }) => made.alternative === name);
    const count = mine.length;
    const sums = total.traffic[name]!;
    const ofClass = (cardClass: CardClass): number =>
      mine.filter(({ made }) => made.class === cardClass).length;
    const hardened = ofClass('hardened');
    const cards = { plain: ofClass('plain'), fallback: ofClass('fallback') + hardened };
    return [
      name,
      {
        ...judge(
          mine.map(({ outcome }) => outcome),
          'A',
          'B',
        ).tally,
        smsPerDevice: perDevice(sums.sms, count),
        airBytesPerDevice: perDevice(sums.bytes, count),
        roleMessagesPerDevice: perDevice(sums.roleMessages + (total.shared * count) / devices, count),
        ...(name === '3a' ? { cards, hardened } : {}),
      },
    ];
  });
  return {
    complete: live === 0 && tally.stranded === 0 && effectsRepeated === 0,
    visits: { '2': total.visits },
    knowers,
    result: {
      from: PROFILES.A.plmn,
      to: PROFILES.B.plmn,
      ...tally,
      seconds: Math.round(performance.now() - began) / 1000,
      resumed: kept.resumed,
      inDoubt,
      effectsRepeated,
      alternatives: Object.fromEntries(results),
    },
  };
}
