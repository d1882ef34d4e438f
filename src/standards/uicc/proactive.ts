/**
 * Proactive commands (TS 102 223 §6.6, TS 31.111 §6.6) and the terminal's responses to them (§6.8).
 * Data objects we do not know stay in `extra`, so that a terminal can refuse one that is required.
 */
import { DecodeError, FieldError, Writer, decodeBcd, encodeBcd } from '../bytes/index.ts';
import {
  decodeAddress,
  decodeArea,
  encodeAddress,
  encodeArea,
  type Area,
  type DiallingNumber,
} from './numbers.ts';
import { decodeBerTlv, decodeComprehensionTlvs, encodeBerTlv, putComprehensionTlv } from './tlv.ts';
import type { ComprehensionTlv } from './tlv.ts';
import {
  CAT_TAG,
  DEVICE,
  PROACTIVE,
  TIMER,
  decodeDuration,
  decodeTimerValue,
  encodeDuration,
  encodeTimerValue,
  type Duration,
} from './toolkit.ts';

/** BER-TLV tag of a proactive command (TS 101 220 table 7.17). */
export const PROACTIVE_TAG = 0xd0;

/** What a response repeats of its command (TS 102 223 §8.6). */
export interface CommandDetails {
  /** 1–254 */
  number: number;
  /** PROACTIVE */
  type: number;
  qualifier: number;
}

/** A proactive command, by type. */
export type ProactiveCommand =
  | Numbered<'refresh', { mode: number; files?: number[][]; aid?: Uint8Array }>
  | Numbered<'moreTime'>
  | Numbered<'pollInterval', { interval: Duration }>
  | Numbered<'pollingOff'>
  | Numbered<'setUpEventList', { events: number[] }>
  | Numbered<'sendShortMessage', { tpdu: Uint8Array; address?: DiallingNumber; packing?: true }>
  | Numbered<'timerManagement', { timer: number; action: keyof typeof TIMER; seconds?: number }>
  | Numbered<'provideLocalInformation', { what: number }>
  | Numbered<'displayText', { dcs: number; text: Uint8Array; qualifier: number }>
  | Numbered<'other', { details: CommandDetails; destination: number; objects: ComprehensionTlv[] }>;

type Numbered<Type extends string, Rest = unknown> = {
  type: Type;
  /** command number, 1–254 */
  number: number;
  /** data objects beside those named here */
  extra?: ComprehensionTlv[];
} & Rest;

const ACTIONS = ['start', 'deactivate', 'currentValue'] as const;

/** The command details that a response to this command repeats. */
export function commandDetails(command: ProactiveCommand): CommandDetails {
  if (command.type === 'other') return command.details;
  return { number: command.number, type: PROACTIVE[command.type], qualifier: qualifierOf(command) };
}

function qualifierOf(command: Exclude<ProactiveCommand, { type: 'other' }>): number {
  switch (command.type) {
    case 'refresh':
      return command.mode;
    case 'sendShortMessage':
      return command.packing ? 1 : 0;
    case 'timerManagement':
      return TIMER[command.action];
    case 'provideLocalInformation':
      return command.what;
    case 'displayText':
      return command.qualifier;
    case 'moreTime':
    case 'pollInterval':
    case 'pollingOff':
    case 'setUpEventList':
      return 0;
  }
}

function timer(value: number): Uint8Array {
  if (!Number.isInteger(value) || value < 1 || value > 8) {
    throw new FieldError('timer', String(value), '1 to 8');
  }
  return Uint8Array.of(value);
}

function putFiles(files: number[][]): Uint8Array {
  const out = new Writer(32).u8(files.length);
  for (const path of files) {
    if (path[0] !== 0x3f00) throw new FieldError('files', 'a path', 'a path from the MF (3F00)');
    for (const file of path) out.u16(file);
  }
  return out.done();
}

function takeFiles(value: Uint8Array): number[][] {
  if (value.length % 2 !== 1)
    throw new DecodeError('file list', `${value.length} bytes`, 'a count and paths');
  const files: number[][] = [];
  for (let at = 1; at < value.length; at += 2) {
    const file = (value[at]! << 8) | value[at + 1]!;
    if (file === 0x3f00) files.push([]);
    const path = files.at(-1);
    if (!path) throw new DecodeError('file list', file.toString(16), 'paths from the MF (3F00)');
    path.push(file);
  }
  if (files.length !== value[0]) throw new DecodeError('file list', `${files.length} paths`, `${value[0]}`);
  return files;
}

/** The whole command, tag D0 included: what FETCH brings. @throws FieldError */
export function encodeProactiveCommand(command: ProactiveCommand): Uint8Array {
  const details = commandDetails(command);
  const out = new Writer(64);
  putDetails(out, details);
  putComprehensionTlv(out, CAT_TAG.deviceIdentities, Uint8Array.of(DEVICE.uicc, destinationOf(command)));
  switch (command.type) {
    case 'refresh':
      if (command.files) putComprehensionTlv(out, CAT_TAG.fileList, putFiles(command.files));
      if (command.aid) putComprehensionTlv(out, CAT_TAG.aid, command.aid);
      break;
    case 'pollInterval':
      putComprehensionTlv(out, CAT_TAG.duration, encodeDuration(command.interval));
      break;
    case 'setUpEventList':
      putComprehensionTlv(out, CAT_TAG.eventList, Uint8Array.from(command.events));
      break;
    case 'sendShortMessage':
      if (command.address) putComprehensionTlv(out, CAT_TAG.address, encodeAddress(command.address));
      putComprehensionTlv(out, CAT_TAG.smsTpdu, command.tpdu);
      break;
    case 'timerManagement':
      putComprehensionTlv(out, CAT_TAG.timerIdentifier, timer(command.timer));
      if ((command.seconds !== undefined) !== (command.action === 'start')) {
        throw new FieldError('seconds', String(command.seconds), 'a time when a timer starts, else none');
      }
      if (command.seconds !== undefined) {
        putComprehensionTlv(out, CAT_TAG.timerValue, encodeTimerValue(command.seconds));
      }
      break;
    case 'displayText':
      putComprehensionTlv(out, CAT_TAG.textString, new Writer(64).u8(command.dcs).put(command.text).done());
      break;
    case 'other':
      putAll(out, command.objects);
      break;
    case 'moreTime':
    case 'pollingOff':
    case 'provideLocalInformation':
      break;
  }
  if (command.extra) putAll(out, command.extra);
  return encodeBerTlv(PROACTIVE_TAG, out.done());
}

function destinationOf(command: ProactiveCommand): number {
  if (command.type === 'other') return command.destination;
  if (command.type === 'sendShortMessage') return DEVICE.network;
  if (command.type === 'displayText') return DEVICE.display;
  return DEVICE.terminal;
}

function putAll(out: Writer, objects: readonly ComprehensionTlv[]): void {
  for (const { tag, value, required } of objects) putComprehensionTlv(out, tag, value, required);
}

function putDetails(out: Writer, { number, type, qualifier }: CommandDetails): void {
  putComprehensionTlv(out, CAT_TAG.commandDetails, Uint8Array.of(number, type, qualifier));
}

function takeDetails(objects: ComprehensionTlv[]): CommandDetails {
  const value = takeObject(objects, CAT_TAG.commandDetails);
  if (value?.length !== 3) {
    throw new DecodeError('command details', value ? `${value.length} bytes` : 'absent', '3 bytes, first');
  }
  return { number: value[0]!, type: value[1]!, qualifier: value[2]! };
}

/** Takes the next object out if it has this tag; objects come in the order of their specification. */
export function takeObject(objects: ComprehensionTlv[], tag: number): Uint8Array | undefined {
  return objects[0]?.tag === tag ? objects.shift()!.value : undefined;
}

/** The next object, which must have this tag. @throws DecodeError naming it */
export function mustTakeObject(objects: ComprehensionTlv[], tag: number, field: string): Uint8Array {
  const value = takeObject(objects, tag);
  if (!value) throw new DecodeError(field, 'absent', 'present, in its place');
  return value;
}

/** The next object, of this tag and length. @throws DecodeError */
export function mustTakeSized(
  objects: ComprehensionTlv[],
  tag: number,
  field: string,
  length: number,
): Uint8Array {
  const value = mustTakeObject(objects, tag, field);
  if (value.length !== length) throw new DecodeError(field, `${value.length} bytes`, `${length} bytes`);
  return value;
}

/**
 * What FETCH brought. A type we do not know comes as `other`, objects uninterpreted.
 * @throws DecodeError naming the data object
 */
export function decodeProactiveCommand(bytes: Uint8Array): ProactiveCommand {
  const objects = decodeComprehensionTlvs(
    decodeBerTlv(bytes, PROACTIVE_TAG, 'proactive command'),
    'proactive command',
  );
  const details = takeDetails(objects);
  const devices = mustTakeSized(objects, CAT_TAG.deviceIdentities, 'device identities', 2);
  const { number, qualifier } = details;
  const command = ((): ProactiveCommand => {
    switch (details.type) {
      case PROACTIVE.refresh: {
        const files = takeObject(objects, CAT_TAG.fileList);
        const aid = takeObject(objects, CAT_TAG.aid);
        return {
          type: 'refresh',
          number,
          mode: qualifier,
          ...(files && { files: takeFiles(files) }),
          ...(aid && { aid }),
        };
      }
      case PROACTIVE.moreTime:
        return { type: 'moreTime', number };
      case PROACTIVE.pollInterval: {
        const value = mustTakeObject(objects, CAT_TAG.duration, 'duration');
        return { type: 'pollInterval', number, interval: decodeDuration(value) };
      }
      case PROACTIVE.pollingOff:
        return { type: 'pollingOff', number };
      case PROACTIVE.setUpEventList: {
        const events = [...mustTakeObject(objects, CAT_TAG.eventList, 'event list')];
        return { type: 'setUpEventList', number, events };
      }
      case PROACTIVE.sendShortMessage: {
        const address = takeObject(objects, CAT_TAG.address);
        return {
          type: 'sendShortMessage',
          number,
          ...(address && { address: decodeAddress(address) }),
          tpdu: mustTakeObject(objects, CAT_TAG.smsTpdu, 'SMS TPDU'),
          ...((qualifier & 1) === 1 && { packing: true as const }),
        };
      }
      case PROACTIVE.timerManagement: {
        const action = ACTIONS[qualifier];
        if (!action) throw new DecodeError('TIMER MANAGEMENT qualifier', String(qualifier), '0 to 2');
        const id = mustTakeSized(objects, CAT_TAG.timerIdentifier, 'timer identifier', 1)[0]!;
        if (id < 1 || id > 8) throw new DecodeError('timer identifier', String(id), '1 to 8');
        const value =
          action === 'start' ? mustTakeObject(objects, CAT_TAG.timerValue, 'timer value') : undefined;
        return {
          type: 'timerManagement',
          number,
          timer: id,
          action,
          ...(value && { seconds: decodeTimerValue(value) }),
        };
      }
      case PROACTIVE.provideLocalInformation:
        return { type: 'provideLocalInformation', number, what: qualifier };
      case PROACTIVE.displayText: {
        const text = mustTakeObject(objects, CAT_TAG.textString, 'text string');
        if (text.length === 0) throw new DecodeError('text string', '0 bytes', 'at least 1 byte');
        return { type: 'displayText', number, dcs: text[0]!, text: text.subarray(1), qualifier };
      }
      default:
        return { type: 'other', number, details, destination: devices[1]!, objects: objects.splice(0) };
    }
  })();
  // Only the devices and qualifiers of the specification, so that a command has one coding.
  if (devices[0] !== DEVICE.uicc || devices[1] !== destinationOf(command)) {
    throw new DecodeError('device identities', [...devices].join(' '), 'those of the command');
  }
  if (commandDetails(command).qualifier !== qualifier) {
    throw new DecodeError('command qualifier', String(qualifier), 'one of the command');
  }
  if (objects.length > 0) command.extra = objects;
  return command;
}

/** Where a terminal is (TS 102 223 §8.19): PLMN, LAC or TAC, and the cell in 2 or 4 bytes if known. */
export interface Location extends Area {
  cell?: Uint8Array;
}

export function encodeLocation(location: Location): Uint8Array {
  const cell = location.cell ?? new Uint8Array();
  if (![0, 2, 4].includes(cell.length)) throw new FieldError('cell', `${cell.length} bytes`, '2 or 4 bytes');
  return new Writer(9).put(encodeArea(location)).put(cell).done();
}

/** @throws DecodeError */
export function decodeLocation(value: Uint8Array): Location {
  if (![5, 7, 9].includes(value.length)) {
    throw new DecodeError('location information', `${value.length} bytes`, '5, 7 or 9 bytes');
  }
  const area = decodeArea(value.subarray(0, 5), 'location information');
  return value.length === 5 ? area : { ...area, cell: value.subarray(5) };
}

/** TERMINAL RESPONSE: which command, how it went, and what it brought. */
export interface TerminalResponse {
  command: CommandDetails;
  /** RESULT */
  result: number;
  /** additional information on the result */
  additional?: Uint8Array;
  /** POLL INTERVAL: the interval that the terminal will keep */
  interval?: Duration;
  /** TIMER MANAGEMENT: 1–8, and the time left in seconds after `deactivate` and `currentValue` */
  timer?: number;
  seconds?: number;
  /** PROVIDE LOCAL INFORMATION */
  location?: Location;
  /** 15 digits, or 16 for IMEISV */
  imei?: string;
  imeisv?: string;
  /** ACCESS_TECHNOLOGY */
  accessTechnology?: number;
  /** 7 bytes (TS 102 223 §8.39) */
  dateTime?: Uint8Array;
  /** data objects beside those named here */
  extra?: ComprehensionTlv[];
}

function encodeImei(imei: string): Uint8Array {
  // As a mobile identity (TS 24.008 §10.5.1.4): type of identity 2 and odd, in the first nibble.
  if (!/^[0-9]{15}$/.test(imei)) throw new FieldError('imei', JSON.stringify(imei), '15 digits');
  const rest = encodeBcd(imei.slice(1));
  return Uint8Array.of((Number(imei[0]) << 4) | 0x0a, ...rest);
}

function decodeImei(value: Uint8Array): string {
  if (value.length !== 8 || (value[0]! & 0x0f) !== 0x0a || value[0]! >> 4 > 9) {
    throw new DecodeError('IMEI', `${value.length} bytes`, '8 bytes, an IMEI of 15 digits');
  }
  const rest = decodeBcd(value.subarray(1), 'IMEI');
  if (rest.length !== 14) throw new DecodeError('IMEI', `${rest.length + 1} digits`, '15 digits');
  return `${value[0]! >> 4}${rest}`;
}

/** IMEISV: 16 digits, identity type 3, even: the last nibble is a filler (TS 24.008 §10.5.1.4). */
function encodeImeisv(imeisv: string): Uint8Array {
  if (!/^[0-9]{16}$/.test(imeisv)) throw new FieldError('imeisv', JSON.stringify(imeisv), '16 digits');
  return Uint8Array.of((Number(imeisv[0]) << 4) | 0x03, ...encodeBcd(imeisv.slice(1)));
}

function decodeImeisv(value: Uint8Array): string {
  if (value.length !== 9 || (value[0]! & 0x0f) !== 0x03 || value[0]! >> 4 > 9) {
    throw new DecodeError('IMEISV', `${value.length} bytes`, '9 bytes, an IMEISV of 16 digits');
  }
  const rest = decodeBcd(value.subarray(1), 'IMEISV');
  if (rest.length !== 15) throw new DecodeError('IMEISV', `${rest.length + 1} digits`, '16 digits');
  return `${value[0]! >> 4}${rest}`;
}

/** The data of the TERMINAL RESPONSE command. @throws FieldError */
export function encodeTerminalResponse(response: TerminalResponse): Uint8Array {
  const out = new Writer(48);
  const put = (tag: number, value: Uint8Array): void => void putComprehensionTlv(out, tag, value);
  putDetails(out, response.command);
  put(CAT_TAG.deviceIdentities, Uint8Array.of(DEVICE.terminal, DEVICE.uicc));
  put(
    CAT_TAG.result,
    new Writer(4)
      .u8(response.result)
      .put(response.additional ?? new Uint8Array())
      .done(),
  );
  if (response.interval) put(CAT_TAG.duration, encodeDuration(response.interval));
  if (response.location) put(CAT_TAG.locationInformation, encodeLocation(response.location));
  if (response.imei !== undefined) put(CAT_TAG.imei, encodeImei(response.imei));
  if (response.imeisv !== undefined) put(CAT_TAG.imeisv, encodeImeisv(response.imeisv));
  if (response.dateTime) put(CAT_TAG.dateTime, response.dateTime);
  if (response.timer !== undefined) put(CAT_TAG.timerIdentifier, timer(response.timer));
  if (response.seconds !== undefined) put(CAT_TAG.timerValue, encodeTimerValue(response.seconds));
  if (response.accessTechnology !== undefined) {
    put(CAT_TAG.accessTechnology, Uint8Array.of(response.accessTechnology));
  }
  if (response.extra) putAll(out, response.extra);
  return out.done();
}

/** The comprehension flag is not looked at. @throws DecodeError */
export function decodeTerminalResponse(data: Uint8Array): TerminalResponse {
  const objects = decodeComprehensionTlvs(data, 'TERMINAL RESPONSE');
  const command = takeDetails(objects);
  const devices = mustTakeSized(objects, CAT_TAG.deviceIdentities, 'device identities', 2);
  if (devices[0] !== DEVICE.terminal || devices[1] !== DEVICE.uicc) {
    throw new DecodeError('device identities', [...devices].join(' '), 'terminal to UICC');
  }
  const result = mustTakeObject(objects, CAT_TAG.result, 'result');
  if (result.length === 0) throw new DecodeError('result', '0 bytes', 'at least 1 byte');
  const response: TerminalResponse = { command, result: result[0]! };
  if (result.length > 1) response.additional = result.subarray(1);
  const interval = takeObject(objects, CAT_TAG.duration);
  if (interval) response.interval = decodeDuration(interval);
  const location = takeObject(objects, CAT_TAG.locationInformation);
  if (location) response.location = decodeLocation(location);
  const imei = takeObject(objects, CAT_TAG.imei);
  if (imei) response.imei = decodeImei(imei);
  const imeisv = takeObject(objects, CAT_TAG.imeisv);
  if (imeisv) response.imeisv = decodeImeisv(imeisv);
  const dateTime = takeObject(objects, CAT_TAG.dateTime);
  if (dateTime) response.dateTime = dateTime;
  const id = takeObject(objects, CAT_TAG.timerIdentifier);
  if (id) {
    if (id.length !== 1 || id[0]! < 1 || id[0]! > 8) {
      throw new DecodeError('timer identifier', `${id.length} bytes`, '1 byte, 1 to 8');
    }
    response.timer = id[0]!;
  }
  const seconds = takeObject(objects, CAT_TAG.timerValue);
  if (seconds) response.seconds = decodeTimerValue(seconds);
  const technology = takeObject(objects, CAT_TAG.accessTechnology);
  if (technology) {
    if (technology.length !== 1) {
      throw new DecodeError('access technology', `${technology.length} bytes`, '1 byte');
    }
    response.accessTechnology = technology[0]!;
  }
  if (objects.length > 0) response.extra = objects;
  return response;
}
