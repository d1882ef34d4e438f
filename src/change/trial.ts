/**
 * A change whose card tries the new subscription by itself and falls back by itself: steps deliver to confirm,
 * and the way back, for the list of 3b and for the fall-back application of 3a.
 */
import type { Clock } from '../edge/index.ts';
import {
  DAY,
  HOUR,
  NEXT,
  at,
  forSome,
  heardOver,
  isRefused,
  ordersOf,
  perOperator,
  proofOf,
  refusedOutcome,
  refusedWith,
  text,
  type Side,
} from './batch.ts';
import type { Refused } from '../network/operator/client.ts';
import type { OtaAgentClient } from '../network/ota-agent/client.ts';
import type { Change, Outcome, Step, StepPolicy } from './change.ts';

export interface TrialOptions {
  clock: Clock;
  from: Side;
  to: Side;
  /** how long the card may try B before it falls back, in seconds */
  trialSeconds: number;
  /** between the card's answer and its switch, so that the answer leaves over A, in seconds */
  delaySeconds: number;
  /** the card commits at the first successful AUTHENTICATE of the trial: one short message less */
  commitOnAka: boolean;
  /** index of the pair to try; 0 where the card keeps its keys */
  indexOf: (change: Change) => number;
  /** who sends what a card is told, in the operators' stead */
  agent?: OtaAgentClient | undefined;
}

/** A sleeping device may take days to hear its SWITCH. */
const DELIVERY = 30 * DAY;
/** Conditions not satisfied: the card's answer where no switch is to be ended. */
const NO_TRIAL = '6985';
/** After this a device that was committed to and never answered is looked for at A. */
const CONFIRMATION = 60 * DAY;
/** After this a device that is heard nowhere needs a visit. */
const WAY_BACK = 60 * DAY;
/** A gateway that gave up is asked again so much later, times the times it was asked. */
const ASK_AGAIN = 6 * HOUR;

/**
 * What a method records when its preparation is done: from then on a SWITCH may be on its way, whatever the
 * engine still learns of it, and only the card can say that it is not.
 */
export const MAY_SWITCH = { sent: true } as const;

/** The steps of a change with a trial, to be put into a method. */
export interface TrialSteps {
  policies: Pick<Record<Step, StepPolicy>, 'deliver' | 'switch' | 'confirm' | 'rollBack'>;
  deliver(changes: readonly Change[]): Promise<Outcome[]>;
  switch(changes: readonly Change[]): Promise<Outcome[]>;
  confirm(changes: readonly Change[]): Promise<Outcome[]>;
  /** @param end what is left to do once the device is at A for good */
  rollBack(
    changes: readonly Change[],
    end: (changes: readonly Change[]) => Promise<Outcome[]>,
  ): Promise<Outcome[]>;
}

export function createTrialSteps(options: TrialOptions): TrialSteps {
  const { clock, from, to, trialSeconds, delaySeconds, commitOnAka, agent } = options;
  /** What an agent acts on. */
  const mandateOf = ({ data }: Change): { order: string; release: string; reservation: string } => ({
    order: text(data, 'order'),
    release: text(data, 'release'),
    reservation: text(data, 'reservation'),
  });
  const trial = trialSeconds * 1000;
  const policies: TrialSteps['policies'] = {
    deliver: { timeout: DELIVERY, pause: 10_000, longestPause: HOUR },
    switch: { timeout: delaySeconds * 1000 + 2 * trial, pause: 10_000, longestPause: HOUR },
    confirm: { timeout: CONFIRMATION, pause: 10_000, longestPause: HOUR },
    rollBack: { timeout: WAY_BACK, pause: 10_000, longestPause: HOUR },
  };

  const deliver = (changes: readonly Change[]): Promise<Outcome[]> =>
    forSome(
      changes,
      (change) => {
        const { data, facts, from: source, to: target, overdue, since } = change;
        const proof = proofOf(change, 'switch', source);
        // Seen at B is proof enough, should the card's own have been lost.
        if (proof === 'done' || at(facts, `authenticated ${target}`) > 0) return NEXT;
        if (proof !== undefined) return { go: 'back', why: `SWITCH ${String(proof)}` };
        if (overdue) return { go: 'back', why: 'no proof of SWITCH in time' };
        // Asked again now and then: a word of it may have been lost. It is sent once however often it is asked for.
        const next = at(data, 'askedAt') + ASK_AGAIN;
        return clock.now() < next ? { go: 'wait', until: Math.min(next, since + DELIVERY) } : undefined;
      },
      async (open) => {
        const terms = { trialSeconds, delaySeconds, commitOnAka };
        const answers = agent
          ? await agent.switch(open.map((change) => ({ ...mandateOf(change), ...terms })))
          : await perOperator(open, from, (a, group) =>
              a.switch(
                group.map((change) => ({
                  order: text(change.data, 'order'),
                  reservation: text(change.data, 'reservation'),
                  index: options.indexOf(change),
                  ...terms,
                })),
              ),
            );
        return answers.map((answer, i): Outcome =>
          isRefused(answer)
            ? refusedOutcome(answer)
            : {
                go: 'wait',
                until: Math.min(clock.now() + ASK_AGAIN, open[i]!.since + DELIVERY),
                data: { askedAt: clock.now() },
              },
        );
      },
    );

  /** A card on trial that is back at A; one that never reached B may only be slow to leave. */
  const fellBack = ({ facts, from: source, to: target }: Change): string | undefined => {
    if (facts.report !== undefined && facts.report !== 'none')
      return `the card fell back: ${String(facts.report)}`;
    const atB = at(facts, `authenticated ${target}`);
    if (atB > 0 && at(facts, `authenticated ${source}`) > atB)
      return 'the device is back at the old operator';
    return undefined;
  };

  const switchStep = (changes: readonly Change[]): Promise<Outcome[]> =>
    Promise.resolve(
      changes.map((change): Outcome => {
        if (at(change.facts, `registered ${change.to}`) > 0) return NEXT;
        const back = fellBack(change);
        if (back !== undefined) return { go: 'back', why: back };
        return { go: 'wait', until: change.since + policies.switch.timeout! };
      }),
    );

  /** B commits, or the agent with its consent. */
  const commit = async (changes: readonly Change[]): Promise<(Refused | { ok: true })[]> => {
    if (!agent) return perOperator(changes, to, (b, group) => b.commit(ordersOf(group)));
    const consents = await perOperator(changes, to, (b, group) => b.consent(ordersOf(group)));
    const given = changes.flatMap((change, i) => {
      const answer = consents[i]!;
      return isRefused(answer) ? [] : [{ ...mandateOf(change), consent: answer.consent }];
    });
    const answers = given.length > 0 ? await agent.commit(given) : [];
    return consents.map((answer) => (isRefused(answer) ? answer : answers.shift()!));
  };

  const stop = (changes: readonly Change[], side: 'from' | 'to'): Promise<(Refused | { ok: true })[]> =>
    agent
      ? agent.stop(changes.map((change) => ({ ...mandateOf(change), over: change[side] })))
      : perOperator(changes, side === 'from' ? from : to, (each, group) => each.stop(ordersOf(group)));

  const confirm = (changes: readonly Change[]): Promise<Outcome[]> =>
    forSome(
      changes,
      (change) => {
        const { data, since } = change;
        const heard = heardOver(change, change.to) > 0;
        const proof = proofOf(change, 'commit', change.to);
        if (proof === 'done' || (commitOnAka && heard)) return NEXT;
        if (proof === 'refused') return { go: 'back', why: 'the card refused COMMIT' };
        const back = fellBack(change);
        if (back !== undefined) return { go: 'back', why: back };
        if (data.committing !== true) {
          if (heard) return undefined;
          if (clock.now() < since + trial) return { go: 'wait', until: since + trial };
          return { go: 'back', why: 'its application was not heard over the new operator' };
        }
        if (change.overdue) return { go: 'back', why: 'no answer to COMMIT' };
        // One COMMIT at a time; the gateway sends it until it is proven, or gives up for now.
        const next = at(data, 'askedAt') + ASK_AGAIN * Math.min(at(data, 'asked'), 4);
        return clock.now() < next ? { go: 'wait', until: next } : undefined;
      },
      async (open) => {
        const answers = await commit(open);
        return answers.map((answer, i): Outcome => {
          if (isRefused(answer)) return { go: 'retry', why: answer.error };
          const asked = at(open[i]!.data, 'asked') + 1;
          return {
            go: 'wait',
            until: clock.now() + ASK_AGAIN * Math.min(asked, 4),
            data: { committing: true, asked, askedAt: clock.now() },
          };
        });
      },
    );

  /** COMMIT, or the policy's first AUTHENTICATE, took after all: the device is at B for good. */
  const committed = (change: Change): boolean => {
    const { data, facts, from: source, to: target } = change;
    if (proofOf(change, 'commit', target) === 'done') return true;
    // Under B's keys the card says that it is on no trial: then it ended in favour of B.
    if (refusedWith(change, 'cancel', target) === NO_TRIAL) return true;
    return (
      commitOnAka &&
      data.sent === true &&
      heardOver(change, target) > Math.max(heardOver(change, source), at(facts, `authenticated ${source}`))
    );
  };

  /** The card called the switch off for A, or says that there is none, or refused its SWITCH: it is A's alone. */
  const atA = (change: Change): boolean => {
    const cancel = proofOf(change, 'cancel', change.from);
    return (
      cancel === 'done' ||
      refusedWith(change, 'cancel', change.from) === NO_TRIAL ||
      proofOf(change, 'switch', change.from) === 'refused'
    );
  };

  const rollBack: TrialSteps['rollBack'] = (changes, end) =>
    forSome(
      changes,
      (change) => {
        const { data, since } = change;
        if (data.sent !== true) return undefined;
        if (committed(change)) return { go: 'forward', step: 'retire' };
        const home = data.stopped === true && atA(change);
        if (home && heardOver(change, change.from) > since) return undefined;
        if (change.overdue) return { go: 'end', state: 'awaitingVisit' };
        if (data.stopped !== true) return undefined;
        if (home) return { go: 'wait', until: since + WAY_BACK };
        const next = at(data, 'stoppedAt') + ASK_AGAIN;
        return clock.now() >= next ? undefined : { go: 'wait', until: next };
      },
      async (open) => {
        const ready = open.filter(
          (change) => change.data.sent !== true || (change.data.stopped === true && atA(change)),
        );
        const others = open.filter((change) => !ready.includes(change));
        const stops = others.length > 0 ? await stop(others, 'from') : [];
        const onTrial = others.filter(({ facts, to: target }) => at(facts, `authenticated ${target}`) > 0);
        if (onTrial.length > 0) await stop(onTrial, 'to');
        const ended = ready.length > 0 ? await end(ready) : [];
        return open.map((change): Outcome => {
          const i = ready.indexOf(change);
          if (i >= 0) return ended[i]!;
          const answer = stops[others.indexOf(change)]!;
          if (isRefused(answer)) return { go: 'retry', why: answer.error };
          return {
            go: 'wait',
            until: clock.now() + ASK_AGAIN,
            data: { stopped: true, stoppedAt: clock.now() },
          };
        });
      },
    );

  return { policies, deliver, switch: switchStep, confirm, rollBack };
}

/** B gives the change up: its subscription is removed, and what else there is to undo. */
export async function undoAtB(changes: readonly Change[], to: Side): Promise<Outcome[]> {
  const answers = await perOperator(changes, to, (b, group) => b.undo(ordersOf(group)));
  return answers.map((answer) =>
    isRefused(answer) ? { go: 'retry', why: answer.error } : { go: 'end', state: 'rolledBack' },
  );
}
