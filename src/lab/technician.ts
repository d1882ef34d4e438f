/**
 * The technician, whom the lab plays: takes work orders from the owner, travels, swaps cards, scans what he did.
 * He is simulated, as roads and walls are.
 */
import type { Clock } from '../edge/index.ts';
import type { OwnerClient } from '../network/owner/client.ts';
import type { LabDevice } from './device.ts';
import type { BoxedCard } from './fleet.ts';
import type { SeededRandom } from './random.ts';
import type { LabStore } from './store.ts';

/** From the order to the site, in milliseconds: within a working day. */
const TRAVEL = [3_600_000, 8 * 3_600_000] as const;
/** Between putting a card in and scanning it. */
const AT_WORK = 60_000;
const NAME = 'the lab';

export interface TechnicianOptions {
  clock: Clock;
  owner: OwnerClient;
  random: SeededRandom;
  store: LabStore;
  devices: ReadonlyMap<string, LabDevice>;
  box: readonly BoxedCard[];
  /** a visit was made */
  visited: () => void;
  onError: (error: unknown) => void;
}

/** Where the card of a device is remembered: its own, or the ICCID of one from the box. */
export const insertedSlot = (device: string): string => `inserted ${device}`;
/** Where the ICCID of the card that was taken out last is remembered, should it have to go back. */
const replacedCard = (device: string): string => `replaced ${device}`;

export function createTechnician(options: TechnicianOptions): { close(): void } {
  const { clock, owner, random, store, devices } = options;
  const boxed = new Map(options.box.map((each) => [each.iccid, each.card]));

  const nameOf = (change: string, kind: unknown): string => `${change} ${String(kind)}`;
  /** work that was scanned, and the newest order for each device */
  const done = new Set<string>();
  const latest = new Map<string, string>();

  /** A card of the box, or the one that the device was made with. */
  const insert = async (device: LabDevice, iccid: string): Promise<void> => {
    const { name, card: own } = device.made;
    const card = boxed.get(iccid) ?? (own.iccid === iccid ? own : undefined);
    if (!card) throw new Error(`the box has no card ${iccid}`);
    const slot = card === own ? 'usim' : iccid;
    store.put(insertedSlot(name), slot);
    await device.insert(card, store.card(name, slot));
  };

  const visit = async (work: {
    change: string;
    kind: 'swap' | 'restore';
    device: string;
    iccid: string;
  }): Promise<void> => {
    const name = nameOf(work.change, work.kind);
    // Done before this process began, or overtaken by a newer order for the same device.
    if (done.has(name) || latest.get(work.device) !== name) return;
    const device = devices.get(work.device)!;
    if (device.iccid() !== work.iccid) {
      options.visited();
      store.put(replacedCard(work.device), device.iccid());
      await insert(device, work.iccid);
    }
    // He scans what is in there; a work order that was called off meanwhile is undone on the spot.
    const scan = { change: work.change, kind: work.kind, imei: device.made.imei, iccid: work.iccid };
    await new Promise<void>((resolve) => clock.after(AT_WORK, resolve));
    try {
      await owner.pair({ ...scan, technician: NAME });
    } catch (error) {
      if ((error as { code?: string }).code !== 'cancelled') throw error;
      await insert(device, store.get<string>(replacedCard(work.device)) ?? device.made.card.iccid);
    }
  };

  return owner.follow(0, (events) => {
    for (const event of events) {
      if (event.kind === 'paired') done.add(nameOf(String(event.change), event.work));
      if (event.kind !== 'workOrder') continue;
      latest.set(String(event.device), nameOf(String(event.change), event.work));
      const work = {
        change: String(event.change),
        kind: event.work === 'restore' ? ('restore' as const) : ('swap' as const),
        device: String(event.device),
        iccid: String(event.iccid),
      };
      const travel = TRAVEL[0] + random.next() * (TRAVEL[1] - TRAVEL[0]);
      clock.after(travel, () => void visit(work).catch(options.onError));
    }
  });
}
