/**
 * The table of a vendor's file, whatever its format: what its columns are, cells deciphered, a card a row. Keys
 * are compared with their check values before a cell is opened.
 */
import { FieldError, fromHex, toHex } from '../../../standards/bytes/index.ts';
import { CardReader, REQUIRED, type CardDatum, type Row } from './card.ts';
import { CODE_FIELDS, columnsOf, type Coding, type Column, type Mapping } from './mapping.ts';
import { OpenKey, blockLength, checkKcv, type KeyReport, type TransportKeys } from './transport-keys.ts';

export interface CardDataOptions {
  /** IMSI prefixes that are the operator's own */
  ranges: readonly string[];
  /** what the columns are; without it the names of pySim and the usual ones */
  mapping?: Mapping;
  keys?: TransportKeys;
  /** Where a transport key is not there: an error, or the cells stay closed and only the rest is checked. */
  closed?: 'refuse' | 'leave';
}

/** What is told of a file; nothing of it is secret. */
export interface TableReport {
  columns: { name: string; field: string | null; transportKey: string | null }[];
  transportKeys: KeyReport[];
}

/** An identity, and where no cell stayed closed the whole card. */
export type CardRow = Pick<CardDatum, 'line' | 'imsi' | 'iccid' | 'msisdn'> & { card?: CardDatum };

/** Header lines of an output file by name in lower case; none in CSV. */
export type HeaderLines = ReadonlyMap<string, string>;

const SET_OF = /^(?:kic|kid|kik|ota_algorithm)(\d+)$/;

/** Digits from how a vendor writes them. @throws FieldError without the value, which may be anything */
function digitsOf(at: string, text: string, coding: Coding): string {
  if (coding === 'plain') return text;
  const expected =
    coding === 'swapped' ? 'digits with the nibbles of each byte swapped' : 'EF.IMSI in hexadecimal';
  const bytes = fromHex(text, at);
  const swapped = [...toHex(bytes)].reduce((all, digit, i, own) => all + (own[i ^ 1] ?? digit), '');
  let digits = swapped;
  if (coding === 'ef-imsi') {
    // The length, then parity and type in the lower nibble of the byte that begins the digits.
    if (bytes[0] === undefined || bytes[0] < 1 || bytes[0] > 8 || bytes.length < bytes[0] + 1) {
      throw new FieldError(at, `${text.length} characters`, expected);
    }
    const odd = (bytes[1]! & 0x0f) === 9;
    digits = swapped.slice(3, 2 + 2 * bytes[0]);
    if (!odd) {
      if ((bytes[1]! & 0x0f) !== 1) throw new FieldError(at, `${text.length} characters`, expected);
      digits = digits.slice(0, -1);
    }
  } else digits = digits.replace(/f+$/, '');
  if (!/^[0-9]+$/.test(digits)) throw new FieldError(at, `${text.length} characters`, expected);
  return digits;
}

/** A code of a deciphered cell: ASCII filled up with FF or 00; else its hexadecimal digits. */
function codeOf(plain: Uint8Array): { text: string; digits: boolean } {
  let length = plain.length;
  while (length > 0 && (plain[length - 1] === 0xff || plain[length - 1] === 0)) length--;
  const text = Buffer.from(plain.subarray(0, length)).toString('latin1');
  if (/^[0-9]{4,16}$/.test(text)) return { text, digits: true };
  // An administrative code of 8 bytes that are no text.
  return { text: toHex(length <= 8 ? plain.subarray(0, 8) : plain), digits: false };
}

export class CardTable {
  readonly #columns: readonly Column[];
  readonly #opened = new Map<string, OpenKey>();
  /** transport keys that are not there */
  readonly #missing = new Map<string, KeyReport>();
  readonly #keyOf: (OpenKey | undefined)[];
  readonly #reader: CardReader;
  /** whether the keys of a set are DES keys, whose bytes have a parity */
  readonly #isDes: (set: number) => boolean;

  /** @throws FieldError on a header that makes no table, a transport key that is not there or not the right one */
  constructor(names: readonly string[], header: HeaderLines, options: CardDataOptions) {
    const { mapping, keys } = options;
    this.#columns = columnsOf(names, mapping, keys);
    this.#checkHeader(keys, options.closed === 'leave');
    const implied = new Map<number, 'aes' | '3des'>();
    const sets = new Set<number>();
    for (const { field, implies } of this.#columns) {
      const set = Number(SET_OF.exec(field ?? '')?.[1]);
      if (!set) continue;
      sets.add(set);
      if (implies) implied.set(set, implies);
    }
    const others = mapping?.otaAlgorithm?.startsWith('des3') ?? false;
    this.#isDes = (set) => (implied.has(set) ? implied.get(set) === '3des' : others);
    this.#keyOf = this.#columns.map((column) => this.#openFor(column, header, options));
    this.#reader = new CardReader(
      {
        ranges: options.ranges,
        op: keys?.op,
        top: keys?.top,
        otaAlgorithm: mapping?.otaAlgorithm,
        implied,
        watching: {
          operatorKey: (at, same) => {
            const of = this.#columns.findIndex(({ field }) => field === 'ki');
            this.#keyOf[of]?.operatorKey(at, same);
          },
        },
      },
      [...sets].sort((a, b) => a - b),
    );
  }

  #checkHeader(keys: TransportKeys | undefined, leave: boolean): void {
    // OP comes with the transport keys: without them nothing says whether OPc is needed.
    const closed = leave && !keys && this.#columns.some(({ encryption }) => encryption);
    const fields = this.#columns.map(({ field }) => field);
    const wanted = `one column each of ${REQUIRED.join(', ')}, and opc or topc`;
    const timesOf = (field: string): number => fields.filter((each) => each === field).length;
    const optional = (field: string): boolean =>
      !(REQUIRED as readonly string[]).includes(field) &&
      (field !== 'opc' ||
        timesOf('topc') === 1 ||
        closed ||
        keys?.op !== undefined ||
        keys?.top !== undefined);
    for (const field of new Set([...REQUIRED, 'opc', ...fields.flatMap((each) => each ?? [])])) {
      const times = timesOf(field);
      if (times > 1) throw new FieldError(`header, ${field}`, `${times} columns`, wanted);
      if (times === 0 && !optional(field)) throw new FieldError(`header, ${field}`, 'no such column', wanted);
    }
  }

  #openFor(column: Column, header: HeaderLines, options: CardDataOptions): OpenKey | undefined {
    const { encryption } = column;
    if (!encryption) return undefined;
    const names = options.mapping?.header;
    const number = header.get(names?.transportKey ?? '');
    const name = encryption.key ?? number;
    if (name === undefined) {
      throw new FieldError(
        `header, ${names?.transportKey ?? 'transport_key'}`,
        'not there',
        `the number of the transport key of column ${column.name}, or a key named in the mapping`,
      );
    }
    const id = `${name.toUpperCase()} ${encryption.cipher}`;
    const before = this.#opened.get(id);
    if (before) return before;
    const given = options.keys?.keys.get(name.toUpperCase());
    if (!given) {
      if (options.closed !== 'leave') {
        throw new FieldError(`transport key ${name}`, 'not there', `the key of column ${column.name}`);
      }
      this.#missing.set(id, { name, cipher: encryption.cipher, opened: false, verifiedBy: [] });
      return undefined;
    }
    const kcv = name === number ? header.get(names?.kcv ?? '') : undefined;
    const opened = new OpenKey(name, encryption.cipher, given.key, {
      'the key file': given.kcv,
      'the file’s header': kcv === undefined ? undefined : checkKcv(`header, ${names!.kcv}`, kcv),
    });
    this.#opened.set(id, opened);
    return opened;
  }

  /** @throws FieldError naming line and column */
  row(cells: readonly string[], line: number): CardRow {
    const row: Row = {};
    let closed = false;
    for (let i = 0; i < this.#columns.length; i++) {
      const { field, encryption, coding } = this.#columns[i]!;
      const cell = (cells[i] ?? '').trim();
      if (field === undefined || cell === '') continue;
      const at = `line ${line}, ${field}`;
      if (!encryption) {
        row[field] = coding === 'plain' ? cell : digitsOf(at, cell, coding);
        continue;
      }
      const data = fromHex(cell, at);
      const block = blockLength(encryption.cipher);
      if (data.length === 0 || data.length % block !== 0) {
        throw new FieldError(at, `${data.length} bytes`, `enciphered blocks of ${block} bytes`);
      }
      const key = this.#keyOf[i];
      if (!key) {
        closed = true;
        continue;
      }
      row[field] = this.#plain(key, field, at, key.open(data, encryption.mode, encryption.iv));
    }
    if (closed) return this.#reader.identity(row, line);
    const card = this.#reader.card(row, line);
    const { imsi, iccid, msisdn } = card;
    return { line, imsi, iccid, msisdn, card };
  }

  #plain(key: OpenKey, field: string, at: string, plain: Uint8Array): string {
    if (CODE_FIELDS.includes(field)) {
      const { text, digits } = codeOf(plain);
      // An administrative code may be any 8 bytes: only digits speak for the key.
      if (digits || field !== 'adm1') key.code(at, digits);
      return text;
    }
    const set = Number(SET_OF.exec(field)?.[1]);
    if (set && this.#isDes(set)) key.parity(plain);
    return toHex(plain);
  }

  report(): TableReport {
    return {
      columns: this.#columns.map(({ name, field, encryption }, i) => ({
        name,
        field: field ?? null,
        transportKey: encryption
          ? (this.#keyOf[i]?.name ?? encryption.key ?? this.#closedName(encryption.cipher))
          : null,
      })),
      transportKeys: [...[...this.#opened.values()].map((key) => key.report()), ...this.#missing.values()],
    };
  }

  /** The header's transport key, where that is the one that is not there. */
  #closedName(cipher: string): string | null {
    return [...this.#missing.values()].find((each) => each.cipher === cipher)?.name ?? null;
  }
}
