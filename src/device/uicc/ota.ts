/**
 * Secured packets for the card (TS 31.115): put together from short messages, opened under the key sets, given
 * to the application that the TAR names, answered by proof of receipt. Who proves no key gets no more than a
 * refusal in the clear, in the deliver report.
 */
import { FieldError, concat, equal, toHex } from '../../standards/bytes/index.ts';
import {
  FALLBACK_TAR,
  KEY_LIST_KEY_SET,
  KEY_LIST_TAR,
  RESPONSE_STATUS,
  TAR,
  algorithmOf,
  decodeCommandHeader,
  decodeCommandPacket,
  decodePacketSms,
  encodePacketSms,
  encodeResponsePacket,
  isProven,
  keySetOf,
  wantsProof,
  type CommandHeader,
  type OtaKeys,
  type ReceivedCommand,
} from '../../standards/ota/index.ts';
import {
  DCS_CARD,
  Reassembly,
  decodeTpduToDevice,
  encodeHeader,
  encodeTpdu,
  type Address,
  type SmsDeliver,
} from '../../standards/sms/index.ts';
import { SW } from '../../standards/uicc/index.ts';
import { listCommand, listOutgoing } from './key-list.ts';
import { runScript } from './remote.ts';
import { securityDomain } from './security-domain.ts';
import { done, refuse, type Answer } from './answer.ts';
import type { Session } from './session.ts';
import { pairAt, pairsOf, type KeySet } from './state.ts';

/** Bytes of user data that a card may answer by deliver report (TS 31.111 §7.1.1.2). */
const REPORT_ROOM = 128;

/** Keeps the parts of long messages while there is power. */
export const newReassembly = (): Reassembly => new Reassembly(4);

/** The key set of a number: the list's pair is set 1. */
function keySet(session: Session, number: number): KeySet | undefined {
  const list = pairsOf(session.state);
  if (list && number === KEY_LIST_KEY_SET) {
    const { keys, counter } = pairAt(list, list.current);
    return { number, algorithm: 'aes', kic: keys!.kic, kid: keys!.kid, counter };
  }
  return session.state.keySets.find((set) => set.number === number);
}

/** The set that proves a packet: KID's. */
const provingSet = (session: Session, header: CommandHeader): KeySet | undefined =>
  keySet(session, keySetOf(header.kid));

function keysOf(session: Session, header: CommandHeader): OtaKeys | undefined {
  const tar = toHex(header.tar);
  const set = provingSet(session, header);
  const cipher = keySet(session, keySetOf(header.kic));
  const { integrity, ciphered, proof, proofCiphered } = header.security;
  const fits = (one: KeySet | undefined, byte: number): boolean =>
    one !== undefined && algorithmOf(byte) === one.algorithm && (one.tars?.includes(tar) ?? true);
  if (integrity === 'cc' && !fits(set, header.kid)) return undefined;
  if ((ciphered || (proof !== 'none' && proofCiphered)) && !fits(cipher, header.kic)) return undefined;
  // Nothing is ciphered under a set of which the sender has shown no key.
  if (!ciphered && cipher !== undefined && cipher.number !== set?.number) return set && { kid: set.kid };
  return { ...(set && { kid: set.kid }), ...(cipher && { kic: cipher.kic }) };
}

function storeCounter(session: Session, number: number, counter: number): void {
  const { state } = session;
  const list = pairsOf(state);
  if (list && number === KEY_LIST_KEY_SET) {
    const pairs = list.pairs.with(list.current, { ...pairAt(list, list.current), counter });
    session.state = { ...state, list: { ...list, pairs } };
    return;
  }
  session.state = {
    ...state,
    keySets: state.keySets.map((set) => (set.number === number ? { ...set, counter } : set)),
  };
}

/** ENVELOPE (SMS-PP DOWNLOAD): `data` of the answer is the user data of the deliver report. */
export function smsPpDownload(session: Session, reassembly: Reassembly, tpdu: Uint8Array): Answer {
  try {
    const message = decodeTpduToDevice(tpdu);
    if (message.type !== 'deliver') return refuse(SW.wrongData);
    const { originator } = message;
    const whole = reassembly.add(`${originator.type} ${originator.value}`, copy(message.userData));
    const packet = whole && decodePacketSms('command', whole);
    return packet ? receive(session, message, packet) : done();
  } catch (error) {
    // Nothing that could be answered: the terminal says RP-ERROR, data download error.
    if (error instanceof FieldError) return refuse(SW.technicalProblem);
    throw error;
  }
}

/** Parts outlive the command that brought them, whose bytes are the terminal's. */
const copy = (userData: SmsDeliver['userData']): SmsDeliver['userData'] => ({
  header: userData.header.map(({ iei, data }) => ({ iei, data: data.slice() })),
  data: userData.data.slice(),
});

/** Opens a packet. What has no checksum under a key is not even deciphered: nothing of it could be told back. */
function open(session: Session, packet: Uint8Array): ReceivedCommand {
  const header = decodeCommandHeader(packet);
  const { integrity } = header.security;
  if (integrity === 'none' || integrity === 'rc') {
    const status = RESPONSE_STATUS.insufficientSecurityLevel;
    return { header, status, counter: 0, data: new Uint8Array() };
  }
  const received = decodeCommandPacket(packet, {
    keysOf: (header) => keysOf(session, header),
    counterOf: (header) => provingSet(session, header)?.counter,
  });
  // A proof that cannot be given is found out before anything is done.
  return canProve(session, received) ? received : { ...received, status: RESPONSE_STATUS.securityError };
}

function canProve(session: Session, { header, status, counter }: ReceivedCommand): boolean {
  if (header.security.proof === 'none') return true;
  try {
    const nothing = new Uint8Array();
    encodeResponsePacket(
      { tar: header.tar, counter, status, data: nothing },
      header,
      keysOf(session, header) ?? {},
    );
    return true;
  } catch (error) {
    if (error instanceof FieldError) return false;
    throw error;
  }
}

function receive(session: Session, message: SmsDeliver, packet: Uint8Array): Answer {
  const received = open(session, packet);
  const { header } = received;
  // The keys of now: the command may put others in their place.
  const keys = keysOf(session, header) ?? {};
  const { status, data } = execute(session, received);
  if (!wantsProof(header.security, status)) return done();
  const response = (code: number, content: Uint8Array): Uint8Array =>
    encodeResponsePacket(
      { tar: header.tar, counter: received.counter, status: code, data: content },
      header,
      keys,
    );
  const proof = response(status, data);
  const proven = isProven(received);
  // Where an originator says it comes from anyone can write: no message goes there for a stranger.
  if (proven && header.security.proofBy === 'submit') {
    submit(session, message.originator, proof);
    return done();
  }
  const [userData] = encodePacketSms('response', proof, 0, 255);
  const report = concat(encodeHeader(userData!.header), userData!.data);
  if (!proven || report.length <= REPORT_ROOM) return done(report);
  // Too long for a deliver report: say so there, and send it (TS 102 225 §5.2.2).
  submit(session, message.originator, proof);
  const [short] = encodePacketSms('response', response(RESPONSE_STATUS.bySubmit, new Uint8Array()), 0, 255);
  return done(concat(encodeHeader(short!.header), short!.data));
}

/** Hands a packet to an application. */
function execute(session: Session, received: ReceivedCommand): { status: number; data: Uint8Array } {
  const { header, status, counter, data } = received;
  const nothing = new Uint8Array();
  if (status !== RESPONSE_STATUS.ok) return { status, data: nothing };
  // Every application wants a checksum under a key, which `open` has seen to, and a counter that rises.
  const mode = header.security.counter;
  if (mode !== 'higher' && mode !== 'oneHigher') {
    return { status: RESPONSE_STATUS.insufficientSecurityLevel, data: nothing };
  }
  const number = keySetOf(header.kid);
  storeCounter(session, number, counter);
  const { tar } = header;
  const { list } = session.state;
  if (list && equal(tar, pairsOf(session.state) ? KEY_LIST_TAR : FALLBACK_TAR)) {
    const run = (apdu: Uint8Array): Answer => listCommand(session, number, apdu);
    return { status, data: runScript(session, data, 'mf', run, listOutgoing) };
  }
  if (equal(tar, TAR.issuerSecurityDomain)) {
    return { status, data: runScript(session, data, 'mf', securityDomain(session, number)) };
  }
  if (equal(tar, TAR.rfmShared)) return { status, data: runScript(session, data, 'mf') };
  if (equal(tar, TAR.rfmUsim) || equal(tar, TAR.rfmSim)) {
    return { status, data: runScript(session, data, 'usim') };
  }
  if (equal(tar, TAR.rfmIsim) && session.state.isim) {
    return { status, data: runScript(session, data, 'isim') };
  }
  return { status: RESPONSE_STATUS.tarUnknown, data: nothing };
}

/** Sends a response packet by SMS-SUBMIT to whom the command came from. */
function submit(session: Session, to: Address, packet: Uint8Array): void {
  if (!session.toolkit.has('sendShortMessage')) return;
  try {
    for (const userData of encodePacketSms('response', packet)) {
      const tpdu = encodeTpdu({
        type: 'submit',
        reference: 0,
        destination: to,
        pid: 0,
        dcs: DCS_CARD,
        userData,
      });
      session.toolkit.send({ command: { type: 'sendShortMessage', tpdu } });
    }
  } catch (error) {
    // More than 255 messages, or an originator that cannot be written to: there is no answer then.
    if (!(error instanceof FieldError)) throw error;
  }
}
