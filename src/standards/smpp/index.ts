/** SMPP 3.4 (Short Message Peer to Peer Protocol Specification v3.4, issue 1.2). */
export * from './pdu.ts';
export * from './receipt.ts';
