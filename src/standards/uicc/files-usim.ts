/** Elementary files of the USIM that say who and what it is (TS 31.102 §4.2). */
import { DecodeError, FieldError, decodeBcd, encodeBcd } from '../bytes/index.ts';
import { exact, file, numberOf, padded, unsigned } from './file.ts';
import { decodeDigits, encodeDigits, isBlank } from './numbers.ts';
import { decodeText, encodeText } from './text.ts';

/** RID and application code of a 3GPP USIM (TS 101 220 annex E): what a partial AID for it starts with. */
export const USIM_AID_PREFIX = Uint8Array.of(0xa0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x02);

/** IMSI, 6–15 digits (§4.2.2). */
export const EF_IMSI = file<string>(
  'EF.IMSI',
  'usim',
  0x6f07,
  0x07,
  'transparent',
  9,
  (imsi, length) => {
    if (!/^[0-9]{6,15}$/.test(imsi)) throw new FieldError('imsi', JSON.stringify(imsi), '6 to 15 digits');
    // Like a mobile identity: first digit beside the parity and type 1.
    const digits = encodeBcd(imsi.slice(1));
    const out = new Uint8Array(2 + digits.length);
    out[0] = 1 + digits.length;
    out[1] = (Number(imsi[0]) << 4) | (imsi.length % 2 === 1 ? 9 : 1);
    out.set(digits, 2);
    return padded(out, length, 'imsi');
  },
  (bytes) => {
    exact(bytes, 9, 'EF.IMSI');
    const length = bytes[0]!;
    const first = bytes[1]!;
    if (length < 4 || length > 8 || first >> 4 > 9) {
      throw new DecodeError('EF.IMSI', `length ${length}`, 'an IMSI of 6 to 15 digits');
    }
    const imsi = `${first >> 4}${decodeBcd(bytes.subarray(2, 1 + length), 'EF.IMSI')}`;
    const odd = imsi.length % 2 === 1;
    if ((first & 0x0f) !== (odd ? 9 : 1) || length !== (imsi.length >> 1) + 1 || imsi.length < 6) {
      throw new DecodeError(
        'EF.IMSI',
        `${imsi.length} digits`,
        'a parity and length that agree with the digits',
      );
    }
    if (!isBlank(bytes.subarray(1 + length))) throw new DecodeError('EF.IMSI', 'bytes after the IMSI', 'FF');
    return imsi;
  },
);

/** Administrative data (§4.2.18). */
export interface AdministrativeData {
  /** 00 normal, 80 type approval, … */
  mode: number;
  /** 16 bits */
  information: number;
  mncLength: 2 | 3;
  /** bytes after the fourth */
  more?: Uint8Array;
}

export const EF_AD = file<AdministrativeData>(
  'EF.AD',
  'usim',
  0x6fad,
  0x03,
  'transparent',
  4,
  ({ mode, information, mncLength, more }, length) => {
    if (more && more.length !== length - 4) {
      throw new FieldError('more', `${more.length} bytes`, `${length - 4} bytes`);
    }
    const out = new Uint8Array(length);
    out.set([...unsigned(mode, 1, 'mode'), ...unsigned(information, 2, 'information'), mncLength]);
    if (more) out.set(more, 4);
    return out;
  },
  (bytes) => {
    if (bytes.length < 4 || bytes.length > 64) {
      throw new DecodeError('EF.AD', `${bytes.length} bytes`, '4 to 64 bytes');
    }
    const mncLength = bytes[3]!;
    if (mncLength !== 2 && mncLength !== 3) throw new DecodeError('MNC length', String(mncLength), '2 or 3');
    const data: AdministrativeData = {
      mode: bytes[0]!,
      information: numberOf(bytes.subarray(1, 3)),
      mncLength,
    };
    if (bytes.length > 4) data.more = bytes.subarray(4);
    return data;
  },
);

/** Access control class: bit n for class n (§4.2.15). */
export const EF_ACC = file<number>(
  'EF.ACC',
  'usim',
  0x6f78,
  0x06,
  'transparent',
  2,
  (classes) => unsigned(classes, 2, 'access classes'),
  (bytes) => numberOf(exact(bytes, 2, 'EF.ACC')),
);

/** Numbers of the services that a table marks, ascending. */
export function encodeServices(services: readonly number[], length: number): Uint8Array {
  const out = new Uint8Array(length);
  for (const service of services) {
    if (!Number.isInteger(service) || service < 1 || service > 8 * length) {
      throw new FieldError('service', String(service), `1 to ${8 * length}`);
    }
    out[(service - 1) >> 3]! |= 1 << ((service - 1) & 7);
  }
  return out;
}

export function decodeServices(bytes: Uint8Array): number[] {
  const services: number[] = [];
  bytes.forEach((byte, i) => {
    for (let bit = 0; bit < 8; bit++) if ((byte >> bit) & 1) services.push(8 * i + bit + 1);
  });
  return services;
}

/** USIM service table (§4.2.8): service numbers. */
export const EF_UST = file<number[]>(
  'EF.UST',
  'usim',
  0x6f38,
  0x04,
  'transparent',
  17,
  encodeServices,
  decodeServices,
);

/** Services of EF.UST that we use (§4.2.8). */
export const USIM_SERVICE = {
  sms: 10,
  smsStatus: 11,
  smsParameters: 12,
  serviceProviderName: 19,
  userPlmnSelector: 20,
  msisdn: 21,
  dataDownloadSmsPp: 28,
  apnControlList: 35,
  operatorPlmnSelector: 42,
  homePlmnSelector: 43,
  gsmAccess: 27,
  gsmContext: 38,
  equivalentHomePlmn: 71,
  epsMobilityManagement: 85,
} as const;

/** Enabled services table (§4.2.47): 1 FDN, 2 BDN, 3 ACL. */
export const EF_EST = file<number[]>(
  'EF.EST',
  'usim',
  0x6f56,
  0x05,
  'transparent',
  1,
  encodeServices,
  decodeServices,
);

/** Service provider name (§4.2.12). */
export interface ServiceProviderName {
  /** bit 1: show the registered PLMN in the home network, bit 2: do not show the name elsewhere */
  display: number;
  /** at most 16 bytes of text */
  name: string;
}

export const EF_SPN = file<ServiceProviderName>(
  'EF.SPN',
  'usim',
  0x6f46,
  0,
  'transparent',
  17,
  ({ display, name }, length) => {
    const out = new Uint8Array(length);
    out.set(unsigned(display, 1, 'display'));
    out.set(encodeText(name, length - 1, 'service provider name'), 1);
    return out;
  },
  (bytes) => {
    exact(bytes, 17, 'EF.SPN');
    return { display: bytes[0]!, name: decodeText(bytes.subarray(1), 'service provider name') };
  },
);

/** An emergency call code; undefined for an empty record (§4.2.21). */
export interface EmergencyCode {
  /** 1–6 digits */
  code: string;
  /** bit 1 police, 2 ambulance, 3 fire brigade, 4 marine guard, 5 mountain rescue */
  category: number;
  label?: string;
}

export const EF_ECC = file<EmergencyCode | undefined>(
  'EF.ECC',
  'usim',
  0x6fb7,
  0x01,
  'linearFixed',
  14,
  (entry, length) => {
    if (!entry) return padded(new Uint8Array(), length, 'EF.ECC');
    if (entry.code.length < 1) throw new FieldError('emergency code', 'empty', '1 to 6 digits');
    const out = padded(encodeDigits(entry.code, 'emergency code', 6), length, 'EF.ECC');
    out.set(encodeText(entry.label ?? '', length - 4, 'label'), 3);
    out.set(unsigned(entry.category, 1, 'category'), length - 1);
    return out;
  },
  (bytes) => {
    if (bytes.length < 4) throw new DecodeError('EF.ECC', `${bytes.length} bytes`, 'at least 4 bytes');
    const code = decodeDigits(bytes.subarray(0, 3), 'emergency code');
    if (code === '') {
      if (!isBlank(bytes)) throw new DecodeError('emergency code', 'empty', 'a record of FF');
      return undefined;
    }
    const label = decodeText(bytes.subarray(3, -1), 'label');
    return { code, category: bytes.at(-1)!, ...(label !== '' && { label }) };
  },
);

/** START values of the CS and PS domains (§4.2.51), 20 bits each; F0 00 00 before the first use. */
export const EF_START_HFN = file<{ cs: number; ps: number }>(
  'EF.START-HFN',
  'usim',
  0x6f5b,
  0x0f,
  'transparent',
  6,
  ({ cs, ps }) => Uint8Array.of(...unsigned(cs, 3, 'START CS'), ...unsigned(ps, 3, 'START PS')),
  (bytes) => {
    exact(bytes, 6, 'EF.START-HFN');
    return { cs: numberOf(bytes.subarray(0, 3)), ps: numberOf(bytes.subarray(3)) };
  },
);

/** Most START may become (§4.2.52). */
export const EF_THRESHOLD = file<number>(
  'EF.THRESHOLD',
  'usim',
  0x6f5c,
  0x10,
  'transparent',
  3,
  (threshold) => unsigned(threshold, 3, 'THRESHOLD'),
  (bytes) => numberOf(exact(bytes, 3, 'EF.THRESHOLD')),
);

/** An access point name in labels (TS 23.003 §9.1), 1–100 bytes. */
function encodeApn(apn: string): Uint8Array {
  const labels = apn.split('.');
  const out = new Uint8Array(apn.length + 1);
  let at = 0;
  for (const label of labels) {
    if (!/^[\x20-\x7e]{1,63}$/.test(label)) {
      throw new FieldError('apn', JSON.stringify(apn), 'labels of 1 to 63 characters, joined by dots');
    }
    out[at++] = label.length;
    for (let i = 0; i < label.length; i++) out[at++] = label.charCodeAt(i);
  }
  if (at > 100) throw new FieldError('apn', `${apn.length} characters`, 'at most 99');
  return out;
}

function decodeApn(value: Uint8Array): string {
  const labels: string[] = [];
  if (value.length > 100) throw new DecodeError('apn', `${value.length} bytes`, 'at most 100');
  for (let at = 0; at < value.length;) {
    const length = value[at]!;
    const label = String.fromCharCode(...value.subarray(at + 1, at + 1 + length));
    if (length > 63 || label.length !== length || !/^[\x20-\x2d\x2f-\x7e]+$/.test(label)) {
      throw new DecodeError('apn', `a label of ${length} bytes`, 'labels of 1 to 63 characters');
    }
    labels.push(label);
    at += 1 + length;
  }
  return labels.join('.');
}

/**
 * Access point name control list (§4.2.48): the first is the one a device uses. An empty name is the one
 * that the network provides.
 */
export const EF_ACL = file<string[]>(
  'EF.ACL',
  'usim',
  0x6f57,
  0,
  'transparent',
  104,
  (apns, length) => {
    const parts: number[] = [apns.length];
    for (const apn of apns) {
      const value = apn === '' ? new Uint8Array() : encodeApn(apn);
      parts.push(0xdd, value.length, ...value);
    }
    return padded(Uint8Array.from(parts), length, 'EF.ACL');
  },
  (bytes) => {
    const count = bytes[0];
    if (count === undefined) throw new DecodeError('EF.ACL', '0 bytes', 'a count');
    // A file never written is all FF.
    if (count === 0xff && isBlank(bytes)) return [];
    const apns: string[] = [];
    let at = 1;
    while (apns.length < count) {
      const length = bytes[at + 1];
      if (bytes[at] !== 0xdd || length === undefined || at + 2 + length > bytes.length) {
        throw new DecodeError('EF.ACL', `${apns.length} names`, `${count} names, each tag DD and a length`);
      }
      apns.push(decodeApn(bytes.subarray(at + 2, at + 2 + length)));
      at += 2 + length;
    }
    if (!isBlank(bytes.subarray(at))) throw new DecodeError('EF.ACL', 'bytes after the last name', 'FF');
    return apns;
  },
);
