import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import type { TLSSocket } from 'node:tls';
import fc from 'fast-check';
import { issueCertificate, issueRevocations, openAuthority, type Authority } from '../../src/ca/authority.ts';
import { realRandom } from '../../src/edge/real.ts';
import { parseParty, PARTY_ROLES } from '../../src/network/wire/party.ts';
import { DAY, issue, newAuthority } from './identities.ts';

const authority = newAuthority();

/** One request over mutual TLS. @returns the names that each end saw of the other */
async function handshake(
  server: { certificate: string; key: string },
  client: { certificate: string; key: string },
  how: { serverTrusts?: Authority; clientTrusts?: Authority; crl?: string; host?: string } = {},
): Promise<{ server: string; client: string }> {
  const { serverTrusts = authority, clientTrusts = authority, crl, host = '127.0.0.1' } = how;
  let seen = '';
  const web = createServer(
    {
      cert: server.certificate,
      key: server.key,
      ca: serverTrusts.certificate,
      requestCert: true,
      ...(crl !== undefined && { crl }),
    },
    (incoming, answer) => {
      seen = (incoming.socket as TLSSocket).getPeerCertificate().subjectaltname ?? '';
      answer.end();
    },
  );
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  const { port } = web.address() as AddressInfo;
  try {
    const names = await new Promise<string>((resolve, reject) => {
      const asked = request(
        {
          host: '127.0.0.1',
          servername: host === '127.0.0.1' ? '' : host,
          port,
          cert: client.certificate,
          key: client.key,
          ca: clientTrusts.certificate,
          agent: false,
          ...(host !== '127.0.0.1' && { headers: { host } }),
        },
        (response) => {
          resolve((response.socket as TLSSocket).getPeerCertificate().subjectaltname ?? '');
          response.resume();
        },
      );
      asked.once('error', reject).end();
    });
    return { server: names, client: seen };
  } finally {
    web.closeAllConnections();
    await new Promise((resolve) => web.close(resolve));
  }
}

describe('the authority of trials', () => {
  it('issues what Node takes at both ends of TLS, and each end reads who the other is', async () => {
    const names = await handshake(
      issue(authority, ['escrow:E']),
      issue(authority, ['operator:A', 'owner:O']),
    );
    assert.match(names.server, /URI:urn:rehome:escrow:E/);
    assert.match(names.client, /URI:urn:rehome:operator:A, URI:urn:rehome:owner:O/);
  });

  it('issues for the names and addresses that are asked for, and no others', async () => {
    const client = issue(authority, ['operator:A']);
    const named = issue(authority, ['escrow:E'], { hosts: ['escrow.example', '*.trial.example', '::1'] });
    await handshake(named, client, { host: 'escrow.example' });
    await handshake(named, client, { host: 'a.trial.example' });
    await assert.rejects(handshake(named, client), { code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    const x509 = new X509Certificate(named.certificate);
    assert.equal(x509.checkIP('::1'), '::1');
    assert.equal(x509.checkIP('127.0.0.1'), undefined);
  });

  it('is not believed by who trusts another one, nor is what it issued once its time is over', async () => {
    const good = issue(authority, ['operator:A']);
    const other = newAuthority();
    await assert.rejects(handshake(good, good, { clientTrusts: other }));
    await assert.rejects(handshake(good, good, { serverTrusts: other }));
    await assert.rejects(handshake(issue(other, ['operator:A']), good));
    const old = issue(authority, ['operator:A'], { now: Date.now() - 3 * DAY, days: 1 });
    await assert.rejects(handshake(old, good), /expired/);
    await assert.rejects(handshake(good, old));
    await handshake(good, good);
  });

  it('revokes what it issued, and nothing else', async () => {
    const [server, good, bad] = [1, 2, 3].map(() => issue(authority, ['operator:A']));
    const { list } = issueRevocations(authority, {
      number: 2,
      revoked: [{ serial: bad!.serial, at: Date.now() }],
      now: Date.now(),
    });
    await handshake(server!, good!, { crl: list });
    await assert.rejects(handshake(server!, bad!, { crl: list }));
    await handshake(server!, bad!);
  });

  it('encodes any organisation so that it is read again as it was', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...PARTY_ROLES),
        fc
          .string({ minLength: 1, maxLength: 20, unit: 'grapheme' })
          .filter((text) => text.trim() !== '' && text.length <= 64 && text.isWellFormed()),
        (role, organisation) => {
          const issued = issueCertificate(authority, {
            parties: [{ role, organisation }],
            random: realRandom,
            now: Date.now(),
          });
          const { subjectAltName } = new X509Certificate(issued.certificate);
          // Node quotes what could be misread.
          const [, quoted, plain] = /URI:(?:("[^"]*")|([^,]*))/.exec(subjectAltName!)!;
          const uri = quoted === undefined ? plain! : (JSON.parse(quoted) as string);
          assert.deepEqual(parseParty(uri), { role, organisation });
        },
      ),
      { numRuns: 50 },
    );
  });

  it('is opened again with its own key alone, and issues a chain where it is not a root', () => {
    const again = openAuthority({ certificate: authority.certificate, key: authority.key });
    assert.ok(new X509Certificate(issue(again, ['owner:O']).certificate).verify(authority.x509.publicKey));
    const other = newAuthority();
    assert.throws(() => openAuthority({ certificate: authority.certificate, key: other.key }), {
      name: 'FieldError',
      message: /^ca\.key: another key/,
    });
    const leaf = issue(authority, ['owner:O']);
    assert.throws(() => openAuthority({ certificate: leaf.certificate, key: leaf.key }), {
      message: /^ca\.pem: .*CA:TRUE/s,
    });
    assert.throws(() => openAuthority({ certificate: 'nothing', key: authority.key }), {
      message: /^ca\.pem: /,
    });
    assert.throws(
      () => openAuthority({ certificate: authority.certificate, key: 'SECRET' }),
      (error: Error) => {
        assert.match(error.message, /^ca\.key: /);
        assert.doesNotMatch(error.message, /SECRET/);
        return true;
      },
    );
  });

  const refused: [what: string, run: () => unknown, message: RegExp][] = [
    ['no name', () => newAuthority('  '), /^name: /],
    ['a name that X.509 cannot have', () => newAuthority('n'.repeat(65)), /^name: .*1 to 64/],
    ['nobody', () => issue(authority, []), /^party: none/],
    ['a host that is none', () => issue(authority, ['owner:O'], { hosts: ['a b'] }), /^host: "a b"/],
    ['a host with a hyphen before', () => issue(authority, ['owner:O'], { hosts: ['-a.b'] }), /^host: /],
    ['an address that is none', () => issue(authority, ['owner:O'], { hosts: ['1.2.3.4.5'] }), /^host: /],
    ['an empty host', () => issue(authority, ['owner:O'], { hosts: [''] }), /^host: /],
    ['a star in the middle', () => issue(authority, ['owner:O'], { hosts: ['a.*.b'] }), /^host: /],
    ['no day', () => issue(authority, ['owner:O'], { days: 0 }), /^days: 0/],
    ['half a day', () => issue(authority, ['owner:O'], { days: 0.5 }), /^days: 0\.5/],
    [
      'more days than the authority has',
      () => issue(newAuthority('x', 10), ['owner:O'], { days: 11 }),
      /^days: 11.*at most/,
    ],
  ];
  for (const [what, run, message] of refused) {
    it(`refuses ${what}`, () => assert.throws(run, { name: 'FieldError', message }));
  }
});
