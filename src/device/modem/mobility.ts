/** Mobility management as the rest of the modem sees it, and what it needs of the rest. */
import type { NasSecurity, Tai } from '../../standards/nas/index.ts';
import type { AuthenticateResult } from '../../standards/uicc/index.ts';
import type { ModemEvent } from './event.ts';
import type { Cell } from './select.ts';
import type { Timers } from './timers.ts';
import type { Usim } from './usim.ts';

/** Where the device stands with the network. */
export type EmmState =
  /** no USIM in use */
  | 'off'
  /** no cell will have it, or the USIM is invalid */
  | 'limited'
  /** between two attempts */
  | 'waiting'
  | 'attaching'
  | 'registered';

/** What mobility management needs of the rest of the modem. */
export interface EmmWorld {
  cells: readonly Cell[];
  /** 15 digits */
  imei: string;
  /** asks for a bearer when it attaches */
  pdn: boolean;
  /** where the card names no access point */
  apn: string | undefined;
  timers: Timers;
  /** 0 to 1, where the specification wants chance */
  chance(): number;
  send(message: Uint8Array, cell: Cell): void;
  authenticate(
    rand: Uint8Array,
    autn: Uint8Array,
  ): Promise<AuthenticateResult | { kind: 'macFailure' } | { kind: 'error'; sw: number }>;
  /** leaves GUTI, TAI and status on the card */
  storeLocation(usim: Usim): Promise<void>;
  /** takes the security context out of the card */
  clearSecurity(): Promise<void>;
  storeForbidden(plmns: readonly string[]): Promise<void>;
  /** the state is another, or another network's */
  changed(state: EmmState): Promise<void>;
  /** for the event Network Rejection */
  rejected(cause: number, area: Tai, updateAttachType: number): Promise<void>;
  /** a CP message came */
  shortMessage(container: Uint8Array): Promise<void>;
  observe(event: ModemEvent): void;
}

export interface Emm {
  readonly state: EmmState;
  readonly cell: Cell | undefined;
  readonly usim: Usim | undefined;
  /** Registers with a USIM; what was forbidden or invalid before is forgotten. */
  begin(usim: Usim): Promise<void>;
  /** Leaves the network: with a word (switch off), or without. @returns the context in use, for the card */
  end(withDetach: boolean): NasSecurity | undefined;
  receive(message: Uint8Array): Promise<void>;
  /** Sends data of the application. @returns false if there is no bearer */
  sendData(data: Uint8Array): boolean;
  /** Sends a CP message. @returns false if not registered */
  sendShortMessage(container: Uint8Array): boolean;
}
