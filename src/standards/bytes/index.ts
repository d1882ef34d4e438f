/** Bytes: reading, writing, hexadecimal, BCD digits, and the error that names a field. */
export * from './error.ts';
export * from './hex.ts';
export * from './bcd.ts';
export * from './reader.ts';
export * from './writer.ts';
