/**
 * What a card is, between two commands. Plain data that is never changed in place: a command makes a new
 * state out of parts of the old one, and the store takes it whole or not at all.
 */
import type { SqnArray, SqnScheme, SubscriberKey } from '../../standards/aka/index.ts';
import { FieldError, equal } from '../../standards/bytes/index.ts';
import type { KeyListOutcome, KeyListSwitch } from '../../standards/ota/index.ts';
import * as uicc from '../../standards/uicc/index.ts';
import { isimFiles, type OwnIdentity } from './isim.ts';
import { FILES, dirContent, placeOf } from './layout.ts';

/** Tries of a PIN and of its unblocking code. */
export const PIN_TRIES = 3;
export const PUK_TRIES = 10;

export interface PinState {
  /** 4–8 digits; ADM1: 8 characters */
  value: string;
  enabled: boolean;
  tries: number;
  /** 8 digits; ADM1 has none */
  puk?: string;
  pukTries: number;
}
export type PinName = 'pin1' | 'pin2' | 'adm1';

/** Keys for secured packets; the key list's pair has set 1 and is not among them. */
export interface KeySet {
  /** 1–15 */
  number: number;
  algorithm: 'aes' | 'des3-2' | 'des3-3';
  kic: Uint8Array;
  kid: Uint8Array;
  /** for keys that come by PUT KEY */
  kik?: Uint8Array;
  /** the last counter accepted */
  counter: number;
  /** the only applications it is for, as hexadecimal; all if absent */
  tars?: readonly string[];
  /** it was agreed on, so that nobody who knew the card's keys before knows it */
  agreed?: boolean;
}

/**
 * `unused` may be switched to · `current` in use · `saved` what the trial falls back to · `burnt` tried and
 * given up · `skipped` passed over · `erased` left for good. The last three have no keys any more.
 */
export type PairState = 'unused' | 'current' | 'saved' | 'burnt' | 'skipped' | 'erased';

export interface PairKeys {
  /** 16 bytes each */
  k: Uint8Array;
  opc: Uint8Array;
  /** AES, 16–32 bytes each */
  kic: Uint8Array;
  kid: Uint8Array;
}

/** A pair of the key list: Ki and OPc, and the OTA keys that go with them. */
export interface Pair {
  index: number;
  state: PairState;
  keys?: PairKeys;
  /** last counter accepted under its OTA keys */
  counter: number;
}

/** A switch that was accepted and waits for its delay. */
export interface Armed {
  command: KeyListSwitch;
}

/** A pair on trial, and the way back. */
export interface Trial {
  command: KeyListSwitch;
  /** index of the pair to fall back to */
  from: number;
  /** seconds of trial not yet charged: a slice is charged before it runs, so that a reboot cannot save it */
  secondsLeft: number;
  /** rejections that make the new subscription unusable, since it was last registered */
  rejections: number;
  /** contents of the files that the switch wrote, by place in FILES */
  saved: readonly (readonly [file: number, content: Uint8Array])[];
  savedSqn: SqnArray;
  /** a challenge was proven under the new subscription */
  proven?: boolean;
}

/** The list application of 3b; and without pairs the fall-back application of 3a, whose card keeps its keys. */
export interface KeyList {
  pairs: readonly Pair[];
  /** index of the pair in use */
  current: number;
  /** lowest index that may be switched to */
  next: number;
  armed?: Armed | undefined;
  trial?: Trial | undefined;
  /** the change last switched to, 8 bytes; zeros: none */
  change: Uint8Array;
  last: KeyListOutcome;
  /** a fall-back that is to be told: to whom */
  report?: string | undefined;
}

/** A key agreement key that its manufacturer has certified (GlobalPlatform Amendment A). */
export interface Casd {
  /** P-256, 32 bytes */
  privateKey: Uint8Array;
  certificate: Uint8Array;
}

export interface CardState {
  iccid: string;
  /** by place in FILES */
  contents: readonly Uint8Array[];
  /** places of files that are deactivated */
  deactivated: readonly number[];
  pins: Readonly<Record<PinName, PinState>>;
  usim: SubscriberKey & {
    scheme: SqnScheme;
    sqn: SqnArray;
    /** a Ki that takes the place of this one with the first challenge that is proven under it */
    renewed?: SubscriberKey;
  };
  /** whether it has an ISIM; the files of one that it does not have are never seen */
  isim: boolean;
  keySets: readonly KeySet[];
  list?: KeyList;
  /** the controlling authority security domain: it agrees on key sets */
  casd?: Casd;
}

/** The data of a subscription that live in elementary files. */
export interface Subscription {
  imsi: string;
  mncLength: 2 | 3;
  msisdn?: string;
  serviceProviderName?: string;
  serviceCentre?: string;
  apn?: string;
  accessClasses?: number;
  /** of the ISIM, what is not derived from the IMSI */
  isim?: OwnIdentity;
}

const international = uicc.international;

/** Usual access class: the last digit of the IMSI, spread over classes 0–9 (TS 22.011 §4.2). */
const usualAccessClasses = (imsi: string): number => 1 << Number(imsi.at(-1));

/**
 * The files that say whose card it is, and those that only make sense with them; nothing of an old operator
 * stays.
 * @throws FieldError on what a file cannot hold
 */
export function subscriptionFiles(
  subscription: Subscription,
): (readonly [file: number, content: Uint8Array])[] {
  const { imsi, mncLength, msisdn, serviceProviderName, serviceCentre, apn } = subscription;
  const files: (readonly [number, Uint8Array])[] = [];
  const put = <T>(file: uicc.ElementaryFile<T>, value: T): void => {
    const place = placeOf(file);
    files.push([place, file.encode(value, FILES[place]!.length)]);
  };
  put(uicc.EF_IMSI, imsi);
  put(uicc.EF_AD, { mode: 0, information: 0, mncLength });
  put(uicc.EF_ACC, subscription.accessClasses ?? usualAccessClasses(imsi));
  put(uicc.EF_HPLMNWACT, [
    { plmn: imsi.slice(0, 3 + mncLength), act: uicc.ACT.eUtran | uicc.ACT.utran | uicc.ACT.gsm },
  ]);
  put(uicc.EF_EHPLMN, []);
  put(uicc.EF_OPLMNWACT, []);
  put(uicc.EF_SMSP, { alpha: '', ...(serviceCentre && { serviceCentre: international(serviceCentre) }) });
  put(uicc.EF_MSISDN, {
    alpha: '',
    ...(msisdn && { number: international(msisdn) }),
    configuration: 0xff,
    extension: 0xff,
  });
  put(uicc.EF_SPN, { display: 1, name: serviceProviderName ?? '' });
  put(uicc.EF_ACL, apn ? [apn] : []);
  return [...files, ...isimFiles(imsi, mncLength, subscription.isim)];
}

/** In a card file, the IMSI of a card whose EF.IMSI holds none. */
export const NO_IMSI = '000000';

/** Places of the files that `subscriptionFiles` writes, in its order. */
export const SUBSCRIPTION_FILES: readonly number[] = subscriptionFiles({ imsi: NO_IMSI, mncLength: 2 }).map(
  ([place]) => place,
);

/** Files that remember a network: stale ones break the first attach elsewhere. */
export const TRANSIENT_FILES: readonly number[] = [
  uicc.EF_FPLMN,
  uicc.EF_LOCI,
  uicc.EF_PSLOCI,
  uicc.EF_EPSLOCI,
  uicc.EF_KEYS,
  uicc.EF_KEYSPS,
  uicc.EF_EPSNSC,
  uicc.EF_START_HFN,
].map(placeOf);

/** Contents with some files replaced. */
export function withFiles(
  contents: readonly Uint8Array[],
  files: Iterable<readonly [file: number, content: Uint8Array]>,
): Uint8Array[] {
  const changed = contents.slice();
  for (const [place, content] of files) {
    const { length, records, name } = FILES[place]!;
    if (content.length !== length * records) {
      throw new FieldError(name, `${content.length} bytes`, `${length * records} bytes`);
    }
    changed[place] = content;
  }
  return changed;
}

/** Contents of a card as issued. */
export function issuedContents(iccid: string, subscription: Subscription, withIsim = true): Uint8Array[] {
  const blank = FILES.map((spec) => spec.blank);
  return withFiles(blank, [
    ...(withIsim ? [] : [[placeOf(uicc.EF_DIR), dirContent(false)] as const]),
    [placeOf(uicc.EF_ICCID), uicc.EF_ICCID.encode(iccid)],
    ...subscriptionFiles(subscription),
  ]);
}

/** What a file says; undefined if it holds what cannot be read. */
export function readContent<T>(contents: readonly Uint8Array[], file: uicc.ElementaryFile<T>): T | undefined {
  try {
    return file.decode(contents[placeOf(file)]!);
  } catch (error) {
    if (error instanceof FieldError) return undefined;
    throw error;
  }
}

/**
 * What the files say of the subscription: a field is there only if it is accepted and, but for IMSI and length
 * of the MNC, gives exactly the content that was found.
 */
export function subscriptionOf(
  contents: readonly Uint8Array[],
  accepted: (name: keyof Subscription, value: unknown) => boolean = () => true,
): Partial<Subscription> {
  const imsi = readContent(contents, uicc.EF_IMSI);
  const mncLength = readContent(contents, uicc.EF_AD)?.mncLength;
  const found: Partial<Subscription> = {
    ...(imsi !== undefined && { imsi }),
    ...(mncLength && { mncLength }),
  };
  const put = <Name extends keyof Subscription>(
    name: Name,
    file: Parameters<typeof placeOf>[0],
    value: Subscription[Name] | undefined,
  ): void => {
    if (value === undefined || value === '' || !accepted(name, value)) return;
    const place = placeOf(file);
    const whole: Subscription = { imsi: NO_IMSI, mncLength: 2, ...found, [name]: value };
    try {
      const written = subscriptionFiles(whole).find(([each]) => each === place);
      if (equal(written![1], contents[place]!)) found[name] = value;
    } catch (error) {
      if (!(error instanceof FieldError)) throw error;
    }
  };
  const classes = readContent(contents, uicc.EF_ACC);
  if (imsi === undefined || classes !== usualAccessClasses(imsi)) put('accessClasses', uicc.EF_ACC, classes);
  put('msisdn', uicc.EF_MSISDN, readContent(contents, uicc.EF_MSISDN)?.number?.digits);
  put('serviceCentre', uicc.EF_SMSP, readContent(contents, uicc.EF_SMSP)?.serviceCentre?.digits);
  put('serviceProviderName', uicc.EF_SPN, readContent(contents, uicc.EF_SPN)?.name);
  put('apn', uicc.EF_ACL, readContent(contents, uicc.EF_ACL)?.[0]);
  return found;
}

const IMSI = placeOf(uicc.EF_IMSI);
/** Content of EF.IMSI: 9 bytes. */
export const imsiContent = ({ contents }: CardState): Uint8Array => contents[IMSI]!;

/** The key list of 3b, whose pair in use has key set 1; undefined in a card of 3a. */
export const pairsOf = ({ list }: CardState): KeyList | undefined =>
  list && list.pairs.length > 0 ? list : undefined;

/** The pair of an index. */
export function pairAt(list: KeyList, index: number): Pair {
  const pair = list.pairs[index];
  if (!pair) throw new Error(`no pair ${index}`);
  return pair;
}
