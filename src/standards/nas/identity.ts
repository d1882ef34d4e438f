/** Networks, areas and identities (TS 24.301 §9.9.3, TS 24.008 §10.5). */
import { DecodeError, FieldError, Reader, Writer, decodePlmn, encodePlmn } from '../bytes/index.ts';
import type { Codec } from './codec.ts';

/** A tracking area. */
export interface Tai {
  plmn: string;
  /** 0–65535 */
  tac: number;
}

function u16(field: string, value: number): number {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff) {
    throw new FieldError(field, String(value), '0 to 65535');
  }
  return value;
}

/** 5 bytes (§9.9.3.32 without the identifier). */
export function encodeTai(tai: Tai): Uint8Array {
  return new Writer(5).put(encodePlmn(tai.plmn)).u16(u16('tac', tai.tac)).done();
}

/** @throws DecodeError */
export function decodeTai(bytes: Uint8Array): Tai {
  const reader = new Reader(bytes);
  const tai = { plmn: decodePlmn(reader.take(3, 'plmn')), tac: reader.u16('tac') };
  reader.end('TAI');
  return tai;
}

export const tai: Codec<Tai> = { encode: encodeTai, decode: decodeTai };

/** A part of a tracking area identity list (§9.9.3.33): 1–16 areas. */
export type PartialTaiList =
  /** type 00: of one network, any codes */
  | { kind: 'codes'; plmn: string; tacs: number[] }
  /** type 01: of one network, consecutive codes */
  | { kind: 'range'; plmn: string; first: number; count: number }
  /** type 10: of any networks */
  | { kind: 'areas'; areas: Tai[] };

/** All areas of a list; a range does not go past 65535. */
export function taisOf(list: readonly PartialTaiList[]): Tai[] {
  return list.flatMap((part) => {
    if (part.kind === 'areas') return part.areas;
    if (part.kind === 'codes') return part.tacs.map((tac) => ({ plmn: part.plmn, tac }));
    return Array.from({ length: part.count }, (_, i) => ({ plmn: part.plmn, tac: part.first + i })).filter(
      ({ tac }) => tac <= 0xffff,
    );
  });
}

export const taiList: Codec<PartialTaiList[]> = {
  encode(list, field) {
    const out = new Writer(32);
    for (const part of list) {
      const count =
        part.kind === 'areas' ? part.areas.length : part.kind === 'codes' ? part.tacs.length : part.count;
      if (!Number.isInteger(count) || count < 1 || count > 16) {
        throw new FieldError(field, `${count} areas in a part`, '1 to 16');
      }
      switch (part.kind) {
        case 'codes':
          out.u8(count - 1).put(encodePlmn(part.plmn));
          for (const tac of part.tacs) out.u16(u16('tac', tac));
          break;
        case 'range':
          out
            .u8(0x20 | (count - 1))
            .put(encodePlmn(part.plmn))
            .u16(u16('tac', part.first));
          break;
        case 'areas':
          out.u8(0x40 | (count - 1));
          for (const area of part.areas) out.put(encodeTai(area));
          break;
      }
    }
    return out.done();
  },
  decode(bytes, field) {
    const reader = new Reader(bytes);
    const list: PartialTaiList[] = [];
    while (reader.remaining > 0) {
      const head = reader.u8(field);
      const count = (head & 31) + 1;
      if (count > 16) throw new DecodeError(field, `${count} areas in a part`, '1 to 16');
      switch (head >> 5) {
        case 0: {
          const plmn = decodePlmn(reader.take(3, field));
          list.push({ kind: 'codes', plmn, tacs: Array.from({ length: count }, () => reader.u16('tac')) });
          break;
        }
        case 1: {
          const plmn = decodePlmn(reader.take(3, field));
          list.push({ kind: 'range', plmn, first: reader.u16('tac'), count });
          break;
        }
        case 2:
          list.push({
            kind: 'areas',
            areas: Array.from({ length: count }, () => decodeTai(reader.take(5, 'TAI'))),
          });
          break;
        default:
          throw new DecodeError(field, `type of list ${head >> 5}`, '0, 1 or 2');
      }
    }
    return list;
  },
};

/** Equivalent PLMNs (TS 24.008 §10.5.1.13). */
export const plmnList: Codec<string[]> = {
  encode(plmns) {
    const out = new Writer(45);
    for (const plmn of plmns) out.put(encodePlmn(plmn));
    return out.done();
  },
  decode(bytes, field) {
    if (bytes.length % 3 !== 0)
      throw new DecodeError(field, `${bytes.length} bytes`, 'a multiple of 3 bytes');
    const plmns: string[] = [];
    for (let at = 0; at < bytes.length; at += 3) plmns.push(decodePlmn(bytes.subarray(at, at + 3)));
    return plmns;
  },
};

/** A globally unique temporary identity (TS 23.003 §2.8). */
export interface Guti {
  kind: 'guti';
  plmn: string;
  /** 0–65535 */
  mmeGroupId: number;
  /** 0–255 */
  mmeCode: number;
  /** 32 bits */
  mTmsi: number;
}

/** Identities made of digits: IMSI 6–15, IMEI 15, IMEISV 16. */
export interface DigitIdentity<K extends 'imsi' | 'imei' | 'imeisv' = 'imsi' | 'imei' | 'imeisv'> {
  kind: K;
  digits: string;
}

/** EPS mobile identity (§9.9.3.12). */
export type EpsMobileIdentity = Guti | DigitIdentity<'imsi' | 'imei'>;
/** Mobile identity (TS 24.008 §10.5.1.4). `none` answers for an identity the device lacks. */
export type MobileIdentity = DigitIdentity | { kind: 'tmsi'; /** 32 bits */ tmsi: number } | { kind: 'none' };

const DIGITS: Record<DigitIdentity['kind'], [min: number, max: number]> = {
  imsi: [6, 15],
  imei: [15, 15],
  imeisv: [16, 16],
};

function encodeDigits(type: number, { kind, digits }: DigitIdentity): Uint8Array {
  const [min, max] = DIGITS[kind];
  if (!/^[0-9]*$/.test(digits) || digits.length < min || digits.length > max) {
    throw new FieldError(
      kind,
      JSON.stringify(digits),
      `${min === max ? '' : `${min} to `}${max} decimal digits`,
    );
  }
  const out = new Uint8Array((digits.length >> 1) + 1);
  const digit = (i: number): number => (i < digits.length ? digits.charCodeAt(i) - 0x30 : 0xf);
  out[0] = (digit(0) << 4) | ((digits.length & 1) << 3) | type;
  for (let i = 1; i < out.length; i++) out[i] = (digit(2 * i) << 4) | digit(2 * i - 1);
  return out;
}

function decodeDigits<K extends DigitIdentity['kind']>(kind: K, bytes: Uint8Array): DigitIdentity<K> {
  const [min, max] = DIGITS[kind];
  const odd = (bytes[0]! & 8) !== 0;
  const length = 2 * bytes.length - (odd ? 1 : 2);
  if (length < min || length > max)
    throw new DecodeError(kind, `${length} digits`, `${min} to ${max} digits`);
  if (!odd && bytes.at(-1)! >> 4 !== 15) throw new DecodeError(kind, 'no filler', 'a filler 0xF at the end');
  let digits = '';
  for (let i = 0; i < length; i++) {
    // The first digit is in the high half of byte 0; then low half first.
    const digit = i % 2 === 0 ? bytes[i >> 1]! >> 4 : bytes[(i + 1) >> 1]! & 15;
    if (digit > 9) throw new DecodeError(kind, `nibble ${digit}`, 'decimal digits');
    digits += digit;
  }
  return { kind, digits };
}

function encodeGuti(guti: Guti): Uint8Array {
  if (!Number.isInteger(guti.mmeCode) || guti.mmeCode < 0 || guti.mmeCode > 255) {
    throw new FieldError('mmeCode', String(guti.mmeCode), '0 to 255');
  }
  if (!Number.isInteger(guti.mTmsi) || guti.mTmsi < 0 || guti.mTmsi > 0xffffffff) {
    throw new FieldError('mTmsi', String(guti.mTmsi), '32 bits');
  }
  return new Writer(11)
    .u8(0xf6)
    .put(encodePlmn(guti.plmn))
    .u16(u16('mmeGroupId', guti.mmeGroupId))
    .u8(guti.mmeCode)
    .u32(guti.mTmsi)
    .done();
}

function decodeGuti(bytes: Uint8Array): Guti {
  const reader = new Reader(bytes);
  const head = reader.u8('GUTI');
  if (head !== 0xf6) throw new DecodeError('GUTI', `first byte 0x${head.toString(16)}`, '0xf6');
  const guti: Guti = {
    kind: 'guti',
    plmn: decodePlmn(reader.take(3, 'plmn')),
    mmeGroupId: reader.u16('mmeGroupId'),
    mmeCode: reader.u8('mmeCode'),
    mTmsi: reader.u32('mTmsi'),
  };
  reader.end('GUTI');
  return guti;
}

export const epsMobileIdentity: Codec<EpsMobileIdentity> = {
  encode: (identity) =>
    identity.kind === 'guti'
      ? encodeGuti(identity)
      : encodeDigits(identity.kind === 'imsi' ? 1 : 3, identity),
  decode(bytes, field) {
    switch (bytes[0]! & 7) {
      case 1:
        return decodeDigits('imsi', bytes);
      case 3:
        return decodeDigits('imei', bytes);
      case 6:
        return decodeGuti(bytes);
      default:
        throw new DecodeError(field, `type of identity ${bytes[0]! & 7}`, '1, 3 or 6');
    }
  },
};

/** An EPS mobile identity that must be a GUTI: 11 bytes. Also how EF.EPSLOCI holds it, after a length byte. */
export const guti: Codec<Guti> = { encode: encodeGuti, decode: decodeGuti };

export const mobileIdentity: Codec<MobileIdentity> = {
  encode(identity) {
    switch (identity.kind) {
      case 'imsi':
        return encodeDigits(1, identity);
      case 'imei':
        return encodeDigits(2, identity);
      case 'imeisv':
        return encodeDigits(3, identity);
      case 'tmsi':
        return new Writer(5).u8(0xf4).u32(identity.tmsi).done();
      case 'none':
        return new Uint8Array(3);
    }
  },
  decode(bytes, field) {
    switch (bytes[0]! & 7) {
      case 0:
        if (bytes.length !== 3)
          throw new DecodeError(field, `${bytes.length} bytes`, '3 bytes for no identity');
        return { kind: 'none' };
      case 1:
        return decodeDigits('imsi', bytes);
      case 2:
        return decodeDigits('imei', bytes);
      case 3:
        return decodeDigits('imeisv', bytes);
      case 4: {
        const reader = new Reader(bytes);
        reader.u8(field);
        const tmsi = reader.u32('tmsi');
        reader.end(field);
        return { kind: 'tmsi', tmsi };
      }
      default:
        throw new DecodeError(field, `type of identity ${bytes[0]! & 7}`, '0 to 4');
    }
  },
};
