/** What the procedures of mobility management share: what is known between two messages, and what they may do. */
import type { NasMessage, NasSecurity } from '../../standards/nas/index.ts';
import type { RejectAction } from './cause.ts';
import type { EmmState } from './mobility.ts';
import type { Cell } from './select.ts';
import type { Usim } from './usim.ts';

export interface EmmContext {
  state: EmmState;
  usim: Usim | undefined;
  cell: Cell | undefined;
  /** failures in a row of attach or tracking area update */
  attempts: number;
  /** the context in use; `secure` once the network has shown that it has it too */
  security: NasSecurity | undefined;
  secure: boolean;
  /** K_ASME of the last challenge, not yet taken into use */
  pending: { ksi: number; kAsme: Uint8Array } | undefined;
  /** the last challenge, in case it comes again */
  answered: { rand: Uint8Array; reply: Uint8Array } | undefined;
  /** failures in a row of the network to authenticate itself */
  authenticationFailures: number;
  /** a tracking area update awaits its answer */
  updating: boolean;
}

export interface EmmActions {
  /** Protects, if security runs, and sends. @returns false if nothing could be sent */
  send(message: NasMessage, headerType?: number): boolean;
  become(next: EmmState): Promise<void>;
  attach(): Promise<void>;
  /** No answer, or one that asks for patience (TS 24.301 §5.5.1.2.6). */
  attemptFailed(): Promise<void>;
  /** Passes this cell over for a while, as if it were barred (TS 36.304 §5.3.1). */
  bar(): void;
  /** Does what a rejection asks for. @param verified whether its integrity was proven */
  act(action: RejectAction, backOffSeconds: number | undefined, verified: boolean): Promise<void>;
}
