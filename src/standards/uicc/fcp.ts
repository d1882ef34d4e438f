/** File control parameters: the answer to SELECT and STATUS (TS 102 221 §11.1.1.3, §11.1.1.4). */
import { DecodeError, FieldError, Reader, Writer } from '../bytes/index.ts';
import { decodeSecurityAttributes, encodeSecurityAttributes, type SecurityAttributes } from './security.ts';
import { decodeBerTlv, decodeBerTlvs, encodeBerTlv, putBerTlv, type Tlv } from './tlv.ts';

export const FCP_TAG = 0x62;

/** File descriptor (§11.1.1.4.3). */
export type FileDescriptor =
  | { type: 'df'; shareable: boolean }
  | { type: 'transparent' | 'berTlv'; internal?: true; shareable: boolean }
  | {
      type: 'linearFixed' | 'cyclic';
      internal?: true;
      shareable: boolean;
      /** bytes */
      recordLength: number;
      /** 1–254 */
      records: number;
    };

/** Life cycle status (§11.1.1.4.9). */
export type LifeCycle = 'none' | 'creation' | 'initialisation' | 'activated' | 'deactivated' | 'terminated';

/** A PIN of the PIN status template (§9.5.2). */
export interface PinStatus {
  /** PIN, key reference */
  key: number;
  enabled: boolean;
  /** usage qualifier 95: of a universal PIN, 08 used, 00 not used */
  usage?: number;
}

export interface Fcp {
  descriptor: FileDescriptor;
  /** file identifier; absent for an ADF that has none */
  fid?: number;
  /** AID: 5–16 bytes */
  dfName?: Uint8Array;
  /** A5, uninterpreted (§11.1.1.4.6) */
  proprietary?: Tlv[];
  lifeCycle: LifeCycle;
  security?: SecurityAttributes;
  pins?: PinStatus[];
  /** EF: bytes of the body */
  size?: number;
  /** bytes with all structure */
  totalSize?: number;
  /** short file identifier, 1–30; 0 for an EF without one (88 empty). Absent: the five low bits of the FID */
  sfi?: number;
  /** data objects we do not know, in their order */
  other?: Tlv[];
}

const STRUCTURE = { df: 0x38, transparent: 0x01, linearFixed: 0x02, cyclic: 0x06, berTlv: 0x39 } as const;
/** Data coding byte of ISO/IEC 7816-4 table 87, the value that TS 102 221 fixes. */
const DATA_CODING = 0x21;

function encodeDescriptor(descriptor: FileDescriptor): Uint8Array {
  const out = new Writer(5);
  const internal = descriptor.type !== 'df' && descriptor.internal ? 0x08 : 0;
  out.u8(STRUCTURE[descriptor.type] | internal | (descriptor.shareable ? 0x40 : 0)).u8(DATA_CODING);
  if ('records' in descriptor) {
    const { recordLength, records } = descriptor;
    if (records < 1 || records > 254) throw new FieldError('records', String(records), '1 to 254');
    if (recordLength < 1 || recordLength > 0xffff) {
      throw new FieldError('recordLength', String(recordLength), '1 to 65535');
    }
    out.u16(recordLength).u8(records);
  }
  return out.done();
}

function decodeDescriptor(value: Uint8Array): FileDescriptor {
  const reader = new Reader(value);
  const first = reader.u8('file descriptor');
  const coding = reader.u8('data coding');
  if (coding !== DATA_CODING) throw new DecodeError('data coding', coding.toString(16), '21');
  const shareable = (first & 0x40) !== 0;
  const low = first & 0xbf;
  const internal = (low & 0x38) === 0x08 ? { internal: true as const } : {};
  const structure = low === STRUCTURE.df || low === STRUCTURE.berTlv ? low : low & ~0x08;
  const type = (Object.keys(STRUCTURE) as (keyof typeof STRUCTURE)[]).find((t) => STRUCTURE[t] === structure);
  if (type === undefined) {
    throw new DecodeError(
      'file descriptor',
      first.toString(16),
      'DF, transparent, linear fixed, cyclic or BER-TLV',
    );
  }
  if (type === 'linearFixed' || type === 'cyclic') {
    const recordLength = reader.u16('record length');
    const records = reader.u8('number of records');
    if (recordLength < 1 || records < 1 || records > 254) {
      throw new DecodeError(
        'file descriptor',
        `${records} records of ${recordLength} bytes`,
        '1 to 254 records',
      );
    }
    reader.end('file descriptor');
    return { type, ...internal, shareable, recordLength, records };
  }
  reader.end('file descriptor');
  return type === 'df' ? { type, shareable } : { type, ...internal, shareable };
}

function lifeCycleByte(lifeCycle: LifeCycle): number {
  return { none: 0, creation: 1, initialisation: 3, deactivated: 4, activated: 5, terminated: 0x0c }[
    lifeCycle
  ];
}

function lifeCycleOf(value: Uint8Array): LifeCycle {
  const byte = value[0];
  if (value.length === 1 && byte !== undefined) {
    for (const name of [
      'none',
      'creation',
      'initialisation',
      'deactivated',
      'activated',
      'terminated',
    ] as const) {
      // Bits of the operational and terminated states that say nothing more: RFU (§11.1.1.4.9).
      if (byte === lifeCycleByte(name)) return name;
    }
    if ((byte & 0xfd) === 0x05) return 'activated';
    if ((byte & 0xfd) === 0x04) return 'deactivated';
    if ((byte & 0xfc) === 0x0c) return 'terminated';
  }
  throw new DecodeError('life cycle status', `${value.length} bytes`, 'one byte of TS 102 221 §11.1.1.4.9');
}

/** PIN status template, the content of C6: which PINs there are, and which are enabled (§9.5.2). */
export function encodePinStatus(pins: readonly PinStatus[]): Uint8Array {
  const enabled = new Uint8Array(Math.max(1, (pins.length + 7) >> 3));
  pins.forEach((pin, i) => {
    if (pin.enabled) enabled[i >> 3]! |= 0x80 >> (i & 7);
  });
  const out = new Writer(32);
  putBerTlv(out, 0x90, enabled);
  for (const { key, usage } of pins) {
    if (usage !== undefined) putBerTlv(out, 0x95, Uint8Array.of(usage));
    putBerTlv(out, 0x83, Uint8Array.of(key));
  }
  return out.done();
}

/** @throws DecodeError */
export function decodePinStatus(value: Uint8Array): PinStatus[] {
  const [bitmap, ...objects] = decodeBerTlvs(value, 'PIN status template');
  if (bitmap?.tag !== 0x90) throw new DecodeError('PIN status template', 'no PS_DO', 'PS_DO (90) first');
  const pins: PinStatus[] = [];
  let usage: number | undefined;
  for (const { tag, value } of objects) {
    if ((tag !== 0x83 && tag !== 0x95) || value.length !== 1) {
      throw new DecodeError('PIN status template', `tag ${tag.toString(16)}`, '95 or 83 with 1 byte');
    }
    if (tag === 0x95) {
      usage = value[0]!;
      continue;
    }
    const bit = ((bitmap.value[pins.length >> 3] ?? 0) << (pins.length & 7)) & 0x80;
    pins.push({ key: value[0]!, enabled: bit !== 0, ...(usage !== undefined && { usage }) });
    usage = undefined;
  }
  if (bitmap.value.length !== Math.max(1, (pins.length + 7) >> 3)) {
    throw new DecodeError('PS_DO', `${bitmap.value.length} bytes`, `a bit for each of ${pins.length} PINs`);
  }
  return pins;
}

function whole(value: Uint8Array, field: string): number {
  if (value.length < 2 || value.length > 4)
    throw new DecodeError(field, `${value.length} bytes`, '2 to 4 bytes');
  let number = 0;
  for (const byte of value) number = number * 256 + byte;
  return number;
}

function sized(value: number, field: string): Uint8Array {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) {
    throw new FieldError(field, String(value), '0 to 2^32-1');
  }
  const out = new Writer(4);
  if (value > 0xffffff) out.u32(value);
  else if (value > 0xffff) out.u24(value);
  else out.u16(value);
  return out.done();
}

/** The whole template, tag 62 included; data objects in the order of tables 11.3 to 11.5. @throws FieldError */
export function encodeFcp(fcp: Fcp): Uint8Array {
  const out = new Writer(64);
  putBerTlv(out, 0x82, encodeDescriptor(fcp.descriptor));
  if (fcp.fid !== undefined) putBerTlv(out, 0x83, new Writer(2).u16(fcp.fid).done());
  if (fcp.dfName) putBerTlv(out, 0x84, fcp.dfName);
  if (fcp.proprietary) {
    const inner = new Writer();
    for (const { tag, value } of fcp.proprietary) putBerTlv(inner, tag, value);
    putBerTlv(out, 0xa5, inner.done());
  }
  putBerTlv(out, 0x8a, Uint8Array.of(lifeCycleByte(fcp.lifeCycle)));
  if (fcp.security) out.put(encodeSecurityAttributes(fcp.security));
  if (fcp.pins) putBerTlv(out, 0xc6, encodePinStatus(fcp.pins));
  if (fcp.size !== undefined) putBerTlv(out, 0x80, sized(fcp.size, 'size'));
  if (fcp.totalSize !== undefined) putBerTlv(out, 0x81, sized(fcp.totalSize, 'totalSize'));
  if (fcp.sfi !== undefined) {
    if (fcp.sfi < 0 || fcp.sfi > 30) throw new FieldError('sfi', String(fcp.sfi), '0 to 30');
    putBerTlv(out, 0x88, fcp.sfi === 0 ? new Uint8Array() : Uint8Array.of(fcp.sfi << 3));
  }
  for (const { tag, value } of fcp.other ?? []) putBerTlv(out, tag, value);
  return encodeBerTlv(FCP_TAG, out.done());
}

/** Data objects in any order, each at most once. @throws DecodeError naming the data object */
export function decodeFcp(bytes: Uint8Array): Fcp {
  const objects = new Map<number, Uint8Array>();
  for (const { tag, value } of decodeBerTlvs(decodeBerTlv(bytes, FCP_TAG, 'FCP'), 'FCP')) {
    if (objects.has(tag)) throw new DecodeError('FCP', `tag ${tag.toString(16)} twice`, 'each tag once');
    objects.set(tag, value);
  }
  const take = (tag: number): Uint8Array | undefined => {
    const value = objects.get(tag);
    objects.delete(tag);
    return value;
  };
  const must = (tag: number, field: string): Uint8Array => {
    const value = take(tag);
    if (!value) throw new DecodeError(field, 'absent', `data object ${tag.toString(16)}`);
    return value;
  };
  const fcp: Fcp = {
    descriptor: decodeDescriptor(must(0x82, 'file descriptor')),
    lifeCycle: lifeCycleOf(must(0x8a, 'life cycle status')),
  };
  const fid = take(0x83);
  if (fid) {
    if (fid.length !== 2) throw new DecodeError('file identifier', `${fid.length} bytes`, '2 bytes');
    fcp.fid = (fid[0]! << 8) | fid[1]!;
  }
  const name = take(0x84);
  if (name) {
    if (name.length < 1 || name.length > 16) {
      throw new DecodeError('DF name', `${name.length} bytes`, '1 to 16 bytes');
    }
    fcp.dfName = name;
  }
  const proprietary = take(0xa5);
  if (proprietary) fcp.proprietary = decodeBerTlvs(proprietary, 'proprietary information');
  for (const tag of [0x8b, 0x8c, 0xab]) {
    const security = take(tag);
    if (security && fcp.security) throw new DecodeError('security attributes', 'two', 'one of 8b, 8c, ab');
    if (security) fcp.security = decodeSecurityAttributes(tag, security);
  }
  const pins = take(0xc6);
  if (pins) fcp.pins = decodePinStatus(pins);
  const size = take(0x80);
  if (size) fcp.size = whole(size, 'file size');
  const totalSize = take(0x81);
  if (totalSize) fcp.totalSize = whole(totalSize, 'total file size');
  const sfi = take(0x88);
  if (sfi) {
    if (sfi.length > 1 || (sfi.length === 1 && ((sfi[0]! & 7) !== 0 || sfi[0]! === 0 || sfi[0]! > 0xf0))) {
      throw new DecodeError('short file identifier', `${sfi.length} bytes`, '1 to 30 in the high five bits');
    }
    fcp.sfi = sfi.length === 0 ? 0 : sfi[0]! >> 3;
  }
  if (objects.size > 0) fcp.other = [...objects].map(([tag, value]) => ({ tag, value }));
  return fcp;
}
