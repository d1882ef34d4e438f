/**
 * Of alternative 2: B has cards in stock, assigns one to the device of an order, and lets it in only with the
 * IMEI of that device. A card that turns up in another is refused, and that is told.
 */
import type { Route } from '../wire/http.ts';
import type { Order } from '../wire/statements.ts';
import { refuse, type ChangeContext } from './changes.ts';
import { jwsSchema } from './client.ts';
import type { Subscriber } from './store.ts';

export function swapRoutes(context: ChangeContext): Route[] {
  const { profile, store, hss } = context;
  const { name } = profile;

  const of2 = async (jws: string): Promise<Order> => {
    const ordered = await context.asB(jws);
    if (ordered.alternative !== '2') {
      throw refuse(403, 'bad-order', `the order is for alternative ${ordered.alternative}, not for 2`);
    }
    return ordered;
  };
  const assignedTo = (ordered: Order): Subscriber => {
    const subscriber = store.byChange(ordered.change);
    if (!subscriber) throw refuse(404, 'unknown-device', `change ${ordered.change} has no card here`);
    return subscriber;
  };

  const assign = async (jws: string): Promise<{ imsi: string; iccid: string }> => {
    const ordered = await of2(jws);
    const subscriber =
      store.byChange(ordered.change) ??
      store.transaction(() => {
        const free = store.inStock();
        if (!free) throw refuse(409, 'no-card', `${name} has no card left in stock`);
        store.update(free.imsi, { state: 'reserved', change: ordered.change, imei: ordered.imei });
        return store.byImsi(free.imsi)!;
      });
    return { imsi: subscriber.imsi, iccid: subscriber.iccid };
  };

  const activate = async (jws: string): Promise<{ ok: true }> => {
    const subscriber = assignedTo(await of2(jws));
    if (subscriber.state !== 'ready') {
      if (subscriber.state !== 'reserved') {
        throw refuse(409, 'bad-order', `IMSI ${subscriber.imsi} is ${subscriber.state}`);
      }
      store.update(subscriber.imsi, { state: 'ready', bound: true });
    }
    await context.fed(subscriber.imsi);
    return { ok: true };
  };

  /** The card did not come into use: it is in stock again. */
  const giveBack = async (jws: string): Promise<{ ok: true }> => {
    const ordered = await of2(jws);
    const subscriber = store.byChange(ordered.change);
    if (!subscriber) return { ok: true };
    if (subscriber.state === 'stock') {
      await context.fed(subscriber.imsi);
      return { ok: true };
    }
    store.update(subscriber.imsi, {
      state: 'stock',
      change: null,
      imei: null,
      bound: false,
      mmeHost: null,
      mmeRealm: null,
    });
    await hss.withdraw(subscriber).catch(() => undefined);
    await context.fed(subscriber.imsi);
    return { ok: true };
  };

  return [
    context.batch('/assignments', jwsSchema, assign),
    context.batch('/activations', jwsSchema, activate),
    context.batch('/returns', jwsSchema, giveBack),
  ];
}
