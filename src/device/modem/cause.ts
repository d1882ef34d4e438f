/** What a rejection means to the modem, by EMM cause (TS 24.301 §5.5.1.2.5, §5.5.2.3.2, §5.5.3.2.5). */
import { EMM_CAUSE } from '../../standards/nas/index.ts';
import { UPDATE_STATUS } from '../../standards/uicc/index.ts';

export interface RejectAction {
  /** the USIM is invalid for EPS until switch off, or until the card is removed or reset */
  usimInvalid?: true;
  /** GUTI, last TAI, TAI list and key set are deleted */
  forget?: true;
  /** UPDATE_STATUS for EF.EPSLOCI */
  status: number;
  /** the list that the network, or its area, goes on */
  forbid?: 'plmn' | 'plmnForEps' | 'areaOfRoaming' | 'areaOfRegion';
  /** nobody proved it: what it forbids is allowed again when T3247 runs out */
  untilT3247?: true;
  /**
   * `stop`: nothing until the USIM is good again · `select`: look for another cell · `retry`: count the
   * attempt, T3411 or T3402 · `backOff`: T3346 · `attach`: a new attach at once
   */
  then: 'stop' | 'select' | 'retry' | 'backOff' | 'attach';
}

/** Roaming not allowed (EU3); EF.EPSLOCI's value 2. */
const EU3 = UPDATE_STATUS.plmnNotAllowed;
const EU2 = UPDATE_STATUS.notUpdated;

const invalid: RejectAction = { usimInvalid: true, forget: true, status: EU3, then: 'stop' };
const derivation: RejectAction = { forget: true, status: EU2, then: 'attach' };

const ACTIONS: ReadonlyMap<number, RejectAction> = new Map<number, RejectAction>([
  [EMM_CAUSE.illegalUe, invalid],
  [EMM_CAUSE.illegalMe, invalid],
  [EMM_CAUSE.epsServicesNotAllowed, invalid],
  [EMM_CAUSE.epsAndNonEpsServicesNotAllowed, invalid],
  [EMM_CAUSE.plmnNotAllowed, { forget: true, status: EU3, forbid: 'plmn', then: 'select' }],
  [EMM_CAUSE.trackingAreaNotAllowed, { forget: true, status: EU3, forbid: 'areaOfRegion', then: 'select' }],
  [
    EMM_CAUSE.roamingNotAllowedInTrackingArea,
    { forget: true, status: EU3, forbid: 'areaOfRoaming', then: 'select' },
  ],
  [
    EMM_CAUSE.epsServicesNotAllowedInPlmn,
    { forget: true, status: EU3, forbid: 'plmnForEps', then: 'select' },
  ],
  [EMM_CAUSE.noSuitableCells, { forget: true, status: EU3, forbid: 'areaOfRoaming', then: 'select' }],
  [EMM_CAUSE.congestion, { status: EU2, then: 'backOff' }],
]);

/** Causes that send a registered device back to attach (§5.5.3.2.5, §5.6.1.5). */
const LOST: ReadonlyMap<number, RejectAction> = new Map<number, RejectAction>([
  [EMM_CAUSE.ueIdentityCannotBeDerived, derivation],
  [EMM_CAUSE.implicitlyDetached, derivation],
  [EMM_CAUSE.noEpsBearerContextActivated, derivation],
]);

/** Any other cause is an abnormal case: the attempt failed (§5.5.1.2.6 d). #2 and #17 are among them. */
const OTHER: RejectAction = { status: EU2, then: 'retry' };

/** What to do after ATTACH REJECT. */
export const attachRejected = (cause: number): RejectAction => ACTIONS.get(cause) ?? OTHER;
/** What to do after TRACKING AREA UPDATE REJECT or SERVICE REJECT. */
export const updateRejected = (cause: number): RejectAction => LOST.get(cause) ?? attachRejected(cause);
/** AUTHENTICATION REJECT (§5.4.2.5). */
export const AUTHENTICATION_REJECTED: RejectAction = invalid;
