/**
 * What files a card has, and who may do what with them. The same for all our cards; their contents are the
 * card's state. Content that a fresh card has in common with all others is shared, not copied.
 */
import { concat, fromHex } from '../../standards/bytes/index.ts';
import * as uicc from '../../standards/uicc/index.ts';
import { PIN, USIM_SERVICE, type AccessRule, type ElementaryFile } from '../../standards/uicc/index.ts';

/** Applications of a card: directories that are selected by name. */
export type Application = 'usim' | 'isim';
export type Directory = 'mf' | 'telecom' | Application;

/** An elementary file of the card. */
export interface CardFileSpec {
  name: string;
  parent: Directory;
  fid: number;
  /** 0: none */
  sfi: number;
  structure: 'transparent' | 'linearFixed' | 'cyclic';
  /** bytes of the file or of one record */
  length: number;
  /** 1 for a transparent file */
  records: number;
  /** record of EF.ARR, from 1 */
  rule: number;
  /** content before a profile or the terminal wrote anything: all records */
  blank: Uint8Array;
}

const any = uicc.EF_ACCESS;
const admin = { pin: PIN.adm1 };
const pin1 = { pin: PIN.pin1 };
const pin2 = { pin: PIN.pin2 };
const manage: AccessRule = { mode: any.activate | any.deactivate, condition: admin };

/** The records of every EF.ARR of the card. */
export const ACCESS_RULES: readonly (readonly AccessRule[])[] = [
  // 1 read by anyone, written by nobody
  [
    { mode: any.read, condition: 'always' },
    { mode: any.update, condition: 'never' },
  ],
  // 2 read by anyone, written by the operator
  [{ mode: any.read, condition: 'always' }, { mode: any.update, condition: admin }, manage],
  // 3 read with PIN1, written by the operator
  [{ mode: any.read, condition: pin1 }, { mode: any.update, condition: admin }, manage],
  // 4 read and written with PIN1
  [{ mode: any.read | any.update, condition: pin1 }, manage],
  // 5 read by anyone, written with PIN1
  [{ mode: any.read, condition: 'always' }, { mode: any.update, condition: pin1 }, manage],
  // 6 a counter: read, written and increased with PIN1
  [
    { mode: any.read | any.update, condition: pin1 },
    { mode: 0, ins: uicc.INS.increase, condition: pin1 },
    manage,
  ],
  // 7 read with PIN1, written with PIN2
  [{ mode: any.read, condition: pin1 }, { mode: any.update, condition: pin2 }, manage],
  // 8 directories: nothing is made or deleted
  [{ mode: 0x7f, condition: 'never' }],
];
/** Record of EF.ARR for MF, ADF and DF. */
export const DIRECTORY_RULE = 8;

export const USIM_AID = fromHex('a0000000871002ffffffff8907090000');
export const ISIM_AID = fromHex('a0000000871004ffffffff8907090000');
export const AIDS: Readonly<Record<Application, Uint8Array>> = { usim: USIM_AID, isim: ISIM_AID };

/** EF.DIR of a card, with or without the ISIM. */
export const dirContent = (withIsim: boolean): Uint8Array =>
  concat(
    uicc.EF_DIR.encode({ aid: USIM_AID, label: 'USIM' }),
    uicc.EF_DIR.encode(withIsim ? { aid: ISIM_AID, label: 'ISIM' } : undefined),
  );

const specs: CardFileSpec[] = [];
function has<T>(
  file: ElementaryFile<T>,
  rule: number,
  content: T | Uint8Array,
  records = 1,
  length?: number,
): void {
  const { name, parent, fid, sfi, structure } = file;
  const size = length ?? file.length;
  const one = content instanceof Uint8Array ? content : file.encode(content, size);
  specs.push({
    name,
    parent,
    fid,
    sfi,
    structure,
    length: size,
    records,
    rule,
    blank: one.length === size * records ? one : concat(...new Array<Uint8Array>(records).fill(one)),
  });
}
const ff = (length: number): Uint8Array => new Uint8Array(length).fill(0xff);
const arrContent = concat(...ACCESS_RULES.map((rules) => uicc.EF_ARR.encode([...rules])));
const arr = (file: ElementaryFile<AccessRule[]>): void => has(file, 1, arrContent, ACCESS_RULES.length);

has(uicc.EF_ICCID, 1, ff(10));
has(uicc.EF_DIR, 2, dirContent(true), 2);
has(uicc.EF_PL, 5, ff(4));
arr(uicc.EF_ARR);

arr({ ...uicc.EF_ARR_USIM, parent: 'telecom', sfi: 0 });
has({ ...uicc.EF_MSISDN, name: 'EF.ADN', parent: 'telecom', fid: 0x6f3a }, 4, ff(28), 10);

arr(uicc.EF_ARR_USIM);
has(uicc.EF_LI, 5, ff(4));
has(uicc.EF_IMSI, 3, ff(9));
has(uicc.EF_KEYS, 4, { ksi: 7, ck: ff(16), ik: ff(16) });
has(uicc.EF_KEYSPS, 4, { ksi: 7, ck: ff(16), ik: ff(16) });
has(uicc.EF_HPPLMN, 3, 10);
has(uicc.EF_HPLMNWACT, 3, [], 1, 20);
has(uicc.EF_OPLMNWACT, 3, [], 1, 40);
has(uicc.EF_PLMNWACT, 4, [], 1, 40);
has(uicc.EF_EHPLMN, 3, []);
has(uicc.EF_FPLMN, 4, []);
has(uicc.EF_UST, 3, [
  USIM_SERVICE.sms,
  USIM_SERVICE.smsStatus,
  USIM_SERVICE.smsParameters,
  USIM_SERVICE.serviceProviderName,
  USIM_SERVICE.userPlmnSelector,
  USIM_SERVICE.msisdn,
  USIM_SERVICE.dataDownloadSmsPp,
  USIM_SERVICE.apnControlList,
  USIM_SERVICE.gsmContext,
  USIM_SERVICE.operatorPlmnSelector,
  USIM_SERVICE.homePlmnSelector,
  USIM_SERVICE.equivalentHomePlmn,
  USIM_SERVICE.epsMobilityManagement,
]);
has(uicc.EF_EST, 7, []);
has(uicc.EF_ACC, 3, 0);
has(uicc.EF_AD, 2, { mode: 0, information: 0, mncLength: 2 });
has(uicc.EF_SPN, 2, { display: 1, name: '' });
has(uicc.EF_LOCI, 4, { tmsi: ff(4), reserved: 0xff, status: 1 });
has(uicc.EF_PSLOCI, 4, { ptmsi: ff(4), signature: ff(3), routingArea: 0xff, status: 1 });
has(uicc.EF_EPSLOCI, 4, { status: 1 });
has(uicc.EF_EPSNSC, 4, undefined);
has(uicc.EF_START_HFN, 4, { cs: 0xf00000, ps: 0xf00000 });
has(uicc.EF_THRESHOLD, 3, 0xf01000);
has(uicc.EF_SMS, 4, { status: 0, tpdu: new Uint8Array() }, 10);
has(uicc.EF_SMSS, 4, { lastReference: 0xff, memoryFull: false });
has(uicc.EF_SMSP, 4, { alpha: '' });
has(uicc.EF_MSISDN, 4, { alpha: '', configuration: 0xff, extension: 0xff });
has(
  uicc.EF_ECC,
  2,
  concat(uicc.EF_ECC.encode({ code: '112', category: 0 }), uicc.EF_ECC.encode({ code: '911', category: 0 })),
  2,
);
has(uicc.EF_ACL, 7, []);
// Accumulated call meter (TS 31.102 §4.2.9): the cyclic file of the card.
specs.push({
  name: 'EF.ACM',
  parent: 'usim',
  fid: 0x6f39,
  sfi: 0x1c,
  structure: 'cyclic',
  length: 3,
  records: 3,
  rule: 6,
  blank: new Uint8Array(9),
});

arr(uicc.EF_ARR_ISIM);
has(uicc.EF_IMPI, 3, undefined);
has(uicc.EF_DOMAIN, 3, undefined);
has(uicc.EF_IMPU, 3, undefined);
has(uicc.EF_AD_ISIM, 2, { mode: 0, information: 0 });
has(uicc.EF_IST, 3, [uicc.ISIM_SERVICE.pcscfAddress, uicc.ISIM_SERVICE.pcscfDiscovery]);
has(uicc.EF_PCSCF, 3, undefined);

/** All elementary files; a card's contents are in this order. */
export const FILES: readonly CardFileSpec[] = specs;

const byPlace = new Map(FILES.map((spec, index) => [`${spec.parent} ${spec.fid}`, index]));
const bySfi = new Map(
  FILES.filter((spec) => spec.sfi !== 0).map((spec) => [`${spec.parent} ${spec.sfi}`, FILES.indexOf(spec)]),
);

/** Place of a file in FILES; undefined if there is none. */
export const findFile = (parent: Directory, fid: number): number | undefined =>
  byPlace.get(`${parent} ${fid}`);
export const findSfi = (parent: Directory, sfi: number): number | undefined => bySfi.get(`${parent} ${sfi}`);

/** Place of a file that our cards have. */
export function placeOf(file: { parent: Directory; fid: number; name: string }): number {
  const index = findFile(file.parent, file.fid);
  if (index === undefined) throw new Error(`${file.name} is not on the card`);
  return index;
}

const PREFIX = { mf: '3f00', telecom: '3f00/7f10', usim: '7fff', isim: 'isim' } as const;

/** Path of a file as card files write it: `7fff/6f07` for the USIM's EF.IMSI, `isim/6f07` for the ISIM's EF.IST. */
export const pathOf = (spec: CardFileSpec): string => `${PREFIX[spec.parent]}/${spec.fid.toString(16)}`;
