/**
 * The variants of alternative 3b as a story: the pairs are kept by an escrow that is not the manufacturer, and the
 * card is switched by an OTA agent who is neither A nor B.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { openLabStore } from '../../src/lab/store.ts';
import { toHex } from '../../src/standards/bytes/index.ts';
import { KEY_LIST_TAR } from '../../src/standards/ota/index.ts';
import { begin } from './story.ts';

const DEVICE = 'device-1';

test('a card whose list a third party keeps is switched by a fourth', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'rehome-3b-'));
  const store = openLabStore(join(folder, 'world'), false);
  const rows = (file: string, query: string): Record<string, unknown>[] => {
    const database = new DatabaseSync(file, { readOnly: true });
    try {
      return database.prepare(query).all();
    } finally {
      database.close();
    }
  };
  const sent = (file: string): unknown[] =>
    rows(file, 'SELECT command FROM ota_message ORDER BY command').map(({ command }) => command);
  try {
    const story = await begin(1, {}, { store, variants: { escrowApart: true, agent: true } });
    const device = story.device(DEVICE);
    await story.pass(5);
    await t.test('1. the manufacturer has handed the pairs over and has none any more', () => {
      assert.deepEqual(rows(store.file('manufacturer'), 'SELECT * FROM pair'), []);
      assert.equal(rows(store.file('escrow'), 'SELECT * FROM pair').length, 3);
      assert.ok(
        rows(store.file('escrow'), 'SELECT depositor FROM pair').every(
          ({ depositor }) => depositor === 'manufacturer',
        ),
      );
    });
    await t.test(
      '2. the agent has one key set on the card, which is good for the list alone, and no Ki',
      () => {
        const [set, ...others] = device.card().keySets;
        assert.deepEqual(others, []);
        assert.deepEqual([set!.number, set!.tars], [2, [toHex(KEY_LIST_TAR)]]);
        assert.deepEqual(
          rows(store.file('agent'), 'SELECT iccid, key_set FROM ota_key').map((row) => ({ ...row })),
          [{ iccid: device.iccid(), key_set: 2 }],
        );
      },
    );
    await t.test(
      '3. the owner orders it to B by that agent: two short messages, both the agent’s',
      async () => {
        const { state, why } = await story.move(DEVICE, 'A', 'B');
        assert.equal(state, 'done', why);
        assert.equal(story.sms, 2);
        assert.equal((await story.heard(DEVICE))?.operator, 'B');
        assert.deepEqual(sent(store.file('operator-A')), []);
        assert.deepEqual(sent(store.file('operator-B')), []);
        assert.deepEqual(sent(store.file('agent-A')), ['switch']);
        assert.deepEqual(sent(store.file('agent-B')), ['commit']);
      },
    );
    await t.test('4. the Ki in use is known to B and the escrow, and to nobody else', () => {
      assert.equal(device.card().list?.current, 1);
      assert.deepEqual(story.world.knowers(device), ['B', 'escrow']);
    });
    await t.test('5. and back to A, by the next pair', async () => {
      const { state, why } = await story.move(DEVICE, 'B', 'A');
      assert.equal(state, 'done', why);
      assert.equal((await story.heard(DEVICE))?.operator, 'A');
      assert.equal(device.card().list?.current, 2);
    });
    await t.test('6. to B once more, where it is refused: it falls back, and the pair is burnt', async () => {
      story.faults.cause = 8;
      const { state, why } = await story.move(DEVICE, 'A', 'B');
      assert.equal(state, 'rolledBack');
      assert.match(why ?? '', /fell back: rejected/);
      delete story.faults.cause;
      await story.pass(20);
      assert.equal((await story.heard(DEVICE))?.operator, 'A');
      assert.deepEqual(
        rows(store.file('escrow'), 'SELECT idx, state FROM pair ORDER BY idx').map(({ idx, state }) => [
          idx,
          state,
        ]),
        [
          [1, 'released'],
          [2, 'released'],
          [3, 'burnt'],
        ],
      );
      assert.ok(sent(store.file('agent-A')).includes('cancel'));
    });
    await story.end();
  } finally {
    store.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
