/** Authentication and key agreement: Milenage, TUAK, test-xor, vectors, AUTS, sequence numbers, and the keys of EPS. */
export * from './key.ts';
export * from './vector.ts';
export * from './conversion.ts';
export * from './sqn.ts';
export * from './kdf.ts';
