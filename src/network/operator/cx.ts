/**
 * Cx of the HSS: vectors for IMS AKA (TS 29.228 §6.3, TS 33.203 §6.1), for serving CSCFs that the operator names:
 * a vector here has CK and IK as they are, which no visited network may see (TS 33.401 §6.1.2). A subscriber is in IMS who its IMSI says,
 * and reached by its MSISDN (TS 23.003 §13); there is no registration and no user profile here.
 */
import {
  AvpError,
  EXPERIMENTAL_RESULT,
  RESULT,
  SIP_SCHEME,
  answerOf,
  avp,
  experimental,
  multimediaAuth,
  readRequest,
  type Message,
  type RequestValues,
} from '../../standards/diameter/index.ts';
import { concat } from '../../standards/bytes/index.ts';
import type { OperatorStore, Subscriber } from './store.ts';
import { countOf, type VectorSource } from './vectors.ts';

export interface CxOptions {
  store: OperatorStore;
  vectors: VectorSource;
  /** Diameter identities of the operator's serving CSCFs */
  cscfs: readonly string[];
  origin: { originHost: string; originRealm: string };
  /** home network domain name of IMS */
  domain: string;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS serving_cscf (imsi TEXT PRIMARY KEY, name TEXT NOT NULL) STRICT, WITHOUT ROWID;
`;

/** RAND and AUTS of a resynchronisation (TS 29.228 §6.3.1). */
const RESYNC_LENGTH = 30;

/** What stands for the host in a SIP URI (RFC 3261 §19.1.1), in lower case. */
const hostOf = (uri: string): string | undefined =>
  /^sips?:(?:[^@]*@)?([^:;?@]+)/i.exec(uri)?.[1]?.toLowerCase();

export interface Cx {
  /** whether a peer is a serving CSCF of the operator, by its Diameter identity */
  serves(peer: string): boolean;
  /**
   * A Multimedia-Auth-Request that came from that peer. An AvpError it throws is answered with its Result-Code;
   * whoever is not the CSCF that it says it is gets DIAMETER_AUTHORIZATION_REJECTED (RFC 6733 §7.1.5).
   */
  answer(request: Message, peer: string): Promise<Message>;
}

export function createCx({ store, vectors, cscfs, origin, domain }: CxOptions): Cx {
  const { database } = store;
  database.exec(SCHEMA);
  const serving = database.prepare('SELECT name FROM serving_cscf WHERE imsi = ?');
  const serve = database.prepare('INSERT OR REPLACE INTO serving_cscf (imsi, name) VALUES (?, ?)');

  const ready = (subscriber: Subscriber | undefined): Subscriber | undefined =>
    subscriber?.state === 'ready' ? subscriber : undefined;
  /** What stands before the home domain; host names know no case (RFC 3986 §3.2.2). */
  const userAt = (address: string): string | undefined => {
    const at = address.lastIndexOf('@');
    return address.slice(at + 1).toLowerCase() === domain ? address.slice(0, at) : undefined;
  };
  const byPrivate = (impi: string): Subscriber | undefined => ready(store.byImsi(userAt(impi) ?? ''));
  const byNumber = (user: string): Subscriber | undefined =>
    user.startsWith('+') ? ready(store.byMsisdn(user.slice(1).replaceAll(/[-.()]/g, ''))) : undefined;
  /** `sip:IMSI@domain`, `sip:+MSISDN@domain`, `tel:+MSISDN`, their parameters left out. */
  const byPublic = (impu: string): Subscriber | undefined => {
    const [, scheme, address = ''] = /^(sips?|tel):([^;?]*)/i.exec(impu) ?? [];
    if (scheme?.toLowerCase() === 'tel') return byNumber(address);
    const user = scheme === undefined ? undefined : userAt(address);
    return user === undefined ? undefined : (byNumber(user) ?? ready(store.byImsi(user)));
  };

  const named = new Set(cscfs.map((host) => host.toLowerCase()));
  const serves = (peer: string): boolean => named.has(peer.toLowerCase());
  /** The peer itself asks, in the operator's own network, for a server that it is. */
  const isOwn = (
    peer: string,
    { originHost, originRealm, serverName }: RequestValues<typeof multimediaAuth>,
  ): boolean => {
    const host = peer.toLowerCase();
    return (
      serves(host) &&
      originHost.toLowerCase() === host &&
      [origin.originRealm, domain].includes(originRealm.toLowerCase()) &&
      hostOf(serverName) === host
    );
  };

  const answerTo = async (request: Message, peer: string): Promise<Message> => {
    const values = readRequest(multimediaAuth, request);
    const answer = (rest: object): Message =>
      answerOf(multimediaAuth, request, { sessionId: values.sessionId, ...origin, ...rest });
    const { userName, publicIdentity, serverName, sipAuthDataItem: item } = values;
    if (!isOwn(peer, values)) return answer({ resultCode: RESULT.authorizationRejected });
    const subscriber = byPrivate(userName);
    const owner = byPublic(publicIdentity);
    if (!subscriber || !owner) return answer(experimental(EXPERIMENTAL_RESULT.userUnknown));
    if (owner.imsi !== subscriber.imsi) {
      return answer(experimental(EXPERIMENTAL_RESULT.identitiesDontMatch));
    }
    if (item.scheme !== SIP_SCHEME.aka && item.scheme !== SIP_SCHEME.unknown) {
      return answer(experimental(EXPERIMENTAL_RESULT.authSchemeNotSupported));
    }
    const { authorization } = item;
    if (authorization && authorization.length !== RESYNC_LENGTH) {
      const { name, code, vendor, mandatory } = avp.sipAuthorization;
      const failed = { code, vendor, mandatory, data: authorization };
      throw new AvpError(
        RESULT.invalidAvpValue,
        name,
        `${authorization.length} bytes`,
        'RAND and AUTS, 30',
        failed,
      );
    }
    const { imsi } = subscriber;
    // A resynchronisation is of a challenge that this very CSCF was given.
    if (authorization && serving.get(imsi)?.name !== serverName) {
      return answer({ resultCode: RESULT.unableToComply });
    }
    const taken = await vectors.take({
      imsi,
      count: countOf(values.sipNumberAuthItems, 1),
      eps: false,
      ims: true,
      ...(authorization && {
        resync: { rand: authorization.subarray(0, 16), auts: authorization.subarray(16) },
      }),
    });
    if ('refused' in taken) {
      return answer(
        taken.refused === 'unknown'
          ? experimental(EXPERIMENTAL_RESULT.userUnknown)
          : { resultCode: RESULT.unableToComply },
      );
    }
    serve.run(imsi, serverName);
    return answer({
      resultCode: RESULT.success,
      userName,
      publicIdentity,
      sipNumberAuthItems: taken.vectors.length,
      sipAuthDataItems: taken.vectors.map(({ rand, autn, xres, ck, ik }, i) => ({
        itemNumber: i + 1,
        scheme: SIP_SCHEME.aka,
        authenticate: concat(rand, autn),
        authorization: xres,
        confidentialityKey: ck,
        integrityKey: ik,
      })),
    });
  };
  return { serves, answer: answerTo };
}
