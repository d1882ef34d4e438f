/**
 * A device whose application has fallen silent: told once in the owner's feed, and again only after it was heard. One
 * timer for all, set for the one that was heard longest ago.
 */
import type { DatabaseSync } from 'node:sqlite';
import type { Clock, Timer } from '../../edge/index.ts';
import { atomically } from '../wire/atomically.ts';
import type { Feed } from '../wire/feed.ts';

export interface Silence {
  /** A device was heard. */
  broken(device: string): void;
  close(): void;
}

/**
 * @param database the owner's, with its tables `device` and `silence`
 * @param after milliseconds without a word
 */
export function watchSilence(database: DatabaseSync, clock: Clock, feed: Feed, after: number): Silence {
  const fallen = database.prepare(
    `SELECT device, heard_over, heard_at FROM device
     WHERE heard_at <= ? AND device NOT IN (SELECT device FROM silence) ORDER BY heard_at`,
  );
  const oldest = database.prepare(
    'SELECT min(heard_at) AS at FROM device WHERE device NOT IN (SELECT device FROM silence)',
  );
  const put = database.prepare('INSERT OR IGNORE INTO silence (device) VALUES (?)');
  const drop = database.prepare('DELETE FROM silence WHERE device = ?');
  let timer: Timer | undefined;

  const look = (): void => {
    timer = undefined;
    atomically(database, () => {
      for (const { device, heard_over: operator, heard_at: since } of fallen.all(clock.now() - after)) {
        put.run(device!);
        feed.append('silent', { device, operator, since });
      }
    });
    set();
  };
  const set = (): void => {
    if (timer) return;
    const at = oldest.get()?.at;
    if (typeof at === 'number') timer = clock.after(Math.max(0, at + after - clock.now()), look);
  };
  set();
  return {
    broken(device) {
      drop.run(device);
      set();
    },
    close: () => timer?.cancel(),
  };
}
