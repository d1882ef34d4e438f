/** A manufacturer hands the pairs of its cards' lists to an escrow that is another party. */
import assert from 'node:assert/strict';
import { after, beforeEach, afterEach, test } from 'node:test';
import { realEdge } from '../../../src/edge/real.ts';
import { createEscrowClient, type EscrowClient } from '../../../src/network/escrow/client.ts';
import { createEscrow, type Escrow } from '../../../src/network/escrow/escrow.ts';
import {
  createManufacturer,
  type ListedPair,
  type Manufacturer,
} from '../../../src/network/manufacturer/manufacturer.ts';
import { createSoftwareVault } from '../../../src/network/vault/software.ts';
import type { KeyVault } from '../../../src/network/vault/vault.ts';
import { createSigner, type Signer } from '../../../src/network/wire/statements.ts';
import { toHex } from '../../../src/standards/bytes/index.ts';

const ANY = { host: '127.0.0.1', port: 0 };
const ICCID = '8988211000000000010';
const filled = (byte: number): Uint8Array => new Uint8Array(16).fill(byte);
const pair = (index: number): ListedPair => ({
  iccid: ICCID,
  index,
  aka: { algorithm: 'milenage', k: filled(index), opc: filled(9) },
  ota: { kic: filled(index + 20), kid: filled(index + 40) },
});

const vault = (): Promise<KeyVault> =>
  createSoftwareVault({
    keyEncryptionKey: realEdge.random.bytes(32),
    random: realEdge.random,
    clock: realEdge.clock,
  });
let maker: Signer, other: Signer;
let own: KeyVault, kept: KeyVault;
let escrow: Escrow, client: EscrowClient, manufacturer: Manufacturer;
/** what was sent to the escrow */
let sent: string[];
const ready = (async () => {
  [maker, other] = [await createSigner(realEdge.clock, 'maker'), await createSigner(realEdge.clock, 'other')];
  [own, kept] = [await vault(), await vault()];
})();
after(() => ready);

/** What the ring says of the other manufacturer's cards. */
const OTHERS: string[] = [];
beforeEach(async () => {
  await ready;
  OTHERS.splice(0, OTHERS.length, ICCID.slice(0, 7));
  escrow = await createEscrow({
    edge: realEdge,
    name: 'escrow',
    api: ANY,
    database: ':memory:',
    vault: kept,
    ring: {
      maker: { role: 'manufacturer', key: maker.publicKey, iccids: ['', ICCID.slice(0, 7)] },
      other: { role: 'manufacturer', key: other.publicKey, iccids: OTHERS },
      A: { role: 'operator', key: other.publicKey },
    },
    vaults: {},
  });
  const real = createEscrowClient(realEdge, escrow.endpoint);
  sent = [];
  client = { ...real, deposit: (statements) => (sent.push(...statements), real.deposit(statements)) };
  manufacturer = await createManufacturer({
    edge: realEdge,
    name: 'maker',
    api: ANY,
    database: ':memory:',
    vault: own,
    signer: maker,
  });
});
afterEach(async () => {
  client.close();
  await escrow.close();
  await manufacturer.close();
});
const handOver = (name = 'escrow', to = kept): Promise<void> =>
  manufacturer.handOver({ name, client, vault: to.publicKey });

test('what the escrow has taken in, the manufacturer has forgotten; no key is in what travels', async () => {
  manufacturer.produce([pair(1), pair(2)]);
  assert.ok(manufacturer.knowsKi(ICCID, filled(1)) && !escrow.knowsKi(ICCID, filled(1)));
  await handOver();
  for (const index of [1, 2]) {
    assert.ok(escrow.knowsKi(ICCID, filled(index)));
    assert.ok(!manufacturer.knowsKi(ICCID, filled(index)));
  }
  assert.equal((await client.card(ICCID)).next, 1);
  assert.equal(sent.length, 2);
  for (const statement of sent) {
    const body = Buffer.from(statement.split('.')[1]!, 'base64url').toString();
    for (const secret of [1, 2, 9, 21, 22, 41, 42]) assert.ok(!body.includes(toHex(filled(secret))));
  }
  await handOver();
  assert.equal(sent.length, 2, 'there is nothing left to hand over');
});

test('the same deposit once more changes nothing; that of another manufacturer is refused', async () => {
  manufacturer.produce([pair(1)]);
  await handOver();
  assert.deepEqual(await client.deposit(sent.slice()), [undefined]);
  const label = `${ICCID} 1`;
  const set = { keySet: 1, algorithm: 'aes', label, ota: own.sealOta(label, pair(3).ota) } as const;
  const bundle = { aka: own.sealAka(label, pair(3).aka), ota: [set] };
  const keys = await own.wrap(bundle, label, kept.publicKey, `escrow ${label}`);
  const iat = Math.floor(Date.now() / 1000);
  const statement = { aud: ['escrow'], iat, exp: iat + 60, iccid: ICCID, index: 1, keys };
  assert.match((await client.deposit([await other.sign('list-deposit', statement)]))[0]!, /not from other/);
  assert.ok(escrow.knowsKi(ICCID, filled(1)) && !escrow.knowsKi(ICCID, filled(3)));
});

test('a manufacturer deposits pairs of its own cards alone, though it comes first', async () => {
  const label = `${ICCID} 1`;
  const set = { keySet: 1, algorithm: 'aes', label, ota: own.sealOta(label, pair(3).ota) } as const;
  const bundle = { aka: own.sealAka(label, pair(3).aka), ota: [set] };
  const keys = await own.wrap(bundle, label, kept.publicKey, `escrow ${label}`);
  const iat = Math.floor(Date.now() / 1000);
  const statement = await other.sign('list-deposit', {
    aud: ['escrow'],
    iat,
    exp: iat + 60,
    iccid: ICCID,
    index: 1,
    keys,
  });
  for (const prefixes of [[], [''], [ICCID.slice(1)], [`${ICCID.slice(0, 6)}x`, `${ICCID}0`]]) {
    OTHERS.splice(0, OTHERS.length, ...prefixes);
    assert.match((await client.deposit([statement]))[0]!, /is not of other's/, prefixes.join());
  }
  assert.ok(!escrow.knowsKi(ICCID, filled(3)));
  manufacturer.produce([pair(1)]);
  await handOver();
  assert.ok(escrow.knowsKi(ICCID, filled(1)));
});

test('a pair that is not for this escrow, not from a manufacturer or not to be opened stays with the manufacturer', async () => {
  manufacturer.produce([pair(1)]);
  await assert.rejects(handOver('another'), /addressed to another/);
  await assert.rejects(handOver('escrow', own), /not wrapped to this vault/);
  assert.ok(manufacturer.knowsKi(ICCID, filled(1)));
  const [, body] = sent[0]!.split('.');
  const given = JSON.parse(Buffer.from(body!, 'base64url').toString()) as Parameters<Signer['sign']>[1];
  const stranger = { ...other, name: 'A' };
  const forged = await stranger.sign('list-deposit', { ...given, iss: 'A', aud: ['escrow'] } as never);
  assert.match((await client.deposit([forged]))[0]!, /signed by A, whose word does not count/);
  assert.ok(!escrow.knowsKi(ICCID, filled(1)));
  await handOver();
  assert.ok(escrow.knowsKi(ICCID, filled(1)));
});
