/** Counts, logs and traces what a role does, by the hooks that its edge has. */
import type { Endpoint, Observer } from '../edge/index.ts';
import { Problem } from '../network/wire/http.ts';
import { changesIn, codesIn, type About } from './changes-in.ts';
import type { Log, LogFields } from './log.ts';
import type { Metrics } from './metrics.ts';
import { endSpan, nameChanges, type Telemetry } from './telemetry.ts';

export interface ObserverOptions {
  role: string;
  /** whom it speaks to, by HOST:PORT */
  peerAt(to: Endpoint): string;
  log: Log;
  metrics: Metrics;
  telemetry: Telemetry;
}

/** Readers wait there for what happens: neither a load nor a part of any change's story. */
const FEED = '/events';
/** Codes by which a statement was refused (statements.ts). */
const REFUSED = /^bad-|^not-released$/;

/** A path without what differs from request to request: `/cards` of `/cards/8988…?x`. */
export const purposeOf = (path: string): string => /^\/[\w-]*/.exec(path)?.[0] ?? '/';

/** With what an error of a role is answered. */
const refusalOf = (error: unknown): { status: number; code: string } =>
  error instanceof Problem ? error : { status: 500, code: 'internal' };

const names = (about: readonly About[]): string[] => about.map(({ change }) => change);

export function createObserver({ role, peerAt, log, metrics, telemetry }: ObserverOptions): Observer {
  const lines = (message: string, about: readonly About[], fields: LogFields): void => {
    if (!log.has('info')) return;
    if (about.length === 0) log.debug(message, { role, ...fields });
    for (const { change, code } of about) {
      const why = fields.code ?? code;
      log.info(message, { role, change, ...fields, ...(why !== undefined && { code: why }) });
    }
  };
  return {
    async served({ method, path, body, caller = 'unknown', traceparent }, handle) {
      if (path === FEED) {
        const count = (status: number): void => metrics.served({ role, route: path, status, caller }, 0);
        try {
          const answer = await handle();
          count(200);
          return answer;
        } catch (error) {
          count(refusalOf(error).status);
          throw error;
        }
      }
      const began = performance.now();
      const attributes = { 'http.request.method': method, 'http.route': path, 'rehome.caller': caller };
      return telemetry.served({ role, name: `${method} ${path}`, attributes, traceparent }, async (span) => {
        const ended = (status: number, about: readonly About[], code?: string): void => {
          const milliseconds = performance.now() - began;
          metrics.served({ role, route: path, status, caller }, milliseconds / 1000);
          const { traceId } = span.spanContext();
          lines('request', about, {
            method,
            route: path,
            status,
            caller,
            milliseconds: Math.round(milliseconds),
            ...(code !== undefined && { code }),
            ...(span.isRecording() && { trace: traceId }),
          });
          nameChanges(span, names(about));
          endSpan(span, status);
        };
        try {
          const answer = await handle();
          for (const code of codesIn(answer)) if (REFUSED.test(code)) metrics.refused(role, code);
          ended(200, changesIn(body, answer));
          return answer;
        } catch (error) {
          const { status, code } = refusalOf(error);
          if (REFUSED.test(code)) metrics.refused(role, code);
          ended(status, changesIn(body), code);
          throw error;
        }
      });
    },
    made({ method, path, body, to }) {
      const peer = peerAt(to);
      const purpose = `${method} ${purposeOf(path)}`;
      const count = (status: number): void => metrics.made({ role, peer, purpose, status });
      if (purposeOf(path) === FEED) return { headers: {}, ended: count };
      const { headers, span } = telemetry.made({
        role,
        name: purpose,
        attributes: { 'http.request.method': method, 'rehome.peer': peer },
      });
      // Where spans go nowhere, nobody asks what they are about.
      if (span.isRecording()) nameChanges(span, names(changesIn(body)));
      return {
        headers,
        ended(status) {
          count(status);
          endSpan(span, status);
        },
      };
    },
    happened(what, { change } = { change: null }) {
      if (what === 'authentication') metrics.authenticated(role);
      else metrics.submitted(role);
      if (change !== null) log.info(what, { role, change });
    },
  };
}
