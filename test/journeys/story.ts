/** What a journey is told with: a world, and a way to move one device and ask where it is heard. */
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { DatabaseSync } from 'node:sqlite';
import type { Alternative, Step } from '../../src/change/change.ts';
import { createChangeEngine, type Progress } from '../../src/change/engine.ts';
import { createKiListMethod, type KiListOptions } from '../../src/change/ki-list/method.ts';
import { createSwapMethod } from '../../src/change/swap/method.ts';
import { createKiTransferMethod, type KiTransferOptions } from '../../src/change/ki-transfer/method.ts';
import { followParties, type Parties } from '../../src/change/parties.ts';
import { openChangeStore } from '../../src/change/store.ts';
import type { LabDevice } from '../../src/lab/device.ts';
import { parseFaults, type Faults } from '../../src/lab/faults.ts';
import { noStore, type LabStore } from '../../src/lab/store.ts';
import { HEARTBEAT, createWorld, type World } from '../../src/lab/world.ts';

export const MINUTES_A_DAY = 24 * 60;

/** What became of a change. */
export interface Told {
  /** `live`: nothing yet */
  state: string;
  /** why it turned back */
  why: string | undefined;
  /** steps that held, in order */
  steps: string[];
}

/** A change, and whose device it moves where. */
export interface Ordered {
  /** the engine's name for it, and the owner's signed word */
  change: string;
  order: string;
  device: string;
  from: string;
  to: string;
  alternative: Alternative;
}

export interface Story {
  world: World;
  faults: Faults;
  /** short messages of the last move */
  sms: number;
  /** told as a change goes */
  on: (progress: Progress) => void;
  /** By the alternative of the setting, if no other is given. */
  move(device: string, from: string, to: string, alternative?: Alternative): Promise<Told>;
  /** The owner orders a device; nothing happens yet. */
  order(device: string, from: string, to: string, alternative?: Alternative): Promise<Ordered>;
  /** Changes begin, all at once. */
  begin(...ordered: Ordered[]): void;
  /** Where a change stands; state `live` until it has ended. */
  standing(change: string): { step: Step; state: string };
  /** Lets time pass until the change has ended, for so many days at most. */
  ending(change: string, days?: number): Promise<Told>;
  /** Lets time pass until something holds, for so many minutes at most. @returns whether it does */
  until(holds: () => boolean, minutes: number): Promise<boolean>;
  /** Requests to roles are answered while time may pass. */
  ask<T>(work: Promise<T>): Promise<T>;
  /** over which operator its application was heard last; null if not within the last two heartbeats */
  heard(device: string): Promise<{ operator: string; imsi: string } | null>;
  device(name: string): LabDevice;
  /** Looks into an operator's database: of a long story. */
  rows(operator: 'A' | 'B', query: string): Record<string, unknown>[];
  /** How many short messages an operator's service centre was ever given: of a long story. */
  submitted(operator: 'A' | 'B'): number;
  pass(minutes: number): Promise<void>;
  end(): Promise<void>;
}

/** Where a story is set. */
export interface Setting {
  /** for which the fleet is made; 3b if not given */
  alternative?: '2' | '3a' | '3b';
  /** of 3b: who keeps the lists is not the manufacturer; who switches the cards is neither A nor B */
  variants?: { escrowApart?: boolean; agent?: boolean };
  /** none if not given: nothing outlives the story */
  store?: LabStore;
  pcap?: string;
  /** what operators do when a card turns up in another device than its own; they refuse it if not given */
  onAlarm?: 'refuse' | 'suspend';
  /** what the fleet server gets to hear of the others; as they say it if not given */
  hearing?: (parties: Parties) => Parties;
  /** weeks will pass: nothing idle is seen to every quarter of an hour, and a test may look into what roles keep */
  long?: boolean;
}

let stories = 0;

/** Stories that a failed test left: their sockets would keep the process for ever. */
const untold = new Set<() => Promise<void>>();
after(async () => {
  for (const close of untold) await close();
});

const METHODS = [createSwapMethod, createKiTransferMethod, createKiListMethod];

/** A world, and the owner's fleet server that drives changes in it. */
export async function begin(
  devices: number,
  options: Partial<KiListOptions & KiTransferOptions> = {},
  setting: Setting = {},
): Promise<Story> {
  const { alternative = '3b', hearing = (parties: Parties): Parties => parties } = setting;
  const faults = parseFaults([]);
  const errors: unknown[] = [];
  // In memory as well, but by a name under which a test may look into it.
  const told = ++stories;
  const file = (part: string): string => `file:story-${told}-${part}?mode=memory&cache=shared`;
  const world = await createWorld({
    devices,
    alternatives: [alternative],
    ...setting.variants,
    seed: 3,
    faults,
    ...(setting.onAlarm && { onAlarm: setting.onAlarm }),
    store: setting.store ?? { ...noStore(), ...(setting.long ? { file } : {}) },
    ...(setting.long ? { patienceMs: MINUTES_A_DAY * 60_000 } : {}),
    ...(setting.pcap === undefined ? {} : { pcap: setting.pcap }),
    onError: (error) => errors.push(error),
  });
  const { clock } = world;
  const store = openChangeStore(':memory:');
  const { agent } = world;
  const parties = hearing({ owner: world.owner, operators: world.operators, ...(agent && { agent }) });
  const progress: Progress[] = [];
  const standing = new Map<string, { step: Step; state: string }>();
  const engine = createChangeEngine({
    clock,
    store,
    methods: METHODS.map((method) => method({ clock, parties, ...options })),
    observe: (each) => {
      progress.push(each);
      standing.set(each.change, { step: each.next, state: each.state ?? 'live' });
      story.on(each);
    },
  });
  const following = followParties(parties, store, engine);
  const until = async (holds: () => boolean, minutes: number): Promise<boolean> => {
    let over = false;
    const timer = clock.after(minutes * 60_000, () => (over = true));
    await world.run(() => over || holds());
    timer.cancel();
    return holds();
  };
  /** Requests to roles are answered while time may pass. */
  const ask = async <T>(work: Promise<T>): Promise<T> => {
    let done = false;
    const settled = work.finally(() => (done = true));
    settled.catch(() => undefined);
    await world.run(() => done);
    return settled;
  };
  const close = async (): Promise<void> => {
    untold.delete(close);
    following.close();
    await engine.close();
    store.close();
    await world.close();
  };
  untold.add(close);
  let count = 0;
  const story: Story = {
    world,
    faults,
    sms: 0,
    on: () => undefined,
    standing: (change) => standing.get(change) ?? { step: 'reserve', state: 'live' },
    ask,
    until,
    pass: async (minutes) => void (await until(() => false, minutes)),
    device: (name) => world.devices.find(({ made }) => made.name === name)!,
    rows(operator, query) {
      const database = new DatabaseSync(file(`operator-${operator}`));
      try {
        return database.prepare(query).all();
      } finally {
        database.close();
      }
    },
    submitted: (operator) => Number(story.rows(operator, 'SELECT count(*) AS found FROM sms')[0]!.found),
    heard: async (device) => {
      const { heard } = await ask(world.owner.device(device));
      return heard && heard.at > clock.now() - 2 * HEARTBEAT ? heard : null;
    },
    async order(device, from, to, by = alternative) {
      const change = (++count).toString(16).padStart(16, '0');
      const [order] = await ask(
        world.owner.order([{ change, device, to, alternative: by, ...(agent && { agent: agent.name }) }]),
      );
      return { change, order: order!, device, from, to, alternative: by };
    },
    begin(...ordered) {
      store.enqueue(
        ordered.map(({ order, ...each }) => ({ ...each, data: { order } })),
        clock.now(),
      );
      engine.wake();
    },
    async ending(change, days = 200) {
      const state = (): string => story.standing(change).state;
      await until(() => state() !== 'live', days * MINUTES_A_DAY);
      const mine = progress.filter((each) => each.change === change);
      return {
        state: state(),
        why: mine.find(({ outcome }) => outcome === 'back')?.why,
        steps: mine.filter(({ outcome }) => outcome === 'next').map(({ step }) => step),
      };
    },
    async move(device, from, to, by = alternative) {
      const ordered = await story.order(device, from, to, by);
      const before = world.traffic[alternative].sms;
      story.begin(ordered);
      const told = await story.ending(ordered.change);
      story.sms = world.traffic[alternative].sms - before;
      return told;
    },
    async end() {
      await close();
      assert.deepEqual(errors, []);
    },
  };
  return story;
}
