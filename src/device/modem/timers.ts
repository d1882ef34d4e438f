/** Every timer of the modem: how long, where it is specified; and timers that a modem's queue runs. */
import type { Clock, Timer } from '../../edge/index.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Milliseconds before scaling. EMM: TS 24.301 table 10.2.1. SMS: TS 24.011 §10. */
export const DURATION = {
  /** no attach in between: next attempt after five failures; the network may set another */
  t3402: 12 * MINUTE,
  /** attach awaits its answer */
  t3410: 15 * SECOND,
  /** next attempt after a failure */
  t3411: 10 * SECOND,
  /** periodic tracking area update; the network sets another */
  t3412: 54 * MINUTE,
  /** the network answers a MAC failure */
  t3418: 20 * SECOND,
  /** the network answers a synch failure */
  t3420: 15 * SECOND,
  /** tracking area update awaits its answer */
  t3430: 15 * SECOND,
  /** back-off for congestion where the network's word is not protected: 15 to 30 minutes (§5.5.1.2.5) */
  t3346Least: 15 * MINUTE,
  t3346Most: 30 * MINUTE,
  /** a rejection that is not integrity protected is forgotten: 30 to 60 minutes (§5.3.7b, §5.4.2.5) */
  t3247Least: 30 * MINUTE,
  t3247Most: 60 * MINUTE,
  /** forbidden tracking areas are forgotten: 12 to 24 hours (§5.3.2) */
  forbiddenAreas: 12 * HOUR,
  /** a cell that seems false is passed over (TS 36.304 §5.3.1) */
  barred: 300 * SECOND,
  /** a CP-DATA awaits its CP-ACK (TC1*) */
  tc1: 10 * SECOND,
  /** an RP-DATA of ours awaits its RP-ACK, 35 to 45 s (TR1M) */
  tr1m: 40 * SECOND,
} as const;

/** Attempts at attach or tracking area update before T3402 (TS 24.301 §5.5.1.1). */
export const MOST_ATTEMPTS = 5;
/** A network that failed this often in a row to authenticate itself is false (TS 24.301 §5.4.2.7). */
export const MOST_AUTHENTICATION_FAILURES = 3;
/** Unproven rejections of one kind before they are believed: at most 10 (TS 24.301 §5.3.7b). */
export const MOST_UNPROVEN = 10;
/** A CP-DATA is sent again so often (TS 24.011 §5.3.2.1). */
export const CP_RETRANSMISSIONS = 2;
/** A short message of ours is sent so often in all. */
export const MO_SMS_ATTEMPTS = 3;

export interface Timers {
  /** Starts a timer, again if it runs. */
  start(name: string, milliseconds: number, run: () => void | Promise<void>): void;
  stop(...names: string[]): void;
  running(name: string): boolean;
  stopAll(): void;
}

/**
 * Timers whose work waits its turn in a queue; what was stopped while waiting does not run.
 * @param scale every duration is multiplied with it
 */
export function createTimers(
  clock: Clock,
  scale: number,
  enqueue: (work: () => void | Promise<void>) => void,
): Timers {
  const running = new Map<string, Timer>();
  const stop = (name: string): void => {
    running.get(name)?.cancel();
    running.delete(name);
  };
  return {
    start(name, milliseconds, run) {
      stop(name);
      const timer = clock.after(milliseconds * scale, () =>
        enqueue(() => {
          if (running.get(name) !== timer) return;
          running.delete(name);
          return run();
        }),
      );
      running.set(name, timer);
    },
    stop: (...names) => names.forEach(stop),
    running: (name) => running.has(name),
    stopAll() {
      for (const name of [...running.keys()]) stop(name);
    },
  };
}
