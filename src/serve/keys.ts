/** The keys that a configuration names, made where there are none; and the public halves, for others to have. */
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { existsSync } from 'node:fs';
import type { JWK } from 'jose';
import type { Disk, Random } from '../edge/index.ts';
import { FieldError, toHex } from '../standards/bytes/index.ts';
import type { ReadConfig } from './config/read.ts';
import type { VaultConfig } from './config/schema.ts';

export interface PublicKeys {
  /** as it goes into the key ring; a manufacturer's lacks `iccids`, by which its cards begin */
  parties: Record<string, { role: string; key: JWK }>;
  /** by role: what others wrap keys to */
  vaults: Record<string, JWK>;
  /** PEM: by which cards of this manufacturer are judged */
  certifying?: string;
  /** files that were made */
  made: string[];
}

/** Characters of a password, and how many: SMPP has 8 (SMPP 3.4 §5.2.2). */
const LETTERS = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789';
const PASSWORD = 8;

/** A private key drawn anew, PKCS#8 PEM. */
export const newPrivateKey = (kind: 'ed25519' | 'p256'): string =>
  (kind === 'ed25519'
    ? generateKeyPairSync('ed25519')
    : generateKeyPairSync('ec', { namedCurve: 'P-256' })
  ).privateKey
    .export({ type: 'pkcs8', format: 'pem' })
    .toString();

const jwkOf = (pem: string): JWK => createPublicKey(createPrivateKey(pem)).export({ format: 'jwk' }) as JWK;

/**
 * Makes the signing, transport and certifying keys, key-encryption keys and passwords of a configuration's roles that
 * are files and are not there yet. What is there is left as it is.
 * @throws FieldError on a key that is there and cannot be read
 */
export function makeKeys({ config, roles }: ReadConfig, disk: Disk, random: Random): PublicKeys {
  const made: string[] = [];
  const file = (path: string, make: () => string): string => {
    if (!existsSync(path)) {
      disk.write(path, make());
      made.push(path);
    }
    return disk.read(path);
  };
  const key = (path: string, kind: 'ed25519' | 'p256'): JWK => {
    const pem = file(path, () => newPrivateKey(kind));
    try {
      return jwkOf(pem);
    } catch {
      throw new FieldError(path, `${pem.length} characters`, 'a private key, PKCS#8 PEM');
    }
  };
  const keys: PublicKeys = { parties: {}, vaults: {}, made };
  const vault = (role: string, { software }: VaultConfig): void => {
    if (!software) return;
    const { keyEncryptionKey, transportKey } = software;
    if ('file' in keyEncryptionKey && keyEncryptionKey.file !== undefined) {
      file(keyEncryptionKey.file, () => `${toHex(random.bytes(32))}\n`);
    }
    keys.vaults[role] = key(transportKey, 'p256');
  };
  for (const role of roles) {
    if (role === 'visited') continue;
    const section = config[role]!;
    if ('vault' in section) vault(role, section.vault);
    if ('signingKey' in section) {
      keys.parties[config.organisation] = { role, key: key(section.signingKey, 'ed25519') };
    }
    if ('certifyingKey' in section) {
      const jwk = key(section.certifyingKey, 'p256');
      keys.certifying = createPublicKey({ key: jwk, format: 'jwk' })
        .export({ type: 'spki', format: 'pem' })
        .toString();
    }
    if ('otaPassword' in section && 'file' in section.otaPassword) {
      const drawn = (): string =>
        Array.from(random.bytes(PASSWORD), (byte) => LETTERS[byte % LETTERS.length]).join('');
      file(section.otaPassword.file, () => `${drawn()}\n`);
    }
  }
  return keys;
}
