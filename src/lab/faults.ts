/** What may go wrong in the lab, by name; each is seeded, and over before the run ends (but target-down). */
import { FieldError } from '../standards/bytes/index.ts';

/** EMM causes a trial is tested against (TS 24.301 §5.5.1.2.5). */
export const TRIAL_CAUSES = [2, 3, 6, 8, 11, 12, 13, 14, 15, 17, 22] as const;

export interface Faults {
  /** B's HSS never answers: `always`, or for a day from the first delivery on */
  targetDown: 'never' | 'always' | 'late';
  /** the visited network refuses every attach to B with this EMM cause */
  cause?: number;
}

export const FAULT_NAMES: readonly string[] = [
  'target-down',
  'target-down-late',
  ...TRIAL_CAUSES.map((cause) => `emm-cause-${cause}`),
];

/** @throws FieldError on a name that is none */
export function parseFaults(names: readonly string[]): Faults {
  const faults: Faults = { targetDown: 'never' };
  for (const name of names) {
    const cause = /^emm-cause-(\d+)$/.exec(name)?.[1];
    if (name === 'target-down') faults.targetDown = 'always';
    else if (name === 'target-down-late') faults.targetDown = 'late';
    else if (cause !== undefined && TRIAL_CAUSES.some((each) => each === Number(cause)))
      faults.cause = Number(cause);
    else throw new FieldError('--fault', JSON.stringify(name), FAULT_NAMES.join(', '));
  }
  return faults;
}
