/**
 * Personalisation of an application through its security domain (GlobalPlatform §11.5.2.3.6 INSTALL [for
 * personalization], §11.11 STORE DATA), here of a network access application with another Ki. No specification says
 * how a card takes one; the data are the AlgoParameter of the TCA interoperable profile (eUICC Profile Package
 * §8.5.2, PE-AKAParameter), as the data grouping 8F01, ciphered under KIK of the set that secures the packet.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import { DecodeError, FieldError, Reader, Writer, concat, expectLength, toHex } from '../bytes/index.ts';
import { decodeBerTlvs, encodeBerTlvs, type Tlv } from '../uicc/index.ts';
import type { SubscriberKey } from '../aka/index.ts';
import { STORE_DATA } from './key-agreement.ts';

export const INSTALL = 0xe6;
/** P1 of INSTALL: for personalization. */
export const P1_PERSONALISATION = 0x20;
/** P1 of STORE DATA: the last block, encrypted, DGI format. */
export const P1_ENCRYPTED = 0xe8;
const DGI_AKA = 0x8f01;
const BLOCK = 16;

/** Context tags of AlgoParameter. */
const TAG = {
  algorithm: 0x80,
  options: 0x81,
  key: 0x82,
  opc: 0x83,
  rotation: 0x84,
  xoring: 0x85,
  keccak: 0x87,
} as const;
/** algorithmID */
const ALGORITHM = { milenage: 1, tuak: 2 } as const;
/** algorithmOptions of TUAK, by the length of RES in bytes; MAC, CK and IK are those of TS 31.102. */
const RES_LENGTHS: readonly number[] = [4, 8, 16];

/** The APDU `80 E6 20 00 Lc 00 00 LV(AID) 00 00 00`. */
export function encodeInstallForPersonalisation(aid: Uint8Array): Uint8Array {
  const data = new Writer(aid.length + 6).u16(0).lv(aid, 'AID').u24(0).done();
  return concat(Uint8Array.of(0x80, INSTALL, P1_PERSONALISATION, 0x00, data.length), data);
}

/** The AID that the data of such a command name. @throws DecodeError */
export function decodeInstallForPersonalisation(data: Uint8Array): Uint8Array {
  const reader = new Reader(data);
  const empty = (length: number, field: string): void => {
    if (reader.take(length, field).some((byte) => byte !== 0)) {
      throw new DecodeError(field, 'present', 'of length 0');
    }
  };
  empty(2, 'load file and module');
  const aid = reader.lv('AID');
  empty(3, 'privileges, parameters and token');
  reader.end('INSTALL');
  return aid;
}

/** AlgoParameter, DER. @throws FieldError on what it cannot say: test algorithms, odd lengths of RES */
export function encodeAlgoParameter(key: SubscriberKey): Uint8Array {
  const { algorithm, k, opc, topc, constants, keccakIterations, resLength } = key;
  if (algorithm === 'test-xor') throw new FieldError('algorithm', algorithm, 'milenage or tuak');
  const options = RES_LENGTHS.indexOf(resLength ?? 8);
  if (options < 0) throw new FieldError('resLength', String(resLength), RES_LENGTHS.join(', '));
  const fields: Tlv[] = [
    { tag: TAG.algorithm, value: Uint8Array.of(ALGORITHM[algorithm]) },
    { tag: TAG.options, value: Uint8Array.of(options) },
    { tag: TAG.key, value: k },
    { tag: TAG.opc, value: (algorithm === 'milenage' ? opc : topc)! },
  ];
  if (constants) {
    fields.push({ tag: TAG.rotation, value: Uint8Array.from(constants.r) });
    fields.push({ tag: TAG.xoring, value: concat(...constants.c) });
  }
  if (keccakIterations !== undefined) {
    fields.push({ tag: TAG.keccak, value: Uint8Array.of(keccakIterations) });
  }
  return encodeBerTlvs(fields);
}

const chunks = (bytes: Uint8Array): Uint8Array[] =>
  Array.from({ length: bytes.length / BLOCK }, (_, i) => bytes.slice(i * BLOCK, (i + 1) * BLOCK));

/** @throws DecodeError naming the field, never a key */
export function decodeAlgoParameter(bytes: Uint8Array): SubscriberKey {
  const fields = decodeBerTlvs(bytes, 'AlgoParameter');
  const byTag = new Map(fields.map(({ tag, value }) => [tag, value]));
  const must = (tag: number, field: string, ...lengths: number[]): Uint8Array => {
    const value = byTag.get(tag);
    if (!value || !lengths.includes(value.length)) {
      throw new DecodeError(
        field,
        value ? `${value.length} bytes` : 'absent',
        `${lengths.join(' or ')} bytes`,
      );
    }
    return value.slice();
  };
  if (byTag.size !== fields.length)
    throw new DecodeError('AlgoParameter', 'a field twice', 'each field once');
  const id = must(TAG.algorithm, 'algorithmID', 1)[0];
  const resLength = RES_LENGTHS[must(TAG.options, 'algorithmOptions', 1)[0]!];
  if (resLength === undefined) throw new DecodeError('algorithmOptions', 'unknown', '00, 01 or 02');
  if (id === ALGORITHM.milenage) {
    const own = byTag.has(TAG.rotation) || byTag.has(TAG.xoring);
    if (fields.length !== (own ? 6 : 4))
      throw new DecodeError('AlgoParameter', `${fields.length} fields`, '4 or 6');
    const constants = own && {
      r: [...must(TAG.rotation, 'rotationConstants', 5)],
      c: chunks(must(TAG.xoring, 'xoringConstants', 80)),
    };
    return {
      algorithm: 'milenage',
      k: must(TAG.key, 'key', 16),
      opc: must(TAG.opc, 'opc', 16),
      ...(resLength !== 8 && { resLength }),
      ...(constants && { constants: constants as unknown as NonNullable<SubscriberKey['constants']> }),
    };
  }
  if (id !== ALGORITHM.tuak) throw new DecodeError('algorithmID', String(id), '1 or 2');
  const keccak = byTag.has(TAG.keccak) ? must(TAG.keccak, 'numberOfKeccak', 1)[0]! : undefined;
  return {
    algorithm: 'tuak',
    k: must(TAG.key, 'key', 16, 32),
    topc: must(TAG.opc, 'opc', 32),
    ...(resLength !== 8 && { resLength }),
    ...(keccak !== undefined && { keccakIterations: keccak }),
  };
}

const cipherName = (key: Uint8Array): string => `aes-${8 * expectLength('kik', key, 16, 24, 32).length}-cbc`;

/**
 * The APDU `80 E2 E8 00 Lc data` that replaces Ki and what goes with it.
 * @param kik AES, of the set that secures the packet: 16, 24 or 32 bytes
 * @throws FieldError
 */
export function encodeStoreAka(key: SubscriberKey, kik: Uint8Array): Uint8Array {
  const plain = encodeAlgoParameter(key);
  // Padding of ISO/IEC 9797-1, method 2.
  const padded = new Uint8Array((Math.floor(plain.length / BLOCK) + 1) * BLOCK);
  padded.set(plain);
  padded[plain.length] = 0x80;
  const cipher = createCipheriv(cipherName(kik), kik, new Uint8Array(BLOCK)).setAutoPadding(false);
  const ciphered = cipher.update(padded);
  plain.fill(0);
  padded.fill(0);
  const data = new Writer(ciphered.length + 3).u16(DGI_AKA).lv(ciphered, 'data grouping').done();
  return concat(Uint8Array.of(0x80, STORE_DATA, P1_ENCRYPTED, 0x00, data.length), data);
}

/** @param data of such a STORE DATA @throws DecodeError */
export function decodeStoreAka(data: Uint8Array, kik: Uint8Array): SubscriberKey {
  const reader = new Reader(data);
  const dgi = reader.u16('data grouping');
  if (dgi !== DGI_AKA) throw new DecodeError('data grouping', dgi.toString(16), '8f01');
  const ciphered = reader.lv('data grouping');
  reader.end('STORE DATA');
  if (ciphered.length === 0 || ciphered.length % BLOCK !== 0) {
    throw new DecodeError('data grouping', `${ciphered.length} bytes`, 'whole blocks of 16 bytes');
  }
  // Not a Buffer, whose slice is no copy.
  const plain = new Uint8Array(
    createDecipheriv(cipherName(kik), kik, new Uint8Array(BLOCK)).setAutoPadding(false).update(ciphered),
  );
  const end = plain.lastIndexOf(0x80);
  if (end < plain.length - BLOCK || end < 0 || plain.subarray(end + 1).some((byte) => byte !== 0)) {
    throw new DecodeError('padding', `of a block ending in ${toHex(plain.subarray(-1))}`, '80, then zeros');
  }
  return decodeAlgoParameter(plain.subarray(0, end));
}
