/** What A could try so that it is not shut out of a hardened card, and what becomes of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CardFile, CardState } from '../../src/device/uicc/index.ts';
import type { LabCard } from '../../src/lab/store.ts';
import { toHex } from '../../src/standards/bytes/index.ts';
import { begin, type Story } from './story.ts';

const DEVICE = 'device-4';

/** A card's memory as somebody left it. */
function memory(state?: CardState): LabCard {
  let last = state;
  return { switches: 0, load: () => last, save: (saved) => void (last = saved) };
}

/** A hardened card that is not as its vendor made it, in its device, at A. */
async function withCard(change: (file: CardFile) => CardFile, memorized?: (state: CardState) => CardState) {
  const story: Story = await begin(4, {}, { alternative: '3a', long: true });
  await story.pass(5);
  const device = story.device(DEVICE);
  const held = memorized ? memory(memorized(device.card())) : memory();
  await story.ask(device.insert(change(device.made.card), held));
  await story.pass(5);
  return { story, device };
}

test('A has left key sets on the card of which it told nobody: B puts its own elsewhere and removes them', async () => {
  const secret = (number: number) => ({
    number,
    algorithm: 'aes' as const,
    kic: '11'.repeat(16),
    kid: '22'.repeat(16),
    kik: '33'.repeat(16),
    agreed: true,
  });
  const { story, device } = await withCard((file) => ({
    ...file,
    ota: { keySets: [...file.ota!.keySets, secret(2), secret(9)] },
    // And a Ki of its own, that waits for a challenge of A's.
    usim: { ...file.usim, renewed: { algorithm: 'milenage', k: '44'.repeat(16), opc: '55'.repeat(16) } },
  }));
  assert.deepEqual(
    device.card().keySets.map(({ number }) => number),
    [1, 2, 9],
  );
  const { state, why } = await story.move(DEVICE, 'A', 'B');
  assert.equal(state, 'done', why);
  assert.deepEqual(
    device.card().keySets.map(({ number }) => number),
    [1, 3],
  );
  assert.deepEqual(story.world.knowers(device), ['B']);
  assert.equal(device.card().usim.renewed, undefined);
  assert.notEqual(toHex(device.card().usim.k), '44'.repeat(16));
  await story.end();
});

test('a card that is not the one that was certified gives no receipt: B takes nothing for its own', async () => {
  const stranger = (state: CardState): CardState => ({
    ...state,
    casd: { ...state.casd!, privateKey: new Uint8Array(32).fill(7) },
  });
  const { story, device } = await withCard((file) => file, stranger);
  const { state, why } = await story.move(DEVICE, 'A', 'B');
  assert.equal(state, 'done', why);
  const asked = story.rows('B', `SELECT command FROM ota_message WHERE command LIKE 'takeover%'`);
  assert.equal(asked.length, 4, 'under other numbers, in case somebody on the line forged the first');
  assert.equal(toHex(device.card().usim.k), device.made.card.usim.k);
  assert.deepEqual(story.world.knowers(device), ['A', 'B']);
  assert.equal((await story.heard(DEVICE))?.operator, 'B');
  await story.end();
});
