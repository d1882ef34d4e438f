import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import * as uicc from '../../../src/standards/uicc/index.ts';
import { filesSurviveHostile, vectors } from './files-vectors.ts';

const international = uicc.international;

test('every file: what it holds and what it means, both ways', () => {
  for (const [file, hex, value] of vectors) {
    const bytes = fromHex(hex);
    assert.deepEqual(file.decode(bytes), value, `${file.name} ${hex}`);
    if (file.name === 'EF.FPLMN') continue; // holes close when it is written again
    assert.equal(toHex(file.encode(value as never, bytes.length)), hex, file.name);
  }
});

test('every file has a vector, and a length that its codec keeps', () => {
  const files = Object.entries(uicc).filter(([name]) => name.startsWith('EF_') && name !== 'EF_ACCESS');
  assert.equal(files.length, 39);
  for (const [name, file] of files as [string, uicc.ElementaryFile<unknown>][]) {
    const fits = vectors.find(([other, hex]) => other === (file as unknown) && hex.length / 2 <= file.length);
    assert.ok(fits, `${name} has no vector that fits its usual length`);
    assert.equal(file.encode(file.decode(fromHex(fits[1]))).length, file.length);
  }
});

// As many as elsewhere: files.soak.ts.
test('every file survives hostile bytes; what it accepts it can write again', () => {
  filesSurviveHostile(20_000);
});

test('an IMSI of any length comes back, with the parity of its digits', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[0-9]{6,15}$/), (imsi) => {
      const bytes = uicc.EF_IMSI.encode(imsi);
      assert.equal(bytes.length, 9);
      assert.equal(bytes[1]! & 0x0f, imsi.length % 2 === 1 ? 9 : 1);
      assert.equal(uicc.EF_IMSI.decode(bytes), imsi);
    }),
  );
});

test('what a file cannot hold is refused by name', () => {
  assert.throws(() => uicc.EF_IMSI.encode('00101'), { field: 'imsi' });
  assert.throws(() => uicc.EF_IMSI.encode('0010101234567890'), { field: 'imsi' });
  assert.throws(() => uicc.EF_ICCID.encode('89x'), { field: 'iccid' });
  assert.throws(() => uicc.EF_SPN.encode({ display: 0, name: 'a'.repeat(17) }), {
    field: 'service provider name',
  });
  assert.throws(() => uicc.EF_FPLMN.encode(['26201'], 2), { field: 'EF.FPLMN' });
  assert.throws(() => uicc.EF_HPLMNWACT.encode([{ plmn: '2620', act: 0 }]), { field: 'plmn' });
  assert.throws(() => uicc.EF_ACL.encode(['a..b']), { field: 'apn' });
  assert.throws(
    () =>
      uicc.EF_MSISDN.encode({
        alpha: '',
        number: international('1'.repeat(21)),
        configuration: 0xff,
        extension: 0xff,
      }),
    { field: 'msisdn' },
  );
  assert.throws(() => uicc.EF_IMSI.decode(fromHex('0819101032547698ff')), { name: 'DecodeError' });
  assert.throws(() => uicc.EF_EPSLOCI.decode(new Uint8Array(17)), { name: 'DecodeError' });
});

test('what no file of the ISIM can hold is refused by name, and read as nothing', () => {
  assert.throws(() => uicc.EF_IMPI.encode('no realm'), { field: 'impi' });
  assert.throws(() => uicc.EF_IMPI.encode(`${'1'.repeat(60)}@a`), { field: 'impi' });
  assert.throws(() => uicc.EF_DOMAIN.encode('a b'), { field: 'domain' });
  assert.throws(() => uicc.EF_IMPU.encode('001010000000001@ims'), { field: 'impu' });
  assert.throws(() => uicc.EF_PCSCF.encode({ type: 'fqdn', name: '' }), { field: 'P-CSCF name' });
  assert.throws(() => uicc.EF_PCSCF.encode({ type: 'ipv4', address: new Uint8Array(5) }), {
    field: 'P-CSCF address',
  });
  assert.throws(() => uicc.EF_AD_ISIM.decode(new Uint8Array(2)), { name: 'DecodeError' });
  for (const hex of ['8103616263', '800361626300', '80027369', '8000ff', '80036100ff']) {
    assert.throws(() => uicc.EF_IMPI.decode(fromHex(hex)), { name: 'DecodeError' }, hex);
  }
  for (const hex of ['8000', '800100', '800203c0', '800401c0a80c']) {
    assert.throws(() => uicc.EF_PCSCF.decode(fromHex(hex)), { name: 'DecodeError' }, hex);
  }
});

test('IMS identities of an IMSI (TS 23.003 §13), and each of them fits its file', () => {
  // The example of §13.3.
  assert.deepEqual(uicc.imsIdentityOf('234150999999999', 2), {
    impi: '234150999999999@ims.mnc015.mcc234.3gppnetwork.org',
    impu: 'sip:234150999999999@ims.mnc015.mcc234.3gppnetwork.org',
    domain: 'ims.mnc015.mcc234.3gppnetwork.org',
  });
  assert.equal(uicc.imsIdentityOf('310410123456789', 3).domain, 'ims.mnc410.mcc310.3gppnetwork.org');
  assert.throws(() => uicc.imsIdentityOf('31041', 2), { field: 'imsi' });
  assert.throws(() => uicc.imsDomain('3104'), { field: 'plmn' });
  fc.assert(
    fc.property(fc.stringMatching(/^[0-9]{6,15}$/), fc.constantFrom(2, 3), (imsi, mncLength) => {
      const { impi, impu, domain } = uicc.imsIdentityOf(imsi, mncLength);
      assert.equal(uicc.EF_IMPI.decode(uicc.EF_IMPI.encode(impi)), impi);
      assert.equal(uicc.EF_IMPU.decode(uicc.EF_IMPU.encode(impu)), impu);
      assert.equal(uicc.EF_DOMAIN.decode(uicc.EF_DOMAIN.encode(domain)), domain);
    }),
  );
});

test('Luhn digit of an ICCID (ITU-T E.118)', () => {
  assert.equal(uicc.luhnDigit('7992739871'), 3);
  assert.equal(uicc.luhnDigit('898821100000043001'), 0);
});

test('text in UCS2 with a half page: 81 and 82 (TS 102 221 annex A)', () => {
  assert.equal(uicc.decodeText(fromHex('81050813415320b5' + 'ff'), 'text'), 'ΓAS е');
  assert.equal(uicc.decodeText(fromHex('82030410b0b1b2ff'), 'text'), '\u0440\u0441\u0442');
  assert.throws(() => uicc.decodeText(fromHex('81ff08'), 'text'), { name: 'DecodeError' });
});
