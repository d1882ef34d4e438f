/** A file for one process alone, on a machine that may lose its processes at any time. */
import { closeSync, constants, fstatSync, lstatSync, openSync, realpathSync, unlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Hold } from './index.ts';

/** Held by this process. The system keeps locks by process: a second attempt would lose us the first. */
const held = new Set<string>();

/** A file's name with all links followed; it need not be there yet. */
function trueName(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return join(realpathSync(dirname(path)), basename(path));
  }
}

const inUse = (path: string): Error =>
  new Error(`${path} is in use by another process; one at a time can have it`);

/** SQLite's lock on an empty file, which the system lifts when the process ends, however it does. */
function lock(beside: string): DatabaseSync | undefined {
  const database = new DatabaseSync(beside);
  try {
    // Nothing is ever written, so no journal either.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return database;
  } catch (error) {
    database.close();
    const { errcode } = error as { errcode?: number };
    const BUSY = 5;
    if (errcode !== undefined && (errcode & 0xff) === BUSY) return undefined;
    throw new Error(`cannot lock ${beside}: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * Takes a file by a lock on an empty file beside it, `<file>.lock`, which is removed when it is given back.
 * @throws Error if the file is in use; the system's error if the lock cannot be made
 */
export function hold(path: string): Hold {
  const file = trueName(path);
  const beside = `${file}.lock`;
  if (held.has(beside)) throw inUse(path);
  for (;;) {
    const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;
    const opened = openSync(beside, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
    let database: DatabaseSync | undefined;
    try {
      database = lock(beside);
      if (!database) throw inUse(path);
      // Whoever had it may have removed it after we opened it: then what we locked is no longer there.
      const now = lstatSync(beside, { throwIfNoEntry: false });
      if (now?.ino !== fstatSync(opened).ino) {
        database.close();
        closeSync(opened);
        continue;
      }
    } catch (error) {
      database?.close();
      closeSync(opened);
      throw error;
    }
    held.add(beside);
    const taken = database;
    return {
      path: file,
      release() {
        if (!held.delete(beside)) return;
        try {
          unlinkSync(beside);
        } finally {
          taken.close();
          closeSync(opened);
        }
      },
    };
  }
}
