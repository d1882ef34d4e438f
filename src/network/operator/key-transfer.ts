/**
 * Of alternative 3a: A hands all keys of a card to B's vault, and writes B's subscription to the card; B takes
 * the card over by replacing what A knew, or gives it back and destroys its keys.
 */
import { z } from 'zod';
import type { JWK } from 'jose';
import { SQN_DEFAULT, highestSeq } from '../../standards/aka/index.ts';
import { FieldError, toHex } from '../../standards/bytes/index.ts';
import { FALLBACK_TAR, TAR } from '../../standards/ota/index.ts';
import { Problem, post, type Route } from '../wire/http.ts';
import { readStatement, type Order, type Reservation } from '../wire/statements.ts';
import { refuse, type ChangeContext } from './changes.ts';
import { cardProfileSchema, jwsSchema, type CardProfile, type Refused } from './client.ts';
import { createFileSets } from './file-sets.ts';
import type { OtaResult } from '../ota/gateway.ts';
import { KEY_SET, PENDING, type TakeOverPart } from './take-over.ts';
import { iccidRead, readIccidScript } from './remote-files.ts';
import type { Subscriber } from './store.ts';

/** A may authenticate the device this often between the transfer and the switch. */
const SQN_MARGIN = 1024;
/** No card that was used has come near the end of its numbers (TS 33.102 §C.3.2): twice Δ is left below it. */
const MOST_SEQ = highestSeq(SQN_DEFAULT) + 1 - 2 ** 29;
/**
 * What A's commands may take of its sets' counters between the transfer and B's first command, which goes on above
 * them: four commands, each sent up to eight times.
 */
const COUNTER_MARGIN = 32;

export interface KeyTransferPart {
  routes: Route[];
  /** A command of a change has its answer. @returns what the feed shall say of it, if not the same */
  proved(command: { change: string; command: string; imsi: string }, result: OtaResult): string;
}

export function createKeyTransferPart(
  context: ChangeContext,
  /** vault keys of other operators */
  vaults: Record<string, JWK>,
  takingOver: TakeOverPart,
): KeyTransferPart {
  const { edge, profile, store, vault, signer, ring, ota } = context;
  const { name } = profile;
  const { database } = store;
  const files = createFileSets(store, ota);
  const putTransfer = database.prepare(
    'INSERT INTO key_transfer (change, iccid, operator, at) VALUES (?, ?, ?, ?) ON CONFLICT (change) DO NOTHING',
  );
  const markDestroyed = database.prepare(
    'UPDATE key_transfer SET destroyed = ? WHERE change = ? AND operator = ? AND iccid = ?',
  );
  const transferOf = database.prepare('SELECT destroyed FROM key_transfer WHERE change = ?');

  const of3a = (ordered: Order): void => {
    if (ordered.alternative !== '3a') {
      throw refuse(403, 'bad-order', `the order is for alternative ${ordered.alternative}, not for 3a`);
    }
  };
  const asA = async (jws: string, expired?: 'refuse'): ReturnType<ChangeContext['asA']> => {
    const held = await context.asA(jws, expired);
    of3a(held.ordered);
    return held;
  };
  const asB = async (jws: string): Promise<{ ordered: Order; subscriber: Subscriber }> => {
    const ordered = await context.asB(jws);
    of3a(ordered);
    return { ordered, subscriber: context.reservedFor(ordered) };
  };
  /** What B may undo no more: the card is committed to it, or A is gone from it. */
  const unlessKept = ({ change }: Order, { state }: Subscriber): void => {
    const committed = ota.resultOf(change, 'commit')?.result === 'done';
    if (committed || state === 'retired' || takingOver.hasBegun(change)) {
      throw refuse(409, 'committed', `change ${change}: the card is ${name}'s`);
    }
  };
  /** The key set that the card is spoken to under: the first it has. */
  const keySetOf = (iccid: string): number => {
    const sets = store.otaKeySets(iccid).filter((set) => set < PENDING);
    if (sets.length === 0) throw refuse(409, 'unknown-card', `card ${iccid} has no OTA key set here`);
    return sets.includes(KEY_SET) ? KEY_SET : sets[0]!;
  };

  const profileOf = async (jws: string): Promise<{ profile: CardProfile; wayBack: string }> => {
    const { ordered, subscriber } = await asA(jws, 'refuse');
    if (subscriber.state !== 'ready' || !subscriber.aka || !subscriber.label) {
      throw refuse(409, 'unknown-device', `IMSI ${ordered.imsi} is ${subscriber.state}`);
    }
    const card = store.card(ordered.iccid);
    const wayBack = await signer.sign('reservation', {
      aud: [ordered.to, name],
      ...context.lifetime(),
      change: ordered.change,
      iccid: ordered.iccid,
      imsi: subscriber.imsi,
      settings: context.settingsOf(subscriber),
    });
    const { algorithm, resLength, ownConstants } = vault.describeAka(subscriber.label, subscriber.aka);
    const fallback = card?.applets.includes(toHex(FALLBACK_TAR)) ?? false;
    const { indLength } = SQN_DEFAULT;
    return { profile: { algorithm, resLength, ownConstants, indLength, fallback }, wayBack };
  };

  const unlessSupported = (algorithm: CardProfile['algorithm']): void => {
    if (!profile.algorithms.includes(algorithm)) {
      throw refuse(409, 'algorithm-unsupported', `${name} has no ${algorithm} in its authentication centre`);
    }
  };

  /** IND of another length would have B's numbers read as others by the card (TS 33.102 §C.1.1). */
  const unlessScheme = (indLength: number): void => {
    if (indLength !== SQN_DEFAULT.indLength) {
      const ours = `${name} makes them with ${SQN_DEFAULT.indLength}`;
      throw refuse(409, 'sqn-unsupported', `sequence numbers with ${indLength} bits of IND; ${ours}`);
    }
  };

  /** What a card can do B hears from its manufacturer, not from A. */
  const accept = async (
    requests: readonly { order: string; profile: CardProfile }[],
  ): Promise<(Refused | { ok: true; hardened: boolean })[]> => {
    const accepted = await context.each(requests, async ({ order, profile: card }) => {
      const { ordered } = await asB(order);
      unlessSupported(card.algorithm);
      unlessScheme(card.indLength);
      return ordered.iccid;
    });
    const iccids = accepted.filter((each) => typeof each === 'string');
    const hardened = new Map<string, boolean>();
    let silent: Problem | undefined;
    try {
      const found = await takingOver.certify(iccids);
      iccids.forEach((iccid, i) => hardened.set(iccid, found[i]!));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      silent = error;
    }
    return accepted.map((each) => {
      if (typeof each !== 'string') return each;
      if (silent) return { error: silent.message, code: silent.code };
      return { ok: true as const, hardened: hardened.get(each)! };
    });
  };

  const reach = async (jws: string): Promise<{ ok: true }> => {
    const { ordered, subscriber } = await asA(jws);
    store.update(subscriber.imsi, { change: ordered.change });
    ota.send({
      change: ordered.change,
      command: 'reach',
      iccid: subscriber.iccid,
      imsi: subscriber.imsi,
      keySet: keySetOf(subscriber.iccid),
      tar: TAR.rfmShared,
      script: readIccidScript(),
    });
    return { ok: true };
  };

  const transfer = async (jws: string): Promise<{ transfer: string }> => {
    const { ordered, subscriber } = await asA(jws);
    if (subscriber.state !== 'ready' || !subscriber.aka || !subscriber.label) {
      throw refuse(409, 'unknown-device', `IMSI ${ordered.imsi} is ${subscriber.state}`);
    }
    if ((transferOf.get(ordered.change)?.destroyed ?? null) !== null) {
      throw refuse(409, 'bad-order', `change ${ordered.change} was undone: its keys are destroyed`);
    }
    const reached = ota.resultOf(ordered.change, 'reach');
    if (reached?.result !== 'done') {
      throw refuse(409, 'not-reached', `card ${ordered.iccid} has not answered yet`);
    }
    const read = iccidRead(reached.data);
    if (read !== ordered.iccid) {
      throw refuse(
        409,
        'unknown-card',
        `the order is for card ${ordered.iccid}, the device has ${read ?? 'none'}`,
      );
    }
    const recipient = vaults[ordered.to];
    if (!recipient) throw refuse(409, 'not-here', `${ordered.to} has no vault key on file`);
    const card = store.card(ordered.iccid);
    const sets = store
      .otaKeySets(ordered.iccid)
      .filter((set) => set < PENDING)
      .map((set) => store.otaKeys(ordered.iccid, set)!);
    const keys = await vault.wrap(
      {
        aka: subscriber.aka,
        ota: sets,
        ...(card?.codes ? { codes: card.codes } : {}),
      },
      subscriber.label,
      recipient,
      `${ordered.to} ${ordered.iccid} ${ordered.change}`,
    );
    // On file before it leaves: whoever knows Ki is known.
    putTransfer.run(ordered.change, ordered.iccid, ordered.to, edge.clock.now());
    return {
      transfer: await signer.sign('key-transfer', {
        aud: [ordered.to],
        ...context.lifetime(),
        change: ordered.change,
        iccid: ordered.iccid,
        to: ordered.to,
        keys,
        sqn: { indLength: SQN_DEFAULT.indLength, seq: subscriber.seq },
        counters: sets.map(({ keySet, counter }) => ({ keySet, counter })),
        applets: [...(card?.applets ?? [])],
      }),
    };
  };

  const takeIn = async (request: { order: string; transfer: string }): Promise<{ ok: true }> => {
    const { ordered, subscriber } = await asB(request.order);
    if (subscriber.state === 'ready') {
      await context.fed(subscriber.imsi);
      return { ok: true };
    }
    if (subscriber.state !== 'reserved')
      throw refuse(409, 'bad-order', `change ${ordered.change} was undone here`);
    const given = await readStatement('key-transfer', request.transfer, ring, name, edge.clock);
    if (
      given.iss !== ordered.from ||
      given.change !== ordered.change ||
      given.iccid !== ordered.iccid ||
      given.to !== name
    ) {
      throw refuse(403, 'bad-keys', `the transfer is not ${ordered.from}'s for this order`);
    }
    unlessScheme(given.sqn.indLength);
    if (given.sqn.seq > MOST_SEQ) {
      throw refuse(409, 'sqn-unsupported', `SEQ ${given.sqn.seq} is near the end: at most ${MOST_SEQ}`);
    }
    const label = `${ordered.iccid} ${ordered.change}`;
    const bundle = await vault.unwrap(given.keys, label, `${name} ${ordered.iccid} ${ordered.change}`);
    // What A said of the card before was only said.
    unlessSupported(vault.describeAka(label, bundle.aka).algorithm);
    store.transaction(() => {
      // Sets of an earlier time are not on the card any more, or others know them.
      for (const set of store.otaKeySets(ordered.iccid)) store.dropOtaKeys(ordered.iccid, set);
      store.update(subscriber.imsi, {
        aka: bundle.aka,
        label,
        state: 'ready',
        seq: given.sqn.seq + SQN_MARGIN,
      });
      for (const set of bundle.ota) {
        const counter = given.counters.find(({ keySet }) => keySet === set.keySet)?.counter ?? 0;
        store.putOtaKeys({ ...set, iccid: ordered.iccid, counter: counter + COUNTER_MARGIN });
      }
      store.putCard({ iccid: ordered.iccid, label, codes: bundle.codes ?? null, applets: given.applets });
    });
    await context.fed(subscriber.imsi);
    return { ok: true };
  };

  const sendFiles = (
    ordered: Order,
    command: 'write' | 'restore',
    subscriber: Subscriber,
    { imsi, settings }: Reservation,
    apnBefore?: string,
  ): void => {
    const keySet = keySetOf(subscriber.iccid);
    try {
      files.send({ change: ordered.change, command, subscriber, keySet, imsi, settings, apnBefore });
    } catch (error) {
      if (!(error instanceof FieldError)) throw error;
      throw refuse(400, 'bad-settings', error.message);
    }
  };

  const write = async (request: { order: string; reservation: string }): Promise<{ ok: true }> => {
    const { ordered, subscriber } = await asA(request.order);
    const reserved = await readStatement('reservation', request.reservation, ring, name, edge.clock, 'allow');
    if (
      reserved.iss !== ordered.to ||
      reserved.change !== ordered.change ||
      reserved.iccid !== ordered.iccid
    ) {
      throw refuse(403, 'bad-reservation', `the reservation is not ${ordered.to}'s for this order`);
    }
    const given = transferOf.get(ordered.change);
    if (given?.destroyed !== null) {
      throw refuse(409, 'not-given', `${ordered.to} has no keys of card ${ordered.iccid} for this order`);
    }
    sendFiles(ordered, 'write', subscriber, reserved, profile.apn);
    return { ok: true };
  };

  const restore = async (request: { order: string; wayBack: string }): Promise<{ ok: true }> => {
    const ordered = await readStatement('order', request.order, ring, name, edge.clock, 'allow');
    const isA = ordered.from === name;
    const { subscriber } = isA ? await asA(request.order) : await asB(request.order);
    if (!isA) unlessKept(ordered, subscriber);
    const back = await readStatement('reservation', request.wayBack, ring, name, edge.clock, 'allow');
    if (back.iss !== ordered.from || back.change !== ordered.change || back.iccid !== ordered.iccid) {
      throw refuse(403, 'bad-reservation', `the way back is not ${ordered.from}'s for this order`);
    }
    if (isA) files.withdraw(ordered.change, 'write');
    else ota.withdraw(ordered.change, 'takeover');
    if (subscriber.state === 'ready') sendFiles(ordered, 'restore', subscriber, back);
    return { ok: true };
  };

  const takeOver = async (jws: string): Promise<{ ok: true }> => {
    const { ordered, subscriber } = await asB(jws);
    if (subscriber.state !== 'ready') {
      throw refuse(409, 'bad-order', `IMSI ${subscriber.imsi} is ${subscriber.state}`);
    }
    takingOver.takeOver(ordered.change, subscriber);
    return { ok: true };
  };

  const reset = async (jws: string): Promise<{ ok: true }> => {
    const { ordered, subscriber } = await asB(jws);
    if (!takingOver.hasBegun(ordered.change)) {
      throw refuse(409, 'bad-order', `change ${ordered.change}: the card is not taken over`);
    }
    takingOver.reset(ordered.change, subscriber);
    return { ok: true };
  };

  const destroy = async (jws: string): Promise<{ receipt: string }> => {
    const { ordered, subscriber } = await asB(jws);
    unlessKept(ordered, subscriber);
    const { imsi, iccid } = subscriber;
    store.transaction(() => {
      ota.withdrawAll(ordered.change);
      // A transfer that is still on its way finds nobody to take it in.
      store.update(imsi, { state: 'cancelled', aka: null, label: null });
      if (subscriber.aka && subscriber.label) vault.forgetAka(subscriber.label, subscriber.aka);
      if (store.byIccid(iccid)) return;
      for (const set of store.otaKeySets(iccid)) store.dropOtaKeys(iccid, set);
      store.dropCard(iccid);
    });
    // What is destroyed is gone from the HSS too.
    await context.fed(imsi);
    return {
      receipt: await signer.sign('destroyed', {
        aud: [ordered.from],
        ...context.lifetime(),
        change: ordered.change,
        iccid,
      }),
    };
  };

  const exposed = async (jws: string): Promise<{ ok: true }> => {
    const receipt = await readStatement('destroyed', jws, ring, name, edge.clock);
    if (markDestroyed.run(jws, receipt.change, receipt.iss, receipt.iccid).changes === 0) {
      throw refuse(404, 'not-given', `no keys went to ${receipt.iss} for change ${receipt.change}`);
    }
    return { ok: true };
  };

  const withOrder = <Name extends string>(field: Name) =>
    z.strictObject({ order: jwsSchema, [field]: jwsSchema } as Record<'order' | Name, typeof jwsSchema>);
  return {
    routes: [
      context.batch('/profiles', jwsSchema, profileOf),
      post(
        '/acceptances',
        z.strictObject({
          requests: z.array(z.strictObject({ order: jwsSchema, profile: cardProfileSchema })).max(1000),
        }),
        async ({ body }) => ({ results: await accept(body.requests) }),
      ),
      context.batch('/readings', jwsSchema, reach),
      context.batch('/transfers', jwsSchema, transfer),
      context.batch('/keys', withOrder('transfer'), takeIn),
      context.batch('/writings', withOrder('reservation'), write),
      context.batch('/restorations', withOrder('wayBack'), restore),
      context.batch('/takeovers', jwsSchema, takeOver),
      context.batch('/resets', jwsSchema, reset),
      context.batch('/destructions', jwsSchema, destroy),
      context.batch('/exposures', jwsSchema, exposed),
    ],
    proved({ change, command, imsi }, result) {
      const subscriber = store.byImsi(imsi);
      if (command === 'reach' && result.result === 'done' && subscriber) {
        return iccidRead(result.data) === subscriber.iccid ? 'done' : 'foreign-card';
      }
      files.proved(change, command, result);
      const taken = subscriber && takingOver.proved(change, command, subscriber, result);
      if (taken !== undefined) return taken;
      return result.result;
    },
  };
}
