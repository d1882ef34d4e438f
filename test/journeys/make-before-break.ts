/**
 * Whatever B's HSS does, and whenever: A's subscription lives until B was heard and has committed, and the
 * device is heard where the change says it lives.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { TRIAL_CAUSES } from '../../src/lab/faults.ts';
import { begin } from './story.ts';

/** Over random silences of B and random causes no device strands; both ends must be reached. */
export async function overSilences(runs: number): Promise<void> {
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        /** seconds after the order at which the HSS of B hangs, or once the card authenticated; and for how long */
        from: fc.oneof(fc.nat(15), fc.nat(2000), fc.constant('authenticated' as const)),
        lasting: fc.oneof(fc.nat(60), fc.nat(6 * 3600)),
        cause: fc.oneof(
          { weight: 3, arbitrary: fc.constant(undefined) },
          { weight: 1, arbitrary: fc.constantFrom(...TRIAL_CAUSES) },
        ),
        trialSeconds: fc.integer({ min: 120, max: 3600 }),
        delaySeconds: fc.nat(30),
        commitOnAka: fc.boolean(),
      }),
      async ({ from, lasting, cause, ...options }) => {
        const story = await begin(1, options);
        await story.pass(5);
        if (cause !== undefined) story.faults.cause = cause;
        const { clock } = story.world;
        const hang = (): void => {
          story.world.setTargetDown(true);
          clock.after(lasting * 1000, () => story.world.setTargetDown(false));
        };
        if (from !== 'authenticated') clock.after(from * 1000, hang);
        const following = story.world.operators.B.follow(0, (events) => {
          if (from !== 'authenticated' || !events.some(({ kind }) => kind === from)) return;
          following.close();
          hang();
        });
        const retired: string[] = [];
        let committed = false;
        story.on = ({ step, outcome }) => {
          // Or the way back found that the card has.
          if ((step === 'confirm' && outcome === 'next') || outcome === 'forward') committed = true;
          if (step !== 'retire') return;
          assert.match(story.device('device-1').imsi() ?? '', /^00102/);
          retired.push(committed ? 'after' : 'before');
        };
        const { state } = await story.move('device-1', 'A', 'B');
        assert.ok(!retired.includes('before'), 'A was asked to retire before B had committed');
        story.world.setTargetDown(false);
        // Longer than any trial: a card that had not committed would be back at A by then.
        await story.pass(120);
        assert.equal((await story.heard('device-1'))?.operator, state === 'done' ? 'B' : 'A');
        seen.add(state);
        following.close();
        await story.end();
      },
    ),
    { numRuns: runs, seed: 20260101 },
  );
  assert.deepEqual([...seen].sort(), ['done', 'rolledBack'], 'both ends were reached');
}
