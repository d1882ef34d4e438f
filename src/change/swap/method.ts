/**
 * Alternative 2: a person swaps the card. B assigns one of its stock, the owner sends a technician, whose scan
 * on site and the first attach with the right IMEI prove the pairing; A suspends the old card only then.
 */
import {
  DAY,
  Decisions,
  HOUR,
  NEXT,
  at,
  heardOver,
  isRefused,
  ordersOf,
  perOperator,
  probe,
  refusedOutcome,
  retire,
  sidesOf,
  text,
} from '../batch.ts';
import type { Change, ChangeMethod, Outcome, Step, StepPolicy } from '../change.ts';
import type { Parties } from '../parties.ts';

export interface SwapOptions {
  parties: Parties;
}

/** How long a visit may take to happen. */
const VISIT = 30 * DAY;
/** How long the technician's work may take to show: what is not on the air then gets its old card back. */
const ARRIVAL = 2 * HOUR;

export function createSwapMethod({ parties }: SwapOptions): ChangeMethod {
  const { from, to, unreachable } = sidesOf(parties);
  const policies: Record<Step, StepPolicy> = {
    reserve: { timeout: DAY, pause: 10_000, longestPause: HOUR },
    prepare: { timeout: DAY, pause: 10_000, longestPause: HOUR },
    deliver: { timeout: VISIT, pause: 10_000, longestPause: HOUR },
    switch: { timeout: ARRIVAL, pause: 10_000, longestPause: HOUR },
    confirm: { timeout: ARRIVAL, pause: 10_000, longestPause: HOUR },
    retire: { pause: 10_000, longestPause: HOUR },
    rollBack: { timeout: 2 * VISIT, pause: 10_000, longestPause: HOUR },
  };

  const assign = async (changes: readonly Change[]): Promise<Outcome[]> => {
    const answers = await perOperator(changes, to, (b, group) => b.assign(ordersOf(group)));
    return answers.map((answer) =>
      isRefused(answer)
        ? refusedOutcome(answer)
        : { go: 'next', data: { imsi: answer.imsi, iccid: answer.iccid } },
    );
  };

  /** Nobody is sent to a site for a network that does not answer. */
  const prepare = async (changes: readonly Change[]): Promise<Outcome[]> => {
    const decisions = new Decisions(changes);
    await probe(decisions, to);
    const open = decisions.open();
    decisions.keep(open, await perOperator(open, to, (b, group) => b.activate(ordersOf(group))));
    await probe(decisions, to);
    return decisions.outcomes(() => NEXT);
  };

  const orderWork = async (changes: readonly Change[], kind: 'swap' | 'restore'): Promise<void> => {
    if (changes.length === 0) return;
    await parties.owner.orderWork(
      changes.map(({ change, device, data }) => ({
        change,
        device,
        kind,
        iccid: text(data, 'iccid'),
      })),
    );
  };

  const deliver = async (changes: readonly Change[]): Promise<Outcome[]> => {
    const waiting = changes.filter(({ facts }) => at(facts, 'paired swap') === 0);
    await orderWork(
      waiting.filter(({ data }) => data.sent !== true),
      'swap',
    );
    return changes.map((change): Outcome =>
      at(change.facts, 'paired swap') > 0
        ? NEXT
        : { go: 'wait', until: change.since + VISIT, data: { sent: true } },
    );
  };

  const switchStep = (changes: readonly Change[]): Promise<Outcome[]> =>
    Promise.resolve(
      changes.map((change): Outcome =>
        // B's HSS lets the card in with the IMEI of the order alone.
        at(change.facts, `registered ${change.to}`) > 0
          ? NEXT
          : { go: 'wait', until: change.since + ARRIVAL },
      ),
    );

  const confirm = (changes: readonly Change[]): Promise<Outcome[]> =>
    Promise.resolve(
      changes.map((change): Outcome =>
        heardOver(change, change.to) > 0 ? NEXT : { go: 'wait', until: change.since + ARRIVAL },
      ),
    );

  /** The work order is called off; who has the new card already gets the old one back, by another visit. */
  const rollBack = async (changes: readonly Change[]): Promise<Outcome[]> => {
    const decisions = new Decisions(changes);
    // An order whose answer was lost may stand all the same: asked of everybody who has a card.
    const standing = changes.filter(({ data }) => data.iccid !== undefined && data.stopped !== true);
    const became =
      standing.length === 0 ? [] : await parties.owner.cancelWork(standing.map(({ change }) => change));
    // The owner's answer, not his feed, which may be late: a card that is in the device is not given back.
    const scanned = new Map(standing.map((change, i) => [change, became[i] === 'done']));
    const paired = (change: Change): boolean =>
      scanned.get(change) ?? (change.data.paired === true || at(change.facts, 'paired swap') > 0);
    const swapped = changes.filter(paired);
    await orderWork(
      swapped.filter(({ data }) => data.restoring !== true),
      'restore',
    );
    for (const change of swapped) {
      const restored = at(change.facts, 'paired restore');
      if (restored > 0 && heardOver(change, change.from) > restored) continue;
      decisions.decide(
        change,
        change.overdue
          ? { go: 'end', state: 'awaitingVisit' }
          : { go: 'wait', until: change.since + policies.rollBack.timeout!, data: { restoring: true } },
      );
    }
    const home = decisions.open();
    const answers = await perOperator(home, to, (b, group) => b.giveBack(ordersOf(group)));
    home.forEach((change, i) => {
      const answer = answers[i]!;
      decisions.decide(
        change,
        isRefused(answer) ? { go: 'retry', why: answer.error } : { go: 'end', state: 'rolledBack' },
      );
    });
    return decisions
      .outcomes(() => ({ go: 'retry', why: 'no outcome' }))
      .map((outcome, i) => {
        const stopped = scanned.get(changes[i]!);
        return stopped === undefined
          ? outcome
          : { ...outcome, data: { ...outcome.data, stopped: true, paired: stopped } };
      });
  };

  const steps: Record<Step, (changes: readonly Change[]) => Promise<Outcome[]>> = {
    reserve: assign,
    prepare,
    deliver,
    switch: switchStep,
    confirm,
    retire: (changes) => retire(changes, from, parties),
    rollBack,
  };
  return { alternative: '2', policies, unreachable, run: (step, changes) => steps[step](changes) };
}
