import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { issueRevocations } from '../../../src/ca/authority.ts';
import { FieldError } from '../../../src/standards/bytes/index.ts';
import { certificatesOf, readRevocations } from '../../../src/network/wire/revocations.ts';
import { DAY, issue, newAuthority } from '../../ca/identities.ts';

const authority = newAuthority('One');
const other = newAuthority('Two');
/** of the same name, with another key */
const namesake = newAuthority('One');

const now = Date.UTC(2026, 10, 1);
const der = (pem: string): Uint8Array => new X509Certificate(pem).raw;
const listOf = (by: typeof authority, serials: string[], days = 30): string =>
  issueRevocations(by, {
    number: 7,
    revoked: serials.map((serial) => ({ serial, at: now })),
    now,
    days,
  }).list;

describe('lists of revoked certificates', () => {
  const [good, bad] = [issue(authority, ['operator:A']), issue(authority, ['operator:A'])] as const;

  it('say which certificates count no more', () => {
    const read = readRevocations(listOf(authority, [bad.serial]), authority.certificate);
    assert.equal(read.isRevoked(der(bad.certificate)), true);
    assert.equal(read.isRevoked(der(good.certificate)), false);
    assert.equal(read.size, 1);
    assert.equal(read.nextUpdate, now + 30 * DAY);
  });

  it('may be empty', () => {
    const read = readRevocations(listOf(authority, []), authority.certificate);
    assert.equal(read.size, 0);
    assert.equal(read.isRevoked(der(good.certificate)), false);
  });

  it('speak of their own authority alone, be it one of the same name', () => {
    const foreign = issue(other, ['operator:A']);
    const twin = issue(namesake, ['operator:A']);
    const all = [authority, other, namesake].map((each) => each.certificate).join('');
    const read = readRevocations(listOf(authority, [foreign.serial, twin.serial, bad.serial]), all);
    assert.equal(read.isRevoked(der(foreign.certificate)), false);
    assert.equal(read.isRevoked(der(twin.certificate)), false);
    assert.equal(read.isRevoked(der(bad.certificate)), true);
  });

  it('may be several in one file, and the first that is to be renewed is told', () => {
    const foreign = issue(other, ['operator:A']);
    const read = readRevocations(
      listOf(authority, [bad.serial]) + listOf(other, [foreign.serial], 5),
      other.certificate + authority.certificate,
    );
    assert.equal(read.isRevoked(der(bad.certificate)), true);
    assert.equal(read.isRevoked(der(foreign.certificate)), true);
    assert.equal(read.isRevoked(der(good.certificate)), false);
    assert.equal(read.nextUpdate, now + 5 * DAY);
  });

  it('know a serial number whatever zeros stand before it', () => {
    const zeros = bad.serial.padStart(40, '0');
    const read = readRevocations(listOf(authority, [zeros, '01', '0001', 'ff00']), authority.certificate);
    assert.equal(read.isRevoked(der(bad.certificate)), true);
    assert.equal(read.size, 3);
  });

  it('count only as their authority signed them: no byte may be another', () => {
    const list = listOf(authority, [bad.serial]);
    const bytes = Buffer.from(list.replace(/-----[^-]+-----|\s/g, ''), 'base64');
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Buffer.from(bytes);
        changed[at]! ^= flip;
        const text = `-----BEGIN X509 CRL-----\n${changed.toString('base64')}\n-----END X509 CRL-----\n`;
        let read;
        try {
          read = readRevocations(text, authority.certificate);
        } catch (error) {
          assert.ok(error instanceof FieldError, String(error));
          return;
        }
        // What is outside the signature may be written in more than one way.
        assert.equal(read.isRevoked(der(bad.certificate)), true, `byte ${at}`);
      }),
      { numRuns: 500 },
    );
  });

  const list = listOf(authority, [bad.serial]);
  const leaf = issue(authority, ['operator:A']);
  const refused: [what: string, lists: string, authorities: string, message: RegExp][] = [
    ['no list', 'something', authority.certificate, /^crl: 9 characters/],
    ['an empty file', '', authority.certificate, /^crl: 0 characters/],
    ['a certificate in place of a list', leaf.certificate, authority.certificate, /^crl: .*X509 CRL/],
    [
      'a list that is none',
      '-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n',
      authority.certificate,
      /cannot be read/,
    ],
    ["another authority's list", list, other.certificate, /none of an authority given/],
    ['the list of one of the same name', list, namesake.certificate, /none of an authority given/],
    ['a second list that is wrong', list + listOf(other, []), authority.certificate, /list 2/],
    ['a list where only a leaf is believed', list, leaf.certificate, /none of an authority given/],
    ['no authority', list, 'nobody', /^authorities: 6 characters/],
  ];
  for (const [what, lists, authorities, message] of refused) {
    it(`refuses ${what}`, () =>
      assert.throws(() => readRevocations(lists, authorities), { name: 'FieldError', message }));
  }

  it('names the file that it is told', () => {
    assert.throws(() => readRevocations('', authority.certificate, 'tls.crl'), /^FieldError: tls\.crl: /);
  });
});

describe('certificates in PEM', () => {
  it('are read in order, and a bad one is named by its place', () => {
    const both = authority.certificate + other.certificate;
    assert.deepEqual(
      certificatesOf('file', `text before\n${both}`).map(({ subject }) => subject),
      ['CN=One', 'CN=Two'],
    );
    const broken = other.certificate.replace(/\n.{8}/, '\nAAAAAAAA');
    assert.throws(() => certificatesOf('file', authority.certificate + broken), /file: certificate 2/);
  });
});
