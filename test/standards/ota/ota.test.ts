import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { DecodeError, FieldError, concat, fromHex } from '../../../src/standards/bytes/index.ts';
import {
  COUNTER_MAX,
  RESPONSE_STATUS,
  decodeCommandHeader,
  decodeCommandPacket,
  decodeCompactCommands,
  decodeCompactResponse,
  decodeExpandedCommands,
  decodeExpandedResponse,
  decodePacketSms,
  decodeResponsePacket,
  decodeSpi,
  encodeCommandPacket,
  encodeCompactCommands,
  encodeExpandedCommands,
  encodeExpandedResponse,
  encodePacketSms,
  encodeResponsePacket,
  aesCmac,
  encodeSpi,
  isProven,
  keyByte,
  keySetOf,
  wantsProof,
  type CommandPacket,
  type ExpandedAnswer,
  type ExpandedCommand,
  type OtaAlgorithm,
  type OtaKeys,
  type SecurityParameters,
} from '../../../src/standards/ota/index.ts';
import { Reassembly } from '../../../src/standards/sms/index.ts';

const HOSTILE = 100_000;
const flags = { noNullPrototype: true };
const bytes = (min: number, max: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: min, maxLength: max, size: 'max' });

const security: fc.Arbitrary<SecurityParameters> = fc.record(
  {
    integrity: fc.constantFrom('none', 'rc', 'cc'),
    ciphered: fc.boolean(),
    counter: fc.constantFrom('none', 'unchecked', 'higher', 'oneHigher'),
    proof: fc.constantFrom('none', 'always', 'onError'),
    proofIntegrity: fc.constantFrom('none', 'rc', 'cc'),
    proofCiphered: fc.boolean(),
    proofBy: fc.constantFrom('deliverReport', 'submit'),
  },
  flags,
);

/** An algorithm with a key it takes, its parts different so that 3DES is more than DES. */
const keyed: fc.Arbitrary<{ algorithm: OtaAlgorithm; key: Uint8Array }> = fc.oneof(
  bytes(16, 16).map((key) => ({ algorithm: 'des3-2' as const, key })),
  bytes(24, 24).map((key) => ({ algorithm: 'des3-3' as const, key })),
  fc
    .constantFrom(16, 24, 32)
    .chain((length) => bytes(length, length))
    .map((key) => ({ algorithm: 'aes' as const, key })),
);

interface Case {
  command: CommandPacket;
  keys: OtaKeys;
}

/** A command under any SPI; a redundancy check and a checksum share KID, so both directions use one of them. */
const anyCase: fc.Arbitrary<Case> = fc
  .tuple(
    security,
    keyed,
    keyed,
    fc.constantFrom('crc16' as const, 'crc32' as const),
    fc.nat(15),
    fc.constantFrom(4 as const, 8 as const),
    fc.record(
      { tar: bytes(3, 3), counter: fc.integer({ min: 1, max: COUNTER_MAX - 1 }), data: bytes(0, 300) },
      flags,
    ),
  )
  .map(([spi, cipher, check, crc, set, ccLength, rest]) => {
    const withRc = spi.integrity === 'rc' || (spi.integrity === 'none' && spi.proofIntegrity === 'rc');
    const proofIntegrity = withRc === (spi.proofIntegrity === 'rc') ? spi.proofIntegrity : 'none';
    return {
      command: {
        ...rest,
        security: { ...spi, proofIntegrity },
        kic: keyByte(set, cipher.algorithm),
        kid: keyByte(set, withRc ? crc : check.algorithm),
      },
      keys: { kic: cipher.key, kid: check.key, ccLength },
    };
  });

test('every SPI that is not reserved comes back, the reserved are refused', () => {
  let valid = 0;
  for (let spi = 0; spi <= 0xffff; spi++) {
    try {
      assert.equal(encodeSpi(decodeSpi(spi)), spi);
      valid++;
    } catch (error) {
      assert(error instanceof DecodeError);
    }
  }
  assert.equal(valid, 32 * 48);
});

test('a command and its response come back under every SPI, key and length', () => {
  fc.assert(
    fc.property(anyCase, bytes(0, 200), ({ command, keys }, data) => {
      const packet = encodeCommandPacket(command, keys);
      const { counter, data: plain, ...header } = command;
      assert.deepEqual(decodeCommandHeader(packet), header);
      const received = decodeCommandPacket(packet, {
        keysOf(seen) {
          assert.equal(keySetOf(seen.kic), keySetOf(command.kic));
          return keys;
        },
        counterOf: () => counter - 1,
      });
      assert.deepEqual(received, { header, status: RESPONSE_STATUS.ok, counter, data: plain });
      const response = { tar: command.tar, counter, status: RESPONSE_STATUS.ok, data };
      const secured = command.security.proofIntegrity !== 'none' || command.security.proofCiphered;
      const answer = encodeResponsePacket(response, command, keys);
      assert.deepEqual(decodeResponsePacket(answer, command, keys), { ...response, secured });
    }),
    { numRuns: 1500 },
  );
});

test('a checked packet of which any bit changed is refused', () => {
  fc.assert(
    fc.property(anyCase, fc.nat(), fc.nat(7), ({ command, keys }, at, bit) => {
      fc.pre(command.security.integrity === 'cc');
      const packet = encodeCommandPacket(command, keys);
      const changed = packet.slice();
      const index = at % packet.length;
      changed[index] = changed[index]! ^ (1 << bit);
      try {
        const { header, status } = decodeCommandPacket(changed, { keysOf: () => keys });
        // What SPI, KIc and KID say is only believed if the check they name holds.
        if (header.security.integrity === 'cc') assert.notEqual(status, RESPONSE_STATUS.ok);
      } catch (error) {
        assert(error instanceof DecodeError);
      }
    }),
    { numRuns: 500 },
  );
});

const base: CommandPacket = {
  security: decodeSpi(0x1619),
  kic: 0x12,
  kid: 0x12,
  tar: fromHex('b00011'),
  counter: 100,
  data: fromHex('00a40004023f00'),
};
const baseKeys: OtaKeys = { kic: new Uint8Array(16).fill(1), kid: new Uint8Array(16).fill(2) };
const statusAt = (
  mode: 'higher' | 'oneHigher' | 'unchecked' | 'none',
  counter: number,
  last: number,
): number => {
  const packet = encodeCommandPacket(
    { ...base, counter, security: { ...base.security, counter: mode } },
    baseKeys,
  );
  return decodeCommandPacket(packet, { keysOf: () => baseKeys, counterOf: () => last }).status;
};

test('counters are taken as their mode says (TS 102 225 §5.1.4)', () => {
  const { ok, counterLow, counterHigh, counterBlocked } = RESPONSE_STATUS;
  assert.equal(statusAt('higher', 101, 100), ok);
  assert.equal(statusAt('higher', 5000, 100), ok);
  assert.equal(statusAt('higher', 100, 100), counterLow);
  assert.equal(statusAt('higher', 99, 100), counterLow);
  assert.equal(statusAt('higher', COUNTER_MAX, COUNTER_MAX), counterBlocked);
  assert.equal(statusAt('oneHigher', 101, 100), ok);
  assert.equal(statusAt('oneHigher', 102, 100), counterHigh);
  assert.equal(statusAt('oneHigher', 100, 100), counterLow);
  assert.equal(statusAt('unchecked', 1, 100), ok);
  assert.equal(statusAt('none', 0, 100), ok);
});

test('the wrong key, no key, another algorithm and half a block are refused with their status', () => {
  const packet = encodeCommandPacket(base, baseKeys);
  const open = (one: Uint8Array, keys: OtaKeys | undefined): number =>
    decodeCommandPacket(one, { keysOf: () => keys }).status;
  assert.equal(open(packet, { ...baseKeys, kid: new Uint8Array(16) }), RESPONSE_STATUS.integrityFailed);
  assert.equal(open(packet, undefined), RESPONSE_STATUS.securityError);
  assert.equal(open(packet, { kic: new Uint8Array(5), kid: baseKeys.kid! }), RESPONSE_STATUS.securityError);
  assert.equal(open(packet, { ...baseKeys, ccLength: 4 }), RESPONSE_STATUS.securityError);
  const unknown = packet.slice();
  unknown[5] = 0x13;
  assert.equal(open(unknown, baseKeys), RESPONSE_STATUS.securityError);
  const half = packet.slice(0, -8);
  half[1] = half.length - 2;
  assert.equal(open(half, baseKeys), RESPONSE_STATUS.cipheringError);
  const signature = packet.slice();
  signature[3] = signature[3]! | 0x03;
  assert.equal(open(signature, baseKeys), RESPONSE_STATUS.securityError);
});

test('a packet without checksum never asks for a key', () => {
  const plain = { ...base, security: { ...base.security, integrity: 'none' as const, ciphered: false } };
  const packet = encodeCommandPacket(plain, {});
  const received = decodeCommandPacket(packet, { keysOf: () => assert.fail('no key is needed') });
  assert.deepEqual(received.data, base.data);
});

test('a refusal for want of the right keys goes out unsecured, and is never taken for a success', () => {
  const refusal = {
    tar: base.tar,
    counter: 0,
    status: RESPONSE_STATUS.integrityFailed,
    data: new Uint8Array(0),
  };
  const packet = encodeResponsePacket(refusal, base, {});
  assert.deepEqual(decodeResponsePacket(packet, base, baseKeys), { ...refusal, secured: false });
  const forged = packet.slice();
  forged[12] = RESPONSE_STATUS.ok;
  assert.throws(() => decodeResponsePacket(forged, base, baseKeys), DecodeError);
  forged[12] = RESPONSE_STATUS.counterLow;
  assert.throws(() => decodeResponsePacket(forged, base, baseKeys), DecodeError);
});

test('a command without a checksum is refused in the clear, and its refusal read; a success is secured as asked', () => {
  const { insufficientSecurityLevel, ok } = RESPONSE_STATUS;
  for (const spi of [0x0019, 0x0419, 0x0119]) {
    const header = { ...base, kid: spi === 0x0119 ? 0x15 : base.kid, security: decodeSpi(spi) };
    const refusal = { tar: base.tar, counter: 0, status: insufficientSecurityLevel, data: new Uint8Array(0) };
    const packet = encodeResponsePacket(refusal, header, baseKeys);
    assert.equal(packet.length, 13);
    assert.equal(decodeResponsePacket(packet, header, baseKeys).secured, false);
    const forged = packet.slice();
    forged[12] = ok;
    assert.throws(() => decodeResponsePacket(forged, header, baseKeys), /DecodeError|FieldError/);
  }
  const header = { ...base, security: decodeSpi(0x1619) };
  const received = { header, status: ok, counter: 1, data: new Uint8Array(0) };
  assert.equal(isProven(received), true);
  assert.equal(isProven({ ...received, status: RESPONSE_STATUS.counterLow }), true);
  assert.equal(isProven({ ...received, status: RESPONSE_STATUS.integrityFailed }), false);
  assert.equal(isProven({ ...received, header: { ...header, security: decodeSpi(0x1019) } }), false);
});

/** A packet with a checksum that holds and this padding counter: command of SPI 02 or 06, keys of `base`. */
function padded(counter: number, data: Uint8Array, ciphered: boolean): Uint8Array {
  // CPL, CHL, SPI, KIc, KID, TAR, CNTR; PCNTR
  const head = fromHex(`000015${ciphered ? '0600' : '0200'}1212b000110000000065`);
  const clear = concat(head, Uint8Array.of(counter));
  clear.set([0, clear.length - 2 + 8 + data.length]);
  const check = aesCmac(baseKeys.kid!, concat(clear, data)).subarray(0, 8);
  const packet = concat(clear, check, data);
  if (!ciphered) return packet;
  const cipher = createCipheriv('aes-128-cbc', baseKeys.kic!, new Uint8Array(16)).setAutoPadding(false);
  return concat(packet.subarray(0, 10), cipher.update(packet.subarray(10)));
}

test('a padding counter beyond a block, or beyond the packet, is refused though the checksum holds', () => {
  const status = (packet: Uint8Array): number =>
    decodeCommandPacket(packet, { keysOf: () => baseKeys }).status;
  const { ok, cipheringError } = RESPONSE_STATUS;
  assert.equal(status(padded(0, fromHex('aabb'), false)), ok);
  assert.equal(status(padded(1, fromHex('aabb'), false)), cipheringError, 'nothing to pad without ciphering');
  assert.equal(status(padded(2, fromHex('aabb'), true)), ok);
  assert.equal(status(padded(3, fromHex('aabb'), true)), cipheringError, 'more than there is');
  assert.equal(status(padded(15, new Uint8Array(18), true)), ok);
  assert.equal(status(padded(16, new Uint8Array(18), true)), cipheringError, 'a whole block');
});

test('the same of a response', () => {
  const header = { ...base, security: decodeSpi(0x1601) };
  const response = encodeResponsePacket({ ...base, status: 0, data: fromHex('aabb') }, header, baseKeys);
  response[11] = 1;
  assert.throws(() => decodeResponsePacket(response, header, baseKeys), /^DecodeError: PCNTR/);
});

test('proof is wanted as SPI says', () => {
  const { ok, counterLow } = RESPONSE_STATUS;
  const wants = (spi: number, status: number): boolean => wantsProof(decodeSpi(spi), status);
  assert.deepEqual(
    [
      wants(0x1600, ok),
      wants(0x1601, ok),
      wants(0x1602, ok),
      wants(0x1602, counterLow),
      wants(0x1600, counterLow),
    ],
    [false, true, false, true, false],
  );
});

test('errors name the field and the length of a key, not its content', () => {
  const secret = fromHex('0badc0de0badc0de');
  const refused = (change: Partial<CommandPacket>, keys: OtaKeys): string => {
    try {
      encodeCommandPacket({ ...base, ...change }, keys);
    } catch (error) {
      assert(error instanceof FieldError);
      return error.message;
    }
    return assert.fail('taken');
  };
  assert.match(refused({}, { ...baseKeys, kic: secret }), /^kicKey: 8 bytes, expected 16 or 24 or 32 bytes/);
  assert.match(refused({}, { kic: baseKeys.kic! }), /^kidKey: absent/);
  assert.match(refused({ security: decodeSpi(0x1700) }, baseKeys), /^SPI: digital signature/);
  assert.match(refused({ kic: 0x11 }, { ...baseKeys, kic: secret }), /^KIc: single DES/);
  assert.match(refused({ counter: 2 ** 40 }, baseKeys), /^counter/);
  assert.match(refused({ tar: secret }, baseKeys), /^TAR: 8 bytes/);
});

test('a packet of any length is whole again after its short messages', () => {
  fc.assert(
    fc.property(
      bytes(3, 1200),
      fc.nat(255),
      fc.constantFrom('command' as const, 'response' as const),
      (packet, reference, kind) => {
        const parts = encodePacketSms(kind, packet, reference);
        assert.equal(parts.length, packet.length <= 137 ? 1 : Math.ceil((packet.length + 2) / 134));
        const reassembly = new Reassembly();
        const [whole] = parts.map((part) => reassembly.add('x', part)).filter((one) => one !== undefined);
        assert.deepEqual(decodePacketSms(kind, whole!), packet);
        assert.equal(decodePacketSms(kind === 'command' ? 'response' : 'command', whole!), undefined);
      },
    ),
    { numRuns: 300 },
  );
});

test('compact commands are cut where P3 says, and refused where they do not end there', () => {
  const commands = ['00a40004023f00', '00b0000000', '00d6000002aabb', '00c000000f', '8016000000'].map((hex) =>
    fromHex(hex),
  );
  assert.deepEqual(decodeCompactCommands(encodeCompactCommands(commands)), commands);
  assert.throws(() => decodeCompactCommands(fromHex('00d600000aaabb')), DecodeError);
  assert.throws(() => encodeCompactCommands([fromHex('00d600000aaabb')]), /command 1: 7 bytes, expected 15/);
  assert.throws(() => decodeCompactResponse(fromHex('0190')), DecodeError);
});

const expandedCommand: fc.Arbitrary<ExpandedCommand> = fc.oneof(
  bytes(4, 300).map((apdu) => ({ type: 'apdu' as const, apdu })),
  fc
    .tuple(
      fc.constantFrom('immediateAction' as const, 'errorAction' as const, 'scriptChaining' as const),
      bytes(0, 5),
    )
    .map(([type, value]) => ({ type, value })),
);
const expandedAnswer: fc.Arbitrary<ExpandedAnswer> = fc.oneof(
  fc.tuple(bytes(0, 300), fc.nat(0xffff)).map(([data, sw]) => ({ type: 'apdu' as const, data, sw })),
  fc.nat(255).map((reason) => ({ type: 'badFormat' as const, reason })),
  bytes(0, 5).map((value) => ({ type: 'scriptChaining' as const, value })),
);

test('expanded scripts come back in both length codings', () => {
  fc.assert(
    fc.property(
      fc.array(expandedCommand, { maxLength: 4 }),
      fc.array(expandedAnswer, { maxLength: 4 }),
      fc.option(fc.nat(300), { nil: undefined }),
      fc.boolean(),
      (commands, answers, executed, indefinite) => {
        assert.deepEqual(decodeExpandedCommands(encodeExpandedCommands(commands, indefinite)), {
          indefinite,
          commands,
        });
        const response = { ...(executed === undefined ? {} : { executed }), answers };
        assert.deepEqual(decodeExpandedResponse(encodeExpandedResponse(response, indefinite)), response);
      },
    ),
    { numRuns: 500 },
  );
});

function decodeAll(packet: Uint8Array): void {
  const decoders: ((one: Uint8Array) => unknown)[] = [
    decodeCommandHeader,
    (one) => decodeCommandPacket(one, { keysOf: () => baseKeys }),
    (one) => decodeResponsePacket(one, base, baseKeys),
    (one) => decodeCompactCommands(one),
    decodeCompactResponse,
    decodeExpandedCommands,
    decodeExpandedResponse,
  ];
  for (const decode of decoders) {
    try {
      decode(packet);
    } catch (error) {
      assert(error instanceof DecodeError, String(error));
    }
  }
}

let seed = 1;
const random = (below: number): number => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return Math.floor((seed / 0x1_0000_0000) * below);
};

test('hostile bytes give a DecodeError and nothing else', () => {
  for (let i = 0; i < HOSTILE / 2; i++) {
    const packet = Uint8Array.from({ length: random(40) }, () => random(256));
    // Half of them with a right length, so that what lies behind it is reached.
    if (i % 2 === 0 && packet.length > 2) packet.set([0, packet.length - 2]);
    decodeAll(packet);
  }
});

test('damaged packets and scripts give a DecodeError and nothing else', () => {
  const good = [
    encodeCommandPacket(base, baseKeys),
    encodeCommandPacket({ ...base, security: decodeSpi(0x1209) }, baseKeys),
    encodeResponsePacket({ ...base, status: 0 }, base, baseKeys),
    encodeResponsePacket({ ...base, status: 0 }, { ...base, security: decodeSpi(0x1601) }, baseKeys),
    ...fc
      .sample(fc.array(expandedCommand), { numRuns: 3, seed: 1 })
      .flatMap((one) => [encodeExpandedCommands(one), encodeExpandedCommands(one, true)]),
    ...fc
      .sample(fc.array(expandedAnswer), { numRuns: 3, seed: 1 })
      .map((answers) => encodeExpandedResponse({ executed: 1, answers })),
  ];
  for (let i = 0; i < HOSTILE / 2; i++) {
    const packet = good[i % good.length]!.slice();
    for (let times = random(3); times >= 0; times--) packet[random(packet.length)] = random(256);
    decodeAll(random(4) === 0 ? packet.subarray(0, random(packet.length)) : packet);
  }
});
