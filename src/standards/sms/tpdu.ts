/** SMS TPDUs (TS 23.040 §9.2.2). */
import { DecodeError, FieldError, Reader, Writer } from '../bytes/index.ts';
import { readTpAddress, writeTpAddress, type Address } from './address.ts';
import { readTimeStamp, writeTimeStamp, type TimeStamp, type ValidityPeriod } from './time.ts';
import { readUserData, writeUserData, type UserData } from './user-data.ts';

export interface SmsDeliver {
  type: 'deliver';
  /** TP-MMS turned round: more messages wait in the service centre */
  moreMessages: boolean;
  loopPrevention?: boolean;
  statusReportIndication?: boolean;
  replyPath?: boolean;
  originator: Address;
  /** TP-PID, 0x7F for the card */
  pid: number;
  /** TP-DCS, 0xF6 for the card */
  dcs: number;
  timeStamp: TimeStamp;
  userData: UserData;
}

export interface SmsSubmit {
  type: 'submit';
  rejectDuplicates?: boolean;
  statusReportRequest?: boolean;
  replyPath?: boolean;
  /** TP-MR, 0–255 */
  reference: number;
  destination: Address;
  pid: number;
  dcs: number;
  validity?: ValidityPeriod;
  userData: UserData;
}

/** Carried by RP-ACK, or with `cause` by RP-ERROR. */
export interface SmsDeliverReport {
  type: 'deliverReport';
  /** TP-FCS, 0x80–0xFF: present exactly in RP-ERROR */
  cause?: number;
  pid?: number;
  dcs?: number;
  userData?: UserData;
}

export interface SmsSubmitReport {
  type: 'submitReport';
  /** TP-FCS: present exactly in RP-ERROR */
  cause?: number;
  timeStamp: TimeStamp;
  pid?: number;
  dcs?: number;
  userData?: UserData;
}

export interface SmsStatusReport {
  type: 'statusReport';
  moreMessages: boolean;
  loopPrevention?: boolean;
  /** the report answers an SMS-COMMAND */
  ofCommand?: boolean;
  reference: number;
  recipient: Address;
  timeStamp: TimeStamp;
  dischargeTime: TimeStamp;
  /** TP-ST; 0: received */
  status: number;
  pid?: number;
  dcs?: number;
  userData?: UserData;
}

export interface SmsCommand {
  type: 'command';
  statusReportRequest?: boolean;
  reference: number;
  pid: number;
  /** TP-CT */
  command: number;
  /** TP-MN */
  messageNumber: number;
  destination: Address;
  /** TP-UDHI: the data begins with a user data header */
  headerInData?: boolean;
  /** TP-CD, at most 157 bytes */
  data: Uint8Array;
}

export type TpduToDevice = SmsDeliver | SmsSubmitReport | SmsStatusReport;
export type TpduFromDevice = SmsSubmit | SmsDeliverReport | SmsCommand;
export type Tpdu = TpduToDevice | TpduFromDevice;

/** TP-Failure-Cause values used here (TS 23.040 §9.2.3.22). */
export const TP_FCS = {
  noStorage: 0xd0,
  cardBusy: 0xd4,
  cardDataDownloadError: 0xd5,
  unspecified: 0xff,
} as const;

/** Octets of user data there is room for (TS 23.040 §9.2.2). */
const ROOM = {
  deliver: 140,
  submit: 140,
  deliverReport: 159,
  submitReport: 152,
  statusReport: 131,
  command: 157,
} as const;

const flag = (condition: boolean | undefined, bit: number): number => (condition ? 1 << bit : 0);

function octet(field: string, value: number): number {
  if (!Number.isInteger(value) || value < 0 || value > 255) {
    throw new FieldError(field, String(value), 'a whole number from 0 to 255');
  }
  return value;
}

interface Optional {
  pid?: number;
  dcs?: number;
  userData?: UserData;
}

/** TP-PI and what it announces. */
function writeOptional(out: Writer, tpdu: Optional, room: number): void {
  optionalWithout(out, tpdu);
  writeOptionalValues(out, tpdu, room);
}

function optionalWithout(out: Writer, tpdu: Optional): void {
  out.u8(flag(tpdu.pid !== undefined, 0) | flag(tpdu.dcs !== undefined, 1) | flag(!!tpdu.userData, 2));
}

function writeOptionalValues(out: Writer, tpdu: Optional, room: number): void {
  if (tpdu.pid !== undefined) out.u8(octet('TP-PID', tpdu.pid));
  if (tpdu.dcs !== undefined) out.u8(octet('TP-DCS', tpdu.dcs));
  if (tpdu.userData) writeUserData(out, tpdu.userData, tpdu.dcs ?? 0, room);
}

function readIndicator(reader: Reader): number {
  const pi = reader.u8('TP-PI');
  if ((pi & 0xf8) !== 0) {
    throw new DecodeError('TP-PI', `0x${pi.toString(16)}`, 'bits 1 to 3 only');
  }
  return pi;
}

function readOptionalValues(reader: Reader, pi: number, hasHeader: boolean, room: number): Optional {
  const found: Optional = {};
  if ((pi & 1) !== 0) found.pid = reader.u8('TP-PID');
  if ((pi & 2) !== 0) found.dcs = reader.u8('TP-DCS');
  if ((pi & 4) !== 0) found.userData = readUserData(reader, hasHeader, found.dcs ?? 0, room);
  reader.end('TPDU');
  return found;
}

function failure(cause: number): number {
  if (!Number.isInteger(cause) || cause < 0x80 || cause > 0xff) {
    throw new FieldError('TP-FCS', String(cause), 'a failure cause from 128 to 255');
  }
  return cause;
}

const hasHeader = (userData: UserData | undefined): boolean => (userData?.header.length ?? 0) > 0;

function validityFormat(validity: ValidityPeriod | undefined): number {
  if (validity === undefined) return 0;
  return validity.format === 'relative' ? 2 : validity.format === 'absolute' ? 3 : 1;
}

/**
 * The bytes of a TPDU. @throws FieldError naming what does not fit
 */
export function encodeTpdu(tpdu: Tpdu): Uint8Array {
  const out = new Writer(176);
  switch (tpdu.type) {
    case 'deliver':
      out.u8(
        flag(!tpdu.moreMessages, 2) |
          flag(tpdu.loopPrevention, 3) |
          flag(tpdu.statusReportIndication, 5) |
          flag(hasHeader(tpdu.userData), 6) |
          flag(tpdu.replyPath, 7),
      );
      writeTpAddress(out, tpdu.originator, 'TP-OA');
      out.u8(octet('TP-PID', tpdu.pid)).u8(octet('TP-DCS', tpdu.dcs));
      writeTimeStamp(out, tpdu.timeStamp, 'TP-SCTS');
      writeUserData(out, tpdu.userData, tpdu.dcs, ROOM.deliver);
      break;
    case 'submit':
      out.u8(
        1 |
          flag(tpdu.rejectDuplicates, 2) |
          (validityFormat(tpdu.validity) << 3) |
          flag(tpdu.statusReportRequest, 5) |
          flag(hasHeader(tpdu.userData), 6) |
          flag(tpdu.replyPath, 7),
      );
      out.u8(octet('TP-MR', tpdu.reference));
      writeTpAddress(out, tpdu.destination, 'TP-DA');
      out.u8(octet('TP-PID', tpdu.pid)).u8(octet('TP-DCS', tpdu.dcs));
      writeValidity(out, tpdu.validity);
      writeUserData(out, tpdu.userData, tpdu.dcs, ROOM.submit);
      break;
    case 'deliverReport':
      out.u8(flag(hasHeader(tpdu.userData), 6));
      if (tpdu.cause !== undefined) out.u8(failure(tpdu.cause));
      writeOptional(out, tpdu, ROOM.deliverReport - flag(tpdu.cause !== undefined, 0));
      break;
    case 'submitReport':
      out.u8(1 | flag(hasHeader(tpdu.userData), 6));
      if (tpdu.cause !== undefined) out.u8(failure(tpdu.cause));
      optionalWithout(out, tpdu);
      writeTimeStamp(out, tpdu.timeStamp, 'TP-SCTS');
      writeOptionalValues(out, tpdu, ROOM.submitReport - flag(tpdu.cause !== undefined, 0));
      break;
    case 'statusReport':
      out.u8(
        2 |
          flag(!tpdu.moreMessages, 2) |
          flag(tpdu.loopPrevention, 3) |
          flag(tpdu.ofCommand, 5) |
          flag(hasHeader(tpdu.userData), 6),
      );
      out.u8(octet('TP-MR', tpdu.reference));
      writeTpAddress(out, tpdu.recipient, 'TP-RA');
      writeTimeStamp(out, tpdu.timeStamp, 'TP-SCTS');
      writeTimeStamp(out, tpdu.dischargeTime, 'TP-DT');
      out.u8(octet('TP-ST', tpdu.status));
      if (tpdu.pid !== undefined || tpdu.dcs !== undefined || tpdu.userData) {
        writeOptional(out, tpdu, ROOM.statusReport);
      }
      break;
    case 'command':
      out.u8(2 | flag(tpdu.statusReportRequest, 5) | flag(tpdu.headerInData, 6));
      out.u8(octet('TP-MR', tpdu.reference)).u8(octet('TP-PID', tpdu.pid)).u8(octet('TP-CT', tpdu.command));
      out.u8(octet('TP-MN', tpdu.messageNumber));
      writeTpAddress(out, tpdu.destination, 'TP-DA');
      if (tpdu.data.length > ROOM.command) {
        throw new FieldError('TP-CD', `${tpdu.data.length} bytes`, `at most ${ROOM.command} bytes`);
      }
      out.lv(tpdu.data, 'TP-CD');
      break;
  }
  return out.done();
}

function writeValidity(out: Writer, validity: ValidityPeriod | undefined): void {
  if (validity === undefined) return;
  if (validity.format === 'relative') {
    out.u8(octet('TP-VP', validity.value));
  } else if (validity.format === 'absolute') {
    writeTimeStamp(out, validity.stamp, 'TP-VP');
  } else {
    if (validity.bytes.length !== 7) {
      throw new FieldError('TP-VP', `${validity.bytes.length} bytes`, '7 bytes');
    }
    out.put(validity.bytes);
  }
}

function readValidity(reader: Reader, format: number): ValidityPeriod | undefined {
  if (format === 0) return undefined;
  if (format === 2) return { format: 'relative', value: reader.u8('TP-VP') };
  if (format === 3) return { format: 'absolute', stamp: readTimeStamp(reader, 'TP-VP') };
  return { format: 'enhanced', bytes: reader.take(7, 'TP-VP') };
}

/** Adds the optional flags that are set, so that absent and false are one form: absent. */
function withFlags<T extends object>(tpdu: T, first: number, flags: readonly [keyof T, number][]): T {
  for (const [name, bit] of flags) {
    if ((first & (1 << bit)) !== 0) (tpdu as Record<keyof T, unknown>)[name] = true;
  }
  return tpdu;
}

function failureOf(reader: Reader): number {
  const cause = reader.u8('TP-FCS');
  if (cause < 0x80) {
    throw new DecodeError('TP-FCS', `0x${cause.toString(16)}`, 'a failure cause from 0x80 to 0xff');
  }
  return cause;
}

/**
 * A TPDU from the service centre to the device. Spare bits of the first byte are ignored.
 * @param inError it came in an RP-ERROR, which changes the coding of an SMS-SUBMIT-REPORT
 * @throws DecodeError
 */
export function decodeTpduToDevice(bytes: Uint8Array, inError = false): TpduToDevice {
  const reader = new Reader(bytes);
  const first = reader.u8('TP-MTI');
  const udhi = (first & 0x40) !== 0;
  switch (first & 3) {
    case 0: {
      const originator = readTpAddress(reader, 'TP-OA');
      const pid = reader.u8('TP-PID');
      const dcs = reader.u8('TP-DCS');
      const timeStamp = readTimeStamp(reader, 'TP-SCTS');
      const userData = readUserData(reader, udhi, dcs, ROOM.deliver);
      const deliver: SmsDeliver = {
        type: 'deliver',
        moreMessages: (first & 4) === 0,
        originator,
        pid,
        dcs,
        timeStamp,
        userData,
      };
      return withFlags(deliver, first, [
        ['loopPrevention', 3],
        ['statusReportIndication', 5],
        ['replyPath', 7],
      ]);
    }
    case 1: {
      const cause = inError ? { cause: failureOf(reader) } : {};
      const pi = readIndicator(reader);
      const timeStamp = readTimeStamp(reader, 'TP-SCTS');
      const room = ROOM.submitReport - flag(inError, 0);
      return { type: 'submitReport', ...cause, timeStamp, ...readOptionalValues(reader, pi, udhi, room) };
    }
    case 2: {
      const reference = reader.u8('TP-MR');
      const recipient = readTpAddress(reader, 'TP-RA');
      const timeStamp = readTimeStamp(reader, 'TP-SCTS');
      const dischargeTime = readTimeStamp(reader, 'TP-DT');
      const status = reader.u8('TP-ST');
      const optional =
        reader.remaining === 0
          ? {}
          : readOptionalValues(reader, readIndicator(reader), udhi, ROOM.statusReport);
      const report: SmsStatusReport = {
        type: 'statusReport',
        moreMessages: (first & 4) === 0,
        reference,
        recipient,
        timeStamp,
        dischargeTime,
        status,
        ...optional,
      };
      return withFlags(report, first, [
        ['loopPrevention', 3],
        ['ofCommand', 5],
      ]);
    }
    default:
      throw new DecodeError('TP-MTI', '3', '0, 1 or 2');
  }
}

/**
 * A TPDU from the device to the service centre. Spare bits of the first byte are ignored.
 * @param inError it came in an RP-ERROR, which changes the coding of an SMS-DELIVER-REPORT
 * @throws DecodeError
 */
export function decodeTpduFromDevice(bytes: Uint8Array, inError = false): TpduFromDevice {
  const reader = new Reader(bytes);
  const first = reader.u8('TP-MTI');
  const udhi = (first & 0x40) !== 0;
  switch (first & 3) {
    case 0: {
      const cause = inError ? { cause: failureOf(reader) } : {};
      const pi = readIndicator(reader);
      const room = ROOM.deliverReport - flag(inError, 0);
      return { type: 'deliverReport', ...cause, ...readOptionalValues(reader, pi, udhi, room) };
    }
    case 1: {
      const reference = reader.u8('TP-MR');
      const destination = readTpAddress(reader, 'TP-DA');
      const pid = reader.u8('TP-PID');
      const dcs = reader.u8('TP-DCS');
      const validity = readValidity(reader, (first >> 3) & 3);
      const userData = readUserData(reader, udhi, dcs, ROOM.submit);
      const submit: SmsSubmit = {
        type: 'submit',
        reference,
        destination,
        pid,
        dcs,
        ...(validity ? { validity } : {}),
        userData,
      };
      return withFlags(submit, first, [
        ['rejectDuplicates', 2],
        ['statusReportRequest', 5],
        ['replyPath', 7],
      ]);
    }
    case 2: {
      const command: SmsCommand = {
        type: 'command',
        reference: reader.u8('TP-MR'),
        pid: reader.u8('TP-PID'),
        command: reader.u8('TP-CT'),
        messageNumber: reader.u8('TP-MN'),
        destination: readTpAddress(reader, 'TP-DA'),
        data: reader.lv('TP-CD'),
      };
      if (command.data.length > ROOM.command) {
        throw new DecodeError('TP-CD', `${command.data.length} bytes`, `at most ${ROOM.command} bytes`);
      }
      reader.end('TPDU');
      return withFlags(command, first, [
        ['statusReportRequest', 5],
        ['headerInData', 6],
      ]);
    }
    default:
      throw new DecodeError('TP-MTI', '3', '0, 1 or 2');
  }
}
