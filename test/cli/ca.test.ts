import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { readRevocations } from '../../src/network/wire/revocations.ts';
import { called, type Outcome } from './rehome.ts';

const folder = mkdtempSync(join(tmpdir(), 'rehome-ca-'));
after(() => rmSync(folder, { recursive: true }));

const text = (path: string): string => readFileSync(path, 'utf8');
const mode = (path: string): number => statSync(path).mode & 0o777;
let count = 0;
const made = async (): Promise<string> => {
  const dir = join(folder, `ca${count++}`);
  assert.equal((await called(['ca', 'init', '--dir', dir, '--name', 'Trial CA'])).code, 0);
  return dir;
};
const ca = (command: string, dir: string, ...words: string[]): Promise<Outcome> =>
  called(['ca', command, '--dir', dir, ...words]);
const listed = async (dir: string): Promise<{ serial: string; parties: string[]; state: string }[]> =>
  (JSON.parse((await ca('list', dir, '--json')).out) as { certificates: [] }).certificates;
const revokedIn = (dir: string, certificate: string): boolean =>
  readRevocations(text(join(dir, 'ca.crl')), text(join(dir, 'ca.pem'))).isRevoked(
    new X509Certificate(text(certificate)).raw,
  );

describe('rehome ca', () => {
  it('makes an authority whose key only its owner may read', async () => {
    const dir = await made();
    assert.equal(mode(join(dir, 'ca.key')), 0o600);
    assert.equal(mode(join(dir, 'ca.pem')), 0o644);
    const x509 = new X509Certificate(text(join(dir, 'ca.pem')));
    assert.ok(x509.ca);
    assert.equal(x509.subject, 'CN=Trial CA');
    assert.equal(readRevocations(text(join(dir, 'ca.crl')), text(join(dir, 'ca.pem'))).size, 0);
    assert.deepEqual(await listed(dir), []);
  });

  it('makes no second one where one is, or a part of one', async () => {
    const dir = await made();
    const key = text(join(dir, 'ca.key'));
    const again = await ca('init', dir, '--name', 'Another');
    assert.equal(again.code, 2);
    assert.match(again.err, /^rehome: --dir: .*ca\.key exists, expected a folder without an authority\n$/);
    assert.equal(text(join(dir, 'ca.key')), key);
    rmSync(join(dir, 'ca.key'));
    assert.equal((await ca('init', dir, '--name', 'Another')).code, 2);
    assert.equal(existsSync(join(dir, 'ca.key')), false);
  });

  it('issues a certificate of several parties, and never over one that is there', async () => {
    const dir = await made();
    const out = join(dir, 'a');
    const { code, out: said } = await ca(
      'issue',
      dir,
      '--party',
      'operator:Operator A',
      '--party',
      'urn:rehome:visited:Operator%20A',
      '--host',
      'a.example, 10.0.0.1',
      '--out',
      out,
    );
    assert.equal(code, 0);
    assert.match(said, /urn:rehome:operator:Operator%20A, urn:rehome:visited:Operator%20A/);
    assert.equal(mode(`${out}.key`), 0o600);
    const x509 = new X509Certificate(text(`${out}.pem`));
    assert.equal(x509.subject, 'O=Operator A\nCN=operator');
    assert.equal(x509.checkHost('a.example'), 'a.example');
    assert.equal(x509.checkIP('10.0.0.1'), '10.0.0.1');
    const before = text(`${out}.pem`);
    const again = await ca('issue', dir, '--party', 'owner:O', '--out', out);
    assert.equal(again.code, 2);
    assert.match(again.err, /^rehome: --out: .*a\.key exists/);
    assert.equal(text(`${out}.pem`), before);
    assert.equal((await listed(dir)).length, 1);
  });

  it('revokes, once and for all', async () => {
    const dir = await made();
    for (const name of ['a', 'b']) await ca('issue', dir, '--party', 'owner:O', '--out', join(dir, name));
    const [a, b] = ['a', 'b'].map((name) => join(dir, `${name}.pem`)) as [string, string];
    assert.equal((await ca('revoke', dir, '--certificate', a)).code, 0);
    assert.equal(revokedIn(dir, a), true);
    assert.equal(revokedIn(dir, b), false);
    const list = text(join(dir, 'ca.crl'));
    const again = await ca('revoke', dir, '--certificate', a);
    assert.deepEqual([again.code, again.out], [0, 'was revoked already\n']);
    assert.equal(text(join(dir, 'ca.crl')), list);
    assert.equal((await ca('crl', dir, '--days', '7')).code, 0);
    assert.notEqual(text(join(dir, 'ca.crl')), list);
    assert.equal(revokedIn(dir, a), true);
    const next = readRevocations(text(join(dir, 'ca.crl')), text(join(dir, 'ca.pem'))).nextUpdate!;
    assert.equal(Math.round((next - Date.now()) / 86_400_000), 7);
    assert.deepEqual(
      (await listed(dir)).map(({ state }) => state),
      ['revoked', 'valid'],
    );
    assert.match((await ca('list', dir)).out, /revoked .*urn:rehome:owner:O\n.* valid /);
  });

  it('puts into the list what was revoked and cut off before it came there', async () => {
    const dir = await made();
    await ca('issue', dir, '--party', 'owner:O', '--out', join(dir, 'a'));
    const list = text(join(dir, 'ca.crl'));
    await ca('revoke', dir, '--certificate', join(dir, 'a.pem'));
    writeFileSync(join(dir, 'ca.crl'), list);
    await ca('revoke', dir, '--certificate', join(dir, 'a.pem'));
    assert.equal(revokedIn(dir, join(dir, 'a.pem')), true);
  });

  it('revokes what its index has forgotten, and nothing of another authority', async () => {
    const dir = await made();
    await ca('issue', dir, '--party', 'owner:O', '--out', join(dir, 'a'));
    writeFileSync(join(dir, 'index.json'), '{"number":1,"certificates":[]}');
    await ca('revoke', dir, '--certificate', join(dir, 'a.pem'));
    assert.equal(revokedIn(dir, join(dir, 'a.pem')), true);
    assert.deepEqual(
      (await listed(dir)).map(({ parties }) => parties),
      [['urn:rehome:owner:O']],
    );
    // Of the same name even.
    const other = await made();
    const foreign = await ca('revoke', other, '--certificate', join(dir, 'a.pem'));
    assert.equal(foreign.code, 2);
    assert.match(foreign.err, /^rehome: --certificate: .*that this authority issued/);
    assert.equal((await ca('revoke', dir, '--certificate', join(dir, 'ca.pem'))).code, 2);
  });

  const refused: [what: string, words: string[], message: RegExp][] = [
    [
      'a role that is none',
      ['issue', '--party', 'king:A', '--out', 'X'],
      /^rehome: --party: "king:A", expected ROLE:ORGANISATION, the role of owner, /,
    ],
    [
      'a party without an organisation',
      ['issue', '--party', 'owner', '--out', 'X'],
      /^rehome: --party: "owner"/,
    ],
    [
      'a party with an empty one',
      ['issue', '--party', 'owner: ', '--out', 'X'],
      /^rehome: --party: "owner: "/,
    ],
    ['no party', ['issue', '--out', 'X'], /--party/],
    [
      'a host that is none',
      ['issue', '--party', 'owner:O', '--host', 'a,,b', '--out', 'X'],
      /^rehome: --host: ""/,
    ],
    ['no days', ['issue', '--party', 'owner:O', '--days', '0', '--out', 'X'], /^rehome: --days: "0"/],
    [
      'more days than the authority has',
      ['issue', '--party', 'owner:O', '--days', '9999', '--out', 'X'],
      /^rehome: --days: 9999, expected at most 36[0-9]{2}/,
    ],
    [
      'a folder to write to that is not there',
      ['issue', '--party', 'owner:O', '--out', 'no/such/X'],
      /^rehome: --out: .*ENOENT/,
    ],
    [
      'a certificate that is not there',
      ['revoke', '--certificate', 'no.pem'],
      /^rehome: --certificate: no no\.pem/,
    ],
    [
      'a certificate that is none',
      ['revoke', '--certificate', import.meta.filename],
      /^rehome: --certificate: .*PEM/,
    ],
  ];
  for (const [what, [command, ...words], message] of refused) {
    it(`refuses ${what}, and issues nothing`, async () => {
      const dir = await made();
      const at = words.map((word) => (word.endsWith('X') ? join(dir, word) : word));
      const { code, out, err } = await ca(command!, dir, ...at);
      assert.deepEqual([code, out], [2, '']);
      assert.match(err, message);
      assert.deepEqual(await listed(dir), []);
      assert.equal(existsSync(join(dir, 'X.key')), false);
    });
  }

  it('says of a folder that is no authority, or a damaged one, what is wrong, and shows no key', async () => {
    const none = await ca('list', join(folder, 'nowhere'));
    assert.equal(none.code, 2);
    assert.match(none.err, /^rehome: --dir: no .*index\.json, expected a folder that `rehome ca init` made/);
    const dir = await made();
    const [a, b] = [await made(), await made()];
    writeFileSync(join(a, 'ca.key'), text(join(dir, 'ca.key')));
    assert.match((await ca('crl', a)).err, /^rehome: ca\.key: another key/);
    writeFileSync(join(b, 'index.json'), '{"number":0,"certificates":[]}');
    assert.match((await ca('crl', b)).err, /index\.json: number, expected/);
    writeFileSync(join(b, 'index.json'), '{');
    assert.match((await ca('crl', b)).err, /index\.json: no JSON/);
    writeFileSync(join(dir, 'ca.key'), 'SECRET');
    chmodSync(join(dir, 'ca.key'), 0o600);
    const { err } = await ca('crl', dir);
    assert.match(err, /^rehome: ca\.key: 6 characters/);
  });

  it('leaves no file behind that was on its way', async () => {
    const dir = await made();
    await ca('issue', dir, '--party', 'owner:O', '--out', join(dir, 'a'));
    await ca('revoke', dir, '--certificate', join(dir, 'a.pem'));
    for (const end of ['.new', '.lock']) {
      for (const name of ['index.json', 'ca.crl', 'ca.pem'])
        assert.equal(existsSync(join(dir, name + end)), false);
    }
  });
});
