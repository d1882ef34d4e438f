/**
 * Rejections without integrity protection (TS 24.301 §5.3.7b, §5.4.2.5): whoever runs a transmitter can send
 * them, so they hold only until T3247 runs out, and are believed for good only when they keep coming.
 */
import type { RejectAction } from './cause.ts';
import { MOST_UNPROVEN } from './timers.ts';

export interface Unproven {
  /** Another subscription starts with nothing counted; the same one goes on, also over a switch off. */
  begin(imsi: string): void;
  /**
   * What to make of a rejection by this network that nobody proved. Counts it.
   * @returns what it forbids, until T3247 runs out; the action itself once its counter is at the maximum
   */
  doubt(action: RejectAction, plmn: string): RejectAction;
  /** This network proved such a rejection: the next needs no proof (§5.5.1.2.5). */
  proven(action: RejectAction, plmn: string): void;
  /** This network serves the USIM: nothing counts against either any more (§5.5.1.2.4). */
  accepted(plmn: string): void;
}

/** "SIM/USIM considered invalid for GPRS services" events */
const USIM = 'usim';

/** What a rejection is counted as; undefined: it has no counter. */
function counterOf({ usimInvalid, forbid }: RejectAction, plmn: string): string | undefined {
  if (usimInvalid) return USIM;
  return forbid === 'plmn' || forbid === 'plmnForEps' ? `${forbid} ${plmn}` : undefined;
}

export function createUnproven(): Unproven {
  let subscription: string | undefined;
  const events = new Map<string, number>();
  return {
    begin(imsi) {
      if (imsi !== subscription) events.clear();
      subscription = imsi;
    },
    doubt(action, plmn) {
      const counter = counterOf(action, plmn);
      if (counter !== undefined) {
        const count = events.get(counter) ?? 0;
        if (count >= MOST_UNPROVEN) return action;
        events.set(counter, count + 1);
      }
      const { usimInvalid, ...rest } = action;
      if (usimInvalid) return { ...rest, forbid: 'areaOfRoaming', untilT3247: true, then: 'select' };
      return action.forbid === undefined ? action : { ...action, untilT3247: true };
    },
    proven(action, plmn) {
      const counter = counterOf(action, plmn);
      if (counter !== undefined) events.set(counter, MOST_UNPROVEN);
    },
    accepted(plmn) {
      for (const counter of [USIM, `plmn ${plmn}`, `plmnForEps ${plmn}`]) events.delete(counter);
    },
  };
}
