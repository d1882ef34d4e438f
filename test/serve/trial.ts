/** A trial of several organisations on this machine: certificates, keys, a key ring, and processes of `rehome serve`. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { issueRevocations, type Issued } from '../../src/ca/authority.ts';
import { realDisk, realRandom } from '../../src/edge/real.ts';
import { parseConfig } from '../../src/serve/config/read.ts';
import { makeKeys, type PublicKeys } from '../../src/serve/keys.ts';
import { issue, newAuthority } from '../ca/identities.ts';
import { REHOME } from '../cli/rehome.ts';

export interface Outcome {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A line of a process's log. */
export type Line = Record<string, unknown> & { level: string; msg: string };

export interface Running {
  readonly child: ChildProcess;
  /** what it printed on standard output */
  out(): string;
  err(): string;
  log(): Line[];
  /** HOST:PORT of what listens, by role and what for; rejects if it ends before it is ready */
  ready: Promise<Record<string, Record<string, string>>>;
  ended: Promise<Outcome>;
}

/** @param words after `rehome serve` */
export function serve(cwd: string, words: readonly string[], environment: NodeJS.ProcessEnv = {}): Running {
  const child = spawn(REHOME, ['serve', ...words], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  });
  let [out, err] = ['', ''];
  let seen: () => void = () => undefined;
  const line = new Promise<void>((resolve) => (seen = resolve));
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
    if (out.includes('\n')) seen();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  const ended = new Promise<Outcome>((resolve) =>
    child.once('close', (code, signal) => resolve({ code, signal })),
  );
  const ready = Promise.race([
    line,
    ended.then(() => {
      throw new Error(`it ended: ${err}`);
    }),
  ]).then(() => JSON.parse(/^ready (.*)$/m.exec(out)![1]!) as Record<string, Record<string, string>>);
  ready.catch(() => undefined);
  return {
    child,
    out: () => out,
    err: () => err,
    log: () =>
      err
        .split('\n')
        .filter((each) => each.startsWith('{'))
        .map((each) => JSON.parse(each) as Line),
    ready,
    ended,
  };
}

export interface Trial {
  readonly folder: string;
  readonly authority: ReturnType<typeof newAuthority>;
  /**
   * Writes `<organisation>.yaml` and what it needs but the key ring and the keys of others.
   * @param parties as `operator:A`; the first organisation is whose configuration it is
   */
  organisation(
    parties: string[],
    sections: string,
    hosts?: string[],
  ): { file: string; keys: PublicKeys; identity: Issued };
  /** Writes the key ring of all organisations so far, and the vaults of operators as `<name>.vault.jwk`. */
  introduce(iccids?: Record<string, string[]>): void;
  serve(words: readonly string[], environment?: NodeJS.ProcessEnv): Running;
  /** Writes a file that its owner alone may read. */
  put(name: string, text: string): void;
  /** Ends every process that still runs, and removes everything. */
  end(): Promise<void>;
}

export function newTrial(): Trial {
  const folder = mkdtempSync(join(tmpdir(), 'rehome-serve-'));
  const authority = newAuthority();
  const all = new Map<string, PublicKeys>();
  const running: Running[] = [];
  const put = (name: string, text: string): void => writeFileSync(join(folder, name), text, { mode: 0o600 });
  put('ca.pem', authority.certificate);
  put('ca.crl', issueRevocations(authority, { number: 1, revoked: [], now: Date.now() }).list);
  return {
    folder,
    authority,
    organisation(parties, sections, hosts = ['localhost', '127.0.0.1']) {
      const organisation = parties[0]!.split(':')[1]!;
      const identity = issue(authority, parties, { hosts });
      put(`${organisation}.pem`, identity.certificate);
      put(`${organisation}.key`, identity.key);
      const text = `organisation: ${organisation}
tls: {certificate: ${organisation}.pem, key: ${organisation}.key, authorities: ca.pem, crl: ca.crl}
parties: parties.json
management: {listen: 0}
${sections}
`;
      const file = join(folder, `${organisation}.yaml`);
      put(`${organisation}.yaml`, text);
      const keys = makeKeys(parseConfig(text, file), realDisk, realRandom);
      all.set(organisation, keys);
      return { file, keys, identity };
    },
    introduce(iccids = {}) {
      const ring: Record<string, unknown> = {};
      for (const [name, { parties, vaults }] of all) {
        for (const [who, party] of Object.entries(parties)) {
          ring[who] = { ...party, ...(iccids[who] && { iccids: iccids[who] }) };
        }
        for (const jwk of Object.values(vaults)) put(`${name}.vault.jwk`, JSON.stringify(jwk));
      }
      put('parties.json', JSON.stringify(ring));
    },
    serve(words, environment) {
      const process = serve(folder, words, environment);
      running.push(process);
      return process;
    },
    put,
    async end() {
      for (const { child, ended } of running) {
        if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
        await ended;
      }
      rmSync(folder, { recursive: true });
    },
  };
}

/** The vault of a role in software, its files named after somebody. */
export const vaultOf = (name: string): string =>
  `{software: {keyEncryptionKey: {file: ${name}.kek}, transportKey: ${name}.transport.pem}}`;

/** The section of an operator. */
export const operatorSection = (
  name: string,
  digit: number,
  at: { escrow: string; owner: string; others: string[]; extra?: string },
): string => `operator:
  profile:
    plmn: '0010${digit}'
    msisdnPrefix: '9990${digit}'
    serviceCentre: '9990${digit}99000001'
    otaAddress: '9990${digit}99000002'
    apn: m2m.test
    serviceProviderName: Operator ${name}
    algorithms: [milenage]
  database: ${name}.db
  vault: ${vaultOf(name)}
  signingKey: ${name}.signing.pem
  listen: {api: 0, hss: 0, smsc: 0, scef: 0, smpp: 0}
  escrow: {name: E, at: '${at.escrow}'}
  owner: {at: '${at.owner}'}
  operators: {${at.others.map((other) => `${other}: {vault: ${other}.vault.jwk}`).join(', ')}}
  otaPassword: {file: ${name}.ota}
${at.extra ?? ''}`;

export const escrowSection = (operators: string[]): string => `escrow:
  database: escrow.db
  vault: ${vaultOf('escrow')}
  listen: {api: 0}
  operators: {${operators.map((name) => `${name}: {vault: ${name}.vault.jwk}`).join(', ')}}
`;
