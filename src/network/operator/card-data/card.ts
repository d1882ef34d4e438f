/** One card of a vendor's file: from the text of its fields to what an operator takes in. */
import { opcFromOp, topcFromTop, type SubscriberKey } from '../../../standards/aka/index.ts';
import { FieldError, equal, fromHex } from '../../../standards/bytes/index.ts';
import { keyLengths, type OtaAlgorithm } from '../../../standards/ota/index.ts';
import type { CardCodes, OtaKeyPair } from '../../vault/vault.ts';

/** An OTA key set as its vendor delivers it. */
export interface OtaDatum extends OtaKeyPair {
  /** 1–15 */
  keySet: number;
  algorithm: OtaAlgorithm;
}

/** One card of a vendor's file, with the index of the pair it came with. */
export interface CardDatum {
  /** line of the file, the first being line 1 */
  line: number;
  imsi: string;
  iccid: string;
  msisdn: string;
  aka: SubscriberKey;
  /** in the order of their numbers; set 1 is always there */
  ota: OtaDatum[];
  codes: CardCodes;
  /** TARs of the card's applications, in lower-case hexadecimal */
  applets: string[];
}

/** Text by field; what is not there is absent or empty. */
export type Row = Record<string, string | undefined>;

export const REQUIRED = ['imsi', 'iccid', 'msisdn', 'ki', 'kic1', 'kid1'] as const;

/** Columns of codes that a file may have. */
const CODES: readonly [keyof CardCodes, RegExp, string][] = [
  ['pin1', /^[0-9]{4,8}$/, '4 to 8 digits'],
  ['puk1', /^[0-9]{8}$/, '8 digits'],
  ['pin2', /^[0-9]{4,8}$/, '4 to 8 digits'],
  ['puk2', /^[0-9]{8}$/, '8 digits'],
  ['adm1', /^[\x21-\x7e]{8,16}$/, '8 characters, or 16 hexadecimal digits'],
];

/** The check digit of ITU-T E.118 (Luhn) over all digits but the last. */
function luhnHolds(digits: string): boolean {
  let sum = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = Number(digits[digits.length - 1 - i]);
    const doubled = i % 2 === 1 ? digit * 2 : digit;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return sum % 10 === 0;
}

/** A value for an error: what could be a key, in a column that was mixed up, is not shown. */
export const shown = (value: string): string =>
  /^[0-9]{1,20}$/.test(value) ? value : `${value.length} characters`;

/** What is told while the keys of a card are read. */
export interface Watching {
  /** OPc or TOPc of the file was compared with that of OP or TOP and Ki */
  operatorKey(at: string, same: boolean): void;
}

export interface CardRules {
  /** IMSI prefixes that are the operator's own */
  ranges: readonly string[];
  op: Uint8Array | undefined;
  top: Uint8Array | undefined;
  /** of key sets whose algorithm the file does not say; AES if not given */
  otaAlgorithm: OtaAlgorithm | undefined;
  /** what the names of columns say of a key set's algorithm */
  implied: ReadonlyMap<number, 'aes' | '3des'>;
  watching: Watching;
}

/** The algorithm of a key set, from what the file says and the length of KIc. */
function algorithmOf(
  at: string,
  said: string,
  implied: 'aes' | '3des' | undefined,
  kic: string,
): OtaAlgorithm {
  const name = said.toLowerCase() || implied || 'aes';
  switch (name) {
    case 'aes':
    case 'des3-2':
    case 'des3-3':
      return name;
    case '3des':
    case 'tdes':
      return kic.length === 48 ? 'des3-3' : 'des3-2';
    default:
      throw new FieldError(at, shown(said), 'aes, des3-2, des3-3, or 3des for either by its length');
  }
}

/** Reads the cards of one file, none of which may be there twice. */
export class CardReader {
  readonly #rules: CardRules;
  readonly #sets: readonly number[];
  readonly #seen = new Map<string, number>();

  /** @param sets numbers of the key sets that the file has columns of */
  constructor(rules: CardRules, sets: readonly number[]) {
    this.#rules = rules;
    this.#sets = sets;
  }

  #digits(
    row: Row,
    line: number,
    column: 'imsi' | 'iccid' | 'msisdn',
    pattern: RegExp,
    expected: string,
  ): string {
    const value = row[column]!;
    const at = `line ${line}, ${column}`;
    if (!pattern.test(value)) throw new FieldError(at, shown(value), expected);
    const key = `${column} ${value}`;
    const before = this.#seen.get(key);
    if (before !== undefined) {
      throw new FieldError(at, value, `a value of its own, not that of line ${before}`);
    }
    this.#seen.set(key, line);
    return value;
  }

  /** What can be told without a key. @throws FieldError naming line and column */
  identity(row: Row, line: number): Pick<CardDatum, 'line' | 'imsi' | 'iccid' | 'msisdn'> {
    const at = (column: string): string => `line ${line}, ${column}`;
    for (const column of ['imsi', 'iccid', 'msisdn'] as const) {
      if (!row[column]) throw new FieldError(at(column), 'empty', 'a value');
    }
    const imsi = this.#digits(row, line, 'imsi', /^[0-9]{6,15}$/, '6 to 15 digits');
    const { ranges } = this.#rules;
    if (!ranges.some((range) => imsi.startsWith(range))) {
      throw new FieldError(
        at('imsi'),
        imsi,
        `an IMSI of this operator, beginning with ${ranges.join(' or ')}`,
      );
    }
    const iccid = this.#digits(row, line, 'iccid', /^[0-9]{18,20}$/, '18 to 20 digits');
    if (!luhnHolds(iccid)) throw new FieldError(at('iccid'), iccid, 'a check digit that holds (ITU-T E.118)');
    return {
      line,
      imsi,
      iccid,
      msisdn: this.#digits(row, line, 'msisdn', /^[0-9]{3,15}$/, '3 to 15 digits'),
    };
  }

  /** @throws FieldError naming line and column; a key's content is never shown */
  card(row: Row, line: number): CardDatum {
    const at = (column: string): string => `line ${line}, ${column}`;
    for (const column of REQUIRED) {
      if (!row[column]) throw new FieldError(at(column), 'empty', 'a value');
    }
    const secret = (column: string, lengths: readonly number[]): Uint8Array => {
      const value = fromHex(row[column]!, at(column));
      if (!lengths.includes(value.length)) {
        throw new FieldError(
          at(column),
          `${value.length} bytes`,
          `${lengths.join(', ')} bytes`.replace(/, (\d+ )/, ' or $1'),
        );
      }
      return value;
    };
    return {
      ...this.identity(row, line),
      aka: this.#aka(row, at, secret),
      ota: this.#ota(row, at, secret),
      codes: Object.fromEntries(
        CODES.flatMap(([column, pattern, expected]) => {
          const value = row[column];
          if (!value) return [];
          // A code is a secret: what is wrong with it is told, not what it is.
          if (!pattern.test(value)) throw new FieldError(at(column), `${value.length} characters`, expected);
          return [[column, value]];
        }),
      ),
      applets: (row.applets ?? '').split(/[ ;]+/).flatMap((tar) => {
        if (tar === '') return [];
        if (!/^[0-9a-f]{6}$/i.test(tar)) {
          throw new FieldError(at('applets'), shown(tar), 'TARs of 6 hexadecimal digits each');
        }
        return [tar.toLowerCase()];
      }),
    };
  }

  /** What Ki is for, and the one operator key that goes with it: of the file, or of OP and Ki. */
  #aka(
    row: Row,
    at: (column: string) => string,
    secret: (column: string, lengths: readonly number[]) => Uint8Array,
  ): SubscriberKey {
    const algorithm = (row.algorithm ?? '').toLowerCase() || 'milenage';
    if (algorithm !== 'milenage' && algorithm !== 'tuak') {
      throw new FieldError(at('algorithm'), shown(algorithm), 'milenage or tuak');
    }
    const [own, other] = algorithm === 'milenage' ? (['opc', 'topc'] as const) : (['topc', 'opc'] as const);
    const { op, top, watching } = this.#rules;
    const common = algorithm === 'milenage' ? op : top;
    if (!row[own] && !common) throw new FieldError(at(own), 'empty', `a value for ${algorithm}`);
    if (row[other]) throw new FieldError(at(other), 'present', `none for ${algorithm}`);
    const k = secret('ki', algorithm === 'milenage' ? [16] : [16, 32]);
    const computed = common && (algorithm === 'milenage' ? opcFromOp(k, common) : topcFromTop(k, common));
    const value = row[own] ? secret(own, [algorithm === 'milenage' ? 16 : 32]) : computed!;
    if (row[own] && computed) {
      const same = equal(value, computed);
      watching.operatorKey(at(own), same);
      if (!same)
        throw new FieldError(at(own), 'another', `that of this Ki and ${common === op ? 'OP' : 'TOP'}`);
    }
    return algorithm === 'milenage' ? { algorithm, k, opc: value } : { algorithm, k, topc: value };
  }

  #ota(
    row: Row,
    at: (column: string) => string,
    secret: (column: string, lengths: readonly number[]) => Uint8Array,
  ): OtaDatum[] {
    return this.#sets.flatMap((keySet): OtaDatum[] => {
      const [kic, kid, kik] = [`kic${keySet}`, `kid${keySet}`, `kik${keySet}`] as const;
      const said = row[`ota_algorithm${keySet}`] ?? '';
      if (!row[kic] && !row[kid] && !row[kik] && said === '') return [];
      for (const column of [kic, kid]) {
        if (!row[column]) throw new FieldError(at(column), 'empty', `a value: key set ${keySet} has others`);
      }
      const implied = this.#rules.implied.get(keySet);
      const algorithm =
        said === '' && implied === undefined && this.#rules.otaAlgorithm !== undefined
          ? this.#rules.otaAlgorithm
          : algorithmOf(at(`ota_algorithm${keySet}`), said, implied, row[kic]!);
      const lengths = keyLengths(algorithm);
      return [
        {
          keySet,
          algorithm,
          kic: secret(kic, lengths),
          kid: secret(kid, lengths),
          ...(row[kik] ? { kik: secret(kik, lengths) } : {}),
        },
      ];
    });
  }
}
