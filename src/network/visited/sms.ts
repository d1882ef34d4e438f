/** SMS in MME (TS 23.272 annex C): SGd on one side, CP and RP of TS 24.011 over NAS transport on the other. */
import type { Timer } from '../../edge/index.ts';
import { DecodeError, FieldError, equal } from '../../standards/bytes/index.ts';
import {
  ABSENT_USER_DIAGNOSTIC,
  ALERT_REASON,
  EXPERIMENTAL_RESULT,
  RESULT,
  SM_DELIVERY_FAILURE,
  experimental,
  resultOf,
  succeeded,
} from '../../standards/diameter/index.ts';
import type { NasMessage } from '../../standards/nas/index.ts';
import {
  CP_CAUSE,
  RP_CAUSE,
  decodeCp,
  decodeRp,
  encodeCp,
  encodeRp,
  international,
  type CpMessage,
  type RpMessage,
} from '../../standards/sms/index.ts';
import type { VisitedEvent } from './event.ts';
import type { DeliverAnswer, DeliverRequest, Home, OriginateAnswer } from './home.ts';
import type { ScaledClock } from './procedure.ts';
import type { Ue } from './ue.ts';

/** TC1*: a CP-DATA awaits its CP-ACK (TS 24.011 §10). */
const TC1_MS = 10_000;
/** A CP-DATA is sent again so often. */
const CP_RETRANSMISSIONS = 2;
/** TR1N: an RP-DATA awaits its RP-ACK, 35 to 45 s. */
const TR1N_MS = 40_000;
/** Bytes of an SMS-DELIVER-REPORT without optional parameters: TP-MTI and TP-PI (TS 23.040 §9.2.2.1a). */
const EMPTY_REPORT = 2;
/** Messages that wait for a device while it takes another. */
const MOST_WAITING = 16;

export interface SmsWorld {
  clock: ScaledClock;
  home: Home;
  /** @returns false if the device cannot be reached */
  send(ue: Ue, message: NasMessage): boolean;
  observe(event: VisitedEvent): void;
}

export interface Sms {
  /** A message for the device; resolves when it was taken, refused, or not answered. */
  deliver(ue: Ue, request: DeliverRequest): Promise<DeliverAnswer>;
  /** A CP message of the device. */
  receive(ue: Ue, container: Uint8Array): void;
  /** The device is registered: what waited goes out. */
  opened(ue: Ue): void;
  /** The device is gone: what is under way ends, as absent. */
  closed(ue: Ue): void;
}

/** A CP-DATA of ours that is sent until it is acknowledged. */
interface Sending {
  timer: Timer | undefined;
}

/** The message the device is taking. */
interface Delivery {
  transaction: number;
  reference: number;
  sending: Sending;
  answer: Timer;
  settle(answer: DeliverAnswer): void;
}

/** A transaction that the device began; kept so that a repetition is answered again, not carried out again. */
interface Origination {
  rp: Uint8Array;
  reply: Uint8Array | undefined;
  sending: Sending;
}

interface State {
  current: Delivery | undefined;
  waiting: { request: DeliverRequest; settle(answer: DeliverAnswer): void }[];
  /** by the device's transaction identifier */
  originated: Map<number, Origination>;
  nextTransaction: number;
  nextReference: number;
}

const absent = (absentUserDiagnosticSm: number): DeliverAnswer => ({
  ...experimental(EXPERIMENTAL_RESULT.absentUser),
  absentUserDiagnosticSm,
});

/** What an RP-ERROR of the device means to the service centre (TS 29.338 §6.2.2). */
function failure(cause: number, tpdu: Uint8Array | undefined): DeliverAnswer {
  return {
    ...experimental(EXPERIMENTAL_RESULT.smDeliveryFailure),
    smDeliveryFailureCause: {
      smEnumeratedDeliveryFailureCause:
        cause === RP_CAUSE.memoryCapacityExceeded
          ? SM_DELIVERY_FAILURE.memoryCapacityExceeded
          : SM_DELIVERY_FAILURE.equipmentProtocolError,
      ...(tpdu ? { smDiagnosticInfo: tpdu } : {}),
    },
    ...(tpdu ? { smRpUi: tpdu } : {}),
  };
}

/** RP-Causes for what the home network answered to a message of the device. */
function causeOf(answer: OriginateAnswer): number {
  switch (resultOf(answer) ?? 0) {
    case EXPERIMENTAL_RESULT.userUnknown:
      return RP_CAUSE.unidentifiedSubscriber;
    case EXPERIMENTAL_RESULT.facilityNotSupported:
      return RP_CAUSE.facilityNotImplemented;
    case EXPERIMENTAL_RESULT.serviceNotSubscribed:
      return RP_CAUSE.facilityNotSubscribed;
    case EXPERIMENTAL_RESULT.serviceBarred:
      return RP_CAUSE.operatorDeterminedBarring;
    case EXPERIMENTAL_RESULT.smDeliveryFailure:
      switch (answer.smDeliveryFailureCause?.smEnumeratedDeliveryFailureCause ?? -1) {
        case SM_DELIVERY_FAILURE.unknownServiceCentre:
          return RP_CAUSE.unassignedNumber;
        case SM_DELIVERY_FAILURE.scCongestion:
          return RP_CAUSE.congestion;
        case SM_DELIVERY_FAILURE.userNotScUser:
          return RP_CAUSE.unidentifiedSubscriber;
        default:
          return RP_CAUSE.transferRejected;
      }
    default:
      return RP_CAUSE.temporaryFailure;
  }
}

export function createSms({ clock, home, send, observe }: SmsWorld): Sms {
  const states = new WeakMap<Ue, State>();

  function stateOf(ue: Ue): State {
    let state = states.get(ue);
    if (!state) {
      state = {
        current: undefined,
        waiting: [],
        originated: new Map(),
        nextTransaction: 0,
        nextReference: 0,
      };
      states.set(ue, state);
    }
    return state;
  }

  const transmit = (ue: Ue, cp: Uint8Array): boolean =>
    send(ue, { type: 'downlinkNasTransport', nasMessageContainer: cp });

  /** Sends CP-DATA until `sending` is stopped or it was sent often enough (TS 24.011 §5.3.2.1). */
  function sendData(ue: Ue, cp: Uint8Array, sending: Sending, givenUp: () => void): void {
    let left = CP_RETRANSMISSIONS;
    const again = (): void => {
      transmit(ue, cp);
      sending.timer = clock.after(TC1_MS, left-- > 0 ? again : givenUp);
    };
    again();
  }

  function stop(sending: Sending): void {
    sending.timer?.cancel();
    sending.timer = undefined;
  }

  // ——— to the device

  function begin(ue: Ue, request: DeliverRequest, settle: (answer: DeliverAnswer) => void): void {
    const state = stateOf(ue);
    const transaction = state.nextTransaction;
    state.nextTransaction = (transaction + 1) % 7;
    const reference = state.nextReference;
    state.nextReference = (reference + 1) & 0xff;
    let cp: Uint8Array;
    try {
      const originator = international(request.scAddress);
      const rp = encodeRp({ type: 'data', toDevice: true, reference, originator, tpdu: request.smRpUi });
      cp = encodeCp({ type: 'data', transaction, fromInitiator: true, rp });
    } catch (error) {
      if (!(error instanceof FieldError)) throw error;
      settle({ resultCode: RESULT.invalidAvpValue });
      next(ue);
      return;
    }
    const noAnswer = (): void => {
      ue.wanted = true;
      finish(ue, absent(ABSENT_USER_DIAGNOSTIC.noPagingResponseMme));
    };
    const sending: Sending = { timer: undefined };
    state.current = { transaction, reference, sending, answer: clock.after(TR1N_MS, noAnswer), settle };
    sendData(ue, cp, sending, noAnswer);
  }

  /** The message under way is done with; the next may go. */
  function finish(ue: Ue, answer: DeliverAnswer): void {
    const state = stateOf(ue);
    const { current } = state;
    if (!current) return;
    state.current = undefined;
    stop(current.sending);
    current.answer.cancel();
    if (ue.imsi !== undefined) {
      const outcome = succeeded(answer) ? 'delivered' : 'failed';
      observe({ type: 'sms', imsi: ue.imsi, direction: 'toDevice', outcome });
    }
    current.settle(answer);
    next(ue);
  }

  function next(ue: Ue): void {
    const state = stateOf(ue);
    if (state.current || !ue.registered) return;
    const first = state.waiting.shift();
    if (first) begin(ue, first.request, first.settle);
  }

  function answered(ue: Ue, message: CpMessage & { type: 'data' }): void {
    // Acknowledged in any case: a repetition says that our CP-ACK was lost.
    transmit(ue, encodeCp({ type: 'ack', transaction: message.transaction, fromInitiator: true }));
    const { current } = stateOf(ue);
    if (current?.transaction !== message.transaction) return;
    let rp: RpMessage;
    try {
      rp = decodeRp(message.rp);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      finish(ue, failure(RP_CAUSE.invalidMandatory, undefined));
      return;
    }
    if (rp.toDevice || rp.reference !== current.reference) return;
    if (rp.type === 'ack') {
      // A report with no parameter in it says no more than the result does (TS 29.338 §6.2.2).
      const report = rp.tpdu && rp.tpdu.length > EMPTY_REPORT ? { smRpUi: rp.tpdu } : {};
      finish(ue, { resultCode: RESULT.success, ...report });
    } else if (rp.type === 'error') {
      // The device will say when it has memory again (RP-SMMA).
      if (rp.cause === RP_CAUSE.memoryCapacityExceeded) ue.wanted = true;
      finish(ue, failure(rp.cause, rp.tpdu));
    }
  }

  // ——— from the device

  function reply(ue: Ue, transaction: number, origination: Origination, rp: RpMessage): void {
    const cp = encodeCp({ type: 'data', transaction, fromInitiator: false, rp: encodeRp(rp) });
    origination.reply = cp;
    stop(origination.sending);
    sendData(ue, cp, origination.sending, () => stop(origination.sending));
  }

  async function originate(
    ue: Ue,
    transaction: number,
    origination: Origination,
    rp: RpMessage,
  ): Promise<void> {
    const { reference } = rp;
    if (rp.type === 'memoryAvailable') {
      ue.wanted = false;
      await home.notify(ue.imsi!, ALERT_REASON.ueMemoryAvailable);
      reply(ue, transaction, origination, { type: 'ack', toDevice: true, reference });
      return;
    }
    if (rp.type !== 'data' || rp.toDevice) {
      const cause = RP_CAUSE.notCompatibleWithState;
      reply(ue, transaction, origination, { type: 'error', toDevice: true, reference, cause });
      return;
    }
    const answer = await home.originate(ue, rp.destination.value, rp.tpdu);
    // A report longer than an RP message can carry is left out.
    const tpdu = answer.smRpUi && answer.smRpUi.length <= 233 ? { tpdu: answer.smRpUi } : {};
    const done = succeeded(answer);
    observe({
      type: 'sms',
      imsi: ue.imsi!,
      direction: 'fromDevice',
      outcome: done ? 'delivered' : 'failed',
    });
    reply(
      ue,
      transaction,
      origination,
      done
        ? { type: 'ack', toDevice: true, reference, ...tpdu }
        : { type: 'error', toDevice: true, reference, cause: causeOf(answer), ...tpdu },
    );
  }

  function began(ue: Ue, message: CpMessage & { type: 'data' }): void {
    const { transaction } = message;
    transmit(ue, encodeCp({ type: 'ack', transaction, fromInitiator: false }));
    const { originated } = stateOf(ue);
    const former = originated.get(transaction);
    if (former && equal(former.rp, message.rp)) {
      if (former.reply) transmit(ue, former.reply);
      return;
    }
    if (former) stop(former.sending);
    const origination: Origination = {
      rp: message.rp.slice(),
      reply: undefined,
      sending: { timer: undefined },
    };
    originated.set(transaction, origination);
    let rp: RpMessage;
    try {
      rp = decodeRp(message.rp);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      const reference = message.rp[1] ?? 0;
      const cause = RP_CAUSE.invalidMandatory;
      reply(ue, transaction, origination, { type: 'error', toDevice: true, reference, cause });
      return;
    }
    void originate(ue, transaction, origination, rp);
  }

  return {
    deliver(ue, request) {
      const state = stateOf(ue);
      if (!ue.registered && !ue.attaching) {
        ue.wanted = true;
        return Promise.resolve(absent(ABSENT_USER_DIAGNOSTIC.imsiDetached));
      }
      if (state.waiting.length >= MOST_WAITING) {
        return Promise.resolve(experimental(EXPERIMENTAL_RESULT.userBusyForMtSms));
      }
      return new Promise((settle) => {
        state.waiting.push({ request, settle });
        next(ue);
      });
    },
    receive(ue, container) {
      let message: CpMessage;
      try {
        message = decodeCp(container);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
        if (container.length < 2 || (container[0]! & 0x0f) !== 9) return;
        const transaction = (container[0]! >> 4) & 7;
        const fromInitiator = (container[0]! & 0x80) !== 0;
        const cause = CP_CAUSE.invalidMandatory;
        transmit(ue, encodeCp({ type: 'error', transaction, fromInitiator, cause }));
        return;
      }
      const state = stateOf(ue);
      if (message.fromInitiator) {
        if (message.type === 'data') began(ue, message);
        else {
          const origination = state.originated.get(message.transaction);
          if (origination) stop(origination.sending);
        }
        return;
      }
      switch (message.type) {
        case 'data':
          answered(ue, message);
          break;
        case 'ack':
          if (state.current?.transaction === message.transaction) stop(state.current.sending);
          break;
        case 'error':
          if (state.current?.transaction === message.transaction) {
            finish(ue, failure(RP_CAUSE.protocolError, undefined));
          }
          break;
      }
    },
    opened: next,
    closed(ue) {
      const state = states.get(ue);
      if (!state) return;
      const waiting = state.waiting.splice(0);
      if (state.current || waiting.length > 0) ue.wanted = true;
      finish(ue, absent(ABSENT_USER_DIAGNOSTIC.imsiDetached));
      for (const { settle } of waiting) settle(absent(ABSENT_USER_DIAGNOSTIC.imsiDetached));
      for (const { sending } of state.originated.values()) stop(sending);
      state.originated.clear();
    },
  };
}
