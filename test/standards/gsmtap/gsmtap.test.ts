import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DecodeError, FieldError, fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import { GSMTAP_LTE_NAS, decodeGsmtap, encodeGsmtap } from '../../../src/standards/gsmtap/index.ts';
import { surviveHostile } from '../hostile.ts';

test('a NAS message from the device: version 2, four words, type 12, uplink in the channel number', () => {
  const bytes = encodeGsmtap({
    type: GSMTAP_LTE_NAS,
    subType: 1,
    uplink: true,
    payload: fromHex('17'),
  });
  assert.equal(toHex(bytes), '02041200' + '40000000' + '00000000' + '01000000' + '17');
});

test('any packet comes back as it was', () => {
  fc.assert(
    fc.property(
      fc.record(
        {
          type: fc.nat(255),
          subType: fc.nat(255),
          uplink: fc.boolean(),
          arfcn: fc.nat(0x3fff),
          payload: fc.uint8Array(),
        },
        { noNullPrototype: true },
      ),
      (packet) => assert.deepEqual(decodeGsmtap(encodeGsmtap(packet)), packet),
    ),
  );
  assert.throws(
    () => encodeGsmtap({ type: 1, subType: 0, uplink: false, arfcn: 0x4000, payload: fromHex('') }),
    FieldError,
  );
});

test('a longer header is passed over; a short or another version refused', () => {
  const long = fromHex('0205120000000000000000000000000099999999' + '0746');
  assert.equal(toHex(decodeGsmtap(long).payload), '0746');
  assert.throws(() => decodeGsmtap(fromHex('0204')), DecodeError);
  assert.throws(() => decodeGsmtap(fromHex('03041200' + '00'.repeat(12))), /version: 3/);
  assert.throws(() => decodeGsmtap(fromHex('02051200' + '00'.repeat(12))), /header length: 20 bytes/);
});

test('hostile bytes: an error that names a field, or a packet', () => {
  const valid = [encodeGsmtap({ type: 0x12, subType: 0, uplink: true, payload: fromHex('0746') })];
  surviveHostile(decodeGsmtap, valid, encodeGsmtap);
});
