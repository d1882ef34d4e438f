/**
 * Counts what a decoder allocates and what it reads, so that both can be held to a bound: the same count on every
 * machine, and an excess ends the decode before the memory is taken.
 */
import { Reader, toHex } from '../../src/standards/bytes/index.ts';

/** A decoder took more than its input warrants. */
export class Excess extends Error {
  constructor(what: string, limit: number, input: Uint8Array) {
    super(`${what} more than ${limit} for ${input.length} bytes: ${toHex(input)}`);
    this.name = 'Excess';
  }
}

/** Bytes a decode may allocate, of typed arrays, buffers, array elements and repeated strings. */
export const mostBytes = (length: number): number => 16 * length + 8 * 1024;
/** Fields it may read and elements it may append. */
export const mostSteps = (length: number): number => 16 * length + 512;

let input: Uint8Array | undefined;
let bytesLeft = 0;
let stepsLeft = 0;
let excess: Excess | undefined;

function begin(bytes: Uint8Array): void {
  bytesLeft = mostBytes(bytes.length);
  stepsLeft = mostSteps(bytes.length);
  excess = undefined;
  input = bytes;
}

/** Ends the decode; what it does if it catches that is not counted. */
function exceed(bytes: Uint8Array, what: string, limit: number): never {
  input = undefined;
  excess = new Excess(what, limit, bytes);
  throw excess;
}

function spend(bytes: number): void {
  if (input === undefined) return;
  bytesLeft -= bytes;
  if (bytesLeft < 0) exceed(input, 'allocated', mostBytes(input.length));
}

function step(): void {
  if (input !== undefined && --stepsLeft < 0) exceed(input, 'read or appended', mostSteps(input.length));
}

/** Runs a decode of this input. @throws Excess as soon as it goes beyond its bounds, also if it catches that */
export function bounded<T>(bytes: Uint8Array, decode: (bytes: Uint8Array) => T): T {
  begin(bytes);
  let value: T;
  try {
    value = decode(bytes);
  } catch (error) {
    throw excess ?? error;
  } finally {
    input = undefined;
  }
  if (excess) throw excess;
  return value;
}

type Constructor = new (...given: never[]) => object;
type Method = (this: unknown, ...given: never[]) => unknown;
/** Puts something in place of a property. @returns what puts it back */
function replace(owner: object, key: string, value: unknown): () => void {
  const before = Object.getOwnPropertyDescriptor(owner, key);
  Object.defineProperty(owner, key, { value, writable: true, configurable: true, enumerable: false });
  return () => {
    if (before) Object.defineProperty(owner, key, before);
    else Reflect.deleteProperty(owner, key);
  };
}

/** What a constructor is about to allocate: a number of elements, or a copy of something; a view is nothing. */
function elements(given: readonly unknown[], each: number): number {
  const [first] = given;
  if (typeof first === 'number') return first * each;
  if (first instanceof ArrayBuffer || first instanceof SharedArrayBuffer) return 0;
  const length = (first as { length?: unknown } | null | undefined)?.length;
  return typeof length === 'number' ? length * each : 0;
}

function counted(name: string, size: (given: readonly unknown[]) => number): () => void {
  const original = (globalThis as unknown as Record<string, Constructor>)[name]!;
  function Counted(...given: unknown[]): object {
    if (input !== undefined) spend(size(given));
    return Reflect.construct(original, given) as object;
  }
  Counted.prototype = original.prototype as object;
  Object.setPrototypeOf(Counted, original);
  return replace(globalThis, name, Counted);
}

/** Counts before (by the arguments) or after (by what came). */
function method(
  owner: object,
  key: string,
  before: ((given: readonly unknown[], self: unknown) => number) | undefined,
  after?: (result: never) => number,
): () => void {
  const original = (owner as Record<string, Method>)[key]!;
  return replace(owner, key, function (this: unknown, ...given: never[]): unknown {
    if (input === undefined) return Reflect.apply(original, this, given);
    if (before) spend(before(given, this));
    const result = Reflect.apply(original, this, given);
    if (after) spend(after(result as never));
    return result;
  });
}

const BYTES = {
  Uint8Array: 1,
  Int8Array: 1,
  Uint8ClampedArray: 1,
  Uint16Array: 2,
  Int16Array: 2,
  Uint32Array: 4,
  Int32Array: 4,
  Float64Array: 8,
  BigUint64Array: 8,
  BigInt64Array: 8,
} as const;

/** While this runs, `bounded` counts. */
export function metered(run: () => void): void {
  const typed = Object.getPrototypeOf(Uint8Array.prototype) as object;
  const first = (given: readonly unknown[]): number => Number(given[0]);
  const restore = [
    ...Object.entries(BYTES).map(([name, each]) => counted(name, (given) => elements(given, each))),
    counted('ArrayBuffer', first),
    // One argument that is a number is a length; others are elements.
    counted('Array', (given) => 8 * (given.length === 1 ? elements(given, 1) : given.length)),
    ...['slice', 'map', 'filter', 'toReversed', 'toSorted', 'with'].map((key) =>
      method(typed, key, undefined, (result: Uint8Array) => result.byteLength),
    ),
    ...['alloc', 'allocUnsafe', 'allocUnsafeSlow'].map((key) => method(Buffer, key, first)),
    ...['from', 'concat'].map((key) =>
      method(Buffer, key, undefined, (result: Uint8Array) => result.byteLength),
    ),
    ...['padStart', 'padEnd'].map((key) => method(String.prototype, key, first)),
    method(String.prototype, 'repeat', (given, self) => Number(given[0]) * String(self).length),
  ];
  // `from` fills an array without asking its constructor for a length first.
  const from = Array.from.bind(Array) as (...given: unknown[]) => unknown[];
  restore.push(
    replace(Array, 'from', (...given: unknown[]) => {
      if (!(Symbol.iterator in Object(given[0]))) spend(elements(given, 8));
      const made = from(...given);
      spend(8 * made.length);
      return made;
    }),
  );
  const push = Array.prototype.push;
  restore.push(
    replace(Array.prototype, 'push', function (this: unknown[], ...given: unknown[]): number {
      if (input !== undefined) step();
      return Reflect.apply(push, this, given) as number;
    }),
  );
  const reader = Reader.prototype as unknown as Record<string, Method>;
  for (const key of ['u8', 'u16', 'u24', 'u32', 'peek', 'take']) {
    const original = reader[key]!;
    restore.push(
      replace(Reader.prototype, key, function (this: unknown, ...given: never[]): unknown {
        if (input !== undefined) step();
        return Reflect.apply(original, this, given);
      }),
    );
  }
  try {
    run();
  } finally {
    for (const undo of restore.reverse()) undo();
  }
}
