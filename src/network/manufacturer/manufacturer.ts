/**
 * The manufacturer of cards, as far as it is needed once they are sold: it has certified the key agreement key of
 * each card that has one (GlobalPlatform Amendment A), and tells who asks. A certificate is no secret; what B must
 * not get from A is the manufacturer's public key, and the word that a card has no certificate.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import type { Edge, Endpoint } from '../../edge/index.ts';
import { FieldError, concat, equal, toHex } from '../../standards/bytes/index.ts';
import { decodeCertificate, encodeCertificate } from '../../standards/globalplatform/index.ts';
import { EF_ICCID } from '../../standards/uicc/index.ts';
import { post, serveApi } from '../wire/http.ts';

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
  signingKey?: string;
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
  close(): Promise<void>;
}

/** YYYYMMDD of a time in milliseconds since 1970, years later. */
const dayOf = (ms: number, years = 0): string => {
  const date = new Date(ms);
  date.setUTCFullYear(date.getUTCFullYear() + years);
  return date.toISOString().slice(0, 10).replaceAll('-', '');
};

function pointOf(key: KeyObject): Uint8Array {
  const { x, y } = createPublicKey(key).export({ format: 'jwk' });
  return concat(Uint8Array.of(4), Buffer.from(x!, 'base64url'), Buffer.from(y!, 'base64url'));
}

export async function createManufacturer(options: ManufacturerOptions): Promise<Manufacturer> {
  const { edge } = options;
  const key = options.signingKey
    ? createPrivateKey(options.signingKey)
    : generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const database = new DatabaseSync(options.database);
  database.exec(`
    PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
    CREATE TABLE IF NOT EXISTS certificate (
      iccid TEXT PRIMARY KEY, serial INTEGER NOT NULL UNIQUE, certificate BLOB NOT NULL
    ) STRICT;
  `);
  const insert = database.prepare('INSERT INTO certificate (iccid, serial, certificate) VALUES (?, ?, ?)');
  const find = database.prepare('SELECT certificate FROM certificate WHERE iccid = ?');
  const last = database.prepare('SELECT coalesce(max(serial), 0) AS serial FROM certificate');
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
          issuer: Buffer.from(options.name, 'ascii'),
          subject: EF_ICCID.encode(iccid),
          effective: dayOf(now),
          expires: dayOf(now, LIFE),
          publicKey,
        },
        (signed) => sign('sha256', signed, { key, dsaEncoding: 'ieee-p1363' }),
      );
      insert.run(iccid, serial, certificate);
      return certificate;
    },
    async close() {
      await server.close();
      database.close();
    },
  };
}
