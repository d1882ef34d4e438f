/**
 * What a configuration names and does not contain: certificates, keys, secrets, the key ring. Everything is read
 * before anything starts, and all that is wrong is told at once; no content of a secret is ever told.
 */
import type { X509Certificate } from 'node:crypto';
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { JWK } from 'jose';
import { z } from 'zod';
import { fromHex } from '../standards/bytes/index.ts';
import { certificatesOf, readRevocations, type Revocations } from '../network/wire/revocations.ts';
import type { KeyRing } from '../network/wire/statements.ts';
import type { SecretPlace } from './config/values.ts';
import type { FileToTakeIn } from './take-in.ts';

/** What JWKs of public keys may say besides the key itself. */
const about = {
  kid: z.string().optional(),
  use: z.string().optional(),
  alg: z.string().optional(),
  key_ops: z.array(z.string()).optional(),
};
// Strict: one with `d` is a private key, and has no business here.
const p256Schema = z
  .strictObject({ kty: z.literal('EC'), crv: z.literal('P-256'), x: z.string(), y: z.string(), ...about })
  .transform((key) => key as JWK);
const ed25519Schema = z
  .strictObject({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.string(), ...about })
  .transform((key) => key as JWK);
const ringSchema = z.record(
  z.string().min(1),
  z.discriminatedUnion('role', [
    z.strictObject({ role: z.enum(['owner', 'operator']), key: ed25519Schema }),
    z.strictObject({
      role: z.literal('manufacturer'),
      key: ed25519Schema,
      iccids: z.array(z.string().regex(/^[0-9]{2,19}$/)).min(1),
    }),
  ]),
);

/** Longest file that is read, in bytes. */
const MOST = 1 << 20;
/** The same of one that is taken in. */
const MOST_TAKEN_IN = 256 << 20;

export interface TlsFiles {
  certificate: string;
  key: string;
  authorities: string;
  revocations: Revocations | undefined;
  /** when the certificate ends, milliseconds since 1970 */
  notAfter: number;
}

export class Files {
  readonly #problems: string[] = [];
  /** files that are databases, each of one role alone */
  readonly databases = new Set<string>();
  readonly #environment: Readonly<Record<string, string | undefined>>;

  constructor(environment: Readonly<Record<string, string | undefined>>) {
    this.#environment = environment;
  }

  /** All that was wrong so far. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  /** Notes that what stands at `field` is not as it must be. */
  wrong(field: string, value: string, expected: string): void {
    this.#problems.push(`${field}: ${value}, expected ${expected}`);
  }

  /** The text of a file; empty if it cannot be read. */
  text(field: string, path: string, expected: string, most = MOST): string {
    try {
      const bytes = readFileSync(path);
      if (bytes.length > most) this.wrong(field, `${path} of ${bytes.length} bytes`, expected);
      else return bytes.toString('utf8');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      this.wrong(field, code === 'ENOENT' ? `no file ${path}` : `${path}: ${code}`, expected);
    }
    return '';
  }

  /** A file of keys or with keys: of those who may read it, not everybody is one. */
  #guarded(field: string, path: string): void {
    if (process.platform === 'win32') return;
    const mode = statSync(path, { throwIfNoEntry: false })?.mode ?? 0;
    if ((mode & 0o007) !== 0) {
      this.wrong(field, `${path}, which everybody may read`, 'a file that others may not read (chmod o=)');
    }
  }

  /** A file that a role takes in once; with keys in it, if it says so. */
  toTakeIn(field: string, path: string, withKeys: boolean): FileToTakeIn {
    if (withKeys) this.#guarded(field, path);
    return { path, text: this.text(field, path, 'a file to take in', MOST_TAKEN_IN) };
  }

  /** A document that somebody else checks. */
  document(field: string, path: string, withKeys: boolean): unknown {
    if (withKeys) this.#guarded(field, path);
    return this.#json(field, path, z.unknown(), 'a JSON document');
  }

  /** A secret without the line end that files have; empty if there is none. */
  secret(field: string, place: SecretPlace, expected: string): string {
    if ('file' in place && place.file !== undefined) {
      this.#guarded(`${field}.file`, place.file);
      return this.text(`${field}.file`, place.file, expected).replace(/\r?\n$/, '');
    }
    const { environment } = place as { environment: string };
    const value = this.#environment[environment];
    if (value === undefined || value === '') {
      this.wrong(`${field}.environment`, `${environment} is not set`, expected);
      return '';
    }
    return value;
  }

  /** A password of SMPP. */
  password(field: string, place: SecretPlace): string {
    const expected = 'a password of 1 to 8 ASCII characters';
    const before = this.#problems.length;
    const value = this.secret(field, place, expected);
    if (this.#problems.length === before && !/^[\x21-\x7e]{1,8}$/.test(value)) {
      this.wrong(field, `${value.length} characters`, expected);
    }
    return value;
  }

  /** A secret in hexadecimal digits. @returns zeros if it is none, never used then */
  bytes(field: string, place: SecretPlace, ...lengths: number[]): Uint8Array {
    const expected = `${lengths.join(' or ')} bytes in hexadecimal digits`;
    const before = this.#problems.length;
    const text = this.secret(field, place, expected);
    if (this.#problems.length === before) {
      if (/^[0-9a-f]*$/i.test(text) && lengths.some((length) => text.length === 2 * length)) {
        return fromHex(text.toLowerCase(), field);
      }
      this.wrong(field, `${text.length} characters`, expected);
    }
    return new Uint8Array(lengths[0]!);
  }

  /** A private key in PEM. */
  privateKey(field: string, path: string, kind: 'ed25519' | 'P-256'): string {
    const expected = `a private key on ${kind}, PKCS#8 PEM`;
    this.#guarded(field, path);
    const text = this.text(field, path, expected);
    if (text !== '') {
      try {
        if (!isKind(createPrivateKey(text), kind)) this.wrong(field, 'a key of another kind', expected);
      } catch {
        this.wrong(field, `${text.length} characters`, expected);
      }
    }
    return text;
  }

  /** A public key on P-256 in PEM. @returns the point, 65 bytes */
  point(field: string, path: string): Uint8Array {
    const expected = 'a public key on P-256, PEM';
    const text = this.text(field, path, expected);
    if (text === '') return new Uint8Array(65);
    try {
      if (text.includes('PRIVATE')) throw new Error('private');
      const key = createPublicKey(text);
      if (isKind(key, 'P-256')) {
        return new Uint8Array(key.export({ type: 'spki', format: 'der' }).subarray(-65));
      }
      this.wrong(field, 'a key of another kind', expected);
    } catch {
      this.wrong(field, `${text.length} characters`, expected);
    }
    return new Uint8Array(65);
  }

  /** A document that is checked; undefined if it is not as it must be. */
  #json<Value>(field: string, path: string, schema: z.ZodType<Value>, expected: string): Value | undefined {
    const text = this.text(field, path, expected);
    if (text === '') return undefined;
    let document: unknown;
    try {
      document = JSON.parse(text);
    } catch {
      this.wrong(field, `${path}: no JSON`, expected);
      return undefined;
    }
    const checked = schema.safeParse(document);
    if (checked.success) return checked.data;
    for (const { path: inside } of checked.error.issues) {
      this.wrong(
        field,
        `${path}: ${inside.map(String).join('.') || 'the document'} is not as it must be`,
        expected,
      );
    }
    return undefined;
  }

  /** The public key of a vault. */
  jwk(field: string, path: string): JWK {
    return this.#json(field, path, p256Schema, 'a public key on P-256, JWK') ?? {};
  }

  ring(field: string, path: string): KeyRing {
    const expected =
      'a key ring: names, each with role, key (Ed25519, public, JWK) and, of a manufacturer, iccids';
    return this.#json(field, path, ringSchema, expected) ?? {};
  }

  /**
   * Who this process is to others.
   * @param parties what its certificate must say: `urn:rehome:operator:A`
   * @param now milliseconds since 1970 on the wall clock, by which certificates are judged
   */
  tls(
    paths: { certificate: string; key: string; authorities: string; crl?: string | undefined },
    parties: readonly string[],
    now: number,
  ): TlsFiles {
    const certificate = this.#certificates('tls.certificate', paths.certificate);
    const authorities = this.#certificates('tls.authorities', paths.authorities);
    this.#guarded('tls.key', paths.key);
    const key = this.text('tls.key', paths.key, 'a private key, PEM');
    const own = certificate.all[0];
    if (own && key !== '') this.#belongs(own, key);
    if (own) {
      const { subjectAltName = '', validFrom, validTo } = own;
      for (const party of parties) {
        // Node quotes names that it could not tell apart otherwise.
        if (
          !subjectAltName.split(', ').some((each) => each === `URI:${party}` || each === `URI:"${party}"`)
        ) {
          this.wrong(
            'tls.certificate',
            `names ${subjectAltName || 'nobody'}`,
            `that it names URI:${party} too`,
          );
        }
      }
      if (Date.parse(validFrom) > now)
        this.wrong('tls.certificate', `counts from ${validFrom} on`, 'one that counts now');
      if (Date.parse(validTo) <= now)
        this.wrong('tls.certificate', `counted until ${validTo}`, 'one that counts now');
      const above = [...certificate.all.slice(1), ...authorities.all];
      if (
        authorities.all.length > 0 &&
        !above.some((each) => own.checkIssued(each) && own.verify(each.publicKey))
      ) {
        this.wrong(
          'tls.certificate',
          `issued by ${own.issuer}`,
          'one that an authority of tls.authorities has issued',
        );
      }
    }
    return {
      certificate: certificate.text,
      key,
      authorities: authorities.text,
      notAfter: own ? Date.parse(own.validTo) : 0,
      revocations: paths.crl === undefined ? undefined : this.#revocations(paths.crl, authorities.text),
    };
  }

  #belongs(own: X509Certificate, key: string): void {
    try {
      if (!own.checkPrivateKey(createPrivateKey(key))) {
        this.wrong('tls.key', 'another key', 'the key of tls.certificate');
      }
    } catch {
      this.wrong('tls.key', `${key.length} characters`, 'a private key, PEM');
    }
  }

  #certificates(field: string, path: string): { text: string; all: X509Certificate[] } {
    const text = this.text(field, path, 'certificates in PEM');
    if (text === '') return { text, all: [] };
    try {
      return { text, all: certificatesOf(field, text) };
    } catch (error) {
      this.#problems.push((error as Error).message);
      return { text, all: [] };
    }
  }

  #revocations(path: string, authorities: string): Revocations | undefined {
    const text = this.text('tls.crl', path, 'a list of revoked certificates, PEM');
    if (text === '' || authorities === '') return undefined;
    try {
      return readRevocations(text, authorities, 'tls.crl');
    } catch (error) {
      this.#problems.push((error as Error).message);
      return undefined;
    }
  }
}

function isKind(key: KeyObject, kind: 'ed25519' | 'P-256'): boolean {
  return kind === 'ed25519'
    ? key.asymmetricKeyType === 'ed25519'
    : key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1';
}
