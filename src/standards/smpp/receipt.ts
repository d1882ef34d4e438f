/** The text of an SMSC delivery receipt (SMPP 3.4 appendix B), as nearly every SMSC writes it. */
import { DecodeError } from '../bytes/index.ts';
import { MESSAGE_STATE } from './pdu.ts';

const STATES = {
  DELIVRD: MESSAGE_STATE.DELIVERED,
  EXPIRED: MESSAGE_STATE.EXPIRED,
  DELETED: MESSAGE_STATE.DELETED,
  UNDELIV: MESSAGE_STATE.UNDELIVERABLE,
  ACCEPTD: MESSAGE_STATE.ACCEPTED,
  UNKNOWN: MESSAGE_STATE.UNKNOWN,
  REJECTD: MESSAGE_STATE.REJECTED,
  ENROUTE: MESSAGE_STATE.ENROUTE,
} as const;
export type ReceiptState = keyof typeof STATES;

export interface DeliveryReceipt {
  /** message_id of the submit_sm_resp, up to 64 characters without spaces */
  id: string;
  /** dates as YYMMDDhhmm */
  submitDate: string;
  doneDate: string;
  state: ReceiptState;
  /** network error, three digits */
  error: string;
}

export function encodeReceipt(receipt: DeliveryReceipt): Uint8Array {
  const done = receipt.state === 'DELIVRD' ? '001' : '000';
  return new TextEncoder().encode(
    `id:${receipt.id} sub:001 dlvrd:${done} submit date:${receipt.submitDate} ` +
      `done date:${receipt.doneDate} stat:${receipt.state} err:${receipt.error} text:`,
  );
}

/** Reads the fields that matter; order and case of the others do not. @throws DecodeError */
export function decodeReceipt(bytes: Uint8Array): DeliveryReceipt {
  const text = String.fromCharCode(...bytes.subarray(0, 254));
  const field = (name: string, pattern: string): string => {
    const found = new RegExp(`(?:^| )${name}:(${pattern})(?: |$)`, 'i').exec(text)?.[1];
    if (found === undefined) throw new DecodeError(`receipt ${name}`, 'absent or malformed', pattern);
    return found;
  };
  return {
    id: field('id', '[!-~]{1,64}'),
    submitDate: field('submit date', '[0-9]{10,12}'),
    doneDate: field('done date', '[0-9]{10,12}'),
    state: field('stat', Object.keys(STATES).join('|')).toUpperCase() as ReceiptState,
    error: field('err', '[0-9A-Za-z]{1,3}'),
  };
}
