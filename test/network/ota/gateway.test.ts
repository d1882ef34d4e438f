/** The OTA gateway against a scripted service centre and a scripted card, in virtual time. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { Listener } from '../../../src/edge/index.ts';
import { VirtualClock } from '../../../src/lab/clock.ts';
import { seededRandom } from '../../../src/lab/random.ts';
import { Wires } from '../../../src/lab/wires.ts';
import { createOtaGateway, type OtaGateway, type OtaResult } from '../../../src/network/ota/gateway.ts';
import { openOperatorStore, type OperatorStore } from '../../../src/network/operator/store.ts';
import { createSoftwareVault } from '../../../src/network/vault/software.ts';
import { serveSmpp, type SmppSession } from '../../../src/network/wire/smpp.ts';
import { Reader, concat, toHex } from '../../../src/standards/bytes/index.ts';
import {
  KEY_LIST_TAR,
  RESPONSE_STATUS,
  decodeCommandPacket,
  decodePacketSms,
  encodeCommandPacket,
  encodeCompactResponse,
  encodeKeyListStatus,
  encodePacketSms,
  encodeResponsePacket,
  keyByte,
  type KeyListStatus,
  type OtaKeys,
  type ReceivedCommand,
  type SecurityParameters,
} from '../../../src/standards/ota/index.ts';
import { encodeHeader, readHeader, type UserData } from '../../../src/standards/sms/index.ts';
import {
  ESM_CLASS,
  MESSAGE_STATE,
  encodeReceipt,
  type ShortMessage,
} from '../../../src/standards/smpp/index.ts';

const ANY = { host: '127.0.0.1', port: 0 };
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const IMSI = '001010000000001';
const ICCID = '8988211000000000010';
const MSISDN = '9990100000001';
const OTA = '9990199000002';
const CHANGE = '00112233445566aa';

describe('the OTA gateway', () => {
  let clock: VirtualClock, wires: Wires, store: OperatorStore, gateway: OtaGateway;
  let smsc: Listener, session: SmppSession;
  let submitted: ShortMessage[], queried: string[], cancelled: string[];
  /** what the service centre says of a message */
  let stateOf: (id: string) => number;
  let proved: { command: string; result: OtaResult }[];
  /** how often it cannot be told what was proved */
  let failing: number;
  let reported: { iccid: string; imsi: string; status: KeyListStatus }[];
  const keys: OtaKeys = { kic: new Uint8Array(16).fill(1), kid: new Uint8Array(16).fill(2) };
  const others: OtaKeys = { kic: new Uint8Array(16).fill(3), kid: new Uint8Array(16).fill(4) };

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

  beforeEach(async () => {
    clock = new VirtualClock(Date.UTC(2026, 0, 1));
    wires = new Wires();
    const edge = { clock, sockets: wires.of('10.0.0.1'), random: seededRandom(1, 'ota') };
    submitted = [];
    queried = [];
    cancelled = [];
    proved = [];
    failing = 0;
    reported = [];
    stateOf = () => MESSAGE_STATE.ENROUTE;
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
      answer(pdu) {
        const { sequence } = pdu;
        switch (pdu.command) {
          case 'submit_sm':
            submitted.push(pdu);
            return {
              command: 'submit_sm_resp',
              sequence,
              status: 0,
              messageId: String(submitted.length),
            };
          case 'query_sm': {
            queried.push(pdu.messageId);
            const result = {
              messageId: pdu.messageId,
              finalDate: '',
              messageState: stateOf(pdu.messageId),
              errorCode: 0,
            };
            return { command: 'query_sm_resp', sequence, status: 0, result };
          }
          case 'cancel_sm':
            cancelled.push(pdu.messageId);
            return { command: 'cancel_sm_resp', sequence, status: 0 };
          case 'deliver_sm':
            throw new Error('not for a service centre');
        }
      },
    });
    const vault = await createSoftwareVault({
      keyEncryptionKey: new Uint8Array(32),
      random: edge.random,
      clock,
    });
    store = openOperatorStore(':memory:');
    store.insert({ imsi: IMSI, msisdn: MSISDN, iccid: ICCID, state: 'ready', change: null });
    store.putOtaKeys({
      iccid: ICCID,
      keySet: 1,
      algorithm: 'aes',
      ota: vault.sealOta('card', { kic: keys.kic!, kid: keys.kid! }),
      label: 'card',
      counter: 0,
    });
    gateway = createOtaGateway({
      edge,
      store,
      vault,
      smsc: smsc.endpoint,
      systemId: 'ota',
      password: 'secret',
      address: OTA,
      proved({ command }, result) {
        if (failing-- > 0) throw new Error('the disk, say');
        proved.push({ command, result });
      },
      reported: (iccid, imsi, status) => reported.push({ iccid, imsi, status }),
    });
    await run(() => bound);
  });
  afterEach(async () => {
    gateway.close();
    await after(smsc.close());
    store.close();
  });

  const send = (command = 'switch'): void =>
    gateway.send({
      change: CHANGE,
      command,
      iccid: ICCID,
      imsi: IMSI,
      keySet: 1,
      tar: KEY_LIST_TAR,
      script: Uint8Array.of(0x80, 0x4e, 0, 0, 0),
    });
  const userDataOf = ({ shortMessage }: ShortMessage): UserData => {
    const reader = new Reader(shortMessage);
    return { header: readHeader(reader), data: reader.rest() };
  };
  /** What the card reads of a message. */
  const received = (message: ShortMessage): ReceivedCommand =>
    decodeCommandPacket(decodePacketSms('command', userDataOf(message))!, { keysOf: () => keys });
  /** A message to the gateway's number, as a service centre hands it over. */
  const deliver = (esmClass: number, userData: UserData): Promise<unknown> => {
    const pdu: Omit<ShortMessage, 'sequence' | 'status'> = {
      command: 'deliver_sm',
      serviceType: '',
      source: { ton: 1, npi: 1, address: MSISDN },
      destination: { ton: 1, npi: 1, address: OTA },
      esmClass: esmClass | (userData.header.length > 0 ? ESM_CLASS.udhIndicator : 0),
      protocolId: 0x7f,
      priority: 0,
      scheduleDeliveryTime: '',
      validityPeriod: '',
      registeredDelivery: 0,
      replaceIfPresent: 0,
      dataCoding: 0xf6,
      defaultMessageId: 0,
      shortMessage: concat(encodeHeader(userData.header), userData.data),
      tlvs: [],
    };
    return after(session.request(pdu));
  };
  interface Answer {
    status?: number;
    /** added to the counter of the command */
    counter?: number;
    sw?: number;
    under?: OtaKeys;
    esmClass?: number;
  }
  /** The card's response to the last message, in its deliver report if not said otherwise. */
  const answer = async ({ status, counter, sw, under, esmClass }: Answer): Promise<void> => {
    const command = received(submitted.at(-1)!);
    const packet = encodeResponsePacket(
      {
        tar: KEY_LIST_TAR,
        counter: command.counter + (counter ?? 0),
        status: status ?? RESPONSE_STATUS.ok,
        data:
          (status ?? RESPONSE_STATUS.ok) === RESPONSE_STATUS.ok
            ? encodeCompactResponse({ executed: 1, sw: sw ?? 0x9000, data: new Uint8Array() })
            : new Uint8Array(),
      },
      command.header,
      under ?? keys,
    );
    await deliver(esmClass ?? ESM_CLASS.deliveryAcknowledgement, encodePacketSms('response', packet)[0]!);
  };
  const receipt = (id: number, state: 'DELIVRD' | 'EXPIRED'): Promise<unknown> =>
    deliver(ESM_CLASS.deliveryReceipt, {
      header: [],
      data: encodeReceipt({
        id: String(id),
        submitDate: '2601010000',
        doneDate: '2601010000',
        state,
        error: '000',
      }),
    });
  const sent = async (): Promise<void> => {
    send();
    await run(() => submitted.length === 1);
  };
  const result = (): string | undefined => gateway.resultOf(CHANGE, 'switch')?.result;

  describe('believes the card alone', () => {
    test('its word in the deliver report, done or refused, and says so once', async () => {
      await sent();
      await answer({});
      assert.equal(result(), 'done');
      await answer({ sw: 0x6985 });
      assert.deepEqual(
        proved.map(({ command, result: { result: what } }) => [command, what]),
        [['switch', 'done']],
      );
    });

    test('an answer that could not be told counts as not come: it is not lost, and told the next time', async () => {
      await sent();
      failing = 1;
      await answer({}).catch(() => undefined);
      assert.deepEqual(proved, []);
      assert.equal(result(), undefined, 'nothing of it is on disk');
      assert.equal(store.database.isTransaction, false);
      await answer({});
      assert.deepEqual(
        proved.map(({ result: { result } }) => result),
        ['done'],
      );
      assert.equal(result(), 'done');
    });

    test('a refusal of its application, with the status word', async () => {
      await sent();
      await answer({ sw: 0x6985 });
      assert.deepEqual(proved, [{ command: 'switch', result: { result: 'refused', sw: 0x6985 } }]);
    });

    test('in a message of its own too, where the answer is long: SMS-SUBMIT after a report that says so', async () => {
      await sent();
      await answer({ status: RESPONSE_STATUS.bySubmit });
      assert.equal(result(), undefined);
      await pass(MINUTE);
      assert.equal(submitted.length, 1, 'it is on its way, not lost');
      await answer({ esmClass: 0 });
      assert.equal(result(), 'done');
    });

    for (const status of ['integrityFailed', 'cipheringError', 'securityError', 'tarUnknown'] as const) {
      test(`no refusal that anyone could have sent: ${status} decides nothing, and hurries nothing`, async () => {
        await sent();
        await answer({ status: RESPONSE_STATUS[status] });
        await pass(2 * MINUTE);
        assert.deepEqual([result(), proved.length, submitted.length], [undefined, 0, 1]);
        await answer({});
        assert.equal(result(), 'done');
      });
    }

    test('no answer under other keys', async () => {
      await sent();
      await answer({ under: others });
      assert.equal(result(), undefined);
    });

    test('no answer to another command: its counter is not one of this one’s', async () => {
      await sent();
      for (const counter of [1, -1]) {
        await answer({ counter });
        await answer({ counter, sw: 0x6985 });
      }
      assert.deepEqual([result(), proved.length], [undefined, 0]);
      await answer({});
      assert.equal(result(), 'done');
    });

    test('an answer to any of its copies, not to a command before or after it', async () => {
      await sent();
      stateOf = () => MESSAGE_STATE.EXPIRED;
      await run(() => submitted.length === 3);
      send('cancel');
      await run(() => submitted.length === 4);
      const [first, , third, next] = submitted.map((message) => received(message).counter);
      assert.deepEqual([third! - first!, next! - first!], [2, 3]);
      await answer({ counter: -3 });
      assert.deepEqual(
        proved.map(({ command }) => command),
        ['switch'],
      );
    });
  });

  describe('does not pile messages up', () => {
    test('what the service centre still holds for an absent device is not sent a second time', async () => {
      await sent();
      await pass(3 * DAY);
      assert.equal(submitted.length, 1);
      assert.ok(queried.length > 70 && queried.length < 80, `asked ${queried.length} times`);
      assert.ok(queried.every((id) => id === '1'));
      assert.equal(result(), undefined);
    });

    test('an expired message goes out anew, under the next counter, eight times; then nothing is known', async () => {
      await sent();
      for (let i = 1; i <= 8; i++) {
        await pass(3 * DAY);
        assert.equal(submitted.length, i);
        stateOf = (id) => (Number(id) <= i ? MESSAGE_STATE.EXPIRED : MESSAGE_STATE.ENROUTE);
        await receipt(i, 'EXPIRED');
        await pass(2 * HOUR);
      }
      assert.equal(submitted.length, 8);
      assert.deepEqual(
        submitted.map((message) => received(message).counter),
        [1, 2, 3, 4, 5, 6, 7, 8],
      );
      assert.deepEqual(proved, [{ command: 'switch', result: { result: 'unproven' } }]);
    });

    for (const [when, wait] of [
      ['', MINUTE],
      [', be it on its way there', 0],
    ] as const) {
      test(`what is withdrawn is called back from the service centre${when}, and never sent again`, async () => {
        await sent();
        if (wait > 0) await pass(wait);
        gateway.withdraw(CHANGE, 'switch');
        await run(() => cancelled.length > 0);
        assert.deepEqual(cancelled, ['1']);
        stateOf = () => MESSAGE_STATE.DELETED;
        await pass(10 * DAY);
        assert.deepEqual([submitted.length, proved.length], [1, 0]);
      });
    }

    test('what is withdrawn, or proven, while the service centre is asked about it stays so', async () => {
      await sent();
      stateOf = () => {
        gateway.withdraw(CHANGE, 'switch');
        return MESSAGE_STATE.EXPIRED;
      };
      await pass(DAY);
      assert.deepEqual([queried.length, submitted.length, proved.length], [1, 1, 0]);
      send('cancel');
      await run(() => submitted.length === 2);
      stateOf = () => {
        void answer({});
        return MESSAGE_STATE.EXPIRED;
      };
      await pass(DAY);
      assert.deepEqual(
        [submitted.length, proved.map(({ command, result: { result: what } }) => `${command} ${what}`)],
        [2, ['cancel done']],
      );
    });

    test('a change that is withdrawn takes all its commands with it, and nobody else’s', async () => {
      await sent();
      send('cancel');
      await pass(MINUTE);
      assert.equal(submitted.length, 2);
      gateway.withdrawAll('ffffffffffffffff');
      await pass(MINUTE);
      assert.deepEqual(cancelled, []);
      gateway.withdrawAll(CHANGE);
      await run(() => cancelled.length === 2);
      assert.deepEqual(cancelled.sort(), ['1', '2']);
    });

    test('a command is one command, however often it is asked for; of other content it is refused', async () => {
      await sent();
      send();
      await pass(MINUTE);
      assert.equal(submitted.length, 1);
      await answer({});
      send();
      assert.equal(proved.length, 2, 'who asks again hears again what came of it');
      await pass(MINUTE);
      assert.equal(submitted.length, 1);
      assert.throws(
        () =>
          gateway.send({
            change: CHANGE,
            command: 'switch',
            iccid: ICCID,
            imsi: IMSI,
            keySet: 1,
            tar: KEY_LIST_TAR,
            script: Uint8Array.of(1),
          }),
        /was given before with other content/,
      );
    });
  });

  describe('a card that speaks first', () => {
    const status: KeyListStatus = {
      state: 'home',
      index: 0,
      next: 2,
      pairs: 4,
      change: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
      last: 'timeOut',
    };
    const report = (security: Partial<SecurityParameters>, under: OtaKeys): Promise<unknown> => {
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
            ...security,
          },
          kic: byte,
          kid: byte,
          tar: KEY_LIST_TAR,
          counter: 1,
          data: encodeKeyListStatus(status),
        },
        under,
      );
      return deliver(0, encodePacketSms('command', packet)[0]!);
    };

    test('is heard with what it says, of the change that it names', async () => {
      await report({}, keys);
      assert.deepEqual(
        reported.map(({ iccid, imsi, status: said }) => [iccid, imsi, toHex(said.change), said.last]),
        [[ICCID, IMSI, '0102030405060708', 'timeOut']],
      );
    });

    test('is not heard under other keys, nor without a cryptographic checksum', async () => {
      await report({}, others);
      await report({ integrity: 'none', ciphered: false, counter: 'none' }, keys);
      assert.deepEqual(reported, []);
    });
  });
});
