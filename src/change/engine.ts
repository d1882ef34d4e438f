/**
 * Drives changes through the steps of their method: claims what is due, runs it a batch at a time, records
 * what came of it. Nothing polls per device; a change that waits is a row.
 */
import type { Clock, Timer } from '../edge/index.ts';
import {
  STEPS,
  type Alternative,
  type Change,
  type ChangeMethod,
  type Outcome,
  type Signal,
  type Step,
} from './change.ts';
import type { ChangeStore, Claimed, Settled } from './store.ts';

export interface ChangeEngine {
  /** Looks for work now; called after enqueueing. */
  wake(): void;
  /** Something became known about changes; `cursor` remembers how far a feed was read. */
  signal(signals: readonly Signal[], cursor?: [feed: string, at: number]): void;
  /** Stops taking work, and waits for the batch under way. */
  close(): Promise<void>;
}

/** What is told of a change as it goes. */
export interface Progress {
  change: string;
  device: string;
  alternative: Alternative;
  step: Step;
  outcome: Outcome['go'];
  why?: string;
  next: Step;
  state?: string;
}

export interface EngineOptions {
  clock: Clock;
  store: ChangeStore;
  methods: readonly ChangeMethod[];
  observe?: (progress: Progress) => void;
}

export function createChangeEngine({ clock, store, methods, observe }: EngineOptions): ChangeEngine {
  const byAlternative = new Map(methods.map((method) => [method.alternative, method]));
  let running: Promise<void> | undefined;
  let again = false;
  let timer: Timer | undefined;
  let closed = false;

  const settleOf = (claimed: Claimed, overdue: boolean, given: Outcome, now: number): Settled => {
    const policy = byAlternative.get(claimed.alternative)!.policies[claimed.step];
    let outcome = given;
    if (overdue && (outcome.go === 'retry' || outcome.go === 'wait')) {
      const why = `${claimed.step} overdue${outcome.go === 'retry' ? `: ${outcome.why}` : ''}`;
      // Nobody could bring it home by wire.
      outcome = claimed.step === 'rollBack' ? { go: 'end', state: 'awaitingVisit' } : { go: 'back', why };
      if (given.data) outcome.data = given.data;
    }
    const settled: Settled = {
      id: claimed.id,
      from: claimed.step,
      attempt: claimed.attempt,
      step: claimed.step,
      fresh: false,
      due: now,
      state: undefined,
      data: outcome.data,
      outcome: 'why' in outcome ? `${outcome.go}: ${outcome.why}` : outcome.go,
    };
    switch (outcome.go) {
      case 'next': {
        const next = STEPS[STEPS.indexOf(claimed.step) + 1]!;
        settled.fresh = true;
        if (claimed.step === 'retire') settled.state = 'done';
        else settled.step = next;
        break;
      }
      case 'wait':
        settled.due = outcome.until;
        if (policy.timeout !== undefined && !overdue) {
          settled.due = Math.min(settled.due, claimed.since + policy.timeout);
        }
        break;
      case 'retry':
        settled.due =
          now + Math.min(policy.pause * 2 ** Math.min(claimed.attempt - 1, 30), policy.longestPause);
        break;
      case 'back':
        settled.step = 'rollBack';
        settled.fresh = true;
        break;
      case 'forward':
        settled.step = outcome.step;
        settled.fresh = true;
        break;
      case 'end':
        settled.state = outcome.state;
        break;
    }
    observe?.({
      change: claimed.change,
      device: claimed.device,
      alternative: claimed.alternative,
      step: claimed.step,
      outcome: outcome.go,
      next: settled.step,
      ...('why' in outcome ? { why: outcome.why } : {}),
      ...(settled.state ? { state: settled.state } : {}),
    });
    return settled;
  };

  const runBatch = async (batch: readonly Claimed[]): Promise<Settled[]> => {
    const { alternative, step } = batch[0]!;
    const method = byAlternative.get(alternative);
    const now = clock.now();
    const timeout = method?.policies[step].timeout;
    const changes = batch.map((claimed): Change => ({
      ...claimed,
      overdue: timeout !== undefined && now >= claimed.since + timeout,
    }));
    const outcomes = changes.map((change) => method?.unreachable?.(step, change));
    const runnable = changes.filter((_, i) => outcomes[i] === undefined);
    let ran: Outcome[];
    try {
      if (!method) throw new Error(`no method for alternative ${alternative}`);
      ran = runnable.length > 0 ? await method.run(step, runnable) : [];
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      ran = runnable.map(() => ({ go: 'retry', why }));
    }
    let next = 0;
    for (let i = 0; i < outcomes.length; i++) outcomes[i] ??= ran[next++];
    const settledAt = clock.now();
    return batch.map((claimed, i) =>
      settleOf(claimed, changes[i]!.overdue, outcomes[i] ?? { go: 'retry', why: 'no outcome' }, settledAt),
    );
  };

  const drain = async (): Promise<void> => {
    do {
      again = false;
      let claimed = store.turn([], clock.now());
      while (claimed.length > 0) {
        const groups = Map.groupBy(claimed, (each) => `${each.alternative} ${each.step}`);
        const settled = (await Promise.all([...groups.values()].map(runBatch))).flat();
        claimed = store.turn(settled, clock.now());
      }
    } while (again && !closed);
  };

  const wake = (): void => {
    if (closed) return;
    again = true;
    if (running) return;
    timer?.cancel();
    timer = undefined;
    running = drain().finally(() => {
      running = undefined;
      if (closed) return;
      if (again) {
        wake();
        return;
      }
      const due = store.nextDue();
      if (due !== undefined) timer = clock.after(Math.max(0, due - clock.now()), wake);
    });
  };

  return {
    wake,
    signal(signals, cursor) {
      store.signal(signals, clock.now(), cursor);
      if (signals.length > 0) wake();
    },
    async close() {
      closed = true;
      timer?.cancel();
      await running;
    },
  };
}
