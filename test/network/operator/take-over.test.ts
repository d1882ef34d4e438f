/** Which cards B takes for hardened: what their manufacturers certified, and nobody else's word. */
import assert from 'node:assert/strict';
import { createECDH } from 'node:crypto';
import { afterEach, beforeEach, test } from 'node:test';
import { VirtualClock } from '../../../src/lab/clock.ts';
import { seededRandom } from '../../../src/lab/random.ts';
import { Wires } from '../../../src/lab/wires.ts';
import type { Edge } from '../../../src/edge/index.ts';
import { createManufacturerClient } from '../../../src/network/manufacturer/client.ts';
import { createManufacturer, type Manufacturer } from '../../../src/network/manufacturer/manufacturer.ts';
import type { ChangeContext } from '../../../src/network/operator/changes.ts';
import { openOperatorStore, type OperatorStore } from '../../../src/network/operator/store.ts';
import { createTakeOver, type TrustedManufacturer } from '../../../src/network/operator/take-over.ts';
import { createSoftwareVault } from '../../../src/network/vault/software.ts';
import { Problem } from '../../../src/network/wire/http.ts';
import { createSigner } from '../../../src/network/wire/statements.ts';
import { FieldError } from '../../../src/standards/bytes/index.ts';

const ANY = { host: '127.0.0.1', port: 0 };
const ICCID = '8999900100000000017';
const OTHER = '8999900100000000025';
const DAY = 86_400_000;

let clock: VirtualClock, wires: Wires, edge: Edge, store: OperatorStore;
let made: Manufacturer[];
let closing: (() => unknown)[];

const pass = async <T>(work: Promise<T>): Promise<T> => {
  let done = false;
  const settled = work.finally(() => (done = true));
  settled.catch(() => undefined);
  await clock.run(
    () => done,
    () => wires.inFlight(),
  );
  return settled;
};
const cardKey = (): Uint8Array => new Uint8Array(createECDH('prime256v1').generateKeys());

/** A manufacturer, as B trusts it: by the key that B has of it. */
async function trusted(
  name: string,
  key?: Uint8Array,
): Promise<{ role: Manufacturer; trust: TrustedManufacturer }> {
  const vault = await createSoftwareVault({
    keyEncryptionKey: new Uint8Array(32),
    random: edge.random,
    clock,
  });
  const signer = await createSigner(clock, name);
  const role = await createManufacturer({ edge, name, api: ANY, database: ':memory:', vault, signer });
  const client = createManufacturerClient(edge, role.endpoint);
  made.push(role);
  closing.push(() => client.close());
  return { role, trust: { name, key: key ?? role.publicKey, client } };
}
const partWith = (...manufacturers: TrustedManufacturer[]) =>
  createTakeOver({ edge, store } as ChangeContext, manufacturers);

beforeEach(() => {
  clock = new VirtualClock(Date.UTC(2026, 0, 1));
  wires = new Wires();
  edge = { clock, sockets: wires.of('10.0.0.1'), random: seededRandom(1, 'take-over') };
  store = openOperatorStore(':memory:');
  made = [];
  closing = [];
});
afterEach(async () => {
  for (const end of closing) end();
  for (const each of made) await pass(each.close());
  store.close();
});

test('a card is hardened if one of the manufacturers that B knows has certified its key', async () => {
  const [first, second] = [await trusted('first'), await trusted('second')];
  second.role.certify(ICCID, cardKey());
  assert.deepEqual(await pass(partWith(first.trust, second.trust).certify([OTHER, ICCID])), [false, true]);
});

test('a certificate by another key than B has of the manufacturer is nothing', async () => {
  const impostor = await trusted('first', (await trusted('first')).role.publicKey);
  impostor.role.certify(ICCID, cardKey());
  assert.deepEqual(await pass(partWith(impostor.trust).certify([ICCID])), [false]);
});

test('nor is that of another card, or one that is not good yet or any more', async () => {
  const { role, trust } = await trusted('first');
  role.certify(OTHER, cardKey());
  const mixedUp = {
    ...trust,
    client: { ...trust.client, certificates: () => trust.client.certificates([OTHER]) },
  };
  assert.deepEqual(await pass(partWith(mixedUp).certify([ICCID])), [false]);
  assert.deepEqual(await pass(partWith(trust).certify([OTHER])), [true]);
  clock.after(40 * 365 * DAY, () => undefined);
  await clock.run(
    () => clock.now() > Date.UTC(2065, 0, 1),
    () => wires.inFlight(),
  );
  assert.deepEqual(await pass(partWith(trust).certify([OTHER])), [false]);
});

test('while a manufacturer is silent, nothing is said of a card: it is not weaker for that', async () => {
  const { role, trust } = await trusted('first');
  role.certify(ICCID, cardKey());
  const part = partWith(trust);
  assert.deepEqual(await pass(part.certify([ICCID])), [true]);
  await pass(made.pop()!.close());
  await assert.rejects(
    pass(part.certify([ICCID])),
    (error) => error instanceof Problem && error.code === 'manufacturer-silent',
  );
});

test('a card whose certificate is withdrawn is not hardened any more, nor taken over as if it were', async () => {
  const { role, trust } = await trusted('first');
  role.certify(ICCID, cardKey());
  let withdrawn = false;
  const client = {
    ...trust.client,
    certificates: (iccids: readonly string[]) =>
      withdrawn ? Promise.resolve(iccids.map(() => undefined)) : trust.client.certificates(iccids),
  };
  const agreed = new Error('a key set was agreed on');
  const part = createTakeOver(
    {
      edge,
      store,
      vault: {
        agreeOta: () => {
          throw agreed;
        },
      },
      ota: { resultOf: () => undefined },
    } as unknown as ChangeContext,
    [{ ...trust, client }],
  );
  store.insert({ imsi: '001020000000001', msisdn: '1', iccid: ICCID, state: 'ready', change: null });
  const takeOver = (): void => part.takeOver('00112233445566aa', store.byIccid(ICCID)!);
  assert.deepEqual(await pass(part.certify([ICCID])), [true]);
  assert.throws(takeOver, agreed);
  withdrawn = true;
  assert.deepEqual(await pass(part.certify([ICCID])), [false]);
  // As a card whose key nobody certified: its sets are replaced under keys that A knows, and it has none here.
  assert.throws(takeOver, (error) => error instanceof Problem && error.code === 'no-kik');
});

test('a manufacturer certifies one key of a card, and the same certificate again', async () => {
  const { role } = await trusted('first');
  const key = cardKey();
  const certificate = role.certify(ICCID, key);
  assert.deepEqual(role.certify(ICCID, key), certificate);
  assert.throws(() => role.certify(ICCID, cardKey()), FieldError);
});
