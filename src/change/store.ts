/**
 * Where changes are kept: a row each, and a log of what came of every step. Rows are claimed and settled in
 * batches, one transaction each. A claim is the intent: step, attempt and phase `running` are on disk before
 * any effect, and who finds a row so after a crash knows that it is in doubt.
 */
import { DatabaseSync } from 'node:sqlite';
import { FieldError } from '../standards/bytes/index.ts';
import type { Alternative, Change, Facts, NewChange, Signal, Step, TerminalState } from './change.ts';

/** phase of a row */
const READY = 0;
const RUNNING = 1;
const ENDED = 2;

/** Most rows of one claim. */
const BATCH = 500;

export interface Claimed extends Omit<Change, 'overdue'> {
  id: number;
}

/** What becomes of a claimed row. */
export interface Settled {
  id: number;
  /** the step and attempt that were run */
  from: Step;
  attempt: number;
  /** where the change stands now */
  step: Step;
  /** a new step begins: attempts count anew */
  fresh: boolean;
  /** when to run again, milliseconds since 1970 */
  due: number;
  state: TerminalState | undefined;
  data: Facts | undefined;
  /** for the log */
  outcome: string;
}

export interface ChangeCounts {
  total: number;
  live: number;
  ended: Record<TerminalState, number>;
}

export interface ChangeLogEntry {
  at: number;
  step: Step;
  attempt: number;
  what: string;
}

export interface ChangeStore {
  /** rows that were between intent and outcome when the store was last left */
  readonly inDoubt: number;
  enqueue(changes: readonly NewChange[], now: number): void;
  /** Records outcomes and claims what is due, in one transaction: intents are on disk when it returns. */
  turn(settled: readonly Settled[], now: number): Claimed[];
  /** Facts for live changes, with the feed position that they came from, in one transaction. */
  signal(signals: readonly Signal[], now: number, cursor?: [feed: string, at: number]): void;
  cursor(feed: string): number;
  /** the earliest due time of a ready row */
  nextDue(): number | undefined;
  counts(): ChangeCounts;
  state(change: string): { state: TerminalState | 'live'; step: Step; log: ChangeLogEntry[] } | undefined;
  close(): void;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS change (
    id INTEGER PRIMARY KEY,
    change TEXT NOT NULL UNIQUE,
    device TEXT NOT NULL,
    alternative TEXT NOT NULL,
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    step TEXT NOT NULL,
    phase INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    since INTEGER NOT NULL,
    due INTEGER NOT NULL,
    woken INTEGER NOT NULL DEFAULT 0,
    state TEXT
  ) STRICT;
  -- Apart, as it is long and seldom written while the row above changes with every step.
  CREATE TABLE IF NOT EXISTS change_data (
    id INTEGER PRIMARY KEY REFERENCES change (id), data TEXT NOT NULL, facts TEXT NOT NULL DEFAULT '{}'
  ) STRICT;
  CREATE UNIQUE INDEX IF NOT EXISTS one_change_a_device ON change (device) WHERE phase < 2;
  CREATE INDEX IF NOT EXISTS change_due ON change (due) WHERE phase = 0;
  CREATE TABLE IF NOT EXISTS change_log (
    id INTEGER PRIMARY KEY, change INTEGER NOT NULL, at INTEGER NOT NULL, step TEXT NOT NULL,
    attempt INTEGER NOT NULL, what TEXT NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS log_of_change ON change_log (change);
  CREATE TABLE IF NOT EXISTS feed_cursor (feed TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT;
`;

/** @param path a file, or `:memory:` */
export function openChangeStore(path: string): ChangeStore {
  const database = new DatabaseSync(path);
  database.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON');
  database.exec(SCHEMA);
  database.exec(
    `INSERT INTO change_log (change, at, step, attempt, what)
     SELECT id, due, step, attempt, 'in doubt' FROM change WHERE phase = ${RUNNING}`,
  );
  const inDoubt = Number(
    database.prepare(`UPDATE change SET phase = ${READY} WHERE phase = ${RUNNING}`).run().changes,
  );

  const insert = database.prepare(
    `INSERT INTO change (change, device, alternative, source, target, step, phase, attempt, since, due)
     VALUES (?, ?, ?, ?, ?, 'reserve', ${READY}, 0, ?, ?)`,
  );
  const insertData = database.prepare('INSERT INTO change_data (id, data) VALUES (?, ?)');
  const dataOf = database.prepare('SELECT data, facts FROM change_data WHERE id = ?');
  const keep = database.prepare('UPDATE change_data SET data = json_patch(data, ?) WHERE id = ?');
  const claim = database.prepare(
    `UPDATE change SET phase = ${RUNNING}, attempt = attempt + 1, woken = 0
     WHERE id IN (SELECT id FROM change WHERE phase = ${READY} AND due <= ? ORDER BY due LIMIT ${BATCH})
     RETURNING id, change, device, alternative, source, target, step, attempt, since`,
  );
  const note = database.prepare(
    'INSERT INTO change_log (change, at, step, attempt, what) VALUES (?, ?, ?, ?, ?)',
  );
  // A signal that came while the step ran must not be slept over.
  const settle = database.prepare(
    `UPDATE change SET step = ?, phase = ?, state = ?, attempt = CASE WHEN ? THEN 0 ELSE attempt END,
       since = CASE WHEN ? THEN ? ELSE since END, due = CASE WHEN woken THEN ? ELSE ? END
     WHERE id = ? AND phase = ${RUNNING}`,
  );
  const wakeBy = (column: 'change' | 'device') =>
    database.prepare(
      `UPDATE change SET woken = 1, due = CASE WHEN phase = ${READY} THEN ? ELSE due END
       WHERE ${column} = ? AND phase < ${ENDED} RETURNING id`,
    );
  const wakeChange = wakeBy('change');
  const wakeDevice = wakeBy('device');
  const learn = database.prepare('UPDATE change_data SET facts = json_patch(facts, ?) WHERE id = ?');
  const move = database.prepare(
    'INSERT INTO feed_cursor (feed, at) VALUES (?, ?) ON CONFLICT (feed) DO UPDATE SET at = excluded.at',
  );
  const cursor = database.prepare('SELECT at FROM feed_cursor WHERE feed = ?');
  const nextDue = database.prepare(`SELECT min(due) AS due FROM change WHERE phase = ${READY}`);
  const counts = database.prepare('SELECT state, count(*) AS n FROM change GROUP BY state');
  const one = database.prepare('SELECT id, step, state FROM change WHERE change = ?');
  const log = database.prepare('SELECT at, step, attempt, what FROM change_log WHERE change = ? ORDER BY id');

  const transaction = <T>(run: () => T): T => {
    database.exec('BEGIN IMMEDIATE');
    try {
      const result = run();
      database.exec('COMMIT');
      return result;
    } catch (error) {
      // A full disk has ended it already.
      if (database.isTransaction) database.exec('ROLLBACK');
      throw error;
    }
  };

  return {
    inDoubt,
    enqueue(changes, now) {
      transaction(() => {
        for (const each of changes) {
          try {
            const { lastInsertRowid } = insert.run(
              each.change,
              each.device,
              each.alternative,
              each.from,
              each.to,
              now,
              now,
            );
            insertData.run(lastInsertRowid, JSON.stringify(each.data));
          } catch (error) {
            if (String(error).includes('UNIQUE')) {
              throw new FieldError('device', each.device, 'a device with no change under way');
            }
            throw error;
          }
        }
      });
    },
    turn(settled, now) {
      return transaction(() => {
        for (const each of settled) {
          const fresh = each.fresh ? 1 : 0;
          const phase = each.state ? ENDED : READY;
          settle.run(each.step, phase, each.state ?? null, fresh, fresh, now, now, each.due, each.id);
          if (each.data) keep.run(JSON.stringify(each.data), each.id);
          note.run(each.id, now, each.from, each.attempt, each.outcome);
        }
        return claim.all(now).map((row) => {
          const { data, facts } = dataOf.get(Number(row.id))!;
          return {
            id: Number(row.id),
            change: String(row.change),
            device: String(row.device),
            alternative: row.alternative as Alternative,
            from: String(row.source),
            to: String(row.target),
            step: row.step as Step,
            attempt: Number(row.attempt),
            since: Number(row.since),
            data: JSON.parse(String(data)) as Facts,
            facts: JSON.parse(String(facts)) as Facts,
          };
        });
      });
    },
    signal(signals, now, at) {
      transaction(() => {
        for (const { of, facts } of signals) {
          const row = 'change' in of ? wakeChange.get(now, of.change) : wakeDevice.get(now, of.device);
          if (row) learn.run(JSON.stringify(facts), Number(row.id));
        }
        if (at) move.run(at[0], at[1]);
      });
    },
    cursor: (feed) => Number(cursor.get(feed)?.at ?? 0),
    nextDue() {
      const due = nextDue.get()?.due;
      return due === null || due === undefined ? undefined : Number(due);
    },
    counts() {
      const result: ChangeCounts = {
        total: 0,
        live: 0,
        ended: { done: 0, rolledBack: 0, pristine: 0, awaitingVisit: 0 },
      };
      for (const row of counts.all()) {
        result.total += Number(row.n);
        if (row.state === null) result.live = Number(row.n);
        else result.ended[row.state as TerminalState] = Number(row.n);
      }
      return result;
    },
    state(change) {
      const row = one.get(change);
      if (!row) return undefined;
      return {
        state: (row.state as TerminalState | null) ?? 'live',
        step: row.step as Step,
        log: log.all(Number(row.id)).map((entry) => ({
          at: Number(entry.at),
          step: entry.step as Step,
          attempt: Number(entry.attempt),
          what: String(entry.what),
        })),
      };
    },
    close: () => database.close(),
  };
}
