/** What a change has left in the databases of who took part, and on the card: read as they are when all has ended. */
import type { DatabaseSync } from 'node:sqlite';
import type { LabDevice } from '../../src/lab/device.ts';
import { toHex } from '../../src/standards/bytes/index.ts';

export type Databases = Record<'A' | 'B' | 'owner' | 'escrow', DatabaseSync>;

/**
 * @param state in which the change ended @param knowers whose vaults hold the Ki in use
 * @returns what should not be so, in words
 */
export function leftBehind(
  databases: Databases,
  alternative: '2' | '3a' | '3b',
  change: string,
  device: LabDevice,
  state: string,
  knowers: readonly string[],
): string[] {
  const wrong: string[] = [];
  const unless = (holds: boolean, what: string): void => void (holds || wrong.push(what));
  const rows = (where: keyof Databases, sql: string, ...values: string[]): Record<string, unknown>[] =>
    databases[where].prepare(sql).all(...values);
  const { made } = device;

  if (state === 'rolledBack') {
    unless(knowers.join() === 'A', `it is back, and its Ki is known to ${knowers.join(' and ') || 'nobody'}`);
    const atB = rows('B', 'SELECT state, aka FROM subscriber WHERE change = ?', change);
    if (alternative === '2') {
      unless(atB.length === 0, 'it is back, and B has not taken its card back');
      const [swap] = rows('owner', `SELECT state FROM work_order WHERE change = ? AND kind = 'swap'`, change);
      unless(swap?.state !== 'open', 'it is back, and the work order is not called off');
    } else {
      unless(
        atB.every(({ state }) => state === 'cancelled'),
        'it is back, and B’s subscription is not cancelled',
      );
      unless(
        atB.every(({ aka }) => aka === null),
        'it is back, and B keeps the Ki that it was given',
      );
    }
    unless(
      rows('escrow', 'SELECT state FROM pair WHERE change = ?', change).every(
        (pair) => pair.state === 'burnt',
      ),
      'it is back, and the pair is not burnt',
    );
    unless(
      rows('A', 'SELECT destroyed FROM key_transfer WHERE change = ?', change).every(
        ({ destroyed }) => destroyed !== null,
      ),
      'it is back, and A has no word that B destroyed the keys',
    );
  }

  if (state === 'done' && alternative === '2') {
    unless(knowers.join() === 'B', `it is B’s, and its Ki is known to ${knowers.join(' and ') || 'nobody'}`);
    const bound = rows('B', `SELECT 1 FROM subscriber WHERE imei = ? AND bound = 1`, made.imei);
    unless(bound.length === 1, 'it is B’s, and its card is not bound to it');
  }

  if (state === 'done' && alternative === '3a') {
    const old = new Set((made.card.ota?.keySets ?? []).map(({ kic }) => kic));
    unless(
      !device.card().keySets.some(({ kic }) => old.has(toHex(kic))),
      'it is B’s, and has an OTA key set that A knows',
    );
    const sets = rows('B', 'SELECT key_set, label FROM ota_key WHERE iccid = ?', device.iccid());
    unless(
      sets.length > 0 &&
        sets.every(({ key_set, label }) => Number(key_set) < 16 && / (own|new)$/.test(String(label))),
      'it is B’s, and B has an OTA key set of it that A gave',
    );
    if (made.class === 'hardened') {
      unless(
        rows('B', 'SELECT 1 FROM agreement WHERE change = ? AND taken = 0', change).length === 1,
        'it is B’s and hardened, and agreed on no key set',
      );
      unless(knowers.join() === 'B', `it is hardened, and its Ki is known to ${knowers.join(' and ')}`);
    }
  }
  return wrong;
}
