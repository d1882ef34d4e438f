/**
 * Card data as vendors ship it (docs/card-data.md): CSV as pySim and sysmocom use, its columns enciphered or not,
 * and output files; columns of other names by a declared mapping. A file is taken in whole or not at all.
 */
import { parse as parseStream } from 'csv-parse';
import { parse } from 'csv-parse/sync';
import { pipeline } from 'node:stream/promises';
import { FieldError } from '../../../standards/bytes/index.ts';
import { otaLabel, type KeyVault } from '../../vault/vault.ts';
import type { OperatorStore } from '../store.ts';
import type { CardDatum } from './card.ts';
import { OutputFile, looksLikeOutputFile } from './output-file.ts';
import { CardTable, type CardDataOptions, type CardRow, type TableReport } from './table.ts';

export type { CardDatum, OtaDatum } from './card.ts';
export { parseMapping, type Mapping } from './mapping.ts';
export type { CardDataOptions, CardRow, TableReport } from './table.ts';
export { parseTransportKeys, type KeyReport, type TransportKeys } from './transport-keys.ts';

/** What a file is; nothing of it is secret. */
export interface CardDataReport extends TableReport {
  format: 'csv' | 'out';
  /** lines about the batch, of an output file */
  header: Record<string, string>;
  cards: number;
}

/** How much of a file is looked at to tell its format, in characters. */
const BEGINNING = 65_536;

/**
 * How CSV is read: the header makes the table before the next record is looked at, so that what is wrong with it is
 * told first.
 */
const csvOptions = (
  options: CardDataOptions,
  made: (table: CardTable) => void,
  take: (row: CardRow) => void,
) => {
  let table: CardTable | undefined;
  return {
    skip_empty_lines: true,
    trim: true,
    bom: true,
    ...(options.mapping?.delimiter === undefined ? {} : { delimiter: options.mapping.delimiter }),
    on_record: (record: string[], { lines }: { lines: number }): null => {
      if (table) take(table.row(record, lines));
      else made((table = new CardTable(record, new Map(), options)));
      return null;
    },
  };
};

function csvError(error: unknown): FieldError {
  if (error instanceof FieldError) return error;
  const { lines, code } = error as { lines?: number; code?: string };
  return new FieldError(
    `line ${lines ?? '?'}`,
    code ?? 'unreadable',
    'CSV with as many columns as its header',
  );
}

const noCard = (): FieldError =>
  new FieldError('card data', 'no card', 'a header line and a line for each card');

/**
 * Reads a file that is whole in memory.
 * @throws FieldError naming line and column, or transport key; a key's content is never shown
 */
export function readCardData(
  text: string,
  options: CardDataOptions,
): { rows: CardRow[]; report: CardDataReport } {
  const format = options.mapping?.format ?? (looksLikeOutputFile(text.slice(0, BEGINNING)) ? 'out' : 'csv');
  let rows: CardRow[] = [];
  let table: CardTable | undefined = undefined as CardTable | undefined;
  let header: Record<string, string> = {};
  if (format === 'out') {
    const file = new OutputFile(options);
    rows = text.split(/\r\n|\n|\r/).flatMap((line) => file.next(line) ?? []);
    ({ table, header } = file.end());
  } else {
    try {
      parse(
        text,
        csvOptions(
          options,
          (made) => (table = made),
          (row) => rows.push(row),
        ),
      );
    } catch (error) {
      throw csvError(error);
    }
  }
  if (!table || rows.length === 0) throw noCard();
  return { rows, report: { format, header, cards: rows.length, ...table.report() } };
}

/** Lines of a text that comes in pieces. */
async function* linesOf(pieces: AsyncIterable<string>): AsyncGenerator<string> {
  let rest = '';
  for await (const piece of pieces) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop()!;
    for (const line of lines) yield line.replace(/\r$/, '');
  }
  if (rest !== '') yield rest;
}

/** Pieces as they come, the first of them at least long enough to tell the format by. */
async function withBeginning(
  pieces: AsyncIterable<string>,
): Promise<{ beginning: string; all: AsyncGenerator<string> }> {
  const iterator = pieces[Symbol.asyncIterator]();
  let beginning = '';
  while (beginning.length < BEGINNING) {
    const next = await iterator.next();
    if (next.done === true) break;
    beginning += next.value;
  }
  return {
    beginning: beginning.slice(0, BEGINNING),
    all: (async function* () {
      yield beginning;
      for (;;) {
        const next = await iterator.next();
        if (next.done === true) return;
        yield next.value;
      }
    })(),
  };
}

/**
 * Reads a file as it comes: what stays in memory of a card is where its numbers were seen.
 * @param each called with every card, in order
 * @throws FieldError as {@link readCardData}
 */
export async function streamCardData(
  pieces: AsyncIterable<string>,
  options: CardDataOptions,
  each: (row: CardRow) => void = () => undefined,
): Promise<CardDataReport> {
  const { beginning, all } = await withBeginning(pieces);
  const format = options.mapping?.format ?? (looksLikeOutputFile(beginning) ? 'out' : 'csv');
  let table: CardTable | undefined;
  let header: Record<string, string> = {};
  let cards = 0;
  const take = (row: CardRow | undefined): void => {
    if (!row) return;
    cards++;
    each(row);
  };
  if (format === 'out') {
    const file = new OutputFile(options);
    for await (const line of linesOf(all)) take(file.next(line));
    ({ table, header } = file.end());
  } else {
    const parser = parseStream(csvOptions(options, (made) => (table = made), take));
    try {
      await pipeline(all, parser.resume());
    } catch (error) {
      throw csvError(error);
    }
  }
  if (!table || cards === 0) throw noCard();
  return { format, header, cards, ...table.report() };
}

/** How a file is taken in. */
export interface CardDataImport extends Omit<CardDataOptions, 'ranges' | 'closed'> {
  /** whether a transport key counts that nothing speaks for: neither a check value, nor codes, nor OP, nor parity */
  accept?: 'verified' | 'unverified';
}

/**
 * Cards of a file, all keys opened.
 * @throws FieldError as {@link readCardData}, and on such a key
 */
export function parseCardData(
  text: string,
  ranges: readonly string[],
  how: CardDataImport = {},
): CardDatum[] {
  const { accept, ...options } = how;
  const { rows, report } = readCardData(text, { ...options, ranges });
  for (const { name, verifiedBy } of report.transportKeys) {
    if (verifiedBy.length === 0 && accept !== 'unverified') {
      throw new FieldError(
        `transport key ${name}`,
        'not verifiable',
        'a key check value (kcv) beside it, or the word that it is taken unverified',
      );
    }
  }
  return rows.map(({ card }) => card!);
}

/**
 * Takes card data in: subscriptions ready for use, or in stock, keys sealed. All or none.
 * @throws FieldError on an IMSI, ICCID or MSISDN that is there already
 */
export function importCards(
  store: OperatorStore,
  vault: KeyVault,
  cards: readonly CardDatum[],
  state: 'ready' | 'stock' = 'ready',
): void {
  store.transaction(() => {
    for (const { line, imsi, iccid, msisdn, aka, ota, codes, applets } of cards) {
      const taken = (column: string, value: string): FieldError =>
        new FieldError(`line ${line}, ${column}`, value, `one that this operator does not have yet`);
      if (store.byImsi(imsi)) throw taken('imsi', imsi);
      if (store.byIccid(iccid)) throw taken('iccid', iccid);
      if (store.byMsisdn(msisdn)) throw taken('msisdn', msisdn);
      const label = `${iccid} 0`;
      store.insert({ imsi, msisdn, iccid, state, change: null });
      store.update(imsi, { aka: vault.sealAka(label, aka), label });
      for (const { keySet, algorithm, ...keys } of ota) {
        const bound = otaLabel(label, keySet);
        store.putOtaKeys({
          iccid,
          keySet,
          algorithm,
          ota: vault.sealOta(bound, keys),
          label: bound,
          counter: 0,
        });
      }
      store.putCard({ iccid, label, codes: vault.sealCodes(label, codes), applets });
    }
  });
}
