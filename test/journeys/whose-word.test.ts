/** On whose word a device is moved, committed, given up: the owner's order, and its own application's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Refused } from '../../src/network/operator/client.ts';
import type { FeedEvent } from '../../src/network/wire/feed.ts';
import { begin } from './story.ts';

const DAY = 24 * 60;
const codeOf = ([answer]: readonly object[]): string => ('code' in answer! ? (answer as Refused).code : 'ok');

test('undo, stop and commit act for the operator that the order names, and not after the commit', async () => {
  const story = await begin(2);
  await story.pass(5);
  const { A, B } = story.world.operators;
  const moved = await story.order('device-1', 'A', 'B');
  story.begin(moved);
  assert.equal((await story.ending(moved.change)).state, 'done');
  const ask = async (asked: Promise<readonly object[]>): Promise<string> => codeOf(await story.ask(asked));

  assert.equal(await ask(B.undo([moved.order])), 'committed');
  assert.equal(await ask(A.undo([moved.order])), 'not-here');
  assert.equal(await ask(A.commit([moved.order])), 'not-here');
  assert.equal(await ask(B.retire([moved.order])), 'not-here');
  // The card itself knows of no trial any more.
  assert.equal(await ask(B.stop([moved.order])), 'ok');
  assert.equal(await ask(A.stop([moved.order])), 'ok');

  // Orders of changes that never began, of the other device and the way back: nothing is there to end.
  const other = await story.order('device-2', 'A', 'B');
  const back = await story.order('device-1', 'B', 'A');
  assert.equal(await ask(B.commit([other.order])), 'unknown-device');
  assert.equal(await ask(A.commit([back.order])), 'unknown-device');
  assert.equal(await ask(B.undo([back.order])), 'not-here');
  for (const operator of [A, B]) {
    for (const word of ['', 'x.y.z', moved.order.replace(/\.[^.]*$/, '.AAAA')]) {
      for (const what of ['undo', 'stop', 'commit'] as const) {
        assert.equal(await ask(operator[what]([word])), 'bad-order');
      }
    }
  }
  await story.pass(DAY);
  assert.equal((await story.heard('device-1'))?.operator, 'B');
  assert.equal((await story.heard('device-2'))?.operator, 'A');
  assert.deepEqual([story.device('device-1').switches, story.device('device-2').switches], [1, 0]);
  await story.end();
});

test('an order holds for its alternative alone', async () => {
  const story = await begin(1);
  await story.pass(5);
  const { A, B } = story.world.operators;
  const x = 'x.y.z';
  const switching = { reservation: x, index: 0, trialSeconds: 60, delaySeconds: 1, commitOnAka: false };
  const list = (order: string): Promise<readonly object[]>[] => [
    A.release([order]),
    B.subscribe([{ order, release: x }]),
  ];
  const trial = (order: string): Promise<readonly object[]>[] => [
    A.switch([{ order, ...switching }]),
    B.commit([order]),
    A.stop([order]),
    B.stop([order]),
  ];
  const profile = {
    algorithm: 'milenage',
    resLength: 8,
    ownConstants: false,
    indLength: 5,
    fallback: false,
  } as const;
  const transfer = (order: string): Promise<readonly object[]>[] => [
    A.profile([order]),
    B.accept([{ order, profile }]),
    A.reach([order]),
    A.transfer([order]),
    B.takeIn([{ order, transfer: x }]),
    A.write([{ order, reservation: x }]),
    A.restore([{ order, wayBack: x }]),
    B.restore([{ order, wayBack: x }]),
    B.takeOver([order]),
    B.destroy([order]),
  ];
  for (const [alternative, routes] of [
    ['2', [list, trial, transfer]],
    ['1b', [list, trial, transfer]],
    ['3a', [list]],
    ['3b', [transfer]],
  ] as const) {
    const { order } = await story.order('device-1', 'A', 'B', alternative);
    for (const asked of routes.flatMap((each) => each(order))) {
      const answer = await story.ask(asked);
      assert.equal(codeOf(answer), 'bad-order', JSON.stringify(answer));
      assert.match((answer[0] as Refused).error, new RegExp(`order is for alternative ${alternative}`));
    }
  }
  await story.pass(60);
  assert.equal(story.world.traffic['3b'].sms, 0, 'nothing was sent');
  assert.equal((await story.heard('device-1'))?.operator, 'A');
  await story.end();
});

/** An IMSI of B's that is not the one reserved for the device. */
const STRANGER = '001020000099999';

for (const [what, forged] of [
  ['whose data never reach its owner over B', false],
  ['in whose name another device of B speaks', true],
] as const) {
  test(`a device that attaches to B, ${what}, is not committed and comes back to A`, async () => {
    let proofs = 0;
    const story = await begin(
      1,
      { trialSeconds: 600 },
      {
        hearing: ({ owner, operators }) => ({
          operators,
          owner: {
            ...owner,
            // Lost between B and the application.
            follow: (after, receive) =>
              owner.follow(after, (events) =>
                receive(
                  events.map((event) =>
                    event.operator === 'B' && event.imsi !== STRANGER ? { ...event, kind: 'lost' } : event,
                  ),
                ),
              ),
          },
        }),
      },
    );
    await story.pass(5);
    const { owner, operators, clock } = story.world;
    let registered = 0;
    const following = operators.B.follow(0, (events: FeedEvent[]) => {
      registered += events.filter(({ kind }) => kind === 'registered').length;
      proofs += events.filter(({ kind, command }) => kind === 'proof' && command === 'commit').length;
    });
    const speak = (): void => {
      if (!forged) return;
      const payload = new TextEncoder().encode('device-1 7');
      void owner.application({ operator: 'B', imsi: STRANGER, payload });
      clock.after(60_000, speak);
    };
    const ordered = await story.order('device-1', 'A', 'B');
    story.begin(ordered);
    speak();
    const { state, why, steps } = await story.ending(ordered.change, 2);
    assert.deepEqual([state, proofs], ['rolledBack', 0]);
    // Either side may be the first to say so.
    assert.match(why ?? '', /not heard over the new operator|back at the old operator|fell back: timeOut/);
    assert.deepEqual(steps.at(-1), 'switch');
    assert.ok(registered > 0, 'it was there');
    following.close();
    await story.pass(60);
    assert.equal(story.device('device-1').switches, 2, 'there and back');
    await story.end();
  });
}
