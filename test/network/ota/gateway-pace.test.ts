/** The OTA gateway at a service centre that allows so much and no more, and that may not answer. Virtual time. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { Listener } from '../../../src/edge/index.ts';
import { VirtualClock } from '../../../src/lab/clock.ts';
import { seededRandom } from '../../../src/lab/random.ts';
import { Wires } from '../../../src/lab/wires.ts';
import { createOtaGateway, type OtaGateway } from '../../../src/network/ota/gateway.ts';
import type { SmscLimits } from '../../../src/network/wire/pace.ts';
import { createSmsc, type Smsc } from '../../../src/network/operator/smsc.ts';
import { openOperatorStore, type OperatorStore } from '../../../src/network/operator/store.ts';
import { createSoftwareVault } from '../../../src/network/vault/software.ts';
import { connectSmpp, refusal, serveSmpp, type SmppSession } from '../../../src/network/wire/smpp.ts';
import { Reader, toHex } from '../../../src/standards/bytes/index.ts';
import { KEY_LIST_TAR, decodeCommandPacket, decodePacketSms } from '../../../src/standards/ota/index.ts';
import { readHeader } from '../../../src/standards/sms/index.ts';
import { COMMAND_STATUS, MESSAGE_STATE, TLV, type ShortMessage } from '../../../src/standards/smpp/index.ts';

const ANY = { host: '127.0.0.1', port: 0 };
const SECOND = 1000;
const OTA = '9990199000002';
const keys = { kic: new Uint8Array(16).fill(1), kid: new Uint8Array(16).fill(2) };
const digits = (n: number): string => String(n).padStart(3, '0');

let clock: VirtualClock, wires: Wires, store: OperatorStore;
const run = (done: () => boolean): Promise<boolean> => clock.run(done, () => wires.inFlight());
const pass = async (milliseconds: number): Promise<void> => {
  let over = false;
  clock.after(milliseconds, () => (over = true));
  await run(() => over);
};
const after = async <T>(work: Promise<T>): Promise<T> => {
  let done = false;
  const settled = work.finally(() => (done = true));
  settled.catch(() => undefined);
  await run(() => done);
  return settled;
};
beforeEach(() => {
  clock = new VirtualClock(Date.UTC(2026, 0, 1));
  wires = new Wires();
  store = openOperatorStore(':memory:');
});
afterEach(() => store.close());

describe('the pace of the OTA gateway', () => {
  let gateway: OtaGateway, smsc: Listener, session: SmppSession;
  let submitted: { at: number; pdu: ShortMessage; status: number }[];
  let open: number, most: number;
  /** what becomes of a submission: a status, `silence`, or `hold` it for a second */
  let verdict: (nth: number) => number | 'silence' | 'hold';

  const start = async (limits: SmscLimits): Promise<void> => {
    const edge = { clock, sockets: wires.of('10.0.0.1'), random: seededRandom(1, 'ota') };
    submitted = [];
    open = most = 0;
    let bound = false;
    smsc = await serveSmpp({
      edge,
      at: ANY,
      systemId: 'SMSC',
      bind(_pdu, each) {
        session = each;
        bound = true;
        return 0;
      },
      async answer(pdu) {
        const { sequence } = pdu;
        if (pdu.command === 'query_sm') {
          const { messageId } = pdu;
          const result = { messageId, finalDate: '', messageState: MESSAGE_STATE.ENROUTE, errorCode: 0 };
          return { command: 'query_sm_resp', sequence, status: 0, result };
        }
        if (pdu.command !== 'submit_sm') return refusal(pdu, COMMAND_STATUS.ESME_RINVCMDID);
        most = Math.max(most, ++open);
        const said = verdict(submitted.length + 1);
        const status = typeof said === 'number' ? said : 0;
        submitted.push({ at: clock.now(), pdu, status });
        const messageId = String(submitted.length);
        if (said === 'hold') await new Promise<void>((resolve) => clock.after(SECOND, resolve));
        open--;
        if (said === 'silence') session.close();
        if (said === 'silence') await new Promise<void>(() => undefined);
        return status === 0
          ? { command: 'submit_sm_resp', sequence, status: 0, messageId }
          : refusal(pdu, status);
      },
    });
    const vault = await createSoftwareVault({
      keyEncryptionKey: new Uint8Array(32),
      random: edge.random,
      clock,
    });
    for (let n = 1; n <= 60; n++) {
      const iccid = `8988211000000000${digits(n)}`;
      store.insert({
        imsi: `001010000000${digits(n)}`,
        msisdn: `999010000${digits(n)}`,
        iccid,
        state: 'ready',
        change: null,
      });
      store.putOtaKeys({
        iccid,
        keySet: 1,
        algorithm: 'aes',
        ota: vault.sealOta('card', keys),
        label: 'card',
        counter: 0,
      });
    }
    gateway = createOtaGateway({
      edge,
      store,
      vault,
      smsc: smsc.endpoint,
      systemId: 'ota',
      password: 'secret',
      limits,
      address: OTA,
      proved: () => undefined,
      reported: () => undefined,
    });
    await run(() => bound);
  };
  afterEach(async () => {
    gateway.close();
    await after(smsc.close());
  });
  const send = (n: number, command: string, length = 5): void =>
    gateway.send({
      change: `00112233445566${String(n).padStart(2, '0')}`,
      command,
      iccid: `8988211000000000${digits(n)}`,
      imsi: `001010000000${digits(n)}`,
      keySet: 1,
      tar: KEY_LIST_TAR,
      script: new Uint8Array(length).fill(0x80),
    });
  const taken = (): ShortMessage[] => submitted.flatMap(({ pdu, status }) => (status === 0 ? [pdu] : []));
  const whatAndWhere = ({ destination, shortMessage }: ShortMessage): string =>
    `${destination.address} ${toHex(shortMessage)}`;
  const counterOf = ({ shortMessage }: ShortMessage): number => {
    const reader = new Reader(shortMessage);
    const userData = { header: readHeader(reader), data: reader.rest() };
    return decodeCommandPacket(decodePacketSms('command', userData)!, { keysOf: () => keys }).counter;
  };

  test('no second has more messages than were agreed, parts of a long one counted; and all go', async () => {
    verdict = () => 0;
    await start({ ratePerSecond: 5 });
    for (let n = 1; n <= 20; n++) send(n, 'write', n === 4 ? 300 : 5);
    const from = clock.now();
    await run(() => submitted.length === 22);
    for (const { at } of submitted) {
      const within = submitted.filter((each) => each.at >= at && each.at < at + SECOND).length;
      assert.ok(within <= 5, `${within} in the second from ${at - from}`);
    }
    assert.ok(clock.now() - from <= 4.5 * SECOND, 'nor fewer');
    assert.equal(new Set(taken().map(whatAndWhere)).size, 22);
  });

  test('no more than the window are unanswered', async () => {
    verdict = () => 'hold';
    await start({ window: 3 });
    for (let n = 1; n <= 10; n++) send(n, 'write');
    await run(() => submitted.length === 10);
    assert.equal(most, 3);
  });

  for (const status of ['ESME_RTHROTTLED', 'ESME_RMSGQFUL'] as const) {
    test(`${status}: all wait, longer each time, and the same message goes again, none lost, none twice`, async () => {
      verdict = (nth) => (nth <= 6 ? COMMAND_STATUS[status] : 0);
      await start({ window: 2 });
      for (let n = 1; n <= 10; n++) send(n, 'write', n === 3 ? 300 : 5);
      const from = clock.now();
      await run(() => taken().length === 12);
      await pass(60 * SECOND);
      assert.equal(taken().length, 12);
      assert.equal(new Set(taken().map(whatAndWhere)).size, 12);
      assert.deepEqual(
        submitted.slice(0, 6).map(({ at }) => Math.round((at - from) / SECOND)),
        [0, 0, 1, 1, 3, 3],
      );
      // No counter was spent on what was not taken.
      for (let n = 1; n <= 10; n++)
        assert.equal(store.otaKeys(`8988211000000000${digits(n)}`, 1)!.counter, 1);
    });
  }

  test('a long message of which a part was not taken goes on with that part', async () => {
    verdict = (nth) => (nth === 2 ? COMMAND_STATUS.ESME_RTHROTTLED : 0);
    await start({});
    send(1, 'write', 300);
    await run(() => taken().length === 3);
    const texts = submitted.map(({ pdu }) => toHex(pdu.shortMessage));
    assert.equal(texts.length, 4);
    assert.equal(texts[1], texts[2]);
    assert.equal(new Set(texts).size, 3);
  });

  test('what ends a trial goes before what begins one, and that before the rest; in each class the oldest first', async () => {
    verdict = () => 0;
    await start({ ratePerSecond: 1 });
    const commands = ['write', 'reach', 'switch', 'write', 'switch', 'commit', 'write', 'cancel', 'commit'];
    for (const [i, command] of commands.entries()) {
      send(i + 1, command);
      await pass(1);
    }
    await run(() => submitted.length === commands.length);
    const order = submitted.map(({ pdu }) => Number(pdu.destination.address.slice(-3)));
    // The first went while it was alone.
    assert.deepEqual(order, [1, 6, 8, 9, 3, 5, 2, 4, 7]);
  });

  test('not answered for the link broke: the very same message again, which its counter and reference tell', async () => {
    verdict = (nth) => (nth === 1 ? 'silence' : 0);
    await start({});
    send(1, 'switch');
    await run(() => submitted.length === 2);
    await pass(120 * SECOND);
    const [first, second] = submitted.map(({ pdu }) => pdu);
    assert.equal(submitted.length, 2);
    assert.equal(toHex(second!.shortMessage), toHex(first!.shortMessage));
    assert.equal(counterOf(second!), 1);
    assert.deepEqual(
      second!.tlvs.map(({ tag, value }) => [tag, toHex(value)]),
      [[TLV.user_message_reference, '0001']],
    );
    assert.deepEqual(second!.tlvs, first!.tlvs);
  });

  test('never answered: three times as it is, then under the next counter; in the end nothing is known', async () => {
    verdict = () => 'silence';
    await start({});
    send(1, 'switch');
    await run(() => gateway.resultOf('0011223344556601', 'switch') !== undefined);
    const counters = submitted.map(({ pdu }) => counterOf(pdu));
    assert.deepEqual(counters.slice(0, 6), [1, 1, 1, 1, 2, 2]);
    assert.equal(counters.length, 32);
    assert.deepEqual(gateway.resultOf('0011223344556601', 'switch'), { result: 'unproven' });
  });

  test('withdrawn while the service centre is too busy: it never goes', async () => {
    verdict = (nth) => (nth <= 1 ? COMMAND_STATUS.ESME_RTHROTTLED : 0);
    await start({});
    send(1, 'switch');
    await run(() => submitted.length === 1);
    gateway.withdraw('0011223344556601', 'switch');
    await pass(120 * SECOND);
    assert.equal(submitted.length, 1);
  });
});

describe('the limits of the service centre', () => {
  let smsc: Smsc;
  const serve = async (account: { ratePerSecond?: number; queue?: number }) => {
    const edge = { clock, sockets: wires.of('10.0.0.2'), random: seededRandom(1, 'smsc') };
    smsc = await createSmsc({
      edge,
      store,
      host: 'smsc.x',
      realm: 'x',
      listen: ANY,
      hss: { host: '127.0.0.1', port: 1 },
      smpp: ANY,
      address: '9990199000001',
      accounts: [{ systemId: 'them', password: 'pw', addresses: [], ...account }],
    });
    let bound = false;
    const esme = connectSmpp({
      edge,
      to: smsc.endpoint,
      systemId: 'them',
      password: 'pw',
      deliver: () => 0,
      bound: () => (bound = true),
    });
    await run(() => bound);
    return {
      async submit(n: number, reference?: number): Promise<{ status: number; id?: string }> {
        const answer = await after(
          esme.request({
            command: 'submit_sm',
            serviceType: '',
            source: { ton: 1, npi: 1, address: OTA },
            destination: { ton: 1, npi: 1, address: '999010000001' },
            esmClass: 0,
            protocolId: 0,
            priority: 0,
            scheduleDeliveryTime: '',
            validityPeriod: '',
            registeredDelivery: 0,
            replaceIfPresent: 0,
            dataCoding: 0,
            defaultMessageId: 0,
            shortMessage: Uint8Array.of(n),
            tlvs:
              reference === undefined
                ? []
                : [{ tag: TLV.user_message_reference, value: Uint8Array.of(0, reference) }],
          }),
        );
        return {
          status: answer.status,
          ...('messageId' in answer && answer.messageId !== undefined ? { id: answer.messageId } : {}),
        };
      },
      async close(): Promise<void> {
        esme.close();
        await after(smsc.close());
      },
    };
  };

  test('an ESME above its rate is told so, and heard again a moment later', async () => {
    const { submit, close } = await serve({ ratePerSecond: 2 });
    const statuses: number[] = [];
    for (let n = 0; n < 4; n++) statuses.push((await submit(n)).status);
    const { ESME_RTHROTTLED } = COMMAND_STATUS;
    assert.deepEqual(statuses, [0, 0, ESME_RTHROTTLED, ESME_RTHROTTLED]);
    await pass(500);
    assert.equal((await submit(5)).status, 0);
    await close();
  });

  test('an ESME whose messages fill its queue is told so; a copy of one of them is still that one', async () => {
    const { submit, close } = await serve({ queue: 2 });
    const first = await submit(1, 1);
    const second = await submit(2, 1);
    assert.notEqual(first.id, second.id, 'of other content');
    assert.equal((await submit(3, 3)).status, COMMAND_STATUS.ESME_RMSGQFUL);
    assert.deepEqual(await submit(1, 1), first);
    await close();
  });

  test('the same text twice without a reference is two messages; with one it is one', async () => {
    const { submit, close } = await serve({});
    const ids = [
      await submit(1),
      await submit(1),
      await submit(1, 7),
      await submit(1, 7),
      await submit(1, 8),
    ];
    assert.equal(new Set(ids.map(({ id }) => id)).size, 4);
    assert.deepEqual(ids[2], ids[3]);
    await close();
  });
});
