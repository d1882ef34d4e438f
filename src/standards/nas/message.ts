/** Plain NAS messages (TS 24.301 §8.2, §8.3). */
import { DecodeError, FieldError, Reader, Writer } from '../bytes/index.ts';
import {
  decodeBody,
  encodeBody,
  half,
  layout,
  lv,
  lve,
  number,
  octets,
  tlv,
  tlve,
  tv,
  tv1,
  v,
  type Body,
  type Direction,
  type Layout,
} from './codec.ts';
import { accessPointName, nasAlgorithms, pdnAddress, securityCapability } from './element.ts';
import { epsMobileIdentity, guti, mobileIdentity, plmnList, tai, taiList } from './identity.ts';
import { PROTOCOL } from './values.ts';

/* Timers are octets: gprsTimerSeconds (T3402, T3412, T3346, T3423), gprsTimer3Seconds (the extended values). */

/** Messages of EPS mobility management. Values of half an octet are numbers 0–15, named in values.ts. */
const EMM = {
  /** §8.2.4 */
  attachRequest: layout(
    0x41,
    {
      attachType: half,
      nasKeySetIdentifier: half,
      epsMobileIdentity: lv(4, 11, epsMobileIdentity),
      ueNetworkCapability: lv(2, 13, securityCapability),
      esmMessageContainer: lve(3, octets),
    },
    {
      oldPTmsiSignature: tv(0x19, 3, octets),
      additionalGuti: tlv(0x50, 11, 11, guti),
      lastVisitedRegisteredTai: tv(0x52, 5, tai),
      drxParameter: tv(0x5c, 2, octets),
      msNetworkCapability: tlv(0x31, 2, 8, octets),
      oldLocationAreaIdentification: tv(0x13, 5, octets),
      tmsiStatus: tv1(0x90),
      mobileStationClassmark2: tlv(0x11, 3, 3, octets),
      mobileStationClassmark3: tlv(0x20, 0, 32, octets),
      supportedCodecs: tlv(0x40, 3, 255, octets),
      additionalUpdateType: tv1(0xf0),
      voiceDomainPreference: tlv(0x5d, 1, 1, number),
      deviceProperties: tv1(0xd0),
      oldGutiType: tv1(0xe0),
      msNetworkFeatureSupport: tv1(0xc0),
      t3324Value: tlv(0x6a, 1, 1, number),
      t3412ExtendedValue: tlv(0x5e, 1, 1, number),
      extendedDrxParameters: tlv(0x6e, 1, 1, number),
    },
  ),
  /** §8.2.1 */
  attachAccept: layout(
    0x42,
    {
      epsAttachResult: half,
      t3412Value: v(1, number),
      taiList: lv(6, 96, taiList),
      esmMessageContainer: lve(3, octets),
    },
    {
      guti: tlv(0x50, 11, 11, guti),
      locationAreaIdentification: tv(0x13, 5, octets),
      msIdentity: tlv(0x23, 5, 8, mobileIdentity),
      emmCause: tv(0x53, 1, number),
      t3402Value: tv(0x17, 1, number),
      t3423Value: tv(0x59, 1, number),
      equivalentPlmns: tlv(0x4a, 3, 45, plmnList),
      emergencyNumberList: tlv(0x34, 3, 48, octets),
      epsNetworkFeatureSupport: tlv(0x64, 1, 2, octets),
      additionalUpdateResult: tv1(0xf0),
      t3412ExtendedValue: tlv(0x5e, 1, 1, number),
      t3324Value: tlv(0x6a, 1, 1, number),
      extendedDrxParameters: tlv(0x6e, 1, 1, number),
    },
  ),
  /** §8.2.2 */
  attachComplete: layout(0x43, { esmMessageContainer: lve(3, octets) }),
  /** §8.2.3; T3402 is a GPRS timer 2 here */
  attachReject: layout(
    0x44,
    { emmCause: v(1, number) },
    {
      esmMessageContainer: tlve(0x78, 3, octets),
      t3346Value: tlv(0x5f, 1, 1, number),
      t3402Value: tlv(0x16, 1, 1, number),
      extendedEmmCause: tv1(0xa0),
    },
  ),
  /** §8.2.11.1, from the device */
  detachRequest: layout(0x45, {
    detachType: half,
    nasKeySetIdentifier: half,
    epsMobileIdentity: lv(4, 11, epsMobileIdentity),
  }),
  /** §8.2.11.2, from the network */
  networkDetachRequest: layout(0x45, { detachType: half }, { emmCause: tv(0x53, 1, number) }),
  /** §8.2.10 */
  detachAccept: layout(0x46, {}),
  /** §8.2.29 */
  trackingAreaUpdateRequest: layout(
    0x48,
    { epsUpdateType: half, nasKeySetIdentifier: half, oldGuti: lv(11, 11, guti) },
    {
      nonCurrentNativeNasKeySetIdentifier: tv1(0xb0),
      gprsCipheringKeySequenceNumber: tv1(0x80),
      oldPTmsiSignature: tv(0x19, 3, octets),
      additionalGuti: tlv(0x50, 11, 11, guti),
      nonceUe: tv(0x55, 4, octets),
      ueNetworkCapability: tlv(0x58, 2, 13, securityCapability),
      lastVisitedRegisteredTai: tv(0x52, 5, tai),
      drxParameter: tv(0x5c, 2, octets),
      ueRadioCapabilityInformationUpdateNeeded: tv1(0xa0),
      epsBearerContextStatus: tlv(0x57, 2, 2, octets),
      msNetworkCapability: tlv(0x31, 2, 8, octets),
      additionalUpdateType: tv1(0xf0),
      t3324Value: tlv(0x6a, 1, 1, number),
      t3412ExtendedValue: tlv(0x5e, 1, 1, number),
      extendedDrxParameters: tlv(0x6e, 1, 1, number),
    },
  ),
  /** §8.2.26 */
  trackingAreaUpdateAccept: layout(
    0x49,
    { epsUpdateResult: half },
    {
      t3412Value: tv(0x5a, 1, number),
      guti: tlv(0x50, 11, 11, guti),
      taiList: tlv(0x54, 6, 96, taiList),
      epsBearerContextStatus: tlv(0x57, 2, 2, octets),
      locationAreaIdentification: tv(0x13, 5, octets),
      msIdentity: tlv(0x23, 5, 8, mobileIdentity),
      emmCause: tv(0x53, 1, number),
      t3402Value: tv(0x17, 1, number),
      t3423Value: tv(0x59, 1, number),
      equivalentPlmns: tlv(0x4a, 3, 45, plmnList),
      emergencyNumberList: tlv(0x34, 3, 48, octets),
      epsNetworkFeatureSupport: tlv(0x64, 1, 2, octets),
      additionalUpdateResult: tv1(0xf0),
      t3412ExtendedValue: tlv(0x5e, 1, 1, number),
      t3324Value: tlv(0x6a, 1, 1, number),
      extendedDrxParameters: tlv(0x6e, 1, 1, number),
    },
  ),
  /** §8.2.27 */
  trackingAreaUpdateComplete: layout(0x4a, {}),
  /** §8.2.28 */
  trackingAreaUpdateReject: layout(
    0x4b,
    { emmCause: v(1, number) },
    { t3346Value: tlv(0x5f, 1, 1, number), extendedEmmCause: tv1(0xa0) },
  ),
  /** §8.2.33 */
  controlPlaneServiceRequest: layout(
    0x4d,
    { controlPlaneServiceType: half, nasKeySetIdentifier: half },
    {
      esmMessageContainer: tlve(0x78, 0, octets),
      nasMessageContainer: tlv(0x67, 2, 251, octets),
      epsBearerContextStatus: tlv(0x57, 2, 2, octets),
      deviceProperties: tv1(0xd0),
    },
  ),
  /** §8.2.24 */
  serviceReject: layout(
    0x4e,
    { emmCause: v(1, number) },
    { t3442Value: tv(0x5b, 1, number), t3346Value: tlv(0x5f, 1, 1, number) },
  ),
  /** §8.2.34 */
  serviceAccept: layout(0x4f, {}, { epsBearerContextStatus: tlv(0x57, 2, 2, octets) }),
  /** §8.2.16 */
  gutiReallocationCommand: layout(0x50, { guti: lv(11, 11, guti) }, { taiList: tlv(0x54, 6, 96, taiList) }),
  /** §8.2.17 */
  gutiReallocationComplete: layout(0x51, {}),
  /** §8.2.7 */
  authenticationRequest: layout(0x52, {
    nasKeySetIdentifier: half,
    rand: v(16, octets),
    autn: lv(16, 16, octets),
  }),
  /** §8.2.8 */
  authenticationResponse: layout(0x53, { res: lv(4, 16, octets) }),
  /** §8.2.6 */
  authenticationReject: layout(0x54, {}),
  /** §8.2.18 */
  identityRequest: layout(0x55, { identityType: half }),
  /** §8.2.19 */
  identityResponse: layout(0x56, { mobileIdentity: lv(3, 9, mobileIdentity) }),
  /** §8.2.5; the parameter is AUTS, with cause #21 */
  authenticationFailure: layout(
    0x5c,
    { emmCause: v(1, number) },
    { authenticationFailureParameter: tlv(0x30, 14, 14, octets) },
  ),
  /** §8.2.20 */
  securityModeCommand: layout(
    0x5d,
    {
      selectedNasSecurityAlgorithms: v(1, nasAlgorithms),
      nasKeySetIdentifier: half,
      replayedUeSecurityCapabilities: lv(2, 5, securityCapability),
    },
    {
      imeisvRequest: tv1(0xc0),
      replayedNonceUe: tv(0x55, 4, octets),
      nonceMme: tv(0x56, 4, octets),
      hashMme: tlv(0x4f, 8, 8, octets),
      replayedUeAdditionalSecurityCapability: tlv(0x6f, 4, 4, octets),
    },
  ),
  /** §8.2.21 */
  securityModeComplete: layout(
    0x5e,
    {},
    { imeisv: tlv(0x23, 9, 9, mobileIdentity), replayedNasMessageContainer: tlve(0x79, 0, octets) },
  ),
  /** §8.2.22 */
  securityModeReject: layout(0x5f, { emmCause: v(1, number) }),
  /** §8.2.14 */
  emmStatus: layout(0x60, { emmCause: v(1, number) }),
  /** §8.2.13; names are coded as TS 24.008 §10.5.3.5a */
  emmInformation: layout(
    0x61,
    {},
    {
      fullNetworkName: tlv(0x43, 1, 255, octets),
      shortNetworkName: tlv(0x45, 1, 255, octets),
      localTimeZone: tv(0x46, 1, number),
      universalTimeAndLocalTimeZone: tv(0x47, 7, octets),
      networkDaylightSavingTime: tlv(0x49, 1, 1, number),
    },
  ),
  /** §8.2.12; the container is a CP message of TS 24.011 */
  downlinkNasTransport: layout(0x62, { nasMessageContainer: lv(2, 251, octets) }),
  /** §8.2.30 */
  uplinkNasTransport: layout(0x63, { nasMessageContainer: lv(2, 251, octets) }),
} as const;

/** Messages of EPS session management. */
const ESM = {
  /** §8.3.6 */
  activateDefaultEpsBearerContextRequest: layout(
    0xc1,
    {
      epsQos: lv(1, 13, octets),
      accessPointName: lv(1, 100, accessPointName),
      pdnAddress: lv(5, 13, pdnAddress),
    },
    {
      transactionIdentifier: tlv(0x5d, 1, 2, octets),
      negotiatedQos: tlv(0x30, 12, 20, octets),
      negotiatedLlcSapi: tv(0x32, 1, number),
      radioPriority: tv1(0x80),
      packetFlowIdentifier: tlv(0x34, 1, 1, number),
      apnAmbr: tlv(0x5e, 2, 6, octets),
      esmCause: tv(0x58, 1, number),
      protocolConfigurationOptions: tlv(0x27, 1, 251, octets),
      connectivityType: tv1(0xb0),
      headerCompressionConfiguration: tlv(0x66, 3, 255, octets),
      controlPlaneOnlyIndication: tv1(0x90),
      extendedProtocolConfigurationOptions: tlve(0x7b, 1, octets),
      servingPlmnRateControl: tlv(0x6e, 2, 2, octets),
    },
  ),
  /** §8.3.4 */
  activateDefaultEpsBearerContextAccept: layout(
    0xc2,
    {},
    {
      protocolConfigurationOptions: tlv(0x27, 1, 251, octets),
      extendedProtocolConfigurationOptions: tlve(0x7b, 1, octets),
    },
  ),
  /** §8.3.5 */
  activateDefaultEpsBearerContextReject: layout(
    0xc3,
    { esmCause: v(1, number) },
    { protocolConfigurationOptions: tlv(0x27, 1, 251, octets) },
  ),
  /** §8.3.12 */
  deactivateEpsBearerContextRequest: layout(
    0xcd,
    { esmCause: v(1, number) },
    { protocolConfigurationOptions: tlv(0x27, 1, 251, octets), t3396Value: tlv(0x37, 1, 1, number) },
  ),
  /** §8.3.11 */
  deactivateEpsBearerContextAccept: layout(
    0xce,
    {},
    { protocolConfigurationOptions: tlv(0x27, 1, 251, octets) },
  ),
  /** §8.3.20 */
  pdnConnectivityRequest: layout(
    0xd0,
    { requestType: half, pdnType: half },
    {
      esmInformationTransferFlag: tv1(0xd0),
      accessPointName: tlv(0x28, 1, 100, accessPointName),
      protocolConfigurationOptions: tlv(0x27, 1, 251, octets),
      deviceProperties: tv1(0xc0),
      extendedProtocolConfigurationOptions: tlve(0x7b, 1, octets),
    },
  ),
  /** §8.3.19 */
  pdnConnectivityReject: layout(
    0xd1,
    { esmCause: v(1, number) },
    {
      protocolConfigurationOptions: tlv(0x27, 1, 251, octets),
      backOffTimerValue: tlv(0x37, 1, 1, number),
      reAttemptIndicator: tlv(0x6b, 1, 1, number),
    },
  ),
  /** §8.3.13 */
  esmInformationRequest: layout(0xd9, {}),
  /** §8.3.14 */
  esmInformationResponse: layout(
    0xda,
    {},
    {
      accessPointName: tlv(0x28, 1, 100, accessPointName),
      protocolConfigurationOptions: tlv(0x27, 1, 251, octets),
      extendedProtocolConfigurationOptions: tlve(0x7b, 1, octets),
    },
  ),
  /** §8.3.15 */
  esmStatus: layout(0xe8, { esmCause: v(1, number) }),
  /** §8.3.25 */
  esmDataTransport: layout(
    0xeb,
    { userDataContainer: lve(0, octets) },
    { releaseAssistanceIndication: tv1(0xf0) },
  ),
  /** §8.3.12A: what an attach without PDN connectivity carries instead of a request */
  esmDummyMessage: layout(0xdc, {}),
} as const;

type Emm = typeof EMM;
type Esm = typeof ESM;

/** A message of mobility management, told by `type`. */
export type EmmMessage = { [K in keyof Emm]: { type: K } & Body<Emm[K]> }[keyof Emm];
/** A message of session management; `ebi` EPS bearer identity 0–15, `pti` procedure transaction identity. */
export type EsmMessage = {
  [K in keyof Esm]: { type: K; ebi: number; pti: number } & Body<Esm[K]>;
}[keyof Esm];
/** A plain NAS message. */
export type NasMessage = EmmMessage | EsmMessage;
/** The message of one type. */
export type NasMessageOf<K extends NasMessage['type']> = Extract<NasMessage, { type: K }>;

function byCode<K extends string>(table: Record<K, Layout>): Map<number, K> {
  return new Map(Object.entries<Layout>(table).map(([type, { code }]) => [code, type as K]));
}
const emmTypes = byCode(EMM);
emmTypes.delete(EMM.detachRequest.code);
const esmTypes = byCode(ESM);

/** Whether a message is of session management. */
export const isEsm = (message: NasMessage): message is EsmMessage => Object.hasOwn(ESM, message.type);

/**
 * A plain message: security header type 0 (EMM), or as it stands in a container (ESM).
 * @throws FieldError naming the field
 */
export function encodeNas(message: NasMessage): Uint8Array {
  const out = new Writer(64);
  if (isEsm(message)) {
    if (message.ebi < 0 || message.ebi > 15) throw new FieldError('ebi', String(message.ebi), '0 to 15');
    if (message.pti < 0 || message.pti > 255) throw new FieldError('pti', String(message.pti), '0 to 255');
    const table: Layout = ESM[message.type];
    out
      .u8((message.ebi << 4) | PROTOCOL.esm)
      .u8(message.pti)
      .u8(table.code);
    encodeBody(out, table, message);
  } else {
    const table: Layout | undefined = Object.hasOwn(EMM, message.type) ? EMM[message.type] : undefined;
    if (table === undefined) throw new FieldError('type', JSON.stringify(message.type), 'a NAS message');
    out.u8(PROTOCOL.emm).u8(table.code);
    encodeBody(out, table, message);
  }
  return out.done();
}

/**
 * A plain message of EMM or ESM. Canonical is what encodeNas writes: optional elements in the order of the
 * specification, none unknown or repeated, spare bits 0.
 * @param direction who sent it: a DETACH REQUEST looks different from either side
 * @throws DecodeError naming the field; also for a protected message: see unprotect
 */
export function decodeNas(bytes: Uint8Array, direction: Direction): NasMessage {
  const reader = new Reader(bytes);
  const first = reader.u8('protocol discriminator');
  if ((first & 15) === PROTOCOL.esm) {
    const pti = reader.u8('procedure transaction identity');
    const code = reader.u8('message type');
    const type = esmTypes.get(code);
    if (type === undefined) throw new DecodeError('message type', `0x${code.toString(16)}`, 'an ESM message');
    const message = { type, ebi: first >> 4, pti };
    decodeBody(reader, ESM[type], message);
    return message as EsmMessage;
  }
  if (first !== PROTOCOL.emm) {
    throw new DecodeError('protocol discriminator', `0x${first.toString(16)}`, 'plain EMM (07) or ESM (x2)');
  }
  const code = reader.u8('message type');
  const type =
    code === EMM.detachRequest.code
      ? direction === 'uplink'
        ? 'detachRequest'
        : 'networkDetachRequest'
      : emmTypes.get(code);
  if (type === undefined) throw new DecodeError('message type', `0x${code.toString(16)}`, 'an EMM message');
  const message = { type };
  decodeBody(reader, EMM[type], message);
  return message as EmmMessage;
}
