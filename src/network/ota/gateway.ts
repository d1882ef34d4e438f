/**
 * The OTA gateway: secures remote commands for a card (TS 102 225, TS 31.115), hands them to an SMSC by SMPP,
 * and waits for the card's proof of receipt. A message that was not proven is secured anew under the next
 * counter and sent again; the card tells repetitions by what they say, not by their number.
 */
import type { Edge, Endpoint, Timer } from '../../edge/index.ts';
import { DecodeError, concat, fromHex, toHex } from '../../standards/bytes/index.ts';
import {
  RESPONSE_STATUS,
  decodeCommandPacket,
  decodeKeyListStatus,
  decodePacketSms,
  encodeCommandPacket,
  encodePacketSms,
  keyByte,
  type CommandHeader,
  type KeyListStatus,
  type OtaAlgorithm,
  type SecurityParameters,
} from '../../standards/ota/index.ts';
import { encodeHeader } from '../../standards/sms/index.ts';
import {
  COMMAND_STATUS,
  ESM_CLASS,
  MESSAGE_STATE,
  REGISTERED_DELIVERY,
  decodeReceipt,
  TLV,
  type ShortMessage,
} from '../../standards/smpp/index.ts';
import { atomically } from '../wire/atomically.ts';
import { connectSmpp, type Esme } from '../wire/smpp.ts';
import type { KeyVault, OtaKeyPair } from '../vault/vault.ts';
import { readResponse, resultOfScript, userDataOf, type OtaResult } from './proof.ts';
import { createPace, type SmscLimits } from '../wire/pace.ts';
import type { GatewayStore } from './store.ts';

/**
 * Checksum, ciphering, a counter that must rise; proof always, at once, with a checksum. The proof is not
 * ciphered: it says no more than that a command was done, and is one cipher block shorter on the air.
 */
const SECURITY: SecurityParameters = {
  integrity: 'cc',
  ciphered: true,
  counter: 'higher',
  proof: 'always',
  proofIntegrity: 'cc',
  proofCiphered: false,
  proofBy: 'deliverReport',
};
const headerOf = (keySet: number, algorithm: OtaAlgorithm, tar: Uint8Array): CommandHeader => {
  const byte = keyByte(keySet, algorithm);
  return { security: SECURITY, kic: byte, kid: byte, tar };
};

/** Under which cards report by themselves. */
const REPORT_KEY_SET = 1;

/** How long a submitted message may stay without proof before it is sent again, in milliseconds. */
const PROOF_TIME = 300_000;
/** First pause after a failure, doubled each time up to the longest, in milliseconds. */
const PAUSE = 30_000;
const LONGEST_PAUSE = 3_600_000;
/** How often a command is sent before it counts as unproven. */
const ATTEMPTS = 8;
/** How often a message whose submission was not answered is submitted again as it is. */
const DOUBTS = 3;
/** What goes first when not all can go: what ends a trial, then what begins one, then the rest. */
const URGENCY = `CASE command WHEN 'commit' THEN 0 WHEN 'cancel' THEN 0 WHEN 'switch' THEN 1 ELSE 2 END`;
const URGENCIES = [0, 1, 2];
/** The service centre is too busy: the message is as good as before. */
const BUSY: readonly number[] = [COMMAND_STATUS.ESME_RTHROTTLED, COMMAND_STATUS.ESME_RMSGQFUL];

export type { OtaResult };

export interface OtaCommand {
  /** with `command` the name of this one: sent once however often it is asked for */
  change: string;
  command: string;
  iccid: string;
  imsi: string;
  /** 1–15 */
  keySet: number;
  tar: Uint8Array;
  /** a script in compact or expanded format (TS 102 226) */
  script: Uint8Array;
}

export interface OtaGateway {
  send(command: OtaCommand): void;
  /** Stops sending a command that has no proof yet; what the service centre still has of it is cancelled. */
  withdraw(change: string, command: string): void;
  /** The same for all commands of a change. */
  withdrawAll(change: string): void;
  /** What came of a command; undefined while it is not known. */
  resultOf(change: string, command: string): OtaResult | undefined;
  close(): void;
}

export interface OtaGatewayOptions {
  edge: Edge;
  store: GatewayStore;
  vault: KeyVault;
  smsc: Endpoint;
  systemId: string;
  password: string;
  /** what was agreed with the service centre */
  limits?: SmscLimits;
  /** the gateway's own number, to which cards report */
  address: string;
  proved(command: { change: string; command: string; imsi: string }, result: OtaResult): void;
  /** a card said by itself where it stands, e.g. after it fell back */
  reported(iccid: string, imsi: string, status: KeyListStatus): void;
}

export function createOtaGateway(options: OtaGatewayOptions): OtaGateway {
  const { edge, store, vault } = options;
  const { database } = store;
  const insert = database.prepare(
    `INSERT INTO ota_message (id, change, command, iccid, imsi, key_set, tar, script, state, due)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'queued', ?) ON CONFLICT (id) DO NOTHING`,
  );
  const find = database.prepare('SELECT * FROM ota_message WHERE id = ?');
  database.exec(
    `CREATE INDEX IF NOT EXISTS ota_urgent ON ota_message (${URGENCY}, due) WHERE state IN ('queued', 'sent')`,
  );
  const due = database.prepare(
    `SELECT * FROM ota_message WHERE state IN ('queued', 'sent') AND ${URGENCY} = ? AND due <= ?
     ORDER BY due LIMIT ?`,
  );
  const nextDue = database.prepare(
    `SELECT min(due) AS due FROM ota_message WHERE state IN ('queued', 'sent')`,
  );
  const sending = database.prepare(
    `UPDATE ota_message SET state = 'sent', attempts = attempts + 1, counter = ?,
       first_counter = coalesce(first_counter, ?), due = ? WHERE id = ? AND state IN ('queued', 'sent')`,
  );
  const later = database.prepare(
    `UPDATE ota_message SET due = ? WHERE id = ? AND state IN ('queued', 'sent')`,
  );
  const restart = database.prepare(
    `UPDATE ota_message SET state = 'queued', attempts = 0, due = ? WHERE id = ? AND state = 'unproven'`,
  );
  const end = database.prepare('UPDATE ota_message SET state = ?, result = ? WHERE id = ?');
  const waiting = database.prepare(`SELECT * FROM ota_message WHERE iccid = ? AND state = 'sent'`);
  const openOf = database.prepare(
    `SELECT id FROM ota_message WHERE change = ? AND state IN ('queued', 'sent')`,
  );
  const withdraw = database.prepare(
    `UPDATE ota_message SET state = 'withdrawn' WHERE id = ? AND state IN ('queued', 'sent')`,
  );
  const submitted = database.prepare('INSERT OR REPLACE INTO ota_part (message_id, id) VALUES (?, ?)');
  const partsOf = database.prepare('SELECT message_id FROM ota_part WHERE id = ?');
  const ofPart = database.prepare('SELECT id FROM ota_part WHERE message_id = ?');
  const forgetParts = database.prepare('DELETE FROM ota_part WHERE id = ?');
  /** of what the service centre still holds: the pause before it was asked last */
  const asked = new Map<string, number>();
  /**
   * of messages that the service centre was too busy for, or did not answer: to be submitted again as they are, from
   * that part on. A copy more is told by its counter.
   */
  const begun = new Map<string, { counter: number; part: number; doubts: number }>();
  const pace = createPace(edge.clock, options.limits);
  let timer: Timer | undefined;
  let flying = 0;
  let closed = false;

  /** What was given to the service centre is no more: it was sent anew, or has come to its end. */
  const forget = (id: string): void => {
    forgetParts.run(id);
    asked.delete(id);
    begun.delete(id);
  };

  const idOf = (change: string, command: string): string => `${change} ${command}`;
  const pauseAfter = (attempts: number): number =>
    Math.min(PAUSE * 2 ** Math.min(attempts - 1, 20), LONGEST_PAUSE);

  const keysFor = <T>(
    iccid: string,
    keySet: number,
    use: (keys: OtaKeyPair, algorithm: OtaAlgorithm) => T,
  ): T => {
    const keys = store.otaKeys(iccid, keySet);
    if (!keys) throw new Error(`no OTA key set ${keySet} for card ${iccid}`);
    return vault.withOtaKeys(keys.label, keys.ota, (pair) => use(pair, keys.algorithm));
  };

  const finish = (row: Record<string, unknown>, result: OtaResult): void => {
    const kept = result.result === 'done' ? { ...result, data: toHex(result.data) } : result;
    // What the answer is, what comes of it and that it was told: a crash loses all or nothing of it.
    atomically(database, () => {
      end.run(result.result, JSON.stringify(kept), String(row.id));
      forget(String(row.id));
      options.proved(
        { change: String(row.change), command: String(row.command), imsi: String(row.imsi) },
        result,
      );
    });
  };

  /** Whether the service centre still has a part of the last attempt and will try again by itself. */
  const underWay = async (id: string): Promise<boolean> => {
    for (const { message_id: messageId } of partsOf.all(id)) {
      const answer = await esme.request({
        command: 'query_sm',
        messageId: String(messageId),
        source: { ton: 1, npi: 1, address: options.address },
      });
      const state = 'result' in answer ? answer.result?.messageState : undefined;
      if (state === MESSAGE_STATE.ENROUTE || state === MESSAGE_STATE.ACCEPTED) return true;
    }
    return false;
  };

  const isOpen = (id: string): boolean => ['queued', 'sent'].includes(String(find.get(id)?.state));

  /** What the service centre still holds of a command must not arrive either. */
  const callBack = (id: string): void => {
    const destination = store.byImsi(String(find.get(id)!.imsi))?.msisdn;
    for (const { message_id: messageId } of partsOf.all(id)) {
      if (destination === undefined) break;
      void esme
        .request({
          command: 'cancel_sm',
          serviceType: '',
          messageId: String(messageId),
          source: { ton: 1, npi: 1, address: options.address },
          destination: { ton: 1, npi: 1, address: destination },
        })
        .catch(() => undefined);
    }
    forget(id);
  };

  const submit = async (row: Record<string, unknown>): Promise<void> => {
    const id = String(row.id);
    const iccid = String(row.iccid);
    const keySet = Number(row.key_set);
    const subscriber = store.byImsi(String(row.imsi));
    if (!subscriber || !store.otaKeys(iccid, keySet)) {
      finish(row, { result: 'unproven' });
      return;
    }
    const before = begun.get(id);
    if (row.state === 'sent' && !before) {
      // What the service centre holds is not sent a second time.
      const held = await underWay(id);
      // Proven or withdrawn meanwhile.
      if (closed || !isOpen(id)) return;
      if (held) {
        // It says itself when that is over; it is asked in case its word got lost.
        const pause = Math.min(2 * (asked.get(id) ?? PROOF_TIME / 2), LONGEST_PAUSE);
        asked.set(id, pause);
        later.run(edge.clock.now() + pause, id);
        return;
      }
    }
    if (!before && Number(row.attempts) >= ATTEMPTS) {
      finish(row, { result: 'unproven' });
      return;
    }
    let counter: number;
    if (before) counter = before.counter;
    else {
      counter = store.takeCounter(iccid, keySet);
      forget(id);
      sending.run(counter, counter, edge.clock.now() + PROOF_TIME, id);
    }
    const packet = keysFor(iccid, keySet, (keys, algorithm) =>
      encodeCommandPacket(
        {
          ...headerOf(keySet, algorithm, row.tar as Uint8Array),
          counter,
          data: row.script as Uint8Array,
        },
        keys,
      ),
    );
    const parts = encodePacketSms('command', packet, counter & 0xff);
    for (let i = before?.part ?? 0; i < parts.length; i++) {
      if (i > (before?.part ?? 0)) await pace.turn();
      if (closed) return;
      // Until it is answered nothing is known of it.
      const doubts = before?.part === i ? before.doubts : 0;
      if (doubts < DOUBTS) begun.set(id, { counter, part: i, doubts: doubts + 1 });
      else begun.delete(id);
      const response = await esme.request({
        command: 'submit_sm',
        serviceType: '',
        source: { ton: 1, npi: 1, address: options.address },
        destination: { ton: 1, npi: 1, address: subscriber.msisdn },
        esmClass: ESM_CLASS.udhIndicator,
        protocolId: 0x7f,
        priority: 0,
        scheduleDeliveryTime: '',
        validityPeriod: '',
        registeredDelivery: REGISTERED_DELIVERY.receipt | REGISTERED_DELIVERY.acknowledgement,
        replaceIfPresent: 0,
        dataCoding: 0xf6,
        defaultMessageId: 0,
        shortMessage: concat(encodeHeader(parts[i]!.header), parts[i]!.data),
        // By which the service centre tells a copy.
        tlvs: [
          { tag: TLV.user_message_reference, value: Uint8Array.of((counter >> 8) & 0xff, counter & 0xff) },
        ],
      });
      if (closed) return;
      if (BUSY.includes(response.status)) {
        pace.throttled();
        if (isOpen(id)) begun.set(id, { counter, part: i, doubts });
        else callBack(id);
        // In its place before those that came later.
        later.run(Number(row.due), id);
        return;
      }
      begun.delete(id);
      if (response.status !== COMMAND_STATUS.ESME_ROK || !('messageId' in response)) {
        throw new Error(`SMSC refused with status 0x${response.status.toString(16)}`);
      }
      pace.accepted();
      submitted.run(String(response.messageId), id);
      // Withdrawn while it was on its way to the service centre.
      if (find.get(id)?.state === 'withdrawn') {
        callBack(id);
        return;
      }
    }
  };

  const pump = (): void => {
    timer?.cancel();
    timer = undefined;
    if (closed || !esme.isBound) return;
    const now = edge.clock.now();
    for (const urgency of URGENCIES) {
      for (const row of due.all(urgency, now, Math.max(0, Math.min(pace.window - flying, pace.free()))))
        begin(row);
    }
    if (flying >= pace.window) return;
    const next = nextDue.get()?.due;
    if (next !== null && next !== undefined) {
      timer = edge.clock.after(Math.max(Number(next) - now, pace.free() > 0 ? 1 : pace.wait()), pump);
    }
  };

  const begin = (row: Record<string, unknown>): void => {
    flying++;
    pace.take();
    const id = String(row.id);
    // Out of the way of a second claim while it is under way.
    later.run(edge.clock.now() + PROOF_TIME, id);
    void submit(row)
      .catch(() => {
        if (!closed) later.run(edge.clock.now() + pauseAfter(Number(row.attempts) + 1), id);
      })
      .finally(() => {
        flying--;
        pump();
      });
  };

  /** A response packet of the card, by deliver report, or by a message of its own where it is long. */
  const proof = (msisdn: string, packet: Uint8Array): void => {
    const subscriber = store.byMsisdn(msisdn);
    if (!subscriber) return;
    const { iccid } = subscriber;
    for (const row of waiting.all(iccid)) {
      if (String(row.imsi) !== subscriber.imsi || !store.otaKeys(iccid, Number(row.key_set))) continue;
      const response = keysFor(iccid, Number(row.key_set), (keys, algorithm) =>
        readResponse(packet, headerOf(Number(row.key_set), algorithm, row.tar as Uint8Array), keys),
      );
      // Unsecured refusals anyone could have sent: they decide nothing, the retry does.
      if (!response?.secured) continue;
      const { counter, status, data } = response;
      if (counter < Number(row.first_counter) || counter > Number(row.counter)) continue;
      if (status === RESPONSE_STATUS.bySubmit) return;
      if (status === RESPONSE_STATUS.ok) finish(row, resultOfScript(row.script as Uint8Array, data));
      else {
        // Seen before (counter low) or no room: what became of it is asked by sending anew.
        forget(String(row.id));
        later.run(edge.clock.now() + PAUSE, String(row.id));
        pump();
      }
      return;
    }
  };

  /** A card speaks first: a command packet under its keys of set 1, its state inside. */
  const report = (msisdn: string, packet: Uint8Array): void => {
    const subscriber = store.byMsisdn(msisdn);
    if (!subscriber || !store.otaKeys(subscriber.iccid, REPORT_KEY_SET)) return;
    const received = keysFor(subscriber.iccid, REPORT_KEY_SET, (keys) =>
      decodeCommandPacket(packet, { keysOf: () => keys }),
    );
    if (received.status !== RESPONSE_STATUS.ok || received.header.security.integrity !== 'cc') return;
    options.reported(subscriber.iccid, subscriber.imsi, decodeKeyListStatus(received.data));
  };

  const deliver = (pdu: ShortMessage): number => {
    try {
      const kind = pdu.esmClass & ESM_CLASS.messageType;
      if (kind === ESM_CLASS.deliveryReceipt) {
        const receipt = decodeReceipt(pdu.shortMessage);
        const id = ofPart.get(receipt.id)?.id;
        const row = id === undefined ? undefined : find.get(String(id));
        if (row?.state === 'sent' && receipt.state !== 'DELIVRD') {
          later.run(edge.clock.now() + pauseAfter(Number(row.attempts)), String(row.id));
          pump();
        }
      } else {
        const userData = userDataOf(pdu);
        const response = decodePacketSms('response', userData);
        if (response) proof(pdu.source.address, response);
        else if (kind !== ESM_CLASS.deliveryAcknowledgement) {
          const command = decodePacketSms('command', userData);
          if (command) report(pdu.source.address, command);
        }
      }
    } catch (error) {
      // What cannot be read was not for us; the SMSC must not send it again.
      if (!(error instanceof DecodeError)) throw error;
    }
    return COMMAND_STATUS.ESME_ROK;
  };

  const esme: Esme = connectSmpp({
    edge,
    to: options.smsc,
    systemId: options.systemId,
    password: options.password,
    deliver,
    bound: () => pump(),
  });

  const keptResult = (json: string): OtaResult => {
    const kept = JSON.parse(json) as OtaResult & { data?: string };
    return kept.result === 'done' ? { result: 'done', data: fromHex(kept.data ?? '') } : kept;
  };

  const stopSending = (id: string): void => {
    if (withdraw.run(id).changes > 0) callBack(id);
  };

  return {
    send({ change, command, iccid, imsi, keySet, tar, script }) {
      const id = idOf(change, command);
      const now = edge.clock.now();
      insert.run(id, change, command, iccid, imsi, keySet, tar, script, now);
      const row = find.get(id);
      if (row && toHex(row.script as Uint8Array) !== toHex(script)) {
        throw new Error(`command ${id} was given before with other content`);
      }
      if (row?.result && row.state !== 'unproven') {
        options.proved({ change, command, imsi }, keptResult(String(row.result)));
        return;
      }
      restart.run(now, id);
      // Nothing leaves before what asked for it is on disk.
      queueMicrotask(pump);
    },
    withdraw: (change, command) => stopSending(idOf(change, command)),
    withdrawAll(change) {
      for (const { id } of openOf.all(change)) stopSending(String(id));
    },
    resultOf(change, command) {
      const row = find.get(idOf(change, command));
      return row?.result ? keptResult(String(row.result)) : undefined;
    },
    close() {
      closed = true;
      timer?.cancel();
      pace.close();
      esme.close();
    },
  };
}
