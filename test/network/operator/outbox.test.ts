/** What an HSS is told, over each wire, through crashes, doubled answers and refusals. */
import assert from 'node:assert/strict';
import { createDecipheriv, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { compactDecrypt, exportJWK } from 'jose';
import { realDisk, realEdge } from '../../../src/edge/real.ts';
import { openOperatorStore, type OperatorStore } from '../../../src/network/operator/store.ts';
import { batchFeeder, type BatchFileOptions } from '../../../src/network/operator/subscribers/batch-file.ts';
import type {
  FeedEntry,
  FeedOutcome,
  SubscriberFeeder,
} from '../../../src/network/operator/subscribers/keeper.ts';
import { openOutbox, type Outbox } from '../../../src/network/operator/subscribers/outbox.ts';
import { restContext, restFeeder } from '../../../src/network/operator/subscribers/rest.ts';
import { createSoftwareVault } from '../../../src/network/vault/software.ts';
import type { KeyVault } from '../../../src/network/vault/vault.ts';
import { Problem } from '../../../src/network/wire/http.ts';
import { fromHex } from '../../../src/standards/bytes/index.ts';

const K = '465b5ce8b199b49faa5f0a2ee238a6bc';
const OPC = 'cd63cb71954a9f4e48a5994e37a02baf';
const vault: KeyVault = await createSoftwareVault({
  keyEncryptionKey: new Uint8Array(32),
  random: realEdge.random,
  clock: realEdge.clock,
});

const imsiOf = (n: number): string => `00101000000000${n}`;

/** A subscriber becomes ready, as a change makes it: row and state in one transaction. */
function ready(store: OperatorStore, n: number, more: () => void = () => undefined): string {
  const imsi = imsiOf(n);
  store.transaction(() => {
    if (!store.byImsi(imsi)) {
      store.insert({
        imsi,
        msisdn: `4900000${n}`,
        iccid: `898821100000000000${n}`,
        state: 'reserved',
        change: null,
      });
    }
    const aka = vault.sealAka(imsi, { algorithm: 'milenage', k: fromHex(K), opc: fromHex(OPC) });
    store.update(imsi, { aka, label: imsi, state: 'ready', seq: 33 });
    more();
  });
  return imsi;
}

interface Told {
  store: OperatorStore;
  outbox: Outbox;
  /** ends the process' part, as a crash does: nothing is waited for */
  again(feeder: SubscriberFeeder): Told;
}

function open(t: TestContext, feeder: SubscriberFeeder, path = ':memory:', patienceMs = 60_000): Told {
  const store = openOperatorStore(path);
  const outbox = openOutbox({
    clock: realEdge.clock,
    random: realEdge.random,
    store,
    feeder,
    patienceMs,
    onError: (error) => assert.fail(error as Error),
  });
  let closed = false;
  const close = async (): Promise<void> => {
    if (closed) return;
    closed = true;
    await outbox.close();
    store.close();
  };
  t.after(close);
  return {
    store,
    outbox,
    again(next) {
      void close();
      return open(t, next, path, patienceMs);
    },
  };
}

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'rehome-outbox-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

const rows = (store: OperatorStore): unknown[] =>
  store.database
    .prepare('SELECT imsi, action, state FROM hss_outbox ORDER BY id')
    .all()
    .map((row) => Object.values(row).join(' '));

/** A feeder that does as the test says. */
function scripted(
  answer: (entry: FeedEntry, time: number) => FeedOutcome | 'throw' | 'hang',
): SubscriberFeeder & {
  told: FeedEntry[];
} {
  const told: FeedEntry[] = [];
  return {
    told,
    async feed(entries) {
      const outcomes: FeedOutcome[] = [];
      for (const entry of entries) {
        const said = answer(entry, told.filter(({ id }) => id === entry.id).length);
        told.push(entry);
        if (said === 'throw') throw new Error('scripted');
        if (said === 'hang') await new Promise(() => undefined);
        outcomes.push(said as FeedOutcome);
      }
      return outcomes;
    },
    close: () => undefined,
  };
}
const taken = (): FeedOutcome => ({ taken: true });

test('every subscriber that becomes ready or is gone is told, in the transaction or not at all', async (t) => {
  const feeder = scripted(taken);
  const { store, outbox } = open(t, feeder);
  const imsi = ready(store, 1);
  assert.throws(() =>
    ready(store, 2, () => {
      throw new Error('rolled back');
    }),
  );
  await outbox.settled(imsi);
  assert.deepEqual(rows(store), [`${imsi} put taken`]);
  // What a serving network does changes nothing that an HSS is told.
  store.takeSqn(imsi, 1);
  store.update(imsi, { mmeHost: 'mme' });
  store.update(imsi, { state: 'retired' });
  await outbox.settled(imsi);
  assert.deepEqual(rows(store), [`${imsi} remove taken`]);
  ready(store, 1);
  await outbox.settled(imsi);
  assert.deepEqual(
    feeder.told.map((entry) => [entry.action, entry.action === 'put' && entry.known]),
    [
      ['put', false],
      ['remove', false],
      ['put', false],
    ],
  );
  // Another Ki is a change.
  ready(store, 1);
  await outbox.settled(imsi);
  assert.equal(
    feeder.told.at(-1)!.action === 'put' && (feeder.told.at(-1) as { known: boolean }).known,
    true,
  );
  await outbox.settled('001019999999999');
});

test('who was ready before the outbox is told once it is there', async (t) => {
  const path = join(folderOf(t), 'operator');
  const before = openOperatorStore(path);
  const imsi = ready(before, 1);
  before.close();
  const feeder = scripted(taken);
  const first = open(t, feeder, path);
  await first.outbox.settled(imsi);
  const second = first.again(scripted(taken));
  await second.outbox.empty();
  assert.equal(feeder.told.length, 1);
  assert.deepEqual(rows(second.store), [`${imsi} put taken`]);
});

test('an HSS that was told and did not answer before a crash is told the same again', async (t) => {
  const path = join(folderOf(t), 'operator');
  const deaf = scripted(() => 'hang');
  const first = open(t, deaf, path);
  const imsi = ready(first.store, 1);
  while (deaf.told.length === 0) await new Promise((resolve) => setImmediate(resolve));
  const hearing = scripted(taken);
  const second = first.again(hearing);
  await second.outbox.settled(imsi);
  assert.deepEqual(
    hearing.told.map(({ id }) => id),
    deaf.told.map(({ id }) => id),
  );
});

test('for one IMSI nothing overtakes; a put of one that is gone meanwhile is not told', async (t) => {
  let open1 = false;
  const feeder = scripted(() => (open1 ? { taken: true } : { later: 'not yet', afterMs: 1 }));
  const { store, outbox } = open(t, feeder);
  const imsi = ready(store, 1);
  while (feeder.told.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.deepEqual(new Set(feeder.told.map(({ action }) => action)), new Set(['put']));
  // Another Ki, while the first is not taken yet.
  ready(store, 1);
  const before = feeder.told.length;
  while (feeder.told.length < before + 3) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(
    new Set(feeder.told.map(({ id }) => id)).size,
    1,
    'the second went before the first was taken',
  );
  store.update(imsi, { state: 'cancelled', aka: null });
  await new Promise((resolve) => setTimeout(resolve, 20));
  open1 = true;
  await outbox.settled(imsi);
  assert.equal(feeder.told.at(-1)!.action, 'remove');
  const lastPut = feeder.told.findLastIndex(({ action }) => action === 'put');
  assert.ok(feeder.told.slice(lastPut + 1).every(({ action }) => action === 'remove'));
});

test('an answer for a change waits for the HSS: pending, refused, and asked again at once when it comes again', async (t) => {
  let said: FeedOutcome | 'throw' = { later: 'busy', afterMs: 3_600_000 };
  const { store, outbox } = open(
    t,
    scripted(() => said),
    ':memory:',
    50,
  );
  const imsi = ready(store, 1);
  const problem = (code: string) => (error: unknown) => error instanceof Problem && error.code === code;
  await assert.rejects(outbox.settled(imsi), problem('hss-pending'));
  said = { refused: 'no such algorithm', code: 'algorithm-unsupported' };
  await assert.rejects(outbox.settled(imsi), problem('algorithm-unsupported'));
  said = { taken: true };
  await outbox.settled(imsi);
  await outbox.settled(imsi);
});

/** The HSS's side of a folder: deciphers, and answers. */
function batches(folder: string, transportKey: Uint8Array) {
  const files = readdirSync(folder).filter(
    (name) => /^subscribers-.*\.csv$/.test(name) && !/result/.test(name),
  );
  return files.map((name) => {
    const text = readFileSync(join(folder, name), 'utf8');
    const [head, ...lines] = text.trim().split('\n');
    const entries = lines.map((line) => {
      const cells = line.split(',');
      return Object.fromEntries(head!.split(',').map((column, i) => [column, cells[i]!]));
    });
    return {
      name,
      text,
      entries,
      decrypt(hex: string): string {
        const decipher = createDecipheriv(`aes-${8 * transportKey.length}-ecb`, transportKey, null);
        decipher.setAutoPadding(false);
        return Buffer.concat([decipher.update(Buffer.from(hex, 'hex')), decipher.final()]).toString('hex');
      },
      answer(result: (entry: Record<string, string>) => string[]) {
        const said = entries.flatMap((entry) => result(entry).map((each) => `${entry.id},${each}`));
        writeFileSync(
          join(folder, name.replace(/\.csv$/, '.result.csv')),
          ['id,result,reason', ...said, 'unknown-1,ok,'].join('\n'),
        );
      },
    };
  });
}
const entered = async (folder: string, count = 1): Promise<void> => {
  while (readdirSync(folder).filter((name) => /^subscribers-.*\.csv$/.test(name)).length < count) {
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
};

for (const bits of [128, 256]) {
  test(`batch files: added, changed and removed, keys under AES-${bits}`, async (t) => {
    const folder = folderOf(t);
    const transportKey = new Uint8Array(bits / 8).fill(bits & 0xff);
    const options: BatchFileOptions = {
      disk: realDisk,
      vault,
      folder,
      transportKey,
      transportKeyIndex: 7,
      pollMs: 2,
    };
    const { store, outbox } = open(t, batchFeeder(options));
    const imsi = ready(store, 1);
    const turn = async (action: string): Promise<ReturnType<typeof batches>[number]> => {
      await entered(folder);
      const [batch] = batches(folder, transportKey);
      assert.deepEqual(
        batch!.entries.map((entry) => [entry.action, entry.imsi]),
        [[action, imsi]],
      );
      assert.ok(!batch!.text.includes(K) && !batch!.text.includes(OPC));
      batch!.answer(() => ['ok,', 'error,said twice']);
      await outbox.settled(imsi);
      return batch!;
    };
    const added = await turn('add');
    const [entry] = added.entries;
    assert.equal(added.decrypt(entry!.eki!), K);
    assert.equal(added.decrypt(entry!.eopc!), OPC);
    assert.deepEqual(
      [entry!.algorithm, entry!.transport_key, entry!.msisdn, entry!.sqn],
      ['milenage', '7', '49000001', '000000000420'],
    );
    ready(store, 1);
    await turn('change');
    store.update(imsi, { state: 'retired', aka: null });
    const removed = await turn('remove');
    assert.equal(removed.entries[0]!.eki, '');
    // What is acknowledged and on file is taken away.
    assert.deepEqual(readdirSync(folder), []);
  });
}

test('batch files: a crash between the file and its acknowledgement writes no second; a refusal is told', async (t) => {
  const folder = folderOf(t);
  const path = join(folderOf(t), 'operator');
  const transportKey = new Uint8Array(16).fill(9);
  const options: BatchFileOptions = {
    disk: realDisk,
    vault,
    folder,
    transportKey,
    transportKeyIndex: 1,
    pollMs: 2,
  };
  const first = open(t, batchFeeder(options), path);
  const imsi = ready(first.store, 1);
  await entered(folder);
  // Half of another, from a crash while it was written.
  writeFileSync(join(folder, 'subscribers-x-to-y.csv.unfinished'), 'id,act');
  const second = first.again(batchFeeder(options));
  const other = ready(second.store, 2);
  await entered(folder, 2);
  const both = batches(folder, transportKey);
  assert.deepEqual(both.flatMap(({ entries }) => entries.map((entry) => entry.imsi)).sort(), [imsi, other]);
  assert.ok(!readdirSync(folder).some((name) => name.endsWith('unfinished')));
  for (const batch of both) batch.answer((entry) => [entry.imsi === imsi ? 'ok,' : 'error,MSISDN is taken']);
  await second.outbox.settled(imsi);
  await second.outbox.empty();
  assert.deepEqual(rows(second.store), [`${imsi} put taken`, `${other} put refused`]);
});

interface Heard {
  method: string;
  url: string;
  id: string;
  authorization: string | undefined;
  body: Record<string, string>;
}

/** A tiny HSS: answers as the test says, and forgets nothing. */
async function hssOf(
  t: TestContext,
  answer: (heard: Heard, times: number) => number | 'hang' | 'cut' | [number, Record<string, string>],
): Promise<{ server: Server; port: number; heard: Heard[] }> {
  const heard: Heard[] = [];
  const read = async (request: IncomingMessage): Promise<string> => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    return Buffer.concat(parts).toString();
  };
  const server = createServer((request, response) => {
    void read(request).then((text) => {
      const one: Heard = {
        method: request.method!,
        url: request.url!,
        id: String(request.headers['idempotency-key']),
        authorization: request.headers.authorization,
        body: text ? (JSON.parse(text) as Record<string, string>) : {},
      };
      const said = answer(one, heard.filter(({ id }) => id === one.id).length);
      heard.push(one);
      if (said === 'hang') return;
      if (said === 'cut') {
        response.destroy();
        return;
      }
      const [status, headers] = Array.isArray(said) ? said : [said, {}];
      response.writeHead(status, headers).end(status === 204 ? undefined : '{"echo":"x"}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, port: (server.address() as { port: number }).port, heard };
}

test('REST: put and deleted, the key as a JWE to the HSS alone; 500s, cuts and silence are repeated with one identifier', async (t) => {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const faults = [500, 'cut', 'hang', [503, { 'retry-after': '1' }]] as const;
  const { port, heard } = await hssOf(t, ({ method }, times) =>
    method === 'PUT' ? ((faults[times] as 500 | undefined) ?? 204) : 204,
  );
  const feeder = restFeeder({
    edge: realEdge,
    vault,
    to: { host: '127.0.0.1', port },
    prefix: '/provisioning/v1',
    key: await exportJWK(pair.publicKey),
    bearer: 'token',
    answerMs: 200,
  });
  const { store, outbox } = open(t, feeder);
  const imsi = ready(store, 1);
  // Asked again before its time, as a change that is tried again does.
  const hasten = setInterval(() => void outbox.settled(imsi).catch(() => undefined), 10);
  t.after(() => clearInterval(hasten));
  await outbox.settled(imsi);
  clearInterval(hasten);
  assert.equal(heard.length, faults.length + 1);
  assert.equal(new Set(heard.map(({ id }) => id)).size, 1);
  const put = heard.at(-1)!;
  assert.deepEqual(
    [put.method, put.url, put.authorization],
    ['PUT', `/provisioning/v1/subscribers/${imsi}`, 'Bearer token'],
  );
  assert.equal(put.body.msisdn, '49000001');
  const { plaintext } = await compactDecrypt(put.body.key!, pair.privateKey);
  const inside = JSON.parse(Buffer.from(plaintext).toString()) as {
    context: string;
    aka: { k: string; opc: string };
  };
  assert.equal(inside.context, restContext(put.id, imsi));
  assert.deepEqual([inside.aka.k, inside.aka.opc], [K, OPC]);
  assert.ok(!JSON.stringify(heard).includes(K));
  store.update(imsi, { state: 'retired', aka: null });
  await outbox.settled(imsi);
  assert.deepEqual([heard.at(-1)!.method, heard.at(-1)!.url], ['DELETE', put.url]);
});

test('REST: one that is gone already is gone; what is wrong for good is refused', async (t) => {
  const { port } = await hssOf(t, ({ method }) => (method === 'DELETE' ? 404 : 422));
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const feeder = restFeeder({
    edge: realEdge,
    vault,
    to: { host: '127.0.0.1', port },
    key: await exportJWK(publicKey),
  });
  const { store, outbox } = open(t, feeder);
  const imsi = ready(store, 1);
  await assert.rejects(outbox.settled(imsi), /the HSS refuses IMSI \d+: HTTP 422/);
  store.update(imsi, { state: 'cancelled', aka: null });
  await outbox.settled(imsi);
});
