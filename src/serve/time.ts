/** The time of a trial: so many seconds pass in one, and every process of the trial has the same. */
import type { Clock } from '../edge/index.ts';
import { createRealClock } from '../edge/real.ts';

/** Times in milliseconds since 1970. */
export interface Scale {
  scale: number;
  from: { virtual: number; wall: number };
}

/**
 * A clock that shows `virtual + (wall - from.wall) × scale`. Timers are as much shorter as time is faster.
 * @param real the clock below, which is not scaled
 */
export function scaledClock({ scale, from }: Scale, real: Clock = createRealClock()): Clock {
  return {
    now: () => Math.floor(from.virtual + (real.now() - from.wall) * scale),
    // Never early: what is due by its own clock must be due.
    after: (milliseconds, run) => real.after(Math.ceil(milliseconds / scale), run),
    hold: (work) => work,
  };
}
