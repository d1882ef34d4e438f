/** What the methods share: asking operators in batches, reading facts, telling a refusal that is final from one that may pass. */
import type { OperatorClient, Refused, Reserved } from '../network/operator/client.ts';
import type { Change, ChangeMethod, Facts, Json, Outcome } from './change.ts';
import type { Parties } from './parties.ts';

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export const NEXT: Outcome = { go: 'next' };

export const isRefused = (answer: object): answer is Refused => 'error' in answer;

/** Refusals that no repetition mends. */
const FINAL = new Set([
  'algorithm-unsupported',
  'already-here',
  'bad-keys',
  'bad-order',
  'bad-reservation',
  'bad-settings',
  'list-exhausted',
  'no-card',
  'no-such-pair',
  'not-here',
  'not-released',
  'numbers-exhausted',
  'sqn-unsupported',
  'unknown-card',
  'unknown-device',
]);

export function refusedOutcome(refused: Refused): Outcome {
  return { go: FINAL.has(refused.code) ? 'back' : 'retry', why: refused.error };
}

/** One outcome per change, in their order; each is decided once. */
export class Decisions {
  readonly #outcomes = new Map<Change, Outcome>();
  readonly #changes: readonly Change[];

  constructor(changes: readonly Change[]) {
    this.#changes = changes;
  }

  /** Those that nothing was decided for yet. */
  open(): Change[] {
    return this.#changes.filter((change) => !this.#outcomes.has(change));
  }

  decide(change: Change, outcome: Outcome): void {
    this.#outcomes.set(change, outcome);
  }

  /** Decides for those that were refused; the others go on with their answers. */
  keep<A extends object>(changes: readonly Change[], answers: readonly (A | Refused)[]): Map<Change, A> {
    const good = new Map<Change, A>();
    changes.forEach((change, i) => {
      const answer = answers[i]!;
      if (isRefused(answer)) this.decide(change, refusedOutcome(answer));
      else good.set(change, answer);
    });
    return good;
  }

  /** @param rest what becomes of those that nothing was decided for */
  outcomes(rest: (change: Change) => Outcome): Outcome[] {
    return this.#changes.map((change) => this.#outcomes.get(change) ?? rest(change));
  }
}

/** `run` for those changes that `which` does not decide. */
export async function forSome(
  changes: readonly Change[],
  which: (change: Change) => Outcome | undefined,
  run: (changes: readonly Change[]) => Promise<Outcome[]>,
): Promise<Outcome[]> {
  const decisions = new Decisions(changes);
  for (const change of changes) {
    const outcome = which(change);
    if (outcome) decisions.decide(change, outcome);
  }
  const open = decisions.open();
  if (open.length > 0) {
    const ran = await run(open);
    open.forEach((change, i) => decisions.decide(change, ran[i]!));
  }
  return decisions.outcomes(() => ({ go: 'retry', why: 'no outcome' }));
}

export type Side = (change: Change) => OperatorClient;

/** A and B of each change, as clients. */
export function sidesOf(parties: Parties): {
  from: Side;
  to: Side;
  unreachable: NonNullable<ChangeMethod['unreachable']>;
} {
  const client = (name: string): OperatorClient => {
    const found = parties.operators[name];
    if (!found) throw new Error(`no operator ${name} here`);
    return found;
  };
  return {
    from: (change) => client(change.from),
    to: (change) => client(change.to),
    unreachable(step, { from, to, data }) {
      if (from in parties.operators && to in parties.operators) return undefined;
      const why = `no operator ${from in parties.operators ? to : from} here`;
      if (step === 'reserve') return { go: 'back', why };
      // Nothing was ever reserved, so there is nothing to undo.
      if (step === 'rollBack' && data.imsi === undefined) return { go: 'end', state: 'rolledBack' };
      return { go: 'retry', why };
    },
  };
}

/** Asks each operator once for all of its changes; answers come back in the order of `changes`. */
export async function perOperator<A extends object>(
  changes: readonly Change[],
  side: Side,
  ask: (operator: OperatorClient, changes: readonly Change[]) => Promise<A[]>,
): Promise<A[]> {
  const answers = new Map<Change, A>();
  const groups = Map.groupBy(changes, side);
  await Promise.all(
    [...groups].map(async ([operator, group]) => {
      const got = await ask(operator, group);
      group.forEach((change, i) => answers.set(change, got[i]!));
    }),
  );
  return changes.map((change) => answers.get(change)!);
}

/** Asks B's HSS for the IMSI of every change that is still open; those it does not answer for are decided. */
export async function probe(decisions: Decisions, to: Side): Promise<void> {
  const open = decisions.open();
  const imsis = (group: readonly Change[]): string[] => group.map(({ data }) => text(data, 'imsi'));
  decisions.keep(open, await perOperator(open, to, (b, group) => b.probe(imsis(group))));
}

export const text = (data: Facts, name: string): string => String(data[name]);
export const ordersOf = (changes: readonly Change[]): string[] =>
  changes.map(({ data }) => text(data, 'order'));

/** When something was signalled, milliseconds since 1970; 0 if it was not. */
export const at = (facts: Facts, name: string): number => (typeof facts[name] === 'number' ? facts[name] : 0);

/**
 * When the device's application was last heard over an operator, with the IMSI that belongs there: B's new one,
 * or at A any other. 0 if it was not.
 */
export function heardOver({ facts, data, to }: Change, operator: string): number {
  const heard = facts[`heard ${operator}`];
  if (typeof heard !== 'object' || heard === null || Array.isArray(heard)) return 0;
  const isNew = heard.imsi === data.imsi;
  return isNew === (operator === to) && typeof heard.at === 'number' ? heard.at : 0;
}

/** `done`, `refused`, `unproven`, or undefined while the operator's command has no answer. */
export const proofOf = ({ facts }: Change, command: string, operator: string): Json | undefined =>
  facts[`proof ${command} ${operator}`];

/** The status word, in hexadecimal, with which a card refused a command: 6985, conditions not satisfied. */
export const refusedWith = ({ facts }: Change, command: string, operator: string): Json | undefined =>
  facts[`sw ${command} ${operator}`] ?? undefined;

/** B allocates the new subscription; the same in every alternative. */
export async function reserve(changes: readonly Change[], to: Side): Promise<Outcome[]> {
  const answers = await perOperator<Reserved | Refused>(changes, to, (b, group) =>
    b.reserve(ordersOf(group)),
  );
  return answers.map((answer) =>
    isRefused(answer)
      ? refusedOutcome(answer)
      : { go: 'next', data: { imsi: answer.imsi, reservation: answer.reservation } },
  );
}

/** A removes the old subscription, the owner learns where the device lives. */
export async function retire(changes: readonly Change[], from: Side, parties: Parties): Promise<Outcome[]> {
  const answers = await perOperator(changes, from, (a, group) => a.retire(ordersOf(group)));
  const good = changes.filter((_, i) => !isRefused(answers[i]!));
  await parties.owner.moved(
    good.map(({ device, to, data }) => ({
      device,
      operator: to,
      imsi: text(data, 'imsi'),
      // Another card, where one was put in.
      ...(typeof data.iccid === 'string' && { iccid: data.iccid }),
    })),
  );
  return answers.map((answer) => (isRefused(answer) ? { go: 'retry', why: answer.error } : NEXT));
}
