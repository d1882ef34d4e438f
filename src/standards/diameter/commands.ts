/** The commands: which AVPs each carries (RFC 6733 §5; TS 29.272 §7.2; TS 29.338 §5.3.2, §6.3.2; TS 29.128 §6.3). */
import {
  VENDOR_3GPP,
  decodeMembers,
  encodeMembers,
  fixed,
  many,
  one,
  optional,
  type Members,
  type Values,
} from './avp.ts';
import * as avp from './dictionary.ts';
import { AvpError, type Message } from './message.ts';

/** Application identifiers; 0 is the base protocol, 0xffffffff relay. */
export const APPLICATION = {
  base: 0,
  cx: 16777216,
  s6a: 16777251,
  s6c: 16777312,
  sgd: 16777313,
  t6a: 16777346,
  relay: 0xffffffff,
} as const;

export interface Command<Q extends Members, A extends Members> {
  /** as tshark and IANA name it */
  readonly name: string;
  readonly code: number;
  readonly application: number;
  readonly proxiable: boolean;
  readonly request: Q;
  readonly answer: A;
}

export type RequestValues<C> = C extends Command<infer Q, Members> ? Values<Q> : never;
export type AnswerValues<C> = C extends Command<Members, infer A> ? Values<A> : never;

/** Every answer has these; an answer with the E bit has nothing else for certain. */
const resultMembers = {
  resultCode: optional(avp.resultCode),
  experimentalResult: optional(avp.experimentalResult),
  originHost: one(avp.originHost),
  originRealm: one(avp.originRealm),
  errorMessage: optional(avp.errorMessage),
  errorReportingHost: optional(avp.errorReportingHost),
  failedAvps: many(avp.failedAvp),
} satisfies Members;
const errorMembers = { sessionId: optional(avp.sessionId), ...resultMembers };

const commands: Command<Members, Members>[] = [];

/** Every command, in the order of their definition. */
export const allCommands = (): readonly Command<Members, Members>[] => commands;

function define<Q extends Members, A extends Members>(command: Command<Q, A>): Command<Q, A> {
  commands.push(command);
  return command;
}

/** A command of one of 3GPP's applications: stateless sessions, routed by realm. */
export function tgpp<Q extends Members, A extends Members>(
  name: string,
  code: number,
  application: number,
  request: Q,
  answer: A,
) {
  const session = {
    vendorSpecificApplicationId: fixed(avp.vendorSpecificApplicationId, {
      vendorId: VENDOR_3GPP,
      authApplicationId: application,
    }),
    // NO_STATE_MAINTAINED
    authSessionState: fixed(avp.authSessionState, 1),
  };
  return define({
    name,
    code,
    application,
    proxiable: true,
    request: {
      sessionId: one(avp.sessionId),
      ...session,
      originHost: one(avp.originHost),
      originRealm: one(avp.originRealm),
      destinationHost: optional(avp.destinationHost),
      destinationRealm: one(avp.destinationRealm),
      ...request,
      routeRecords: many(avp.routeRecord),
    },
    answer: {
      sessionId: optional(avp.sessionId),
      ...session,
      ...resultMembers,
      ...answer,
    },
  });
}

const capabilities = {
  originHost: one(avp.originHost),
  originRealm: one(avp.originRealm),
  hostIpAddresses: many(avp.hostIpAddress),
  vendorId: one(avp.vendorId),
  productName: one(avp.productName),
  originStateId: optional(avp.originStateId),
  supportedVendorIds: many(avp.supportedVendorId),
  authApplicationIds: many(avp.authApplicationId),
  inbandSecurityIds: many(avp.inbandSecurityId),
  acctApplicationIds: many(avp.acctApplicationId),
  vendorSpecificApplicationIds: many(avp.vendorSpecificApplicationId),
  firmwareRevision: optional(avp.firmwareRevision),
} satisfies Members;

/** CER, CEA */
export const capabilitiesExchange = define({
  name: 'Capabilities-Exchange',
  code: 257,
  application: APPLICATION.base,
  proxiable: false,
  request: capabilities,
  answer: {
    resultCode: one(avp.resultCode),
    ...capabilities,
    // An answer that refuses may leave out what it does not offer.
    vendorId: optional(avp.vendorId),
    productName: optional(avp.productName),
    errorMessage: optional(avp.errorMessage),
    failedAvps: many(avp.failedAvp),
  },
});

/** DWR, DWA */
export const deviceWatchdog = define({
  name: 'Device-Watchdog',
  code: 280,
  application: APPLICATION.base,
  proxiable: false,
  request: {
    originHost: one(avp.originHost),
    originRealm: one(avp.originRealm),
    originStateId: optional(avp.originStateId),
  },
  answer: {
    ...resultMembers,
    originStateId: optional(avp.originStateId),
  },
});

/** DPR, DPA */
export const disconnectPeer = define({
  name: 'Disconnect-Peer',
  code: 282,
  application: APPLICATION.base,
  proxiable: false,
  request: {
    originHost: one(avp.originHost),
    originRealm: one(avp.originRealm),
    disconnectCause: one(avp.disconnectCause),
  },
  answer: resultMembers,
});

/** Disconnect-Cause (RFC 6733 §5.4.3). */
export const DISCONNECT_CAUSE = { rebooting: 0, busy: 1, doNotWantToTalkToYou: 2 } as const;

/** AIR, AIA */
export const authenticationInformation = tgpp(
  '3GPP-Authentication-Information',
  318,
  APPLICATION.s6a,
  {
    userName: one(avp.userName),
    supportedFeatures: many(avp.supportedFeatures),
    requestedEutranAuthenticationInfo: optional(avp.requestedEutranAuthenticationInfo),
    visitedPlmnId: one(avp.visitedPlmnId),
  },
  {
    errorDiagnostic: optional(avp.errorDiagnostic),
    supportedFeatures: many(avp.supportedFeatures),
    authenticationInfo: optional(avp.authenticationInfo),
  },
);

/** ULR, ULA */
export const updateLocation = tgpp(
  '3GPP-Update-Location',
  316,
  APPLICATION.s6a,
  {
    userName: one(avp.userName),
    supportedFeatures: many(avp.supportedFeatures),
    terminalInformation: optional(avp.terminalInformation),
    ratType: one(avp.ratType),
    ulrFlags: one(avp.ulrFlags),
    visitedPlmnId: one(avp.visitedPlmnId),
    mmeNumberForMtSms: optional(avp.mmeNumberForMtSms),
    smsRegisterRequest: optional(avp.smsRegisterRequest),
  },
  {
    errorDiagnostic: optional(avp.errorDiagnostic),
    supportedFeatures: many(avp.supportedFeatures),
    ulaFlags: optional(avp.ulaFlags),
    subscriptionData: optional(avp.subscriptionData),
  },
);

/** CLR, CLA */
export const cancelLocation = tgpp(
  '3GPP-Cancel-Location',
  317,
  APPLICATION.s6a,
  {
    userName: one(avp.userName),
    supportedFeatures: many(avp.supportedFeatures),
    cancellationType: one(avp.cancellationType),
    clrFlags: optional(avp.clrFlags),
  },
  { supportedFeatures: many(avp.supportedFeatures) },
);

/** PUR, PUA */
export const purgeUe = tgpp(
  '3GPP-Purge-UE',
  321,
  APPLICATION.s6a,
  {
    userName: one(avp.userName),
    purFlags: optional(avp.purFlags),
    supportedFeatures: many(avp.supportedFeatures),
  },
  { supportedFeatures: many(avp.supportedFeatures), puaFlags: optional(avp.puaFlags) },
);

/** NOR, NOA */
export const notify = tgpp(
  '3GPP-Notify',
  323,
  APPLICATION.s6a,
  {
    userName: one(avp.userName),
    supportedFeatures: many(avp.supportedFeatures),
    terminalInformation: optional(avp.terminalInformation),
    alertReason: optional(avp.alertReason),
    norFlags: optional(avp.norFlags),
    maximumUeAvailabilityTime: optional(avp.maximumUeAvailabilityTime),
  },
  { supportedFeatures: many(avp.supportedFeatures) },
);

/** IDR, IDA */
export const insertSubscriberData = tgpp(
  '3GPP-Insert-Subscriber-Data',
  319,
  APPLICATION.s6a,
  {
    userName: one(avp.userName),
    supportedFeatures: many(avp.supportedFeatures),
    subscriptionData: one(avp.subscriptionData),
    idrFlags: optional(avp.idrFlags),
  },
  { supportedFeatures: many(avp.supportedFeatures), idaFlags: optional(avp.idaFlags) },
);

/** DSR, DSA */
export const deleteSubscriberData = tgpp(
  '3GPP-Delete-Subscriber-Data',
  320,
  APPLICATION.s6a,
  {
    userName: one(avp.userName),
    supportedFeatures: many(avp.supportedFeatures),
    dsrFlags: one(avp.dsrFlags),
    contextIdentifiers: many(avp.contextIdentifier),
  },
  { supportedFeatures: many(avp.supportedFeatures), dsaFlags: optional(avp.dsaFlags) },
);

/** RSR, RSA */
export const reset = tgpp(
  '3GPP-Reset',
  322,
  APPLICATION.s6a,
  { supportedFeatures: many(avp.supportedFeatures), userIds: many(avp.userId) },
  { supportedFeatures: many(avp.supportedFeatures) },
);

/** SRR, SRA */
export const sendRoutingInfoForSm = tgpp(
  'Send-Routing-Info-for-SM',
  8388647,
  APPLICATION.s6c,
  {
    msisdn: optional(avp.msisdn),
    userName: optional(avp.userName),
    smsmiCorrelationId: optional(avp.smsmiCorrelationId),
    supportedFeatures: many(avp.supportedFeatures),
    scAddress: optional(avp.scAddress),
    smRpMti: optional(avp.smRpMti),
    smRpSmea: optional(avp.smRpSmea),
    srrFlags: optional(avp.srrFlags),
    smDeliveryNotIntended: optional(avp.smDeliveryNotIntended),
  },
  {
    userName: optional(avp.userName),
    supportedFeatures: many(avp.supportedFeatures),
    servingNode: optional(avp.servingNode),
    userIdentifier: optional(avp.userIdentifier),
    mwdStatus: optional(avp.mwdStatus),
    mmeAbsentUserDiagnosticSm: optional(avp.mmeAbsentUserDiagnosticSm),
  },
);

/** RDR, RDA */
export const reportSmDeliveryStatus = tgpp(
  'Report-SM-Delivery-Status',
  8388649,
  APPLICATION.s6c,
  {
    supportedFeatures: many(avp.supportedFeatures),
    userIdentifier: one(avp.userIdentifier),
    smsmiCorrelationId: optional(avp.smsmiCorrelationId),
    scAddress: one(avp.scAddress),
    smDeliveryOutcome: one(avp.smDeliveryOutcome),
    rdrFlags: optional(avp.rdrFlags),
  },
  { supportedFeatures: many(avp.supportedFeatures), userIdentifier: optional(avp.userIdentifier) },
);

/** ALR, ALA */
export const alertServiceCentre = tgpp(
  'Alert-Service-Centre',
  8388648,
  APPLICATION.s6c,
  {
    scAddress: one(avp.scAddress),
    userIdentifier: one(avp.userIdentifier),
    smsmiCorrelationId: optional(avp.smsmiCorrelationId),
    maximumUeAvailabilityTime: optional(avp.maximumUeAvailabilityTime),
    smsGmscAlertEvent: optional(avp.smsGmscAlertEvent),
    servingNode: optional(avp.servingNode),
    supportedFeatures: many(avp.supportedFeatures),
  },
  { supportedFeatures: many(avp.supportedFeatures) },
);

/** OFR, OFA */
export const moForwardShortMessage = tgpp(
  'MO-Forward-Short-Message',
  8388645,
  APPLICATION.sgd,
  {
    scAddress: one(avp.scAddress),
    ofrFlags: optional(avp.ofrFlags),
    supportedFeatures: many(avp.supportedFeatures),
    userIdentifier: one(avp.userIdentifier),
    smRpUi: one(avp.smRpUi),
    smsmiCorrelationId: optional(avp.smsmiCorrelationId),
    smDeliveryOutcome: optional(avp.smDeliveryOutcome),
  },
  {
    supportedFeatures: many(avp.supportedFeatures),
    smDeliveryFailureCause: optional(avp.smDeliveryFailureCause),
    smRpUi: optional(avp.smRpUi),
  },
);

/** TFR, TFA */
export const mtForwardShortMessage = tgpp(
  'MT-Forward-Short-Message',
  8388646,
  APPLICATION.sgd,
  {
    userName: one(avp.userName),
    supportedFeatures: many(avp.supportedFeatures),
    smsmiCorrelationId: optional(avp.smsmiCorrelationId),
    scAddress: one(avp.scAddress),
    smRpUi: one(avp.smRpUi),
    mmeNumberForMtSms: optional(avp.mmeNumberForMtSms),
    sgsnNumber: optional(avp.sgsnNumber),
    tfrFlags: optional(avp.tfrFlags),
    smDeliveryTimer: optional(avp.smDeliveryTimer),
    smDeliveryStartTime: optional(avp.smDeliveryStartTime),
    maximumRetransmissionTime: optional(avp.maximumRetransmissionTime),
    smsGmscAddress: optional(avp.smsGmscAddress),
  },
  {
    supportedFeatures: many(avp.supportedFeatures),
    absentUserDiagnosticSm: optional(avp.absentUserDiagnosticSm),
    smDeliveryFailureCause: optional(avp.smDeliveryFailureCause),
    smRpUi: optional(avp.smRpUi),
    requestedRetransmissionTime: optional(avp.requestedRetransmissionTime),
    userIdentifier: optional(avp.userIdentifier),
  },
);

/** CMR, CMA */
export const connectionManagement = tgpp(
  'Connection-Management',
  8388732,
  APPLICATION.t6a,
  {
    userIdentifier: one(avp.userIdentifier),
    bearerIdentifier: one(avp.bearerIdentifier),
    supportedFeatures: many(avp.supportedFeatures),
    connectionAction: optional(avp.connectionAction),
    serviceSelection: optional(avp.serviceSelection),
    extendedPco: optional(avp.extendedPco),
    ratType: optional(avp.ratType),
    visitedPlmnId: optional(avp.visitedPlmnId),
    cmrFlags: optional(avp.cmrFlags),
  },
  { supportedFeatures: many(avp.supportedFeatures), extendedPco: optional(avp.extendedPco) },
);

/** ODR, ODA */
export const moData = tgpp(
  'MO-Data',
  8388733,
  APPLICATION.t6a,
  {
    userIdentifier: one(avp.userIdentifier),
    bearerIdentifier: one(avp.bearerIdentifier),
    supportedFeatures: many(avp.supportedFeatures),
    nonIpData: optional(avp.nonIpData),
  },
  { supportedFeatures: many(avp.supportedFeatures) },
);

/** TDR, TDA */
export const mtData = tgpp(
  'MT-Data',
  8388734,
  APPLICATION.t6a,
  {
    userIdentifier: one(avp.userIdentifier),
    bearerIdentifier: one(avp.bearerIdentifier),
    supportedFeatures: many(avp.supportedFeatures),
    nonIpData: optional(avp.nonIpData),
    scefWaitTime: optional(avp.scefWaitTime),
    maximumRetransmissionTime: optional(avp.maximumRetransmissionTime),
  },
  {
    supportedFeatures: many(avp.supportedFeatures),
    requestedRetransmissionTime: optional(avp.requestedRetransmissionTime),
  },
);

/** Cancellation-Type (TS 29.272 §7.3.24). */
export const CANCELLATION_TYPE = {
  mmeUpdateProcedure: 0,
  sgsnUpdateProcedure: 1,
  subscriptionWithdrawal: 2,
  updateProcedureIwf: 3,
  initialAttachProcedure: 4,
} as const;

/** ULR-Flags, by bit (TS 29.272 §7.3.7). */
export const ULR_FLAG = {
  singleRegistration: 1 << 0,
  s6a: 1 << 1,
  skipSubscriberData: 1 << 2,
  nodeTypeIndicator: 1 << 4,
  initialAttach: 1 << 5,
  smsOnly: 1 << 7,
} as const;

export const ALERT_REASON = { uePresent: 0, ueMemoryAvailable: 1 } as const;
/** RAT-Type of E-UTRAN and NB-IoT (TS 29.212 §5.3.31). */
export const RAT_TYPE = { eutran: 1004, nbIot: 1005 } as const;
export const PDN_TYPE = { ipv4: 0, ipv6: 1, ipv4v6: 2, ipv4OrIpv6: 3 } as const;
export const CONNECTION_ACTION = { establishment: 0, release: 1, update: 2 } as const;
export const SM_DELIVERY_CAUSE = { memoryCapacityExceeded: 0, absentUser: 1, successfulTransfer: 2 } as const;
export const SM_DELIVERY_FAILURE = {
  memoryCapacityExceeded: 0,
  equipmentProtocolError: 1,
  equipmentNotSmEquipped: 2,
  unknownServiceCentre: 3,
  scCongestion: 4,
  invalidSmeAddress: 5,
  userNotScUser: 6,
} as const;
/** Absent-User-Diagnostic-SM (TS 29.338, values of TS 23.040 §3.3.2). */
export const ABSENT_USER_DIAGNOSTIC = {
  noPagingResponseMme: 14,
  imsiDetached: 1,
  ueDeregistered: 4,
} as const;

/** A request; the node that sends it gives it its identifiers. @throws FieldError naming the AVP */
export function requestOf<Q extends Members, A extends Members>(
  command: Command<Q, A>,
  values: Values<Q>,
): Message {
  return {
    command: command.code,
    application: command.application,
    request: true,
    proxiable: command.proxiable,
    error: false,
    retransmitted: false,
    hopByHop: 0,
    endToEnd: 0,
    avps: encodeMembers(command.request, values),
  };
}

/** The answer to a request; Proxy-Info goes back as it came, and protocol errors (3xxx) set the E bit. */
export function answerOf<Q extends Members, A extends Members>(
  command: Command<Q, A>,
  request: Message,
  values: Values<A>,
): Message {
  const code = (values as { resultCode?: number }).resultCode ?? 0;
  const avps = encodeMembers(command.answer, values);
  for (const one of request.avps) if (one.code === avp.proxyInfo.code && one.vendor === 0) avps.push(one);
  return { ...request, request: false, error: code >= 3000 && code < 4000, retransmitted: false, avps };
}

function expectCommand(command: Command<Members, Members>, message: Message, request: boolean): void {
  if (message.command !== command.code || message.request !== request) {
    throw new AvpError(
      3001,
      'command',
      `${message.command} ${message.request ? 'request' : 'answer'}`,
      `${command.name} ${request ? 'request' : 'answer'}`,
    );
  }
}

/** @throws AvpError with the Result-Code to answer */
export function readRequest<Q extends Members, A extends Members>(
  command: Command<Q, A>,
  message: Message,
): Values<Q> {
  expectCommand(command, message, true);
  return decodeMembers(command.request, message.avps, command.name);
}

/** @throws AvpError. Of an answer with the E bit only the result and its explanation are read. */
export function readAnswer<Q extends Members, A extends Members>(
  command: Command<Q, A>,
  message: Message,
): Values<A> {
  expectCommand(command, message, false);
  if (message.error) return decodeMembers(errorMembers, message.avps, command.name) as Values<A>;
  return decodeMembers(command.answer, message.avps, command.name);
}

/** An answer for what is wrong with a request, of any command, even an unknown one. */
export function errorAnswer(
  request: Message,
  origin: { originHost: string; originRealm: string },
  resultCode: number,
  explanation?: { errorMessage?: string; failed?: Message['avps'][number] },
): Message {
  const session = request.avps.find(({ code, vendor }) => code === avp.sessionId.code && vendor === 0);
  const avps = encodeMembers(errorMembers, {
    ...origin,
    resultCode,
    ...(explanation?.errorMessage ? { errorMessage: explanation.errorMessage } : {}),
    ...(explanation?.failed ? { failedAvps: [[explanation.failed]] } : {}),
  });
  if (session) avps.unshift(session);
  for (const one of request.avps) if (one.code === avp.proxyInfo.code && one.vendor === 0) avps.push(one);
  const error = resultCode >= 3000 && resultCode < 4000;
  return { ...request, request: false, error, retransmitted: false, avps };
}
