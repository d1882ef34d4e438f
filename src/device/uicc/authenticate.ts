/** AUTHENTICATE of the USIM (TS 31.102 §7.1): 3G and GSM contexts, with SQN management. */
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

/** Bytes xored in pieces of `length`, a last shorter one as if filled with zeros. */
function fold(length: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(length);
  for (const part of parts) for (let i = 0; i < part.length; i++) out[i % length]! ^= part[i]!;
  return out;
}

export function authenticate(call: Call): Answer {
  const { session, command, channel } = call;
  if (command.p1 !== 0) return refuse(SW.wrongP1P2);
  if (command.p2 !== AUTHENTICATE_P2.umts && command.p2 !== AUTHENTICATE_P2.gsm) {
    return refuse((command.p2 & 0x80) !== 0 && command.p2 <= 0x87 ? SW.contextNotSupported : SW.wrongP1P2);
  }
  if (!channel.application || channel.directory !== 'usim') return refuse(SW.conditions);
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
  const key = keyOf(session);
  if (!autn) {
    // c2 and c3 of TS 33.102 §6.8.1.2.
    const { res, ck, ik } = key.f2345(rand);
    return done(encodeGsmResult({ sres: fold(4, res), kc: fold(8, ck, ik) }));
  }
  const opened = openChallenge(key, rand, autn);
  if (!opened.macValid) return refuse(SW.macFailure);
  const { usim } = session.state;
  const verdict = verifySqn(usim.scheme, usim.sqn, opened.sqn);
  if (!verdict.accepted) {
    const auts = makeAuts(key, rand, verdict.sqnMs);
    return done(encodeAuthenticateResult({ kind: 'synchronisationFailure', auts }));
  }
  session.state = { ...session.state, usim: { ...usim, sqn: verdict.array } };
  authenticated(session);
  const { res, ck, ik } = opened;
  return done(encodeAuthenticateResult({ kind: 'success', res, ck, ik }));
}
