/** What a journey is told with: a world, and a way to move one device and ask where it is heard. */
import assert from 'node:assert/strict';
import { createChangeEngine, type Progress } from '../../src/change/engine.ts';
import { createKiListMethod, type KiListOptions } from '../../src/change/ki-list/method.ts';
import { createKiTransferMethod, type KiTransferOptions } from '../../src/change/ki-transfer/method.ts';
import { followParties, type Parties } from '../../src/change/parties.ts';
import { openChangeStore } from '../../src/change/store.ts';
import { parseFaults, type Faults } from '../../src/lab/faults.ts';
import { noStore, type LabStore } from '../../src/lab/store.ts';
import { HEARTBEAT, createWorld, type World } from '../../src/lab/world.ts';

export interface Story {
  world: World;
  faults: Faults;
  /** short messages of the last move */
  sms: number;
  /** told as a change goes */
  on: (progress: Progress) => void;
  move(
    device: string,
    from: string,
    to: string,
  ): Promise<{ state: string; why: string | undefined; steps: string[] }>;
  /** over which operator its application was heard last; null if not within the last two heartbeats */
  heard(device: string): Promise<{ operator: string; imsi: string } | null>;
  pass(minutes: number): Promise<void>;
  end(): Promise<void>;
}

/** Where a story is set. */
export interface Setting {
  /** 3b if not given */
  alternative?: '3a' | '3b';
  /** none if not given: nothing outlives the story */
  store?: LabStore;
  pcap?: string;
  /** what the fleet server gets to hear of the others; as they say it if not given */
  hearing?: (parties: Parties) => Parties;
}

const METHODS = { '3a': createKiTransferMethod, '3b': createKiListMethod };

/** A world, and the owner's fleet server that drives changes in it. */
export async function begin(
  devices: number,
  options: Partial<KiListOptions & KiTransferOptions> = {},
  setting: Setting = {},
): Promise<Story> {
  const { alternative = '3b', hearing = (parties: Parties): Parties => parties } = setting;
  const faults = parseFaults([]);
  const errors: unknown[] = [];
  const world = await createWorld({
    devices,
    alternatives: [alternative],
    seed: 3,
    faults,
    store: setting.store ?? noStore(),
    ...(setting.pcap === undefined ? {} : { pcap: setting.pcap }),
    onError: (error) => errors.push(error),
  });
  const { clock } = world;
  const store = openChangeStore(':memory:');
  const parties = hearing({ owner: world.owner, operators: world.operators });
  let progress: Progress[] = [];
  const engine = createChangeEngine({
    clock,
    store,
    methods: [METHODS[alternative]({ clock, parties, ...options })],
    observe: (each) => {
      progress.push(each);
      story.on(each);
    },
  });
  const following = followParties(parties, store, engine);
  const pass = async (minutes: number): Promise<void> => {
    let over = false;
    clock.after(minutes * 60_000, () => (over = true));
    await world.run(() => over);
  };
  /** Requests to roles are answered while time may pass. */
  const ask = async <T>(work: Promise<T>): Promise<T> => {
    let done = false;
    const settled = work.finally(() => (done = true));
    settled.catch(() => undefined);
    await world.run(() => done);
    return settled;
  };
  let count = 0;
  const story: Story = {
    world,
    faults,
    sms: 0,
    on: () => undefined,
    pass,
    heard: async (device) => {
      const { heard } = await ask(world.owner.device(device));
      return heard && heard.at > clock.now() - 2 * HEARTBEAT ? heard : null;
    },
    async move(device, from, to) {
      const change = (++count).toString(16).padStart(16, '0');
      const [order] = await ask(world.owner.order([{ change, device, to, alternative }]));
      progress = [];
      const before = world.traffic[alternative].sms;
      store.enqueue([{ change, device, alternative, from, to, data: { order: order! } }], clock.now());
      engine.wake();
      await world.run(() => store.state(change)!.state !== 'live');
      story.sms = world.traffic[alternative].sms - before;
      return {
        state: store.state(change)!.state,
        why: progress.find(({ outcome }) => outcome === 'back')?.why,
        steps: progress.filter(({ outcome }) => outcome === 'next').map(({ step }) => step),
      };
    },
    async end() {
      following.close();
      await engine.close();
      store.close();
      await world.close();
      assert.deepEqual(errors, []);
    },
  };
  return story;
}
