/** OpenSSL takes what `rehome ca` issues and refuses what it revoked; and we read what OpenSSL's authority signs. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { issueRevocations, openAuthority } from '../../../src/ca/authority.ts';
import { readRevocations } from '../../../src/network/wire/revocations.ts';
import { DAY, issue, newAuthority } from '../../ca/identities.ts';
import { findCommand, requirePeer } from '../peer.ts';

const folder = mkdtempSync(join(tmpdir(), 'rehome-openssl-'));
after(() => rmSync(folder, { recursive: true }));

const openssl = findCommand('openssl');
function run(...words: string[]): { code: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync(openssl!, words, { cwd: folder, encoding: 'utf8' });
  return { code: status, said: stdout + stderr };
}
const ok = (...words: string[]): string => {
  const { code, said } = run(...words);
  assert.equal(code, 0, said);
  return said;
};
const file = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return name;
};

describe('openssl', () => {
  const authority = newAuthority();
  const good = issue(authority, ['operator:Operator A', 'visited:Operator A'], {
    hosts: ['a.example', '10.0.0.1'],
  });
  const bad = issue(authority, ['owner:O']);

  it('reads in a certificate what was put there', (t) => {
    if (!requirePeer(t, openssl, 'openssl', 'openssl')) return;
    const text = ok('x509', '-in', file('good.pem', good.certificate), '-noout', '-text');
    for (const expected of [
      /Version: 3 /,
      /Subject: O = Operator A, CN = operator/,
      /ecdsa-with-SHA256/,
      /NIST CURVE: P-256/,
      /Basic Constraints: critical\s+CA:FALSE/,
      /Key Usage: critical\s+Digital Signature\n/,
      /Extended Key Usage: \n\s+TLS Web Server Authentication, TLS Web Client Authentication/,
      /URI:urn:rehome:operator:Operator%20A, URI:urn:rehome:visited:Operator%20A, DNS:a.example, IP Address:10.0.0.1/,
    ]) {
      assert.match(text, expected);
    }
    const own = ok('x509', '-in', file('ca.pem', authority.certificate), '-noout', '-text');
    assert.match(own, /Basic Constraints: critical\s+CA:TRUE, pathlen:0/);
    assert.match(own, /Key Usage: critical\s+Certificate Sign, CRL Sign\n/);
    const id = (said: string, of: string): string =>
      new RegExp(`${of} Key Identifier: \\n\\s+([0-9A-F:]+)`).exec(said)![1]!;
    assert.equal(id(text, 'Authority'), id(own, 'Subject'));
  });

  it('takes it at either end until it is revoked, by lists that are not too old', (t) => {
    if (!requirePeer(t, openssl, 'openssl', 'openssl')) return;
    file('ca.pem', authority.certificate);
    file('good.pem', good.certificate);
    file('bad.pem', bad.certificate);
    const revoked = [{ serial: bad.serial, at: Date.now() }];
    file('ca.crl', issueRevocations(authority, { number: 2, revoked, now: Date.now() }).list);
    file(
      'old.crl',
      issueRevocations(authority, { number: 1, revoked: [], now: Date.now() - 2 * DAY, days: 1 }).list,
    );
    const verify = (
      certificate: string,
      crl: string,
      ...more: string[]
    ): { code: number | null; said: string } =>
      run('verify', '-x509_strict', '-CAfile', 'ca.pem', '-CRLfile', crl, '-crl_check', ...more, certificate);
    for (const purpose of ['sslserver', 'sslclient']) {
      assert.equal(verify('good.pem', 'ca.crl', '-purpose', purpose).code, 0);
    }
    assert.equal(verify('good.pem', 'ca.crl', '-verify_hostname', 'b.example').code, 2);
    assert.match(verify('bad.pem', 'ca.crl').said, /certificate revoked/);
    assert.match(verify('good.pem', 'old.crl').said, /CRL has expired/);
    const text = ok('crl', '-in', 'ca.crl', '-noout', '-text', '-CAfile', 'ca.pem');
    assert.match(text, /verify OK/);
    assert.match(text, /CRL Number: \n\s+2\n/);
    assert.match(text, new RegExp(`Serial Number: ${bad.serial.toUpperCase()}`));
    // An authority for parties, not for authorities.
    const other = newAuthority();
    file('other.pem', other.certificate);
    file('stranger.pem', issue(other, ['operator:Operator A']).certificate);
    assert.equal(verify('stranger.pem', 'ca.crl').code, 2);
    const expired = issue(authority, ['owner:O'], { now: Date.now() - 3 * DAY, days: 1 });
    file('expired.pem', expired.certificate);
    assert.match(verify('expired.pem', 'ca.crl').said, /certificate has expired/);
  });

  it('makes an authority below another, whose certificates come with their chain', (t) => {
    if (!requirePeer(t, openssl, 'openssl', 'openssl')) return;
    const p256 = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    file(
      'ext',
      'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n',
    );
    ok('req', '-x509', ...p256, '-subj', '/CN=Root', '-days', '30', '-keyout', 'r.key', '-out', 'r.pem');
    ok('req', '-new', ...p256, '-subj', '/CN=Below', '-keyout', 's.key', '-out', 's.csr');
    ok(
      'x509',
      '-req',
      '-in',
      's.csr',
      '-CA',
      'r.pem',
      '-CAkey',
      'r.key',
      '-days',
      '20',
      '-extfile',
      'ext',
      '-out',
      's.pem',
    );
    const [root, below, key] = ['r.pem', 's.pem', 's.key'].map((name) =>
      readFileSync(join(folder, name), 'utf8'),
    );
    const leaf = issue(openAuthority({ certificate: below! + root!, key: key! }), ['owner:O'], { days: 10 });
    file('leaf.pem', leaf.certificate);
    assert.equal(leaf.certificate.match(/BEGIN CERTIFICATE/g)?.length, 2);
    ok('verify', '-CAfile', 'r.pem', '-untrusted', 'leaf.pem', 'leaf.pem');
    assert.notEqual(run('verify', '-CAfile', 'r.pem', 'leaf.pem').code, 0);
  });

  for (const [kind, how] of [
    ['P-384', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-sha384']],
    ['RSA', ['-newkey', 'rsa:2048', '-sha256']],
    ['Ed25519', ['-newkey', 'ed25519']],
  ] as const) {
    it(`makes an authority on ${kind} whose list we read`, (t) => {
      if (!requirePeer(t, openssl, 'openssl', 'openssl')) return;
      file('index.txt', '');
      file('number', '01\n');
      file(
        'conf',
        '[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=number\ndefault_crl_days=30\n' +
          '[partial]\nissuingDistributionPoint=critical,@users\n[users]\nonlyuser=TRUE\n',
      );
      ok(
        'req',
        '-x509',
        ...how,
        '-nodes',
        '-subj',
        '/O=Foreign/CN=CA',
        '-days',
        '30',
        '-keyout',
        'f.key',
        '-out',
        'f.pem',
      );
      ok(
        'req',
        '-new',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-subj',
        '/CN=leaf',
        '-keyout',
        'l.key',
        '-out',
        'l.csr',
      );
      for (const name of ['l1', 'l2']) {
        ok(
          'x509',
          '-req',
          '-in',
          'l.csr',
          '-CA',
          'f.pem',
          '-CAkey',
          'f.key',
          '-days',
          '10',
          '-out',
          `${name}.pem`,
        );
      }
      const digest = kind === 'Ed25519' ? 'default' : kind === 'P-384' ? 'sha384' : 'sha256';
      const ca = ['ca', '-config', 'conf', '-keyfile', 'f.key', '-cert', 'f.pem', '-md', digest];
      ok(...ca, '-revoke', 'l1.pem');
      ok(...ca, '-gencrl', '-crl_reason', 'keyCompromise', '-out', 'f.crl');
      const text = (name: string): string => readFileSync(join(folder, name), 'utf8');
      const read = readRevocations(text('f.crl'), text('f.pem'));
      const revoked = (name: string): boolean => read.isRevoked(new X509Certificate(text(name)).raw);
      assert.deepEqual(['l1.pem', 'l2.pem'].map(revoked), [true, false]);
      assert.throws(
        () => readRevocations(text('f.crl'), authority.certificate),
        /none of an authority given/,
      );
    });
  }
});
