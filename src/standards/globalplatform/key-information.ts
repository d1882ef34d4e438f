/**
 * Which key sets a security domain has (GET DATA of tag 00E0, GlobalPlatform §11.3.3.1), and how one is deleted
 * (DELETE [key], §11.2.2.3.2).
 */
import { DecodeError, FieldError } from '../bytes/index.ts';
import { decodeBerTlv, decodeBerTlvs, encodeBerTlv, encodeBerTlvs } from '../uicc/index.ts';

export const GET_DATA = 0xca;
export const DELETE = 0xe4;
/** Tag of the key information template, P1 and P2 of GET DATA. */
export const KEY_INFORMATION = 0x00e0;
const TAG = { template: 0xe0, key: 0xc0, keyIdentifier: 0xd0, keyVersion: 0xd2 } as const;

/** One key of a set. */
export interface KeyInformation {
  /** within its set, from 1 */
  identifier: number;
  keySet: number;
  /** KEY_TYPE */
  type: number;
  /** bytes */
  length: number;
}

/** The APDU `80 CA 00 E0 00`. */
export const encodeGetKeyInformation = (): Uint8Array =>
  Uint8Array.of(0x80, GET_DATA, KEY_INFORMATION >> 8, KEY_INFORMATION & 0xff, 0);

export const encodeKeyInformation = (keys: readonly KeyInformation[]): Uint8Array =>
  encodeBerTlv(
    TAG.template,
    encodeBerTlvs(
      keys.map(({ identifier, keySet, type, length }) => ({
        tag: TAG.key,
        value: Uint8Array.of(identifier, keySet, type, length),
      })),
    ),
  );

/** @throws DecodeError */
export const decodeKeyInformation = (data: Uint8Array): KeyInformation[] =>
  decodeBerTlvs(decodeBerTlv(data, TAG.template, 'key information'), 'key information').map(
    ({ tag, value }): KeyInformation => {
      // Keys of more than one component repeat type and length; the first says enough here.
      if (tag !== TAG.key || value.length < 4) {
        throw new DecodeError('key information', `tag ${tag.toString(16)}`, 'tag c0 of 4 bytes or more');
      }
      return { identifier: value[0]!, keySet: value[1]!, type: value[2]!, length: value[3]! };
    },
  );

/** The APDU `80 E4 00 00 03 D2 01 n`: the whole set goes. @param keySet 1–15 @throws FieldError */
export function encodeDeleteKeySet(keySet: number): Uint8Array {
  if (!Number.isInteger(keySet) || keySet < 1 || keySet > 15) {
    throw new FieldError('keySet', String(keySet), 'a whole number from 1 to 15');
  }
  return Uint8Array.of(0x80, DELETE, 0x00, 0x00, 3, TAG.keyVersion, 1, keySet);
}

/** The key set that the data of a DELETE name. @throws DecodeError, also on single keys of a set */
export function decodeDeleteKeySet(data: Uint8Array): number {
  const value = decodeBerTlv(data, TAG.keyVersion, 'key version');
  if (value.length !== 1) throw new DecodeError('key version', `${value.length} bytes`, '1 byte');
  return value[0]!;
}
