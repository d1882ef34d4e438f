/** `rehome lab`: a fleet is made, attaches to A, is moved to B, and is heard there; then the sums are drawn. */
import { createChangeEngine, type Progress } from '../change/engine.ts';
import { createKiListMethod } from '../change/ki-list/method.ts';
import { followParties } from '../change/parties.ts';
import { openChangeStore } from '../change/store.ts';
import { toHex } from '../standards/bytes/index.ts';
import type { Faults } from './faults.ts';
import { PROFILES } from './operators.ts';
import { seededRandom } from './random.ts';
import { HEARTBEAT, createWorld } from './world.ts';

export interface LabOptions {
  /** only 3b so far */
  alternatives: readonly ['3b'];
  devices: number;
  seed: number;
  faults: Faults;
  /** file to write the capture to */
  pcap?: string;
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

export interface AlternativeResult {
  devices: number;
  moved: number;
  rolledBack: number;
  pristine: number;
  awaitingVisit: number;
  stranded: number;
  smsPerDevice: number;
  airBytesPerDevice: number;
  roleMessagesPerDevice: number;
}

/** The answer of `rehome lab --json`. */
export interface LabResult {
  from: string;
  to: string;
  devices: number;
  moved: number;
  rolledBack: number;
  pristine: number;
  awaitingVisit: number;
  stranded: number;
  /** real seconds, start and end included */
  seconds: number;
  resumed: boolean;
  inDoubt: number;
  effectsRepeated: number;
  alternatives: Record<string, AlternativeResult>;
}

/** Virtual time in which a fleet must have attached before anything is ordered. */
const ATTACH_TIME = 3_600_000;
const DAY = 86_400_000;
const perDevice = (sum: number, devices: number): number => Math.round((100 * sum) / devices) / 100;

export async function runLab(options: LabOptions): Promise<{ result: LabResult; complete: boolean }> {
  const began = performance.now();
  const { devices, seed } = options;
  const reasons = new Map<string, string>();
  const switched = new Map<string, number>();
  const errors: unknown[] = [];
  const world = await createWorld({
    devices,
    seed,
    faults: options.faults,
    ...(options.pcap === undefined ? {} : { pcap: options.pcap }),
    onError: (error) => errors.push(error),
    observe: (device, event) => {
      if (event.type === 'refresh') switched.set(device, (switched.get(device) ?? 0) + 1);
    },
  });
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
  const heardSince = (device: string, since: number): string | undefined => {
    const last = heard.get(device);
    return last && last.at >= since ? last.operator : undefined;
  };

  stage(`${devices} devices with a card of ${PROFILES.A.serviceProviderName} come on the air`);
  await world.run(() => heard.size === devices || clock.now() > start + ATTACH_TIME);
  stage(`${heard.size} of ${devices} heard over A; their owner orders them to B by 3b`);

  const store = openChangeStore(':memory:');
  let ended = 0;
  let lateUntil: number | undefined;
  const observe = (progress: Progress): void => {
    if (progress.why !== undefined && (progress.outcome === 'back' || !reasons.has(progress.device))) {
      reasons.set(progress.device, progress.why);
    }
    if (options.faults.targetDown === 'late' && progress.next === 'switch' && lateUntil === undefined) {
      lateUntil = clock.now() + DAY;
      world.setTargetDown(true);
      stage('the HSS of B stops answering, for a day');
      clock.after(DAY, () => {
        world.setTargetDown(false);
        stage('the HSS of B answers again');
      });
    }
    if (progress.state === undefined) return;
    ended++;
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
  const parties = { owner, operators: world.operators };
  const engine = createChangeEngine({
    clock,
    store,
    methods: [createKiListMethod({ clock, parties })],
    observe,
  });
  const following = followParties(parties, store, engine);
  if (options.faults.targetDown === 'always') world.setTargetDown(true);
  const before = { ...world.air, roleMessages: world.roleMessages() };
  const names = seededRandom(seed, 'changes');
  const requests = world.fleet.devices.map(({ name }) => ({
    change: toHex(names.bytes(8)),
    device: name,
    to: 'B',
    alternative: '3b' as const,
  }));
  for (let i = 0; i < requests.length; i += 500) {
    const some = requests.slice(i, i + 500);
    const orders = await owner.order(some);
    store.enqueue(
      some.map((request, j) => ({ ...request, from: 'A', data: { order: orders[j]! } })),
      clock.now(),
    );
    engine.wake();
  }
  await world.run(() => store.counts().live === 0);
  const after = { ...world.air, roleMessages: world.roleMessages() };

  // The state machine's opinion is not asked: who is not heard now is stranded.
  stage('every change has ended; is every device heard?');
  if (lateUntil !== undefined) await world.run(() => clock.now() > lateUntil!);
  const asked = clock.now();
  await world.run(
    () =>
      clock.now() > asked + 3 * HEARTBEAT ||
      world.fleet.devices.every(({ name }) => heardSince(name, asked) !== undefined),
  );
  let moved = 0;
  let rolledBack = 0;
  let stranded = 0;
  let awaitingVisit = 0;
  let effectsRepeated = 0;
  for (const { change, device } of requests) {
    const over = heardSince(device, asked);
    const state = store.state(change)!.state;
    const effects = switched.get(device) ?? 0;
    if (over === undefined) stranded++;
    else if (state === 'done' && over === 'B') moved++;
    else if (state === 'rolledBack' && over === 'A') rolledBack++;
    else if (state === 'awaitingVisit' && over === 'A') awaitingVisit++;
    else stranded++;
    // A change resets the card once, its way back once more; anything beyond was done twice.
    effectsRepeated += Math.max(0, effects - (state === 'done' ? 1 : 2));
  }
  following.close();
  listening.close();
  await engine.close();
  const { live } = store.counts();
  const inDoubt = store.inDoubt;
  store.close();
  await world.close();
  if (errors.length > 0) throw errors[0];

  const alternative: AlternativeResult = {
    devices,
    moved,
    rolledBack,
    pristine: 0,
    awaitingVisit,
    stranded,
    smsPerDevice: perDevice(after.sms - before.sms, devices),
    airBytesPerDevice: perDevice(after.bytes - before.bytes, devices),
    roleMessagesPerDevice: perDevice(after.roleMessages - before.roleMessages, devices),
  };
  const { smsPerDevice: _s, airBytesPerDevice: _a, roleMessagesPerDevice: _r, ...sums } = alternative;
  return {
    complete: live === 0 && stranded === 0 && effectsRepeated === 0,
    result: {
      from: PROFILES.A.plmn,
      to: PROFILES.B.plmn,
      ...sums,
      seconds: Math.round(performance.now() - began) / 1000,
      resumed: false,
      inDoubt,
      effectsRepeated,
      alternatives: { '3b': alternative },
    },
  };
}
