/** `rehome ca`: a small certificate authority for trials (docs/ca.md). */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { initAuthority, openAuthorityFolder, type AuthorityFolder, type FolderEdge } from '../ca/folder.ts';
import { realDisk, realRandom } from '../edge/real.ts';
import { PARTY_ROLES, parseParty, type Party } from '../network/wire/party.ts';
import { FieldError } from '../standards/bytes/index.ts';

// Peers judge certificates by the wall clock.
const edge: FolderEdge = { disk: realDisk, random: realRandom, now: () => Date.now() };

function days(text: string): number {
  if (!/^[0-9]{1,5}$/.test(text) || Number(text) < 1) {
    throw new FieldError('--days', JSON.stringify(text), 'a whole number of days from 1');
  }
  return Number(text);
}

/** `operator:Operator A`, which need not be encoded here, or the whole URN. */
function party(text: string, before: readonly Party[] = []): Party[] {
  const [, role = '', organisation = ''] = /^([^:]+):([^]+)$/.exec(text) ?? [];
  // Of spaces alone nothing is left, which no URN has there.
  const named = organisation.trim() === '' ? '' : encodeURIComponent(organisation);
  try {
    return [...before, parseParty(text.startsWith('urn:') ? text : `urn:rehome:${role}:${named}`)];
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    throw new FieldError(
      '--party',
      JSON.stringify(text),
      `ROLE:ORGANISATION, the role of ${PARTY_ROLES.join(', ')}`,
    );
  }
}

const hosts = (text: string): string[] => text.split(',').map((each) => each.trim());

/** Names the option that an error is about. */
function inOptions<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof FieldError) || !['name', 'days', 'party', 'host'].includes(error.field))
      throw error;
    throw new FieldError(`--${error.field}`, error.value, error.expected);
  }
}

function within<T>(dir: string, run: (folder: AuthorityFolder) => T): T {
  const folder = openAuthorityFolder(edge, dir);
  try {
    return inOptions(() => run(folder));
  } finally {
    folder.close();
  }
}

const day = (at: number): string => new Date(at).toISOString().slice(0, 19) + 'Z';

function readCertificate(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new FieldError(
      '--certificate',
      code === 'ENOENT' ? `no ${path}` : `${path}: ${code}`,
      'a file in PEM',
    );
  }
}

export function caCommand(): Command {
  const ca = new Command('ca').description('a small certificate authority for trials');
  ca.command('init')
    .description('makes an authority: ca.key, ca.pem, ca.crl and index.json')
    .requiredOption('--dir <folder>', 'where; made if it is not there')
    .requiredOption('--name <text>', "the authority's name")
    .option('--days <n>', 'how long it counts; ten years if not given', days)
    .action(({ dir, ...options }: { dir: string; name: string; days?: number }) => {
      inOptions(() => initAuthority(edge, dir, options));
      console.log(`${dir}/ca.pem is what peers are to trust; ${dir}/ca.key is the authority itself`);
    });
  ca.command('issue')
    .description('issues a certificate of a process and its key: <prefix>.pem and <prefix>.key')
    .requiredOption('--dir <folder>', "the authority's folder")
    .requiredOption('--party <role:organisation>', 'what it is; may be given several times', party)
    .option(
      '--host <names>',
      'names and addresses at which it is reached; localhost,127.0.0.1 if not given',
      hosts,
    )
    .option('--days <n>', 'how long it counts; a year if not given', days)
    .requiredOption('--out <prefix>', 'where to write it')
    .action((options: { dir: string; party: Party[]; host?: string[]; days?: number; out: string }) => {
      const { dir, out, party: parties, host, days: life } = options;
      const entry = within(dir, (folder) =>
        folder.issue({
          out,
          parties,
          ...(host && { hosts: host }),
          ...(life !== undefined && { days: life }),
        }),
      );
      console.log(
        `${out}.pem: ${entry.parties.join(', ')}, until ${day(entry.notAfter)}, serial ${entry.serial}`,
      );
    });
  ca.command('revoke')
    .description('puts a certificate into the list of those that count no more, ca.crl')
    .requiredOption('--dir <folder>', "the authority's folder")
    .requiredOption('--certificate <file>', 'the certificate, PEM')
    .option('--days <n>', 'until when the next list must be there; 30 if not given', days)
    .action((options: { dir: string; certificate: string; days?: number }) => {
      const certificate = readCertificate(options.certificate);
      const fresh = within(options.dir, (folder) => folder.revoke(certificate, options.days));
      console.log(fresh ? `revoked; peers need the new ${options.dir}/ca.crl` : 'was revoked already');
    });
  ca.command('crl')
    .description('signs ca.crl anew, so that it counts longer')
    .requiredOption('--dir <folder>', "the authority's folder")
    .option('--days <n>', 'until when the next list must be there; 30 if not given', days)
    .action((options: { dir: string; days?: number }) => {
      const until = within(options.dir, (folder) => folder.renew(options.days));
      console.log(`${options.dir}/ca.crl counts until ${day(until)}`);
    });
  ca.command('list')
    .description('what was issued')
    .requiredOption('--dir <folder>', "the authority's folder")
    .option('--json', 'as one JSON document')
    .action((options: { dir: string; json?: true }) => {
      const all = within(options.dir, (folder) => folder.list());
      if (options.json) {
        const certificates = all.map(({ notBefore, notAfter, revokedAt, ...entry }) => ({
          ...entry,
          notBefore: day(notBefore),
          notAfter: day(notAfter),
          ...(revokedAt !== undefined && { revokedAt: day(revokedAt) }),
        }));
        console.log(JSON.stringify({ certificates }));
        return;
      }
      for (const { serial, state, parties, notAfter } of all) {
        console.log(`${serial}  ${state.padEnd(7)}  ${day(notAfter)}  ${parties.join(', ')}`);
      }
    });
  return ca;
}
