/** Cards with TUAK: alternatives 2 and 3a work with it as with Milenage, and B refuses what it cannot compute. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseFaults } from '../../src/lab/faults.ts';
import { runLab, type LabLine, type LabRun } from '../../src/lab/lab.ts';
import { PROFILES } from '../../src/lab/operators.ts';

async function moved(
  alternative: '2' | '3a',
  devices: number,
): Promise<{ run: LabRun; reasons: (string | undefined)[] }> {
  const lines: LabLine[] = [];
  const run = await runLab({
    alternatives: [alternative],
    algorithm: 'tuak',
    devices,
    seed: 7,
    faults: parseFaults([]),
    tell: (line) => lines.push(line),
  });
  return { run, reasons: lines.flatMap((line) => (line.type === 'ended' ? [line.why] : [])) };
}

test('3a: a plain card and one with the fall-back application are handed over, and heard over B', async () => {
  const { run } = await moved('3a', 2);
  assert.ok(run.complete);
  assert.equal(run.result.moved, 2);
  assert.deepEqual(run.knowers, { '3a': { 'A+B': 2 } });
});

test('2: another card with TUAK is put in, and heard over B', async () => {
  const { run } = await moved('2', 1);
  assert.ok(run.complete);
  assert.equal(run.result.moved, 1);
  assert.deepEqual(run.knowers, { '2': { B: 1 } });
});

test('3a: a B without TUAK refuses, nothing moves, and no key leaves A', async () => {
  const b = PROFILES.B as { algorithms: readonly string[] };
  const { algorithms } = b;
  b.algorithms = ['milenage'];
  try {
    const { run, reasons } = await moved('3a', 2);
    assert.ok(run.complete);
    assert.equal(run.result.rolledBack, 2);
    assert.equal(reasons.length, 2);
    for (const why of reasons) assert.match(why ?? '', /B has no tuak in its authentication centre/);
    assert.deepEqual(run.knowers, { '3a': { A: 2 } });
    assert.equal(run.result.alternatives['3a']?.smsPerDevice, 0);
  } finally {
    b.algorithms = algorithms;
  }
});
