/** The modem: one card, one radio, one queue in which everything happens, one thing after the other. */
import type { Edge, Endpoint } from '../../edge/index.ts';
import { DecodeError } from '../../standards/bytes/index.ts';
import { GSMTAP_LTE_NAS, GSMTAP_NAS, decodeGsmtap, encodeGsmtap } from '../../standards/gsmtap/index.ts';
import { isProtected } from '../../standards/nas/index.ts';
import { ACCESS_TECHNOLOGY, LOCATION_STATUS, REFRESH, type ImsIdentity } from '../../standards/uicc/index.ts';
import { CardLost, createCard, type CardReader } from './card.ts';
import { createEmm } from './emm.ts';
import type { ModemEvent } from './event.ts';
import { answerIms, readIsim, type ImsAnswer } from './isim.ts';
import type { EmmState } from './mobility.ts';
import type { Cell } from './select.ts';
import { createSms } from './sms.ts';
import { createTimers } from './timers.ts';
import { createToolkit } from './toolkit.ts';
import {
  findUsim,
  readUsim,
  sayStatusOfApplication,
  storeForbiddenPlmns,
  storeLocation,
  storeSecurity,
} from './usim.ts';

export interface ModemOptions {
  edge: Edge;
  card: CardReader;
  /** 15 digits */
  imei: string;
  /** what it can hear, the best first */
  cells: readonly Cell[];
  /** of its UDP socket; port 0: the system picks */
  bind: Endpoint;
  /** every timer but the heartbeat is multiplied with it; default 1 */
  timerScale?: number;
  /** the application's small data: the first at once when attached, then each interval while registered */
  heartbeat?: {
    intervalMs: number;
    /** @param n counts from 0 over the life of the modem */
    payload: (n: number) => Uint8Array;
  };
  /** access point name where the card names none (EF.ACL) */
  apn?: string;
  /** attaches without PDN connectivity: short messages, no heartbeat; default false */
  withoutPdn?: boolean;
  observe?: (event: ModemEvent) => void;
}

/** What a modem can say of itself. */
export interface ModemState {
  emm: EmmState;
  iccid?: string;
  imsi?: string;
  /** the network it is camped on */
  plmn?: string;
}

export interface Modem {
  /** of its UDP socket */
  readonly endpoint: Endpoint;
  readonly state: ModemState;
  /** Powers card and radio; resolves when the card was read and the first attach is on its way. */
  powerOn(): Promise<void>;
  /** Who the card is in IMS; undefined without an ISIM, or while the modem is off. */
  imsIdentity(): Promise<ImsIdentity | undefined>;
  /** Has the ISIM answer a challenge (RAND and AUTN, 16 bytes each); undefined while the modem is off. */
  answerIms(rand: Uint8Array, autn: Uint8Array): Promise<ImsAnswer | undefined>;
  /** Abruptly, as if the battery fell out: no word to network or card, which lose power in what they do. */
  powerOff(): Promise<void>;
  /** In good order: detaches, leaves its context on the card, closes the socket. */
  close(): Promise<void>;
}

/** Binds the modem's socket; it is off until powered on. Rejects if the socket cannot be bound. */
export async function createModem(options: ModemOptions): Promise<Modem> {
  const { edge, imei, cells } = options;
  const scale = options.timerScale ?? 1;
  if (!/^[0-9]{15}$/.test(imei)) throw new Error(`imei: ${JSON.stringify(imei)}, expected 15 digits`);

  const observe = (event: ModemEvent): void => options.observe?.(event);
  /** 0: off; grows with each power on, so that work of an earlier life is dropped */
  let life = 0;
  let lives = 0;
  let open = true;
  let iccid: string | undefined;
  let aid: Uint8Array | undefined;
  let beats = 0;
  let queue: Promise<void> = Promise.resolve();

  /** Work waits its turn; after it the card gets what it waits for. An error never ends the queue. */
  function enqueue(work: () => void | Promise<void>): Promise<void> {
    const mine = life;
    queue = queue.then(async () => {
      if (mine !== life || life === 0) return;
      try {
        await work();
        if (mine === life) await toolkit.serve();
      } catch (error) {
        if (mine !== life) return;
        if (error instanceof CardLost) lost(error);
        else observe({ type: 'fault', why: error instanceof Error ? error.message : String(error) });
      }
    });
    return queue;
  }

  /** What work in its turn comes to; undefined if it was dropped. */
  async function inTurn<T>(work: () => Promise<T>): Promise<T | undefined> {
    let result: T | undefined;
    await enqueue(async () => {
      result = await work();
    });
    return result;
  }

  /** The card is gone: the modem stands still until it is powered on again. */
  function lost(error: CardLost): void {
    life = 0;
    stop();
    observe({ type: 'cardLost', why: error.message });
  }

  const emmTimers = createTimers(edge.clock, scale, (work) => void enqueue(work));
  const catTimers = createTimers(edge.clock, scale, (work) => void enqueue(work));
  const smsTimers = createTimers(edge.clock, scale, (work) => void enqueue(work));
  const beatTimers = createTimers(edge.clock, 1, (work) => void enqueue(work));
  const card = createCard(options.card, () => life);

  const sms = createSms({
    timers: smsTimers,
    send: (container) => emm.sendShortMessage(container),
    toCard: (serviceCentre, tpdu) => toolkit.download(serviceCentre, tpdu),
    observe,
  });

  const toolkit = createToolkit({
    card,
    clock: edge.clock,
    timers: catTimers,
    scale,
    imei,
    location: () =>
      emm.state === 'registered' && emm.cell ? { plmn: emm.cell.plmn, code: emm.cell.tac } : undefined,
    canSend: () => emm.state === 'registered' || emm.state === 'attaching',
    serviceCentre: () => emm.usim?.serviceCentre,
    submit: (serviceCentre, tpdu, done) => sms.submit(serviceCentre, tpdu, done),
    refresh,
  });

  const emm = createEmm({
    cells,
    imei,
    pdn: options.withoutPdn !== true,
    apn: options.apn,
    timers: emmTimers,
    chance: () => edge.random.bytes(1)[0]! / 256,
    send(message, cell) {
      const subType = isProtected(message) ? GSMTAP_NAS.protected : GSMTAP_NAS.plain;
      const packet = encodeGsmtap({ type: GSMTAP_LTE_NAS, subType, uplink: true, payload: message });
      socket.send(packet, cell.endpoint);
    },
    authenticate: (rand, autn) => card.authenticate(rand, autn),
    storeLocation: (usim) => storeLocation(card, usim),
    clearSecurity: () => storeSecurity(card, undefined),
    storeForbidden: (plmns) => storeForbiddenPlmns(card, plmns),
    async changed(state) {
      if (state === 'registered') beat();
      else beatTimers.stopAll();
      if (state === 'registered') await toolkit.locationStatus(LOCATION_STATUS.normal);
      if (state === 'limited') await toolkit.locationStatus(LOCATION_STATUS.limited);
      if (state === 'waiting') await toolkit.locationStatus(LOCATION_STATUS.none);
    },
    rejected: (cause, area, updateAttachType) =>
      toolkit.networkRejection({
        trackingArea: { plmn: area.plmn, code: area.tac },
        accessTechnology: ACCESS_TECHNOLOGY.eUtran,
        updateAttachType,
        cause,
      }),
    shortMessage: (container) => sms.receive(container),
    observe,
  });

  function beat(): void {
    const { heartbeat } = options;
    if (heartbeat === undefined || emm.state !== 'registered') return;
    if (emm.sendData(heartbeat.payload(beats))) beats++;
    beatTimers.start('heartbeat', heartbeat.intervalMs, beat);
  }

  function stop(): void {
    emm.end(false);
    sms.reset();
    toolkit.reset();
    beatTimers.stopAll();
  }

  /** From a card that was just reset to the first attach (TS 31.102 §5.1.1). */
  async function start(): Promise<void> {
    await toolkit.begin();
    const found = await findUsim(card);
    iccid = found.iccid;
    aid = found.aid;
    if (aid !== undefined) await startUsim(aid);
  }

  async function startUsim(name: Uint8Array): Promise<void> {
    if (!(await card.selectApplication(name))) return;
    await register();
    await sayStatusOfApplication(card, 1);
  }

  async function register(): Promise<void> {
    const usim = await readUsim(card);
    if (usim !== undefined) await emm.begin(usim);
  }

  /** REFRESH (TS 102 223 §6.4.7, TS 31.111 §6.4.7): what the card wrote is what counts, so nothing is stored. */
  async function refresh(mode: number): Promise<void> {
    observe({ type: 'refresh', mode });
    switch (mode) {
      case REFRESH.uiccReset:
        emm.end(true);
        sms.reset();
        beatTimers.stopAll();
        toolkit.reset();
        await card.reset();
        await start();
        break;
      case REFRESH.applicationReset:
        emm.end(true);
        sms.reset();
        beatTimers.stopAll();
        if (aid !== undefined) {
          await sayStatusOfApplication(card, 2);
          await startUsim(aid);
        }
        break;
      case REFRESH.sessionReset:
        emm.end(true);
        sms.reset();
        beatTimers.stopAll();
        await register();
        break;
      case REFRESH.init:
      case REFRESH.initAndFileChange:
      case REFRESH.initAndFullFileChange:
      case REFRESH.fileChange: {
        // Initialisation without a restart; but with another IMSI the old registration is nobody's.
        const usim = await readUsim(card);
        if (usim === undefined || usim.imsi === emm.usim?.imsi) break;
        emm.end(true);
        sms.reset();
        beatTimers.stopAll();
        await emm.begin(usim);
        break;
      }
      default:
        // Steering of roaming: the lists are read at the next selection, with the card's next start.
        break;
    }
  }

  function receive(bytes: Uint8Array, from: Endpoint): void {
    let payload: Uint8Array;
    try {
      const packet = decodeGsmtap(bytes);
      if (packet.type !== GSMTAP_LTE_NAS || packet.uplink) return;
      payload = packet.payload;
    } catch (error) {
      if (error instanceof DecodeError) return;
      throw error;
    }
    void enqueue(async () => {
      const camped = emm.cell?.endpoint;
      if (camped?.port === from.port && camped.host === from.host) await emm.receive(payload);
    });
  }

  const socket = await edge.sockets.bind('gsmtap', options.bind, receive);

  return {
    endpoint: socket.endpoint,
    get state() {
      const { usim, cell } = emm;
      return {
        emm: emm.state,
        ...(iccid !== undefined && { iccid }),
        ...(usim && { imsi: usim.imsi }),
        ...(cell && { plmn: cell.plmn }),
      };
    },
    async powerOn() {
      if (life !== 0 || !open) return;
      life = ++lives;
      await enqueue(async () => {
        await card.reset();
        await start();
      });
    },
    imsIdentity: () => inTurn(() => readIsim(card)),
    answerIms: (rand, autn) => inTurn(() => answerIms(card, rand, autn)),
    async powerOff() {
      if (life === 0) return;
      life = 0;
      queue = Promise.resolve();
      stop();
      await options.card.powerOff().catch(() => undefined);
    },
    async close() {
      if (life !== 0) {
        await enqueue(async () => {
          const context = emm.end(true);
          if (context !== undefined) await storeSecurity(card, context.state);
          await sayStatusOfApplication(card, 2);
        });
        life = 0;
        stop();
        await options.card.powerOff().catch(() => undefined);
      }
      if (open) socket.close();
      open = false;
    },
  };
}
