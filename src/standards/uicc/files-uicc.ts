/** Elementary files at the MF (TS 102 221 §13). */
import { DecodeError, FieldError, Reader, decodeBcd, encodeBcd } from '../bytes/index.ts';
import { exact, file, onlyFilling, padded } from './file.ts';
import { isBlank } from './numbers.ts';
import { decodeAccessRules, encodeAccessRules, type AccessRule } from './security.ts';
import { decodeText, encodeText } from './text.ts';
import { decodeBerTlvs, encodeBerTlv, encodeBerTlvs, takeBerTlv, type Tlv } from './tlv.ts';

/** Master file, telecom, and the directory of the current ADF. */
export const FID = { mf: 0x3f00, telecom: 0x7f10, gsm: 0x7f20, currentAdf: 0x7fff } as const;

/** ICC identification: 10–20 digits (ITU-T E.118), swapped (§13.2). */
export const EF_ICCID = file<string>(
  'EF.ICCID',
  'mf',
  0x2fe2,
  0x02,
  'transparent',
  10,
  (iccid, length) => {
    if (!/^[0-9]{10,20}$/.test(iccid))
      throw new FieldError('iccid', JSON.stringify(iccid), '10 to 20 digits');
    return padded(encodeBcd(iccid), length, 'iccid');
  },
  (bytes) => decodeBcd(exact(bytes, 10, 'EF.ICCID'), 'EF.ICCID'),
);

/** Check digit of an ICCID (ITU-T E.118, Luhn) for the digits before it. */
export function luhnDigit(digits: string): number {
  let sum = 0;
  for (let i = digits.length - 1, double = true; i >= 0; i--, double = !double) {
    const digit = digits.charCodeAt(i) - 0x30;
    sum += double ? (digit > 4 ? 2 * digit - 9 : 2 * digit) : digit;
  }
  return (10 - (sum % 10)) % 10;
}

/** An application of the card, a record of EF.DIR (§13.1). */
export interface Application {
  /** 5–16 bytes */
  aid: Uint8Array;
  /** at most 32 characters */
  label?: string;
  /** data objects beside AID and label */
  other?: Tlv[];
}

/** AID and label of an application; undefined for an empty record. */
export const EF_DIR = file<Application | undefined>(
  'EF.DIR',
  'mf',
  0x2f00,
  0x1e,
  'linearFixed',
  38,
  (application, length) => {
    if (!application) return padded(new Uint8Array(), length, 'EF.DIR');
    const { aid, label, other } = application;
    if (aid.length < 5 || aid.length > 16)
      throw new FieldError('aid', `${aid.length} bytes`, '5 to 16 bytes');
    const objects: Tlv[] = [{ tag: 0x4f, value: aid }];
    if (label !== undefined) {
      const text = encodeText(label, 32, 'label');
      const end = text.indexOf(0xff);
      objects.push({ tag: 0x50, value: end < 0 ? text : text.subarray(0, end) });
    }
    objects.push(...(other ?? []));
    return padded(encodeBerTlv(0x61, encodeBerTlvs(objects)), length, 'EF.DIR record');
  },
  (bytes) => {
    if (isBlank(bytes)) return undefined;
    const reader = new Reader(bytes);
    const template = takeBerTlv(reader, 'application template');
    if (template.tag !== 0x61) {
      throw new DecodeError('application template', `tag ${template.tag.toString(16)}`, 'tag 61');
    }
    onlyFilling(reader.rest(), 'EF.DIR record');
    const [aid, ...rest] = decodeBerTlvs(template.value, 'application template');
    if (aid?.tag !== 0x4f || aid.value.length < 5 || aid.value.length > 16) {
      throw new DecodeError('AID', 'absent or of another length', '5 to 16 bytes, first');
    }
    const application: Application = { aid: aid.value };
    if (rest[0]?.tag === 0x50) application.label = decodeText(rest.shift()!.value, 'application label');
    if (rest.length > 0) application.other = rest;
    return application;
  },
);

/** Languages as two letters (ISO 639-1), or undefined for an empty place. */
function encodeLanguages(languages: (string | undefined)[], length: number): Uint8Array {
  const out = new Uint8Array(2 * languages.length).fill(0xff);
  languages.forEach((language, i) => {
    if (language === undefined) return;
    if (!/^[a-z]{2}$/.test(language)) {
      throw new FieldError('language', JSON.stringify(language), 'two small letters');
    }
    out[2 * i] = language.charCodeAt(0);
    out[2 * i + 1] = language.charCodeAt(1);
  });
  return padded(out, length, 'languages');
}

function decodeLanguages(bytes: Uint8Array): (string | undefined)[] {
  if (bytes.length % 2 !== 0) throw new DecodeError('languages', `${bytes.length} bytes`, 'two bytes each');
  const languages: (string | undefined)[] = [];
  for (let i = 0; i < bytes.length; i += 2) {
    const pair = bytes.subarray(i, i + 2);
    if (isBlank(pair)) {
      languages.push(undefined);
      continue;
    }
    if (pair.some((byte) => byte < 0x61 || byte > 0x7a)) {
      throw new DecodeError('language', 'other bytes', 'two small letters, or FF FF');
    }
    languages.push(String.fromCharCode(...pair));
  }
  return languages;
}

/** Preferred languages (§13.3). */
export const EF_PL = file<(string | undefined)[]>(
  'EF.PL',
  'mf',
  0x2f05,
  0x05,
  'transparent',
  4,
  encodeLanguages,
  decodeLanguages,
);

/** Language indication (TS 31.102 §4.2.1). */
export const EF_LI = file<(string | undefined)[]>(
  'EF.LI',
  'usim',
  0x6f05,
  0x02,
  'transparent',
  4,
  encodeLanguages,
  decodeLanguages,
);

const encodeArr = (rules: AccessRule[], length: number): Uint8Array =>
  padded(encodeAccessRules(rules), length, 'EF.ARR record');

function decodeArr(bytes: Uint8Array): AccessRule[] {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0xff) end--;
  return decodeAccessRules(bytes.subarray(0, end));
}

/** Access rule reference, at the MF and in the USIM (§13.4, TS 31.102 §4.2.55): the rules of one record. */
export const EF_ARR = file<AccessRule[]>(
  'EF.ARR',
  'mf',
  0x2f06,
  0x06,
  'linearFixed',
  64,
  encodeArr,
  decodeArr,
);
export const EF_ARR_USIM = file<AccessRule[]>(
  'EF.ARR',
  'usim',
  0x6f06,
  0x17,
  'linearFixed',
  64,
  encodeArr,
  decodeArr,
);
