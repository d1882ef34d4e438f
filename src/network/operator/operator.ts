/**
 * A selected home operator: subscribers and their keys, HSS, service centre, OTA gateway, small data, and the
 * interface by which its part of a change is asked for. The same code is A in one change and B in another.
 */
import type { JWK } from 'jose';
import type { Edge, Endpoint } from '../../edge/index.ts';
import { APPLICATION } from '../../standards/diameter/index.ts';
import { toHex } from '../../standards/bytes/index.ts';
import { createDiameterNode } from '../wire/diameter.ts';
import { createFeed } from '../wire/feed.ts';
import { Problem, serveApi } from '../wire/http.ts';
import type { KeyRing, Signer } from '../wire/statements.ts';
import type { EscrowClient } from '../escrow/client.ts';
import type { OwnerClient } from '../owner/client.ts';
import type { KeyVault } from '../vault/vault.ts';
import { importCards, parseCardData, type CardDataImport } from './card-data/index.ts';
import { changeRoutes, createChangeContext } from './changes.ts';
import { createGsupFace } from './gsup.ts';
import { createHss, type Hss } from './hss.ts';
import { createKeyTransferPart } from './key-transfer.ts';
import { createKeyListPart } from './key-list.ts';
import { createOtaGateway, type OtaGateway } from '../ota/gateway.ts';
import type { SmscLimits } from '../wire/pace.ts';
import { epcRealm, type OperatorProfile } from './profile.ts';
import { createScef } from './scef.ts';
import { createSmsc, type EsmeAccount } from './smsc.ts';
import { openOperatorStore, type Subscriber } from './store.ts';
import type { SubscriberKeeper } from './subscribers/keeper.ts';
import { openOutbox } from './subscribers/outbox.ts';
import { createSuspensions } from './suspension.ts';
import { swapRoutes } from './swap.ts';
import { createTakeOver, type TrustedManufacturer } from './take-over.ts';
import { trialRoutes } from './trial.ts';
import { createOwnVectors, type VectorSource } from './vectors.ts';

/** Where another HSS answers serving networks, ours has no vectors. */
const NO_VECTORS: VectorSource = { take: () => Promise.resolve({ refused: 'unavailable' }) };

/** ESME account of the OTA gateway. */
const OTA_SYSTEM_ID = 'ota';

export interface OperatorOptions {
  /** of the HSS, if it runs apart from the others */
  hssEdge?: Edge;
  edge: Edge;
  profile: OperatorProfile;
  /** database file, or `:memory:` */
  database: string;
  vault: KeyVault;
  signer: Signer;
  /** whose statements count */
  ring: KeyRing;
  escrow: { name: string; client: EscrowClient };
  /** vault keys of other operators, to which keys of cards are wrapped */
  vaults: Record<string, JWK>;
  /** of cards whose key agreement keys it would use */
  manufacturers?: readonly TrustedManufacturer[];
  /** to whom data of its devices go */
  owner: OwnerClient;
  /** where to listen: role API, S6a/S6c, SGd, T6a, SMPP */
  api: Endpoint;
  hss: Endpoint;
  smsc: Endpoint;
  scef: Endpoint;
  smpp: Endpoint;
  /** where to serve GSUP, for an Osmocom core; not at all if not given */
  gsup?: Endpoint;
  /** Diameter identities of its serving CSCFs, to whom alone it gives vectors for IMS (Cx); none if not given */
  cscfs?: readonly string[];
  /** who keeps the subscribers and answers for them (docs/hss.md); rehome's own HSS if not given */
  subscribers?: SubscriberKeeper;
  /** what becomes of a subscription bound to a device whose card turns up in another; `refuse` if not given */
  onAlarm?: 'refuse' | 'suspend';
  /** password of the OTA gateway at its SMSC, at most 8 characters */
  otaPassword: string;
  /** what was agreed with that SMSC for the OTA gateway: window and rate */
  otaLimits?: SmscLimits;
  /** milliseconds of silence after which a Diameter watchdog goes out; 30000 if not given */
  watchdogMs?: number;
  /** milliseconds that a reader of what happens here is kept waiting; 600000 if not given */
  longPollMs?: number;
  /** other systems that may bind to the service centre */
  esmes?: readonly EsmeAccount[];
  onError?: (error: unknown) => void;
}

export interface Operator {
  readonly name: string;
  readonly endpoints: {
    api: Endpoint;
    hss: Endpoint;
    smsc: Endpoint;
    scef: Endpoint;
    smpp: Endpoint;
    gsup?: Endpoint;
  };
  /** Takes in a vendor's file (docs/card-data.md). @throws FieldError; nothing is kept then */
  importCardData(text: string, state?: 'ready' | 'stock', how?: CardDataImport): number;
  /**
   * No vectors and no location for this subscription until it is resumed; it outlives the process. Resolves once
   * serving network and HSS were told. @throws Problem if no such subscription is in use here
   */
  suspend(imsi: string, reason?: string): Promise<void>;
  resume(imsi: string, reason?: string): Promise<void>;
  /** Resolves once the HSS that keeps the subscribers has taken all it was told. */
  fed(): Promise<void>;
  /** Whether its vault holds this Ki for the card. For those who judge a run, not for a role. */
  knowsKi(iccid: string, k: Uint8Array): boolean;
  close(): Promise<void>;
}

export async function createOperator(options: OperatorOptions): Promise<Operator> {
  const { edge, profile, vault, ring, signer, escrow } = options;
  const { name, plmn } = profile;
  const realm = epcRealm(plmn);
  const onError = options.onError ?? ((): void => undefined);
  let closed = false;
  const store = openOperatorStore(options.database);
  const feed = createFeed(store.database, edge.clock, options.longPollMs);

  const probeHost = `probe.${realm}`;
  const watchdog = options.watchdogMs === undefined ? {} : { watchdogMs: options.watchdogMs };
  const { clock, random } = options.hssEdge ?? edge;
  const keeper = options.subscribers;
  const vectors = keeper
    ? (keeper.vectors ?? NO_VECTORS)
    : createOwnVectors({
        clock,
        random,
        store,
        vault,
        alarm: ({ change, imsi }, sqn) => feed.append('alarm', { change, imsi, sqn }),
      });
  const outbox = keeper && openOutbox({ clock, random, store, feeder: keeper.feeder, onError });
  const authenticated = ({ change, imsi }: Subscriber, visited: string | null, asker: string): void => {
    if (asker !== probeHost) edge.observer?.happened('authentication', { change });
    // Our own probe is no sign of the device.
    if (change !== null && asker !== probeHost) feed.append('authenticated', { change, imsi, visited });
  };
  const fed = (imsi: string): Promise<void> => outbox?.settled(imsi) ?? Promise.resolve();
  const withdraw = async (subscriber: Subscriber): Promise<void> => hss.withdraw(subscriber);
  const suspensions = createSuspensions({ edge, name, store, feed, ring, withdraw, fed });
  const accepts = ({ bound, imsi, imei: own, change }: Subscriber, imei: string | undefined): boolean => {
    // Terminal-Information has 14 digits, or 15 with the check digit (TS 29.272 §7.3.3).
    if (!bound || (imei !== undefined && imei.slice(0, 14) === own?.slice(0, 14))) return true;
    feed.append('alarm', { change, imsi, imei: imei ?? null, expected: own });
    // Who does not say which device it is has not been seen in another one.
    if (options.onAlarm === 'suspend' && imei !== undefined) {
      const cause = { by: name, reason: `its card is in device ${imei}` };
      // It is on file; an HSS that does not answer is told until it has taken it.
      void suspensions.suspend(imsi, cause).catch((error: unknown) => {
        if (!(error instanceof Problem)) onError(error);
      });
    }
    return false;
  };
  const registered = (
    { change, imsi }: Subscriber,
    imei: string | undefined,
    visited: string | null,
  ): void => {
    if (change !== null) feed.append('registered', { change, imsi, imei: imei ?? null, visited });
  };
  const s6a = await createHss({
    ...watchdog,
    edge: options.hssEdge ?? edge,
    store,
    vectors,
    host: `hss.${realm}`,
    realm,
    listen: options.hss,
    serviceCentre: profile.serviceCentre,
    serviceCentreHost: `smsc.${realm}`,
    apn: profile.apn,
    scefHost: `scef.${realm}`,
    cscfs: options.cscfs ?? [],
    authenticated,
    accepts,
    registered,
  });
  const gsup =
    options.gsup &&
    (await createGsupFace({
      edge: options.hssEdge ?? edge,
      store,
      vectors,
      listen: options.gsup,
      apn: profile.apn,
      accepts,
      // GSUP does not say which network a peer is of.
      authenticated: (subscriber, asker) => authenticated(subscriber, null, asker),
      registered: (subscriber) => registered(subscriber, undefined, null),
    }));
  const hss: Hss = {
    ...s6a,
    async withdraw(subscriber) {
      await Promise.all([s6a.withdraw(subscriber), gsup?.withdraw(subscriber.imsi)]);
    },
  };
  const hssEndpoint = hss.node.endpoint!;
  const smsc = await createSmsc({
    ...watchdog,
    edge,
    store,
    host: `smsc.${realm}`,
    realm,
    listen: options.smsc,
    hss: hssEndpoint,
    smpp: options.smpp,
    address: profile.serviceCentre,
    accounts: [
      { systemId: OTA_SYSTEM_ID, password: options.otaPassword, addresses: [profile.otaAddress] },
      ...(options.esmes ?? []),
    ],
  });
  const scef = await createScef({
    ...watchdog,
    edge,
    store,
    host: `scef.${realm}`,
    realm,
    listen: options.scef,
    data: (imsi, payload) =>
      void options.owner.application({ operator: name, imsi, payload }).catch((error: unknown) => {
        // What was under way when the operator closed is nobody's fault.
        if (!closed) onError(error);
      }),
  });
  const probe = await createDiameterNode({
    edge,
    originHost: probeHost,
    ...watchdog,
    originRealm: realm,
    applications: [APPLICATION.s6a],
    peers: [{ realm, endpoint: keeper?.s6a ?? hssEndpoint }],
    handle: () => {
      throw new Error('a probe answers nothing');
    },
  });
  const ota: OtaGateway = createOtaGateway({
    edge,
    store,
    vault,
    smsc: smsc.endpoint,
    systemId: OTA_SYSTEM_ID,
    password: options.otaPassword,
    ...(options.otaLimits && { limits: options.otaLimits }),
    address: profile.otaAddress,
    proved: (proven, result) => {
      const { change, command } = proven;
      const sw = result.result === 'refused' ? { sw: result.sw.toString(16) } : {};
      feed.append('proof', { change, command, result: keyTransfer.proved(proven, result), ...sw });
    },
    reported: (iccid, imsi, status) => {
      // Of the change that the card itself names: a report that comes late says nothing of a newer one.
      feed.append('report', {
        change: toHex(status.change),
        iccid,
        imsi,
        state: status.state,
        index: status.index,
        last: status.last,
      });
    },
  });
  const context = createChangeContext({
    edge,
    profile,
    store,
    vault,
    signer,
    ring,
    hss,
    probe,
    ota,
    fed,
    onError,
  });
  const keyList = createKeyListPart(context, escrow);
  const takingOver = createTakeOver(context, options.manufacturers ?? []);
  const keyTransfer = createKeyTransferPart(context, options.vaults, takingOver);
  const routes = [
    feed.route,
    ...changeRoutes(context, [keyList.undo]),
    ...trialRoutes(context),
    ...keyList.routes,
    ...keyTransfer.routes,
    ...swapRoutes(context),
    ...suspensions.routes(context.batch),
  ];
  const api = await serveApi(edge, options.api, routes, onError);

  return {
    name,
    endpoints: {
      api: api.endpoint,
      hss: hssEndpoint,
      smsc: smsc.node.endpoint!,
      scef: scef.endpoint!,
      smpp: smsc.endpoint,
      ...(gsup ? { gsup: gsup.endpoint } : {}),
    },
    suspend: (imsi, reason = 'as the operator wants it') => suspensions.suspend(imsi, { by: name, reason }),
    resume: (imsi, reason = 'as the operator wants it') => suspensions.resume(imsi, { by: name, reason }),
    fed: () => outbox?.empty() ?? Promise.resolve(),
    knowsKi: (iccid, k) =>
      store
        .subscribersOf(iccid)
        .some(({ aka, label }) => aka !== null && label !== null && vault.isKi(label, aka, k)),
    importCardData(text, state = 'ready', how = {}) {
      const cards = parseCardData(text, [plmn], how);
      importCards(store, vault, cards, state);
      return cards.length;
    },
    async close() {
      closed = true;
      ota.close();
      await api.close();
      await probe.close();
      await smsc.close();
      await scef.close();
      await gsup?.close();
      await outbox?.close();
      await hss.close();
      store.close();
    },
  };
}
