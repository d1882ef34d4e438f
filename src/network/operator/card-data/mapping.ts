/** Which column of a vendor's file is what: built in for pySim's and the usual names, declared for others. */
import { z } from 'zod';
import { FieldError, fromHex } from '../../../standards/bytes/index.ts';
import type { OtaAlgorithm } from '../../../standards/ota/index.ts';
import { blockLength, type Encryption, type TransportKeys } from './transport-keys.ts';

const PLAIN = [
  'imsi',
  'iccid',
  'msisdn',
  'ki',
  'opc',
  'topc',
  'algorithm',
  'pin1',
  'puk1',
  'pin2',
  'puk2',
  'adm1',
  'applets',
] as const;
const OF_SET = /^(kic|kid|kik|ota_algorithm)([1-9]|1[0-5])$/;

/** Field of a card: one of a few names, or `kic`, `kid`, `kik`, `ota_algorithm` with a key set number 1–15. */
export type Field = string;
export const isField = (name: string): boolean =>
  (PLAIN as readonly string[]).includes(name) || OF_SET.test(name);
export const CODE_FIELDS: readonly Field[] = ['pin1', 'puk1', 'pin2', 'puk2', 'adm1'];
/** Of which only some may be enciphered: what identifies a card is needed to say where something is wrong. */
const SECRET_FIELDS = (field: Field): boolean =>
  ['ki', 'opc', 'topc', ...CODE_FIELDS].includes(field) || /^(kic|kid|kik)\d/.test(field);

/**
 * How a number is written. `plain`: digits · `swapped`: nibbles of each byte swapped, F at the end, as in EF.ICCID
 * (TS 102 221 §13.2) · `ef-imsi`: as in EF.IMSI (TS 31.102 §4.2.2), length and parity first
 */
export type Coding = 'plain' | 'swapped' | 'ef-imsi';

/** What is known of a column. */
export interface Column {
  /** as the file has it */
  name: string;
  /** undefined: left alone */
  field: Field | undefined;
  coding: Coding;
  encryption?: Encryption;
  /** algorithm of the OTA key set that the column's name implies, if it does */
  implies?: 'aes' | '3des';
}

const encryptionSchema = z.strictObject({
  cipher: z.enum(['aes', '3des']),
  mode: z.enum(['ecb', 'cbc']),
  iv: z.string().optional(),
  key: z.string().min(1).optional(),
});
const fieldSchema = z.string().toLowerCase().refine(isField, 'a field of a card');
const columnSchema = z.union([
  fieldSchema,
  z.strictObject({
    field: fieldSchema,
    coding: z.enum(['plain', 'swapped', 'ef-imsi']).optional(),
    /** `true`: as `encryption` of the mapping says */
    encryption: z.union([encryptionSchema, z.literal(true)]).optional(),
  }),
]);
const mappingSchema = z.strictObject({
  format: z.enum(['csv', 'out']).optional(),
  /** between values: one character; of an output file any white space if not given */
  delimiter: z.string().length(1).optional(),
  /** by name in the file, in any case */
  columns: z.record(z.string().min(1), columnSchema),
  encryption: encryptionSchema.optional(),
  header: z
    .strictObject({
      /** names of the header lines that say so, in any case */
      transportKey: z.string().min(1).optional(),
      kcv: z.string().min(1).optional(),
      quantity: z.string().min(1).optional(),
    })
    .optional(),
  otaAlgorithm: z.enum(['aes', 'des3-2', 'des3-3']).optional(),
});

/** A declared mapping, checked. */
export interface Mapping {
  format: 'csv' | 'out' | undefined;
  delimiter: string | undefined;
  /** by name in lower case */
  columns: ReadonlyMap<string, Omit<Column, 'name'>>;
  header: { transportKey: string; kcv: string; quantity: string };
  /** of OTA key sets with no algorithm of their own */
  otaAlgorithm: OtaAlgorithm | undefined;
}

const HEADER = { transportKey: 'transport_key', kcv: 'transport_key_kcv', quantity: 'quantity' };

function encryptionOf(place: string, given: z.infer<typeof encryptionSchema>): Encryption {
  const { cipher, mode, iv, key } = given;
  const encryption: Encryption = { cipher, mode, ...(key === undefined ? {} : { key }) };
  if (iv === undefined) return encryption;
  if (mode === 'ecb') throw new FieldError(`${place}, iv`, 'present', 'none for ECB');
  const bytes = fromHex(iv, `${place}, iv`);
  const length = blockLength(cipher);
  if (bytes.length !== length)
    throw new FieldError(`${place}, iv`, `${bytes.length} bytes`, `${length} bytes`);
  return { ...encryption, iv: bytes };
}

/** @throws FieldError naming the place in the document */
export function parseMapping(document: unknown): Mapping {
  const checked = mappingSchema.safeParse(document);
  if (!checked.success) {
    const issue = checked.error.issues[0]!;
    const place = ['mapping', ...issue.path.map(String)].join(', ');
    throw new FieldError(
      place,
      'not as specified',
      issue.path[0] === 'columns'
        ? 'a field of a card, or {"field": …, "coding": …, "encryption": {"cipher", "mode", "iv", "key"}}'
        : issue.message.replace(/^Invalid [a-z]+: expected /, ''),
    );
  }
  const { columns, encryption, header, delimiter, format, otaAlgorithm } = checked.data;
  const byName = new Map<string, Omit<Column, 'name'>>();
  for (const [name, given] of Object.entries(columns)) {
    const place = `mapping, columns, ${name}`;
    const column = typeof given === 'string' ? { field: given } : given;
    const own = column.encryption === true ? encryption : column.encryption;
    if (column.encryption === true && !encryption) {
      throw new FieldError(place, 'encryption true', 'an encryption of the mapping that it stands for');
    }
    if (own && !SECRET_FIELDS(column.field)) {
      throw new FieldError(place, `${column.field} enciphered`, 'encryption of keys and codes alone');
    }
    if (column.coding && column.coding !== 'plain' && !['imsi', 'iccid', 'msisdn'].includes(column.field)) {
      throw new FieldError(
        place,
        `${column.field} as ${column.coding}`,
        'a coding of imsi, iccid or msisdn alone',
      );
    }
    byName.set(name.trim().toLowerCase(), {
      field: column.field,
      coding: column.coding ?? 'plain',
      ...(own ? { encryption: encryptionOf(place, own) } : {}),
    });
  }
  return {
    format,
    delimiter,
    columns: byName,
    header: {
      transportKey: header?.transportKey?.toLowerCase() ?? HEADER.transportKey,
      kcv: header?.kcv?.toLowerCase() ?? HEADER.kcv,
      quantity: header?.quantity?.toLowerCase() ?? HEADER.quantity,
    },
    otaAlgorithm,
  };
}

/** Columns that one name of a transport key stands for, as in pySim (pySim/card_key_provider.py). */
export const COLUMN_GROUPS: Readonly<Record<string, readonly string[]>> = {
  UICC_SCP02: ['UICC_SCP02_KIC1', 'UICC_SCP02_KID1', 'UICC_SCP02_KIK1'],
  UICC_SCP03: ['UICC_SCP03_KIC1', 'UICC_SCP03_KID1', 'UICC_SCP03_KIK1'],
  SCP03_ISDR: ['SCP03_ENC_ISDR', 'SCP03_MAC_ISDR', 'SCP03_DEK_ISDR'],
  SCP03_ISDA: ['SCP03_ENC_ISDA', 'SCP03_MAC_ISDA', 'SCP03_DEK_ISDA'],
  SCP03_ECASD: ['SCP03_ENC_ECASD', 'SCP03_MAC_ECASD', 'SCP03_DEK_ECASD'],
};
/** pySim's AES-CBC begins every cell with the same block. */
const PYSIM_IV = new Uint8Array(16).fill(0x23);

/** Names that vendors use for the same thing. */
const ALIASES: Readonly<Record<string, Field>> = {
  ser_nb: 'iccid',
  serial: 'iccid',
  icc_id: 'iccid',
  k: 'ki',
  adm: 'adm1',
};

function builtIn(name: string): Omit<Column, 'name'> {
  const lower = name.toLowerCase();
  const scp = /^uicc_scp0([23])_(ki[cdk](?:[1-9]|1[0-5]))$/.exec(lower);
  if (scp) return { field: scp[2]!, coding: 'plain', implies: scp[1] === '3' ? 'aes' : '3des' };
  const field = ALIASES[lower] ?? lower;
  return { field: isField(field) ? field : undefined, coding: 'plain' };
}

/**
 * What the columns of a file are. Without a mapping a transport key goes by the name of the column, or group of
 * columns, that it is for: enciphered as pySim does.
 * @throws FieldError on two columns of one field, a transport key that is for no column, a mapping's column that is
 * not there
 */
export function columnsOf(
  names: readonly string[],
  mapping: Mapping | undefined,
  keys: TransportKeys | undefined,
): Column[] {
  const columns = names.map((raw): Column => {
    const name = raw.trim();
    if (mapping) {
      return { name, ...(mapping.columns.get(name.toLowerCase()) ?? { field: undefined, coding: 'plain' }) };
    }
    const upper = name.toUpperCase();
    const group = Object.keys(COLUMN_GROUPS).find((each) => COLUMN_GROUPS[each]!.includes(upper));
    const key = keys?.keys.has(upper)
      ? upper
      : group !== undefined && keys?.keys.has(group)
        ? group
        : undefined;
    const column = builtIn(name);
    if (key === undefined) return { name, ...column };
    if (column.field !== undefined && !SECRET_FIELDS(column.field)) {
      throw new FieldError(`transport key ${key}`, `for column ${name}`, 'keys for keys and codes alone');
    }
    return { name, ...column, encryption: { cipher: 'aes', mode: 'cbc', iv: PYSIM_IV, key } };
  });
  if (mapping) {
    const there = new Set(names.map((name) => name.trim().toLowerCase()));
    for (const name of mapping.columns.keys()) {
      if (!there.has(name))
        throw new FieldError(`header, ${name}`, 'no such column', 'the columns of the mapping');
    }
  } else {
    const used = new Set(columns.flatMap(({ encryption }) => (encryption ? [encryption.key] : [])));
    for (const [upper, { name }] of keys?.keys ?? []) {
      if (!used.has(upper)) {
        throw new FieldError(
          `transport key ${name}`,
          'for no column of this file',
          'the name of a column or of a group of columns',
        );
      }
    }
  }
  return columns;
}
