/** That the bounds on hostile input can be broken, each in each way; and decoders that have no such test of theirs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DecodeError, Reader, fromHex } from '../../src/standards/bytes/index.ts';
import {
  decodeCommandHeader,
  decodeCommandPacket,
  decodeCompactCommands,
  decodeCompactResponse,
  decodeExpandedCommands,
  decodeExpandedResponse,
  decodeKeyListEnd,
  decodeKeyListStatus,
  decodeKeyListSwitch,
  decodeResponsePacket,
  decodeSpi,
  encodeCommandPacket,
  encodeExpandedCommands,
  encodeExpandedResponse,
  encodeKeyListCommit,
  encodeKeyListStatus,
  encodeKeyListSwitch,
  encodeResponsePacket,
} from '../../src/standards/ota/index.ts';
import { surviveHostile } from './hostile.ts';
import { Excess, bounded, metered, mostBytes, mostSteps } from './meter.ts';

const MUCH = 1 << 20;
const SAMPLE = fromHex('22820004a0a40000');

/** What a decoder could do with a length it did not check. */
const greedy: Record<string, () => unknown> = {
  'new Uint8Array': () => new Uint8Array(MUCH),
  'new Uint8Array of an array': () => new Uint8Array(Array.from({ length: MUCH }, () => 0)),
  'new Uint32Array': () => new Uint32Array(MUCH / 4),
  'new ArrayBuffer': () => new ArrayBuffer(MUCH),
  'new DataView': () => new DataView(new ArrayBuffer(MUCH)),
  'Uint8Array.from': () => Uint8Array.from({ length: MUCH }),
  'a slice at a time': () => {
    const bytes = new Uint8Array(4096);
    return Array.from({ length: 100 }, () => bytes.slice());
  },
  map: () => Array.from({ length: 8 }, () => new Uint8Array(4096).map((byte) => byte)),
  'Buffer.alloc': () => Buffer.alloc(MUCH),
  'Buffer.allocUnsafe': () => Buffer.allocUnsafe(MUCH),
  'Buffer.from': () => Buffer.from('00'.repeat(5000), 'hex'),
  'Buffer.concat': () => Buffer.concat([new Uint8Array(16)], MUCH),
  'new Array': () => new Array(MUCH),
  'Array.from': () => Array.from({ length: MUCH }, () => undefined),
  push: () => {
    const list: number[] = [];
    for (let i = 0; i < MUCH; i++) list.push(i);
    return list;
  },
  repeat: () => 'f'.repeat(MUCH),
  padStart: () => ''.padStart(MUCH),
  'a reader that never moves on': () => {
    const reader = new Reader(SAMPLE);
    for (;;) reader.take(0, 'nothing');
  },
  'a peek without end': () => {
    const reader = new Reader(SAMPLE);
    while (reader.peek() !== undefined);
  },
  'what it catches itself': () => {
    try {
      return new Uint8Array(MUCH);
    } catch {
      return undefined;
    }
  },
  'what it catches and calls a mistake of the input': () => {
    try {
      return new Uint8Array(MUCH);
    } catch {
      throw new DecodeError('length', '1', 'another');
    }
  },
};
for (const [how, decode] of Object.entries(greedy)) {
  test(`a decoder that takes too much is found out: ${how}`, () => {
    metered(() => {
      assert.throws(() => bounded(SAMPLE, decode), Excess);
    });
    assert.throws(
      () => {
        surviveHostile(decode, [SAMPLE]);
      },
      (error: Error) => error.cause instanceof Excess,
    );
  });
}

test('the bounds are proportional to the input, and start anew with each', () => {
  const spend = (bytes: number, steps: number) => (input: Uint8Array) => {
    const made = new Uint8Array(bytes);
    const reader = new Reader(input);
    for (let i = 0; i < steps; i++) reader.take(0, 'nothing');
    return made;
  };
  metered(() => {
    for (const length of [0, 10, 1000]) {
      const input = new Uint8Array(length);
      const [bytes, steps] = [mostBytes(length), mostSteps(length)];
      for (let i = 0; i < 3; i++) bounded(input, spend(bytes, steps));
      assert.throws(() => bounded(input, spend(bytes + 1, 0)), Excess);
      assert.throws(() => bounded(input, spend(0, steps + 1)), Excess);
    }
  });
});

test('views cost nothing, and the world is as it was afterwards', () => {
  const before = [Uint8Array, ArrayBuffer, Array, Array.from, Buffer.alloc, Reader.prototype.u8];
  const large = new Uint8Array(MUCH);
  metered(() => {
    assert.notEqual(Uint8Array, before[0]);
    bounded(SAMPLE, () => [large.subarray(1), new Uint8Array(large.buffer), new DataView(large.buffer)]);
    assert.ok(new Uint8Array(3) instanceof Uint8Array && large instanceof Uint8Array);
    assert.deepEqual([Uint8Array.of(1, 2), Uint8Array.from([3])], [fromHex('0102'), fromHex('03')]);
    assert.deepEqual([new Array(2).length, Array.from('ab'), Array.isArray([])], [2, ['a', 'b'], true]);
  });
  assert.deepEqual([Uint8Array, ArrayBuffer, Array, Array.from, Buffer.alloc, Reader.prototype.u8], before);
});

test('other mistakes of a decoder are found out, too', () => {
  const fails = (decode: (bytes: Uint8Array) => unknown, why: RegExp, encode?: () => Uint8Array): void => {
    assert.throws(
      () => {
        surviveHostile(decode, [SAMPLE], encode);
      },
      (error: Error) => why.test(String(error.cause ?? error)),
    );
  };
  fails((bytes) => bytes[9]!.toString(), /TypeError/);
  fails((bytes) => (bytes.fill(1), 1), /the input was changed/);
  fails(() => {
    throw new DecodeError('all', 'bytes', 'none');
  }, /nothing was ever accepted/);
  fails(
    (bytes) => bytes.length,
    /strictly deep-equal/,
    () => new Uint8Array(1000),
  );
});

const commands = [
  { type: 'apdu' as const, apdu: fromHex('00a40004023f00') },
  { type: 'apdu' as const, apdu: new Uint8Array(300) },
  { type: 'immediateAction' as const, value: fromHex('81') },
  { type: 'errorAction' as const, value: fromHex('82') },
];
const response = {
  executed: 2,
  answers: [
    { type: 'apdu' as const, data: new Uint8Array(260), sw: 0x9000 },
    { type: 'badFormat' as const, reason: 1 },
  ],
};

test('hostile remote commands of either format (TS 102 226 §5) are refused, in proportion', () => {
  surviveHostile(
    decodeExpandedCommands,
    [encodeExpandedCommands(commands), encodeExpandedCommands(commands, true)],
    ({ commands: decoded, indefinite }) => encodeExpandedCommands(decoded, indefinite),
  );
  surviveHostile(decodeExpandedResponse, [
    encodeExpandedResponse(response),
    encodeExpandedResponse(response, true),
  ]);
  surviveHostile(decodeCompactCommands, [fromHex('00a40004023f0000b0000000'), fromHex('00d6000002aabb')]);
  surviveHostile(decodeCompactResponse, [fromHex('0290000102'), fromHex('019000')]);
});

test('hostile secured packets (TS 102 225 §5) are refused, in proportion', () => {
  const keys = { kic: new Uint8Array(16).fill(1), kid: new Uint8Array(16).fill(2) };
  const command = (spi: number) => ({
    security: decodeSpi(spi),
    kic: 0x12,
    kid: 0x12,
    tar: fromHex('b00011'),
    counter: 100,
    data: fromHex('00a40004023f00'),
  });
  const spis = [0x1619, 0x1209, 0x0001, 0x1601];
  const packets = spis.map((spi) => encodeCommandPacket(command(spi), keys));
  surviveHostile(decodeCommandHeader, packets);
  surviveHostile((bytes) => decodeCommandPacket(bytes, { keysOf: () => keys }), packets);
  for (const spi of [0x1619, 0x1601]) {
    const answer = { ...command(spi), status: 0, data: fromHex('9000') };
    surviveHostile(
      (bytes) => decodeResponsePacket(bytes, command(spi), keys),
      [encodeResponsePacket(answer, command(spi), keys)],
    );
  }
});

test('hostile commands to the list application are refused, in proportion', () => {
  const change = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1);
  const command = encodeKeyListSwitch({
    change,
    index: 1,
    imsi: '001020000000042',
    mncLength: 2,
    trialSeconds: 60,
    delaySeconds: 0,
    policy: 0,
  });
  // What is decoded is the data of the APDU: behind its header and Lc.
  const dataOf = (apdu: Uint8Array): Uint8Array => apdu.subarray(5);
  surviveHostile(decodeKeyListSwitch, [dataOf(command)]);
  surviveHostile(decodeKeyListEnd, [dataOf(encodeKeyListCommit({ change, index: 1 }))]);
  const status = { state: 'trial', index: 1, next: 2, pairs: 9, change, last: 'none' } as const;
  surviveHostile(decodeKeyListStatus, [encodeKeyListStatus(status)]);
});
