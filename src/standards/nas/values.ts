/** Named values (TS 24.301 §9.9). */

/** EMM causes (§9.9.3.9, annex A). */
export const EMM_CAUSE = {
  imsiUnknownInHss: 2,
  illegalUe: 3,
  imeiNotAccepted: 5,
  illegalMe: 6,
  epsServicesNotAllowed: 7,
  epsAndNonEpsServicesNotAllowed: 8,
  ueIdentityCannotBeDerived: 9,
  implicitlyDetached: 10,
  plmnNotAllowed: 11,
  trackingAreaNotAllowed: 12,
  roamingNotAllowedInTrackingArea: 13,
  epsServicesNotAllowedInPlmn: 14,
  noSuitableCells: 15,
  mscTemporarilyNotReachable: 16,
  networkFailure: 17,
  csDomainNotAvailable: 18,
  esmFailure: 19,
  macFailure: 20,
  synchFailure: 21,
  congestion: 22,
  ueSecurityCapabilitiesMismatch: 23,
  securityModeRejected: 24,
  notAuthorizedForCsg: 25,
  nonEpsAuthenticationUnacceptable: 26,
  requestedServiceOptionNotAuthorized: 35,
  csServiceTemporarilyNotAvailable: 39,
  noEpsBearerContextActivated: 40,
  severeNetworkFailure: 42,
  semanticallyIncorrectMessage: 95,
  invalidMandatoryInformation: 96,
  messageTypeNonExistent: 97,
  messageTypeNotCompatible: 98,
  informationElementNonExistent: 99,
  conditionalIeError: 100,
  messageNotCompatible: 101,
  protocolErrorUnspecified: 111,
} as const;

/** ESM causes (§9.9.4.4, annex B), those in use here. */
export const ESM_CAUSE = {
  operatorDeterminedBarring: 8,
  insufficientResources: 26,
  missingOrUnknownApn: 27,
  unknownPdnType: 28,
  userAuthenticationFailed: 29,
  requestRejected: 31,
  serviceOptionNotSupported: 32,
  serviceOptionNotSubscribed: 33,
  ptiAlreadyInUse: 35,
  regularDeactivation: 36,
  networkFailure: 38,
  reactivationRequested: 39,
  invalidEpsBearerIdentity: 43,
  esmInformationNotReceived: 53,
  invalidPtiValue: 81,
  semanticallyIncorrectMessage: 95,
  invalidMandatoryInformation: 96,
  messageTypeNonExistent: 97,
  messageTypeNotCompatible: 98,
  protocolErrorUnspecified: 111,
} as const;

/** EPS attach type (§9.9.3.11). */
export const ATTACH_TYPE = { eps: 1, combined: 2, emergency: 6 } as const;
/** EPS attach result (§9.9.3.10). */
export const ATTACH_RESULT = { eps: 1, combined: 2 } as const;
/** Type of detach (§9.9.3.7): from the device, 8 more for switch off; from the network. */
export const DETACH_TYPE = { eps: 1, imsi: 2, combined: 3, switchOff: 8 } as const;
export const NETWORK_DETACH_TYPE = {
  reAttachRequired: 1,
  reAttachNotRequired: 2,
  imsi: 3,
} as const;
/** Identity type 2 (§9.9.3.17). */
export const IDENTITY_TYPE = { imsi: 1, imei: 2, imeisv: 3, tmsi: 4 } as const;
/** NAS key set identifier that names no key (§9.9.3.21). */
export const NO_KEY = 7;
/** Additional update type (§9.9.3.0B): SMS only in bit 1; preferred CIoT behaviour, control plane, in bit 3. */
export const ADDITIONAL_UPDATE_TYPE = { smsOnly: 1, controlPlaneCiot: 4 } as const;
/** Additional update result (§9.9.3.0A). */
export const ADDITIONAL_UPDATE_RESULT = { csFallbackNotPreferred: 1, smsOnly: 2 } as const;
/** EPS update type (§9.9.3.14) and result (§9.9.3.13). */
export const UPDATE_TYPE = { ta: 0, combined: 1, periodic: 3 } as const;
export const UPDATE_RESULT = { ta: 0, combined: 1 } as const;
/** Request type (TS 24.008 §10.5.6.17). */
export const REQUEST_TYPE = { initial: 1, handover: 2 } as const;
/** PDN type (§9.9.4.10). */
export const PDN_TYPE = { ipv4: 1, ipv6: 2, ipv4v6: 3, nonIp: 5 } as const;
/** ESM information transfer flag (§9.9.4.5): the APN follows once security runs. */
export const ESM_INFORMATION_REQUIRED = 1;
/** Control plane service type (§9.9.3.47). */
export const CONTROL_PLANE_SERVICE_TYPE = { mobileOriginating: 0, mobileTerminating: 1 } as const;
/** Security header type (§9.3.1). */
export const SECURITY_HEADER = {
  plain: 0,
  integrity: 1,
  integrityCiphered: 2,
  integrityNewContext: 3,
  integrityCipheredNewContext: 4,
} as const;

/** Protocol discriminators (TS 24.007 §11.2.3.1.1). */
export const PROTOCOL = { esm: 2, emm: 7 } as const;
