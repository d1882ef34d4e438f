/** For who runs the process: is it alive, is it ready, what has it done; plain HTTP, and no question who asks. */
import { createServer, type ServerResponse } from 'node:http';
import { DatabaseSync } from 'node:sqlite';
import type { Edge, Endpoint } from '../edge/index.ts';

/** How long a peer may take to be connected to, and how long that counts, in milliseconds. */
const CONNECT = 1_000;
const REMEMBER = 5_000;

export interface Watched {
  role: string;
  databases: readonly string[];
  peers: Record<string, Endpoint>;
}

export interface Readiness {
  ready: boolean;
  roles: Record<string, { databases: 'open' | string; peers: Record<string, 'reached' | 'not reached'> }>;
}

function unreadable(path: string): string | undefined {
  try {
    const database = new DatabaseSync(path, { readOnly: true });
    try {
      database.prepare('SELECT count(*) FROM sqlite_schema').get();
      return undefined;
    } finally {
      database.close();
    }
  } catch (error) {
    return `${path}: ${(error as Error).message}`;
  }
}

/** Whether somebody takes connections there. */
function isReached(edge: Edge, at: Endpoint): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = edge.sockets.connect('http', at);
    const timer = edge.clock.after(CONNECT, () => end(false));
    const end = (reached: boolean): void => {
      timer.cancel();
      socket.destroy();
      resolve(reached);
    };
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
  });
}

export interface Management {
  endpoint: Endpoint;
  close(): Promise<void>;
}

/**
 * Serves /healthz, /readyz and /metrics.
 * @param edge with the machine's own time
 * @param stopping whether the process is about to end: it is alive then, and not ready
 */
export async function createManagement(
  edge: Edge,
  at: Endpoint,
  watched: readonly Watched[],
  metrics: () => Promise<{ type: string; text: string }>,
  stopping: () => boolean,
): Promise<Management> {
  const seen = new Map<string, { at: number; reached: Promise<boolean> }>();
  const reaches = (to: Endpoint): Promise<boolean> => {
    const name = `${to.host} ${to.port}`;
    const last = seen.get(name);
    if (last && edge.clock.now() < last.at + REMEMBER) return last.reached;
    const reached = isReached(edge, to);
    seen.set(name, { at: edge.clock.now(), reached });
    return reached;
  };
  const readiness = async (): Promise<Readiness> => {
    let ready = !stopping();
    const roles: Readiness['roles'] = {};
    for (const { role, databases, peers } of watched) {
      const wrong = databases.map(unreadable).find((each) => each !== undefined);
      if (wrong !== undefined) ready = false;
      const found = await Promise.all(
        Object.entries(peers).map(async ([name, to]) => [
          name,
          (await reaches(to)) ? 'reached' : 'not reached',
        ]),
      );
      roles[role] = {
        databases: wrong ?? 'open',
        peers: Object.fromEntries(found) as Record<string, 'reached'>,
      };
    }
    return { ready, roles };
  };
  const answer = (to: ServerResponse, status: number, type: string, text: string): void => {
    to.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(text);
  };
  const json = (to: ServerResponse, status: number, body: unknown): void =>
    answer(to, status, 'application/json', `${JSON.stringify(body)}\n`);
  const server = createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0];
    const run = async (): Promise<void> => {
      if (request.method !== 'GET') return json(response, 405, { error: 'GET alone' });
      if (path === '/healthz') return json(response, 200, { alive: true });
      if (path === '/readyz') {
        const found = await readiness();
        return json(response, found.ready ? 200 : 503, found);
      }
      if (path === '/metrics') {
        const { type, text } = await metrics();
        return answer(response, 200, type, text);
      }
      return json(response, 404, { error: 'healthz, readyz or metrics' });
    };
    run().catch(() => json(response, 500, { error: 'cannot be measured' }));
  });
  const listener = await edge.sockets.listen('http', at, (socket) => server.emit('connection', socket));
  return { endpoint: listener.endpoint, close: () => listener.close() };
}
