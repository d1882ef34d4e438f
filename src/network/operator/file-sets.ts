/**
 * What of a subscription goes to a card by remote file management, as one set: first the ISIM's files, which are
 * another application's and go in a packet of their own (TS 102 226 §7.3: an ADF's file management sees no other
 * ADF, and SELECT by name is not among its commands); once they are proven, the script of remote-files.ts, whose
 * last command writes EF.IMSI. A card that gets no further is still the old operator's for every access, and gets
 * the rest with the next try. A card without an ISIM gets the script alone.
 */
import { toHex } from '../../standards/bytes/index.ts';
import { TAR } from '../../standards/ota/index.ts';
import type { OtaGateway, OtaResult } from '../ota/gateway.ts';
import { isimScript, subscriptionScript } from './remote-files.ts';
import type { OperatorStore, Subscriber } from './store.ts';
import type { Settings } from './client.ts';

export interface FileSet {
  change: string;
  /** `write` or `restore`; the ISIM's part is named after it */
  command: 'write' | 'restore';
  /** who the card is at this operator now */
  subscriber: Subscriber;
  /** 1–15, that it is spoken to under */
  keySet: number;
  /** whose it becomes */
  imsi: string;
  settings: Settings;
  /** the access point name on the card, where it is known */
  apnBefore?: string | undefined;
}

export interface FileSets {
  /** @throws FieldError on what a file cannot hold; nothing is sent then */
  send(set: FileSet): void;
  /** Stops sending it, whichever part is under way. */
  withdraw(change: string, command: FileSet['command']): void;
  /** A command has its answer: where it was the ISIM's part, the rest may go. */
  proved(change: string, command: string, result: OtaResult): void;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS file_set (
    change TEXT NOT NULL, command TEXT NOT NULL, iccid TEXT NOT NULL, imsi TEXT NOT NULL, key_set INTEGER NOT NULL,
    script BLOB NOT NULL, PRIMARY KEY (change, command)
  ) STRICT, WITHOUT ROWID;
`;

/** Name of the ISIM's part of a command. */
export const isimPart = (command: FileSet['command']): string => `${command}-isim`;

export function createFileSets(store: OperatorStore, ota: OtaGateway): FileSets {
  const { database } = store;
  database.exec(SCHEMA);
  const put = database.prepare(
    'INSERT OR REPLACE INTO file_set (change, command, iccid, imsi, key_set, script) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const find = database.prepare('SELECT * FROM file_set WHERE change = ? AND command = ?');
  const drop = database.prepare('DELETE FROM file_set WHERE change = ? AND command = ?');

  const sendRest = (change: string, command: FileSet['command']): void => {
    const row = find.get(change, command);
    if (!row) return;
    ota.send({
      change,
      command,
      iccid: String(row.iccid),
      imsi: String(row.imsi),
      keySet: Number(row.key_set),
      tar: TAR.rfmUsim,
      script: row.script as Uint8Array,
    });
  };

  return {
    send({ change, command, subscriber: { iccid, imsi }, keySet, imsi: becomes, settings, apnBefore }) {
      const script = subscriptionScript(becomes, settings, apnBefore);
      const isim = isimScript(becomes, settings.mncLength);
      put.run(change, command, iccid, imsi, keySet, script);
      if (!store.card(iccid)?.applets.includes(toHex(TAR.rfmIsim))) {
        sendRest(change, command);
        return;
      }
      const part = isimPart(command);
      ota.send({ change, command: part, iccid, imsi, keySet, tar: TAR.rfmIsim, script: isim });
    },
    withdraw(change, command) {
      drop.run(change, command);
      ota.withdraw(change, isimPart(command));
      ota.withdraw(change, command);
    },
    proved(change, command, { result }) {
      // The way home does not end at an ISIM that refuses or never answers.
      if (command === isimPart('restore') || (command === isimPart('write') && result === 'done')) {
        sendRest(change, command === isimPart('write') ? 'write' : 'restore');
      }
    },
  };
}
