/** A device of the lab: its card in its modem, and the hand that pulls the plug. */
import {
  createCard,
  imsiContent,
  type Card,
  type CardFile,
  type CardState,
  type CardStore,
} from '../device/uicc/index.ts';
import { createModem, type CardReader, type Modem, type ModemEvent } from '../device/modem/index.ts';
import type { Edge, Endpoint } from '../edge/index.ts';
import { EF_IMSI } from '../standards/uicc/index.ts';
import { CUTS, CUT_WITHIN, OFF } from './faults.ts';
import type { MadeDevice } from './fleet.ts';
import type { SeededRandom } from './random.ts';
import type { LabCard } from './store.ts';

export interface LabDeviceOptions {
  edge: Edge;
  made: MadeDevice;
  /** the card that is in it */
  card: CardFile;
  store: LabCard;
  cell: { plmn: string; tac: number; endpoint: Endpoint };
  heartbeatMs: number;
  /** its power was cut */
  cut: () => void;
  observe: (event: ModemEvent) => void;
}

/** What a card's reset and the search for a cell take, in milliseconds: longer than a proof of receipt is on its way. */
const RESET_TIME = 1_000;

export interface LabDevice {
  readonly made: MadeDevice;
  readonly endpoint: Endpoint;
  /** how often its card took another IMSI */
  readonly switches: number;
  /** Ki of its card now, 16 bytes: for those who judge a run */
  ki(): Uint8Array;
  /** ICCID of its card now */
  iccid(): string;
  /** the card in it, as it was last saved: for those who judge a run */
  card(): CardState;
  /** its ISIM, as an IMS client on the device uses it */
  readonly ims: Pick<Modem, 'imsIdentity' | 'answerIms'>;
  /** its card tries a new subscription before it keeps it */
  readonly hasTrial: boolean;
  /** the IMSI on its card now; undefined if EF.IMSI holds none */
  imsi(): string | undefined;
  powerOn(): void;
  /** Its battery is flat: it says nobody goodbye. */
  powerOff(): void;
  /** Somebody takes the card out and puts another in; the device starts with it. */
  insert(card: CardFile, store: LabCard): Promise<void>;
  /** From now on the power goes twice, each time at a random command of the card or in one of its writes. */
  cutPower(random: SeededRandom): void;
  /** No more cuts. */
  spare(): void;
  close(): Promise<void>;
}

export async function createLabDevice(options: LabDeviceOptions): Promise<LabDevice> {
  const { edge, made } = options;
  let { store } = options;
  let random: SeededRandom | undefined;
  let cutsLeft = 0;
  let commandsLeft = Infinity;
  /** what becomes of the next write: power goes before it, or right after it */
  let tear: 'before' | 'after' | undefined;
  const torn: CardStore = {
    load: () => store.load(),
    save(state) {
      if (tear === 'before') throw new Error('power cut in a write');
      store.save(state);
      if (tear === 'after') throw new Error('power cut after a write');
    },
  };
  let card: Card = createCard({ file: options.card, store: torn });

  const next = (): void => {
    commandsLeft = cutsLeft > 0 && random ? 1 + Math.floor(random.next() * CUT_WITHIN) : Infinity;
  };
  /** Runs the command of a card whose power goes in it. */
  const cut = (apdu: Uint8Array): never => {
    options.cut();
    cutsLeft--;
    const where = random!.next();
    const off = OFF[0] + random!.next() * (OFF[1] - OFF[0]);
    next();
    if (where >= 0.25) {
      if (where < 0.5) tear = 'before';
      else if (where < 0.75) tear = 'after';
      try {
        card.transmit(apdu);
      } catch {
        // Cut in its write, as it should be.
      }
      tear = undefined;
    }
    void modem.powerOff();
    edge.clock.after(off, () => void modem.powerOn());
    throw new Error('power cut');
  };
  const reader: CardReader = {
    powerOn() {
      // What it remembers is what its store has.
      card = createCard({ store: torn });
      return new Promise((resolve) => edge.clock.after(RESET_TIME, () => resolve(card.powerOn())));
    },
    powerOff: () => Promise.resolve(card.powerOff()),
    transmit: (apdu) =>
      new Promise((resolve) => resolve(--commandsLeft <= 0 ? cut(apdu) : card.transmit(apdu))),
  };
  const modem: Modem = await createModem({
    edge,
    card: reader,
    imei: made.imei,
    cells: [options.cell],
    bind: { host: '127.0.0.1', port: 0 },
    heartbeat: {
      intervalMs: options.heartbeatMs,
      payload: (count) => new TextEncoder().encode(`${made.name} ${count}`),
    },
    observe: options.observe,
  });
  return {
    made,
    endpoint: modem.endpoint,
    get switches() {
      return store.switches;
    },
    ims: modem,
    card: () => card.state,
    ki: () => card.state.usim.k,
    iccid: () => card.state.iccid,
    hasTrial: made.class !== 'plain',
    imsi() {
      try {
        return EF_IMSI.decode(imsiContent(card.state));
      } catch {
        return undefined;
      }
    },
    powerOn: () => void modem.powerOn(),
    powerOff: () => void modem.powerOff(),
    async insert(file, memory) {
      await modem.powerOff();
      store = memory;
      card = createCard({ file, store: torn });
      await modem.powerOn();
    },
    cutPower(seeded) {
      random = seeded;
      cutsLeft = CUTS;
      next();
    },
    spare() {
      cutsLeft = 0;
      commandsLeft = Infinity;
    },
    close: () => modem.close(),
  };
}
