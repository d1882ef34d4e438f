/**
 * The invariants of a change of operator (docs/guarantees.md), watched while a small fleet changes under a random
 * plan of faults. What is watched is not what the engine believes: it is the cards, the databases of A and B, and what
 * the owner's application heard.
 */
import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import type { ChangeMethod, Outcome } from '../../src/change/change.ts';
import { createChangeEngine } from '../../src/change/engine.ts';
import { createKiListMethod } from '../../src/change/ki-list/method.ts';
import { createKiTransferMethod } from '../../src/change/ki-transfer/method.ts';
import { followParties, type Parties } from '../../src/change/parties.ts';
import { openChangeStore } from '../../src/change/store.ts';
import { createSwapMethod } from '../../src/change/swap/method.ts';
import type { LabDevice } from '../../src/lab/device.ts';
import { TRIAL_CAUSES, parseFaults } from '../../src/lab/faults.ts';
import { noStore } from '../../src/lab/store.ts';
import { HEARTBEAT, createWorld, type World } from '../../src/lab/world.ts';
import { epcRealm } from '../../src/network/operator/profile.ts';
import { createDiameterNode } from '../../src/network/wire/diameter.ts';
import {
  APPLICATION,
  EXPERIMENTAL_RESULT,
  RAT_TYPE,
  readAnswer,
  requestOf,
  resultOf,
  updateLocation,
} from '../../src/standards/diameter/index.ts';
import { intrude } from './intruder.ts';
import { leftBehind, type Databases } from './left-behind.ts';

/** A time in which something is wrong, in minutes from the orders. */
interface Spell {
  at: number;
  minutes: number;
}

/** What happens in one run. */
export interface Plan {
  alternative: '2' | '3a' | '3b';
  devices: number;
  seed: number;
  trialMinutes: number;
  commitOnAka: boolean;
  escrowApart: boolean;
  agent: boolean;
  /** on the air and to the devices */
  faults: readonly string[];
  bad: readonly Spell[];
  /** B's HSS does not answer */
  down: readonly Spell[];
  /** B's subscriptions are refused with this cause */
  refused: readonly (Spell & { cause: number })[];
  /** of 2: the first device's visit is called off so many minutes after the orders, unless it was made */
  recalled?: number | undefined;
}

/** What is broken on purpose in a run. */
export interface Spoil {
  /** puts something else in the place of a method */
  method?: (method: ChangeMethod) => ChangeMethod;
  /** or of those whom it asks */
  parties?: (parties: Parties) => Parties;
  /** the stranger's order for the last device counts */
  trusting?: boolean;
  /** called when all changes have ended, before it is looked at what they left */
  atEnd?: (databases: Databases) => void;
}

const MINUTE = 60_000;
const DAY = 1440;
/** All changes have ended after so many days, or something hangs. */
const DAYS = 200;

const spell = (longest: number): fc.Arbitrary<Spell> =>
  fc.record({ at: fc.integer({ min: 0, max: 360 }), minutes: fc.integer({ min: 1, max: longest }) });

const plans: fc.Arbitrary<Plan> = fc.record({
  alternative: fc.constantFrom('2' as const, '3a' as const, '3b' as const),
  devices: fc.integer({ min: 3, max: 5 }),
  seed: fc.integer({ min: 1, max: 1_000_000 }),
  trialMinutes: fc.integer({ min: 15, max: 180 }),
  commitOnAka: fc.boolean(),
  escrowApart: fc.boolean(),
  agent: fc.boolean(),
  faults: fc.subarray(['lose-sms', 'duplicate-sms', 'reorder', 'cut-power', 'jam']),
  bad: fc.array(spell(DAY), { maxLength: 3 }),
  down: fc.array(spell(DAY), { maxLength: 2 }),
  refused: fc.array(
    fc.tuple(spell(600), fc.constantFrom(...TRIAL_CAUSES)).map(([each, cause]) => ({ ...each, cause })),
    { maxLength: 2 },
  ),
  recalled: fc.option(fc.integer({ min: 0, max: 600 }), { nil: undefined }),
});

let runs = 0;

/**
 * Runs a plan. The last device is ordered nowhere, though somebody tries.
 * @param spoil what is broken on purpose, to see that it is found out
 * @returns what was broken, each with the virtual minute in which it was seen; nothing if all held
 */
export async function broken(plan: Plan, spoil: Spoil = {}): Promise<string[]> {
  const run = ++runs;
  const file = (part: string): string => `file:invariants-${run}-${part}?mode=memory&cache=shared`;
  const faults = parseFaults(plan.faults);
  const found: string[] = [];
  const world = await createWorld({
    devices: plan.devices,
    alternatives: [plan.alternative],
    seed: plan.seed,
    faults,
    escrowApart: plan.escrowApart,
    agent: plan.agent,
    store: { ...noStore(), file },
    patienceMs: DAY * MINUTE,
    onError: (error) => found.push(`an error: ${String(error)}`),
  });
  const { clock } = world;
  /** after so many minutes from the orders nothing is wrong any more */
  const last = Math.max(
    0,
    ...[...plan.bad, ...plan.down, ...plan.refused].map(({ at, minutes }) => at + minutes),
  );
  const store = openChangeStore(':memory:');
  const { agent } = world;
  const honest: Parties = { owner: world.owner, operators: world.operators, ...(agent && { agent }) };
  const parties = spoil.parties?.(honest) ?? honest;
  const made = {
    '2': () => createSwapMethod({ parties }),
    '3a': () => createKiTransferMethod({ clock, parties, trialSeconds: 60 * plan.trialMinutes }),
    '3b': () =>
      createKiListMethod({
        clock,
        parties,
        trialSeconds: 60 * plan.trialMinutes,
        commitOnAka: plan.commitOnAka,
      }),
  };
  /** Somebody calls the first device's visit off. */
  const recalling = (method: ChangeMethod): ChangeMethod => ({
    ...method,
    async run(step, changes) {
      const outcomes = await method.run(step, changes);
      if (plan.alternative !== '2' || step !== 'deliver' || plan.recalled === undefined) return outcomes;
      const at = ordered + plan.recalled * MINUTE;
      return outcomes.map((outcome, i): Outcome => {
        if (changes[i]!.device !== world.devices[0]!.made.name || outcome.go !== 'wait') return outcome;
        if (clock.now() < at) return { ...outcome, until: Math.min(outcome.until, at) };
        return { go: 'back', why: 'called off', ...(outcome.data && { data: outcome.data }) };
      });
    },
  });
  const states = new Map<string, string>();
  const method = made[plan.alternative]();
  const engine = createChangeEngine({
    clock,
    store,
    methods: [recalling(spoil.method?.(method) ?? method)],
    observe: ({ change, state }) => {
      if (state) states.set(change, state);
      watch();
    },
  });
  const following = followParties(parties, store, engine);
  const opened = {
    A: new DatabaseSync(file('operator-A')),
    B: new DatabaseSync(file('operator-B')),
    owner: new DatabaseSync(file('owner')),
    escrow: new DatabaseSync(file('escrow')),
  };
  const stateOf = {
    A: opened.A.prepare('SELECT state FROM subscriber WHERE imsi = ?'),
    B: opened.B.prepare('SELECT state FROM subscriber WHERE imsi = ?'),
  };
  const heardOf = opened.owner.prepare('SELECT heard_over, heard_at FROM device WHERE device = ?');
  let ordered = Infinity;
  const seen = new Set<string>();
  const wrong = (device: LabDevice | undefined, what: string): void => {
    const name = device ? `${device.made.name} (${device.made.class}): ` : '';
    if (seen.has(name + what)) return;
    seen.add(name + what);
    found.push(`minute ${Math.round((clock.now() - ordered) / MINUTE)}: ${name}${what}`);
  };
  const plmn = { A: '00101', B: '00102' };
  const alive = (operator: 'A' | 'B', imsi: string): boolean =>
    stateOf[operator].get(imsi)?.state === 'ready';
  const operatorOf = (imsi: string | undefined): 'A' | 'B' | undefined =>
    imsi?.startsWith(plmn.A) ? 'A' : imsi?.startsWith(plmn.B) ? 'B' : undefined;

  /** Make before break, and nobody without an order, at this very moment. */
  const watch = (): void => {
    world.devices.forEach((device, i) => {
      const old = device.made.card.usim.imsi;
      const imsi = device.imsi();
      const at = operatorOf(imsi);
      const trial = device.card().list?.trial;
      if (i === world.devices.length - 1 && (imsi !== old || !alive('A', old))) {
        wrong(device, 'it moved, and nobody ordered it');
      }
      if (at === undefined) wrong(device, 'its card has nobody’s IMSI');
      else if (!trial && !alive(at, imsi!)) {
        const lost = `it lives on ${at}, where its subscription is not`;
        // A technician whose visit was called off on his way puts the old card back when his scan is refused.
        if (plan.alternative !== '2') wrong(device, lost);
        else {
          clock.after(2 * MINUTE, () => {
            if (device.imsi() === imsi && !alive(at, imsi!)) wrong(device, lost);
          });
        }
      }
      if (alive('A', old)) return;
      if (trial) wrong(device, 'A’s subscription is gone, and its trial is not over');
      if (at === 'A' && imsi === old) wrong(device, 'A’s subscription is gone, and it lives on it');
      if (heardOf.get(device.made.name)?.heard_over !== 'B') {
        wrong(device, 'A’s subscription is gone, and its application was not heard over B');
      }
    });
  };

  const until = async (holds: () => boolean, minutes: number): Promise<boolean> => {
    let over = false;
    const timer = clock.after(minutes * MINUTE, () => (over = true));
    await world.run(() => over || holds());
    timer.cancel();
    return holds();
  };
  const ask = async <T>(work: Promise<T>): Promise<T> => {
    let done = false;
    const settled = work.finally(() => (done = true));
    settled.catch(() => undefined);
    await world.run(() => done);
    return settled;
  };
  /** From minute to minute, then more seldom. */
  const look = (): void => {
    watch();
    const minutes = (clock.now() - ordered) / MINUTE;
    clock.after((minutes < DAY ? 10 : minutes < 3 * DAY ? 60 : 360) * MINUTE, look);
  };
  const during = (spells: readonly Spell[], begin: (i: number) => void, end: () => void): void => {
    spells.forEach(({ at, minutes }, i) => {
      clock.after(at * MINUTE, () => begin(i));
      clock.after((at + minutes) * MINUTE, () => {
        const now = (clock.now() - ordered) / MINUTE;
        // Spells may overlap: it is over when the last of them is.
        if (!spells.some((other) => other.at <= now && now < other.at + other.minutes)) end();
      });
    });
  };

  try {
    await until(() => false, 5);
    const leaving = world.devices.slice(0, -1).map(({ made: { name } }, i) => ({
      change: (i + 1).toString(16).padStart(16, '0'),
      device: name,
      to: 'B',
      alternative: plan.alternative,
      ...(agent && plan.alternative === '3b' && { agent: agent.name }),
    }));
    const orders = await ask(world.owner.order(leaving));
    ordered = clock.now();
    during(
      plan.bad,
      () => world.setFaults(true),
      () => world.setFaults(false),
    );
    during(
      plan.down,
      () => world.setTargetDown(true),
      () => world.setTargetDown(false),
    );
    during(
      plan.refused,
      (i) => (faults.cause = plan.refused[i]!.cause),
      () => delete faults.cause,
    );
    look();
    store.enqueue(
      leaving.map(({ change, device, to, alternative }, i) => ({
        change,
        device,
        from: 'A',
        to,
        alternative,
        data: { order: orders[i]! },
      })),
      clock.now(),
    );
    engine.wake();
    const idle = world.devices.at(-1)!;
    const orderFor = async (alternative: string): Promise<string> =>
      (
        await ask(
          world.owner.order([
            {
              change: 'ff'.repeat(8),
              device: idle.made.name,
              to: 'B',
              alternative,
              ...(agent && { agent: agent.name }),
            },
          ]),
        )
      )[0]!;
    const trusted = spoil.trusting ? await orderFor(plan.alternative) : undefined;
    const tried = intrude(world, plan.alternative, await orderFor('1b'), orders[0]!, trusted);
    for (const what of await ask(tried)) wrong(idle, what);
    if (!(await until(() => states.size === leaving.length, DAYS * DAY))) {
      wrong(undefined, `${leaving.length - states.size} changes have not ended after ${DAYS} days`);
    }
    const left = last + 60 - (clock.now() - ordered) / MINUTE;
    if (left > 0) await until(() => false, left);
    const from = clock.now();
    await until(
      () => world.devices.every(({ made: { name } }) => Number(heardOf.get(name)?.heard_at) > from),
      // A modem that was refused an area leaves it alone for a day (TS 24.301 §5.5.1.2.5, cause 12).
      DAY + (4 * HEARTBEAT) / MINUTE,
    );
    watch();
    spoil.atEnd?.(opened);
    leaving.forEach(({ change }, i) => {
      const device = world.devices[i]!;
      const state = states.get(change) ?? 'live';
      const heard = heardOf.get(device.made.name);
      const where = Number(heard?.heard_at) > from ? String(heard?.heard_over) : 'nobody';
      const expected = state === 'done' ? 'B' : 'A';
      if (where !== expected) wrong(device, `it is ${state}, and heard over ${where}`);
      if (state === 'awaitingVisit' && device.hasTrial) wrong(device, 'it awaits a visit');
      // A swap is another card; all others take another IMSI once, and once more on the way back.
      const most = plan.alternative === '2' ? 0 : state === 'done' ? 1 : 2;
      if (device.switches > most)
        wrong(device, `it is ${state}, and changed its IMSI ${device.switches} times`);
      const left = leftBehind(opened, plan.alternative, change, device, state, world.knowers(device));
      for (const what of left) wrong(device, what);
    });
    for (const [i, { change }] of leaving.entries()) {
      const device = world.devices[i]!;
      if (plan.alternative !== '2' || states.get(change) !== 'done') continue;
      if (!(await ask(refusesElsewhere(world, device.imsi()!, idle.made.imei)))) {
        wrong(device, 'its card attaches in another device');
      }
    }
  } finally {
    following.close();
    await engine.close();
    store.close();
    await world.close();
    for (const each of Object.values(opened)) each.close();
  }
  return found;
}

/** Whether B's HSS refuses the location of a subscription whose card is in that other device. */
async function refusesElsewhere(world: World, imsi: string, imei: string): Promise<boolean> {
  const realm = epcRealm('00103');
  const home = epcRealm('00102');
  const node = await createDiameterNode({
    edge: world.guest('another mme'),
    originHost: `mme2.${realm}`,
    originRealm: realm,
    applications: [APPLICATION.s6a],
    peers: [{ realm: home, endpoint: world.hss.B }],
    handle: () => {
      throw new Error('it is asked nothing');
    },
  });
  const answer = await node.request(
    requestOf(updateLocation, {
      sessionId: node.sessionId(),
      originHost: node.originHost,
      originRealm: realm,
      destinationRealm: home,
      userName: imsi,
      ratType: RAT_TYPE.eutran,
      ulrFlags: 0x22,
      visitedPlmnId: '00103',
      terminalInformation: { imei: imei.slice(0, 14) },
    }),
  );
  await node.close();
  return resultOf(readAnswer(updateLocation, answer)) === EXPERIMENTAL_RESULT.roamingNotAllowed;
}

/** Nothing is broken in so many random plans. */
export async function holds(runs: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(plans, async (plan) => {
      assert.deepEqual(await broken(plan), []);
    }),
    // A failure is told as it is: to shrink a plan would take hours.
    { numRuns: runs, endOnFailure: true },
  );
}
