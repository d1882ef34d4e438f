/**
 * The short message service centre: SMPP towards ESMEs, S6c and SGd towards the network (TS 29.338). It
 * stores and forwards: what an absent device could not take waits for its alert, or for the next try.
 */
import { createHash } from 'node:crypto';
import type { Edge, Endpoint, Timer } from '../../edge/index.ts';
import { DecodeError, concat } from '../../standards/bytes/index.ts';
import {
  APPLICATION,
  EXPERIMENTAL_RESULT,
  RESULT,
  SM_DELIVERY_CAUSE,
  alertServiceCentre,
  answerOf,
  errorAnswer,
  experimental,
  moForwardShortMessage,
  mtForwardShortMessage,
  readAnswer,
  readRequest,
  reportSmDeliveryStatus,
  requestOf,
  resultOf,
  sendRoutingInfoForSm,
  succeeded,
  type Message,
} from '../../standards/diameter/index.ts';
import {
  decodeTpduFromDevice,
  encodeHeader,
  encodeTpdu,
  international,
  readHeader,
  type UserData,
} from '../../standards/sms/index.ts';
import { Reader } from '../../standards/bytes/index.ts';
import {
  COMMAND_STATUS,
  ESM_CLASS,
  MESSAGE_STATE,
  REGISTERED_DELIVERY,
  TLV,
  encodeReceipt,
  tlvOf,
  type ReceiptState,
  type ShortMessage,
} from '../../standards/smpp/index.ts';
import { createDiameterNode, type DiameterNode } from '../wire/diameter.ts';
import { refusal, serveSmpp, type SmppRequest, type SmppSession } from '../wire/smpp.ts';
import { createPace } from '../wire/pace.ts';
import { receiptDate, validityOf } from './smpp-time.ts';
import type { OperatorStore } from './store.ts';

/** Pauses between tries at a device that is not there and does not alert, in milliseconds. */
const RETRY = [30_000, 120_000, 600_000, 3_600_000, 4 * 3_600_000];
/** How long the network may take over a delivery, in milliseconds: longer than the MME's own timers. */
const DELIVERY_TIME = 60_000;
/** Deliveries under way at once. */
const AT_ONCE = 64;

export interface EsmeAccount {
  systemId: string;
  /** at most 8 characters */
  password: string;
  /** numbers whose messages from devices go to it */
  addresses: readonly string[];
  /** messages a second; more are answered with ESME_RTHROTTLED; no limit if not given */
  ratePerSecond?: number;
  /** messages of it that may wait for their devices; more are answered with ESME_RMSGQFUL; no limit if not given */
  queue?: number;
}

export interface SmscOptions {
  edge: Edge;
  store: OperatorStore;
  host: string;
  realm: string;
  /** where visited networks connect (SGd) */
  listen: Endpoint;
  /** the HSS (S6c) */
  hss: Endpoint;
  /** where ESMEs connect */
  smpp: Endpoint;
  /** E.164 number of this service centre */
  address: string;
  accounts: readonly EsmeAccount[];
  /** milliseconds of the Diameter watchdog */
  watchdogMs?: number;
}

export interface Smsc {
  readonly endpoint: Endpoint;
  readonly node: DiameterNode;
  close(): Promise<void>;
}

export async function createSmsc(options: SmscOptions): Promise<Smsc> {
  const { edge, store } = options;
  const { database } = store;
  const origin = { originHost: options.host, originRealm: options.realm };
  const insert = database.prepare(
    `INSERT INTO sms (esme, source, destination, pid, dcs, udhi, text, registered, state, submitted, due, expires)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ${MESSAGE_STATE.ENROUTE}, ?, ?, ?)`,
  );
  const due = database.prepare(`SELECT * FROM sms WHERE state = 1 AND due <= ? ORDER BY due, id LIMIT ?`);
  const nextDue = database.prepare('SELECT min(due) AS due FROM sms WHERE state = 1');
  const postpone = database.prepare(
    'UPDATE sms SET due = ?, attempts = attempts + ? WHERE id = ? AND state = 1',
  );
  const settle = database.prepare('UPDATE sms SET state = ?, error = ? WHERE id = ? AND state = 1');
  const find = database.prepare('SELECT * FROM sms WHERE id = ?');
  const alerted = database.prepare('UPDATE sms SET due = ? WHERE destination = ? AND state = 1');
  database.exec(`
    CREATE INDEX IF NOT EXISTS sms_esme ON sms (esme) WHERE state = 1;
    CREATE TABLE IF NOT EXISTS sms_reference (
      esme TEXT NOT NULL, source TEXT NOT NULL, destination TEXT NOT NULL, reference BLOB NOT NULL, digest BLOB NOT NULL,
      sms INTEGER NOT NULL, PRIMARY KEY (esme, source, destination, reference, digest)
    ) STRICT, WITHOUT ROWID`);
  const queued = database.prepare(
    'SELECT count(*) AS n FROM (SELECT 1 FROM sms WHERE esme = ? AND state = 1 LIMIT ?)',
  );
  const knownAs = database.prepare(
    `SELECT sms FROM sms_reference
     WHERE esme = ? AND source = ? AND destination = ? AND reference = ? AND digest = ?`,
  );
  const refer = database.prepare('INSERT OR REPLACE INTO sms_reference VALUES (?, ?, ?, ?, ?, ?)');
  /** of ESMEs with an agreed rate: a second's worth may come at once, as networks do not keep a pace */
  const paces = new Map(
    options.accounts.flatMap(({ systemId, ratePerSecond }) =>
      ratePerSecond === undefined
        ? []
        : [[systemId, createPace(edge.clock, { ratePerSecond }, Math.max(1, ratePerSecond))] as const],
    ),
  );
  const queues = new Map(options.accounts.map(({ systemId, queue }) => [systemId, queue]));
  const bound = new Map<string, Set<SmppSession>>();
  /** messages under way, and their destinations: one at a time to each device, in order */
  const flying = new Set<string>();
  let timer: Timer | undefined;
  let closed = false;

  const toEsme = (systemId: string, pdu: Omit<ShortMessage, 'sequence' | 'status'>): void => {
    const session = bound.get(systemId)?.values().next().value;
    if (session) void session.request(pdu).catch(() => undefined);
  };

  const delivery = (
    source: string,
    destination: string,
    esmClass: number,
    userData: UserData,
    pid: number,
    dcs: number,
  ): Omit<ShortMessage, 'sequence' | 'status'> => {
    const text = concat(encodeHeader(userData.header), userData.data);
    return {
      command: 'deliver_sm',
      serviceType: '',
      source: { ton: 1, npi: 1, address: source },
      destination: { ton: 1, npi: 1, address: destination },
      esmClass: esmClass | (userData.header.length > 0 ? ESM_CLASS.udhIndicator : 0),
      protocolId: pid,
      priority: 0,
      scheduleDeliveryTime: '',
      validityPeriod: '',
      registeredDelivery: 0,
      replaceIfPresent: 0,
      dataCoding: dcs,
      defaultMessageId: 0,
      shortMessage: text.length <= 254 ? text : new Uint8Array(0),
      tlvs: text.length <= 254 ? [] : [{ tag: TLV.message_payload, value: text }],
    };
  };

  const finish = (row: Record<string, unknown>, state: ReceiptState, error: number): void => {
    const code = {
      DELIVRD: 2,
      EXPIRED: 3,
      DELETED: 4,
      UNDELIV: 5,
      ACCEPTD: 6,
      UNKNOWN: 7,
      REJECTD: 8,
      ENROUTE: 1,
    }[state];
    if (settle.run(code, error, Number(row.id)).changes === 0) return;
    if ((Number(row.registered) & REGISTERED_DELIVERY.receipt) === 0) return;
    const receipt = encodeReceipt({
      id: String(row.id),
      submitDate: receiptDate(Number(row.submitted)),
      doneDate: receiptDate(edge.clock.now()),
      state,
      error: String(error).padStart(3, '0').slice(-3),
    });
    toEsme(
      String(row.esme),
      delivery(
        String(row.destination),
        String(row.source),
        ESM_CLASS.deliveryReceipt,
        { header: [], data: receipt },
        0,
        0,
      ),
    );
  };

  const later = (row: Record<string, unknown>): void => {
    const attempts = Number(row.attempts);
    const pause = RETRY[Math.min(attempts, RETRY.length - 1)]!;
    const at = edge.clock.now() + pause;
    if (at >= Number(row.expires)) finish(row, 'EXPIRED', 0);
    else postpone.run(at, 1, Number(row.id));
  };

  /** What the device answered to the delivery goes to the ESME that asked for it. */
  const acknowledge = (
    row: Record<string, unknown>,
    tpdu: Uint8Array | undefined,
    inError: boolean,
  ): void => {
    if (!tpdu || (Number(row.registered) & REGISTERED_DELIVERY.acknowledgement) === 0) return;
    try {
      const report = decodeTpduFromDevice(tpdu, inError);
      if (report.type !== 'deliverReport' || !report.userData) return;
      toEsme(
        String(row.esme),
        delivery(
          String(row.destination),
          String(row.source),
          ESM_CLASS.deliveryAcknowledgement,
          report.userData,
          report.pid ?? Number(row.pid),
          report.dcs ?? Number(row.dcs),
        ),
      );
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
    }
  };

  const reportOutcome = async (destination: string, smDeliveryCause: number): Promise<void> => {
    await node.request(
      requestOf(reportSmDeliveryStatus, {
        sessionId: node.sessionId(),
        ...origin,
        destinationRealm: options.realm,
        userIdentifier: { msisdn: destination },
        scAddress: options.address,
        smDeliveryOutcome: { mmeSmDeliveryOutcome: { smDeliveryCause } },
      }),
    );
  };

  const forward = async (row: Record<string, unknown>): Promise<void> => {
    const destination = String(row.destination);
    const route = readAnswer(
      sendRoutingInfoForSm,
      await node.request(
        requestOf(sendRoutingInfoForSm, {
          sessionId: node.sessionId(),
          ...origin,
          destinationRealm: options.realm,
          msisdn: destination,
          scAddress: options.address,
        }),
      ),
    );
    if (!succeeded(route) || !route.servingNode?.mmeName || !route.servingNode.mmeRealm || !route.userName) {
      const result = resultOf(route);
      if (result === EXPERIMENTAL_RESULT.userUnknown) finish(row, 'UNDELIV', 1);
      else later(row);
      return;
    }
    let userData: UserData = { header: [], data: row.text as Uint8Array };
    if (row.udhi === 1) {
      const reader = new Reader(row.text as Uint8Array);
      const header = readHeader(reader);
      userData = { header, data: reader.rest() };
    }
    const smRpUi = encodeTpdu({
      type: 'deliver',
      moreMessages: false,
      originator: international(String(row.source)),
      pid: Number(row.pid),
      dcs: Number(row.dcs),
      timeStamp: { time: edge.clock.now(), zone: 0 },
      userData,
    });
    const answer = readAnswer(
      mtForwardShortMessage,
      await node.request(
        requestOf(mtForwardShortMessage, {
          sessionId: node.sessionId(),
          ...origin,
          destinationHost: route.servingNode.mmeName,
          destinationRealm: route.servingNode.mmeRealm,
          userName: route.userName,
          scAddress: options.address,
          smRpUi,
        }),
        { timeoutMs: DELIVERY_TIME },
      ),
    );
    if (succeeded(answer)) {
      acknowledge(row, answer.smRpUi, false);
      finish(row, 'DELIVRD', 0);
      return;
    }
    switch (resultOf(answer)) {
      case EXPERIMENTAL_RESULT.absentUser:
        // The HSS remembers that a message waits, and alerts when the device is back.
        await reportOutcome(destination, SM_DELIVERY_CAUSE.absentUser);
        later(row);
        return;
      case EXPERIMENTAL_RESULT.smDeliveryFailure:
        acknowledge(row, answer.smRpUi ?? answer.smDeliveryFailureCause?.smDiagnosticInfo, true);
        if (answer.smDeliveryFailureCause?.smEnumeratedDeliveryFailureCause === 0) later(row);
        else finish(row, 'UNDELIV', 2);
        return;
      default:
        later(row);
    }
  };

  const pump = (): void => {
    timer?.cancel();
    timer = undefined;
    if (closed) return;
    const now = edge.clock.now();
    for (const row of due.all(now, AT_ONCE)) {
      const destination = String(row.destination);
      if (flying.size >= AT_ONCE || flying.has(destination)) continue;
      if (Number(row.expires) <= now) {
        finish(row, 'EXPIRED', 0);
        continue;
      }
      flying.add(destination);
      void forward(row)
        .catch(() => later(row))
        .finally(() => {
          flying.delete(destination);
          pump();
        });
    }
    if (flying.size > 0) return;
    const next = nextDue.get()?.due;
    if (next !== null && next !== undefined) timer = edge.clock.after(Math.max(1, Number(next) - now), pump);
  };

  const submit = (systemId: string, pdu: ShortMessage): ReturnType<typeof refusal> => {
    const now = edge.clock.now();
    const text =
      pdu.shortMessage.length > 0
        ? pdu.shortMessage
        : (tlvOf(pdu.tlvs, TLV.message_payload) ?? pdu.shortMessage);
    if (!/^[0-9]{3,20}$/.test(pdu.destination.address)) return refusal(pdu, COMMAND_STATUS.ESME_RINVDSTADR);
    if (!/^[0-9]{1,20}$/.test(pdu.source.address)) return refusal(pdu, COMMAND_STATUS.ESME_RINVSRCADR);
    if (text.length > 140) return refusal(pdu, COMMAND_STATUS.ESME_RINVMSGLEN);
    const accepted = (id: string): ReturnType<typeof refusal> => ({
      command: 'submit_sm_resp',
      sequence: pdu.sequence,
      status: 0,
      messageId: id,
    });
    // An ESME that did not hear our answer asks again: the same reference and the same text are the same message.
    const reference = tlvOf(pdu.tlvs, TLV.user_message_reference);
    const same = reference && [
      systemId,
      pdu.source.address,
      pdu.destination.address,
      reference,
      createHash('sha256').update(text).digest(),
    ];
    const known = same && knownAs.get(...same)?.sms;
    if (known !== undefined) return accepted(String(known));
    const pace = paces.get(systemId);
    if (pace?.free() === 0) return refusal(pdu, COMMAND_STATUS.ESME_RTHROTTLED);
    const queue = queues.get(systemId);
    if (queue !== undefined && Number(queued.get(systemId, queue)!.n) >= queue) {
      return refusal(pdu, COMMAND_STATUS.ESME_RMSGQFUL);
    }
    pace?.take();
    const { lastInsertRowid } = insert.run(
      systemId,
      pdu.source.address,
      pdu.destination.address,
      pdu.protocolId,
      pdu.dataCoding,
      (pdu.esmClass & ESM_CLASS.udhIndicator) === 0 ? 0 : 1,
      text,
      pdu.registeredDelivery,
      now,
      now,
      validityOf(pdu.validityPeriod, now),
    );
    if (same) refer.run(...same, lastInsertRowid);
    edge.observer?.happened('sms');
    queueMicrotask(pump);
    return accepted(String(lastInsertRowid));
  };

  const smpp = await serveSmpp({
    edge,
    at: options.smpp,
    systemId: 'SMSC',
    bind(pdu, session) {
      const account = options.accounts.find(({ systemId }) => systemId === pdu.systemId);
      if (!account) return COMMAND_STATUS.ESME_RINVSYSID;
      if (account.password !== pdu.password) return COMMAND_STATUS.ESME_RINVPASWD;
      const sessions = bound.get(account.systemId) ?? new Set();
      bound.set(account.systemId, sessions.add(session));
      void session.closed.then(() => sessions.delete(session));
      return COMMAND_STATUS.ESME_ROK;
    },
    answer(pdu: SmppRequest, session) {
      const systemId = [...bound].find(([, sessions]) => sessions.has(session))?.[0] ?? '';
      switch (pdu.command) {
        case 'submit_sm':
          return submit(systemId, pdu);
        case 'query_sm': {
          const row = find.get(Number(pdu.messageId));
          if (!row || row.esme !== systemId) return refusal(pdu, COMMAND_STATUS.ESME_RINVMSGID);
          const result = {
            messageId: pdu.messageId,
            finalDate: '',
            messageState: Number(row.state),
            errorCode: Number(row.error ?? 0),
          };
          return { command: 'query_sm_resp', sequence: pdu.sequence, status: 0, result };
        }
        case 'cancel_sm': {
          const row = find.get(Number(pdu.messageId));
          if (row?.esme !== systemId || Number(row.state) !== MESSAGE_STATE.ENROUTE) {
            return refusal(pdu, COMMAND_STATUS.ESME_RINVMSGID);
          }
          finish(row, 'DELETED', 0);
          return { command: 'cancel_sm_resp', sequence: pdu.sequence, status: 0 };
        }
        case 'deliver_sm':
          return refusal(pdu, COMMAND_STATUS.ESME_RINVCMDID);
      }
    },
  });

  /** From a device, by SGd. */
  const originated = (request: Message): Message => {
    const values = readRequest(moForwardShortMessage, request);
    const answer = (rest: object): Message =>
      answerOf(moForwardShortMessage, request, { sessionId: values.sessionId, ...origin, ...rest });
    const subscriber = values.userIdentifier.msisdn
      ? store.byMsisdn(values.userIdentifier.msisdn)
      : values.userIdentifier.userName
        ? store.byImsi(values.userIdentifier.userName)
        : undefined;
    if (subscriber?.state !== 'ready') return answer(experimental(EXPERIMENTAL_RESULT.userUnknown));
    const tpdu = decodeTpduFromDevice(values.smRpUi);
    if (tpdu.type !== 'submit') return answer(experimental(EXPERIMENTAL_RESULT.facilityNotSupported));
    const number = tpdu.destination.value;
    const account = options.accounts.find(({ addresses }) => addresses.includes(number));
    if (!account || !bound.get(account.systemId)?.size) {
      return answer(experimental(EXPERIMENTAL_RESULT.smDeliveryFailure));
    }
    toEsme(account.systemId, delivery(subscriber.msisdn, number, 0, tpdu.userData, tpdu.pid, tpdu.dcs));
    // No SMS-SUBMIT-REPORT: it would say nothing that the result does not (TS 29.338 §6.3.2.4).
    return answer({ resultCode: RESULT.success });
  };

  const node = await createDiameterNode({
    edge,
    ...origin,
    applications: [APPLICATION.s6c, APPLICATION.sgd],
    listen: options.listen,
    ...(options.watchdogMs === undefined ? {} : { watchdogMs: options.watchdogMs }),
    peers: [{ realm: options.realm, endpoint: options.hss }],
    handle(request) {
      switch (request.command) {
        case moForwardShortMessage.code:
          return originated(request);
        case alertServiceCentre.code: {
          const values = readRequest(alertServiceCentre, request);
          if (values.userIdentifier.msisdn) {
            alerted.run(edge.clock.now(), values.userIdentifier.msisdn);
            queueMicrotask(pump);
          }
          return answerOf(alertServiceCentre, request, {
            sessionId: values.sessionId,
            ...origin,
            resultCode: RESULT.success,
          });
        }
        default:
          return errorAnswer(request, origin, RESULT.commandUnsupported);
      }
    },
  });
  pump();
  return {
    endpoint: smpp.endpoint,
    node,
    async close() {
      closed = true;
      timer?.cancel();
      await smpp.close();
      await node.close();
    },
  };
}
