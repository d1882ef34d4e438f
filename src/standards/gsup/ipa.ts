/**
 * IPA multiplex: a header of 3 bytes before each message, and CCM, its connection management by which a server
 * learns who has connected (libosmocore ipaccess.h; Osmocom GSM/IP protocols manual, "IPA Multiplex").
 */
import { DecodeError, FieldError, Reader, Writer } from '../bytes/index.ts';

/** Registered TCP port of GSUP. */
export const GSUP_PORT = 4222;
/** TCP port of OsmoHLR's control interface, in the same framing. */
export const OSMO_HLR_CTRL_PORT = 4259;

/** What a frame carries. */
export const IPA_PROTOCOL = { ccm: 0xfe, osmo: 0xee } as const;
/** First byte of a frame of protocol `osmo`. */
export const IPA_EXTENSION = { ctrl: 0x00, gsup: 0x05 } as const;

const HEADER = 3;

export interface IpaFrame {
  /** IPA_PROTOCOL; 0–255 */
  protocol: number;
  /** IPA_EXTENSION; present exactly where protocol is `osmo` */
  extension?: number;
  /** what follows, up to 65535 bytes with the extension */
  payload: Uint8Array;
}

function byte(field: string, value: number): number {
  if (!Number.isInteger(value) || value < 0 || value > 255) {
    throw new FieldError(field, String(value), '0 to 255');
  }
  return value;
}

/** @throws FieldError on a payload too long, or an extension where none belongs */
export function encodeIpa(frame: IpaFrame): Uint8Array {
  const { protocol, extension, payload } = frame;
  if ((protocol === IPA_PROTOCOL.osmo) !== (extension !== undefined)) {
    throw new FieldError('extension', String(extension), 'one for protocol 0xee, none for others');
  }
  const length = payload.length + (extension === undefined ? 0 : 1);
  if (length > 0xffff) throw new FieldError('payload', `${payload.length} bytes`, 'at most 65535 bytes');
  const out = new Writer(HEADER + length).u16(length).u8(byte('protocol', protocol));
  if (extension !== undefined) out.u8(byte('extension', extension));
  return out.put(payload).done();
}

/** How long the frame at the front of a stream is, in bytes; undefined if that is not there yet. */
export function ipaLength(bytes: Uint8Array): number | undefined {
  return bytes.length < HEADER ? undefined : HEADER + ((bytes[0]! << 8) | bytes[1]!);
}

/** Decodes one whole frame; the payload is a view. @throws DecodeError */
export function decodeIpa(bytes: Uint8Array): IpaFrame {
  const reader = new Reader(bytes);
  const length = reader.u16('length');
  const protocol = reader.u8('protocol');
  if (length !== reader.remaining) {
    throw new DecodeError('length', String(length), String(reader.remaining));
  }
  return protocol === IPA_PROTOCOL.osmo
    ? { protocol, extension: reader.u8('extension'), payload: reader.rest() }
    : { protocol, payload: reader.rest() };
}

/** CCM message types. */
export const CCM = { ping: 0x00, pong: 0x01, idGet: 0x04, idResp: 0x05, idAck: 0x06 } as const;

/** What a server asks of a client, and the client says of itself; an HLR knows its clients by `serialNumber`. */
export const IDENTITY = {
  serialNumber: 0x00,
  unitName: 0x01,
  location1: 0x02,
  location2: 0x03,
  equipmentVersion: 0x04,
  softwareVersion: 0x05,
  ipAddress: 0x06,
  macAddress: 0x07,
  unitId: 0x08,
} as const;

export interface IdentityValue {
  /** IDENTITY; 0–255 */
  tag: number;
  /** text without its closing zero: ASCII, up to 253 characters */
  value: string;
}

export type Ccm =
  | { type: 'ping' | 'pong' | 'idAck' }
  /** tags asked for, in order */
  | { type: 'idGet'; tags: number[] }
  | { type: 'idResp'; values: IdentityValue[] };

/** The payload of a frame of protocol `ccm`. @throws FieldError */
export function encodeCcm(message: Ccm): Uint8Array {
  const out = new Writer(64).u8(CCM[message.type]);
  if (message.type === 'idGet') {
    // Length 1: the tag alone.
    for (const tag of message.tags) out.u8(1).u8(byte('tag', tag));
  }
  if (message.type === 'idResp') {
    for (const { tag, value } of message.values) {
      if (!/^[\x01-\x7f]{0,253}$/.test(value)) {
        throw new FieldError(`tag ${tag}`, `${value.length} characters`, 'at most 253 ASCII characters');
      }
      out.u16(value.length + 2).u8(byte('tag', tag));
      for (let i = 0; i < value.length; i++) out.u8(value.charCodeAt(i));
      out.u8(0);
    }
  }
  return out.done();
}

/**
 * Decodes the payload of a frame of protocol `ccm`. A text may lack its closing zero.
 * @throws DecodeError also on message types that are not in CCM
 */
export function decodeCcm(bytes: Uint8Array): Ccm {
  const reader = new Reader(bytes);
  const type = reader.u8('message type');
  switch (type) {
    case CCM.ping:
    case CCM.pong:
    case CCM.idAck:
      reader.end('CCM message');
      return { type: type === CCM.ping ? 'ping' : type === CCM.pong ? 'pong' : 'idAck' };
    case CCM.idGet: {
      const tags: number[] = [];
      while (reader.remaining > 0) {
        const length = reader.u8('length');
        // ip.access base stations end the list with a lone zero.
        if (length === 0 && reader.remaining === 0) break;
        if (length !== 1) throw new DecodeError('length', String(length), '1, for a tag');
        tags.push(reader.u8('tag'));
      }
      return { type: 'idGet', tags };
    }
    case CCM.idResp: {
      const values: IdentityValue[] = [];
      while (reader.remaining > 0) {
        const length = reader.u16('length');
        if (length < 1) throw new DecodeError('length', String(length), 'at least 1');
        const tag = reader.u8('tag');
        const text = reader.take(length - 1, `tag ${tag}`);
        const shown = text.at(-1) === 0 ? text.subarray(0, -1) : text;
        if (shown.length > 253 || shown.some((each) => each === 0 || each > 0x7f)) {
          throw new DecodeError(`tag ${tag}`, `${text.length} bytes`, 'at most 253 ASCII characters');
        }
        values.push({ tag, value: String.fromCharCode(...shown) });
      }
      return { type: 'idResp', values };
    }
    default:
      throw new DecodeError('message type', `0x${type.toString(16)}`, 'one of CCM');
  }
}

/** The value with that tag. */
export function identityOf(values: readonly IdentityValue[], tag: number): string | undefined {
  return values.find((each) => each.tag === tag)?.value;
}
