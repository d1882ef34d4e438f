/** Diameter: base protocol (RFC 6733), S6a (TS 29.272), S6c and SGd (TS 29.338), T6a (TS 29.128), Cx (TS 29.229). */
export * from './message.ts';
export {
  VENDOR_3GPP,
  decodeMembers,
  dictionary,
  encodeMembers,
  type AvpType,
  type Member,
  type Members,
  type Values,
} from './avp.ts';
export * as avp from './dictionary.ts';
export * from './commands.ts';
export * from './commands-cx.ts';
export * from './results.ts';
