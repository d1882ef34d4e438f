/** Result codes (RFC 6733 §7.1; TS 29.272 §7.4, TS 29.338 §7.3, TS 29.128 §6.5, TS 29.229 §6.2). */
export const RESULT = {
  success: 2001,
  commandUnsupported: 3001,
  unableToDeliver: 3002,
  realmNotServed: 3003,
  tooBusy: 3004,
  loopDetected: 3005,
  applicationUnsupported: 3007,
  invalidHeaderBits: 3008,
  invalidAvpBits: 3009,
  unknownPeer: 3010,
  avpUnsupported: 5001,
  unknownSessionId: 5002,
  authorizationRejected: 5003,
  invalidAvpValue: 5004,
  missingAvp: 5005,
  contradictingAvps: 5007,
  avpNotAllowed: 5008,
  avpOccursTooOften: 5009,
  noCommonApplication: 5010,
  unsupportedVersion: 5011,
  unableToComply: 5012,
  invalidAvpLength: 5014,
  invalidMessageLength: 5015,
} as const;

/** Experimental-Result-Code values of vendor 3GPP. */
export const EXPERIMENTAL_RESULT = {
  authenticationDataUnavailable: 4181,
  userUnknown: 5001,
  identitiesDontMatch: 5002,
  roamingNotAllowed: 5004,
  authSchemeNotSupported: 5006,
  unknownEpsSubscription: 5420,
  ratNotAllowed: 5421,
  equipmentUnknown: 5422,
  unknownServingNode: 5423,
  absentUser: 5550,
  userBusyForMtSms: 5551,
  facilityNotSupported: 5552,
  illegalUser: 5553,
  illegalEquipment: 5554,
  smDeliveryFailure: 5555,
  serviceNotSubscribed: 5556,
  serviceBarred: 5557,
  mwdListFull: 5558,
} as const;

/** The result AVPs of an answer: exactly one of the two. */
export interface Result {
  resultCode?: number;
  experimentalResult?: { vendorId: number; experimentalResultCode: number };
}

/** The code an answer carries, of either kind; undefined if it carries none. */
export const resultOf = (answer: Result): number | undefined =>
  answer.resultCode ?? answer.experimentalResult?.experimentalResultCode;

/** 2xxx. */
export function succeeded(answer: Result): boolean {
  const code = resultOf(answer);
  return code !== undefined && code >= 2000 && code < 3000;
}

/** The AVP for a code of 3GPP's own. */
export const experimental = (code: number): Result => ({
  experimentalResult: { vendorId: 10415, experimentalResultCode: code },
});
