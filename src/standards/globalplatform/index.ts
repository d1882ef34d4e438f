/**
 * What a security domain of a card understands (GlobalPlatform Card Specification 2.3 and its amendments), as far
 * as a change of operator needs it.
 */
export * from './put-key.ts';
export * from './key-information.ts';
export * from './certificate.ts';
export * from './key-agreement.ts';
export * from './personalisation.ts';
