/** Short message relay and control protocols between device and network (TS 24.011 §7, §8). */
import { DecodeError, FieldError, Reader, Writer } from '../bytes/index.ts';
import { decodeRpAddress, encodeRpAddress, type Address } from './address.ts';

/** RP messages. `reference` is the RP-Message Reference, 0–255; `tpdu` a TPDU, at most 233 bytes. */
export type RpMessage =
  | { type: 'data'; toDevice: true; reference: number; originator: Address; tpdu: Uint8Array }
  | { type: 'data'; toDevice: false; reference: number; destination: Address; tpdu: Uint8Array }
  | { type: 'ack'; toDevice: boolean; reference: number; tpdu?: Uint8Array }
  | {
      type: 'error';
      toDevice: boolean;
      reference: number;
      /** RP-Cause, 0–127 */
      cause: number;
      /** one byte that explains the cause */
      diagnostic?: number;
      tpdu?: Uint8Array;
    }
  | { type: 'memoryAvailable'; toDevice: false; reference: number };

/** RP-Cause values (TS 24.011 §8.2.5.4). */
export const RP_CAUSE = {
  unassignedNumber: 1,
  operatorDeterminedBarring: 8,
  callBarred: 10,
  transferRejected: 21,
  memoryCapacityExceeded: 22,
  destinationOutOfOrder: 27,
  unidentifiedSubscriber: 28,
  facilityRejected: 29,
  unknownSubscriber: 30,
  networkOutOfOrder: 38,
  temporaryFailure: 41,
  congestion: 42,
  resourcesUnavailable: 47,
  facilityNotSubscribed: 50,
  facilityNotImplemented: 69,
  invalidReference: 81,
  semanticallyIncorrect: 95,
  invalidMandatory: 96,
  messageTypeUnknown: 97,
  notCompatibleWithState: 98,
  unknownElement: 99,
  protocolError: 111,
  interworking: 127,
} as const;

/** CP messages; `transaction` 0–7, `fromInitiator`: sent by the side that began the transaction. */
export type CpMessage = { transaction: number; fromInitiator: boolean } & (
  { type: 'data'; rp: Uint8Array } | { type: 'ack' } | { type: 'error'; cause: number }
);

/** CP-Cause values (TS 24.011 §8.1.4.2). */
export const CP_CAUSE = {
  networkFailure: 17,
  congestion: 22,
  invalidTransaction: 81,
  semanticallyIncorrect: 95,
  invalidMandatory: 96,
  messageTypeUnknown: 97,
  notCompatibleWithState: 98,
  unknownElement: 99,
  protocolError: 111,
} as const;

const PROTOCOL = 9;
const USER_DATA = 0x41;
const MOST_TPDU = 233;
const MOST_RP = 248;

function small(field: string, value: number, most: number): number {
  if (!Number.isInteger(value) || value < 0 || value > most) {
    throw new FieldError(field, String(value), `a whole number from 0 to ${most}`);
  }
  return value;
}

function fitting(field: string, bytes: Uint8Array, most: number): Uint8Array {
  if (bytes.length > most) throw new FieldError(field, `${bytes.length} bytes`, `at most ${most} bytes`);
  return bytes;
}

export function encodeRp(message: RpMessage): Uint8Array {
  const out = new Writer(64);
  const begin = (type: number): void => {
    out.u8(message.toDevice ? type + 1 : type).u8(small('RP-Message Reference', message.reference, 255));
  };
  const optional = (tpdu: Uint8Array | undefined): void => {
    if (tpdu) out.u8(USER_DATA).lv(fitting('RP-User Data', tpdu, MOST_TPDU), 'RP-User Data');
  };
  switch (message.type) {
    case 'data':
      begin(0);
      if (message.toDevice) {
        out.lv(encodeRpAddress(message.originator, 'RP-Originator Address'), 'RP-OA').u8(0);
      } else {
        out.u8(0).lv(encodeRpAddress(message.destination, 'RP-Destination Address'), 'RP-DA');
      }
      out.lv(fitting('RP-User Data', message.tpdu, MOST_TPDU), 'RP-User Data');
      break;
    case 'ack':
      begin(2);
      optional(message.tpdu);
      break;
    case 'error':
      begin(4);
      out.u8(message.diagnostic === undefined ? 1 : 2).u8(small('RP-Cause', message.cause, 127));
      if (message.diagnostic !== undefined) out.u8(small('RP-Cause diagnostic', message.diagnostic, 255));
      optional(message.tpdu);
      break;
    case 'memoryAvailable':
      begin(6);
      break;
  }
  return out.done();
}

function address(bytes: Uint8Array, field: string): Address {
  const found = decodeRpAddress(bytes, field);
  if (!found) throw new DecodeError(field, 'empty', 'an address');
  return found;
}

/** The message type tells the direction. Bits 8–4 of it are spare and ignored. @throws DecodeError */
export function decodeRp(bytes: Uint8Array): RpMessage {
  const reader = new Reader(bytes);
  const mti = reader.u8('RP-Message Type') & 7;
  const reference = reader.u8('RP-Message Reference');
  const toDevice = (mti & 1) === 1;
  const userData = (): Uint8Array => {
    const tpdu = reader.lv('RP-User Data');
    if (tpdu.length > MOST_TPDU) {
      throw new DecodeError('RP-User Data', `${tpdu.length} bytes`, `at most ${MOST_TPDU} bytes`);
    }
    return tpdu;
  };
  const optional = (): { tpdu?: Uint8Array } => {
    if (reader.remaining === 0) return {};
    const tag = reader.u8('RP-User Data');
    if (tag !== USER_DATA) throw new DecodeError('RP element', `0x${tag.toString(16)}`, '0x41');
    return { tpdu: userData() };
  };
  let message: RpMessage;
  switch (mti >> 1) {
    case 0: {
      const originator = reader.lv('RP-Originator Address');
      const destination = reader.lv('RP-Destination Address');
      const [other, field] = toDevice
        ? [destination, 'RP-Destination Address']
        : [originator, 'RP-Originator Address'];
      if (other.length !== 0) throw new DecodeError(field, `${other.length} bytes`, 'empty');
      const tpdu = userData();
      message = toDevice
        ? {
            type: 'data',
            toDevice,
            reference,
            originator: address(originator, 'RP-Originator Address'),
            tpdu,
          }
        : {
            type: 'data',
            toDevice,
            reference,
            destination: address(destination, 'RP-Destination Address'),
            tpdu,
          };
      break;
    }
    case 1:
      message = { type: 'ack', toDevice, reference, ...optional() };
      break;
    case 2: {
      const cause = reader.lv('RP-Cause');
      if (cause.length < 1 || cause.length > 2) {
        throw new DecodeError('RP-Cause', `${cause.length} bytes`, '1 or 2 bytes');
      }
      message = {
        type: 'error',
        toDevice,
        reference,
        cause: cause[0]! & 0x7f,
        ...(cause.length === 2 ? { diagnostic: cause[1]! } : {}),
        ...optional(),
      };
      break;
    }
    default:
      if (toDevice) throw new DecodeError('RP-Message Type', '7', '0 to 6');
      message = { type: 'memoryAvailable', toDevice: false, reference };
  }
  reader.end('RP message');
  return message;
}

export function encodeCp(message: CpMessage): Uint8Array {
  const out = new Writer(3 + (message.type === 'data' ? message.rp.length : 0));
  out.u8(
    (message.fromInitiator ? 0 : 0x80) |
      (small('transaction identifier', message.transaction, 7) << 4) |
      PROTOCOL,
  );
  switch (message.type) {
    case 'data':
      out.u8(0x01).lv(fitting('CP-User Data', message.rp, MOST_RP), 'CP-User Data');
      break;
    case 'ack':
      out.u8(0x04);
      break;
    case 'error':
      out.u8(0x10).u8(small('CP-Cause', message.cause, 127));
      break;
  }
  return out.done();
}

/** @throws DecodeError */
export function decodeCp(bytes: Uint8Array): CpMessage {
  const reader = new Reader(bytes);
  const first = reader.u8('protocol discriminator');
  if ((first & 0x0f) !== PROTOCOL) {
    throw new DecodeError('protocol discriminator', String(first & 0x0f), '9 (SMS)');
  }
  const head = { transaction: (first >> 4) & 7, fromInitiator: (first & 0x80) === 0 };
  const type = reader.u8('CP message type');
  let message: CpMessage;
  if (type === 0x01) {
    const rp = reader.lv('CP-User Data');
    if (rp.length > MOST_RP) throw new DecodeError('CP-User Data', `${rp.length} bytes`, 'at most 248 bytes');
    message = { ...head, type: 'data', rp };
  } else if (type === 0x04) {
    message = { ...head, type: 'ack' };
  } else if (type === 0x10) {
    message = { ...head, type: 'error', cause: reader.u8('CP-Cause') & 0x7f };
  } else {
    throw new DecodeError('CP message type', `0x${type.toString(16)}`, '0x01, 0x04 or 0x10');
  }
  reader.end('CP message');
  return message;
}
