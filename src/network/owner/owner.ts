/**
 * The M2ME subscriber: whose devices they are, whose signed order alone moves one, and whose application
 * hears them. The application is the judge of service: it says over which operator it last heard a device.
 */
import { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import type { Edge, Endpoint } from '../../edge/index.ts';
import { atomically } from '../wire/atomically.ts';
import { createFeed } from '../wire/feed.ts';
import { watchSilence } from './silence.ts';
import { get, post, Problem, serveApi, type ApiServer } from '../wire/http.ts';
import type { Signer } from '../wire/statements.ts';

/** How long an order is good for, in seconds: the longest a sleeping device may take. */
const ORDER_LIFE = 30 * 86_400;

/** How long a suspension may be brought to an operator, in seconds. */
const SUSPENSION_LIFE = 3_600;

const imsiSchema = z.string().regex(/^[0-9]{6,15}$/, 'expected an IMSI of 6 to 15 digits');

const heardSchema = z.strictObject({
  operator: z.string().min(1),
  imsi: imsiSchema,
  /** what the device sent, base64 */
  payload: z.string().max(4096),
});

/** Of a change: 8 bytes in hexadecimal digits. */
export const changeSchema = z.string().regex(/^[0-9a-f]{16}$/, 'expected 16 hexadecimal digits');
const iccidSchema = z.string().regex(/^[0-9]{18,20}$/, 'expected an ICCID of 18 to 20 digits');
const kindSchema = z.enum(['swap', 'restore']);
const workSchema = z.strictObject({
  change: changeSchema,
  kind: kindSchema,
  device: z.string(),
  iccid: iccidSchema,
});
const movedSchema = z.strictObject({
  device: z.string(),
  operator: z.string(),
  imsi: imsiSchema,
  /** the card that is in it now; the same as before if not given */
  iccid: iccidSchema.optional(),
});
const pairingSchema = z.strictObject({
  change: changeSchema,
  kind: kindSchema,
  imei: z.string().regex(/^[0-9]{15}$/, 'expected an IMEI of 15 digits'),
  iccid: iccidSchema,
  technician: z.string().min(1).max(100),
});

const orderRequestSchema = z.strictObject({
  change: changeSchema,
  device: z.string(),
  to: z.string(),
  alternative: z.enum(['1a', '1b', '2', '3a', '3b']),
  /** who is to switch the card, where it is not its operators */
  agent: z.string().min(1).optional(),
});

const suspensionSchema = z.strictObject({
  device: z.string(),
  suspend: z.boolean(),
  reason: z.string().min(1).max(200),
});

export interface OwnedDevice {
  device: string;
  iccid: string;
  imei: string;
  /** operator that serves it, and the IMSI there */
  operator: string;
  imsi: string;
}

export interface Owner extends ApiServer {
  register(devices: readonly OwnedDevice[]): void;
}

export interface OwnerOptions {
  edge: Edge;
  name: string;
  api: Endpoint;
  /** database file, or `:memory:` */
  database: string;
  signer: Signer;
  /** operators that a device may be ordered to */
  operators: readonly string[];
  /** to whom orders are addressed, besides the two operators: the escrow and others who must see one */
  audience: readonly string[];
  /** milliseconds after which a device that was heard and is heard no more is told as `silent`; never if not given */
  silentAfterMs?: number;
  /** milliseconds that a reader of what happens here is kept waiting; 600000 if not given */
  longPollMs?: number;
  onError?: (error: unknown) => void;
}

export async function createOwner(options: OwnerOptions): Promise<Owner> {
  const { edge, signer } = options;
  const database = new DatabaseSync(options.database);
  database.exec(`
    PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
    CREATE TABLE IF NOT EXISTS device (
      device TEXT PRIMARY KEY, iccid TEXT NOT NULL UNIQUE, imei TEXT NOT NULL, operator TEXT NOT NULL,
      imsi TEXT NOT NULL, heard_over TEXT, heard_at INTEGER, heard_imsi TEXT
    ) STRICT;
    CREATE TABLE IF NOT EXISTS work_order (
      change TEXT NOT NULL, kind TEXT NOT NULL, device TEXT NOT NULL, iccid TEXT NOT NULL, imei TEXT NOT NULL,
      state TEXT NOT NULL, technician TEXT, PRIMARY KEY (change, kind)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS silence (device TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
  `);
  const feed = createFeed(database, edge.clock, options.longPollMs);
  const insert = database.prepare(
    'INSERT INTO device (device, iccid, imei, operator, imsi) VALUES (?, ?, ?, ?, ?)',
  );
  const find = database.prepare('SELECT * FROM device WHERE device = ?');
  const heard = database.prepare(
    'UPDATE device SET heard_over = ?, heard_at = ?, heard_imsi = ? WHERE device = ?',
  );
  const putWork = database.prepare(
    `INSERT INTO work_order (change, kind, device, iccid, imei, state) VALUES (?, ?, ?, ?, ?, 'open')
     ON CONFLICT (change, kind) DO NOTHING`,
  );
  const findWork = database.prepare('SELECT * FROM work_order WHERE change = ? AND kind = ?');
  const endWork = database.prepare(
    `UPDATE work_order SET state = ?, technician = ? WHERE change = ? AND kind = ? AND state = 'open'`,
  );
  const moved = database.prepare(
    'UPDATE device SET operator = ?, imsi = ?, iccid = coalesce(?, iccid) WHERE device = ?',
  );
  const carrierOf = database.prepare('SELECT device FROM device WHERE iccid = ?');

  const routes = [
    feed.route,
    get('/devices/:device', ({ params }) => {
      const row = find.get(params.device!);
      if (!row) throw new Problem(404, 'unknown-device', `device ${params.device} is not this owner's`);
      return {
        device: row.device,
        iccid: row.iccid,
        imei: row.imei,
        operator: row.operator,
        imsi: row.imsi,
        heard:
          row.heard_over === null
            ? null
            : { operator: row.heard_over, imsi: row.heard_imsi, at: row.heard_at },
      };
    }),
    // The application server: an operator hands over what a device sent.
    post('/application', heardSchema, ({ body }) => {
      const device = Buffer.from(body.payload, 'base64').toString('utf8').split(' ')[0] ?? '';
      if (!find.get(device)) throw new Problem(404, 'unknown-device', 'payload: no device of this owner');
      heard.run(body.operator, edge.clock.now(), body.imsi, device);
      silence?.broken(device);
      feed.append('heard', { device, operator: body.operator, imsi: body.imsi });
      return {};
    }),
    post('/orders', z.array(orderRequestSchema).max(1000), async ({ body }) => {
      const iat = Math.floor(edge.clock.now() / 1000);
      const orders = await Promise.all(
        body.map(({ change, device, to, alternative, agent }) => {
          const row = find.get(device);
          if (!row) throw new Problem(404, 'unknown-device', `device ${device} is not this owner's`);
          if (!options.operators.includes(to)) {
            throw new Problem(
              422,
              'unknown-operator',
              `to: ${JSON.stringify(to)}, expected one of ${options.operators.join(', ')}`,
            );
          }
          if (row.operator === to) throw new Problem(409, 'already-there', `device ${device} is with ${to}`);
          const from = String(row.operator);
          return signer.sign('order', {
            aud: [from, to, ...options.audience, ...(agent === undefined ? [] : [agent])],
            iat,
            exp: iat + ORDER_LIFE,
            change,
            device,
            iccid: String(row.iccid),
            imei: String(row.imei),
            imsi: String(row.imsi),
            from,
            to,
            alternative,
            ...(agent === undefined ? {} : { agent }),
          });
        }),
      );
      return { orders };
    }),
    post('/suspensions', z.array(suspensionSchema).max(1000), async ({ body }) => {
      const iat = Math.floor(edge.clock.now() / 1000);
      const suspensions = await Promise.all(
        body.map(({ device, suspend, reason }) => {
          const row = find.get(device);
          if (!row) throw new Problem(404, 'unknown-device', `device ${device} is not this owner's`);
          return signer.sign('suspension', {
            aud: [String(row.operator)],
            iat,
            exp: iat + SUSPENSION_LIFE,
            iccid: String(row.iccid),
            imsi: String(row.imsi),
            suspend,
            reason,
          });
        }),
      );
      return { suspensions };
    }),
    post('/work-orders', z.array(workSchema).max(1000), ({ body }) => {
      for (const { change, kind, device, iccid } of body) {
        const row = find.get(device);
        if (!row) throw new Problem(404, 'unknown-device', `device ${device} is not this owner's`);
        // Back goes the card that was in it.
        const card = kind === 'swap' ? iccid : String(row.iccid);
        if (putWork.run(change, kind, device, card, String(row.imei)).changes > 0) {
          feed.append('workOrder', { change, work: kind, device, iccid: card, imei: row.imei });
        }
      }
      return {};
    }),
    post('/work-orders/cancelled', z.array(changeSchema).max(1000), ({ body }) => {
      const results = body.map((change) => {
        endWork.run('cancelled', null, change, 'swap');
        return findWork.get(change, 'swap')?.state ?? 'none';
      });
      return { results };
    }),
    // From the technician's scanner: what he holds, and what he stands before.
    post('/pairings', pairingSchema, ({ body }) => {
      const work = findWork.get(body.change, body.kind);
      if (!work) throw new Problem(404, 'no-work-order', `change ${body.change} has no such work order`);
      if (work.state === 'cancelled') {
        throw new Problem(409, 'cancelled', `the work order of change ${body.change} was called off`);
      }
      if (work.imei !== body.imei) {
        throw new Problem(409, 'wrong-device', `imei: ${body.imei}, expected ${String(work.imei)}`);
      }
      if (work.iccid !== body.iccid) {
        throw new Problem(409, 'wrong-card', `iccid: ${body.iccid}, expected ${String(work.iccid)}`);
      }
      if (endWork.run('done', body.technician, body.change, body.kind).changes > 0) {
        feed.append('paired', { change: body.change, work: body.kind, device: work.device });
      }
      return {};
    }),
    post('/moved', z.array(movedSchema).max(1000), ({ body }) => {
      for (const { device, operator, iccid } of body) {
        if (!options.operators.includes(operator)) {
          throw new Problem(422, 'unknown-operator', `operator: ${JSON.stringify(operator)} is not known`);
        }
        if (!find.get(device)) {
          throw new Problem(404, 'unknown-device', `device ${device} is not this owner's`);
        }
        const carrier = iccid === undefined ? undefined : carrierOf.get(iccid)?.device;
        if (carrier !== undefined && carrier !== device) {
          throw new Problem(409, 'card-elsewhere', `iccid: ${iccid} is in device ${String(carrier)}`);
        }
      }
      for (const { device, operator, imsi, iccid } of body) moved.run(operator, imsi, iccid ?? null, device);
      return {};
    }),
  ];
  const silence =
    options.silentAfterMs === undefined
      ? undefined
      : watchSilence(database, edge.clock, feed, options.silentAfterMs);
  const server = await serveApi(edge, options.api, routes, options.onError);
  return {
    endpoint: server.endpoint,
    register(devices) {
      atomically(database, () => {
        for (const each of devices) insert.run(each.device, each.iccid, each.imei, each.operator, each.imsi);
      });
    },
    async close() {
      silence?.close();
      await server.close();
      database.close();
    },
  };
}
