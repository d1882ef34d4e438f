/** What a configuration file of `rehome serve` may say: a common part, and a section for each role. */
import { z } from 'zod';
import { operatorSection } from './operator.ts';
import {
  agentSection,
  escrowSection,
  manufacturerSection,
  ownerSection,
  visitedSection,
} from './sections.ts';
import { key, listenAt, name, valuesIn, type Values } from './values.ts';

/** The roles that can be served. Supplier and regulator come with their sections here and a line in PREPARE (serve.ts). */
export const SERVED_ROLES = ['operator', 'visited', 'escrow', 'manufacturer', 'ota-agent', 'owner'] as const;
export type ServedRole = (typeof SERVED_ROLES)[number];

export const LOG_LEVELS = ['silent', 'error', 'warn', 'info', 'debug'] as const;

const common = ({ fileOf }: Values) => ({
  organisation: key(name, 'whose process this is: its name in certificates, statements and orders', {
    example: 'A',
  }),
  tls: key(
    z.strictObject({
      certificate: fileOf('certificate of this process, PEM, with the chain up to the root', 'a.pem'),
      key: fileOf('its key, PKCS#8 PEM', 'a.key'),
      authorities: fileOf('whose certificates count, PEM', 'ca.pem'),
      crl: fileOf('which of them count no more, PEM; read again when it changes', 'ca.crl').optional(),
    }),
    'who this process is to others, and whom it believes (docs/ca.md)',
  ),
  parties: fileOf(
    "whose statements count: names, roles and public keys (JSON; see 'The key ring')",
    'parties.json',
  ),
  log: key(
    z.strictObject({
      level: key(z.enum(LOG_LEVELS), 'what is written to standard error: this and what is graver', {
        example: 'info',
      }),
    }),
    'JSON lines on standard error',
  ).optional(),
  management: key(
    z.strictObject({ listen: listenAt('/healthz, /readyz and /metrics over plain HTTP', '9464') }),
    'for who runs the process; keep it on loopback or behind a proxy, it asks nobody who they are',
  ).optional(),
  telemetry: key(
    z.strictObject({
      endpoint: key(
        z.url({ protocol: /^https?$/, error: 'an http or https URL' }),
        'where spans go: OTLP over HTTP',
        {
          example: 'http://127.0.0.1:4318/v1/traces',
        },
      ),
    }),
    'OpenTelemetry; none if not given',
  ).optional(),
  time: key(
    z.strictObject({
      scale: key(z.number().positive('more than 0').max(100_000), 'so many seconds pass in one', {
        example: 60,
      }),
      from: key(
        z.strictObject({
          virtual: key(z.iso.datetime({ error: 'a time as 2026-01-01T00:00:00Z' }), 'it was this time', {
            example: '2026-01-01T00:00:00Z',
          }),
          wall: key(
            z.iso.datetime({ error: 'a time as 2026-01-01T00:00:00Z' }),
            'when it was that on the clock',
            {
              example: '2026-11-01T08:00:00Z',
            },
          ),
        }),
        'where the scale begins; the same in every process of a trial',
      ),
    }),
    'for trials alone: a time of its own, the same in every process of a trial; the real one if not given',
  ).optional(),
});

/** The schema of a file in that folder: relative paths are relative to it. */
export function configSchema(folder: string) {
  const values = valuesIn(folder);
  return z.strictObject({
    ...common(values),
    operator: key(
      operatorSection(values),
      'a selected home operator: HSS, service centre, OTA gateway, SCEF',
    ).optional(),
    visited: key(visitedSection(), 'a visited network: a cell and an MME').optional(),
    escrow: key(escrowSection(values), 'who keeps the Ki/OTA pairs of 3b').optional(),
    manufacturer: key(manufacturerSection(values), 'a manufacturer of cards').optional(),
    'ota-agent': key(agentSection(values), 'an OTA agent who is no operator (3b)').optional(),
    owner: key(
      ownerSection(values),
      'the M2ME subscriber: orders, application, and the fleet server',
    ).optional(),
  });
}

export type ServeConfig = z.output<ReturnType<typeof configSchema>>;
export type Section<Role extends ServedRole> = NonNullable<ServeConfig[Role]>;
export type VaultConfig = Section<'escrow'>['vault'];
