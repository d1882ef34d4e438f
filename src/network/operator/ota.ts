/**
 * The OTA gateway: secures remote commands for a card (TS 102 225, TS 31.115), hands them to an SMSC by SMPP,
 * and waits for the card's proof of receipt. A message that was not proven is secured anew under the next
 * counter and sent again; the card tells repetitions by what they say, not by their number.
 */
import type { Edge, Endpoint, Timer } from '../../edge/index.ts';
import { DecodeError, concat } from '../../standards/bytes/index.ts';
import {
  KEY_LIST_KEY_SET,
  KEY_LIST_TAR,
  RESPONSE_STATUS,
  decodeCommandPacket,
  decodeCompactResponse,
  decodeKeyListStatus,
  decodePacketSms,
  decodeResponsePacket,
  encodeCommandPacket,
  encodeCompactCommands,
  encodePacketSms,
  keyByte,
  type CommandHeader,
  type KeyListStatus,
  type SecurityParameters,
} from '../../standards/ota/index.ts';
import { encodeHeader, readHeader, type UserData } from '../../standards/sms/index.ts';
import { Reader, toHex } from '../../standards/bytes/index.ts';
import {
  COMMAND_STATUS,
  ESM_CLASS,
  REGISTERED_DELIVERY,
  decodeReceipt,
  tlvOf,
  TLV,
  type ShortMessage,
} from '../../standards/smpp/index.ts';
import { connectSmpp, type Esme } from '../wire/smpp.ts';
import type { KeyVault, OtaKeyPair } from '../vault/vault.ts';
import type { OperatorStore } from './store.ts';

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
const KEY_BYTE = keyByte(KEY_LIST_KEY_SET, 'aes');
const HEADER: CommandHeader = { security: SECURITY, kic: KEY_BYTE, kid: KEY_BYTE, tar: KEY_LIST_TAR };

/** How long a submitted message may stay without proof before it is sent again, in milliseconds. */
const PROOF_TIME = 300_000;
/** First pause after a failure, doubled each time up to the longest, in milliseconds. */
const PAUSE = 30_000;
const LONGEST_PAUSE = 3_600_000;
/** How often a command is sent before it counts as unproven. */
const ATTEMPTS = 8;
/** Messages under way to the SMSC at once: its window. */
const WINDOW = 32;

/** What came of a command. `unproven`: nothing is known; the card may have done it. */
export type OtaResult = { result: 'done' } | { result: 'refused'; sw: number } | { result: 'unproven' };

export interface OtaCommand {
  /** names the command: sent once however often it is asked for */
  change: string;
  command: 'switch' | 'commit' | 'cancel';
  iccid: string;
  imsi: string;
  /** one command of the list application */
  apdu: Uint8Array;
}

export interface OtaGateway {
  send(command: OtaCommand): void;
  /** Stops sending a command that has no proof yet. */
  withdraw(change: string, command: OtaCommand['command']): void;
  close(): void;
}

export interface OtaGatewayOptions {
  edge: Edge;
  store: OperatorStore;
  vault: KeyVault;
  smsc: Endpoint;
  systemId: string;
  password: string;
  /** the gateway's own number, to which cards report */
  address: string;
  proved(command: { change: string; command: string; imsi: string }, result: OtaResult): void;
  /** a card said by itself where it stands, e.g. after it fell back */
  reported(iccid: string, imsi: string, status: KeyListStatus): void;
}

/** Header and text of a short message as SMPP carries them. */
function userDataOf(pdu: ShortMessage): UserData {
  const bytes =
    pdu.shortMessage.length > 0
      ? pdu.shortMessage
      : (tlvOf(pdu.tlvs, TLV.message_payload) ?? pdu.shortMessage);
  if ((pdu.esmClass & ESM_CLASS.udhIndicator) === 0) return { header: [], data: bytes };
  const reader = new Reader(bytes);
  const header = readHeader(reader);
  return { header, data: reader.rest() };
}

export function createOtaGateway(options: OtaGatewayOptions): OtaGateway {
  const { edge, store, vault } = options;
  const { database } = store;
  const insert = database.prepare(
    `INSERT INTO ota_message (id, change, command, iccid, imsi, tar, apdu, state, due)
     VALUES (?, ?, ?, ?, ?, ?, ?, 'queued', ?) ON CONFLICT (id) DO NOTHING`,
  );
  const find = database.prepare('SELECT * FROM ota_message WHERE id = ?');
  const due = database.prepare(
    `SELECT * FROM ota_message WHERE state IN ('queued', 'sent') AND due <= ? ORDER BY due LIMIT ?`,
  );
  const nextDue = database.prepare(
    `SELECT min(due) AS due FROM ota_message WHERE state IN ('queued', 'sent')`,
  );
  const sending = database.prepare(
    `UPDATE ota_message SET state = 'sent', attempts = attempts + 1, counter = ?,
       first_counter = coalesce(first_counter, ?), due = ? WHERE id = ?`,
  );
  const later = database.prepare(
    `UPDATE ota_message SET due = ? WHERE id = ? AND state IN ('queued', 'sent')`,
  );
  const restart = database.prepare(
    `UPDATE ota_message SET state = 'queued', attempts = 0, due = ? WHERE id = ? AND state = 'unproven'`,
  );
  const end = database.prepare('UPDATE ota_message SET state = ?, result = ? WHERE id = ?');
  const openOf = database.prepare(
    `SELECT * FROM ota_message WHERE iccid = ? AND state = 'sent' AND first_counter <= ? AND counter >= ?`,
  );
  const withdraw = database.prepare(
    `UPDATE ota_message SET state = 'withdrawn' WHERE id = ? AND state IN ('queued', 'sent')`,
  );
  /** message_id of the SMSC → command id, of what is under way */
  const submitted = new Map<string, string>();
  let timer: Timer | undefined;
  let flying = 0;
  let closed = false;
  let reference = 0;

  const idOf = (change: string, command: string): string => `${change} ${command}`;
  const pauseAfter = (attempts: number): number =>
    Math.min(PAUSE * 2 ** Math.min(attempts - 1, 20), LONGEST_PAUSE);

  const keysFor = <T>(iccid: string, use: (keys: OtaKeyPair) => T): T => {
    const keys = store.otaKeys(iccid, KEY_LIST_KEY_SET);
    if (!keys) throw new Error(`no OTA keys for card ${iccid}`);
    return vault.withOtaKeys(keys.label, keys.ota, use);
  };

  const finish = (row: Record<string, unknown>, result: OtaResult): void => {
    end.run(result.result, JSON.stringify(result), String(row.id));
    options.proved(
      { change: String(row.change), command: String(row.command), imsi: String(row.imsi) },
      result,
    );
  };

  const submit = async (row: Record<string, unknown>): Promise<void> => {
    const id = String(row.id);
    const iccid = String(row.iccid);
    const subscriber = store.byImsi(String(row.imsi));
    if (!subscriber) {
      finish(row, { result: 'unproven' });
      return;
    }
    const counter = store.takeCounter(iccid, KEY_LIST_KEY_SET);
    sending.run(counter, counter, edge.clock.now() + PROOF_TIME, id);
    const packet = keysFor(iccid, (keys) =>
      encodeCommandPacket(
        { ...HEADER, counter, data: encodeCompactCommands([row.apdu as Uint8Array]) },
        keys,
      ),
    );
    reference = (reference + 1) & 0xff;
    for (const part of encodePacketSms('command', packet, reference)) {
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
        shortMessage: concat(encodeHeader(part.header), part.data),
        tlvs: [],
      });
      if (response.status !== COMMAND_STATUS.ESME_ROK || !('messageId' in response)) {
        throw new Error(`SMSC refused with status 0x${response.status.toString(16)}`);
      }
      submitted.set(String(response.messageId), id);
    }
  };

  const pump = (): void => {
    timer?.cancel();
    timer = undefined;
    if (closed || !esme.isBound) return;
    const now = edge.clock.now();
    for (const row of due.all(now, WINDOW - flying)) {
      if (Number(row.attempts) >= ATTEMPTS) {
        finish(row, { result: 'unproven' });
        continue;
      }
      flying++;
      const again = (): void =>
        void later.run(edge.clock.now() + pauseAfter(Number(row.attempts) + 1), String(row.id));
      // Out of the way of a second claim while it is under way.
      later.run(now + PROOF_TIME, String(row.id));
      void submit(row)
        .catch(again)
        .finally(() => {
          flying--;
          pump();
        });
    }
    if (flying >= WINDOW) return;
    const next = nextDue.get()?.due;
    if (next !== null && next !== undefined) timer = edge.clock.after(Math.max(1, Number(next) - now), pump);
  };

  /** A response packet of the card, by deliver report. */
  const proof = (msisdn: string, userData: UserData): void => {
    const subscriber = store.byMsisdn(msisdn);
    const packet = decodePacketSms('response', userData);
    if (!subscriber || !packet) return;
    const { iccid } = subscriber;
    const response = keysFor(iccid, (keys) => decodeResponsePacket(packet, HEADER, keys));
    // Unsecured refusals anyone could have sent: they decide nothing, the retry does.
    if (!response.secured) return;
    const row = openOf.get(iccid, response.counter, response.counter);
    if (!row || String(row.imsi) !== subscriber.imsi) return;
    if (response.status !== RESPONSE_STATUS.ok) {
      // Seen before (counter low) or no room: what became of it is asked by sending anew.
      later.run(edge.clock.now() + PAUSE, String(row.id));
      pump();
      return;
    }
    const { sw } = decodeCompactResponse(response.data);
    finish(row, sw === 0x9000 ? { result: 'done' } : { result: 'refused', sw });
  };

  /** A card speaks first: a command packet under its pair's keys, its state inside. */
  const report = (msisdn: string, userData: UserData): void => {
    const subscriber = store.byMsisdn(msisdn);
    const packet = decodePacketSms('command', userData);
    if (!subscriber || !packet) return;
    const received = keysFor(subscriber.iccid, (keys) => decodeCommandPacket(packet, { keysOf: () => keys }));
    if (received.status !== RESPONSE_STATUS.ok || received.header.security.integrity !== 'cc') return;
    options.reported(subscriber.iccid, subscriber.imsi, decodeKeyListStatus(received.data));
  };

  const deliver = (pdu: ShortMessage): number => {
    try {
      const kind = pdu.esmClass & ESM_CLASS.messageType;
      if (kind === ESM_CLASS.deliveryReceipt) {
        const receipt = decodeReceipt(pdu.shortMessage);
        const id = submitted.get(receipt.id);
        submitted.delete(receipt.id);
        const row = id === undefined ? undefined : find.get(id);
        if (row?.state === 'sent' && receipt.state !== 'DELIVRD') {
          later.run(edge.clock.now() + pauseAfter(Number(row.attempts)), String(row.id));
          pump();
        }
      } else if (kind === ESM_CLASS.deliveryAcknowledgement) {
        proof(pdu.source.address, userDataOf(pdu));
      } else {
        report(pdu.source.address, userDataOf(pdu));
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

  return {
    send({ change, command, iccid, imsi, apdu }) {
      const id = idOf(change, command);
      const now = edge.clock.now();
      insert.run(id, change, command, iccid, imsi, KEY_LIST_TAR, apdu, now);
      const row = find.get(id);
      if (row && toHex(row.apdu as Uint8Array) !== toHex(apdu)) {
        throw new Error(`command ${id} was given before with other content`);
      }
      if (row?.result && row.state !== 'unproven') {
        options.proved({ change, command, imsi }, JSON.parse(String(row.result)) as OtaResult);
        return;
      }
      restart.run(now, id);
      pump();
    },
    withdraw: (change, command) => void withdraw.run(idOf(change, command)),
    close() {
      closed = true;
      timer?.cancel();
      esme.close();
    },
  };
}
