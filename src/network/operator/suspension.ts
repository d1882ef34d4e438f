/**
 * A subscription that its operator has suspended, at the owner's signed word, by itself, or because the card turned up
 * in another device: no vectors and no location, in whatever network, until it is resumed. Numbers and keys stay.
 */
import type { Edge } from '../../edge/index.ts';
import type { Feed } from '../wire/feed.ts';
import type { Route } from '../wire/http.ts';
import { readStatement, type KeyRing } from '../wire/statements.ts';
import { refuse, type ChangeContext } from './changes.ts';
import { jwsSchema } from './client.ts';
import type { OperatorStore, Subscriber } from './store.ts';

export interface SuspensionOptions {
  edge: Edge;
  /** of the operator */
  name: string;
  store: OperatorStore;
  feed: Feed;
  /** whose statements count */
  ring: KeyRing;
  /** Tells the serving networks that the subscription is gone. */
  withdraw(subscriber: Subscriber): Promise<void>;
  /** Resolves once the HSS has taken what became of a subscriber. @throws Problem if it has not */
  fed(imsi: string): Promise<void>;
}

/** Who wants it, and why: for the feed. */
export interface SuspensionCause {
  by: string;
  reason: string;
}

export interface Suspensions {
  /**
   * On file when this returns its promise, which resolves once the serving network (Cancel-Location, TS 29.272
   * §5.2.1.2) and an HSS that is kept by another were told. One that is suspended already is left as it is.
   * @param imsi 6 to 15 digits
   * @throws Problem 404 `unknown-device`, 409 `not-in-use`; 503 `hss-pending` where such an HSS does not answer yet
   */
  suspend(imsi: string, cause: SuspensionCause): Promise<void>;
  /** The way back; the device must attach anew. @throws Problem as `suspend` */
  resume(imsi: string, cause: SuspensionCause): Promise<void>;
  routes(batch: ChangeContext['batch']): Route[];
}

export function createSuspensions(options: SuspensionOptions): Suspensions {
  const { edge, name, store, feed, ring, withdraw, fed } = options;
  store.database.exec(
    'CREATE TABLE IF NOT EXISTS suspension (imsi TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID',
  );
  const putTurn = store.database.prepare('INSERT OR REPLACE INTO suspension (imsi, at) VALUES (?, ?)');
  const getTurn = store.database.prepare('SELECT at FROM suspension WHERE imsi = ?');

  const find = (imsi: string): Subscriber => {
    const subscriber = store.byImsi(imsi);
    if (!subscriber) throw refuse(404, 'unknown-device', `IMSI ${imsi} is not here`);
    if (subscriber.state !== 'ready' && subscriber.state !== 'suspended') {
      throw refuse(409, 'not-in-use', `IMSI ${imsi} is ${subscriber.state}`);
    }
    return subscriber;
  };

  const turn = async (imsi: string, to: 'ready' | 'suspended', cause: SuspensionCause): Promise<void> => {
    const subscriber = find(imsi);
    if (subscriber.state !== to) {
      store.transaction(() => {
        store.update(imsi, { state: to, mmeHost: null, mmeRealm: null });
        putTurn.run(imsi, edge.clock.now());
        const { change, iccid } = subscriber;
        feed.append(to === 'suspended' ? 'suspended' : 'resumed', { change, imsi, iccid, ...cause });
      });
      // The serving network may be gone: it gets no vectors and no location from now on all the same.
      if (to === 'suspended') await withdraw(subscriber).catch(() => undefined);
    }
    await fed(imsi);
  };

  const asked = async (jws: string): Promise<{ ok: true }> => {
    const said = await readStatement('suspension', jws, ring, name, edge.clock);
    const { imsi, iccid, iat, iss, reason } = said;
    const subscriber = find(imsi);
    if (subscriber.iccid !== iccid) {
      throw refuse(404, 'unknown-device', `IMSI ${imsi} is not on card ${iccid} here`);
    }
    // Who kept an older word of the owner cannot undo a newer one with it.
    const last = getTurn.get(imsi)?.at;
    if (typeof last === 'number' && iat < Math.floor(last / 1000)) {
      throw refuse(409, 'outdated', `IMSI ${imsi} was suspended or resumed after that was said`);
    }
    await turn(imsi, said.suspend ? 'suspended' : 'ready', { by: iss, reason });
    return { ok: true };
  };

  return {
    suspend: (imsi, cause) => turn(imsi, 'suspended', cause),
    resume: (imsi, cause) => turn(imsi, 'ready', cause),
    routes: (batch) => [batch('/suspensions', jwsSchema, asked)],
  };
}
