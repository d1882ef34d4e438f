/** A key of TUAK in the vault: sealed whole, used, and as good at the vault it was wrapped to. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { realClock } from '../../../src/edge/real.ts';
import { seededRandom } from '../../../src/lab/random.ts';
import { createSoftwareVault } from '../../../src/network/vault/software.ts';
import type { KeyVault } from '../../../src/network/vault/vault.ts';
import { makeAuts, openChallenge, prepare, type SubscriberKey } from '../../../src/standards/aka/index.ts';
import { fromHex, toHex } from '../../../src/standards/bytes/index.ts';

const vault = (name: string): Promise<KeyVault> =>
  createSoftwareVault({
    keyEncryptionKey: new Uint8Array(32).fill(name.length),
    random: seededRandom(1, name),
    clock: realClock,
  });
const RAND = new Uint8Array(16).fill(0x42);
const SQN = fromHex('000000000020');
const AMF = fromHex('8000');

for (const [what, more] of [
  ['K of 128 bits', {}],
  ['K of 256 bits, RES of 128, Keccak twice', { k: 'c0'.repeat(32), resLength: 16, keccakIterations: 2 }],
] as const) {
  test(`TUAK, ${what}: vectors and resynchronisation are the card's, at A and after the transfer at B`, async () => {
    const { k = 'ab'.repeat(16), ...lengths } = more as { k?: string };
    const key: SubscriberKey = {
      algorithm: 'tuak',
      k: fromHex(k),
      topc: new Uint8Array(32).fill(0xcd),
      ...lengths,
    };
    const card = prepare(key);
    const [a, b] = [await vault('A'), await vault('operator B')];
    const sealed = a.sealAka('card 0', key);
    const wrapped = await a.wrap({ aka: sealed, ota: [] }, 'card 0', b.publicKey, 'B card change');
    const { aka } = await b.unwrap(wrapped, 'card change', 'B card change');
    for (const [at, label, own] of [
      [a, 'card 0', sealed],
      [b, 'card change', aka],
    ] as const) {
      assert.deepEqual(at.describeAka(label, own), {
        algorithm: 'tuak',
        resLength: card.resLength,
        ownConstants: false,
      });
      assert.ok(at.isKi(label, own, key.k));
      const vector = at.vector(label, own, RAND, SQN, AMF);
      const opened = openChallenge(card, RAND, vector.autn);
      assert.ok(opened.macValid);
      assert.deepEqual([opened.sqn, opened.res, opened.ck, opened.ik].map(toHex), [
        toHex(SQN),
        ...[vector.xres, vector.ck, vector.ik].map(toHex),
      ]);
      assert.deepEqual(at.resynchronise(label, own, RAND, makeAuts(card, RAND, SQN)), SQN);
      assert.ok(!Buffer.from(own).toString('latin1').includes('cdcdcdcd'), 'sealed');
    }
  });
}

test('a key of TUAK that is none is not sealed', async () => {
  const a = await vault('A');
  const k = new Uint8Array(16);
  assert.throws(() => a.sealAka('card 0', { algorithm: 'tuak', k, opc: k }), { field: 'opc' });
  assert.throws(() => a.sealAka('card 0', { algorithm: 'tuak', k, topc: k }), { field: 'topc' });
});
