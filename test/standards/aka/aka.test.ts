import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  authenticationVector,
  computeAll,
  makeAuts,
  opcFromOp,
  openChallenge,
  prepare,
  verifyAuts,
  type AkaKey,
  type MilenageConstants,
} from '../../../src/standards/aka/index.ts';
import { FieldError, concat, fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import { MILENAGE_SETS, OPC_SETS, SET_2_OF_35207 } from './milenage-vectors.ts';

const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length });

test('Milenage: all outputs of TS 35.208 sets 1 to 20', () => {
  assert.equal(MILENAGE_SETS.length, 19);
  for (const [i, set] of MILENAGE_SETS.entries()) {
    const [k, rand, sqn, amf, opc, f1, f1s, f2, f3, f4, f5, f5s] = set.split(' ').map((x) => fromHex(x));
    const key = prepare({ algorithm: 'milenage', k: k!, opc: opc! });
    const all = computeAll(key, rand!, sqn!, amf!);
    const got = [all.macA, all.macS, all.res, all.ck, all.ik, all.ak, all.akStar].map(toHex);
    assert.deepEqual(
      got,
      [f1, f1s, f2, f3, f4, f5, f5s].map((x) => toHex(x!)),
      `row ${i}`,
    );
    assert.deepEqual([key.f1(rand!, sqn!, amf!), key.f1Star(rand!, sqn!, amf!)].map(toHex), got.slice(0, 2));
    assert.equal(toHex(key.f2345(rand!).res), toHex(f2!));
  }
});

test('Milenage: TS 35.207 set 2 and OPc of sets 1 to 4', () => {
  for (const set of OPC_SETS) {
    const [k, op, opc] = set.split(' ').map((x) => fromHex(x));
    assert.equal(toHex(opcFromOp(k!, op!)), toHex(opc!));
  }
  const [k, rand, sqn, amf, opc, ...want] = SET_2_OF_35207.split(' ').map((x) => fromHex(x));
  const all = computeAll(prepare({ algorithm: 'milenage', k: k!, opc: opc! }), rand!, sqn!, amf!);
  const got = [all.macA, all.macS, all.res, all.ck, all.ik, all.ak];
  assert.deepEqual(got.map(toHex), want.map(toHex));
});

/** TS 35.206 §4.1 written down as it stands there, with integers of 128 bits. */
function reference(
  k: Uint8Array,
  opc: Uint8Array,
  rand: Uint8Array,
  in1: Uint8Array,
  constants: MilenageConstants,
): string[] {
  const whole = 2n ** 128n;
  const big = (x: Uint8Array): bigint => BigInt(`0x${toHex(x)}`);
  const hex = (x: bigint): string => x.toString(16).padStart(32, '0');
  const rot = (x: bigint, r: number): bigint => ((x << BigInt(r)) | (x >> BigInt(128 - r))) % whole;
  const e = (x: bigint): bigint => {
    const cipher = createCipheriv('aes-128-ecb', k, null);
    return big(cipher.update(fromHex(hex(x))));
  };
  const o = big(opc);
  const temp = e(big(rand) ^ o);
  const [c, r] = [constants.c.map(big), constants.r];
  const out1 = e(temp ^ rot(big(in1) ^ o, r[0]) ^ c[0]!) ^ o;
  return [out1, ...[1, 2, 3, 4].map((n) => e(rot(temp ^ o, r[n]!) ^ c[n]!) ^ o)].map(hex);
}

test('Milenage: with any constants of an operator, as §4.1 says', () => {
  const five = <T>(one: fc.Arbitrary<T>): fc.Arbitrary<[T, T, T, T, T]> => fc.tuple(one, one, one, one, one);
  fc.assert(
    fc.property(
      bytes(16),
      bytes(16),
      bytes(16),
      bytes(6),
      bytes(2),
      five(bytes(16)),
      five(fc.nat(127)),
      (k, opc, rand, sqn, amf, c, r) => {
        const want = reference(k, opc, rand, concat(sqn, amf, sqn, amf), { c, r });
        const all = computeAll(
          prepare({ algorithm: 'milenage', k, opc, constants: { c, r } }),
          rand,
          sqn,
          amf,
        );
        assert.equal(toHex(concat(all.macA, all.macS)), want[0]);
        assert.equal(toHex(concat(all.ak)) + want[1]!.slice(12, 16) + toHex(all.res), want[1]);
        assert.deepEqual([toHex(all.ck), toHex(all.ik)], want.slice(2, 4));
        assert.equal(toHex(all.akStar), want[4]!.slice(0, 12));
      },
    ),
  );
});

test('test-xor: TS 34.108 §8.1.2 by hand', () => {
  const key = prepare({ algorithm: 'test-xor', k: fromHex('000102030405060708090a0b0c0d0e0f') });
  const all = computeAll(key, new Uint8Array(16), fromHex('0000000000ff'), fromHex('8000'));
  assert.equal(toHex(all.res), '000102030405060708090a0b0c0d0e0f');
  assert.equal(toHex(all.ck), '0102030405060708090a0b0c0d0e0f00');
  assert.equal(toHex(all.ik), '02030405060708090a0b0c0d0e0f0001');
  assert.equal(toHex(all.ak), '030405060708');
  assert.equal(toHex(all.macA), '0001020304fa8607');
  assert.equal(toHex(all.akStar), toHex(all.ak));
});

const keys: fc.Arbitrary<AkaKey> = fc.oneof(
  fc.record({ k: bytes(16), opc: bytes(16) }).map((x) => prepare({ algorithm: 'milenage', ...x })),
  fc.record({ k: bytes(16) }).map((x) => prepare({ algorithm: 'test-xor', ...x })),
  fc
    .record({
      k: fc.oneof(bytes(16), bytes(32)),
      topc: bytes(32),
      resLength: fc.constantFrom(4, 8, 16),
      keccakIterations: fc.integer({ min: 1, max: 3 }),
    })
    .map((x) => prepare({ algorithm: 'tuak', ...x })),
);

test('what the centre makes, the card opens; one flipped bit and it does not', () => {
  fc.assert(
    fc.property(keys, bytes(16), bytes(6), bytes(2), fc.nat(127), (key, rand, sqn, amf, bit) => {
      const vector = authenticationVector(key, rand, sqn, amf);
      const opened = openChallenge(key, rand, vector.autn);
      assert.ok(opened.macValid);
      assert.deepEqual([opened.sqn, opened.amf, opened.res], [sqn, amf, vector.xres]);
      assert.deepEqual([opened.ck, opened.ik, opened.ak], [vector.ck, vector.ik, vector.ak]);
      const all = computeAll(key, rand, sqn, amf);
      assert.deepEqual([all.autn, all.res], [vector.autn, vector.xres]);
      const broken = vector.autn.slice();
      broken[bit >> 3]! ^= 1 << (bit & 7);
      assert.equal(openChallenge(key, rand, broken).macValid, false);
    }),
    { numRuns: 300 },
  );
});

test('AUTS: the centre reads the card’s SQN; one flipped bit and it does not', () => {
  fc.assert(
    fc.property(keys, bytes(16), bytes(6), fc.nat(111), (key, rand, sqnMs, bit) => {
      const auts = makeAuts(key, rand, sqnMs);
      assert.equal(auts.length, 14);
      assert.deepEqual(verifyAuts(key, rand, auts), sqnMs);
      auts[bit >> 3]! ^= 1 << (bit & 7);
      assert.equal(verifyAuts(key, rand, auts), undefined);
    }),
    { numRuns: 300 },
  );
});

test('a RES may be short; a wrong length is named and never shown', () => {
  const k = fromHex('465b5ce8b199b49faa5f0a2ee238a6bc');
  const opc = fromHex('cd63cb71954a9f4e48a5994e37a02baf');
  const rand = fromHex('23553cbe9637a89d218ae64dae47bf35');
  const short = prepare({ algorithm: 'milenage', k, opc, resLength: 4 });
  assert.equal(toHex(short.f2345(rand).res), 'a54211d5');
  assert.throws(() => prepare({ algorithm: 'milenage', k, opc, resLength: 9 }), /^FieldError: resLength: 9/);
  assert.throws(() => prepare({ algorithm: 'test-xor', k, resLength: 3 }), /^FieldError: resLength: 3/);
  assert.throws(() => prepare({ algorithm: 'milenage', k: k.subarray(1), opc }), /^FieldError: k: 15 bytes/);
  assert.throws(() => prepare({ algorithm: 'milenage', k }), /^FieldError: opc: absent/);
  assert.throws(() => prepare({ algorithm: 'test-xor', k, opc }), /^FieldError: opc: present/);
  assert.throws(() => prepare({ algorithm: 'comp128' as 'milenage', k }), /algorithm/);
  assert.throws(() => opcFromOp(k, opc.subarray(2)), /^FieldError: op: 14 bytes/);
  assert.throws(() => short.f2345(rand.subarray(1)), FieldError);
  assert.throws(() => openChallenge(short, rand, rand.subarray(1)), /^FieldError: autn: 15 bytes/);
  assert.throws(() => verifyAuts(short, rand, rand), /^FieldError: auts: 16 bytes/);
});
