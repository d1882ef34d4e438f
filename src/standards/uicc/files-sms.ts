/** Elementary files of the USIM for numbers and short messages (TS 31.102 §4.2.25 to §4.2.28, TS 51.011). */
import { DecodeError, FieldError, Reader, Writer } from '../bytes/index.ts';
import { exact, file, padded, unsigned } from './file.ts';
import { decodeAddress, decodeDigits, encodeAddress, encodeDigits, isBlank } from './numbers.ts';
import type { DiallingNumber } from './numbers.ts';
import { decodeText, encodeText } from './text.ts';

/** Address of a service centre as in RP-DA: length in bytes, TON/NPI, digits; in `size` bytes with filling. */
function putServiceCentre(number: DiallingNumber, size: number): Uint8Array {
  if (number.digits.length > 20) throw new FieldError('serviceCentre', number.digits, 'at most 20 digits');
  const address = encodeAddress(number, 'serviceCentre');
  return padded(new Writer(12).lv(address, 'serviceCentre').done(), size, 'serviceCentre');
}

/** Short message service parameters (§4.2.27). What is absent is marked so. */
export interface SmsParameters {
  alpha: string;
  /** TP-Destination-Address */
  destination?: DiallingNumber;
  serviceCentre?: DiallingNumber;
  pid?: number;
  dcs?: number;
  validity?: number;
}

/** Bytes of a record after the alpha identifier. */
const SMSP_FIXED = 28;

export const EF_SMSP = file<SmsParameters>(
  'EF.SMSP',
  'usim',
  0x6f42,
  0,
  'linearFixed',
  40,
  ({ alpha, destination, serviceCentre, pid, dcs, validity }, length) => {
    const out = new Writer(length).put(encodeText(alpha, length - SMSP_FIXED, 'alpha identifier'));
    const present = [destination, serviceCentre, pid, dcs, validity];
    out.u8(present.reduce<number>((bits, value, i) => (value === undefined ? bits : bits & ~(1 << i)), 0xff));
    const blank = new Uint8Array(12).fill(0xff);
    if (destination) {
      // As TP-DA: the length counts digits (TS 23.040 §9.1.2.5).
      const digits = encodeDigits(destination.digits, 'destination');
      out
        .u8(destination.digits.length)
        .u8(destination.tonNpi)
        .put(padded(digits, 10, 'destination'));
    } else {
      out.put(blank);
    }
    out.put(serviceCentre ? putServiceCentre(serviceCentre, 12) : blank);
    for (const value of [pid, dcs, validity]) out.put(unsigned(value ?? 0xff, 1, 'SMS parameter'));
    return out.done();
  },
  (bytes) => {
    if (bytes.length < SMSP_FIXED)
      throw new DecodeError('EF.SMSP', `${bytes.length} bytes`, 'at least 28 bytes');
    const reader = new Reader(bytes);
    const alpha = decodeText(reader.take(bytes.length - SMSP_FIXED, 'alpha identifier'), 'alpha identifier');
    const absent = reader.u8('parameter indicators');
    const destination = reader.take(12, 'destination');
    const centre = reader.take(12, 'service centre');
    const found: SmsParameters = { alpha };
    if (!(absent & 1)) {
      const digits = decodeDigits(destination.subarray(2), 'destination');
      if (digits.length !== destination[0]) {
        throw new DecodeError('destination', `${digits.length} digits`, `${destination[0]!}`);
      }
      found.destination = { tonNpi: destination[1]!, digits };
    }
    if (!(absent & 2)) found.serviceCentre = takeNumber(centre, 'service centre');
    const rest = [reader.u8('PID'), reader.u8('DCS'), reader.u8('validity period')] as const;
    if (!(absent & 4)) found.pid = rest[0];
    if (!(absent & 8)) found.dcs = rest[1];
    if (!(absent & 16)) found.validity = rest[2];
    return found;
  },
);

/** A length in bytes, TON/NPI and digits, then filling. */
function takeNumber(bytes: Uint8Array, field: string): DiallingNumber {
  const length = bytes[0]!;
  if (length < 1 || length > bytes.length - 1 || !isBlank(bytes.subarray(1 + length))) {
    throw new DecodeError(field, `length ${length}`, 'an address, then FF');
  }
  return decodeAddress(bytes.subarray(1, 1 + length), field);
}

/** A stored short message (§4.2.25). */
export interface StoredMessage {
  /** 0 free, 1 read, 3 to be read, 5 sent, 7 to be sent */
  status: number;
  serviceCentre?: DiallingNumber;
  /** the TPDU, which ends where it says itself, then FF: up to the end of the record */
  tpdu: Uint8Array;
}

export const EF_SMS = file<StoredMessage>(
  'EF.SMS',
  'usim',
  0x6f3c,
  0,
  'linearFixed',
  176,
  ({ status, serviceCentre, tpdu }, length) => {
    const out = new Writer(length).put(unsigned(status, 1, 'status'));
    if (serviceCentre || tpdu.length > 0) {
      if (serviceCentre) {
        const address = encodeAddress(serviceCentre, 'serviceCentre');
        if (address.length > 11)
          throw new FieldError('serviceCentre', serviceCentre.digits, 'at most 20 digits');
        out.lv(address, 'serviceCentre');
      } else {
        out.u8(0);
      }
      out.put(tpdu);
    }
    return padded(out.done(), length, 'EF.SMS record');
  },
  (bytes) => {
    const reader = new Reader(exact(bytes, 176, 'EF.SMS'));
    const status = reader.u8('status');
    if (isBlank(bytes.subarray(1))) return { status, tpdu: new Uint8Array() };
    const address = reader.lv('service centre');
    if (address.length > 11) throw new DecodeError('service centre', `${address.length} bytes`, 'at most 11');
    return {
      status,
      ...(address.length > 0 && { serviceCentre: decodeAddress(address, 'service centre') }),
      tpdu: reader.rest(),
    };
  },
);

/** Short message service status (§4.2.28). */
export const EF_SMSS = file<{ lastReference: number; memoryFull: boolean }>(
  'EF.SMSS',
  'usim',
  0x6f43,
  0,
  'transparent',
  2,
  ({ lastReference, memoryFull }) =>
    Uint8Array.of(...unsigned(lastReference, 1, 'lastReference'), memoryFull ? 0xfe : 0xff),
  (bytes) => {
    const flag = exact(bytes, 2, 'EF.SMSS')[1]!;
    if (flag < 0xfe) throw new DecodeError('memory capacity flag', flag.toString(16), 'fe or ff');
    return { lastReference: bytes[0]!, memoryFull: flag === 0xfe };
  },
);

/** The subscriber's own number; without `number` an empty record (§4.2.26). */
export interface OwnNumber {
  alpha: string;
  number?: DiallingNumber;
  /** capability/configuration and extension record, FF for none */
  configuration: number;
  extension: number;
}

const MSISDN_FIXED = 14;

export const EF_MSISDN = file<OwnNumber>(
  'EF.MSISDN',
  'usim',
  0x6f40,
  0,
  'linearFixed',
  28,
  ({ alpha, number, configuration, extension }, length) => {
    const out = new Writer(length).put(encodeText(alpha, length - MSISDN_FIXED, 'alpha identifier'));
    if (number) {
      const digits = encodeDigits(number.digits, 'msisdn');
      out.u8(1 + digits.length).put(unsigned(number.tonNpi, 1, 'TON/NPI'));
      out.put(padded(digits, 10, 'msisdn'));
    } else {
      out.put(new Uint8Array(12).fill(0xff));
    }
    return out
      .put(unsigned(configuration, 1, 'configuration'))
      .put(unsigned(extension, 1, 'extension'))
      .done();
  },
  (bytes) => {
    if (bytes.length < MSISDN_FIXED) {
      throw new DecodeError('EF.MSISDN', `${bytes.length} bytes`, 'at least 14 bytes');
    }
    const reader = new Reader(bytes);
    const alpha = decodeText(
      reader.take(bytes.length - MSISDN_FIXED, 'alpha identifier'),
      'alpha identifier',
    );
    const field = reader.take(12, 'number');
    const found: OwnNumber = {
      alpha,
      configuration: reader.u8('configuration'),
      extension: reader.u8('extension'),
    };
    if (field[0] !== 0xff) found.number = takeNumber(field, 'msisdn');
    else if (!isBlank(field)) throw new DecodeError('msisdn', 'no length', 'a number, or FF');
    return found;
  },
);
