/** Diameter messages: header and AVPs, untyped (RFC 6733 §3, §4.1). */
import { DecodeError, FieldError, Reader, Writer } from '../bytes/index.ts';

export interface Avp {
  code: number;
  /** Vendor-Id; 0: none (the V bit is clear) */
  vendor: number;
  /** M bit */
  mandatory: boolean;
  data: Uint8Array;
}

export interface Message {
  /** command code, 24 bits */
  command: number;
  /** Application-Id, 32 bits */
  application: number;
  /** R, P, E and T bits */
  request: boolean;
  proxiable: boolean;
  error: boolean;
  retransmitted: boolean;
  hopByHop: number;
  endToEnd: number;
  avps: Avp[];
}

/** Bytes of the header. */
export const HEADER_LENGTH = 20;

/** Bytes that a Diameter peer could not take, with the Result-Code to say so (RFC 6733 §7.1). */
export class AvpError extends DecodeError {
  readonly resultCode: number;
  /** what Failed-AVP is to carry */
  readonly failed: Avp | undefined;

  constructor(resultCode: number, field: string, value: string, expected: string, failed?: Avp) {
    super(field, value, expected);
    this.name = 'AvpError';
    this.resultCode = resultCode;
    this.failed = failed;
  }
}

const FLAG = { vendor: 0x80, mandatory: 0x40, request: 0x80, proxiable: 0x40, error: 0x20, again: 0x10 };
const PADDING = [0, 3, 2, 1];
const INVALID_AVP_LENGTH = 5014;
const INVALID_MESSAGE_LENGTH = 5015;
const UNSUPPORTED_VERSION = 5011;
const INVALID_HEADER_BITS = 3008;

/** Writes AVPs, each padded with zeros to a multiple of 4 bytes. */
export function writeAvps(out: Writer, avps: readonly Avp[]): void {
  for (const { code, vendor, mandatory, data } of avps) {
    const length = (vendor === 0 ? 8 : 12) + data.length;
    if (length > 0xff_ffff) throw new FieldError(`AVP ${code}`, `${length} bytes`, 'less than 2^24 bytes');
    out.u32(code).u8((vendor === 0 ? 0 : FLAG.vendor) | (mandatory ? FLAG.mandatory : 0));
    out.u24(length);
    if (vendor !== 0) out.u32(vendor);
    out.put(data);
    for (let i = PADDING[length & 3]!; i > 0; i--) out.u8(0);
  }
}

/** AVPs to the end of the bytes; reserved flag bits and the content of padding are ignored. @throws AvpError */
export function readAvps(bytes: Uint8Array): Avp[] {
  const reader = new Reader(bytes);
  const avps: Avp[] = [];
  while (reader.remaining > 0) {
    if (reader.remaining < 8) {
      throw new AvpError(INVALID_AVP_LENGTH, 'AVP', `${reader.remaining} bytes left`, 'a header of 8 bytes');
    }
    const code = reader.u32('AVP code');
    const flags = reader.u8('AVP flags');
    const length = reader.u24('AVP length');
    const header = (flags & FLAG.vendor) !== 0 ? 12 : 8;
    const padding = PADDING[length & 3]!;
    if (length < header || length - 8 + padding > reader.remaining) {
      throw new AvpError(
        INVALID_AVP_LENGTH,
        `AVP ${code} length`,
        String(length),
        `${header} to ${reader.remaining + 8}, with padding`,
      );
    }
    const vendor = header === 12 ? reader.u32('Vendor-Id') : 0;
    const data = reader.take(length - header, 'AVP data');
    reader.take(padding, 'AVP padding');
    avps.push({ code, vendor, mandatory: (flags & FLAG.mandatory) !== 0, data });
  }
  return avps;
}

/** @throws FieldError if the message or an AVP is longer than 24 bits can say */
export function encodeMessage(message: Message): Uint8Array {
  const out = new Writer(512);
  out.u8(1).u24(0);
  out.u8(
    (message.request ? FLAG.request : 0) |
      (message.proxiable ? FLAG.proxiable : 0) |
      (message.error ? FLAG.error : 0) |
      (message.retransmitted ? FLAG.again : 0),
  );
  out.u24(message.command).u32(message.application).u32(message.hopByHop).u32(message.endToEnd);
  writeAvps(out, message.avps);
  const bytes = out.done();
  if (bytes.length > 0xff_ffff) {
    throw new FieldError('Message-Length', String(bytes.length), 'less than 2^24 bytes');
  }
  bytes[1] = bytes.length >> 16;
  bytes[2] = bytes.length >> 8;
  bytes[3] = bytes.length;
  return bytes;
}

/**
 * How long the message is that these bytes begin.
 * @param bytes at least 4
 * @throws AvpError if no Diameter message begins so
 */
export function messageLength(bytes: Uint8Array): number {
  const reader = new Reader(bytes);
  const version = reader.u8('version');
  if (version !== 1) throw new AvpError(UNSUPPORTED_VERSION, 'version', String(version), '1');
  const length = reader.u24('Message-Length');
  if (length < HEADER_LENGTH || length % 4 !== 0) {
    throw new AvpError(
      INVALID_MESSAGE_LENGTH,
      'Message-Length',
      String(length),
      `a multiple of 4, at least ${HEADER_LENGTH}`,
    );
  }
  return length;
}

/** One whole message; AVP data are views of `bytes`. Reserved command flags are ignored. @throws AvpError */
export function decodeMessage(bytes: Uint8Array): Message {
  const length = messageLength(bytes);
  if (length !== bytes.length) {
    throw new AvpError(INVALID_MESSAGE_LENGTH, 'Message-Length', String(length), `${bytes.length} bytes`);
  }
  const reader = new Reader(bytes);
  reader.take(4, 'version');
  const flags = reader.u8('command flags');
  const request = (flags & FLAG.request) !== 0;
  const error = (flags & FLAG.error) !== 0;
  if (request && error) {
    throw new AvpError(INVALID_HEADER_BITS, 'command flags', 'R and E', 'not both in one message');
  }
  return {
    command: reader.u24('command code'),
    request,
    proxiable: (flags & FLAG.proxiable) !== 0,
    error,
    retransmitted: (flags & FLAG.again) !== 0,
    application: reader.u32('Application-Id'),
    hopByHop: reader.u32('Hop-by-Hop'),
    endToEnd: reader.u32('End-to-End'),
    avps: readAvps(reader.rest()),
  };
}

/** The data of the first AVP of that code; undefined if there is none. */
export function findAvp(message: Message, code: number, vendor = 0): Uint8Array | undefined {
  return message.avps.find((avp) => avp.code === code && avp.vendor === vendor)?.data;
}
