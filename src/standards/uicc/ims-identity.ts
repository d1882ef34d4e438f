/** Who a subscriber is in the IP multimedia subsystem, where only an IMSI says it (TS 23.003 §13). */
import { FieldError } from '../bytes/index.ts';

/** What an ISIM holds of a subscription. */
export interface ImsIdentity {
  /** private user identity: a network access identifier (§13.3) */
  impi: string;
  /** public user identity: a SIP or tel URI (§13.4); derived from an IMSI it is the temporary one (§13.4B) */
  impu: string;
  /** home network domain name (§13.2) */
  domain: string;
}

/**
 * Domain of a home network: `ims.mncNNN.mccNNN.3gppnetwork.org`, an MNC of two digits with a 0 before it (§13.2).
 * @param plmn MCC and MNC, 5 or 6 digits
 */
export function imsDomain(plmn: string): string {
  if (!/^[0-9]{5,6}$/.test(plmn)) throw new FieldError('plmn', JSON.stringify(plmn), '5 or 6 digits');
  return `ims.mnc${plmn.slice(3).padStart(3, '0')}.mcc${plmn.slice(0, 3)}.3gppnetwork.org`;
}

/**
 * The identities that are derived from an IMSI (§13.2, §13.3, §13.4B).
 * @param imsi 6–15 digits
 * @param mncLength digits of its MNC
 * @throws FieldError
 */
export function imsIdentityOf(imsi: string, mncLength: 2 | 3): ImsIdentity {
  if (!/^[0-9]{6,15}$/.test(imsi)) throw new FieldError('imsi', JSON.stringify(imsi), '6 to 15 digits');
  const domain = imsDomain(imsi.slice(0, 3 + mncLength));
  const impi = `${imsi}@${domain}`;
  return { impi, impu: `sip:${impi}`, domain };
}
