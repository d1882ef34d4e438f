import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DecodeError, concat, fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import {
  IEI,
  Reassembly,
  alphabetOf,
  concatenationOf,
  decodeCp,
  decodeGsm7,
  decodeRp,
  decodeTpduFromDevice,
  decodeTpduToDevice,
  encodeCp,
  encodeGsm7,
  encodeRp,
  encodeTpdu,
  international,
  packSeptets,
  relativeValidity,
  splitUserData,
  unpackSeptets,
  type Tpdu,
  type UserData,
} from '../../../src/standards/sms/index.ts';
import { surviveHostile } from '../hostile.ts';
import { cp, rp, tpdu } from './arbitrary.ts';

/** Decodes in the direction that a TPDU has. */
function decodeLike(bytes: Uint8Array, like: Tpdu): Tpdu {
  const inError = 'cause' in like && like.cause !== undefined;
  return like.type === 'deliver' || like.type === 'submitReport' || like.type === 'statusReport'
    ? decodeTpduToDevice(bytes, inError)
    : decodeTpduFromDevice(bytes, inError);
}

test('"hellohello" packs as in the well-known example of TS 23.038 §6.1.2.1.1', () => {
  const septets = encodeGsm7('hellohello');
  assert.equal(toHex(packSeptets(septets)), 'e8329bfd4697d9ec37');
  assert.equal(decodeGsm7(unpackSeptets(fromHex('e8329bfd4697d9ec37'), 10)), 'hellohello');
});

test('every character of the alphabet and its extension comes back, others are refused by name', () => {
  const all = '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&\'()*+,-./09:;<=>?¡AZÄÖÑÜ§¿azäöñüà\f^{}\\[~]|€';
  assert.equal(decodeGsm7(encodeGsm7(all)), all);
  assert.equal(toHex(encodeGsm7('€')), '1b65');
  assert.throws(() => encodeGsm7('naïve'), /FieldError: text: "ï"/);
});

test('septets come back at every length and fill', () => {
  fc.assert(
    fc.property(fc.uint8Array({ max: 0x7f, maxLength: 160 }), fc.nat(6), (septets, fill) => {
      const packed = packSeptets(septets, fill);
      assert.deepEqual(unpackSeptets(packed, septets.length, fill), septets);
    }),
    { numRuns: 2000 },
  );
});

test('an SMS-DELIVER as phones show it (alphanumeric sender, 8 bit data) is read', () => {
  // pySim tests/unittests/test_sms.py, recorded from a network
  const bytes = '0408d0e5759a0e7ff6907090307513000824010101bb400101';
  const deliver = decodeTpduToDevice(fromHex(bytes));
  assert(deliver.type === 'deliver');
  assert.deepEqual(deliver.originator, { type: 'alphanumeric', plan: 0, value: 'ekit' });
  assert.equal(deliver.pid, 0x7f);
  assert.equal(deliver.moreMessages, false);
  assert.equal(deliver.timeStamp.time, Date.UTC(2009, 6, 9, 3, 57, 31));
  // 4 septets are 7 useful semi-octets; this sender counted whole bytes.
  assert.equal(toHex(encodeTpdu(deliver)), bytes.replace(/^0408/, '0407'));
});

test('an SMS-SUBMIT with ports, concatenation and a relative validity is read', () => {
  // pySim tests/unittests/test_sms.py
  const bytes =
    '550d0b911614261771f000f5a78c0b050423f423f40003010201424547494e3a56434152440d0a56455253494f4e3a322e310d0a4e3a4d650d0a54454c3b505245463b43454c4c3b564f4943453a2b36313431363237313137300d0a54454c3b484f4d453b564f4943453a2b36313339353337303437310d0a54454c3b574f524b3b564f4943453a2b36313339363734373031350d0a454e443a';
  const submit = decodeTpduFromDevice(fromHex(bytes));
  assert(submit.type === 'submit');
  assert.equal(submit.destination.value, '61416271170');
  assert.equal(submit.rejectDuplicates, true);
  assert.deepEqual(submit.validity, { format: 'relative', value: 0xa7 });
  assert.equal(relativeValidity(0xa7), 24 * 3600_000);
  assert.deepEqual(concatenationOf(submit.userData), { reference: 1, wide: false, total: 2, number: 1 });
  assert(submit.userData.header.some(({ iei }) => iei === IEI.ports16));
  assert.equal(toHex(encodeTpdu(submit)), bytes);
});

test('validity periods are those of TS 23.040 §9.2.3.12.1', () => {
  const minute = 60_000;
  const day = 24 * 60 * minute;
  assert.equal(relativeValidity(0), 5 * minute);
  assert.equal(relativeValidity(143), 12 * 60 * minute);
  assert.equal(relativeValidity(144), 12.5 * 60 * minute);
  assert.equal(relativeValidity(168), 2 * day);
  assert.equal(relativeValidity(196), 30 * day);
  assert.equal(relativeValidity(197), 35 * day);
  assert.equal(relativeValidity(255), 63 * 7 * day);
});

test('alphabets are those of TS 23.038 §4', () => {
  const expected: [number, string][] = [
    [0x00, 'gsm7'],
    [0x04, 'octets'],
    [0x08, 'ucs2'],
    [0x20, 'octets'],
    [0xc8, 'gsm7'],
    [0xe0, 'ucs2'],
    [0xf0, 'gsm7'],
    [0xf6, 'octets'],
  ];
  for (const [dcs, alphabet] of expected) assert.equal(alphabetOf(dcs), alphabet, dcs.toString(16));
});

test('every TPDU comes back as it went', () => {
  fc.assert(
    fc.property(tpdu, (one) => {
      const bytes = encodeTpdu(one);
      assert.deepEqual(decodeLike(bytes, one), one);
      assert.deepEqual(encodeTpdu(decodeLike(bytes, one)), bytes);
    }),
    { numRuns: 3000 },
  );
});

test('every RP and CP message comes back as it went', () => {
  fc.assert(
    fc.property(rp, cp, (relay, control) => {
      assert.deepEqual(decodeRp(encodeRp(relay)), relay);
      assert.deepEqual(decodeCp(encodeCp(control)), control);
    }),
    { numRuns: 2000 },
  );
});

test('RP and CP messages have the bytes of TS 24.011 §7', () => {
  const data = encodeRp({
    type: 'data',
    toDevice: true,
    reference: 0x2a,
    originator: international('4912345'),
    tpdu: fromHex('aabb'),
  });
  assert.equal(toHex(data), '012a' + '05' + '91' + '942143f5' + '00' + '02' + 'aabb');
  const control = encodeCp({ transaction: 1, fromInitiator: true, type: 'data', rp: data });
  assert.equal(toHex(control), '19010c' + toHex(data));
  const error = encodeRp({
    type: 'error',
    toDevice: false,
    reference: 1,
    cause: 22,
    tpdu: fromHex('00ff00'),
  });
  assert.equal(toHex(error), '0401' + '0116' + '4103' + '00ff00');
});

const good = [
  ...fc.sample(tpdu, { numRuns: 60, seed: 1 }).map(encodeTpdu),
  ...fc.sample(rp, { numRuns: 20, seed: 1 }).map(encodeRp),
  ...fc.sample(cp, { numRuns: 20, seed: 1 }).map(encodeCp),
];
const decoders: Record<string, (bytes: Uint8Array) => unknown> = {
  'a TPDU to the device': (bytes) => decodeTpduToDevice(bytes),
  'a report to the device': (bytes) => decodeTpduToDevice(bytes, true),
  'a TPDU from the device': (bytes) => decodeTpduFromDevice(bytes),
  'a report from the device': (bytes) => decodeTpduFromDevice(bytes, true),
  'an RP message': decodeRp,
  'a CP message': decodeCp,
};
for (const [what, decode] of Object.entries(decoders)) {
  test(`hostile bytes in place of ${what} give a DecodeError and nothing else`, () => {
    surviveHostile(decode, good);
  });
}

test('a TPDU that a device can decode again is what the decoder saw', () => {
  // Canonical form: spare bits and fillers zero, TP-PI without user data only where something follows.
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      let seen: Tpdu;
      try {
        seen = decodeTpduToDevice(bytes);
      } catch {
        return;
      }
      assert.deepEqual(decodeLike(encodeTpdu(seen), seen), seen);
    }),
    { numRuns: 20_000 },
  );
});

const whole = (parts: readonly UserData[], wholes?: number): UserData | undefined => {
  const reassembly = new Reassembly(wholes);
  let found: UserData | undefined;
  for (const part of parts) found = reassembly.add('a', part) ?? found;
  return found;
};

test('a long message is whole again in any order, with repetitions', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 2000, size: 'max' }),
      fc.boolean(),
      fc.array(fc.nat(), { minLength: 20, maxLength: 20 }),
      (data, wide, order) => {
        const firstHeader = [{ iei: IEI.commandPacket, data: new Uint8Array(0) }];
        const parts = splitUserData(data, { reference: wide ? 0x1234 : 7, wide, firstHeader });
        const shuffled = parts
          .map((part, i) => ({ part, key: order[i % order.length]! }))
          .sort((a, b) => a.key - b.key)
          .map(({ part }) => part);
        const repeated = shuffled.length > 1 ? [shuffled[0]!, ...shuffled] : shuffled;
        const found = whole(repeated);
        assert.deepEqual(found?.data, data);
        assert.deepEqual(found?.header, firstHeader);
      },
    ),
    { numRuns: 300 },
  );
});

test('parts are as long as they can be, and only the first names the packet', () => {
  const data = new Uint8Array(300);
  const parts = splitUserData(data, {
    reference: 9,
    firstHeader: [{ iei: IEI.commandPacket, data: new Uint8Array(0) }],
  });
  assert.deepEqual(
    parts.map((part) => part.data.length),
    [132, 134, 34],
  );
  assert.deepEqual(
    parts.map((part) => part.header.map(({ iei }) => iei)),
    [[0, 0x70], [0], [0]],
  );
  assert.equal(splitUserData(new Uint8Array(140), { reference: 0 }).length, 1);
  assert.throws(() => splitUserData(new Uint8Array(40_000), { reference: 0 }), /at most 255 parts/);
});

test('unfinished messages are bounded: the oldest gives way', () => {
  const reassembly = new Reassembly(4);
  const parts = (reference: number): UserData[] => splitUserData(new Uint8Array(200), { reference });
  for (let reference = 0; reference < 200; reference++) reassembly.add('a', parts(reference)[0]!);
  assert.equal(reassembly.unfinished, 4);
  assert.equal(reassembly.add('a', parts(0)[1]!), undefined);
  assert.deepEqual(reassembly.add('a', parts(199)[1]!)?.data, new Uint8Array(200));
});

test('parts of another sender or another width are another message', () => {
  const reassembly = new Reassembly();
  const [first, second] = splitUserData(new Uint8Array(200), { reference: 1 });
  const [, wideSecond] = splitUserData(new Uint8Array(200), { reference: 1, wide: true });
  assert.equal(reassembly.add('a', first!), undefined);
  assert.equal(reassembly.add('b', second!), undefined);
  assert.equal(reassembly.add('a', wideSecond!), undefined);
  assert.equal(reassembly.add('a', second!)?.data.length, 200);
});

test('what does not fit is refused by name', () => {
  const deliver = {
    type: 'deliver' as const,
    moreMessages: false,
    originator: international('1'),
    pid: 0,
    dcs: 4,
    timeStamp: { time: 0, zone: 0 },
    userData: { header: [], data: new Uint8Array(0) },
  };
  const late = { time: Date.UTC(2026, 0, 1), zone: 0 };
  assert.throws(() => encodeTpdu(deliver), /TP-SCTS.time/);
  assert.throws(
    () => encodeTpdu({ ...deliver, timeStamp: late, userData: { header: [], data: new Uint8Array(141) } }),
    /user data: 141 bytes/,
  );
  assert.throws(
    () => encodeTpdu({ ...deliver, timeStamp: late, originator: international('123456789012345678901') }),
    /TP-OA: 21 digits/,
  );
  const report = { type: 'deliverReport' as const, cause: 0x7f };
  assert.throws(() => encodeTpdu(report), /TP-FCS: 127/);
});

test('a length that says more or less than there is, is refused', () => {
  const bytes = encodeTpdu({
    type: 'deliver',
    moreMessages: false,
    originator: international('4912'),
    pid: 0x7f,
    dcs: 0xf6,
    timeStamp: { time: Date.UTC(2026, 0, 1), zone: 8 },
    userData: { header: [], data: new Uint8Array(10) },
  });
  assert.throws(() => decodeTpduToDevice(bytes.subarray(0, -1)), DecodeError);
  assert.throws(() => decodeTpduToDevice(concat(bytes, Uint8Array.of(0))), DecodeError);
});
