/**
 * PUT KEY for OTA key sets (TS 102 226 §8.2.1.5, GlobalPlatform Card Specification §11.8 and Amendment D §7.2):
 * KIc, KID and KIK of a set 1–15, ciphered under the KIK of the set that secured the packet. A set that is
 * limited to some applications replaces none but itself, and what it makes has its limit.
 */
import { createDecipheriv, timingSafeEqual } from 'node:crypto';
import { Reader, concat, equal } from '../../standards/bytes/index.ts';
import { KEY_TYPE, keyCheckValue, keyCipher } from '../../standards/globalplatform/index.ts';
import { KEY_LIST_KEY_SET, keyLengths } from '../../standards/ota/index.ts';
import { SW, type CommandApdu } from '../../standards/uicc/index.ts';
import { done, refuse, type Answer } from './answer.ts';
import { disarm } from './key-list.ts';
import type { Session } from './session.ts';
import { pairsOf, type CardState, type KeySet } from './state.ts';

/** Key identifiers within a set, 1 to 3. */
const NAMES = ['kic', 'kid', 'kik'] as const;

/** Key data fields (GlobalPlatform §11.8.2.3): type, ciphered key, check value. */
function takeKey(
  reader: Reader,
  set: KeySet,
  kik: Uint8Array,
): { key: Uint8Array; check: Uint8Array } | undefined {
  const { algorithm } = set;
  const { name, key: under, iv, block } = keyCipher(algorithm, kik);
  const type = reader.u8('key type');
  let field = reader.lv('key');
  const check = reader.lv('key check value');
  if (type !== (algorithm === 'aes' ? KEY_TYPE.aes : KEY_TYPE.des)) return undefined;
  let length = field.length;
  if (algorithm === 'aes') {
    // The clear length goes before, since what is ciphered is whole blocks.
    length = field[0] ?? 0;
    field = field.subarray(1);
  }
  if (!keyLengths(algorithm).includes(length) || field.length !== Math.ceil(length / block) * block) {
    return undefined;
  }
  const decipher = createDecipheriv(name, under, iv).setAutoPadding(false);
  const key = concat(decipher.update(field), decipher.final()).slice(0, length);
  if (check.length !== 3 || !timingSafeEqual(check, keyCheckValue(algorithm, key))) return undefined;
  return { key, check };
}

/** Whether a number is that of a set which is there: the list's pair has one, too. */
export const isTaken = (state: CardState, number: number, but?: KeySet): boolean =>
  state.keySets.some((one) => one.number === number && one !== but) ||
  (pairsOf(state) !== undefined && number === KEY_LIST_KEY_SET);

/** Key sets with one more, or another in the place of one. */
export const withKeySet = (state: CardState, fresh: KeySet, replaced?: KeySet): CardState => ({
  ...state,
  keySets: [...state.keySets.filter((one) => one !== replaced), fresh].sort((a, b) => a.number - b.number),
});

/**
 * PUT KEY.
 * @param set that secured the packet
 * @throws FieldError on data that end too early
 */
export function putKeys(session: Session, set: KeySet, { p1, p2, data }: CommandApdu): Answer {
  const { state } = session;
  if (!set.kik) return refuse(SW.conditions);
  const reader = new Reader(data ?? new Uint8Array());
  const number = reader.u8('key version');
  const replaced = state.keySets.find((one) => one.number === p1);
  const first = (p2 & 0x7f) - 1;
  if (p1 !== 0 && !replaced) return refuse(SW.dataNotFound);
  if (set.tars && replaced && replaced !== set) return refuse(SW.conditions);
  if (number < 1 || number > 15 || first < 0 || first > 2) return refuse(SW.wrongP1P2);
  if (isTaken(state, number, replaced)) return refuse(SW.conditions);
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
  session.state = withKeySet(state, fresh, replaced);
  if (renewed && number === KEY_LIST_KEY_SET) disarm(session);
  return done(concat(Uint8Array.of(number), ...checks));
}
