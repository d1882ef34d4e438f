/**
 * A UICC: power, channels, the transport's chaining (TS 102 221 §7.3.1.1), the toolkit's commands. What a
 * command changes is saved as one before its answer leaves; only a try of a PIN is saved before it is compared.
 */
import { DecodeError, concat, fromHex } from '../../standards/bytes/index.ts';
import type { Reassembly } from '../../standards/sms/index.ts';
import {
  INS,
  SW,
  channelOf,
  decodeCommand,
  decodeEnvelope,
  encodeResponse,
  type CommandApdu,
  type Envelope,
} from '../../standards/uicc/index.ts';
import { stateOf, type CardFile } from './card-file.ts';
import { dispatch } from './dispatch.ts';
import { alarm, located, networkRejected, started } from './key-list.ts';
import { newReassembly, smsPpDownload } from './ota.ts';
import { done, refuse, type Answer } from './answer.ts';
import { newChannel, type Call, type Channel, type Session } from './session.ts';
import type { CardState } from './state.ts';
import type { CardStore } from './store.ts';
import { Toolkit } from './toolkit.ts';

/** Channels a card has: 0 to 3, as its ATR says. */
const CHANNELS = 4;

/**
 * Answer to reset (TS 102 221 §6.3, ISO/IEC 7816-3 §8): direct convention, F/D 512/32, T=0, then T=15 with
 * clock stop and classes A to C; historical bytes say selection by name, path and identifier, four channels.
 */
export const ATR: Uint8Array = ((): Uint8Array => {
  const name = new TextEncoder().encode('rehome');
  const historical = concat(fromHex('8031a073be2113'), Uint8Array.of(0x60 | name.length), name);
  const body = concat(Uint8Array.of(0x90 | historical.length), fromHex('96801fc7'), historical);
  return concat(Uint8Array.of(0x3b), body, Uint8Array.of(body.reduce((sum, byte) => sum ^ byte, 0)));
})();

/** A card in a reader. */
export interface Card {
  /** Resets the card. @returns the answer to reset, a fresh copy */
  powerOn(): Uint8Array;
  powerOff(): void;
  /**
   * @param apdu any bytes
   * @returns data, SW1, SW2; what the command changed is saved by then
   * @throws only what the store throws; the card is off then, and the store has the state before or after, or
   *   after the count of a try
   */
  transmit(apdu: Uint8Array): Uint8Array;
  /** The state as it was last saved: for those who look at a card, not for those who talk to it. */
  readonly state: CardState;
}

export interface CardOptions {
  store: CardStore;
  /** the card to begin with, if the store has none */
  file?: CardFile;
  /** told of a mistake in the card itself, which the terminal sees as 6F00 */
  fault?: (error: unknown) => void;
}

/** @throws Error if there is neither a stored card nor a file; FieldError if the stored one is not a card */
export function createCard({ store, file, fault }: CardOptions): Card {
  let saved = store.load();
  if (!saved) {
    if (!file) throw new Error('no card: the store is empty and no card file was given');
    saved = stateOf(file);
    store.save(saved);
  }
  let state = saved;
  let powered: Powered | undefined;
  const save = (session: Session): void => {
    if (session.state === state) return;
    try {
      store.save(session.state);
    } catch (error) {
      powered = undefined;
      throw error;
    }
    state = session.state;
  };
  return {
    get state() {
      return state;
    },
    powerOn() {
      powered = newSession(state, save);
      return ATR.slice();
    },
    powerOff() {
      powered = undefined;
    },
    transmit(apdu) {
      if (!powered) throw new Error('the card has no power');
      const { session } = powered;
      let answer: Uint8Array;
      try {
        answer = respond(powered, apdu);
      } catch (error) {
        // The store failed, and the card is off.
        if (!powered) throw error;
        // A mistake of ours: nothing of the command stays, and the terminal is told.
        session.state = state;
        powered.held = undefined;
        fault?.(error);
        answer = encodeResponse({ data: new Uint8Array(), sw: SW.technicalProblem });
      }
      save(session);
      return answer;
    },
  };
}

interface Powered {
  session: Session;
  reassembly: Reassembly;
  /** data that waits for GET RESPONSE, and the status word that ends it */
  held: { channel: number; data: Uint8Array; sw: number } | undefined;
}

function newSession(state: CardState, save: (session: Session) => void): Powered {
  const session: Session = {
    state,
    commit: () => {
      save(session);
    },
    channels: new Map([[0, newChannel()]]),
    verified: new Set(),
    toolkit: new Toolkit(),
  };
  return { session, reassembly: newReassembly(), held: undefined };
}

/** One exchange, with the transport's rules. */
function respond(powered: Powered, apdu: Uint8Array): Uint8Array {
  let command: CommandApdu;
  try {
    command = decodeCommand(apdu);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return encodeResponse({ data: new Uint8Array(), sw: SW.wrongLength });
  }
  const answer = transport(powered, command);
  const { toolkit } = powered.session;
  // A proactive command is announced where a command ends well.
  if (answer.sw === SW.ok && command.ins !== INS.fetch) {
    const waiting = toolkit.waiting;
    if (waiting > 0) answer.sw = SW.proactive | waiting;
  }
  return encodeResponse({ data: answer.data ?? new Uint8Array(), sw: answer.sw });
}

function transport(powered: Powered, command: CommandApdu): Answer {
  const { session, held } = powered;
  const channelNumber = channelOf(command.cla);
  if (channelNumber === undefined) return refuse(SW.claNotSupported);
  if (command.cla < 0x40 && (command.cla & 0x0c) !== 0) return refuse(SW.secureMessagingNotSupported);
  if ((command.cla & 0xf0) === 0xa0) return refuse(SW.claNotSupported);
  const channel = session.channels.get(channelNumber);
  if (!channel) return refuse(SW.channelNotSupported);
  if (command.ins === INS.getResponse && (command.cla & 0x80) === 0) {
    if (!held || held.channel !== channelNumber || command.p1 !== 0 || command.p2 !== 0 || command.data) {
      return refuse(held ? SW.wrongP1P2 : SW.conditions);
    }
    const le = command.le ?? 256;
    if (le > held.data.length) return refuse(SW.wrongLe | (held.data.length & 0xff));
    const data = held.data.subarray(0, le);
    const rest = held.data.subarray(le);
    powered.held = rest.length > 0 ? { ...held, data: rest } : undefined;
    return { data, sw: rest.length > 0 ? SW.more | (rest.length & 0xff) : held.sw };
  }
  powered.held = undefined;
  const answer = carryOut(powered, { session, channel, command, remote: false }, channelNumber);
  const { data } = answer;
  if (!data || data.length === 0) return { sw: answer.sw };
  if (command.data || command.le === undefined) {
    // Data after data: fetched by GET RESPONSE, whose status word is the command's.
    powered.held = { channel: channelNumber, data, sw: answer.sw };
    return refuse(SW.more | (data.length & 0xff));
  }
  if (command.le > data.length) return refuse(SW.wrongLe | (data.length & 0xff));
  return { sw: answer.sw, data: data.subarray(0, command.le) };
}

function carryOut(powered: Powered, call: Call, channelNumber: number): Answer {
  const { session, command } = call;
  if ((command.cla & 0x80) === 0) {
    return command.ins === INS.manageChannel ? manageChannel(call, channelNumber) : dispatch(call);
  }
  switch (command.ins) {
    case INS.terminalProfile:
      if (command.p1 !== 0 || command.p2 !== 0) return refuse(SW.wrongP1P2);
      if (!command.data) return refuse(SW.wrongLength);
      session.toolkit.begin(command.data);
      started(session);
      return done();
    case INS.fetch:
      return session.toolkit.fetch(command);
    case INS.terminalResponse:
      if (command.p1 !== 0 || command.p2 !== 0) return refuse(SW.wrongP1P2);
      return session.toolkit.respond(command);
    case INS.envelope:
      return envelope(powered, call);
    case INS.status: {
      const answer = dispatch(call);
      if (answer.sw === SW.ok && fits(call, answer)) {
        for (const id of session.toolkit.polled()) alarm(session, id);
      }
      return answer;
    }
    default:
      return dispatch(call);
  }
}

/** Whether an answer will leave, and not a 6Cxx: what a repeated command does must be done once. */
const fits = ({ command }: Call, answer: Answer): boolean =>
  command.le === undefined || !answer.data || command.le <= answer.data.length;

function envelope({ session, reassembly }: Powered, { command }: Call): Answer {
  if (command.p1 !== 0 || command.p2 !== 0) return refuse(SW.wrongP1P2);
  let told: Envelope;
  try {
    told = decodeEnvelope(command.data ?? new Uint8Array());
  } catch (error) {
    if (error instanceof DecodeError) return refuse(SW.wrongData);
    throw error;
  }
  switch (told.type) {
    case 'smsPpDownload':
      return smsPpDownload(session, reassembly, told.tpdu);
    case 'timerExpiration':
      if (session.toolkit.expired(told.timer)) alarm(session, told.timer);
      return done();
    case 'networkRejection':
      networkRejected(session, told.cause);
      return done();
    case 'locationStatus':
      located(session, told.status);
      return done();
    case 'event':
    case 'other':
      return done();
  }
}

/** MANAGE CHANNEL (§11.1.17): open the next or a given one, close one. */
function manageChannel({ session, command }: Call, from: number): Answer {
  const { channels } = session;
  const { p1, p2 } = command;
  if (command.data) return refuse(SW.wrongLength);
  if (p1 === 0x80) {
    if (p2 === 0 || p2 >= CHANNELS) return refuse(SW.wrongP1P2);
    return channels.delete(p2) ? done() : refuse(SW.channelNotSupported);
  }
  if (p1 !== 0x00) return refuse(SW.wrongP1P2);
  if (p2 !== 0 && (p2 >= CHANNELS || channels.has(p2))) return refuse(SW.functionNotSupported);
  if (p2 === 0 && command.le !== undefined && command.le !== 1) return refuse(SW.wrongLe | 1);
  let number = p2;
  if (number === 0) {
    number = 1;
    while (channels.has(number)) number++;
    if (number >= CHANNELS) return refuse(SW.functionNotSupported);
  }
  // From the basic channel a new one starts at the MF, from another where that one is (§8.7).
  const origin: Channel = channels.get(from)!;
  const { directory, application } = origin;
  channels.set(number, from === 0 ? newChannel() : { directory, application, record: 0 });
  return p2 === 0 ? done(Uint8Array.of(number)) : done();
}
