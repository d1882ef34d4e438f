/** EMM common procedures of the modem (TS 24.301 §5.4): identification, authentication, security mode control. */
import { deriveKasme } from '../../standards/aka/index.ts';
import { equal } from '../../standards/bytes/index.ts';
import {
  EMM_CAUSE,
  IDENTITY_TYPE,
  NO_KEY,
  SECURITY_HEADER,
  createNasSecurity,
  decodeNas,
  encodePlmn,
  splitProtected,
  type NasMessageOf,
} from '../../standards/nas/index.ts';
import type { EmmActions, EmmContext } from './context.ts';
import type { EmmWorld } from './mobility.ts';
import { CAPABILITY, identityResponse, imeisvOf } from './request.ts';
import { DURATION, MOST_AUTHENTICATION_FAILURES } from './timers.ts';

export interface CommonProcedures {
  identity(message: NasMessageOf<'identityRequest'>, verified: boolean): void;
  authenticationRequest(message: NasMessageOf<'authenticationRequest'>): Promise<void>;
  /** @param bytes the protected message. @throws DecodeError */
  securityModeCommand(bytes: Uint8Array): void;
}

export function createCommonProcedures(
  world: EmmWorld,
  context: EmmContext,
  { send, attemptFailed, bar }: EmmActions,
): CommonProcedures {
  const { timers } = world;

  function identity({ identityType }: NasMessageOf<'identityRequest'>, verified: boolean): void {
    if (context.usim === undefined) return;
    // Without security only the IMSI is told (§4.4.4.2).
    if (!verified && identityType !== IDENTITY_TYPE.imsi) return;
    send(identityResponse(identityType, context.usim, world.imei));
  }

  async function authenticationRequest(message: NasMessageOf<'authenticationRequest'>): Promise<void> {
    if (context.cell === undefined || (context.state !== 'attaching' && context.state !== 'registered'))
      return;
    const { rand, autn, nasKeySetIdentifier } = message;
    if (nasKeySetIdentifier >= NO_KEY) return;
    if (
      context.answered &&
      equal(context.answered.rand, rand) &&
      context.pending?.ksi === nasKeySetIdentifier
    ) {
      // The same challenge again: the answer was lost. The card would call it a replay.
      send({ type: 'authenticationResponse', res: context.answered.reply });
      return;
    }
    const fail = async (emmCause: number, timer: 't3418' | 't3420', auts?: Uint8Array): Promise<void> => {
      context.authenticationFailures++;
      timers.stop('t3410', 't3418', 't3420');
      send({
        type: 'authenticationFailure',
        emmCause,
        ...(auts && { authenticationFailureParameter: auts }),
      });
      if (context.authenticationFailures < MOST_AUTHENTICATION_FAILURES) {
        timers.start(timer, DURATION[timer], attemptFailed);
        return;
      }
      // This network is not what it claims (§5.4.2.7): leave it alone.
      context.authenticationFailures = 0;
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
    context.authenticationFailures = 0;
    timers.stop('t3418', 't3420');
    if (context.state === 'attaching') timers.start('t3410', DURATION.t3410, attemptFailed);
    context.pending = {
      ksi: nasKeySetIdentifier,
      kAsme: deriveKasme(result.ck, result.ik, encodePlmn(context.cell.plmn), autn.subarray(0, 6)),
    };
    context.answered = { rand: Uint8Array.from(rand), reply: result.res };
    send({ type: 'authenticationResponse', res: result.res });
  }

  function securityModeCommand(bytes: Uint8Array): void {
    const { payload } = splitProtected(bytes);
    const message = decodeNas(payload, 'downlink');
    if (message.type !== 'securityModeCommand' || context.usim === undefined) return;
    if (context.state !== 'attaching' && context.state !== 'registered') return;
    const { eea, eia } = message.selectedNasSecurityAlgorithms;
    const ksi = message.nasKeySetIdentifier;
    const base =
      context.pending?.ksi === ksi
        ? { ...context.pending, uplink: 0, downlink: 0 }
        : context.security?.state.ksi === ksi
          ? context.security.state
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
    context.security = candidate;
    context.secure = true;
    context.pending = undefined;
    send(
      {
        type: 'securityModeComplete',
        ...(message.imeisvRequest === 1 && { imeisv: imeisvOf(world.imei) }),
      },
      SECURITY_HEADER.integrityCipheredNewContext,
    );
    if (context.state === 'attaching') timers.start('t3410', DURATION.t3410, attemptFailed);
  }

  return { identity, authenticationRequest, securityModeCommand };
}
