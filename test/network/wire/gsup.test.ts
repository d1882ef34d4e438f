/** GSUP sessions in virtual time: who answers what, pings, breaks; and our HSS by GSUP. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { Edge, Endpoint } from '../../../src/edge/index.ts';
import { VirtualClock } from '../../../src/lab/clock.ts';
import { makeFleet } from '../../../src/lab/fleet.ts';
import { PROFILES } from '../../../src/lab/operators.ts';
import { seededRandom } from '../../../src/lab/random.ts';
import { Wires } from '../../../src/lab/wires.ts';
import { createGsupFace, type GsupFace } from '../../../src/network/operator/gsup.ts';
import { importCards, parseCardData } from '../../../src/network/operator/card-data/index.ts';
import { openOperatorStore, type OperatorStore } from '../../../src/network/operator/store.ts';
import { createOwnVectors } from '../../../src/network/operator/vectors.ts';
import { createSoftwareVault } from '../../../src/network/vault/software.ts';
import {
  GsupFailure,
  connectGsup,
  serveGsup,
  type GsupClient,
  type GsupPeer,
} from '../../../src/network/wire/gsup.ts';
import {
  SQN_DEFAULT,
  decodeSqn,
  makeAuts,
  openChallenge,
  prepare,
} from '../../../src/standards/aka/index.ts';
import { fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import {
  CANCEL_TYPE,
  GMM_CAUSE,
  GSUP_RAT,
  gsupErrorOf,
  type GsupOf,
  type GsupRequest,
} from '../../../src/standards/gsup/index.ts';

const ANY: Endpoint = { host: '127.0.0.1', port: 0 };
const IMSI = '001010000000001';

let clock: VirtualClock, wires: Wires, edge: Edge;
let closing: (() => unknown)[];
const until = (condition: () => boolean): Promise<boolean> => clock.run(condition, () => wires.inFlight());
const pass = async <T>(work: Promise<T>): Promise<T> => {
  let done = false;
  const settled = work.finally(() => (done = true));
  settled.catch(() => undefined);
  await until(() => done);
  return settled;
};
const sleep = (milliseconds: number): Promise<void> =>
  pass(new Promise((resolve) => void clock.after(milliseconds, resolve)));

beforeEach(() => {
  clock = new VirtualClock(Date.UTC(2026, 0, 1));
  wires = new Wires();
  edge = { clock, sockets: wires.of('10.0.0.1'), random: seededRandom(1, 'gsup') };
  closing = [];
});
afterEach(async () => {
  for (const close of closing.reverse()) await pass(Promise.resolve(close()));
});

describe('a GSUP session', () => {
  const purge = (imsi = IMSI): GsupOf<'purgeMsRequest'> => ({ type: 'purgeMsRequest', imsi });
  const clientAt = (to: Endpoint, handle?: (request: GsupRequest) => never): GsupClient => {
    const client = connectGsup({ edge, to, unitName: 'MSC-1', ...(handle ? { handle } : {}) });
    closing.push(() => client.close());
    return client;
  };

  test('answers go to the request of their IMSI and procedure, one out at a time', async () => {
    const asked: { request: GsupRequest; answer: () => void }[] = [];
    const server = await serveGsup({
      edge,
      at: ANY,
      answer: (request) =>
        new Promise((resolve) => {
          asked.push({
            request,
            answer: () =>
              resolve(gsupErrorOf(request, asked.findIndex((each) => each.request === request) + 1)),
          });
        }),
    });
    closing.push(() => server.close());
    const client = clientAt(server.endpoint);
    const [first, second, other] = [
      client.request(purge()),
      client.request(purge()),
      client.request(purge('001010000000002')),
    ];
    await until(() => asked.length === 2);
    assert.deepEqual(
      asked.map(({ request }) => request.imsi),
      [IMSI, '001010000000002'],
    );
    asked[1]!.answer();
    assert.equal(((await pass(other)) as { cause: number }).cause, 2);
    asked[0]!.answer();
    assert.equal(((await pass(first)) as { cause: number }).cause, 1);
    await until(() => asked.length === 3);
    asked[2]!.answer();
    assert.equal(((await pass(second)) as { cause: number }).cause, 3);
  });

  test('no answer in time ends the link, so that a late one is nobody’s; then it is there again', async () => {
    let silent = true;
    let peer: GsupPeer | undefined;
    const server = await serveGsup({
      edge,
      at: ANY,
      answer: (request, from) => {
        peer = from;
        return silent ? new Promise(() => undefined) : { type: 'purgeMsResult', imsi: request.imsi };
      },
    });
    closing.push(() => server.close());
    const client = clientAt(server.endpoint);
    await assert.rejects(
      pass(client.request(purge(), 3000)),
      (error) => error instanceof GsupFailure && error.reason === 'timeout',
    );
    assert.equal(client.isUp, false);
    assert.equal(peer!.name, 'MSC-1');
    silent = false;
    assert.equal((await pass(client.request(purge()))).type, 'purgeMsResult');
    assert.equal(server.peer('MSC-1')!.name, 'MSC-1');
    assert.equal(server.peer('MSC-2'), undefined);
  });

  test('what cannot be handled is refused: by a handler that throws, by none, by a type nobody knows', async () => {
    const server = await serveGsup({
      edge,
      at: ANY,
      answer: () => {
        throw new Error('broken');
      },
    });
    closing.push(() => server.close());
    const client = clientAt(server.endpoint);
    assert.deepEqual(await pass(client.request(purge())), gsupErrorOf(purge(), GMM_CAUSE.networkFailure));
    const cancel: GsupRequest = { type: 'locationCancelRequest', imsi: IMSI };
    assert.deepEqual(
      await pass(server.peer('MSC-1')!.request(cancel)),
      gsupErrorOf(cancel, GMM_CAUSE.messageTypeNonExistent),
    );
    // By hand: says who it is, then asks what subscriber management does not have.
    let got = '';
    const socket: Socket = edge.sockets.connect('gsup', server.endpoint);
    socket.on('data', (bytes: Uint8Array) => (got += toHex(new Uint8Array(bytes))));
    socket.write(fromHex('000cee0530' + '010800010100000000f1'));
    await until(() => got.length > 0);
    assert.ok(!got.includes('ee0531'), 'not before it said who it is');
    socket.write(fromHex('0009fe05' + '000600' + '4d53432d3200'.slice(0, 10)));
    await until(() => got.includes('ee0531'));
    assert.match(got, /ee0531010800010100000000f1020161/);
    socket.destroy();
  });

  test('a link that says nothing to a ping is given up, one that lives is kept', async () => {
    const quiet: Socket[] = [];
    const mute = await edge.sockets.listen('gsup', ANY, (socket) => {
      quiet.push(socket);
      socket.on('error', () => undefined);
      socket.resume();
      socket.write(fromHex('0003fe040100'));
    });
    closing.push(() => mute.close());
    const client = clientAt(mute.endpoint);
    await until(() => quiet.length === 1 && client.isUp);
    await until(() => quiet.length === 2);
    assert.ok(clock.now() - Date.UTC(2026, 0, 1) >= 40_000);
    client.close();
    const server = await serveGsup({ edge, at: ANY, answer: (request) => gsupErrorOf(request, 1) });
    closing.push(() => server.close());
    const other = clientAt(server.endpoint);
    await sleep(1000);
    const before = server.peer('MSC-1');
    assert.ok(before && other.isUp);
    await sleep(600_000);
    assert.equal(server.peer('MSC-1'), before, 'the same link');
  });
});

describe('our HSS by GSUP', () => {
  let store: OperatorStore, face: GsupFace;
  let authenticated: string[], registered: string[];
  const fleet = makeFleet(1, ['3b'], 1, PROFILES.A, PROFILES.B);
  const { imsi, msisdn, k, opc } = fleet.devices[0]!.card.usim;
  const key = prepare({ algorithm: 'milenage', k: fromHex(k), opc: fromHex(opc!) });

  beforeEach(async () => {
    store = openOperatorStore(':memory:');
    const vault = await createSoftwareVault({
      keyEncryptionKey: new Uint8Array(32),
      random: edge.random,
      clock,
    });
    importCards(store, vault, parseCardData(fleet.csv, [PROFILES.A.plmn], {}));
    authenticated = [];
    registered = [];
    face = await createGsupFace({
      edge,
      store,
      vectors: createOwnVectors({ clock, random: edge.random, store, vault }),
      listen: ANY,
      apn: 'iot',
      accepts: ({ bound }) => !bound,
      authenticated: (_, asker) => authenticated.push(asker),
      registered: (_, asker) => registered.push(asker),
    });
    closing.push(
      () => store.close(),
      () => face.close(),
    );
  });
  const peer = (name: string): { client: GsupClient; heard: GsupRequest[]; answer: { cause?: number } } => {
    const heard: GsupRequest[] = [];
    const answer: { cause?: number } = {};
    const client = connectGsup({
      edge,
      to: face.endpoint,
      unitName: name,
      handle(request) {
        heard.push(request);
        if (answer.cause !== undefined) return gsupErrorOf(request, answer.cause);
        return { type: request.type.replace('Request', 'Result'), imsi: request.imsi } as never;
      },
    });
    closing.push(() => client.close());
    return { client, heard, answer };
  };
  const vectors = async (client: GsupClient, more: Partial<GsupOf<'sendAuthInfoRequest'>> = {}) => {
    const answer = await pass(client.request({ type: 'sendAuthInfoRequest', imsi, ...more }));
    return answer.type === 'sendAuthInfoResult'
      ? answer.tuples.map(({ rand, umts, gsm }) => {
          const opened = openChallenge(key, rand, umts!.autn);
          assert.ok(opened.macValid);
          assert.deepEqual([opened.res, opened.ck, opened.ik], [umts!.res, umts!.ck, umts!.ik]);
          return { rand, gsm, amf: toHex(opened.amf), seq: decodeSqn(SQN_DEFAULT, opened.sqn).seq };
        })
      : (answer as { cause: number }).cause;
  };
  const update = (cnDomain = 1): GsupRequest => ({ type: 'updateLocationRequest', imsi, cnDomain });

  test('vectors as many as asked, five otherwise, each number once; resynchronisation; nobody else’s AUTS', async () => {
    const { client } = peer('MSC-1');
    const five = await vectors(client, { currentRat: GSUP_RAT.eutranSgs });
    assert.ok(typeof five === 'object');
    assert.deepEqual(
      five.map(({ amf }) => amf),
      Array(5).fill('8000'),
    );
    const first = five[0]!.seq;
    assert.deepEqual(
      five.map(({ seq }) => seq - first),
      [0, 1, 2, 3, 4],
    );
    assert.equal(new Set(five.map(({ rand }) => toHex(rand))).size, 5);
    const [one, ...rest] = (await vectors(client, { vectors: 1 })) as typeof five;
    assert.deepEqual([one!.seq - first, one!.amf, rest.length], [5, '0000', 0]);
    assert.equal(((await vectors(client, { vectors: 9 })) as typeof five).length, 5);
    const sqnMs = fromHex('000000100000');
    const { rand } = one!;
    const [after] = (await vectors(client, {
      vectors: 1,
      rand,
      auts: makeAuts(key, rand, sqnMs),
    })) as typeof five;
    assert.equal(after!.seq, decodeSqn(SQN_DEFAULT, sqnMs).seq + 1);
    const auts = makeAuts(key, rand, fromHex('0fffffff0000'));
    auts[13]! ^= 1;
    assert.equal(await vectors(client, { rand, auts }), GMM_CAUSE.networkFailure);
    assert.equal(((await vectors(client, { vectors: 1 })) as typeof five)[0]!.seq, after!.seq + 1);
    assert.deepEqual(new Set(authenticated), new Set(['MSC-1']));
    store.update(imsi, { state: 'retired' });
    assert.equal(await vectors(client), GMM_CAUSE.imsiUnknown);
  });

  test('requests in flight together share a commit, and nothing leaves before it', async () => {
    const events: string[] = [];
    const { client } = peer('MSC-1');
    await vectors(client, { vectors: 1 });
    const { transaction } = store;
    store.transaction = (run) => {
      const result = transaction(run);
      events.push('committed');
      return result;
    };
    const seq = store.byImsi(imsi)!.seq;
    const other = peer('MSC-2');
    await until(() => other.client.isUp);
    const asked = [client, other.client].map(async (each) => {
      const answer = await each.request({ type: 'sendAuthInfoRequest', imsi, vectors: 2 });
      events.push(answer.type);
    });
    await pass(Promise.all(asked));
    assert.equal(store.byImsi(imsi)!.seq, seq + 4);
    assert.equal(events[0], 'committed');
    store.transaction = () => {
      throw new Error('disk full');
    };
    assert.equal(await vectors(client, { vectors: 1 }), GMM_CAUSE.networkFailure);
  });

  test('a location is updated with its data, cancelled where it was, purged; a refused insertion refuses it', async () => {
    const [one, two] = [peer('SGSN-1'), peer('SGSN-2')];
    assert.equal((await pass(one.client.request(update()))).type, 'updateLocationResult');
    const [data] = one.heard;
    assert.ok(data?.type === 'insertDataRequest');
    assert.deepEqual([data.msisdn, data.pdpInfos], [msisdn, [{ contextId: 1, apn: 'iot' }]]);
    two.answer.cause = 17;
    assert.equal((await pass(two.client.request(update()))).type, 'updateLocationError');
    delete two.answer.cause;
    // Another domain is another location.
    assert.equal((await pass(two.client.request(update(2)))).type, 'updateLocationResult');
    await sleep(1000);
    assert.equal(one.heard.length, 1);
    await pass(two.client.request(update()));
    await until(() => one.heard.length === 2);
    assert.deepEqual(one.heard[1], {
      type: 'locationCancelRequest',
      imsi,
      cnDomain: 1,
      messageClass: 1,
      cancelType: CANCEL_TYPE.update,
    });
    assert.deepEqual(registered, ['SGSN-1', 'SGSN-2', 'SGSN-2']);
    await pass(two.client.request({ type: 'purgeMsRequest', imsi, cnDomain: 1 }));
    const before = two.heard.length;
    await pass(face.withdraw(imsi));
    assert.deepEqual(
      two.heard
        .slice(before)
        .map((each) => each.type === 'locationCancelRequest' && [each.cnDomain, each.cancelType]),
      [[2, CANCEL_TYPE.withdraw]],
      'only where it still is',
    );
    store.update(imsi, { bound: true });
    assert.deepEqual(await pass(one.client.request(update())), {
      type: 'updateLocationError',
      imsi,
      cause: GMM_CAUSE.roamingNotAllowed,
    });
  });
});
