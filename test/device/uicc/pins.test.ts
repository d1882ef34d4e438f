/** PINs and their gates: what counts a try, what opens, and what power cut or the air cannot change. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createCard,
  createCardFile,
  formatCardFile,
  memoryStore,
  parseCardFile,
  type CardFile,
  type CardState,
  type CardStore,
} from '../../../src/device/uicc/index.ts';
import { SQN_DEFAULT, authenticationVector, encodeSqn, prepare } from '../../../src/standards/aka/index.ts';
import { concat, fromHex } from '../../../src/standards/bytes/index.ts';
import { TAR } from '../../../src/standards/ota/index.ts';
import { encodeChallenge } from '../../../src/standards/uicc/index.ts';
import { drawn, freshCard, gatewayOf, terminalOf, type Terminal } from './terminal.ts';

const PIN1 = 0x01;
const PIN2 = 0x81;
const ADM1 = 0x0a;
const pin = (value: string): string => Buffer.from(value).toString('hex').padEnd(16, 'f');
const wrongOf = (value: string): string => (value.startsWith('0') ? '11111111' : '00000000');
const verify = (terminal: Terminal, reference: number, value?: string): number =>
  terminal.sw(0, 0x20, 0, reference, value === undefined ? undefined : pin(value));
const readImsi = (terminal: Terminal): number => terminal.sw(0, 0xb0, 0x87, 0, undefined, 9);
const writeSpn = (terminal: Terminal): number => {
  terminal.sw(0, 0xa4, 8, 0x0c, '7fff6f46');
  return terminal.sw(0, 0xd6, 0, 0, '01');
};

function withPin(): { terminal: Terminal; file: CardFile } {
  const made = freshCard({ pin1Enabled: true });
  made.terminal.selectUsim();
  return made;
}

test('a wrong PIN closes what a right one had opened', () => {
  const { terminal, file } = withPin();
  assert.equal(verify(terminal, PIN1, file.pin1), 0x9000);
  assert.equal(readImsi(terminal), 0x9000);
  assert.equal(verify(terminal, PIN1, wrongOf(file.pin1)), 0x63c2);
  assert.equal(readImsi(terminal), 0x6982);
  assert.equal(verify(terminal, PIN1, file.pin1), 0x9000);
  assert.equal(verify(terminal, PIN1), 0x63c3, 'all tries are back');
});

test('the unblocking code has ten tries, and none after them, though it be right', () => {
  const { terminal, file } = withPin();
  const unblock = (code: string): number => terminal.sw(0, 0x2c, 0, PIN1, pin(code) + pin('4321'));
  for (let tries = 9; tries >= 0; tries--) assert.equal(unblock(wrongOf(file.puk1)), 0x63c0 | tries);
  assert.equal(unblock(file.puk1), 0x6983);
  assert.equal(terminal.sw(0, 0x2c, 0, PIN1), 0x6983);
  terminal.card.powerOn();
  assert.equal(unblock(file.puk1), 0x6983);
  assert.equal(verify(terminal, PIN1, file.pin1), 0x9000, 'the PIN itself is as it was');
});

test('AUTHENTICATE wants PIN1, where there is one', () => {
  const { terminal, file } = withPin();
  const key = prepare({ algorithm: 'milenage', k: fromHex(file.usim.k), opc: fromHex(file.usim.opc!) });
  const challenge = encodeChallenge(
    authenticationVector(key, drawn('r').bytes(16), encodeSqn(SQN_DEFAULT, 1, 0), fromHex('8000')),
  );
  const authenticate = (p2: number, data: Uint8Array): number => terminal.sw(0, 0x88, 0, p2, data, 256);
  assert.equal(authenticate(0x81, challenge), 0x6982);
  assert.equal(authenticate(0x80, challenge.subarray(0, 17)), 0x6982);
  assert.equal(verify(terminal, PIN1, file.pin1), 0x9000);
  assert.equal(authenticate(0x81, challenge), 0x9000);
});

for (const [what, name, reference, bad, good] of [
  ['PIN1', 'pin1', PIN1, ['123', '12345678\u00ff', '12a4', 'abcdefgh', ''], '123456'],
  ['PIN2', 'pin2', PIN2, ['123', '1 34', 'abcdefgh'], '1234'],
  ['ADM1', 'adm1', ADM1, ['1234', '1234567', 'with sp.', 'tab\u0009tab.', 'high\u00e9high'], '0pen.me!'],
] as const) {
  test(`CHANGE PIN of ${what}: what is none is refused, and no try is counted; the card still loads`, () => {
    const { terminal, file } = withPin();
    const change = (value: string): number => {
      const bytes = Buffer.concat([Buffer.from(value, 'latin1'), Buffer.alloc(8, 0xff)]).subarray(0, 8);
      return terminal.sw(0, 0x24, 0, reference, pin(file[name]) + bytes.toString('hex'));
    };
    for (const value of bad) {
      if (value.length > 8) continue;
      assert.equal(change(value), 0x6a80, value);
    }
    assert.equal(verify(terminal, reference), 0x63c3);
    assert.equal(change(good), 0x9000);
    assert.equal(parseCardFile(formatCardFile(terminal.card.state))[name], good);
    assert.equal(verify(terminal, reference, good), 0x9000);
  });
}

class PowerCut extends Error {}

/** A store of which one save fails: before it has kept the state, or after. */
function failing(kept: CardState, at: number, after: boolean): CardStore {
  const memory = memoryStore(kept);
  let saves = 0;
  return {
    load: () => memory.load(),
    save(state) {
      saves++;
      if (saves !== at || after) memory.save(state);
      if (saves === at) throw new PowerCut();
    },
  };
}

const issued = createCardFile({ imsi: '001010000000001', pin1Enabled: true }, drawn('pins'));
const fresh = (): CardState => createCard({ store: memoryStore(), file: issued }).state;

for (const [what, apdu, right] of [
  ['VERIFY of PIN1', `0020000108${pin(wrongOf(issued.pin1))}`, `0020000108${pin(issued.pin1)}`],
  ['VERIFY of ADM1', `0020000a08${pin(wrongOf(issued.adm1))}`, `0020000a08${pin(issued.adm1)}`],
  [
    'CHANGE PIN',
    `0024000110${pin(wrongOf(issued.pin1))}${pin('7777')}`,
    `0024000110${pin(issued.pin1)}${pin('7777')}`,
  ],
  [
    'UNBLOCK',
    `002c000110${pin(wrongOf(issued.puk1))}${pin('7777')}`,
    `002c000110${pin(issued.puk1)}${pin('7777')}`,
  ],
] as const) {
  const triesOf = (state: CardState): number => {
    const { pin1, adm1 } = state.pins;
    return what === 'UNBLOCK' ? pin1.pukTries : what.endsWith('ADM1') ? adm1.tries : pin1.tries;
  };

  test(`${what}: the try is on the store before anything is compared`, () => {
    const before = fresh();
    const seen: { tries: number[]; given: string }[] = [];
    for (const given of [apdu, right]) {
      const tries: number[] = [];
      const memory = memoryStore(before);
      const store = {
        load: () => memory.load(),
        save: (state: CardState) => {
          tries.push(triesOf(state));
          memory.save(state);
        },
      };
      const card = createCard({ store });
      card.powerOn();
      const answer = card.transmit(fromHex(given));
      assert.equal(answer[0], given === right ? 0x90 : 0x63);
      seen.push({ tries, given });
    }
    const most = triesOf(before);
    assert.deepEqual(
      seen.map(({ tries }) => tries),
      [[most - 1], [most - 1, most]],
      'the first save tells nobody whether it was right',
    );
  });

  test(`${what}: whichever save fails, no try comes back, and nothing is open`, () => {
    for (const given of [apdu, right]) {
      for (const at of [1, 2]) {
        for (const after of [false, true]) {
          const before = fresh();
          const store = failing(before, at, after);
          const card = createCard({ store });
          card.powerOn();
          const run = (): Uint8Array => card.transmit(fromHex(given));
          if (at === 2 && given === apdu) {
            assert.equal(run()[0], 0x63);
            continue;
          }
          assert.throws(run, PowerCut);
          assert.throws(run, /no power/);
          const kept = store.load()!;
          const most = triesOf(before);
          const expected = at === 1 ? (after ? most - 1 : most) : after ? most : most - 1;
          assert.equal(triesOf(kept), expected);
          const again = terminalOf(createCard({ store }));
          again.card.powerOn();
          again.selectUsim();
          assert.equal(readImsi(again), 0x6982);
        }
      }
    }
  });
}

test('power cut after each wrong PIN gives no try back', () => {
  const memory = memoryStore();
  let cut = false;
  const store: CardStore = {
    load: () => memory.load(),
    save(state) {
      memory.save(state);
      if (cut) throw new PowerCut();
    },
  };
  createCard({ store, file: issued });
  cut = true;
  for (let guess = 0; guess < 5; guess++) {
    const card = createCard({ store });
    card.powerOn();
    try {
      card.transmit(fromHex(`0020000a08${pin(`guess00${guess}`)}`));
    } catch (error) {
      assert.ok(error instanceof PowerCut);
    }
  }
  assert.equal(memory.load()!.pins.adm1.tries, 0);
});

test('over the air no PIN is verified, counted or opened at the terminal; a script needs none', () => {
  const { terminal, file } = withPin();
  const gateway = gatewayOf(file, 0, TAR.rfmUsim);
  const run = (hex: string): number => gateway.run(terminal, fromHex(hex)).sw;
  const before = terminal.card.state.pins;
  for (const [reference, value] of [
    ['01', file.pin1],
    ['0a', file.adm1],
    ['81', file.pin2],
  ] as const) {
    for (const given of [value, ...new Array<string>(4).fill(wrongOf(value))]) {
      assert.equal(run(`002000${reference}08${pin(given)}`), 0x6985);
      assert.equal(run(`002400${reference}10${pin(given)}${pin('77777777')}`), 0x6985);
    }
  }
  assert.equal(run(`0026000108${pin(file.pin1)}`), 0x6985);
  assert.equal(run(`0028000108${pin(file.pin1)}`), 0x6985);
  assert.equal(run('0020000100'), 0x63c3, 'how many are left may be asked');
  assert.deepEqual(terminal.card.state.pins, before);
  assert.equal(readImsi(terminal), 0x6982);
  assert.equal(writeSpn(terminal), 0x6982);
  assert.equal(verify(terminal, PIN1, file.pin1), 0x9000);
  const write = gateway.run(terminal, fromHex('00a4000c026f46'), fromHex('00d600000101'));
  assert.equal(write.sw, 0x9000, 'its access domain is the operator’s');
  assert.equal(writeSpn(terminal), 0x6982, 'and nobody else’s');
});

test('UNBLOCK over the air works for the operator and opens nothing at the terminal; a wrong code is counted', () => {
  const { terminal, file } = withPin();
  const gateway = gatewayOf(file, 0, TAR.rfmUsim);
  for (let i = 0; i < 3; i++) verify(terminal, PIN1, wrongOf(file.pin1));
  assert.equal(verify(terminal, PIN1, file.pin1), 0x6983);
  const unblock = (code: string): number =>
    gateway.run(terminal, concat(fromHex('002c000110'), fromHex(pin(code) + pin('4321')))).sw;
  assert.equal(unblock(wrongOf(file.puk1)), 0x63c9);
  assert.equal(unblock(file.puk1), 0x9000);
  assert.equal(readImsi(terminal), 0x6982);
  assert.equal(verify(terminal, PIN1, '4321'), 0x9000);
  assert.equal(verify(terminal, PIN1, wrongOf('4321')), 0x63c2);
  assert.equal(unblock(file.puk1), 0x9000);
  assert.equal(readImsi(terminal), 0x6982);
});
