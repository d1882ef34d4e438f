/** `rehome tool card-data`: a dry run of an operator's import of a card vendor's file. */
import { z } from 'zod';
import { parseCardData } from '../network/operator/card-data.ts';
import { badField } from './json.ts';

const inputSchema = z.strictObject({
  csv: z.string(),
  imsiRanges: z.array(z.string().regex(/^[0-9]{5,15}$/, 'IMSI prefixes of 5 to 15 digits')).min(1),
});

/**
 * @param input `{csv, imsiRanges}`: the file's text, and the IMSI prefixes that are the operator's own
 * @returns `{cards: [{line, iccid, imsi, msisdn}]}`
 * @throws FieldError naming line and column
 */
export function cardData(input: unknown): {
  cards: { line: number; iccid: string; imsi: string; msisdn: string }[];
} {
  const checked = inputSchema.safeParse(input);
  if (!checked.success) throw badField(checked.error);
  const cards = parseCardData(checked.data.csv, checked.data.imsiRanges);
  return { cards: cards.map(({ line, iccid, imsi, msisdn }) => ({ line, iccid, imsi, msisdn })) };
}
