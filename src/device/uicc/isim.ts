/** What the ISIM's files say of a subscription: what is derived from its IMSI, where nothing else is given. */
import { FieldError, equal } from '../../standards/bytes/index.ts';
import * as uicc from '../../standards/uicc/index.ts';
import { FILES, placeOf } from './layout.ts';

/** Of an identity what is not derived from the IMSI. */
export type OwnIdentity = Partial<uicc.ImsIdentity>;

const FILE_OF = { impi: uicc.EF_IMPI, domain: uicc.EF_DOMAIN, impu: uicc.EF_IMPU } as const;
const NAMES = ['impi', 'impu', 'domain'] as const;

const encoded = (file: (typeof FILE_OF)[keyof typeof FILE_OF], value: string): Uint8Array =>
  file.encode(value, FILES[placeOf(file)]!.length);

/**
 * The files that say who the subscriber is in IMS, and the P-CSCF, which is the network's: it is found anew.
 * @throws FieldError on what a file cannot hold
 */
export function isimFiles(
  imsi: string,
  mncLength: 2 | 3,
  own: OwnIdentity = {},
): (readonly [file: number, content: Uint8Array])[] {
  const identity = { ...uicc.imsIdentityOf(imsi, mncLength), ...own };
  const pcscf = placeOf(uicc.EF_PCSCF);
  return [
    ...NAMES.map((name) => [placeOf(FILE_OF[name]), encoded(FILE_OF[name], identity[name])] as const),
    [pcscf, FILES[pcscf]!.blank],
  ];
}

/**
 * For what a trial falls back to: the ISIM of a card file that was written before cards had one.
 * @param saved the files that it names; those of an ISIM among them: nothing is missing
 */
export function savedIsim(
  saved: readonly (readonly [file: number, content: Uint8Array])[],
): (readonly [file: number, content: Uint8Array])[] {
  if (saved.some(([place]) => FILES[place]!.parent === 'isim')) return [];
  const read = <T>(file: uicc.ElementaryFile<T>): T | undefined => {
    const content = saved.find(([place]) => place === placeOf(file))?.[1];
    try {
      return content && file.decode(content);
    } catch (error) {
      if (error instanceof FieldError) return undefined;
      throw error;
    }
  };
  return isimFiles(read(uicc.EF_IMSI) ?? '000000', read(uicc.EF_AD)?.mncLength ?? 2);
}

/** What of a card file says whether there is an ISIM. */
interface MayHaveIsim {
  isim?: object | null | undefined;
  files?: Record<string, string> | undefined;
  deactivated?: readonly string[] | undefined;
}

/** Whether a card file has an ISIM. @throws FieldError on files of one that is not there */
export function isimIn({ isim, files = {}, deactivated = [] }: MayHaveIsim): boolean {
  if (isim !== null) return true;
  for (const [field, paths] of [
    ['files', Object.keys(files)],
    ['deactivated', deactivated],
  ] as const) {
    const path = paths.find((each) => each.startsWith('isim/'));
    if (path !== undefined)
      throw new FieldError(field, JSON.stringify(path), 'none of an ISIM where isim is null');
  }
  return false;
}

/** What the files say: a field is there only if it gives exactly the content that was found. */
export function isimOf(contents: readonly Uint8Array[]): OwnIdentity {
  const found: OwnIdentity = {};
  for (const name of NAMES) {
    const content = contents[placeOf(FILE_OF[name])]!;
    try {
      const value = FILE_OF[name].decode(content);
      if (value !== undefined && equal(encoded(FILE_OF[name], value), content)) found[name] = value;
    } catch (error) {
      if (!(error instanceof FieldError)) throw error;
    }
  }
  return found;
}
