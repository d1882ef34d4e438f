/** Short messages over NAS: control and relay layers of the device (TS 24.011), and what is for the card. */
import { DecodeError, toHex } from '../../standards/bytes/index.ts';
import {
  CP_CAUSE,
  DCS_CARD,
  IEI,
  PID_CARD,
  RP_CAUSE,
  TP_FCS,
  decodeCp,
  decodeRp,
  decodeTpduToDevice,
  encodeCp,
  encodeRp,
  encodeTpdu,
  type Address,
  type CpMessage,
  type RpMessage,
  type SmsDeliverReport,
  type UserData,
} from '../../standards/sms/index.ts';
import { SW, type DiallingNumber, type ResponseApdu } from '../../standards/uicc/index.ts';
import { sayStatus } from './card.ts';
import type { ModemEvent } from './event.ts';
import { CP_RETRANSMISSIONS, DURATION, MO_SMS_ATTEMPTS, type Timers } from './timers.ts';

export interface SmsWorld {
  timers: Timers;
  /** a CP message to the network. @returns false if there is no service */
  send(container: Uint8Array): boolean;
  /** ENVELOPE (SMS-PP DOWNLOAD) */
  toCard(serviceCentre: DiallingNumber, tpdu: Uint8Array): Promise<ResponseApdu>;
  observe(event: ModemEvent): void;
}

/** How a message of the card's fared. */
export type MoResult =
  | { kind: 'delivered' }
  | { kind: 'rpError'; cause: number }
  /** nobody answered, or no service */
  | { kind: 'noAnswer' };

export interface Sms {
  receive(container: Uint8Array): Promise<void>;
  /** Sends a TPDU; `done` is called once. One at a time; a later one waits. */
  submit(serviceCentre: DiallingNumber, tpdu: Uint8Array, done: (result: MoResult) => Promise<void>): void;
  /** Forgets everything under way; nobody is told. */
  reset(): void;
}

interface Submission {
  serviceCentre: DiallingNumber;
  tpdu: Uint8Array;
  attempts: number;
  transaction: number;
  reference: number;
  done: (result: MoResult) => Promise<void>;
}

/** Answered messages are kept, so that one sent again is answered again and not carried out twice. */
const REMEMBERED = 16;

/** RP-Causes after which the same message may do better (TS 24.011 §8.2.5.4: temporary). */
const WORTH_ANOTHER: ReadonlySet<number> = new Set([
  RP_CAUSE.networkOutOfOrder,
  RP_CAUSE.temporaryFailure,
  RP_CAUSE.congestion,
  RP_CAUSE.resourcesUnavailable,
]);

const toAddress = ({ tonNpi, digits }: DiallingNumber): Address => ({
  type: ((tonNpi >> 4) & 7) === 1 ? 'international' : 'unknown',
  plan: tonNpi & 15,
  value: digits,
});

const fromAddress = ({ type, plan, value }: Address): DiallingNumber => ({
  tonNpi: (type === 'international' ? 0x90 : 0x80) | plan,
  digits: value,
});

/** Class 2 by data coding scheme (TS 23.038 §4). */
const isClass2 = (dcs: number): boolean =>
  (dcs >> 4 === 15 && (dcs & 3) === 2) || ((dcs & 0xd0) === 0x10 && (dcs & 3) === 2);

/** A response packet begins with its own header, 02 71 00 (TS 31.115 §5.1). */
function reportData(data: Uint8Array): UserData {
  return data.length >= 3 && data[0] === 2 && data[1] === IEI.responsePacket && data[2] === 0
    ? { header: [{ iei: IEI.responsePacket, data: new Uint8Array() }], data: data.subarray(3) }
    : { header: [], data };
}

export function createSms(world: SmsWorld): Sms {
  const { timers } = world;
  /** by transaction and RP message: the RP message that answered, undefined while the card works */
  const known = new Map<string, Uint8Array | undefined>();
  const waiting: Submission[] = [];
  let current: Submission | undefined;
  let nextTransaction = 0;
  let nextReference = 0;

  const transactionName = ({ transaction, fromInitiator }: CpMessage, mine: boolean): string =>
    `${fromInitiator === mine ? 'mo' : 'mt'} ${transaction}`;

  /** Sends CP-DATA until it is acknowledged (§5.3.2.1). */
  function sendData(message: CpMessage & { type: 'data' }): void {
    const name = `tc1 ${transactionName(message, true)}`;
    const bytes = encodeCp(message);
    let left = CP_RETRANSMISSIONS;
    const again = (): void => {
      world.send(bytes);
      if (left-- > 0) timers.start(name, DURATION.tc1, again);
    };
    again();
  }

  function acknowledge(message: CpMessage): void {
    world.send(
      encodeCp({ transaction: message.transaction, fromInitiator: !message.fromInitiator, type: 'ack' }),
    );
  }

  function answer(message: CpMessage, rp: Uint8Array): void {
    sendData({ transaction: message.transaction, fromInitiator: false, type: 'data', rp });
  }

  // ——— to the device

  async function execute(rp: RpMessage & { type: 'data'; toDevice: true }): Promise<Uint8Array> {
    const { reference, tpdu } = rp;
    const refuse = (cause: number): Uint8Array =>
      encodeRp({ type: 'error', toDevice: false, reference, cause });
    let deliver;
    try {
      deliver = decodeTpduToDevice(tpdu);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      return refuse(RP_CAUSE.invalidMandatory);
    }
    if (deliver.type !== 'deliver' || deliver.pid !== PID_CARD || !isClass2(deliver.dcs)) {
      world.observe({ type: 'sms', direction: 'toDevice', tpdu });
      return encodeRp({ type: 'ack', toDevice: false, reference });
    }
    // (U)SIM data download (TS 31.111 §7.1.1.1).
    const { data, sw } = await world.toCard(fromAddress(rp.originator), tpdu);
    world.observe({ type: 'sms', direction: 'toCard', status: sayStatus(sw) });
    const report: SmsDeliverReport = { type: 'deliverReport' };
    if (data.length > 0) {
      report.pid = PID_CARD;
      report.dcs = DCS_CARD;
      report.userData = reportData(data);
    }
    const accepted = sw === SW.ok || sw >> 8 === 0x91;
    if (!accepted) report.cause = sw === SW.toolkitBusy ? TP_FCS.cardBusy : TP_FCS.cardDataDownloadError;
    const bytes = encodeTpdu(report);
    return accepted
      ? encodeRp({ type: 'ack', toDevice: false, reference, tpdu: bytes })
      : encodeRp({ type: 'error', toDevice: false, reference, cause: RP_CAUSE.protocolError, tpdu: bytes });
  }

  async function toDevice(message: CpMessage & { type: 'data' }): Promise<void> {
    const key = `${message.transaction} ${toHex(message.rp)}`;
    acknowledge(message);
    if (known.has(key)) {
      const earlier = known.get(key);
      if (earlier) answer(message, earlier);
      return;
    }
    let rp: RpMessage;
    try {
      rp = decodeRp(message.rp);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      const reference = message.rp[1] ?? 0;
      answer(
        message,
        encodeRp({ type: 'error', toDevice: false, reference, cause: RP_CAUSE.invalidMandatory }),
      );
      return;
    }
    if (rp.type !== 'data' || !rp.toDevice) return;
    known.set(key, undefined);
    if (known.size > REMEMBERED) known.delete(known.keys().next().value!);
    const reply = await execute(rp);
    known.set(key, reply);
    answer(message, reply);
  }

  // ——— from the card

  function begin(): void {
    current = waiting.shift();
    if (current) transmit(current);
  }

  function transmit(submission: Submission): void {
    submission.attempts++;
    submission.transaction = nextTransaction;
    submission.reference = nextReference;
    nextTransaction = (nextTransaction + 1) % 7;
    nextReference = (nextReference + 1) % 256;
    const { transaction, reference, tpdu } = submission;
    const destination = toAddress(submission.serviceCentre);
    const rp = encodeRp({ type: 'data', toDevice: false, reference, destination, tpdu });
    timers.start('tr1m', DURATION.tr1m, () => failed(submission, { kind: 'noAnswer' }, true));
    sendData({ transaction, fromInitiator: true, type: 'data', rp });
  }

  async function failed(submission: Submission, result: MoResult, again: boolean): Promise<void> {
    if (submission !== current) return;
    timers.stop('tr1m', `tc1 mo ${submission.transaction}`);
    if (again && submission.attempts < MO_SMS_ATTEMPTS) return transmit(submission);
    await finish(submission, result);
  }

  async function finish(submission: Submission, result: MoResult): Promise<void> {
    timers.stop('tr1m', `tc1 mo ${submission.transaction}`);
    world.observe({ type: 'sms', direction: 'fromCard', delivered: result.kind === 'delivered' });
    await submission.done(result);
    if (current === submission) begin();
  }

  async function reported(message: CpMessage & { type: 'data' }): Promise<void> {
    acknowledge(message);
    const submission = current;
    if (submission?.transaction !== message.transaction) return;
    const rp = decodeRp(message.rp);
    if (rp.reference !== submission.reference) return;
    if (rp.type === 'ack') return finish(submission, { kind: 'delivered' });
    if (rp.type === 'error') {
      return failed(submission, { kind: 'rpError', cause: rp.cause }, WORTH_ANOTHER.has(rp.cause));
    }
  }

  return {
    async receive(container) {
      let message: CpMessage;
      try {
        message = decodeCp(container);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
        // Only a transaction that can be told is answered (§9.3).
        if (container.length >= 2 && (container[0]! & 15) === 9) {
          const transaction = (container[0]! >> 4) & 7;
          const fromInitiator = (container[0]! & 0x80) !== 0;
          const cause = CP_CAUSE.invalidMandatory;
          world.send(encodeCp({ transaction, fromInitiator, type: 'error', cause }));
        }
        return;
      }
      const name = `tc1 ${transactionName(message, false)}`;
      switch (message.type) {
        case 'ack':
          timers.stop(name);
          return;
        case 'error':
          timers.stop(name);
          if (!message.fromInitiator && current?.transaction === message.transaction) {
            await failed(current, { kind: 'noAnswer' }, true);
          }
          return;
        case 'data':
          if (message.fromInitiator) return toDevice(message);
          // An answer says that the question arrived, whatever became of its CP-ACK.
          timers.stop(name);
          return reported(message);
      }
    },
    submit(serviceCentre, tpdu, done) {
      waiting.push({ serviceCentre, tpdu, done, attempts: 0, transaction: 0, reference: 0 });
      if (current === undefined) begin();
    },
    reset() {
      timers.stopAll();
      known.clear();
      waiting.length = 0;
      current = undefined;
    },
  };
}
