/**
 * Confidential setup of a key set by key agreement (GlobalPlatform Amendment A, scenario 3: ECKA-EG): who sends it
 * has a one-time key pair, the card a static one that is certified. STORE DATA brings the control reference template
 * and the one-time public key; the answer is a receipt under the first key derived, which nobody else can make.
 */
import { createECDH, createHash } from 'node:crypto';
import { DecodeError, FieldError, Reader, Writer, concat, equal } from '../bytes/index.ts';
import { aesCmac } from '../ota/index.ts';
import { decodeBerTlv, decodeBerTlvs, encodeBerTlv, encodeBerTlvs } from '../uicc/index.ts';
import { decodePublicKey, encodePoint, expectPoint } from './certificate.ts';
import { KEY_TYPE } from './put-key.ts';

/** INS of STORE DATA (GlobalPlatform §11.11). */
export const STORE_DATA = 0xe2;
/** P1 of STORE DATA: the last block, no encryption, DGI format, an answer is expected. */
export const P1_AGREEMENT = 0x89;

/** Data groupings of the control reference template and of the one-time key: named as the data objects are. */
const DGI = { template: 0x00a6, publicKey: 0x7f49 } as const;
const TAG = {
  template: 0xa6,
  scenario: 0x90,
  keyUsage: 0x95,
  keyType: 0x80,
  keyLength: 0x81,
  keyIdentifier: 0x82,
  keyVersion: 0x83,
  publicKey: 0x7f49,
  receipt: 0x86,
} as const;
/** Scenario 3; parameters: no random of the card in the derivation, as its own key is static and ours is not. */
const SCENARIO = Uint8Array.of(0x03, 0x00);
/** Key usage qualifier: the keys of a secure channel. */
const SECURE_CHANNEL = 0x10;
const RECEIPT = 16;

export interface KeyAgreement {
  /** number of the key set that comes of it, 1–15 */
  keySet: number;
  /** bytes of each AES key: 16, 24 or 32 */
  keyLength: number;
  /** the sender's one-time public key, 65 bytes */
  ephemeral: Uint8Array;
}

/** What both sides have of it. */
export interface AgreedKeys {
  /** KIc, KID, KIK: AES, keyLength bytes each */
  kic: Uint8Array;
  kid: Uint8Array;
  kik: Uint8Array;
  /** what the card answers, 16 bytes */
  receipt: Uint8Array;
}

function template({ keySet, keyLength }: KeyAgreement): Uint8Array {
  if (!Number.isInteger(keySet) || keySet < 1 || keySet > 15) {
    throw new FieldError('keySet', String(keySet), 'a whole number from 1 to 15');
  }
  if (![16, 24, 32].includes(keyLength)) throw new FieldError('keyLength', String(keyLength), '16, 24 or 32');
  return encodeBerTlvs([
    { tag: TAG.scenario, value: SCENARIO },
    { tag: TAG.keyUsage, value: Uint8Array.of(SECURE_CHANNEL) },
    { tag: TAG.keyType, value: Uint8Array.of(KEY_TYPE.aes) },
    { tag: TAG.keyLength, value: Uint8Array.of(keyLength) },
    { tag: TAG.keyIdentifier, value: Uint8Array.of(1) },
    { tag: TAG.keyVersion, value: Uint8Array.of(keySet) },
  ]);
}

/** The APDU `80 E2 89 00 Lc data`. @throws FieldError on a number or a length that cannot be */
export function encodeKeyAgreement(agreement: KeyAgreement): Uint8Array {
  const data = new Writer(100)
    .u16(DGI.template)
    .lv(template(agreement), 'template')
    .u16(DGI.publicKey)
    .lv(encodePoint(agreement.ephemeral), 'public key')
    .done();
  return concat(Uint8Array.of(0x80, STORE_DATA, P1_AGREEMENT, 0x00, data.length), data);
}

/** What the data of such a STORE DATA say. @throws DecodeError on anything but scenario 3 with AES */
export function decodeKeyAgreement(data: Uint8Array): KeyAgreement {
  const reader = new Reader(data);
  const grouping = (expected: number): Uint8Array => {
    const dgi = reader.u16('data grouping');
    if (dgi !== expected) throw new DecodeError('data grouping', dgi.toString(16), expected.toString(16));
    return reader.lv('data grouping');
  };
  const crt = grouping(DGI.template);
  const publicKey = grouping(DGI.publicKey);
  reader.end('STORE DATA');
  const fields = new Map(decodeBerTlvs(crt).map(({ tag, value }) => [tag, value]));
  const byte = (tag: number, field: string): number => {
    const value = fields.get(tag);
    if (value?.length !== 1)
      throw new DecodeError(field, value ? `${value.length} bytes` : 'absent', '1 byte');
    return value[0]!;
  };
  const agreement: KeyAgreement = {
    keySet: byte(TAG.keyVersion, 'key version'),
    keyLength: byte(TAG.keyLength, 'key length'),
    ephemeral: decodePublicKey(publicKey),
  };
  // What is derived must be what was asked for, so what was asked for must be this and nothing else.
  let expected: Uint8Array;
  try {
    expected = template(agreement);
  } catch (error) {
    if (error instanceof FieldError) throw new DecodeError(error.field, error.value, error.expected);
    throw error;
  }
  if (!equal(crt, expected)) {
    throw new DecodeError('control reference template', 'another', 'scenario 3, secure channel keys, AES');
  }
  return agreement;
}

/** ANSI X9.63 key derivation with SHA-256: `length` bytes. */
export function deriveX963(shared: Uint8Array, info: Uint8Array, length: number): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let counter = 1; 32 * parts.length < length; counter++) {
    const count = new Writer(4).u32(counter).done();
    parts.push(createHash('sha256').update(shared).update(count).update(info).digest());
  }
  return concat(...parts).slice(0, length);
}

/**
 * The keys of an agreement.
 * @param privateKey 32 bytes: of the card, or the one-time key's
 * @param peer the other side's public key, 65 bytes
 * @throws FieldError on a point that is not on the curve
 */
export function agreeKeys(agreement: KeyAgreement, privateKey: Uint8Array, peer: Uint8Array): AgreedKeys {
  const { keyLength } = agreement;
  const ecdh = createECDH('prime256v1');
  ecdh.setPrivateKey(privateKey);
  let shared: Uint8Array;
  try {
    shared = ecdh.computeSecret(expectPoint('public key', peer));
  } catch (error) {
    if (error instanceof FieldError) throw error;
    throw new FieldError('public key', 'a point that is not on it', 'a point of P-256');
  }
  const info = Uint8Array.of(SECURE_CHANNEL, KEY_TYPE.aes, keyLength);
  const derived = deriveX963(shared, info, 4 * keyLength);
  const key = (i: number): Uint8Array => derived.slice(i * keyLength, (i + 1) * keyLength);
  const receipt = aesCmac(
    key(0),
    encodeBerTlvs([
      { tag: TAG.template, value: template(agreement) },
      { tag: TAG.publicKey, value: encodePoint(agreement.ephemeral) },
    ]),
  );
  return { kic: key(1), kid: key(2), kik: key(3), receipt };
}

/** The card's answer. @param receipt 16 bytes */
export const encodeReceipt = (receipt: Uint8Array): Uint8Array => encodeBerTlv(TAG.receipt, receipt);

/** @throws DecodeError */
export function decodeReceipt(data: Uint8Array): Uint8Array {
  const receipt = decodeBerTlv(data, TAG.receipt, 'receipt');
  if (receipt.length !== RECEIPT) throw new DecodeError('receipt', `${receipt.length} bytes`, '16 bytes');
  return receipt;
}

/** The public key of a private one: 65 bytes. @param privateKey 32 bytes */
export function publicKeyOf(privateKey: Uint8Array): Uint8Array {
  const ecdh = createECDH('prime256v1');
  ecdh.setPrivateKey(privateKey);
  return new Uint8Array(ecdh.getPublicKey());
}
