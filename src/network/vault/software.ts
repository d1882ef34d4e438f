/**
 * The key vault in software: keys lie in the role's database sealed by AES-256-GCM under a key-encryption
 * key, are opened only in here, and leave only wrapped to a recipient's public key.
 */
import {
  createCipheriv,
  createDecipheriv,
  generateKeyPairSync,
  createPrivateKey,
  type KeyObject,
} from 'node:crypto';
import { CompactEncrypt, compactDecrypt, exportJWK, importJWK, type JWK } from 'jose';
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
import { Problem } from '../wire/http.ts';
import type { KeyVault, OtaKeyPair, SecretBundle } from './vault.ts';

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

interface SealedAka {
  algorithm: SubscriberKey['algorithm'];
  k: string;
  opc?: string;
  resLength?: number;
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

  const sealAka = (label: string, key: SubscriberKey): Uint8Array => {
    prepare(key);
    const plain: SealedAka = { algorithm: key.algorithm, k: toHex(key.k) };
    if (key.opc) plain.opc = toHex(key.opc);
    if (key.resLength !== undefined) plain.resLength = key.resLength;
    return seal(`aka ${label}`, Buffer.from(JSON.stringify(plain)));
  };

  const openAka = (label: string, sealed: Uint8Array): SubscriberKey => {
    const plain = JSON.parse(open(`aka ${label}`, sealed).toString('utf8')) as SealedAka;
    const key: SubscriberKey = { algorithm: plain.algorithm, k: fromHex(plain.k, 'k') };
    if (plain.opc !== undefined) key.opc = fromHex(plain.opc, 'opc');
    if (plain.resLength !== undefined) key.resLength = plain.resLength;
    return key;
  };

  const akaKey = (label: string, sealed: Uint8Array): AkaKey => {
    // The sealed form is part of the name: a replaced key is another key.
    const name = `${label} ${toHex(sealed.subarray(1, 1 + NONCE))}`;
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
    return seal(`ota ${label}`, concat(Uint8Array.of(keys.kic.length), keys.kic, keys.kid));
  };

  const openOta = (label: string, sealed: Uint8Array): OtaKeyPair => {
    const plain = open(`ota ${label}`, sealed);
    const length = plain[0] ?? 0;
    return { kic: plain.subarray(1, 1 + length), kid: plain.subarray(1 + length) };
  };

  return {
    publicKey,
    sealAka,
    sealOta,
    vector(label, sealed, rand, sqn, amf): AuthenticationVector {
      return authenticationVector(akaKey(label, sealed), rand, sqn, amf);
    },
    resynchronise: (label, sealed, rand, auts) => verifyAuts(akaKey(label, sealed), rand, auts),
    withOtaKeys: (label, sealed, use) => use(openOta(label, sealed)),
    async wrap(bundle, label, recipient: JWK, context) {
      const aka = openAka(label, bundle.aka);
      const ota = openOta(label, bundle.ota);
      const plain = Buffer.from(
        JSON.stringify({
          context,
          algorithm: aka.algorithm,
          k: toHex(aka.k),
          ...(aka.opc ? { opc: toHex(aka.opc) } : {}),
          kic: toHex(ota.kic),
          kid: toHex(ota.kid),
        }),
      );
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
      let plain: Record<string, string>;
      try {
        const { plaintext } = await options.clock.hold(
          compactDecrypt(wrapped, transport, {
            keyManagementAlgorithms: ['ECDH-ES+A256KW'],
            contentEncryptionAlgorithms: ['A256GCM'],
          }),
        );
        plain = JSON.parse(Buffer.from(plaintext).toString('utf8')) as Record<string, string>;
        plaintext.fill(0);
      } catch {
        throw refuse();
      }
      if (plain.context !== context) throw refuse();
      const key: SubscriberKey = {
        algorithm: plain.algorithm === 'test-xor' ? 'test-xor' : 'milenage',
        k: fromHex(plain.k ?? '', 'k'),
      };
      if (plain.opc !== undefined) key.opc = fromHex(plain.opc, 'opc');
      return {
        aka: sealAka(label, key),
        ota: sealOta(label, { kic: fromHex(plain.kic ?? '', 'kic'), kid: fromHex(plain.kid ?? '', 'kid') }),
      };
    },
  };
}
