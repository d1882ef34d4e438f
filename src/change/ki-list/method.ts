/**
 * Alternative 3b: the card holds an indexed list of Ki/OTA pairs. A's OTA gateway switches it to the next, on
 * trial; B gets that pair from the escrow, hears the device, and commits. Two short messages a change.
 */
import type { Clock } from '../../edge/index.ts';
import {
  DAY,
  Decisions,
  HOUR,
  ordersOf,
  perOperator,
  probe,
  reserve,
  retire,
  sidesOf,
  text,
} from '../batch.ts';
import type { Change, ChangeMethod, Outcome, Step, StepPolicy } from '../change.ts';
import type { Parties } from '../parties.ts';
import { MAY_SWITCH, createTrialSteps, undoAtB } from '../trial.ts';

export interface KiListOptions {
  clock: Clock;
  parties: Parties;
  /** how long the card may try B before it falls back, in seconds; default an hour */
  trialSeconds?: number;
  /** between the card's answer and its switch, so that the answer leaves over A, in seconds; default 10 */
  delaySeconds?: number;
  /** the card commits at the first successful AUTHENTICATE under the new pair: one short message less */
  commitOnAka?: boolean;
}

export function createKiListMethod(options: KiListOptions): ChangeMethod {
  const { clock, parties } = options;
  const { from, to, unreachable } = sidesOf(parties);
  const trial = createTrialSteps({
    clock,
    from,
    to,
    trialSeconds: options.trialSeconds ?? 3600,
    delaySeconds: options.delaySeconds ?? 10,
    commitOnAka: options.commitOnAka ?? false,
    indexOf: ({ data }) => Number(data.index),
    agent: parties.agent?.client,
  });
  const policies: Record<Step, StepPolicy> = {
    reserve: { timeout: DAY, pause: 10_000, longestPause: HOUR },
    prepare: { timeout: DAY, pause: 10_000, longestPause: HOUR },
    ...trial.policies,
    retire: { pause: 10_000, longestPause: HOUR },
  };

  /** B's HSS is probed before the escrow is asked: a pair that was released and not used is burnt. */
  const prepare = async (changes: readonly Change[]): Promise<Outcome[]> => {
    const decisions = new Decisions(changes);
    await probe(decisions, to);
    const consenting = decisions.open();
    const released = decisions.keep(
      consenting,
      await perOperator(consenting, from, (a, group) => a.release(ordersOf(group))),
    );
    const ready = decisions.open();
    decisions.keep(
      ready,
      await perOperator(ready, to, (b, group) =>
        b.subscribe(
          group.map((change) => ({
            order: text(change.data, 'order'),
            release: released.get(change)!.release,
          })),
        ),
      ),
    );
    await probe(decisions, to);
    return decisions.outcomes((change) => ({
      go: 'next',
      data: {
        index: released.get(change)!.index,
        ...(parties.agent ? { release: released.get(change)!.release } : {}),
        ...MAY_SWITCH,
      },
    }));
  };

  const steps: Record<Step, (changes: readonly Change[]) => Promise<Outcome[]>> = {
    reserve: (changes) => reserve(changes, to),
    prepare,
    deliver: trial.deliver,
    switch: trial.switch,
    confirm: trial.confirm,
    retire: (changes) => retire(changes, from, parties),
    rollBack: (changes) => trial.rollBack(changes, (ready) => undoAtB(ready, to)),
  };
  return { alternative: '3b', policies, unreachable, run: (step, changes) => steps[step](changes) };
}
