/**
 * What is wrong with a value that came from outside: which field, what it was, what was expected.
 * `value` of a secret is its length, never its content.
 */
export class FieldError extends Error {
  readonly field: string;
  readonly value: string;
  readonly expected: string;

  constructor(field: string, value: string, expected: string) {
    super(`${field}: ${value}, expected ${expected}`);
    this.name = 'FieldError';
    this.field = field;
    this.value = value;
    this.expected = expected;
  }
}

/** Bytes that are not what their specification says. Thrown by every decoder, and nothing else is. */
export class DecodeError extends FieldError {
  constructor(field: string, value: string, expected: string) {
    super(field, value, expected);
    this.name = 'DecodeError';
  }
}

/** Checks the length of a byte string without showing its content. */
export function expectLength(field: string, value: Uint8Array, ...lengths: number[]): Uint8Array {
  if (!lengths.includes(value.length)) {
    throw new FieldError(field, `${value.length} bytes`, `${lengths.join(' or ')} bytes`);
  }
  return value;
}
