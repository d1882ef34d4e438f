/** The configuration as it describes itself: what the example and the reference are made of. */
import { z } from 'zod';
import { configSchema, SERVED_ROLES, type ServedRole } from './schema.ts';
import type { KeyMeta } from './values.ts';

/** A key and what may stand under it. */
export interface DescribedKey extends KeyMeta {
  name: string;
  required: boolean;
  /** in words: `whole number`, `list of text` */
  type: string;
  /** of a section: its keys */
  keys?: DescribedKey[];
  /** a list, each entry of which has these keys */
  list?: DescribedKey[];
  /** entries of any name, each of which has these keys */
  entries?: DescribedKey[];
  /** one of its keys stands, and no other */
  exclusive: boolean;
}

interface JsonSchema extends Partial<KeyMeta> {
  exclusive?: boolean;
  type?: string;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  additionalProperties?: JsonSchema | boolean;
  items?: JsonSchema;
  enum?: string[];
  anyOf?: JsonSchema[];
}

const WORDS: Record<string, string> = { string: 'text', number: 'number', boolean: 'true or false' };

function typeOf(schema: JsonSchema): string {
  if (schema.form !== undefined) return schema.form;
  if (schema.enum) return schema.enum.join(', ');
  if (schema.type === 'array')
    return schema.items?.properties ? 'list' : `list of ${typeOf(schema.items ?? {})}`;
  if (schema.properties) return 'section';
  if (schema.type === 'object') return 'sections by name';
  return WORDS[schema.type ?? ''] ?? 'text';
}

function described(name: string, schema: JsonSchema, required: boolean): DescribedKey {
  const { description = '', example, form, entry } = schema;
  const inner =
    typeof schema.additionalProperties === 'object' ? schema.additionalProperties.properties : undefined;
  return {
    name,
    description,
    required,
    type: typeOf(schema),
    ...(example !== undefined && { example }),
    ...(form !== undefined && { form }),
    ...(entry !== undefined && { entry }),
    ...(schema.properties && { keys: keysOf(schema) }),
    ...(schema.items?.properties && { list: keysOf(schema.items) }),
    ...(inner && { entries: keysOf(schema.additionalProperties as JsonSchema) }),
    exclusive: schema.exclusive === true,
  };
}

const keysOf = (schema: JsonSchema): DescribedKey[] =>
  Object.entries(schema.properties ?? {}).map(([name, inner]) =>
    described(name, inner, schema.required?.includes(name) ?? false),
  );

let known: DescribedKey[] | undefined;

/** Every key of a configuration, in the order in which it is documented. */
export function describedKeys(): readonly DescribedKey[] {
  known ??= keysOf(z.toJSONSchema(configSchema('/'), { io: 'input' }) as JsonSchema);
  return known;
}

/** The keys that may stand at a path; undefined if nothing is known of it. */
export function keysAt(path: readonly PropertyKey[]): readonly DescribedKey[] | undefined {
  let keys: readonly DescribedKey[] | undefined = describedKeys();
  for (let i = 0; i < path.length; i++) {
    const found: DescribedKey | undefined = keys?.find(({ name }) => name === path[i]);
    if (found?.keys) keys = found.keys;
    else {
      keys = found?.list ?? found?.entries;
      // The entry's name, or its place in the list.
      i++;
    }
  }
  return keys;
}

/** Whether what stands at a path is a secret's place: its content is never shown. */
export function isSecret(path: readonly PropertyKey[]): boolean {
  return path.some((_, i) => {
    const key = keysAt(path.slice(0, i))?.find(({ name }) => name === path[i]);
    return key?.form === 'secret';
  });
}

const SECRETIVE = /pass|pin|secret|token|key|kek|bearer/i;
/** Whether somebody may have put a secret there where none belongs. */
export const mayBeSecret = (path: readonly PropertyKey[]): boolean =>
  isSecret(path) || path.some((each) => typeof each === 'string' && SECRETIVE.test(each));

const isRole = (name: string): name is ServedRole => SERVED_ROLES.some((each) => each === name);

/** YAML of a value on one line. */
function scalar(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(scalar).join(', ')}]`;
  if (typeof value !== 'string') return String(value);
  // Digits in quotes, else they are a number and lose what stands before them.
  const plain =
    /^[A-Za-z/][\w ./:@-]*$/.test(value) &&
    !/^(true|false|null|yes|no|on|off)$/i.test(value) &&
    !/: |:$/.test(value);
  return plain || /^\d{4}-\d\d-\d\dT/.test(value) || /^[\d.]+:\d+$/.test(value) ? value : `'${value}'`;
}

/** What is said of a key in the example. */
function remark(key: DescribedKey, choice: boolean): string {
  const choices = key.exclusive ? ` (one of: ${(key.keys ?? []).map(({ name }) => name).join(', ')})` : '';
  return `# ${key.description}${choices}${key.required || choice ? '' : ' (optional)'}`;
}

/**
 * Lines of a key, the remark first.
 * @param off whether it is only possible: then it is a comment without a space, which is taken away to have it
 * @param dash of the first key of a list's entry
 * @param choice whether it is one of several of which one stands
 */
function lines(key: DescribedKey, indent: string, off: boolean, dash = false, choice = false): string[] {
  const put = (at: string, text: string): string => `${at}${off ? '#' : ''}${text}`;
  const at = dash ? indent.slice(2) : indent;
  const head = `${dash ? '- ' : ''}${key.name}:`;
  const children = key.keys ?? key.list ?? key.entries;
  if (!children) return [`${indent}${remark(key, choice)}`, put(at, `${head} ${scalar(key.example ?? '')}`)];
  const body: string[] = key.entries ? [put(`${indent}  `, `${key.entry ?? 'NAME'}:`)] : [];
  const inside = `${indent}${key.keys ? '  ' : '    '}`;
  children.forEach((child, i) => {
    const stands = key.exclusive ? i === 0 : child.required;
    body.push(...lines(child, inside, off || !stands, key.list !== undefined && i === 0, key.exclusive));
  });
  return [`${indent}${remark(key, choice)}`, put(at, head), ...body];
}

/**
 * A configuration for some roles, with every key that it may have: those that must stand as they could be, the rest
 * as comments.
 */
export function exampleConfig(roles: readonly ServedRole[]): string {
  const text = [
    `# A configuration of \`rehome serve\` for: ${roles.join(', ')} (docs/serve.md).`,
    '# Paths are relative to this file. What stands behind a # without a space may be had, or left out.',
  ];
  for (const key of describedKeys()) {
    if (isRole(key.name) && !roles.includes(key.name)) continue;
    const wanted = isRole(key.name) ? { ...key, required: true } : key;
    text.push('', ...lines(wanted, '', !wanted.required));
  }
  return `${text.join('\n')}\n`;
}
