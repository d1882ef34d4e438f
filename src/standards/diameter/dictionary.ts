/** The AVPs of RFC 6733, TS 29.272 (S6a), TS 29.338 (S6c, SGd), TS 29.128 (T6a), TS 29.229 (Cx) and those they borrow. */
import {
  VENDOR_3GPP,
  address,
  anyAvps,
  digits,
  enumerated,
  grouped,
  identity,
  many,
  octets,
  octetsOf,
  one,
  optional,
  plmn,
  time,
  unsigned32,
  utf8,
} from './avp.ts';

const may = { mandatory: false };
const tgpp = { vendor: VENDOR_3GPP };
const tgppMay = { vendor: VENDOR_3GPP, mandatory: false };

// RFC 6733 §4.5
export const sessionId = utf8('Session-Id', 263);
export const originHost = identity('Origin-Host', 264);
export const originRealm = identity('Origin-Realm', 296);
export const destinationHost = identity('Destination-Host', 293);
export const destinationRealm = identity('Destination-Realm', 283);
export const routeRecord = identity('Route-Record', 282);
export const resultCode = unsigned32('Result-Code', 268);
export const userName = utf8('User-Name', 1);
export const hostIpAddress = address('Host-IP-Address', 257);
export const vendorId = unsigned32('Vendor-Id', 266);
export const productName = utf8('Product-Name', 269, may);
export const originStateId = unsigned32('Origin-State-Id', 278);
export const supportedVendorId = unsigned32('Supported-Vendor-Id', 265);
export const authApplicationId = unsigned32('Auth-Application-Id', 258);
export const acctApplicationId = unsigned32('Acct-Application-Id', 259);
export const inbandSecurityId = unsigned32('Inband-Security-Id', 299);
export const firmwareRevision = unsigned32('Firmware-Revision', 267, may);
export const vendorSpecificApplicationId = grouped('Vendor-Specific-Application-Id', 260, {
  vendorId: one(vendorId),
  authApplicationId: optional(authApplicationId),
  acctApplicationId: optional(acctApplicationId),
});
export const disconnectCause = enumerated('Disconnect-Cause', 273);
export const errorMessage = utf8('Error-Message', 281, may);
export const errorReportingHost = identity('Error-Reporting-Host', 294, may);
export const failedAvp = anyAvps('Failed-AVP', 279);
export const experimentalResultCode = unsigned32('Experimental-Result-Code', 298);
export const experimentalResult = grouped('Experimental-Result', 297, {
  vendorId: one(vendorId),
  experimentalResultCode: one(experimentalResultCode),
});
export const authSessionState = enumerated('Auth-Session-State', 277);
export const proxyHost = identity('Proxy-Host', 280);
export const proxyState = octets('Proxy-State', 33);
export const proxyInfo = anyAvps('Proxy-Info', 284);
/** RFC 5778; the access point name (TS 29.272 §7.3.36) */
export const serviceSelection = utf8('Service-Selection', 493);

// TS 29.229
export const featureListId = unsigned32('Feature-List-ID', 629, tgppMay);
export const featureList = unsigned32('Feature-List', 630, tgppMay);
export const supportedFeatures = grouped(
  'Supported-Features',
  628,
  { vendorId: one(vendorId), featureListId: one(featureListId), featureList: one(featureList) },
  tgppMay,
);

// TS 29.229 §6.3; what RFC 4740 has under the same names is called 3GPP- by IANA
/** a SIP or tel URI */
export const publicIdentity = utf8('Public-Identity', 601, tgpp);
/** a SIP URI */
export const serverName = utf8('Server-Name', 602, tgpp);
export const sipNumberAuthItems = unsigned32('3GPP-SIP-Number-Auth-Items', 607, tgpp);
export const sipAuthenticationScheme = utf8('3GPP-SIP-Authentication-Scheme', 608, tgpp);
/** for Digest-AKAv1-MD5: RAND and AUTN, 32 bytes */
export const sipAuthenticate = octets('3GPP-SIP-Authenticate', 609, tgpp);
/** for Digest-AKAv1-MD5: in an answer XRES, in a request RAND and AUTS, 30 bytes */
export const sipAuthorization = octets('3GPP-SIP-Authorization', 610, tgpp);
export const sipItemNumber = unsigned32('3GPP-SIP-Item-Number', 613, tgpp);
export const confidentialityKey = octetsOf('Confidentiality-Key', 625, [16], tgpp);
export const integrityKey = octetsOf('Integrity-Key', 626, [16], tgpp);
export const sipAuthDataItem = grouped(
  '3GPP-SIP-Auth-Data-Item',
  612,
  {
    itemNumber: optional(sipItemNumber),
    scheme: optional(sipAuthenticationScheme),
    authenticate: optional(sipAuthenticate),
    authorization: optional(sipAuthorization),
    confidentialityKey: optional(confidentialityKey),
    integrityKey: optional(integrityKey),
  },
  tgpp,
);

// TS 29.212, TS 29.214
export const qosClassIdentifier = enumerated('QoS-Class-Identifier', 1028, tgpp);
export const ratType = enumerated('RAT-Type', 1032, tgpp);
export const priorityLevel = unsigned32('Priority-Level', 1046, tgpp);
export const preEmptionCapability = enumerated('Pre-emption-Capability', 1047, tgpp);
export const preEmptionVulnerability = enumerated('Pre-emption-Vulnerability', 1048, tgpp);
export const allocationRetentionPriority = grouped(
  'Allocation-Retention-Priority',
  1034,
  {
    priorityLevel: one(priorityLevel),
    preEmptionCapability: optional(preEmptionCapability),
    preEmptionVulnerability: optional(preEmptionVulnerability),
  },
  tgpp,
);
export const maxRequestedBandwidthUl = unsigned32('Max-Requested-Bandwidth-UL', 516, tgpp);
export const maxRequestedBandwidthDl = unsigned32('Max-Requested-Bandwidth-DL', 515, tgpp);
/** the EPS bearer identity in one byte (TS 29.128 §6.4.9) */
export const bearerIdentifier = octetsOf('Bearer-Identifier', 1020, [1], tgpp);

// TS 29.329, TS 29.336
export const msisdn = digits('MSISDN', 701, tgpp);
export const externalIdentifier = utf8('External-Identifier', 3111, tgpp);
export const userIdentifier = grouped(
  'User-Identifier',
  3102,
  {
    userName: optional(userName),
    msisdn: optional(msisdn),
    externalIdentifier: optional(externalIdentifier),
  },
  tgpp,
);

// TS 29.272 §7.3
export const imei = utf8('IMEI', 1402, tgpp);
export const softwareVersion = utf8('Software-Version', 1403, tgpp);
export const terminalInformation = grouped(
  'Terminal-Information',
  1401,
  { imei: optional(imei), softwareVersion: optional(softwareVersion) },
  tgpp,
);
export const ulrFlags = unsigned32('ULR-Flags', 1405, tgpp);
export const ulaFlags = unsigned32('ULA-Flags', 1406, tgpp);
export const visitedPlmnId = plmn('Visited-PLMN-Id', 1407, tgpp);
export const numberOfRequestedVectors = unsigned32('Number-Of-Requested-Vectors', 1410, tgpp);
/** RAND and AUTS: 30 bytes */
export const reSynchronizationInfo = octetsOf('Re-Synchronization-Info', 1411, [30], tgpp);
export const immediateResponsePreferred = unsigned32('Immediate-Response-Preferred', 1412, tgpp);
export const requestedEutranAuthenticationInfo = grouped(
  'Requested-EUTRAN-Authentication-Info',
  1408,
  {
    numberOfRequestedVectors: optional(numberOfRequestedVectors),
    immediateResponsePreferred: optional(immediateResponsePreferred),
    reSynchronizationInfo: optional(reSynchronizationInfo),
  },
  tgpp,
);
export const itemNumber = unsigned32('Item-Number', 1419, tgpp);
export const rand = octetsOf('RAND', 1447, [16], tgpp);
/** 4–16 bytes */
export const xres = octetsOf('XRES', 1448, [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], tgpp);
export const autn = octetsOf('AUTN', 1449, [16], tgpp);
export const kasme = octetsOf('KASME', 1450, [32], tgpp);
export const eutranVector = grouped(
  'E-UTRAN-Vector',
  1414,
  {
    itemNumber: optional(itemNumber),
    rand: one(rand),
    xres: one(xres),
    autn: one(autn),
    kasme: one(kasme),
  },
  tgpp,
);
export const authenticationInfo = grouped(
  'Authentication-Info',
  1413,
  { eutranVectors: many(eutranVector) },
  tgpp,
);
export const cancellationType = enumerated('Cancellation-Type', 1420, tgpp);
export const clrFlags = unsigned32('CLR-Flags', 1638, tgppMay);
export const purFlags = unsigned32('PUR-Flags', 1635, tgppMay);
export const puaFlags = unsigned32('PUA-Flags', 1442, tgpp);
export const norFlags = unsigned32('NOR-Flags', 1443, tgpp);
export const alertReason = enumerated('Alert-Reason', 1434, tgpp);
export const idrFlags = unsigned32('IDR-Flags', 1490, tgpp);
export const idaFlags = unsigned32('IDA-Flags', 1441, tgpp);
export const dsrFlags = unsigned32('DSR-Flags', 1421, tgpp);
export const dsaFlags = unsigned32('DSA-Flags', 1422, tgpp);
export const userId = utf8('User-Id', 1444, tgppMay);
export const errorDiagnostic = enumerated('Error-Diagnostic', 1614, tgppMay);
export const subscriberStatus = enumerated('Subscriber-Status', 1424, tgpp);
export const networkAccessMode = enumerated('Network-Access-Mode', 1417, tgpp);
export const operatorDeterminedBarring = unsigned32('Operator-Determined-Barring', 1425, tgpp);
export const accessRestrictionData = unsigned32('Access-Restriction-Data', 1426, tgpp);
export const subscribedPeriodicTimer = unsigned32('Subscribed-Periodic-RAU-TAU-Timer', 1619, tgppMay);
export const ambr = grouped(
  'AMBR',
  1435,
  {
    maxRequestedBandwidthUl: one(maxRequestedBandwidthUl),
    maxRequestedBandwidthDl: one(maxRequestedBandwidthDl),
  },
  tgpp,
);
export const contextIdentifier = unsigned32('Context-Identifier', 1423, tgpp);
export const allApnConfigurationsIncludedIndicator = enumerated(
  'All-APN-Configurations-Included-Indicator',
  1428,
  tgpp,
);
export const pdnType = enumerated('PDN-Type', 1456, tgpp);
export const epsSubscribedQosProfile = grouped(
  'EPS-Subscribed-QoS-Profile',
  1431,
  {
    qosClassIdentifier: one(qosClassIdentifier),
    allocationRetentionPriority: one(allocationRetentionPriority),
  },
  tgpp,
);
export const nonIpPdnTypeIndicator = enumerated('Non-IP-PDN-Type-Indicator', 1681, tgppMay);
export const nonIpDataDeliveryMechanism = unsigned32('Non-IP-Data-Delivery-Mechanism', 1682, tgppMay);
export const scefId = identity('SCEF-ID', 3125, tgpp);
export const scefRealm = identity('SCEF-Realm', 1684, tgppMay);
export const apnConfiguration = grouped(
  'APN-Configuration',
  1430,
  {
    contextIdentifier: one(contextIdentifier),
    pdnType: one(pdnType),
    serviceSelection: one(serviceSelection),
    epsSubscribedQosProfile: optional(epsSubscribedQosProfile),
    ambr: optional(ambr),
    nonIpPdnTypeIndicator: optional(nonIpPdnTypeIndicator),
    nonIpDataDeliveryMechanism: optional(nonIpDataDeliveryMechanism),
    scefId: optional(scefId),
    scefRealm: optional(scefRealm),
  },
  tgpp,
);
export const apnConfigurationProfile = grouped(
  'APN-Configuration-Profile',
  1429,
  {
    contextIdentifier: one(contextIdentifier),
    allApnConfigurationsIncludedIndicator: one(allApnConfigurationsIncludedIndicator),
    apnConfigurations: many(apnConfiguration),
  },
  tgpp,
);
export const subscriptionData = grouped(
  'Subscription-Data',
  1400,
  {
    subscriberStatus: optional(subscriberStatus),
    msisdn: optional(msisdn),
    networkAccessMode: optional(networkAccessMode),
    operatorDeterminedBarring: optional(operatorDeterminedBarring),
    accessRestrictionData: optional(accessRestrictionData),
    ambr: optional(ambr),
    apnConfigurationProfile: optional(apnConfigurationProfile),
    subscribedPeriodicTimer: optional(subscribedPeriodicTimer),
  },
  tgpp,
);
export const mmeNumberForMtSms = digits('MME-Number-for-MT-SMS', 1645, tgppMay);
export const smsRegisterRequest = enumerated('SMS-Register-Request', 1648, tgppMay);
export const sgsnNumber = digits('SGSN-Number', 1489, tgpp);

// TS 29.173
export const mmeName = identity('MME-Name', 2402, tgpp);
export const mmeRealm = identity('MME-Realm', 2408, tgppMay);
export const mscNumber = digits('MSC-Number', 2403, tgpp);
export const sgsnName = identity('SGSN-Name', 2409, tgppMay);
export const sgsnRealm = identity('SGSN-Realm', 2410, tgppMay);
export const servingNode = grouped(
  'Serving-Node',
  2401,
  {
    sgsnName: optional(sgsnName),
    sgsnRealm: optional(sgsnRealm),
    sgsnNumber: optional(sgsnNumber),
    mmeName: optional(mmeName),
    mmeRealm: optional(mmeRealm),
    mmeNumberForMtSms: optional(mmeNumberForMtSms),
    mscNumber: optional(mscNumber),
  },
  tgpp,
);

// TS 29.338 §5.3.3, §6.3.3
export const scAddress = digits('SC-Address', 3300, tgpp);
/** a TPDU */
export const smRpUi = octets('SM-RP-UI', 3301, tgpp);
export const tfrFlags = unsigned32('TFR-Flags', 3302, tgpp);
export const smEnumeratedDeliveryFailureCause = enumerated(
  'SM-Enumerated-Delivery-Failure-Cause',
  3304,
  tgpp,
);
export const smDiagnosticInfo = octets('SM-Diagnostic-Info', 3305, tgpp);
export const smDeliveryFailureCause = grouped(
  'SM-Delivery-Failure-Cause',
  3303,
  {
    smEnumeratedDeliveryFailureCause: one(smEnumeratedDeliveryFailureCause),
    smDiagnosticInfo: optional(smDiagnosticInfo),
  },
  tgpp,
);
export const smDeliveryTimer = unsigned32('SM-Delivery-Timer', 3306, tgpp);
export const smDeliveryStartTime = time('SM-Delivery-Start-Time', 3307, tgpp);
export const smRpMti = enumerated('SM-RP-MTI', 3308, tgpp);
export const smRpSmea = octets('SM-RP-SMEA', 3309, tgpp);
export const srrFlags = unsigned32('SRR-Flags', 3310, tgppMay);
export const smDeliveryNotIntended = enumerated('SM-Delivery-Not-Intended', 3311, tgppMay);
export const mwdStatus = unsigned32('MWD-Status', 3312, tgppMay);
export const mmeAbsentUserDiagnosticSm = unsigned32('MME-Absent-User-Diagnostic-SM', 3313, tgppMay);
export const smDeliveryCause = enumerated('SM-Delivery-Cause', 3321, tgpp);
export const absentUserDiagnosticSm = unsigned32('Absent-User-Diagnostic-SM', 3322, tgpp);
export const mmeSmDeliveryOutcome = grouped(
  'MME-SM-Delivery-Outcome',
  3317,
  { smDeliveryCause: optional(smDeliveryCause), absentUserDiagnosticSm: optional(absentUserDiagnosticSm) },
  tgpp,
);
export const smDeliveryOutcome = grouped(
  'SM-Delivery-Outcome',
  3316,
  { mmeSmDeliveryOutcome: optional(mmeSmDeliveryOutcome) },
  tgpp,
);
export const rdrFlags = unsigned32('RDR-Flags', 3323, tgppMay);
export const hssId = octets('HSS-ID', 3325, tgppMay);
export const originatingSipUri = utf8('Originating-SIP-URI', 3326, tgppMay);
export const destinationSipUri = utf8('Destination-SIP-URI', 3327, tgppMay);
export const smsmiCorrelationId = grouped(
  'SMSMI-Correlation-ID',
  3324,
  {
    hssId: optional(hssId),
    originatingSipUri: optional(originatingSipUri),
    destinationSipUri: optional(destinationSipUri),
  },
  tgppMay,
);
export const ofrFlags = unsigned32('OFR-Flags', 3328, tgppMay);
export const maximumUeAvailabilityTime = time('Maximum-UE-Availability-Time', 3329, tgppMay);
export const maximumRetransmissionTime = time('Maximum-Retransmission-Time', 3330, tgppMay);
export const requestedRetransmissionTime = time('Requested-Retransmission-Time', 3331, tgppMay);
export const smsGmscAddress = digits('SMS-GMSC-Address', 3332, tgppMay);
export const smsGmscAlertEvent = unsigned32('SMS-GMSC-Alert-Event', 3333, tgppMay);

// TS 29.128 §6.4
export const connectionAction = unsigned32('Connection-Action', 4314, tgpp);
export const nonIpData = octets('Non-IP-Data', 4315, tgpp);
export const scefWaitTime = time('SCEF-Wait-Time', 4316, tgpp);
export const cmrFlags = unsigned32('CMR-Flags', 4317, tgpp);
export const extendedPco = octets('Extended-PCO', 4313, tgpp);
