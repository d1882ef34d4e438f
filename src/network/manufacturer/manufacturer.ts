/**
 * The manufacturer of cards, as far as it is needed once they are sold. It has certified the key agreement key of
 * each card that has one (GlobalPlatform Amendment A), and tells who asks: a certificate is no secret; what B must
 * not get from A is the manufacturer's public key, and the word that a card has no certificate. And it hands the
 * pairs of its cards' lists (3b) to who keeps them, if it does not keep them itself.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import type { JWK } from 'jose';
import { z } from 'zod';
import type { SubscriberKey } from '../../standards/aka/index.ts';
import type { Edge, Endpoint } from '../../edge/index.ts';
import { FieldError, concat, equal, toHex } from '../../standards/bytes/index.ts';
import {
  certificateDay,
  decodeCertificate,
  encodeCertificate,
} from '../../standards/globalplatform/index.ts';
import { KEY_LIST_KEY_SET } from '../../standards/ota/index.ts';
import { EF_ICCID } from '../../standards/uicc/index.ts';
import type { EscrowClient } from '../escrow/client.ts';
import { atomically } from '../wire/atomically.ts';
import type { KeyVault, OtaKeyPair } from '../vault/vault.ts';
import { post, serveApi } from '../wire/http.ts';
import type { Signer } from '../wire/statements.ts';

/** Years that a certificate is good for: longer than a machine lives. */
const LIFE = 30;

export interface ManufacturerOptions {
  edge: Edge;
  /** 1 to 16 ASCII characters: the issuer in its certificates */
  name: string;
  /** where to listen */
  api: Endpoint;
  /** database file, or `:memory:` */
  database: string;
  /** PKCS#8 PEM of the P-256 key that certifies; made anew if absent */
  certifyingKey?: string;
  /** where the pairs are until they are handed over */
  vault: KeyVault;
  signer: Signer;
  onError?: (error: unknown) => void;
}

export interface Manufacturer {
  readonly endpoint: Endpoint;
  /** by which its certificates are judged: a point of P-256, 65 bytes */
  readonly publicKey: Uint8Array;
  /**
   * Certifies the key of a card as it leaves the factory, and keeps the certificate.
   * @param publicKey of the card, 65 bytes
   * @returns the same certificate for the same key @throws FieldError if the card has one for another key
   */
  certify(iccid: string, publicKey: Uint8Array): Uint8Array;
  /** Pairs of new cards' lists, kept sealed until they are handed over. */
  produce(pairs: readonly ListedPair[]): void;
  /**
   * Hands over what it has, and forgets each pair that the escrow has taken in.
   * @throws Error naming a pair that was refused; those taken in are forgotten all the same
   */
  handOver(escrow: { name: string; client: EscrowClient; vault: JWK }): Promise<void>;
  /** Whether its vault holds this Ki for the card. For those who judge a run, not for a role. */
  knowsKi(iccid: string, k: Uint8Array): boolean;
  close(): Promise<void>;
}

/** A pair of a card's list. */
export interface ListedPair {
  iccid: string;
  /** 1–254 */
  index: number;
  aka: SubscriberKey;
  ota: OtaKeyPair;
}

/** Pairs handed over in one request. */
const BATCH = 200;
/** How long a deposit may be on its way, in seconds. */
const DEPOSIT_LIFE = 86_400;

function pointOf(key: KeyObject): Uint8Array {
  const { x, y } = createPublicKey(key).export({ format: 'jwk' });
  return concat(Uint8Array.of(4), Buffer.from(x!, 'base64url'), Buffer.from(y!, 'base64url'));
}

export async function createManufacturer(options: ManufacturerOptions): Promise<Manufacturer> {
  const { edge, name, vault, signer } = options;
  const key = options.certifyingKey
    ? createPrivateKey(options.certifyingKey)
    : generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const database = new DatabaseSync(options.database);
  database.exec(`
    PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
    CREATE TABLE IF NOT EXISTS certificate (
      iccid TEXT PRIMARY KEY, serial INTEGER NOT NULL UNIQUE, certificate BLOB NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS pair (
      iccid TEXT NOT NULL, idx INTEGER NOT NULL, aka BLOB NOT NULL, ota BLOB NOT NULL, PRIMARY KEY (iccid, idx)
    ) STRICT, WITHOUT ROWID;
  `);
  const insert = database.prepare('INSERT INTO certificate (iccid, serial, certificate) VALUES (?, ?, ?)');
  const find = database.prepare('SELECT certificate FROM certificate WHERE iccid = ?');
  const last = database.prepare('SELECT coalesce(max(serial), 0) AS serial FROM certificate');
  const keep = database.prepare('INSERT INTO pair (iccid, idx, aka, ota) VALUES (?, ?, ?, ?)');
  const kept = database.prepare('SELECT * FROM pair ORDER BY iccid, idx LIMIT ?');
  const forget = database.prepare('DELETE FROM pair WHERE iccid = ? AND idx = ?');
  const ofCard = database.prepare('SELECT idx, aka FROM pair WHERE iccid = ?');
  const labelOf = (iccid: string, index: number): string => `${iccid} ${index}`;
  const certificateOf = (iccid: string): string | null => {
    const row = find.get(iccid);
    return row ? toHex(row.certificate as Uint8Array) : null;
  };
  const routes = [
    post(
      '/certificates',
      z.strictObject({ iccids: z.array(z.string().regex(/^[0-9]{18,20}$/)).max(1000) }),
      ({ body }) => ({ certificates: body.iccids.map(certificateOf) }),
    ),
  ];
  const server = await serveApi(edge, options.api, routes, options.onError);
  return {
    endpoint: server.endpoint,
    publicKey: pointOf(key),
    certify(iccid, publicKey) {
      const there = find.get(iccid)?.certificate as Uint8Array | undefined;
      if (there && equal(decodeCertificate(there).publicKey, publicKey)) return there;
      if (there) throw new FieldError('iccid', iccid, 'a card that has no certificate of another key');
      const serial = Number(last.get()!.serial) + 1;
      const now = edge.clock.now();
      const certificate = encodeCertificate(
        {
          serial: Buffer.from(serial.toString(16).padStart(16, '0'), 'hex'),
          issuer: Buffer.from(name, 'ascii'),
          subject: EF_ICCID.encode(iccid),
          effective: certificateDay(now),
          expires: certificateDay(now, LIFE),
          publicKey,
        },
        (signed) => sign('sha256', signed, { key, dsaEncoding: 'ieee-p1363' }),
      );
      insert.run(iccid, serial, certificate);
      return certificate;
    },
    produce(pairs) {
      atomically(database, () => {
        for (const { iccid, index, aka, ota } of pairs) {
          const label = labelOf(iccid, index);
          keep.run(iccid, index, vault.sealAka(label, aka), vault.sealOta(label, ota));
        }
      });
    },
    async handOver(escrow) {
      for (;;) {
        const rows = kept.all(BATCH).map((row) => ({
          iccid: String(row.iccid),
          index: Number(row.idx),
          aka: row.aka as Uint8Array,
          ota: row.ota as Uint8Array,
        }));
        if (rows.length === 0) return;
        const iat = Math.floor(edge.clock.now() / 1000);
        const statements = await Promise.all(
          rows.map(async ({ iccid, index, aka, ota }) => {
            const label = labelOf(iccid, index);
            const set = { keySet: KEY_LIST_KEY_SET, algorithm: 'aes', label, ota } as const;
            const context = `${escrow.name} ${label}`;
            const keys = await vault.wrap({ aka, ota: [set] }, label, escrow.vault, context);
            return signer.sign('list-deposit', {
              aud: [escrow.name],
              iat,
              exp: iat + DEPOSIT_LIFE,
              iccid,
              index,
              keys,
            });
          }),
        );
        const refused = await escrow.client.deposit(statements);
        rows.forEach(({ iccid, index }, i) => {
          if (refused[i] === undefined) forget.run(iccid, index);
        });
        const why = refused.find((each) => each !== undefined);
        if (why !== undefined) throw new Error(`${escrow.name} did not take a pair in: ${why}`);
      }
    },
    knowsKi: (iccid, k) =>
      ofCard.all(iccid).some((row) => vault.isKi(labelOf(iccid, Number(row.idx)), row.aka as Uint8Array, k)),
    async close() {
      await server.close();
      database.close();
    },
  };
}
