import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DecodeError, FieldError, concat, fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import { decodeNas, encodeNas, type Direction, type NasMessage } from '../../../src/standards/nas/index.ts';
import { surviveHostile } from '../hostile.ts';
import { SAMPLES } from './samples.ts';

test('every message comes back as it was, and every type is among them', () => {
  for (const [direction, message] of SAMPLES) {
    const bytes = encodeNas(message);
    assert.deepEqual(decodeNas(bytes, direction), message, message.type);
    assert.equal(toHex(encodeNas(decodeNas(bytes, direction))), toHex(bytes));
  }
  assert.equal(new Set(SAMPLES.map(([, { type }]) => type)).size, 41);
});

test('an attach request, byte by byte (TS 24.301 §8.2.4)', () => {
  const bytes = encodeNas({
    type: 'attachRequest',
    attachType: 1,
    nasKeySetIdentifier: 7,
    epsMobileIdentity: { kind: 'imsi', digits: '001010123456789' },
    ueNetworkCapability: { eea: 0xa0, eia: 0x20, more: new Uint8Array() },
    esmMessageContainer: fromHex('0201d031'),
    additionalUpdateType: 1,
  });
  assert.equal(toHex(bytes), '0741' + '71' + '080910101032547698' + '02a020' + '00040201d031' + 'f1');
});

test('a DETACH REQUEST is read by who sent it', () => {
  assert.deepEqual(decodeNas(fromHex('0745025302'), 'downlink'), {
    type: 'networkDetachRequest',
    detachType: 2,
    emmCause: 2,
  });
  assert.throws(() => decodeNas(fromHex('0745025302'), 'uplink'), DecodeError);
});

test('unknown elements are passed over, repeated ones ignored, any order read (TS 24.301 §7.6)', () => {
  const attachReject = fromHex('074403');
  const read = (more: string): NasMessage => decodeNas(concat(attachReject, fromHex(more)), 'downlink');
  const want: NasMessage = { type: 'attachReject', emmCause: 3, t3346Value: 0x21 };
  // Unknown TLV 1B, TLV-E 7C, type 1 element 9-; then T3346 twice.
  assert.deepEqual(read('1b0201025f0121' + '7c0001ff' + '95' + '5f0122'), want);
  assert.deepEqual(read('16012c5f0121'), { ...want, t3402Value: 0x2c });
  assert.deepEqual(read('5f012116012c'), { ...want, t3402Value: 0x2c });
  assert.throws(() => read('0a0100'), /comprehension is required/);
  assert.throws(() => read('5f0221'), DecodeError);
  assert.throws(() => read('5f022121'), /^DecodeError: t3346Value: 2 bytes, expected 1 bytes/);
});

test('what is wrong is named', () => {
  const decode = (hex: string) => () => decodeNas(fromHex(hex), 'downlink');
  assert.throws(decode(''), /^DecodeError: protocol discriminator/);
  assert.throws(decode('1700000000000755'), /^DecodeError: protocol discriminator: 0x17/);
  assert.throws(decode('07ff'), /^DecodeError: message type: 0xff/);
  assert.throws(decode('0201ff'), /^DecodeError: message type: 0xff/);
  assert.throws(decode('0752' + '00' + '00'.repeat(16) + '0f' + '00'.repeat(15)), /autn: 15 bytes/);
  const message: NasMessage = { type: 'authenticationResponse', res: new Uint8Array(3) };
  assert.throws(() => encodeNas(message), /^FieldError: res: 3 bytes, expected 4 to 16 bytes/);
  assert.throws(() => encodeNas({ type: 'attachReject' } as NasMessage), /^FieldError: emmCause: absent/);
  assert.throws(() => encodeNas({ type: 'toString' } as never), FieldError);
  assert.throws(() => encodeNas({ type: 'identityRequest', identityType: 16 }), /identityType: 16/);
});

for (const direction of ['uplink', 'downlink'] as Direction[]) {
  test(`hostile ${direction} bytes: an error that names a field, or a message that encodes to itself`, () => {
    const valid = SAMPLES.filter(([from]) => from === direction).map(([, message]) => encodeNas(message));
    surviveHostile(
      (bytes) => decodeNas(bytes, direction),
      valid,
      encodeNas,
      (message, bytes) => {
        const canonical = encodeNas(message);
        assert.ok(canonical.length <= bytes.length);
        assert.equal(toHex(encodeNas(decodeNas(canonical, direction))), toHex(canonical));
      },
    );
  });
}
