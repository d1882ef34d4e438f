/** The home network as the MME sees it: S6a (TS 29.272), SGd (TS 29.338) and T6a (TS 29.128), by realm. */
import { FieldError, concat } from '../../standards/bytes/index.ts';
import {
  ABSENT_USER_DIAGNOSTIC,
  CANCELLATION_TYPE,
  CONNECTION_ACTION,
  EXPERIMENTAL_RESULT,
  RAT_TYPE,
  RESULT,
  ULR_FLAG,
  answerOf,
  authenticationInformation,
  cancelLocation,
  connectionManagement,
  deleteSubscriberData,
  errorAnswer,
  experimental,
  insertSubscriberData,
  moData,
  moForwardShortMessage,
  mtData,
  mtForwardShortMessage,
  notify,
  purgeUe,
  readAnswer,
  readRequest,
  requestOf,
  reset,
  resultOf,
  succeeded,
  updateLocation,
  type AnswerValues,
  type Message,
  type RequestValues,
} from '../../standards/diameter/index.ts';
import { EMM_CAUSE } from '../../standards/nas/index.ts';
import type { DiameterNode, DiameterPeer } from '../wire/diameter.ts';
import type { Ue } from './ue.ts';

export interface Vector {
  rand: Uint8Array;
  xres: Uint8Array;
  autn: Uint8Array;
  kasme: Uint8Array;
}

/** What a subscription says about its default bearer. */
export interface Subscription {
  msisdn: string | undefined;
  apns: { apn: string; scefHost: string | undefined; scefRealm: string | undefined }[];
}

/** What the home network refuses, or does not answer, as the EMM cause to tell the device. */
export interface Refusal {
  cause: number;
}
export const refused = <T extends object>(outcome: T | Refusal): outcome is Refusal => 'cause' in outcome;

export type DeliverRequest = RequestValues<typeof mtForwardShortMessage>;
/** Of an MT short message: the result, and what the device said. */
export type DeliverAnswer = Pick<
  AnswerValues<typeof mtForwardShortMessage>,
  'resultCode' | 'experimentalResult' | 'smRpUi' | 'smDeliveryFailureCause' | 'absentUserDiagnosticSm'
>;
export type OriginateAnswer = Pick<
  AnswerValues<typeof moForwardShortMessage>,
  'resultCode' | 'experimentalResult' | 'smRpUi' | 'smDeliveryFailureCause'
>;

/** What home networks ask of the MME. */
export interface HomeServices {
  /** the context of an IMSI, registered or not */
  ueOf(imsi: string): Ue | undefined;
  /** the home network took the subscription elsewhere, or withdrew it */
  cancel(ue: Ue, withdrawn: boolean): void;
  deliver(ue: Ue, request: DeliverRequest): Promise<DeliverAnswer>;
  /** @returns whether the device could be sent it */
  pushData(ue: Ue, payload: Uint8Array): boolean;
}

export interface Home {
  serve(services: HomeServices): void;
  handle(request: Message): Promise<Message>;
  /** one vector; after a synchronisation failure with RAND and AUTS */
  vector(imsi: string, resync?: { rand: Uint8Array; auts: Uint8Array }): Promise<Vector | Refusal>;
  updateLocation(ue: Ue): Promise<Subscription | Refusal>;
  purge(imsi: string): Promise<void>;
  /** the device is back, or has memory again */
  notify(imsi: string, alertReason: number): Promise<void>;
  originate(ue: Ue, serviceCentre: string, tpdu: Uint8Array): Promise<OriginateAnswer>;
  connection(ue: Ue, action: number): Promise<void>;
  /** @returns whether the home network took it */
  data(ue: Ue, payload: Uint8Array): Promise<boolean>;
}

const realm = (mcc: string, mnc: string): string =>
  `epc.mnc${mnc.padStart(3, '0')}.mcc${mcc}.3gppnetwork.org`;

/**
 * The realm of an IMSI's home network (TS 23.003 §19.2). An IMSI does not say how long its MNC is: three digits
 * if a peer serves that realm, else two.
 */
export function homeRealm(imsi: string, peers: readonly DiameterPeer[]): string {
  const mcc = imsi.slice(0, 3);
  const long = realm(mcc, imsi.slice(3, 6));
  return peers.some((peer) => peer.realm === long) ? long : realm(mcc, imsi.slice(3, 5));
}

/** Results of AIR and ULR as EMM causes (TS 29.272 annex A); no answer is a network failure. */
function causeOf(answer: { resultCode?: number; errorDiagnostic?: number } | undefined): number {
  const code = (answer && resultOf(answer)) ?? 0;
  const diagnostic = answer?.errorDiagnostic;
  switch (code) {
    case EXPERIMENTAL_RESULT.userUnknown:
      return EMM_CAUSE.epsAndNonEpsServicesNotAllowed;
    case EXPERIMENTAL_RESULT.unknownEpsSubscription:
      // NO_GPRS_DATA_SUBSCRIBED
      return diagnostic === 1 ? EMM_CAUSE.epsServicesNotAllowed : EMM_CAUSE.noSuitableCells;
    case EXPERIMENTAL_RESULT.ratNotAllowed:
      return EMM_CAUSE.noSuitableCells;
    case EXPERIMENTAL_RESULT.roamingNotAllowed:
      // ODB-ALL-APN; ODB-HPLMN-APN and ODB-VPLMN-APN
      if (diagnostic === 2) return EMM_CAUSE.noSuitableCells;
      return diagnostic === 3 || diagnostic === 4
        ? EMM_CAUSE.epsServicesNotAllowedInPlmn
        : EMM_CAUSE.plmnNotAllowed;
    case RESULT.authorizationRejected:
    case RESULT.unableToDeliver:
    case RESULT.realmNotServed:
      return EMM_CAUSE.noSuitableCells;
    default:
      return EMM_CAUSE.networkFailure;
  }
}

export interface HomeOptions {
  node: DiameterNode;
  plmn: string;
  mmeNumber: string | undefined;
  realmOf: (imsi: string) => string;
  /** milliseconds a home network may take */
  answerMs: number;
}

export function createHome({ node, plmn, mmeNumber, realmOf, answerMs }: HomeOptions): Home {
  let services: HomeServices | undefined;
  const origin = { originHost: node.originHost, originRealm: node.originRealm };
  const session = (imsi: string) => ({
    sessionId: node.sessionId(),
    ...origin,
    destinationRealm: realmOf(imsi),
  });
  const identifier = (ue: Ue) => ({
    userIdentifier: { userName: ue.imsi!, ...(ue.msisdn !== undefined ? { msisdn: ue.msisdn } : {}) },
  });
  const toScef = (ue: Ue) => ({
    sessionId: node.sessionId(),
    ...origin,
    ...(ue.bearer?.scefHost !== undefined ? { destinationHost: ue.bearer.scefHost } : {}),
    destinationRealm: ue.bearer?.scefRealm ?? realmOf(ue.imsi!),
    ...identifier(ue),
    bearerIdentifier: Uint8Array.of(ue.bearer?.ebi ?? 0),
  });

  /** The answer, or undefined if there is none that can be read. */
  async function ask<T>(request: Message, read: (answer: Message) => T): Promise<T | undefined> {
    try {
      return read(await node.request(request, { timeoutMs: answerMs }));
    } catch {
      return undefined;
    }
  }

  /** Requests of home networks, by command. */
  const handlers = new Map<number, (request: Message, services: HomeServices) => Message | Promise<Message>>([
    [
      cancelLocation.code,
      (request, { ueOf, cancel }) => {
        const { sessionId, userName, cancellationType } = readRequest(cancelLocation, request);
        const ue = ueOf(userName);
        if (ue) cancel(ue, cancellationType === CANCELLATION_TYPE.subscriptionWithdrawal);
        return answerOf(cancelLocation, request, { sessionId, ...origin, resultCode: RESULT.success });
      },
    ],
    [
      insertSubscriberData.code,
      (request, { ueOf }) => {
        const { sessionId, userName, subscriptionData } = readRequest(insertSubscriberData, request);
        const ue = ueOf(userName);
        if (ue && subscriptionData.msisdn !== undefined) ue.msisdn = subscriptionData.msisdn;
        const result = ue ? { resultCode: RESULT.success } : experimental(EXPERIMENTAL_RESULT.userUnknown);
        return answerOf(insertSubscriberData, request, { sessionId, ...origin, ...result });
      },
    ],
    [
      deleteSubscriberData.code,
      (request, { ueOf }) => {
        const { sessionId, userName } = readRequest(deleteSubscriberData, request);
        const known = ueOf(userName) !== undefined;
        const result = known ? { resultCode: RESULT.success } : experimental(EXPERIMENTAL_RESULT.userUnknown);
        return answerOf(deleteSubscriberData, request, { sessionId, ...origin, ...result });
      },
    ],
    [
      // A restarted HSS: the next contact of each device updates its location anyway.
      reset.code,
      (request) => {
        const { sessionId } = readRequest(reset, request);
        return answerOf(reset, request, { sessionId, ...origin, resultCode: RESULT.success });
      },
    ],
    [
      mtForwardShortMessage.code,
      async (request, { ueOf, deliver }) => {
        const values = readRequest(mtForwardShortMessage, request);
        const ue = ueOf(values.userName);
        const outcome: DeliverAnswer = ue
          ? await deliver(ue, values)
          : {
              ...experimental(EXPERIMENTAL_RESULT.absentUser),
              absentUserDiagnosticSm: ABSENT_USER_DIAGNOSTIC.imsiDetached,
            };
        return answerOf(mtForwardShortMessage, request, {
          sessionId: values.sessionId,
          ...origin,
          ...outcome,
        });
      },
    ],
    [
      mtData.code,
      (request, { ueOf, pushData }) => {
        const { sessionId, userIdentifier, nonIpData } = readRequest(mtData, request);
        const ue = userIdentifier.userName === undefined ? undefined : ueOf(userIdentifier.userName);
        const sent = ue !== undefined && nonIpData !== undefined && pushData(ue, nonIpData);
        // DIAMETER_ERROR_USER_TEMPORARILY_UNREACHABLE (TS 29.128 §6.5)
        const result = sent ? { resultCode: RESULT.success } : experimental(5653);
        return answerOf(mtData, request, { sessionId, ...origin, ...result });
      },
    ],
  ]);

  return {
    serve(given) {
      services = given;
    },
    async handle(request) {
      const handler = handlers.get(request.command);
      if (!handler || !services) return errorAnswer(request, origin, RESULT.commandUnsupported);
      return handler(request, services);
    },
    async vector(imsi, resync) {
      const request = requestOf(authenticationInformation, {
        ...session(imsi),
        userName: imsi,
        visitedPlmnId: plmn,
        requestedEutranAuthenticationInfo: {
          numberOfRequestedVectors: 1,
          immediateResponsePreferred: 1,
          ...(resync ? { reSynchronizationInfo: concat(resync.rand, resync.auts) } : {}),
        },
      });
      const answer = await ask(request, (message) => readAnswer(authenticationInformation, message));
      const vector = answer?.authenticationInfo?.eutranVectors?.[0];
      if (!answer || !succeeded(answer) || !vector) return { cause: causeOf(answer) };
      return vector;
    },
    async updateLocation(ue) {
      const request = requestOf(updateLocation, {
        ...session(ue.imsi!),
        userName: ue.imsi!,
        ratType: RAT_TYPE.eutran,
        ulrFlags: ULR_FLAG.s6a | ULR_FLAG.initialAttach,
        visitedPlmnId: plmn,
        ...(ue.imei !== undefined
          ? {
              terminalInformation: {
                imei: ue.imei,
                ...(ue.softwareVersion !== undefined ? { softwareVersion: ue.softwareVersion } : {}),
              },
            }
          : {}),
        ...(mmeNumber !== undefined ? { mmeNumberForMtSms: mmeNumber } : {}),
      });
      const answer = await ask(request, (message) => readAnswer(updateLocation, message));
      if (!answer || !succeeded(answer)) return { cause: causeOf(answer) };
      const data = answer.subscriptionData;
      const profile = data?.apnConfigurationProfile;
      const apns = [...(profile?.apnConfigurations ?? [])].sort(
        (a, b) =>
          Number(b.contextIdentifier === profile?.contextIdentifier) -
          Number(a.contextIdentifier === profile?.contextIdentifier),
      );
      return {
        msisdn: data?.msisdn,
        apns: apns.map(({ serviceSelection, scefId, scefRealm }) => ({
          apn: serviceSelection,
          scefHost: scefId,
          scefRealm,
        })),
      };
    },
    async purge(imsi) {
      const request = requestOf(purgeUe, { ...session(imsi), userName: imsi });
      await ask(request, (message) => readAnswer(purgeUe, message));
    },
    async notify(imsi, alertReason) {
      const request = requestOf(notify, { ...session(imsi), userName: imsi, alertReason });
      await ask(request, (message) => readAnswer(notify, message));
    },
    async originate(ue, serviceCentre, tpdu) {
      let request: Message;
      try {
        request = requestOf(moForwardShortMessage, {
          ...session(ue.imsi!),
          scAddress: serviceCentre,
          ...identifier(ue),
          smRpUi: tpdu,
        });
      } catch (error) {
        if (!(error instanceof FieldError)) throw error;
        // A service centre number with * or #: nobody's.
        return experimental(EXPERIMENTAL_RESULT.facilityNotSupported);
      }
      const answer = await ask(request, (message) => readAnswer(moForwardShortMessage, message));
      return answer ?? { resultCode: RESULT.unableToDeliver };
    },
    async connection(ue, action) {
      const request = requestOf(connectionManagement, {
        ...toScef(ue),
        connectionAction: action,
        ...(action === CONNECTION_ACTION.establishment
          ? { serviceSelection: ue.bearer?.apn ?? '', ratType: RAT_TYPE.eutran, visitedPlmnId: plmn }
          : {}),
      });
      await ask(request, (message) => readAnswer(connectionManagement, message));
    },
    async data(ue, payload) {
      const request = requestOf(moData, { ...toScef(ue), nonIpData: payload });
      const answer = await ask(request, (message) => readAnswer(moData, message));
      return answer !== undefined && succeeded(answer);
    },
  };
}
