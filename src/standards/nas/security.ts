/** NAS security (TS 24.301 §4.4, §9.1–9.6; TS 33.401 annex B): algorithms, NAS COUNT, protected messages. */
import { createCipheriv, timingSafeEqual } from 'node:crypto';
import { deriveAlgorithmKey } from '../aka/index.ts';
import { DecodeError, FieldError, Reader, expectLength } from '../bytes/index.ts';
import type { Direction } from './codec.ts';
import { PROTOCOL, SECURITY_HEADER } from './values.ts';

const ZERO = new Uint8Array(16);

/** AES-CMAC (RFC 4493) under one 16-byte key; gives 16 bytes. */
export function prepareCmac(key: Uint8Array): (message: Uint8Array) => Uint8Array {
  expectLength('key', key, 16);
  const own = Uint8Array.from(key);
  const double = (x: Uint8Array): Uint8Array => {
    const out = new Uint8Array(16);
    for (let i = 0; i < 16; i++) out[i] = (x[i]! << 1) | ((x[i + 1] ?? 0) >> 7);
    if (x[0]! & 0x80) out[15]! ^= 0x87;
    return out;
  };
  const k1 = double(createCipheriv('aes-128-ecb', own, null).update(ZERO));
  const k2 = double(k1);
  return (message) => {
    const length = Math.max(16, (message.length + 15) & ~15);
    const padded = new Uint8Array(length);
    padded.set(message);
    const whole = message.length === length;
    if (!whole) padded[message.length] = 0x80;
    const last = whole ? k1 : k2;
    for (let i = 0; i < 16; i++) padded[length - 16 + i]! ^= last[i]!;
    const out = createCipheriv('aes-128-cbc', own, ZERO).update(padded);
    return new Uint8Array(out.subarray(length - 16));
  };
}

/** COUNT, BEARER, DIRECTION and zeros: the 8 bytes both algorithms begin with. */
function putHead(out: Uint8Array, count: number, bearer: number, direction: Direction): void {
  out[0] = count >>> 24;
  out[1] = count >>> 16;
  out[2] = count >>> 8;
  out[3] = count;
  out[4] = (bearer << 3) | (direction === 'downlink' ? 4 : 0);
}

/**
 * 128-EEA2 (TS 33.401 §B.1.3): ciphers, and deciphers.
 * @param key 16 bytes
 * @param count 32 bits
 * @param bearer 5 bits, 0 for NAS
 */
export function eea2(
  key: Uint8Array,
  count: number,
  bearer: number,
  direction: Direction,
  message: Uint8Array,
): Uint8Array {
  const iv = new Uint8Array(16);
  putHead(iv, count, bearer, direction);
  return new Uint8Array(createCipheriv('aes-128-ctr', key, iv).update(message));
}

/**
 * 128-EIA2 (TS 33.401 §B.2.3): the message authentication code, 4 bytes.
 * @param cmac of the 16-byte key: see prepareCmac
 */
export function eia2(
  cmac: (message: Uint8Array) => Uint8Array,
  count: number,
  bearer: number,
  direction: Direction,
  message: Uint8Array,
): Uint8Array {
  const m = new Uint8Array(8 + message.length);
  putHead(m, count, bearer, direction);
  m.set(message, 8);
  return cmac(m).subarray(0, 4);
}

/** A protected message, taken apart but not verified. */
export interface ProtectedNas {
  /** SECURITY_HEADER, 1–4 */
  headerType: number;
  /** 4 bytes */
  mac: Uint8Array;
  /** the low 8 bits of NAS COUNT */
  sequenceNumber: number;
  /** the message, ciphered or not */
  payload: Uint8Array;
}

/** Whether bytes are of a security-protected message (GSMTAP sub-type 1) rather than a plain one. */
export const isProtected = (bytes: Uint8Array): boolean =>
  bytes.length > 0 && (bytes[0]! & 15) === PROTOCOL.emm && bytes[0]! >> 4 !== SECURITY_HEADER.plain;

/** Whether a security header type means a ciphered payload. */
export const isCiphered = (headerType: number): boolean =>
  headerType === SECURITY_HEADER.integrityCiphered ||
  headerType === SECURITY_HEADER.integrityCipheredNewContext;

/**
 * Takes a protected message apart (TS 24.301 §9.1). What it says may only be believed after unprotect, but
 * for what §4.4.4 allows.
 * @throws DecodeError; also for a SERVICE REQUEST (header type 12), which control-plane devices do not send
 */
export function splitProtected(bytes: Uint8Array): ProtectedNas {
  const reader = new Reader(bytes);
  const first = reader.u8('security header');
  const headerType = first >> 4;
  if ((first & 15) !== PROTOCOL.emm || headerType < 1 || headerType > 4) {
    throw new DecodeError('security header', `0x${first.toString(16)}`, '17, 27, 37 or 47');
  }
  const mac = reader.take(4, 'message authentication code');
  const sequenceNumber = reader.u8('sequence number');
  const payload = reader.rest();
  if (payload.length < 2) throw new DecodeError('NAS message', `${payload.length} bytes`, 'at least 2 bytes');
  return { headerType, mac, sequenceNumber, payload };
}

/** An EPS NAS security context (TS 33.401 §3.1). Plain, to be stored; kAsme is secret. */
export interface NasSecurityState {
  /** NAS key set identifier, 0–6 */
  ksi: number;
  /** 32 bytes */
  kAsme: Uint8Array;
  /** n of 128-EEAn: 0 or 2 */
  eea: number;
  /** n of 128-EIAn: 2; 0 in limited service only */
  eia: number;
  /** NAS COUNT of the next message each way, 0 to 2^24 */
  uplink: number;
  downlink: number;
}

/** A security context at work. */
export interface NasSecurityOptions {
  /** EIA0 is allowed (TS 33.401 §5.1.4.1: unauthenticated emergency calls only); default false */
  nullIntegrity?: boolean;
  /**
   * A ciphertext that begins like a plain EMM or ESM message is not sent: the next NAS COUNT is taken instead,
   * which a receiver follows as if a message were lost (TS 24.301 §4.4.3.2). Analysers that guess from the
   * first byte whether a message is ciphered are then never wrong. Default true.
   */
  unmistakable?: boolean;
}

/** Whether a payload begins with the protocol discriminator of EMM, ESM or test procedures (TS 24.007 §11.2.3.1.1). */
const TEST_PROCEDURES = 0x0f;
const looksPlain = (payload: Uint8Array): boolean => {
  const discriminator = (payload[0] ?? 0) & 0x0f;
  return (
    discriminator === PROTOCOL.emm || discriminator === PROTOCOL.esm || discriminator === TEST_PROCEDURES
  );
};

export interface NasSecurity {
  /** counts move on as messages pass */
  readonly state: NasSecurityState;
  /**
   * Protects a plain message.
   * @param headerType SECURITY_HEADER 1–4
   * @throws FieldError when NAS COUNT is used up: a new context is due
   */
  protect(message: Uint8Array, direction: Direction, headerType: number): Uint8Array;
  /**
   * Verifies and deciphers a message; a count is accepted once, and only upwards (TS 24.301 §4.4.3.2).
   * @returns undefined if it is not genuine, or not new; nothing changes then
   * @throws DecodeError if it is no protected message
   */
  unprotect(bytes: Uint8Array, direction: Direction): { headerType: number; plain: Uint8Array } | undefined;
}

/** NAS COUNT has 24 bits: 16 of overflow, 8 of sequence number. */
const COUNTS = 2 ** 24;

/**
 * Puts a security context to work; derives its keys once.
 * @throws FieldError on an algorithm that is not implemented or not allowed
 */
export function createNasSecurity(
  state: NasSecurityState,
  { nullIntegrity = false, unmistakable = true }: NasSecurityOptions = {},
): NasSecurity {
  if (state.eea !== 0 && state.eea !== 2) throw new FieldError('eea', String(state.eea), '0 or 2');
  if (state.eia !== 2 && !(state.eia === 0 && nullIntegrity)) {
    throw new FieldError('eia', String(state.eia), nullIntegrity ? '0 or 2' : '2');
  }
  const cmac = prepareCmac(deriveAlgorithmKey(state.kAsme, 'nasInt', state.eia));
  const encryptionKey = deriveAlgorithmKey(state.kAsme, 'nasEnc', state.eea);

  /** Over sequence number and payload. */
  const macOf = (count: number, direction: Direction, covered: Uint8Array): Uint8Array =>
    state.eia === 0 ? new Uint8Array(4) : eia2(cmac, count, 0, direction, covered);
  const cipher = (count: number, direction: Direction, message: Uint8Array): Uint8Array =>
    state.eea === 0 ? message.slice() : eea2(encryptionKey, count, 0, direction, message);

  return {
    state,
    protect(message, direction, headerType) {
      if (headerType < 1 || headerType > 4) throw new FieldError('headerType', String(headerType), '1 to 4');
      const ciphered = isCiphered(headerType);
      for (;;) {
        const count = state[direction];
        if (count >= COUNTS) throw new FieldError('NAS COUNT', String(count), 'below 2^24');
        state[direction] = count + 1;
        const payload = ciphered ? cipher(count, direction, message) : message;
        if (unmistakable && ciphered && state.eea !== 0 && looksPlain(payload)) continue;
        const out = new Uint8Array(6 + message.length);
        out[0] = (headerType << 4) | PROTOCOL.emm;
        out[5] = count;
        out.set(payload, 6);
        out.set(macOf(count, direction, out.subarray(5)), 1);
        return out;
      }
    },
    unprotect(bytes, direction) {
      const { headerType, mac, sequenceNumber, payload } = splitProtected(bytes);
      const next = state[direction];
      // The lowest count not yet used that ends in this sequence number.
      let count = next - (next & 255) + sequenceNumber;
      if (count < next) count += 256;
      if (count >= COUNTS) return undefined;
      if (!timingSafeEqual(macOf(count, direction, bytes.subarray(5)), mac)) return undefined;
      state[direction] = count + 1;
      return {
        headerType,
        plain: isCiphered(headerType) ? cipher(count, direction, payload) : payload.slice(),
      };
    },
  };
}
