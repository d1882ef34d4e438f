import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import { issueRevocations } from '../../src/ca/authority.ts';
import { realDisk, realRandom } from '../../src/edge/real.ts';
import { ConfigError, parseConfig } from '../../src/serve/config/read.ts';
import { makeKeys } from '../../src/serve/keys.ts';
import { prepareConfig } from '../../src/serve/serve.ts';
import { DAY, issue, newAuthority } from '../ca/identities.ts';
import { escrowSection, operatorSection } from './trial.ts';

const folder = mkdtempSync(join(tmpdir(), 'rehome-files-'));
after(() => rmSync(folder, { recursive: true }));
const put = (name: string, text: string): void => {
  writeFileSync(join(folder, name), text);
  chmodSync(join(folder, name), 0o600);
};
const text = (name: string): string => readFileSync(join(folder, name), 'utf8');

const authority = newAuthority();
const other = newAuthority();
const list = (by: typeof authority): string =>
  issueRevocations(by, { number: 1, revoked: [], now: Date.now() }).list;
const CONFIG = `organisation: A
tls: {certificate: a.pem, key: a.key, authorities: ca.pem, crl: ca.crl}
parties: parties.json
${operatorSection('A', 1, {
  escrow: '127.0.0.1:9',
  owner: '127.0.0.1:9',
  others: ['B'],
  extra: `  manufacturers: [{name: M, at: '127.0.0.1:9', key: m.pem}]
  esmes: [{systemId: x, password: {environment: ESME}, addresses: ['99903']}]
  subscribers: {batchFiles: {folder: batches, transportKey: {file: hss.key}, transportKeyIndex: 1, s6a: '127.0.0.1:9'}}
`,
})}
${escrowSection(['B'])}
`;
const read = parseConfig(CONFIG, join(folder, 'a.yaml'));
const keys = makeKeys(read, realDisk, realRandom);
const modes = keys.made.map((path) => statSync(path).mode & 0o777);
const jwk = keys.vaults.operator!;
const pem = (key: ReturnType<typeof generateKeyPairSync>, half: 'public' | 'private'): string =>
  half === 'public'
    ? key.publicKey.export({ type: 'spki', format: 'pem' }).toString()
    : key.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ed25519 = generateKeyPairSync('ed25519');
const ring = (party: object): string => JSON.stringify({ B: party });
const publicJwk = ed25519.publicKey.export({ format: 'jwk' });

/** All as it must be. */
function right(): void {
  const identity = issue(authority, ['operator:A', 'escrow:A']);
  put('a.pem', identity.certificate);
  put('a.key', identity.key);
  put('ca.pem', authority.certificate);
  put('ca.crl', list(authority));
  put('parties.json', ring({ role: 'operator', key: publicJwk }));
  put('B.vault.jwk', JSON.stringify(jwk));
  put('m.pem', pem(p256, 'public'));
  put('hss.key', `${'00'.repeat(16)}\n`);
  put('A.ota', 'password\n');
}
const secrets = ['A.kek', 'A.transport.pem', 'A.signing.pem'].map((name): [string, string] => [
  name,
  text(name),
]);
beforeEach(() => {
  right();
  for (const [name, content] of secrets) put(name, content);
});

function problems(environment: Record<string, string> = { ESME: 'secret' }): readonly string[] {
  try {
    prepareConfig(read, environment);
    return [];
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems;
  }
}

describe('the files of a configuration', () => {
  it('are found right', () => assert.deepEqual(problems(), []));

  const gone: [file: string, problem: RegExp][] = [
    ['a.pem', /^tls\.certificate: no file \S+a\.pem, expected certificates in PEM$/],
    ['a.key', /^tls\.key: no file/],
    ['ca.pem', /^tls\.authorities: no file/],
    ['ca.crl', /^tls\.crl: no file/],
    ['parties.json', /^parties: no file/],
    ['B.vault.jwk', /^operator\.operators\.B\.vault: no file/],
    ['m.pem', /^operator\.manufacturers\.0\.key: no file/],
    ['hss.key', /^operator\.subscribers\.batchFiles\.transportKey\.file: no file/],
    ['A.ota', /^operator\.otaPassword\.file: no file/],
    ['A.kek', /^operator\.vault\.software\.keyEncryptionKey\.file: no file/],
    ['A.transport.pem', /^operator\.vault\.software\.transportKey: no file/],
    ['A.signing.pem', /^operator\.signingKey: no file/],
  ];

  it('are missed all at once', () => {
    for (const [file] of gone) rmSync(join(folder, file));
    const found = problems({});
    for (const [file, problem] of gone)
      assert.ok(
        found.some((each) => problem.test(each)),
        `${file}: ${found.join('\n')}`,
      );
    assert.ok(
      found.some((each) => each.startsWith('operator.esmes.0.password.environment: ESME is not set')),
    );
  });

  const cases: [what: string, file: string, content: () => string, problem: RegExp][] = [
    [
      'a certificate of another organisation',
      'a.pem',
      () => issue(authority, ['operator:B', 'escrow:B']).certificate,
      /^tls\.certificate: names URI:urn:rehome:operator:B.*, expected that it names URI:urn:rehome:operator:A too$/,
    ],
    [
      'a certificate of one role alone',
      'a.pem',
      () => issue(authority, ['operator:A']).certificate,
      /expected that it names URI:urn:rehome:escrow:A too$/,
    ],
    [
      'a certificate of another key',
      'a.pem',
      () => issue(authority, ['operator:A', 'escrow:A']).certificate,
      /^tls\.key: another key, expected the key of tls\.certificate$/,
    ],
    [
      'a certificate of an authority that is not believed',
      'a.pem',
      () => issue(other, ['operator:A', 'escrow:A']).certificate,
      /^tls\.certificate: issued by CN=Trial CA, expected one that an authority of tls\.authorities has issued$/,
    ],
    [
      'a certificate whose time is over',
      'a.pem',
      () => issue(authority, ['operator:A', 'escrow:A'], { now: Date.now() - 3 * DAY, days: 1 }).certificate,
      /^tls\.certificate: counted until/,
    ],
    [
      'a certificate whose time has not come',
      'a.pem',
      () => issue(authority, ['operator:A', 'escrow:A'], { now: Date.now() + DAY, days: 1 }).certificate,
      /^tls\.certificate: counts from/,
    ],
    [
      'no certificate',
      'a.pem',
      () => 'SECRET',
      /^tls\.certificate: 6 characters, expected certificates in PEM$/,
    ],
    ['no key', 'a.key', () => 'SECRET', /^tls\.key: 6 characters, expected a private key, PEM$/],
    [
      "another authority's list",
      'ca.crl',
      () => list(other),
      /^tls\.crl: list 1, which is none of an authority given/,
    ],
    [
      'a signing key on another curve',
      'A.signing.pem',
      () => pem(p256, 'private'),
      /^operator\.signingKey: a key of another kind, expected a private key on ed25519/,
    ],
    ['no signing key', 'A.signing.pem', () => 'SECRET', /^operator\.signingKey: 6 characters/],
    [
      'a transport key on another curve',
      'A.transport.pem',
      () => pem(ed25519, 'private'),
      /^operator\.vault\.software\.transportKey: a key of another kind/,
    ],
    [
      'a key-encryption key that is too short',
      'A.kek',
      () => 'c0ffee',
      /^operator\.vault\.software\.keyEncryptionKey: 6 characters, expected 32 bytes in hexadecimal digits$/,
    ],
    [
      'a key-encryption key that is no hexadecimal',
      'A.kek',
      () => 'SECRET'.padEnd(64, 'x'),
      /^operator\.vault\.software\.keyEncryptionKey: 64 characters/,
    ],
    [
      'a transport key of 15 bytes',
      'hss.key',
      () => '00'.repeat(15),
      /transportKey: 30 characters, expected 16 or 32 bytes/,
    ],
    [
      'a password that is too long',
      'A.ota',
      () => 'SECRETSECRET',
      /^operator\.otaPassword: 12 characters, expected a password of 1 to 8/,
    ],
    ['an empty password', 'A.ota', () => '\n', /^operator\.otaPassword: 0 characters/],
    [
      "a manufacturer's private key",
      'm.pem',
      () => pem(p256, 'private'),
      /^operator\.manufacturers\.0\.key: \d+ characters, expected a public key/,
    ],
    [
      "a manufacturer's key on another curve",
      'm.pem',
      () => pem(ed25519, 'public'),
      /^operator\.manufacturers\.0\.key: a key of another kind/,
    ],
    [
      'a vault key that is private',
      'B.vault.jwk',
      () => JSON.stringify({ ...jwk, d: 'SECRET' }),
      /^operator\.operators\.B\.vault: \S+ the document is not as it must be/,
    ],
    [
      'a vault key that is no JSON',
      'B.vault.jwk',
      () => 'SECRET',
      /^operator\.operators\.B\.vault: \S+: no JSON/,
    ],
    [
      'a party of no role',
      'parties.json',
      () => ring({ role: 'king', key: publicJwk }),
      /^parties: \S+ B\.role is not as it must be/,
    ],
    [
      'a manufacturer without cards',
      'parties.json',
      () => ring({ role: 'manufacturer', key: publicJwk }),
      /^parties: \S+ B\.iccids is not as it must be/,
    ],
    [
      'a party with a private key',
      'parties.json',
      () => ring({ role: 'owner', key: ed25519.privateKey.export({ format: 'jwk' }) }),
      /^parties: \S+ B\.key is not as it must be/,
    ],
  ];
  for (const [what, file, content, problem] of cases) {
    it(`are refused with ${what}, and no content of theirs is told`, () => {
      put(file, content());
      const found = problems();
      assert.ok(
        found.some((each) => problem.test(each)),
        found.join('\n'),
      );
      assert.doesNotMatch(found.join('\n'), /SECRET|c0ffee/);
    });
  }

  it('are refused where two roles share a database', () => {
    const config = CONFIG.replace('escrow.db', 'A.db');
    assert.throws(
      () => prepareConfig(parseConfig(config, join(folder, 'a.yaml')), { ESME: 'x' }),
      /escrow\.database: \S+A\.db, expected a database of its own/,
    );
    const nowhere = CONFIG.replace('escrow.db', 'no/such/escrow.db');
    assert.throws(
      () => prepareConfig(parseConfig(nowhere, join(folder, 'a.yaml')), { ESME: 'x' }),
      /escrow\.database: \S+: ENOENT/,
    );
  });
});

describe('the keys of a configuration', () => {
  it('are made where there are none, for their owner alone, and never over one that is there', () => {
    for (const name of ['A.kek', 'A.transport.pem', 'A.signing.pem', 'A.ota']) {
      assert.ok(keys.made.includes(join(folder, name)), name);
    }
    assert.deepEqual(new Set(modes), new Set([0o600]));
    assert.equal(keys.parties.A!.role, 'operator');
    const before = text('A.kek');
    const again = makeKeys(read, realDisk, realRandom);
    assert.deepEqual(again.made, []);
    assert.deepEqual(again.vaults, keys.vaults);
    assert.equal(text('A.kek'), before);
  });

  it('show their public halves alone', () => {
    const told = JSON.stringify(keys);
    for (const secret of [text('A.kek').trim(), '"d":']) assert.equal(told.includes(secret), false);
    assert.doesNotMatch(told, /PRIVATE/);
  });
});
