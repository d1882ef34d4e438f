/**
 * Alternative 3b: the card holds an indexed list of Ki/OTA pairs. A's OTA gateway switches it to the next, on
 * trial; B gets that pair from the escrow, hears the device, and commits. Two short messages a change.
 */
import type { Clock } from '../../edge/index.ts';
import type { OperatorClient, Refused, Settings } from '../../network/operator/client.ts';
import type { Change, ChangeMethod, Facts, Json, Outcome, Step, StepPolicy } from '../change.ts';
import type { Parties } from '../parties.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

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

const DONE: Outcome = { go: 'next' };

const isRefused = (answer: object): answer is Refused => 'error' in answer;

/** Refusals that no repetition mends. */
const FINAL = new Set([
  'bad-order',
  'list-exhausted',
  'not-released',
  'no-such-pair',
  'unknown-card',
  'unknown-device',
  'not-here',
  'already-here',
  'bad-keys',
  'numbers-exhausted',
  'bad-settings',
]);

function refusedOutcome(refused: Refused): Outcome {
  return { go: FINAL.has(refused.code) ? 'back' : 'retry', why: refused.error };
}

/** Asks each operator once for all of its changes; answers come back in the order of `changes`. */
async function perOperator<A extends object>(
  changes: readonly Change[],
  operatorOf: (change: Change) => OperatorClient,
  ask: (operator: OperatorClient, changes: readonly Change[]) => Promise<A[]>,
): Promise<A[]> {
  const answers = new Map<Change, A>();
  const groups = Map.groupBy(changes, operatorOf);
  await Promise.all(
    [...groups].map(async ([operator, group]) => {
      const got = await ask(operator, group);
      group.forEach((change, i) => answers.set(change, got[i]!));
    }),
  );
  return changes.map((change) => answers.get(change)!);
}

/** `run` for those changes that `which` picks; the given outcome for the others. */
async function forSome(
  changes: readonly Change[],
  which: (change: Change) => Outcome | undefined,
  run: (changes: readonly Change[]) => Promise<Outcome[]>,
): Promise<Outcome[]> {
  const decided = new Map(changes.map((change) => [change, which(change)]));
  const open = changes.filter((change) => decided.get(change) === undefined);
  const ran = open.length > 0 ? await run(open) : [];
  open.forEach((change, i) => decided.set(change, ran[i]!));
  return changes.map((change) => decided.get(change)!);
}

const at = (facts: Facts, name: string): number => (typeof facts[name] === 'number' ? facts[name] : 0);
const text = (data: Facts, name: string): string => String(data[name]);

export function createKiListMethod(options: KiListOptions): ChangeMethod {
  const { clock, parties } = options;
  const trialSeconds = options.trialSeconds ?? 3600;
  const delaySeconds = options.delaySeconds ?? 10;
  const commitOnAka = options.commitOnAka ?? false;
  const trial = trialSeconds * 1000;

  const policies: Record<Step, StepPolicy> = {
    reserve: { timeout: DAY, pause: 10_000, longestPause: HOUR },
    prepare: { timeout: DAY, pause: 10_000, longestPause: HOUR },
    // A sleeping device may take days to hear its SWITCH.
    deliver: { timeout: 30 * DAY, pause: 10_000, longestPause: HOUR },
    switch: { timeout: delaySeconds * 1000 + 2 * trial, pause: 10_000, longestPause: HOUR },
    // No time-out of the engine's: once COMMIT was sent, only the card or A's network can say how it ended.
    confirm: { pause: 10_000, longestPause: HOUR },
    retire: { pause: 10_000, longestPause: HOUR },
    rollBack: { timeout: 60 * DAY, pause: 10_000, longestPause: HOUR },
  };

  const operator = (name: string): OperatorClient => {
    const client = parties.operators[name];
    if (!client) throw new Error(`no operator ${name} here`);
    return client;
  };
  const from = (change: Change): OperatorClient => operator(change.from);
  const to = (change: Change): OperatorClient => operator(change.to);
  const orders = (changes: readonly Change[]): string[] => changes.map(({ data }) => text(data, 'order'));
  const names = (changes: readonly Change[]): string[] => changes.map(({ change }) => change);

  const reserve = async (changes: readonly Change[]): Promise<Outcome[]> => {
    const answers = await perOperator(changes, to, (b, group) => b.reserve(orders(group)));
    return answers.map((answer) =>
      isRefused(answer)
        ? refusedOutcome(answer)
        : { go: 'next', data: { imsi: answer.imsi, settings: answer.settings as unknown as Json } },
    );
  };

  /** B's HSS is probed before the escrow is asked: a pair that was released and not used is burnt. */
  const prepare = async (changes: readonly Change[]): Promise<Outcome[]> => {
    const outcomes = new Map<Change, Outcome>();
    const open = (): Change[] => changes.filter((change) => !outcomes.has(change));
    const keep = <A extends object>(
      group: readonly Change[],
      answers: readonly (A | Refused)[],
    ): Map<Change, A> => {
      const good = new Map<Change, A>();
      group.forEach((change, i) => {
        const answer = answers[i]!;
        if (isRefused(answer)) outcomes.set(change, refusedOutcome(answer));
        else good.set(change, answer);
      });
      return good;
    };
    const probe = async (group: readonly Change[]): Promise<void> => {
      keep(
        group,
        await perOperator(group, to, (b, some) => b.probe(some.map(({ data }) => text(data, 'imsi')))),
      );
    };
    await probe(open());
    const consenting = open();
    const released = keep(
      consenting,
      await perOperator(consenting, from, (a, group) => a.release(orders(group))),
    );
    const ready = open();
    keep(
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
    await probe(open());
    return changes.map(
      (change) => outcomes.get(change) ?? { go: 'next', data: { index: released.get(change)!.index } },
    );
  };

  const deliver = (changes: readonly Change[]): Promise<Outcome[]> =>
    forSome(
      changes,
      ({ facts, to: target, overdue }) => {
        const proof = facts['proof switch'];
        // Seen at B is proof enough, should the card's own have been lost.
        if (proof === 'done' || at(facts, `authenticated ${target}`) > 0) return DONE;
        if (proof !== undefined) return { go: 'back', why: `SWITCH ${String(proof)}` };
        return overdue ? { go: 'back', why: 'no proof of SWITCH in time' } : undefined;
      },
      async (open) => {
        const answers = await perOperator(open, from, (a, group) =>
          a.switch(
            group.map(({ data }) => ({
              order: text(data, 'order'),
              imsi: text(data, 'imsi'),
              index: Number(data.index),
              settings: data.settings as unknown as Settings,
              trialSeconds,
              delaySeconds,
              commitOnAka,
            })),
          ),
        );
        return answers.map((answer, i): Outcome =>
          isRefused(answer)
            ? refusedOutcome(answer)
            : { go: 'wait', until: open[i]!.since + 30 * DAY, data: { sent: true } },
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
        if (at(change.facts, `registered ${change.to}`) > 0) return DONE;
        const back = fellBack(change);
        if (back !== undefined) return { go: 'back', why: back };
        return { go: 'wait', until: change.since + policies.switch.timeout! };
      }),
    );

  const confirm = (changes: readonly Change[]): Promise<Outcome[]> =>
    forSome(
      changes,
      (change) => {
        const { facts, data, since } = change;
        const heard = at(facts, `heard ${change.to}`) > 0;
        if (facts['proof commit'] === 'done' || (commitOnAka && heard)) return DONE;
        const back = fellBack(change);
        if (back !== undefined) return { go: 'back', why: back };
        if (!heard) {
          if (data.committing === true || clock.now() < since + trial)
            return { go: 'wait', until: since + trial };
          return { go: 'back', why: 'its application was not heard over the new operator' };
        }
        return undefined;
      },
      async (open) => {
        const answers = await perOperator(open, to, (b, group) => b.commit(names(group)));
        return answers.map((answer, i): Outcome =>
          isRefused(answer)
            ? { go: 'retry', why: answer.error }
            : // Asked again after a while: B's gateway gives up on a message, the change does not.
              {
                go: 'wait',
                until: clock.now() + 6 * HOUR * Math.min(open[i]!.attempt, 4),
                data: { committing: true },
              },
        );
      },
    );

  const retire = async (changes: readonly Change[]): Promise<Outcome[]> => {
    const answers = await perOperator(changes, from, (a, group) => a.retire(orders(group)));
    const good = changes.filter((_, i) => !isRefused(answers[i]!));
    await parties.owner.moved(
      good.map((change) => ({ device: change.device, operator: change.to, imsi: text(change.data, 'imsi') })),
    );
    return answers.map((answer) => (isRefused(answer) ? { go: 'retry', why: answer.error } : DONE));
  };

  const rollBack = (changes: readonly Change[]): Promise<Outcome[]> =>
    forSome(
      changes,
      (change) => {
        // COMMIT may have reached the card after all: then it is at B for good, and the change goes on.
        const { facts, data, since } = change;
        const atA = Math.max(at(facts, `heard ${change.from}`), 0);
        const atB = at(facts, `heard ${change.to}`);
        if (data.committing === true && facts['proof commit'] === 'done' && atB >= atA) {
          return { go: 'forward', step: 'retire' };
        }
        if (data.stopped !== true || data.sent !== true || atA > since) return undefined;
        if (change.overdue) return { go: 'end', state: 'awaitingVisit' };
        return { go: 'wait', until: since + policies.rollBack.timeout! };
      },
      async (open) => {
        const started = open.filter(({ data }) => data.sent === true && data.stopped !== true);
        if (started.length > 0) {
          await perOperator(started, from, (a, group) => a.stop(names(group)));
          const onTrial = started.filter(({ facts, to: target }) => at(facts, `authenticated ${target}`) > 0);
          await perOperator(onTrial, to, (b, group) => b.stop(names(group)));
        }
        // Only a device that A's network was heard over since, or that was never sent anything, is at A for sure.
        const home = open.filter((change) => !started.includes(change));
        const answers =
          home.length > 0 ? await perOperator(home, to, (b, group) => b.undo(names(group))) : [];
        return open.map((change): Outcome => {
          const i = home.indexOf(change);
          if (i < 0)
            return { go: 'wait', until: change.since + policies.rollBack.timeout!, data: { stopped: true } };
          const answer = answers[i]!;
          return isRefused(answer) ? { go: 'retry', why: answer.error } : { go: 'end', state: 'rolledBack' };
        });
      },
    );

  const steps: Record<Step, (changes: readonly Change[]) => Promise<Outcome[]>> = {
    reserve,
    prepare,
    deliver,
    switch: switchStep,
    confirm,
    retire,
    rollBack,
  };
  return { alternative: '3b', policies, run: (step, changes) => steps[step](changes) };
}
