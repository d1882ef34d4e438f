/**
 * One device from one subscription (or none) to another: a durable state machine whose steps every
 * alternative implements. The engine knows nothing of cards.
 */

/**
 * reserve: B has allocated the new subscription for this device · prepare: B's HSS can authenticate it, keys
 * and consents are where they must be · deliver: the device holds it, not yet in use · switch: the device
 * tries it · confirm: B saw it authenticate, its application was heard over B, B committed · retire: A has
 * removed the old one · rollBack: the way back to A, from any step before confirm holds.
 */
export const STEPS = ['reserve', 'prepare', 'deliver', 'switch', 'confirm', 'retire', 'rollBack'] as const;
export type Step = (typeof STEPS)[number];

/**
 * done: lives on B · rolledBack: lives on A · pristine: first provisioning given up, still reaches the ICF ·
 * awaitingVisit: a person must go there
 */
export const TERMINAL_STATES = ['done', 'rolledBack', 'pristine', 'awaitingVisit'] as const;
export type TerminalState = (typeof TERMINAL_STATES)[number];

export type Alternative = '1a' | '1b' | '2' | '3a' | '3b';

export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };
/** Values of JSON, by name. */
export type Facts = Record<string, Json>;

/** Something became known from outside about the live change of that name, or of that device. */
export interface Signal {
  of: { change: string } | { device: string };
  facts: Facts;
}

/** What starts a change. */
export interface NewChange {
  /** names the change everywhere: 8 bytes in 16 lower-case hexadecimal digits */
  change: string;
  device: string;
  alternative: Alternative;
  from: string;
  to: string;
  /** what the method needs to know, e.g. the signed order */
  data: Facts;
}

/** A change as a step sees it. */
export interface Change extends NewChange {
  step: Step;
  /** how often this step has been run, this time included */
  attempt: number;
  /** when this step began, milliseconds since 1970 */
  since: number;
  /** the step's time is over: it must not wait any longer unless the policy has no timeout */
  overdue: boolean;
  /** what was signalled from outside, by name; the newest value of each */
  facts: Facts;
}

/** What a step says of a change; `data` is merged into the change's own. */
export type Outcome = { data?: Facts } & (
  | { go: 'next' }
  /** asked again at `until` (milliseconds since 1970) or when something is signalled, whichever is first */
  | { go: 'wait'; until: number }
  /** did not work; tried again after the policy's pause, until its timeout */
  | { go: 'retry'; why: string }
  /** cannot work: the way back begins */
  | { go: 'back'; why: string }
  /** only of rollBack: found that the device has committed after all, so the change goes on there */
  | { go: 'forward'; step: Step }
  /** only of rollBack and retire */
  | { go: 'end'; state: TerminalState }
);

export interface StepPolicy {
  /** milliseconds after which the step counts as overdue; none: it is tried until it holds */
  timeout?: number;
  /** milliseconds before the first retry; doubled each time up to `longestPause` */
  pause: number;
  longestPause: number;
}

/** An alternative: six steps and rollBack, each idempotent, each told a batch at a time. */
export interface ChangeMethod {
  readonly alternative: Alternative;
  readonly policies: Record<Step, StepPolicy>;
  /** What becomes of a change in which somebody takes part whom it cannot reach; undefined: it can. */
  unreachable?(step: Step, change: Change): Outcome | undefined;
  /**
   * Runs `step` for all of `changes` (all are in that step). One outcome each, in the same order.
   * A rejection counts as `retry` for all.
   */
  run(step: Step, changes: readonly Change[]): Promise<Outcome[]>;
}
