/** A device that was heard and is heard no more is told of, once, whatever process looks. */
import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { realEdge } from '../../../src/edge/real.ts';
import { VirtualClock } from '../../../src/lab/clock.ts';
import { createOwnerClient } from '../../../src/network/owner/client.ts';
import { createOwner } from '../../../src/network/owner/owner.ts';
import { createSigner } from '../../../src/network/wire/statements.ts';

const ANY = { host: '127.0.0.1', port: 0 };
const HOUR = 3_600_000;

test('silent after its time, once; heard again, and silent again; across a restart; never heard, never silent', async (t) => {
  const clock = new VirtualClock(Date.UTC(2026, 0, 1));
  // Roles answer each other in real time here; the owner's clock alone is moved.
  const edge = {
    ...realEdge,
    clock: { ...realEdge.clock, now: () => clock.now(), after: clock.after.bind(clock) },
  };
  const database = 'file:silence?mode=memory&cache=shared';
  const looking = new DatabaseSync(database);
  const signer = await createSigner(clock, 'owner');
  const open = () =>
    createOwner({
      edge,
      name: 'owner',
      api: ANY,
      database,
      signer,
      operators: ['A'],
      audience: [],
      silentAfterMs: HOUR,
    });
  let owner = await open();
  let client = createOwnerClient(realEdge, owner.endpoint);
  t.after(async () => {
    client.close();
    await owner.close();
    looking.close();
  });
  const reopen = async (): Promise<void> => {
    client.close();
    await owner.close();
    owner = await open();
    client = createOwnerClient(realEdge, owner.endpoint);
  };
  owner.register(
    ['d', 'e'].map((device, i) => ({
      device,
      iccid: `898821100000000001${i}`,
      imei: '490154203237518',
      operator: 'A',
      imsi: `00101000000000${i}`,
    })),
  );
  const hear = (): Promise<void> =>
    client.application({ operator: 'A', imsi: '001010000000000', payload: new TextEncoder().encode('d 1') });
  const pass = async (milliseconds: number): Promise<void> => {
    const until = clock.now() + milliseconds;
    clock.after(milliseconds, () => undefined);
    await clock.run(
      () => clock.now() >= until,
      () => 0,
    );
  };
  const silent = (): unknown[] =>
    looking
      .prepare('SELECT body FROM event ORDER BY id')
      .all()
      .map(({ body }) => JSON.parse(String(body)) as Record<string, unknown>)
      .filter(({ kind }) => kind === 'silent')
      .map(({ device, operator, since }) => [device, operator, since]);

  await pass(5 * HOUR);
  assert.deepEqual(silent(), []);
  const first = clock.now();
  await hear();
  await pass(HOUR / 2);
  const second = clock.now();
  await hear();
  await pass(HOUR - 1000);
  assert.deepEqual(silent(), [], 'it was heard meanwhile');
  assert.ok(second > first);
  await reopen();
  await pass(2000);
  assert.deepEqual(silent(), [['d', 'A', second]]);
  await pass(9 * HOUR);
  await reopen();
  await pass(HOUR);
  assert.equal(silent().length, 1, 'once');
  const third = clock.now();
  await hear();
  await pass(2 * HOUR);
  assert.deepEqual(silent().at(-1), ['d', 'A', third]);
  assert.equal(silent().length, 2);
});
