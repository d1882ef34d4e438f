/** `rehome tool aka`: f1 to f5* of one challenge, JSON in and out. */
import { z } from 'zod';
import {
  computeAll,
  opcFromOp,
  prepare,
  topcFromTop,
  tuak,
  type SubscriberKey,
} from '../standards/aka/index.ts';
import { FieldError, concat, fromHex, toHex } from '../standards/bytes/index.ts';
import { badField, bytesOf } from './json.ts';

const inputSchema = z.strictObject({
  algorithm: z.enum(['milenage', 'tuak', 'test-xor']),
  k: z.string(),
  op: z.string().optional(),
  opc: z.string().optional(),
  top: z.string().optional(),
  topc: z.string().optional(),
  rand: z.string(),
  sqn: z.string(),
  amf: z.string(),
  resLength: z.number().optional(),
  macLength: z.number().optional(),
  ckLength: z.number().optional(),
  ikLength: z.number().optional(),
  keccakIterations: z.number().optional(),
});
type Input = z.infer<typeof inputSchema>;

const BY_ALGORITHM = {
  milenage: ['op', 'opc'],
  tuak: ['top', 'topc', 'resLength', 'macLength', 'ckLength', 'ikLength', 'keccakIterations'],
  'test-xor': [],
} as const;

/** Refuses what belongs to another algorithm. */
function onlyOwn(input: Input): void {
  const own: readonly string[] = BY_ALGORITHM[input.algorithm];
  for (const field of Object.values(BY_ALGORITHM).flat()) {
    if (input[field] !== undefined && !own.includes(field)) {
      throw new FieldError(field, 'present', `none for ${input.algorithm}`);
    }
  }
}

/** OPc as it is or of OP; TOPc likewise. */
function derived(
  input: Input,
  from: 'op' | 'top',
  to: 'opc' | 'topc',
  length: number,
  derive: (value: Uint8Array) => Uint8Array,
): Uint8Array {
  const [raw, ready] = [input[from], input[to]];
  if (raw !== undefined && ready === undefined) return derive(bytesOf(from, raw, length));
  if (raw === undefined && ready !== undefined) return bytesOf(to, ready, length);
  const found = raw === undefined ? 'absent' : 'present';
  throw new FieldError(from, `${found}, as is ${to}`, `either ${from} or ${to}`);
}

/** Bytes of a length in bits. */
function lengthOf(
  input: Input,
  field: 'resLength' | 'macLength' | 'ckLength' | 'ikLength',
  usual: number,
  ...allowed: number[]
): number {
  const bits = input[field] ?? usual;
  if (allowed.includes(bits)) return bits / 8;
  throw new FieldError(field, String(bits), `${allowed.join(', ')} bits`.replace(/, (\d+ )/, ' or $1'));
}

/** TUAK with any of its lengths. AUTN ends with the whole MAC-A, and has 16 bytes if that has its usual 64 bits. */
function ofTuak(input: Input): Record<string, Uint8Array> {
  const k = fromHex(input.k, 'k');
  if (k.length !== 16 && k.length !== 32) {
    throw new FieldError('k', `${k.length} bytes`, '16 or 32 bytes in 32 or 64 hexadecimal digits');
  }
  const { keccakIterations } = input;
  const topc = derived(input, 'top', 'topc', 32, (top) => topcFromTop(k, top, keccakIterations));
  const { f1, f1Star, f2345, f5Star } = tuak(k, topc, {
    macLength: lengthOf(input, 'macLength', 64, 64, 128, 256),
    resLength: lengthOf(input, 'resLength', 64, 32, 64, 128, 256),
    ckLength: lengthOf(input, 'ckLength', 128, 128, 256),
    ikLength: lengthOf(input, 'ikLength', 128, 128, 256),
    ...(keccakIterations !== undefined && { keccakIterations }),
  });
  const [rand, sqn, amf] = challengeOf(input);
  const [macA, macS] = [f1(rand, sqn, amf), f1Star(rand, sqn, amf)];
  const { res, ck, ik, ak } = f2345(rand);
  const hidden = sqn.map((byte, i) => byte ^ ak[i]!);
  const autn = concat(hidden, amf, macA);
  return { topc, macA, macS, res, ck, ik, ak, akStar: f5Star(rand), autn };
}

const challengeOf = ({ rand, sqn, amf }: Input): [Uint8Array, Uint8Array, Uint8Array] => [
  bytesOf('rand', rand, 16),
  bytesOf('sqn', sqn, 6),
  bytesOf('amf', amf, 2),
];

function ofOthers(input: Input, algorithm: 'milenage' | 'test-xor'): Record<string, Uint8Array> {
  const k = bytesOf('k', input.k, 16);
  const key: SubscriberKey = { algorithm, k };
  if (algorithm === 'milenage') key.opc = derived(input, 'op', 'opc', 16, (op) => opcFromOp(k, op));
  const { macA, macS, res, ck, ik, ak, akStar, autn } = computeAll(prepare(key), ...challengeOf(input));
  return { ...(key.opc && { opc: key.opc }), macA, macS, res, ck, ik, ak, akStar, autn };
}

/**
 * @param input `{algorithm, k, op|opc, rand, sqn, amf}`, hexadecimal; `top|topc` for tuak, none for test-xor. For
 * tuak also `resLength`, `macLength`, `ckLength`, `ikLength` in bits (default 64, 64, 128, 128) and
 * `keccakIterations` (default 1)
 * @returns `{opc, macA, macS, res, ck, ik, ak, akStar, autn}`, hexadecimal; `topc` instead of `opc` for tuak,
 * neither for test-xor
 * @throws FieldError naming the field
 */
export function aka(input: unknown): Record<string, string> {
  const checked = inputSchema.safeParse(input);
  if (!checked.success) throw badField(checked.error);
  const { data } = checked;
  onlyOwn(data);
  const out = data.algorithm === 'tuak' ? ofTuak(data) : ofOthers(data, data.algorithm);
  return Object.fromEntries(Object.entries(out).map(([name, value]) => [name, toHex(value)]));
}
