/**
 * SWITCH, COMMIT and CANCEL: to the list application of 3b, and to the fall-back application of 3a, which is
 * the same without pairs. A sends the SWITCH, B ends the trial for good, either calls it off.
 */
import { fromHex } from '../../standards/bytes/index.ts';
import {
  COMMIT_ON_AKA,
  FALLBACK_TAR,
  KEY_LIST_KEY_SET,
  KEY_LIST_TAR,
  encodeCompactCommands,
  encodeKeyListCancel,
  encodeKeyListCommit,
  encodeKeyListSwitch,
} from '../../standards/ota/index.ts';
import type { Route } from '../wire/http.ts';
import { readStatement, type Order } from '../wire/statements.ts';
import { refuse, type ChangeContext } from './changes.ts';
import { jwsSchema, switchRequestSchema, type SwitchRequest } from './client.ts';
import type { Subscriber } from './store.ts';

export function trialRoutes(context: ChangeContext): Route[] {
  const { edge, profile, store, ring, ota } = context;
  const { name } = profile;

  const send = (
    change: string,
    command: string,
    { iccid, imsi }: Subscriber,
    index: number,
    apdu: Uint8Array,
  ): void =>
    ota.send({
      change,
      command,
      iccid,
      imsi,
      keySet: KEY_LIST_KEY_SET,
      tar: index === 0 ? FALLBACK_TAR : KEY_LIST_TAR,
      script: encodeCompactCommands([apdu]),
    });

  /** The index that a change tries; 0 where the card keeps its keys. */
  const indexOf = (ordered: Order): number => store.indexOf(ordered.change)?.index ?? 0;

  /** In no other alternative does a card try anything. */
  const ofTrial = (ordered: Order): void => {
    if (ordered.alternative !== '3a' && ordered.alternative !== '3b') {
      throw refuse(403, 'bad-order', `the order is for alternative ${ordered.alternative}, not for 3a or 3b`);
    }
  };

  const switchOne = async (request: SwitchRequest): Promise<{ ok: true }> => {
    const { ordered, subscriber } = await context.asA(request.order);
    ofTrial(ordered);
    // B's own word for what the card is to become.
    // What was begun in time is brought to an end.
    const reserved = await readStatement('reservation', request.reservation, ring, name, edge.clock, 'allow');
    if (
      reserved.iss !== ordered.to ||
      reserved.change !== ordered.change ||
      reserved.iccid !== ordered.iccid
    ) {
      throw refuse(403, 'bad-reservation', `the reservation is not ${ordered.to}'s for this order`);
    }
    if (indexOf(ordered) !== request.index || (request.index === 0) === (ordered.alternative === '3b')) {
      throw refuse(409, 'not-released', `change ${ordered.change}: index ${request.index} was not released`);
    }
    const { imsi, settings } = reserved;
    let apdu: Uint8Array;
    try {
      apdu = encodeKeyListSwitch({
        change: fromHex(ordered.change),
        index: request.index,
        imsi,
        mncLength: settings.mncLength,
        trialSeconds: request.trialSeconds,
        delaySeconds: request.delaySeconds,
        policy: request.commitOnAka ? COMMIT_ON_AKA : 0,
        serviceCentre: settings.serviceCentre,
        msisdn: settings.msisdn,
        serviceProviderName: settings.serviceProviderName,
        apn: settings.apn,
        reportTo: profile.otaAddress,
      });
    } catch (error) {
      throw refuse(400, 'bad-settings', (error as Error).message);
    }
    store.update(subscriber.imsi, { change: ordered.change });
    send(ordered.change, 'switch', subscriber, request.index, apdu);
    return { ok: true };
  };

  const commit = async (jws: string): Promise<{ ok: true }> => {
    const ordered = await context.asB(jws);
    ofTrial(ordered);
    const subscriber = context.reservedFor(ordered);
    if (subscriber.state !== 'ready')
      throw refuse(409, 'bad-order', `IMSI ${subscriber.imsi} is ${subscriber.state}`);
    const index = indexOf(ordered);
    const apdu = encodeKeyListCommit({ change: fromHex(ordered.change), index });
    send(ordered.change, 'commit', subscriber, index, apdu);
    return { ok: true };
  };

  /**
   * Of A: its SWITCH is not sent any more, and the card is told to forget it: its answer, whatever it is, proves
   * that it listens to A. Of B: the card is told to end the trial.
   */
  const stop = async (jws: string): Promise<{ ok: true }> => {
    const ordered = await readStatement('order', jws, ring, name, edge.clock, 'allow');
    ofTrial(ordered);
    const isA = ordered.from === name;
    const subscriber = isA
      ? (await context.asA(jws)).subscriber
      : context.reservedFor(await context.asB(jws));
    ota.withdraw(ordered.change, isA ? 'switch' : 'commit');
    if (subscriber.state !== 'ready') return { ok: true };
    const index = indexOf(ordered);
    const apdu = encodeKeyListCancel({ change: fromHex(ordered.change), index });
    send(ordered.change, 'cancel', subscriber, index, apdu);
    return { ok: true };
  };

  return [
    context.batch('/switches', switchRequestSchema, switchOne),
    context.batch('/commits', jwsSchema, commit),
    context.batch('/stops', jwsSchema, stop),
  ];
}
