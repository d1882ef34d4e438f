/** What an operator keeps: subscribers, cards, messages under way; one database, keys sealed by its vault. */
import { DatabaseSync } from 'node:sqlite';
import { atomically } from '../wire/atomically.ts';
import { KEY_SCHEMA, MESSAGE_SCHEMA, openOtaKeys, type OtaKeyStore } from '../ota/store.ts';

/**
 * stock: of a card that no device has yet · reserved: numbers allocated, no keys yet · ready: the HSS can authenticate it ·
 * suspended: it could, and does not until it is resumed · retired: removed, its numbers not given out again · cancelled:
 * a change to here was undone
 */
export type SubscriptionState = 'stock' | 'reserved' | 'ready' | 'suspended' | 'retired' | 'cancelled';

export interface Subscriber {
  imsi: string;
  msisdn: string;
  iccid: string;
  imei: string | null;
  /** no other device than that of the IMEI may use it */
  bound: boolean;
  state: SubscriptionState;
  /** the change that brought or takes it, 16 hexadecimal digits */
  change: string | null;
  aka: Uint8Array | null;
  /** what the vault bound the keys to */
  label: string | null;
  /** SEQ and IND of the last vector */
  seq: number;
  ind: number;
  mmeHost: string | null;
  mmeRealm: string | null;
  /** a short message waits for it: alert the service centre when it is back */
  waiting: boolean;
}

const SCHEMA = `
  PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;
  CREATE TABLE IF NOT EXISTS subscriber (
    imsi TEXT PRIMARY KEY, msisdn TEXT NOT NULL UNIQUE, iccid TEXT NOT NULL, imei TEXT, state TEXT NOT NULL,
    bound INTEGER NOT NULL DEFAULT 0,
    change TEXT, aka BLOB, label TEXT, seq INTEGER NOT NULL DEFAULT 0, ind INTEGER NOT NULL DEFAULT 0,
    mme_host TEXT, mme_realm TEXT, waiting INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX IF NOT EXISTS subscriber_iccid ON subscriber (iccid);
  DROP INDEX IF EXISTS one_live_subscription;
  CREATE UNIQUE INDEX IF NOT EXISTS one_subscription_of_card ON subscriber (iccid)
    WHERE state IN ('reserved', 'ready', 'suspended');
  CREATE INDEX IF NOT EXISTS stock ON subscriber (imsi) WHERE state = 'stock';
  CREATE INDEX IF NOT EXISTS subscriber_change ON subscriber (change);
  ${KEY_SCHEMA}
  CREATE TABLE IF NOT EXISTS allocation (what TEXT PRIMARY KEY, next INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS card (
    iccid TEXT PRIMARY KEY, label TEXT NOT NULL, codes BLOB, applets TEXT NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS key_transfer (
    change TEXT PRIMARY KEY, iccid TEXT NOT NULL, operator TEXT NOT NULL, at INTEGER NOT NULL, destroyed TEXT
  ) STRICT;
  CREATE TABLE IF NOT EXISTS list_index (change TEXT PRIMARY KEY, iccid TEXT NOT NULL, idx INTEGER NOT NULL) STRICT;
  ${MESSAGE_SCHEMA}
  CREATE TABLE IF NOT EXISTS sms (
    id INTEGER PRIMARY KEY AUTOINCREMENT, esme TEXT NOT NULL, source TEXT NOT NULL, destination TEXT NOT NULL,
    pid INTEGER NOT NULL, dcs INTEGER NOT NULL, udhi INTEGER NOT NULL, text BLOB NOT NULL,
    registered INTEGER NOT NULL, state INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    submitted INTEGER NOT NULL, due INTEGER NOT NULL, expires INTEGER NOT NULL, error INTEGER
  ) STRICT;
  CREATE INDEX IF NOT EXISTS sms_due ON sms (due) WHERE state = 1;
  CREATE INDEX IF NOT EXISTS sms_destination ON sms (destination) WHERE state = 1;
`;

export interface OperatorStore extends OtaKeyStore {
  readonly database: DatabaseSync;
  transaction<T>(run: () => T): T;
  byImsi(imsi: string): Subscriber | undefined;
  byMsisdn(msisdn: string): Subscriber | undefined;
  byChange(change: string): Subscriber | undefined;
  /** all that a card ever had here */
  subscribersOf(iccid: string): Subscriber[];
  /** one whose card is in stock */
  inStock(): Subscriber | undefined;
  /** the live subscription of a card */
  byIccid(iccid: string): Subscriber | undefined;
  insert(subscriber: Pick<Subscriber, 'imsi' | 'msisdn' | 'iccid' | 'state' | 'change'>): void;
  update(imsi: string, fields: Partial<Omit<Subscriber, 'imsi'>>): void;
  /**
   * SEQ and IND for the next vectors, `count` of them (1 to 32) of which the last are told; on disk when this, or
   * the transaction around it, ends. Undefined if not ready.
   */
  takeSqn(imsi: string, count: number, ims?: boolean): Subscriber | undefined;
  putCard(card: CardRecord): void;
  card(iccid: string): CardRecord | undefined;
  dropCard(iccid: string): void;
  /** Which pair of its card's list a change is about. */
  putIndex(change: string, iccid: string, index: number): void;
  indexOf(change: string): { iccid: string; index: number } | undefined;
  /** The next free number of a sequence, from `from` on. */
  allocate(what: string, from: number): number;
  close(): void;
}

/**
 * Indexes of sequence numbers (TS 33.102 §C.1.2) that the accesses take in turn. Those from here to 31 are for IMS
 * (§C.3.4): a serving CSCF may keep vectors for long, and what an MME takes meanwhile must not make them old.
 */
export const ACCESS_INDEXES = 24;

const COLUMNS: Record<string, string> = { mmeHost: 'mme_host', mmeRealm: 'mme_realm' };

function subscriberOf(row: Record<string, unknown>): Subscriber {
  return {
    imsi: String(row.imsi),
    msisdn: String(row.msisdn),
    iccid: String(row.iccid),
    imei: row.imei as string | null,
    bound: row.bound === 1,
    state: row.state as SubscriptionState,
    change: row.change as string | null,
    aka: row.aka as Uint8Array | null,
    label: row.label as string | null,
    seq: Number(row.seq),
    ind: Number(row.ind),
    mmeHost: row.mme_host as string | null,
    mmeRealm: row.mme_realm as string | null,
    waiting: row.waiting === 1,
  };
}

/** What a card has besides its subscription. */
export interface CardRecord {
  iccid: string;
  /** what the vault bound the codes to */
  label: string;
  /** CardCodes, sealed */
  codes: Uint8Array | null;
  /** TARs of its applications, in lower-case hexadecimal */
  applets: readonly string[];
}

/** @param path a file, or `:memory:` */
export function openOperatorStore(path: string): OperatorStore {
  const database = new DatabaseSync(path);
  database.exec(SCHEMA);
  const select = (where: string) => database.prepare(`SELECT * FROM subscriber WHERE ${where}`);
  const byImsi = select('imsi = ?');
  const byMsisdn = select('msisdn = ?');
  const byChange = select('change = ?');
  const ofCard = select('iccid = ?');
  const inStock = select(`state = 'stock' ORDER BY imsi LIMIT 1`);
  const byIccid = select(`iccid = ? AND state IN ('reserved', 'ready', 'suspended')`);
  const insert = database.prepare(
    'INSERT INTO subscriber (imsi, msisdn, iccid, state, change) VALUES (?, ?, ?, ?, ?)',
  );
  const takeSqn = database.prepare(
    `UPDATE subscriber SET seq = seq + ?1, ind = (ind + ?1) % ${ACCESS_INDEXES} WHERE imsi = ?2 AND state = 'ready' RETURNING *`,
  );
  const takeImsSqn = database.prepare(
    `UPDATE subscriber SET seq = seq + ?1 WHERE imsi = ?2 AND state = 'ready' RETURNING *`,
  );
  const allocate = database.prepare(
    `INSERT INTO allocation (what, next) VALUES (?, ? + 1)
     ON CONFLICT (what) DO UPDATE SET next = next + 1 RETURNING next - 1 AS got`,
  );
  const putCard = database.prepare(
    'INSERT OR REPLACE INTO card (iccid, label, codes, applets) VALUES (?, ?, ?, ?)',
  );
  const getCard = database.prepare('SELECT * FROM card WHERE iccid = ?');
  const dropCard = database.prepare('DELETE FROM card WHERE iccid = ?');
  const putIndex = database.prepare('INSERT INTO list_index (change, iccid, idx) VALUES (?, ?, ?)');
  const getIndex = database.prepare('SELECT iccid, idx FROM list_index WHERE change = ?');
  const updates = new Map<string, ReturnType<DatabaseSync['prepare']>>();
  const one = (row: Record<string, unknown> | undefined): Subscriber | undefined => row && subscriberOf(row);
  return {
    database,
    transaction: (run) => atomically(database, run),
    byImsi: (imsi) => one(byImsi.get(imsi)),
    byMsisdn: (msisdn) => one(byMsisdn.get(msisdn)),
    byChange: (change) => one(byChange.get(change)),
    subscribersOf: (iccid) => ofCard.all(iccid).map(subscriberOf),
    inStock: () => one(inStock.get()),
    byIccid: (iccid) => one(byIccid.get(iccid)),
    insert: (each) => void insert.run(each.imsi, each.msisdn, each.iccid, each.state, each.change),
    update(imsi, fields) {
      const names = Object.keys(fields) as (keyof typeof fields)[];
      const key = names.join(',');
      let statement = updates.get(key);
      if (!statement) {
        statement = database.prepare(
          `UPDATE subscriber SET ${names.map((name) => `${COLUMNS[name] ?? name} = ?`).join(', ')} WHERE imsi = ?`,
        );
        updates.set(key, statement);
      }
      const values = names.map((name) => {
        const value = fields[name];
        return typeof value === 'boolean' ? Number(value) : (value ?? null);
      });
      statement.run(...values, imsi);
    },
    takeSqn: (imsi, count, ims = false) => one((ims ? takeImsSqn : takeSqn).get(count, imsi)),
    ...openOtaKeys(database),
    putCard: ({ iccid, label, codes, applets }) => void putCard.run(iccid, label, codes, applets.join(' ')),
    card(iccid) {
      const row = getCard.get(iccid);
      return (
        row && {
          iccid,
          label: String(row.label),
          codes: row.codes as Uint8Array | null,
          applets: String(row.applets).split(' ').filter(Boolean),
        }
      );
    },
    dropCard: (iccid) => void dropCard.run(iccid),
    putIndex: (change, iccid, index) => void putIndex.run(change, iccid, index),
    indexOf(change) {
      const row = getIndex.get(change);
      return row && { iccid: String(row.iccid), index: Number(row.idx) };
    },
    allocate: (what, from) => Number(allocate.get(what, from)!.got),
    close: () => database.close(),
  };
}
