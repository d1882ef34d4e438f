/**
 * The output file of a card vendor: lines `Name: value` about the batch, `Var_Out:` and the names of the columns,
 * then a line of values for each card. Lines that begin with `*` or `#` are remarks.
 */
import { FieldError } from '../../../standards/bytes/index.ts';
import { shown } from './card.ts';
import { CardTable, type CardDataOptions, type CardRow } from './table.ts';

const BETWEEN_NAMES = /[\s/,;|]+/;
/** Longest line, in characters: what is longer is no such file. */
const LONGEST_LINE = 65_536;

/** Whether a text is an output file, by its beginning: CSV has no line `Var_Out:`. */
export const looksLikeOutputFile = (beginning: string): boolean => /^\s*var_out\s*:/im.test(beginning);

export class OutputFile {
  readonly #options: CardDataOptions;
  readonly #header = new Map<string, string>();
  #section: 'header' | 'input' | 'names' | 'values' = 'header';
  #columns = 0;
  #table: CardTable | undefined;
  #cards = 0;
  line = 0;

  constructor(options: CardDataOptions) {
    this.#options = options;
  }

  /** The next line. @returns the card on it, if there is one @throws FieldError naming line and column */
  next(text: string): CardRow | undefined {
    this.line++;
    if (text.length > LONGEST_LINE) {
      throw new FieldError(`line ${this.line}`, `${text.length} characters`, `at most ${LONGEST_LINE}`);
    }
    const trimmed = (this.line === 1 ? text.replace(/^\ufeff/, '') : text).trim();
    if (trimmed === '' || /^[*#]/.test(trimmed)) return undefined;
    switch (this.#section) {
      case 'header':
      case 'input':
        this.#headerLine(trimmed);
        return undefined;
      case 'names':
        this.#names(trimmed);
        return undefined;
      case 'values':
        return this.#values(trimmed);
    }
  }

  #headerLine(text: string): void {
    const match = /^([^:]+?)\s*:\s*(.*)$/.exec(text);
    const name = match?.[1]?.toLowerCase();
    if (!match || name === undefined) {
      throw new FieldError(
        `line ${this.line}`,
        `${text.length} characters`,
        'Name: value, or Var_Out: and the columns',
      );
    }
    if (name === 'var_in' || name === 'var_in_list') this.#section = 'input';
    else if (name !== 'var_out') {
      // Values under Var_In are of the vendor's order, not about the batch.
      if (this.#section === 'header') this.#header.set(name, match[2]!);
    } else if (match[2] === '') this.#section = 'names';
    else this.#names(match[2]!);
  }

  #names(text: string): void {
    const names = text.split(BETWEEN_NAMES).filter(Boolean);
    const { mapping } = this.#options;
    const number = this.#header.get(mapping?.header.transportKey ?? 'transport_key');
    if (!mapping && number !== undefined && !/^0*$/.test(number)) {
      throw new FieldError(
        'header, transport_key',
        shown(number),
        'a mapping that says which columns are enciphered under it, and how',
      );
    }
    this.#columns = names.length;
    this.#table = new CardTable(names, this.#header, this.#options);
    this.#section = 'values';
  }

  #values(text: string): CardRow {
    const { mapping } = this.#options;
    const cells = mapping?.delimiter === undefined ? text.split(/\s+/) : text.split(mapping.delimiter);
    if (cells.length !== this.#columns) {
      throw new FieldError(
        `line ${this.line}`,
        `${cells.length} values`,
        `${this.#columns}, as many as Var_Out names`,
      );
    }
    this.#cards++;
    return this.#table!.row(cells, this.line);
  }

  /** The file has ended. @throws FieldError if it is cut off, by the quantity that its header says */
  end(): { table: CardTable; header: Record<string, string> } {
    if (!this.#table)
      throw new FieldError('card data', 'no Var_Out', 'Var_Out: and the names of the columns');
    const name = this.#options.mapping?.header.quantity ?? 'quantity';
    const quantity = this.#header.get(name);
    if (quantity !== undefined && Number(quantity) !== this.#cards) {
      throw new FieldError(`header, ${name}`, shown(quantity), `${this.#cards}, as many as there are cards`);
    }
    return { table: this.#table, header: Object.fromEntries(this.#header) };
  }
}
