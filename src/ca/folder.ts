/**
 * An authority's folder: `ca.key`, `ca.pem`, `ca.crl`, and `index.json`, which says what it has issued and revoked.
 * What is revoked is written into the index first: cut off there, the list has it when it is revoked once more.
 */
import type { X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { FolderDisk, Random } from '../edge/index.ts';
import { certificatesOf, readRevocations } from '../network/wire/revocations.ts';
import { formatParty, type Party } from '../network/wire/party.ts';
import { FieldError } from '../standards/bytes/index.ts';
import {
  createAuthority,
  issueCertificate,
  issueRevocations,
  openAuthority,
  type Authority,
} from './authority.ts';

const entrySchema = z.strictObject({
  /** hexadecimal */
  serial: z.string().regex(/^[0-9a-f]+$/),
  parties: z.array(z.string()),
  hosts: z.array(z.string()),
  /** milliseconds since 1970 */
  notBefore: z.number(),
  notAfter: z.number(),
  revokedAt: z.number().optional(),
});
export type IndexEntry = z.infer<typeof entrySchema>;

const indexSchema = z.strictObject({
  /** of the newest list of revoked certificates */
  number: z.number().int().min(1),
  certificates: z.array(entrySchema),
});
type Index = z.infer<typeof indexSchema>;

export interface AuthorityFolder {
  /**
   * Issues a certificate into `<out>.pem` and its key into `<out>.key`, which only its owner may read.
   * @throws FieldError if either is there already
   */
  issue(options: {
    out: string;
    parties: readonly Party[];
    hosts?: readonly string[];
    days?: number;
  }): IndexEntry;
  /** Revokes a certificate (PEM). @returns whether it was not revoked before */
  revoke(certificate: string, days?: number): boolean;
  /** Signs the list anew. @returns until when it counts, milliseconds since 1970 */
  renew(days?: number): number;
  list(): readonly (IndexEntry & { state: 'valid' | 'expired' | 'revoked' })[];
  close(): void;
}

export interface FolderEdge {
  disk: FolderDisk;
  random: Random;
  now: () => number;
}

const pathsOf = (dir: string) => ({
  key: join(dir, 'ca.key'),
  certificate: join(dir, 'ca.pem'),
  list: join(dir, 'ca.crl'),
  index: join(dir, 'index.json'),
});

/** Writes what everybody may read in one go. */
function publish(disk: FolderDisk, path: string, text: string): void {
  const next = `${path}.new`;
  disk.remove(next);
  writeFileSync(next, text, { mode: 0o644, flag: 'wx', flush: true });
  disk.replace(next, path);
}

const writeIndex = (disk: FolderDisk, path: string, index: Index): void =>
  publish(disk, path, `${JSON.stringify(index, undefined, 2)}\n`);

/**
 * Makes an authority in a folder, which is made too if it is not there.
 * @throws FieldError if there is one, or part of one
 */
export function initAuthority(edge: FolderEdge, dir: string, options: { name: string; days?: number }): void {
  const paths = pathsOf(dir);
  for (const path of Object.values(paths)) {
    if (existsSync(path)) throw new FieldError('--dir', `${path} exists`, 'a folder without an authority');
  }
  const now = edge.now();
  const authority = createAuthority({ ...options, random: edge.random, now });
  const { list } = issueRevocations(authority, { number: 1, revoked: [], now });
  mkdirSync(dir, { recursive: true });
  edge.disk.write(paths.key, authority.key);
  publish(edge.disk, paths.certificate, authority.certificate);
  publish(edge.disk, paths.list, list);
  writeIndex(edge.disk, paths.index, { number: 1, certificates: [] });
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new FieldError(
      '--dir',
      code === 'ENOENT' ? `no ${path}` : `${path}: ${code}`,
      'a folder that `rehome ca init` made',
    );
  }
}

function readIndex(path: string): Index {
  let document: unknown;
  try {
    document = JSON.parse(read(path));
  } catch (error) {
    if (error instanceof FieldError) throw error;
    throw new FieldError(path, 'no JSON', 'the index as it was written');
  }
  const checked = indexSchema.safeParse(document);
  if (checked.success) return checked.data;
  throw new FieldError(
    path,
    checked.error.issues[0]!.path.join('.') || 'a document',
    'the index as it was written',
  );
}

/** The certificate that is to be revoked, if it is one of this authority's. */
function ownCertificate(authority: Authority, certificate: string): X509Certificate {
  const x509 = certificatesOf('--certificate', certificate)[0]!;
  if (x509.raw.equals(authority.x509.raw)) {
    throw new FieldError('--certificate', "the authority's own", 'a certificate that it issued');
  }
  if (!x509.checkIssued(authority.x509) || !x509.verify(authority.x509.publicKey)) {
    throw new FieldError('--certificate', `issued by ${x509.issuer}`, `one that this authority issued`);
  }
  return x509;
}

/** Opens an authority's folder; nobody else has it until it is closed. @throws FieldError naming what is wrong */
export function openAuthorityFolder(edge: FolderEdge, dir: string): AuthorityFolder {
  const { disk, random, now } = edge;
  const paths = pathsOf(dir);
  // Before it is held: of a folder that is none nothing is made.
  read(paths.index);
  const hold = disk.hold(paths.index);
  try {
    const authority = openAuthority({ certificate: read(paths.certificate), key: read(paths.key) });
    const index = readIndex(paths.index);
    const sign = (days?: number): number => {
      index.number++;
      writeIndex(disk, paths.index, index);
      const revoked = index.certificates.flatMap(({ serial, revokedAt }) =>
        revokedAt === undefined ? [] : [{ serial, at: revokedAt }],
      );
      const { list, nextUpdate } = issueRevocations(authority, {
        number: index.number,
        revoked,
        now: now(),
        ...(days !== undefined && { days }),
      });
      publish(disk, paths.list, list);
      return nextUpdate;
    };
    return {
      issue({ out, ...options }) {
        const files = { key: `${out}.key`, certificate: `${out}.pem` };
        for (const file of Object.values(files)) {
          if (existsSync(file)) throw new FieldError('--out', `${file} exists`, 'a name that is free');
        }
        const issued = issueCertificate(authority, { ...options, random, now: now() });
        const entry: IndexEntry = {
          serial: issued.serial,
          parties: options.parties.map(formatParty),
          hosts: [...issued.hosts],
          notBefore: issued.notBefore,
          notAfter: issued.notAfter,
        };
        try {
          disk.write(files.key, issued.key);
          writeFileSync(files.certificate, issued.certificate, { mode: 0o644, flag: 'wx', flush: true });
        } catch (error) {
          disk.remove(files.key);
          const { code } = error as NodeJS.ErrnoException;
          throw new FieldError('--out', `${out}: ${code}`, 'files that can be written');
        }
        index.certificates.push(entry);
        writeIndex(disk, paths.index, index);
        return entry;
      },
      revoke(certificate, days) {
        const x509 = ownCertificate(authority, certificate);
        const serial = x509.serialNumber.toLowerCase();
        let entry = index.certificates.find((each) => each.serial === serial);
        if (!entry) {
          // Signed with its key, though its index does not know of it: it counts, so it can be revoked.
          entry = {
            serial,
            parties: x509.subjectAltName?.match(/urn:rehome:[^,\s]+/g) ?? [],
            hosts: [],
            notBefore: Date.parse(x509.validFrom),
            notAfter: Date.parse(x509.validTo),
          };
          index.certificates.push(entry);
        }
        const fresh = entry.revokedAt === undefined;
        entry.revokedAt ??= now();
        const listed =
          existsSync(paths.list) &&
          readRevocations(read(paths.list), authority.certificate, paths.list).isRevoked(x509.raw);
        if (fresh || !listed) sign(days);
        return fresh;
      },
      renew: (days) => sign(days),
      list: () =>
        index.certificates.map((entry) => ({
          ...entry,
          state: entry.revokedAt !== undefined ? 'revoked' : entry.notAfter < now() ? 'expired' : 'valid',
        })),
      close: () => hold.release(),
    };
  } catch (error) {
    hold.release();
    throw error;
  }
}
