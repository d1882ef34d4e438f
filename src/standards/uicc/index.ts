/**
 * The UICC, its USIM and its ISIM as bytes: commands and responses, data objects, file control parameters, elementary
 * files, the card application toolkit, AUTHENTICATE (TS 102 221, TS 102 223, TS 31.102, TS 31.103, TS 31.111).
 */
export * from './apdu.ts';
export * from './tlv.ts';
export * from './numbers.ts';
export * from './toolkit.ts';
export {
  PROACTIVE_TAG,
  commandDetails,
  decodeLocation,
  decodeProactiveCommand,
  decodeTerminalResponse,
  encodeLocation,
  encodeProactiveCommand,
  encodeTerminalResponse,
} from './proactive.ts';
export type { CommandDetails, Location, ProactiveCommand, TerminalResponse } from './proactive.ts';
export * from './envelope.ts';
export * from './authenticate.ts';
export * from './security.ts';
export * from './fcp.ts';
export type { ElementaryFile } from './file.ts';
export { decodeText, encodeText } from './text.ts';
export * from './files-uicc.ts';
export * from './files-usim.ts';
export * from './files-isim.ts';
export * from './ims-identity.ts';
export * from './files-network.ts';
export * from './files-sms.ts';
