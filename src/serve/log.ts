/**
 * What a process tells of itself: JSON lines, one an event. Fields are named here and no others are written, so that
 * no key, PIN or token can come into a log by being part of something.
 */
import pino, { type Logger } from 'pino';
import type { LOG_LEVELS } from './config/schema.ts';

export type LogLevel = (typeof LOG_LEVELS)[number];

/** All that a line may say besides level, time, organisation and message. */
export interface LogFields {
  role?: string;
  /** of a change: 16 hexadecimal digits, the same in the logs of all roles */
  change?: string;
  /** more changes of the same request than have a line of their own */
  more?: number;
  device?: string;
  alternative?: string;
  step?: string;
  outcome?: string;
  next?: string;
  state?: string;
  why?: string;
  method?: string;
  route?: string;
  status?: number;
  code?: string;
  /** who asked, as its certificate says: `operator:A` */
  caller?: string;
  peer?: string;
  milliseconds?: number;
  trace?: string;
  listen?: Record<string, string>;
  path?: string;
  until?: string;
  signal?: string;
}

export interface Log {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  /** whether lines of this level are written at all */
  has(level: LogLevel): boolean;
}

/** Names of errors whose message was worded by us, and has no key in it. */
const WORDED = new Set(['Problem', 'FieldError', 'DecodeError', 'ConfigError']);

/** What may be told of an error that nobody expected: its message if we worded it, else its kind and where it arose. */
export function whyOf(error: unknown): string {
  if (!(error instanceof Error)) return 'an error of no kind';
  const { code } = error as NodeJS.ErrnoException;
  if (WORDED.has(error.name)) return error.message;
  const where =
    /\n\s+at (.*)/.exec(error.stack ?? '')?.[1]?.replace(/\(?file:\/\/.*\/(src|dist)\//, '($1/') ?? 'nowhere';
  return `${error.name}${code === undefined ? '' : ` ${String(code)}`} at ${where}`;
}

/** @param write takes a line, its end included; standard error if not given */
export function createLog(
  level: LogLevel,
  organisation: string,
  write: (line: string) => void = (line) => void process.stderr.write(line),
): Log {
  const logger: Logger = pino(
    {
      level,
      base: { organisation },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write },
  );
  const at =
    (label: 'error' | 'warn' | 'info' | 'debug') =>
    (message: string, fields: LogFields = {}): void =>
      logger[label](fields, message);
  return {
    error: at('error'),
    warn: at('warn'),
    info: at('info'),
    debug: at('debug'),
    has: (asked) => logger.isLevelEnabled(asked),
  };
}
