/** What a powered card has in hand: its state, what is selected on each channel, which PINs are verified. */
import type { AkaKey } from '../../standards/aka/index.ts';
import type { CommandApdu } from '../../standards/uicc/index.ts';
import { PIN, conditionFor, conditionHolds } from '../../standards/uicc/index.ts';
import { ACCESS_RULES, DIRECTORY_RULE, FILES, type Application, type Directory } from './layout.ts';
import type { CardState, PinName } from './state.ts';
import type { Toolkit } from './toolkit.ts';

/** A logical channel. */
export interface Channel {
  directory: Directory;
  /** place of the current EF in FILES */
  file?: number;
  /** current record, 0: none */
  record: number;
  /** the application that was selected on this channel */
  application?: Application | undefined;
}

export interface Session {
  /** Put a new one in its place to change something: it is saved before the answer leaves. */
  state: CardState;
  /**
   * Saves the state now, where a command must not go on before it is safe. @throws what the store throws: let it
   * pass, the card is off then
   */
  commit(): void;
  channels: Map<number, Channel>;
  verified: Set<PinName>;
  toolkit: Toolkit;
  /** seconds to the next attempt to report */
  reportPause?: number;
  /** the terminal was asked for a reset and has not done it: seconds until it is asked again */
  resetPause?: number | undefined;
  /** functions of the key in use, made once */
  aka?: { of: Uint8Array; key: AkaKey };
}

/** A command in its context. */
export interface Call {
  session: Session;
  channel: Channel;
  command: CommandApdu;
  /** from a secured packet: the operator's rights stand in for PINs */
  remote: boolean;
}

export const newChannel = (): Channel => ({ directory: 'mf', record: 0 });

const NAMES = new Map<number, PinName>([
  [PIN.pin1, 'pin1'],
  [PIN.pin2, 'pin2'],
  [PIN.adm1, 'adm1'],
]);
/** The PIN of a key reference. */
export const pinName = (reference: number): PinName | undefined => NAMES.get(reference);

/** Whether the access rules of a file (or of directories) allow this, with the PINs that are verified. */
export function allowed(
  call: Call,
  file: number | undefined,
  access: { mode: number } | { ins: number },
): boolean {
  const { session, remote } = call;
  const rule = file === undefined ? DIRECTORY_RULE : FILES[file]!.rule;
  return conditionHolds(conditionFor(ACCESS_RULES[rule - 1]!, access), (reference) => {
    const name = pinName(reference);
    if (name === undefined) return false;
    return remote || session.verified.has(name) || !session.state.pins[name].enabled;
  });
}
