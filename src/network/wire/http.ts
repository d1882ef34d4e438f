/**
 * How roles ask each other: JSON over HTTP on sockets of the edge. A request is checked by its schema before
 * a role sees it; what is wrong comes back as an RFC 9457 problem that names path, value and expectation.
 */
import {
  Agent,
  type AgentOptions,
  createServer,
  request as httpRequest,
  type ClientRequest,
} from 'node:http';
import type { Duplex } from 'node:stream';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { Edge, Endpoint } from '../../edge/index.ts';

/** Largest request body a role accepts, in bytes. */
const MAX_BODY = 4 << 20;
/** How long a server that closes waits for what is under way, in milliseconds. */
const LAST_ANSWERS = 10_000;

/** A refusal a role words for its caller; travels as application/problem+json. */
export class Problem extends Error {
  readonly status: number;
  /** short and stable, for programs: `index-exhausted` */
  readonly code: string;

  constructor(status: number, code: string, detail: string) {
    super(detail);
    this.name = 'Problem';
    this.status = status;
    this.code = code;
  }
}

export interface RouteRequest<Body> {
  params: Record<string, string>;
  query: Record<string, string>;
  body: Body;
  /** settles when the caller hung up or the server closes: a long poll ends */
  gone(): Promise<void>;
}

export interface Route {
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  body: z.ZodType | undefined;
  handle(request: RouteRequest<unknown>): unknown;
}

/** A route whose body is checked by `schema` first. */
export function post<Body>(
  path: string,
  schema: z.ZodType<Body>,
  handle: (request: RouteRequest<Body>) => unknown,
): Route {
  return { method: 'POST', path, body: schema, handle: (request) => handle(request as RouteRequest<Body>) };
}

export function get(path: string, handle: (request: RouteRequest<undefined>) => unknown): Route {
  return {
    method: 'GET',
    path,
    body: undefined,
    handle: (request) => handle(request as RouteRequest<undefined>),
  };
}

/** Names the first field that a schema refused: path, and what was expected; never the value. */
export function firstIssue(error: z.ZodError): string {
  const issue = error.issues[0];
  return issue ? `${issue.path.join('.') || 'body'}: ${issue.message}` : 'body: not as expected';
}

export interface ApiServer {
  readonly endpoint: Endpoint;
  close(): Promise<void>;
}

/** Handles a request, told to who measures, and answers. */
function observed(
  { observer }: Edge,
  path: string,
  handle: (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>,
): (request: FastifyRequest, reply: FastifyReply) => Promise<unknown> {
  return async (request, reply) => {
    const { method, body, headers } = request;
    const traceparent = typeof headers.traceparent === 'string' ? headers.traceparent : undefined;
    const answer = observer
      ? await observer.served({ method, path, body, traceparent }, () => handle(request, reply))
      : await handle(request, reply);
    return reply.send(answer ?? {});
  };
}

/** Serves `routes` at `at`. A handler's Problem becomes its status; any other error a 500 without detail. */
export async function serveApi(
  edge: Edge,
  at: Endpoint,
  routes: readonly Route[],
  onError: (error: unknown) => void = () => undefined,
): Promise<ApiServer> {
  let closing: () => void = () => undefined;
  const closed = new Promise<void>((resolve) => {
    closing = resolve;
  });
  const server = createServer({
    keepAliveTimeout: 0,
    requestTimeout: 0,
    connectionsCheckingInterval: 1 << 30,
  });
  const api: FastifyInstance = Fastify({
    serverFactory: (handler) => server.on('request', handler),
    bodyLimit: MAX_BODY,
    forceCloseConnections: true,
  });
  let underWay = 0;
  let idle: () => void = () => undefined;
  api.addHook('onRequest', (_request, reply, next) => {
    underWay++;
    reply.raw.once('close', () => {
      if (--underWay === 0) idle();
    });
    next();
  });
  for (const route of routes) {
    api.route({
      method: route.method,
      url: route.path,
      handler: observed(edge, route.path, async (request, reply) => {
        let body: unknown = undefined;
        if (route.body) {
          const checked = route.body.safeParse(request.body);
          if (!checked.success) throw new Problem(400, 'bad-request', firstIssue(checked.error));
          body = checked.data;
        }
        return route.handle({
          params: request.params as Record<string, string>,
          query: request.query as Record<string, string>,
          body,
          gone: () =>
            Promise.race([closed, new Promise<void>((resolve) => reply.raw.once('close', () => resolve()))]),
        });
      }),
    });
  }
  api.setErrorHandler(async (error: unknown, _request, reply) => {
    const problem =
      error instanceof Problem
        ? { status: error.status, code: error.code, detail: error.message }
        : (error as { statusCode?: number }).statusCode && (error as { statusCode: number }).statusCode < 500
          ? {
              status: (error as { statusCode: number }).statusCode,
              code: 'bad-request',
              detail: 'unreadable request',
            }
          : { status: 500, code: 'internal', detail: 'the role failed; its log says why' };
    if (problem.status === 500) onError(error);
    await reply
      .status(problem.status)
      .type('application/problem+json')
      .send({ type: `urn:rehome:${problem.code}`, title: problem.code, ...problem });
  });
  await api.ready();
  const listener = await edge.sockets.listen('http', at, (socket) => server.emit('connection', socket));
  return {
    endpoint: listener.endpoint,
    close: async () => {
      closing();
      if (underWay > 0) {
        await new Promise<void>((resolve) => {
          const timer = edge.clock.after(LAST_ANSWERS, resolve);
          idle = () => {
            timer.cancel();
            resolve();
          };
        });
      }
      await listener.close();
      await api.close();
    },
  };
}

export interface RoleCaller {
  /** @throws Problem as the role answered, or with status 503 where it did not answer */
  call(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<unknown>;
  /** The same on a connection of its own: a long poll. */
  wait(path: string): Promise<unknown>;
  close(): void;
}

/** A caller of the role at `to`, with a few connections kept open. */
export function callRole(edge: Edge, to: Endpoint): RoleCaller {
  const agentOf = (service: 'http' | 'feed', options: AgentOptions): Agent => {
    const agent = new Agent({ keepAlive: true, ...options });
    agent.createConnection = (): Duplex => edge.sockets.connect(service, to);
    return agent;
  };
  const agent = agentOf('http', { maxSockets: 4 });
  // A long poll occupies its connection: it has one of its own.
  const waitingAgent = agentOf('feed', {});
  const waiting = new Set<ClientRequest>();
  const ask = (method: string, path: string, body: unknown, long: boolean): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
      const told = edge.observer?.made({ method, path, body, to });
      const request = httpRequest(
        {
          agent: long ? waitingAgent : agent,
          host: to.host,
          port: to.port,
          method,
          path,
          headers: {
            ...told?.headers,
            ...(text && { 'content-type': 'application/json', 'content-length': text.length }),
          },
        },
        (response) => {
          const parts: Buffer[] = [];
          response.on('data', (part: Buffer) => parts.push(part));
          response.on('error', (error) => {
            told?.ended(0);
            reject(new Problem(503, 'unreachable', error.message));
          });
          response.on('end', () => {
            waiting.delete(request);
            told?.ended(response.statusCode ?? 500);
            try {
              const answer = JSON.parse(Buffer.concat(parts).toString('utf8')) as Record<string, unknown>;
              const status = response.statusCode ?? 500;
              if (status < 300) resolve(answer);
              else
                reject(
                  new Problem(status, String(answer.code ?? status), String(answer.detail ?? 'refused')),
                );
            } catch {
              reject(new Problem(502, 'bad-answer', `${method} ${path}: the answer is not JSON`));
            }
          });
        },
      );
      waiting.add(request);
      request.on('error', (error: NodeJS.ErrnoException) => {
        waiting.delete(request);
        told?.ended(0);
        reject(new Problem(503, 'unreachable', `${method} ${path}: ${error.code ?? error.message}`));
      });
      request.end(text);
    });
  return {
    call: (method, path, body) => ask(method, path, body, false),
    wait: (path) => ask('GET', path, undefined, true),
    close: () => {
      for (const request of waiting) request.destroy();
      agent.destroy();
      waitingAgent.destroy();
    },
  };
}
