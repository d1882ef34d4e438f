/** `rehome tool card-data`: a dry run of an operator's import of a card vendor's file. */
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { Command } from 'commander';
import { z } from 'zod';
import {
  parseMapping,
  parseTransportKeys,
  readCardData,
  streamCardData,
  type CardDataOptions,
} from '../network/operator/card-data/index.ts';
import { FieldError } from '../standards/bytes/index.ts';
import { badField, readJson } from './json.ts';

const RANGE = /^[0-9]{5,15}$/;
const inputSchema = z
  .strictObject({
    csv: z.string().optional(),
    out: z.string().optional(),
    imsiRanges: z.array(z.string().regex(RANGE, 'IMSI prefixes of 5 to 15 digits')).min(1),
    mapping: z.unknown().optional(),
    transportKeys: z.unknown().optional(),
  })
  .refine(({ csv, out }) => (csv === undefined) !== (out === undefined), {
    path: ['csv'],
    message: 'either csv or out, the text of a file',
  });

const optionsOf = (ranges: readonly string[], mapping: unknown, keys: unknown): CardDataOptions => ({
  ranges,
  ...(mapping === undefined ? {} : { mapping: parseMapping(mapping) }),
  ...(keys === undefined ? {} : { keys: parseTransportKeys(keys) }),
  closed: 'leave',
});

/**
 * @param input `{csv | out, imsiRanges, mapping?, transportKeys?}`: the file's text, the IMSI prefixes that are the
 * operator's own, and how to read what is enciphered
 * @returns `{cards: [{line, iccid, imsi, msisdn}]}`, and with a mapping or transport keys also what the columns are
 * and which keys opened them
 * @throws FieldError naming line and column
 */
export function cardData(input: unknown): object {
  const checked = inputSchema.safeParse(input);
  if (!checked.success) throw badField(checked.error);
  const { csv, out, imsiRanges, mapping, transportKeys } = checked.data;
  const { rows, report } = readCardData(csv ?? out!, optionsOf(imsiRanges, mapping, transportKeys));
  const cards = rows.map(({ line, iccid, imsi, msisdn }) => ({ line, iccid, imsi, msisdn }));
  const plain = csv !== undefined && mapping === undefined && transportKeys === undefined;
  return plain ? { cards } : { ...report, cards };
}

interface CardDataFlags {
  file?: string;
  imsiRange?: string[];
  mapping?: string;
  transportKeys?: string;
}

function document(option: string, path: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new FieldError(option, path, 'a file with one JSON document');
  }
}

function textOf(option: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new FieldError(option, path, `a file that can be read (${(error as NodeJS.ErrnoException).code})`);
  }
}

/** Keys in a file that others can read are known to others. */
function keysOf(path: string): unknown {
  const text = textOf('--transport-keys', path);
  if (process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0) {
    throw new FieldError('--transport-keys', path, 'a file that its owner alone may read (chmod 600)');
  }
  return document('--transport-keys', path, text);
}

async function checkFile(path: string, flags: CardDataFlags): Promise<object> {
  const ranges = flags.imsiRange ?? [];
  if (ranges.length === 0 || !ranges.every((range) => RANGE.test(range))) {
    throw new FieldError('--imsi-range', ranges.join(' ') || 'not given', 'IMSI prefixes of 5 to 15 digits');
  }
  const mapping =
    flags.mapping === undefined
      ? undefined
      : document('--mapping', flags.mapping, textOf('--mapping', flags.mapping));
  const keys =
    flags.transportKeys === undefined
      ? undefined
      : flags.transportKeys === '-'
        ? await readJson(process.stdin)
        : keysOf(flags.transportKeys);
  const options = optionsOf(ranges, mapping, keys);
  try {
    return await streamCardData(createReadStream(path, 'utf8'), options);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === undefined || error instanceof FieldError) throw error;
    throw new FieldError('--file', path, `a file that can be read (${code})`);
  }
}

export function cardDataCommand(): Command {
  return new Command('card-data')
    .description(
      'checks a card vendor’s file (docs/card-data.md) as an operator would take it in; prints no key',
    )
    .option('--file <file>', 'the vendor’s file; without it JSON on standard input')
    .option('--imsi-range <prefixes...>', 'with --file: IMSI prefixes that are the operator’s own')
    .option('--mapping <file>', 'with --file: what its columns are (JSON)')
    .option('--transport-keys <file>', 'with --file: the keys to open it with (JSON), - for standard input')
    .option('--json', 'JSON is what it prints anyway')
    .action(async (flags: CardDataFlags) => {
      const alone = Object.entries(flags).find(([name]) => name !== 'file' && name !== 'json')?.[0];
      if (flags.file === undefined && alone !== undefined) {
        throw new FieldError('--file', 'not given', 'the file that the other options are about');
      }
      const result =
        flags.file === undefined
          ? cardData(await readJson(process.stdin))
          : await checkFile(flags.file, flags);
      console.log(JSON.stringify(result));
    });
}
