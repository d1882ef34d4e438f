import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  DecodeError,
  FieldError,
  Reader,
  Writer,
  concat,
  decodeBcd,
  encodeBcd,
  equal,
  fromHex,
  toHex,
} from '../../../src/standards/bytes/index.ts';

test('hexadecimal: both ways, either case', () => {
  assert.equal(toHex(fromHex('00fFA0')), '00ffa0');
  fc.assert(fc.property(fc.uint8Array(), (bytes) => equal(fromHex(toHex(bytes)), bytes)));
});

test('hexadecimal: an error names the field and hides the value', () => {
  assert.throws(
    () => fromHex('00112', 'k'),
    (error: FieldError) => error.field === 'k' && !error.message.includes('00112'),
  );
  assert.throws(() => fromHex('zz', 'k'), FieldError);
});

test('BCD: IMSI digits of TS 31.102 §4.2.2, filler last', () => {
  assert.equal(toHex(encodeBcd('12345')), '2143f5');
  fc.assert(
    fc.property(fc.stringMatching(/^[0-9]{0,20}$/), (digits) => decodeBcd(encodeBcd(digits)) === digits),
  );
  assert.throws(() => decodeBcd(fromHex('2f10')), DecodeError);
  assert.throws(() => decodeBcd(fromHex('2a')), DecodeError);
});

test('reader: never past the end, and says of which field', () => {
  const reader = new Reader(fromHex('0102030405060708090a'));
  assert.equal(reader.u8('a'), 1);
  assert.equal(reader.u16('b'), 0x0203);
  assert.equal(reader.u24('c'), 0x040506);
  assert.throws(() => reader.take(9, 'IMSI'), /^DecodeError: IMSI: 4 bytes left, expected 9 bytes$/);
  assert.equal(reader.u32('d'), 0x0708090a);
  reader.end('message');
  assert.throws(() => reader.u8('e'), DecodeError);
});

test('writer: what it wrote, the reader reads', () => {
  fc.assert(
    fc.property(
      fc.nat(0xff),
      fc.nat(0xffff),
      fc.nat(0xffffff),
      fc.nat(0xffffffff),
      fc.uint8Array(),
      (a, b, c, d, e) => {
        const reader = new Reader(
          new Writer(1).u8(a).u16(b).u24(c).u32(d).lv(e.subarray(0, 255), 'e').done(),
        );
        assert.deepEqual([reader.u8(''), reader.u16(''), reader.u24(''), reader.u32('')], [a, b, c, d]);
        assert.ok(equal(reader.lv(''), e.subarray(0, 255)));
        reader.end('all');
      },
    ),
  );
  const grown = new Writer(1);
  for (let i = 0; i < 300; i++) grown.u8(i);
  assert.deepEqual(
    [...grown.done()],
    [...Array(300).keys()].map((i) => i & 0xff),
  );
  assert.ok(equal(concat(fromHex('01'), new Uint8Array(), fromHex('02')), fromHex('0102')));
});
