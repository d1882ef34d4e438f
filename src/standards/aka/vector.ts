import { timingSafeEqual } from 'node:crypto';
import { concat, expectLength } from '../bytes/index.ts';
import type { AkaKey, AkaResponse } from './functions.ts';

/** All that f1 to f5* say of one (RAND, SQN, AMF). */
export interface AkaOutputs extends AkaResponse {
  /** f1: 8 bytes */
  macA: Uint8Array;
  /** f1*, of the same AMF: 8 bytes */
  macS: Uint8Array;
  /** f5*: 6 bytes */
  akStar: Uint8Array;
  /** SQN xor AK, AMF, MAC-A: 16 bytes */
  autn: Uint8Array;
}

/** A quintet (TS 33.102 §6.3.2), with the AK that hides its SQN. */
export interface AuthenticationVector {
  /** 16 bytes */
  rand: Uint8Array;
  /** 16 bytes */
  autn: Uint8Array;
  /** resLength bytes */
  xres: Uint8Array;
  /** 16 bytes */
  ck: Uint8Array;
  /** 16 bytes */
  ik: Uint8Array;
  /** 6 bytes */
  ak: Uint8Array;
}

/** AMF of MAC-S: all zeros, not sent (TS 33.102 §6.3.3). */
const RESYNC_AMF = new Uint8Array(2);

/** The bit of the AMF that says the vector is for EPS: K_ASME may be made of it (TS 33.102 annex H). */
export const AMF_SEPARATION_BIT = 0x80;

function makeAutn(sqn: Uint8Array, ak: Uint8Array, amf: Uint8Array, mac: Uint8Array): Uint8Array {
  const autn = new Uint8Array(16);
  for (let i = 0; i < 6; i++) autn[i] = sqn[i]! ^ ak[i]!;
  autn[6] = amf[0]!;
  autn[7] = amf[1]!;
  for (let i = 0; i < 8; i++) autn[i + 8] = mac[i]!;
  return autn;
}

/**
 * Everything at once.
 * @param rand 16 bytes
 * @param sqn 6 bytes
 * @param amf 2 bytes
 */
export function computeAll(key: AkaKey, rand: Uint8Array, sqn: Uint8Array, amf: Uint8Array): AkaOutputs {
  const { mac, res, ck, ik, ak } = key.f12345(rand, sqn, amf);
  return {
    macA: mac.subarray(0, 8),
    macS: key.f1Star(rand, sqn, amf),
    res,
    ck,
    ik,
    ak,
    akStar: key.f5Star(rand),
    autn: makeAutn(sqn, ak, amf, mac),
  };
}

/**
 * A vector for the serving network.
 * @param rand 16 unpredictable bytes
 * @param sqn 6 bytes, never used before
 * @param amf 2 bytes; with AMF_SEPARATION_BIT for EPS
 */
export function authenticationVector(
  key: AkaKey,
  rand: Uint8Array,
  sqn: Uint8Array,
  amf: Uint8Array,
): AuthenticationVector {
  const { mac, res, ck, ik, ak } = key.f12345(rand, sqn, amf);
  return { rand, autn: makeAutn(sqn, ak, amf, mac), xres: res, ck, ik, ak };
}

/** What a card reads in a challenge. SQN is not judged here: see verifySqn. */
export interface Challenge extends AkaResponse {
  /** whether MAC-A is the network's */
  macValid: boolean;
  /** 6 bytes */
  sqn: Uint8Array;
  /** 2 bytes */
  amf: Uint8Array;
}

/**
 * Opens a challenge with the card's key (TS 33.102 §6.3.3). Give nothing of the answer away unless macValid.
 * @param rand 16 bytes
 * @param autn 16 bytes
 */
export function openChallenge(key: AkaKey, rand: Uint8Array, autn: Uint8Array): Challenge {
  expectLength('autn', autn, 16);
  const response = key.f2345(rand);
  const sqn = new Uint8Array(6);
  for (let i = 0; i < 6; i++) sqn[i] = autn[i]! ^ response.ak[i]!;
  const amf = autn.slice(6, 8);
  const mac = key.f1(rand, sqn, amf);
  return { ...response, sqn, amf, macValid: timingSafeEqual(mac, autn.subarray(8)) };
}

/**
 * What a card answers when the SQN is not fresh: SQN_MS xor f5*, then MAC-S: 14 bytes (TS 33.102 §6.3.3).
 * @param rand 16 bytes, of the challenge
 * @param sqnMs 6 bytes
 */
export function makeAuts(key: AkaKey, rand: Uint8Array, sqnMs: Uint8Array): Uint8Array {
  const hidden = key.f5Star(rand).slice();
  expectLength('sqnMs', sqnMs, 6);
  for (let i = 0; i < 6; i++) hidden[i]! ^= sqnMs[i]!;
  return concat(hidden, key.f1Star(rand, sqnMs, RESYNC_AMF));
}

/**
 * Opens an AUTS at the authentication centre (TS 33.102 §6.3.5).
 * @param rand 16 bytes, of the challenge
 * @param auts 14 bytes
 * @returns SQN_MS, 6 bytes; undefined if MAC-S is not the card's
 */
export function verifyAuts(key: AkaKey, rand: Uint8Array, auts: Uint8Array): Uint8Array | undefined {
  expectLength('auts', auts, 14);
  const sqnMs = key.f5Star(rand).slice();
  for (let i = 0; i < 6; i++) sqnMs[i]! ^= auts[i]!;
  const macS = key.f1Star(rand, sqnMs, RESYNC_AMF);
  return timingSafeEqual(macS, auts.subarray(6)) ? sqnMs : undefined;
}
