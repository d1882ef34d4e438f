/**
 * What outlives the lab's process: the engine's file, each role's part beside it, the cards, the keys that
 * a role holds outside its database, and what the lab itself must know to go on. Without `--store`: nothing.
 */
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
const PARTS = ['lab', 'cards', 'owner', 'escrow', 'manufacturer', 'operator-A', 'operator-B'] as const;
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
      if (resumed) {
        if (!existsSync(file))
          throw new FieldError('--store', file, 'the key file of this store; it is gone');
        return readFileSync(file, 'utf8');
      }
      const secret = make();
      rmSync(file, { force: true });
      writeFileSync(file, secret, { mode: 0o600, flag: 'wx' });
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
    put: (name, value) => void put.run(name, JSON.stringify(value)),
    close() {
      cards.close();
      database.close();
    },
  };
}
