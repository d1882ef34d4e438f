/**
 * The home subscriber server with its authentication centre: S6a towards visited networks (TS 29.272), S6c
 * towards the service centre (TS 29.338), Cx towards serving CSCFs of its own (cx.ts). Ki stays in the vault; a sequence number is on disk before its
 * vector leaves.
 */
import type { Edge, Endpoint } from '../../edge/index.ts';
import { deriveKasme } from '../../standards/aka/index.ts';
import {
  ALERT_REASON,
  APPLICATION,
  CANCELLATION_TYPE,
  EXPERIMENTAL_RESULT,
  RESULT,
  SM_DELIVERY_CAUSE,
  alertServiceCentre,
  answerOf,
  authenticationInformation,
  cancelLocation,
  errorAnswer,
  experimental,
  multimediaAuth,
  notify,
  purgeUe,
  readRequest,
  reportSmDeliveryStatus,
  requestOf,
  sendRoutingInfoForSm,
  updateLocation,
  type Message,
  type RequestValues,
} from '../../standards/diameter/index.ts';
import { encodePlmn } from '../../standards/bytes/index.ts';
import { createDiameterNode, type DiameterNode } from '../wire/diameter.ts';
import { createCx } from './cx.ts';
import type { OperatorStore, Subscriber } from './store.ts';
import { countOf, type VectorSource } from './vectors.ts';

/** MWD-Status: the service centre is on the list; the UE was not reachable through the MME (TS 29.338 §5.3.3.8). */
const MWD_SC_INCLUDED = 0x1;
const MWD_MNRF = 0x2;

export interface HssOptions {
  edge: Edge;
  store: OperatorStore;
  /** who computes the vectors */
  vectors: VectorSource;
  host: string;
  realm: string;
  listen: Endpoint;
  /** E.164 number of the service centre, for alerts */
  serviceCentre: string;
  /** Diameter identity of the service centre */
  serviceCentreHost: string;
  /** access point name of every subscription, and who takes its data (T6a) */
  apn: string;
  scefHost: string;
  /** Diameter identities of the operator's serving CSCFs */
  cscfs: readonly string[];
  /** milliseconds of the Diameter watchdog */
  watchdogMs?: number;
  /** an IMEI may be refused for this subscription (IMEI-IMSI binding); true lets it in */
  accepts?: (subscriber: Subscriber, imei: string | undefined) => boolean;
  /** a vector left, for whom asked (a Diameter identity) */
  authenticated(subscriber: Subscriber, visitedPlmn: string, asker: string): void;
  registered(subscriber: Subscriber, imei: string | undefined, visitedPlmn: string): void;
}

export interface Hss {
  readonly node: DiameterNode;
  /** Tells the serving network that the subscription is gone (CLR, subscription withdrawal). */
  withdraw(subscriber: Subscriber): Promise<void>;
  close(): Promise<void>;
}

/**
 * Why no vector and no location is given: nobody, or one without service for now. The latter is not unknown, which
 * would make a device take its card for invalid (TS 29.272 §7.4.3.2, and annex A: EMM cause #15, not #8).
 */
const notServed = (subscriber: Subscriber | undefined): number =>
  subscriber?.state === 'suspended'
    ? EXPERIMENTAL_RESULT.unknownEpsSubscription
    : EXPERIMENTAL_RESULT.userUnknown;

export async function createHss(options: HssOptions): Promise<Hss> {
  const { edge, store } = options;
  const origin = { originHost: options.host, originRealm: options.realm };
  const success = { ...origin, resultCode: RESULT.success };
  const refuse = (code: number) => ({ ...origin, ...experimental(code) });

  const vectorsFor = async (request: Message): Promise<Message> => {
    const values = readRequest(authenticationInformation, request);
    const session = { sessionId: values.sessionId };
    const answer = (rest: object): Message =>
      answerOf(authenticationInformation, request, { ...session, ...origin, ...rest });
    const wanted = values.requestedEutranAuthenticationInfo;
    const known = store.byImsi(values.userName);
    if (known?.state !== 'ready') return answer(experimental(notServed(known)));
    const resync = wanted?.reSynchronizationInfo;
    const taken = await options.vectors.take({
      imsi: known.imsi,
      count: countOf(wanted?.numberOfRequestedVectors, 1),
      eps: true,
      ...(resync ? { resync: { rand: resync.subarray(0, 16), auts: resync.subarray(16) } } : {}),
    });
    if ('refused' in taken) {
      const { userUnknown, authenticationDataUnavailable } = EXPERIMENTAL_RESULT;
      return answer(experimental(taken.refused === 'unknown' ? userUnknown : authenticationDataUnavailable));
    }
    const plmn = encodePlmn(values.visitedPlmnId);
    const vectors = taken.vectors.map(({ rand, xres, autn, ck, ik }, i) => ({
      itemNumber: i + 1,
      rand,
      xres,
      autn,
      kasme: deriveKasme(ck, ik, plmn, autn.subarray(0, 6)),
    }));
    options.authenticated(known, values.visitedPlmnId, values.originHost);
    return answer({ resultCode: RESULT.success, authenticationInfo: { eutranVectors: vectors } });
  };

  const subscriptionData = (subscriber: Subscriber) => ({
    // SERVICE_GRANTED, ONLY_PACKET: TS 29.272 §7.3.29, §7.3.21
    subscriberStatus: 0,
    networkAccessMode: 2,
    msisdn: subscriber.msisdn,
    ambr: { maxRequestedBandwidthUl: 1_000_000, maxRequestedBandwidthDl: 1_000_000 },
    apnConfigurationProfile: {
      contextIdentifier: 1,
      allApnConfigurationsIncludedIndicator: 0,
      apnConfigurations: [
        {
          contextIdentifier: 1,
          pdnType: 0,
          serviceSelection: options.apn,
          // Non-IP, delivered by the SCEF: TS 29.272 §7.3.204, §7.3.205
          nonIpPdnTypeIndicator: 1,
          nonIpDataDeliveryMechanism: 1,
          scefId: options.scefHost,
          scefRealm: options.realm,
        },
      ],
    },
  });

  const alert = async (subscriber: Subscriber): Promise<void> => {
    store.update(subscriber.imsi, { waiting: false });
    const values: RequestValues<typeof alertServiceCentre> = {
      sessionId: node.sessionId(),
      ...origin,
      destinationHost: options.serviceCentreHost,
      destinationRealm: options.realm,
      scAddress: options.serviceCentre,
      userIdentifier: { msisdn: subscriber.msisdn },
    };
    await node.request(requestOf(alertServiceCentre, values));
  };

  const cancelAt = async (
    subscriber: Subscriber,
    host: string,
    realm: string,
    cancellationType: number,
  ): Promise<void> => {
    await node.request(
      requestOf(cancelLocation, {
        sessionId: node.sessionId(),
        ...origin,
        destinationHost: host,
        destinationRealm: realm,
        userName: subscriber.imsi,
        cancellationType,
      }),
    );
  };

  const updateAt = (request: Message): Message => {
    const values = readRequest(updateLocation, request);
    const answer = (rest: object): Message =>
      answerOf(updateLocation, request, { sessionId: values.sessionId, ...origin, ...rest });
    const subscriber = store.byImsi(values.userName);
    if (subscriber?.state !== 'ready') return answer(experimental(notServed(subscriber)));
    const imei = values.terminalInformation?.imei;
    if (options.accepts && !options.accepts(subscriber, imei)) {
      return answer(experimental(EXPERIMENTAL_RESULT.roamingNotAllowed));
    }
    const { mmeHost, mmeRealm } = subscriber;
    store.update(subscriber.imsi, { mmeHost: values.originHost, mmeRealm: values.originRealm });
    if (mmeHost && mmeRealm && mmeHost !== values.originHost) {
      void cancelAt(subscriber, mmeHost, mmeRealm, CANCELLATION_TYPE.mmeUpdateProcedure).catch(
        () => undefined,
      );
    }
    options.registered(subscriber, imei, values.visitedPlmnId);
    if (subscriber.waiting) void alert(subscriber).catch(() => undefined);
    return answer({
      resultCode: RESULT.success,
      // Separation indication: TS 29.272 §7.3.8
      ulaFlags: 1,
      subscriptionData: subscriptionData(subscriber),
    });
  };

  const purge = (request: Message): Message => {
    const values = readRequest(purgeUe, request);
    const subscriber = store.byImsi(values.userName);
    const answer = (rest: object): Message =>
      answerOf(purgeUe, request, { sessionId: values.sessionId, ...origin, ...rest });
    if (!subscriber) return answer(experimental(EXPERIMENTAL_RESULT.userUnknown));
    if (subscriber.mmeHost === values.originHost) {
      store.update(subscriber.imsi, { mmeHost: null, mmeRealm: null });
    }
    return answer({ resultCode: RESULT.success, puaFlags: 1 });
  };

  const notified = (request: Message): Message => {
    const values = readRequest(notify, request);
    const subscriber = store.byImsi(values.userName);
    if (!subscriber) {
      return answerOf(notify, request, {
        sessionId: values.sessionId,
        ...refuse(EXPERIMENTAL_RESULT.userUnknown),
      });
    }
    if (
      subscriber.waiting &&
      (values.alertReason === ALERT_REASON.uePresent || values.alertReason === ALERT_REASON.ueMemoryAvailable)
    ) {
      void alert(subscriber).catch(() => undefined);
    }
    return answerOf(notify, request, { sessionId: values.sessionId, ...success });
  };

  const routing = (request: Message): Message => {
    const values = readRequest(sendRoutingInfoForSm, request);
    const answer = (rest: object): Message =>
      answerOf(sendRoutingInfoForSm, request, { sessionId: values.sessionId, ...origin, ...rest });
    const subscriber = values.msisdn
      ? store.byMsisdn(values.msisdn)
      : values.userName
        ? store.byImsi(values.userName)
        : undefined;
    // Of one that is suspended messages wait, as of one who is away.
    if (subscriber?.state !== 'ready' && subscriber?.state !== 'suspended') {
      return answer(experimental(EXPERIMENTAL_RESULT.userUnknown));
    }
    if (!subscriber.mmeHost || !subscriber.mmeRealm) {
      store.update(subscriber.imsi, { waiting: true });
      return answer({
        ...experimental(EXPERIMENTAL_RESULT.absentUser),
        mwdStatus: MWD_SC_INCLUDED | MWD_MNRF,
      });
    }
    return answer({
      resultCode: RESULT.success,
      userName: subscriber.imsi,
      servingNode: {
        mmeName: subscriber.mmeHost,
        mmeRealm: subscriber.mmeRealm,
        mmeNumberForMtSms: options.serviceCentre,
      },
    });
  };

  const delivered = (request: Message): Message => {
    const values = readRequest(reportSmDeliveryStatus, request);
    const answer = (rest: object): Message =>
      answerOf(reportSmDeliveryStatus, request, { sessionId: values.sessionId, ...origin, ...rest });
    const { msisdn, userName } = values.userIdentifier;
    const subscriber = msisdn ? store.byMsisdn(msisdn) : userName ? store.byImsi(userName) : undefined;
    if (!subscriber) return answer(experimental(EXPERIMENTAL_RESULT.userUnknown));
    const cause = values.smDeliveryOutcome.mmeSmDeliveryOutcome?.smDeliveryCause;
    store.update(subscriber.imsi, { waiting: cause !== SM_DELIVERY_CAUSE.successfulTransfer });
    return answer({ resultCode: RESULT.success });
  };

  // TS 23.003 §13.2 and §19.2: they differ in their first label.
  const cx = createCx({
    store,
    vectors: options.vectors,
    cscfs: options.cscfs,
    origin,
    domain: options.realm.replace(/^epc\./, 'ims.'),
  });

  const node = await createDiameterNode({
    edge,
    ...origin,
    applications: [APPLICATION.s6a, APPLICATION.s6c, APPLICATION.cx],
    applicationsFor: (peer) => [
      APPLICATION.s6a,
      APPLICATION.s6c,
      ...(cx.serves(peer) ? [APPLICATION.cx] : []),
    ],
    listen: options.listen,
    ...(options.watchdogMs === undefined ? {} : { watchdogMs: options.watchdogMs }),
    peers: [],
    handle(request, peer) {
      switch (request.command) {
        case authenticationInformation.code:
          return vectorsFor(request);
        case updateLocation.code:
          return updateAt(request);
        case purgeUe.code:
          return purge(request);
        case notify.code:
          return notified(request);
        case sendRoutingInfoForSm.code:
          return routing(request);
        case reportSmDeliveryStatus.code:
          return delivered(request);
        case multimediaAuth.code:
          return cx.answer(request, peer);
        default:
          return errorAnswer(request, origin, RESULT.commandUnsupported);
      }
    },
  });
  return {
    node,
    async withdraw(subscriber) {
      const { mmeHost, mmeRealm } = subscriber;
      if (!mmeHost || !mmeRealm) return;
      await cancelAt(subscriber, mmeHost, mmeRealm, CANCELLATION_TYPE.subscriptionWithdrawal);
    },
    close: () => node.close(),
  };
}
