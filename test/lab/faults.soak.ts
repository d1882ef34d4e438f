/**
 * Many seeds, every fault, larger fleets. `npm run test:soak` runs the short form; REHOME_SOAK=full the long one.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULT_NAMES, parseFaults } from '../../src/lab/faults.ts';
import { runLab } from '../../src/lab/lab.ts';

const FULL = process.env.REHOME_SOAK === 'full';
const SEEDS = FULL ? 20 : 1;
const DEVICES = FULL ? 100 : 20;

const TOGETHER = 'lose-sms,duplicate-sms,reorder,cut-power,jam';
for (const fault of ['none', ...FAULT_NAMES, TOGETHER]) {
  test(`${fault}: ${SEEDS} seeds of ${DEVICES} devices, none stranded, nothing done twice`, async () => {
    for (let seed = 100; seed < 100 + SEEDS; seed++) {
      const { result, complete } = await runLab({
        alternatives: ['3a', '3b'],
        devices: DEVICES,
        seed,
        faults: parseFaults(fault === 'none' ? [] : fault.split(',')),
        tell: () => undefined,
      });
      assert.ok(complete, `seed ${seed}: ${JSON.stringify(result)}`);
      assert.equal(result.moved, fault === 'none' ? DEVICES : result.moved);
    }
  });
}

test('a large fleet moves', async () => {
  const devices = FULL ? 2000 : 300;
  const { result, complete } = await runLab({
    alternatives: ['3a', '3b'],
    devices,
    seed: 5,
    faults: parseFaults([]),
    tell: () => undefined,
  });
  assert.ok(complete);
  assert.equal(result.moved, devices);
});
