/**
 * Virtual time: stands still while anything is under way (a message in flight, a request being answered, a
 * callback), then jumps to the next timer. Days of waiting take seconds, and time never overtakes a message.
 */
import type { Clock, Timer } from '../edge/index.ts';

interface Entry {
  at: number;
  order: number;
  run: (() => void) | undefined;
}

/** Real milliseconds in which nothing moves after which something must be wrong: an error rather than a hang. */
const STUCK = 60_000;
/** Turns of the event loop that must pass with nothing under way before time moves. */
const QUIET_TURNS = 2;

export class VirtualClock implements Clock {
  #now: number;
  #order = 0;
  #held = 0;
  /** work that was held, and came to its end */
  #released = 0;
  /** binary heap by (at, order) */
  #heap: Entry[] = [];

  readonly #passing: ((to: number) => void) | undefined;

  /**
   * @param start milliseconds since 1970
   * @param passing told of every step of time before it is taken
   */
  constructor(start: number, passing?: (to: number) => void) {
    this.#now = start;
    this.#passing = passing;
  }

  now(): number {
    return this.#now;
  }

  after(milliseconds: number, run: () => void): Timer {
    const entry: Entry = { at: this.#now + Math.max(0, Math.ceil(milliseconds)), order: this.#order++, run };
    this.#push(entry);
    return {
      cancel: () => {
        entry.run = undefined;
      },
    };
  }

  hold<T>(work: Promise<T>): Promise<T> {
    this.#held++;
    const release = (): void => {
      this.#held--;
      this.#released++;
    };
    work.then(release, release);
    return work;
  }

  /**
   * Lets time pass until `done` says so.
   * @param inFlight what is on the wires now; time stands still unless it is 0
   * @param moved what has moved on the wires so far, in any unit: one moment may take minutes, if much happens in it
   * @returns false if nothing is left that could ever happen
   */
  async run(done: () => boolean, inFlight: () => number, moved: () => number = () => 0): Promise<boolean> {
    let quiet = 0;
    let busySince = 0;
    let before = -1;
    while (!done()) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      const flying = inFlight();
      if (this.#held > 0 || flying > 0) {
        quiet = 0;
        const now = moved() + this.#released;
        if (now !== before) busySince = 0;
        before = now;
        busySince ||= performance.now();
        if (performance.now() - busySince > STUCK) {
          throw new Error(`time stands still: ${this.#held} held, ${flying} in flight for ${STUCK} ms`);
        }
        continue;
      }
      busySince = 0;
      if (++quiet < QUIET_TURNS) continue;
      quiet = 0;
      const next = this.#next();
      if (!next) return done();
      const to = Math.max(this.#now, next.at);
      this.#passing?.(to);
      this.#now = to;
      // All timers of the same instant fire together, as they would on one machine.
      for (let due: Entry | undefined = next; due && due.at <= this.#now; due = this.#next()) {
        this.#pop();
        due.run?.();
      }
    }
    return true;
  }

  #before(a: Entry, b: Entry): boolean {
    return a.at < b.at || (a.at === b.at && a.order < b.order);
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let i = heap.push(entry) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!this.#before(entry, heap[parent]!)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = entry;
  }

  /** The first entry that was not called off; it stays where it is. */
  #next(): Entry | undefined {
    while (this.#heap[0] && !this.#heap[0].run) this.#pop();
    return this.#heap[0];
  }

  /** Takes the first entry away. */
  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (!last || heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && this.#before(heap[child + 1]!, heap[child]!)) child++;
      if (!this.#before(heap[child]!, last)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
  }
}
