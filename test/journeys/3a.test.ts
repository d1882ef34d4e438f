/**
 * Alternative 3a as a story: a plain card and one with the fall-back application are handed from A to B with
 * their keys; and what A can still do afterwards.
 */
import assert from 'node:assert/strict';
import { createDecipheriv } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import type { Parties } from '../../src/change/parties.ts';
import { createCard, memoryStore, type CardState } from '../../src/device/uicc/index.ts';
import { PROFILES } from '../../src/lab/operators.ts';
import { openLabStore, type LabStore } from '../../src/lab/store.ts';
import {
  SQN_DEFAULT,
  authenticationVector,
  encodeSqn,
  openChallenge,
  prepare,
} from '../../src/standards/aka/index.ts';
import { fromHex, toHex } from '../../src/standards/bytes/index.ts';
import { GSMTAP_NAS, decodeGsmtap } from '../../src/standards/gsmtap/index.ts';
import { decodeNas, type NasMessage } from '../../src/standards/nas/index.ts';
import { keyCipher } from '../../src/standards/globalplatform/index.ts';
import {
  RESPONSE_STATUS,
  TAR,
  decodeCommandHeader,
  decodeCommandPacket,
  decodeCompactCommands,
  decodePacketSms,
  encodeCompactCommands,
  keyByte,
  keySetOf,
} from '../../src/standards/ota/index.ts';
import { Reassembly, decodeCp, decodeRp, decodeTpduToDevice } from '../../src/standards/sms/index.ts';
import { INS, encodeChallenge } from '../../src/standards/uicc/index.ts';
import { gatewayOf, terminalOf } from '../device/uicc/terminal.ts';
import { begin, type Setting, type Story } from './story.ts';

interface Keys {
  kic: Uint8Array;
  kid: Uint8Array;
  kik: Uint8Array;
}

/** What can be looked into besides. */
interface Traces {
  store: LabStore;
  /** of an operator's database */
  rows(operator: 'A' | 'B', query: string): Record<string, unknown>[];
  /** whole once the story has ended */
  pcap: string;
}

/** A story whose databases and air can be looked into; told to its end, unless `run` ends it. */
async function told(
  run: (story: Story, traces: Traces) => Promise<void>,
  setting: Setting = {},
  devices = 2,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'rehome-3a-'));
  const store = openLabStore(join(folder, 'world'), false);
  const pcap = join(folder, 'air.pcapng');
  const rows: Traces['rows'] = (operator, query) => {
    const database = new DatabaseSync(store.file(`operator-${operator}`), { readOnly: true });
    try {
      return database.prepare(query).all();
    } finally {
      database.close();
    }
  };
  try {
    const story = await begin(devices, {}, { alternative: '3a', store, pcap, ...setting });
    let ending: Promise<void> | undefined;
    const end = story.end.bind(story);
    story.end = () => (ending ??= end());
    try {
      await story.pass(5);
      await run(story, { store, rows, pcap });
    } finally {
      await story.end();
    }
  } finally {
    store.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

const TRANSFERS = 'SELECT change, operator, destroyed FROM key_transfer ORDER BY change';
const KEYS_AT_B = 'SELECT iccid FROM ota_key UNION SELECT iccid FROM subscriber WHERE aka IS NOT NULL';

/** A card as it was last saved. */
const cardOf = (store: LabStore, device: string): CardState => store.card(device, 'usim').load()!;
const madeOf = (story: Story, device: string): Keys & { k: string; opc: string; address: string } => {
  const i = story.world.devices.findIndex(({ made }) => made.name === device);
  const { usim, ota } = story.world.devices[i]!.made.card;
  const { kic, kid, kik } = ota!.keySets[0]!;
  return {
    k: usim.k,
    opc: usim.opc!,
    kic: fromHex(kic),
    kid: fromHex(kid),
    kik: fromHex(kik!),
    address: `10.128.0.${i + 1}`,
  };
};

/** What a card of this state says to a packet under these keys as set 1. */
function says(state: CardState, { kic, kid }: Keys): number | undefined {
  const card = createCard({ store: memoryStore(state) });
  card.powerOn();
  const terminal = terminalOf(card);
  terminal.boot();
  const pair = { index: 0, state: 'current' as const, kic: toHex(kic), kid: toHex(kid) };
  const file = { keyList: { pairs: [pair], next: 1 } } as unknown as Parameters<typeof gatewayOf>[0];
  const gateway = gatewayOf(file, 0, TAR.rfmUsim);
  const byte = keyByte(1, 'aes');
  gateway.header = { ...gateway.header, kic: byte, kid: byte };
  gateway.counter = 10_000;
  return gateway.send(terminal, encodeCompactCommands([fromHex('00a4000c026f07')]))?.status;
}

/** The status word with which a card of this state answers a network that has this Ki. */
function challenged(state: CardState, k: Uint8Array, opc: Uint8Array): number {
  const card = createCard({ store: memoryStore(state) });
  card.powerOn();
  const terminal = terminalOf(card);
  const rand = new Uint8Array(16).fill(7);
  const sqn = encodeSqn(SQN_DEFAULT, Math.max(...state.usim.sqn.seq) + 5, 0);
  const key = prepare({ algorithm: 'milenage', k, opc });
  const { autn } = authenticationVector(key, rand, sqn, Uint8Array.of(0x80, 0));
  terminal.selectUsim();
  return terminal.sw(0, INS.authenticate, 0, 0x81, encodeChallenge({ rand, autn }), 256);
}

/** NAS for a device as it went over the air in the clear, or deciphered, in order. */
function* nasTo(pcap: string, address: string): Generator<NasMessage> {
  const file = readFileSync(pcap);
  for (let at = 0; at < file.length; at += file.readUInt32LE(at + 4)) {
    if (file.readUInt32LE(at) !== 6) continue;
    const ip = file.subarray(at + 28, at + 28 + file.readUInt32LE(at + 20));
    const [protocol, to] = [ip[9], [...ip.subarray(16, 20)].join('.')];
    if (protocol !== 17 || to !== address) continue;
    const { subType, uplink, payload } = decodeGsmtap(ip.subarray(28));
    if (subType !== GSMTAP_NAS.plain || uplink) continue;
    yield decodeNas(payload, 'downlink');
  }
}

/** Challenges for a device that anybody near it hears. */
const challengesTo = (pcap: string, address: string): { rand: Uint8Array; autn: Uint8Array }[] =>
  [...nasTo(pcap, address)].flatMap((message) =>
    message.type === 'authenticationRequest' ? [{ rand: message.rand, autn: message.autn }] : [],
  );

/** Packets for the card of a device: the deciphered twins of its messages. */
function packetsTo(pcap: string, address: string): Uint8Array[] {
  const reassembly = new Reassembly();
  const packets: Uint8Array[] = [];
  for (const message of nasTo(pcap, address)) {
    if (message.type !== 'downlinkNasTransport') continue;
    const cp = decodeCp(message.nasMessageContainer);
    const rp = cp.type === 'data' ? decodeRp(cp.rp) : undefined;
    if (rp?.type !== 'data' || !rp.toDevice) continue;
    const tpdu = decodeTpduToDevice(rp.tpdu);
    if (tpdu.type !== 'deliver') continue;
    const whole = reassembly.add(tpdu.originator.value, tpdu.userData);
    const packet = whole && decodePacketSms('command', whole);
    if (packet) packets.push(packet);
  }
  return packets;
}

/** All that A, who knew set 1, learns by reading what B sent: each PUT KEY tells the keys of the next. */
function eavesdrop(packets: readonly Uint8Array[], first: Keys): { sets: Map<number, Keys>; read: number[] } {
  const sets = new Map([[1, first]]);
  const read: number[] = [];
  for (const packet of packets) {
    const opened = decodeCommandPacket(packet, { keysOf: ({ kid }) => sets.get(keySetOf(kid)) });
    if (opened.status !== RESPONSE_STATUS.ok || toHex(opened.header.tar) !== toHex(TAR.issuerSecurityDomain))
      continue;
    const { kik } = sets.get(keySetOf(opened.header.kid))!;
    for (const apdu of decodeCompactCommands(opened.data)) {
      // A public key says nothing.
      if (toHex(apdu.subarray(0, 2)) !== '80d8') continue;
      // Number of the set, then for each key: type, length, clear length, ciphered key, check value.
      const keys = [0, 1, 2].map((i) => {
        const { name, key, iv } = keyCipher('aes', kik);
        const cipher = createDecipheriv(name, key, iv).setAutoPadding(false);
        return new Uint8Array(cipher.update(apdu.subarray(9 + 23 * i, 25 + 23 * i)));
      });
      sets.set(apdu[5]!, { kic: keys[0]!, kid: keys[1]!, kik: keys[2]! });
      read.push(apdu[5]!);
    }
  }
  return { sets, read };
}

test('a plain card and one with the fall-back application change hands, keys and all', async (t) => {
  await told(async (story, { store, rows, pcap }) => {
    const devices = ['device-1', 'device-2'];
    await t.test('1. both are heard over A: one card is plain, one can fall back by itself', async () => {
      for (const device of devices) assert.equal((await story.heard(device))?.operator, 'A');
      assert.deepEqual(
        story.world.devices.map(({ made }) => made.class),
        ['plain', 'fallback'],
      );
      assert.equal(cardOf(store, 'device-1').list, undefined);
      assert.equal(cardOf(store, 'device-2').list?.pairs.length, 0);
    });
    await t.test(
      '2. B cannot compute what the cards compute: nothing moves, and no key leaves A',
      async () => {
        const b = PROFILES.B as { algorithms: readonly string[] };
        const { algorithms } = b;
        b.algorithms = ['test-xor'];
        try {
          for (const device of devices) {
            const { state, why, steps } = await story.move(device, 'A', 'B');
            assert.equal(state, 'rolledBack');
            assert.match(why ?? '', /B has no milenage/);
            assert.deepEqual(steps, []);
            assert.equal(story.sms, 0);
          }
        } finally {
          b.algorithms = algorithms;
        }
        assert.deepEqual(rows('A', TRANSFERS), []);
        assert.deepEqual(rows('B', KEYS_AT_B), []);
      },
    );
    const sms: Record<string, number> = {};
    for (const device of devices) {
      await t.test(
        `3. ${device} is ordered to B: reached, handed over, switched, heard, taken over`,
        async () => {
          story.on = ({ step, outcome }) => {
            // Until the card has been reached, and for as long as it is reserved only, the keys are with A.
            if (step === 'reserve' && outcome === 'next')
              assert.ok(!rows('B', KEYS_AT_B).some(({ iccid }) => iccid === cardOf(store, device).iccid));
          };
          const { state, why, steps } = await story.move(device, 'A', 'B');
          assert.equal(state, 'done', why);
          assert.deepEqual(steps, ['reserve', 'prepare', 'deliver', 'switch', 'confirm', 'retire']);
          sms[device] = story.sms;
          const heard = await story.heard(device);
          assert.equal(heard?.operator, 'B');
          assert.match(heard?.imsi ?? '', /^00102/);
        },
      );
    }
    await t.test('4. a plain card takes 9 short messages, one with the application 5', () => {
      assert.deepEqual(sms, { 'device-1': 9, 'device-2': 5 });
    });
    await t.test('5. the IMSI is B’s, Ki is the same, and no trial is left', () => {
      for (const device of devices) {
        const state = cardOf(store, device);
        assert.equal(toHex(state.usim.k), madeOf(story, device).k);
        assert.equal(story.world.devices.find(({ made }) => made.name === device)!.switches, 1);
      }
      assert.equal(cardOf(store, 'device-2').list?.last, 'committed');
    });
    await t.test('6. A has it on file that B knows these keys, and no receipt of their end', () => {
      assert.deepEqual(
        rows('A', TRANSFERS).map(({ operator, destroyed }) => [operator, destroyed]),
        [
          ['B', null],
          ['B', null],
        ],
      );
      assert.equal(rows('B', KEYS_AT_B).length, 2);
    });
    await t.test('7. a packet under the keys that A had is refused by the cards', () => {
      for (const device of devices) {
        assert.equal(says(cardOf(store, device), madeOf(story, device)), RESPONSE_STATUS.integrityFailed);
      }
    });
    const states = devices.map((device) => [device, cardOf(store, device), madeOf(story, device)] as const);
    await story.end();
    await t.test(
      '8. but A, who listened when B replaced them, reads the new ones and is heard again: the weakness of 3a',
      () => {
        for (const [device, state, made] of states) {
          const { sets, read } = eavesdrop(packetsTo(pcap, made.address), made);
          assert.deepEqual(read, [2, 1], `${device}: B’s own set, and under it the set that A had`);
          for (const { number, kic, kid, kik } of state.keySets) {
            const learned = sets.get(number)!;
            assert.deepEqual([learned.kic, learned.kid, learned.kik].map(toHex), [kic, kid, kik!].map(toHex));
          }
          assert.equal(says(state, sets.get(1)!), RESPONSE_STATUS.ok);
        }
      },
    );
  });
});

test('a hardened card: A reads everything, and cannot follow', async (t) => {
  await told(
    async (story, { store, rows, pcap }) => {
      const device = 'device-4';
      const made = madeOf(story, device);
      await t.test('1. its key agreement key is certified by its manufacturer', () => {
        assert.equal(story.device(device).made.class, 'hardened');
        assert.deepEqual(story.world.knowers(story.device(device)), ['A']);
      });
      await t.test('2. it is ordered to B, with all its keys, as any card of 3a', async () => {
        const { state, why, steps } = await story.move(device, 'A', 'B');
        assert.equal(state, 'done', why);
        assert.deepEqual(steps, ['reserve', 'prepare', 'deliver', 'switch', 'confirm', 'retire']);
        assert.equal(story.sms, 7, 'ICCID, SWITCH, COMMIT, key agreement, set 1, a look, Ki');
        assert.equal(rows('A', TRANSFERS).length, 1);
        assert.equal((await story.heard(device))?.operator, 'B');
      });
      const state = cardOf(store, device);
      await t.test('3. its Ki is another, in use already, and B alone has it', () => {
        assert.notEqual(toHex(state.usim.k), made.k);
        assert.equal(state.usim.renewed, undefined);
        assert.deepEqual(story.world.knowers(story.device(device)), ['B']);
        assert.deepEqual(
          state.keySets.map(({ number }) => number),
          [1, 2],
        );
      });
      await t.test('4. a packet under the keys that A had is refused', () => {
        assert.equal(says(state, made), RESPONSE_STATUS.integrityFailed);
      });
      await t.test('5. who had the device with him and the old Ki as a false network is refused', () => {
        assert.equal(challenged(state, fromHex(made.k), fromHex(made.opc)), 0x9862);
        assert.equal(challenged(state, state.usim.k, state.usim.opc!), 0x9000);
      });
      await story.end();
      await t.test('6. A reads B’s first message, which is a public key, and none after it', () => {
        const { sets, read } = eavesdrop(packetsTo(pcap, made.address), made);
        assert.deepEqual(read, []);
        assert.deepEqual([...sets.keys()], [1]);
        const packets = packetsTo(pcap, made.address).map((packet) => decodeCommandHeader(packet));
        assert.deepEqual(
          packets.map(({ kid, tar }) => [toHex(tar), keySetOf(kid)]),
          [
            ['b00000', 1],
            ['bfff3a', 1],
            ['bfff3a', 1],
            ['000000', 1],
            ['000000', 2],
            ['000000', 2],
            ['000000', 2],
          ],
        );
      });
      await t.test(
        '7. the last challenge on the air opens under B’s Ki and not under A’s: nor does what follows it',
        () => {
          const last = challengesTo(pcap, made.address).at(-1)!;
          const opens = (k: Uint8Array, opc: Uint8Array): boolean =>
            openChallenge(prepare({ algorithm: 'milenage', k, opc }), last.rand, last.autn).macValid;
          assert.ok(opens(state.usim.k, state.usim.opc!));
          assert.ok(!opens(fromHex(made.k), fromHex(made.opc)));
        },
      );
    },
    {},
    4,
  );
});

test('what a card that is not hardened is asked at B opens under the Ki that A has', async () => {
  await told(async (story, { pcap }) => {
    const made = madeOf(story, 'device-2');
    assert.equal((await story.move('device-2', 'A', 'B')).state, 'done');
    await story.end();
    const last = challengesTo(pcap, made.address).at(-1)!;
    const key = prepare({ algorithm: 'milenage', k: fromHex(made.k), opc: fromHex(made.opc) });
    assert.ok(openChallenge(key, last.rand, last.autn).macValid);
  });
});

test('B’s HSS never answers: nobody moves, and not one key is released', async () => {
  await told(
    async (story, { rows }) => {
      story.world.setTargetDown(true);
      const device = 'device-1';
      const { state, why } = await story.move(device, 'A', 'B');
      assert.equal(state, 'rolledBack');
      assert.match(why ?? '', /HSS/);
      assert.equal(story.sms, 0, 'nor is the card asked anything');
      assert.equal((await story.heard(device))?.operator, 'A');
      assert.deepEqual(rows('A', TRANSFERS), []);
      assert.deepEqual(rows('B', KEYS_AT_B), []);
      story.world.setTargetDown(false);
    },
    { long: true },
  );
});

test('a change that is rolled back: B destroys its keys and says so, A keeps the receipt, and may try again', async () => {
  await told(async (story, { store, rows }) => {
    story.faults.cause = 8;
    const { state, why } = await story.move('device-2', 'A', 'B');
    assert.equal(state, 'rolledBack');
    assert.match(why ?? '', /fell back: rejected/);
    delete story.faults.cause;
    const [transfer, ...others] = rows('A', TRANSFERS);
    assert.deepEqual(others, []);
    const [, receipt] = String(transfer?.destroyed).split('.');
    const { iss, aud, change, iccid } = JSON.parse(Buffer.from(receipt!, 'base64url').toString()) as Record<
      string,
      unknown
    >;
    assert.deepEqual([iss, aud, change], ['B', ['A'], transfer?.change]);
    assert.equal(iccid, cardOf(store, 'device-2').iccid);
    assert.deepEqual(rows('B', KEYS_AT_B), []);
    await story.pass(20);
    assert.equal((await story.heard('device-2'))?.operator, 'A');
    assert.equal(
      says(cardOf(store, 'device-2'), madeOf(story, 'device-2')),
      RESPONSE_STATUS.ok,
      'A is heard',
    );
    const second = await story.move('device-2', 'A', 'B');
    assert.equal(second.state, 'done', second.why);
    assert.equal((await story.heard('device-2'))?.operator, 'B');
  });
});

/** The fleet server does not get to hear of applications over B. */
const deafToB = (parties: Parties): Parties => ({
  ...parties,
  owner: {
    ...parties.owner,
    follow: (after, receive) =>
      parties.owner.follow(after, (events) =>
        receive(events.map((event) => (event.operator === 'B' ? { ...event, kind: 'unheard' } : event))),
      ),
  },
});

test('a plain card whose application is not heard over B is called home by OTA through B', async () => {
  await told(
    async (story, { rows }) => {
      const device = 'device-1';
      const where: (string | undefined)[] = [];
      story.on = ({ step, outcome }) => {
        if (step === 'switch' && outcome === 'next') where.push(story.world.devices[0]!.imsi()?.slice(0, 5));
      };
      const { state, why } = await story.move(device, 'A', 'B');
      assert.deepEqual(where, ['00102'], 'it was at B');
      assert.equal(state, 'rolledBack');
      assert.match(why ?? '', /not heard over the new operator/);
      const sent = rows('B', `SELECT command, state FROM ota_message`);
      assert.deepEqual(
        sent.map(({ command, state }) => [command, state]),
        [
          ['restore-isim', 'done'],
          ['restore', 'done'],
        ],
      );
      await story.pass(20);
      assert.equal((await story.heard(device))?.operator, 'A');
      assert.notEqual(rows('A', TRANSFERS)[0]?.destroyed, null);
      assert.deepEqual(rows('B', KEYS_AT_B), []);
    },
    { hearing: deafToB },
  );
});
