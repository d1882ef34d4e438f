/**
 * What outlives the lab's process: the engine's file, each role's part beside it, the cards, the keys that
 * a role holds outside its database, and what the lab itself must know to go on. Without `--store`: nothing.
 */
import { createHash, randomInt } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import {
  formatCardFile,
  imsiContent,
  parseCardFile,
  stateOf,
  type CardState,
  type CardStore,
} from '../device/uicc/index.ts';
import { FieldError, equal } from '../standards/bytes/index.ts';

/** Parts beside the engine's file. */
const PARTS = [
  'lab',
  'cards',
  'owner',
  'escrow',
  'manufacturer',
  'agent',
  'agent-A',
  'agent-B',
  'operator-A',
  'operator-B',
] as const;
export type StorePart = (typeof PARTS)[number];

/** Virtual time is taken in leases of so many milliseconds: what was not used is skipped when resumed. */
const LEASE = 600_000;

/** A card's memory, which counts how often the card took another IMSI. */
export interface LabCard extends CardStore {
  readonly switches: number;
}

export interface LabStore {
  /** the world in it was made before */
  readonly resumed: boolean;
  /** when time goes on, milliseconds since 1970; undefined in a new world */
  readonly time: number | undefined;
  /** The engine's database. */
  readonly engine: string;
  /** A part's database. */
  file(part: StorePart): string;
  /** A secret that its holder keeps outside any database; made when first asked for. */
  secret(holder: string, make: () => string): string;
  /** Where the card of a device's slot lives. */
  card(device: string, slot: string): LabCard;
  /** Time passes; called before it does. */
  passing(now: number): void;
  get<T>(name: string): T | undefined;
  put(name: string, value: unknown): void;
  close(): void;
}

function countingCard(
  load: () => { state: CardState; switches: number } | undefined,
  save: (state: CardState, switches: number) => void,
): LabCard {
  let last = load();
  return {
    get switches() {
      return last?.switches ?? 0;
    },
    load: () => last?.state,
    save(state) {
      const same = !last || equal(imsiContent(last.state), imsiContent(state));
      const switches = (last?.switches ?? 0) + (same ? 0 : 1);
      save(state, switches);
      last = { state, switches };
    },
  };
}

/** Keeps nothing. */
export function noStore(): LabStore {
  const kept = new Map<string, unknown>();
  return {
    resumed: false,
    time: undefined,
    engine: ':memory:',
    file: () => ':memory:',
    secret: (_holder, make) => make(),
    card: () =>
      countingCard(
        () => undefined,
        () => undefined,
      ),
    passing: () => undefined,
    get: <T>(name: string) => kept.get(name) as T | undefined,
    put: (name, value) => void kept.set(name, value),
    close: () => undefined,
  };
}

function open(path: string): DatabaseSync {
  try {
    const database = new DatabaseSync(path);
    database.exec('PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL');
    return database;
  } catch (error) {
    const busy = /locked|busy/.test(String(error));
    throw new FieldError(
      '--store',
      path,
      busy ? 'a store that no other process has open' : `a store of the lab (${(error as Error).message})`,
    );
  }
}

const FULL = 13;

/** Whether a disk had no room for what was to be written. */
export function isDiskFull(error: unknown): boolean {
  const { errcode, code, cause } = (error ?? {}) as { errcode?: number; code?: string; cause?: unknown };
  if ((errcode !== undefined && (errcode & 0xff) === FULL) || code === 'ENOSPC') return true;
  return cause !== undefined && cause !== error && isDiskFull(cause);
}

/** @param path the store's file */
export const diskFull = (path: string): Error =>
  new Error(`the disk of ${path} and the files beside it is full; make room, then --resume goes on`);

/** How the files of a store are laid out; another number is another version's. */
const LAYOUT = 1;

const filesOf = (path: string): string[] => [
  path,
  ...PARTS.filter((part) => part !== 'lab').map((part) => `${path}.${part}`),
];

/** Marks each file of a new world as one of it. */
function mark(path: string, world: number, own: string, cards: DatabaseSync): void {
  for (const file of filesOf(path)) {
    const database = file === own ? cards : new DatabaseSync(file);
    try {
      database.exec(
        `PRAGMA busy_timeout=5000; PRAGMA application_id=${world}; PRAGMA user_version=${LAYOUT}`,
      );
    } finally {
      if (database !== cards) database.close();
    }
  }
}

/** @throws FieldError on a file of a world that is missing, damaged, another version's or another world's */
function check(path: string, world: number): void {
  for (const file of filesOf(path)) {
    const refuse = (expected: string): FieldError => new FieldError('--store', file, expected);
    if (!existsSync(file)) throw refuse('the file of this store; it is gone');
    let database: DatabaseSync | undefined;
    try {
      database = new DatabaseSync(file);
      const found = database.prepare('PRAGMA quick_check(1)').get()?.quick_check;
      if (found !== 'ok') throw new Error(String(found));
    } catch (error) {
      database?.close();
      throw refuse(`a file of this store that is whole (${(error as Error).message})`);
    }
    const layout = Number(database.prepare('PRAGMA user_version').get()!.user_version);
    const id = Number(database.prepare('PRAGMA application_id').get()!.application_id);
    database.close();
    if (layout !== LAYOUT) throw refuse(`a file of version ${LAYOUT}, not of ${layout}`);
    if (id !== world) throw refuse('a file of this world; it is of another one');
  }
}

const digestOf = (secret: string): string => createHash('sha256').update(secret).digest('hex');

const secretFile = (path: string, holder: string): string => `${path}.${holder}.key`;

/**
 * Opens a store.
 * @param resume whether to go on with what is there; a finished or missing world is refused then, and one that
 * is there is refused otherwise
 * @throws FieldError naming what is wrong with it
 */
export function openLabStore(path: string, resume: boolean): LabStore {
  const lab = `${path}.lab`;
  if (resume && !existsSync(lab)) {
    throw new FieldError('--store', path, 'a store to resume; there is none');
  }
  if (!resume && (existsSync(path) || existsSync(lab))) {
    throw new FieldError('--store', path, 'a file that is not there yet; --resume continues one that is');
  }
  const database = open(lab);
  let get: StatementSync;
  let put: StatementSync;
  try {
    database.exec('CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT');
    get = database.prepare('SELECT value FROM kept WHERE name = ?');
    put = database.prepare(
      'INSERT INTO kept (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
    );
    get.get('state');
  } catch (error) {
    database.close();
    throw new FieldError('--store', path, `a store of the lab (${(error as Error).message})`);
  }
  const read = <T>(name: string): T | undefined => {
    const row = get.get(name);
    return row && (JSON.parse(String(row.value)) as T);
  };
  const state = read<string>('state');
  if (state === 'finished') {
    database.close();
    throw new FieldError('--store', path, 'a world that has not come to its end; this one has');
  }
  const resumed = state === 'made';
  const world = read<number>('world') ?? randomInt(1, 2 ** 31);
  const digests = read<Record<string, string>>('secrets') ?? {};
  if (resumed) {
    try {
      check(path, world);
      for (const [holder, digest] of Object.entries(digests)) {
        const file = secretFile(path, holder);
        if (!existsSync(file)) {
          throw new FieldError('--store', file, 'the key file of this store; it is gone');
        }
        if (digestOf(readFileSync(file, 'utf8')) !== digest) {
          throw new FieldError('--store', file, 'the key file as this store was made with');
        }
      }
    } catch (error) {
      database.close();
      throw error;
    }
  }
  if (!resumed) {
    // Cut off while it was being made: nothing had happened in it yet.
    for (const part of PARTS) {
      if (part !== 'lab') {
        for (const end of ['', '-wal', '-shm']) rmSync(`${path}.${part}${end}`, { force: true });
      }
    }
    for (const end of ['', '-wal', '-shm']) rmSync(`${path}${end}`, { force: true });
  }
  // The cards' silicon: only its owner may look inside.
  writeFileSync(`${path}.cards`, '', { mode: 0o600, flag: 'a' });
  const cards = open(`${path}.cards`);
  cards.exec(
    `CREATE TABLE IF NOT EXISTS card (
       device TEXT, slot TEXT, card TEXT NOT NULL, switches INTEGER NOT NULL, PRIMARY KEY (device, slot)
     ) STRICT`,
  );
  const load = cards.prepare('SELECT card, switches FROM card WHERE device = ? AND slot = ?');
  const save = cards.prepare(
    `INSERT INTO card (device, slot, card, switches) VALUES (?, ?, ?, ?)
     ON CONFLICT (device, slot) DO UPDATE SET card = excluded.card, switches = excluded.switches`,
  );
  const time = read<number>('time');
  let lease = time ?? 0;
  return {
    resumed,
    time: resumed ? time : undefined,
    engine: path,
    file: (part) => `${path}.${part}`,
    secret(holder, make) {
      const file = secretFile(path, holder);
      if (resumed) return readFileSync(file, 'utf8');
      const secret = make();
      rmSync(file, { force: true });
      writeFileSync(file, secret, { mode: 0o600, flag: 'wx' });
      digests[holder] = digestOf(secret);
      return secret;
    },
    card: (device, slot) =>
      countingCard(
        () => {
          const row = load.get(device, slot);
          return row && { state: stateOf(parseCardFile(String(row.card))), switches: Number(row.switches) };
        },
        (state, switches) => void save.run(device, slot, formatCardFile(state), switches),
      ),
    passing(now) {
      if (now < lease) return;
      lease = now + LEASE;
      put.run('time', JSON.stringify(lease));
    },
    get: read,
    put(name, value) {
      if (name === 'state' && value === 'made') {
        mark(path, world, `${path}.cards`, cards);
        put.run('world', JSON.stringify(world));
        put.run('secrets', JSON.stringify(digests));
      }
      put.run(name, JSON.stringify(value));
    },
    close() {
      cards.close();
      database.close();
    },
  };
}
