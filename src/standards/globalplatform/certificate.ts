/**
 * Certificate of a card's key agreement key (CERT.CASD.ECKA, GlobalPlatform Amendment A; the layout of Amendment F,
 * table 6-12): tag 7F21, P-256, ECDSA with SHA-256, signature as r and s. Everything from the serial number to the
 * public key is signed.
 */
import { createPublicKey, verify } from 'node:crypto';
import { DecodeError, FieldError, Reader, concat, equal, expectLength, toHex } from '../bytes/index.ts';
import { decodeBerTlv, encodeBerTlv, encodeBerTlvs, takeBerTlv } from '../uicc/index.ts';

/** A day of a certificate, YYYYMMDD: that of a time in milliseconds since 1970, years later. */
export const certificateDay = (ms: number, years = 0): string => {
  const date = new Date(ms);
  date.setUTCFullYear(date.getUTCFullYear() + years);
  return date.toISOString().slice(0, 10).replaceAll('-', '');
};

export interface CardCertificate {
  /** 1–16 bytes, unique at its issuer */
  serial: Uint8Array;
  /** 1–16 bytes: who signed */
  issuer: Uint8Array;
  /** 1–16 bytes: whose key it is; here EF.ICCID of the card */
  subject: Uint8Array;
  /** first and last day of validity, YYYYMMDD; no limit if absent */
  effective?: string;
  expires?: string;
  /** a point of P-256, uncompressed: 65 bytes */
  publicKey: Uint8Array;
}

const TAG = {
  certificate: 0x7f21,
  serial: 0x93,
  issuer: 0x42,
  subject: 0x5f20,
  keyUsage: 0x95,
  effective: 0x5f25,
  expires: 0x5f24,
  publicKey: 0x7f49,
  point: 0xb0,
  parameters: 0xf0,
  signature: 0x5f37,
} as const;

/** Key usage: key agreement. */
const KEY_AGREEMENT = Uint8Array.of(0x00, 0x80);
/** Key parameter reference of P-256 (GlobalPlatform Amendment E §4.5). */
const P256 = 0x00;
const SIGNATURE = 64;
/** DER before the point of a P-256 SubjectPublicKeyInfo (RFC 5480 §2). */
const SPKI = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex');

/** An uncompressed point: 04, then x and y, 32 bytes each. @throws FieldError */
export function expectPoint(field: string, point: Uint8Array): Uint8Array {
  expectLength(field, point, 65);
  if (point[0] !== 4) throw new FieldError(field, `form ${point[0]}`, 'an uncompressed point (04)');
  return point;
}

/** The value of a data object 7F49: a point of P-256, which is the curve where none is named. @param point 65 bytes */
export const encodePoint = (point: Uint8Array): Uint8Array =>
  encodeBerTlv(TAG.point, expectPoint('public key', point));

/** A key agreement key as data object 7F49, its curve named. @param point 65 bytes */
export const encodePublicKey = (point: Uint8Array): Uint8Array =>
  encodeBerTlv(TAG.publicKey, concat(encodePoint(point), encodeBerTlv(TAG.parameters, Uint8Array.of(P256))));

/** The point of a value of 7F49; the curve may be left out where it is agreed. @throws DecodeError */
export function decodePublicKey(value: Uint8Array): Uint8Array {
  const reader = new Reader(value);
  const { tag, value: point } = takeBerTlv(reader, 'public key');
  if (tag !== TAG.point) throw new DecodeError('public key', `tag ${tag.toString(16)}`, 'tag b0');
  if (reader.remaining > 0) {
    const reference = decodeBerTlv(reader.rest(), TAG.parameters, 'key parameter reference');
    if (reference.length !== 1 || reference[0] !== P256) {
      throw new DecodeError('key parameter reference', toHex(reference), '00: P-256');
    }
  }
  if (point.length !== 65 || point[0] !== 4) {
    throw new DecodeError('public key', `${point.length} bytes`, '65 bytes beginning with 04');
  }
  return point;
}

const identifier = (field: string, value: Uint8Array): Uint8Array => {
  if (value.length < 1 || value.length > 16)
    throw new FieldError(field, `${value.length} bytes`, '1 to 16 bytes');
  return value;
};
const day = (field: string, value: string): Uint8Array => {
  if (!/^[0-9]{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])$/.test(value)) {
    throw new FieldError(field, value, 'a day as YYYYMMDD');
  }
  return Buffer.from(value, 'hex');
};

/**
 * @param sign ECDSA with SHA-256 by the issuer's key over what it is given: r and s, 64 bytes
 * @throws FieldError on a field that cannot be
 */
export function encodeCertificate(
  certificate: CardCertificate,
  sign: (signed: Uint8Array) => Uint8Array,
): Uint8Array {
  const { serial, issuer, subject, effective, expires, publicKey } = certificate;
  const signed = concat(
    encodeBerTlvs([
      { tag: TAG.serial, value: identifier('serial', serial) },
      { tag: TAG.issuer, value: identifier('issuer', issuer) },
      { tag: TAG.subject, value: identifier('subject', subject) },
      { tag: TAG.keyUsage, value: KEY_AGREEMENT },
      ...(effective === undefined ? [] : [{ tag: TAG.effective, value: day('effective', effective) }]),
      ...(expires === undefined ? [] : [{ tag: TAG.expires, value: day('expires', expires) }]),
    ]),
    encodePublicKey(publicKey),
  );
  const signature = expectLength('signature', sign(signed), SIGNATURE);
  return encodeBerTlv(TAG.certificate, concat(signed, encodeBerTlv(TAG.signature, signature)));
}

export interface DecodedCertificate extends CardCertificate {
  signed: Uint8Array;
  /** r and s, 64 bytes */
  signature: Uint8Array;
}

/** Reads a certificate without judging it. @throws DecodeError */
export function decodeCertificate(bytes: Uint8Array): DecodedCertificate {
  const body = decodeBerTlv(bytes, TAG.certificate, 'certificate');
  const reader = new Reader(body);
  let next = takeBerTlv(reader, 'certificate');
  /** where what was taken last ends */
  let end = reader.offset;
  const optional = (tag: number): Uint8Array | undefined => {
    if (next.tag !== tag) return undefined;
    const { value } = next;
    end = reader.offset;
    next = takeBerTlv(reader, 'certificate');
    return value;
  };
  const must = (tag: number, field: string): Uint8Array => {
    const value = optional(tag);
    if (!value) throw new DecodeError(field, `tag ${next.tag.toString(16)}`, `tag ${tag.toString(16)}`);
    return value;
  };
  const identified = (tag: number, field: string): Uint8Array => {
    const value = must(tag, field);
    if (value.length < 1 || value.length > 16) {
      throw new DecodeError(field, `${value.length} bytes`, '1 to 16 bytes');
    }
    return value;
  };
  const dayOf = (tag: number, field: string): string | undefined => {
    const value = optional(tag);
    if (value && !/^[0-9]{8}$/.test(toHex(value))) throw new DecodeError(field, 'not digits', 'YYYYMMDD');
    return value && toHex(value);
  };
  const serial = identified(TAG.serial, 'serial');
  const issuer = identified(TAG.issuer, 'issuer');
  const subject = identified(TAG.subject, 'subject');
  const usage = must(TAG.keyUsage, 'key usage');
  if (!equal(usage, KEY_AGREEMENT)) throw new DecodeError('key usage', toHex(usage), '0080: key agreement');
  const effective = dayOf(TAG.effective, 'effective');
  const expires = dayOf(TAG.expires, 'expires');
  const publicKey = decodePublicKey(must(TAG.publicKey, 'public key'));
  const signed = body.subarray(0, end);
  if (next.tag !== TAG.signature || next.value.length !== SIGNATURE) {
    throw new DecodeError('signature', `tag ${next.tag.toString(16)}`, 'tag 5f37 of 64 bytes');
  }
  reader.end('certificate');
  return {
    serial,
    issuer,
    subject,
    ...(effective !== undefined && { effective }),
    ...(expires !== undefined && { expires }),
    publicKey,
    signed,
    signature: next.value,
  };
}

/**
 * Whether a certificate is its issuer's word, on that day.
 * @param issuerKey the issuer's point of P-256, 65 bytes
 * @param today YYYYMMDD
 */
export function isCertified(certificate: DecodedCertificate, issuerKey: Uint8Array, today: string): boolean {
  const { effective, expires, signed, signature } = certificate;
  if ((effective !== undefined && today < effective) || (expires !== undefined && today > expires)) {
    return false;
  }
  const key = createPublicKey({
    key: Buffer.concat([SPKI, expectPoint('issuer key', issuerKey)]),
    format: 'der',
    type: 'spki',
  });
  return verify('sha256', signed, { key, dsaEncoding: 'ieee-p1363' }, signature);
}
