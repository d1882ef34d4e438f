/**
 * An operator's part in a change, of whatever alternative: what the one who drives it may ask, in batches. Each
 * is idempotent, and asks for the owner's signed order, which names the operator as A or as B.
 */
import { z } from 'zod';
import type { Edge } from '../../edge/index.ts';
import {
  EXPERIMENTAL_RESULT,
  RESULT,
  authenticationInformation,
  readAnswer,
  requestOf,
  resultOf,
} from '../../standards/diameter/index.ts';
import type { DiameterNode } from '../wire/diameter.ts';
import { Problem, post, type Route } from '../wire/http.ts';
import { readStatement, type KeyRing, type Order, type Signer } from '../wire/statements.ts';
import type { KeyVault } from '../vault/vault.ts';
import { jwsSchema, type Refused, type Reserved, type Settings } from './client.ts';
import type { Hss } from './hss.ts';
import type { OperatorProfile } from './profile.ts';
import type { OtaGateway } from '../ota/gateway.ts';
import type { OperatorStore, Subscriber } from './store.ts';

/** How long a statement of an operator is good for, in seconds. */
const STATEMENT_LIFE = 30 * 86_400;
/** How long the HSS may take to answer a probe, in milliseconds. */
const PROBE_TIME = 5_000;
/** An IMSI that no operator gives out, to hear whether an HSS answers at all. */
const NO_SUBSCRIBER = '9999999999';
/** Where the numbers begin that are given out by changes. */
const FIRST_NUMBER = 5_000_000;

export interface ChangesOptions {
  edge: Edge;
  profile: OperatorProfile;
  store: OperatorStore;
  vault: KeyVault;
  signer: Signer;
  /** whose statements count */
  ring: KeyRing;
  hss: Hss;
  /** a Diameter client of the own HSS */
  probe: DiameterNode;
  ota: OtaGateway;
  /** Resolves once the HSS has really taken what became of a subscriber. @throws Problem if it has not */
  fed(imsi: string): Promise<void>;
  onError: (error: unknown) => void;
}

/** An order of which this operator is A, and the subscriber that it is about. */
export interface Held {
  ordered: Order;
  subscriber: Subscriber;
}

/** What the parts of an operator that take part in changes share. */
export interface ChangeContext extends ChangesOptions {
  /** Runs a batch: what one request is refused for does not touch the others. */
  each<Q, A>(
    requests: readonly Q[],
    run: (request: Q, index: number) => A | Promise<A>,
  ): Promise<(A | Refused)[]>;
  /** A route that takes `{"requests":[…]}` and answers one result each, in order. */
  batch<Q, A>(path: string, schema: z.ZodType<Q>, run: (request: Q) => A | Promise<A>): Route;
  /** The order, if this operator is A in it and the device is here. Expiry is asked for where a change begins. */
  asA(jws: string, expired?: 'refuse' | 'allow'): Promise<Held>;
  /** The order, if this operator is B in it. */
  asB(jws: string, expired?: 'refuse' | 'allow'): Promise<Order>;
  /** The subscriber that was reserved for an order of which this operator is B. */
  reservedFor(ordered: Order): Subscriber;
  /** What a subscription of this operator wants on its card. */
  settingsOf(subscriber: Subscriber): Settings;
  /** iat and exp of a statement made now */
  lifetime(): { iat: number; exp: number };
}

export const refuse = (status: number, code: string, detail: string): Problem =>
  new Problem(status, code, detail);

export function createChangeContext(options: ChangesOptions): ChangeContext {
  const { edge, profile, store, ring } = options;
  const { name } = profile;
  const order = (jws: string, expired: 'refuse' | 'allow' = 'allow'): Promise<Order> =>
    readStatement('order', jws, ring, name, edge.clock, expired);
  const each: ChangeContext['each'] = (requests, run) =>
    Promise.all(
      requests.map(async (request, i) => {
        try {
          return await run(request, i);
        } catch (error) {
          if (error instanceof Problem) return { error: error.message, code: error.code };
          options.onError(error);
          return { error: `${name} failed at it`, code: 'failed' };
        }
      }),
    );
  return {
    ...options,
    each,
    batch: (path, schema, run) =>
      post(path, z.strictObject({ requests: z.array(schema).max(1000) }), async ({ body }) => ({
        results: await each(body.requests, run),
      })),
    async asA(jws, expired) {
      const ordered = await order(jws, expired);
      if (ordered.from !== name)
        throw refuse(403, 'not-here', `the order is from ${ordered.from}, not from ${name}`);
      const subscriber = store.byImsi(ordered.imsi);
      if (subscriber?.iccid !== ordered.iccid) {
        throw refuse(404, 'unknown-device', `IMSI ${ordered.imsi} is not on card ${ordered.iccid} here`);
      }
      return { ordered, subscriber };
    },
    async asB(jws, expired) {
      const ordered = await order(jws, expired);
      if (ordered.to !== name) throw refuse(403, 'not-here', `the order is to ${ordered.to}, not to ${name}`);
      return ordered;
    },
    reservedFor(ordered) {
      const subscriber = store.byChange(ordered.change);
      if (!subscriber || subscriber.imsi === ordered.imsi || subscriber.iccid !== ordered.iccid) {
        throw refuse(404, 'unknown-device', `change ${ordered.change} has no subscription here`);
      }
      return subscriber;
    },
    settingsOf: (subscriber) => ({
      mncLength: profile.plmn.length === 6 ? 3 : 2,
      serviceCentre: profile.serviceCentre,
      msisdn: subscriber.msisdn,
      serviceProviderName: profile.serviceProviderName,
      apn: profile.apn,
      reportTo: profile.otaAddress,
    }),
    lifetime() {
      const iat = Math.floor(edge.clock.now() / 1000);
      return { iat, exp: iat + STATEMENT_LIFE };
    },
  };
}

/** What else B undoes of a change that is given up, besides its subscription. */
export type Undo = (ordered: Order, subscriber: Subscriber) => Promise<void>;

/** Reservation, probe, retirement and the way back: the same in every alternative. */
export function changeRoutes(context: ChangeContext, undoing: readonly Undo[]): Route[] {
  const { profile, store, signer, hss, probe, ota } = context;
  const { name, plmn } = profile;

  /** The next numbers that nobody has. */
  const allocate = (): { imsi: string; msisdn: string } => {
    for (;;) {
      const next = store.allocate('imsi', FIRST_NUMBER);
      const imsi = plmn + String(next).padStart(15 - plmn.length, '0');
      const msisdn = profile.msisdnPrefix + String(next).padStart(8, '0');
      if (imsi.length > 15) throw refuse(507, 'numbers-exhausted', `no IMSI is left under ${plmn}`);
      if (!store.byImsi(imsi) && !store.byMsisdn(msisdn)) return { imsi, msisdn };
    }
  };

  const reserve = async (jws: string): Promise<Reserved> => {
    const ordered = await context.asB(jws, 'refuse');
    let subscriber = store.byChange(ordered.change);
    if (!subscriber) {
      if (store.byIccid(ordered.iccid)) {
        throw refuse(409, 'already-here', `card ${ordered.iccid} has a subscription here already`);
      }
      subscriber = store.transaction(() => {
        const { imsi, msisdn } = allocate();
        store.insert({ imsi, msisdn, iccid: ordered.iccid, state: 'reserved', change: ordered.change });
        store.update(imsi, { imei: ordered.imei });
        return store.byImsi(imsi)!;
      });
    }
    if (subscriber.iccid !== ordered.iccid || subscriber.imsi === ordered.imsi) {
      throw refuse(409, 'bad-order', `change ${ordered.change} is another one here`);
    }
    if (subscriber.state === 'cancelled' || subscriber.state === 'retired') {
      throw refuse(409, 'bad-order', `change ${ordered.change} was undone here`);
    }
    const { imsi } = subscriber;
    const settings = context.settingsOf(subscriber);
    const reservation = await signer.sign('reservation', {
      aud: [ordered.from, ...(ordered.agent === undefined ? [] : [ordered.agent])],
      ...context.lifetime(),
      change: ordered.change,
      iccid: ordered.iccid,
      imsi,
      settings,
    });
    return { imsi, settings, reservation };
  };

  const probeOne = async (imsi: string): Promise<{ ok: true }> => {
    let answer;
    const known = store.byImsi(imsi)?.state === 'ready';
    if (known) await context.fed(imsi);
    try {
      answer = readAnswer(
        authenticationInformation,
        await probe.request(
          requestOf(authenticationInformation, {
            sessionId: probe.sessionId(),
            originHost: probe.originHost,
            originRealm: probe.originRealm,
            destinationRealm: probe.originRealm,
            userName: known ? imsi : plmn + NO_SUBSCRIBER.slice(0, 15 - plmn.length),
            requestedEutranAuthenticationInfo: { numberOfRequestedVectors: 1, immediateResponsePreferred: 1 },
            visitedPlmnId: plmn,
          }),
          { timeoutMs: PROBE_TIME },
        ),
      );
    } catch (error) {
      throw refuse(503, 'hss-silent', `the HSS of ${name} does not answer: ${(error as Error).message}`);
    }
    const result = resultOf(answer);
    const expected = known ? RESULT.success : EXPERIMENTAL_RESULT.userUnknown;
    if (result !== expected)
      throw refuse(503, 'hss-refuses', `the HSS of ${name} answers ${result} for ${imsi}`);
    return { ok: true };
  };

  const retire = async (jws: string): Promise<{ ok: true }> => {
    const { ordered, subscriber } = await context.asA(jws);
    if (subscriber.state !== 'retired') {
      ota.withdrawAll(ordered.change);
      store.update(subscriber.imsi, { state: 'retired', mmeHost: null, mmeRealm: null });
      // The serving network may be gone, or have forgotten it: the subscription is retired all the same.
      await hss.withdraw(subscriber).catch(() => undefined);
    }
    await context.fed(subscriber.imsi);
    return { ok: true };
  };

  const undo = async (jws: string): Promise<{ ok: true }> => {
    const ordered = await context.asB(jws);
    const subscriber = store.byChange(ordered.change);
    // Nothing was ever reserved: there is nothing to undo.
    if (!subscriber) return { ok: true };
    if (subscriber.state === 'cancelled') {
      await context.fed(subscriber.imsi);
      return { ok: true };
    }
    context.reservedFor(ordered);
    if (ota.resultOf(ordered.change, 'commit')?.result === 'done') {
      throw refuse(409, 'committed', `change ${ordered.change}: the card is committed to ${name}`);
    }
    ota.withdrawAll(ordered.change);
    for (const more of undoing) await more(ordered, subscriber);
    store.update(subscriber.imsi, { state: 'cancelled', aka: null, mmeHost: null, mmeRealm: null });
    if (subscriber.aka && subscriber.label) context.vault.forgetAka(subscriber.label, subscriber.aka);
    await hss.withdraw(subscriber).catch(() => undefined);
    await context.fed(subscriber.imsi);
    return { ok: true };
  };

  return [
    context.batch('/reservations', jwsSchema, reserve),
    context.batch(
      '/probes',
      z.string().regex(/^[0-9]{6,15}$/, 'expected an IMSI of 6 to 15 digits'),
      probeOne,
    ),
    context.batch('/retirements', jwsSchema, retire),
    context.batch('/undos', jwsSchema, undo),
  ];
}
