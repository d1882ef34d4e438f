import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DecodeError, FieldError, fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import {
  accessPointName,
  decodePlmn,
  decodeTai,
  encodeGprsTimer,
  encodeGprsTimer3,
  encodePlmn,
  encodeTai,
  epsMobileIdentity,
  gprsTimer3Seconds,
  gprsTimerSeconds,
  mobileIdentity,
  supports,
  taiList,
  taisOf,
  type PartialTaiList,
} from '../../../src/standards/nas/index.ts';

const plmn = fc.stringMatching(/^[0-9]{5,6}$/);
const u16 = fc.nat(0xffff);
const record = <T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(fields, { noNullPrototype: true });

test('PLMN: digits swapped, filler for a short MNC', () => {
  assert.equal(toHex(encodePlmn('00101')), '00f110');
  assert.equal(toHex(encodePlmn('310410')), '130014');
  fc.assert(fc.property(plmn, (x) => decodePlmn(encodePlmn(x)) === x));
  assert.throws(() => encodePlmn('0010'), FieldError);
  assert.throws(() => decodePlmn(fromHex('0af110')), DecodeError);
  assert.throws(() => decodePlmn(fromHex('00f1')), DecodeError);
});

test('TAI and lists of them', () => {
  fc.assert(
    fc.property(plmn, u16, (p, tac) => {
      assert.deepEqual(decodeTai(encodeTai({ plmn: p, tac })), { plmn: p, tac });
    }),
  );
  const part: fc.Arbitrary<PartialTaiList> = fc.oneof(
    record({
      kind: fc.constant('codes' as const),
      plmn,
      tacs: fc.array(u16, { minLength: 1, maxLength: 16 }),
    }),
    record({
      kind: fc.constant('range' as const),
      plmn,
      first: u16,
      count: fc.integer({ min: 1, max: 16 }),
    }),
    record({
      kind: fc.constant('areas' as const),
      areas: fc.array(record({ plmn, tac: u16 }), { minLength: 1, maxLength: 16 }),
    }),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 4 }), (list) => {
      assert.deepEqual(taiList.decode(taiList.encode(list, 'l'), 'l'), list);
      assert.ok(taisOf(list).every(({ tac }) => tac <= 0xffff));
    }),
  );
  assert.deepEqual(taisOf([{ kind: 'range', plmn: '00101', first: 0xffff, count: 3 }]), [
    { plmn: '00101', tac: 0xffff },
  ]);
  assert.throws(() => taiList.decode(fromHex('6000f1100001'), 'l'), DecodeError);
  assert.throws(() => taiList.decode(fromHex('1000f1100001'), 'l'), DecodeError);
});

test('identities', () => {
  const digits = (min: number, max: number) => fc.stringMatching(new RegExp(`^[0-9]{${min},${max}}$`));
  fc.assert(
    fc.property(digits(6, 15), digits(15, 15), digits(16, 16), (imsi, imei, imeisv) => {
      for (const identity of [
        { kind: 'imsi', digits: imsi },
        { kind: 'imei', digits: imei },
        { kind: 'imeisv', digits: imeisv },
      ] as const) {
        assert.deepEqual(mobileIdentity.decode(mobileIdentity.encode(identity, 'i'), 'i'), identity);
        if (identity.kind === 'imeisv') continue;
        assert.deepEqual(epsMobileIdentity.decode(epsMobileIdentity.encode(identity, 'i'), 'i'), identity);
      }
    }),
  );
  assert.equal(
    toHex(
      epsMobileIdentity.encode(
        { kind: 'guti', plmn: '00101', mmeGroupId: 0x8001, mmeCode: 7, mTmsi: 1 },
        'i',
      ),
    ),
    'f600f11080010700000001',
  );
  assert.deepEqual(mobileIdentity.decode(new Uint8Array(3), 'i'), { kind: 'none' });
  assert.throws(() => mobileIdentity.encode({ kind: 'imei', digits: '1' }, 'i'), /^FieldError: imei: "1"/);
  assert.throws(() => epsMobileIdentity.decode(fromHex('0910101032547a98'), 'i'), DecodeError);
  assert.throws(() => epsMobileIdentity.decode(fromHex('f600f110800107000000'), 'i'), DecodeError);
});

test('access point names', () => {
  assert.equal(toHex(accessPointName.encode('iot.mnc001', 'a')), '03696f74066d6e63303031');
  fc.assert(
    fc.property(
      fc.array(fc.stringMatching(/^[a-z0-9-]{1,20}$/), { minLength: 1, maxLength: 4 }),
      (labels) => {
        const apn = labels.join('.');
        assert.equal(accessPointName.decode(accessPointName.encode(apn, 'a'), 'a'), apn);
      },
    ),
  );
  assert.throws(() => accessPointName.encode('a..b', 'a'), FieldError);
  assert.throws(() => accessPointName.encode('x'.repeat(64), 'a'), FieldError);
  assert.throws(() => accessPointName.decode(fromHex('05696f74'), 'a'), DecodeError);
  assert.throws(() => accessPointName.decode(fromHex('00'), 'a'), DecodeError);
});

test('timers (TS 24.008 §10.5.7.3, §10.5.7.4a)', () => {
  assert.equal(gprsTimerSeconds(0x21), 60);
  assert.equal(gprsTimerSeconds(0x49), 54 * 60);
  assert.equal(gprsTimerSeconds(0xe0), undefined);
  assert.equal(encodeGprsTimer(720), 0x2c);
  assert.equal(gprsTimer3Seconds(0x06), 3600);
  assert.equal(encodeGprsTimer3(3600), 0x06);
  fc.assert(
    fc.property(fc.nat(11160), (s) => {
      assert.ok(gprsTimerSeconds(encodeGprsTimer(s))! >= s);
      assert.ok(gprsTimerSeconds(encodeGprsTimer(s))! < s + 360);
    }),
  );
  fc.assert(fc.property(fc.nat(35712000), (s) => gprsTimer3Seconds(encodeGprsTimer3(s))! >= s));
  assert.equal(encodeGprsTimer(undefined), 0xe0);
  assert.throws(() => encodeGprsTimer(11161), FieldError);
});

test('a capability has the algorithms its bits say', () => {
  assert.deepEqual(
    [0, 1, 2, 7].map((n) => supports(0xa1, n)),
    [true, false, true, true],
  );
});
