import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { deriveAlgorithmKey, deriveKasme, deriveKenb, kdf } from '../../../src/standards/aka/index.ts';
import { FieldError, fromHex, toHex } from '../../../src/standards/bytes/index.ts';

test('KDF: S is FC, then each parameter and its length (TS 33.220 §B.2)', () => {
  const key = fromHex('00'.repeat(32));
  const s = fromHex('15' + '02' + '0001' + '01' + '0001');
  const want = createHmac('sha256', key).update(s).digest('hex');
  assert.equal(toHex(kdf(key, 0x15, Uint8Array.of(2), Uint8Array.of(1))), want);
});

// Known answers of another implementation's test suite (OpenAirInterface, test_secu_knas and test_secu_kenb).
test('K_NASenc and K_NASint of K_ASME (TS 33.401 §A.7)', () => {
  const kAsme = fromHex('70D7071AA016A087F9D888AD51F3A83E2C83443AB27843B35BD1B4923615091C');
  const other = fromHex('9EA141DA4B24CDEBC8F5FB3F61A0511216681F121199B23EBCFACC75B358BE43');
  const cases: [Uint8Array, 'nasEnc' | 'nasInt', number, string][] = [
    [kAsme, 'nasEnc', 0, '63cb5bdd7fc21a38120637b2a9e5cd39'],
    [kAsme, 'nasInt', 0, 'df204187c61edd3aaa70f3b7d8b59e8b'],
    [kAsme, 'nasEnc', 1, '9e59ed7564879150f6bb0daef5932e89'],
    [kAsme, 'nasEnc', 2, '1cf7897f31d6270c19c4836070fe11f0'],
    [kAsme, 'nasInt', 2, '1a4329fd23fd3a93c9d2d92d853ec9db'],
    [other, 'nasEnc', 2, '0c4dfb9f559dcbb71d5120db2cac66a6'],
    [other, 'nasInt', 2, '524bed1ed1601218d2772e55ddfad959'],
  ];
  for (const [key, type, algorithm, want] of cases) {
    assert.equal(toHex(deriveAlgorithmKey(key, type, algorithm)), want);
  }
});

test('K_eNB of K_ASME and uplink NAS COUNT (TS 33.401 §A.3)', () => {
  const cases: [number, string, string][] = [
    [
      0xdb1a3569,
      '238E457E0F758BADBCA8D34BB2612C10428D426757CB5553B2B184FA64BFC549',
      '8eb1bf0083bd79281ef7034bf677e9ec529f196e15287514a2d122acf713b8e8',
    ],
    [
      0x12,
      'FA77E41F693C2A6E71455CB8687E6E6058EF91E2F5ABD1BD3C496179481F308C',
      '0afe81266de52b8c8f1c3f4fe799be883f364b018e7368c41f14dd6d050e13e1',
    ],
  ];
  for (const [count, kAsme, want] of cases) assert.equal(toHex(deriveKenb(fromHex(kAsme), count)), want);
});

test('K_ASME: FC 10, the serving network, SQN xor AK (TS 33.401 §A.2)', () => {
  const ck = fromHex('b40ba9a3c58b2a05bbf0d987b21bf8cb');
  const ik = fromHex('f769bcd751044604127672711c6d3441');
  const want = createHmac('sha256', Buffer.concat([ck, ik]))
    .update(fromHex('10' + '00f110' + '0003' + '55f328b43577' + '0006'))
    .digest('hex');
  assert.equal(toHex(deriveKasme(ck, ik, fromHex('00f110'), fromHex('55f328b43577'))), want);
});

test('a wrong length is named', () => {
  const key = new Uint8Array(32);
  assert.throws(() => deriveAlgorithmKey(key.subarray(1), 'nasEnc', 2), /^FieldError: kAsme: 31 bytes/);
  assert.throws(() => deriveAlgorithmKey(key, 'upEnc', 16), /^FieldError: algorithm: 16/);
  assert.throws(() => deriveKasme(key, key, key, key), FieldError);
});
