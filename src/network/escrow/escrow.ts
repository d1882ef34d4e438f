/**
 * Who keeps the Ki/OTA list of 3b: the UICC manufacturer, or another. A pair (ICCID, index) goes to the one
 * operator that A's release and the owner's order name, again and again to it, and to nobody else for ever.
 */
import { DatabaseSync } from 'node:sqlite';
import type { JWK } from 'jose';
import { z } from 'zod';
import type { Edge, Endpoint } from '../../edge/index.ts';
import type { SubscriberKey } from '../../standards/aka/index.ts';
import { FieldError } from '../../standards/bytes/index.ts';
import { KEY_LIST_KEY_SET } from '../../standards/ota/index.ts';
import { atomically } from '../wire/atomically.ts';
import type { KeyVault, OtaKeyPair } from '../vault/vault.ts';
import { get, post, Problem, serveApi, type ApiServer } from '../wire/http.ts';
import { readStatement, type KeyRing } from '../wire/statements.ts';

/** A pair as the card was made with it. Index 0 is not here: it went to the first operator with the card. */
export interface EscrowedPair {
  iccid: string;
  /** 1–254 */
  index: number;
  aka: SubscriberKey;
  ota: OtaKeyPair;
}

export interface Escrow extends ApiServer {
  /** Takes in the pairs of new cards. @throws FieldError on an (ICCID, index) it has already; nothing is kept then */
  deposit(pairs: readonly EscrowedPair[]): void;
  /** Whether its vault holds this Ki for the card. For those who judge a run, not for a role. */
  knowsKi(iccid: string, k: Uint8Array): boolean;
}

export interface EscrowOptions {
  edge: Edge;
  name: string;
  api: Endpoint;
  /** database file, or `:memory:` */
  database: string;
  vault: KeyVault;
  /** whose statements count */
  ring: KeyRing;
  /** operators' vault keys, to which pairs are wrapped */
  vaults: Record<string, JWK>;
  onError?: (error: unknown) => void;
}

const label = (iccid: string, index: number): string => `${iccid} ${index}`;

export async function createEscrow(options: EscrowOptions): Promise<Escrow> {
  const { edge, vault, ring, name } = options;
  const database = new DatabaseSync(options.database);
  // state: kept, released (to an operator for an order), burnt (released and rolled back: never again)
  database.exec(`
    PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
    CREATE TABLE IF NOT EXISTS pair (
      iccid TEXT NOT NULL, idx INTEGER NOT NULL, aka BLOB NOT NULL, ota BLOB NOT NULL,
      state TEXT NOT NULL DEFAULT 'kept', operator TEXT, change TEXT, depositor TEXT,
      PRIMARY KEY (iccid, idx)
    ) STRICT, WITHOUT ROWID;
  `);
  const insert = database.prepare('INSERT INTO pair (iccid, idx, aka, ota) VALUES (?, ?, ?, ?)');
  const insertFrom = database.prepare(
    'INSERT INTO pair (iccid, idx, aka, ota, depositor) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING',
  );
  const depositorOf = database.prepare('SELECT depositor FROM pair WHERE iccid = ? AND idx = ?');
  const find = database.prepare('SELECT * FROM pair WHERE iccid = ? AND idx = ?');
  const ofCard = database.prepare('SELECT idx, state FROM pair WHERE iccid = ? ORDER BY idx');
  const keysOf = database.prepare('SELECT idx, aka FROM pair WHERE iccid = ?');
  const later = database.prepare(
    `SELECT 1 FROM pair WHERE iccid = ? AND idx > ? AND state <> 'kept' LIMIT 1`,
  );
  const release = database.prepare(
    `UPDATE pair SET state = 'released', operator = ?, change = ? WHERE iccid = ? AND idx = ? AND state = 'kept'`,
  );
  const burn = database.prepare(
    `UPDATE pair SET state = 'burnt' WHERE iccid = ? AND idx = ? AND change = ? AND operator = ?`,
  );

  const giveOut = async (
    order: string,
    indexRelease: string,
    operator: string,
  ): Promise<{ keys: string; index: number }> => {
    const ordered = await readStatement('order', order, ring, name, edge.clock);
    const released = await readStatement('index-release', indexRelease, ring, name, edge.clock);
    const refuse = (why: string): Problem =>
      new Problem(403, 'not-released', `pair of ${released.iccid}: ${why}`);
    if (ordered.alternative !== '3b') throw refuse(`the order is for alternative ${ordered.alternative}`);
    if (released.iss !== ordered.from)
      throw refuse(`released by ${released.iss}, but ${ordered.from} holds the device`);
    if (released.change !== ordered.change) throw refuse('release and order are of different changes');
    if (released.iccid !== ordered.iccid) throw refuse('release and order name different cards');
    if (released.to !== ordered.to) throw refuse(`released to ${released.to}, ordered to ${ordered.to}`);
    if (operator !== ordered.to) throw refuse(`asked for by ${operator}, ordered to ${ordered.to}`);
    const recipient = options.vaults[operator];
    if (!recipient) throw refuse(`${operator} has no vault key on file`);
    const row = find.get(released.iccid, released.index);
    if (!row)
      throw new Problem(404, 'no-such-pair', `pair (${released.iccid}, ${released.index}) is not held here`);
    if (row.state === 'burnt') throw refuse('burnt');
    if (row.state === 'released' && (row.operator !== operator || row.change !== released.change)) {
      throw refuse('already released');
    }
    if (row.state === 'kept') {
      if (later.get(released.iccid, released.index))
        throw refuse('a later pair of that card was released already');
      release.run(operator, released.change, released.iccid, released.index);
    }
    const at = label(released.iccid, released.index);
    const sealed = {
      keySet: KEY_LIST_KEY_SET,
      algorithm: 'aes',
      label: at,
      ota: row.ota as Uint8Array,
    } as const;
    const bundle = { aka: row.aka as Uint8Array, ota: [sealed] };
    return {
      index: released.index,
      keys: await vault.wrap(bundle, at, recipient, `${operator} ${at} ${released.change}`),
    };
  };

  /** A pair that comes from its manufacturer; the same once more changes nothing. */
  const takeIn = async (statement: string): Promise<void> => {
    const given = await readStatement('list-deposit', statement, ring, name, edge.clock);
    const { iccid, index } = given;
    const at = label(iccid, index);
    // Else whoever comes first would have anybody's cards for ever.
    if (!ring[given.iss]?.iccids?.some((prefix) => prefix !== '' && iccid.startsWith(prefix))) {
      throw new Problem(403, 'foreign-card', `card ${iccid} is not of ${given.iss}'s`);
    }
    if (find.get(iccid, index)) {
      if (depositorOf.get(iccid, index)?.depositor === given.iss) return;
      throw new Problem(
        409,
        'already-held',
        `pair (${iccid}, ${index}) is held already, not from ${given.iss}`,
      );
    }
    const bundle = await vault.unwrap(given.keys, at, `${name} ${at}`);
    const set = bundle.ota.find(({ keySet }) => keySet === KEY_LIST_KEY_SET);
    if (!set) throw new Problem(400, 'bad-keys', `pair ${at}: no OTA key set ${KEY_LIST_KEY_SET} in it`);
    const ota = vault.withOtaKeys(set.label, set.ota, (keys) => vault.sealOta(at, keys));
    insertFrom.run(iccid, index, bundle.aka, ota, given.iss);
  };

  const routes = [
    // What a releasing operator must know: the lowest index that may still be released.
    get('/cards/:iccid', ({ params }) => {
      const rows = ofCard.all(params.iccid!);
      if (rows.length === 0) throw new Problem(404, 'unknown-card', `card ${params.iccid} is not held here`);
      const used = rows.filter((row) => row.state !== 'kept').map((row) => Number(row.idx));
      const next = Math.max(0, ...used) + 1;
      return {
        pairs: rows.length + 1,
        next: rows.some((row) => Number(row.idx) === next) ? next : null,
        burnt: rows.filter((row) => row.state === 'burnt').length,
      };
    }),
    post(
      '/pairs',
      z.strictObject({
        operator: z.string().min(1),
        requests: z.array(z.strictObject({ order: z.string(), release: z.string() })).max(1000),
      }),
      async ({ body }) => ({
        pairs: await Promise.all(
          body.requests.map(async (request) => {
            try {
              return await giveOut(request.order, request.release, body.operator);
            } catch (error) {
              if (error instanceof Problem) return { error: error.message, code: error.code };
              throw error;
            }
          }),
        ),
      }),
    ),
    post('/deposits', z.array(z.string().max(40_000)).max(1000), async ({ body }) => ({
      refused: await Promise.all(
        body.map(async (statement) => {
          try {
            await takeIn(statement);
            return null;
          } catch (error) {
            if (error instanceof Problem) return error.message;
            throw error;
          }
        }),
      ),
    })),
    post('/burnt', z.array(z.string()).max(1000), async ({ body }) => {
      for (const each of body) {
        const burnt = await readStatement('index-burnt', each, ring, name, edge.clock);
        // Only whom it was released to can say so.
        burn.run(burnt.iccid, burnt.index, burnt.change, burnt.iss);
      }
      return {};
    }),
  ];
  const server = await serveApi(edge, options.api, routes, options.onError);
  return {
    endpoint: server.endpoint,
    knowsKi: (iccid, k) =>
      keysOf.all(iccid).some((row) => vault.isKi(label(iccid, Number(row.idx)), row.aka as Uint8Array, k)),
    deposit(pairs) {
      atomically(database, () => {
        for (const { iccid, index, aka, ota } of pairs) {
          if (find.get(iccid, index)) {
            throw new FieldError('pair', `(${iccid}, ${index})`, 'a pair that is not held already');
          }
          const at = label(iccid, index);
          insert.run(iccid, index, vault.sealAka(at, aka), vault.sealOta(at, ota));
        }
      });
    },
    async close() {
      await server.close();
      database.close();
    },
  };
}
