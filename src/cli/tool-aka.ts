/** `rehome tool aka`: f1 to f5* of one challenge, JSON in and out. */
import { z } from 'zod';
import { computeAll, opcFromOp, prepare, type SubscriberKey } from '../standards/aka/index.ts';
import { FieldError, fromHex, toHex } from '../standards/bytes/index.ts';

const inputSchema = z.strictObject({
  algorithm: z.enum(['milenage', 'test-xor']),
  k: z.string(),
  op: z.string().optional(),
  opc: z.string().optional(),
  rand: z.string(),
  sqn: z.string(),
  amf: z.string(),
});

/** Bytes of a field of exactly that many. */
function bytes(field: string, text: string, length: number): Uint8Array {
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
  return new FieldError(
    issue?.path.join('.') || 'input',
    'absent or not as specified',
    issue?.message ?? 'valid input',
  );
}

/**
 * @param input `{algorithm, k, op|opc, rand, sqn, amf}`, hexadecimal; no op or opc for test-xor
 * @returns `{opc, macA, macS, res, ck, ik, ak, akStar, autn}`, hexadecimal; no opc for test-xor
 * @throws FieldError naming the field
 */
export function aka(input: unknown): Record<string, string> {
  const checked = inputSchema.safeParse(input);
  if (!checked.success) throw badField(checked.error);
  const { algorithm, k, op, opc, rand, sqn, amf } = checked.data;
  const key: SubscriberKey = { algorithm, k: bytes('k', k, 16) };
  if (algorithm === 'milenage') {
    if ((op === undefined) === (opc === undefined)) {
      throw new FieldError(
        'op',
        op === undefined ? 'absent, as is opc' : 'present, as is opc',
        'either op or opc',
      );
    }
    key.opc = op === undefined ? bytes('opc', opc!, 16) : opcFromOp(key.k, bytes('op', op, 16));
  } else if (op !== undefined || opc !== undefined) {
    throw new FieldError(op === undefined ? 'opc' : 'op', 'present', 'none for test-xor');
  }
  const out = computeAll(prepare(key), bytes('rand', rand, 16), bytes('sqn', sqn, 6), bytes('amf', amf, 2));
  const { macA, macS, res, ck, ik, ak, akStar, autn } = out;
  return Object.fromEntries(
    Object.entries({ ...(key.opc ? { opc: key.opc } : {}), macA, macS, res, ck, ik, ak, akStar, autn }).map(
      ([name, value]) => [name, toHex(value)],
    ),
  );
}
