/** Command and response packets (TS 102 225 §5.1, §5.2) as TS 31.115 §4 carries them in short messages. */
import { timingSafeEqual } from 'node:crypto';
import { DecodeError, FieldError, Reader, Writer, concat } from '../bytes/index.ts';
import { blockLength, checksum, decrypt, encrypt, expectKey, redundancy } from './ciphers.ts';
import {
  algorithmOf,
  decodeSpi,
  encodeSpi,
  redundancyOf,
  type Integrity,
  type OtaAlgorithm,
  type SecurityParameters,
} from './security.ts';

/** The keys that KIc and KID of a packet name. */
export interface OtaKeys {
  /** for ciphering */
  kic?: Uint8Array;
  /** for the cryptographic checksum */
  kid?: Uint8Array;
  /** length of an AES checksum; 8 unless both ends agreed on 4 */
  ccLength?: 4 | 8;
}

/** What a command packet says in clear. */
export interface CommandHeader {
  security: SecurityParameters;
  /** KIc and KID: key set number and algorithm, see `keyByte`; 0–255 */
  kic: number;
  kid: number;
  /** toolkit application reference, 3 bytes */
  tar: Uint8Array;
}

export interface CommandPacket extends CommandHeader {
  /** CNTR, 0 to 2^40-1 */
  counter: number;
  data: Uint8Array;
}

/** Response status codes (TS 102 225 §5.2.2, TS 31.115 §4.3). */
export const RESPONSE_STATUS = {
  ok: 0x00,
  integrityFailed: 0x01,
  counterLow: 0x02,
  counterHigh: 0x03,
  counterBlocked: 0x04,
  cipheringError: 0x05,
  securityError: 0x06,
  insufficientMemory: 0x07,
  moreTime: 0x08,
  tarUnknown: 0x09,
  insufficientSecurityLevel: 0x0a,
  bySubmit: 0x0b,
} as const;

export interface ResponsePacket {
  tar: Uint8Array;
  /** CNTR of the command answered */
  counter: number;
  /** one of RESPONSE_STATUS, or another code 0–255 */
  status: number;
  data: Uint8Array;
}

/** CNTR at its end: the key set is spent. */
export const COUNTER_MAX = 0xff_ffff_ffff;

/** User data header of a response in one short message: it is part of what is checked (TS 31.115 §4.3). */
const RESPONSE_PREFIX = Uint8Array.of(0x02, 0x71, 0x00);
const NOTHING = new Uint8Array(0);
/** SPI, KIc, KID, TAR, CNTR, PCNTR: what CHL counts besides RC/CC/DS. */
const COMMAND_HEADER = 13;
/** TAR, CNTR, PCNTR, status: what RHL counts besides RC/CC/DS. */
const RESPONSE_HEADER = 10;

/** What secures a packet in one direction: how long the check is, and the algorithms. */
interface Protection {
  checkLength: number;
  check: (data: Uint8Array) => Uint8Array;
  cipher?: { algorithm: OtaAlgorithm; key: Uint8Array };
}

/** @throws FieldError if a key or an algorithm is missing */
function protection(
  integrity: Integrity,
  ciphered: boolean,
  header: CommandHeader,
  keys: OtaKeys,
): Protection {
  let checkLength = 0;
  let check: Protection['check'] = () => NOTHING;
  if (integrity === 'ds') throw new FieldError('SPI', 'digital signature', 'no check, RC or CC');
  if (integrity === 'rc') {
    const kind = redundancyOf(header.kid);
    if (!kind) throw new FieldError('KID', byteHex(header.kid), 'CRC-16 (1) or CRC-32 (5)');
    checkLength = kind === 'crc16' ? 2 : 4;
    check = (data) => redundancy(kind, data);
  } else if (integrity === 'cc') {
    const algorithm = algorithmOf(header.kid);
    if (!algorithm) throw new FieldError('KID', byteHex(header.kid), '3DES (5, 9) or AES (2)');
    const key = expectKey('kidKey', algorithm, keys.kid);
    checkLength = algorithm === 'aes' ? (keys.ccLength ?? 8) : 8;
    check = (data) => checksum(algorithm, key, data, checkLength);
  }
  if (!ciphered) return { checkLength, check };
  const algorithm = algorithmOf(header.kic);
  if (!algorithm) throw new FieldError('KIc', byteHex(header.kic), '3DES (5, 9) or AES (2)');
  return { checkLength, check, cipher: { algorithm, key: expectKey('kicKey', algorithm, keys.kic) } };
}

const byteHex = (byte: number): string => byte.toString(16).padStart(2, '0');

function writeCounter(out: Writer, counter: number): void {
  if (!Number.isInteger(counter) || counter < 0 || counter > COUNTER_MAX) {
    throw new FieldError('counter', String(counter), 'a whole number from 0 to 2^40-1');
  }
  out.u8(Math.floor(counter / 0x1_0000_0000)).u32(counter >>> 0);
}

const readCounter = (bytes: Uint8Array): number =>
  bytes[0]! * 0x1_0000_0000 + (((bytes[1]! << 24) | (bytes[2]! << 16) | (bytes[3]! << 8) | bytes[4]!) >>> 0);

function expectTar(tar: Uint8Array): Uint8Array {
  if (tar.length !== 3) throw new FieldError('TAR', `${tar.length} bytes`, '3 bytes');
  return tar;
}

/**
 * A command packet, from CPL (2 bytes) on; its user data header is `encodePacketSms`'s.
 * @throws FieldError if a key is missing or of a wrong length, on a digital signature, on single DES
 */
export function encodeCommandPacket(command: CommandPacket, keys: OtaKeys): Uint8Array {
  const { security, kic, kid } = command;
  const spi = encodeSpi(security);
  if (security.ciphered && algorithmOf(kic) === 'des') {
    throw new FieldError('KIc', 'single DES', '3DES or AES');
  }
  if (security.integrity === 'cc' && algorithmOf(kid) === 'des') {
    throw new FieldError('KID', 'single DES', '3DES or AES');
  }
  const protect = protection(security.integrity, security.ciphered, command, keys);
  const inner = 6 + protect.checkLength + command.data.length;
  const block = protect.cipher ? blockLength(protect.cipher.algorithm) : 1;
  const padding = (block - (inner % block)) % block;
  const length = 8 + inner + padding;
  if (length > 0xffff) throw new FieldError('data', `${command.data.length} bytes`, 'at most 65535 in all');
  const out = new Writer(2 + length);
  out.u16(length).u8(COMMAND_HEADER + protect.checkLength);
  out.u16(spi).u8(kic).u8(kid).put(expectTar(command.tar));
  writeCounter(out, command.counter);
  out.u8(padding);
  return finish(out.done(), NOTHING, 10, command.data, padding, protect);
}

/**
 * Puts check and data behind a head, and ciphers from `clear` on.
 * @param prefix goes into the check before the head, and not into the packet
 */
function finish(
  head: Uint8Array,
  prefix: Uint8Array,
  clear: number,
  data: Uint8Array,
  padding: number,
  protect: Protection,
): Uint8Array {
  const packet = new Uint8Array(head.length + protect.checkLength + data.length + padding);
  packet.set(head);
  packet.set(data, head.length + protect.checkLength);
  if (protect.checkLength > 0) {
    const body = packet.subarray(head.length + protect.checkLength);
    packet.set(protect.check(concat(prefix, head, body)), head.length);
  }
  if (protect.cipher) {
    packet.set(encrypt(protect.cipher.algorithm, protect.cipher.key, packet.subarray(clear)), clear);
  }
  return packet;
}

/**
 * The clear header of a command packet, and whether its lengths are right.
 * @throws DecodeError if it is no command packet
 */
export function decodeCommandHeader(packet: Uint8Array): CommandHeader {
  const reader = new Reader(packet);
  const length = reader.u16('CPL');
  if (length !== reader.remaining) {
    throw new DecodeError('CPL', String(length), `${reader.remaining}, the bytes that follow`);
  }
  const headerLength = reader.u8('CHL');
  if (headerLength < COMMAND_HEADER || headerLength > length - 1) {
    throw new DecodeError('CHL', String(headerLength), `${COMMAND_HEADER} to ${length - 1}`);
  }
  const security = decodeSpi(reader.u16('SPI'));
  return { security, kic: reader.u8('KIc'), kid: reader.u8('KID'), tar: reader.take(3, 'TAR') };
}

/** What a receiving entity (the card) knows. */
export interface Receiver {
  /** the keys that the header's KIc and KID name; undefined: there are none */
  keysOf(header: CommandHeader): OtaKeys | undefined;
  /** the last counter accepted under that key set; undefined: none yet (as 0) */
  counterOf?(header: CommandHeader): number | undefined;
}

/** A command packet after its checks. Only with status `ok` are counter and data to be believed. */
export interface ReceivedCommand {
  header: CommandHeader;
  /** RESPONSE_STATUS.ok, or why the packet is refused */
  status: number;
  /** CNTR for the response; 0 if it could not be read */
  counter: number;
  /** empty unless status is ok */
  data: Uint8Array;
}

/**
 * Opens a command packet: header, key set, deciphering, check, counter. The caller stores the counter (if
 * the header's mode is `higher` or `oneHigher`) before it acts on the data.
 * @throws DecodeError if it is no command packet at all: there is nobody to answer then
 */
export function decodeCommandPacket(packet: Uint8Array, receiver: Receiver): ReceivedCommand {
  const header = decodeCommandHeader(packet);
  const refuse = (status: number, counter = 0): ReceivedCommand => ({
    header,
    status,
    counter,
    data: NOTHING,
  });
  const { security } = header;
  let protect: Protection;
  try {
    const needed = security.integrity === 'cc' || security.ciphered;
    const keys = needed ? receiver.keysOf(header) : {};
    if (!keys) return refuse(RESPONSE_STATUS.securityError);
    protect = protection(security.integrity, security.ciphered, header, keys);
  } catch (error) {
    if (error instanceof FieldError) return refuse(RESPONSE_STATUS.securityError);
    throw error;
  }
  if (packet[2] !== COMMAND_HEADER + protect.checkLength) return refuse(RESPONSE_STATUS.securityError);
  let body = packet.subarray(10);
  let block = 1;
  if (protect.cipher) {
    block = blockLength(protect.cipher.algorithm);
    if (body.length % block !== 0) return refuse(RESPONSE_STATUS.cipheringError);
    body = decrypt(protect.cipher.algorithm, protect.cipher.key, body);
  }
  const counter = readCounter(body);
  const padding = body[5]!;
  const checked = 6 + protect.checkLength;
  if (protect.checkLength > 0) {
    const expected = protect.check(
      concat(packet.subarray(0, 10), body.subarray(0, 6), body.subarray(checked)),
    );
    if (!timingSafeEqual(expected, body.subarray(6, checked))) return refuse(RESPONSE_STATUS.integrityFailed);
  }
  if (padding >= block || checked + padding > body.length) return refuse(RESPONSE_STATUS.cipheringError);
  if (security.counter === 'higher' || security.counter === 'oneHigher') {
    const last = receiver.counterOf?.(header) ?? 0;
    if (last >= COUNTER_MAX) return refuse(RESPONSE_STATUS.counterBlocked, counter);
    if (counter <= last) return refuse(RESPONSE_STATUS.counterLow, counter);
    if (security.counter === 'oneHigher' && counter !== last + 1) {
      return refuse(RESPONSE_STATUS.counterHigh, counter);
    }
  }
  return {
    header,
    status: RESPONSE_STATUS.ok,
    counter,
    data: body.subarray(checked, body.length - padding),
  };
}

/** Refusals that come before the keys were proven right: their response packets carry no security. */
const UNPROVEN: readonly number[] = [
  RESPONSE_STATUS.integrityFailed,
  RESPONSE_STATUS.cipheringError,
  RESPONSE_STATUS.securityError,
  RESPONSE_STATUS.tarUnknown,
];

/** Whether a refusal goes out unsecured: the keys were not proven right, or nothing was there to prove them. */
const unproven = (security: SecurityParameters, status: number): boolean =>
  UNPROVEN.includes(status) || (security.integrity !== 'cc' && status !== RESPONSE_STATUS.ok);

/**
 * Whether whoever sent this command has shown the key of its cryptographic checksum. A card secures no response
 * and sends no message of its own for anyone else.
 */
export const isProven = ({ header, status }: ReceivedCommand): boolean =>
  header.security.integrity === 'cc' && !UNPROVEN.includes(status);

/** Whether the command asks for a response packet of this status. */
export function wantsProof(security: SecurityParameters, status: number): boolean {
  return security.proof === 'always' || (security.proof === 'onError' && status !== RESPONSE_STATUS.ok);
}

/**
 * A response packet, from RPL (2 bytes) on, secured as the command's SPI asks, under the command's KIc and KID.
 * A refusal for want of the right keys, or of a command without a cryptographic checksum, is not secured, so that
 * a card signs and ciphers nothing for a stranger.
 * @throws FieldError as encodeCommandPacket
 */
export function encodeResponsePacket(
  response: ResponsePacket,
  command: CommandHeader,
  keys: OtaKeys,
): Uint8Array {
  const { security } = command;
  const protect = unproven(security, response.status)
    ? protection('none', false, command, keys)
    : protection(security.proofIntegrity, security.proofCiphered, command, keys);
  const inner = 7 + protect.checkLength + response.data.length;
  const block = protect.cipher ? blockLength(protect.cipher.algorithm) : 1;
  const padding = (block - (inner % block)) % block;
  const length = 4 + inner + padding;
  if (length > 0xffff) throw new FieldError('data', `${response.data.length} bytes`, 'at most 65535 in all');
  const out = new Writer(2 + length);
  out
    .u16(length)
    .u8(RESPONSE_HEADER + protect.checkLength)
    .put(expectTar(response.tar));
  writeCounter(out, response.counter);
  if (!Number.isInteger(response.status) || response.status < 0 || response.status > 255) {
    throw new FieldError('status', String(response.status), 'a response status code from 0 to 255');
  }
  out.u8(padding).u8(response.status);
  return finish(out.done(), RESPONSE_PREFIX, 6, response.data, padding, protect);
}

/** A response packet as the sending entity reads it. */
export interface ReceivedResponse extends ResponsePacket {
  /** false: a refusal that anyone could have sent, as the card had no proven keys; never a success */
  secured: boolean;
}

/**
 * Opens a response packet with what its command said.
 * @throws DecodeError if it is no response packet, is not secured as asked, or its check fails
 */
export function decodeResponsePacket(
  packet: Uint8Array,
  command: CommandHeader,
  keys: OtaKeys,
): ReceivedResponse {
  const reader = new Reader(packet);
  const length = reader.u16('RPL');
  if (length !== reader.remaining) {
    throw new DecodeError('RPL', String(length), `${reader.remaining}, the bytes that follow`);
  }
  const headerLength = reader.u8('RHL');
  const tar = reader.take(3, 'TAR');
  let body = reader.rest();
  const { security } = command;
  const unsecured = security.proofIntegrity === 'none' && !security.proofCiphered;
  if (!unsecured && headerLength === RESPONSE_HEADER && body.length === 7 && unproven(security, body[6]!)) {
    if (body[5] !== 0) throw new DecodeError('PCNTR', String(body[5]), '0 without ciphering');
    return { tar, counter: readCounter(body), status: body[6]!, data: NOTHING, secured: false };
  }
  const protect = protection(security.proofIntegrity, security.proofCiphered, command, keys);
  if (headerLength !== RESPONSE_HEADER + protect.checkLength) {
    throw new DecodeError('RHL', String(headerLength), String(RESPONSE_HEADER + protect.checkLength));
  }
  let block = 1;
  if (protect.cipher) {
    block = blockLength(protect.cipher.algorithm);
    if (body.length === 0 || body.length % block !== 0) {
      throw new DecodeError('response packet', `${body.length} ciphered bytes`, `whole blocks of ${block}`);
    }
    body = decrypt(protect.cipher.algorithm, protect.cipher.key, body);
  }
  const checked = 7 + protect.checkLength;
  if (body.length < checked) {
    throw new DecodeError('response packet', `${body.length} bytes`, `at least ${checked} bytes`);
  }
  if (protect.checkLength > 0) {
    const expected = protect.check(
      concat(RESPONSE_PREFIX, packet.subarray(0, 6), body.subarray(0, 7), body.subarray(checked)),
    );
    if (!timingSafeEqual(expected, body.subarray(7, checked))) {
      throw new DecodeError('RC/CC', 'a check that does not hold', 'the check under the given key');
    }
  }
  const padding = body[5]!;
  if (padding >= block || checked + padding > body.length) {
    throw new DecodeError('PCNTR', String(padding), `less than ${block} and than the data`);
  }
  return {
    tar,
    counter: readCounter(body),
    status: body[6]!,
    data: body.subarray(checked, body.length - padding),
    secured: !unsecured,
  };
}
