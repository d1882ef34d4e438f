/** Data of AUTHENTICATE: 3G and GSM security contexts (TS 31.102 §7.1.2), IMS AKA (TS 31.103 §7.1.2.1), as 3G. */
import { DecodeError, FieldError, Reader, Writer, expectLength } from '../bytes/index.ts';

/** P2 of AUTHENTICATE (TS 31.102 table 7.1.2-1; `ims`, `httpDigest` and `gba`: TS 31.103 §7.1.2). */
export const AUTHENTICATE_P2 = { gsm: 0x80, umts: 0x81, ims: 0x81, httpDigest: 0x82, gba: 0x84 } as const;

export interface Challenge {
  /** 16 bytes */
  rand: Uint8Array;
  /** 16 bytes; absent in the GSM context */
  autn?: Uint8Array;
}

/** Command data: length and RAND, in the 3G context also length and AUTN. */
export function encodeChallenge({ rand, autn }: Challenge): Uint8Array {
  const out = new Writer(34).lv(expectLength('rand', rand, 16), 'rand');
  if (autn) out.lv(expectLength('autn', autn, 16), 'autn');
  return out.done();
}

/** @throws DecodeError */
export function decodeChallenge(data: Uint8Array): Challenge {
  const reader = new Reader(data);
  const rand = sixteen('RAND', reader.lv('RAND'));
  if (reader.remaining === 0) return { rand };
  const autn = sixteen('AUTN', reader.lv('AUTN'));
  reader.end('AUTHENTICATE');
  return { rand, autn };
}

function sixteen(field: string, value: Uint8Array): Uint8Array {
  if (value.length !== 16) throw new DecodeError(field, `${value.length} bytes`, '16 bytes');
  return value;
}

/** What the USIM answers in the 3G context, the ISIM to IMS AKA: DB, or DC when the sequence number was not fresh. */
export type AuthenticateResult =
  | {
      kind: 'success';
      /** 4–16 bytes */
      res: Uint8Array;
      /** 16 bytes */
      ck: Uint8Array;
      /** 16 bytes */
      ik: Uint8Array;
      /** 8 bytes; of a USIM with service 27 (GSM access) */
      kc?: Uint8Array;
    }
  | {
      kind: 'synchronisationFailure';
      /** 14 bytes */
      auts: Uint8Array;
    };

export function encodeAuthenticateResult(result: AuthenticateResult): Uint8Array {
  if (result.kind === 'synchronisationFailure') {
    return new Writer(16)
      .u8(0xdc)
      .lv(expectLength('auts', result.auts, 14), 'auts')
      .done();
  }
  const { res, ck, ik, kc } = result;
  if (res.length < 4 || res.length > 16) throw new FieldError('res', `${res.length} bytes`, '4 to 16 bytes');
  const out = new Writer(64).u8(0xdb).lv(res, 'res');
  out.lv(expectLength('ck', ck, 16), 'ck').lv(expectLength('ik', ik, 16), 'ik');
  if (kc) out.lv(expectLength('kc', kc, 8), 'kc');
  return out.done();
}

/** Parts are views. @throws DecodeError */
export function decodeAuthenticateResult(data: Uint8Array): AuthenticateResult {
  const reader = new Reader(data);
  const tag = reader.u8('AUTHENTICATE response');
  if (tag === 0xdc) {
    const auts = reader.lv('AUTS');
    if (auts.length !== 14) throw new DecodeError('AUTS', `${auts.length} bytes`, '14 bytes');
    reader.end('AUTHENTICATE response');
    return { kind: 'synchronisationFailure', auts };
  }
  if (tag !== 0xdb) throw new DecodeError('AUTHENTICATE response', `tag ${tag.toString(16)}`, 'db or dc');
  const res = reader.lv('RES');
  if (res.length < 4 || res.length > 16) throw new DecodeError('RES', `${res.length} bytes`, '4 to 16 bytes');
  const ck = sixteen('CK', reader.lv('CK'));
  const ik = sixteen('IK', reader.lv('IK'));
  if (reader.remaining === 0) return { kind: 'success', res, ck, ik };
  const kc = reader.lv('Kc');
  if (kc.length !== 8) throw new DecodeError('Kc', `${kc.length} bytes`, '8 bytes');
  reader.end('AUTHENTICATE response');
  return { kind: 'success', res, ck, ik, kc };
}

/** GSM context: SRES (4 bytes) and Kc (8 bytes). */
export interface GsmResult {
  sres: Uint8Array;
  kc: Uint8Array;
}

export function encodeGsmResult({ sres, kc }: GsmResult): Uint8Array {
  const out = new Writer(14).lv(expectLength('sres', sres, 4), 'sres');
  return out.lv(expectLength('kc', kc, 8), 'kc').done();
}

/** @throws DecodeError */
export function decodeGsmResult(data: Uint8Array): GsmResult {
  const reader = new Reader(data);
  const sres = reader.lv('SRES');
  const kc = reader.lv('Kc');
  if (sres.length !== 4) throw new DecodeError('SRES', `${sres.length} bytes`, '4 bytes');
  if (kc.length !== 8) throw new DecodeError('Kc', `${kc.length} bytes`, '8 bytes');
  reader.end('AUTHENTICATE response');
  return { sres, kc };
}
