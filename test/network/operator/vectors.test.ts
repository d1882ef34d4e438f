/** The authentication centre: which AUTS it believes, where its numbers go by it, and where they end. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, test } from 'node:test';
import fc from 'fast-check';
import { createCard } from '../../../src/device/uicc/index.ts';
import { memoryStore } from '../../../src/device/uicc/store.ts';
import { createModem } from '../../../src/device/modem/index.ts';
import { realEdge } from '../../../src/edge/real.ts';
import type { Endpoint } from '../../../src/edge/index.ts';
import { VirtualClock } from '../../../src/lab/clock.ts';
import { makeFleet } from '../../../src/lab/fleet.ts';
import { PROFILES } from '../../../src/lab/operators.ts';
import { seededRandom } from '../../../src/lab/random.ts';
import { Wires } from '../../../src/lab/wires.ts';
import { importCards, parseCardData } from '../../../src/network/operator/card-data/index.ts';
import { MOST_CHALLENGES, createIssued } from '../../../src/network/operator/issued.ts';
import { createOperator, type Operator } from '../../../src/network/operator/operator.ts';
import { epcRealm } from '../../../src/network/operator/profile.ts';
import { openOperatorStore, type OperatorStore } from '../../../src/network/operator/store.ts';
import { createOwnVectors, type VectorSource } from '../../../src/network/operator/vectors.ts';
import { createSoftwareVault } from '../../../src/network/vault/software.ts';
import { createVisited } from '../../../src/network/visited/index.ts';
import { createSigner } from '../../../src/network/wire/statements.ts';
import {
  SQN_DEFAULT,
  decodeSqn,
  encodeSqn,
  highestSeq,
  makeAuts,
  openChallenge,
  prepare,
} from '../../../src/standards/aka/index.ts';
import { fromHex } from '../../../src/standards/bytes/index.ts';
import { decodeNas } from '../../../src/standards/nas/index.ts';

const fleet = makeFleet(2, ['3a'], 1, PROFILES.A, PROFILES.B);
const [first, second] = fleet.devices;
const { usim } = first!.card;
const { imsi } = usim;
const key = prepare({ algorithm: 'milenage', k: fromHex(usim.k), opc: fromHex(usim.opc!) });
const DELTA = 2 ** 28;
const END = highestSeq(SQN_DEFAULT);

let store: OperatorStore, vectors: VectorSource, alarms: string[];
const vaultOf = (clock = realEdge.clock) =>
  createSoftwareVault({ keyEncryptionKey: new Uint8Array(32), random: seededRandom(1, 'vault'), clock });
const centre = async (): Promise<void> => {
  vectors = createOwnVectors({
    clock: realEdge.clock,
    random: realEdge.random,
    store,
    vault: await vaultOf(),
    alarm: (subscriber, trouble) => alarms.push(`${subscriber.imsi} ${trouble}`),
  });
};
beforeEach(async () => {
  store = openOperatorStore(':memory:');
  alarms = [];
  importCards(store, await vaultOf(), parseCardData(fleet.csv, [PROFILES.A.plmn], {}));
  await centre();
});

/** RAND and SEQ of the next vectors, or why there are none. */
const take = async (more: Partial<Parameters<VectorSource['take']>[0]> = {}) => {
  const answer = await vectors.take({ imsi, count: 1, eps: true, ...more });
  if ('refused' in answer) return answer.refused;
  const { rand, autn } = answer.vectors.at(-1)!;
  return { rand, seq: decodeSqn(SQN_DEFAULT, openChallenge(key, rand, autn).sqn).seq };
};
const challenged = async (): Promise<{ rand: Uint8Array; seq: number }> => {
  const taken = await take();
  assert.ok(typeof taken === 'object');
  return taken;
};
/** What the card says whose highest number is SEQ_MS. */
const auts = (rand: Uint8Array, seqMs: number) => ({
  resync: { rand, auts: makeAuts(key, rand, encodeSqn(SQN_DEFAULT, seqMs, 3)) },
});
const seqOf = async (more: Parameters<typeof take>[0]): Promise<number | string> => {
  const taken = await take(more);
  return typeof taken === 'string' ? taken : taken.seq;
};

test('AUTS for a challenge that was never given out, or to somebody else, moves nothing and raises an alarm', async () => {
  const { seq } = await challenged();
  const other = await vectors.take({ imsi: second!.card.usim.imsi, count: 1, eps: true });
  assert.ok('vectors' in other);
  for (const rand of [new Uint8Array(16), other.vectors[0]!.rand]) {
    assert.equal(await take(auts(rand, seq + 1000)), 'resync');
  }
  assert.deepEqual(alarms, [`${imsi} unknown-rand`, `${imsi} unknown-rand`]);
  assert.equal(await seqOf({}), seq + 1);
});

test('a centre that started again believes no AUTS to what it gave out before, and the next one', async () => {
  const old = await challenged();
  await centre();
  assert.equal(await take(auts(old.rand, old.seq + 1000)), 'resync');
  const { rand } = await challenged();
  assert.equal(await seqOf(auts(rand, old.seq + 1000)), old.seq + 1001);
});

test('AUTS that the card’s key did not sign moves nothing', async () => {
  const { rand, seq } = await challenged();
  const forged = auts(rand, seq + 1000);
  forged.resync.auts[13]! ^= 1;
  assert.equal(await take(forged), 'resync');
  assert.deepEqual(alarms, [`${imsi} forged`]);
  assert.equal(await seqOf({}), seq + 1);
});

test('an old AUTS, replayed, sets nothing back', async () => {
  const { rand, seq } = await challenged();
  const old = auts(rand, seq + 10);
  assert.equal(await seqOf(old), seq + 11);
  assert.equal(await seqOf({ count: 5 }), seq + 16);
  assert.equal(await seqOf(old), seq + 17);
  assert.deepEqual(alarms, []);
});

test('SEQ_MS is believed as far as Δ above what was given out; whoever knows Ki cannot use the numbers up', async () => {
  const { rand, seq } = await challenged();
  assert.equal(await take(auts(rand, END)), 'resync');
  assert.equal(await take(auts(rand, seq + DELTA + 1)), 'resync');
  assert.deepEqual(alarms, [`${imsi} out-of-range`, `${imsi} out-of-range`]);
  assert.equal(await seqOf(auts(rand, seq + DELTA)), seq + DELTA + 1);
  // The card itself is where it was, and finds that too far ahead: its own AUTS brings the centre back.
  const ahead = await challenged();
  assert.equal(await seqOf(auts(ahead.rand, seq)), seq + 1);
});

test('however often whoever knows Ki says AUTS, the card itself is authenticated at its next try', async () => {
  // As after some thirty thousand of them.
  store.update(imsi, { seq: END - 4 * DELTA });
  let taken: Awaited<ReturnType<typeof take>> = await challenged();
  let said = 0;
  while (typeof taken === 'object' && said < 10) {
    said++;
    taken = await take(auts(taken.rand, taken.seq + DELTA));
  }
  assert.deepEqual([taken, said < 10], ['resync', true]);
  const { rand } = await challenged();
  assert.equal(await seqOf(auts(rand, 77)), 78);
});

test('where the numbers end is a refusal with an alarm, never a throw, and nobody else’s request fails for it', async () => {
  for (const last of [END, END - 1, END - 4]) {
    store.update(imsi, { seq: last });
    const [mine, ims, theirs] = await Promise.all([
      take({ count: 5 }),
      take({ count: 5, ims: true }),
      vectors.take({ imsi: second!.card.usim.imsi, count: 1, eps: true }),
    ]);
    assert.deepEqual([mine, ims, 'vectors' in theirs], ['exhausted', 'exhausted', true]);
  }
  assert.equal(alarms.length, 6);
  assert.equal(alarms[0], `${imsi} exhausted`);
  store.update(imsi, { seq: END - 5 });
  const { rand, seq } = (await take({ count: 5 })) as { rand: Uint8Array; seq: number };
  assert.equal(seq, END);
  assert.equal(await take(), 'exhausted');
  assert.equal(await take(auts(rand, END)), 'exhausted', 'nothing is above it');
  assert.equal(await seqOf(auts(rand, 77)), 78, 'the card never came so far');
});

test('whatever AUTS comes after whatever numbers, there is an answer', async () => {
  const edges = [0, 1, DELTA - 1, DELTA, DELTA + 1, END - DELTA, END - 1, END];
  const any = fc.oneof(fc.constantFrom(...edges), fc.integer({ min: 0, max: END }));
  await fc.assert(
    fc.asyncProperty(any, any, fc.integer({ min: 1, max: 5 }), async (seq, seqMs, count) => {
      store.update(imsi, { seq: 0 });
      const { rand } = await challenged();
      store.update(imsi, { seq });
      const taken = await take({ count, ...auts(rand, seqMs) });
      if (typeof taken === 'string') {
        const too = seqMs > seq + DELTA || seqMs > END + 1 - 2 * DELTA || seq > END - count;
        assert.ok(too, `${taken} at ${seq} for ${seqMs}`);
      } else {
        assert.ok(taken.seq > seqMs && taken.seq - count < seqMs + DELTA, 'the card takes it');
        assert.ok(taken.seq > seq || seq - seqMs >= DELTA, 'goes back to a card that it left behind alone');
      }
    }),
    { numRuns: 100 },
  );
});

test('only so many challenges are kept, of so many subscribers', () => {
  const issued = createIssued(2);
  const rand = (n: number): Uint8Array => new Uint8Array(16).fill(n);
  for (let n = 0; n < MOST_CHALLENGES; n++) issued.add('1', rand(n));
  assert.ok(issued.has('1', rand(0)));
  issued.add('1', new Uint8Array([...rand(100), ...rand(101)]));
  assert.deepEqual(
    [0, 1, 2, 31, 100, 101].map((n) => issued.has('1', rand(n))),
    [false, false, true, true, true, true],
  );
  issued.add('2', rand(1));
  issued.add('1', rand(7));
  issued.add('3', rand(1));
  assert.deepEqual(
    ['1', '2', '3'].map((each) => issued.has(each, rand(each === '1' ? 7 : 1))),
    [true, false, true],
  );
});

test('an HSS that starts again between a challenge and its AUTS: the device tries again and is in', async (t) => {
  const clock = new VirtualClock(Date.UTC(2026, 0, 1));
  const wires = new Wires();
  const edgeOf = (address: string) => ({
    clock,
    sockets: wires.of(address),
    random: seededRandom(1, address),
  });
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
  const path = mkdtempSync(join(tmpdir(), 'rehome-vectors-'));
  t.after(() => rmSync(path, { recursive: true }));
  const any: Endpoint = { host: '127.0.0.1', port: 0 };
  const database = join(path, 'a.db');
  const start = async (hss: Endpoint): Promise<Operator> =>
    createOperator({
      edge: edgeOf('10.0.0.1'),
      profile: PROFILES.A,
      database,
      vault: await vaultOf(clock),
      signer: await createSigner(clock, 'A'),
      ring: {},
      vaults: {},
      escrow: { name: 'escrow', client: {} as never },
      owner: {} as never,
      api: any,
      hss,
      smsc: any,
      scef: any,
      smpp: any,
      otaPassword: 'secret',
    });
  let operator = await pass(start(any));
  operator.importCardData(fleet.csv);
  const { hss } = operator.endpoints;
  let failures = 0;
  let again: Promise<void> | undefined;
  const causes: number[] = [];
  const visited = await pass(
    createVisited({
      edge: edgeOf('10.3.0.1'),
      plmn: '00103',
      tac: 1,
      realm: epcRealm('00103'),
      originHost: `mme.${epcRealm('00103')}`,
      cell: any,
      peers: [{ realm: epcRealm('00101'), endpoint: hss }],
      disturb(message, direction) {
        const isAuts =
          direction === 'uplink' &&
          message[0] === 7 &&
          decodeNas(message, 'uplink').type === 'authenticationFailure';
        if (!isAuts || failures++ > 0) return [{ afterMs: 0, message }];
        again = operator.close().then(async () => {
          operator = await start(hss);
        });
        return [{ afterMs: 4000, message }];
      },
      observe: (event) => {
        if (event.type === 'rejected') causes.push(event.cause);
      },
    }),
  );
  const { sqn } = usim;
  const seq = Array.from({ length: 2 ** (sqn?.indLength ?? 5) }, () => 5000);
  const card = createCard({
    store: memoryStore(),
    file: { ...first!.card, usim: { ...usim, sqn: { indLength: sqn?.indLength ?? 5, seq } } },
  });
  const modem = await pass(
    createModem({
      edge: edgeOf('10.128.0.1'),
      card: {
        powerOn: () => Promise.resolve(card.powerOn()),
        powerOff: () => Promise.resolve(card.powerOff()),
        transmit: (apdu) => Promise.resolve(card.transmit(apdu)),
      },
      imei: first!.imei,
      cells: [{ plmn: '00103', tac: 1, endpoint: visited.cellEndpoint }],
      bind: any,
    }),
  );
  await pass(modem.powerOn());
  await clock.run(
    () => causes.length > 0 && modem.state.emm === 'registered',
    () => wires.inFlight(),
  );
  await again;
  assert.deepEqual([failures, causes, modem.state.emm], [2, [17], 'registered']);
  await pass(modem.close());
  await pass(visited.close());
  await pass(operator.close());
  const left = new DatabaseSync(database);
  const alarmsKept = left
    .prepare('SELECT body FROM event')
    .all()
    .map(({ body }) => JSON.parse(String(body)) as unknown);
  assert.deepEqual(alarmsKept, [{ kind: 'alarm', change: null, imsi, sqn: 'unknown-rand' }]);
  assert.ok(Number(left.prepare('SELECT seq FROM subscriber WHERE imsi = ?').get(imsi)!.seq) > 5000);
  left.close();
});
