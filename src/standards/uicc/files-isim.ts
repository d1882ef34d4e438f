/** Elementary files of the ISIM (TS 31.103 §4.2). */
import { DecodeError, FieldError, Reader, concat } from '../bytes/index.ts';
import { file, numberOf, onlyFilling, padded, unsigned, type ElementaryFile } from './file.ts';
import { EF_ARR_USIM } from './files-uicc.ts';
import { decodeServices, encodeServices } from './files-usim.ts';
import { isBlank } from './numbers.ts';
import { encodeBerTlv, takeBerTlv } from './tlv.ts';

/** RID and application code of a 3GPP ISIM (TS 101 220 annex E): what a partial AID for it starts with. */
export const ISIM_AID_PREFIX = Uint8Array.of(0xa0, 0x00, 0x00, 0x00, 0x87, 0x10, 0x04);

/** Tag of the data object that each file with an identity or address holds. */
const TAG = 0x80;

/** One data object, and FF up to the end. */
const oneObject = (value: Uint8Array, length: number, field: string): Uint8Array =>
  padded(encodeBerTlv(TAG, value), length, field);

/** Its value; undefined in a file that was never written. */
function objectIn(bytes: Uint8Array, field: string): Uint8Array | undefined {
  if (isBlank(bytes)) return undefined;
  const reader = new Reader(bytes);
  const { tag, value } = takeBerTlv(reader, field);
  if (tag !== TAG) throw new DecodeError(field, `tag ${tag.toString(16)}`, 'tag 80');
  onlyFilling(reader.rest(), field);
  return value;
}

const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const textIn = (value: Uint8Array): string => Array.from(value, (byte) => String.fromCharCode(byte)).join('');

/** A file of one text, in the characters of URIs (RFC 3986). undefined: it is empty. */
function textFile(
  name: string,
  fid: number,
  sfi: number,
  structure: ElementaryFile<unknown>['structure'],
  length: number,
  field: string,
  form: RegExp,
  expected: string,
): ElementaryFile<string | undefined> {
  return file<string | undefined>(
    name,
    'isim',
    fid,
    sfi,
    structure,
    length,
    (text, size) => {
      if (text === undefined) return padded(new Uint8Array(), size, field);
      if (!form.test(text)) throw new FieldError(field, JSON.stringify(text), expected);
      return oneObject(bytesOf(text), size, field);
    },
    (bytes) => {
      const value = objectIn(bytes, field);
      if (!value) return undefined;
      const text = textIn(value);
      if (!form.test(text)) throw new DecodeError(field, `${value.length} bytes`, expected);
      return text;
    },
  );
}

/** IMS private user identity (§4.2.2): `user@realm`. */
export const EF_IMPI = textFile(
  'EF.IMPI',
  0x6f02,
  0x02,
  'transparent',
  60,
  'impi',
  /^[\x21-\x3f\x41-\x7e]+@[0-9A-Za-z.-]+$/,
  'a network access identifier, user@realm',
);

/** Home network domain name (§4.2.3). */
export const EF_DOMAIN = textFile(
  'EF.DOMAIN',
  0x6f03,
  0x05,
  'transparent',
  40,
  'domain',
  /^[0-9A-Za-z.-]+$/,
  'a domain name',
);

/** IMS public user identity, a record each (§4.2.4): a SIP or tel URI. */
export const EF_IMPU = textFile(
  'EF.IMPU',
  0x6f04,
  0x04,
  'linearFixed',
  64,
  'impu',
  /^(?:sips?:[\x21-\x7e]+|tel:\+?[0-9A-Za-z.;=()-]+)$/,
  'a SIP or tel URI',
);

/** Administrative data of the ISIM (§4.2.5); the length of an MNC is not among them. */
export interface IsimAdministrativeData {
  /** 00 normal, 80 type approval, … */
  mode: number;
  /** 16 bits */
  information: number;
  /** bytes after the third */
  more?: Uint8Array;
}

export const EF_AD_ISIM = file<IsimAdministrativeData>(
  'EF.AD',
  'isim',
  0x6fad,
  0x03,
  'transparent',
  3,
  ({ mode, information, more = new Uint8Array() }, length) => {
    if (more.length !== length - 3) {
      throw new FieldError('more', `${more.length} bytes`, `${length - 3} bytes`);
    }
    return concat(unsigned(mode, 1, 'mode'), unsigned(information, 2, 'information'), more);
  },
  (bytes) => {
    if (bytes.length < 3 || bytes.length > 64) {
      throw new DecodeError('EF.AD', `${bytes.length} bytes`, '3 to 64 bytes');
    }
    const data: IsimAdministrativeData = { mode: bytes[0]!, information: numberOf(bytes.subarray(1, 3)) };
    if (bytes.length > 3) data.more = bytes.subarray(3);
    return data;
  },
);

/** Access rule reference (§4.2.6). */
export const EF_ARR_ISIM = { ...EF_ARR_USIM, parent: 'isim', sfi: 0x06 } as const;

/** ISIM service table (§4.2.7): service numbers. */
export const EF_IST = file<number[]>(
  'EF.IST',
  'isim',
  0x6f07,
  0x07,
  'transparent',
  1,
  encodeServices,
  decodeServices,
);

/** Services of EF.IST (§4.2.7). */
export const ISIM_SERVICE = { pcscfAddress: 1, gba: 2, httpDigest: 3, pcscfDiscovery: 5 } as const;

/** Address of a P-CSCF (§4.2.8). */
export type PcscfAddress =
  | { type: 'fqdn'; name: string }
  /** 4 bytes */
  | { type: 'ipv4'; address: Uint8Array }
  /** 16 bytes */
  | { type: 'ipv6'; address: Uint8Array };

/** Types in the order of their numbers, and the bytes of an address. */
const ADDRESS_TYPES = ['fqdn', 'ipv4', 'ipv6'] as const;
const ADDRESS_LENGTH = { ipv4: 4, ipv6: 16 } as const;
const NAME = /^[0-9A-Za-z.-]+$/;

/** Proxy call session control function, a record each; undefined for an empty record. */
export const EF_PCSCF = file<PcscfAddress | undefined>(
  'EF.P-CSCF',
  'isim',
  0x6f09,
  0,
  'linearFixed',
  48,
  (pcscf, length) => {
    if (!pcscf) return padded(new Uint8Array(), length, 'EF.P-CSCF');
    const type = Uint8Array.of(ADDRESS_TYPES.indexOf(pcscf.type));
    if (pcscf.type === 'fqdn') {
      if (!NAME.test(pcscf.name)) {
        throw new FieldError('P-CSCF name', JSON.stringify(pcscf.name), 'a domain name');
      }
      return oneObject(concat(type, bytesOf(pcscf.name)), length, 'P-CSCF name');
    }
    const bytes = ADDRESS_LENGTH[pcscf.type];
    if (pcscf.address.length !== bytes) {
      throw new FieldError('P-CSCF address', `${pcscf.address.length} bytes`, `${bytes} bytes`);
    }
    return oneObject(concat(type, pcscf.address), length, 'P-CSCF address');
  },
  (bytes) => {
    const value = objectIn(bytes, 'EF.P-CSCF');
    if (!value) return undefined;
    const type = ADDRESS_TYPES[value[0] ?? 3];
    const rest = value.subarray(1);
    if (type === 'fqdn' && NAME.test(textIn(rest))) return { type, name: textIn(rest) };
    if (type !== undefined && type !== 'fqdn' && rest.length === ADDRESS_LENGTH[type]) {
      return { type, address: rest };
    }
    throw new DecodeError(
      'P-CSCF address',
      `${value.length} bytes`,
      'a name, or 4 or 16 bytes behind a type',
    );
  },
);
