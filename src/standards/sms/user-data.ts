/** TP-User-Data: header, alphabets, length (TS 23.040 §9.2.3.24, TS 23.038 §4). */
import { DecodeError, FieldError, Reader, Writer } from '../bytes/index.ts';
import { packSeptets, unpackSeptets } from './gsm7.ts';

/** What a data coding scheme says a user data byte string is. `octets` is 8 bit data or compressed text. */
export type Alphabet = 'gsm7' | 'octets' | 'ucs2';

/** 8 bit data, class 2 ((U)SIM specific): with TP-PID 0x7F for the card itself. */
export const DCS_CARD = 0xf6;
/** (U)SIM data download: the message is for the card (TS 23.040 §9.2.3.9). */
export const PID_CARD = 0x7f;

/** The alphabet of a data coding scheme byte; reserved codings are the default alphabet (TS 23.038 §4). */
export function alphabetOf(dcs: number): Alphabet {
  const group = dcs >> 4;
  if (group < 8) {
    if ((dcs & 0x20) !== 0) return 'octets';
    const alphabet = (dcs >> 2) & 3;
    return alphabet === 1 ? 'octets' : alphabet === 2 ? 'ucs2' : 'gsm7';
  }
  if (group === 14) return 'ucs2';
  return group === 15 && (dcs & 0x04) !== 0 ? 'octets' : 'gsm7';
}

/** Identifiers of header elements (TS 23.040 §9.2.3.24). */
export const IEI = {
  concatenated8: 0x00,
  ports8: 0x04,
  ports16: 0x05,
  concatenated16: 0x08,
  /** TS 31.115: a secured command packet for the card follows */
  commandPacket: 0x70,
  /** TS 31.115: a secured response packet of the card follows */
  responsePacket: 0x71,
} as const;

export interface HeaderElement {
  /** information element identifier, 0–255 */
  iei: number;
  data: Uint8Array;
}

export interface UserData {
  /** the header's elements; empty: no header (TP-UDHI 0) */
  header: readonly HeaderElement[];
  /** bytes; for the 7 bit alphabet one septet a byte */
  data: Uint8Array;
}

export const NO_USER_DATA: UserData = { header: [], data: new Uint8Array(0) };

/** The header with its length byte in front; nothing for an empty one. At most 140 bytes. */
export function encodeHeader(header: readonly HeaderElement[]): Uint8Array {
  if (header.length === 0) return new Uint8Array(0);
  const out = new Writer(16).u8(0);
  for (const { iei, data } of header) out.u8(iei).lv(data, `header element 0x${iei.toString(16)}`);
  const bytes = out.done();
  if (bytes.length > 140) {
    throw new FieldError('user data header', `${bytes.length} bytes`, 'at most 140 bytes');
  }
  bytes[0] = bytes.length - 1;
  return bytes;
}

/** Reads a header from its length byte on; `end` is where its elements end. @throws DecodeError if it is empty */
export function readHeader(reader: Reader): HeaderElement[] {
  const inner = new Reader(reader.lv('user data header'));
  const header: HeaderElement[] = [];
  while (inner.remaining > 0) {
    const iei = inner.u8('header element');
    header.push({ iei, data: inner.lv('header element') });
  }
  if (header.length === 0) throw new DecodeError('user data header', 'no element', 'at least one element');
  return header;
}

/** How many octets a user data takes, and its TP-UDL. */
function measure(userData: UserData, dcs: number, headerLength: number): { udl: number; fill: number } {
  if (alphabetOf(dcs) !== 'gsm7') return { udl: headerLength + userData.data.length, fill: 0 };
  const headerSeptets = Math.ceil((headerLength * 8) / 7);
  return { udl: headerSeptets + userData.data.length, fill: headerSeptets * 7 - headerLength * 8 };
}

/**
 * TP-UDL and TP-UD.
 * @param most the octets this TPDU has room for
 */
export function writeUserData(out: Writer, userData: UserData, dcs: number, most: number): void {
  const header = encodeHeader(userData.header);
  const { udl, fill } = measure(userData, dcs, header.length);
  const body = alphabetOf(dcs) === 'gsm7' ? packSeptets(userData.data, fill) : userData.data;
  if (header.length + body.length > most) {
    throw new FieldError('user data', `${header.length + body.length} bytes`, `at most ${most} bytes`);
  }
  out.u8(udl).put(header).put(body);
}

/** TP-UDL and TP-UD up to the reader's end. @throws DecodeError if the length and the rest differ */
export function readUserData(reader: Reader, hasHeader: boolean, dcs: number, most: number): UserData {
  const udl = reader.u8('TP-UDL');
  const gsm7 = alphabetOf(dcs) === 'gsm7';
  const octets = gsm7 ? Math.ceil((udl * 7) / 8) : udl;
  if (octets > most) throw new DecodeError('TP-UDL', `${octets} bytes`, `at most ${most} bytes`);
  if (octets !== reader.remaining) {
    throw new DecodeError('TP-UD', `${reader.remaining} bytes`, `${octets} bytes, as TP-UDL says`);
  }
  const inner = new Reader(reader.take(octets, 'TP-UD'));
  const header = hasHeader ? readHeader(inner) : [];
  if (!gsm7) return { header, data: inner.rest() };
  const headerLength = inner.offset;
  const headerSeptets = Math.ceil((headerLength * 8) / 7);
  if (udl < headerSeptets) throw new DecodeError('TP-UDL', `${udl} septets`, `at least ${headerSeptets}`);
  const fill = headerSeptets * 7 - headerLength * 8;
  return { header, data: unpackSeptets(inner.rest(), udl - headerSeptets, fill, 'TP-UD') };
}
