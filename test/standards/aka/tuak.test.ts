import assert from 'node:assert/strict';
import { test } from 'node:test';
import { computeAll, prepare, topcFromTop, tuak } from '../../../src/standards/aka/index.ts';
import { fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import { TUAK_SETS } from './tuak-vectors.ts';

test('TUAK: TOPc and all outputs of the six sets of TS 35.233', () => {
  assert.equal(TUAK_SETS.length, 6);
  for (const [i, [keccakIterations, fields]] of TUAK_SETS.entries()) {
    const [k, rand, sqn, amf, top, topc, ...want] = fields.split(' ').map((x) => fromHex(x));
    assert.equal(toHex(topcFromTop(k!, top!, keccakIterations)), toHex(topc!), `set ${i + 1}`);
    const [f1, , f2, f3, f4] = want;
    const functions = tuak(k!, topc!, {
      keccakIterations,
      macLength: f1!.length,
      resLength: f2!.length,
      ckLength: f3!.length,
      ikLength: f4!.length,
    });
    const { res, ck, ik, ak } = functions.f2345(rand!);
    const macs = [functions.f1(rand!, sqn!, amf!), functions.f1Star(rand!, sqn!, amf!)];
    const got = [...macs, res, ck, ik, ak, functions.f5Star(rand!)];
    assert.deepEqual(got.map(toHex), want.map(toHex), `set ${i + 1}`);
  }
});

test('TUAK: as a subscriber’s key, with the lengths of EPS', () => {
  // Set 1 has them all; RES is 32 bits there.
  const [k, rand, sqn, amf, , topc, ...want] = TUAK_SETS[0]![1].split(' ').map((x) => fromHex(x));
  const key = prepare({ algorithm: 'tuak', k: k!, topc: topc!, resLength: 4 });
  const all = computeAll(key, rand!, sqn!, amf!);
  const got = [all.macA, all.macS, all.res, all.ck, all.ik, all.ak, all.akStar];
  assert.deepEqual(got.map(toHex), want.map(toHex));
  assert.equal(toHex(all.autn), '608e0f8a8145' + 'ffff' + 'f9a54e6aeaa8618d');
  const usual = prepare({ algorithm: 'tuak', k: k!, topc: topc! });
  const { res, ck } = usual.f2345(rand!);
  assert.deepEqual([usual.resLength, res.length, ck.length], [8, 8, 16]);
});

test('TUAK: what it does not know is named and never shown', () => {
  const k = new Uint8Array(16).fill(0xab);
  const topc = new Uint8Array(32).fill(0xcd);
  const rand = new Uint8Array(16);
  for (const [make, error] of [
    [() => tuak(k.subarray(1), topc), /^FieldError: k: 15 bytes, expected 16 or 32 bytes$/],
    [() => tuak(k, topc.subarray(1)), /^FieldError: topc: 31 bytes, expected 32 bytes$/],
    [() => topcFromTop(k, topc.subarray(1)), /^FieldError: top: 31 bytes/],
    [() => topcFromTop(k, topc, 256), /^FieldError: keccakIterations: 256, expected 1 to 255$/],
    [() => tuak(k, topc, { keccakIterations: 0 }), /^FieldError: keccakIterations: 0, /],
    [() => tuak(k, topc, { macLength: 4 }), /^FieldError: macLength: 4, expected 8, 16 or 32 bytes$/],
    [() => tuak(k, topc, { resLength: 12 }), /^FieldError: resLength: 12, expected 4, 8, 16 or 32 bytes$/],
    [() => tuak(k, topc, { ckLength: 8 }), /^FieldError: ckLength: 8, expected 16 or 32 bytes$/],
    [() => tuak(k, topc, { ikLength: 24 }), /^FieldError: ikLength: 24, expected 16 or 32 bytes$/],
    [() => tuak(k, topc).f2345(rand.subarray(1)), /^FieldError: rand: 15 bytes/],
    [() => tuak(k, topc).f1(rand, rand, rand), /^FieldError: sqn: 16 bytes/],
    [() => tuak(k, topc).f1Star(rand, rand.subarray(10), rand), /^FieldError: amf: 16 bytes/],
    [() => prepare({ algorithm: 'tuak', k }), /^FieldError: topc: absent, expected 32 bytes for tuak$/],
    [
      () => prepare({ algorithm: 'tuak', k, topc, opc: k }),
      /^FieldError: opc: present, expected none for tuak$/,
    ],
    [() => prepare({ algorithm: 'tuak', k, topc, resLength: 32 }), /^FieldError: resLength: 32, /],
    [() => prepare({ algorithm: 'tuak', k, topc, resLength: 6 }), /^FieldError: resLength: 6, .*4, 8 or 16/],
    [() => prepare({ algorithm: 'milenage', k, opc: k, topc }), /^FieldError: topc: present/],
    [() => prepare({ algorithm: 'milenage', k: topc, opc: k }), /^FieldError: k: 32 bytes/],
    [() => prepare({ algorithm: 'test-xor', k: topc }), /^FieldError: k: 32 bytes/],
    [
      () => prepare({ algorithm: 'test-xor', k, keccakIterations: 1 }),
      /^FieldError: keccakIterations: present/,
    ],
  ] as const) {
    assert.throws(make, error);
  }
});
