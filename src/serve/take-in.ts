/**
 * Files that a role takes in once: cards of a vendor, devices of an owner, pairs of an escrow. The role's database
 * remembers them by their content, so that a second start takes nothing in twice.
 */
import { createHash } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import type { EscrowedPair } from '../network/escrow/escrow.ts';
import type { OwnedDevice } from '../network/owner/owner.ts';
import { FieldError, fromHex } from '../standards/bytes/index.ts';

/** A file that was read when the configuration was. */
export interface FileToTakeIn {
  path: string;
  text: string;
}

const CONSTRAINT = 19;

/** Whether that is what a role says of something that it has already. */
function isThere(error: unknown): boolean {
  if (error instanceof FieldError) return /does not have yet|not held already/.test(error.expected);
  const { errcode } = error as { errcode?: number };
  return errcode !== undefined && (errcode & 0xff) === CONSTRAINT;
}

/**
 * Takes a file in, unless it was before.
 * @param run takes in all of it or nothing, and throws FieldError if some of it is there already
 * @returns whether it was taken in now
 * @throws FieldError naming the file
 */
export function takeIn(database: string, { path, text }: FileToTakeIn, run: () => void): boolean {
  const digest = createHash('sha256').update(text).digest('hex');
  const store = new DatabaseSync(database);
  try {
    store.exec(
      `PRAGMA busy_timeout=5000; PRAGMA synchronous=FULL;
       CREATE TABLE IF NOT EXISTS taken_in (digest TEXT PRIMARY KEY, state TEXT NOT NULL) STRICT`,
    );
    const state = store.prepare('SELECT state FROM taken_in WHERE digest = ?').get(digest)?.state;
    if (state === 'done') return false;
    store.prepare("INSERT OR IGNORE INTO taken_in VALUES (?, 'begun')").run(digest);
    try {
      run();
    } catch (error) {
      // Cut off between the two the last time: then all of it is there, for it is all or nothing.
      if (state !== 'begun' || !isThere(error)) {
        store.prepare('DELETE FROM taken_in WHERE digest = ?').run(digest);
        if (error instanceof FieldError) {
          throw new FieldError(`${path}: ${error.field}`, error.value, error.expected);
        }
        throw isThere(error) ? new FieldError(path, 'a part that is there already', 'new ones alone') : error;
      }
    }
    store.prepare("UPDATE taken_in SET state = 'done' WHERE digest = ?").run(digest);
    return true;
  } finally {
    store.close();
  }
}

const iccid = z.string().regex(/^[0-9]{18,20}$/);
const hex = z.string().regex(/^(?:[0-9a-f]{2})+$/);
const devicesSchema = z.array(
  z.strictObject({
    device: z.string().min(1),
    iccid,
    imei: z.string().regex(/^[0-9]{14,16}$/),
    operator: z.string().min(1),
    imsi: z.string().regex(/^[0-9]{6,15}$/),
  }),
);
const pairsSchema = z.array(
  z.strictObject({
    iccid,
    index: z.number().int().min(1).max(254),
    aka: z
      .strictObject({
        algorithm: z.enum(['milenage', 'tuak', 'test-xor']),
        k: hex,
        opc: hex.optional(),
        topc: hex.optional(),
        resLength: z.number().int().optional(),
        keccakIterations: z.number().int().optional(),
      })
      .refine(
        ({ algorithm, opc, topc }) =>
          algorithm === 'test-xor' || (algorithm === 'milenage' ? opc : topc) !== undefined,
      ),
    ota: z.strictObject({ kic: hex, kid: hex }),
  }),
);

function parsed<Value>({ path, text }: FileToTakeIn, schema: z.ZodType<Value>, expected: string): Value {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw new FieldError(path, 'no JSON', expected);
  }
  const checked = schema.safeParse(document);
  if (checked.success) return checked.data;
  // What stands there may be a key.
  throw new FieldError(
    path,
    `${checked.error.issues[0]!.path.join('.') || 'the document'}, not as it must be`,
    expected,
  );
}

/** Devices of an owner. @throws FieldError naming the file and the place in it */
export const devicesOf = (file: FileToTakeIn): OwnedDevice[] =>
  parsed(file, devicesSchema, 'a list of devices: device, iccid, imei, operator, imsi');

/** Pairs of cards' lists, in the clear. @throws FieldError naming the file and the place in it, never a key */
export function pairsOf(file: FileToTakeIn): EscrowedPair[] {
  const pairs = parsed(file, pairsSchema, 'a list of pairs: iccid, index, aka, ota');
  return pairs.map(({ aka: { k, opc, topc, resLength, keccakIterations, algorithm }, ota, ...which }) => ({
    ...which,
    aka: {
      algorithm,
      k: fromHex(k, 'k'),
      ...(opc !== undefined && { opc: fromHex(opc, 'opc') }),
      ...(topc !== undefined && { topc: fromHex(topc, 'topc') }),
      ...(resLength !== undefined && { resLength }),
      ...(keccakIterations !== undefined && { keccakIterations }),
    },
    ota: { kic: fromHex(ota.kic, 'kic'), kid: fromHex(ota.kid, 'kid') },
  }));
}
