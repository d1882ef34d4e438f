/**
 * Card data as vendors ship it: CSV with a header line, columns as pySim and sysmocom name them (IMSI, ICCID,
 * Ki, OPC, KIC1, KID1, MSISDN …), in any order and case. ALGORITHM (milenage where it is empty or not there, or tuak)
 * and TOPC are for cards with TUAK. A file is taken in whole or not at all.
 */
import { parse } from 'csv-parse/sync';
import type { SubscriberKey } from '../../standards/aka/index.ts';
import { FieldError, fromHex } from '../../standards/bytes/index.ts';
import type { CardCodes, KeyVault } from '../vault/vault.ts';
import type { OperatorStore } from './store.ts';

/** One card of a vendor's file, with the index of the pair it came with. */
export interface CardDatum {
  /** line of the file, the header being line 1 */
  line: number;
  imsi: string;
  iccid: string;
  msisdn: string;
  aka: SubscriberKey;
  /** AES, 16, 24 or 32 bytes each, of key set 1 */
  kic: Uint8Array;
  kid: Uint8Array;
  kik?: Uint8Array;
  codes: CardCodes;
  /** TARs of the card's applications, in lower-case hexadecimal */
  applets: string[];
}

const REQUIRED = ['imsi', 'iccid', 'msisdn', 'ki', 'kic1', 'kid1'] as const;
/** Of these a file has one or both, by the algorithms of its cards. */
const OPERATOR_KEYS = ['opc', 'topc'] as const;

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

/** Column names of a header line. @throws FieldError on one that is missing or there twice */
function headerOf(cells: string[]): string[] {
  const names = cells.map((name) => name.trim().toLowerCase());
  const wanted = `one column each of ${REQUIRED.join(', ')}, and opc or topc`;
  const timesOf = (column: string): number => names.filter((name) => name === column).length;
  for (const column of [...REQUIRED, ...OPERATOR_KEYS, 'algorithm']) {
    const times = timesOf(column);
    if (times > 1) throw new FieldError(`header, ${column}`, `${times} columns`, wanted);
    const optional =
      column === 'algorithm' || column === 'topc' || (column === 'opc' && timesOf('topc') === 1);
    if (times === 0 && !optional) throw new FieldError(`header, ${column}`, 'no such column', wanted);
  }
  return names;
}

/** A value for an error: what could be a key, in a column that was mixed up, is not shown. */
const shown = (value: string): string => (/^[0-9]{1,20}$/.test(value) ? value : `${value.length} characters`);

/**
 * Reads a vendor's file.
 * @param ranges IMSI prefixes that are the operator's own
 * @throws FieldError naming line and column; a key's content is never shown
 */
export function parseCardData(csv: string, ranges: readonly string[]): CardDatum[] {
  let records: { record: Record<string, string>; info: { lines: number } }[];
  try {
    records = parse(csv, {
      columns: (header: string[]) => headerOf(header),
      skip_empty_lines: true,
      trim: true,
      bom: true,
      info: true,
    });
  } catch (error) {
    if (error instanceof FieldError) throw error;
    const { lines, code } = error as { lines?: number; code?: string };
    throw new FieldError(
      `line ${lines ?? '?'}`,
      code ?? 'unreadable',
      'CSV with as many columns as its header',
    );
  }
  if (records.length === 0)
    throw new FieldError('card data', 'no card', 'a header line and a line for each card');
  const seen = new Map<string, number>();
  return records.map(({ record: row, info: { lines: line } }): CardDatum => {
    const at = (column: string): string => `line ${line}, ${column}`;
    for (const column of REQUIRED) {
      if (!row[column]) throw new FieldError(at(column), 'empty', 'a value');
    }
    const digits = (column: 'imsi' | 'iccid' | 'msisdn', pattern: RegExp, expected: string): string => {
      const value = row[column]!;
      if (!pattern.test(value)) throw new FieldError(at(column), shown(value), expected);
      const key = `${column} ${value}`;
      const before = seen.get(key);
      if (before !== undefined)
        throw new FieldError(at(column), value, `a value of its own, not that of line ${before}`);
      seen.set(key, line);
      return value;
    };
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
    /** What Ki is for, and the one operator key that goes with it. */
    const akaOf = (): SubscriberKey => {
      const algorithm = (row.algorithm ?? '').toLowerCase() || 'milenage';
      if (algorithm !== 'milenage' && algorithm !== 'tuak') {
        throw new FieldError(at('algorithm'), shown(algorithm), 'milenage or tuak');
      }
      const [own, other] = algorithm === 'milenage' ? (['opc', 'topc'] as const) : (['topc', 'opc'] as const);
      if (!row[own]) throw new FieldError(at(own), 'empty', `a value for ${algorithm}`);
      if (row[other]) throw new FieldError(at(other), 'present', `none for ${algorithm}`);
      return algorithm === 'milenage'
        ? { algorithm, k: secret('ki', [16]), opc: secret('opc', [16]) }
        : { algorithm, k: secret('ki', [16, 32]), topc: secret('topc', [32]) };
    };
    const imsi = digits('imsi', /^[0-9]{6,15}$/, '6 to 15 digits');
    if (!ranges.some((range) => imsi.startsWith(range))) {
      throw new FieldError(
        at('imsi'),
        imsi,
        `an IMSI of this operator, beginning with ${ranges.join(' or ')}`,
      );
    }
    const iccid = digits('iccid', /^[0-9]{18,20}$/, '18 to 20 digits');
    if (!luhnHolds(iccid)) throw new FieldError(at('iccid'), iccid, 'a check digit that holds (ITU-T E.118)');
    return {
      line,
      imsi,
      iccid,
      msisdn: digits('msisdn', /^[0-9]{3,15}$/, '3 to 15 digits'),
      aka: akaOf(),
      kic: secret('kic1', [16, 24, 32]),
      kid: secret('kid1', [16, 24, 32]),
      ...(row.kik1 ? { kik: secret('kik1', [16, 24, 32]) } : {}),
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
  });
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
    for (const { line, imsi, iccid, msisdn, aka, kic, kid, kik, codes, applets } of cards) {
      const taken = (column: string, value: string): FieldError =>
        new FieldError(`line ${line}, ${column}`, value, `one that this operator does not have yet`);
      if (store.byImsi(imsi)) throw taken('imsi', imsi);
      if (store.byIccid(iccid)) throw taken('iccid', iccid);
      if (store.byMsisdn(msisdn)) throw taken('msisdn', msisdn);
      const label = `${iccid} 0`;
      store.insert({ imsi, msisdn, iccid, state, change: null });
      store.update(imsi, { aka: vault.sealAka(label, aka), label });
      store.putOtaKeys({
        iccid,
        keySet: 1,
        algorithm: 'aes',
        ota: vault.sealOta(label, { kic, kid, ...(kik ? { kik } : {}) }),
        label,
        counter: 0,
      });
      store.putCard({ iccid, label, codes: vault.sealCodes(label, codes), applets });
    }
  });
}
