import assert from 'node:assert/strict';
import { test } from 'node:test';
import { otaDecode, otaEncode } from '../../src/cli/tool-ota.ts';

// sysmoISIM-SJA5 sample card, pySim tests/unittests/test_ota.py
const aes = {
  spi: '0619',
  kic: '22',
  kicKey: '200102030405060708090a0b0c0d0e0f',
  kid: '22',
  kidKey: '201102030405060708090a0b0c0d0e0f',
};
const command = { ...aes, tar: 'B00011', counter: '0000000000', data: '00a40004023f00' };
const responsePacket = '002412b00011ebc6b497e2cad7aedf36ace0e3a29b38853f0fe9ccde81913be5702b73abce1f';

test('ota-encode gives the packet a sysmoISIM took', () => {
  assert.deepEqual(otaEncode(command), {
    commandPacket: '00281506192222b00011e87cceebb2d93083011ce294f93fc4d8de80da1abae8c37ca3e72ec4432e5058',
  });
});

test('ota-decode reads what a sysmoISIM answered, with the command beside it or not', () => {
  const expected = { tar: 'b00011', counter: '0000000000', status: '00', data: '016132' };
  assert.deepEqual(otaDecode({ ...aes, responsePacket }), expected);
  assert.deepEqual(otaDecode({ ...command, responsePacket }), expected);
});

const wrong: [what: string, change: object, field: string][] = [
  ['no SPI', { spi: undefined }, 'spi'],
  ['a short SPI', { spi: '06' }, 'spi'],
  ['reserved bits in SPI', { spi: 'e619' }, 'spi'],
  ['a digital signature', { spi: '0319' }, 'spi'],
  ['an unknown cipher', { kic: '23' }, 'kic'],
  ['single DES', { kic: '21', kicKey: '2001020304050607' }, 'kic'],
  ['an unknown checksum', { kid: '24' }, 'kid'],
  ['a short ciphering key', { kicKey: '2001' }, 'kicKey'],
  ['an AES key for 3DES', { kid: '29' }, 'kidKey'],
  ['no checksum key', { kidKey: undefined }, 'kidKey'],
  ['a key that is not hexadecimal', { kidKey: 'xx1102030405060708090a0b0c0d0e0f' }, 'kidKey'],
  ['a TAR of 2 bytes', { tar: 'b000' }, 'tar'],
  ['a counter of 4 bytes', { counter: '00000000' }, 'counter'],
  ['half a byte of data', { data: '00a' }, 'data'],
  ['a number for data', { data: 7 }, 'data'],
  ['a field there is not', { dat: '00' }, 'dat'],
];
for (const [what, change, field] of wrong) {
  test(`ota-encode refuses ${what} and names ${field}, without a key's content`, () => {
    const input = { ...command, ...change } as Record<string, unknown>;
    assert.throws(
      () => otaEncode(input),
      (error: Error & { field?: string }) => {
        assert.equal(error.name, 'FieldError');
        assert.equal(error.field, field);
        assert(!error.message.includes('\n'));
        assert(!error.message.includes('0102030405'));
        return true;
      },
    );
  });
}

test('ota-decode refuses a packet whose check fails, is cut, or is read with the wrong SPI', () => {
  const field = 'responsePacket';
  const changed = responsePacket.replace('ebc6', 'ebc7');
  assert.throws(() => otaDecode({ ...aes, responsePacket: changed }), { name: 'FieldError', field });
  assert.throws(() => otaDecode({ ...aes, responsePacket: responsePacket.slice(2) }), { field });
  assert.throws(() => otaDecode({ ...aes, spi: '0601', responsePacket }), { field });
  assert.throws(() => otaDecode({ ...aes, responsePacket: 'zz' }), { field });
  assert.throws(() => otaDecode({ ...aes }), { field });
});
