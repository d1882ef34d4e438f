/** The attach procedure (TS 24.301 §5.5.1) with identification, authentication and security mode control. */
import { timingSafeEqual } from 'node:crypto';
import { DecodeError } from '../../standards/bytes/index.ts';
import {
  ADDITIONAL_UPDATE_RESULT,
  ADDITIONAL_UPDATE_TYPE,
  ATTACH_RESULT,
  EMM_CAUSE,
  ESM_CAUSE,
  ESM_INFORMATION_REQUIRED,
  IDENTITY_TYPE,
  NO_KEY,
  PDN_TYPE,
  SECURITY_HEADER,
  createNasSecurity,
  decodeNas,
  encodeNas,
  supports,
  type Guti,
  type NasMessage,
  type NasMessageOf,
  type SecurityCapability,
} from '../../standards/nas/index.ts';
import { refused, type Subscription, type Vector } from './home.ts';
import { Abandoned } from './procedure.ts';
import type { Ue, Ues } from './ue.ts';
import type { MmeWorld } from './world.ts';

export interface AttachWorld extends MmeWorld {
  ues: Ues;
  /** T3412 as an octet */
  t3412: number;
  send(ue: Ue, message: NasMessage, headerType?: number): boolean;
  say(ue: Ue, message: NasMessage): void;
  ask<K extends NasMessage['type']>(
    ue: Ue,
    transmit: () => void,
    answers: readonly K[],
    milliseconds?: number,
    times?: number,
  ): Promise<NasMessageOf<K>>;
  forget(ue: Ue): void;
  heard(ue: Ue): void;
}

export interface Attach {
  byGuti(guti: Guti): Ue | undefined;
  /** Runs to its end, whatever that is; never rejects. */
  run(ue: Ue, request: NasMessageOf<'attachRequest'>, verified: boolean): Promise<void>;
}

const MME_GROUP = 0x8001;
const MME_CODE = 1;
/** The bearer that an attach brings. */
const DEFAULT_BEARER = 5;
/** T3489 (TS 24.301 table 10.3.2). */
const ESM_INFORMATION_MS = 4_000;
const ESM_INFORMATION_TIMES = 3;
/** ESM cause 50: PDN type IPv4 only allowed. */
const IPV4_ONLY = 50;
/** CP CIoT supported, EMM-REGISTERED without PDN connection supported (TS 24.301 §9.9.3.12A, octet 3). */
const FEATURES = Uint8Array.of(0xc0);
/** QCI 9 (TS 24.301 §9.9.4.3). */
const QOS = Uint8Array.of(9);
/** A device that fails to synchronise after this many vectors is refused. */
const MOST_RESYNCHRONISATIONS = 2;

function luhn(digits: string): number {
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = digits.charCodeAt(digits.length - 1 - i) - 0x30;
    const doubled = i % 2 === 0 ? 2 * digit : digit;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return (10 - (sum % 10)) % 10;
}

export function createAttach(world: AttachWorld): Attach {
  const { ues, home, sms, data, observe, ask, say, send } = world;

  function reject(ue: Ue, imsi: string | undefined, emmCause: number, esm?: NasMessage): never {
    say(ue, {
      type: 'attachReject',
      emmCause,
      ...(esm ? { esmMessageContainer: encodeNas(esm) } : {}),
    });
    observe({ type: 'rejected', imsi, cause: emmCause, device: ue.at });
    throw new Abandoned(`rejected with ${emmCause}`);
  }

  async function identify(ue: Ue, identityType: number): Promise<string> {
    const { mobileIdentity } = await ask(ue, () => say(ue, { type: 'identityRequest', identityType }), [
      'identityResponse',
    ]);
    const kind = identityType === IDENTITY_TYPE.imsi ? 'imsi' : 'imeisv';
    if (mobileIdentity.kind !== kind) {
      reject(ue, ue.imsi, EMM_CAUSE.ueIdentityCannotBeDerived);
    }
    return mobileIdentity.digits;
  }

  /** A policy's cause before anything is asked of the home network. */
  function admit(ue: Ue, imsi: string): void {
    const cause = world.rejectWith(imsi);
    if (cause !== undefined) reject(ue, imsi, cause);
  }

  async function vector(
    ue: Ue,
    imsi: string,
    resync?: { rand: Uint8Array; auts: Uint8Array },
  ): Promise<Vector> {
    const token = ue.attaching;
    const found = await home.vector(imsi, resync);
    if (ue.attaching !== token) throw new Abandoned('another attach');
    if (refused(found)) reject(ue, imsi, found.cause);
    return found;
  }

  function rejectAuthentication(ue: Ue, imsi: string): never {
    say(ue, { type: 'authenticationReject' });
    observe({ type: 'authenticationRejected', imsi, device: ue.at });
    throw new Abandoned('authentication rejected');
  }

  /**
   * Challenges the device until it answers right (§5.4.2).
   * @param guessed the IMSI comes from a GUTI that nobody has proven: a failure leads to identification
   * @returns the IMSI that proved itself, and the K_ASME of it
   */
  async function authenticate(
    ue: Ue,
    claimed: string,
    guessed: boolean,
    ksi: number,
  ): Promise<{ imsi: string; kAsme: Uint8Array }> {
    let imsi = claimed;
    let resynchronisations = 0;
    let mayAsk = guessed;
    let challenge = await vector(ue, imsi);
    for (;;) {
      const { rand, autn, xres, kasme } = challenge;
      const answer = await ask(
        ue,
        () => say(ue, { type: 'authenticationRequest', nasKeySetIdentifier: ksi, rand, autn }),
        ['authenticationResponse', 'authenticationFailure'],
      );
      if (answer.type === 'authenticationResponse') {
        if (answer.res.length === xres.length && timingSafeEqual(answer.res, xres)) {
          return { imsi, kAsme: kasme };
        }
      } else if (answer.emmCause === EMM_CAUSE.synchFailure) {
        const auts = answer.authenticationFailureParameter;
        if (!auts || resynchronisations++ >= MOST_RESYNCHRONISATIONS) rejectAuthentication(ue, imsi);
        challenge = await vector(ue, imsi, { rand, auts });
        continue;
      }
      // A wrong answer, or a MAC that the device does not accept: perhaps the GUTI was another's.
      if (!mayAsk) rejectAuthentication(ue, imsi);
      mayAsk = false;
      const said = await identify(ue, IDENTITY_TYPE.imsi);
      if (said === imsi) rejectAuthentication(ue, imsi);
      imsi = said;
      admit(ue, imsi);
      challenge = await vector(ue, imsi);
    }
  }

  /** What the device said it can do, said back to it under integrity protection (TS 33.401 §7.2.4.4). */
  function replayed({ eea, eia, more }: SecurityCapability): SecurityCapability {
    // UEA and UIA; in the network capability the highest bit of UIA's byte is UCS2's
    return { eea, eia, more: more.length < 2 ? new Uint8Array(0) : Uint8Array.of(more[0]!, more[1]! & 0x7f) };
  }

  /** Takes a new context into use (§5.4.3). */
  async function secure(
    ue: Ue,
    imsi: string,
    capability: SecurityCapability,
    ksi: number,
    kAsme: Uint8Array,
  ): Promise<void> {
    const eea = supports(capability.eea, 2) ? 2 : 0;
    const security = createNasSecurity({ ksi, kAsme, eea, eia: 2, uplink: 0, downlink: 0 });
    ue.security = security;
    const command = encodeNas({
      type: 'securityModeCommand',
      selectedNasSecurityAlgorithms: { eea, eia: 2 },
      nasKeySetIdentifier: ksi,
      replayedUeSecurityCapabilities: replayed(capability),
      imeisvRequest: 1,
    });
    const answer = await ask(
      ue,
      () => world.transmit(security.protect(command, 'downlink', SECURITY_HEADER.integrityNewContext), ue.at),
      ['securityModeComplete', 'securityModeReject'],
    );
    if (answer.type === 'securityModeReject') {
      ue.security = undefined;
      observe({ type: 'rejected', imsi, cause: EMM_CAUSE.securityModeRejected, device: ue.at });
      throw new Abandoned('security mode rejected');
    }
    ue.secured = true;
    if (answer.imeisv?.kind === 'imeisv') setEquipment(ue, answer.imeisv.digits);
  }

  function setEquipment(ue: Ue, imeisv: string): void {
    const body = imeisv.slice(0, 14);
    ue.imei = `${body}${luhn(body)}`;
    ue.softwareVersion = imeisv.slice(14);
  }

  /** What the device asks for in its session management container. */
  async function wishOf(
    ue: Ue,
    request: NasMessageOf<'attachRequest'>,
  ): Promise<{ pti: number; pdnType: number; apn: string | undefined } | undefined> {
    let esm: NasMessage;
    try {
      esm = decodeNas(request.esmMessageContainer, 'uplink');
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      return reject(ue, ue.imsi, EMM_CAUSE.invalidMandatoryInformation);
    }
    if (esm.type !== 'pdnConnectivityRequest') return undefined;
    const { pti, pdnType } = esm;
    let apn = esm.accessPointName;
    if (esm.esmInformationTransferFlag === ESM_INFORMATION_REQUIRED) {
      const information = await ask(
        ue,
        () => send(ue, { type: 'esmInformationRequest', ebi: 0, pti }),
        ['esmInformationResponse'],
        ESM_INFORMATION_MS,
        ESM_INFORMATION_TIMES,
      );
      apn = information.accessPointName ?? apn;
    }
    return { pti, pdnType, apn };
  }

  /** The session management answer, and the bearer it describes. */
  function connect(
    ue: Ue,
    imsi: string,
    wish: { pti: number; pdnType: number; apn: string | undefined } | undefined,
    subscription: Subscription,
  ): NasMessage {
    ue.bearer = undefined;
    if (!wish) return { type: 'esmDummyMessage', ebi: 0, pti: 0 };
    const { pti, pdnType } = wish;
    const refuse = (esmCause: number): never =>
      reject(ue, imsi, EMM_CAUSE.esmFailure, { type: 'pdnConnectivityReject', ebi: 0, pti, esmCause });
    const wanted = wish.apn?.toLowerCase();
    // The network identifier alone, or with the operator identifier behind it (TS 23.003 §9.1).
    const found = subscription.apns.find(
      ({ apn }) =>
        wanted === undefined || wanted === apn.toLowerCase() || wanted.startsWith(`${apn.toLowerCase()}.mnc`),
    );
    if (!found) return refuse(ESM_CAUSE.missingOrUnknownApn);
    if (pdnType === PDN_TYPE.ipv6) return refuse(ESM_CAUSE.unknownPdnType);
    ue.bearer = {
      ebi: DEFAULT_BEARER,
      apn: found.apn,
      scefHost: found.scefHost,
      scefRealm: found.scefRealm,
    };
    const nonIp = pdnType === PDN_TYPE.nonIp;
    const tmsi = ue.mTmsi ?? 0;
    return {
      type: 'activateDefaultEpsBearerContextRequest',
      ebi: DEFAULT_BEARER,
      pti,
      epsQos: QOS,
      accessPointName: found.apn,
      pdnAddress: nonIp
        ? { pdnType, address: new Uint8Array(4) }
        : { pdnType: PDN_TYPE.ipv4, address: Uint8Array.of(10, tmsi >> 16, tmsi >> 8, tmsi) },
      ...(pdnType === PDN_TYPE.ipv4v6 ? { esmCause: IPV4_ONLY } : {}),
      controlPlaneOnlyIndication: 1,
    };
  }

  function newTmsi(): number {
    for (;;) {
      const [a, b, c, d] = world.random.bytes(4) as unknown as [number, number, number, number];
      // The two highest bits set, as the MME's are (TS 23.003 §2.4)
      const mTmsi = (((a | 0xc0) << 24) | (b << 16) | (c << 8) | d) >>> 0;
      if (!ues.byTmsi(mTmsi)) return mTmsi;
    }
  }

  async function procedure(ue: Ue, request: NasMessageOf<'attachRequest'>, verified: boolean): Promise<void> {
    const capability = request.ueNetworkCapability;
    ue.capability = capability;
    const identity = request.epsMobileIdentity;
    if (identity.kind === 'imei') reject(ue, undefined, EMM_CAUSE.imeiNotAccepted);
    if (!supports(capability.eia, 2)) reject(ue, undefined, EMM_CAUSE.ueSecurityCapabilitiesMismatch);

    const fromGuti = identity.kind === 'guti' ? byGuti(identity)?.imsi : undefined;
    let imsi =
      identity.kind === 'imsi' ? identity.digits : (fromGuti ?? (await identify(ue, IDENTITY_TYPE.imsi)));
    const ksi = request.nasKeySetIdentifier;
    // The request itself proved that both ends still have the context (§5.5.1.2.2): no new one is needed, and a
    // rejection is protected, so that the device can believe it (§5.3.7b).
    const current = verified && ue.imsi === imsi && ue.security?.state.ksi === ksi;
    if (current) ue.secured = true;
    admit(ue, imsi);

    if (!current) {
      const nextKsi = ksi >= NO_KEY ? 0 : (ksi + 1) % NO_KEY;
      const proven = await authenticate(ue, imsi, fromGuti !== undefined, nextKsi);
      imsi = proven.imsi;
      await secure(ue, imsi, capability, nextKsi, proven.kAsme);
      const former = ues.prove(ue, imsi);
      if (former) {
        if (former.wanted) ue.wanted = true;
        world.forget(former);
      }
    }
    if (ue.imei === undefined) setEquipment(ue, await identify(ue, IDENTITY_TYPE.imeisv));
    const wish = await wishOf(ue, request);

    const token = ue.attaching;
    const subscription = await home.updateLocation(ue);
    if (ue.attaching !== token) throw new Abandoned('another attach');
    if (refused(subscription)) return reject(ue, imsi, subscription.cause);
    ue.msisdn = subscription.msisdn;

    const mTmsi = newTmsi();
    ues.name(ue, mTmsi);
    const esm = connect(ue, imsi, wish, subscription);
    const smsOnly = ((request.additionalUpdateType ?? 0) & ADDITIONAL_UPDATE_TYPE.smsOnly) !== 0;
    const accept: NasMessage = {
      type: 'attachAccept',
      epsAttachResult: ATTACH_RESULT.eps,
      t3412Value: world.t3412,
      taiList: [{ kind: 'codes', plmn: world.plmn, tacs: [world.tac] }],
      esmMessageContainer: encodeNas(esm),
      guti: { kind: 'guti', plmn: world.plmn, mmeGroupId: MME_GROUP, mmeCode: MME_CODE, mTmsi },
      epsNetworkFeatureSupport: FEATURES,
      ...(smsOnly ? { additionalUpdateResult: ADDITIONAL_UPDATE_RESULT.smsOnly } : {}),
    };
    const transmit = (): void => void send(ue, accept);
    if (ue.attaching) ue.attaching.repeat = transmit;
    await ask(ue, transmit, ['attachComplete']);

    ue.attaching = undefined;
    ue.registered = true;
    observe({ type: 'attached', imsi, imei: ue.imei, device: ue.at });
    // The timer of a detached device is too patient.
    ue.silence?.cancel();
    ue.silence = undefined;
    world.heard(ue);
    if (ue.bearer) data.opened(ue);
    sms.opened(ue);
  }

  function byGuti({ plmn, mmeGroupId, mmeCode, mTmsi }: Guti): Ue | undefined {
    return plmn === world.plmn && mmeGroupId === MME_GROUP && mmeCode === MME_CODE
      ? ues.byTmsi(mTmsi)
      : undefined;
  }

  return {
    byGuti,
    async run(ue, request, verified) {
      const token = ue.attaching;
      try {
        await procedure(ue, request, verified);
      } catch (error) {
        if (!(error instanceof Abandoned)) throw error;
        // Another attach of the same device may have taken over.
        if (ue.attaching !== token) return;
        ue.attaching = undefined;
        if (ue.imsi !== undefined && ues.byImsi(ue.imsi) === ue) {
          sms.closed(ue);
          ue.secured = false;
          world.heard(ue);
        } else {
          world.forget(ue);
        }
      }
    },
  };
}
