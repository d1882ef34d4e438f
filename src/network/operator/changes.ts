/**
 * An operator's part in a change: what the one who drives it may ask, in batches. Each is idempotent, and asks
 * for the signed word that it needs: the owner's order, or A's release.
 */
import { z } from 'zod';
import type { Edge } from '../../edge/index.ts';
import { fromHex } from '../../standards/bytes/index.ts';
import {
  EXPERIMENTAL_RESULT,
  RESULT,
  authenticationInformation,
  readAnswer,
  requestOf,
  resultOf,
} from '../../standards/diameter/index.ts';
import {
  COMMIT_ON_AKA,
  KEY_LIST_KEY_SET,
  KEY_LIST_TAR,
  encodeCompactCommands,
  encodeKeyListCancel,
  encodeKeyListCommit,
  encodeKeyListSwitch,
} from '../../standards/ota/index.ts';
import type { DiameterNode } from '../wire/diameter.ts';
import { Problem, post, type Route } from '../wire/http.ts';
import { readStatement, type KeyRing, type Order, type Signer } from '../wire/statements.ts';
import type { EscrowClient } from '../escrow/client.ts';
import type { KeyVault } from '../vault/vault.ts';
import { switchRequestSchema, type Refused, type Settings, type SwitchRequest } from './client.ts';
import type { Hss } from './hss.ts';
import type { OperatorProfile } from './profile.ts';
import type { OtaGateway } from './ota.ts';
import type { OperatorStore, Subscriber } from './store.ts';

/** How long a statement to the escrow is good for, in seconds. */
const STATEMENT_LIFE = 7 * 86_400;
/** How long the HSS may take to answer a probe, in milliseconds. */
const PROBE_TIME = 5_000;
/** An IMSI that no operator gives out, to hear whether an HSS answers at all. */
const NO_SUBSCRIBER = '9999999999';

export interface ChangesOptions {
  edge: Edge;
  profile: OperatorProfile;
  store: OperatorStore;
  vault: KeyVault;
  signer: Signer;
  /** whose statements count */
  ring: KeyRing;
  escrow: { name: string; client: EscrowClient };
  hss: Hss;
  /** a Diameter client of the own HSS */
  probe: DiameterNode;
  ota: OtaGateway;
}

/** Runs a batch: what one request is refused for does not touch the others. */
async function each<Q, A>(
  requests: readonly Q[],
  run: (request: Q, index: number) => A | Promise<A>,
): Promise<(A | Refused)[]> {
  return Promise.all(
    requests.map(async (request, i) => {
      try {
        return await run(request, i);
      } catch (error) {
        if (error instanceof Problem) return { error: error.message, code: error.code };
        throw error;
      }
    }),
  );
}

export function changeRoutes(options: ChangesOptions): Route[] {
  const { edge, profile, store, vault, ring, signer, escrow, hss, probe, ota } = options;
  const { name, plmn } = profile;
  store.database.exec(
    'CREATE TABLE IF NOT EXISTS index_release (change TEXT PRIMARY KEY, iccid TEXT NOT NULL, idx INTEGER NOT NULL) STRICT',
  );
  const putRelease = store.database.prepare(
    'INSERT INTO index_release (change, iccid, idx) VALUES (?, ?, ?)',
  );
  const getRelease = store.database.prepare('SELECT iccid, idx FROM index_release WHERE change = ?');
  const order = (jws: string): Promise<Order> => readStatement('order', jws, ring, name, edge.clock);
  const refuse = (status: number, code: string, detail: string): Problem => new Problem(status, code, detail);

  /** Sends one command to the list application of a card. */
  const toList = (change: string, command: string, { iccid, imsi }: Subscriber, apdu: Uint8Array): void =>
    ota.send({
      change,
      command,
      iccid,
      imsi,
      keySet: KEY_LIST_KEY_SET,
      tar: KEY_LIST_TAR,
      script: encodeCompactCommands([apdu]),
    });

  /** The subscriber of an order that names this operator as A. */
  const held = async (jws: string): Promise<{ ordered: Order; subscriber: Subscriber }> => {
    const ordered = await order(jws);
    if (ordered.from !== name)
      throw refuse(403, 'not-here', `the order is from ${ordered.from}, not from ${name}`);
    const subscriber = store.byImsi(ordered.imsi);
    if (subscriber?.iccid !== ordered.iccid) {
      throw refuse(404, 'unknown-device', `IMSI ${ordered.imsi} is not on card ${ordered.iccid} here`);
    }
    return { ordered, subscriber };
  };

  const reserve = async (jws: string): Promise<{ imsi: string; settings: Settings }> => {
    const ordered = await order(jws);
    if (ordered.to !== name) throw refuse(403, 'not-here', `the order is to ${ordered.to}, not to ${name}`);
    let subscriber = store.byChange(ordered.change);
    if (!subscriber || subscriber.imsi === ordered.imsi) {
      if (store.byIccid(ordered.iccid)) {
        throw refuse(409, 'already-here', `card ${ordered.iccid} has a subscription here already`);
      }
      const imsiDigits = 15 - plmn.length;
      const next = store.allocate('imsi', 5_000_000);
      const imsi = plmn + String(next).padStart(imsiDigits, '0');
      if (imsi.length > 15) throw refuse(507, 'numbers-exhausted', `no IMSI is left under ${plmn}`);
      store.transaction(() => {
        const msisdn = profile.msisdnPrefix + String(next).padStart(8, '0');
        store.insert({ imsi, msisdn, iccid: ordered.iccid, state: 'reserved', change: ordered.change });
        store.update(imsi, { imei: ordered.imei });
      });
      subscriber = store.byImsi(imsi)!;
    }
    if (subscriber.state === 'cancelled' || subscriber.state === 'retired') {
      throw refuse(409, 'bad-order', `change ${ordered.change} was undone here`);
    }
    return {
      imsi: subscriber.imsi,
      settings: {
        mncLength: plmn.length === 6 ? 3 : 2,
        serviceCentre: profile.serviceCentre,
        msisdn: subscriber.msisdn,
        serviceProviderName: profile.serviceProviderName,
        apn: profile.apn,
        reportTo: profile.otaAddress,
      },
    };
  };

  const release = async (jws: string): Promise<{ release: string; index: number }> => {
    const { ordered, subscriber } = await held(jws);
    if (subscriber.state !== 'ready')
      throw refuse(409, 'unknown-device', `IMSI ${ordered.imsi} is ${subscriber.state}`);
    let index = Number(getRelease.get(ordered.change)?.idx ?? 0);
    if (index === 0) {
      const card = await escrow.client.card(ordered.iccid);
      if (card.next === null) {
        throw refuse(
          409,
          'list-exhausted',
          `card ${ordered.iccid}: its list of ${card.pairs} pairs is exhausted, ${card.burnt} of them burnt`,
        );
      }
      index = card.next;
      store.transaction(() => {
        putRelease.run(ordered.change, ordered.iccid, index);
        store.update(subscriber.imsi, { change: ordered.change });
      });
    }
    const iat = Math.floor(edge.clock.now() / 1000);
    return {
      index,
      release: await signer.sign('index-release', {
        aud: [escrow.name, ordered.to],
        iat,
        exp: iat + STATEMENT_LIFE,
        change: ordered.change,
        iccid: ordered.iccid,
        index,
        to: ordered.to,
      }),
    };
  };

  /** Takes in the pairs of a batch; asks the escrow once for all. */
  const subscribe = async (
    requests: readonly { order: string; release: string }[],
  ): Promise<(Refused | { ok: true })[]> => {
    const pairs = await escrow.client.pairs(name, requests);
    return each(requests, async (request, i) => {
      const ordered = await order(request.order);
      const subscriber = store.byChange(ordered.change);
      if (!subscriber || ordered.to !== name || subscriber.iccid !== ordered.iccid) {
        throw refuse(404, 'unknown-device', `change ${ordered.change} has no subscription here`);
      }
      if (subscriber.state === 'ready') return { ok: true };
      if (subscriber.state !== 'reserved')
        throw refuse(409, 'bad-order', `change ${ordered.change} was undone here`);
      const pair = pairs[i]!;
      if ('error' in pair) throw refuse(403, pair.code, pair.error);
      const label = `${ordered.iccid} ${pair.index}`;
      const keys = await vault.unwrap(pair.keys, label, `${name} ${label} ${ordered.change}`);
      store.transaction(() => {
        store.update(subscriber.imsi, { aka: keys.aka, label, state: 'ready' });
        store.putOtaKeys({
          iccid: ordered.iccid,
          keySet: KEY_LIST_KEY_SET,
          algorithm: 'aes',
          ota: keys.ota,
          label,
          counter: 0,
        });
        putRelease.run(ordered.change, ordered.iccid, pair.index);
      });
      return { ok: true };
    });
  };

  const probeOne = async (imsi: string): Promise<{ ok: true }> => {
    let answer;
    const known = store.byImsi(imsi)?.state === 'ready';
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

  const switchOne = async (request: SwitchRequest): Promise<{ ok: true }> => {
    const { ordered, subscriber } = await held(request.order);
    const released = getRelease.get(ordered.change);
    if (released?.idx !== request.index) {
      throw refuse(
        409,
        'not-released',
        `change ${ordered.change}: index ${request.index} is not the one released`,
      );
    }
    let apdu: Uint8Array;
    try {
      apdu = encodeKeyListSwitch({
        change: fromHex(ordered.change),
        index: request.index,
        imsi: request.imsi,
        mncLength: request.settings.mncLength,
        trialSeconds: request.trialSeconds,
        delaySeconds: request.delaySeconds,
        policy: request.commitOnAka ? COMMIT_ON_AKA : 0,
        serviceCentre: request.settings.serviceCentre,
        msisdn: request.settings.msisdn,
        serviceProviderName: request.settings.serviceProviderName,
        apn: request.settings.apn,
        reportTo: profile.otaAddress,
      });
    } catch (error) {
      throw refuse(400, 'bad-settings', (error as Error).message);
    }
    toList(ordered.change, 'switch', subscriber, apdu);
    return { ok: true };
  };

  const ofChange = (change: string): { subscriber: Subscriber; index: number } => {
    const subscriber = store.byChange(change);
    if (!subscriber) throw refuse(404, 'unknown-device', `change ${change} is not known here`);
    return { subscriber, index: Number(getRelease.get(change)?.idx ?? 0) };
  };

  const commit = (change: string): { ok: true } => {
    const { subscriber, index } = ofChange(change);
    if (subscriber.state !== 'ready')
      throw refuse(409, 'bad-order', `IMSI ${subscriber.imsi} is ${subscriber.state}`);
    const apdu = encodeKeyListCommit({ change: fromHex(change), index });
    toList(change, 'commit', subscriber, apdu);
    return { ok: true };
  };

  /** Of A: its SWITCH is not sent any more. Of B: the card is told to end the trial now. */
  const stop = (change: string): { ok: true } => {
    const { subscriber, index } = ofChange(change);
    ota.withdraw(change, 'switch');
    if (
      subscriber.imei !== null &&
      subscriber.state === 'ready' &&
      subscriber.label === `${subscriber.iccid} ${index}`
    ) {
      ota.withdraw(change, 'commit');
      const apdu = encodeKeyListCancel({ change: fromHex(change), index });
      toList(change, 'cancel', subscriber, apdu);
    }
    return { ok: true };
  };

  const retire = async (jws: string): Promise<{ ok: true }> => {
    const { subscriber } = await held(jws);
    if (subscriber.state === 'retired') return { ok: true };
    store.update(subscriber.imsi, { state: 'retired', mmeHost: null, mmeRealm: null });
    // The serving network may be gone, or have forgotten it: the subscription is retired all the same.
    await hss.withdraw(subscriber).catch(() => undefined);
    return { ok: true };
  };

  const undo = async (change: string): Promise<{ ok: true }> => {
    const subscriber = store.byChange(change);
    // Nothing was ever reserved: there is nothing to undo.
    if (!subscriber || subscriber.state === 'cancelled') return { ok: true };
    const index = Number(getRelease.get(change)?.idx ?? 0);
    ota.withdraw(change, 'commit');
    ota.withdraw(change, 'cancel');
    if (index !== 0) {
      const iat = Math.floor(edge.clock.now() / 1000);
      await escrow.client.burnt([
        await signer.sign('index-burnt', {
          aud: [escrow.name],
          iat,
          exp: iat + STATEMENT_LIFE,
          change,
          iccid: subscriber.iccid,
          index,
        }),
      ]);
    }
    store.update(subscriber.imsi, { state: 'cancelled', aka: null, mmeHost: null, mmeRealm: null });
    await hss.withdraw(subscriber).catch(() => undefined);
    return { ok: true };
  };

  const batch = <Q, A>(path: string, schema: z.ZodType<Q>, run: (request: Q) => A | Promise<A>) =>
    post(path, z.strictObject({ requests: z.array(schema).max(1000) }), async ({ body }) => ({
      results: await each(body.requests, run),
    }));
  const jws = z.string().max(20_000);
  const changeName = z.string().regex(/^[0-9a-f]{16}$/, 'expected 16 hexadecimal digits');
  return [
    batch('/reservations', jws, reserve),
    batch('/releases', jws, release),
    post(
      '/subscriptions',
      z.strictObject({ requests: z.array(z.strictObject({ order: jws, release: jws })).max(1000) }),
      async ({ body }) => ({ results: await subscribe(body.requests) }),
    ),
    batch('/probes', z.string().regex(/^[0-9]{6,15}$/, 'expected an IMSI of 6 to 15 digits'), probeOne),
    batch('/switches', switchRequestSchema, switchOne),
    batch('/commits', changeName, commit),
    batch('/stops', changeName, stop),
    batch('/retirements', jws, retire),
    batch('/undos', changeName, undo),
  ];
}
