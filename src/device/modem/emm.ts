/** Mobility and session management of the modem (TS 24.301): attach, detach, rejections, what comes in. */
import { DecodeError, FieldError } from '../../standards/bytes/index.ts';
import {
  EMM_CAUSE,
  ESM_CAUSE,
  NETWORK_DETACH_TYPE,
  NO_KEY,
  SECURITY_HEADER,
  createNasSecurity,
  decodeNas,
  encodeNas,
  gprsTimerSeconds,
  isCiphered,
  isProtected,
  splitProtected,
  type NasMessage,
  type NasMessageOf,
  type Tai,
} from '../../standards/nas/index.ts';
import { UPDATE_ATTACH_TYPE, UPDATE_STATUS } from '../../standards/uicc/index.ts';
import { AUTHENTICATION_REJECTED, attachRejected, type RejectAction } from './cause.ts';
import { createCommonProcedures } from './common-procedures.ts';
import type { EmmActions, EmmContext } from './context.ts';
import type { Emm, EmmState, EmmWorld } from './mobility.ts';
import { attachRequest, switchOff } from './request.ts';
import { forbid, newForbidden, selectCell, type Forbidden } from './select.ts';
import { DURATION, MOST_ATTEMPTS } from './timers.ts';
import { createTrackingAreaUpdate } from './tracking-area-update.ts';
import { createUnproven } from './unproven.ts';

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
  const context: EmmContext = {
    state: 'off',
    usim: undefined,
    cell: undefined,
    attempts: 0,
    security: undefined,
    secure: false,
    pending: undefined,
    answered: undefined,
    authenticationFailures: 0,
    updating: false,
  };
  let forbidden: Forbidden = newForbidden([]);
  const unproven = createUnproven();
  let usimInvalid = false;
  let bearer: number | undefined;
  let t3402: number = DURATION.t3402;

  async function become(next: EmmState): Promise<void> {
    const was = context.state;
    context.state = next;
    if (was === 'registered' && next !== 'registered') observe({ type: 'detached' });
    if (was !== next) await world.changed(next);
  }

  function send(message: NasMessage, headerType: number = SECURITY_HEADER.integrityCiphered): boolean {
    if (context.cell === undefined) return false;
    const plain = encodeNas(message);
    if (context.security !== undefined && context.secure) {
      try {
        world.send(context.security.protect(plain, 'uplink', headerType), context.cell);
      } catch (error) {
        // NAS COUNT is used up: the context is of no more use, a new attach makes another.
        if (!(error instanceof FieldError)) throw error;
        context.security = undefined;
        timers.start('t3411', 0, attach);
        return false;
      }
    } else {
      world.send(plain, context.cell);
    }
    return true;
  }

  function forgetIdentity(): void {
    if (context.usim) {
      delete context.usim.guti;
      delete context.usim.tai;
    }
    context.security = undefined;
    context.secure = false;
    context.pending = undefined;
  }

  // ——— attach (§5.5.1)

  async function attach(): Promise<void> {
    if (context.usim === undefined || usimInvalid) return;
    timers.stop('t3402', 't3411', 't3346', 't3412', 't3430');
    context.cell = selectCell(world.cells, context.usim, forbidden, context.usim.tai?.plmn);
    if (context.cell === undefined) {
      await become('limited');
      return;
    }
    bearer = undefined;
    context.updating = false;
    context.pending = undefined;
    context.answered = undefined;
    context.authenticationFailures = 0;
    context.secure = false;
    await become('attaching');
    if (context.usim.security !== undefined) {
      const stored = context.usim.security;
      delete context.usim.security;
      try {
        context.security = createNasSecurity(stored);
      } catch (error) {
        if (!(error instanceof FieldError)) throw error;
      }
      // In use now: a power cut must not bring its counts back.
      await world.clearSecurity();
    }
    const request = attachRequest(
      context.usim,
      context.security?.state.ksi ?? NO_KEY,
      world.pdn,
      context.usim.apn ?? world.apn,
    );
    const plain = encodeNas(request);
    const bytes = context.security
      ? context.security.protect(plain, 'uplink', SECURITY_HEADER.integrity)
      : plain;
    timers.start('t3410', DURATION.t3410, attemptFailed);
    world.send(bytes, context.cell);
  }

  /** Passes this cell over for a while, as if it were barred (TS 36.304 §5.3.1). */
  function bar(): void {
    const barred = context.cell;
    if (barred === undefined) return;
    forbidden.cells.add(barred);
    timers.start(`barred ${world.cells.indexOf(barred)}`, DURATION.barred, async () => {
      forbidden.cells.delete(barred);
      if (context.state === 'limited') await attach();
    });
  }

  /** No answer, or one that asks for patience (§5.5.1.2.6). */
  async function attemptFailed(): Promise<void> {
    timers.stop('t3410', 't3418', 't3420', 't3430');
    if (context.usim === undefined) return;
    if (context.usim.status !== UPDATE_STATUS.notUpdated) {
      context.usim.status = UPDATE_STATUS.notUpdated;
      await world.storeLocation(context.usim);
    }
    context.attempts++;
    if (context.attempts < MOST_ATTEMPTS) {
      await become('waiting');
      timers.start('t3411', DURATION.t3411, attach);
      return;
    }
    forgetIdentity();
    context.attempts = 0;
    await world.storeLocation(context.usim);
    // Another cell may do better; when none is left, all get another chance after T3402.
    bar();
    if (selectCell(world.cells, context.usim, forbidden, undefined) !== undefined) return attach();
    forbidden.cells.clear();
    await become('waiting');
    timers.start('t3402', t3402, attach);
  }

  /** What was just forbidden is allowed again after a while, counted from the first of its kind. */
  function allowAfter(name: string, milliseconds: number, allow: () => void): void {
    if (timers.running(name)) return;
    timers.start(name, milliseconds, async () => {
      allow();
      if (context.state === 'limited') await attach();
    });
  }

  async function act(
    verdict: RejectAction,
    backOffSeconds: number | undefined,
    verified: boolean,
  ): Promise<void> {
    timers.stop('t3410', 't3418', 't3420', 't3430', 't3411');
    const { usim, cell } = context;
    if (usim === undefined || cell === undefined) return;
    if (verified) unproven.proven(verdict, cell.plmn);
    const action = verified ? verdict : unproven.doubt(verdict, cell.plmn);
    if (action.forget) forgetIdentity();
    usim.status = action.status;
    if (action.forbid !== undefined) {
      forbid(forbidden, action, cell, usim);
      if (action.untilT3247) {
        const chance = DURATION.t3247Least + world.chance() * (DURATION.t3247Most - DURATION.t3247Least);
        allowAfter('t3247', chance, () => {
          forbidden.unproven.plmns.clear();
          forbidden.unproven.areas.clear();
        });
      } else if (action.forbid === 'plmn') {
        await world.storeForbidden([...forbidden.plmns]);
      } else if (action.forbid !== 'plmnForEps') {
        allowAfter('forbiddenAreas', DURATION.forbiddenAreas, () => forbidden.areas.clear());
      }
    }
    if (action.then !== 'retry') {
      context.attempts = 0;
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

  function setT3402(octet: number): void {
    t3402 = (gprsTimerSeconds(octet) ?? DURATION.t3402 / 1000) * 1000;
  }

  async function attachReject(message: NasMessageOf<'attachReject'>, verified: boolean): Promise<void> {
    if (context.state !== 'attaching') return;
    const { emmCause, t3346Value, t3402Value } = message;
    observe({ type: 'rejected', cause: emmCause });
    if (verified && t3402Value !== undefined) setT3402(t3402Value);
    const backOff = t3346Value === undefined ? undefined : gprsTimerSeconds(t3346Value);
    const area: Tai = { plmn: context.cell!.plmn, tac: context.cell!.tac };
    let action = attachRejected(emmCause);
    // Congestion without a timer is an abnormal case; a timer that is not protected is not believed.
    if (action.then === 'backOff' && (t3346Value === undefined || backOff === undefined || backOff === 0)) {
      action = { status: action.status, then: 'retry' };
    }
    await act(action, verified ? backOff : undefined, verified);
    await world.rejected(emmCause, area, UPDATE_ATTACH_TYPE.epsAttach);
  }

  async function attachAccept(message: NasMessageOf<'attachAccept'>): Promise<void> {
    if (context.usim === undefined || context.cell === undefined) return;
    if (context.state !== 'attaching' && context.state !== 'registered') return;
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
    context.attempts = 0;
    unproven.accepted(context.cell.plmn);
    if (message.guti) context.usim.guti = message.guti;
    context.usim.tai = { plmn: context.cell.plmn, tac: context.cell.tac };
    context.usim.status = UPDATE_STATUS.updated;
    if (message.t3402Value !== undefined) setT3402(message.t3402Value);
    tracking.setPeriodic(message.t3412Value);
    send({ type: 'attachComplete', esmMessageContainer: encodeNas(reply) });
    // A repeated accept is completed again, and no more (§5.5.1.2.7 d).
    if (context.state === 'registered') return;
    await world.storeLocation(context.usim);
    observe({ type: 'attached', imsi: context.usim.imsi, plmn: context.cell.plmn });
    await become('registered');
  }

  // ——— detach by the network (§5.5.2.3)

  async function networkDetach(message: NasMessageOf<'networkDetachRequest'>): Promise<void> {
    if (context.usim === undefined) return;
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
      if (action.then !== 'retry' && action.then !== 'backOff') {
        return act(action, undefined, true);
      }
    }
    // No word on why: the device may try again after T3402 (§5.5.2.3.4 b).
    forgetIdentity();
    context.usim.status = UPDATE_STATUS.notUpdated;
    await world.storeLocation(context.usim);
    await become('waiting');
    timers.stop('t3412', 't3430', 't3410');
    timers.start('t3402', t3402, attach);
  }

  const actions: EmmActions = { send, become, attach, attemptFailed, bar, act };
  const common = createCommonProcedures(world, context, actions);
  const tracking = createTrackingAreaUpdate(world, context, actions);

  // ——— what comes in

  async function handle(message: NasMessage, verified: boolean): Promise<void> {
    switch (message.type) {
      case 'identityRequest':
        return common.identity(message, verified);
      case 'authenticationRequest':
        return common.authenticationRequest(message);
      case 'authenticationReject':
        if (context.state === 'attaching' || verified) {
          observe({ type: 'rejected', cause: EMM_CAUSE.illegalUe });
          await act(AUTHENTICATION_REJECTED, undefined, verified);
        }
        return;
      case 'attachReject':
        return attachReject(message, verified);
      case 'attachAccept':
        return attachAccept(message);
      case 'networkDetachRequest':
        return networkDetach(message);
      case 'trackingAreaUpdateAccept':
        return tracking.accepted(message);
      case 'trackingAreaUpdateReject':
      case 'serviceReject':
        return tracking.rejected(message, verified);
      case 'gutiReallocationCommand':
        if (context.usim === undefined || context.state !== 'registered') return;
        context.usim.guti = message.guti;
        send({ type: 'gutiReallocationComplete' });
        return world.storeLocation(context.usim);
      case 'downlinkNasTransport':
        if (context.state === 'registered') await world.shortMessage(message.nasMessageContainer);
        return;
      case 'esmInformationRequest': {
        const apn = context.usim?.apn ?? world.apn;
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
    if (headerType === SECURITY_HEADER.integrityNewContext) return common.securityModeCommand(bytes);
    const opened = context.security?.unprotect(bytes, 'downlink');
    if (opened === undefined) {
      // The network may have lost the context: what it may say without is heard (§4.4.4.2).
      if (!context.secure && headerType === SECURITY_HEADER.integrity) await receivePlain(payload);
      return;
    }
    context.secure = true;
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
      return context.state;
    },
    get cell() {
      return context.cell;
    },
    get usim() {
      return context.usim;
    },
    async begin(next) {
      context.usim = next;
      usimInvalid = false;
      forbidden = newForbidden(next.forbiddenPlmns);
      unproven.begin(next.imsi);
      context.attempts = 0;
      context.security = undefined;
      context.secure = false;
      t3402 = DURATION.t3402;
      await attach();
    },
    end(withDetach) {
      const last = context.secure ? context.security : undefined;
      if (
        withDetach &&
        context.usim &&
        last &&
        (context.state === 'registered' || context.state === 'attaching')
      ) {
        send(switchOff(context.usim, last.state.ksi));
      }
      timers.stopAll();
      if (context.state === 'registered') observe({ type: 'detached' });
      context.state = 'off';
      context.usim = undefined;
      context.cell = undefined;
      context.security = undefined;
      context.pending = undefined;
      context.secure = false;
      bearer = undefined;
      return last;
    },
    async receive(bytes) {
      if (context.usim === undefined) return;
      try {
        if (isProtected(bytes)) await receiveProtected(bytes);
        else if (!context.secure) await receivePlain(bytes);
      } catch (error) {
        // Not a message: as if nothing had come.
        if (!(error instanceof DecodeError)) throw error;
      }
    },
    sendData(data) {
      if (context.state !== 'registered' || bearer === undefined) return false;
      return send({ type: 'esmDataTransport', ebi: bearer, pti: 0, userDataContainer: data });
    },
    sendShortMessage(container) {
      if (context.state !== 'registered') return false;
      return send({ type: 'uplinkNasTransport', nasMessageContainer: container });
    },
  };
}
