/** JSON from outside: one document from standard input, and errors that name its fields. */
import type { z } from 'zod';
import { FieldError, fromHex } from '../standards/bytes/index.ts';

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

/** Bytes of a field of exactly that many. */
export function bytesOf(field: string, text: string, length: number): Uint8Array {
  const value = fromHex(text, field);
  if (value.length !== length) {
    throw new FieldError(
      field,
      `${value.length} bytes`,
      `${length} bytes in ${2 * length} hexadecimal digits`,
    );
  }
  return value;
}

/** Turns what zod found wrong into the error that names the field; values may be keys and are not shown. */
export function badField(error: z.ZodError): FieldError {
  const issue = error.issues[0];
  const extra = issue?.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
  if (extra !== undefined) return new FieldError(extra, 'present', 'only the fields of this tool');
  const field = issue?.path.join('.') || 'input';
  if (issue?.code === 'invalid_type' && issue.message.endsWith('received undefined')) {
    return new FieldError(field, 'absent', `a ${issue.expected}`);
  }
  return new FieldError(
    field,
    'not as specified',
    issue?.message.replace(/^Invalid [a-z]+: expected /, '') ?? 'valid input',
  );
}
