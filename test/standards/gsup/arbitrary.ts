/** GSUP messages of every type, by fast-check. */
import fc from 'fast-check';
import {
  gsupType,
  type AuthTuple,
  type GsupMessage,
  type PdpInfo,
} from '../../../src/standards/gsup/index.ts';

const digits = (min: number, max: number): fc.Arbitrary<string> =>
  fc.string({ minLength: min, maxLength: max, unit: fc.constantFrom(...'0123456789') });
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }, optional?: (keyof T)[]): fc.Arbitrary<T> =>
  fc.record(model, {
    noNullPrototype: true,
    ...(optional
      ? { requiredKeys: (Object.keys(model) as (keyof T)[]).filter((key) => !optional.includes(key)) }
      : {}),
  }) as fc.Arbitrary<T>;
const bytes = (...lengths: number[]): fc.Arbitrary<Uint8Array> =>
  fc.constantFrom(...lengths).chain((length) => fc.uint8Array({ minLength: length, maxLength: length }));
const byte = fc.nat(255);

const tuple: fc.Arbitrary<AuthTuple> = record<Required<AuthTuple>>({
  rand: bytes(16),
  gsm: record({ sres: bytes(4), kc: bytes(8) }),
  umts: record({ ik: bytes(16), ck: bytes(16), autn: bytes(16), res: bytes(4, 8, 16) }),
}).chain((whole) =>
  fc.constantFrom<AuthTuple>(
    whole,
    { rand: whole.rand, gsm: whole.gsm },
    { rand: whole.rand, umts: whole.umts },
  ),
);
const apn = fc
  .array(fc.string({ minLength: 1, maxLength: 20, unit: fc.constantFrom(...'abcz09-*') }), {
    minLength: 1,
    maxLength: 3,
  })
  .map((labels) => labels.join('.'));
const pdpInfo = record<Required<PdpInfo>>(
  {
    contextId: byte,
    type: record({ number: byte, address: bytes(0, 4, 16, 20) }),
    apn,
    qos: bytes(3, 20),
    charging: bytes(2),
  },
  ['type', 'apn', 'qos', 'charging'],
);
const number = digits(0, 16);

const common = {
  imsi: digits(6, 15),
  messageClass: byte,
  sourceName: fc.uint8Array({ maxLength: 12 }),
  destinationName: fc.uint8Array({ maxLength: 12 }),
  cnDomain: byte,
  others: fc.array(
    record({ tag: fc.integer({ min: 0x70, max: 0xff }), value: fc.uint8Array({ maxLength: 8 }) }),
    {
      minLength: 1,
      maxLength: 3,
    },
  ),
};
const subscription = {
  msisdn: number,
  hlrNumber: number,
  pdpInfoComplete: fc.constant(true as const),
  pdpInfos: fc.array(pdpInfo as fc.Arbitrary<PdpInfo>, { minLength: 1, maxLength: 10 }),
  charging: bytes(2),
};
const rats = { supportedRats: fc.array(byte, { maxLength: 8 }), currentRat: byte };

/** By type, what it may have besides `common`. */
const OPTIONAL: Record<GsupMessage['type'], Record<string, fc.Arbitrary<unknown>>> = {
  updateLocationRequest: rats,
  updateLocationError: {},
  updateLocationResult: subscription,
  sendAuthInfoRequest: { ...rats, vectors: byte },
  sendAuthInfoError: {},
  sendAuthInfoResult: {},
  authFailureReport: {},
  purgeMsRequest: { hlrNumber: number },
  purgeMsError: {},
  purgeMsResult: { freezePtmsi: fc.constant(true) },
  insertDataRequest: subscription,
  insertDataError: {},
  insertDataResult: {},
  deleteDataRequest: { pdpContextIds: fc.array(byte, { minLength: 1, maxLength: 10 }) },
  deleteDataError: {},
  deleteDataResult: {},
  locationCancelRequest: { cancelType: byte },
  locationCancelError: {},
  locationCancelResult: {},
};

const names = Object.keys(OPTIONAL) as GsupMessage['type'][];

/** Messages of one type. @param whole with all they may have */
export function messagesOf(type: GsupMessage['type'], whole = false): fc.Arbitrary<GsupMessage> {
  const mandatory: Record<string, fc.Arbitrary<unknown>> = { type: fc.constant(type), imsi: common.imsi };
  if ((gsupType(type) & 3) === 1) mandatory.cause = byte;
  if (type === 'sendAuthInfoResult') mandatory.tuples = fc.array(tuple, { minLength: 1, maxLength: 5 });
  const { imsi: _imsi, ...rest } = common;
  const optional = { ...rest, ...OPTIONAL[type] };
  const resync =
    type === 'sendAuthInfoRequest'
      ? fc.oneof(fc.constant({}), record({ auts: bytes(14), rand: bytes(16) }))
      : fc.constant({});
  return fc
    .tuple(
      record<Record<string, unknown>>({ ...mandatory, ...optional }, whole ? [] : Object.keys(optional)),
      resync,
    )
    .map(([message, more]) => ({ ...message, ...more }) as unknown as GsupMessage);
}

export const messageNames = names;
export const messages: fc.Arbitrary<GsupMessage> = fc
  .constantFrom(...names)
  .chain((name) => messagesOf(name));
