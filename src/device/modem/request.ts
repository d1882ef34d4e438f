/** Messages that the modem builds from what it is (TS 24.301 §5.5.1.2.2, §5.4.4.2, §5.5.2.2.1). */
import {
  ADDITIONAL_UPDATE_TYPE,
  ATTACH_TYPE,
  DETACH_TYPE,
  ESM_INFORMATION_REQUIRED,
  IDENTITY_TYPE,
  PDN_TYPE,
  REQUEST_TYPE,
  encodeNas,
  type DigitIdentity,
  type NasMessage,
  type NasMessageOf,
  type SecurityCapability,
} from '../../standards/nas/index.ts';
import type { Usim } from './usim.ts';

/** EEA0, EEA2; EIA2; control plane CIoT (TS 24.301 §9.9.3.34). */
export const CAPABILITY: SecurityCapability = { eea: 0xa0, eia: 0x20, more: Uint8Array.of(0, 0, 0, 4) };

/**
 * ATTACH REQUEST for short messages and control plane data: with the GUTI if there is one.
 * @param pdn asks for a bearer without IP; else an ESM DUMMY MESSAGE stands in its place
 * @param apn is only told once security runs
 */
export function attachRequest(usim: Usim, ksi: number, pdn: boolean, apn: string | undefined): NasMessage {
  return {
    type: 'attachRequest',
    attachType: ATTACH_TYPE.eps,
    nasKeySetIdentifier: ksi,
    epsMobileIdentity: usim.guti ?? { kind: 'imsi', digits: usim.imsi },
    ueNetworkCapability: CAPABILITY,
    esmMessageContainer: encodeNas(
      pdn
        ? {
            type: 'pdnConnectivityRequest',
            ebi: 0,
            pti: 1,
            requestType: REQUEST_TYPE.initial,
            pdnType: PDN_TYPE.nonIp,
            ...(apn !== undefined && { esmInformationTransferFlag: ESM_INFORMATION_REQUIRED }),
          }
        : { type: 'esmDummyMessage', ebi: 0, pti: 0 },
    ),
    ...(usim.tai && { lastVisitedRegisteredTai: usim.tai }),
    additionalUpdateType: ADDITIONAL_UPDATE_TYPE.smsOnly | ADDITIONAL_UPDATE_TYPE.controlPlaneCiot,
  };
}

/** The IMEI with software version 01 in place of its check digit (TS 23.003 §6.2.2). */
export const imeisvOf = (imei: string): DigitIdentity<'imeisv'> => ({
  kind: 'imeisv',
  digits: `${imei.slice(0, 14)}01`,
});

/** IDENTITY RESPONSE to a request for this type of identity. */
export function identityResponse(identityType: number, usim: Usim, imei: string): NasMessage {
  const mobileIdentity = ((): NasMessageOf<'identityResponse'>['mobileIdentity'] => {
    switch (identityType) {
      case IDENTITY_TYPE.imsi:
        return { kind: 'imsi', digits: usim.imsi };
      case IDENTITY_TYPE.imei:
        return { kind: 'imei', digits: imei };
      case IDENTITY_TYPE.imeisv:
        return imeisvOf(imei);
      default:
        return { kind: 'none' };
    }
  })();
  return { type: 'identityResponse', mobileIdentity };
}

/** DETACH REQUEST of a device that switches off: no answer is awaited. */
export const switchOff = (usim: Usim, ksi: number): NasMessage => ({
  type: 'detachRequest',
  detachType: DETACH_TYPE.eps | DETACH_TYPE.switchOff,
  nasKeySetIdentifier: ksi,
  epsMobileIdentity: usim.guti ?? { kind: 'imsi', digits: usim.imsi },
});
