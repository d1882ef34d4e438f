import type { Timer } from '../../edge/index.ts';

/** A clock on which time passes in nominal milliseconds, however fast it really does. */
export interface ScaledClock {
  /** nominal milliseconds, for differences only */
  now(): number;
  /** @param milliseconds nominal */
  after(milliseconds: number, run: () => void): Timer;
}

/** A procedure with a device ended before its answer came. */
export class Abandoned extends Error {
  constructor(why: string) {
    super(why);
    this.name = 'Abandoned';
  }
}
