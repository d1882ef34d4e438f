/** Toolkit application references (TS 101 220 annex D). */
import { fromHex } from '../bytes/index.ts';

export const TAR = {
  /** issuer security domain: remote application management */
  issuerSecurityDomain: fromHex('000000'),
  /** remote file management of the UICC shared file system */
  rfmShared: fromHex('b00000'),
  /** remote file management of the SIM, as cards commonly have it */
  rfmSim: fromHex('b00010'),
  /** remote file management of the USIM, as cards commonly have it */
  rfmUsim: fromHex('b00011'),
  /** remote file management of the ISIM, as cards commonly have it */
  rfmIsim: fromHex('b00025'),
} as const;
