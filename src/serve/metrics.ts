/** What a process has done, in numbers, as Prometheus reads them (docs/serve.md). */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

export interface Metrics {
  served(labels: { role: string; route: string; status: number; caller: string }, seconds: number): void;
  made(labels: { role: string; peer: string; purpose: string; status: number }): void;
  refused(role: string, code: string): void;
  stepped(labels: { alternative: string; step: string; outcome: string }): void;
  ended(alternative: string, state: string): void;
  authenticated(role: string): void;
  submitted(role: string): void;
  /** A number that is asked for when somebody measures. */
  gauge(name: keyof typeof GAUGES, role: string, read: () => number): void;
  text(): Promise<{ type: string; text: string }>;
}

/** Gauges of roles, and what they say. */
const GAUGES = {
  devices: 'Devices registered in a visited network',
  live: 'Changes that have not ended',
  ledger: 'Entries in the ledger',
  certificate: 'When the certificate of this process ends, seconds since 1970',
  crl: 'When the list of revoked certificates must be followed by another, seconds since 1970',
} as const;

const NAMES: Record<keyof typeof GAUGES, string> = {
  devices: 'rehome_devices_registered',
  live: 'rehome_changes_live',
  ledger: 'rehome_ledger_entries',
  certificate: 'rehome_certificate_not_after_seconds',
  crl: 'rehome_crl_next_update_seconds',
};

export function createMetrics(): Metrics {
  const register = new Registry();
  collectDefaultMetrics({ register });
  const counter = <Label extends string>(
    name: string,
    help: string,
    ...labelNames: Label[]
  ): Counter<Label> => new Counter({ name, help, labelNames, registers: [register] });
  const served = counter(
    'rehome_requests_served_total',
    'Requests of other roles that were answered',
    'role',
    'route',
    'status',
    'caller',
  );
  const duration = new Histogram({
    name: 'rehome_request_duration_seconds',
    help: 'How long a request took, those that wait for events left out',
    labelNames: ['role', 'route'],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
    registers: [register],
  });
  const made = counter(
    'rehome_requests_made_total',
    'Requests made of other roles; status 0: no answer',
    'role',
    'peer',
    'purpose',
    'status',
  );
  const refused = counter(
    'rehome_statements_refused_total',
    'Signed statements that did not count, by why',
    'role',
    'code',
  );
  const steps = counter(
    'rehome_change_steps_total',
    'Steps of changes that were run, by what came of them',
    'alternative',
    'step',
    'outcome',
  );
  const changes = counter('rehome_changes_ended_total', 'Changes that have ended', 'alternative', 'state');
  const authentications = counter(
    'rehome_hss_authentications_total',
    'Requests for authentication vectors that were answered with some',
    'role',
  );
  const messages = counter(
    'rehome_sms_submitted_total',
    'Short messages taken in by the service centre',
    'role',
  );
  const gauges = new Map<string, [role: string, read: () => number][]>();
  return {
    served(labels, seconds) {
      served.inc(labels);
      if (labels.route !== '/events') duration.observe({ role: labels.role, route: labels.route }, seconds);
    },
    made: (labels) => made.inc(labels),
    refused: (role, code) => refused.inc({ role, code }),
    stepped: (labels) => steps.inc(labels),
    ended: (alternative, state) => changes.inc({ alternative, state }),
    authenticated: (role) => authentications.inc({ role }),
    submitted: (role) => messages.inc({ role }),
    gauge(name, role, read) {
      const readers = gauges.get(name) ?? [];
      readers.push([role, read]);
      if (gauges.has(name)) return;
      gauges.set(name, readers);
      new Gauge({
        name: NAMES[name],
        help: GAUGES[name],
        labelNames: ['role'],
        registers: [register],
        collect() {
          for (const [whose, now] of readers) this.set({ role: whose }, now());
        },
      });
    },
    text: async () => ({ type: register.contentType, text: await register.metrics() }),
  };
}
