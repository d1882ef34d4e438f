/**
 * AUTHENTICATE of the USIM (TS 31.102 §7.1): 3G and GSM contexts; and of the ISIM (TS 31.103 §7.1): IMS AKA.
 *
 * Both applications have one key, so they have one array of sequence numbers too, as TS 33.203 §8 allows: a
 * challenge that one of them has answered is not fresh to the other, and the one count of the authentication
 * centre (TS 33.102 §6.3.2) fits both. With an array for each, whoever recorded a challenge of the access could
 * have it answered again, with the same CK and IK, in IMS. The HSS keeps IMS to indexes of its own instead.
 */
import { makeAuts, openChallenge, prepare, verifySqn, type AkaKey } from '../../standards/aka/index.ts';
import { FieldError } from '../../standards/bytes/index.ts';
import {
  AUTHENTICATE_P2,
  PIN,
  SW,
  decodeChallenge,
  encodeAuthenticateResult,
  encodeGsmResult,
  type Challenge,
} from '../../standards/uicc/index.ts';
import { authenticated } from './key-list.ts';
import { done, refuse, type Answer } from './answer.ts';
import { pinName, type Call, type Session } from './session.ts';

function keyOf(session: Session): AkaKey {
  const { usim } = session.state;
  if (session.aka?.of !== usim.k) session.aka = { of: usim.k, key: prepare(usim) };
  return session.aka.key;
}

/**
 * Opens a challenge under the Ki in use, or under one that came to take its place: proven under that, it is the
 * network's, and the old one is gone for good. Both have one sequence number.
 */
function open(
  session: Session,
  rand: Uint8Array,
  autn: Uint8Array,
): { key: AkaKey; opened: ReturnType<typeof openChallenge> } | undefined {
  const key = keyOf(session);
  const opened = openChallenge(key, rand, autn);
  if (opened.macValid) return { key, opened };
  const { renewed, scheme, sqn } = session.state.usim;
  if (!renewed) return undefined;
  const next = prepare(renewed);
  const reopened = openChallenge(next, rand, autn);
  if (!reopened.macValid) return undefined;
  session.state = { ...session.state, usim: { ...renewed, scheme, sqn } };
  return { key: next, opened: reopened };
}

/** Bytes xored in pieces of `length`, a last shorter one as if filled with zeros. */
function fold(length: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(length);
  for (const part of parts) for (let i = 0; i < part.length; i++) out[i % length]! ^= part[i]!;
  return out;
}

export function authenticate(call: Call): Answer {
  const { session, command, channel } = call;
  if (command.p1 !== 0) return refuse(SW.wrongP1P2);
  const { application } = channel;
  const contexts =
    application === 'isim' ? [AUTHENTICATE_P2.ims] : [AUTHENTICATE_P2.umts, AUTHENTICATE_P2.gsm];
  if (!contexts.some((context) => context === command.p2)) {
    return refuse((command.p2 & 0x80) !== 0 && command.p2 <= 0x87 ? SW.contextNotSupported : SW.wrongP1P2);
  }
  if (!application || channel.directory !== application) return refuse(SW.conditions);
  const pin1 = pinName(PIN.pin1)!;
  if (session.state.pins[pin1].enabled && !session.verified.has(pin1)) return refuse(SW.securityStatus);
  let challenge: Challenge;
  try {
    challenge = decodeChallenge(command.data ?? new Uint8Array());
  } catch (error) {
    if (error instanceof FieldError) return refuse(SW.wrongLength);
    throw error;
  }
  const { rand, autn } = challenge;
  if ((autn !== undefined) !== (command.p2 === AUTHENTICATE_P2.umts)) return refuse(SW.wrongLength);
  if (!autn) {
    // c2 and c3 of TS 33.102 §6.8.1.2.
    const { res, ck, ik } = keyOf(session).f2345(rand);
    return done(encodeGsmResult({ sres: fold(4, res), kc: fold(8, ck, ik) }));
  }
  const found = open(session, rand, autn);
  if (!found) return refuse(SW.macFailure);
  const { key, opened } = found;
  const { usim } = session.state;
  const verdict = verifySqn(usim.scheme, usim.sqn, opened.sqn);
  if (!verdict.accepted) {
    const auts = makeAuts(key, rand, verdict.sqnMs);
    return done(encodeAuthenticateResult({ kind: 'synchronisationFailure', auts }));
  }
  session.state = { ...session.state, usim: { ...usim, sqn: verdict.array } };
  // IMS may be reached over any access: a subscription on trial is proven by the access alone.
  if (application === 'usim') authenticated(session);
  const { res, ck, ik } = opened;
  return done(encodeAuthenticateResult({ kind: 'success', res, ck, ik }));
}
