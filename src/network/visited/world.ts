import type { Endpoint, Random } from '../../edge/index.ts';
import type { Data } from './data.ts';
import type { VisitedEvent } from './event.ts';
import type { Home } from './home.ts';
import type { ScaledClock } from './procedure.ts';
import type { Sms } from './sms.ts';

/** What the MME works with. */
export interface MmeWorld {
  clock: ScaledClock;
  random: Random;
  plmn: string;
  tac: number;
  periodicUpdateSeconds: number;
  rejectWith(imsi: string): number | undefined;
  transmit(message: Uint8Array, to: Endpoint, carriesSms?: boolean): void;
  home: Home;
  sms: Sms;
  data: Data;
  observe(event: VisitedEvent): void;
}
