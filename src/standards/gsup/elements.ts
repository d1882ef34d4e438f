/** Information elements of GSUP: a tag byte, a length byte, a value (OsmoHLR user manual, "GSUP Information Elements"). */
import {
  DecodeError,
  FieldError,
  Reader,
  Writer,
  decodeBcd,
  encodeBcd,
  expectLength,
} from '../bytes/index.ts';

/** Cause: GMM causes of TS 24.008 §10.5.5.14, those that an HLR gives. */
export const GMM_CAUSE = {
  imsiUnknown: 2,
  illegalMs: 3,
  plmnNotAllowed: 11,
  roamingNotAllowed: 13,
  networkFailure: 17,
  macFailure: 20,
  congestion: 22,
  invalidMandatoryInformation: 96,
  messageTypeNonExistent: 97,
  messageTypeIncompatible: 98,
} as const;

export const CN_DOMAIN = { ps: 1, cs: 2 } as const;
/** Radio access technology, of the supported and the current RAT type. */
export const GSUP_RAT = { unknown: 0, geranA: 1, utranIu: 2, eutranSgs: 3 } as const;
export const CANCEL_TYPE = { update: 0, withdraw: 1 } as const;
export const MESSAGE_CLASS = {
  subscriberManagement: 1,
  sms: 2,
  ussd: 3,
  interMsc: 4,
  ipsecEpdg: 5,
} as const;

/** Most authentication tuples in a message. */
export const MOST_TUPLES = 5;
/** Most PDP contexts in a message. */
export const MOST_PDP_CONTEXTS = 10;

/** An authentication tuple: a triplet, a quintet, or both of one RAND. */
export interface AuthTuple {
  /** 16 bytes */
  rand: Uint8Array;
  /** SRES of 4 bytes, Kc of 8 */
  gsm?: { sres: Uint8Array; kc: Uint8Array };
  /** IK, CK and AUTN of 16 bytes each, RES of 4 to 16 */
  umts?: { ik: Uint8Array; ck: Uint8Array; autn: Uint8Array; res: Uint8Array };
}

/** PDP type number of organisation IETF (TS 29.060 §7.7.27). */
export const PDP_TYPE = { ipv4: 0x21, ipv6: 0x57, ipv4v6: 0x8d } as const;

/** A PDP context of the subscription. */
export interface PdpInfo {
  /** 0–255 */
  contextId: number;
  /** PDP_TYPE, and the address where it is static: 0, 4, 16 or 20 bytes */
  type?: { number: number; address: Uint8Array };
  /** access point name, labels separated by dots; `*` for any */
  apn?: string;
  /** QoS subscribed and charging characteristics, as in MAP */
  qos?: Uint8Array;
  charging?: Uint8Array;
}

/** An element that we have no name for, or that does not belong in its message. */
export interface OtherElement {
  /** 0–255 */
  tag: number;
  /** up to 255 bytes */
  value: Uint8Array;
}

/** The named elements of messages. */
export interface Elements {
  /** GMM_CAUSE; 0–255 */
  cause: number;
  /** up to MOST_TUPLES */
  tuples: AuthTuple[];
  /** the PDP contexts are all there are */
  pdpInfoComplete: true;
  /** up to MOST_PDP_CONTEXTS */
  pdpInfos: PdpInfo[];
  /** which PDP contexts are to be deleted */
  pdpContextIds: number[];
  /** CANCEL_TYPE */
  cancelType: number;
  freezePtmsi: true;
  /** digits, up to 16 */
  msisdn: string;
  hlrNumber: string;
  /** MESSAGE_CLASS; 0–255 */
  messageClass: number;
  /** charging characteristics */
  charging: Uint8Array;
  /** 16 bytes, of the challenge that AUTS answers */
  rand: Uint8Array;
  /** 14 bytes */
  auts: Uint8Array;
  /** CN_DOMAIN; 0–255 */
  cnDomain: number;
  /** GSUP_RAT each */
  supportedRats: number[];
  /** GSUP_RAT; 0–255 */
  currentRat: number;
  /** how many tuples are wanted, 1–5; an HLR gives 5 for any other */
  vectors: number;
  /** who sent it and for whom it is, where it is routed between IPA peers; as bytes, closing zero with them */
  sourceName: Uint8Array;
  destinationName: Uint8Array;
}

export type ElementName = keyof Elements;

const TUPLE = { rand: 0x20, sres: 0x21, kc: 0x22, ik: 0x23, ck: 0x24, autn: 0x25, res: 0x27 } as const;
const PDP = { contextId: 0x10, address: 0x11, apn: 0x12, qos: 0x13, charging: 0x14 } as const;
const IETF = 0xf1;

interface Coder<T> {
  tag: number;
  put(value: T): Uint8Array;
  get(value: Uint8Array): T;
}

/** Elements of one value, or of one value each time they come. */
type Coding<T> = T extends Uint8Array
  ? Coder<T> & { repeated?: undefined }
  : T extends (infer One)[]
    ? (Coder<One> & { repeated: number }) | (Coder<T> & { repeated?: undefined })
    : Coder<T> & { repeated?: undefined };

const u8 = (tag: number, field: string): Coder<number> => ({
  tag,
  put(value) {
    if (!Number.isInteger(value) || value < 0 || value > 255) {
      throw new FieldError(field, String(value), '0 to 255');
    }
    return Uint8Array.of(value);
  },
  get: (value) => exact(field, value, 1)[0]!,
});

const bytes = (tag: number, field: string, ...lengths: number[]): Coder<Uint8Array> => ({
  tag,
  put: (value) => (lengths.length > 0 ? expectLength(field, value, ...lengths) : value),
  get: (value) => (lengths.length > 0 ? exact(field, value, ...lengths) : value),
});

const flag = (tag: number, field: string): Coder<true> => ({
  tag,
  put: () => new Uint8Array(0),
  get(value) {
    exact(field, value, 0);
    return true;
  },
});

/** A number as TS 24.008 codes it after a length byte of its own, without type of number. */
const number = (tag: number, field: string): Coder<string> => ({
  tag,
  put(value) {
    if (!/^[0-9]{0,16}$/.test(value)) throw new FieldError(field, JSON.stringify(value), 'at most 16 digits');
    const digits = encodeBcd(value, field);
    return new Writer(1 + digits.length).lv(digits, field).done();
  },
  get(value) {
    const reader = new Reader(value);
    const digits = decodeBcd(reader.lv(field), field);
    reader.end(field);
    if (digits.length > 16) throw new DecodeError(field, `${digits.length} digits`, 'at most 16');
    return digits;
  },
});

function exact(field: string, value: Uint8Array, ...lengths: number[]): Uint8Array {
  if (!lengths.includes(value.length)) {
    throw new DecodeError(field, `${value.length} bytes`, `${lengths.join(' or ')} bytes`);
  }
  return value;
}

/** Reads elements of which each may come once. @returns what each tag held */
function once(what: string, value: Uint8Array, known: readonly number[]): Map<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  const reader = new Reader(value);
  while (reader.remaining > 0) {
    const tag = reader.u8('tag');
    const inner = reader.lv(what);
    const shown = `tag 0x${tag.toString(16)}`;
    if (!known.includes(tag)) throw new DecodeError(what, shown, 'an element that belongs in it');
    if (found.has(tag)) throw new DecodeError(what, `${shown} twice`, 'once');
    found.set(tag, inner);
  }
  return found;
}

function putTuple(tuple: AuthTuple): Uint8Array {
  const { gsm, umts } = tuple;
  const out = new Writer(112);
  const put = (tag: number, value: Uint8Array, field: string, ...lengths: number[]): void => {
    out.u8(tag).lv(lengths.length > 0 ? expectLength(field, value, ...lengths) : value, field);
  };
  put(TUPLE.rand, tuple.rand, 'RAND', 16);
  if (gsm) {
    put(TUPLE.sres, gsm.sres, 'SRES', 4);
    put(TUPLE.kc, gsm.kc, 'Kc', 8);
  }
  if (umts) {
    put(TUPLE.ik, umts.ik, 'IK', 16);
    put(TUPLE.ck, umts.ck, 'CK', 16);
    put(TUPLE.autn, umts.autn, 'AUTN', 16);
    if (umts.res.length < 4 || umts.res.length > 16) {
      throw new FieldError('RES', `${umts.res.length} bytes`, '4 to 16 bytes');
    }
    put(TUPLE.res, umts.res, 'RES');
  }
  if (!gsm && !umts) throw new FieldError('authentication tuple', 'RAND alone', 'a triplet or a quintet');
  return out.done();
}

function getTuple(value: Uint8Array): AuthTuple {
  const found = once('authentication tuple', value, Object.values(TUPLE));
  const get = (tag: number, field: string, ...lengths: number[]): Uint8Array => {
    const inner = found.get(tag);
    if (!inner) throw new DecodeError('authentication tuple', `no ${field}`, 'all of a triplet or quintet');
    return lengths.length > 0 ? exact(field, inner, ...lengths) : inner;
  };
  const tuple: AuthTuple = { rand: get(TUPLE.rand, 'RAND', 16) };
  if (found.has(TUPLE.sres) || found.has(TUPLE.kc)) {
    tuple.gsm = { sres: get(TUPLE.sres, 'SRES', 4), kc: get(TUPLE.kc, 'Kc', 8) };
  }
  if ([TUPLE.ik, TUPLE.ck, TUPLE.autn, TUPLE.res].some((tag) => found.has(tag))) {
    const res = get(TUPLE.res, 'RES');
    if (res.length < 4 || res.length > 16)
      throw new DecodeError('RES', `${res.length} bytes`, '4 to 16 bytes');
    tuple.umts = {
      ik: get(TUPLE.ik, 'IK', 16),
      ck: get(TUPLE.ck, 'CK', 16),
      autn: get(TUPLE.autn, 'AUTN', 16),
      res,
    };
  }
  if (!tuple.gsm && !tuple.umts) {
    throw new DecodeError('authentication tuple', 'RAND alone', 'a triplet or a quintet');
  }
  return tuple;
}

const LABEL = /^[!-~]{1,63}$/;

/** TS 23.003 §9.1 */
function encodeApn(apn: string): Uint8Array {
  const labels = apn.split('.');
  if (apn.length > 100 || !labels.every((label) => LABEL.test(label))) {
    throw new FieldError('APN', JSON.stringify(apn), 'labels of 1 to 63 characters, 100 in all');
  }
  return new TextEncoder().encode(labels.map((label) => String.fromCharCode(label.length) + label).join(''));
}

function decodeApn(value: Uint8Array): string {
  const labels: string[] = [];
  const reader = new Reader(value);
  while (reader.remaining > 0) {
    const label = String.fromCharCode(...reader.lv('APN'));
    if (!LABEL.test(label) || label.includes('.')) {
      throw new DecodeError('APN', JSON.stringify(label), 'a label of 1 to 63 characters');
    }
    labels.push(label);
  }
  const apn = labels.join('.');
  if (apn === '' || apn.length > 100) throw new DecodeError('APN', `${apn.length} characters`, '1 to 100');
  return apn;
}

function putPdpInfo(info: PdpInfo): Uint8Array {
  const out = new Writer(32);
  out.u8(PDP.contextId).lv(u8(PDP.contextId, 'PDP context id').put(info.contextId), 'PDP context id');
  if (info.type) {
    const address = expectLength('PDP address', info.type.address, 0, 4, 16, 20);
    const type = u8(PDP.address, 'PDP type').put(info.type.number)[0]!;
    out.u8(PDP.address).u8(2 + address.length);
    out.u8(IETF).u8(type).put(address);
  }
  if (info.apn !== undefined) out.u8(PDP.apn).lv(encodeApn(info.apn), 'APN');
  if (info.qos) out.u8(PDP.qos).lv(info.qos, 'PDP QoS');
  if (info.charging) out.u8(PDP.charging).lv(info.charging, 'charging characteristics');
  return out.done();
}

function getPdpInfo(value: Uint8Array): PdpInfo {
  const found = once('PDP info', value, Object.values(PDP));
  const id = found.get(PDP.contextId);
  if (!id) throw new DecodeError('PDP info', 'no PDP context id', 'one');
  const info: PdpInfo = { contextId: exact('PDP context id', id, 1)[0]! };
  const address = found.get(PDP.address);
  if (address) {
    exact('PDP address', address, 2, 6, 18, 22);
    if (address[0] !== IETF) {
      throw new DecodeError('PDP type organisation', `0x${address[0]!.toString(16)}`, '0xf1, the IETF');
    }
    info.type = { number: address[1]!, address: address.subarray(2) };
  }
  const apn = found.get(PDP.apn);
  if (apn) info.apn = decodeApn(apn);
  const qos = found.get(PDP.qos);
  if (qos) info.qos = qos;
  const charging = found.get(PDP.charging);
  if (charging) info.charging = charging;
  return info;
}

/** Where each element is on the wire, in the order in which libosmocore writes them. */
export const elements: { readonly [Name in ElementName]: Coding<Elements[Name]> } = {
  msisdn: number(0x08, 'MSISDN'),
  hlrNumber: number(0x09, 'HLR number'),
  cause: u8(0x02, 'cause'),
  cancelType: u8(0x06, 'cancel type'),
  pdpInfoComplete: flag(0x04, 'PDP info complete'),
  freezePtmsi: flag(0x07, 'freeze P-TMSI'),
  pdpInfos: { tag: 0x05, put: putPdpInfo, get: getPdpInfo, repeated: MOST_PDP_CONTEXTS },
  pdpContextIds: { ...u8(0x10, 'PDP context id'), repeated: MOST_PDP_CONTEXTS },
  vectors: u8(0x52, 'number of vectors'),
  tuples: { tag: 0x03, put: putTuple, get: getTuple, repeated: MOST_TUPLES },
  auts: bytes(0x26, 'AUTS', 14),
  rand: bytes(0x20, 'RAND', 16),
  cnDomain: u8(0x28, 'CN domain'),
  charging: bytes(0x14, 'charging characteristics'),
  messageClass: u8(0x0a, 'message class'),
  sourceName: bytes(0x60, 'source name'),
  destinationName: bytes(0x61, 'destination name'),
  supportedRats: {
    tag: 0x29,
    put: (value) => Uint8Array.from(value.map((rat) => u8(0x29, 'supported RAT types').put(rat)[0]!)),
    get: (value) => [...value],
  },
  currentRat: u8(0x2a, 'current RAT type'),
};
