/** Other information elements: capabilities, access point names, addresses, timers (TS 24.301 §9.9). */
import { DecodeError, FieldError, concat } from '../bytes/index.ts';
import type { Codec } from './codec.ts';

/** UE network capability (§9.9.3.34) and UE security capability (§9.9.3.36). */
export interface SecurityCapability {
  /** a bit per EPS encryption algorithm, EEA0 highest */
  eea: number;
  /** a bit per EPS integrity algorithm, EIA0 highest */
  eia: number;
  /** the bytes after these two, as they are */
  more: Uint8Array;
}

export const securityCapability: Codec<SecurityCapability> = {
  encode({ eea, eia, more }, field) {
    if (((eea | eia) & ~0xff) !== 0) throw new FieldError(field, `${eea}, ${eia}`, 'a byte each');
    return concat(Uint8Array.of(eea, eia), more);
  },
  decode: (bytes) => ({ eea: bytes[0]!, eia: bytes[1]!, more: bytes.subarray(2) }),
};

/** Whether a capability has algorithm n of EEA or EIA. */
export const supports = (bits: number, n: number): boolean => ((bits >> (7 - n)) & 1) === 1;

/** NAS security algorithms (§9.9.3.23). */
export interface NasAlgorithms {
  /** n of 128-EEAn, 0–7 */
  eea: number;
  /** n of 128-EIAn, 0–7 */
  eia: number;
}

export const nasAlgorithms: Codec<NasAlgorithms> = {
  encode({ eea, eia }, field) {
    if (((eea | eia) & ~7) !== 0) throw new FieldError(field, `${eea}, ${eia}`, '0 to 7 each');
    return Uint8Array.of((eea << 4) | eia);
  },
  decode: (bytes) => ({ eea: (bytes[0]! >> 4) & 7, eia: bytes[0]! & 7 }),
};

/** Access point name (§9.9.4.1, TS 23.003 §9.1) as text: labels with dots between. */
export const accessPointName: Codec<string> = {
  encode(apn, field) {
    const labels = apn.split('.');
    if (apn.length > 99 || labels.some((label) => !/^[A-Za-z0-9-]{1,63}$/.test(label))) {
      throw new FieldError(
        field,
        JSON.stringify(apn),
        'labels of 1 to 63 letters, digits and hyphens, 99 in all',
      );
    }
    const out = new Uint8Array(apn.length + 1);
    let at = 0;
    for (const label of labels) {
      out[at++] = label.length;
      for (let i = 0; i < label.length; i++) out[at++] = label.charCodeAt(i);
    }
    return out;
  },
  decode(bytes, field) {
    const labels: string[] = [];
    for (let at = 0; at < bytes.length;) {
      const end = at + 1 + bytes[at]!;
      const label = String.fromCharCode(...bytes.subarray(at + 1, end));
      if (end > bytes.length || !/^[A-Za-z0-9-]{1,63}$/.test(label)) {
        throw new DecodeError(field, `a label of ${bytes[at]!} bytes`, '1 to 63 letters, digits and hyphens');
      }
      labels.push(label);
      at = end;
    }
    return labels.join('.');
  },
};

/** PDN address (§9.9.4.9). */
export interface PdnAddress {
  /** PDN_TYPE */
  pdnType: number;
  /** IPv4: 4 bytes · IPv6: interface identifier, 8 bytes · both: 12 bytes, IPv6 first · non-IP: 4 spare bytes */
  address: Uint8Array;
}

export const pdnAddress: Codec<PdnAddress> = {
  encode({ pdnType, address }, field) {
    if ((pdnType & ~7) !== 0) throw new FieldError(field, `type ${pdnType}`, '0 to 7');
    return concat(Uint8Array.of(pdnType), address);
  },
  decode: (bytes) => ({ pdnType: bytes[0]! & 7, address: bytes.subarray(1) }),
};

/** Seconds of the units of GPRS timer and GPRS timer 2 (TS 24.008 §10.5.7.3); others count as a minute. */
const UNITS: readonly number[] = [2, 60, 360, 60, 60, 60, 60];
/** The same of GPRS timer 3 (TS 24.008 §10.5.7.4a); 7 is deactivated in both. */
const UNITS_3: readonly number[] = [600, 3600, 36000, 2, 30, 60, 1152000];

function seconds(units: readonly number[], octet: number): number | undefined {
  const unit = units[octet >> 5];
  return unit === undefined ? undefined : unit * (octet & 31);
}

function octet(units: readonly (readonly [code: number, unit: number])[], value: number | undefined): number {
  if (value === undefined) return 0xe0;
  for (const [code, unit] of units) {
    const count = Math.ceil(value / unit);
    if (count <= 31) return (code << 5) | Math.max(0, count);
  }
  throw new FieldError('timer', `${value} s`, `at most ${31 * units.at(-1)![1]} s`);
}

/** Seconds of a GPRS timer or GPRS timer 2 (T3402, T3412, T3346); undefined: deactivated. */
export const gprsTimerSeconds = (value: number): number | undefined => seconds(UNITS, value);
/** The octet of a GPRS timer or GPRS timer 2: the smallest not below `value` seconds, up to 11,160. */
export const encodeGprsTimer = (value: number | undefined): number =>
  octet(
    [
      [0, 2],
      [1, 60],
      [2, 360],
    ],
    value,
  );
/** Seconds of a GPRS timer 3 (T3412 extended value); undefined: deactivated. */
export const gprsTimer3Seconds = (value: number): number | undefined => seconds(UNITS_3, value);
/** The octet of a GPRS timer 3: the smallest not below `value` seconds, up to 35,712,000. */
export const encodeGprsTimer3 = (value: number | undefined): number =>
  octet(
    [
      [3, 2],
      [4, 30],
      [5, 60],
      [0, 600],
      [1, 3600],
      [2, 36000],
      [6, 1152000],
    ],
    value,
  );
