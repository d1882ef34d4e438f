/** Where a run left its devices. The state machine's own opinion counts only where the application agrees. */
import type { TerminalState } from '../change/change.ts';

/** A device after its change. */
export interface Outcome {
  state: TerminalState | 'live';
  /** over which operator its application is heard now; undefined: it is not */
  heardOver: string | undefined;
  /** how often its card took another IMSI */
  switches: number;
}

export interface Tally {
  devices: number;
  moved: number;
  rolledBack: number;
  pristine: number;
  awaitingVisit: number;
  stranded: number;
}

/**
 * Counts devices by where they are; the five counts add up to `devices`.
 * @param from the operator that they came from, @param to the one that they were ordered to
 * @returns `effectsRepeated`: a change gives a card another IMSI once, its way back once more; what is beyond
 */
export function judge(
  outcomes: readonly Outcome[],
  from: string,
  to: string,
): { tally: Tally; effectsRepeated: number } {
  const tally: Tally = {
    devices: outcomes.length,
    moved: 0,
    rolledBack: 0,
    pristine: 0,
    awaitingVisit: 0,
    stranded: 0,
  };
  let effectsRepeated = 0;
  for (const { state, heardOver, switches } of outcomes) {
    if (state === 'done' && heardOver === to) tally.moved++;
    else if (state === 'rolledBack' && heardOver === from) tally.rolledBack++;
    else if (state === 'awaitingVisit' && heardOver === from) tally.awaitingVisit++;
    else tally.stranded++;
    effectsRepeated += Math.max(0, switches - (state === 'done' ? 1 : 2));
  }
  return { tally, effectsRepeated };
}
