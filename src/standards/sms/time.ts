/** Time stamps and validity periods (TS 23.040 §9.2.3.11, §9.2.3.12). */
import { DecodeError, FieldError, type Reader, type Writer } from '../bytes/index.ts';

/** A point in time as a service centre writes it, to the second, in the years 2000–2099. */
export interface TimeStamp {
  /** milliseconds since 1970-01-01T00:00:00Z; whole seconds travel */
  time: number;
  /** difference between local time and GMT in quarters of an hour, -79–79 */
  zone: number;
}

const QUARTER = 15 * 60_000;
const swapped = (value: number): number => ((value % 10) << 4) | Math.floor(value / 10);

/** 7 bytes of swapped digits: year, month, day, hour, minute, second in local time, and the zone. */
export function writeTimeStamp(out: Writer, stamp: TimeStamp, field: string): void {
  if (!Number.isInteger(stamp.zone) || Math.abs(stamp.zone) > 79) {
    throw new FieldError(`${field}.zone`, String(stamp.zone), 'quarters of an hour from -79 to 79');
  }
  const local = new Date(stamp.time + stamp.zone * QUARTER);
  const year = local.getUTCFullYear() - 2000;
  if (!(year >= 0 && year <= 99)) {
    throw new FieldError(`${field}.time`, String(stamp.time), 'a time in the years 2000 to 2099');
  }
  out.u8(swapped(year));
  out
    .u8(swapped(local.getUTCMonth() + 1))
    .u8(swapped(local.getUTCDate()))
    .u8(swapped(local.getUTCHours()));
  out.u8(swapped(local.getUTCMinutes())).u8(swapped(local.getUTCSeconds()));
  // the sign is bit 4 of the byte: the most significant bit of the first digit
  out.u8(swapped(Math.abs(stamp.zone)) | (stamp.zone < 0 ? 0x08 : 0));
}

export function readTimeStamp(reader: Reader, field: string): TimeStamp {
  const bytes = reader.take(7, field);
  const digits = (byte: number): number => {
    const value = (byte & 0x0f) * 10 + (byte >> 4);
    if ((byte & 0x0f) > 9 || byte >> 4 > 9) {
      throw new DecodeError(field, `byte 0x${byte.toString(16)}`, 'two swapped decimal digits');
    }
    return value;
  };
  const zoneByte = bytes[6]!;
  const quarters = digits(zoneByte & 0xf7);
  const zone = (zoneByte & 0x08) !== 0 && quarters !== 0 ? -quarters : quarters;
  const [year, month, day, hour, minute, second] = Array.from(bytes.subarray(0, 6), digits) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const local = Date.UTC(2000 + year, month - 1, day, hour, minute, second);
  const back = new Date(local);
  if (
    month < 1 ||
    back.getUTCMonth() !== month - 1 ||
    back.getUTCDate() !== day ||
    back.getUTCHours() !== hour ||
    back.getUTCMinutes() !== minute ||
    back.getUTCSeconds() !== second
  ) {
    throw new DecodeError(
      field,
      `${year}-${month}-${day} ${hour}:${minute}:${second}`,
      'a date and a time of day',
    );
  }
  return { time: local - zone * QUARTER, zone };
}

/** TP-VP: how long the service centre keeps trying. */
export type ValidityPeriod =
  | { format: 'relative'; value: number }
  | { format: 'absolute'; stamp: TimeStamp }
  /** 7 bytes: functionality indicator and what it names */
  | { format: 'enhanced'; bytes: Uint8Array };

/** Milliseconds of a relative validity period: 5 minutes to 63 weeks (TS 23.040 §9.2.3.12.1). */
export function relativeValidity(value: number): number {
  const minute = 60_000;
  if (value <= 143) return (value + 1) * 5 * minute;
  if (value <= 167) return (12 * 60 + (value - 143) * 30) * minute;
  if (value <= 196) return (value - 166) * 24 * 60 * minute;
  return (value - 192) * 7 * 24 * 60 * minute;
}
