import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import {
  conditionFor,
  conditionHolds,
  decodeAccessRules,
  decodeBerTlvs,
  decodeComprehensionTlvs,
  decodeFcp,
  decodePinStatus,
  decodeSecurityAttributes,
  encodeAccessRules,
  encodeBerTlv,
  encodeBerTlvs,
  encodeComprehensionTlvs,
  encodeFcp,
  encodePinStatus,
  encodeSecurityAttributes,
  isConstructed,
  type Fcp,
  type SecurityAttributes,
} from '../../../src/standards/uicc/index.ts';
import { surviveHostile } from '../hostile.ts';

test('BER-TLV: tags of one to three bytes, lengths in their shortest form', () => {
  assert.equal(toHex(encodeBerTlv(0x5f2d, fromHex('656e'))), '5f2d02656e');
  assert.equal(toHex(encodeBerTlv(0x62, new Uint8Array(128)).subarray(0, 3)), '628180');
  assert.equal(toHex(encodeBerTlv(0x62, new Uint8Array(256)).subarray(0, 4)), '62820100');
  assert.equal(toHex(encodeBerTlv(0x9f8101, fromHex('aa'))), '9f810101aa');
  assert.ok(isConstructed(0x62) && isConstructed(0x7f21) && !isConstructed(0x5f2d) && !isConstructed(0x80));
  for (const hex of [
    '62',
    '6203aabb',
    '62817f',
    '6282007f',
    '6280',
    '62ff00',
    '1f1e00',
    '1f800100',
    '0000',
    '9f81818101',
  ]) {
    assert.throws(() => decodeBerTlvs(fromHex(hex)), { name: 'DecodeError' }, hex);
  }
  for (const tag of [0, 0x1f, 0x5f1e, 0x9f8001, 0x1000000]) {
    assert.throws(() => encodeBerTlv(tag, new Uint8Array()), { field: 'tag' }, tag.toString(16));
  }
  surviveHostile(decodeBerTlvs, [fromHex('5f2d02656e6281800102'), fromHex('9f810101aa')], encodeBerTlvs);
});

test('COMPREHENSION-TLV: the flag, and tags of three bytes (TS 101 220 §7.1.1)', () => {
  const hex = '8103010100020282817f81d101ff7f01d100';
  const objects = decodeComprehensionTlvs(fromHex(hex));
  assert.deepEqual(
    objects.map(({ tag, required }) => [tag, required]),
    [
      [1, true],
      [2, false],
      [0x1d1, true],
      [0x1d1, false],
    ],
  );
  for (const bad of ['0000', 'ff00', '8000', '7f007e00', '81']) {
    assert.throws(() => decodeComprehensionTlvs(fromHex(bad)), { name: 'DecodeError' }, bad);
  }
  surviveHostile(decodeComprehensionTlvs, [fromHex('81030101000202828185818081')], encodeComprehensionTlvs);
  fc.assert(
    fc.property(
      fc.array(
        fc.record(
          {
            tag: fc.integer({ min: 1, max: 0x7e }),
            required: fc.boolean(),
            value: fc.uint8Array({ maxLength: 300 }),
          },
          { noNullPrototype: true },
        ),
      ),
      (objects) => assert.deepEqual(decodeComprehensionTlvs(encodeComprehensionTlvs(objects)), objects),
    ),
  );
});

test('FCP: an EF by hand (TS 102 221 §11.1.1.3.3)', () => {
  const bytes = fromHex('621a820542210026028302' + '2f008a01058b032f0605800' + '2004c8801f0');
  assert.deepEqual(decodeFcp(bytes), {
    descriptor: { type: 'linearFixed', shareable: true, recordLength: 0x26, records: 2 },
    fid: 0x2f00,
    lifeCycle: 'activated',
    security: { kind: 'reference', arr: 0x2f06, record: 5 },
    size: 76,
    sfi: 0x1e,
  } satisfies Fcp);
  assert.equal(toHex(encodeFcp(decodeFcp(bytes))), toHex(bytes));
});

test('FCP: file descriptors (TS 102 221 §11.1.1.4.3)', () => {
  for (const [hex, descriptor] of [
    ['7921', { type: 'berTlv', shareable: true }],
    ['7821', { type: 'df', shareable: true }],
    ['4121', { type: 'transparent', shareable: true }],
    ['0921', { type: 'transparent', internal: true, shareable: false }],
    ['4221006e05', { type: 'linearFixed', shareable: true, recordLength: 110, records: 5 }],
    ['4621000305', { type: 'cyclic', shareable: true, recordLength: 3, records: 5 }],
  ] as [string, Fcp['descriptor']][]) {
    const bytes = encodeFcp({ descriptor, lifeCycle: 'activated' });
    assert.equal(
      toHex(bytes),
      `62${(hex.length / 2 + 5).toString(16).padStart(2, '0')}82${(hex.length / 2).toString(16).padStart(2, '0')}${hex}8a0105`,
    );
    assert.deepEqual(decodeFcp(bytes).descriptor, descriptor);
  }
});

test('FCP: the PIN status template of an ADF says what is enabled', () => {
  const bytes = fromHex('90017083010183018183010a');
  const pins = decodePinStatus(bytes);
  assert.deepEqual(pins, [
    { key: 0x01, enabled: false },
    { key: 0x81, enabled: true },
    { key: 0x0a, enabled: true },
  ]);
  assert.equal(toHex(encodePinStatus(pins)), '900160' + '83010183018183010a');
  const universal = [
    { key: 1, enabled: true },
    { key: 0x11, enabled: false, usage: 0 },
  ];
  assert.deepEqual(decodePinStatus(encodePinStatus(universal)), universal);
  surviveHostile(decodePinStatus, [bytes, encodePinStatus(universal)], encodePinStatus);
});

test('FCP: hostile bytes, and whatever is accepted comes back', () => {
  const samples = [
    encodeFcp({
      descriptor: { type: 'df', shareable: true },
      fid: 0x7fff,
      dfName: fromHex('a0000000871002ffffffff8907090000'),
      proprietary: [
        { tag: 0x80, value: fromHex('71') },
        { tag: 0x83, value: fromHex('0000ffff') },
      ],
      lifeCycle: 'activated',
      security: { kind: 'compact', mode: 0x1b, conditions: [0, 0xff, 0x90, 0] },
      pins: [
        { key: 1, enabled: true },
        { key: 0x81, enabled: false },
      ],
      totalSize: 0x12345,
      other: [{ tag: 0xab, value: fromHex('') }],
    }),
    fromHex('621a8205422100260283022f008a01058b032f06058002004c8801f0'),
    fromHex('62158202412183026f078a01058b036f06028002000988' + '0138'),
  ];
  surviveHostile(decodeFcp, samples, encodeFcp);
});

// EF.ARR records of a sysmoISIM-SJA2 as published with pySim.
const arr = [
  '800101a40683010a950108800106900080016097008401d4a40683010a950108',
  '80010190008001029700800118a40683010a9501088401d4a40683010a950108',
];

test('access rules: the records of a real EF.ARR', () => {
  const rules = decodeAccessRules(fromHex(arr[0]!));
  assert.deepEqual(rules, [
    { mode: 0x01, condition: { pin: 0x0a } },
    { mode: 0x06, condition: 'always' },
    { mode: 0x60, condition: 'never' },
    { mode: 0, ins: 0xd4, condition: { pin: 0x0a } },
  ]);
  assert.equal(toHex(encodeAccessRules(rules)), arr[0]);
  assert.deepEqual(conditionFor(rules, { mode: 0x02 }), 'always');
  assert.deepEqual(conditionFor(rules, { mode: 0x08 }), 'never');
  assert.deepEqual(conditionFor(rules, { ins: 0xd4 }), { pin: 0x0a });
  surviveHostile(
    decodeAccessRules,
    arr.map((hex) => fromHex(hex)),
    encodeAccessRules,
  );
});

test('access rules: alternatives and conjunctions hold as they say', () => {
  const condition = { anyOf: [{ pin: 0x0a }, { allOf: [{ pin: 0x01 }, { pin: 0x81 }] }] };
  const rules = [{ mode: 3, condition }];
  assert.deepEqual(decodeAccessRules(encodeAccessRules(rules)), rules);
  const holds = (...pins: number[]): boolean => conditionHolds(condition, (pin) => pins.includes(pin));
  assert.deepEqual([holds(), holds(1), holds(1, 0x81), holds(0x0a)], [false, false, true, true]);
});

test('security attributes: by reference, by environment, compact, expanded', () => {
  const all: SecurityAttributes[] = [
    { kind: 'reference', arr: 0x2f06, record: 2 },
    {
      kind: 'referenceBySe',
      arr: 0x6f06,
      records: [
        { se: 0, record: 1 },
        { se: 1, record: 2 },
      ],
    },
    { kind: 'expanded', rules: [{ mode: 1, condition: 'always' }] },
    { kind: 'compact', mode: 0x03, conditions: [0x90, 0x00] },
  ];
  for (const attributes of all) {
    const bytes = encodeSecurityAttributes(attributes);
    const decode = (value: Uint8Array): SecurityAttributes => decodeSecurityAttributes(bytes[0]!, value);
    assert.deepEqual(decode(bytes.subarray(2)), attributes);
    surviveHostile(decode, [bytes.subarray(2)]);
  }
  assert.throws(() => encodeSecurityAttributes({ kind: 'compact', mode: 3, conditions: [0] }), {
    field: 'conditions',
  });
});
