/** The faults' own chances: how often, how long. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createJam, parseFaults, smsFault, type FaultCounts } from '../../src/lab/faults.ts';
import { seededRandom } from '../../src/lab/random.ts';

test('the cell is jammed at first, and about a fifth of all time', () => {
  const start = Date.UTC(2026, 0, 1);
  const jammed = createJam(seededRandom(4, 'jam'));
  assert.ok(jammed(start));
  let count = 0;
  const seconds = 30 * 86_400;
  for (let second = 0; second < seconds; second++) if (jammed(start + second * 1000)) count++;
  assert.ok(count > 0.15 * seconds && count < 0.25 * seconds, `${count} of ${seconds}`);
});

test('three in ten short messages get lost, as many come late, as many twice', () => {
  const random = seededRandom(4, 'sms');
  const counts: FaultCounts = new Map();
  const messages = 10_000;
  let copies = 0;
  const faults = parseFaults(['lose-sms', 'duplicate-sms', 'reorder']);
  for (let i = 0; i < messages; i++) copies += smsFault(faults, random, counts).length;
  const lost = counts.get('lose-sms')!;
  assert.ok(lost > 0.27 * messages && lost < 0.33 * messages, `${lost} lost`);
  assert.equal(copies, messages - lost + counts.get('duplicate-sms')!);
  assert.deepEqual(smsFault(parseFaults([]), random, counts), [0]);
});

test('faults that contradict each other are refused', () => {
  assert.throws(
    () => parseFaults(['target-down', 'target-down-late']),
    /--fault: target-down,target-down-late/,
  );
  assert.throws(() => parseFaults(['emm-cause-3', 'emm-cause-8']), /--fault/);
});
