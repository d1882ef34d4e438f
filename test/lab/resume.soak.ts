/** Killed at random moments while it works, and resumed. */
import { test } from 'node:test';
import { killedAt } from './resume.ts';

const FULL = process.env.REHOME_SOAK === 'full';
const KILLS = FULL ? 20 : 2;
const DEVICES = FULL ? 500 : 40;

for (let round = 0; round < KILLS; round++) {
  const moment = 200 + Math.floor(Math.random() * (FULL ? 15_000 : 2_500));
  test(`${DEVICES} devices, killed after ${moment} ms`, async () => {
    await killedAt([moment], DEVICES);
  });
}

test('killed again and again under every fault', async () => {
  await killedAt([700, 1100, 1500], DEVICES, ['--fault', 'lose-sms,duplicate-sms,reorder,cut-power,jam']);
});
