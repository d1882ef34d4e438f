/** Of alternative 3b: A says which pair of the card may go to B, B fetches it from the escrow. */
import { z } from 'zod';
import { KEY_LIST_KEY_SET } from '../../standards/ota/index.ts';
import type { EscrowClient } from '../escrow/client.ts';
import { post, type Route } from '../wire/http.ts';
import type { Order } from '../wire/statements.ts';
import { refuse, type ChangeContext, type Undo } from './changes.ts';
import { jwsSchema, type Refused } from './client.ts';

export interface KeyListPart {
  routes: Route[];
  undo: Undo;
}

export function createKeyListPart(
  context: ChangeContext,
  escrow: { name: string; client: EscrowClient },
): KeyListPart {
  const { profile, store, vault, signer } = context;
  const { name } = profile;

  const of3b = (ordered: Order): Order => {
    if (ordered.alternative !== '3b') {
      throw refuse(403, 'bad-order', `the order is for alternative ${ordered.alternative}, not for 3b`);
    }
    return ordered;
  };

  const release = async (jws: string): Promise<{ release: string; index: number }> => {
    const { ordered, subscriber } = await context.asA(jws, 'refuse');
    of3b(ordered);
    if (subscriber.state !== 'ready')
      throw refuse(409, 'unknown-device', `IMSI ${ordered.imsi} is ${subscriber.state}`);
    let index = store.indexOf(ordered.change)?.index ?? 0;
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
        store.putIndex(ordered.change, ordered.iccid, index);
        store.update(subscriber.imsi, { change: ordered.change });
      });
    }
    return {
      index,
      release: await signer.sign('index-release', {
        aud: [escrow.name, ordered.to, ...(ordered.agent === undefined ? [] : [ordered.agent])],
        ...context.lifetime(),
        change: ordered.change,
        iccid: ordered.iccid,
        index,
        to: ordered.to,
        ...(ordered.agent === undefined
          ? {}
          : { serving: { msisdn: subscriber.msisdn, reportTo: profile.otaAddress } }),
      }),
    };
  };

  /** Takes in the pairs of a batch; asks the escrow once for all. */
  const subscribe = async (
    requests: readonly { order: string; release: string }[],
  ): Promise<(Refused | { ok: true })[]> => {
    const pairs = await escrow.client.pairs(name, requests);
    return context.each(requests, async (request, i) => {
      const ordered = of3b(await context.asB(request.order));
      const subscriber = context.reservedFor(ordered);
      if (subscriber.state === 'ready') {
        await context.fed(subscriber.imsi);
        return { ok: true };
      }
      if (subscriber.state !== 'reserved')
        throw refuse(409, 'bad-order', `change ${ordered.change} was undone here`);
      const pair = pairs[i]!;
      if ('error' in pair) throw refuse(403, pair.code, pair.error);
      const label = `${ordered.iccid} ${pair.index}`;
      const keys = await vault.unwrap(pair.keys, label, `${name} ${label} ${ordered.change}`);
      const set = keys.ota.find(({ keySet }) => keySet === KEY_LIST_KEY_SET);
      if (!set) throw refuse(400, 'bad-keys', `pair ${label}: no OTA key set ${KEY_LIST_KEY_SET} in it`);
      store.transaction(() => {
        store.update(subscriber.imsi, { aka: keys.aka, label, state: 'ready' });
        store.putOtaKeys({ ...set, iccid: ordered.iccid, counter: 0 });
        store.putIndex(ordered.change, ordered.iccid, pair.index);
      });
      await context.fed(subscriber.imsi);
      return { ok: true };
    });
  };

  /** For the OTA agent of the order: the device is B's, its trial may end for good. */
  const consent = async (jws: string): Promise<{ consent: string }> => {
    const ordered = of3b(await context.asB(jws));
    const subscriber = context.reservedFor(ordered);
    if (ordered.agent === undefined) throw refuse(403, 'bad-order', 'the order names no OTA agent');
    if (subscriber.state !== 'ready')
      throw refuse(409, 'bad-order', `IMSI ${subscriber.imsi} is ${subscriber.state}`);
    return {
      consent: await signer.sign('commit-consent', {
        aud: [ordered.agent],
        ...context.lifetime(),
        change: ordered.change,
        iccid: ordered.iccid,
      }),
    };
  };

  return {
    routes: [
      context.batch('/consents', jwsSchema, consent),
      context.batch('/releases', jwsSchema, release),
      post(
        '/subscriptions',
        z.strictObject({
          requests: z.array(z.strictObject({ order: jwsSchema, release: jwsSchema })).max(1000),
        }),
        async ({ body }) => ({ results: await subscribe(body.requests) }),
      ),
    ],
    /** A pair that was released and not used must never be. */
    async undo(ordered, subscriber) {
      const index = store.indexOf(ordered.change)?.index;
      if (ordered.alternative !== '3b' || index === undefined) return;
      await escrow.client.burnt([
        await signer.sign('index-burnt', {
          aud: [escrow.name],
          ...context.lifetime(),
          change: ordered.change,
          iccid: subscriber.iccid,
          index,
        }),
      ]);
    },
  };
}
