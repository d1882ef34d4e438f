/** Tracking area updating of the modem (TS 24.301 §5.5.3), and rejections of a registered device. */
import {
  ADDITIONAL_UPDATE_TYPE,
  SECURITY_HEADER,
  UPDATE_TYPE,
  gprsTimerSeconds,
  type NasMessageOf,
  type Tai,
} from '../../standards/nas/index.ts';
import { UPDATE_ATTACH_TYPE, UPDATE_STATUS } from '../../standards/uicc/index.ts';
import { updateRejected } from './cause.ts';
import type { EmmActions, EmmContext } from './context.ts';
import type { EmmWorld } from './mobility.ts';
import { DURATION, MOST_ATTEMPTS } from './timers.ts';

export interface TrackingAreaUpdate {
  /** T3412 as the network gave it: an octet, and it starts. */
  setPeriodic(octet: number): void;
  accepted(message: NasMessageOf<'trackingAreaUpdateAccept'>): Promise<void>;
  rejected(
    message: NasMessageOf<'trackingAreaUpdateReject'> | NasMessageOf<'serviceReject'>,
    verified: boolean,
  ): Promise<void>;
}

export function createTrackingAreaUpdate(
  world: EmmWorld,
  context: EmmContext,
  { send, become, attach, act }: EmmActions,
): TrackingAreaUpdate {
  const { timers, observe } = world;
  let t3412: number | undefined = DURATION.t3412;

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
    if (context.state !== 'registered' || context.usim === undefined) return;
    if (context.usim.guti === undefined || context.security === undefined) return attach();
    context.updating = true;
    send(
      {
        type: 'trackingAreaUpdateRequest',
        epsUpdateType: UPDATE_TYPE.periodic,
        nasKeySetIdentifier: context.security.state.ksi,
        oldGuti: context.usim.guti,
        ...(context.usim.tai && { lastVisitedRegisteredTai: context.usim.tai }),
        additionalUpdateType: ADDITIONAL_UPDATE_TYPE.smsOnly,
      },
      SECURITY_HEADER.integrity,
    );
    timers.start('t3430', DURATION.t3430, async () => {
      context.attempts++;
      if (context.attempts < MOST_ATTEMPTS) {
        timers.start('t3412', DURATION.t3411, update);
      } else {
        context.attempts = 0;
        await become('waiting');
        await attach();
      }
    });
  }

  async function accepted(message: NasMessageOf<'trackingAreaUpdateAccept'>): Promise<void> {
    if (!context.updating || context.usim === undefined || context.cell === undefined) return;
    context.updating = false;
    context.attempts = 0;
    timers.stop('t3430');
    context.usim.tai = { plmn: context.cell.plmn, tac: context.cell.tac };
    context.usim.status = UPDATE_STATUS.updated;
    if (message.t3412Value !== undefined) setPeriodic(message.t3412Value);
    else restartPeriodic();
    if (message.guti) {
      context.usim.guti = message.guti;
      send({ type: 'trackingAreaUpdateComplete' });
    }
    await world.storeLocation(context.usim);
  }

  async function rejected(
    message: NasMessageOf<'trackingAreaUpdateReject'> | NasMessageOf<'serviceReject'>,
    verified: boolean,
  ): Promise<void> {
    if (context.state !== 'registered' || !verified || context.cell === undefined) return;
    if (message.type === 'trackingAreaUpdateReject' && !context.updating) return;
    context.updating = false;
    observe({ type: 'rejected', cause: message.emmCause });
    const area: Tai = { plmn: context.cell.plmn, tac: context.cell.tac };
    const backOff = message.t3346Value === undefined ? undefined : gprsTimerSeconds(message.t3346Value);
    await act(updateRejected(message.emmCause), backOff, verified);
    await world.rejected(message.emmCause, area, UPDATE_ATTACH_TYPE.trackingAreaUpdate);
  }

  return { setPeriodic, accepted, rejected };
}
