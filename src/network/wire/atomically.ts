/** Transactions of a role's database. */
import type { DatabaseSync } from 'node:sqlite';

/** All or nothing, also within another. */
export function atomically<T>(database: DatabaseSync, run: () => T): T {
  const nested = database.isTransaction;
  database.exec(nested ? 'SAVEPOINT nested' : 'BEGIN IMMEDIATE');
  try {
    const result = run();
    database.exec(nested ? 'RELEASE nested' : 'COMMIT');
    return result;
  } catch (error) {
    try {
      // SQLite may have rolled back by itself, as on a full disk.
      if (database.isTransaction) database.exec(nested ? 'ROLLBACK TO nested; RELEASE nested' : 'ROLLBACK');
    } catch {
      // What went wrong first is what is told.
    }
    throw error;
  }
}
