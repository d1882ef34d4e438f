/** GSUP messages: a type byte, the IMSI, then elements (OsmoHLR user manual, "GSUP Messages"). */
import { DecodeError, FieldError, Reader, Writer, decodeBcd, encodeBcd } from '../bytes/index.ts';
import { elements, type ElementName, type Elements, type OtherElement } from './elements.ts';

/** Elements that any message may have. */
const COMMON = ['messageClass', 'sourceName', 'destinationName', 'cnDomain'] as const;

const error = { mandatory: ['cause'], optional: [] } as const;
const bare = { mandatory: [], optional: [] } as const;

/**
 * Every message by type byte, with what it must and may have. The last two bits of the type: 0 a request,
 * 1 an error, 2 a result, 3 neither.
 */
const MESSAGES = {
  updateLocationRequest: { id: 0x04, mandatory: [], optional: ['supportedRats', 'currentRat'] },
  updateLocationError: { id: 0x05, ...error },
  updateLocationResult: {
    id: 0x06,
    mandatory: [],
    optional: ['msisdn', 'hlrNumber', 'pdpInfoComplete', 'pdpInfos', 'charging'],
  },
  sendAuthInfoRequest: {
    id: 0x08,
    mandatory: [],
    optional: ['auts', 'rand', 'vectors', 'supportedRats', 'currentRat'],
  },
  sendAuthInfoError: { id: 0x09, ...error },
  sendAuthInfoResult: { id: 0x0a, mandatory: ['tuples'], optional: [] },
  authFailureReport: { id: 0x0b, ...bare },
  purgeMsRequest: { id: 0x0c, mandatory: [], optional: ['hlrNumber'] },
  purgeMsError: { id: 0x0d, ...error },
  purgeMsResult: { id: 0x0e, mandatory: [], optional: ['freezePtmsi'] },
  insertDataRequest: {
    id: 0x10,
    mandatory: [],
    optional: ['msisdn', 'hlrNumber', 'pdpInfoComplete', 'pdpInfos', 'charging'],
  },
  insertDataError: { id: 0x11, ...error },
  insertDataResult: { id: 0x12, ...bare },
  deleteDataRequest: { id: 0x14, mandatory: [], optional: ['pdpContextIds'] },
  deleteDataError: { id: 0x15, ...error },
  deleteDataResult: { id: 0x16, ...bare },
  locationCancelRequest: { id: 0x1c, mandatory: [], optional: ['cancelType'] },
  locationCancelError: { id: 0x1d, ...error },
  locationCancelResult: { id: 0x1e, ...bare },
} as const satisfies Record<
  string,
  { id: number; mandatory: readonly ElementName[]; optional: readonly ElementName[] }
>;

export type GsupMessageName = keyof typeof MESSAGES;

type Mandatory<Name extends GsupMessageName> = (typeof MESSAGES)[Name]['mandatory'][number];
type Optional<Name extends GsupMessageName> =
  (typeof MESSAGES)[Name]['optional'][number] | (typeof COMMON)[number];

/** A message of one type. */
export type GsupOf<Name extends GsupMessageName> = {
  type: Name;
  /** 6 to 15 digits */
  imsi: string;
  /** in the order they came; left out if there are none */
  others?: OtherElement[];
} & Pick<Elements, Mandatory<Name>> &
  Partial<Pick<Elements, Optional<Name>>>;

export type GsupMessage = { [Name in GsupMessageName]: GsupOf<Name> }[GsupMessageName];

type Kind<Suffix extends string> = Extract<GsupMessageName, `${string}${Suffix}`>;
export type GsupRequest = { [Name in Kind<'Request'>]: GsupOf<Name> }[Kind<'Request'>];
export type GsupError = { [Name in Kind<'Error'>]: GsupOf<Name> }[Kind<'Error'>];
export type GsupResult = { [Name in Kind<'Result'>]: GsupOf<Name> }[Kind<'Result'>];

/** The type byte of a message. */
export const gsupType = (name: GsupMessageName): number => MESSAGES[name].id;

const NAMES = new Map<number, GsupMessageName>(
  Object.entries(MESSAGES).map(([name, { id }]) => [id, name as GsupMessageName]),
);

export const isGsupRequest = (message: GsupMessage): message is GsupRequest =>
  (MESSAGES[message.type].id & 3) === 0;
export const isGsupError = (message: GsupMessage): message is GsupError =>
  (MESSAGES[message.type].id & 3) === 1;
export const isGsupResult = (message: GsupMessage): message is GsupResult =>
  (MESSAGES[message.type].id & 3) === 2;

/** What a request is refused with. */
export function gsupErrorOf(request: GsupRequest, cause: number): GsupError {
  return { type: NAMES.get(MESSAGES[request.type].id | 1), imsi: request.imsi, cause } as GsupError;
}

const IMSI = 0x01;

/** Names of the elements by tag, for each message that can have them. */
const BY_TAG = new Map<GsupMessageName, ReadonlyMap<number, ElementName>>(
  Object.entries(MESSAGES).map(([name, { mandatory, optional }]) => [
    name as GsupMessageName,
    new Map([...mandatory, ...optional, ...COMMON].map((each) => [elements[each].tag, each])),
  ]),
);
/** In the order of `elements`, with what each message can have. */
const ORDER = new Map<GsupMessageName, readonly ElementName[]>(
  [...BY_TAG].map(([name, byTag]) => {
    const own = new Set(byTag.values());
    return [name, (Object.keys(elements) as ElementName[]).filter((each) => own.has(each))];
  }),
);

type AnyCoder = {
  tag: number;
  put(value: unknown): Uint8Array;
  get(value: Uint8Array): unknown;
  repeated?: number;
};
const coder = (name: ElementName): AnyCoder => elements[name] as AnyCoder;

function putImsi(out: Writer, imsi: string): void {
  if (!/^[0-9]{6,15}$/.test(imsi)) throw new FieldError('IMSI', JSON.stringify(imsi), '6 to 15 digits');
  out.u8(IMSI).lv(encodeBcd(imsi, 'IMSI'), 'IMSI');
}

/**
 * What an authentication request needs beyond its elements: AUTS goes with the RAND it answers.
 * @returns what is wrong, or undefined
 */
const unpaired = (message: { auts?: unknown; rand?: unknown }): boolean =>
  (message.auts === undefined) !== (message.rand === undefined);

/** @throws FieldError on an element that does not fit, is missing, or does not belong in the message */
export function encodeGsup(message: GsupMessage): Uint8Array {
  const { type, imsi, others, ...given } = message as GsupOf<GsupMessageName> & Record<string, unknown>;
  const out = new Writer(64).u8(MESSAGES[type].id);
  putImsi(out, imsi);
  const order = ORDER.get(type)!;
  for (const name of Object.keys(given)) {
    if (!order.includes(name as ElementName)) throw new FieldError(name, 'given', `none in ${type}`);
  }
  for (const name of MESSAGES[type].mandatory) {
    if ((given as Record<string, unknown>)[name] === undefined)
      throw new FieldError(name, 'none', `one in ${type}`);
  }
  if (unpaired(given)) throw new FieldError('AUTS', 'without RAND, or RAND without it', 'both or neither');
  for (const name of order) {
    const value = (given as Record<string, unknown>)[name];
    if (value === undefined) continue;
    const { tag, put, repeated } = coder(name);
    if (repeated === undefined) {
      out.u8(tag).lv(put(value), name);
      continue;
    }
    const list = value as unknown[];
    if (list.length < 1 || list.length > repeated) {
      throw new FieldError(name, `${list.length} of them`, `1 to ${repeated}`);
    }
    for (const each of list) out.u8(tag).lv(put(each), name);
  }
  for (const { tag, value } of others ?? []) {
    if (!Number.isInteger(tag) || tag < 0 || tag > 255) throw new FieldError('tag', String(tag), '0 to 255');
    if (BY_TAG.get(type)!.has(tag) || tag === IMSI) {
      throw new FieldError('others', `tag 0x${tag.toString(16)}`, `one that ${type} has no name for`);
    }
    out.u8(tag).lv(value, `tag 0x${tag.toString(16)}`);
  }
  return out.done();
}

/** A message of a type that we do not know; a request of it is refused by its type. */
export class UnknownGsupMessage extends DecodeError {
  readonly messageType: number;
  readonly imsi: string;
  constructor(messageType: number, imsi: string) {
    super('message type', `0x${messageType.toString(16)}`, 'a subscriber management message of GSUP');
    this.messageType = messageType;
    this.imsi = imsi;
  }

  /** What a request of an unknown type is answered with: its error, cause 97. Undefined if it is no request. */
  refusal(): Uint8Array | undefined {
    if ((this.messageType & 3) !== 0) return undefined;
    const out = new Writer(16).u8(this.messageType | 1);
    putImsi(out, this.imsi);
    return out.u8(elements.cause.tag).u8(1).u8(97).done();
  }
}

/**
 * Decodes one message. Elements that are unknown, or do not belong in the message, are kept in `others`; one that
 * may come once and comes twice is an error.
 * @throws DecodeError; UnknownGsupMessage for a type we do not know
 */
export function decodeGsup(bytes: Uint8Array): GsupMessage {
  const reader = new Reader(bytes);
  const id = reader.u8('message type');
  const first = reader.u8('IMSI tag');
  if (first !== IMSI) throw new DecodeError('first element', `tag 0x${first.toString(16)}`, 'the IMSI');
  const imsi = decodeBcd(reader.lv('IMSI'), 'IMSI');
  if (imsi.length < 6 || imsi.length > 15) throw new DecodeError('IMSI', `${imsi.length} digits`, '6 to 15');
  const type = NAMES.get(id);
  if (type === undefined) throw new UnknownGsupMessage(id, imsi);
  const byTag = BY_TAG.get(type)!;
  const message: Record<string, unknown> = { type, imsi };
  const others: OtherElement[] = [];
  while (reader.remaining > 0) {
    const tag = reader.u8('tag');
    const value = reader.lv(`tag 0x${tag.toString(16)}`);
    const name = byTag.get(tag);
    if (tag === IMSI) throw new DecodeError('IMSI', 'twice', 'once');
    if (name === undefined) {
      others.push({ tag, value });
      continue;
    }
    const { get, repeated } = coder(name);
    if (repeated === undefined) {
      if (message[name] !== undefined) throw new DecodeError(name, 'twice', 'once');
      message[name] = get(value);
      continue;
    }
    const list = (message[name] ??= []) as unknown[];
    if (list.length === repeated) throw new DecodeError(name, `more than ${repeated}`, `at most ${repeated}`);
    list.push(get(value));
  }
  for (const name of MESSAGES[type].mandatory) {
    if (message[name] === undefined) throw new DecodeError(name, 'none', `one in ${type}`);
  }
  if (unpaired(message)) throw new DecodeError('AUTS', 'without RAND, or RAND without it', 'both or neither');
  if (others.length > 0) message.others = others;
  return message as unknown as GsupMessage;
}
