/**
 * What roles sign, because others must be able to prove it: JWS (RFC 7515) with Ed25519, one schema each.
 * Who is addressed, until when, and about which device stands inside and is checked on reading.
 */
import { CompactSign, compactVerify, decodeProtectedHeader, exportJWK, importJWK, type JWK } from 'jose';
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../../edge/index.ts';
import { Problem } from './http.ts';

const iccid = z.string().regex(/^[0-9]{18,20}$/, 'expected an ICCID of 18 to 20 digits');
const imsi = z.string().regex(/^[0-9]{6,15}$/, 'expected an IMSI of 6 to 15 digits');
const change = z.string().regex(/^[0-9a-f]{16}$/, 'expected a change of 16 hexadecimal digits');
const index = z.number().int().min(1).max(254);

const envelope = {
  iss: z.string().min(1),
  aud: z.array(z.string()).min(1),
  /** seconds since 1970 */
  iat: z.number().int(),
  exp: z.number().int(),
  change,
};

/** The owner's order: this device from that operator to this one. Without it nobody moves a device. */
export const orderSchema = z.strictObject({
  ...envelope,
  device: z.string().min(1),
  iccid,
  imei: z.string().regex(/^[0-9]{14,16}$/),
  imsi,
  from: z.string().min(1),
  to: z.string().min(1),
  alternative: z.enum(['1a', '1b', '2', '3a', '3b']),
  /** the OTA agent who is to switch the card, where it is not A and B (3b) */
  agent: z.string().min(1).optional(),
});
export type Order = z.infer<typeof orderSchema>;

/** The owner's word to the operator of a device: it is to be served no more for now, or again. */
export const suspensionSchema = z.strictObject({
  iss: z.string().min(1),
  aud: z.array(z.string()).min(1),
  iat: z.number().int(),
  exp: z.number().int(),
  iccid,
  imsi,
  suspend: z.boolean(),
  reason: z.string().min(1).max(200),
});
export type Suspension = z.infer<typeof suspensionSchema>;

/** A's word to the escrow: the pair (ICCID, index) may go to that operator for that order. */
export const indexReleaseSchema = z.strictObject({
  ...envelope,
  iccid,
  index,
  to: z.string().min(1),
  /** for an OTA agent: where the card is reached now, and whom it tells that it fell back */
  serving: z.strictObject({ msisdn: z.string(), reportTo: z.string() }).optional(),
});
export type IndexRelease = z.infer<typeof indexReleaseSchema>;

/** B's or A's word to the escrow: the change was rolled back; the pair must never be used. */
export const indexBurntSchema = z.strictObject({ ...envelope, iccid, index });
export type IndexBurnt = z.infer<typeof indexBurntSchema>;

/** What B wants on the card beside the IMSI: the data settings of its network. */
export const settingsSchema = z.strictObject({
  mncLength: z.union([z.literal(2), z.literal(3)]),
  serviceCentre: z.string(),
  msisdn: z.string(),
  serviceProviderName: z.string(),
  apn: z.string(),
  /** number of the OTA gateway */
  reportTo: z.string(),
});
export type Settings = z.infer<typeof settingsSchema>;

/** B's word to A: what it has reserved for the card. */
export const reservationSchema = z.strictObject({ ...envelope, iccid, imsi, settings: settingsSchema });
export type Reservation = z.infer<typeof reservationSchema>;

/** A's word to B, with the keys of a card wrapped to B's vault (alternative 3a). */
export const keyTransferSchema = z.strictObject({
  ...envelope,
  iccid,
  to: z.string().min(1),
  /** compact JWE for B's vault alone */
  keys: z.string().max(20_000),
  /** where A's authentication centre stands (TS 33.102 annex C): B goes on above it */
  sqn: z.strictObject({ indLength: z.number().int().min(0).max(16), seq: z.number().int().min(0) }),
  /** last counter used under each OTA key set */
  counters: z.array(
    z.strictObject({ keySet: z.number().int().min(1).max(15), counter: z.number().int().min(0) }),
  ),
  /** applications on the card, by their TARs */
  applets: z.array(z.string().regex(/^[0-9a-f]{6}$/)),
});
export type KeyTransfer = z.infer<typeof keyTransferSchema>;

/** B's word to A: the keys of that card, given for that change, are destroyed here. */
export const destroyedSchema = z.strictObject({ ...envelope, iccid });
export type Destroyed = z.infer<typeof destroyedSchema>;

/** B's word to an OTA agent: the trial of that card may be ended for good (3b). */
export const commitConsentSchema = z.strictObject({ ...envelope, iccid });
export type CommitConsent = z.infer<typeof commitConsentSchema>;

/** A manufacturer's word to the escrow of a card's list: a pair, wrapped to the escrow's vault (alternative 3b). */
export const listDepositSchema = z.strictObject({
  iss: z.string().min(1),
  aud: z.array(z.string()).min(1),
  iat: z.number().int(),
  exp: z.number().int(),
  iccid,
  index,
  /** compact JWE for the escrow's vault alone */
  keys: z.string().max(20_000),
});
export type ListDeposit = z.infer<typeof listDepositSchema>;

const schemas = {
  'commit-consent': commitConsentSchema,
  'list-deposit': listDepositSchema,
  'key-transfer': keyTransferSchema,
  destroyed: destroyedSchema,
  reservation: reservationSchema,
  order: orderSchema,
  suspension: suspensionSchema,
  'index-release': indexReleaseSchema,
  'index-burnt': indexBurntSchema,
};
export type StatementKind = keyof typeof schemas;
export type Statement<Kind extends StatementKind> = z.infer<(typeof schemas)[Kind]>;

/** Those whose word counts, by name, and as what; a name is revoked by leaving it out. */
export type KeyRing = Record<
  string,
  | { role: 'owner' | 'operator'; key: JWK; iccids?: readonly string[] }
  /** `iccids`: how the ICCIDs of its cards begin (ITU-T E.118: its issuer identification); others are not its own */
  | { role: 'manufacturer'; key: JWK; iccids: readonly string[] }
>;

/** Who may say what: an operator cannot order, an owner cannot release. */
const SPEAKERS: Record<StatementKind, KeyRing[string]['role']> = {
  'list-deposit': 'manufacturer',
  'commit-consent': 'operator',
  order: 'owner',
  suspension: 'owner',
  reservation: 'operator',
  'key-transfer': 'operator',
  destroyed: 'operator',
  'index-release': 'operator',
  'index-burnt': 'operator',
};

export interface Signer {
  readonly name: string;
  readonly publicKey: JWK;
  sign<Kind extends StatementKind>(kind: Kind, statement: Omit<Statement<Kind>, 'iss'>): Promise<string>;
}

/** A signing key for a party; made anew, or from its PKCS#8 PEM. */
export async function createSigner(clock: Clock, name: string, pem?: string): Promise<Signer> {
  const key: KeyObject = pem ? createPrivateKey(pem) : generateKeyPairSync('ed25519').privateKey;
  const { d: _private, ...publicKey } = await exportJWK(key);
  return {
    name,
    publicKey,
    sign: (kind, statement) =>
      clock.hold(
        new CompactSign(new TextEncoder().encode(JSON.stringify({ iss: name, ...statement })))
          .setProtectedHeader({ alg: 'EdDSA', typ: `rehome-${kind}` })
          .sign(key),
      ),
  };
}

/**
 * Reads a statement: signature, kind, schema, audience and expiry.
 * @param expired whether one whose time is over still counts: what was begun in time must be brought to an end
 * @throws Problem 403 that says which of them failed
 */
export async function readStatement<Kind extends StatementKind>(
  kind: Kind,
  jws: string,
  ring: KeyRing,
  audience: string,
  clock: Clock,
  expired: 'refuse' | 'allow' = 'refuse',
): Promise<Statement<Kind>> {
  const now = clock.now();
  const refuse = (why: string): Problem => new Problem(403, `bad-${kind}`, `${kind}: ${why}`);
  let payload: unknown;
  try {
    if (decodeProtectedHeader(jws).typ !== `rehome-${kind}`) throw refuse(`not a statement of that kind`);
    const body = jws.split('.')[1] ?? '';
    payload = JSON.parse(Buffer.from(body, 'base64url').toString('utf8'));
  } catch (error) {
    throw error instanceof Problem ? error : refuse('unreadable');
  }
  const checked = schemas[kind].safeParse(payload);
  if (!checked.success) throw refuse(checked.error.issues[0]?.message ?? 'not as its schema');
  const statement = checked.data as Statement<Kind>;
  const speaker = ring[statement.iss];
  if (speaker?.role !== SPEAKERS[kind])
    throw refuse(`signed by ${statement.iss}, whose word does not count for it`);
  try {
    await clock.hold(
      importJWK(speaker.key, 'EdDSA').then((key) => compactVerify(jws, key, { algorithms: ['EdDSA'] })),
    );
  } catch {
    throw refuse(`the signature is not ${statement.iss}'s`);
  }
  if (!statement.aud.includes(audience))
    throw refuse(`addressed to ${statement.aud.join(', ')}, not ${audience}`);
  if (expired === 'refuse' && now >= statement.exp * 1000) throw refuse('expired');
  if (now < statement.iat * 1000 - 60_000) throw refuse('from the future');
  return statement;
}
