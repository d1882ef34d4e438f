/** The two operators of the lab, with test PLMNs and numbers of no country (TS 34.108, E.164 +999). */
import type { OperatorProfile } from '../network/operator/profile.ts';

export const PROFILES: Record<'A' | 'B', OperatorProfile> = {
  A: {
    name: 'A',
    plmn: '00101',
    msisdnPrefix: '99901',
    serviceCentre: '9990199000001',
    otaAddress: '9990199000002',
    apn: 'm2m.a',
    serviceProviderName: 'Operator A',
    algorithms: ['milenage', 'tuak'],
  },
  B: {
    name: 'B',
    plmn: '00102',
    msisdnPrefix: '99902',
    serviceCentre: '9990299000001',
    otaAddress: '9990299000002',
    apn: 'm2m.b',
    serviceProviderName: 'Operator B',
    algorithms: ['milenage', 'tuak'],
  },
};
