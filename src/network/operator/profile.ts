import type { SubscriberKey } from '../../standards/aka/index.ts';

/** Who an operator is: its network, numbers and names. */
export interface OperatorProfile {
  /** name in statements and orders */
  name: string;
  /** MCC and MNC: 5 or 6 digits */
  plmn: string;
  /** E.164 prefix of its MSISDNs, and how many digits follow */
  msisdnPrefix: string;
  /** E.164 number of the service centre and of the OTA gateway */
  serviceCentre: string;
  otaAddress: string;
  apn: string;
  serviceProviderName: string;
  /** what its authentication centre can compute */
  algorithms: readonly SubscriberKey['algorithm'][];
}

/** Realm of an operator's EPC (TS 23.003 §19.2). */
export function epcRealm(plmn: string): string {
  return `epc.mnc${plmn.slice(3).padStart(3, '0')}.mcc${plmn.slice(0, 3)}.3gppnetwork.org`;
}
