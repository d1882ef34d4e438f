/**
 * The key vault in software: keys lie in the role's database sealed by AES-256-GCM under a key-encryption
 * key, are opened only in here, and leave only wrapped to a recipient's public key.
 */
import {
  createCipheriv,
  createDecipheriv,
  generateKeyPairSync,
  createPrivateKey,
  timingSafeEqual,
  type KeyObject,
} from 'node:crypto';
import { CompactEncrypt, compactDecrypt, exportJWK, importJWK, type JWK } from 'jose';
import { z } from 'zod';
import type { Clock, Random } from '../../edge/index.ts';
import {
  authenticationVector,
  prepare,
  verifyAuts,
  type AkaKey,
  type AuthenticationVector,
  type SubscriberKey,
} from '../../standards/aka/index.ts';
import { concat, expectLength, fromHex, toHex } from '../../standards/bytes/index.ts';
import { agreeKeys, encodeStoreAka, publicKeyOf } from '../../standards/globalplatform/index.ts';
import { Problem } from '../wire/http.ts';
import {
  AGREED_KEY,
  otaLabel,
  type CardCodes,
  type KeyVault,
  type OtaKeyPair,
  type SecretBundle,
} from './vault.ts';

/** Key schedules kept ready: the working set of a busy authentication centre. */
const PREPARED = 100_000;

const VERSION = 1;
const NONCE = 12;
const TAG = 16;

export interface SoftwareVaultOptions {
  /** 32 bytes; from a file or the environment, never from the database */
  keyEncryptionKey: Uint8Array;
  random: Random;
  clock: Clock;
  /** PKCS#8 PEM of the P-256 key that others wrap to; made anew if absent */
  transportKey?: string;
}

const hex = z.string().regex(/^(?:[0-9a-f]{2})+$/);
const constants = z.strictObject({ c: z.array(hex), r: z.array(z.number()) });
const akaSchema = z.strictObject({
  algorithm: z.enum(['milenage', 'tuak', 'test-xor']),
  k: hex,
  opc: hex.optional(),
  topc: hex.optional(),
  resLength: z.number().optional(),
  keccakIterations: z.number().optional(),
  constants: constants.optional(),
});
const otaSchema = z.strictObject({ kic: hex, kid: hex, kik: hex.optional() });
const codesSchema = z.strictObject({
  pin1: z.string().optional(),
  puk1: z.string().optional(),
  pin2: z.string().optional(),
  puk2: z.string().optional(),
  adm1: z.string().optional(),
});
/** What travels from vault to vault, encrypted. */
const bundleSchema = z.strictObject({
  context: z.string(),
  aka: akaSchema,
  ota: z.array(
    z.strictObject({
      keySet: z.number().int().min(1).max(15),
      algorithm: z.enum(['des', 'des3-2', 'des3-3', 'aes']),
      keys: otaSchema,
    }),
  ),
  codes: codesSchema.optional(),
});

const plainAka = (key: SubscriberKey): z.infer<typeof akaSchema> => ({
  algorithm: key.algorithm,
  k: toHex(key.k),
  ...(key.opc ? { opc: toHex(key.opc) } : {}),
  ...(key.topc ? { topc: toHex(key.topc) } : {}),
  ...(key.resLength === undefined ? {} : { resLength: key.resLength }),
  ...(key.keccakIterations === undefined ? {} : { keccakIterations: key.keccakIterations }),
  ...(key.constants
    ? { constants: { c: key.constants.c.map((each) => toHex(each)), r: [...key.constants.r] } }
    : {}),
});

function akaOf(plain: z.infer<typeof akaSchema>): SubscriberKey {
  const key: SubscriberKey = { algorithm: plain.algorithm, k: fromHex(plain.k, 'k') };
  if (plain.opc !== undefined) key.opc = fromHex(plain.opc, 'opc');
  if (plain.topc !== undefined) key.topc = fromHex(plain.topc, 'topc');
  if (plain.resLength !== undefined) key.resLength = plain.resLength;
  if (plain.keccakIterations !== undefined) key.keccakIterations = plain.keccakIterations;
  if (plain.constants !== undefined) {
    key.constants = {
      c: plain.constants.c.map((each) => fromHex(each, 'c')),
      r: plain.constants.r,
    } as unknown as NonNullable<SubscriberKey['constants']>;
  }
  return key;
}

const plainOta = ({ kic, kid, kik }: OtaKeyPair): z.infer<typeof otaSchema> => ({
  kic: toHex(kic),
  kid: toHex(kid),
  ...(kik ? { kik: toHex(kik) } : {}),
});

const otaOf = ({ kic, kid, kik }: z.infer<typeof otaSchema>): OtaKeyPair => ({
  kic: fromHex(kic, 'kic'),
  kid: fromHex(kid, 'kid'),
  ...(kik === undefined ? {} : { kik: fromHex(kik, 'kik') }),
});

/** A private key of P-256, 32 bytes: all but one in 2^32 draws is one. */
function drawPrivateKey(random: Random): Uint8Array {
  for (;;) {
    const drawn = random.bytes(32);
    try {
      publicKeyOf(drawn);
      return drawn;
    } catch {
      // Zero, or not below the order of the curve.
    }
  }
}

export async function createSoftwareVault(options: SoftwareVaultOptions): Promise<KeyVault> {
  const kek = expectLength('keyEncryptionKey', options.keyEncryptionKey, 32);
  const transport: KeyObject = options.transportKey
    ? createPrivateKey(options.transportKey)
    : generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const { d: _private, ...publicKey } = await exportJWK(transport);
  const prepared = new Map<string, AkaKey>();

  const seal = (label: string, secret: Uint8Array): Uint8Array => {
    const nonce = options.random.bytes(NONCE);
    const cipher = createCipheriv('aes-256-gcm', kek, nonce);
    cipher.setAAD(Buffer.from(label, 'utf8'));
    const body = cipher.update(secret);
    return concat(Uint8Array.of(VERSION), nonce, body, cipher.final(), cipher.getAuthTag());
  };

  const open = (label: string, sealed: Uint8Array): Buffer => {
    const failed = (): Error => new Error(`${label}: does not open under this vault's key-encryption key`);
    if (sealed[0] !== VERSION || sealed.length < 1 + NONCE + TAG) throw failed();
    const decipher = createDecipheriv('aes-256-gcm', kek, sealed.subarray(1, 1 + NONCE));
    decipher.setAAD(Buffer.from(label, 'utf8'));
    decipher.setAuthTag(sealed.subarray(sealed.length - TAG));
    try {
      const body = decipher.update(sealed.subarray(1 + NONCE, sealed.length - TAG));
      return Buffer.concat([body, decipher.final()]);
    } catch {
      throw failed();
    }
  };

  const sealJson = (label: string, value: object): Uint8Array => {
    const plain = Buffer.from(JSON.stringify(value));
    const sealed = seal(label, plain);
    plain.fill(0);
    return sealed;
  };
  const openJson = <T>(label: string, sealed: Uint8Array, schema: z.ZodType<T>): T => {
    const plain = open(label, sealed);
    const value = schema.parse(JSON.parse(plain.toString('utf8')));
    plain.fill(0);
    return value;
  };

  const sealAka = (label: string, key: SubscriberKey): Uint8Array => {
    prepare(key);
    return sealJson(`aka ${label}`, plainAka(key));
  };
  const openAka = (label: string, sealed: Uint8Array): SubscriberKey =>
    akaOf(openJson(`aka ${label}`, sealed, akaSchema));

  /** The sealed form is part of the name: a replaced key is another key. */
  const nameOf = (label: string, sealed: Uint8Array): string =>
    `${label} ${toHex(sealed.subarray(1, 1 + NONCE))}`;
  const akaKey = (label: string, sealed: Uint8Array): AkaKey => {
    const name = nameOf(label, sealed);
    const ready = prepared.get(name);
    if (ready) return ready;
    const key = prepare(openAka(label, sealed));
    if (prepared.size >= PREPARED) prepared.delete(prepared.keys().next().value!);
    prepared.set(name, key);
    return key;
  };

  const sealOta = (label: string, keys: OtaKeyPair): Uint8Array => {
    expectLength('kic', keys.kic, 16, 24, 32);
    expectLength('kid', keys.kid, 16, 24, 32);
    if (keys.kik) expectLength('kik', keys.kik, 16, 24, 32);
    return sealJson(`ota ${label}`, plainOta(keys));
  };
  const openOta = (label: string, sealed: Uint8Array): OtaKeyPair =>
    otaOf(openJson(`ota ${label}`, sealed, otaSchema));
  const sealCodes = (label: string, codes: CardCodes): Uint8Array => sealJson(`codes ${label}`, codes);

  return {
    publicKey,
    sealAka,
    sealOta,
    makeOta(label, algorithm) {
      const length = algorithm === 'des3-3' ? 24 : 16;
      const [kic, kid, kik] = [0, 0, 0].map(() => options.random.bytes(length));
      return sealOta(label, { kic: kic!, kid: kid!, kik: kik! });
    },
    agreeOta(label, cardKey, keySet) {
      const once = drawPrivateKey(options.random);
      const agreement = { keySet, keyLength: AGREED_KEY, ephemeral: publicKeyOf(once) };
      const { receipt, ...keys } = agreeKeys(agreement, once, cardKey);
      once.fill(0);
      return { ota: sealOta(label, keys), ephemeral: agreement.ephemeral, receipt };
    },
    renewAka(label, sealed) {
      const old = openAka(label, sealed);
      const fresh = (key: Uint8Array): Uint8Array => options.random.bytes(key.length);
      return sealAka(label, {
        ...old,
        k: fresh(old.k),
        ...(old.opc && { opc: fresh(old.opc) }),
        ...(old.topc && { topc: fresh(old.topc) }),
      });
    },
    storeAka: (label, sealed, under) =>
      encodeStoreAka(openAka(label, sealed), openOta(under.label, under.ota).kik ?? new Uint8Array()),
    forgetAka: (label, sealed) => void prepared.delete(nameOf(label, sealed)),
    sealCodes,
    isKi(label, sealed, k) {
      const own = openAka(label, sealed).k;
      return own.length === k.length && timingSafeEqual(own, k);
    },
    describeAka(label, sealed) {
      const key = openAka(label, sealed);
      return {
        algorithm: key.algorithm,
        resLength: prepare(key).resLength,
        ownConstants: key.constants !== undefined,
      };
    },
    vector(label, sealed, rand, sqn, amf): AuthenticationVector {
      return authenticationVector(akaKey(label, sealed), rand, sqn, amf);
    },
    resynchronise: (label, sealed, rand, auts) => verifyAuts(akaKey(label, sealed), rand, auts),
    withAka(label, sealed, use) {
      const key = openAka(label, sealed);
      try {
        return use(key);
      } finally {
        for (const part of [key.k, key.opc, key.topc]) part?.fill(0);
      }
    },
    withOtaKeys: (label, sealed, use) => use(openOta(label, sealed)),
    async wrap(bundle, label, recipient: JWK, context) {
      const content: z.infer<typeof bundleSchema> = {
        context,
        aka: plainAka(openAka(label, bundle.aka)),
        ota: bundle.ota.map(({ keySet, algorithm, label: sealedAs, ota }) => ({
          keySet,
          algorithm,
          keys: plainOta(openOta(sealedAs, ota)),
        })),
        ...(bundle.codes ? { codes: openJson(`codes ${label}`, bundle.codes, codesSchema) } : {}),
      };
      const plain = Buffer.from(JSON.stringify(content));
      const wrapped = await options.clock.hold(
        importJWK(recipient, 'ECDH-ES+A256KW').then((key) =>
          new CompactEncrypt(plain)
            .setProtectedHeader({ alg: 'ECDH-ES+A256KW', enc: 'A256GCM', typ: 'rehome-keys' })
            .encrypt(key),
        ),
      );
      plain.fill(0);
      return wrapped;
    },
    async unwrap(wrapped, label, context): Promise<SecretBundle> {
      const refuse = (): Problem =>
        new Problem(400, 'bad-keys', `keys for ${context}: not wrapped to this vault for it`);
      let content: z.infer<typeof bundleSchema>;
      try {
        const { plaintext } = await options.clock.hold(
          compactDecrypt(wrapped, transport, {
            keyManagementAlgorithms: ['ECDH-ES+A256KW'],
            contentEncryptionAlgorithms: ['A256GCM'],
          }),
        );
        content = bundleSchema.parse(JSON.parse(Buffer.from(plaintext).toString('utf8')));
        plaintext.fill(0);
      } catch {
        throw refuse();
      }
      if (content.context !== context) throw refuse();
      return {
        aka: sealAka(label, akaOf(content.aka)),
        ota: content.ota.map(({ keySet, algorithm, keys }) => {
          const sealedAs = otaLabel(label, keySet);
          return { keySet, algorithm, label: sealedAs, ota: sealOta(sealedAs, otaOf(keys)) };
        }),
        ...(content.codes
          ? {
              codes: sealCodes(label, {
                ...(content.codes as { [Name in keyof CardCodes]: string }),
              }),
            }
          : {}),
      };
    },
  };
}
