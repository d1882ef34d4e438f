import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { realEdge } from '../../../src/edge/real.ts';
import { createEscrowClient, type EscrowClient } from '../../../src/network/escrow/client.ts';
import { createEscrow, type Escrow } from '../../../src/network/escrow/escrow.ts';
import { createSoftwareVault } from '../../../src/network/vault/software.ts';
import type { KeyVault } from '../../../src/network/vault/vault.ts';
import { createSigner, type Signer } from '../../../src/network/wire/statements.ts';
import { computeAll, prepare } from '../../../src/standards/aka/index.ts';
import { equal, toHex } from '../../../src/standards/bytes/index.ts';

const at = { host: '127.0.0.1', port: 0 };
const ICCID = '8988211000000000010';
const CHANGE = '00112233445566aa';
const k = new Uint8Array(16).fill(7);
const opc = new Uint8Array(16).fill(9);

describe('the escrow', () => {
  let owner: Signer, a: Signer, b: Signer, c: Signer;
  let vaults: Record<string, KeyVault>;
  let escrow: Escrow;
  let client: EscrowClient;

  before(async () => {
    [owner, a, b, c] = (await Promise.all(
      ['owner', 'A', 'B', 'C'].map((name) => createSigner(realEdge.clock, name)),
    )) as [Signer, Signer, Signer, Signer];
    const vault = (): Promise<KeyVault> =>
      createSoftwareVault({
        keyEncryptionKey: realEdge.random.bytes(32),
        random: realEdge.random,
        clock: realEdge.clock,
      });
    vaults = { escrow: await vault(), B: await vault(), C: await vault() };
    escrow = await createEscrow({
      edge: realEdge,
      name: 'escrow',
      api: at,
      database: ':memory:',
      vault: vaults.escrow!,
      ring: Object.fromEntries(
        [owner, a, b, c].map(({ name, publicKey }) => [
          name,
          { role: name === 'owner' ? 'owner' : 'operator', key: publicKey },
        ]),
      ),
      vaults: { B: vaults.B!.publicKey, C: vaults.C!.publicKey },
    });
    escrow.deposit(
      [1, 2, 3].map((index) => ({
        iccid: ICCID,
        index,
        aka: { algorithm: 'milenage', k, opc },
        ota: { kic: new Uint8Array(16).fill(index), kid: new Uint8Array(16).fill(index + 100) },
      })),
    );
    client = createEscrowClient(realEdge, escrow.endpoint);
  });
  after(async () => {
    client.close();
    await escrow.close();
  });

  const times = () => {
    const iat = Math.floor(Date.now() / 1000);
    return { iat, exp: iat + 3600 };
  };
  const order = (
    change = CHANGE,
    to = 'B',
    signer = owner,
    other: { alternative?: '2' | '3a'; exp?: number } = {},
  ): Promise<string> =>
    signer.sign('order', {
      aud: ['A', to, 'escrow'],
      ...times(),
      change,
      device: 'd',
      iccid: ICCID,
      imei: '490154203237518',
      imsi: '001010000000001',
      from: 'A',
      to,
      alternative: '3b',
      ...other,
    });
  const release = (index: number, change = CHANGE, to = 'B', signer = a): Promise<string> =>
    signer.sign('index-release', { aud: ['escrow', to], ...times(), change, iccid: ICCID, index, to });
  const ask = async (operator: string, ordered: Promise<string>, released: Promise<string>) =>
    (await client.pairs(operator, [{ order: await ordered, release: await released }]))[0]!;
  const refusedFor = async (answer: Promise<object>, why: RegExp): Promise<void> => {
    const got = (await answer) as { error?: string };
    assert.match(got.error ?? 'not refused', why);
  };

  test('refuses a stranger’s order, a release not of A’s, for another operator, another change, another asker', async () => {
    await refusedFor(ask('B', order(CHANGE, 'B', c), release(1)), /signed by C, whose word does not count/);
    await refusedFor(ask('B', order(), release(1, CHANGE, 'B', c)), /released by C, but A holds/);
    await refusedFor(ask('B', order(), release(1, CHANGE, 'C')), /released to C, ordered to B/);
    await refusedFor(ask('B', order(), release(1, 'ffffffffffffffff')), /different changes/);
    await refusedFor(ask('C', order(), release(1)), /asked for by C, ordered to B/);
    const forged = (await release(1)).replace(/\.[^.]*$/, '.AAAA');
    await refusedFor(ask('B', order(), Promise.resolve(forged)), /signature is not A's/);
    assert.equal((await client.card(ICCID)).next, 1, 'nothing was given out');
  });

  test('refuses an order of another alternative, and one whose time is over', async () => {
    for (const alternative of ['2', '3a'] as const) {
      await refusedFor(
        ask('B', order(CHANGE, 'B', owner, { alternative }), release(1)),
        new RegExp(`the order is for alternative ${alternative}`),
      );
    }
    await refusedFor(ask('B', order(CHANGE, 'B', owner, { exp: 0 }), release(1)), /order: expired/);
    assert.equal((await client.card(ICCID)).next, 1, 'nothing was given out');
  });

  test('gives the pair to B, the same again to B, and to nobody else for ever', async () => {
    const first = await ask('B', order(), release(1));
    assert.ok('keys' in first);
    const context = `B ${ICCID} 1 ${CHANGE}`;
    const keys = await vaults.B!.unwrap(first.keys, `${ICCID} 1`, context);
    const rand = new Uint8Array(16);
    const sqn = new Uint8Array(6);
    const amf = Uint8Array.of(0x80, 0);
    const expected = computeAll(prepare({ algorithm: 'milenage', k, opc }), rand, sqn, amf);
    assert.ok(equal(vaults.B!.vector(`${ICCID} 1`, keys.aka, rand, sqn, amf).autn, expected.autn));
    await assert.rejects(vaults.C!.unwrap(first.keys, `${ICCID} 1`, context), /not wrapped to this vault/);
    await assert.rejects(vaults.B!.unwrap(first.keys, `${ICCID} 1`, 'another context'), /not wrapped/);
    assert.ok('keys' in (await ask('B', order(), release(1))), 'idempotent');
    await refusedFor(
      ask('C', order('aaaaaaaaaaaaaaaa', 'C'), release(1, 'aaaaaaaaaaaaaaaa', 'C')),
      /already released/,
    );
    assert.ok(!JSON.stringify(first).includes(toHex(k)));
  });

  test('a rolled back pair is burnt; burnt and skipped ones count as used; the end of the list is said', async () => {
    const times0 = times();
    const burnt = (signer: Signer): Promise<string> =>
      signer.sign('index-burnt', { aud: ['escrow'], ...times0, change: CHANGE, iccid: ICCID, index: 1 });
    await client.burnt([await burnt(c)]);
    assert.equal((await client.card(ICCID)).burnt, 0, 'not by whoever it was not released to');
    await client.burnt([await burnt(b)]);
    assert.deepEqual(await client.card(ICCID), { pairs: 4, next: 2, burnt: 1 });
    await refusedFor(ask('B', order(), release(1)), /burnt/);
    const later = '2222222222222222';
    assert.ok('keys' in (await ask('B', order(later), release(3, later))), 'index 2 is skipped');
    await refusedFor(ask('B', order('3333333333333333'), release(2, '3333333333333333')), /later pair/);
    assert.equal((await client.card(ICCID)).next, null);
    await assert.rejects(client.card('89882110000000000'), /not held here/);
  });

  test('a deposit that repeats a pair is refused whole', () => {
    const pair = (iccid: string, index: number) => ({
      iccid,
      index,
      aka: { algorithm: 'milenage' as const, k, opc },
      ota: { kic: new Uint8Array(16), kid: new Uint8Array(16) },
    });
    assert.throws(
      () => escrow.deposit([pair('8988211000000000028', 1), pair(ICCID, 2)]),
      /pair: \(8988211000000000010, 2\)/,
    );
  });
});
