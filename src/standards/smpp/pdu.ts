/** Protocol data units of SMPP 3.4: encode and decode, strict about lengths. Big-endian. */
import { DecodeError, FieldError, Reader, Writer } from '../bytes/index.ts';

/** command_id (§5.1.2.1); a response has bit 31 set. */
export const COMMAND_ID = {
  bind_receiver: 0x00000001,
  bind_transmitter: 0x00000002,
  query_sm: 0x00000003,
  submit_sm: 0x00000004,
  deliver_sm: 0x00000005,
  unbind: 0x00000006,
  cancel_sm: 0x00000008,
  bind_transceiver: 0x00000009,
  enquire_link: 0x00000015,
  generic_nack: 0x80000000,
  bind_receiver_resp: 0x80000001,
  bind_transmitter_resp: 0x80000002,
  query_sm_resp: 0x80000003,
  submit_sm_resp: 0x80000004,
  deliver_sm_resp: 0x80000005,
  unbind_resp: 0x80000006,
  cancel_sm_resp: 0x80000008,
  bind_transceiver_resp: 0x80000009,
  enquire_link_resp: 0x80000015,
} as const;
export type CommandName = keyof typeof COMMAND_ID;

/** command_status (§5.1.3) */
export const COMMAND_STATUS = {
  ESME_ROK: 0x00,
  ESME_RINVMSGLEN: 0x01,
  ESME_RINVCMDLEN: 0x02,
  ESME_RINVCMDID: 0x03,
  ESME_RINVBNDSTS: 0x04,
  ESME_RALYBND: 0x05,
  ESME_RSYSERR: 0x08,
  ESME_RINVSRCADR: 0x0a,
  ESME_RINVDSTADR: 0x0b,
  ESME_RINVMSGID: 0x0c,
  ESME_RBINDFAIL: 0x0d,
  ESME_RINVPASWD: 0x0e,
  ESME_RINVSYSID: 0x0f,
  ESME_RMSGQFUL: 0x14,
  ESME_RSUBMITFAIL: 0x45,
  ESME_RTHROTTLED: 0x58,
  ESME_RX_T_APPN: 0x64,
} as const;

/** esm_class (§5.2.12): the bits we use */
export const ESM_CLASS = {
  /** deliver_sm: short_message is an SMSC delivery receipt */
  deliveryReceipt: 0x04,
  /** deliver_sm: short_message is what the device answered to the delivery (SME delivery acknowledgement) */
  deliveryAcknowledgement: 0x08,
  messageType: 0x3c,
  /** short_message begins with a user data header */
  udhIndicator: 0x40,
} as const;

/** registered_delivery (§5.2.17) */
export const REGISTERED_DELIVERY = {
  /** SMSC delivery receipt, success or failure */
  receipt: 0x01,
  /** SME delivery acknowledgement */
  acknowledgement: 0x04,
} as const;

/** message_state (§5.2.28) */
export const MESSAGE_STATE = {
  ENROUTE: 1,
  DELIVERED: 2,
  EXPIRED: 3,
  DELETED: 4,
  UNDELIVERABLE: 5,
  ACCEPTED: 6,
  UNKNOWN: 7,
  REJECTED: 8,
} as const;

/** Optional parameters by tag (§5.3.2) and length in bytes, those that we name; others stay as they are. */
export const TLV = {
  receipted_message_id: 0x001e,
  user_message_reference: 0x0204,
  sc_interface_version: 0x0210,
  message_payload: 0x0424,
  message_state: 0x0427,
} as const;

export interface Tlv {
  /** 0–65535 */
  tag: number;
  value: Uint8Array;
}

interface Head {
  sequence: number;
  /** 0 unless a response that refuses */
  status: number;
}

export interface Bind extends Head {
  command: 'bind_receiver' | 'bind_transmitter' | 'bind_transceiver';
  /** at most 15 characters */
  systemId: string;
  /** at most 8 characters */
  password: string;
  systemType: string;
  interfaceVersion: number;
  addressTon: number;
  addressNpi: number;
  addressRange: string;
}

export interface BindResponse extends Head {
  command: 'bind_receiver_resp' | 'bind_transmitter_resp' | 'bind_transceiver_resp';
  /** absent where status is not 0 */
  systemId?: string;
  tlvs: Tlv[];
}

/** An address with its type of number and numbering plan. */
export interface SmppAddress {
  ton: number;
  npi: number;
  /** at most 20 characters */
  address: string;
}

export interface ShortMessage extends Head {
  command: 'submit_sm' | 'deliver_sm';
  serviceType: string;
  source: SmppAddress;
  destination: SmppAddress;
  esmClass: number;
  protocolId: number;
  priority: number;
  /** "" or YYMMDDhhmmsstnnp */
  scheduleDeliveryTime: string;
  validityPeriod: string;
  registeredDelivery: number;
  replaceIfPresent: number;
  dataCoding: number;
  defaultMessageId: number;
  /** user data header (if udhIndicator) and text, as sent: at most 254 bytes */
  shortMessage: Uint8Array;
  tlvs: Tlv[];
}

export interface ShortMessageResponse extends Head {
  command: 'submit_sm_resp' | 'deliver_sm_resp';
  /** absent where status is not 0; empty in deliver_sm_resp */
  messageId?: string;
}

export interface QuerySm extends Head {
  command: 'query_sm';
  messageId: string;
  source: SmppAddress;
}

export interface QuerySmResponse extends Head {
  command: 'query_sm_resp';
  /** absent where status is not 0 */
  result?: { messageId: string; finalDate: string; messageState: number; errorCode: number };
}

export interface CancelSm extends Head {
  command: 'cancel_sm';
  serviceType: string;
  messageId: string;
  source: SmppAddress;
  destination: SmppAddress;
}

/** Those with nothing but a header. */
export interface Bare extends Head {
  command:
    'unbind' | 'unbind_resp' | 'enquire_link' | 'enquire_link_resp' | 'generic_nack' | 'cancel_sm_resp';
}

export type Pdu =
  Bind | BindResponse | ShortMessage | ShortMessageResponse | QuerySm | QuerySmResponse | CancelSm | Bare;

const NAMES = new Map<number, CommandName>(
  Object.entries(COMMAND_ID).map(([name, id]) => [id, name as CommandName]),
);
const HEAD = 16;
/** Longest PDU we read, in bytes: far more than any short message, little enough for a hostile peer. */
export const MAX_PDU = 70_000;

function cstring(out: Writer, value: string, most: number, field: string): void {
  if (value.length > most || !/^[\x01-\x7f]*$/.test(value)) {
    throw new FieldError(field, `${value.length} characters`, `at most ${most} ASCII characters`);
  }
  for (let i = 0; i < value.length; i++) out.u8(value.charCodeAt(i));
  out.u8(0);
}

function readCstring(reader: Reader, most: number, field: string): string {
  let text = '';
  for (;;) {
    const byte = reader.u8(field);
    if (byte === 0) return text;
    if (byte > 0x7f) throw new DecodeError(field, `byte 0x${byte.toString(16)}`, 'ASCII');
    if (text.length === most) throw new DecodeError(field, `more than ${most} characters`, `at most ${most}`);
    text += String.fromCharCode(byte);
  }
}

function byte(field: string, value: number): number {
  if (!Number.isInteger(value) || value < 0 || value > 255)
    throw new FieldError(field, String(value), '0 to 255');
  return value;
}

function putAddress(out: Writer, address: SmppAddress, field: string): void {
  out.u8(byte(`${field} ton`, address.ton)).u8(byte(`${field} npi`, address.npi));
  cstring(out, address.address, 20, field);
}

function readAddress(reader: Reader, field: string): SmppAddress {
  return { ton: reader.u8(field), npi: reader.u8(field), address: readCstring(reader, 20, field) };
}

function putTlvs(out: Writer, tlvs: readonly Tlv[]): void {
  for (const { tag, value } of tlvs) {
    if (value.length > 0xffff)
      throw new FieldError(`tag ${tag}`, `${value.length} bytes`, 'at most 65535 bytes');
    out.u16(tag).u16(value.length).put(value);
  }
}

function readTlvs(reader: Reader): Tlv[] {
  const tlvs: Tlv[] = [];
  while (reader.remaining > 0) {
    const tag = reader.u16('tag');
    tlvs.push({ tag, value: reader.take(reader.u16('length'), `tag 0x${tag.toString(16)}`) });
  }
  return tlvs;
}

/** The first optional parameter with that tag. */
export function tlvOf(tlvs: readonly Tlv[], tag: number): Uint8Array | undefined {
  return tlvs.find((each) => each.tag === tag)?.value;
}

/** @throws FieldError on a field that does not fit */
export function encodePdu(pdu: Pdu): Uint8Array {
  const out = new Writer(64);
  out.u32(0).u32(COMMAND_ID[pdu.command]).u32(pdu.status);
  if (!Number.isInteger(pdu.sequence) || pdu.sequence < 0 || pdu.sequence > 0xffffffff) {
    throw new FieldError('sequence_number', String(pdu.sequence), '0 to 4294967295');
  }
  out.u32(pdu.sequence);
  switch (pdu.command) {
    case 'bind_receiver':
    case 'bind_transmitter':
    case 'bind_transceiver':
      cstring(out, pdu.systemId, 15, 'system_id');
      cstring(out, pdu.password, 8, 'password');
      cstring(out, pdu.systemType, 12, 'system_type');
      out.u8(pdu.interfaceVersion).u8(pdu.addressTon).u8(pdu.addressNpi);
      cstring(out, pdu.addressRange, 40, 'address_range');
      break;
    case 'bind_receiver_resp':
    case 'bind_transmitter_resp':
    case 'bind_transceiver_resp':
      if (pdu.systemId !== undefined) cstring(out, pdu.systemId, 15, 'system_id');
      putTlvs(out, pdu.tlvs);
      break;
    case 'submit_sm':
    case 'deliver_sm':
      cstring(out, pdu.serviceType, 5, 'service_type');
      putAddress(out, pdu.source, 'source_addr');
      putAddress(out, pdu.destination, 'destination_addr');
      out.u8(pdu.esmClass).u8(pdu.protocolId).u8(pdu.priority);
      cstring(out, pdu.scheduleDeliveryTime, 16, 'schedule_delivery_time');
      cstring(out, pdu.validityPeriod, 16, 'validity_period');
      out.u8(pdu.registeredDelivery).u8(pdu.replaceIfPresent).u8(pdu.dataCoding).u8(pdu.defaultMessageId);
      if (pdu.shortMessage.length > 254) {
        throw new FieldError('short_message', `${pdu.shortMessage.length} bytes`, 'at most 254 bytes');
      }
      out.lv(pdu.shortMessage, 'short_message');
      putTlvs(out, pdu.tlvs);
      break;
    case 'submit_sm_resp':
    case 'deliver_sm_resp':
      if (pdu.messageId !== undefined) cstring(out, pdu.messageId, 64, 'message_id');
      break;
    case 'query_sm':
      cstring(out, pdu.messageId, 64, 'message_id');
      putAddress(out, pdu.source, 'source_addr');
      break;
    case 'query_sm_resp':
      if (pdu.result) {
        cstring(out, pdu.result.messageId, 64, 'message_id');
        cstring(out, pdu.result.finalDate, 16, 'final_date');
        out.u8(pdu.result.messageState).u8(pdu.result.errorCode);
      }
      break;
    case 'cancel_sm':
      cstring(out, pdu.serviceType, 5, 'service_type');
      cstring(out, pdu.messageId, 64, 'message_id');
      putAddress(out, pdu.source, 'source_addr');
      putAddress(out, pdu.destination, 'destination_addr');
      break;
    case 'unbind':
    case 'unbind_resp':
    case 'enquire_link':
    case 'enquire_link_resp':
    case 'generic_nack':
    case 'cancel_sm_resp':
      break;
  }
  const bytes = out.done();
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(0, bytes.length);
  return bytes;
}

/**
 * How long the PDU at the front of a stream is, in bytes; undefined if its length is not there yet.
 * @throws DecodeError if it cannot be one
 */
export function pduLength(bytes: Uint8Array): number | undefined {
  if (bytes.length < 4) return undefined;
  const length = new Reader(bytes).u32('command_length');
  if (length < HEAD || length > MAX_PDU) {
    throw new DecodeError('command_length', String(length), `${HEAD} to ${MAX_PDU} bytes`);
  }
  return length;
}

/** What a PDU with an unknown command_id is answered with. */
export class UnknownCommand extends DecodeError {
  readonly sequence: number;
  constructor(id: number, sequence: number) {
    super('command_id', `0x${id.toString(16)}`, 'a command of SMPP 3.4');
    this.sequence = sequence;
  }
}

/** Decodes one whole PDU. @throws DecodeError; UnknownCommand for a command_id we do not know */
export function decodePdu(bytes: Uint8Array): Pdu {
  const reader = new Reader(bytes);
  const length = reader.u32('command_length');
  if (length !== bytes.length) throw new DecodeError('command_length', String(length), String(bytes.length));
  const id = reader.u32('command_id');
  const status = reader.u32('command_status');
  const sequence = reader.u32('sequence_number');
  const command = NAMES.get(id);
  if (command === undefined) throw new UnknownCommand(id, sequence);
  const head = { sequence, status };
  let pdu: Pdu;
  switch (command) {
    case 'bind_receiver':
    case 'bind_transmitter':
    case 'bind_transceiver':
      pdu = {
        command,
        ...head,
        systemId: readCstring(reader, 15, 'system_id'),
        password: readCstring(reader, 8, 'password'),
        systemType: readCstring(reader, 12, 'system_type'),
        interfaceVersion: reader.u8('interface_version'),
        addressTon: reader.u8('addr_ton'),
        addressNpi: reader.u8('addr_npi'),
        addressRange: readCstring(reader, 40, 'address_range'),
      };
      break;
    case 'bind_receiver_resp':
    case 'bind_transmitter_resp':
    case 'bind_transceiver_resp':
      pdu = { command, ...head, tlvs: [] };
      if (reader.remaining > 0) {
        pdu.systemId = readCstring(reader, 15, 'system_id');
        pdu.tlvs = readTlvs(reader);
      }
      break;
    case 'submit_sm':
    case 'deliver_sm': {
      pdu = {
        command,
        ...head,
        serviceType: readCstring(reader, 5, 'service_type'),
        source: readAddress(reader, 'source_addr'),
        destination: readAddress(reader, 'destination_addr'),
        esmClass: reader.u8('esm_class'),
        protocolId: reader.u8('protocol_id'),
        priority: reader.u8('priority_flag'),
        scheduleDeliveryTime: readCstring(reader, 16, 'schedule_delivery_time'),
        validityPeriod: readCstring(reader, 16, 'validity_period'),
        registeredDelivery: reader.u8('registered_delivery'),
        replaceIfPresent: reader.u8('replace_if_present_flag'),
        dataCoding: reader.u8('data_coding'),
        defaultMessageId: reader.u8('sm_default_msg_id'),
        shortMessage: new Uint8Array(0),
        tlvs: [],
      };
      const size = reader.u8('sm_length');
      if (size > 254) throw new DecodeError('sm_length', String(size), 'at most 254');
      pdu.shortMessage = reader.take(size, 'short_message');
      pdu.tlvs = readTlvs(reader);
      break;
    }
    case 'submit_sm_resp':
    case 'deliver_sm_resp':
      pdu = { command, ...head };
      if (reader.remaining > 0) pdu.messageId = readCstring(reader, 64, 'message_id');
      break;
    case 'query_sm':
      pdu = {
        command,
        ...head,
        messageId: readCstring(reader, 64, 'message_id'),
        source: readAddress(reader, 'source_addr'),
      };
      break;
    case 'query_sm_resp':
      pdu = { command, ...head };
      if (reader.remaining > 0) {
        pdu.result = {
          messageId: readCstring(reader, 64, 'message_id'),
          finalDate: readCstring(reader, 16, 'final_date'),
          messageState: reader.u8('message_state'),
          errorCode: reader.u8('error_code'),
        };
      }
      break;
    case 'cancel_sm':
      pdu = {
        command,
        ...head,
        serviceType: readCstring(reader, 5, 'service_type'),
        messageId: readCstring(reader, 64, 'message_id'),
        source: readAddress(reader, 'source_addr'),
        destination: readAddress(reader, 'destination_addr'),
      };
      break;
    case 'unbind':
    case 'unbind_resp':
    case 'enquire_link':
    case 'enquire_link_resp':
    case 'generic_nack':
    case 'cancel_sm_resp':
      pdu = { command, ...head };
      break;
  }
  reader.end(command);
  return pdu;
}
