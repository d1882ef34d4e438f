/**
 * The pace that was agreed with a service centre: so many messages a second, so many unanswered at once; and
 * slower when it says that it is too fast for it.
 */
import type { Clock, Timer } from '../../edge/index.ts';

/** What a service centre allows an ESME. */
export interface SmscLimits {
  /** messages submitted and not yet answered; 32 if not given */
  window?: number;
  /** messages a second; as many as the window lets through if not given */
  ratePerSecond?: number;
}

const WINDOW = 32;
/** Messages that are due within so many milliseconds go at once: timers are no finer. */
const GRAIN = 10;
/** First pause after the service centre was too busy, doubled each time up to the longest, in milliseconds. */
const PAUSE = 1_000;
const LONGEST_PAUSE = 60_000;

export interface Pace {
  readonly window: number;
  /** How many messages may go now, were there no window. */
  free(): number;
  /** A message goes; one that came through `free`. */
  take(): void;
  /** Settles when another message may go, and takes it: before all that wait for `free`. */
  turn(): Promise<void>;
  /** Milliseconds until one may go, if none may now. */
  wait(): number;
  /** The service centre refused one because it is too busy: all wait. */
  throttled(): void;
  /** It took one. */
  accepted(): void;
  close(): void;
}

/**
 * A token bucket.
 * @param burst messages that may go at once: as few as timers allow if not given, so that no second has more than
 * were agreed
 */
export function createPace(clock: Clock, limits: SmscLimits = {}, burst?: number): Pace {
  const { window = WINDOW, ratePerSecond: rate } = limits;
  if (!(window >= 1)) throw new RangeError('window: at least one message');
  if (rate !== undefined && !(rate > 0)) throw new RangeError('ratePerSecond: more than none');
  const capacity = rate === undefined ? Infinity : (burst ?? Math.max(1, Math.floor((rate * GRAIN) / 1000)));
  let tokens = capacity;
  let filled = clock.now();
  let pause = 0;
  let until = 0;
  const waiting: (() => void)[] = [];
  let timer: Timer | undefined;

  const fill = (): void => {
    if (rate === undefined) return;
    const now = clock.now();
    tokens = Math.min(capacity, tokens + (Math.max(0, now - filled) * rate) / 1000);
    filled = now;
  };
  const available = (): number => {
    fill();
    return clock.now() < until ? 0 : Math.floor(tokens + 1e-9);
  };
  const wait = (): number => {
    fill();
    const forToken = rate === undefined || tokens >= 1 ? 0 : ((1 - tokens) * 1000) / rate;
    return Math.ceil(Math.max(1, until - clock.now(), forToken));
  };
  const serve = (): void => {
    timer?.cancel();
    timer = undefined;
    while (waiting.length > 0 && available() > 0) {
      tokens--;
      waiting.shift()!();
    }
    if (waiting.length > 0) timer = clock.after(wait(), serve);
  };
  return {
    window,
    free: () => (waiting.length > 0 ? 0 : available()),
    take: () => void tokens--,
    turn: () =>
      new Promise((resolve) => {
        waiting.push(resolve);
        serve();
      }),
    wait,
    throttled() {
      const now = clock.now();
      // Of many refused at once the first one counts.
      if (now < until) return;
      pause = Math.min(pause === 0 ? PAUSE : 2 * pause, LONGEST_PAUSE);
      until = now + pause;
    },
    accepted() {
      if (clock.now() >= until) pause = 0;
    },
    close: () => timer?.cancel(),
  };
}
