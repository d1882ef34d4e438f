/** What the MME knows of a device, and how it finds it again: by address, by temporary identity, by IMSI. */
import type { Endpoint, Timer } from '../../edge/index.ts';
import type { NasMessage, NasSecurity, SecurityCapability } from '../../standards/nas/index.ts';

/** A default bearer for small data over the control plane. */
export interface Bearer {
  ebi: number;
  apn: string;
  /** who takes the data; the home network's if not named */
  scefHost: string | undefined;
  scefRealm: string | undefined;
}

/** A message that waits for its answer, and is sent again meanwhile. */
export interface Question {
  answers: ReadonlySet<NasMessage['type']>;
  take(answer: NasMessage): void;
  abandon(error: Error): void;
}

export interface Ue {
  /** where it was last heard */
  at: Endpoint;
  imsi: string | undefined;
  /** 15 digits, and the software version's 2 */
  imei: string | undefined;
  softwareVersion: string | undefined;
  msisdn: string | undefined;
  capability: SecurityCapability | undefined;
  security: NasSecurity | undefined;
  /** security runs: nothing but what is protected is said or believed */
  secured: boolean;
  mTmsi: number | undefined;
  /** attached, and reachable as far as is known */
  registered: boolean;
  bearer: Bearer | undefined;
  /** the attach under way: its request as it came, and whether it was accepted already */
  attaching: { request: Uint8Array; repeat: (() => void) | undefined } | undefined;
  question: Question | undefined;
  /** runs out when the device was silent for too long */
  silence: Timer | undefined;
  heardAt: number;
  /** a short message could not be delivered: the home network wants to know when the device is back */
  wanted: boolean;
}

export function newUe(at: Endpoint): Ue {
  return {
    at,
    imsi: undefined,
    imei: undefined,
    softwareVersion: undefined,
    msisdn: undefined,
    capability: undefined,
    security: undefined,
    secured: false,
    mTmsi: undefined,
    registered: false,
    bearer: undefined,
    attaching: undefined,
    question: undefined,
    silence: undefined,
    heardAt: 0,
    wanted: false,
  };
}

/** Devices that never authenticated are kept up to this many; the oldest gives way. */
const MOST_STRANGERS = 20_000;

const keyOf = ({ host, port }: Endpoint): string => `${host}:${port}`;

/** The devices. A device is a stranger until it is known by an IMSI that it proved. */
export class Ues {
  readonly #byAddress = new Map<string, Ue>();
  readonly #byTmsi = new Map<number, Ue>();
  readonly #byImsi = new Map<string, Ue>();
  readonly #strangers = new Set<Ue>();

  at(address: Endpoint): Ue | undefined {
    return this.#byAddress.get(keyOf(address));
  }

  byTmsi(mTmsi: number): Ue | undefined {
    return this.#byTmsi.get(mTmsi);
  }

  byImsi(imsi: string): Ue | undefined {
    return this.#byImsi.get(imsi);
  }

  *known(): Iterable<Ue> {
    yield* this.#byImsi.values();
    yield* this.#strangers;
  }

  /** A new stranger at an address; whoever was there is not any more. @returns who gave way for want of room */
  add(ue: Ue): Ue | undefined {
    this.#byAddress.set(keyOf(ue.at), ue);
    this.#strangers.add(ue);
    if (this.#strangers.size <= MOST_STRANGERS) return undefined;
    const [oldest] = this.#strangers;
    return oldest;
  }

  /** The device is now where it was heard. */
  move(ue: Ue, to: Endpoint): void {
    if (keyOf(ue.at) === keyOf(to) && this.at(to) === ue) return;
    if (this.at(ue.at) === ue) this.#byAddress.delete(keyOf(ue.at));
    ue.at = to;
    this.#byAddress.set(keyOf(to), ue);
  }

  /** The device proved an IMSI. @returns the former context of that IMSI, if it is another */
  prove(ue: Ue, imsi: string): Ue | undefined {
    const former = this.#byImsi.get(imsi);
    this.#strangers.delete(ue);
    if (ue.imsi !== undefined && this.#byImsi.get(ue.imsi) === ue) this.#byImsi.delete(ue.imsi);
    ue.imsi = imsi;
    this.#byImsi.set(imsi, ue);
    return former === ue ? undefined : former;
  }

  name(ue: Ue, mTmsi: number): void {
    if (ue.mTmsi !== undefined) this.#byTmsi.delete(ue.mTmsi);
    ue.mTmsi = mTmsi;
    this.#byTmsi.set(mTmsi, ue);
  }

  drop(ue: Ue): void {
    if (this.at(ue.at) === ue) this.#byAddress.delete(keyOf(ue.at));
    if (ue.mTmsi !== undefined && this.#byTmsi.get(ue.mTmsi) === ue) this.#byTmsi.delete(ue.mTmsi);
    if (ue.imsi !== undefined && this.#byImsi.get(ue.imsi) === ue) this.#byImsi.delete(ue.imsi);
    this.#strangers.delete(ue);
    ue.silence?.cancel();
  }
}
