/**
 * Many seeds, every fault, larger fleets. `npm run test:soak` runs the short form; REHOME_SOAK=full the long one.
 */
import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { FAULT_NAMES, parseFaults } from '../../src/lab/faults.ts';
import { runLab } from '../../src/lab/lab.ts';
import { noStore } from '../../src/lab/store.ts';

const FULL = process.env.REHOME_SOAK === 'full';
const SEEDS = FULL ? 20 : 1;
const DEVICES = FULL ? 100 : 20;

const TOGETHER = 'lose-sms,duplicate-sms,reorder,cut-power,jam';
/** Of 3a and 3b together, every fourth card has no trial that could be refused: a plain one of 3a. */
const NO_TRIAL = 1 / 4;

/** How many devices must have moved, of all: at least, at most. */
function moving(fault: string): [number, number] {
  if (fault === 'target-down') return [0, 0];
  if (fault.startsWith('emm-cause-')) return [NO_TRIAL * DEVICES, NO_TRIAL * DEVICES];
  // What came back because B fell silent is ordered once more, when nothing is wrong any more.
  if (fault === 'none' || fault === 'target-down-late') return [DEVICES, DEVICES];
  // In a bad world all of them, but for one that had no luck for an hour's trial.
  return [0.95 * DEVICES, DEVICES];
}

let runs = 0;

for (const fault of ['none', ...FAULT_NAMES, TOGETHER]) {
  test(`${fault}: ${SEEDS} seeds of ${DEVICES} devices, none stranded, nothing done twice`, async () => {
    for (let seed = 100; seed < 100 + SEEDS; seed++) {
      const run = ++runs;
      const file = (part: string): string => `file:soak-${run}-${part}?mode=memory&cache=shared`;
      let released = 0;
      const { result, complete } = await runLab({
        alternatives: ['3a', '3b'],
        devices: DEVICES,
        seed,
        faults: parseFaults(fault === 'none' ? [] : fault.split(',')),
        store: { ...noStore(), file },
        beforeVerdict: () => (released = releasedIn(file)),
        tell: () => undefined,
      });
      const told = `seed ${seed}: ${JSON.stringify(result)}`;
      assert.ok(complete, told);
      const [least, most] = moving(fault);
      assert.ok(result.moved >= least && result.moved <= most, told);
      assert.equal(result.moved + result.rolledBack, DEVICES, told);
      assert.deepEqual([result.awaitingVisit, result.effectsRepeated], [0, 0], told);
      // Before B's HSS has answered no key leaves A or the escrow.
      if (fault === 'target-down') assert.equal(released, 0, told);
      else assert.ok(released >= DEVICES, `${released} keys released, ${told}`);
    }
  });
}

/** Keys that left A's vault or the escrow's, in the databases of a run. */
function releasedIn(file: (part: string) => string): number {
  const count = (part: string, from: string): number => {
    const database = new DatabaseSync(file(part));
    try {
      return Number(database.prepare(`SELECT count(*) AS found FROM ${from}`).get()!.found);
    } finally {
      database.close();
    }
  };
  return count('operator-A', 'key_transfer') + count('escrow', `pair WHERE state <> 'kept'`);
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
