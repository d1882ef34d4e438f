/**
 * What happened at a role, as a numbered feed kept in its database: a reader asks for what came after the
 * last number it has, and waits if there is none yet. Nothing is lost between two readings.
 */
import type { DatabaseSync } from 'node:sqlite';
import type { Clock } from '../../edge/index.ts';
import { get, type Route, type RoleCaller, Problem } from './http.ts';

/** How long a reader is kept waiting before it gets an empty answer, in milliseconds. */
const LONG_POLL = 600_000;
const PAGE = 1000;

export interface FeedEvent {
  id: number;
  /** milliseconds since 1970 */
  at: number;
  kind: string;
  [field: string]: unknown;
}

export interface Feed {
  /** Appends within the caller's transaction, if any. */
  append(kind: string, fields: Record<string, unknown>): void;
  route: Route;
}

export function createFeed(database: DatabaseSync, clock: Clock, longPoll = LONG_POLL): Feed {
  database.exec(
    'CREATE TABLE IF NOT EXISTS event (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER, body TEXT)',
  );
  const insert = database.prepare('INSERT INTO event (at, body) VALUES (?, ?)');
  const select = database.prepare('SELECT id, at, body FROM event WHERE id > ? ORDER BY id LIMIT ?');
  let waiting: (() => void)[] = [];
  const since = (after: number): FeedEvent[] =>
    select.all(after, PAGE).map((row) => ({
      id: Number(row.id),
      at: Number(row.at),
      ...(JSON.parse(String(row.body)) as { kind: string }),
    }));
  return {
    append(kind, fields) {
      insert.run(clock.now(), JSON.stringify({ kind, ...fields }));
      if (waiting.length === 0) return;
      const wake = waiting;
      waiting = [];
      // After the caller's transaction: a reader must not see what may yet be undone.
      queueMicrotask(() => wake.forEach((each) => each()));
    },
    route: get('/events', async ({ query, gone }) => {
      const after = Number(query.after ?? 0);
      if (!Number.isInteger(after) || after < 0)
        throw new Problem(400, 'bad-request', 'after: expected a whole number');
      let events = since(after);
      if (events.length === 0) {
        let stop: () => void = () => undefined;
        await Promise.race([
          gone(),
          new Promise<void>((resolve) => {
            waiting.push(resolve);
            const timer = clock.after(longPoll, resolve);
            stop = () => timer.cancel();
          }),
        ]);
        stop();
        events = since(after);
      }
      return { events };
    }),
  };
}

/** Follows a role's feed from `after`, until closed; asks again after a pause where the role is away. */
export function followFeed(
  clock: Clock,
  caller: RoleCaller,
  after: number,
  receive: (events: FeedEvent[]) => void,
): { close(): void } {
  let open = true;
  let cursor = after;
  const next = async (): Promise<void> => {
    while (open) {
      try {
        const { events } = (await caller.wait(`/events?after=${cursor}`)) as { events: FeedEvent[] };
        if (!open) return;
        const last = events.at(-1);
        if (last) {
          receive(events);
          cursor = last.id;
        }
      } catch {
        if (!open) return;
        await new Promise<void>((resolve) => clock.after(1000, resolve));
      }
    }
  };
  void next();
  return {
    close: () => {
      open = false;
    },
  };
}
