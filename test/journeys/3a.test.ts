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
import { fromHex, toHex } from '../../src/standards/bytes/index.ts';
import { GSMTAP_NAS, decodeGsmtap } from '../../src/standards/gsmtap/index.ts';
import { decodeNas } from '../../src/standards/nas/index.ts';
import { keyCipher } from '../../src/standards/globalplatform/index.ts';
import {
  RESPONSE_STATUS,
  TAR,
  decodeCommandPacket,
  decodeCompactCommands,
  decodePacketSms,
  encodeCompactCommands,
  keyByte,
  keySetOf,
} from '../../src/standards/ota/index.ts';
import { Reassembly, decodeCp, decodeRp, decodeTpduToDevice } from '../../src/standards/sms/index.ts';
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
    const story = await begin(2, {}, { alternative: '3a', store, pcap, ...setting });
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
const madeOf = (story: Story, device: string): Keys & { k: string; address: string } => {
  const i = story.world.devices.findIndex(({ made }) => made.name === device);
  const { usim, ota } = story.world.devices[i]!.made.card;
  const { kic, kid, kik } = ota!.keySets[0]!;
  return {
    k: usim.k,
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

/** Packets for the card of a device as they went over the air, in order: the deciphered twins of its messages. */
function packetsTo(pcap: string, address: string): Uint8Array[] {
  const file = readFileSync(pcap);
  const reassembly = new Reassembly();
  const packets: Uint8Array[] = [];
  for (let at = 0; at < file.length; at += file.readUInt32LE(at + 4)) {
    if (file.readUInt32LE(at) !== 6) continue;
    const ip = file.subarray(at + 28, at + 28 + file.readUInt32LE(at + 20));
    const [protocol, to] = [ip[9], [...ip.subarray(16, 20)].join('.')];
    if (protocol !== 17 || to !== address) continue;
    const { subType, uplink, payload } = decodeGsmtap(ip.subarray(28));
    if (subType !== GSMTAP_NAS.plain || uplink) continue;
    const message = decodeNas(payload, 'downlink');
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
      assert.equal(toHex(apdu.subarray(0, 2)), '80d8');
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
    await t.test('4. a plain card takes 7 short messages, one with the application 5', () => {
      assert.deepEqual(sms, { 'device-1': 7, 'device-2': 5 });
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

test('B’s HSS never answers: nobody moves, and not one key is released', async () => {
  await told(async (story, { rows }) => {
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
  });
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
        [['restore', 'done']],
      );
      await story.pass(20);
      assert.equal((await story.heard(device))?.operator, 'A');
      assert.notEqual(rows('A', TRANSFERS)[0]?.destroyed, null);
      assert.deepEqual(rows('B', KEYS_AT_B), []);
    },
    { hearing: deafToB },
  );
});
