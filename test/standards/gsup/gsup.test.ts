import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  DecodeError,
  FieldError,
  concat,
  equal,
  fromHex,
  toHex,
} from '../../../src/standards/bytes/index.ts';
import {
  IDENTITY,
  IPA_EXTENSION,
  IPA_PROTOCOL,
  UnknownGsupMessage,
  decodeCcm,
  decodeGsup,
  decodeIpa,
  encodeCcm,
  encodeGsup,
  encodeIpa,
  gsupErrorOf,
  gsupType,
  identityOf,
  ipaLength,
  isGsupError,
  isGsupRequest,
  isGsupResult,
  type Ccm,
  type GsupMessage,
} from '../../../src/standards/gsup/index.ts';
import { surviveHostile } from '../hostile.ts';
import { messageNames, messages, messagesOf } from './arbitrary.ts';

/** As a real osmo-hlr 1.5.0 sent and took them (test/interop/osmo-hlr says them again over the wire). */
const VECTORS: [string, GsupMessage][] = [
  [
    '08' + '010800010189674523f1' + '520101' + '2a0103',
    { type: 'sendAuthInfoRequest', imsi: '001010987654321', vectors: 1, currentRat: 3 },
  ],
  [
    '09' + '010800010189674523f1' + '020102',
    { type: 'sendAuthInfoError', imsi: '001010987654321', cause: 2 },
  ],
  [
    '10' + '010800010189674523f1' + '080403941621' + '0507' + '100101' + '1202012a' + '280101',
    {
      type: 'insertDataRequest',
      imsi: '001010987654321',
      msisdn: '496112',
      pdpInfos: [{ contextId: 1, apn: '*' }],
      cnDomain: 1,
    },
  ],
  ['12' + '010800010189674523f1', { type: 'insertDataResult', imsi: '001010987654321' }],
];

test('messages byte for byte', () => {
  for (const [hex, message] of VECTORS) {
    const bytes = fromHex(hex);
    assert.equal(toHex(encodeGsup(message)), hex);
    assert.deepEqual(decodeGsup(bytes), message);
  }
});

test('what is encoded decodes to the same, whatever the type', () => {
  for (const name of messageNames) {
    fc.assert(
      fc.property(fc.oneof(messagesOf(name), messagesOf(name, true)), (message) => {
        const bytes = encodeGsup(message);
        assert.equal(bytes[0], gsupType(name));
        assert.deepEqual(decodeGsup(bytes), message);
        const kinds = [isGsupRequest(message), isGsupError(message), isGsupResult(message)];
        assert.equal(kinds.indexOf(true), (bytes[0]! & 3) === 3 ? -1 : bytes[0]! & 3);
      }),
      { numRuns: 200 },
    );
  }
});

test('an element nobody knows is kept, wherever it stands; so is one that does not belong', () => {
  const imsi = '010800010189674523f1';
  const decoded = decodeGsup(fromHex(`04${imsi}7f02abcd280101020103`));
  assert.deepEqual(decoded, {
    type: 'updateLocationRequest',
    imsi: '001010987654321',
    cnDomain: 1,
    others: [
      { tag: 0x7f, value: fromHex('abcd') },
      { tag: 0x02, value: fromHex('03') },
    ],
  });
  assert.equal(toHex(encodeGsup(decoded)), `04${imsi}2801017f02abcd020103`);
});

test('what is malformed is refused by name', () => {
  const imsi = '010800010189674523f1';
  const cases: [string, RegExp][] = [
    ['', /message type/],
    ['08', /IMSI tag/],
    ['08020102', /first element/],
    ['08' + '01020001', /IMSI: 4 digits/],
    ['08' + imsi + imsi, /IMSI: twice/],
    ['08' + imsi + '2a0103' + '2a0103', /currentRat: twice/],
    ['08' + imsi + '2a020303', /current RAT type: 2 bytes/],
    ['08' + imsi + '260e' + '00'.repeat(14), /AUTS: without RAND/],
    ['08' + imsi + '2010' + '00'.repeat(16), /AUTS: without RAND/],
    ['09' + imsi, /cause: none/],
    ['0a' + imsi, /tuples: none/],
    ['0a' + imsi + '0312' + '2010' + '00'.repeat(16), /RAND alone/],
    ['0a' + imsi + '0318' + '2010' + '00'.repeat(16) + '210400000000', /no Kc/],
    [
      '0a' + imsi + ('0322' + '2010' + '00'.repeat(16) + '210400000000' + '22080000000000000000').repeat(6),
      /more than 5/,
    ],
    ['10' + imsi + '0505' + '1203012a2a', /PDP info: no PDP context id/],
    ['10' + imsi + '0803' + '03941621', /MSISDN: 2 bytes left/],
    ['08' + imsi + '2a', /tag 0x2a/],
  ];
  for (const [hex, expected] of cases) {
    assert.throws(
      () => decodeGsup(fromHex(hex)),
      (error) => error instanceof DecodeError && expected.test(error.message),
      hex,
    );
  }
  const request: GsupMessage = { type: 'sendAuthInfoRequest', imsi: '001010987654321' };
  for (const bad of [
    { ...request, imsi: '12345' },
    { ...request, cause: 1 },
    { ...request, auts: new Uint8Array(14) },
    { ...request, auts: new Uint8Array(13), rand: new Uint8Array(16) },
    { ...request, vectors: 256 },
    { ...request, others: [{ tag: 0x2a, value: new Uint8Array(1) }] },
    { type: 'sendAuthInfoResult', imsi: request.imsi, tuples: [] },
  ]) {
    assert.throws(() => encodeGsup(bad as never), FieldError);
  }
});

test('a key in a message that cannot be encoded is not told', () => {
  const ck = new Uint8Array(15).fill(0xab);
  const [whole] = fc.sample(messagesOf('sendAuthInfoResult', true), 1);
  const umts = { ik: new Uint8Array(16), ck, autn: new Uint8Array(16), res: new Uint8Array(8) };
  assert.throws(
    () => encodeGsup({ ...whole!, tuples: [{ rand: new Uint8Array(16), umts }] } as GsupMessage),
    (error) => error instanceof FieldError && !/ab/.test(error.message) && error.value === '15 bytes',
  );
});

test('a request of an unknown type names the error it is refused with; what is no request, none', () => {
  const imsi = '010800010189674523f1';
  const unknown = (hex: string): UnknownGsupMessage => {
    try {
      decodeGsup(fromHex(hex + imsi));
    } catch (error) {
      if (error instanceof UnknownGsupMessage) return error;
    }
    return assert.fail(`${hex} was taken`);
  };
  assert.equal(toHex(unknown('30').refusal()!), '31' + imsi + '020161');
  assert.equal(unknown('32').refusal(), undefined);
  assert.deepEqual(gsupErrorOf({ type: 'purgeMsRequest', imsi: '001010987654321' }, 17), {
    type: 'purgeMsError',
    imsi: '001010987654321',
    cause: 17,
  });
});

test('IPA frames and CCM, byte for byte', () => {
  const get: Ccm = { type: 'idGet', tags: [IDENTITY.unitId, IDENTITY.serialNumber] };
  assert.equal(toHex(encodeCcm(get)), '0401080100');
  assert.deepEqual(decodeCcm(fromHex('040108010000')), get);
  const resp: Ccm = { type: 'idResp', values: [{ tag: IDENTITY.serialNumber, value: 'MSC-1' }] };
  assert.equal(toHex(encodeCcm(resp)), '050007004d53432d3100');
  assert.deepEqual(decodeCcm(fromHex('050006004d53432d31')), resp);
  assert.equal(identityOf(resp.values, IDENTITY.serialNumber), 'MSC-1');
  assert.equal(identityOf(resp.values, IDENTITY.unitName), undefined);
  const frame = encodeIpa({ protocol: IPA_PROTOCOL.ccm, payload: encodeCcm({ type: 'ping' }) });
  assert.equal(toHex(frame), '0001fe00');
  assert.equal(ipaLength(frame.subarray(0, 2)), undefined);
  assert.equal(ipaLength(frame), 4);
  assert.equal(
    toHex(encodeIpa({ protocol: IPA_PROTOCOL.osmo, extension: IPA_EXTENSION.gsup, payload: fromHex('0b') })),
    '0002ee050b',
  );
  assert.throws(() => encodeIpa({ protocol: IPA_PROTOCOL.osmo, payload: new Uint8Array(1) }), FieldError);
  assert.throws(() => decodeCcm(fromHex('07')), DecodeError);
});

test('hostile bytes: only DecodeError, and no more memory than they warrant', () => {
  const good = fc.sample(messages, { numRuns: 100, seed: 1 }).map(encodeGsup);
  surviveHostile(decodeGsup, good, encodeGsup);
  // With a known type and an IMSI, so that what lies behind them is reached.
  const head = fromHex('010800010189674523f1');
  surviveHostile(
    (bytes) => {
      const type = messageNames[(bytes[0] ?? 0) % messageNames.length]!;
      return decodeGsup(concat(Uint8Array.of(gsupType(type)), head, bytes.subarray(1)));
    },
    good.map((bytes) => concat(bytes.subarray(0, 1), bytes.subarray(2 + bytes[2]!))),
  );
  const frames = good.map((payload) =>
    encodeIpa({ protocol: IPA_PROTOCOL.osmo, extension: IPA_EXTENSION.gsup, payload }),
  );
  surviveHostile(decodeIpa, frames, encodeIpa, (frame, bytes) => {
    assert.equal(ipaLength(bytes), bytes.length);
    assert.ok(equal(frame.payload, bytes.subarray(bytes.length - frame.payload.length)));
  });
  surviveHostile(
    decodeCcm,
    ['00', '06', '0401080100', '050007004d53432d3100'].map((hex) => fromHex(hex)),
    encodeCcm,
  );
});
