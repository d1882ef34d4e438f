/** The fall-back application of alternative 3a: a trial on a card that keeps its keys. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createCard,
  createCardFile,
  formatCardFile,
  memoryStore,
  parseCardFile,
  stateOf,
  type CardFile,
  type CardState,
  type CardStore,
} from '../../../src/device/uicc/index.ts';
import { issuedContents } from '../../../src/device/uicc/state.ts';
import { SQN_DEFAULT, authenticationVector, encodeSqn, prepare } from '../../../src/standards/aka/index.ts';
import { fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import { encodePutKey } from '../../../src/standards/globalplatform/index.ts';
import {
  COMMIT_ON_AKA,
  FALLBACK_TAR,
  KEY_LIST_INS,
  KEY_LIST_STATUS,
  KEY_LIST_TAR,
  RESPONSE_STATUS,
  TAR,
  decodeCommandPacket,
  decodeCompactResponse,
  decodeKeyListStatus,
  decodePacketSms,
  encodeCompactCommands,
  encodeKeyListCancel,
  encodeKeyListCommit,
  encodeKeyListSwitch,
  keyByte,
  type KeyListStatus,
  type KeyListSwitch,
} from '../../../src/standards/ota/index.ts';
import { decodeTpduFromDevice } from '../../../src/standards/sms/index.ts';
import * as uicc from '../../../src/standards/uicc/index.ts';
import {
  CHANGE,
  drawn,
  expire,
  gatewayOf,
  order,
  terminalOf,
  types,
  type Gateway,
  type Terminal,
} from './terminal.ts';

const OTHER = fromHex('0807060504030201');
const A = {
  imsi: '001010000000001',
  mncLength: 2 as const,
  msisdn: '882100000001',
  serviceCentre: '88210001',
};
const OLD = { ...A, serviceProviderName: 'Red', apn: 'iot.red' };
const end = { change: CHANGE, index: 0 };
const made = createCardFile({ ...A, spn: 'Red', apn: 'iot.red', pairs: 0 }, drawn('fallback'));
const [set] = made.ota!.keySets;
const file: CardFile = {
  ...made,
  ota: { keySets: [set!, { ...set!, number: 2, kic: 'a2'.repeat(16), kid: 'b2'.repeat(16) }] },
  fallback: {},
};
/** To B's subscription, with the keys that are there. */
const toB = (more: Partial<KeyListSwitch> = {}): KeyListSwitch => order({ index: 0, ...more });
const B = {
  imsi: toB().imsi,
  mncLength: 2 as const,
  msisdn: toB().msisdn!,
  serviceCentre: toB().serviceCentre!,
  serviceProviderName: toB().serviceProviderName!,
  apn: toB().apn!,
};

/** A gateway with the card's own key set; A and B have the same. */
function gateway(tar = FALLBACK_TAR, keys = file.ota!.keySets[0]!): Gateway {
  const pairs = [{ index: 0, state: 'current' as const, kic: keys.kic, kid: keys.kid }];
  const made = gatewayOf({ ...file, keyList: { pairs, next: 1 } }, 0, tar);
  const byte = keyByte(keys.number, 'aes');
  made.header = { ...made.header, kic: byte, kid: byte };
  return made;
}

function cardWith(store: CardStore): Terminal {
  const card = createCard({ store, file });
  card.powerOn();
  return terminalOf(card);
}

const listOf = (terminal: Terminal): NonNullable<CardState['list']> => terminal.card.state.list!;

function statusOf(terminal: Terminal, gate: Gateway): KeyListStatus {
  const outgoing = (cla: number, ins: number): boolean => cla === 0x80 && ins === KEY_LIST_INS.status;
  const proof = gate.send(terminal, encodeCompactCommands([KEY_LIST_STATUS], outgoing));
  return decodeKeyListStatus(decodeCompactResponse(proof!.data).data);
}

/** A card that has switched, and was reset or not. */
function onTrial(more: Partial<KeyListSwitch> = {}, reset = true): { terminal: Terminal; gate: Gateway } {
  const terminal = cardWith(memoryStore());
  terminal.boot();
  const gate = gateway();
  assert.equal(gate.run(terminal, encodeKeyListSwitch(toB(more))).sw, 0x9000);
  terminal.proactive(gate.lastSw);
  const asked = expire(
    terminal,
    1,
    reset ? undefined : (each) => (each.type === 'refresh' ? { result: 0 } : undefined),
  );
  assert.equal(asked.at(-1)?.type, 'refresh');
  if (reset) terminal.boot();
  return { terminal, gate };
}

/** AUTHENTICATE with this SEQ: the word, and what the card asks for afterwards. */
function authenticate(
  terminal: Terminal,
  seq: number,
): { accepted: boolean; commands: uicc.ProactiveCommand[] } {
  const { k, opc } = file.usim;
  const key = prepare({ algorithm: 'milenage', k: fromHex(k), opc: fromHex(opc!) });
  const vector = authenticationVector(
    key,
    drawn('r').bytes(16),
    encodeSqn(SQN_DEFAULT, seq, 0),
    fromHex('8000'),
  );
  terminal.selectUsim();
  const { sw, data } = terminal.command(0, 0x88, 0, 0x81, uicc.encodeChallenge(vector), 256);
  assert.ok(uicc.isSuccess(sw));
  return { accepted: data[0] === 0xdb, commands: terminal.proactive(sw) };
}

/** All files are those of a card issued for this subscription: nothing of another is left, nothing remembered. */
function holds(terminal: Terminal, subscription: typeof B): void {
  const issued = issuedContents(file.iccid, subscription);
  assert.deepEqual(terminal.card.state.contents.map(toHex), issued.map(toHex));
}

/** Lets timers run out until the card asks for a reset. @returns how many did */
function runOut(terminal: Terminal): number {
  let slices = 1;
  for (; slices < 100; slices++) if (expire(terminal).some(({ type }) => type === 'refresh')) return slices;
  return slices;
}

/** The state on a card file and back: the same card. */
function writtenDown(terminal: Terminal, what: string): void {
  const { state } = terminal.card;
  const text = formatCardFile(state);
  const again = stateOf(parseCardFile(text));
  // What is not there need not be named.
  const list = Object.fromEntries(Object.entries(state.list!).filter(([, value]) => value !== undefined));
  assert.deepEqual(again, { ...state, list }, what);
  assert.equal(formatCardFile(again), text, what);
}

test('SWITCH to index 0: the whole subscription changes with the reset, Ki, SQN and key sets do not', () => {
  const { terminal, gate } = onTrial({ delaySeconds: 5 });
  holds(terminal, B);
  const { usim, keySets } = terminal.card.state;
  assert.equal(toHex(usim.k), file.usim.k);
  assert.deepEqual(
    keySets.map(({ number, kic }) => [number, toHex(kic)]),
    file.ota!.keySets.map(({ number, kic }) => [number, kic]),
  );
  const status = statusOf(terminal, gate);
  assert.deepEqual(status, { state: 'trial', index: 0, next: 0, pairs: 0, change: CHANGE, last: 'none' });
  assert.equal(runOut(terminal), 24, 'the trial has run in slices of a hundred seconds');
  terminal.boot();
  holds(terminal, OLD);
});

test('COMMIT ends the trial for good: no clock runs any more, and a power cut changes nothing', () => {
  const { terminal, gate } = onTrial();
  assert.equal(gate.run(terminal, encodeKeyListCommit({ ...end, change: OTHER })).sw, 0x6985);
  assert.equal(gate.run(terminal, encodeKeyListCommit({ ...end, index: 1 })).sw, 0x6985, 'another index');
  assert.equal(gate.run(terminal, encodeKeyListCommit(end)).sw, 0x9000);
  terminal.proactive(gate.lastSw);
  assert.equal(gate.run(terminal, encodeKeyListCommit(end)).sw, 0x9000, 'again');
  assert.equal(gate.run(terminal, encodeKeyListCancel(end)).sw, 0x6985, 'too late');
  assert.equal(gate.run(terminal, encodeKeyListSwitch(toB())).sw, 0x9000, 'a late repetition does nothing');
  assert.deepEqual(expire(terminal), []);
  assert.deepEqual(terminal.boot(), []);
  assert.equal(listOf(terminal).last, 'committed');
  assert.equal(listOf(terminal).trial, undefined);
  holds(terminal, B);
});

test('SQN goes on over the switch and over the fall-back: no challenge of the trial is good again', () => {
  const { terminal } = onTrial();
  assert.ok(authenticate(terminal, 40).accepted);
  runOut(terminal);
  terminal.boot();
  holds(terminal, OLD);
  assert.ok(!authenticate(terminal, 40).accepted, 'B’s challenge, replayed at home');
  assert.ok(!authenticate(terminal, 39).accepted, 'A has counted on from before the trial');
  assert.ok(authenticate(terminal, 41).accepted);
});

test('falls back and tells it under the card’s own set: time-out', () => {
  const { terminal } = onTrial();
  runOut(terminal);
  const booted = terminal.boot();
  assert.deepEqual(types(booted), ['setUpEventList', 'sendShortMessage']);
  const message = booted[1]!;
  assert.ok(message.type === 'sendShortMessage');
  const tpdu = decodeTpduFromDevice(message.tpdu);
  assert.ok(tpdu.type === 'submit' && tpdu.destination.value === toB().reportTo);
  const { kic, kid } = file.ota!.keySets[0]!;
  const report = decodeCommandPacket(decodePacketSms('command', tpdu.userData!)!, {
    keysOf: () => ({ kic: fromHex(kic), kid: fromHex(kid) }),
  });
  assert.equal(report.status, RESPONSE_STATUS.ok);
  assert.equal(toHex(report.header.tar), toHex(FALLBACK_TAR));
  assert.deepEqual(decodeKeyListStatus(report.data), {
    state: 'home',
    index: 0,
    next: 0,
    pairs: 0,
    change: CHANGE,
    last: 'timeOut',
  });
  assert.deepEqual(terminal.boot(), [], 'told once');
});

test('two rejections that bar the card end the trial at once; others do not', () => {
  const { terminal } = onTrial();
  const rejected = (cause: number): uicc.ProactiveCommand[] => {
    const rejection = { type: 'networkRejection', accessTechnology: 8, updateAttachType: 9, cause } as const;
    return terminal.proactive(terminal.envelope(rejection).sw);
  };
  for (const cause of [22, 17, 42]) assert.deepEqual(rejected(cause), []);
  rejected(8);
  assert.ok(listOf(terminal).trial, 'one may be a mistake');
  assert.ok(types(rejected(8)).includes('refresh'));
  assert.equal(listOf(terminal).last, 'rejected');
  terminal.boot();
  holds(terminal, OLD);
});

test('CANCEL takes back what is armed, and ends what is on trial; SWITCH of that name does nothing after it', () => {
  const armed = cardWith(memoryStore());
  armed.boot();
  const gate = gateway();
  gate.run(armed, encodeKeyListSwitch(toB()));
  assert.equal(gate.run(armed, encodeKeyListCancel(end)).sw, 0x9000);
  armed.proactive(gate.lastSw);
  assert.deepEqual(expire(armed), []);
  holds(armed, OLD);
  const late = gate.run(armed, encodeKeyListSwitch(toB())).sw;
  assert.equal(late, 0x9000);
  assert.equal(listOf(armed).armed, undefined, 'a late repetition arms nothing');
  assert.equal(
    gate.run(armed, encodeKeyListSwitch(toB({ change: OTHER }))).sw,
    0x9000,
    'another change may try',
  );
  assert.ok(listOf(armed).armed);

  const { terminal, gate: trying } = onTrial();
  assert.equal(trying.run(terminal, encodeKeyListCancel(end)).sw, 0x9000);
  assert.ok(types(terminal.proactive(trying.lastSw)).includes('refresh'));
  assert.equal(trying.run(terminal, encodeKeyListCommit(end)).sw, 0x6985);
  terminal.boot();
  holds(terminal, OLD);
  assert.equal(listOf(terminal).last, 'cancelled');
});

test('there is no index but 0, no set but 1, and no list application', () => {
  const terminal = cardWith(memoryStore());
  terminal.boot();
  const gate = gateway();
  for (const index of [1, 2, 254])
    assert.equal(gate.run(terminal, encodeKeyListSwitch(toB({ index }))).sw, 0x6a83);
  const other = gateway(FALLBACK_TAR, file.ota!.keySets[1]);
  assert.equal(other.run(terminal, encodeKeyListSwitch(toB())).sw, 0x6982);
  const list = gateway(KEY_LIST_TAR);
  list.counter = 50;
  assert.equal(list.send(terminal, encodeKeyListSwitch(toB()))?.status, RESPONSE_STATUS.tarUnknown);
  assert.equal(listOf(terminal).armed, undefined);
  const plain = terminalOf(createCard({ store: memoryStore(), file: made }));
  plain.card.powerOn();
  plain.boot();
  assert.equal(
    gateway().send(plain, encodeKeyListSwitch(toB()))?.status,
    RESPONSE_STATUS.tarUnknown,
    'a plain card',
  );
});

test('key set 1 is the card’s own: its counter goes on, and PUT KEY replaces it in the middle of a trial', () => {
  const { terminal, gate } = onTrial();
  const counter = (): number => terminal.card.state.keySets[0]!.counter;
  assert.equal(counter(), gate.counter);
  const domain = gateway(TAR.issuerSecurityDomain);
  domain.counter = gate.counter;
  const key = (byte: number): Uint8Array => new Uint8Array(16).fill(byte);
  const fresh = { number: 1, algorithm: 'aes' as const, kic: toHex(key(1)), kid: toHex(key(2)) };
  const put = encodePutKey({
    replaces: 1,
    keySet: 1,
    algorithm: 'aes',
    keys: [key(1), key(2), key(3)],
    under: fromHex(file.ota!.keySets[0]!.kik!),
  });
  assert.equal(domain.run(terminal, put).sw, 0x9000);
  assert.equal(counter(), 0);
  gate.counter = 100;
  const refused = gate.send(terminal, encodeCompactCommands([encodeKeyListCommit(end)]));
  assert.equal(refused?.status, RESPONSE_STATUS.integrityFailed, 'the old keys end no trial');
  const owner = gateway(FALLBACK_TAR, fresh);
  assert.equal(owner.run(terminal, encodeKeyListCommit(end)).sw, 0x9000);
  assert.equal(counter(), 1);
});

test('commit-on-AKA: a challenge before the reset may be A’s and ends nothing, one after it does', () => {
  const { terminal } = onTrial({ policy: COMMIT_ON_AKA }, false);
  assert.deepEqual(authenticate(terminal, 3).commands, []);
  assert.ok(listOf(terminal).trial, 'the terminal may still live on A');
  assert.ok(
    types(expire(terminal, 1, () => ({ result: 0 }))).includes('refresh'),
    'and is asked for the reset still',
  );
  assert.ok(authenticate(terminal, 4).accepted);
  assert.ok(listOf(terminal).trial);
  terminal.boot();
  assert.ok(authenticate(terminal, 5).accepted);
  assert.equal(listOf(terminal).trial, undefined);
  assert.equal(listOf(terminal).last, 'committed');
  assert.deepEqual(expire(terminal), []);
});

test('a challenge before the reset does not stand for it on the way back either', () => {
  const { terminal } = onTrial({ trialSeconds: 60 });
  const ignoring = (each: uicc.ProactiveCommand): { result: number } | undefined =>
    each.type === 'refresh' ? { result: 0 } : undefined;
  for (let i = 0; i < 100 && listOf(terminal).trial; i++) expire(terminal, 1, ignoring);
  assert.deepEqual(authenticate(terminal, 3).commands, [], 'no report goes out over B');
  assert.ok(types(expire(terminal, 1, ignoring)).includes('refresh'));
  assert.deepEqual(types(terminal.boot()), ['setUpEventList', 'sendShortMessage']);
});

test('its card file says all of it, in every state', () => {
  const fresh = cardWith(memoryStore());
  fresh.boot();
  writtenDown(fresh, 'home');
  const gate = gateway();
  gate.run(fresh, encodeKeyListSwitch(toB()));
  assert.ok(listOf(fresh).armed);
  writtenDown(fresh, 'armed');
  gate.run(fresh, encodeKeyListCancel(end));
  writtenDown(fresh, 'cancelled before it was tried');
  const { terminal } = onTrial({}, false);
  writtenDown(terminal, 'before the reset');
  terminal.boot();
  authenticate(terminal, 9);
  writtenDown(terminal, 'on trial');
  const rejection = { type: 'networkRejection', accessTechnology: 8, updateAttachType: 9, cause: 3 } as const;
  terminal.envelope(rejection);
  assert.equal(listOf(terminal).trial?.rejections, 1);
  writtenDown(terminal, 'once rejected');
  terminal.envelope(rejection);
  assert.ok(listOf(terminal).report !== undefined);
  writtenDown(terminal, 'fell back, not told yet');
  terminal.boot();
  writtenDown(terminal, 'fell back, and told');
  const { terminal: kept, gate: b } = onTrial();
  b.run(kept, encodeKeyListCommit(end));
  writtenDown(kept, 'committed');
});

class PowerCut extends Error {}

/** Power goes in the nth write: before it is safe, or right after. */
function cutting(nth: number, after: boolean): { store: CardStore; cut: () => boolean } {
  const kept = memoryStore();
  let left = nth;
  return {
    cut: () => left <= 0,
    store: {
      load: () => kept.load(),
      save(state) {
        if (--left === 0 && !after) throw new PowerCut();
        kept.save(state);
        if (left === 0) throw new PowerCut();
      },
    },
  };
}

for (const ending of ['COMMIT', 'time-out', 'CANCEL'] as const) {
  for (const after of [false, true]) {
    test(`power may go ${after ? 'right after' : 'in'} any write of a trial that ends by ${ending}: the subscription is whole, and the way home open`, () => {
      let seq = 1;
      let cuts = 0;
      for (let nth = 2; ; nth++) {
        const { store, cut } = cutting(nth, after);
        let terminal = cardWith(store);
        const gate = gateway();
        const again = (): void => {
          const card = createCard({ store });
          card.powerOn();
          terminal = terminalOf(card);
          terminal.boot();
        };
        /** Does it; should power go in it, again with power. */
        const persist = (run: () => void): void => {
          try {
            run();
          } catch (error) {
            if (!(error instanceof PowerCut)) throw error;
            cuts++;
            again();
            const { state } = terminal.card;
            // Whatever the files say, they say of one subscription.
            const imsi = uicc.EF_IMSI.decode(
              state.contents.find((each) => each.length === 9 && each[0] === 8)!,
            );
            holds(terminal, imsi === A.imsi ? OLD : B);
            assert.equal(
              state.list!.trial !== undefined || state.list!.last === 'committed',
              imsi === B.imsi,
            );
            run();
          }
        };
        const command = (apdu: Uint8Array, expected: number): void =>
          persist(() => {
            assert.equal(gate.run(terminal, apdu).sw, expected);
            terminal.proactive(gate.lastSw);
          });
        persist(() => void terminal.boot());
        command(encodeKeyListSwitch(toB()), 0x9000);
        persist(() => {
          for (let i = 0; i < 3 && !listOf(terminal).trial; i++) expire(terminal);
        });
        assert.ok(listOf(terminal).trial);
        persist(() => void terminal.boot());
        persist(() => {
          seq++;
          assert.ok(authenticate(terminal, seq).accepted);
        });
        if (ending === 'COMMIT') command(encodeKeyListCommit(end), 0x9000);
        else if (ending === 'CANCEL') command(encodeKeyListCancel(end), 0x9000);
        else persist(() => void (listOf(terminal).trial && runOut(terminal)));
        persist(() => void terminal.boot());
        holds(terminal, ending === 'COMMIT' ? B : OLD);
        assert.equal(listOf(terminal).trial, undefined);
        assert.ok(!authenticate(terminal, seq).accepted, 'SQN went on through all of it');
        seq = 1;
        if (!cut()) break;
      }
      assert.ok(cuts >= 5, `${cuts} cuts`);
    });
  }
}
