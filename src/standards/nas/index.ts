/** NAS of EPS (TS 24.301): messages, information elements, security (TS 33.401). */
export * from './message.ts';
export * from './element.ts';
export { decodePlmn, encodePlmn } from '../bytes/index.ts';
export * from './identity.ts';
export * from './values.ts';
export * from './security.ts';
export { type Direction } from './codec.ts';
