/** Key agreement, its certificate, and what is done under the keys that come of it. */
import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { FieldError, concat, equal, fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import * as gp from '../../../src/standards/globalplatform/index.ts';
import { aesCmac } from '../../../src/standards/ota/index.ts';
import { surviveHostile } from '../hostile.ts';

const some = (length: number, seed = 0): Uint8Array =>
  Uint8Array.from({ length }, (_, at) => (at * 7 + seed) & 0x7f);
const privateKey = (seed: number): Uint8Array => some(32, seed);
const bytes = (minLength: number, maxLength = minLength): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength, maxLength });

// NIST CAVP, ansx963_2001.rsp, SHA-256.
test('X9.63 derives what NIST publishes', () => {
  const none = gp.deriveX963(
    fromHex('96c05619d56c328ab95fe84b18264b08725b85e33fd34f08'),
    new Uint8Array(),
    16,
  );
  assert.equal(toHex(none), '443024c3dae66b95e6f5670601558f71');
  const long = gp.deriveX963(
    fromHex('22518b10e70f2a3f243810ae3254139efbee04aa57c7af7d'),
    fromHex('75eef81aa3041e33b80971203d2c0c52'),
    128,
  );
  assert.equal(
    toHex(long),
    'c498af77161cc59f2962b9a713e2b215152d139766ce34a776df11866a69bf2e52a13d9c7c6fc878c50c5ea0bc7b00e0' +
      'da2447cfd874f6cf92f30d0097111485500c90c3af8b487872d04685d14c8d1dc8d7fa08beb0ce0ababc11f0bd496269' +
      '142d43525a78e5bc79a17f59676a5706dc54d54d4d1f0bd7e386128ec26afc21',
  );
});

test('card and gateway have the same keys, and the receipt is under a key that is none of them', () => {
  const card = privateKey(1);
  const once = privateKey(2);
  for (const keyLength of [16, 24, 32]) {
    const agreement = { keySet: 3, keyLength, ephemeral: gp.publicKeyOf(once) };
    const here = gp.agreeKeys(agreement, once, gp.publicKeyOf(card));
    const there = gp.agreeKeys(agreement, card, agreement.ephemeral);
    assert.deepEqual(here, there);
    const { kic, kid, kik, receipt } = here;
    assert.deepEqual(
      [kic.length, kid.length, kik.length, receipt.length],
      [keyLength, keyLength, keyLength, 16],
    );
    assert.equal(new Set([kic, kid, kik].map(toHex)).size, 3);
    const apdu = gp.encodeKeyAgreement(agreement);
    for (const key of [kic, kid, kik]) assert.ok(!equal(aesCmac(key, apdu.subarray(8)), receipt));
  }
});

test('another set, another length, another key: other receipts', () => {
  const card = privateKey(1);
  const agreement = { keySet: 3, keyLength: 16, ephemeral: gp.publicKeyOf(privateKey(2)) };
  const receipts = [
    agreement,
    { ...agreement, keySet: 4 },
    { ...agreement, keyLength: 32 },
    { ...agreement, ephemeral: gp.publicKeyOf(privateKey(3)) },
  ].map((each) => toHex(gp.agreeKeys(each, card, each.ephemeral).receipt));
  assert.equal(new Set(receipts).size, receipts.length);
});

test('the command for an agreement, byte by byte', () => {
  const ephemeral = gp.publicKeyOf(privateKey(2));
  const apdu = gp.encodeKeyAgreement({ keySet: 2, keyLength: 16, ephemeral });
  assert.equal(
    toHex(apdu),
    `80e289005c00a613900203009501108001888101108201018301027f4943b041${toHex(ephemeral)}`,
  );
  assert.deepEqual(gp.decodeKeyAgreement(apdu.subarray(5)), { keySet: 2, keyLength: 16, ephemeral });
});

test('an agreement of another kind is not taken for this one', () => {
  const ephemeral = gp.publicKeyOf(privateKey(2));
  const good = gp.encodeKeyAgreement({ keySet: 2, keyLength: 16, ephemeral }).subarray(5);
  const at = (offset: number, byte: number): Uint8Array =>
    good.map((each, i) => (i === offset ? byte : each));
  for (const [what, offset, byte] of [
    ['scenario', 5, 2],
    ['parameters', 6, 1],
    ['key usage', 9, 0x5c],
    ['key type', 12, 0x80],
    ['key length', 15, 17],
    ['identifier', 18, 2],
    ['key version', 21, 0],
    ['key version', 21, 16],
    ['data grouping', 23, 0x48],
    ['form of the point', 27, 2],
  ] as const) {
    assert.notEqual(good[offset], byte, what);
    assert.throws(() => gp.decodeKeyAgreement(at(offset, byte)), FieldError, what);
  }
});

test('a point that is not on the curve agrees on nothing', () => {
  const ephemeral = gp.publicKeyOf(privateKey(2));
  ephemeral[64]! ^= 1;
  assert.throws(
    () => gp.agreeKeys({ keySet: 2, keyLength: 16, ephemeral }, privateKey(1), ephemeral),
    (error) => error instanceof FieldError && error.field === 'public key',
  );
});

const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const jwk = pair.publicKey.export({ format: 'jwk' });
const issuerKey = concat(
  Uint8Array.of(4),
  Buffer.from(jwk.x!, 'base64url'),
  Buffer.from(jwk.y!, 'base64url'),
);
const signed = (data: Uint8Array): Uint8Array =>
  sign('sha256', data, {
    key: createPrivateKey(pair.privateKey.export({ format: 'pem', type: 'pkcs8' })),
    dsaEncoding: 'ieee-p1363',
  });
const certificate: gp.CardCertificate = {
  serial: fromHex('0102'),
  issuer: fromHex('aabb'),
  subject: fromHex('98999909100000000001'),
  effective: '20260101',
  expires: '20411231',
  publicKey: gp.publicKeyOf(privateKey(1)),
};

test('a certificate says what was certified, as long as it is valid', () => {
  const decoded = gp.decodeCertificate(gp.encodeCertificate(certificate, signed));
  const { signed: _data, signature: _signature, ...fields } = decoded;
  assert.deepEqual(fields, certificate);
  assert.ok(gp.isCertified(decoded, issuerKey, '20261125'));
  assert.ok(gp.isCertified(decoded, issuerKey, '20260101'));
  assert.ok(gp.isCertified(decoded, issuerKey, '20411231'));
  assert.ok(!gp.isCertified(decoded, issuerKey, '20251231'), 'before');
  assert.ok(!gp.isCertified(decoded, issuerKey, '20420101'), 'after');
  assert.ok(!gp.isCertified(decoded, gp.publicKeyOf(privateKey(9)), '20261125'), 'of another issuer');
});

test('a certificate with any bit changed is no certificate', () => {
  const bytes = gp.encodeCertificate(certificate, signed);
  for (let bit = 0; bit < 8 * bytes.length; bit += 3) {
    const forged = bytes.slice();
    forged[bit >> 3]! ^= 1 << (bit & 7);
    let holds = false;
    try {
      holds = gp.isCertified(gp.decodeCertificate(forged), issuerKey, '20261125');
    } catch (error) {
      assert.ok(error instanceof FieldError);
    }
    assert.ok(!holds, `bit ${bit}`);
  }
});

test('key information and DELETE, there and back', () => {
  const keys = [
    { identifier: 1, keySet: 1, type: gp.KEY_TYPE.aes, length: 16 },
    { identifier: 2, keySet: 15, type: gp.KEY_TYPE.des, length: 24 },
  ];
  assert.deepEqual(gp.decodeKeyInformation(gp.encodeKeyInformation(keys)), keys);
  assert.equal(toHex(gp.encodeKeyInformation(keys)), 'e00cc00401018810c004020f8018');
  assert.equal(toHex(gp.encodeGetKeyInformation()), '80ca00e000');
  assert.equal(toHex(gp.encodeDeleteKeySet(7)), '80e4000003d20107');
  assert.equal(gp.decodeDeleteKeySet(fromHex('d20107')), 7);
  assert.throws(() => gp.encodeDeleteKeySet(0), FieldError);
  assert.throws(() => gp.decodeDeleteKeySet(fromHex('d00101d20107')), FieldError);
});

test('another Ki, there and back, only under the same KIK', () => {
  fc.assert(
    fc.property(
      bytes(16),
      bytes(16),
      bytes(16),
      fc.constantFrom(4, 8),
      fc.boolean(),
      fc.constantFrom(16, 24, 32),
      (k, opc, constant, resLength, own, length) => {
        const key = {
          algorithm: 'milenage' as const,
          k,
          opc,
          ...(resLength !== 8 && { resLength }),
          ...(own && {
            constants: {
              r: [64, 0, 32, 64, 96] as const,
              c: [constant, constant, constant, constant, constant] as const,
            },
          }),
        };
        const kik = some(length);
        const apdu = gp.encodeStoreAka(key as never, kik);
        assert.equal(toHex(apdu.subarray(0, 4)), '80e2e800');
        assert.equal(apdu[4], apdu.length - 5);
        assert.deepEqual(gp.decodeStoreAka(apdu.subarray(5), kik), key);
        const other = kik.map((byte) => byte ^ 1);
        assert.throws(() => gp.decodeStoreAka(apdu.subarray(5), other), FieldError);
      },
    ),
    { numRuns: 50 },
  );
  const tuak = {
    algorithm: 'tuak' as const,
    k: some(32),
    topc: some(32),
    resLength: 16,
    keccakIterations: 2,
  };
  const kik = some(16);
  assert.deepEqual(gp.decodeStoreAka(gp.encodeStoreAka(tuak, kik).subarray(5), kik), tuak);
  assert.throws(() => gp.encodeAlgoParameter({ algorithm: 'test-xor', k: some(16) }), FieldError);
  assert.throws(
    () => gp.encodeAlgoParameter({ algorithm: 'milenage', k: some(16), opc: some(16), resLength: 6 }),
    FieldError,
  );
});

test('the AID of an application to personalise', () => {
  const aid = fromHex('a0000000871002ff33ff018900000100');
  const apdu = gp.encodeInstallForPersonalisation(aid);
  assert.equal(toHex(apdu), `80e6200016000010${toHex(aid)}000000`);
  assert.deepEqual(gp.decodeInstallForPersonalisation(apdu.subarray(5)), aid);
  assert.throws(() => gp.decodeInstallForPersonalisation(fromHex('0100')), FieldError);
});

test('hostile bytes get no more than an error', () => {
  const ephemeral = gp.publicKeyOf(privateKey(2));
  const agreement = gp.encodeKeyAgreement({ keySet: 2, keyLength: 16, ephemeral }).subarray(5);
  surviveHostile(gp.decodeKeyAgreement, [agreement], (it) => gp.encodeKeyAgreement(it).subarray(5));
  surviveHostile(gp.decodeCertificate, [gp.encodeCertificate(certificate, signed)]);
  const information = [{ identifier: 1, keySet: 1, type: gp.KEY_TYPE.aes, length: 16 }];
  surviveHostile(gp.decodeKeyInformation, [gp.encodeKeyInformation(information)]);
  surviveHostile(gp.decodeDeleteKeySet, [fromHex('d20107')]);
  surviveHostile(gp.decodeReceipt, [gp.encodeReceipt(some(16))], gp.encodeReceipt);
  const aid = gp.encodeInstallForPersonalisation(some(16)).subarray(5);
  surviveHostile(gp.decodeInstallForPersonalisation, [aid]);
  const aka = { algorithm: 'milenage' as const, k: some(16), opc: some(16, 1) };
  surviveHostile(gp.decodeAlgoParameter, [gp.encodeAlgoParameter(aka)], gp.encodeAlgoParameter);
});
