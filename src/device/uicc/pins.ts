/**
 * PINs: VERIFY, CHANGE, DISABLE, ENABLE, UNBLOCK (TS 102 221 §11.1.9 to §11.1.13). A try is counted and saved
 * before anything is compared, so that power cut in the middle of the command gives none back.
 *
 * Over the air (TS 102 226 §7) the access domain stands in for PINs: what is verified at the terminal is not
 * touched, and the user's PINs are not compared, so that no packet counts against him. UNBLOCK, whose code is the
 * operator's, works.
 */
import { timingSafeEqual } from 'node:crypto';
import { INS, SW } from '../../standards/uicc/index.ts';
import { done, refuse, type Answer } from './answer.ts';
import { pinName, type Call } from './session.ts';
import { PIN_TRIES, PUK_TRIES, type PinName, type PinState } from './state.ts';

/** A PIN as the interface carries it: 8 bytes, ASCII, filled with FF (§9.5.1). */
function coded(value: string): Uint8Array {
  const out = new Uint8Array(8).fill(0xff);
  for (let i = 0; i < value.length; i++) out[i] = value.charCodeAt(i);
  return out;
}

/** A new PIN from its 8 bytes: 4 to 8 digits, ADM1 8 printable characters; undefined if it is none. */
function newValue(name: PinName, value: Uint8Array): string | undefined {
  const text = String.fromCharCode(...value);
  if (name === 'adm1') return /^[\x21-\x7e]{8}$/.test(text) ? text : undefined;
  return /^[0-9]{4,8}\xff*$/.test(text) ? text.replace(/\xff/g, '') : undefined;
}

function put(call: Call, name: PinName, changed: Partial<PinState>): void {
  const { session } = call;
  const { pins } = session.state;
  session.state = { ...session.state, pins: { ...pins, [name]: { ...pins[name], ...changed } } };
}

/** Counts a try, saves that, and compares; undefined: the PIN is right, and all tries are back. */
function check(call: Call, name: PinName, given: Uint8Array): Answer | undefined {
  const { session } = call;
  const pin = session.state.pins[name];
  if (pin.tries === 0) return refuse(SW.pinBlocked);
  const tries = pin.tries - 1;
  put(call, name, { tries });
  session.commit();
  if (!timingSafeEqual(coded(pin.value), given)) {
    session.verified.delete(name);
    return refuse(SW.triesLeft | tries);
  }
  put(call, name, { tries: PIN_TRIES });
  return undefined;
}

/** All five commands; which, says INS. */
export function pinCommand(call: Call): Answer {
  const { command, session } = call;
  const name = pinName(command.p2);
  if (!name) return refuse(SW.dataNotFound);
  if (command.p1 !== 0) return refuse(SW.wrongP1P2);
  const pin = session.state.pins[name];
  const data = command.data ?? new Uint8Array();
  if (command.ins === INS.unblockPin) return unblock(call, name, data);
  if (command.ins === INS.verifyPin && data.length === 0) {
    // Only how many tries are left is asked.
    return pin.tries === 0 ? refuse(SW.pinBlocked) : refuse(SW.triesLeft | pin.tries);
  }
  if (data.length !== (command.ins === INS.changePin ? 16 : 8)) return refuse(SW.wrongLength);
  if (call.remote) return refuse(SW.conditions);
  switch (command.ins) {
    case INS.verifyPin:
    case INS.changePin:
      if (!pin.enabled) return refuse(SW.dataInvalidated);
      break;
    default:
      // PIN2 and ADM1 cannot be switched off.
      if (name !== 'pin1') return refuse(SW.conditions);
      if (pin.enabled === (command.ins === INS.enablePin)) return refuse(SW.dataInvalidated);
  }
  const next = command.ins === INS.changePin ? newValue(name, data.subarray(8)) : undefined;
  if (command.ins === INS.changePin && next === undefined) return refuse(SW.wrongData);
  const wrong = check(call, name, data.subarray(0, 8));
  if (wrong) return wrong;
  if (next !== undefined) put(call, name, { value: next });
  if (command.ins === INS.disablePin) put(call, name, { enabled: false });
  if (command.ins === INS.enablePin) put(call, name, { enabled: true });
  session.verified.add(name);
  return done();
}

function unblock(call: Call, name: PinName, data: Uint8Array): Answer {
  const { session } = call;
  const pin = session.state.pins[name];
  if (pin.puk === undefined) return refuse(SW.functionNotSupported);
  if (pin.pukTries === 0) return refuse(SW.pinBlocked);
  if (data.length === 0) return refuse(SW.triesLeft | pin.pukTries);
  if (data.length !== 16) return refuse(SW.wrongLength);
  const next = newValue(name, data.subarray(8));
  if (next === undefined) return refuse(SW.wrongData);
  const pukTries = pin.pukTries - 1;
  put(call, name, { pukTries });
  // A script is saved as one.
  if (!call.remote) session.commit();
  if (!timingSafeEqual(coded(pin.puk), data.subarray(0, 8))) return refuse(SW.triesLeft | pukTries);
  put(call, name, { value: next, enabled: true, tries: PIN_TRIES, pukTries: PUK_TRIES });
  if (!call.remote) session.verified.add(name);
  return done();
}
