/**
 * Changes a second through all six steps, durably (WAL, synchronous=full), effects free; beside as many bare
 * transactions that write the same rows in batches of the same size, on the same disk.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { STEPS, type ChangeMethod } from '../src/change/change.ts';
import { createChangeEngine } from '../src/change/engine.ts';
import { openChangeStore } from '../src/change/store.ts';
import { realClock } from '../src/edge/real.ts';

const COUNT = 20_000;
const BATCH = 500;

async function changes(folder: string, count: number): Promise<number> {
  const store = openChangeStore(join(folder, `changes-${count}.db`));
  const policy = { pause: 1000, longestPause: 1000 };
  const method: ChangeMethod = {
    alternative: '3b',
    policies: Object.fromEntries(STEPS.map((step) => [step, policy])) as ChangeMethod['policies'],
    // Two steps of six keep something, as those of 3b do.
    run: (step, all) =>
      Promise.resolve(
        all.map(() =>
          step === 'reserve' || step === 'prepare' ? { go: 'next', data: { [step]: 1 } } : { go: 'next' },
        ),
      ),
  };
  let ended = 0;
  let finished: () => void = () => undefined;
  const all = new Promise<void>((resolve) => {
    finished = resolve;
  });
  const engine = createChangeEngine({
    clock: realClock,
    store,
    methods: [method],
    observe: ({ state }) => {
      if (state !== undefined && ++ended === count) finished();
    },
  });
  for (let i = 0; i < count; i += 5000) {
    store.enqueue(
      Array.from({ length: Math.min(5000, count - i) }, (_, j) => ({
        change: (i + j).toString(16).padStart(16, '0'),
        device: `device-${i + j}`,
        alternative: '3b',
        from: 'A',
        to: 'B',
        data: { order: 'x'.repeat(600) },
      })),
      realClock.now(),
    );
  }
  const start = performance.now();
  engine.wake();
  await all;
  const rate = (count * 1000) / (performance.now() - start);
  await engine.close();
  store.close();
  return rate;
}

/** Two writes a step and change, in transactions of a batch: what the disk and SQLite allow. */
function bare(folder: string): number {
  const database = new DatabaseSync(join(folder, 'bare.db'));
  database.exec(
    'PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE row (id INTEGER PRIMARY KEY, step TEXT, data TEXT)',
  );
  const insert = database.prepare('INSERT INTO row (step, data) VALUES (?, ?)');
  database.exec('BEGIN');
  for (let i = 0; i < COUNT; i++) insert.run('reserve', 'x'.repeat(600));
  database.exec('COMMIT');
  const update = database.prepare('UPDATE row SET step = ? WHERE id = ?');
  const start = performance.now();
  for (const step of STEPS.slice(0, 6)) {
    for (let from = 0; from < COUNT; from += BATCH) {
      for (let times = 0; times < 2; times++) {
        database.exec('BEGIN IMMEDIATE');
        for (let id = from + 1; id <= from + BATCH; id++) update.run(step, id);
        database.exec('COMMIT');
      }
    }
  }
  const rate = (COUNT * 1000) / (performance.now() - start);
  database.close();
  return rate;
}

export async function run(): Promise<{ name: string; measured: number; beside: number; ratio: number }[]> {
  const folder = mkdtempSync(join(tmpdir(), 'rehome-bench-'));
  try {
    const small = await changes(folder, COUNT / 10);
    const measured = await changes(folder, COUNT);
    const beside = bare(folder);
    return [
      { name: `changes/s, six steps each, durable (${COUNT})`, measured, beside, ratio: measured / beside },
      {
        name: `the same with a tenth of them (flat cost: ratio 1)`,
        measured: small,
        beside: measured,
        ratio: small / measured,
      },
    ];
  } finally {
    rmSync(folder, { recursive: true });
  }
}
