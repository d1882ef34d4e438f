/**
 * Over-the-air card management: secured packets (TS 102 225), in short messages (TS 31.115), remote commands
 * (TS 102 226), and the list application of alternative 3b.
 */
export * from './security.ts';
export * from './packet.ts';
export { aesCmac } from './ciphers.ts';
export * from './sms-pp.ts';
export * from './remote-compact.ts';
export * from './remote-expanded.ts';
export * from './tar.ts';
export * from './key-list.ts';
