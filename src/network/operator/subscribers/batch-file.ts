/**
 * An HSS that is fed by files: each batch is a CSV file that appears in a folder whole or not at all, and is
 * acknowledged by a file of results beside it. Ki and OPc (TOPc) are ciphered under a transport key as AuC vendors
 * take them: AES-128 or AES-256 by the length of that key, ECB over their 16-byte blocks, without padding. Such a
 * file has no proof of its origin: who may write to the folder may add subscribers.
 */
import { createCipheriv } from 'node:crypto';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import type { FolderDisk } from '../../../edge/index.ts';
import { SQN_DEFAULT, encodeSqn, type SubscriberKey } from '../../../standards/aka/index.ts';
import { expectLength, toHex } from '../../../standards/bytes/index.ts';
import type { KeyVault } from '../../vault/vault.ts';
import type { FeedEntry, FeedOutcome, SubscriberFeeder } from './keeper.ts';

/** How often the folder is looked at for results, in milliseconds. */
const POLL_MS = 5_000;
const BATCH = '.csv';
const RESULT = '.result.csv';
const UNFINISHED = '.csv.unfinished';

const COLUMNS = [
  'id',
  'action',
  'imsi',
  'msisdn',
  'iccid',
  'algorithm',
  'eki',
  'eopc',
  'transport_key',
  'sqn',
] as const;

export interface BatchFileOptions {
  disk: FolderDisk;
  vault: KeyVault;
  /** where batches go and results come */
  folder: string;
  /** 16 or 32 bytes, shared with the HSS; from a file, never from the database */
  transportKey: Uint8Array;
  /** which one that is, in the file: a number that both sides agreed on */
  transportKeyIndex: number;
  /** milliseconds between looks into the folder; 5000 if not given */
  pollMs?: number;
}

/** One row of results: `id,result,reason` with result `ok` or `error`. */
interface Result {
  ok: boolean;
  reason: string;
}

export function batchFeeder(options: BatchFileOptions): SubscriberFeeder {
  const { disk, vault, folder } = options;
  const transportKey = expectLength('transportKey', options.transportKey, 16, 32);
  const pollMs = options.pollMs ?? POLL_MS;
  const path = (name: string): string => join(folder, name);
  /** batches that are there, with the identifiers in them; the folder is what knows them after a restart */
  let batches: Map<string, Set<string>> | undefined;
  /** identifiers that are on file here as settled */
  const done = new Set<string>();

  const table = (text: string): Record<string, string>[] =>
    parse(text, { columns: true, skip_empty_lines: true, trim: true, relax_column_count: true });

  const encrypt = (key: Uint8Array): string => {
    const cipher = createCipheriv(`aes-${8 * transportKey.length}-ecb`, transportKey, null);
    cipher.setAutoPadding(false);
    return toHex(new Uint8Array(Buffer.concat([cipher.update(key), cipher.final()])));
  };
  const unsupported = (key: SubscriberKey): string | undefined =>
    key.constants || (key.resLength ?? 8) !== 8 || (key.keccakIterations ?? 1) !== 1
      ? 'the batch file has no column for constants, RES length or Keccak iterations of an operator’s own'
      : undefined;

  const row = (entry: FeedEntry): string | { refused: string } => {
    if (entry.action === 'remove')
      return [entry.id, 'remove', entry.imsi, '', '', '', '', '', '', ''].join(',');
    const { imsi, msisdn, iccid, aka, label, seq } = entry.subscriber;
    return vault.withAka(label, aka, (key) => {
      const refused = unsupported(key);
      if (refused !== undefined) return { refused };
      return [
        entry.id,
        entry.known ? 'change' : 'add',
        imsi,
        msisdn,
        iccid,
        key.algorithm,
        encrypt(key.k),
        key.opc || key.topc ? encrypt(key.opc ?? key.topc!) : '',
        options.transportKeyIndex,
        toHex(encodeSqn(SQN_DEFAULT, seq, 0)),
      ].join(',');
    });
  };

  /** What is in the folder: batches not yet forgotten, and all results. */
  const look = (): Map<string, Result> => {
    const names = disk.list(folder);
    if (!batches) {
      // What a crash left half written; nobody was told of it.
      for (const name of names.filter((each) => each.endsWith(UNFINISHED))) disk.remove(path(name));
      batches = new Map(
        names
          .filter((name) => name.endsWith(BATCH) && !name.endsWith(RESULT))
          .map((name) => [name, new Set(table(disk.read(path(name))).map(({ id }) => id ?? ''))]),
      );
    }
    const results = new Map<string, Result>();
    for (const [batch, ids] of batches) {
      const result = batch.slice(0, -BATCH.length) + RESULT;
      if (!names.includes(result)) continue;
      for (const { id, result: said, reason } of table(disk.read(path(result)))) {
        // The first word counts; a batch answers for its own rows.
        if (id === undefined || !ids.has(id) || results.has(id)) continue;
        if (said === 'ok' || said === 'error') results.set(id, { ok: said === 'ok', reason: reason ?? '' });
      }
    }
    return results;
  };

  const write = (rows: readonly { id: string; text: string }[]): void => {
    const name = `subscribers-${rows[0]!.id}-to-${rows.at(-1)!.id}`;
    const unfinished = path(name + UNFINISHED);
    disk.write(unfinished, [COLUMNS.join(','), ...rows.map(({ text }) => text), ''].join('\n'));
    disk.replace(unfinished, path(name + BATCH));
    batches!.set(name + BATCH, new Set(rows.map(({ id }) => id)));
  };

  /** Batches of which everything is settled on our side go, with their results. */
  const tidy = (): void => {
    for (const [name, ids] of batches ?? []) {
      if (![...ids].every((id) => done.has(id))) continue;
      disk.remove(path(name));
      disk.remove(path(name.slice(0, -BATCH.length) + RESULT));
      batches!.delete(name);
      for (const id of ids) done.delete(id);
    }
  };

  return {
    async feed(entries) {
      const results = look();
      const under = new Set([...batches!.values()].flatMap((ids) => [...ids]));
      const rows: { id: string; text: string }[] = [];
      const outcomes = entries.map((entry): FeedOutcome => {
        const result = results.get(entry.id);
        if (result?.ok) return { taken: true };
        if (result) {
          return { refused: result.reason || 'the HSS gave no reason', code: 'hss-refuses' };
        }
        if (!under.has(entry.id)) {
          const text = row(entry);
          if (typeof text !== 'string') return { refused: text.refused, code: 'algorithm-unsupported' };
          rows.push({ id: entry.id, text });
        }
        return { later: 'its batch file is not acknowledged yet', afterMs: pollMs };
      });
      if (rows.length > 0) write(rows);
      return outcomes;
    },
    settled(ids) {
      for (const id of ids) done.add(id);
      tidy();
    },
    close: () => undefined,
  };
}
