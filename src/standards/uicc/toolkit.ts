/**
 * Names and small values of the card application toolkit (TS 102 223, TS 31.111): types of command, devices,
 * data objects, events, results, timers.
 */
import { DecodeError, FieldError } from '../bytes/index.ts';

/** Type of command (TS 102 223 §9.4). */
export const PROACTIVE = {
  refresh: 0x01,
  moreTime: 0x02,
  pollInterval: 0x03,
  pollingOff: 0x04,
  setUpEventList: 0x05,
  sendShortMessage: 0x13,
  displayText: 0x21,
  provideLocalInformation: 0x26,
  timerManagement: 0x27,
} as const;

/** Device identities (TS 102 223 §8.7). */
export const DEVICE = { keypad: 0x01, display: 0x02, uicc: 0x81, terminal: 0x82, network: 0x83 } as const;

/** Tags of comprehension-TLV data objects, without the flag (TS 102 223 §9.3, TS 31.111 §9.3). */
export const CAT_TAG = {
  commandDetails: 0x01,
  deviceIdentities: 0x02,
  result: 0x03,
  duration: 0x04,
  alphaIdentifier: 0x05,
  address: 0x06,
  smsTpdu: 0x0b,
  textString: 0x0d,
  fileList: 0x12,
  locationInformation: 0x13,
  imei: 0x14,
  networkMeasurements: 0x16,
  eventList: 0x19,
  cause: 0x1a,
  locationStatus: 0x1b,
  timerIdentifier: 0x24,
  timerValue: 0x25,
  dateTime: 0x26,
  aid: 0x2f,
  accessTechnology: 0x3f,
  imeisv: 0x62,
  routingArea: 0x73,
  updateAttachType: 0x74,
  rejectionCause: 0x75,
  trackingArea: 0x7d,
} as const;

/** Events of SET UP EVENT LIST (TS 102 223 §8.25, TS 31.111 §8.25). */
export const EVENT = {
  mtCall: 0x00,
  callConnected: 0x01,
  callDisconnected: 0x02,
  locationStatus: 0x03,
  userActivity: 0x04,
  idleScreen: 0x05,
  cardReaderStatus: 0x06,
  languageSelection: 0x07,
  browserTermination: 0x08,
  dataAvailable: 0x09,
  channelStatus: 0x0a,
  accessTechnologyChange: 0x0b,
  networkSearchModeChange: 0x0e,
  networkRejection: 0x12,
} as const;

/** REFRESH qualifier (TS 102 223 §8.6, TS 31.111 §8.6). */
export const REFRESH = {
  initAndFullFileChange: 0x00,
  fileChange: 0x01,
  initAndFileChange: 0x02,
  init: 0x03,
  uiccReset: 0x04,
  applicationReset: 0x05,
  sessionReset: 0x06,
  steeringOfRoaming: 0x07,
} as const;

/** TIMER MANAGEMENT qualifier. */
export const TIMER = { start: 0x00, deactivate: 0x01, currentValue: 0x02 } as const;

/** PROVIDE LOCAL INFORMATION qualifier. */
export const LOCAL_INFORMATION = {
  location: 0x00,
  imei: 0x01,
  networkMeasurements: 0x02,
  dateTime: 0x03,
  language: 0x04,
  accessTechnology: 0x06,
  imeisv: 0x08,
} as const;

/** General result (TS 102 223 §8.12). 0X: done; 1X and 2X: worth trying again; 3X: not. */
export const RESULT = {
  ok: 0x00,
  partialComprehension: 0x01,
  missingInformation: 0x02,
  okLimitedService: 0x06,
  refreshOfInactiveApplication: 0x08,
  sessionTerminatedByUser: 0x10,
  noResponseFromUser: 0x12,
  terminalUnable: 0x20,
  networkUnable: 0x21,
  timerContradiction: 0x24,
  beyondCapabilities: 0x30,
  typeNotUnderstood: 0x31,
  dataNotUnderstood: 0x32,
  numberNotKnown: 0x33,
  smsRpError: 0x35,
  valuesMissing: 0x36,
} as const;

/** Access technology (TS 102 223 §8.61). */
export const ACCESS_TECHNOLOGY = { gsm: 0x00, utran: 0x03, eUtran: 0x08, nr: 0x0a } as const;

/** Location status (TS 102 223 §8.27). */
export const LOCATION_STATUS = { normal: 0x00, limited: 0x01, none: 0x02 } as const;

/** Update/attach type (TS 31.111 §8.92): E-UTRAN's. */
export const UPDATE_ATTACH_TYPE = {
  epsAttach: 0x09,
  combinedEpsImsiAttach: 0x0a,
  trackingAreaUpdate: 0x0b,
  combinedTaLaUpdate: 0x0c,
  combinedTaLaUpdateWithImsiAttach: 0x0d,
  periodicUpdate: 0x0e,
} as const;

/** Duration (TS 102 223 §8.8). */
export interface Duration {
  unit: 'minutes' | 'seconds' | 'tenths';
  /** 1–255 units; in a TIMER answer 0 too */
  value: number;
}
const UNITS = ['minutes', 'seconds', 'tenths'] as const;

export function encodeDuration({ unit, value }: Duration): Uint8Array {
  if (!Number.isInteger(value) || value < 1 || value > 255) {
    throw new FieldError('duration', String(value), '1 to 255 units');
  }
  return Uint8Array.of(UNITS.indexOf(unit), value);
}

/** @throws DecodeError */
export function decodeDuration(value: Uint8Array): Duration {
  const unit = UNITS[value[0] ?? 0xff];
  if (value.length !== 2 || unit === undefined || value[1] === 0) {
    throw new DecodeError('duration', `${value.length} bytes`, 'a time unit 00–02 and 1 to 255');
  }
  return { unit, value: value[1]! };
}

/** In seconds, tenths included. */
export function durationSeconds({ unit, value }: Duration): number {
  return unit === 'minutes' ? value * 60 : unit === 'seconds' ? value : value / 10;
}

/** Longest time a toolkit timer can run: 24 hours less a second. */
export const TIMER_LONGEST = 23 * 3600 + 59 * 60 + 59;

const swapped = (value: number): number => ((value % 10) << 4) | Math.floor(value / 10);

/** Timer value: hours, minutes, seconds as swapped BCD (TS 102 223 §8.38). 0 to 86399 seconds. */
export function encodeTimerValue(seconds: number): Uint8Array {
  if (!Number.isInteger(seconds) || seconds < 0 || seconds > TIMER_LONGEST) {
    throw new FieldError('timer value', String(seconds), `0 to ${TIMER_LONGEST} seconds`);
  }
  return Uint8Array.of(
    swapped(Math.floor(seconds / 3600)),
    swapped(Math.floor(seconds / 60) % 60),
    swapped(seconds % 60),
  );
}

/** @throws DecodeError */
export function decodeTimerValue(value: Uint8Array): number {
  if (value.length !== 3) throw new DecodeError('timer value', `${value.length} bytes`, '3 bytes');
  const parts = [...value].map((byte, i) => {
    const part = (byte & 0x0f) * 10 + (byte >> 4);
    if (byte >> 4 > 9 || (byte & 0x0f) > 9 || part > (i === 0 ? 23 : 59)) {
      throw new DecodeError('timer value', byte.toString(16), 'hours, minutes, seconds as swapped digits');
    }
    return part;
  });
  return parts[0]! * 3600 + parts[1]! * 60 + parts[2]!;
}

/**
 * What a terminal says it can do (TERMINAL PROFILE, TS 102 223 §5.2 and TS 31.111 §5.2): byte and bit,
 * both counted from 1.
 */
export const TERMINAL_FACILITY = {
  profileDownload: [1, 1],
  smsPpDownload: [1, 2],
  timerExpiration: [1, 6],
  commandResult: [2, 1],
  displayText: [3, 1],
  moreTime: [3, 4],
  pollInterval: [3, 6],
  pollingOff: [3, 7],
  refresh: [3, 8],
  sendShortMessage: [4, 2],
  provideLocalInformation: [4, 7],
  setUpEventList: [5, 1],
  locationStatusEvent: [5, 5],
  timerManagement: [8, 1],
  timerCurrentValue: [8, 2],
  networkRejectionEvent: [25, 5],
  networkRejectionEUtran: [25, 7],
} as const satisfies Record<string, readonly [byte: number, bit: number]>;
export type TerminalFacility = keyof typeof TERMINAL_FACILITY;

/** The data of TERMINAL PROFILE that says these facilities are there; as short as they allow. */
export function encodeTerminalProfile(facilities: Iterable<TerminalFacility>): Uint8Array {
  const out = new Uint8Array(32);
  let length = 1;
  for (const facility of facilities) {
    const [byte, bit] = TERMINAL_FACILITY[facility];
    out[byte - 1]! |= 1 << (bit - 1);
    length = Math.max(length, byte);
  }
  return out.subarray(0, length);
}

/** Which of the facilities we know are there; bits beyond them are not looked at. */
export function decodeTerminalProfile(profile: Uint8Array): Set<TerminalFacility> {
  const found = new Set<TerminalFacility>();
  for (const [name, [byte, bit]] of Object.entries(TERMINAL_FACILITY)) {
    if (((profile[byte - 1] ?? 0) >> (bit - 1)) & 1) found.add(name as TerminalFacility);
  }
  return found;
}
