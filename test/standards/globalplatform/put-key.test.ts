/** PUT KEY against published values of the ciphers, and against the card that opens it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createCard, createCardFile, memoryStore } from '../../../src/device/uicc/index.ts';
import { FieldError, concat, fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import {
  encodePutKey,
  keyCheckValue,
  type KeySetAlgorithm,
  type PutKey,
} from '../../../src/standards/globalplatform/index.ts';
import { TAR, keyByte } from '../../../src/standards/ota/index.ts';
import { drawn, gatewayOf, terminalOf, type Gateway, type Terminal } from '../../device/uicc/terminal.ts';

/** One key of an encoded command: type, what is ciphered (with its clear length for AES), check value. */
interface Block {
  type: number;
  key: string;
  check: string;
}

function parts(apdu: Uint8Array): { head: string; number: number; blocks: Block[] } {
  const blocks: Block[] = [];
  let at = 6;
  const next = (length: number): Uint8Array => apdu.subarray(at, (at += length));
  while (at < apdu.length) {
    const [type] = next(1);
    const key = toHex(next(next(1)[0]!));
    blocks.push({ type: type!, key, check: toHex(next(next(1)[0]!)) });
  }
  assert.equal(apdu[4], apdu.length - 5, 'Lc');
  return { head: toHex(apdu.subarray(0, 4)), number: apdu[5]!, blocks };
}

const three = (key: string): PutKey['keys'] => [fromHex(key), fromHex(key), fromHex(key)];
const put = (algorithm: KeySetAlgorithm, under: string, key: string, more: Partial<PutKey> = {}) =>
  encodePutKey({ replaces: 0, keySet: 2, algorithm, keys: three(key), under: fromHex(under), ...more });

// From pySim's tests/unittests/test_globalplatform.py; the last two are of the keys that cards come with, 40…4F.
for (const [algorithm, key, check] of [
  ['aes', '000102030405060708090a0b0c0d0e0f', 'c35280'],
  ['aes', '101112131415161718191a1b1c1d1e1f', '013808'],
  ['aes', '202122232425262728292a2b2c2d2e2f', '840de5'],
  ['aes', '404142434445464748494a4b4c4d4e4f', '504a77'],
  ['des3-2', '404142434445464748494a4b4c4d4e4f', '8baf47'],
] as const) {
  test(`key check value, ${algorithm}: ${check}`, () => {
    assert.equal(toHex(keyCheckValue(algorithm, fromHex(key))), check);
  });
}

// What a key becomes under KIK, by published values of the ciphers alone.
const ECB = ['6bc1bee22e409f96e93d7e117393172a', 'ae2d8a571e03ac9c9eb76fac45af8e51'].map((block) =>
  fromHex(block),
);
const CIPHERED = ['3ad77bb40d7a3660a89ecaf32466ef97', 'f5d3d58503b9699de785895a96fdbaaf'];
const xor = (a: Uint8Array, b: Uint8Array): Uint8Array => a.map((byte, i) => byte ^ b[i]!);
const VECTORS: { source: string; algorithm: KeySetAlgorithm; under: string; key: string; field: string }[] = [
  {
    source: 'FIPS 197 C.1',
    algorithm: 'aes',
    under: '000102030405060708090a0b0c0d0e0f',
    key: '00112233445566778899aabbccddeeff',
    field: '1069c4e0d86a7b0430d8cdb78070b4c55a',
  },
  {
    source: 'FIPS 197 C.2',
    algorithm: 'aes',
    under: '000102030405060708090a0b0c0d0e0f1011121314151617',
    key: '00112233445566778899aabbccddeeff',
    field: '10dda97ca4864cdfe06eaf70a0ec0d7191',
  },
  {
    source: 'FIPS 197 C.3',
    algorithm: 'aes',
    under: '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f',
    key: '00112233445566778899aabbccddeeff',
    field: '108ea2b7ca516745bfeafc49904b496089',
  },
  {
    // Two blocks of SP 800-38A F.1.1, the second undone from the chaining: CBC with a zero IV.
    source: 'SP 800-38A, two blocks',
    algorithm: 'aes',
    under: '2b7e151628aed2a6abf7158809cf4f3c',
    key: toHex(concat(ECB[0]!, xor(ECB[1]!, fromHex(CIPHERED[0]!)))),
    field: `20${CIPHERED.join('')}`,
  },
  {
    source: 'SP 800-67 B.1, in ECB',
    algorithm: 'des3-3',
    under: '0123456789abcdef23456789abcdef01456789abcdef0123',
    key: toHex(new TextEncoder().encode('The qufck brown fox jump')),
    field: 'a826fd8ce53b855fcce21c8112256fe668d5c05dd9b6b900',
  },
];
for (const { source, algorithm, under, key, field } of VECTORS) {
  test(`what travels of a key, by ${source}`, () => {
    const { head, number, blocks } = parts(put(algorithm, under, key, { replaces: 1, keySet: 1 }));
    assert.equal(head, '80d80181');
    assert.equal(number, 1);
    const block = { type: algorithm === 'aes' ? 0x88 : 0x80, key: field };
    const check = toHex(keyCheckValue(algorithm, fromHex(key)));
    assert.deepEqual(
      blocks,
      [block, block, block].map((each) => ({ ...each, check })),
    );
  });
}

test('two-key 3DES is K1 K2 K1', () => {
  const [k1, k2, key] = ['0123456789abcdef', '23456789abcdef01', '1032547698badcfeefcdab8967452301'];
  const two = parts(put('des3-2', k1 + k2, key));
  assert.equal(two.blocks[0]!.key.length, 32);
  const same = parts(put('des3-3', k1 + k2 + k1, key + key.slice(0, 16)));
  assert.equal(two.blocks[0]!.key, same.blocks[0]!.key.slice(0, 32));
});

/** A card with one set of these lengths, and the gateway that holds it. */
function cardOf(
  algorithm: KeySetAlgorithm,
  set: readonly Uint8Array[],
): { terminal: Terminal; gateway: Gateway } {
  const file = createCardFile({ imsi: '001010000000001', pairs: 0 }, drawn('put'));
  const [kic, kid, kik] = set.map(toHex);
  const keySet = { number: 1, algorithm, kic: kic!, kid: kid!, kik: kik! };
  const card = createCard({ store: memoryStore(), file: { ...file, ota: { keySets: [keySet] } } });
  card.powerOn();
  const pairs = [{ index: 0, state: 'current' as const, kic: kic!, kid: kid! }];
  const gateway = gatewayOf({ ...file, keyList: { pairs, next: 1 } }, 0, TAR.issuerSecurityDomain);
  const byte = keyByte(1, algorithm);
  gateway.header = { ...gateway.header, kic: byte, kid: byte };
  return { terminal: terminalOf(card), gateway };
}

const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length });
const KINDS: [KeySetAlgorithm, number[]][] = [
  ['aes', [16, 24, 32]],
  ['des3-2', [16]],
  ['des3-3', [24]],
];
for (const [algorithm, lengths] of KINDS) {
  test(`the card takes what is encoded, byte for byte: ${algorithm}`, () => {
    const any = fc.constantFrom(...lengths).chain(bytes);
    fc.assert(
      fc.property(
        fc.tuple(any, any, any),
        fc.tuple(any, any, any),
        fc.constantFrom(0, 1),
        fc.integer({ min: 2, max: 15 }),
        (old, keys, replaces, other) => {
          const { terminal, gateway } = cardOf(algorithm, old);
          const keySet = replaces === 1 ? 1 : other;
          const apdu = encodePutKey({ replaces, keySet, algorithm, keys, under: old[2] });
          const { sw, data } = gateway.run(terminal, apdu);
          assert.equal(sw, 0x9000);
          const checks = keys.map((key) => keyCheckValue(algorithm, key));
          assert.equal(toHex(data), toHex(concat(Uint8Array.of(keySet), ...checks)));
          const set = terminal.card.state.keySets.find(({ number }) => number === keySet)!;
          assert.deepEqual(
            [set.kic, set.kid, set.kik].map((key) => toHex(key!)),
            keys.map(toHex),
          );
        },
      ),
      { numRuns: 60, seed: 7 },
    );
  });
}

test('what cannot be is refused by name, and no key is shown', () => {
  const key = 'c0ffee00c0ffee00c0ffee00c0ffee00';
  const refused = (message: RegExp, make: () => unknown): void =>
    assert.throws(make, (error: unknown) => {
      assert.ok(error instanceof FieldError);
      assert.match(error.message, message);
      assert.ok(!error.message.includes('c0ffee'));
      return true;
    });
  for (const keySet of [0, 16, -1, 1.5, NaN]) {
    refused(/^keySet: .*1 to 15/, () => put('aes', key, key, { keySet }));
  }
  for (const replaces of [-1, 16, 256, 0.5]) {
    refused(/^replaces: .*0 to 15/, () => put('aes', key, key, { replaces }));
  }
  for (const length of [0, 1, 8, 15, 17, 31, 33, 255]) {
    const wrong = `${'c0ffee'.repeat(85)}00`.slice(0, 2 * length);
    refused(/^key: \d+ bytes, expected 16 or 24 or 32 bytes/, () => put('aes', key, wrong));
    refused(/^under: \d+ bytes, expected 16 or 24 or 32 bytes/, () => put('aes', wrong, key));
  }
  refused(/^key: 16 bytes, expected 24 bytes/, () => put('des3-3', key + key.slice(16), key));
  refused(/^key: 24 bytes, expected 16 bytes/, () => put('des3-2', key, key + key.slice(16)));
});

test('a card takes nothing of a command that is cut, grown or bent anywhere', () => {
  const set = [1, 2, 3].map((byte) => new Uint8Array(16).fill(byte));
  const keys = [4, 5, 6].map((byte) => new Uint8Array(16).fill(byte)) as unknown as PutKey['keys'];
  const whole = encodePutKey({ replaces: 1, keySet: 1, algorithm: 'aes', keys, under: set[2]! });
  const { terminal, gateway } = cardOf('aes', set);
  const keySets = (): string =>
    JSON.stringify(terminal.card.state.keySets.map((each) => [each.kic, each.kid, each.kik]));
  const before = keySets();
  const refuses = (apdu: Uint8Array, what: string): void => {
    const { sw } = gateway.run(terminal, apdu);
    assert.equal(sw >> 12, 6, what);
    assert.equal(keySets(), before, what);
  };
  const withData = (data: Uint8Array): Uint8Array =>
    concat(whole.subarray(0, 4), Uint8Array.of(data.length), data);
  const data = whole.subarray(5);
  // A whole number of keys is what PUT KEY may be of.
  for (let length = 1; length < data.length; length++) {
    if ((length - 1) % 23 !== 0 || length === 1)
      refuses(withData(data.subarray(0, length)), `${length} bytes`);
  }
  refuses(withData(concat(data, data.subarray(1, 24))), 'four keys');
  for (let at = 1; at < data.length; at++) {
    const bent = data.slice();
    bent[at]! ^= 0x04;
    refuses(withData(bent), `byte ${at}`);
  }
  assert.equal(gateway.run(terminal, whole).sw, 0x9000, 'and the whole of it it takes');
});
