/** `rehome tool aka`: f1 to f5* of one challenge, JSON in and out. */
import { z } from 'zod';
import { computeAll, opcFromOp, prepare, type SubscriberKey } from '../standards/aka/index.ts';
import { FieldError, toHex } from '../standards/bytes/index.ts';
import { badField, bytesOf } from './json.ts';

const inputSchema = z.strictObject({
  algorithm: z.enum(['milenage', 'test-xor']),
  k: z.string(),
  op: z.string().optional(),
  opc: z.string().optional(),
  rand: z.string(),
  sqn: z.string(),
  amf: z.string(),
});

/**
 * @param input `{algorithm, k, op|opc, rand, sqn, amf}`, hexadecimal; no op or opc for test-xor
 * @returns `{opc, macA, macS, res, ck, ik, ak, akStar, autn}`, hexadecimal; no opc for test-xor
 * @throws FieldError naming the field
 */
export function aka(input: unknown): Record<string, string> {
  const checked = inputSchema.safeParse(input);
  if (!checked.success) throw badField(checked.error);
  const { algorithm, k, op, opc, rand, sqn, amf } = checked.data;
  const key: SubscriberKey = { algorithm, k: bytesOf('k', k, 16) };
  if (algorithm === 'milenage') {
    if ((op === undefined) === (opc === undefined)) {
      throw new FieldError(
        'op',
        op === undefined ? 'absent, as is opc' : 'present, as is opc',
        'either op or opc',
      );
    }
    key.opc = op === undefined ? bytesOf('opc', opc!, 16) : opcFromOp(key.k, bytesOf('op', op, 16));
  } else if (op !== undefined || opc !== undefined) {
    throw new FieldError(op === undefined ? 'opc' : 'op', 'present', 'none for test-xor');
  }
  const out = computeAll(
    prepare(key),
    bytesOf('rand', rand, 16),
    bytesOf('sqn', sqn, 6),
    bytesOf('amf', amf, 2),
  );
  const { macA, macS, res, ck, ik, ak, akStar, autn } = out;
  return Object.fromEntries(
    Object.entries({ ...(key.opc ? { opc: key.opc } : {}), macA, macS, res, ck, ik, ak, akStar, autn }).map(
      ([name, value]) => [name, toHex(value)],
    ),
  );
}
