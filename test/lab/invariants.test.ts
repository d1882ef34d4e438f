/**
 * The invariants hold whatever goes wrong when; and what watches them sees when they do not: with make-before-break
 * broken on purpose it must find that out. More plans: invariants.soak.ts.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChangeMethod, Step } from '../../src/change/change.ts';
import type { Parties } from '../../src/change/parties.ts';
import type { OperatorClient } from '../../src/network/operator/client.ts';
import { broken, holds, type Plan, type Spoil } from './invariants.ts';

test('over random plans of faults: make before break, nothing twice, nobody without an order, everybody somewhere', async () => {
  await holds(6);
});

const fair: Omit<Plan, 'alternative'> = {
  devices: 3,
  seed: 5,
  trialMinutes: 60,
  commitOnAka: false,
  escrowApart: false,
  agent: false,
  faults: [],
  bad: [],
  down: [],
  refused: [],
};

/** A method that says of some steps that they hold, and does nothing for them. */
const without =
  (steps: readonly Step[]) =>
  (method: ChangeMethod): ChangeMethod => ({
    ...method,
    run: (each, changes) =>
      steps.includes(each)
        ? Promise.resolve(changes.map(() => ({ go: 'next' as const })))
        : method.run(each, changes),
  });

for (const [alternative, steps, why] of [
  ['3b', ['confirm'], /A’s subscription is gone, and its trial is not over/],
  ['3a', ['confirm'], /A’s subscription is gone, and its trial is not over/],
  ['2', ['deliver', 'switch', 'confirm'], /A’s subscription is gone, and it lives on it/],
] as const) {
  test(`${alternative} whose ${steps.join(', ')} is left out is found out`, async () => {
    assert.deepEqual(await broken({ ...fair, alternative }), [], 'whole, it is good');
    const found = await broken({ ...fair, alternative }, { method: without(steps) });
    assert.ok(
      found.some((each) => why.test(each)),
      found.join('\\n'),
    );
  });
}

/** B is refused to every trial for as long as it takes: all come back. */
const refusing: Partial<Plan> = { refused: [{ at: 0, minutes: 600, cause: 11 }] };
const ok = (asked: readonly unknown[]): Promise<{ ok: true }[]> =>
  Promise.resolve(asked.map(() => ({ ok: true as const })));
/** B says yes to some requests, and does nothing. */
const idleB =
  (own: Partial<OperatorClient>) =>
  (parties: Parties): Parties => ({
    ...parties,
    operators: { ...parties.operators, B: { ...parties.operators.B!, ...own } },
  });

const spoiled: [what: string, alternative: Plan['alternative'], Partial<Plan>, Spoil, RegExp][] = [
  [
    'a pair that is not burnt, whose Ki stays at B',
    '3b',
    refusing,
    { parties: idleB({ undo: ok }) },
    /the pair is not burnt/,
  ],
  [
    'a Ki that stays at B',
    '3a',
    { ...refusing, seed: 7 },
    {
      parties: (parties) => ({
        ...idleB({
          undo: ok,
          destroy: (orders) => Promise.resolve(orders.map((order) => ({ receipt: order }))),
        })(parties),
      }),
      method: (method) => ({
        ...method,
        run: async (step, changes) =>
          (await method.run(step, changes)).map((outcome) =>
            // A does not believe the receipt; the engine is made to.
            step === 'rollBack' && outcome.go === 'retry' ? { go: 'end', state: 'rolledBack' } : outcome,
          ),
      }),
    },
    /B keeps the Ki that it was given/,
  ],
  [
    'a destruction that A is not told of',
    '3a',
    refusing,
    {
      parties: ({ operators, ...rest }) => ({
        ...rest,
        operators: { ...operators, A: { ...operators.A!, exposed: ok } },
      }),
    },
    /A has no word that B destroyed the keys/,
  ],
  [
    'a take-over that is left out',
    '3a',
    // The fourth card is hardened.
    { devices: 5 },
    {
      parties: idleB({
        takeOver: (orders) => Promise.resolve(orders.map(() => ({ error: 'it has no KIK', code: 'no-kik' }))),
      }),
    },
    /has an OTA key set that A knows/,
  ],
  [
    'a visit that is not called off',
    '2',
    { recalled: 30 },
    {
      parties: ({ owner, ...rest }) => ({
        ...rest,
        owner: { ...owner, cancelWork: (changes) => Promise.resolve(changes.map(() => 'none' as const)) },
      }),
    },
    /the work order is not called off|is rolledBack, and heard over nobody/,
  ],
  [
    'a binding that is gone',
    '2',
    {},
    { atEnd: ({ B }) => B.exec('UPDATE subscriber SET bound = 0') },
    /its card attaches in another device/,
  ],
  ...(['2', '3a', '3b'] as const).map((alternative): (typeof spoiled)[number] => [
    `an order of a stranger that counts, by ${alternative},`,
    alternative,
    {},
    { trusting: true },
    /was not refused with an order of a stranger/,
  ]),
];

for (const [what, alternative, more, spoil, why] of spoiled) {
  test(`${what} is found out`, async () => {
    const plan: Plan = { ...fair, alternative, ...more };
    assert.deepEqual(await broken(plan), [], 'whole, it is good');
    const found = await broken(plan, spoil);
    assert.ok(
      found.some((each) => why.test(each)),
      found.join('\n'),
    );
  });
}
