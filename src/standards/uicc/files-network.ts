/** Elementary files of the USIM that remember networks, places and keys (TS 31.102 §4.2). */
import {
  DecodeError,
  FieldError,
  Reader,
  Writer,
  expectLength,
  decodePlmn,
  encodePlmn,
} from '../bytes/index.ts';
import { exact, file, numberOf, onlyFilling, padded, unsigned } from './file.ts';
import type { ElementaryFile } from './file.ts';
import { decodeArea, encodeArea, isBlank, type Area } from './numbers.ts';
import { decodeBerTlvs, encodeBerTlv, encodeBerTlvs, takeBerTlv } from './tlv.ts';

/** Bits of an access technology identifier (§4.2.5). */
export const ACT = { utran: 0x8000, eUtran: 0x4000, ngRan: 0x0800, gsm: 0x0080, gsmCompact: 0x0040 } as const;

/** A network and the technologies to look for it in. */
export interface PlmnWithAct {
  plmn: string;
  /** ACT bits */
  act: number;
}

function plmnsWithAct(name: string, fid: number, sfi: number): ElementaryFile<PlmnWithAct[]> {
  return file(
    name,
    'usim',
    fid,
    sfi,
    'transparent',
    40,
    (entries, length) => {
      const out = new Writer(length);
      for (const { plmn, act } of entries) out.put(encodePlmn(plmn)).put(unsigned(act, 2, 'act'));
      if (out.length > length)
        throw new FieldError(name, `${entries.length} networks`, `at most ${length / 5}`);
      while (out.length < length) out.u24(0xffffff).u16(0);
      return out.done();
    },
    (bytes) => {
      if (bytes.length % 5 !== 0) throw new DecodeError(name, `${bytes.length} bytes`, '5 bytes a network');
      const entries: PlmnWithAct[] = [];
      for (let at = 0; at < bytes.length; at += 5) {
        const plmn = bytes.subarray(at, at + 3);
        if (isBlank(plmn)) continue;
        entries.push({ plmn: decodePlmn(plmn, name), act: numberOf(bytes.subarray(at + 3, at + 5)) });
      }
      return entries;
    },
  );
}

/** Home PLMN, operator's and user's selector with access technology (§4.2.54, §4.2.53, §4.2.5); in order. */
export const EF_HPLMNWACT = plmnsWithAct('EF.HPLMNwAcT', 0x6f62, 0x13);
export const EF_OPLMNWACT = plmnsWithAct('EF.OPLMNwAcT', 0x6f61, 0x11);
export const EF_PLMNWACT = plmnsWithAct('EF.PLMNwAcT', 0x6f60, 0x0a);

function plmns(name: string, fid: number, sfi: number): ElementaryFile<string[]> {
  return file(
    name,
    'usim',
    fid,
    sfi,
    'transparent',
    12,
    (entries, length) => {
      const out = new Writer(length);
      for (const plmn of entries) out.put(encodePlmn(plmn));
      return padded(out.done(), length, name);
    },
    (bytes) => {
      if (bytes.length % 3 !== 0) throw new DecodeError(name, `${bytes.length} bytes`, '3 bytes a network');
      const entries: string[] = [];
      for (let at = 0; at < bytes.length; at += 3) {
        const plmn = bytes.subarray(at, at + 3);
        if (!isBlank(plmn)) entries.push(decodePlmn(plmn, name));
      }
      return entries;
    },
  );
}

/** Forbidden and equivalent home networks (§4.2.16, §4.2.84). */
export const EF_FPLMN = plmns('EF.FPLMN', 0x6f7b, 0x0d);
export const EF_EHPLMN = plmns('EF.EHPLMN', 0x6fd9, 0x1d);

/** Time between searches for a better network, in units of 6 minutes (§4.2.6); 0: none. */
export const EF_HPPLMN = file<number>(
  'EF.HPPLMN',
  'usim',
  0x6f31,
  0x12,
  'transparent',
  1,
  (units) => unsigned(units, 1, 'HPPLMN'),
  (bytes) => exact(bytes, 1, 'EF.HPPLMN')[0]!,
);

/** Update status of EF.LOCI, EF.PSLOCI, EF.EPSLOCI. */
export const UPDATE_STATUS = { updated: 0, notUpdated: 1, plmnNotAllowed: 2, areaNotAllowed: 3 } as const;

const blankArea = Uint8Array.of(0xff, 0xff, 0xff, 0x00, 0x00);
const putArea = (area: Area | undefined): Uint8Array => (area ? encodeArea(area) : blankArea);
const takeArea = (bytes: Uint8Array, field: string): Area | undefined =>
  isBlank(bytes.subarray(0, 3)) ? undefined : decodeArea(bytes, field);

/** Where the device was in the circuit-switched domain (§4.2.17). */
export interface LocationInformation {
  /** 4 bytes, FF for none */
  tmsi: Uint8Array;
  area?: Area;
  /** the tenth byte, RFU: FF */
  reserved: number;
  /** UPDATE_STATUS */
  status: number;
}

export const EF_LOCI = file<LocationInformation>(
  'EF.LOCI',
  'usim',
  0x6f7e,
  0x0b,
  'transparent',
  11,
  ({ tmsi, area, reserved, status }) =>
    new Writer(11)
      .put(expectLength('tmsi', tmsi, 4))
      .put(putArea(area))
      .put(unsigned(reserved, 1, 'reserved'))
      .put(unsigned(status, 1, 'status'))
      .done(),
  (bytes) => {
    const reader = new Reader(exact(bytes, 11, 'EF.LOCI'));
    const tmsi = reader.take(4, 'TMSI');
    const area = takeArea(reader.take(5, 'LAI'), 'LAI');
    return { tmsi, ...(area && { area }), reserved: reader.u8('reserved'), status: reader.u8('status') };
  },
);

/** Where the device was in the packet-switched domain (§4.2.23). */
export interface PsLocationInformation {
  /** 4 bytes, FF for none */
  ptmsi: Uint8Array;
  /** 3 bytes */
  signature: Uint8Array;
  area?: Area;
  /** routing area code, 8 bits */
  routingArea: number;
  /** UPDATE_STATUS */
  status: number;
}

export const EF_PSLOCI = file<PsLocationInformation>(
  'EF.PSLOCI',
  'usim',
  0x6f73,
  0x0c,
  'transparent',
  14,
  ({ ptmsi, signature, area, routingArea, status }) =>
    new Writer(14)
      .put(expectLength('ptmsi', ptmsi, 4))
      .put(expectLength('signature', signature, 3))
      .put(putArea(area))
      .put(unsigned(routingArea, 1, 'routing area'))
      .put(unsigned(status, 1, 'status'))
      .done(),
  (bytes) => {
    const reader = new Reader(exact(bytes, 14, 'EF.PSLOCI'));
    const ptmsi = reader.take(4, 'P-TMSI');
    const signature = reader.take(3, 'P-TMSI signature');
    const area = takeArea(reader.take(5, 'RAI'), 'RAI');
    return {
      ptmsi,
      signature,
      ...(area && { area }),
      routingArea: reader.u8('RAC'),
      status: reader.u8('status'),
    };
  },
);

/** Globally unique temporary identity (TS 24.301 §9.9.3.12). */
export interface StoredGuti {
  plmn: string;
  /** 16 bits */
  mmeGroup: number;
  /** 8 bits */
  mmeCode: number;
  /** 32 bits */
  mTmsi: number;
}

/** Where the device was in EPS (§4.2.91). */
export interface EpsLocationInformation {
  guti?: StoredGuti;
  /** last visited registered TAI */
  area?: Area;
  /** UPDATE_STATUS, 2: roaming not allowed */
  status: number;
}

export const EF_EPSLOCI = file<EpsLocationInformation>(
  'EF.EPSLOCI',
  'usim',
  0x6fe3,
  0x1e,
  'transparent',
  18,
  ({ guti, area, status }) => {
    const out = new Writer(18);
    if (guti) {
      // The EPS mobile identity from its length byte on.
      out
        .u8(0x0b)
        .u8(0xf6)
        .put(encodePlmn(guti.plmn))
        .put(unsigned(guti.mmeGroup, 2, 'mmeGroup'));
      out.put(unsigned(guti.mmeCode, 1, 'mmeCode')).put(unsigned(guti.mTmsi, 4, 'mTmsi'));
    } else {
      out.put(new Uint8Array(12).fill(0xff));
    }
    return out
      .put(putArea(area))
      .put(unsigned(status, 1, 'status'))
      .done();
  },
  (bytes) => {
    const reader = new Reader(exact(bytes, 18, 'EF.EPSLOCI'));
    const identity = new Reader(reader.take(12, 'GUTI'));
    const area = takeArea(reader.take(5, 'TAI'), 'TAI');
    const found: EpsLocationInformation = { ...(area && { area }), status: reader.u8('status') };
    if (isBlank(identity.bytes)) return found;
    if (identity.u16('GUTI') !== 0x0bf6) throw new DecodeError('GUTI', 'another identity', '0b f6 …');
    found.guti = {
      plmn: decodePlmn(identity.take(3, 'GUTI'), 'GUTI'),
      mmeGroup: identity.u16('MME group'),
      mmeCode: identity.u8('MME code'),
      mTmsi: identity.u32('M-TMSI'),
    };
    return found;
  },
);

/** Ciphering and integrity keys and their set identifier; 7: no keys (§4.2.3, §4.2.4). */
export interface StoredKeys {
  /** 0–7 */
  ksi: number;
  /** 16 bytes */
  ck: Uint8Array;
  /** 16 bytes */
  ik: Uint8Array;
}

function keys(name: string, fid: number, sfi: number): ElementaryFile<StoredKeys> {
  return file(
    name,
    'usim',
    fid,
    sfi,
    'transparent',
    33,
    ({ ksi, ck, ik }) =>
      new Writer(33)
        .put(unsigned(ksi, 1, 'ksi'))
        .put(expectLength('ck', ck, 16))
        .put(expectLength('ik', ik, 16))
        .done(),
    (bytes) => {
      exact(bytes, 33, name);
      return { ksi: bytes[0]!, ck: bytes.subarray(1, 17), ik: bytes.subarray(17) };
    },
  );
}

export const EF_KEYS = keys('EF.Keys', 0x6f08, 0x08);
export const EF_KEYSPS = keys('EF.KeysPS', 0x6f09, 0x09);

/** EPS NAS security context (§4.2.92); undefined for an empty record. */
export interface EpsSecurityContext {
  /** KSI_ASME 0–7 */
  ksi: number;
  /** 32 bytes, or none when the context is not valid */
  kAsme: Uint8Array;
  /** 32 bits */
  uplinkCount: number;
  downlinkCount: number;
  /** as in NAS security algorithms: EEA in the high half, EIA in the low */
  algorithms: number;
}

export const EF_EPSNSC = file<EpsSecurityContext | undefined>(
  'EF.EPSNSC',
  'usim',
  0x6fe4,
  0x18,
  'linearFixed',
  80,
  (context, length) => {
    if (!context) return padded(new Uint8Array(), length, 'EF.EPSNSC');
    const content = encodeBerTlvs([
      { tag: 0x80, value: unsigned(context.ksi, 1, 'ksi') },
      { tag: 0x81, value: expectLength('kAsme', context.kAsme, 0, 32) },
      { tag: 0x82, value: unsigned(context.uplinkCount, 4, 'uplinkCount') },
      { tag: 0x83, value: unsigned(context.downlinkCount, 4, 'downlinkCount') },
      { tag: 0x84, value: unsigned(context.algorithms, 1, 'algorithms') },
    ]);
    return padded(encodeBerTlv(0xa0, content), length, 'EF.EPSNSC');
  },
  (bytes) => {
    if (isBlank(bytes)) return undefined;
    const reader = new Reader(bytes);
    const { tag, value } = takeBerTlv(reader, 'EF.EPSNSC');
    if (tag !== 0xa0) throw new DecodeError('EF.EPSNSC', `tag ${tag.toString(16)}`, 'tag a0');
    onlyFilling(reader.rest(), 'EF.EPSNSC');
    const objects = decodeBerTlvs(value, 'EF.EPSNSC');
    const lengths = [[1], [0, 32], [4], [4], [1]];
    if (
      objects.length !== 5 ||
      objects.some((object, i) => object.tag !== 0x80 + i || !lengths[i]!.includes(object.value.length))
    ) {
      throw new DecodeError('EF.EPSNSC', `${objects.length} data objects`, '80 to 84 in their lengths');
    }
    const [ksi, kAsme, uplink, downlink, algorithms] = objects.map((object) => object.value);
    return {
      ksi: numberOf(ksi!),
      kAsme: kAsme!,
      uplinkCount: numberOf(uplink!),
      downlinkCount: numberOf(downlink!),
      algorithms: numberOf(algorithms!),
    };
  },
);
