/** Bytes: reading, writing, hexadecimal, BCD digits, networks, and the error that names a field. */
export * from './error.ts';
export * from './hex.ts';
export * from './bcd.ts';
export * from './plmn.ts';
export * from './reader.ts';
export * from './writer.ts';
