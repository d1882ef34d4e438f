/** The challenges that an authentication centre has lately given out: AUTS is believed for these alone. */
import { equal } from '../../standards/bytes/index.ts';

/** Challenges of one subscriber. */
export const MOST_CHALLENGES = 32;
/** Subscribers, those of the latest challenges. */
export const MOST_SUBSCRIBERS = 100_000;

const RAND_LENGTH = 16;

/** In memory alone: after a restart none is known, and a card answers AUTS to its next challenge again. */
export interface Issued {
  /** @param rands RANDs one after another, 16 bytes each */
  add(imsi: string, rands: Uint8Array): void;
  /** @param rand 16 bytes */
  has(imsi: string, rand: Uint8Array): boolean;
}

export function createIssued(mostSubscribers = MOST_SUBSCRIBERS): Issued {
  // A Map keeps the order of insertion: the first is the one that was silent for longest.
  const byImsi = new Map<string, Uint8Array>();
  return {
    add(imsi, rands) {
      const before = byImsi.get(imsi) ?? new Uint8Array(0);
      const kept = before.subarray(Math.max(0, before.length + rands.length - MOST_CHALLENGES * RAND_LENGTH));
      const both = new Uint8Array(kept.length + rands.length);
      both.set(kept);
      both.set(rands, kept.length);
      byImsi.delete(imsi);
      byImsi.set(imsi, both);
      if (byImsi.size > mostSubscribers) byImsi.delete(byImsi.keys().next().value!);
    },
    has(imsi, rand) {
      const rands = byImsi.get(imsi) ?? new Uint8Array(0);
      for (let at = 0; at < rands.length; at += RAND_LENGTH) {
        if (equal(rands.subarray(at, at + RAND_LENGTH), rand)) return true;
      }
      return false;
    },
  };
}
