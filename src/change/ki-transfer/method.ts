/**
 * Alternative 3a: A's OTA gateway writes B's subscription to the card, whose keys A hands to B's vault. A card
 * with the fall-back application tries it and falls back by itself; a plain one cannot, so it is written only
 * when B's HSS has answered for that very IMSI, and its way back is an OTA through B.
 */
import type { Clock } from '../../edge/index.ts';
import type { CardProfile } from '../../network/operator/client.ts';
import {
  DAY,
  Decisions,
  HOUR,
  MINUTE,
  NEXT,
  at,
  forSome,
  heardOver,
  isRefused,
  ordersOf,
  perOperator,
  probe,
  proofOf,
  refusedOutcome,
  reserve,
  retire,
  sidesOf,
  text,
} from '../batch.ts';
import type { Change, ChangeMethod, Json, Outcome, Step, StepPolicy } from '../change.ts';
import type { Parties } from '../parties.ts';
import { MAY_SWITCH, createTrialSteps, undoAtB } from '../trial.ts';

export interface KiTransferOptions {
  clock: Clock;
  parties: Parties;
  /** of cards that can fall back: how long they may try B, in seconds; default an hour */
  trialSeconds?: number;
  /** between the card's answer and its switch, in seconds; default 10 */
  delaySeconds?: number;
  /** changes whose keys B has and that are not done yet, at most; default 100 */
  wave?: number;
}

/** How long a plain card may take to come up at B: nobody but B can call it back, so it is waited for. */
const ARRIVAL = 3 * DAY;
/** How long its application may take then. */
const SERVICE = DAY;
const WAY_BACK = 60 * DAY;
/** How long a card that has a new Ki may take to use it, before it is asked to. */
const RENEWAL = 10 * MINUTE;
/** How long B tries to take a card over; afterwards the change is done, and A's keys are known to be good still. */
const TAKE_OVER = 14 * DAY;
const ASK_AGAIN = 6 * HOUR;
/** How long B's HSS may be silent before anything was sent. */
const SILENCE = DAY;
/** A change that must wait for its wave looks again so often. */
const WAVE_PAUSE = MINUTE;

/** Of a plain card's files: while the ISIM's are not written, what came of those. */
function writingProof(change: Change): Json | undefined {
  const isim = proofOf(change, 'write-isim', change.from);
  return isim === undefined || isim === 'done' ? proofOf(change, 'write', change.from) : isim;
}

export function createKiTransferMethod(options: KiTransferOptions): ChangeMethod {
  const { clock, parties } = options;
  const { from, to, unreachable } = sidesOf(parties);
  const wave = options.wave ?? 100;
  const trial = createTrialSteps({
    clock,
    from,
    to,
    trialSeconds: options.trialSeconds ?? 3600,
    delaySeconds: options.delaySeconds ?? 10,
    commitOnAka: false,
    indexOf: () => 0,
  });
  const policies: Record<Step, StepPolicy> = {
    reserve: { timeout: DAY, pause: 10_000, longestPause: HOUR },
    // A sleeping device may take days to be reached, and a wave to get its turn.
    prepare: { timeout: 30 * DAY, pause: 10_000, longestPause: HOUR },
    deliver: trial.policies.deliver,
    switch: { timeout: ARRIVAL, pause: 10_000, longestPause: HOUR },
    confirm: trial.policies.confirm,
    retire: { pause: 10_000, longestPause: HOUR },
    rollBack: { timeout: WAY_BACK, pause: 10_000, longestPause: HOUR },
  };
  /** Changes whose keys are with B and whose end is not known yet. */
  const under = new Set<string>();

  const isFallback = ({ data }: Change): boolean => data.fallback === true;
  /** Each class of card by its own steps. */
  const byClass =
    (
      plain: (changes: readonly Change[]) => Promise<Outcome[]>,
      fallback: (changes: readonly Change[]) => Promise<Outcome[]>,
    ) =>
    async (changes: readonly Change[]): Promise<Outcome[]> => {
      const decisions = new Decisions(changes);
      for (const [run, group] of [
        [plain, changes.filter((change) => !isFallback(change))],
        [fallback, changes.filter(isFallback)],
      ] as const) {
        if (group.length === 0) continue;
        const outcomes = await run(group);
        group.forEach((change, i) => decisions.decide(change, outcomes[i]!));
      }
      return decisions.outcomes(() => ({ go: 'retry', why: 'no outcome' }));
    };

  /** B must be able to compute what the card computes, before anything moves. */
  const reserveBoth = async (changes: readonly Change[]): Promise<Outcome[]> => {
    const decisions = new Decisions(changes);
    const profiles = decisions.keep<{ profile: CardProfile; wayBack: string }>(
      changes,
      await perOperator(changes, from, (a, group) => a.profile(ordersOf(group))),
    );
    const reserving = decisions.open();
    const reserved = new Map<Change, Outcome>();
    if (reserving.length > 0) {
      const outcomes = await reserve(reserving, to);
      reserving.forEach((change, i) => {
        const outcome = outcomes[i]!;
        if (outcome.go === 'next') reserved.set(change, outcome);
        else decisions.decide(change, outcome);
      });
    }
    const accepting = decisions.open();
    const answers =
      accepting.length === 0
        ? []
        : await perOperator(accepting, to, (b, group) =>
            b.accept(
              group.map((change) => ({
                order: text(change.data, 'order'),
                profile: profiles.get(change)!.profile,
              })),
            ),
          );
    const hardened = new Set<Change>();
    accepting.forEach((change, i) => {
      const answer = answers[i]!;
      if (isRefused(answer)) decisions.decide(change, { ...refusedOutcome(answer), ...dataOf(change) });
      else if (answer.hardened) hardened.add(change);
    });
    function dataOf(change: Change): Pick<Outcome, 'data'> {
      const { profile, wayBack } = profiles.get(change)!;
      return {
        data: {
          ...reserved.get(change)!.data,
          fallback: profile.fallback,
          hardened: hardened.has(change),
          wayBack,
        },
      };
    }
    return decisions.outcomes((change) => ({ go: 'next', ...dataOf(change) }));
  };

  /** Changes that are ready and wait for a place in the wave. */
  const queued = new Set<string>();
  /** The card is proven reachable, and B's HSS to be there, before A releases any key. */
  const prepare = (changes: readonly Change[]): Promise<Outcome[]> =>
    forSome(
      changes,
      (change) => {
        const reached = proofOf(change, 'reach', change.from);
        if (reached === 'foreign-card')
          return { go: 'back', why: 'the device answers with the ICCID of another card' };
        if (reached === 'refused') return { go: 'back', why: 'the card refuses to be read' };
        if (reached === 'done') {
          queued.delete(change.change);
          if (under.has(change.change) || under.size < wave) return undefined;
          // About as many look again in a minute as there are places.
          queued.add(change.change);
          return { go: 'wait', until: clock.now() + WAVE_PAUSE * Math.ceil(queued.size / wave) };
        }
        if (change.data.reachedAt === undefined) return undefined;
        const next = at(change.data, 'reachedAt') + ASK_AGAIN;
        return clock.now() >= next ? undefined : { go: 'wait', until: next };
      },
      async (open) => {
        const decisions = new Decisions(open);
        await probe(decisions, to);
        // A network that is silent for a day is not one to move to; a device may sleep for longer.
        for (const change of open.filter((each) => !decisions.open().includes(each))) {
          if (clock.now() < change.since + SILENCE || change.data.transferred === true) continue;
          decisions.decide(change, { go: 'back', why: 'the HSS of the new operator does not answer' });
        }
        const distant = decisions.open().filter((change) => proofOf(change, 'reach', change.from) !== 'done');
        const reaching = await perOperator(distant, from, (a, group) => a.reach(ordersOf(group)));
        distant.forEach((change, i) => {
          const answer = reaching[i]!;
          decisions.decide(
            change,
            isRefused(answer)
              ? refusedOutcome(answer)
              : { go: 'wait', until: clock.now() + HOUR, data: { reachedAt: clock.now() } },
          );
        });
        for (const change of decisions.open()) {
          if (under.has(change.change)) continue;
          if (under.size < wave) under.add(change.change);
          else decisions.decide(change, { go: 'wait', until: clock.now() + WAVE_PAUSE });
        }
        // On file before a key leaves: what comes of it may not be heard any more.
        for (const change of decisions.open()) {
          if (change.data.releasing === true) continue;
          decisions.decide(change, { go: 'wait', until: clock.now(), data: { releasing: true } });
        }
        const giving = decisions.open();
        const given = decisions.keep(
          giving,
          await perOperator(giving, from, (a, group) => a.transfer(ordersOf(group))),
        );
        const taking = decisions.open();
        decisions.keep(
          taking,
          await perOperator(taking, to, (b, group) =>
            b.takeIn(
              group.map((change) => ({
                order: text(change.data, 'order'),
                transfer: given.get(change)!.transfer,
              })),
            ),
          ),
        );
        await probe(decisions, to);
        const outcomes = decisions.outcomes((change) =>
          isFallback(change) ? { go: 'next', data: { ...MAY_SWITCH } } : { go: 'next' },
        );
        // Given is given, whatever came of the rest.
        return outcomes.map((outcome, i) =>
          given.has(open[i]!) ? { ...outcome, data: { ...outcome.data, transferred: true } } : outcome,
        );
      },
    );

  const entering = (changes: readonly Change[]): void => {
    for (const { change, data } of changes) if (data.releasing === true) under.add(change);
  };

  /** Nothing lies on a plain card that is not in use: what can be done before the switch is to ask B's HSS again. */
  const deliverPlain = async (changes: readonly Change[]): Promise<Outcome[]> => {
    const answers = await perOperator(changes, to, (b, group) =>
      b.probe(group.map(({ data }) => text(data, 'imsi'))),
    );
    return answers.map((answer) =>
      isRefused(answer) ? { go: 'retry', why: answer.error } : { go: 'next', data: { ...MAY_SWITCH } },
    );
  };

  const switchPlain = (changes: readonly Change[]): Promise<Outcome[]> =>
    forSome(
      changes,
      (change) => {
        const { facts, data, since, to: target } = change;
        if (at(facts, `registered ${target}`) > 0) return NEXT;
        const proof = writingProof(change);
        if (proof === 'refused') return { go: 'back', why: 'the card refused what was written' };
        const next = at(data, 'writtenAt') + ASK_AGAIN;
        if (data.writtenAt === undefined || (proof !== 'done' && clock.now() >= next)) return undefined;
        return { go: 'wait', until: Math.min(since + ARRIVAL, Math.max(next, clock.now() + HOUR)) };
      },
      async (open) => {
        const answers = await perOperator(open, from, (a, group) =>
          a.write(
            group.map(({ data }) => ({
              order: text(data, 'order'),
              reservation: text(data, 'reservation'),
            })),
          ),
        );
        return answers.map((answer): Outcome =>
          isRefused(answer)
            ? refusedOutcome(answer)
            : {
                go: 'wait',
                until: clock.now() + ASK_AGAIN,
                data: { writtenAt: clock.now() },
              },
        );
      },
    );

  /** There is no fall-back to disarm: that the application is heard is the commit. */
  const confirmPlain = (changes: readonly Change[]): Promise<Outcome[]> =>
    Promise.resolve(
      changes.map((change): Outcome => {
        if (heardOver(change, change.to) > 0) return NEXT;
        if (clock.now() >= change.since + SERVICE) {
          return { go: 'back', why: 'its application was not heard over the new operator' };
        }
        return { go: 'wait', until: change.since + SERVICE };
      }),
    );

  /** A removes the old subscription; B replaces what can be replaced of what A knew. */
  const retireBoth = (changes: readonly Change[]): Promise<Outcome[]> =>
    forSome(
      changes,
      (change) => {
        const { data, since, to: target } = change;
        if (data.retired !== true) return undefined;
        const proof = proofOf(change, 'takeover', target);
        if (proof === 'done') {
          const { takenOverAt } = data;
          if (data.hardened === true) {
            if (takenOverAt === undefined) {
              return { go: 'wait', until: clock.now() + RENEWAL, data: { takenOverAt: clock.now() } };
            }
            const renewed = at(change.facts, `registered ${target}`) > at(data, 'takenOverAt');
            // Its new Ki is in use from the next challenge on: it need not come for years.
            if (!renewed && clock.now() < at(data, 'takenOverAt') + DAY) {
              const asked = data.resetAt !== undefined;
              if (asked || clock.now() < at(data, 'takenOverAt') + RENEWAL) {
                return { go: 'wait', until: at(data, 'takenOverAt') + (asked ? DAY : RENEWAL) };
              }
              return undefined;
            }
          }
          under.delete(change.change);
          return { go: 'next', data: { takenOver: true } };
        }
        if (data.cannotTakeOver === true || clock.now() >= since + TAKE_OVER) {
          under.delete(change.change);
          return { go: 'next', data: { takenOver: false } };
        }
        const next = at(data, 'takeOverAt') + ASK_AGAIN;
        // Asked again, whatever is known of it: what was answered is told once more.
        if (data.takeOverAt === undefined || clock.now() >= next) return undefined;
        return { go: 'wait', until: Math.min(next, since + TAKE_OVER) };
      },
      async (open) => {
        const decisions = new Decisions(open);
        const old = open.filter(({ data }) => data.retired !== true);
        const outcomes = old.length > 0 ? await retire(old, from, parties) : [];
        old.forEach((change, i) => {
          if (outcomes[i]!.go !== 'next') decisions.decide(change, outcomes[i]!);
        });
        const waiting = decisions.open().filter(({ data }) => data.takenOverAt !== undefined);
        const resets = await perOperator(waiting, to, (b, group) => b.reset(ordersOf(group)));
        waiting.forEach((change, i) => {
          const answer = resets[i]!;
          const data = { resetAt: clock.now() };
          decisions.decide(
            change,
            isRefused(answer)
              ? refusedOutcome(answer)
              : { go: 'wait', until: at(change.data, 'takenOverAt') + DAY, data },
          );
        });
        const rest = decisions.open();
        const answers = await perOperator(rest, to, (b, group) => b.takeOver(ordersOf(group)));
        rest.forEach((change, i) => {
          const answer = answers[i]!;
          const retired = { retired: true };
          if (!isRefused(answer)) {
            const data = { ...retired, takeOverAt: clock.now() };
            decisions.decide(change, { go: 'wait', until: clock.now() + ASK_AGAIN, data });
          } else if (answer.code === 'no-kik' || answer.code === 'bad-keys') {
            const data = { ...retired, cannotTakeOver: true };
            decisions.decide(change, { go: 'wait', until: clock.now(), data });
          } else {
            decisions.decide(change, { go: 'retry', why: answer.error, data: retired });
          }
        });
        return decisions.outcomes(() => ({ go: 'retry', why: 'no outcome' }));
      },
    );

  /** The device is at A: B destroys its keys and says so, A notes who knew them. */
  const giveUp = async (changes: readonly Change[]): Promise<Outcome[]> => {
    const decisions = new Decisions(changes);
    const given = changes.filter(({ data }) => data.releasing === true);
    if (given.length > 0) {
      const destroyed = decisions.keep(
        given,
        await perOperator(given, to, (b, group) => b.destroy(ordersOf(group))),
      );
      const noting = given.filter((change) => destroyed.has(change));
      const noted = await perOperator(noting, from, (a, group) =>
        a.exposed(group.map((change) => destroyed.get(change)!.receipt)),
      );
      noting.forEach((change, i) => {
        const answer = noted[i]!;
        // Not given: A never came to release them.
        if (isRefused(answer) && answer.code !== 'not-given')
          decisions.decide(change, refusedOutcome(answer));
      });
    }
    const rest = decisions.open();
    const undone = rest.length > 0 ? await undoAtB(rest, to) : [];
    rest.forEach((change, i) => {
      decisions.decide(change, undone[i]!);
      if (undone[i]!.go === 'end') under.delete(change.change);
    });
    // What B has not destroyed yet is asked for until it has.
    return decisions
      .outcomes(() => ({ go: 'retry', why: 'no outcome' }))
      .map((outcome) => (outcome.go === 'back' ? { go: 'retry', why: outcome.why } : outcome));
  };

  const rollBackPlain = (changes: readonly Change[]): Promise<Outcome[]> =>
    forSome(
      changes,
      (change) => {
        const { data, since, from: source, to: target } = change;
        if (data.sent !== true) return undefined;
        const home =
          proofOf(change, 'restore', source) === 'done' || proofOf(change, 'restore', target) === 'done';
        if (home && heardOver(change, source) > since) return undefined;
        if (change.overdue) return { go: 'end', state: 'awaitingVisit' };
        const next = at(data, 'restoredAt') + ASK_AGAIN;
        if (data.restoredAt === undefined || (!home && clock.now() >= next)) return undefined;
        return { go: 'wait', until: Math.max(next, clock.now() + HOUR) };
      },
      async (open) => {
        const home = open.filter(
          (change) =>
            change.data.sent !== true ||
            proofOf(change, 'restore', change.from) === 'done' ||
            proofOf(change, 'restore', change.to) === 'done',
        );
        const away = open.filter((change) => !home.includes(change));
        const back = (group: readonly Change[]): { order: string; wayBack: string }[] =>
          group.map(({ data }) => ({ order: text(data, 'order'), wayBack: text(data, 'wayBack') }));
        // Over either network, as nobody can tell for sure in which the card is.
        const overA = await perOperator(away, from, (a, group) => a.restore(back(group)));
        const overB = await perOperator(away, to, (b, group) => b.restore(back(group)));
        const ended = home.length > 0 ? await giveUp(home) : [];
        return open.map((change): Outcome => {
          const i = home.indexOf(change);
          if (i >= 0) return ended[i]!;
          const j = away.indexOf(change);
          const refused = [overA[j]!, overB[j]!].find(isRefused);
          if (refused) return { go: 'retry', why: refused.error };
          return { go: 'wait', until: clock.now() + ASK_AGAIN, data: { restoredAt: clock.now() } };
        });
      },
    );

  const steps: Record<Step, (changes: readonly Change[]) => Promise<Outcome[]>> = {
    reserve: reserveBoth,
    prepare,
    deliver: byClass(deliverPlain, trial.deliver),
    switch: byClass(switchPlain, trial.switch),
    confirm: byClass(confirmPlain, trial.confirm),
    retire: retireBoth,
    rollBack: byClass(rollBackPlain, (changes) => trial.rollBack(changes, giveUp)),
  };
  return {
    alternative: '3a',
    policies,
    unreachable,
    run(step, changes) {
      // Also those that were under way when this process began.
      entering(changes);
      return steps[step](changes);
    },
  };
}
