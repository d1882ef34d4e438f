/** Mobility and session management of the modem (TS 24.301): attach, authentication, security, rejections. */
import { deriveKasme } from '../../standards/aka/index.ts';
import { DecodeError, FieldError, equal } from '../../standards/bytes/index.ts';
import {
  ADDITIONAL_UPDATE_TYPE,
  EMM_CAUSE,
  ESM_CAUSE,
  IDENTITY_TYPE,
  NETWORK_DETACH_TYPE,
  NO_KEY,
  SECURITY_HEADER,
  UPDATE_TYPE,
  createNasSecurity,
  decodeNas,
  encodeNas,
  encodePlmn,
  gprsTimerSeconds,
  isCiphered,
  isProtected,
  splitProtected,
  type NasMessage,
  type NasMessageOf,
  type NasSecurity,
  type Tai,
} from '../../standards/nas/index.ts';
import { UPDATE_ATTACH_TYPE, UPDATE_STATUS } from '../../standards/uicc/index.ts';
import { AUTHENTICATION_REJECTED, attachRejected, updateRejected, type RejectAction } from './cause.ts';
import type { Emm, EmmState, EmmWorld } from './mobility.ts';
import { CAPABILITY, attachRequest, identityResponse, imeisvOf, switchOff } from './request.ts';
import { forbid, newForbidden, selectCell, type Cell, type Forbidden } from './select.ts';
import { DURATION, MOST_ATTEMPTS, MOST_AUTHENTICATION_FAILURES } from './timers.ts';
import type { Usim } from './usim.ts';

/** What a network may say before security runs (TS 24.301 §4.4.4.2). */
const PLAIN_ALLOWED: ReadonlySet<NasMessage['type']> = new Set([
  'identityRequest',
  'authenticationRequest',
  'authenticationReject',
  'attachReject',
  'detachAccept',
  'trackingAreaUpdateReject',
  'serviceReject',
]);

export function createEmm(world: EmmWorld): Emm {
  const { timers, observe } = world;
  let state: EmmState = 'off';
  let usim: Usim | undefined;
  let cell: Cell | undefined;
  let forbidden: Forbidden = newForbidden([]);
  let usimInvalid = false;
  let attempts = 0;
  /** the context in use; `secure` once the network has shown that it has it too */
  let security: NasSecurity | undefined;
  let secure = false;
  /** K_ASME of the last challenge, not yet taken into use */
  let pending: { ksi: number; kAsme: Uint8Array } | undefined;
  let answered: { rand: Uint8Array; reply: Uint8Array } | undefined;
  let authenticationFailures = 0;
  let bearer: number | undefined;
  let updating = false;
  let t3402: number = DURATION.t3402;
  let t3412: number | undefined = DURATION.t3412;

  async function become(next: EmmState): Promise<void> {
    const was = state;
    state = next;
    if (was === 'registered' && next !== 'registered') observe({ type: 'detached' });
    if (was !== next) await world.changed(next);
  }

  function send(message: NasMessage, headerType: number = SECURITY_HEADER.integrityCiphered): boolean {
    if (cell === undefined) return false;
    const plain = encodeNas(message);
    if (security !== undefined && secure) {
      try {
        world.send(security.protect(plain, 'uplink', headerType), cell);
      } catch (error) {
        // NAS COUNT is used up: the context is of no more use, a new attach makes another.
        if (!(error instanceof FieldError)) throw error;
        security = undefined;
        timers.start('t3411', 0, attach);
        return false;
      }
    } else {
      world.send(plain, cell);
    }
    return true;
  }

  function forgetIdentity(): void {
    if (usim) {
      delete usim.guti;
      delete usim.tai;
    }
    security = undefined;
    secure = false;
    pending = undefined;
  }

  // ——— attach (§5.5.1)

  async function attach(): Promise<void> {
    if (usim === undefined || usimInvalid) return;
    timers.stop('t3402', 't3411', 't3346', 't3412', 't3430', 'forbiddenAreas');
    cell = selectCell(world.cells, usim, forbidden, usim.tai?.plmn);
    if (cell === undefined) {
      await become('limited');
      timers.start('forbiddenAreas', DURATION.forbiddenAreas, () => {
        forbidden.areas.clear();
        forbidden.cells.clear();
        return attach();
      });
      return;
    }
    bearer = undefined;
    updating = false;
    pending = undefined;
    answered = undefined;
    authenticationFailures = 0;
    secure = false;
    await become('attaching');
    if (usim.security !== undefined) {
      const stored = usim.security;
      delete usim.security;
      try {
        security = createNasSecurity(stored);
      } catch (error) {
        if (!(error instanceof FieldError)) throw error;
      }
      // In use now: a power cut must not bring its counts back.
      await world.clearSecurity();
    }
    const request = attachRequest(usim, security?.state.ksi ?? NO_KEY, world.pdn, usim.apn ?? world.apn);
    const plain = encodeNas(request);
    const bytes = security ? security.protect(plain, 'uplink', SECURITY_HEADER.integrity) : plain;
    timers.start('t3410', DURATION.t3410, attemptFailed);
    world.send(bytes, cell);
  }

  /** Passes this cell over for a while, as if it were barred (TS 36.304 §5.3.1). */
  function bar(): void {
    const barred = cell;
    if (barred === undefined) return;
    forbidden.cells.add(barred);
    timers.start(`barred ${world.cells.indexOf(barred)}`, DURATION.barred, async () => {
      forbidden.cells.delete(barred);
      if (state === 'limited') await attach();
    });
  }

  /** No answer, or one that asks for patience (§5.5.1.2.6). */
  async function attemptFailed(): Promise<void> {
    timers.stop('t3410', 't3418', 't3420', 't3430');
    if (usim === undefined) return;
    if (usim.status !== UPDATE_STATUS.notUpdated) {
      usim.status = UPDATE_STATUS.notUpdated;
      await world.storeLocation(usim);
    }
    attempts++;
    if (attempts < MOST_ATTEMPTS) {
      await become('waiting');
      timers.start('t3411', DURATION.t3411, attach);
      return;
    }
    forgetIdentity();
    attempts = 0;
    await world.storeLocation(usim);
    // Another cell may do better; when none is left, all get another chance after T3402.
    bar();
    if (selectCell(world.cells, usim, forbidden, undefined) !== undefined) return attach();
    forbidden.cells.clear();
    await become('waiting');
    timers.start('t3402', t3402, attach);
  }

  async function act(action: RejectAction, backOffSeconds: number | undefined): Promise<void> {
    timers.stop('t3410', 't3418', 't3420', 't3430', 't3411');
    if (usim === undefined || cell === undefined) return;
    if (action.forget) forgetIdentity();
    usim.status = action.status;
    if (action.forbid !== undefined) {
      forbid(forbidden, action.forbid, cell, usim);
      if (action.forbid === 'plmn') await world.storeForbidden([...forbidden.plmns]);
    }
    if (action.then !== 'retry') {
      attempts = 0;
      await world.storeLocation(usim);
    }
    switch (action.then) {
      case 'stop':
        usimInvalid = true;
        await become('limited');
        break;
      case 'select':
      case 'attach':
        await become('waiting');
        await attach();
        break;
      case 'backOff': {
        await become('waiting');
        const chance = DURATION.t3346Least + world.chance() * (DURATION.t3346Most - DURATION.t3346Least);
        timers.start('t3346', backOffSeconds === undefined ? chance : backOffSeconds * 1000, attach);
        break;
      }
      case 'retry':
        await attemptFailed();
        break;
    }
  }

  async function attachReject(message: NasMessageOf<'attachReject'>, verified: boolean): Promise<void> {
    if (state !== 'attaching') return;
    const { emmCause, t3346Value, t3402Value } = message;
    observe({ type: 'rejected', cause: emmCause });
    if (t3402Value !== undefined) t3402 = (gprsTimerSeconds(t3402Value) ?? DURATION.t3402 / 1000) * 1000;
    const backOff = t3346Value === undefined ? undefined : gprsTimerSeconds(t3346Value);
    const area: Tai = { plmn: cell!.plmn, tac: cell!.tac };
    let action = attachRejected(emmCause);
    // Congestion without a timer is an abnormal case; a timer that is not protected is not believed.
    if (action.then === 'backOff' && (t3346Value === undefined || backOff === undefined || backOff === 0)) {
      action = { status: action.status, then: 'retry' };
    }
    await act(action, verified ? backOff : undefined);
    await world.rejected(emmCause, area, UPDATE_ATTACH_TYPE.epsAttach);
  }

  async function attachAccept(message: NasMessageOf<'attachAccept'>): Promise<void> {
    if (usim === undefined || cell === undefined) return;
    if (state !== 'attaching' && state !== 'registered') return;
    let reply: NasMessage = { type: 'esmDummyMessage', ebi: 0, pti: 0 };
    try {
      const esm = decodeNas(message.esmMessageContainer, 'downlink');
      if (esm.type === 'activateDefaultEpsBearerContextRequest') {
        bearer = esm.ebi;
        reply = { type: 'activateDefaultEpsBearerContextAccept', ebi: esm.ebi, pti: 0 };
      }
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      send({ type: 'emmStatus', emmCause: EMM_CAUSE.invalidMandatoryInformation });
      return;
    }
    timers.stop('t3410');
    attempts = 0;
    if (message.guti) usim.guti = message.guti;
    usim.tai = { plmn: cell.plmn, tac: cell.tac };
    usim.status = UPDATE_STATUS.updated;
    if (message.t3402Value !== undefined) {
      t3402 = (gprsTimerSeconds(message.t3402Value) ?? DURATION.t3402 / 1000) * 1000;
    }
    setPeriodic(message.t3412Value);
    send({ type: 'attachComplete', esmMessageContainer: encodeNas(reply) });
    // A repeated accept is completed again, and no more (§5.5.1.2.7 d).
    if (state === 'registered') return;
    await world.storeLocation(usim);
    observe({ type: 'attached', imsi: usim.imsi, plmn: cell.plmn });
    await become('registered');
  }

  // ——— tracking area update (§5.5.3)

  function setPeriodic(octet: number): void {
    const seconds = gprsTimerSeconds(octet);
    t3412 = seconds === undefined || seconds === 0 ? undefined : seconds * 1000;
    restartPeriodic();
  }

  function restartPeriodic(): void {
    timers.stop('t3412');
    if (t3412 !== undefined) timers.start('t3412', t3412, update);
  }

  async function update(): Promise<void> {
    if (state !== 'registered' || usim === undefined) return;
    if (usim.guti === undefined || security === undefined) return attach();
    updating = true;
    send(
      {
        type: 'trackingAreaUpdateRequest',
        epsUpdateType: UPDATE_TYPE.periodic,
        nasKeySetIdentifier: security.state.ksi,
        oldGuti: usim.guti,
        ...(usim.tai && { lastVisitedRegisteredTai: usim.tai }),
        additionalUpdateType: ADDITIONAL_UPDATE_TYPE.smsOnly,
      },
      SECURITY_HEADER.integrity,
    );
    timers.start('t3430', DURATION.t3430, async () => {
      attempts++;
      if (attempts < MOST_ATTEMPTS) {
        timers.start('t3412', DURATION.t3411, update);
      } else {
        attempts = 0;
        await become('waiting');
        await attach();
      }
    });
  }

  async function updateAccept(message: NasMessageOf<'trackingAreaUpdateAccept'>): Promise<void> {
    if (!updating || usim === undefined || cell === undefined) return;
    updating = false;
    attempts = 0;
    timers.stop('t3430');
    usim.tai = { plmn: cell.plmn, tac: cell.tac };
    usim.status = UPDATE_STATUS.updated;
    if (message.t3412Value !== undefined) setPeriodic(message.t3412Value);
    else restartPeriodic();
    if (message.guti) {
      usim.guti = message.guti;
      send({ type: 'trackingAreaUpdateComplete' });
    }
    await world.storeLocation(usim);
  }

  async function updateReject(
    message: NasMessageOf<'trackingAreaUpdateReject'> | NasMessageOf<'serviceReject'>,
    verified: boolean,
  ): Promise<void> {
    if (state !== 'registered' || !verified || cell === undefined) return;
    if (message.type === 'trackingAreaUpdateReject' && !updating) return;
    updating = false;
    observe({ type: 'rejected', cause: message.emmCause });
    const area: Tai = { plmn: cell.plmn, tac: cell.tac };
    const backOff = message.t3346Value === undefined ? undefined : gprsTimerSeconds(message.t3346Value);
    await act(updateRejected(message.emmCause), backOff);
    await world.rejected(message.emmCause, area, UPDATE_ATTACH_TYPE.trackingAreaUpdate);
  }

  // ——— identification, authentication, security mode (§5.4)

  function identity({ identityType }: NasMessageOf<'identityRequest'>, verified: boolean): void {
    if (usim === undefined) return;
    // Without security only the IMSI is told (§4.4.4.2).
    if (!verified && identityType !== IDENTITY_TYPE.imsi) return;
    send(identityResponse(identityType, usim, world.imei));
  }

  async function authenticationRequest(message: NasMessageOf<'authenticationRequest'>): Promise<void> {
    if (cell === undefined || (state !== 'attaching' && state !== 'registered')) return;
    const { rand, autn, nasKeySetIdentifier } = message;
    if (nasKeySetIdentifier >= NO_KEY) return;
    if (answered && equal(answered.rand, rand) && pending?.ksi === nasKeySetIdentifier) {
      // The same challenge again: the answer was lost. The card would call it a replay.
      send({ type: 'authenticationResponse', res: answered.reply });
      return;
    }
    const fail = async (emmCause: number, timer: 't3418' | 't3420', auts?: Uint8Array): Promise<void> => {
      authenticationFailures++;
      timers.stop('t3410', 't3418', 't3420');
      send({
        type: 'authenticationFailure',
        emmCause,
        ...(auts && { authenticationFailureParameter: auts }),
      });
      if (authenticationFailures < MOST_AUTHENTICATION_FAILURES) {
        timers.start(timer, DURATION[timer], attemptFailed);
        return;
      }
      // This network is not what it claims (§5.4.2.7): leave it alone.
      authenticationFailures = 0;
      bar();
      await attemptFailed();
    };
    // The separation bit of AMF must be set for EPS (TS 33.401 §6.1.1).
    if ((autn[6]! & 0x80) === 0) return fail(EMM_CAUSE.nonEpsAuthenticationUnacceptable, 't3418');
    const result = await world.authenticate(rand, autn);
    switch (result.kind) {
      case 'synchronisationFailure':
        return fail(EMM_CAUSE.synchFailure, 't3420', result.auts);
      case 'macFailure':
        return fail(EMM_CAUSE.macFailure, 't3418');
      case 'error':
        return;
      case 'success':
        break;
    }
    authenticationFailures = 0;
    timers.stop('t3418', 't3420');
    if (state === 'attaching') timers.start('t3410', DURATION.t3410, attemptFailed);
    pending = {
      ksi: nasKeySetIdentifier,
      kAsme: deriveKasme(result.ck, result.ik, encodePlmn(cell.plmn), autn.subarray(0, 6)),
    };
    answered = { rand: Uint8Array.from(rand), reply: result.res };
    send({ type: 'authenticationResponse', res: result.res });
  }

  async function securityModeCommand(bytes: Uint8Array): Promise<void> {
    const { payload } = splitProtected(bytes);
    const message = decodeNas(payload, 'downlink');
    if (message.type !== 'securityModeCommand' || usim === undefined) return;
    if (state !== 'attaching' && state !== 'registered') return;
    const { eea, eia } = message.selectedNasSecurityAlgorithms;
    const ksi = message.nasKeySetIdentifier;
    const base =
      pending?.ksi === ksi
        ? { ...pending, uplink: 0, downlink: 0 }
        : security?.state.ksi === ksi
          ? security.state
          : undefined;
    const reject = (emmCause: number): void => {
      send({ type: 'securityModeReject', emmCause });
    };
    if (base === undefined) return reject(EMM_CAUSE.securityModeRejected);
    const { eea: e, eia: i, more } = message.replayedUeSecurityCapabilities;
    const known = e === CAPABILITY.eea && i === CAPABILITY.eia && more.every((byte) => byte === 0);
    if (!known || (eea !== 0 && eea !== 2) || eia !== 2) {
      return reject(EMM_CAUSE.ueSecurityCapabilitiesMismatch);
    }
    const candidate = createNasSecurity({ ...base, ksi, eea, eia });
    if (candidate.unprotect(bytes, 'downlink') === undefined) return reject(EMM_CAUSE.securityModeRejected);
    security = candidate;
    secure = true;
    pending = undefined;
    send(
      {
        type: 'securityModeComplete',
        ...(message.imeisvRequest === 1 && { imeisv: imeisvOf(world.imei) }),
      },
      SECURITY_HEADER.integrityCipheredNewContext,
    );
    if (state === 'attaching') timers.start('t3410', DURATION.t3410, attemptFailed);
  }

  // ——— detach by the network (§5.5.2.3)

  async function networkDetach(message: NasMessageOf<'networkDetachRequest'>): Promise<void> {
    if (usim === undefined) return;
    send({ type: 'detachAccept' });
    if (message.detachType === NETWORK_DETACH_TYPE.imsi) return;
    if (message.detachType === NETWORK_DETACH_TYPE.reAttachRequired) {
      await become('waiting');
      await attach();
      return;
    }
    if (message.emmCause !== undefined) {
      observe({ type: 'rejected', cause: message.emmCause });
      const action = attachRejected(message.emmCause);
      if (action.then !== 'retry' && action.then !== 'backOff') return act(action, undefined);
    }
    // No word on why: the device may try again after T3402 (§5.5.2.3.4 b).
    forgetIdentity();
    usim.status = UPDATE_STATUS.notUpdated;
    await world.storeLocation(usim);
    await become('waiting');
    timers.stop('t3412', 't3430', 't3410');
    timers.start('t3402', t3402, attach);
  }

  // ——— what comes in

  async function handle(message: NasMessage, verified: boolean): Promise<void> {
    switch (message.type) {
      case 'identityRequest':
        return identity(message, verified);
      case 'authenticationRequest':
        return authenticationRequest(message);
      case 'authenticationReject':
        if (state === 'attaching' || verified) {
          observe({ type: 'rejected', cause: EMM_CAUSE.illegalUe });
          await act(AUTHENTICATION_REJECTED, undefined);
        }
        return;
      case 'attachReject':
        return attachReject(message, verified);
      case 'attachAccept':
        return attachAccept(message);
      case 'networkDetachRequest':
        return networkDetach(message);
      case 'trackingAreaUpdateAccept':
        return updateAccept(message);
      case 'trackingAreaUpdateReject':
      case 'serviceReject':
        return updateReject(message, verified);
      case 'gutiReallocationCommand':
        if (usim === undefined || state !== 'registered') return;
        usim.guti = message.guti;
        send({ type: 'gutiReallocationComplete' });
        return world.storeLocation(usim);
      case 'downlinkNasTransport':
        if (state === 'registered') await world.shortMessage(message.nasMessageContainer);
        return;
      case 'esmInformationRequest': {
        const apn = usim?.apn ?? world.apn;
        send({
          type: 'esmInformationResponse',
          ebi: 0,
          pti: message.pti,
          ...(apn !== undefined && { accessPointName: apn }),
        });
        return;
      }
      case 'activateDefaultEpsBearerContextRequest':
        bearer = message.ebi;
        send({ type: 'activateDefaultEpsBearerContextAccept', ebi: message.ebi, pti: 0 });
        return;
      case 'deactivateEpsBearerContextRequest':
        send({ type: 'deactivateEpsBearerContextAccept', ebi: message.ebi, pti: 0 });
        if (message.ebi === bearer) bearer = undefined;
        return;
      case 'esmDataTransport':
        if (message.ebi === bearer) observe({ type: 'data', data: message.userDataContainer });
        else
          send({ type: 'esmStatus', ebi: message.ebi, pti: 0, esmCause: ESM_CAUSE.invalidEpsBearerIdentity });
        return;
      case 'detachAccept':
      case 'emmInformation':
      case 'emmStatus':
      case 'esmStatus':
      case 'serviceAccept':
      case 'pdnConnectivityReject':
        return;
      default:
        // What only a device says.
        if (verified) send({ type: 'emmStatus', emmCause: EMM_CAUSE.messageTypeNotCompatible });
    }
  }

  async function receivePlain(bytes: Uint8Array): Promise<void> {
    const message = decodeNas(bytes, 'downlink');
    if (PLAIN_ALLOWED.has(message.type)) await handle(message, false);
  }

  async function receiveProtected(bytes: Uint8Array): Promise<void> {
    const { headerType, payload } = splitProtected(bytes);
    if (headerType === SECURITY_HEADER.integrityNewContext) return securityModeCommand(bytes);
    const opened = security?.unprotect(bytes, 'downlink');
    if (opened === undefined) {
      // The network may have lost the context: what it may say without is heard (§4.4.4.2).
      if (!secure && headerType === SECURITY_HEADER.integrity) await receivePlain(payload);
      return;
    }
    secure = true;
    let message: NasMessage;
    try {
      message = decodeNas(opened.plain, 'downlink');
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      const unknown = error.field === 'message type';
      send({
        type: 'emmStatus',
        emmCause: unknown ? EMM_CAUSE.messageTypeNonExistent : EMM_CAUSE.invalidMandatoryInformation,
      });
      return;
    }
    if (isCiphered(headerType)) observe({ type: 'plainNas', direction: 'downlink', bytes: opened.plain });
    await handle(message, true);
  }

  return {
    get state() {
      return state;
    },
    get cell() {
      return cell;
    },
    get usim() {
      return usim;
    },
    async begin(next) {
      usim = next;
      usimInvalid = false;
      forbidden = newForbidden(next.forbiddenPlmns);
      attempts = 0;
      security = undefined;
      secure = false;
      t3402 = DURATION.t3402;
      await attach();
    },
    end(withDetach) {
      const last = secure ? security : undefined;
      if (withDetach && usim && last && (state === 'registered' || state === 'attaching')) {
        send(switchOff(usim, last.state.ksi));
      }
      timers.stopAll();
      if (state === 'registered') observe({ type: 'detached' });
      state = 'off';
      usim = undefined;
      cell = undefined;
      security = undefined;
      pending = undefined;
      secure = false;
      bearer = undefined;
      return last;
    },
    async receive(bytes) {
      if (usim === undefined) return;
      try {
        if (isProtected(bytes)) await receiveProtected(bytes);
        else if (!secure) await receivePlain(bytes);
      } catch (error) {
        // Not a message: as if nothing had come.
        if (!(error instanceof DecodeError)) throw error;
      }
    },
    sendData(data) {
      if (state !== 'registered' || bearer === undefined) return false;
      return send({ type: 'esmDataTransport', ebi: bearer, pti: 0, userDataContainer: data });
    },
    sendShortMessage(container) {
      if (state !== 'registered') return false;
      return send({ type: 'uplinkNasTransport', nasMessageContainer: container });
    },
  };
}
