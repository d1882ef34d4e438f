/** Runs roles of a configuration in this process, until it is told to stop. */
import { statSync } from 'node:fs';
import type { Edge, Endpoint } from '../edge/index.ts';
import { realClock, realDisk, realEdge } from '../edge/real.ts';
import { formatParty, type PartyRole } from '../network/wire/party.ts';
import { readRevocations } from '../network/wire/revocations.ts';
import { ConfigError, type ReadConfig } from './config/read.ts';
import type { ServedRole } from './config/schema.ts';
import { Files, type TlsFiles } from './files.ts';
import { createLog, whyOf, type Log } from './log.ts';
import { createManagement, type Watched } from './management.ts';
import { createMetrics, type Metrics } from './metrics.ts';
import { createObserver } from './observe.ts';
import { prepareOperator } from './roles/operator.ts';
import { prepareEscrow, prepareManufacturer, prepareOtaAgent, prepareVisited } from './roles/others.ts';
import { prepareOwner } from './roles/owner.ts';
import type { Start } from './roles/role.ts';
import { createTelemetry } from './telemetry.ts';
import { scaledClock } from './time.ts';

/** How often the list of revoked certificates is looked at, in milliseconds. */
const LOOK = 10_000;

export interface ServeOptions {
  environment: Readonly<Record<string, string | undefined>>;
  /** takes a line of the log; standard error if not given */
  write?: (line: string) => void;
}

/** HOST:PORT of what listens, by role and then by what for. */
export type Listening = Record<string, Record<string, string>>;

export interface Serving {
  listening: Listening;
  log: Log;
  /** Stops listening, finishes what is under way, closes databases. */
  stop(): Promise<void>;
}

const shown = ({ host, port }: Endpoint): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

/** Who says what a role is made of. Supplier and regulator get their lines here. */
const PREPARE: { [Role in ServedRole]: (read: ReadConfig, files: Files) => Start } = {
  operator: ({ config }, files) => prepareOperator(config.operator!, config.organisation, files),
  visited: ({ config }) => prepareVisited(config.visited!),
  escrow: ({ config }, files) => prepareEscrow(config.escrow!, config.organisation, files),
  manufacturer: ({ config }, files) => prepareManufacturer(config.manufacturer!, config.organisation, files),
  'ota-agent': ({ config }, files) => prepareOtaAgent(config['ota-agent']!, config.organisation, files),
  owner: ({ config }, files) => prepareOwner(config.owner!, config.organisation, files),
};

/** Everything that a configuration names, read and found right. */
export interface PreparedConfig {
  starts: Map<ServedRole, Start>;
  databases: readonly string[];
  ring: ReturnType<Files['ring']>;
  tls: TlsFiles;
}

/** Reads all files of a configuration. @throws ConfigError with all that is wrong with them */
export function prepareConfig(read: ReadConfig, environment: ServeOptions['environment']): PreparedConfig {
  const files = new Files(environment);
  const { organisation, tls: paths, parties } = read.config;
  const named = read.roles.map((role) => formatParty({ role: role as PartyRole, organisation }));
  const prepared = {
    tls: files.tls(paths, named, Date.now()),
    ring: files.ring('parties', parties),
    starts: new Map(read.roles.map((role) => [role, PREPARE[role](read, files)])),
    databases: [...files.databases],
  };
  if (files.problems.length > 0) throw new ConfigError(read.path, files.problems);
  return prepared;
}

/** Follows the list of revoked certificates as its file changes. */
function followRevocations(
  path: string | undefined,
  tls: TlsFiles,
  log: Log,
  metrics: Metrics,
  closing: (() => unknown)[],
): void {
  if (path === undefined) return;
  let known = statSync(path).mtimeMs;
  let late = false;
  let timer = realClock.after(LOOK, look);
  closing.push(() => timer.cancel());
  metrics.gauge('crl', '', () => (tls.revocations?.nextUpdate ?? 0) / 1000);
  function look(): void {
    try {
      const { mtimeMs } = statSync(path!);
      if (mtimeMs !== known) {
        tls.revocations = readRevocations(realDisk.read(path!), tls.authorities, 'tls.crl');
        known = mtimeMs;
        late = false;
        log.info('revoked certificates read', { path: path! });
      }
    } catch (error) {
      // The one before is kept: better than none.
      log.error('cannot read revoked certificates', { path: path!, why: whyOf(error) });
    }
    const until = tls.revocations?.nextUpdate;
    if (!late && until !== undefined && until < Date.now()) {
      late = true;
      log.warn('the list of revoked certificates is too old', {
        path: path!,
        until: new Date(until).toISOString(),
      });
    }
    timer = realClock.after(LOOK, look);
  }
}

/**
 * Serves the roles of a configuration.
 * @throws ConfigError before anything has started; Error in one line if a port or a database cannot be had
 */
export async function serve(read: ReadConfig, options: ServeOptions): Promise<Serving> {
  const { config } = read;
  const { starts, ring, tls, databases } = prepareConfig(read, options.environment);
  const log = createLog(config.log?.level ?? 'info', config.organisation, options.write);
  const metrics = createMetrics();
  const { time } = config;
  const clock = time
    ? scaledClock({
        scale: time.scale,
        from: { virtual: Date.parse(time.from.virtual), wall: Date.parse(time.from.wall) },
      })
    : realClock;
  const telemetry = await createTelemetry(
    config.telemetry?.endpoint,
    config.organisation,
    `${read.roles.join('+')} ${process.pid}`,
  );
  const closing: (() => unknown)[] = [() => telemetry.close()];
  let stopping = false;
  const close = async (): Promise<void> => {
    stopping = true;
    let first: unknown;
    for (const end of closing.splice(0).reverse()) {
      try {
        await end();
      } catch (error) {
        first ??= error;
      }
    }
    if (first !== undefined) throw first;
  };
  try {
    for (const database of databases) {
      const hold = realDisk.hold(database);
      closing.push(() => hold.release());
    }
    metrics.gauge('certificate', '', () => tls.notAfter / 1000);
    followRevocations(config.tls.crl, tls, log, metrics, closing);
    const listening: Listening = {};
    const watched: Watched[] = [];
    for (const [role, start] of starts) {
      const peers = new Map<string, string>();
      const observer = createObserver({
        role,
        peerAt: (to) => peers.get(shown(to)) ?? 'itself',
        log,
        metrics,
        telemetry,
      });
      const edge: Edge = { ...realEdge, clock, observer };
      const served = await start({
        edge,
        organisation: config.organisation,
        ring,
        closing,
        tookIn: (path) => log.info('taken in', { role, path }),
        onError: (error) => log.error('unexpected', { role, why: whyOf(error) }),
        progress: ({ change, device, alternative, step, outcome, next, state, why }) => {
          metrics.stepped({ alternative, step, outcome });
          if (state !== undefined) metrics.ended(alternative, state);
          log.info('step', {
            role,
            change,
            device,
            alternative,
            step,
            outcome,
            next,
            ...(state !== undefined && { state }),
            ...(why !== undefined && { why }),
          });
        },
      });
      const endpoints = Object.entries(served.endpoints).flatMap(([what, at]): [string, string][] =>
        at ? [[what, shown(at)]] : [],
      );
      listening[role] = Object.fromEntries(endpoints);
      watched.push({ role, ...served });
      for (const [name, at] of Object.entries(served.peers)) peers.set(shown(at), name);
      for (const [name, value] of Object.entries(served.gauges ?? {}))
        metrics.gauge(name as 'live', role, value);
      log.info('serving', { role, listen: listening[role] });
    }
    if (config.management) {
      const management = await createManagement(
        realEdge,
        config.management.listen,
        watched,
        () => metrics.text(),
        () => stopping,
      );
      // Last to go: who looks while it stops is told so.
      closing.unshift(() => management.close());
      listening.management = { http: shown(management.endpoint) };
    }
    return { listening, log, stop: close };
  } catch (error) {
    await close().catch(() => undefined);
    throw error;
  }
}
