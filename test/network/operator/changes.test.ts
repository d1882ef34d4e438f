/** An operator's part in changes, asked over HTTP with orders that are not what they should be. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { Edge } from '../../../src/edge/index.ts';
import { VirtualClock } from '../../../src/lab/clock.ts';
import { makeFleet } from '../../../src/lab/fleet.ts';
import { PROFILES } from '../../../src/lab/operators.ts';
import { seededRandom } from '../../../src/lab/random.ts';
import { Wires } from '../../../src/lab/wires.ts';
import type { EscrowClient } from '../../../src/network/escrow/client.ts';
import {
  createOperatorClient,
  type OperatorClient,
  type Refused,
  type Reserved,
} from '../../../src/network/operator/client.ts';
import { createOperator, type Operator } from '../../../src/network/operator/operator.ts';
import { epcRealm } from '../../../src/network/operator/profile.ts';
import { createSoftwareVault } from '../../../src/network/vault/software.ts';
import { createDiameterNode } from '../../../src/network/wire/diameter.ts';
import type { FeedEvent } from '../../../src/network/wire/feed.ts';
import { createSigner, type Order, type Signer } from '../../../src/network/wire/statements.ts';
import { fromHex } from '../../../src/standards/bytes/index.ts';
import { APPLICATION, moForwardShortMessage, requestOf } from '../../../src/standards/diameter/index.ts';
import {
  KEY_LIST_TAR,
  encodeCommandPacket,
  encodeKeyListStatus,
  encodePacketSms,
  keyByte,
} from '../../../src/standards/ota/index.ts';
import { encodeTpdu, international } from '../../../src/standards/sms/index.ts';

const ANY = { host: '127.0.0.1', port: 0 };
const DAY = 86_400_000;
const CHANGE = '00112233445566aa';
const VISITED = epcRealm('00103');

describe('an operator asked for its part in a change', () => {
  let clock: VirtualClock, wires: Wires, edge: Edge, owner: Signer;
  let operators: Record<'A' | 'B', Operator>, A: OperatorClient, B: OperatorClient;
  let errors: unknown[];
  /** B's signature fails for this card */
  let unsigned: string | undefined;
  const { owned, devices, csv } = makeFleet(5, ['3b'], 1, PROFILES.A, PROFILES.B);

  const run = (done: () => boolean): Promise<boolean> => clock.run(done, () => wires.inFlight());
  const ask = async <T>(work: Promise<T>): Promise<T> => {
    let done = false;
    const settled = work.finally(() => (done = true));
    settled.catch(() => undefined);
    await run(() => done);
    return settled;
  };
  const pass = (milliseconds: number): Promise<void> =>
    ask(new Promise((resolve) => void clock.after(milliseconds, resolve)));
  const order = (device: number, other: Partial<Order> = {}): Promise<string> => {
    const iat = Math.floor(clock.now() / 1000);
    const { device: name, iccid, imei, imsi } = owned[device]!;
    return owner.sign('order', {
      aud: ['A', 'B', 'escrow'],
      iat,
      exp: iat + 30 * 86_400,
      change: CHANGE,
      device: name,
      iccid,
      imei,
      imsi,
      from: 'A',
      to: 'B',
      alternative: '3b',
      ...other,
    });
  };
  const codeOf = async (asked: Promise<readonly object[]>): Promise<string> => {
    const [answer] = await ask(asked);
    return 'code' in answer! ? (answer as Refused).code : 'ok';
  };

  beforeEach(async () => {
    clock = new VirtualClock(Date.UTC(2026, 0, 1));
    wires = new Wires();
    edge = { clock, sockets: wires.of('10.0.0.1'), random: seededRandom(1, 'changes') };
    errors = [];
    unsigned = undefined;
    owner = await createSigner(clock, 'owner');
    const signers = { A: await createSigner(clock, 'A'), B: await createSigner(clock, 'B') };
    const ring = {
      owner: { role: 'owner' as const, key: owner.publicKey },
      A: { role: 'operator' as const, key: signers.A.publicKey },
      B: { role: 'operator' as const, key: signers.B.publicKey },
    };
    operators = {} as typeof operators;
    for (const name of ['A', 'B'] as const) {
      const signer = signers[name];
      operators[name] = await createOperator({
        edge,
        profile: PROFILES[name],
        database: ':memory:',
        vault: await createSoftwareVault({
          keyEncryptionKey: new Uint8Array(32),
          random: edge.random,
          clock,
        }),
        signer: {
          ...signer,
          sign(kind, statement) {
            if ('iccid' in statement && statement.iccid === unsigned) throw new Error('the key is away');
            return signer.sign(kind, statement);
          },
        },
        ring,
        vaults: {},
        escrow: {
          name: 'escrow',
          client: {
            card: () => Promise.resolve({ pairs: 4, next: 1, burnt: 0 }),
          } as Partial<EscrowClient> as EscrowClient,
        },
        owner: {} as never,
        api: ANY,
        hss: ANY,
        smsc: ANY,
        scef: ANY,
        smpp: ANY,
        otaPassword: 'secret',
        watchdogMs: 30 * DAY,
        longPollMs: 30 * DAY,
        onError: (error) => errors.push(error),
      });
    }
    operators.A.importCardData(csv);
    A = createOperatorClient(edge, operators.A.endpoints.api);
    B = createOperatorClient(edge, operators.B.endpoints.api);
    await pass(1000);
  });
  afterEach(async () => {
    A.close();
    B.close();
    await ask(operators.A.close());
    await ask(operators.B.close());
  });

  test('one request of a batch that it fails at takes no other with it', async () => {
    const orders = await Promise.all(
      owned.map((_, i) => order(i, { change: i.toString(16).padStart(16, '0') })),
    );
    unsigned = owned[2]!.iccid;
    const answers = await ask(B.reserve(orders));
    assert.deepEqual(answers[2], { error: 'B failed at it', code: 'failed' });
    const imsis = answers.flatMap((answer) => ('imsi' in answer ? [answer.imsi] : []));
    assert.equal(new Set(imsis).size, 4);
    assert.deepEqual(errors.map(String), ['Error: the key is away']);
    unsigned = undefined;
    const [later] = await ask(B.reserve([orders[2]!]));
    assert.ok(!imsis.includes((later as Reserved).imsi));
  });

  test('an order of the same change for another device ends nothing', async () => {
    const mine = await order(0);
    const [reserved] = await ask(B.reserve([mine]));
    const other = await order(1);
    for (const what of ['undo', 'stop', 'commit'] as const) {
      assert.equal(await codeOf(B[what]([other])), 'unknown-device', what);
    }
    assert.equal(await codeOf(B.reserve([other])), 'bad-order');
    // A card that is not in the device that the order names.
    for (const what of ['stop', 'retire', 'release'] as const) {
      const bent = await order(0, { iccid: owned[1]!.iccid });
      assert.equal(await codeOf(A[what]([bent])), 'unknown-device', what);
    }
    const [again] = await ask(B.reserve([mine]));
    assert.equal((again as Reserved).imsi, (reserved as Reserved).imsi);
    assert.equal(await codeOf(B.undo([mine])), 'ok');
    assert.equal(await codeOf(B.reserve([mine])), 'bad-order', 'undone is undone');
    assert.equal(await codeOf(B.undo([mine])), 'ok', 'and again');
  });

  test('an order that is over begins nothing, and ends what was begun', async () => {
    const begun = await order(0);
    const late = await order(1, { change: 'ffffffffffffffff' });
    await ask(B.reserve([begun]));
    await pass(31 * DAY);
    assert.equal(await codeOf(B.reserve([late])), 'bad-order');
    assert.equal(await codeOf(B.reserve([begun])), 'bad-order');
    assert.equal(await codeOf(A.release([begun])), 'bad-order');
    // Not for its age: B has no keys for it yet.
    const [commit] = await ask(B.commit([begun]));
    assert.match((commit as Refused).error, /is reserved/);
    assert.equal(await codeOf(B.stop([begun])), 'ok');
    assert.equal(await codeOf(B.undo([begun])), 'ok');
    assert.equal(await codeOf(A.stop([begun])), 'ok');
    assert.equal(await codeOf(A.retire([begun])), 'ok');
  });

  test('a card’s report speaks of the change that it names, however late it comes', async () => {
    const { usim, keyList } = devices[0]!.card;
    const { kic, kid } = keyList!.pairs[0]!;
    const byte = keyByte(1, 'aes');
    const packet = encodeCommandPacket(
      {
        security: {
          integrity: 'cc',
          ciphered: true,
          counter: 'higher',
          proof: 'none',
          proofIntegrity: 'none',
          proofCiphered: false,
          proofBy: 'deliverReport',
        },
        kic: byte,
        kid: byte,
        tar: KEY_LIST_TAR,
        counter: 1,
        data: encodeKeyListStatus({
          state: 'home',
          index: 0,
          next: 2,
          pairs: 4,
          change: fromHex(CHANGE),
          last: 'timeOut',
        }),
      },
      { kic: fromHex(kic!), kid: fromHex(kid!) },
    );
    // Now the device is under way in a newer change.
    assert.equal(await codeOf(A.release([await order(0, { change: 'ffffffffffffffff' })])), 'ok');
    const events: FeedEvent[] = [];
    const following = A.follow(0, (some) => events.push(...some));
    const mme = await createDiameterNode({
      edge,
      originHost: `mme.${VISITED}`,
      originRealm: VISITED,
      applications: [APPLICATION.sgd],
      peers: [{ realm: epcRealm(PROFILES.A.plmn), endpoint: operators.A.endpoints.smsc }],
      handle: () => {
        throw new Error('nothing is sent to it');
      },
    });
    for (let replay = 0; replay < 2; replay++) {
      await ask(
        mme.request(
          requestOf(moForwardShortMessage, {
            sessionId: mme.sessionId(),
            originHost: mme.originHost,
            originRealm: VISITED,
            destinationRealm: epcRealm(PROFILES.A.plmn),
            scAddress: PROFILES.A.serviceCentre,
            userIdentifier: { userName: usim.imsi },
            smRpUi: encodeTpdu({
              type: 'submit',
              reference: 1,
              destination: international(PROFILES.A.otaAddress),
              pid: 0x7f,
              dcs: 0xf6,
              userData: encodePacketSms('command', packet)[0]!,
            }),
          }),
        ),
      );
    }
    await run(() => events.length === 2);
    assert.deepEqual(
      events.map(({ kind, change, last }) => [kind, change, last]),
      [
        ['report', CHANGE, 'timeOut'],
        ['report', CHANGE, 'timeOut'],
      ],
    );
    following.close();
    await ask(mme.close());
  });
});
