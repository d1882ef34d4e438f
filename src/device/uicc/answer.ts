/** What a command comes to, before the transport makes GET RESPONSE of it. */
import { SW } from '../../standards/uicc/index.ts';

export interface Answer {
  /** SW1 SW2 */
  sw: number;
  data?: Uint8Array;
}

export const done = (data?: Uint8Array): Answer => (data ? { sw: SW.ok, data } : { sw: SW.ok });
export const refuse = (sw: number): Answer => ({ sw });
