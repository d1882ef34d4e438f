/** What it takes to serve a role, whichever it is. */
import { accessSync, constants, existsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { JWK } from 'jose';
import type { Edge, Endpoint } from '../../edge/index.ts';
import { createSoftwareVault } from '../../network/vault/software.ts';
import type { KeyVault } from '../../network/vault/vault.ts';
import type { SmscLimits } from '../../network/wire/pace.ts';
import type { KeyRing } from '../../network/wire/statements.ts';
import type { Progress } from '../../change/engine.ts';
import type { VaultConfig } from '../config/schema.ts';
import type { Files } from '../files.ts';

export interface RoleContext {
  /** of this role alone: what goes over it is counted for it */
  edge: Edge;
  /** its name in statements */
  organisation: string;
  ring: KeyRing;
  onError(error: unknown): void;
  /** a change has taken a step */
  progress(progress: Progress): void;
  /** a file was taken in that was not before */
  tookIn(path: string): void;
  /** takes what ends the role, in the order in which it was made */
  closing: (() => unknown)[];
}

export interface Served {
  endpoints: Record<string, Endpoint | undefined>;
  /** files of its databases */
  databases: readonly string[];
  /** whom it speaks to, by what they are to it */
  peers: Record<string, Endpoint>;
  /** numbers that are asked for when somebody measures */
  gauges?: Record<string, () => number>;
}

/** Serves the role. What it has opened is in `closing`, also when it fails. */
export type Start = (context: RoleContext) => Promise<Served>;

/** A database that is there, or can be made. */
export function databaseFile(files: Files, field: string, path: string): string {
  const expected = 'a database, or a place where one can be made';
  try {
    accessSync(existsSync(path) ? path : dirname(path), constants.R_OK | constants.W_OK);
  } catch (error) {
    files.wrong(field, `${path}: ${(error as NodeJS.ErrnoException).code}`, expected);
  }
  if (files.databases.has(path)) files.wrong(field, path, 'a database of its own');
  files.databases.add(path);
  return path;
}

/** Where one listens, as one reaches it oneself. */
export function reached({ host, port }: Endpoint): Endpoint {
  if (host === '0.0.0.0') return { host: '127.0.0.1', port };
  return { host: host === '::' ? '::1' : host, port };
}

export const seconds = <Key extends string>(name: Key, value: number | undefined): { [K in Key]?: number } =>
  (value === undefined ? {} : { [name]: value * 1000 }) as { [K in Key]?: number };

/** What was agreed with a service centre. */
export function limitsOf(
  limits: { window?: number | undefined; ratePerSecond?: number | undefined } | undefined,
): SmscLimits | undefined {
  if (!limits) return undefined;
  const { window, ratePerSecond } = limits;
  return { ...(window !== undefined && { window }), ...(ratePerSecond !== undefined && { ratePerSecond }) };
}

/** The public keys of others' vaults, by name. */
export const vaultKeys = (
  files: Files,
  field: string,
  holders: Readonly<Record<string, { vault: string }>>,
): Record<string, JWK> =>
  Object.fromEntries(
    Object.entries(holders).map(([name, { vault }]) => [name, files.jwk(`${field}.${name}.vault`, vault)]),
  );

/** Reads what a vault needs. @returns who opens it */
export function prepareVault(
  files: Files,
  field: string,
  config: VaultConfig,
): (edge: Edge) => Promise<KeyVault> {
  const { software } = config;
  if (!software) {
    // A hardware vault has its place here.
    files.wrong(`${field}.pkcs11`, 'a section', 'software: this version has no other vault');
    return () => Promise.reject(new Error('no vault'));
  }
  const keyEncryptionKey = files.bytes(`${field}.software.keyEncryptionKey`, software.keyEncryptionKey, 32);
  const transportKey = files.privateKey(`${field}.software.transportKey`, software.transportKey, 'P-256');
  return ({ clock, random }) => createSoftwareVault({ keyEncryptionKey, transportKey, clock, random });
}
