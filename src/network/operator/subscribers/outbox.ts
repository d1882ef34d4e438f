/**
 * What an HSS has yet to be told, on disk: a row is written by the database itself in the transaction that makes a
 * subscriber ready or takes it away, so that no code can forget it, and stays until the HSS has acknowledged it.
 * For one IMSI one row after the other.
 */
import type { Clock, Random, Timer } from '../../../edge/index.ts';
import { toHex } from '../../../standards/bytes/index.ts';
import { Problem } from '../../wire/http.ts';
import type { OperatorStore } from '../store.ts';
import type { FeedEntry, FeedOutcome, SubscriberFeeder } from './keeper.ts';

/** Rows that one call of the feeder is given. */
const TOGETHER = 500;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 300_000;
/** Milliseconds that a request for a change waits for the HSS before it is told to come again. */
const PATIENCE_MS = 10_000;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS hss_outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, imsi TEXT NOT NULL, action TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting', attempts INTEGER NOT NULL DEFAULT 0, due INTEGER NOT NULL DEFAULT 0,
    why TEXT, code TEXT
  ) STRICT;
  CREATE INDEX IF NOT EXISTS hss_outbox_imsi ON hss_outbox (imsi, id);
  CREATE INDEX IF NOT EXISTS hss_outbox_due ON hss_outbox (due) WHERE state = 'waiting';
  CREATE TABLE IF NOT EXISTS hss_outbox_name (one INTEGER PRIMARY KEY CHECK (one = 1), name TEXT NOT NULL) STRICT;
  -- Of this connection alone: whoever opens the database without an outbox writes none.
  CREATE TEMP TRIGGER subscriber_ready AFTER UPDATE OF state, aka, msisdn ON main.subscriber
  WHEN NEW.state = 'ready' AND NEW.aka IS NOT NULL
    AND (OLD.state <> 'ready' OR OLD.aka IS NOT NEW.aka OR OLD.msisdn <> NEW.msisdn)
  BEGIN
    INSERT INTO hss_outbox (imsi, action) VALUES (NEW.imsi, 'put');
    SELECT rehome_outbox_wake();
  END;
  CREATE TEMP TRIGGER subscriber_gone AFTER UPDATE OF state ON main.subscriber
  WHEN OLD.state = 'ready' AND NEW.state <> 'ready'
  BEGIN
    INSERT INTO hss_outbox (imsi, action) VALUES (NEW.imsi, 'remove');
    SELECT rehome_outbox_wake();
  END;
`;

export interface OutboxOptions {
  clock: Clock;
  random: Random;
  store: OperatorStore;
  feeder: SubscriberFeeder;
  /** milliseconds that `settled` waits; 10000 if not given */
  patienceMs?: number;
  onError: (error: unknown) => void;
}

export interface Outbox {
  /**
   * Resolves once the HSS has taken all it was told of this IMSI; asks it again at once if it had not.
   * @throws Problem 409 with the HSS's reason if it refuses, 503 `hss-pending` if it does not answer in time
   */
  settled(imsi: string): Promise<void>;
  /** Resolves once nothing waits. */
  empty(): Promise<void>;
  close(): Promise<void>;
}

interface Row {
  id: number;
  imsi: string;
  action: 'put' | 'remove';
  state: 'waiting' | 'taken' | 'refused';
  attempts: number;
  why: string | null;
  code: string | null;
}
const rowOf = (row: Record<string, unknown>): Row => row as unknown as Row;

export function openOutbox(options: OutboxOptions): Outbox {
  const { clock, store, feeder } = options;
  const { database } = store;
  let timer: Timer | undefined;
  let running: Promise<void> | undefined;
  let again = false;
  let closed = false;
  const watching = new Set<() => void>();

  database.function('rehome_outbox_wake', () => {
    wake();
    return null;
  });
  database.exec(SCHEMA);
  // Who is ready already, and of whom the HSS was never told.
  database.exec(
    `INSERT INTO hss_outbox (imsi, action) SELECT imsi, 'put' FROM subscriber
     WHERE state = 'ready' AND aka IS NOT NULL AND imsi NOT IN (SELECT imsi FROM hss_outbox)`,
  );
  database
    .prepare('INSERT INTO hss_outbox_name (one, name) VALUES (1, ?) ON CONFLICT DO NOTHING')
    .run(toHex(options.random.bytes(4)));
  const name = String(database.prepare('SELECT name FROM hss_outbox_name').get()!.name);

  const due = database.prepare(
    `SELECT * FROM hss_outbox AS row WHERE state = 'waiting' AND due <= ? AND NOT EXISTS
       (SELECT 1 FROM hss_outbox WHERE imsi = row.imsi AND id < row.id AND state = 'waiting')
     ORDER BY id LIMIT ${TOGETHER}`,
  );
  const nextDue = database.prepare(`SELECT min(due) AS due FROM hss_outbox WHERE state = 'waiting'`);
  const last = database.prepare('SELECT * FROM hss_outbox WHERE imsi = ? ORDER BY id DESC LIMIT 1');
  const taken = database.prepare(
    `SELECT action FROM hss_outbox WHERE imsi = ? AND id < ? AND state = 'taken' ORDER BY id DESC LIMIT 1`,
  );
  const settle = database.prepare('UPDATE hss_outbox SET state = ?, why = ?, code = ? WHERE id = ?');
  const forget = database.prepare(`DELETE FROM hss_outbox WHERE imsi = ? AND id < ? AND state <> 'waiting'`);
  const postpone = database.prepare(
    'UPDATE hss_outbox SET attempts = attempts + 1, due = ?, why = ? WHERE id = ?',
  );
  const hasten = database.prepare(
    `UPDATE hss_outbox SET due = 0 WHERE imsi = ? AND state = 'waiting' AND due > ?`,
  );
  const retry = database.prepare(`UPDATE hss_outbox SET state = 'waiting', due = 0 WHERE id = ?`);

  const identifier = (id: number): string => `${name}-${id}`;

  /** Undefined if the subscriber is not ready any more: what follows in the outbox says what became of it. */
  const entryOf = ({ id, imsi, action }: Row): FeedEntry | undefined => {
    if (action === 'remove') return { id: identifier(id), action, imsi };
    const subscriber = store.byImsi(imsi);
    if (subscriber?.state !== 'ready' || !subscriber.aka || !subscriber.label) return undefined;
    const { msisdn, iccid, aka, label, seq } = subscriber;
    const known = taken.get(imsi, id)?.action === 'put';
    return { id: identifier(id), action, known, subscriber: { imsi, msisdn, iccid, aka, label, seq } };
  };

  const record = (row: Row, outcome: FeedOutcome): void => {
    if ('later' in outcome) {
      const backoff = Math.min(FIRST_RETRY_MS * 2 ** Math.min(row.attempts, 20), LAST_RETRY_MS);
      postpone.run(clock.now() + (outcome.afterMs ?? backoff), outcome.later, row.id);
      return;
    }
    const refused = 'refused' in outcome;
    settle.run(
      refused ? 'refused' : 'taken',
      refused ? outcome.refused : null,
      refused ? outcome.code : null,
      row.id,
    );
    // What was taken before a refusal is still so.
    if (!refused) forget.run(row.imsi, row.id);
  };

  const round = async (): Promise<void> => {
    const rows = due.all(clock.now()).map(rowOf);
    const told: { row: Row; entry: FeedEntry }[] = [];
    const moot: Row[] = [];
    for (const row of rows) {
      const entry = entryOf(row);
      if (entry) told.push({ row, entry });
      else moot.push(row);
    }
    let outcomes: FeedOutcome[];
    try {
      outcomes = told.length === 0 ? [] : await feeder.feed(told.map(({ entry }) => entry));
    } catch (error) {
      options.onError(error);
      outcomes = told.map(() => ({ later: 'the feeder failed' }));
    }
    if (closed) return;
    store.transaction(() => {
      for (const row of moot) settle.run('taken', 'not ready any more', null, row.id);
      told.forEach(({ row }, i) => record(row, outcomes[i] ?? { later: 'no outcome' }));
    });
    feeder.settled?.(
      told.filter((_, i) => !('later' in (outcomes[i] ?? { later: '' }))).map(({ entry }) => entry.id),
    );
    for (const look of [...watching]) look();
    if (rows.length > 0) again = true;
  };

  const run = async (): Promise<void> => {
    timer?.cancel();
    timer = undefined;
    do {
      again = false;
      await round();
    } while (again && !closed);
    if (closed) return;
    const next = nextDue.get()?.due;
    if (typeof next === 'number') timer = clock.after(Math.max(0, next - clock.now()), wake);
  };

  /** May be called within a transaction: the work begins after it. */
  function wake(): void {
    again = true;
    if (running || closed) return;
    running = Promise.resolve()
      .then(run)
      .catch(options.onError)
      .finally(() => {
        running = undefined;
        if (again) wake();
      });
  }

  /** Resolves when `look` finds what it looks for. @param late what to do when patience ends */
  const watch = <T>(look: () => T | undefined, patienceMs?: number): Promise<T | undefined> =>
    new Promise((resolve) => {
      const end = (value: T | undefined): void => {
        watching.delete(check);
        giveUp?.cancel();
        resolve(value);
      };
      const check = (): void => {
        const found = look();
        if (found !== undefined || closed) end(found);
      };
      const giveUp = patienceMs === undefined ? undefined : clock.after(patienceMs, () => end(undefined));
      watching.add(check);
      check();
    });

  wake();
  return {
    async settled(imsi) {
      const row = last.get(imsi);
      if (!row) return;
      if (rowOf(row).state === 'refused') retry.run(rowOf(row).id);
      if (rowOf(row).state === 'refused' || hasten.run(imsi, clock.now()).changes > 0) wake();
      const found = await watch(() => {
        const now = rowOf(last.get(imsi)!);
        return now.state === 'waiting' ? undefined : now;
      }, options.patienceMs ?? PATIENCE_MS);
      if (!found) {
        const why = rowOf(last.get(imsi)!).why;
        throw new Problem(
          503,
          'hss-pending',
          `the HSS has not taken IMSI ${imsi} yet${why ? `: ${why}` : ''}`,
        );
      }
      if (found.state === 'refused') {
        throw new Problem(
          409,
          found.code ?? 'hss-refuses',
          `the HSS refuses IMSI ${imsi}: ${found.why ?? ''}`,
        );
      }
    },
    empty: async () => {
      await watch(() => (nextDue.get()?.due === null ? true : undefined));
    },
    async close() {
      closed = true;
      timer?.cancel();
      await feeder.close();
      await running;
      for (const look of [...watching]) look();
    },
  };
}
