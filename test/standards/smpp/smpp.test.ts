import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DecodeError, fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import {
  COMMAND_ID,
  decodePdu,
  decodeReceipt,
  encodePdu,
  encodeReceipt,
  pduLength,
  type Pdu,
} from '../../../src/standards/smpp/index.ts';
import { surviveHostile } from '../hostile.ts';

const ascii = (most: number) =>
  fc.string({
    maxLength: most,
    unit: fc.integer({ min: 0x20, max: 0x7e }).map((c) => String.fromCharCode(c)),
  });
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>;
const byte = fc.nat(255);
const address = record({ ton: byte, npi: byte, address: ascii(20) });
const head = { sequence: fc.nat(0x7fffffff), status: fc.constant(0) };
const tlvs = fc.array(record({ tag: fc.nat(0xffff), value: fc.uint8Array({ maxLength: 20 }) }), {
  maxLength: 3,
});

const pdus: fc.Arbitrary<Pdu> = fc.oneof(
  record({
    command: fc.constantFrom(
      'bind_receiver' as const,
      'bind_transmitter' as const,
      'bind_transceiver' as const,
    ),
    ...head,
    systemId: ascii(15),
    password: ascii(8),
    systemType: ascii(12),
    interfaceVersion: byte,
    addressTon: byte,
    addressNpi: byte,
    addressRange: ascii(40),
  }),
  record({
    command: fc.constantFrom('submit_sm' as const, 'deliver_sm' as const),
    ...head,
    serviceType: ascii(5),
    source: address,
    destination: address,
    esmClass: byte,
    protocolId: byte,
    priority: byte,
    scheduleDeliveryTime: ascii(16),
    validityPeriod: ascii(16),
    registeredDelivery: byte,
    replaceIfPresent: byte,
    dataCoding: byte,
    defaultMessageId: byte,
    shortMessage: fc.uint8Array({ maxLength: 254 }),
    tlvs,
  }),
  record({ command: fc.constant('submit_sm_resp' as const), ...head, messageId: ascii(64) }),
  record({ command: fc.constant('query_sm' as const), ...head, messageId: ascii(64), source: address }),
  record({
    command: fc.constant('query_sm_resp' as const),
    ...head,
    result: record({ messageId: ascii(64), finalDate: ascii(16), messageState: byte, errorCode: byte }),
  }),
  record({
    command: fc.constant('cancel_sm' as const),
    ...head,
    serviceType: ascii(5),
    messageId: ascii(64),
    source: address,
    destination: address,
  }),
  record({
    command: fc.constantFrom('enquire_link' as const, 'unbind' as const, 'generic_nack' as const),
    ...head,
  }),
  record({
    command: fc.constant('bind_transceiver_resp' as const),
    ...head,
    systemId: ascii(15),
    tlvs,
  }),
);

test('SMPP 3.4 §3.2.1: the example bind_transmitter, byte for byte', () => {
  // The specification's own sample PDU: system_id SMPP3TEST, password secret08, system_type SUBMIT1.
  const example = fromHex(
    '0000002f000000020000000000000001' +
      '534d50503354455354007365637265743038005355424d495431000001010' +
      '0',
  );
  const pdu = decodePdu(example);
  assert.deepEqual(pdu, {
    command: 'bind_transmitter',
    status: 0,
    sequence: 1,
    systemId: 'SMPP3TEST',
    password: 'secret08',
    systemType: 'SUBMIT1',
    interfaceVersion: 0,
    addressTon: 1,
    addressNpi: 1,
    addressRange: '',
  });
  assert.equal(toHex(encodePdu(pdu)), toHex(example));
});

test('what is encoded decodes to the same, and encodes to the same bytes again', () => {
  fc.assert(
    fc.property(pdus, (pdu) => {
      const bytes = encodePdu(pdu);
      assert.equal(pduLength(bytes), bytes.length);
      const decoded = decodePdu(bytes);
      assert.deepEqual(decoded, pdu);
      assert.equal(toHex(encodePdu(decoded)), toHex(bytes));
    }),
    { numRuns: 2000 },
  );
});

test('hostile bytes: only DecodeError, never past the end', () => {
  const good = fc.sample(pdus, { numRuns: 100, seed: 1 }).map(encodePdu);
  surviveHostile(decodePdu, good);
  // With a right length and a known command, so that what lies behind them is reached.
  const ids = Object.values(COMMAND_ID);
  surviveHostile((bytes) => {
    const pdu = new Uint8Array(Math.max(8, bytes.length));
    pdu.set(bytes);
    const view = new DataView(pdu.buffer);
    view.setUint32(0, pdu.length);
    view.setUint32(4, ids[pdu[7]! % ids.length]!);
    return decodePdu(pdu);
  }, good);
});

test('a command_length that cannot be one is refused before anything is gathered', () => {
  assert.equal(pduLength(fromHex('000000')), undefined);
  assert.throws(() => pduLength(fromHex('0000000f')), DecodeError);
  assert.throws(() => pduLength(fromHex('ffffffff')), DecodeError);
});

test('appendix B: a delivery receipt both ways, and other SMSCs’ spelling', () => {
  const receipt = {
    id: '0000000042',
    submitDate: '2611240754',
    doneDate: '2611240755',
    state: 'UNDELIV' as const,
    error: '027',
  };
  assert.deepEqual(decodeReceipt(encodeReceipt(receipt)), receipt);
  const other =
    'id:ab-1 sub:1 dlvrd:1 submit date:261124075400 done date:261124075501 stat:delivrd err:0 Text:hi';
  assert.equal(decodeReceipt(new TextEncoder().encode(other)).state, 'DELIVRD');
  assert.throws(() => decodeReceipt(fromHex('6964')), DecodeError);
});
