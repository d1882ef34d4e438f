/** The values of a configuration file: addresses, files, secrets that are elsewhere, names and numbers. */
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { z } from 'zod';
import type { Endpoint } from '../../edge/index.ts';

/** What a key is told about itself, for the example and the reference. */
export interface KeyMeta {
  description: string;
  /** as it stands in the example */
  example?: unknown;
  /** what kind of value, where its type does not say it */
  form?: string;
  /** of a key with entries of any name: the name in the example */
  entry?: string;
  /** one of its keys stands, and no other */
  exclusive?: boolean;
}

/** A key with its description. Always the last word on a schema, but for `optional` and `default`. */
export function key<Schema extends z.ZodType>(
  schema: Schema,
  description: string,
  meta: Omit<KeyMeta, 'description'> = {},
): Schema {
  return schema.meta({ description, ...meta });
}

/** Where a secret is: never in the configuration itself. */
export type SecretPlace = { file: string } | { environment: string };

/** HOST:PORT, [ADDRESS]:PORT, or a port of this machine's loopback. @returns undefined if it is none of them */
export function parseAddress(value: string | number): Endpoint | undefined {
  const text = String(value);
  const [, bracketed, plain, digits] =
    /^(?:https?:\/\/)?(?:\[([^\]]+)\]:|([^:/]+):)?([0-9]{1,5})\/?$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > 65_535) return undefined;
  if (bracketed !== undefined && isIP(bracketed) !== 6) return undefined;
  return { host: bracketed ?? plain ?? '127.0.0.1', port };
}

const addressOf = (least: number, expected: string) =>
  z.union([z.string(), z.number()], { error: expected }).transform((value, context): Endpoint => {
    const at = parseAddress(value);
    if (at && at.port >= least) return at;
    context.addIssue({ code: 'custom', message: expected });
    return z.NEVER;
  });

/** Where to listen; a port alone is one of loopback, and 0 is a port that the system picks. */
export const listenAt = (what: string, example: string) =>
  key(
    addressOf(0, 'HOST:PORT, or a port of this machine alone; 0: the system picks'),
    `where to listen: ${what}`,
    {
      example,
      form: 'HOST:PORT or PORT',
    },
  );

/** Where somebody else is. */
export const reachedAt = (what: string, example: string) =>
  key(addressOf(1, 'HOST:PORT'), what, { example, form: 'HOST:PORT' });

const digits = (least: number, most: number, what: string) =>
  z.string({ error: `${what}, in quotes` }).regex(new RegExp(`^[0-9]{${least},${most}}$`), what);

export const plmn = digits(5, 6, 'MCC and MNC, 5 or 6 digits');
export const number = digits(3, 15, 'an international number, 3 to 15 digits without +');
export const name = z.string().regex(/^\S(.{0,62}\S)?$/, '1 to 64 characters');
export const whole = (least: number, most: number) =>
  z
    .number({ error: `a whole number from ${least} to ${most}` })
    .refine(
      (value) => Number.isInteger(value) && value >= least && value <= most,
      `a whole number from ${least} to ${most}`,
    );
/** Exactly one of the keys. */
export const oneOf = <Schema extends z.ZodType<object>>(schema: Schema, ...names: string[]): Schema =>
  schema.refine(
    (value) => names.filter((each) => (value as Record<string, unknown>)[each] !== undefined).length === 1,
    `one of ${names.join(', ')}, and one alone`,
  );

/** The kinds of values that know in which folder the configuration is. */
export function valuesIn(folder: string) {
  const file = z
    .string()
    .min(1, 'a file')
    .transform((path) => resolve(folder, path));
  const fileOf = (what: string, example: string) => key(file, what, { example, form: 'file' });
  const secret = (what: string, example: string) =>
    key(
      oneOf(
        z.strictObject(
          {
            file: key(file, 'a file that has it, and nothing else but a line end', {
              example,
              form: 'file',
            }).optional(),
            environment: key(
              z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'the name of an environment variable'),
              'or the environment variable that has it',
              { example: example.replace(/\W/g, '_').toUpperCase() },
            ).optional(),
          },
          { error: 'where it is, file or environment; never the secret itself' },
        ),
        'file',
        'environment',
      ).transform((place) => place as SecretPlace),
      what,
      { form: 'secret', exclusive: true },
    );
  return { fileOf, secret };
}
export type Values = ReturnType<typeof valuesIn>;
