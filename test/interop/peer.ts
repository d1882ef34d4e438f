/**
 * Real peers for the interop tests. A missing one skips its test with a line saying what to install;
 * with REHOME_PEERS=required that is a failure.
 */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'node:test';

/** Where a command is, or undefined. Also looks where Debian keeps daemons. */
export function findCommand(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin', '/usr/local/sbin'];
  for (const folder of folders) {
    try {
      const path = join(folder, name);
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // next
    }
  }
  return undefined;
}

/** The path of a file that a Debian package brings, or undefined. */
export function findFile(path: string): string | undefined {
  try {
    accessSync(path, constants.R_OK);
    return path;
  } catch {
    return undefined;
  }
}

/**
 * @param found path of the peer, from findCommand or findFile
 * @returns the path; or undefined after the test was marked as skipped
 * @throws if the peer is missing and REHOME_PEERS=required
 */
export function requirePeer(
  t: TestContext,
  found: string | undefined,
  peer: string,
  debianPackage: string,
): string | undefined {
  if (found !== undefined) return found;
  const line = `${peer} is missing: apt-get install ${debianPackage}`;
  if (process.env.REHOME_PEERS === 'required') throw new Error(line);
  t.skip(line);
  return undefined;
}
