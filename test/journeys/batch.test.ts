/** What is wrong with one change of a batch holds up no other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { begin, type Ordered } from './story.ts';

test('five changes at once, one to an operator nobody knows, one that B fails at: three are moved at once', async () => {
  const failing = new Set<string>();
  const story = await begin(
    5,
    {},
    {
      long: true,
      hearing: ({ owner, operators }) => {
        const { B } = operators;
        return {
          owner,
          operators: {
            ...operators,
            B: {
              ...B!,
              reserve: async (orders) => {
                const good = await B!.reserve(orders.filter((order) => !failing.has(order)));
                const next = good.values();
                return orders.map((order) =>
                  failing.has(order) ? { error: 'B failed at it', code: 'failed' } : next.next().value!,
                );
              },
            },
          },
        };
      },
    },
  );
  await story.pass(5);
  const ordered: Ordered[] = [];
  for (let i = 1; i <= 5; i++) ordered.push(await story.order(`device-${i}`, 'A', 'B'));
  // The owner signs no such order: here somebody feeds the engine with what it says not.
  ordered[3] = { ...ordered[3]!, to: 'C' };
  failing.add(ordered[4]!.order);
  story.begin(...ordered);
  const state = (i: number): string => story.standing(ordered[i]!.change).state;
  assert.ok(await story.until(() => [0, 1, 2].every((i) => state(i) === 'done'), 5), 'at once');
  const unknown = await story.ending(ordered[3]!.change, 1);
  assert.deepEqual([unknown.state, unknown.why, unknown.steps], ['rolledBack', 'no operator C here', []]);
  assert.equal(state(4), 'live', 'B may yet mend it');
  const failed = await story.ending(ordered[4]!.change, 2);
  assert.deepEqual([failed.state, failed.steps], ['rolledBack', []]);
  assert.match(failed.why ?? '', /reserve overdue: B failed at it/);
  for (let i = 1; i <= 5; i++) {
    assert.equal((await story.heard(`device-${i}`))?.operator, i <= 3 ? 'B' : 'A');
  }
  await story.end();
});
