/**
 * The issuer security domain, as secured packets speak to it: PUT KEY; which key sets there are, and their deletion;
 * and on a card with a key agreement key, key sets that are agreed on, and another Ki under such a set.
 */
import { FieldError, equal } from '../../standards/bytes/index.ts';
import { prepare } from '../../standards/aka/index.ts';
import {
  DELETE,
  GET_DATA,
  INSTALL,
  KEY_INFORMATION,
  KEY_TYPE,
  P1_AGREEMENT,
  P1_ENCRYPTED,
  P1_PERSONALISATION,
  PUT_KEY,
  STORE_DATA,
  agreeKeys,
  decodeDeleteKeySet,
  decodeInstallForPersonalisation,
  decodeKeyAgreement,
  decodeStoreAka,
  encodeKeyInformation,
  encodeReceipt,
  type KeyInformation,
} from '../../standards/globalplatform/index.ts';
import { KEY_LIST_KEY_SET } from '../../standards/ota/index.ts';
import { SW, USIM_AID_PREFIX, decodeCommand, type CommandApdu } from '../../standards/uicc/index.ts';
import { done, refuse, type Answer } from './answer.ts';
import { USIM_AID } from './layout.ts';
import { isTaken, putKeys, withKeySet } from './put-key.ts';
import type { Session } from './session.ts';
import { pairAt, pairsOf, type CardState, type KeySet } from './state.ts';

/** Tag of the certificate, P1 and P2 of GET DATA. */
const CERTIFICATE = 0x7f21;

const KNOWN: readonly number[] = [PUT_KEY, GET_DATA, DELETE, INSTALL, STORE_DATA];

/**
 * Takes the commands of one script.
 * @param keySet number of the set that secured the packet
 */
export function securityDomain(session: Session, keySet: number): (apdu: Uint8Array) => Answer {
  /** the USIM is what STORE DATA is for */
  let personalising = false;
  return (apdu) => {
    try {
      const command = decodeCommand(apdu);
      if ((command.cla & 0xf0) !== 0x80) return refuse(SW.claNotSupported);
      if (!KNOWN.includes(command.ins)) return refuse(SW.insNotSupported);
      const set = session.state.keySets.find(({ number }) => number === keySet);
      // The pair of a key list rules over no other key.
      if (!set) return refuse(SW.conditions);
      switch (command.ins) {
        case PUT_KEY:
          return putKeys(session, set, command);
        case GET_DATA:
          return getData(session.state, command);
        case DELETE:
          return deleteKeySet(session, set, command);
        case INSTALL: {
          if (command.p1 !== P1_PERSONALISATION || command.p2 !== 0) return refuse(SW.wrongP1P2);
          const aid = decodeInstallForPersonalisation(command.data ?? new Uint8Array());
          personalising =
            aid.length >= USIM_AID_PREFIX.length && equal(USIM_AID.subarray(0, aid.length), aid);
          return personalising ? done() : refuse(SW.dataNotFound);
        }
        case STORE_DATA:
          if (command.p2 !== 0) return refuse(SW.wrongP1P2);
          if (command.p1 === P1_AGREEMENT) return agree(session, set, command.data);
          if (command.p1 !== P1_ENCRYPTED) return refuse(SW.wrongP1P2);
          return personalising ? storeAka(session, set, command.data) : refuse(SW.conditions);
        default:
          return refuse(SW.insNotSupported);
      }
    } catch (error) {
      if (error instanceof FieldError) return refuse(SW.wrongData);
      throw error;
    }
  };
}

function getData({ keySets, list, casd }: CardState, { p1, p2 }: CommandApdu): Answer {
  const tag = (p1 << 8) | p2;
  if (tag === CERTIFICATE && casd) return done(casd.certificate);
  if (tag !== KEY_INFORMATION) return refuse(SW.dataNotFound);
  const keysOf = (keySet: number, algorithm: KeySet['algorithm'], keys: (Uint8Array | undefined)[]) =>
    keys.flatMap((key, i): KeyInformation[] =>
      key
        ? [
            {
              identifier: i + 1,
              keySet,
              type: algorithm === 'aes' ? KEY_TYPE.aes : KEY_TYPE.des,
              length: key.length,
            },
          ]
        : [],
    );
  const pair = list && list.pairs.length > 0 ? pairAt(list, list.current).keys : undefined;
  return done(
    encodeKeyInformation([
      ...(pair ? keysOf(KEY_LIST_KEY_SET, 'aes', [pair.kic, pair.kid]) : []),
      ...keySets.flatMap(({ number, algorithm, kic, kid, kik }) =>
        keysOf(number, algorithm, [kic, kid, kik]),
      ),
    ]),
  );
}

/** Whoever is limited to some applications rules over no other's keys; nobody saws off what carries the packet. */
function deleteKeySet(session: Session, set: KeySet, { p1, p2, data }: CommandApdu): Answer {
  if (p1 !== 0 || p2 !== 0) return refuse(SW.wrongP1P2);
  const number = decodeDeleteKeySet(data ?? new Uint8Array());
  const { state } = session;
  if (set.tars || number === set.number) return refuse(SW.conditions);
  if (!state.keySets.some((one) => one.number === number)) return refuse(SW.dataNotFound);
  session.state = { ...state, keySets: state.keySets.filter((one) => one.number !== number) };
  return done();
}

function agree(session: Session, set: KeySet, data: Uint8Array = new Uint8Array()): Answer {
  const { state } = session;
  if (!state.casd) return refuse(SW.insNotSupported);
  if (set.tars) return refuse(SW.conditions);
  const agreement = decodeKeyAgreement(data);
  const { kic, kid, kik, receipt } = agreeKeys(agreement, state.casd.privateKey, agreement.ephemeral);
  const { keySet: number } = agreement;
  const there = state.keySets.find((one) => one.number === number);
  // The same once more: its answer was lost.
  if (there && equal(there.kic, kic) && equal(there.kid, kid)) return done(encodeReceipt(receipt));
  if (isTaken(state, number)) return refuse(SW.conditions);
  session.state = withKeySet(state, {
    number,
    algorithm: 'aes',
    kic,
    kid,
    kik,
    counter: 0,
    agreed: true,
  });
  return done(encodeReceipt(receipt));
}

/** Under an agreed set alone: whoever knew the keys of before must not choose it. The Ki of before is kept until a challenge proves that the network has the new one. */
function storeAka(session: Session, set: KeySet, data: Uint8Array = new Uint8Array()): Answer {
  const { state } = session;
  const { list, usim } = state;
  if (pairsOf(state) || list?.trial || list?.armed || !set.kik || !set.agreed) {
    return refuse(SW.conditions);
  }
  const renewed = decodeStoreAka(data, set.kik);
  if (renewed.constants) return refuse(SW.wrongData);
  prepare(renewed);
  // The same once more, after it came into use: it is the only one.
  const { renewed: _other, ...inUse } = usim;
  const same = equal(renewed.k, usim.k);
  session.state = { ...state, usim: same ? inUse : { ...usim, renewed } };
  return done();
}
