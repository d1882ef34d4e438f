/**
 * Remote commands of the list application of alternative 3b (docs/alternatives/3b.md), carried in TS 102 226
 * §5.2.1 compact format to the application's TAR, under the OTA keys of the pair that is in use.
 *
 * SWITCH and COMMIT end a change; CANCEL ends a trial early; STATUS tells where the card stands.
 */
import { DecodeError, FieldError, Reader, Writer, decodeBcd, encodeBcd, fromHex } from '../bytes/index.ts';

/** TAR of the list application, in the range for proprietary toolkit applications (TS 101 220 annex D). */
export const KEY_LIST_TAR = fromHex('bfff3b');
/**
 * TAR of the fall-back application of alternative 3a: the same commands and answers, with index 0, as its card
 * keeps its keys and changes its files alone.
 */
export const FALLBACK_TAR = fromHex('bfff3a');
/** Key set number of the pair in use: KIc and KID 0x12 (AES, key set 1). */
export const KEY_LIST_KEY_SET = 1;

/** Class byte of all commands of the application. */
export const KEY_LIST_CLA = 0x80;
export const KEY_LIST_INS = { switch: 0x42, commit: 0x46, cancel: 0x4a, status: 0x4e } as const;

/**
 * What the application answers besides 9000. The card is as it was, for each of them.
 * 6A80 data not as specified · 6985 conditions not satisfied (no trial to commit or cancel, a trial is running)
 * 6A83 index below the next, or not in the list · 6A84 list exhausted · 6982 not under the pair's OTA keys
 */
export const KEY_LIST_SW = {
  done: 0x9000,
  wrongData: 0x6a80,
  conditions: 0x6985,
  indexNotUsable: 0x6a83,
  exhausted: 0x6a84,
  security: 0x6982,
} as const;

/** Ends the trial at the first successful AUTHENTICATE under the new pair, without a COMMIT. */
export const COMMIT_ON_AKA = 0x01;

/** Moves the card to another pair, on trial. */
export interface KeyListSwitch {
  /** names the change, so that a repetition of it is recognised: 8 bytes, not all zeros, which stand for none */
  change: Uint8Array;
  /** index of the pair to try: 1–254, not below the card's next; 0 to the fall-back application, which has none */
  index: number;
  /** 6–15 digits */
  imsi: string;
  /** 2 or 3, for EF.AD */
  mncLength: 2 | 3;
  /** trial time in seconds, 1–2^32-1 */
  trialSeconds: number;
  /** seconds between the answer and the switch, so that the answer leaves over the old operator: 0–65535 */
  delaySeconds: number;
  /** bit 1 COMMIT_ON_AKA; other bits 0 */
  policy: number;
  /** EF.ACC, a bit per access class 15–0 */
  accessClasses?: number;
  /** service centre address for EF.SMSP: international number, digits only, 1–20 */
  serviceCentre?: string;
  /** EF.MSISDN: international number, digits only, 1–20 */
  msisdn?: string;
  /** EF.SPN: 1–16 characters of the GSM default alphabet that are also ASCII */
  serviceProviderName?: string;
  /** access point name for the device's data, as text, 1–63 ASCII characters */
  apn?: string;
  /** address the card reports to (the OTA gateway's): international number, digits only, 1–20 */
  reportTo?: string;
}

const TAG = {
  change: 0x80,
  index: 0x81,
  imsi: 0x82,
  mncLength: 0x83,
  trial: 0x84,
  delay: 0x85,
  policy: 0x86,
  accessClasses: 0x87,
  serviceCentre: 0x88,
  msisdn: 0x89,
  serviceProviderName: 0x8a,
  apn: 0x8b,
  reportTo: 0x8c,
  state: 0x8d,
  next: 0x8e,
  pairs: 0x8f,
  last: 0x90,
} as const;

function digits(field: string, value: string, min: number, max: number): Uint8Array {
  if (!/^[0-9]*$/.test(value) || value.length < min || value.length > max) {
    throw new FieldError(field, JSON.stringify(value), `${min} to ${max} decimal digits`);
  }
  return encodeBcd(value, field);
}

function whole(field: string, value: number, min: number, max: number): number {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new FieldError(field, String(value), `a whole number from ${min} to ${max}`);
  }
  return value;
}

function text(field: string, value: string, max: number): Uint8Array {
  if (!/^[\x20-\x7e]+$/.test(value) || value.length > max) {
    throw new FieldError(field, JSON.stringify(value), `1 to ${max} printable ASCII characters`);
  }
  return new TextEncoder().encode(value);
}

function expectChange(change: Uint8Array): Uint8Array {
  if (change.length !== 8) throw new FieldError('change', `${change.length} bytes`, '8 bytes');
  return change;
}

/** The APDU `80 42 00 00 Lc data`; data is simple TLVs (tag, length, value) in ascending tag order. */
export function encodeKeyListSwitch(command: KeyListSwitch): Uint8Array {
  if (expectChange(command.change).every((byte) => byte === 0)) {
    throw new FieldError('change', 'zeros', 'a name, not that of no change');
  }
  const data = new Writer(96);
  const put = (tag: number, value: Uint8Array): void => {
    data.u8(tag).lv(value, 'SWITCH field');
  };
  put(TAG.change, command.change);
  put(TAG.index, Uint8Array.of(whole('index', command.index, 0, 254)));
  put(TAG.imsi, digits('imsi', command.imsi, 6, 15));
  put(TAG.mncLength, Uint8Array.of(whole('mncLength', command.mncLength, 2, 3)));
  put(TAG.trial, new Writer(4).u32(whole('trialSeconds', command.trialSeconds, 1, 0xffffffff)).done());
  put(TAG.delay, new Writer(2).u16(whole('delaySeconds', command.delaySeconds, 0, 0xffff)).done());
  put(TAG.policy, Uint8Array.of(whole('policy', command.policy, 0, COMMIT_ON_AKA)));
  if (command.accessClasses !== undefined) {
    put(
      TAG.accessClasses,
      new Writer(2).u16(whole('accessClasses', command.accessClasses, 0, 0xffff)).done(),
    );
  }
  if (command.serviceCentre !== undefined) {
    put(TAG.serviceCentre, digits('serviceCentre', command.serviceCentre, 1, 20));
  }
  if (command.msisdn !== undefined) put(TAG.msisdn, digits('msisdn', command.msisdn, 1, 20));
  if (command.serviceProviderName !== undefined) {
    put(TAG.serviceProviderName, text('serviceProviderName', command.serviceProviderName, 16));
  }
  if (command.apn !== undefined) put(TAG.apn, text('apn', command.apn, 63));
  if (command.reportTo !== undefined) put(TAG.reportTo, digits('reportTo', command.reportTo, 1, 20));
  return apdu(KEY_LIST_INS.switch, data.done());
}

function apdu(ins: number, data: Uint8Array): Uint8Array {
  return new Writer(5 + data.length).u8(KEY_LIST_CLA).u8(ins).u16(0).lv(data, 'command data').done();
}

function number(value: Uint8Array, length: number, field: string): number {
  if (value.length !== length) throw new DecodeError(field, `${value.length} bytes`, `${length} bytes`);
  let result = 0;
  for (const byte of value) result = result * 256 + byte;
  return result;
}

/** Simple TLVs, each tag at most once, in ascending order. */
function fields(data: Uint8Array, what: string): Map<number, Uint8Array> {
  const reader = new Reader(data);
  const found = new Map<number, Uint8Array>();
  let last = 0;
  while (reader.remaining > 0) {
    const tag = reader.u8(what);
    if (tag <= last) throw new DecodeError(what, `tag ${tag.toString(16)}`, 'tags in ascending order');
    found.set(tag, reader.lv(`${what} tag ${tag.toString(16)}`));
    last = tag;
  }
  return found;
}

function decoded<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof FieldError && !(error instanceof DecodeError)) {
      throw new DecodeError(error.field, error.value, error.expected);
    }
    throw error;
  }
}

/** The data of a SWITCH, strictly: @throws DecodeError naming the field. */
export function decodeKeyListSwitch(data: Uint8Array): KeyListSwitch {
  const found = fields(data, 'SWITCH');
  const known = new Set<number>(Object.values(TAG).filter((tag) => tag <= TAG.reportTo));
  for (const tag of found.keys()) {
    if (!known.has(tag)) throw new DecodeError('SWITCH', `tag ${tag.toString(16)}`, 'a tag of SWITCH');
  }
  const must = (tag: number, field: string): Uint8Array => {
    const value = found.get(tag);
    if (value === undefined) throw new DecodeError(field, 'absent', 'present');
    return value;
  };
  const ascii = (value: Uint8Array): string => String.fromCharCode(...value);
  const command: KeyListSwitch = {
    change: must(TAG.change, 'change'),
    index: number(must(TAG.index, 'index'), 1, 'index'),
    imsi: decodeBcd(must(TAG.imsi, 'imsi'), 'imsi'),
    mncLength: number(must(TAG.mncLength, 'mncLength'), 1, 'mncLength') as 2 | 3,
    trialSeconds: number(must(TAG.trial, 'trialSeconds'), 4, 'trialSeconds'),
    delaySeconds: number(must(TAG.delay, 'delaySeconds'), 2, 'delaySeconds'),
    policy: number(must(TAG.policy, 'policy'), 1, 'policy'),
  };
  const accessClasses = found.get(TAG.accessClasses);
  if (accessClasses) command.accessClasses = number(accessClasses, 2, 'accessClasses');
  const serviceCentre = found.get(TAG.serviceCentre);
  if (serviceCentre) command.serviceCentre = decodeBcd(serviceCentre, 'serviceCentre');
  const msisdn = found.get(TAG.msisdn);
  if (msisdn) command.msisdn = decodeBcd(msisdn, 'msisdn');
  const serviceProviderName = found.get(TAG.serviceProviderName);
  if (serviceProviderName) command.serviceProviderName = ascii(serviceProviderName);
  const apn = found.get(TAG.apn);
  if (apn) command.apn = ascii(apn);
  const reportTo = found.get(TAG.reportTo);
  if (reportTo) command.reportTo = decodeBcd(reportTo, 'reportTo');
  // What the encoder would refuse, the decoder refuses; and only the canonical form is accepted.
  const canonical = decoded(() => encodeKeyListSwitch(command)).subarray(5);
  if (canonical.length !== data.length || canonical.some((byte, i) => byte !== data[i])) {
    throw new DecodeError('SWITCH', 'another coding', 'the canonical coding');
  }
  return command;
}

/** COMMIT (INS 46) and CANCEL (INS 4A) name the change and the index they end. */
export interface KeyListEnd {
  /** 8 bytes */
  change: Uint8Array;
  /** 0–254, as in the SWITCH */
  index: number;
}

function encodeEnd(ins: number, end: KeyListEnd): Uint8Array {
  const data = new Writer(13).u8(TAG.change).lv(expectChange(end.change), 'change');
  data.u8(TAG.index).lv(Uint8Array.of(whole('index', end.index, 0, 254)), 'index');
  return apdu(ins, data.done());
}

/** Ends the trial for good: under the new pair only. Erases the old pair, disarms the fall-back. */
export const encodeKeyListCommit = (end: KeyListEnd): Uint8Array => encodeEnd(KEY_LIST_INS.commit, end);
/** Ends the trial at once with the fall-back: under the new pair only. */
export const encodeKeyListCancel = (end: KeyListEnd): Uint8Array => encodeEnd(KEY_LIST_INS.cancel, end);

/** The data of a COMMIT or CANCEL. @throws DecodeError */
export function decodeKeyListEnd(data: Uint8Array): KeyListEnd {
  const found = fields(data, 'COMMIT');
  const change = found.get(TAG.change);
  const index = found.get(TAG.index);
  if (found.size !== 2 || !change || !index) {
    throw new DecodeError('COMMIT', `${found.size} fields`, 'change and index');
  }
  const end = { change, index: number(index, 1, 'index') };
  if (change.length !== 8) throw new DecodeError('change', `${change.length} bytes`, '8 bytes');
  if (end.index > 254) throw new DecodeError('index', String(end.index), '0 to 254');
  return end;
}

/** The APDU of STATUS: `80 4E 00 00 00`. */
export const KEY_LIST_STATUS = Uint8Array.of(KEY_LIST_CLA, KEY_LIST_INS.status, 0, 0, 0);

/** `home`: no trial · `armed`: accepted, the delay runs · `trial`: on the new pair, may fall back. */
export type KeyListState = 'home' | 'armed' | 'trial';
const STATES: readonly KeyListState[] = ['home', 'armed', 'trial'];

/** Why the last trial ended. */
export type KeyListOutcome = 'none' | 'committed' | 'timeOut' | 'rejected' | 'cancelled';
const OUTCOMES: readonly KeyListOutcome[] = ['none', 'committed', 'timeOut', 'rejected', 'cancelled'];

/** Answer to STATUS, and what the card reports by itself after it fell back. */
export interface KeyListStatus {
  state: KeyListState;
  /** index of the pair in use: 0–254 */
  index: number;
  /** lowest index that a SWITCH may name; above the last of the list: exhausted */
  next: number;
  /** how many pairs the list was made with, index 0 included: 1–255 */
  pairs: number;
  /** the change last switched to, 8 bytes, zeros if none, and how it ended */
  change: Uint8Array;
  last: KeyListOutcome;
}

/** Fixed TLVs in ascending tag order. */
export function encodeKeyListStatus(status: KeyListStatus): Uint8Array {
  const out = new Writer(32);
  out.u8(TAG.change).lv(expectChange(status.change), 'change');
  out.u8(TAG.index).lv(Uint8Array.of(whole('index', status.index, 0, 254)), 'index');
  out.u8(TAG.state).lv(Uint8Array.of(STATES.indexOf(status.state)), 'state');
  out.u8(TAG.next).lv(Uint8Array.of(whole('next', status.next, 0, 255)), 'next');
  out.u8(TAG.pairs).lv(Uint8Array.of(whole('pairs', status.pairs, 0, 255)), 'pairs');
  out.u8(TAG.last).lv(Uint8Array.of(OUTCOMES.indexOf(status.last)), 'last');
  return out.done();
}

/** @throws DecodeError naming the field */
export function decodeKeyListStatus(data: Uint8Array): KeyListStatus {
  const found = fields(data, 'STATUS');
  const byte = (tag: number, field: string): number => {
    const value = found.get(tag);
    if (value === undefined) throw new DecodeError(field, 'absent', 'present');
    return number(value, 1, field);
  };
  const change = found.get(TAG.change);
  if (change?.length !== 8) throw new DecodeError('change', `${change?.length ?? 0} bytes`, '8 bytes');
  const state = STATES[byte(TAG.state, 'state')];
  const last = OUTCOMES[byte(TAG.last, 'last')];
  if (state === undefined) throw new DecodeError('state', String(byte(TAG.state, 'state')), '0 to 2');
  if (last === undefined) throw new DecodeError('last', String(byte(TAG.last, 'last')), '0 to 4');
  if (found.size !== 6) throw new DecodeError('STATUS', `${found.size} fields`, '6 fields');
  const status: KeyListStatus = {
    state,
    index: byte(TAG.index, 'index'),
    next: byte(TAG.next, 'next'),
    pairs: byte(TAG.pairs, 'pairs'),
    change,
    last,
  };
  decoded(() => encodeKeyListStatus(status));
  return status;
}
