/** One JSON document from standard input. */
import { FieldError } from '../standards/bytes/index.ts';

/** Longest document read, in bytes. */
const MOST = 16 << 20;

/** @throws FieldError if it is no JSON, or too long; its content is not shown, it may hold keys */
export async function readJson(input: AsyncIterable<Uint8Array>): Promise<unknown> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of input) {
    length += part.length;
    if (length > MOST)
      throw new FieldError('standard input', `more than ${MOST} bytes`, `at most ${MOST} bytes`);
    parts.push(part);
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString('utf8')) as unknown;
  } catch {
    throw new FieldError('standard input', `${length} bytes`, 'one JSON document');
  }
}
