/** A modem with a fake card and fake networks, in a time that only moves when told. */
import type { TestContext } from 'node:test';
import type { Clock, Timer } from '../../../src/edge/index.ts';
import { realRandom, realSockets } from '../../../src/edge/real.ts';
import {
  createModem,
  type Modem,
  type ModemEvent,
  type ModemOptions,
} from '../../../src/device/modem/index.ts';
import { fakeCard, type FakeCard } from './fake-card.ts';
import { fakeNetwork, type FakeNetwork } from './fake-network.ts';

export const IMSI = '001010000000001';
export const IMEI = '356938035643809';

/** Long enough for a few datagrams over loopback, one after the other. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 40; i++) await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setTimeout(resolve, 4));
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
}

export interface World {
  modem: Modem;
  card: FakeCard;
  networks: FakeNetwork[];
  net: FakeNetwork;
  events: ModemEvent[];
  /** lets time pass, timer by timer */
  pass(milliseconds: number): Promise<void>;
  seen(type: ModemEvent['type']): number;
}

/**
 * @param plmns one cell each
 * @param chance where the modem leaves something to chance: a byte, of 256
 */
export async function makeWorld(
  t: TestContext,
  options: Partial<ModemOptions> & { plmns?: string[]; cardApn?: string; chance?: number } = {},
): Promise<World> {
  let now = Date.UTC(2026, 0, 1);
  const timers = new Set<{ at: number; run: () => void }>();
  const clock: Clock = {
    now: () => now,
    after(milliseconds, run): Timer {
      const timer = { at: now + milliseconds, run };
      timers.add(timer);
      return { cancel: () => void timers.delete(timer) };
    },
    hold: (work) => work,
  };
  const { plmns = ['00199'], cardApn, chance, ...rest } = options;
  const random =
    chance === undefined ? realRandom : { bytes: (length: number) => new Uint8Array(length).fill(chance) };
  const card = fakeCard(IMSI, cardApn);
  const networks = await Promise.all(plmns.map((plmn, i) => fakeNetwork(plmn, card.key, i + 1)));
  const events: ModemEvent[] = [];
  const modem = await createModem({
    edge: { clock, sockets: realSockets, random },
    card,
    imei: IMEI,
    cells: networks.map(({ plmn, tac, endpoint }) => ({ plmn, tac, endpoint })),
    bind: { host: '127.0.0.1', port: 0 },
    observe: (event) => void events.push(event),
    ...rest,
  });
  t.after(async () => {
    await modem.close();
    for (const network of networks) network.close();
  });
  return {
    modem,
    card,
    networks,
    net: networks[0]!,
    events,
    async pass(milliseconds) {
      const end = now + milliseconds;
      for (;;) {
        const next = [...timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        timers.delete(next);
        now = Math.max(now, next.at);
        next.run();
        await settle();
      }
      now = end;
      await settle();
    },
    seen: (type) => events.filter((event) => event.type === type).length,
  };
}

/** A modem that was powered on and has attached. */
export async function attached(
  t: TestContext,
  options: Parameters<typeof makeWorld>[1] = {},
): Promise<World> {
  const world = await makeWorld(t, options);
  await world.modem.powerOn();
  await settle();
  return world;
}
