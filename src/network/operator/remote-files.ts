/** Remote file management (TS 102 226 §7): the files that say whose card it is, a script for each application. */
import { fromHex } from '../../standards/bytes/index.ts';
import {
  encodeCompactCommands,
  encodeExpandedCommands,
  type ExpandedCommand,
} from '../../standards/ota/index.ts';
import * as uicc from '../../standards/uicc/index.ts';
import type { Settings } from './client.ts';

/** Bytes of the files that each card makes as long as it likes; the others are as long as specified. */
const HPLMNWACT = 20;
const OPLMNWACT = 40;

/** REFRESH with UICC reset, as command details (TS 102 226 §5.2.1.2): a notification is not enough for an IMSI. */
export const RESET = Uint8Array.of(0x81, 3, 1, uicc.PROACTIVE.refresh, uicc.REFRESH.uiccReset);

/** START values of which the next authentication makes new ones (TS 31.102 §4.2.51). */
const NO_START = { cs: 0xf00000, ps: 0xf00000 };

const ff = (length: number): Uint8Array => new Uint8Array(length).fill(0xff);

/**
 * UPDATE of a transparent file, or of a record file's first record; by short file identifier where there is one.
 * @param length bytes to write, where the rest of the file means nothing without them
 */
function update<T>(
  file: uicc.ElementaryFile<T>,
  value: T,
  length = file.length,
  write = length,
): ExpandedCommand[] {
  const content = file.encode(value, length).subarray(0, write);
  const transparent = file.structure === 'transparent';
  const ins = transparent ? uicc.INS.updateBinary : uicc.INS.updateRecord;
  const apdu = (p1: number, p2: number): ExpandedCommand => ({
    type: 'apdu',
    apdu: Uint8Array.of(0x00, ins, p1, p2, content.length, ...content),
  });
  if (file.sfi !== 0) return [transparent ? apdu(0x80 | file.sfi, 0) : apdu(1, (file.sfi << 3) | 4)];
  const select = Uint8Array.of(0x00, uicc.INS.select, 0, 0x0c, 2, file.fid >> 8, file.fid & 0xff);
  return [{ type: 'apdu', apdu: select }, transparent ? apdu(0, 0) : apdu(1, 4)];
}

/**
 * A script in expanded format for the USIM's remote file management: all that belongs to a subscription is
 * written, all that remembers a network is cleared, and the card resets its terminal.
 * @param imsi 6–15 digits
 * @param apnBefore the access point name on the card now, which must go whole; if it is not known, all of EF.ACL
 * is written
 * @throws FieldError on what a file cannot hold
 */
export function subscriptionScript(imsi: string, settings: Settings, apnBefore?: string): Uint8Array {
  const { mncLength, msisdn, serviceCentre, serviceProviderName, apn } = settings;
  const names = uicc.EF_ACL.length;
  const longest = apnBefore === undefined ? names : 4 + Math.max(apn.length, apnBefore.length);
  const everywhere = uicc.ACT.eUtran | uicc.ACT.utran | uicc.ACT.gsm;
  return encodeExpandedCommands([
    // Usual access class: the last digit of the IMSI (TS 22.011 §4.2).
    ...update(uicc.EF_ACC, 1 << Number(imsi.at(-1))),
    ...update(uicc.EF_HPLMNWACT, [{ plmn: imsi.slice(0, 3 + mncLength), act: everywhere }], HPLMNWACT),
    ...update(uicc.EF_EHPLMN, []),
    ...update(uicc.EF_OPLMNWACT, [], OPLMNWACT),
    ...update(uicc.EF_SPN, { display: 1, name: serviceProviderName }),
    ...update(uicc.EF_SMSP, { alpha: '', serviceCentre: uicc.international(serviceCentre) }),
    ...update(uicc.EF_MSISDN, {
      alpha: '',
      number: uicc.international(msisdn),
      configuration: 0xff,
      extension: 0xff,
    }),
    ...update(uicc.EF_ACL, [apn], names, Math.min(longest, names)),
    ...update(uicc.EF_FPLMN, []),
    ...update(uicc.EF_LOCI, { tmsi: ff(4), reserved: 0xff, status: 1 }),
    ...update(uicc.EF_PSLOCI, { ptmsi: ff(4), signature: ff(3), routingArea: 0xff, status: 1 }),
    ...update(uicc.EF_EPSLOCI, { status: 1 }),
    // Keys without an identifier are none.
    ...update(uicc.EF_KEYS, { ksi: 7, ck: ff(16), ik: ff(16) }, 33, 1),
    ...update(uicc.EF_KEYSPS, { ksi: 7, ck: ff(16), ik: ff(16) }, 33, 1),
    ...update(uicc.EF_EPSNSC, undefined),
    ...update(uicc.EF_START_HFN, NO_START),
    // Last: a card that loses power in the middle of the script is still whose it was.
    ...update(uicc.EF_AD, { mode: 0, information: 0, mncLength }),
    ...update(uicc.EF_IMSI, imsi),
    { type: 'immediateAction', value: RESET },
  ]);
}

/**
 * A script in compact format for the ISIM's remote file management: who the subscriber is in IMS, derived from its
 * IMSI, each file whole; and no P-CSCF, which was the old network's.
 * @param imsi 6–15 digits
 * @throws FieldError
 */
export function isimScript(imsi: string, mncLength: 2 | 3): Uint8Array {
  const { impi, impu, domain } = uicc.imsIdentityOf(imsi, mncLength);
  return encodeCompactCommands(
    [
      ...update(uicc.EF_PCSCF, undefined),
      ...update(uicc.EF_DOMAIN, domain),
      ...update(uicc.EF_IMPU, impu),
      ...update(uicc.EF_IMPI, impi),
    ].flatMap((command) => (command.type === 'apdu' ? [command.apdu] : [])),
  );
}

/** A script in compact format for the shared file system's remote file management: reads EF.ICCID. */
export const readIccidScript = (): Uint8Array =>
  encodeCompactCommands([fromHex('00a4000c022fe2'), fromHex('00b000000a')]);

/** The ICCID that it read; undefined if it is none. */
export function iccidRead(data: Uint8Array): string | undefined {
  try {
    const iccid = uicc.EF_ICCID.decode(data);
    return /^[0-9]{18,20}$/.test(iccid) ? iccid : undefined;
  } catch {
    return undefined;
  }
}
