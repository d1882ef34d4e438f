/**
 * The HSS as an Osmocom core sees it: GSUP from the same subscribers and the same vectors as S6a. For EPS, which is
 * the current RAT type EUTRAN, vectors have the separation bit; for GERAN and UTRAN they do not.
 */
import type { Edge, Endpoint } from '../../edge/index.ts';
import { kcOf, sresOf } from '../../standards/aka/index.ts';
import {
  CANCEL_TYPE,
  CN_DOMAIN,
  GMM_CAUSE,
  GSUP_RAT,
  MESSAGE_CLASS,
  gsupErrorOf,
  isGsupError,
  type AuthTuple,
  type GsupOf,
  type GsupRequest,
} from '../../standards/gsup/index.ts';
import { serveGsup, type GsupAnswer, type GsupPeer } from '../wire/gsup.ts';
import type { OperatorStore, Subscriber } from './store.ts';
import { MOST_VECTORS, countOf, type Quintet, type VectorSource } from './vectors.ts';

export interface GsupFaceOptions {
  edge: Edge;
  store: OperatorStore;
  vectors: VectorSource;
  listen: Endpoint;
  /** access point name of every subscription */
  apn: string;
  /** a subscription may be refused (IMEI-IMSI binding: GSUP tells no IMEI when a location is updated) */
  accepts(subscriber: Subscriber, imei: string | undefined): boolean;
  /** vectors left, for whom asked (the name of a GSUP peer) */
  authenticated(subscriber: Subscriber, asker: string): void;
  registered(subscriber: Subscriber, asker: string): void;
}

export interface GsupFace {
  readonly endpoint: Endpoint;
  /** Tells the serving peers that the subscription is gone. */
  withdraw(imsi: string): Promise<void>;
  close(): Promise<void>;
}

type Domain = 'cs' | 'ps';

const tupleOf = ({ rand, autn, xres, ck, ik }: Quintet): AuthTuple => ({
  rand,
  // The reference takes RAND of a triplet alone, so that one always goes with it.
  gsm: { sres: sresOf(xres), kc: kcOf(ck, ik) },
  umts: { ik, ck, autn, res: xres },
});

export async function createGsupFace(options: GsupFaceOptions): Promise<GsupFace> {
  const { store, vectors } = options;
  store.database.exec(
    `CREATE TABLE IF NOT EXISTS gsup_location (
       imsi TEXT NOT NULL, domain TEXT NOT NULL, peer TEXT NOT NULL, PRIMARY KEY (imsi, domain)
     ) STRICT, WITHOUT ROWID`,
  );
  const put = store.database.prepare(
    'INSERT OR REPLACE INTO gsup_location (imsi, domain, peer) VALUES (?, ?, ?)',
  );
  const get = store.database.prepare('SELECT peer FROM gsup_location WHERE imsi = ? AND domain = ?');
  const all = store.database.prepare('SELECT domain, peer FROM gsup_location WHERE imsi = ?');
  const drop = store.database.prepare('DELETE FROM gsup_location WHERE imsi = ? AND domain = ? AND peer = ?');

  const domainOf = ({ cnDomain }: { cnDomain?: number }): Domain => (cnDomain === CN_DOMAIN.cs ? 'cs' : 'ps');
  const ready = (imsi: string): Subscriber | undefined => {
    const subscriber = store.byImsi(imsi);
    return subscriber?.state === 'ready' ? subscriber : undefined;
  };

  /** One that is suspended is not unknown: its card is not to be taken for invalid. */
  const notServed = (imsi: string): number =>
    store.byImsi(imsi)?.state === 'suspended' ? GMM_CAUSE.roamingNotAllowed : GMM_CAUSE.imsiUnknown;

  const authenticate = async (
    request: GsupOf<'sendAuthInfoRequest'>,
    peer: GsupPeer,
  ): Promise<GsupAnswer> => {
    const { imsi, auts, rand } = request;
    const subscriber = ready(imsi);
    if (!subscriber) return gsupErrorOf(request, notServed(imsi));
    const wanted = request.vectors;
    const taken = await vectors.take({
      imsi,
      // As the reference reads what is out of range.
      count: wanted !== undefined && wanted >= 1 ? countOf(wanted, MOST_VECTORS) : MOST_VECTORS,
      eps: request.currentRat === GSUP_RAT.eutranSgs,
      ...(auts && rand ? { resync: { rand, auts } } : {}),
    });
    if ('refused' in taken) {
      const { imsiUnknown, networkFailure } = GMM_CAUSE;
      return gsupErrorOf(request, taken.refused === 'unknown' ? imsiUnknown : networkFailure);
    }
    options.authenticated(subscriber, peer.name);
    return { type: 'sendAuthInfoResult', imsi, tuples: taken.vectors.map(tupleOf) };
  };

  const cancelAt = async (imsi: string, domain: Domain, name: string, cancelType: number): Promise<void> => {
    // Who is not connected keeps nothing that it could serve with.
    await server.peer(name)?.request({
      type: 'locationCancelRequest',
      imsi,
      cancelType,
      cnDomain: CN_DOMAIN[domain],
      messageClass: MESSAGE_CLASS.subscriberManagement,
    });
  };

  const updateLocation = async (
    request: GsupOf<'updateLocationRequest'>,
    peer: GsupPeer,
  ): Promise<GsupAnswer> => {
    const { imsi } = request;
    const subscriber = ready(imsi);
    if (!subscriber) return gsupErrorOf(request, notServed(imsi));
    if (!options.accepts(subscriber, undefined)) return gsupErrorOf(request, GMM_CAUSE.roamingNotAllowed);
    const domain = domainOf(request);
    const inserted = await peer.request({
      type: 'insertDataRequest',
      imsi,
      msisdn: subscriber.msisdn,
      cnDomain: CN_DOMAIN[domain],
      ...(domain === 'ps' ? { pdpInfos: [{ contextId: 1, apn: options.apn }] } : {}),
      ...(request.messageClass === undefined ? {} : { messageClass: request.messageClass }),
      ...(request.sourceName ? { destinationName: request.sourceName } : {}),
    });
    if (isGsupError(inserted)) return gsupErrorOf(request, GMM_CAUSE.networkFailure);
    const before = get.get(imsi, domain)?.peer;
    put.run(imsi, domain, peer.name);
    if (typeof before === 'string' && before !== peer.name) {
      void cancelAt(imsi, domain, before, CANCEL_TYPE.update).catch(() => undefined);
    }
    options.registered(subscriber, peer.name);
    return { type: 'updateLocationResult', imsi };
  };

  const purge = (request: GsupOf<'purgeMsRequest'>, peer: GsupPeer): GsupAnswer => {
    const { imsi } = request;
    if (!store.byImsi(imsi)) return gsupErrorOf(request, GMM_CAUSE.imsiUnknown);
    drop.run(imsi, domainOf(request), peer.name);
    return { type: 'purgeMsResult', imsi };
  };

  const answer = (request: GsupRequest, peer: GsupPeer): GsupAnswer | Promise<GsupAnswer> => {
    switch (request.type) {
      case 'sendAuthInfoRequest':
        return authenticate(request, peer);
      case 'updateLocationRequest':
        return updateLocation(request, peer);
      case 'purgeMsRequest':
        return purge(request, peer);
      default:
        // What an HLR asks, not what it is asked.
        return gsupErrorOf(request, GMM_CAUSE.messageTypeNonExistent);
    }
  };

  const server = await serveGsup({ edge: options.edge, at: options.listen, answer });
  return {
    endpoint: server.endpoint,
    async withdraw(imsi) {
      const at = all.all(imsi);
      await Promise.all(
        at.map(async ({ domain, peer }) => {
          drop.run(imsi, domain!, peer!);
          await cancelAt(imsi, domain as Domain, String(peer), CANCEL_TYPE.withdraw);
        }),
      );
    },
    close: () => server.close(),
  };
}
