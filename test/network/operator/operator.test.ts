/** An operator over its real wires: S6a, S6c, SGd, SMPP, in virtual time; the serving network is scripted. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { Edge } from '../../../src/edge/index.ts';
import { VirtualClock } from '../../../src/lab/clock.ts';
import { seededRandom } from '../../../src/lab/random.ts';
import { Wires } from '../../../src/lab/wires.ts';
import { PROFILES } from '../../../src/lab/operators.ts';
import { makeFleet } from '../../../src/lab/fleet.ts';
import { createOperator, type Operator } from '../../../src/network/operator/operator.ts';
import { epcRealm } from '../../../src/network/operator/profile.ts';
import { createSoftwareVault } from '../../../src/network/vault/software.ts';
import { createDiameterNode, type DiameterNode } from '../../../src/network/wire/diameter.ts';
import { connectSmpp, type Esme } from '../../../src/network/wire/smpp.ts';
import { createSigner } from '../../../src/network/wire/statements.ts';
import {
  SQN_DEFAULT,
  decodeSqn,
  makeAuts,
  openChallenge,
  prepare,
} from '../../../src/standards/aka/index.ts';
import { concat, fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import {
  APPLICATION,
  EXPERIMENTAL_RESULT,
  RAT_TYPE,
  RESULT,
  answerOf,
  authenticationInformation,
  cancelLocation,
  experimental,
  moForwardShortMessage,
  mtForwardShortMessage,
  notify,
  readAnswer,
  readRequest,
  requestOf,
  resultOf,
  updateLocation,
  type Message,
} from '../../../src/standards/diameter/index.ts';
import { decodeTpduToDevice, encodeTpdu, international } from '../../../src/standards/sms/index.ts';
import { decodeReceipt, type ShortMessage } from '../../../src/standards/smpp/index.ts';

const ANY = { host: '127.0.0.1', port: 0 };
const VISITED = epcRealm('00103');
const REALM = epcRealm('00101');

describe('an operator', () => {
  let clock: VirtualClock, wires: Wires, edge: Edge, operator: Operator, mme: DiameterNode, esme: Esme;
  let handle: (request: Message) => Message;
  let delivered: ShortMessage[];
  const fleet = makeFleet(2, ['3b'], 1, PROFILES.A, PROFILES.B);
  const [first] = fleet.devices;
  const { imsi, msisdn, k, opc } = first!.card.usim;
  const key = prepare({ algorithm: 'milenage', k: fromHex(k), opc: fromHex(opc!) });

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
  const until = (condition: () => boolean): Promise<boolean> => clock.run(condition, () => wires.inFlight());
  const sleep = (milliseconds: number): Promise<void> =>
    pass(new Promise((resolve) => void clock.after(milliseconds, resolve)));
  const origin = () => ({ originHost: mme.originHost, originRealm: VISITED });
  const head = () => ({ sessionId: mme.sessionId(), ...origin(), destinationRealm: REALM });

  beforeEach(async () => {
    clock = new VirtualClock(Date.UTC(2026, 0, 1));
    wires = new Wires();
    edge = { clock, sockets: wires.of('10.0.0.1'), random: seededRandom(1, 'operator') };
    const vault = await createSoftwareVault({
      keyEncryptionKey: new Uint8Array(32),
      random: edge.random,
      clock,
    });
    operator = await createOperator({
      edge,
      profile: PROFILES.A,
      database: ':memory:',
      vault,
      signer: await createSigner(clock, 'A'),
      ring: {},
      vaults: {},
      escrow: { name: 'escrow', client: {} as never },
      owner: {} as never,
      api: ANY,
      hss: ANY,
      smsc: ANY,
      scef: ANY,
      smpp: ANY,
      otaPassword: 'secret',
      esmes: [{ systemId: 'test', password: 'other', addresses: ['999019900'] }],
    });
    operator.importCardData(fleet.csv);
    mme = await createDiameterNode({
      edge,
      originHost: `mme.${VISITED}`,
      originRealm: VISITED,
      applications: [APPLICATION.s6a, APPLICATION.sgd],
      peers: [operator.endpoints.hss, operator.endpoints.smsc].map((endpoint) => ({
        realm: REALM,
        endpoint,
      })),
      handle: (request) => handle(request),
    });
    delivered = [];
    esme = await new Promise<Esme>((resolve) => {
      const made: Esme = connectSmpp({
        edge,
        to: operator.endpoints.smpp,
        systemId: 'test',
        password: 'other',
        bound: () => resolve(made),
        deliver: (pdu) => {
          delivered.push(pdu);
          return 0;
        },
      });
      void until(() => made.isBound);
    });
  });
  afterEach(async () => {
    esme.close();
    await pass(mme.close());
    await pass(operator.close());
  });

  const challenge = async (resync?: Uint8Array) => {
    const answer = readAnswer(
      authenticationInformation,
      await pass(
        mme.request(
          requestOf(authenticationInformation, {
            ...head(),
            userName: imsi,
            visitedPlmnId: '00103',
            requestedEutranAuthenticationInfo: {
              numberOfRequestedVectors: 1,
              ...(resync ? { reSynchronizationInfo: resync } : {}),
            },
          }),
        ),
      ),
    );
    return answer.authenticationInfo?.eutranVectors?.[0] ?? resultOf(answer);
  };
  const attach = (): Promise<Message> =>
    pass(
      mme.request(
        requestOf(updateLocation, {
          ...head(),
          userName: imsi,
          ratType: RAT_TYPE.eutran,
          ulrFlags: 0x22,
          visitedPlmnId: '00103',
          terminalInformation: { imei: first!.imei.slice(0, 14) },
        }),
      ),
    );
  const submit = (registeredDelivery: number) =>
    pass(
      esme.request({
        command: 'submit_sm',
        serviceType: '',
        source: { ton: 1, npi: 1, address: PROFILES.A.otaAddress },
        destination: { ton: 1, npi: 1, address: msisdn! },
        esmClass: 0,
        protocolId: 0x7f,
        priority: 0,
        scheduleDeliveryTime: '',
        validityPeriod: '',
        registeredDelivery,
        replaceIfPresent: 0,
        dataCoding: 0xf6,
        defaultMessageId: 0,
        shortMessage: fromHex('c0ffee'),
        tlvs: [],
      }),
    );

  test('S6a: a vector the card’s key opens, the next one higher, and resynchronisation to the card’s number', async () => {
    const one = await challenge();
    assert.ok(typeof one === 'object');
    const opened = openChallenge(key, one.rand, one.autn);
    assert.ok(opened.macValid);
    assert.equal(toHex(opened.res), toHex(one.xres));
    assert.equal(toHex(opened.amf), '8000');
    const two = await challenge();
    assert.ok(typeof two === 'object');
    const seq = (vector: { rand: Uint8Array; autn: Uint8Array }): number =>
      decodeSqn(SQN_DEFAULT, openChallenge(key, vector.rand, vector.autn).sqn).seq;
    assert.equal(seq(two), seq(one) + 1);
    const sqnMs = fromHex('000000100000');
    const three = await challenge(concat(two.rand, makeAuts(key, two.rand, sqnMs)));
    assert.ok(typeof three === 'object');
    assert.equal(seq(three), decodeSqn(SQN_DEFAULT, sqnMs).seq + 1);
    const forged = concat(two.rand, makeAuts(key, two.rand, fromHex('0fffffffffff')));
    forged[29]! ^= 1;
    assert.equal(await challenge(forged), EXPERIMENTAL_RESULT.authenticationDataUnavailable);
    const four = await challenge();
    assert.equal(
      seq(four as { rand: Uint8Array; autn: Uint8Array }),
      seq(three) + 1,
      'a forged AUTS moves nothing',
    );
  });

  test('S6a: an unknown subscriber is refused; another serving network cancels the first', async () => {
    const unknown = await pass(
      mme.request(
        requestOf(authenticationInformation, {
          ...head(),
          userName: '001019999999999',
          visitedPlmnId: '00103',
        }),
      ),
    );
    assert.equal(resultOf(readAnswer(authenticationInformation, unknown)), EXPERIMENTAL_RESULT.userUnknown);
    const ula = readAnswer(updateLocation, await attach());
    assert.equal(ula.resultCode, RESULT.success);
    assert.equal(ula.subscriptionData?.msisdn, msisdn);
    let cancelled: string | undefined;
    handle = (request) => {
      const values = readRequest(cancelLocation, request);
      cancelled = values.userName;
      return answerOf(cancelLocation, request, {
        sessionId: values.sessionId,
        ...origin(),
        resultCode: RESULT.success,
      });
    };
    const elsewhere = await createDiameterNode({
      edge,
      originHost: 'mme.elsewhere.example',
      originRealm: 'elsewhere.example',
      applications: [APPLICATION.s6a],
      peers: [{ realm: REALM, endpoint: operator.endpoints.hss }],
      handle: () => {
        throw new Error('nothing');
      },
    });
    await pass(
      elsewhere.request(
        requestOf(updateLocation, {
          sessionId: elsewhere.sessionId(),
          originHost: elsewhere.originHost,
          originRealm: 'elsewhere.example',
          destinationRealm: REALM,
          userName: imsi,
          ratType: RAT_TYPE.eutran,
          ulrFlags: 0x22,
          visitedPlmnId: '00104',
        }),
      ),
    );
    await until(() => cancelled !== undefined);
    assert.equal(cancelled, imsi);
    await pass(elsewhere.close());
  });

  test('a message for an absent device waits, is alerted for, delivered once, acknowledged and receipted', async () => {
    let tries = 0;
    let absent = true;
    const report = encodeTpdu({
      type: 'deliverReport',
      pid: 0x7f,
      dcs: 0xf6,
      userData: { header: [], data: fromHex('beef') },
    });
    handle = (request) => {
      tries++;
      const values = readRequest(mtForwardShortMessage, request);
      assert.equal(values.userName, imsi);
      const tpdu = decodeTpduToDevice(values.smRpUi);
      assert.ok(tpdu.type === 'deliver' && toHex(tpdu.userData.data) === 'c0ffee' && tpdu.pid === 0x7f);
      return answerOf(mtForwardShortMessage, request, {
        sessionId: values.sessionId,
        ...origin(),
        ...(absent
          ? experimental(EXPERIMENTAL_RESULT.absentUser)
          : { resultCode: RESULT.success, smRpUi: report }),
      });
    };
    const response = await submit(5);
    assert.equal(response.status, 0);
    await sleep(10_000);
    assert.equal(tries, 0, 'not attached: the HSS says so');
    await attach();
    await until(() => tries === 1);
    const before = clock.now();
    absent = false;
    await sleep(1000);
    assert.equal(tries, 1);
    await pass(mme.request(requestOf(notify, { ...head(), userName: imsi, alertReason: 0 })));
    await until(() => delivered.length === 2);
    assert.equal(tries, 2, 'by the alert, not by the next try');
    assert.ok(clock.now() < before + 10_000);
    const [ack, receipt] = delivered;
    assert.equal(ack!.esmClass & 0x3c, 0x08);
    assert.equal(toHex(ack!.shortMessage), 'beef');
    assert.equal(receipt!.esmClass & 0x3c, 0x04);
    assert.equal(decodeReceipt(receipt!.shortMessage).state, 'DELIVRD');
    assert.equal(decodeReceipt(receipt!.shortMessage).id, (response as { messageId?: string }).messageId);
  });

  test('a message nobody can take expires, and says so', async () => {
    await submit(1);
    await until(() => delivered.length === 1);
    assert.equal(decodeReceipt(delivered[0]!.shortMessage).state, 'EXPIRED');
    assert.ok(clock.now() <= Date.UTC(2026, 0, 1) + 3 * 86_400_000);
  });

  test('a message of a device reaches the ESME of that number, and no other number', async () => {
    const originate = async (to: string) =>
      readAnswer(
        moForwardShortMessage,
        await pass(
          mme.request(
            requestOf(moForwardShortMessage, {
              ...head(),
              scAddress: PROFILES.A.serviceCentre,
              userIdentifier: { userName: imsi },
              smRpUi: encodeTpdu({
                type: 'submit',
                reference: 1,
                destination: international(to),
                pid: 0,
                dcs: 4,
                userData: { header: [], data: fromHex('0102') },
              }),
            }),
          ),
        ),
      );
    assert.equal((await originate('999019900')).resultCode, RESULT.success);
    await until(() => delivered.length === 1);
    assert.equal(delivered[0]!.source.address, msisdn);
    assert.equal(toHex(delivered[0]!.shortMessage), '0102');
    assert.equal(resultOf(await originate('123456')), EXPERIMENTAL_RESULT.smDeliveryFailure);
  });
});
