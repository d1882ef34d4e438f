/** The visited network operator: gives radio and core to devices of others, and knows nobody's keys. */
import type { Edge, Endpoint } from '../../edge/index.ts';
import { APPLICATION } from '../../standards/diameter/index.ts';
import { createDiameterNode, type DiameterPeer } from '../wire/diameter.ts';
import { createCell, type Disturb } from './cell.ts';
import { createData } from './data.ts';
import { createHome, homeRealm } from './home.ts';
import { createMme } from './mme.ts';
import { createSms } from './sms.ts';
import type { VisitedEvent } from './event.ts';

export type { Delivery, Disturb } from './cell.ts';
export type { VisitedEvent } from './event.ts';

export interface VisitedOptions {
  edge: Edge;
  /** MCC and MNC, 5 or 6 digits */
  plmn: string;
  /** tracking area code, 0–65535 */
  tac: number;
  /** Diameter realm and identity of the MME */
  realm: string;
  originHost: string;
  /** where the cell waits for devices (GSMTAP over UDP) */
  cell: Endpoint;
  /** home networks and agents (S6a, SGd, T6a) */
  peers: readonly DiameterPeer[];
  /** where home networks may connect; not needed if they use the connections above */
  listen?: Endpoint;
  /** E.164 number of the MME, for SMS in MME; none if not given */
  mmeNumber?: string;
  /** the realm of an IMSI's home; by its PLMN if not given (TS 23.003 §19.2) */
  homeRealmOf?: (imsi: string) => string;
  /** an EMM cause with which a subscription is refused here */
  rejectWith?: (imsi: string) => number | undefined;
  /** what the air does to each message */
  disturb?: Disturb;
  /** every NAS and SMS timer is multiplied with it; 1 if not given */
  timerScale?: number;
  /** milliseconds a home network may take to answer; 6000 if not given: less than T3410 of the device */
  homeAnswerMs?: number;
  /** seconds between periodic tracking area updates (T3412); 3240 if not given */
  periodicUpdateSeconds?: number;
  /** milliseconds of the Diameter watchdog; 30000 if not given */
  watchdogMs?: number;
  observe?: (event: VisitedEvent) => void;
}

export interface Visited {
  readonly cellEndpoint: Endpoint;
  /** where home networks may connect; undefined without `listen` */
  readonly diameterEndpoint: Endpoint | undefined;
  /** how many devices are registered now */
  registered(): number;
  close(): Promise<void>;
}

/** Starts cell, MME and its Diameter node. Rejects with a line that names the port in use. */
export async function createVisited(options: VisitedOptions): Promise<Visited> {
  const { edge, peers } = options;
  const observe = (event: VisitedEvent): void => options.observe?.(event);
  const scale = options.timerScale ?? 1;
  const clock = {
    now: () => edge.clock.now() / scale,
    after: (milliseconds: number, run: () => void) => edge.clock.after(milliseconds * scale, run),
  };

  const node = await createDiameterNode({
    edge,
    originHost: options.originHost,
    originRealm: options.realm,
    applications: [APPLICATION.s6a, APPLICATION.sgd, APPLICATION.t6a],
    peers,
    ...(options.listen ? { listen: options.listen } : {}),
    ...(options.watchdogMs !== undefined ? { watchdogMs: options.watchdogMs } : {}),
    handle: (request) => home.handle(request),
  });
  const home = createHome({
    node,
    plmn: options.plmn,
    mmeNumber: options.mmeNumber,
    answerMs: options.homeAnswerMs ?? 6_000,
    realmOf: options.homeRealmOf ?? ((imsi) => homeRealm(imsi, peers)),
  });
  const cell = await createCell(edge, options.cell, options.disturb, {
    receive: (message, from) => mme.receive(message, from),
    carriesSms: (message, from) => mme.carriesSms(message, from),
  }).catch(async (error: unknown) => {
    await node.close();
    throw error;
  });
  const sms = createSms({ clock, home, send: (ue, message) => mme.send(ue, message), observe });
  const data = createData({ home, send: (ue, message) => mme.send(ue, message), observe });
  const mme = createMme({
    clock,
    random: edge.random,
    plmn: options.plmn,
    tac: options.tac,
    periodicUpdateSeconds: options.periodicUpdateSeconds ?? 3240,
    rejectWith: options.rejectWith ?? (() => undefined),
    transmit: (message, to, carriesSms) => cell.send(message, to, carriesSms),
    home,
    sms,
    data,
    observe,
  });
  home.serve({
    ueOf: (imsi) => mme.ueOf(imsi),
    cancel: (ue, withdrawn) => mme.cancel(ue, withdrawn),
    deliver: (ue, request) => sms.deliver(ue, request),
    pushData: (ue, payload) => data.push(ue, payload),
  });

  return {
    cellEndpoint: cell.endpoint,
    diameterEndpoint: node.endpoint,
    registered: () => mme.registered(),
    async close() {
      cell.close();
      mme.close();
      await node.close();
    },
  };
}
