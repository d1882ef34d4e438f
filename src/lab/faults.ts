/** What may go wrong in the lab, by name; each is seeded, and over before the run ends (but target-down). */
import { FieldError } from '../standards/bytes/index.ts';
import type { SeededRandom } from './random.ts';

/** EMM causes a trial is tested against (TS 24.301 §5.5.1.2.5). */
export const TRIAL_CAUSES = [2, 3, 6, 8, 11, 12, 13, 14, 15, 17, 22] as const;

export interface Faults {
  /** B's HSS never answers: `always`, or for a day from the first delivery on */
  targetDown: 'never' | 'always' | 'late';
  /** the visited network refuses with this EMM cause every device whose card tries B */
  cause?: number;
  /** short messages get lost, come twice, overtake each other: on the air, and between SMSC and MME */
  loseSms: boolean;
  duplicateSms: boolean;
  reorder: boolean;
  /** devices die at a random APDU or write of their card, and start again */
  cutPower: boolean;
  /** the cell hears nothing for a fifth of the time */
  jam: boolean;
}

export const FAULT_NAMES: readonly string[] = [
  'lose-sms',
  'duplicate-sms',
  'reorder',
  'cut-power',
  'jam',
  'target-down',
  'target-down-late',
  ...TRIAL_CAUSES.map((cause) => `emm-cause-${cause}`),
];

/** @throws FieldError on a name that is none */
export function parseFaults(names: readonly string[]): Faults {
  const faults: Faults = {
    targetDown: 'never',
    loseSms: false,
    duplicateSms: false,
    reorder: false,
    cutPower: false,
    jam: false,
  };
  const one = (first: RegExp): void => {
    const both = names.filter((name) => first.test(name));
    if (new Set(both).size > 1) throw new FieldError('--fault', both.join(','), 'one of them at a time');
  };
  one(/^target-down/);
  one(/^emm-cause-/);
  for (const name of names) {
    const cause = /^emm-cause-(\d+)$/.exec(name)?.[1];
    if (name === 'lose-sms') faults.loseSms = true;
    else if (name === 'duplicate-sms') faults.duplicateSms = true;
    else if (name === 'reorder') faults.reorder = true;
    else if (name === 'cut-power') faults.cutPower = true;
    else if (name === 'jam') faults.jam = true;
    else if (name === 'target-down') faults.targetDown = 'always';
    else if (name === 'target-down-late') faults.targetDown = 'late';
    else if (cause !== undefined && TRIAL_CAUSES.some((each) => each === Number(cause)))
      faults.cause = Number(cause);
    else throw new FieldError('--fault', JSON.stringify(name), FAULT_NAMES.join(', '));
  }
  return faults;
}

/** How likely each fault of a short message is. */
const SMS_FAULT = 0.3;
/** A message that is overtaken comes so many milliseconds late, a second copy so many after the first. */
const LATE = [2_000, 30_000] as const;
const AGAIN = [500, 20_000] as const;

/** How often each fault happened, by its name. */
export type FaultCounts = Map<string, number>;

export function count(counts: FaultCounts, fault: string): void {
  counts.set(fault, (counts.get(fault) ?? 0) + 1);
}

/** When each copy of a short message arrives, in milliseconds from now; none: it is lost. */
export function smsFault(faults: Faults, random: SeededRandom, counts: FaultCounts): readonly number[] {
  const happens = (fault: boolean, name: string): boolean => {
    if (!fault || random.next() >= SMS_FAULT) return false;
    count(counts, name);
    return true;
  };
  const within = ([least, most]: readonly [number, number]): number => least + random.next() * (most - least);
  if (happens(faults.loseSms, 'lose-sms')) return [];
  const first = happens(faults.reorder, 'reorder') ? within(LATE) : 0;
  return happens(faults.duplicateSms, 'duplicate-sms') ? [first, first + within(AGAIN)] : [first];
}

/** Shortest and longest stretch in which the cell is jammed, in milliseconds; it is clear four times as long. */
const JAMMED = [5_000, 600_000] as const;

/** Whether the cell is jammed at a time that never goes back: at first, and a fifth of all time. */
export function createJam(random: SeededRandom): (now: number) => boolean {
  let jammedUntil = 0;
  let clearUntil = 0;
  return (now) => {
    while (clearUntil <= now) {
      const stretch = JAMMED[0] * (JAMMED[1] / JAMMED[0]) ** random.next();
      const begin = clearUntil === 0 ? now : Math.max(clearUntil, now - 4 * stretch);
      jammedUntil = begin + stretch;
      clearUntil = jammedUntil + 4 * stretch;
    }
    return now < jammedUntil;
  };
}

/** Power cuts of each device, and how many commands of its card lie between them at most. */
export const CUTS = 2;
export const CUT_WITHIN = 60;
/** How long a device stays off after a cut, in milliseconds. */
export const OFF = [2_000, 60_000] as const;
