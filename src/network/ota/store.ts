/** What an OTA gateway keeps: the key sets of cards with their counters, and the commands under way. */
import type { DatabaseSync } from 'node:sqlite';
import type { OtaAlgorithm } from '../../standards/ota/index.ts';

export interface OtaKeySet {
  iccid: string;
  /** key set number, 1–15 */
  keySet: number;
  algorithm: OtaAlgorithm;
  ota: Uint8Array;
  label: string;
  /** last CNTR used, 0 to 2^40-1 */
  counter: number;
}

export interface OtaKeyStore {
  putOtaKeys(keys: OtaKeySet): void;
  otaKeys(iccid: string, keySet: number): OtaKeySet | undefined;
  /** Numbers of a card's OTA key sets. */
  otaKeySets(iccid: string): number[];
  /** A key set takes the place of another of the same card. */
  moveOtaKeys(iccid: string, from: number, to: number): void;
  dropOtaKeys(iccid: string, keySet: number): void;
  /** The next counter of a key set, on disk when this returns. */
  takeCounter(iccid: string, keySet: number): number;
}

/** What a gateway works on: keys, and whose card answers to which number. */
export interface GatewayStore extends Pick<OtaKeyStore, 'otaKeys' | 'takeCounter'> {
  /** with the tables of MESSAGE_SCHEMA */
  readonly database: DatabaseSync;
  byImsi(imsi: string): { msisdn: string } | undefined;
  byMsisdn(msisdn: string): { imsi: string; iccid: string } | undefined;
}

export const KEY_SCHEMA = `
  CREATE TABLE IF NOT EXISTS ota_key (
    iccid TEXT NOT NULL, key_set INTEGER NOT NULL, algorithm TEXT NOT NULL, ota BLOB NOT NULL,
    label TEXT NOT NULL, counter INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (iccid, key_set)
  ) STRICT, WITHOUT ROWID;
`;

export const MESSAGE_SCHEMA = `
  CREATE TABLE IF NOT EXISTS ota_message (
    id TEXT PRIMARY KEY, change TEXT NOT NULL, command TEXT NOT NULL, iccid TEXT NOT NULL, imsi TEXT NOT NULL,
    key_set INTEGER NOT NULL, tar BLOB NOT NULL, script BLOB NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    counter INTEGER, first_counter INTEGER, due INTEGER NOT NULL, result TEXT
  ) STRICT;
  CREATE INDEX IF NOT EXISTS ota_due ON ota_message (due) WHERE state IN ('queued', 'sent');
  CREATE INDEX IF NOT EXISTS ota_card ON ota_message (iccid) WHERE state IN ('queued', 'sent');
  CREATE TABLE IF NOT EXISTS ota_part (message_id TEXT PRIMARY KEY, id TEXT NOT NULL) STRICT;
  CREATE INDEX IF NOT EXISTS part_of_message ON ota_part (id);
`;

/** @param database with the table of KEY_SCHEMA */
export function openOtaKeys(database: DatabaseSync): OtaKeyStore {
  const put = database.prepare(
    `INSERT INTO ota_key (iccid, key_set, algorithm, ota, label, counter) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (iccid, key_set) DO UPDATE SET algorithm = excluded.algorithm, ota = excluded.ota, label = excluded.label, counter = excluded.counter`,
  );
  const find = database.prepare('SELECT * FROM ota_key WHERE iccid = ? AND key_set = ?');
  const take = database.prepare(
    'UPDATE ota_key SET counter = counter + 1 WHERE iccid = ? AND key_set = ? RETURNING counter',
  );
  const sets = database.prepare('SELECT key_set FROM ota_key WHERE iccid = ? ORDER BY key_set');
  const drop = database.prepare('DELETE FROM ota_key WHERE iccid = ? AND key_set = ?');
  const move = database.prepare('UPDATE ota_key SET key_set = ? WHERE iccid = ? AND key_set = ?');
  return {
    putOtaKeys: ({ iccid, keySet, algorithm, ota, label, counter }) =>
      void put.run(iccid, keySet, algorithm, ota, label, counter),
    otaKeys(iccid, keySet) {
      const row = find.get(iccid, keySet);
      return (
        row && {
          iccid,
          keySet,
          algorithm: row.algorithm as OtaAlgorithm,
          ota: row.ota as Uint8Array,
          label: String(row.label),
          counter: Number(row.counter),
        }
      );
    },
    otaKeySets: (iccid) => sets.all(iccid).map((row) => Number(row.key_set)),
    moveOtaKeys(iccid, from, to) {
      drop.run(iccid, to);
      move.run(to, iccid, from);
    },
    dropOtaKeys: (iccid, keySet) => void drop.run(iccid, keySet),
    takeCounter(iccid, keySet) {
      const row = take.get(iccid, keySet);
      if (!row) throw new Error(`no OTA key set ${keySet} for card ${iccid}`);
      return Number(row.counter);
    },
  };
}
