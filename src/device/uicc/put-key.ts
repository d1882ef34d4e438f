/**
 * PUT KEY for OTA key sets (TS 102 226 §8.2.1.5, GlobalPlatform Card Specification §11.8 and Amendment D §7.2):
 * KIc, KID and KIK of a set 1–15, ciphered under the KIK of the set that secured the packet. A set that is
 * limited to some applications replaces none but itself, and what it makes has its limit.
 */
import { createCipheriv, createDecipheriv, timingSafeEqual } from 'node:crypto';
import { FieldError, Reader, concat, equal } from '../../standards/bytes/index.ts';
import { KEY_LIST_KEY_SET, keyLengths } from '../../standards/ota/index.ts';
import { SW, decodeCommand } from '../../standards/uicc/index.ts';
import { done, refuse, type Answer } from './answer.ts';
import type { Session } from './session.ts';
import { pairsOf, type KeySet } from './state.ts';

const PUT_KEY = 0xd8;
/** Key types of GlobalPlatform table 11-16. */
const TYPE = { des: 0x80, aes: 0x88 } as const;
/** Key identifiers within a set, 1 to 3. */
const NAMES = ['kic', 'kid', 'kik'] as const;

const isAes = (algorithm: KeySet['algorithm']): boolean => algorithm === 'aes';

/** A key as a block cipher for what is at most a few blocks; two-key 3DES as K1 K2 K1. */
function cipherOf(
  algorithm: KeySet['algorithm'],
  key: Uint8Array,
): { name: string; key: Uint8Array; iv: Uint8Array | null } {
  if (isAes(algorithm)) return { name: `aes-${8 * key.length}-cbc`, key, iv: new Uint8Array(16) };
  return { name: 'des-ede3-ecb', key: key.length === 16 ? concat(key, key.subarray(0, 8)) : key, iv: null };
}

function decrypt(set: KeySet, kik: Uint8Array, data: Uint8Array): Uint8Array {
  const { name, key, iv } = cipherOf(set.algorithm, kik);
  const cipher = createDecipheriv(name, key, iv).setAutoPadding(false);
  return concat(cipher.update(data), cipher.final());
}

/** Key check value: 3 bytes of a block of 01 (AES) or 00 (DES) under the key. */
export function keyCheckValue(algorithm: KeySet['algorithm'], key: Uint8Array): Uint8Array {
  const { name, key: whole, iv } = cipherOf(algorithm, key);
  const block = isAes(algorithm) ? new Uint8Array(16).fill(1) : new Uint8Array(8);
  return new Uint8Array(createCipheriv(name, whole, iv).setAutoPadding(false).update(block).subarray(0, 3));
}

/** Key data fields (GlobalPlatform §11.8.2.3): type, ciphered key, check value. */
function takeKey(
  reader: Reader,
  set: KeySet,
  kik: Uint8Array,
): { key: Uint8Array; check: Uint8Array } | undefined {
  const type = reader.u8('key type');
  let field = reader.lv('key');
  const check = reader.lv('key check value');
  if (type !== (isAes(set.algorithm) ? TYPE.aes : TYPE.des)) return undefined;
  let length = field.length;
  if (isAes(set.algorithm)) {
    // The clear length goes before, since what is ciphered is whole blocks.
    length = field[0] ?? 0;
    field = field.subarray(1);
  }
  const block = isAes(set.algorithm) ? 16 : 8;
  if (!keyLengths(set.algorithm).includes(length) || field.length !== Math.ceil(length / block) * block) {
    return undefined;
  }
  const key = decrypt(set, kik, field).slice(0, length);
  if (check.length !== 3 || !timingSafeEqual(check, keyCheckValue(set.algorithm, key))) return undefined;
  return { key, check };
}

/**
 * A command to the issuer security domain: PUT KEY and nothing else.
 * @param keySet number of the set that secured the packet
 */
export function securityDomainCommand(session: Session, keySet: number, apdu: Uint8Array): Answer {
  try {
    const { cla, ins, p1, p2, data } = decodeCommand(apdu);
    if ((cla & 0xf0) !== 0x80) return refuse(SW.claNotSupported);
    if (ins !== PUT_KEY) return refuse(SW.insNotSupported);
    const { state } = session;
    const set = state.keySets.find(({ number }) => number === keySet);
    if (!set?.kik) return refuse(SW.conditions);
    const reader = new Reader(data ?? new Uint8Array());
    const number = reader.u8('key version');
    const replaced = state.keySets.find((one) => one.number === p1);
    const first = (p2 & 0x7f) - 1;
    if (p1 !== 0 && !replaced) return refuse(SW.dataNotFound);
    if (set.tars && replaced && replaced !== set) return refuse(SW.conditions);
    if (number < 1 || number > 15 || first < 0 || first > 2) return refuse(SW.wrongP1P2);
    const taken = state.keySets.some((one) => one.number === number && one !== replaced);
    if (taken || (pairsOf(state) && number === KEY_LIST_KEY_SET)) return refuse(SW.conditions);
    const keys: Partial<Record<(typeof NAMES)[number], Uint8Array>> = {};
    const checks: Uint8Array[] = [];
    for (let id = first; reader.remaining > 0; id++) {
      const taken = takeKey(reader, set, set.kik);
      const name = NAMES[id];
      if (!taken || !name || (id > first && (p2 & 0x80) === 0)) return refuse(SW.wrongData);
      keys[name] = taken.key;
      checks.push(taken.check);
    }
    const { kic, kid, kik } = { ...replaced, ...keys };
    if (checks.length === 0 || !kic || !kid) return refuse(SW.wrongData);
    // Only where no packet of before can be proven any more does the counter begin anew.
    const renewed = !replaced || !(equal(kic, replaced.kic) || equal(kid, replaced.kid));
    const tars = set.tars ?? replaced?.tars;
    const fresh: KeySet = {
      number,
      algorithm: set.algorithm,
      kic,
      kid,
      ...(kik && { kik }),
      counter: renewed ? 0 : replaced.counter,
      ...(tars && { tars }),
    };
    if (replaced && replaced.algorithm !== set.algorithm) return refuse(SW.conditions);
    const others = state.keySets.filter((one) => one !== replaced);
    session.state = { ...state, keySets: [...others, fresh].sort((a, b) => a.number - b.number) };
    return done(concat(Uint8Array.of(number), ...checks));
  } catch (error) {
    if (error instanceof FieldError) return refuse(SW.wrongData);
    throw error;
  }
}
