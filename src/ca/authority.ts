/**
 * A small certificate authority for trials: certificates that say of a process which roles of which organisations
 * it is (subjectAltName `urn:rehome:ROLE:ORGANISATION`), and the list of those that count no more. Without files,
 * so that a lab can have a dozen in no time.
 */
import type { X509Certificate } from 'node:crypto';
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
import type { Random } from '../edge/index.ts';
import { certificatesOf } from '../network/wire/revocations.ts';
import { formatParty, type Party } from '../network/wire/party.ts';
import { FieldError, fromHex, toHex } from '../standards/bytes/index.ts';
import {
  encodeAuthority,
  encodeCertificate,
  encodeRevocations,
  holderOf,
  nameOf,
  type Issuer,
} from './encoding.ts';

const DAY = 86_400_000;
/** A certificate counts from so many milliseconds before it was made: clocks differ. */
const BEFORE = 300_000;
/** Length of a serial number, in bytes. */
const SERIAL = 16;
/** Most characters of an organisation or a common name (RFC 5280 appendix A.1, ub-organization-name). */
const LONGEST_NAME = 64;
/** What a certificate is for if nobody says where its holder listens. */
const LOOPBACK = ['localhost', '127.0.0.1'];
const AUTHORITY_DAYS = 3650;
const CERTIFICATE_DAYS = 365;
const LIST_DAYS = 30;

/** A certificate and the key that belongs to it. */
export interface Identity {
  /** PEM: the certificate, then those of authorities between it and the one that is trusted */
  certificate: string;
  /** PKCS#8 PEM */
  key: string;
}

export interface Authority extends Identity {
  /** as the list of revoked certificates and every certificate name it */
  readonly issuer: Issuer;
  readonly x509: X509Certificate;
  /** PEM of what goes into `certificate` of those it issues, after their own; empty for a root */
  readonly chain: string;
}

export interface Issued extends Identity {
  /** hexadecimal, lower case */
  serial: string;
  notBefore: number;
  notAfter: number;
  hosts: readonly string[];
}

const pem = (label: string, der: Uint8Array): string =>
  `-----BEGIN ${label}-----\n${Buffer.from(der)
    .toString('base64')
    .replace(/.{1,64}/g, '$&\n')}-----END ${label}-----\n`;

const newKey = (): { publicKey: KeyObject; privateKey: KeyObject } =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' });

const pkcs8 = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();

/** Never 0 or negative, always as long as the others. */
function newSerial(random: Random): Uint8Array {
  const serial = random.bytes(SERIAL);
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  return serial;
}

function days(field: string, value: number): number {
  if (!Number.isInteger(value) || value < 1 || value > 36_500) {
    throw new FieldError(field, String(value), 'a whole number of days from 1 to 36500');
  }
  return value;
}

function named(field: string, text: string): string {
  if (text.trim() === '' || text.length > LONGEST_NAME) {
    throw new FieldError(field, JSON.stringify(text), `1 to ${LONGEST_NAME} characters`);
  }
  return text;
}

/** X.509 has whole seconds. */
const seconds = (milliseconds: number): number => Math.floor(milliseconds / 1000) * 1000;

/**
 * A root of its own, with a P-256 key drawn anew.
 * @param options `now`: milliseconds since 1970, on the clock by which peers judge certificates
 * @throws FieldError on an empty or too long name, or a time that is none
 */
export function createAuthority(options: {
  name: string;
  random: Random;
  now: number;
  days?: number;
}): Authority {
  const subject = nameOf({ commonName: named('name', options.name) });
  const { publicKey, privateKey } = newKey();
  const der = encodeAuthority(
    {
      serial: newSerial(options.random),
      subject,
      publicKey,
      notBefore: new Date(seconds(options.now - BEFORE)),
      notAfter: new Date(seconds(options.now + days('days', options.days ?? AUTHORITY_DAYS) * DAY)),
    },
    privateKey,
  );
  return openAuthority({ certificate: pem('CERTIFICATE', der), key: pkcs8(privateKey) });
}

/**
 * An authority that was made before, or by somebody else.
 * @param identity its certificate first, then those above it
 * @throws FieldError if it is no authority, or the key is another one's
 */
export function openAuthority(identity: Identity): Authority {
  const all = certificatesOf('ca.pem', identity.certificate);
  const x509 = all[0]!;
  if (!x509.ca)
    throw new FieldError('ca.pem', x509.subject, 'the certificate of an authority first (CA:TRUE)');
  let key: KeyObject;
  try {
    key = createPrivateKey(identity.key);
  } catch {
    throw new FieldError('ca.key', `${identity.key.length} characters`, 'a private key in PEM');
  }
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') {
    throw new FieldError('ca.key', key.asymmetricKeyType ?? 'unknown', 'a key on P-256');
  }
  if (!x509.checkPrivateKey(key)) {
    throw new FieldError('ca.key', 'another key', 'the key of the first certificate in ca.pem');
  }
  return {
    ...identity,
    issuer: { ...holderOf(x509.raw), key },
    x509,
    chain: all
      .filter((each) => each.subject !== each.issuer)
      .map((each) => each.toString())
      .join(''),
  };
}

/** Splits what a party listens on into names and addresses. @throws FieldError on what is neither */
function hostsOf(hosts: readonly string[]): { hosts: string[]; addresses: string[] } {
  const label = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/i;
  for (const host of hosts) {
    const [first, ...rest] = host.split('.');
    const labels = first === '*' && rest.length > 1 ? rest : [first!, ...rest];
    const isName = host.length <= 253 && labels.every((each) => label.test(each)) && !/^[0-9.]+$/.test(host);
    if (isIP(host) === 0 && !isName)
      throw new FieldError('host', JSON.stringify(host), 'a DNS name or an IP address');
  }
  return {
    hosts: hosts.filter((host) => isIP(host) === 0),
    addresses: hosts.filter((host) => isIP(host) !== 0),
  };
}

/**
 * A certificate for TLS, both as server and as client, with a P-256 key drawn anew.
 * @param options `parties`: at least one; `hosts`: DNS names and IP addresses, this machine's loopback if not given;
 * `days`: a year if not given
 * @throws FieldError naming what is wrong; also if it would outlive the authority
 */
export function issueCertificate(
  authority: Authority,
  options: {
    parties: readonly Party[];
    hosts?: readonly string[];
    random: Random;
    now: number;
    days?: number;
  },
): Issued {
  const { parties, now, hosts = LOOPBACK } = options;
  const [first] = parties;
  if (!first) throw new FieldError('party', 'none', 'at least one');
  const notBefore = Math.max(seconds(now - BEFORE), Date.parse(authority.x509.validFrom));
  const notAfter = seconds(now + days('days', options.days ?? CERTIFICATE_DAYS) * DAY);
  const end = Date.parse(authority.x509.validTo);
  if (notAfter > end) {
    throw new FieldError(
      'days',
      String(options.days ?? CERTIFICATE_DAYS),
      `at most ${Math.max(0, Math.floor((end - now) / DAY))}: the authority ends ${new Date(end).toISOString()}`,
    );
  }
  const { publicKey, privateKey } = newKey();
  const serial = newSerial(options.random);
  const der = encodeCertificate(
    authority.issuer,
    {
      serial,
      subject: nameOf({ organisation: named('party', first.organisation), commonName: first.role }),
      publicKey,
      notBefore: new Date(notBefore),
      notAfter: new Date(notAfter),
    },
    { uris: parties.map(formatParty), ...hostsOf(hosts) },
  );
  return {
    certificate: pem('CERTIFICATE', der) + authority.chain,
    key: pkcs8(privateKey),
    serial: toHex(serial),
    notBefore,
    notAfter,
    hosts,
  };
}

/**
 * The list of certificates that count no more (RFC 5280 §5), signed by the authority.
 * @param options `number`: higher than of every list before; `revoked`: serial numbers in hexadecimal, and since when
 * @returns PEM
 */
export function issueRevocations(
  authority: Authority,
  options: {
    number: number;
    revoked: readonly { serial: string; at: number }[];
    now: number;
    days?: number;
  },
): { list: string; nextUpdate: number } {
  const nextUpdate = seconds(options.now + days('days', options.days ?? LIST_DAYS) * DAY);
  const der = encodeRevocations(authority.issuer, {
    number: options.number,
    thisUpdate: new Date(seconds(options.now)),
    nextUpdate: new Date(nextUpdate),
    revoked: options.revoked.map(({ serial, at }) => ({
      serial: fromHex(serial, 'serial'),
      at: new Date(seconds(at)),
    })),
  });
  return { list: pem('X509 CRL', der), nextUpdate };
}
