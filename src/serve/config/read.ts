/** Reads a configuration: all that is wrong with it at once, each with its place, its value and what was expected. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { z } from 'zod';
import { LineCounter, parseDocument } from 'yaml';
import { FieldError } from '../../standards/bytes/index.ts';
import { keysAt, mayBeSecret } from './describe.ts';
import { SERVED_ROLES, configSchema, type ServeConfig, type ServedRole } from './schema.ts';

/** All that is wrong with a configuration. */
export class ConfigError extends FieldError {
  readonly problems: readonly string[];

  constructor(file: string, problems: readonly string[]) {
    const count = problems.length === 1 ? '1 error' : `${problems.length} errors`;
    super(file, count, 'a configuration as docs/serve.md has it');
    this.name = 'ConfigError';
    this.problems = problems;
    this.message = problems.map((each) => `${file}: ${each}`).join('\n');
  }
}

export interface ReadConfig {
  path: string;
  config: ServeConfig;
  /** in the order of SERVED_ROLES */
  roles: readonly ServedRole[];
}

const MOST = 1 << 20;
/** Most characters of a value in an error. */
const SHOWN = 60;

const kindOf = (value: unknown): string =>
  value === null
    ? 'nothing'
    : Array.isArray(value)
      ? 'a list'
      : typeof value === 'object'
        ? 'a section'
        : `a ${typeof value}`;

/** A value as an error shows it; of what may be a secret its kind alone. */
function shown(value: unknown, path: readonly PropertyKey[]): string {
  if (value === undefined) return 'absent';
  if (typeof value === 'object' || mayBeSecret(path)) return kindOf(value);
  const text = JSON.stringify(value);
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}

const at = (document: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>(
    (value, part) =>
      typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[part] : undefined,
    document,
  );

/** What zod says, without what it says of the value. */
function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.message.startsWith('Invalid input: ')
        ? `${({ string: 'text', object: 'a section', record: 'sections by name', array: 'a list' } as Record<string, string>)[issue.expected] ?? `a ${issue.expected}`}`
        : issue.message;
    case 'invalid_value':
      return issue.message.startsWith('Invalid')
        ? `one of ${issue.values.map(String).join(', ')}`
        : issue.message;
    default:
      return issue.message.replace(/^(Too small|Too big|Invalid [a-z]+): expected /, '');
  }
}

function problemsOf(error: z.ZodError, document: unknown): string[] {
  return error.issues.flatMap((issue) => {
    const place = issue.path.map(String).join('.');
    if (issue.code === 'unrecognized_keys') {
      const known = keysAt(issue.path)?.map(({ name }) => name) ?? [];
      return issue.keys.map(
        (key) => `${place === '' ? '' : `${place}.`}${key}: unknown, expected one of ${known.join(', ')}`,
      );
    }
    return [
      `${place || 'the file'}: ${shown(at(document, issue.path), issue.path)}, expected ${expectation(issue)}`,
    ];
  });
}

/**
 * Checks the text of a configuration.
 * @param file by which errors name it, and in whose folder its relative paths are
 * @param only the roles that are wanted; all that it has if not given
 * @throws ConfigError with everything that is wrong
 */
export function parseConfig(text: string, file: string, only?: readonly string[]): ReadConfig {
  const lines = new LineCounter();
  const parsed = parseDocument(text, { lineCounter: lines, prettyErrors: false, version: '1.2' });
  const faults = [...parsed.errors, ...parsed.warnings].map(({ pos, message }) => {
    const { line, col } = lines.linePos(pos[0]);
    // The parser quotes what it met; that may be a secret in the wrong place.
    return `line ${line}, column ${col}: no YAML, expected it as YAML 1.2 has it (${message.replace(/[:"'][^]*$/, '').trim()})`;
  });
  if (faults.length > 0) throw new ConfigError(file, faults);
  let document: unknown;
  try {
    document = parsed.toJS({ maxAliasCount: 100 });
  } catch {
    throw new ConfigError(file, ['the file: aliases without end, expected a plain document']);
  }
  const checked = configSchema(dirname(resolve(file))).safeParse(document ?? {});
  const problems = checked.success ? [] : problemsOf(checked.error, document ?? {});
  const has = SERVED_ROLES.filter((role) => at(document, [role]) !== undefined);
  for (const role of only ?? []) {
    if (!SERVED_ROLES.some((each) => each === role)) {
      problems.push(`--role: ${JSON.stringify(role)}, expected one of ${SERVED_ROLES.join(', ')}`);
    } else if (!has.some((each) => each === role)) {
      problems.push(`--role: ${role}, expected a role that the file has a section for`);
    }
  }
  const roles = has.filter((role) => only === undefined || only.includes(role));
  if (has.length === 0) problems.push(`the file: no role, expected a section of ${SERVED_ROLES.join(', ')}`);
  if (!checked.success || problems.length > 0) throw new ConfigError(file, problems);
  return { path: resolve(file), config: checked.data, roles };
}

/** Reads and checks a configuration file. @throws ConfigError with everything that is wrong */
export function readConfig(file: string, only?: readonly string[]): ReadConfig {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ConfigError(file, [
      `the file: ${code === 'ENOENT' ? 'absent' : String(code)}, expected a file to read`,
    ]);
  }
  if (text.length > MOST) {
    throw new ConfigError(file, [`the file: ${text.length} characters, expected at most ${MOST}`]);
  }
  return parseConfig(text, file, only);
}
