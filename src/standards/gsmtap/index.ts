/** GSMTAP v2, the pseudo header that carries NAS over UDP (libosmocore gsmtap.h; registered port 4729). */
import { DecodeError, FieldError } from '../bytes/index.ts';

/** Registered UDP port. */
export const GSMTAP_PORT = 4729;
/** Type of LTE NAS messages. */
export const GSMTAP_LTE_NAS = 0x12;
/** Sub-types of LTE NAS. */
export const GSMTAP_NAS = { plain: 0, protected: 1 } as const;

const VERSION = 2;
const HEADER_LENGTH = 16;
/** In the ARFCN: from the device. */
const UPLINK = 0x4000;

/** A GSMTAP packet. */
export interface Gsmtap {
  /** GSMTAP_LTE_NAS here; 0–255 */
  type: number;
  /** GSMTAP_NAS; 0–255 */
  subType: number;
  /** from the device */
  uplink: boolean;
  /** channel number without flags: 0–0x3FFF; default 0 */
  arfcn?: number;
  /** what it carries: one NAS message */
  payload: Uint8Array;
}

/** A header of 16 bytes, then the payload. The fields of the radio not named in Gsmtap are 0. */
export function encodeGsmtap({ type, subType, uplink, arfcn = 0, payload }: Gsmtap): Uint8Array {
  if (!Number.isInteger(arfcn) || arfcn < 0 || arfcn > 0x3fff) {
    throw new FieldError('arfcn', String(arfcn), '0 to 16383');
  }
  const out = new Uint8Array(HEADER_LENGTH + payload.length);
  out[0] = VERSION;
  out[1] = HEADER_LENGTH / 4;
  out[2] = type;
  out[4] = (arfcn | (uplink ? UPLINK : 0)) >> 8;
  out[5] = arfcn;
  out[12] = subType;
  out.set(payload, HEADER_LENGTH);
  return out;
}

/**
 * Reads a packet; fields of the radio (time slot, signal, noise, frame, antenna) are passed over, and so is
 * what a longer header holds. The payload is a view.
 * @throws DecodeError
 */
export function decodeGsmtap(bytes: Uint8Array): Gsmtap {
  if (bytes.length < HEADER_LENGTH) {
    throw new DecodeError('GSMTAP', `${bytes.length} bytes`, `at least ${HEADER_LENGTH} bytes`);
  }
  if (bytes[0] !== VERSION) throw new DecodeError('GSMTAP version', String(bytes[0]), String(VERSION));
  const length = bytes[1]! * 4;
  if (length < HEADER_LENGTH || length > bytes.length) {
    throw new DecodeError(
      'GSMTAP header length',
      `${length} bytes`,
      `${HEADER_LENGTH} to ${bytes.length} bytes`,
    );
  }
  const channel = (bytes[4]! << 8) | bytes[5]!;
  return {
    type: bytes[2]!,
    subType: bytes[12]!,
    uplink: (channel & UPLINK) !== 0,
    arfcn: channel & 0x3fff,
    payload: bytes.subarray(length),
  };
}
