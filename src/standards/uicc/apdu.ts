/**
 * Command and response APDUs (ISO/IEC 7816-4 §5.1, TS 102 221 §10.1), logical channels in the class byte,
 * and the chaining of GET RESPONSE after 61xx and of a repeated command after 6Cxx (TS 102 221 §7.3.1.1).
 */
import { DecodeError, FieldError, Reader, Writer } from '../bytes/index.ts';

/** A command APDU. Without data and le: case 1; le alone: 2; data alone: 3; both: 4. */
export interface CommandApdu {
  /** class byte, logical channel included */
  cla: number;
  ins: number;
  p1: number;
  p2: number;
  /** 1–65535 bytes; absent when there is none */
  data?: Uint8Array;
  /** most bytes expected: 1–256, with extended lengths 1–65536 */
  le?: number;
  /** lengths in extended form though the short one would do */
  extended?: true;
}

/** A response APDU. */
export interface ResponseApdu {
  data: Uint8Array;
  /** SW1 SW2 */
  sw: number;
}

/** Instruction codes (TS 102 221 table 10.5, TS 31.102 §7, TS 102 222). */
export const INS = {
  deactivateFile: 0x04,
  verifyPin: 0x20,
  changePin: 0x24,
  disablePin: 0x26,
  enablePin: 0x28,
  unblockPin: 0x2c,
  increase: 0x32,
  activateFile: 0x44,
  manageChannel: 0x70,
  authenticate: 0x88,
  searchRecord: 0xa2,
  select: 0xa4,
  readBinary: 0xb0,
  readRecord: 0xb2,
  getResponse: 0xc0,
  terminalProfile: 0x10,
  envelope: 0xc2,
  fetch: 0x12,
  terminalResponse: 0x14,
  updateBinary: 0xd6,
  putKey: 0xd8,
  updateRecord: 0xdc,
  status: 0xf2,
} as const;

/** Status words by name (TS 102 221 §10.2, TS 31.102 §7.3). Those ending in `00` with a count: add it. */
export const SW = {
  ok: 0x9000,
  /** 91xx: done, and a proactive command of xx bytes waits */
  proactive: 0x9100,
  /** 61xx: xx bytes wait for GET RESPONSE */
  more: 0x6100,
  /** 6Cxx: wrong Le, xx is right */
  wrongLe: 0x6c00,
  noEffectWarning: 0x6200,
  corrupted: 0x6281,
  endOfFile: 0x6282,
  deactivated: 0x6283,
  /** 63Cx: verification failed, x tries left */
  triesLeft: 0x63c0,
  noChange: 0x6400,
  memoryProblem: 0x6581,
  wrongLength: 0x6700,
  classFunction: 0x6800,
  channelNotSupported: 0x6881,
  secureMessagingNotSupported: 0x6882,
  commandNotAllowed: 0x6900,
  incompatibleFile: 0x6981,
  securityStatus: 0x6982,
  pinBlocked: 0x6983,
  dataInvalidated: 0x6984,
  conditions: 0x6985,
  noEfSelected: 0x6986,
  wrongParameters: 0x6a00,
  wrongData: 0x6a80,
  functionNotSupported: 0x6a81,
  fileNotFound: 0x6a82,
  recordNotFound: 0x6a83,
  notEnoughSpace: 0x6a84,
  lcInconsistent: 0x6a85,
  wrongP1P2: 0x6a86,
  lcP1P2: 0x6a87,
  dataNotFound: 0x6a88,
  wrongP1P2Length: 0x6b00,
  insNotSupported: 0x6d00,
  claNotSupported: 0x6e00,
  technicalProblem: 0x6f00,
  toolkitBusy: 0x9300,
  increaseAtMaximum: 0x9850,
  macFailure: 0x9862,
  contextNotSupported: 0x9864,
} as const;

/** What a status word says, in a few words. */
export function describeStatus(sw: number): string {
  const low = sw & 0xff;
  switch (sw >> 8) {
    case 0x91:
      return `done, a proactive command of ${low} bytes waits`;
    case 0x61:
      return `${low || 256} bytes wait`;
    case 0x6c:
      return `wrong length, ${low || 256} is right`;
    default:
  }
  if ((sw & 0xfff0) === SW.triesLeft) return `failed, ${sw & 0xf} tries left`;
  for (const [name, value] of Object.entries(SW)) {
    if (value === sw) return name.replace(/[A-Z]/g, (capital) => ` ${capital.toLowerCase()}`);
  }
  return 'unknown status';
}

/** Whether the command was carried out: 90xx and 91xx, and warnings that bring data (62xx, 63xx not Cx). */
export function isSuccess(sw: number): boolean {
  return sw === SW.ok || sw >> 8 === 0x91 || sw >> 8 === 0x62;
}

const byte = (field: string, value: number): number => {
  if (!Number.isInteger(value) || value < 0 || value > 0xff) {
    throw new FieldError(field, String(value), 'a byte');
  }
  return value;
};

/** @throws FieldError on a length that an APDU cannot carry */
export function encodeCommand(command: CommandApdu): Uint8Array {
  const { data, le } = command;
  const lc = data?.length ?? 0;
  if (lc > 0xffff) throw new FieldError('data', `${lc} bytes`, 'at most 65535 bytes');
  if (le !== undefined && (!Number.isInteger(le) || le < 1 || le > 0x10000)) {
    throw new FieldError('le', String(le), '1 to 65536');
  }
  const extended = command.extended === true || lc > 0xff || (le ?? 0) > 0x100;
  const out = new Writer(11 + lc);
  out.u8(byte('cla', command.cla)).u8(byte('ins', command.ins));
  out.u8(byte('p1', command.p1)).u8(byte('p2', command.p2));
  if (extended && (lc > 0 || le !== undefined)) out.u8(0);
  if (data !== undefined && lc > 0) {
    if (extended) out.u16(lc);
    else out.u8(lc);
    out.put(data);
  }
  if (le !== undefined) {
    if (extended) out.u16(le & 0xffff);
    else out.u8(le & 0xff);
  }
  return out.done();
}

/** A command of any case, short or extended; `data` is a view. @throws DecodeError */
export function decodeCommand(bytes: Uint8Array): CommandApdu {
  const reader = new Reader(bytes);
  const command: CommandApdu = {
    cla: reader.u8('CLA'),
    ins: reader.u8('INS'),
    p1: reader.u8('P1'),
    p2: reader.u8('P2'),
  };
  if (reader.remaining === 0) return command;
  const p3 = reader.u8('P3');
  if (reader.remaining === 0) {
    command.le = p3 || 0x100;
    return command;
  }
  if (p3 !== 0) {
    command.data = reader.take(p3, 'data');
    if (reader.remaining > 0) command.le = reader.u8('Le') || 0x100;
    reader.end('APDU');
    return command;
  }
  const length = reader.u16('extended length');
  if (reader.remaining === 0) {
    command.le = length || 0x10000;
  } else {
    if (length === 0) throw new DecodeError('Lc', '0', '1 to 65535');
    command.data = reader.take(length, 'data');
    if (reader.remaining > 0) command.le = reader.u16('Le') || 0x10000;
    reader.end('APDU');
  }
  if ((command.data?.length ?? 0) <= 0xff && (command.le ?? 0) <= 0x100) command.extended = true;
  return command;
}

export function encodeResponse(response: ResponseApdu): Uint8Array {
  return new Writer(response.data.length + 2).put(response.data).u16(response.sw).done();
}

/** `data` is a view. @throws DecodeError when there is no status word */
export function decodeResponse(bytes: Uint8Array): ResponseApdu {
  if (bytes.length < 2) throw new DecodeError('response', `${bytes.length} bytes`, 'at least 2 bytes');
  const end = bytes.length - 2;
  return { data: bytes.subarray(0, end), sw: (bytes[end]! << 8) | bytes[end + 1]! };
}

/**
 * The logical channel that a class byte names, 0–19 (TS 102 221 §10.1.1); undefined for a class that is
 * neither interindustry nor ETSI's (0X, 4X–7X, 8X, AX, CX–FX), so 1X–3X, 9X, BX.
 */
export function channelOf(cla: number): number | undefined {
  if ((cla & 0x40) !== 0) return cla === 0xff ? undefined : 4 + (cla & 0x0f);
  const high = cla & 0xf0;
  return high === 0x00 || high === 0x80 || high === 0xa0 ? cla & 0x03 : undefined;
}

/**
 * The class byte for a channel: `base` is 0x00 (ISO), 0x80 (ETSI) or 0xA0.
 * @throws FieldError for a channel outside 0–19
 */
export function onChannel(base: number, channel: number): number {
  if (!Number.isInteger(channel) || channel < 0 || channel > 19) {
    throw new FieldError('channel', String(channel), '0 to 19');
  }
  return channel < 4 ? base | channel : (base & 0x80) | 0x40 | (channel - 4);
}

/**
 * The exchanges that one command takes (TS 102 221 §7.3.1.1): yields the APDUs to send, is given the answers,
 * returns the whole response, whose status word is the last one. At most 64 KiB and 300 exchanges.
 */
export function* exchange(command: CommandApdu): Generator<Uint8Array, ResponseApdu, Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  let apdu = encodeCommand(command);
  let last = command;
  let corrected = false;
  for (let turn = 0; turn < 300; turn++) {
    const { data, sw } = decodeResponse(yield apdu);
    if (sw >> 8 === 0x6c && !corrected) {
      // The card said how much there is: ask again with that length, once.
      corrected = true;
      last = { ...last, le: sw & 0xff || 0x100 };
      apdu = encodeCommand(last);
      continue;
    }
    corrected = false;
    parts.push(data);
    length += data.length;
    if (sw >> 8 !== 0x61 || length > 0x10000) {
      const whole = new Uint8Array(length);
      let at = 0;
      for (const part of parts) {
        whole.set(part, at);
        at += part.length;
      }
      return { data: whole, sw };
    }
    last = {
      cla: getResponseClass(command.cla),
      ins: INS.getResponse,
      p1: 0,
      p2: 0,
      le: sw & 0xff || 0x100,
    };
    apdu = encodeCommand(last);
  }
  throw new DecodeError('response', 'no end after 300 exchanges', 'an end');
}

/** GET RESPONSE is an ISO command: class 0X or 4X, on the channel of the command it belongs to. */
function getResponseClass(cla: number): number {
  return onChannel(0x00, channelOf(cla) ?? 0);
}

/** Sends a command and all that follows it, over a transmission that answers at once. */
export function transceive(transmit: (apdu: Uint8Array) => Uint8Array, command: CommandApdu): ResponseApdu {
  const steps = exchange(command);
  let step = steps.next();
  while (step.done !== true) step = steps.next(transmit(step.value));
  return step.value;
}

/** The same over a transmission that answers later (a reader). */
export async function transceiveAsync(
  transmit: (apdu: Uint8Array) => Promise<Uint8Array>,
  command: CommandApdu,
): Promise<ResponseApdu> {
  const steps = exchange(command);
  let step = steps.next();
  while (step.done !== true) step = steps.next(await transmit(step.value));
  return step.value;
}
