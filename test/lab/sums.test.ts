/** The sums of a run are numbers, also of an alternative that no device was left for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseFaults } from '../../src/lab/faults.ts';
import { runLab, type LabResult } from '../../src/lab/lab.ts';

test('one device and two alternatives: the sums of the other are 0, in JSON too', async () => {
  const { result, complete } = await runLab({
    alternatives: ['3a', '3b'],
    devices: 1,
    seed: 1,
    faults: parseFaults([]),
    tell: () => undefined,
  });
  assert.ok(complete);
  const told = JSON.parse(JSON.stringify(result)) as LabResult;
  const sums = Object.values(told.alternatives).map(
    ({ devices, smsPerDevice, airBytesPerDevice, roleMessagesPerDevice }) =>
      [devices, smsPerDevice, airBytesPerDevice, roleMessagesPerDevice] as const,
  );
  sums.sort(([a], [b]) => a - b);
  assert.deepEqual(sums[0], [0, 0, 0, 0]);
  assert.ok(sums[1]!.every((sum) => sum > 0));
});
