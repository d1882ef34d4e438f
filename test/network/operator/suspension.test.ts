/** A subscription is suspended and resumed: what serving networks and a kept HSS see of it, and who may ask for it. */
import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { Edge } from '../../../src/edge/index.ts';
import { VirtualClock } from '../../../src/lab/clock.ts';
import { makeFleet } from '../../../src/lab/fleet.ts';
import { PROFILES } from '../../../src/lab/operators.ts';
import { seededRandom } from '../../../src/lab/random.ts';
import { Wires } from '../../../src/lab/wires.ts';
import { createOperatorClient, type OperatorClient } from '../../../src/network/operator/client.ts';
import { createOperator, type Operator } from '../../../src/network/operator/operator.ts';
import { epcRealm } from '../../../src/network/operator/profile.ts';
import type { FeedEntry } from '../../../src/network/operator/subscribers/keeper.ts';
import { createSoftwareVault } from '../../../src/network/vault/software.ts';
import { createDiameterNode, type DiameterNode } from '../../../src/network/wire/diameter.ts';
import { connectGsup, type GsupClient } from '../../../src/network/wire/gsup.ts';
import { Problem } from '../../../src/network/wire/http.ts';
import { createSigner, type Signer, type Statement } from '../../../src/network/wire/statements.ts';
import {
  APPLICATION,
  EXPERIMENTAL_RESULT,
  RAT_TYPE,
  RESULT,
  answerOf,
  authenticationInformation,
  cancelLocation,
  readAnswer,
  readRequest,
  requestOf,
  resultOf,
  updateLocation,
} from '../../../src/standards/diameter/index.ts';
import { GMM_CAUSE, GSUP_RAT } from '../../../src/standards/gsup/index.ts';

const ANY = { host: '127.0.0.1', port: 0 };
const VISITED = epcRealm('00103');
const REALM = epcRealm('00101');
const UNKNOWN = EXPERIMENTAL_RESULT.unknownEpsSubscription;
const { success, roamingNotAllowed } = { ...RESULT, ...EXPERIMENTAL_RESULT };

let worlds = 0;

describe('a suspended subscription', () => {
  const fleet = makeFleet(2, ['2'], 1, PROFILES.A, PROFILES.B);
  const [first, other] = fleet.devices;
  const { imsi } = first!.card.usim;
  const { iccid } = first!.card;
  let clock: VirtualClock, wires: Wires, edge: Edge, operator: Operator, mme: DiameterNode;
  let client: OperatorClient, owner: Signer, stranger: Signer, looking: DatabaseSync;
  let cancelled: string[];
  let open: (more?: Partial<Parameters<typeof createOperator>[0]>) => Promise<void>;
  let close: () => Promise<void>;

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
  const sleep = (milliseconds: number): Promise<void> =>
    pass(new Promise((resolve) => void clock.after(milliseconds, resolve)));

  beforeEach(async () => {
    clock = new VirtualClock(Date.UTC(2026, 0, 1));
    wires = new Wires();
    edge = { clock, sockets: wires.of('10.0.0.1'), random: seededRandom(1, 'operator') };
    // Held here, so that it outlives the operator's process.
    const database = `file:suspension-${++worlds}?mode=memory&cache=shared`;
    looking = new DatabaseSync(database);
    const vault = await createSoftwareVault({
      keyEncryptionKey: new Uint8Array(32),
      random: edge.random,
      clock,
    });
    owner = await createSigner(clock, 'owner');
    stranger = await createSigner(clock, 'stranger');
    const signer = await createSigner(clock, 'A');
    cancelled = [];
    close = async () => {
      client.close();
      await pass(mme.close());
      await pass(operator.close());
    };
    open = async (more = {}) => {
      operator = await createOperator({
        edge,
        profile: PROFILES.A,
        database,
        vault,
        signer,
        ring: { owner: { role: 'owner', key: owner.publicKey } },
        vaults: {},
        escrow: { name: 'escrow', client: {} as never },
        owner: {} as never,
        api: ANY,
        hss: ANY,
        smsc: ANY,
        scef: ANY,
        smpp: ANY,
        gsup: ANY,
        otaPassword: 'secret',
        onError: (error) => assert.fail(error as Error),
        ...more,
      });
      client = createOperatorClient(edge, operator.endpoints.api);
      mme = await createDiameterNode({
        edge,
        originHost: `mme.${VISITED}`,
        originRealm: VISITED,
        applications: [APPLICATION.s6a],
        peers: [{ realm: REALM, endpoint: operator.endpoints.hss }],
        handle(request) {
          const values = readRequest(cancelLocation, request);
          cancelled.push(values.userName);
          return answerOf(cancelLocation, request, {
            sessionId: values.sessionId,
            ...origin(),
            resultCode: RESULT.success,
          });
        },
      });
    };
  });
  afterEach(async () => {
    await close();
    looking.close();
  });

  const origin = () => ({ originHost: mme.originHost, originRealm: VISITED });
  const head = () => ({
    sessionId: mme.sessionId(),
    ...origin(),
    destinationRealm: REALM,
    userName: imsi,
    visitedPlmnId: '00103',
  });
  const challenge = async (): Promise<number | undefined> =>
    resultOf(
      readAnswer(
        authenticationInformation,
        await pass(
          mme.request(
            requestOf(authenticationInformation, {
              ...head(),
              requestedEutranAuthenticationInfo: { numberOfRequestedVectors: 1 },
            }),
          ),
        ),
      ),
    );
  const attach = async (imei: string | undefined = first!.imei): Promise<number | undefined> =>
    resultOf(
      readAnswer(
        updateLocation,
        await pass(
          mme.request(
            requestOf(updateLocation, {
              ...head(),
              ratType: RAT_TYPE.eutran,
              ulrFlags: 0x22,
              ...(imei !== '' && { terminalInformation: { imei: imei.slice(0, 14) } }),
            }),
          ),
        ),
      ),
    );
  const events = (...kinds: string[]): Record<string, unknown>[] =>
    looking
      .prepare('SELECT body FROM event ORDER BY id')
      .all()
      .map(({ body }) => JSON.parse(String(body)) as Record<string, unknown>)
      .filter(({ kind }) => kinds.includes(String(kind)));
  const bind = (): void =>
    void looking.prepare('UPDATE subscriber SET bound = 1, imei = ? WHERE imsi = ?').run(first!.imei, imsi);

  test('no vector and no location, in its own process and in the next; then as before', async () => {
    await open();
    operator.importCardData(fleet.csv);
    assert.deepEqual([await challenge(), await attach()], [success, success]);
    await pass(operator.suspend(imsi));
    assert.deepEqual(cancelled, [imsi]);
    assert.deepEqual([await challenge(), await attach()], [UNKNOWN, UNKNOWN]);
    await pass(operator.suspend(imsi));
    assert.deepEqual(cancelled, [imsi], 'once more changes nothing');
    await close();
    await open();
    assert.deepEqual([await challenge(), await attach()], [UNKNOWN, UNKNOWN]);
    await pass(operator.resume(imsi));
    assert.deepEqual([await challenge(), await attach()], [success, success]);
    assert.deepEqual(
      events('suspended', 'resumed').map(({ kind, imsi, iccid, by }) => [kind, imsi, iccid, by]),
      [
        ['suspended', imsi, iccid, 'A'],
        ['resumed', imsi, iccid, 'A'],
      ],
    );
  });

  test('neither over GSUP, and its peer is told', async () => {
    await open();
    operator.importCardData(fleet.csv);
    const told: string[] = [];
    const peer: GsupClient = connectGsup({
      edge,
      to: operator.endpoints.gsup!,
      unitName: 'MME-1',
      handle(request) {
        if (request.type === 'locationCancelRequest') told.push(request.imsi);
        return { type: request.type.replace('Request', 'Result'), imsi: request.imsi } as never;
      },
    });
    const ask = async (type: 'sendAuthInfoRequest' | 'updateLocationRequest'): Promise<unknown> => {
      const answer = await pass(peer.request({ type, imsi, currentRat: GSUP_RAT.eutranSgs }));
      return 'cause' in answer ? answer.cause : answer.type;
    };
    const served = ['sendAuthInfoResult', 'updateLocationResult'];
    const both = async () => [await ask('sendAuthInfoRequest'), await ask('updateLocationRequest')];
    assert.deepEqual(await both(), served);
    await pass(operator.suspend(imsi));
    assert.deepEqual(told, [imsi]);
    assert.deepEqual(await both(), [GMM_CAUSE.roamingNotAllowed, GMM_CAUSE.roamingNotAllowed]);
    await pass(operator.resume(imsi));
    assert.deepEqual(await both(), served);
    peer.close();
  });

  test('an HSS that is kept by another loses it, and gets it back', async () => {
    const fed: FeedEntry[] = [];
    const feeder = {
      feed: (entries: readonly FeedEntry[]) => {
        fed.push(
          ...entries.filter((each) => (each.action === 'put' ? each.subscriber.imsi : each.imsi) === imsi),
        );
        return Promise.resolve(entries.map(() => ({ taken: true as const })));
      },
      close: () => undefined,
    };
    await open({ subscribers: { feeder } });
    operator.importCardData(fleet.csv);
    await pass(operator.fed());
    await pass(operator.suspend(imsi));
    await pass(operator.resume(imsi));
    assert.deepEqual(
      fed.map(({ action }) => action),
      ['put', 'remove', 'put'],
    );
  });

  for (const onAlarm of ['refuse', 'suspend'] as const) {
    test(`a bound card that turns up in another device: ${onAlarm}; who tells no IMEI is refused alone`, async () => {
      await open({ onAlarm });
      operator.importCardData(fleet.csv);
      bind();
      assert.equal(await attach(), success);
      assert.equal(await attach(''), roamingNotAllowed);
      assert.equal(await challenge(), success, 'nobody saw it in another device');
      assert.equal(await attach(other!.imei), roamingNotAllowed);
      await sleep(1000);
      const suspended = onAlarm === 'suspend';
      assert.deepEqual(
        [await challenge(), await attach()],
        suspended ? [UNKNOWN, UNKNOWN] : [success, success],
      );
      assert.equal(events('alarm').length, 2);
      assert.deepEqual(cancelled, suspended ? [imsi] : []);
      await pass(operator.resume(imsi));
      assert.equal(await attach(), success);
      const [why] = events('suspended');
      if (suspended) assert.match(String(why?.reason), new RegExp(other!.imei.slice(0, 14)));
      else assert.equal(why, undefined);
    });
  }

  const word = (more: Partial<Statement<'suspension'>> = {}, by: Signer = owner): Promise<string> => {
    const iat = Math.floor(clock.now() / 1000);
    return by.sign('suspension', {
      aud: ['A'],
      iat,
      exp: iat + 3600,
      iccid,
      imsi,
      suspend: true,
      reason: 'stolen',
      ...more,
    });
  };
  const said = async (jws: string): Promise<string> => {
    const [answer] = await pass(client.suspend([jws]));
    return 'code' in answer! ? answer.code : 'ok';
  };

  test('at the owner’s word, for his device alone', async () => {
    await open();
    operator.importCardData(fleet.csv);
    for (const [jws, code] of [
      [await word({}, stranger), 'bad-suspension'],
      [await word({ aud: ['B'] }), 'bad-suspension'],
      [await word({ exp: 1 }), 'bad-suspension'],
      [await word({ iccid: other!.card.iccid }), 'unknown-device'],
      [await word({ imsi: other!.card.usim.imsi }), 'unknown-device'],
      [await word({ imsi: '001019999999999' }), 'unknown-device'],
    ] as const) {
      assert.equal(await said(jws), code);
    }
    assert.equal(await challenge(), success);
    assert.equal(await said(await word()), 'ok');
    assert.equal(await challenge(), UNKNOWN);
    assert.equal(await said(await word({ suspend: false, reason: 'found' })), 'ok');
    assert.equal(await challenge(), success);
    assert.deepEqual(
      events('suspended', 'resumed').map(({ by, reason }) => [by, reason]),
      [
        ['owner', 'stolen'],
        ['owner', 'found'],
      ],
    );
  });

  test('an older word of the owner undoes no newer one, and none of the operator', async () => {
    await open();
    operator.importCardData(fleet.csv);
    const resume = await word({ suspend: false, reason: 'found' });
    await sleep(5000);
    assert.equal(await said(await word()), 'ok');
    assert.equal(await said(resume), 'outdated');
    assert.equal(await challenge(), UNKNOWN);
    const newer = await word({ suspend: false, reason: 'found' });
    await sleep(5000);
    await pass(operator.resume(imsi));
    await pass(operator.suspend(imsi));
    assert.equal(await said(newer), 'outdated');
    assert.equal(await challenge(), UNKNOWN);
  });

  test('who is not in use here is neither suspended nor resumed', async () => {
    await open();
    operator.importCardData(fleet.csv, 'stock');
    const refused = (code: string) => (error: unknown) => error instanceof Problem && error.code === code;
    await assert.rejects(pass(operator.suspend(imsi)), refused('not-in-use'));
    await assert.rejects(pass(operator.resume(imsi)), refused('not-in-use'));
    await assert.rejects(pass(operator.suspend('001019999999999')), refused('unknown-device'));
  });
});
