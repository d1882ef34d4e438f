import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  createCard,
  fileStore,
  formatCardFile,
  formatFile,
  createCardFile,
  memoryStore,
  parseCardFile,
  stateOf,
  type Card,
  type CardState,
} from '../../../src/device/uicc/index.ts';
import { isimOf } from '../../../src/device/uicc/isim.ts';
import type { Disk, Hold } from '../../../src/edge/index.ts';
import { SQN_DEFAULT, authenticationVector, encodeSqn, prepare } from '../../../src/standards/aka/index.ts';
import { concat, fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import {
  TAR,
  encodeCompactCommands,
  encodeKeyListCancel,
  encodeKeyListCommit,
  encodeKeyListSwitch,
} from '../../../src/standards/ota/index.ts';
import * as uicc from '../../../src/standards/uicc/index.ts';
import { FULL, drawn, gatewayOf, type Gateway } from './terminal.ts';

class PowerCut extends Error {}

/** A disk whose power goes at a chosen operation, in the middle of it. */
class FakeDisk implements Disk {
  files = new Map<string, string>();
  /** operations until the power goes; none: never */
  cutIn: number | undefined;
  /** how far an interrupted operation gets, 0–1 */
  extent = 0;
  #off = false;

  #step(): boolean {
    if (this.#off) throw new PowerCut();
    if (this.cutIn === undefined || --this.cutIn > 0) return false;
    this.cutIn = undefined;
    this.#off = true;
    return true;
  }

  /** A new process: the power is back, and locks are gone with the old one. */
  hold(path: string): Hold {
    this.#off = false;
    return { path, release: () => undefined };
  }

  read(path: string): string {
    const text = this.files.get(path);
    if (text === undefined) throw new Error(`no file ${path}`);
    return text;
  }

  write(path: string, text: string): void {
    const cut = this.#step();
    if (this.files.has(path)) throw new Error(`${path} is there`);
    this.files.set(path, cut ? text.slice(0, Math.floor(text.length * this.extent)) : text);
    if (cut) throw new PowerCut();
  }

  replace(from: string, to: string): void {
    const cut = this.#step();
    if (!cut || this.extent > 0.5) {
      this.files.set(to, this.read(from));
      this.files.delete(from);
    }
    if (cut) throw new PowerCut();
  }

  remove(path: string): void {
    // Without power nothing is tidied up.
    if (this.#off) throw new PowerCut();
    this.files.delete(path);
  }
}

const PATH = 'card.json';
const file = createCardFile({ imsi: '001010000000000', pairs: 4 }, drawn('power'));
const imsiOf = (index: number): string => `00101000000000${index}`;
const changeOf = (index: number): Uint8Array => new Uint8Array(8).fill(index + 1);

/** What may happen to a card. */
const action = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ what: 'boot' as const }) },
  { weight: 2, arbitrary: fc.constant({ what: 'poll' as const }) },
  { weight: 5, arbitrary: fc.record({ what: fc.constant('expire' as const), timer: fc.constantFrom(1, 2) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      what: fc.constant('switch' as const),
      index: fc.integer({ min: 1, max: 4 }),
      policy: fc.constantFrom(0, 1),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ what: fc.constant('commit' as const), index: fc.integer({ min: 1, max: 3 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ what: fc.constant('cancel' as const), index: fc.integer({ min: 1, max: 3 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ what: fc.constant('reject' as const), cause: fc.constantFrom(3, 15, 22) }),
  },
  { weight: 1, arbitrary: fc.constant({ what: 'located' as const }) },
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constant('authenticate' as const),
      seq: fc.integer({ min: 1, max: 50 }),
      name: fc.constantFrom(uicc.USIM_AID_PREFIX, uicc.ISIM_AID_PREFIX),
    }),
  },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('write' as const), byte: fc.nat(255) }) },
  { weight: 1, arbitrary: fc.constant({ what: 'remote' as const }) },
  { weight: 1, arbitrary: fc.constant({ what: 'wrongPin' as const }) },
);
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never;

/** What holds of every state, whatever was interrupted. */
function sane(state: CardState): void {
  const list = state.list!;
  const states = list.pairs.map((pair) => pair.state);
  assert.equal(states.filter((state) => state === 'current').length, 1);
  assert.equal(states[list.current], 'current');
  assert.equal(states.filter((state) => state === 'saved').length, list.trial ? 1 : 0);
  assert.ok(!(list.armed && list.trial));
  assert.ok(list.next > list.current);
  for (const pair of list.pairs) {
    assert.equal(pair.keys !== undefined, ['unused', 'current', 'saved'].includes(pair.state));
    if (pair.index >= list.next) assert.equal(pair.state, 'unused');
  }
  assert.equal(toHex(state.usim.k), file.keyList!.pairs[list.current]!.k);
  const [imsi] = state.contents.filter((content) => content.length === 9 && content[0] === 8);
  assert.equal(uicc.EF_IMSI.decode(imsi!), imsiOf(list.current), 'subscription and keys belong together');
  assert.deepEqual(
    isimOf(state.contents),
    uicc.imsIdentityOf(imsiOf(list.current), 2),
    'and the ISIM with them',
  );
}

/** A card on the disk and its twin in memory, which tells what each command ought to come to. */
class Pair {
  readonly disk = new FakeDisk();
  readonly #gateways: Gateway[];
  #card: Card;
  #twin: Card;
  cuts = 0;

  constructor() {
    this.disk.files.set(PATH, formatFile(file));
    this.#card = this.#load();
    this.#twin = this.#twinOf(this.#card.state);
    this.#gateways = file.keyList!.pairs.map((_, index) => gatewayOf(file, index));
    this.#on();
  }

  #load(): Card {
    return createCard({
      store: fileStore(this.disk, PATH),
      fault: (error) => {
        throw error;
      },
    });
  }

  #twinOf(state: CardState): Card {
    return createCard({ store: memoryStore(state) });
  }

  #on(): void {
    this.#card.powerOn();
    this.#twin.powerOn();
  }

  /** One command to both; power may go in the middle of it. */
  send(apdu: Uint8Array): Uint8Array | undefined {
    const before = this.#twin.state;
    const expected = this.#twin.transmit(apdu);
    try {
      assert.deepEqual(this.#card.transmit(apdu), expected);
      return expected;
    } catch (error) {
      if (!(error instanceof PowerCut)) throw error;
    }
    this.cuts++;
    this.#card = this.#load();
    const found = formatCardFile(this.#card.state);
    const allowed = [before, this.#twin.state].map(formatCardFile);
    assert.ok(allowed.includes(found), 'neither the old state nor the new');
    this.#twin = this.#twinOf(this.#card.state);
    this.#on();
    sane(this.#card.state);
    return undefined;
  }

  command(command: uicc.CommandApdu): uicc.ResponseApdu | undefined {
    const steps = uicc.exchange(command);
    let step = steps.next();
    while (step.done !== true) {
      const answer = this.send(step.value);
      if (!answer) return undefined;
      step = steps.next(answer);
    }
    this.#fetch(step.value.sw);
    return step.value;
  }

  #fetch(sw: number): void {
    for (let word = sw, turns = 0; word >> 8 === 0x91 && turns < 20; turns++) {
      const answer = this.send(fromHex(`80120000${(word & 0xff).toString(16).padStart(2, '0')}`));
      if (!answer) return;
      const command = uicc.decodeProactiveCommand(answer.subarray(0, -2));
      if (command.type === 'refresh') {
        this.boot();
        return;
      }
      const data = uicc.encodeTerminalResponse({ command: uicc.commandDetails(command), result: 0 });
      const next = this.send(
        uicc.encodeCommand({ cla: 0x80, ins: uicc.INS.terminalResponse, p1: 0, p2: 0, data }),
      );
      if (!next) return;
      word = uicc.decodeResponse(next).sw;
    }
  }

  boot(): void {
    this.#on();
    const data = uicc.encodeTerminalProfile(FULL);
    this.command({ cla: 0x80, ins: uicc.INS.terminalProfile, p1: 0, p2: 0, data });
  }

  envelope(envelope: uicc.Envelope): void {
    const data = uicc.encodeEnvelope(envelope);
    this.command({ cla: 0x80, ins: uicc.INS.envelope, p1: 0, p2: 0, data });
  }

  /** A packet under the keys of the pair in use, which is whose gateway would be heard. */
  packet(data: Uint8Array, tar?: Uint8Array): void {
    const gateway = this.#gateways[this.#card.state.list!.current]!;
    gateway.counter++;
    const sender = tar ? { ...gateway, header: { ...gateway.header, tar } } : gateway;
    const messages = gateway.messages.call(sender, data);
    for (const tpdu of messages) this.envelope({ type: 'smsPpDownload', tpdu });
  }

  perform(action: Action): void {
    switch (action.what) {
      case 'boot':
        return this.boot();
      case 'poll':
        return void this.command({ cla: 0x80, ins: uicc.INS.status, p1: 0, p2: 0x0c });
      case 'expire':
        return this.envelope({ type: 'timerExpiration', timer: action.timer, seconds: 1 });
      case 'switch': {
        const { index, policy } = action;
        return this.packet(
          encodeKeyListSwitch({
            change: changeOf(index),
            index,
            imsi: imsiOf(index),
            mncLength: 2,
            trialSeconds: 300,
            delaySeconds: 1,
            policy,
            reportTo: '88210000',
          }),
        );
      }
      case 'commit':
        return this.packet(encodeKeyListCommit({ change: changeOf(action.index), index: action.index }));
      case 'cancel':
        return this.packet(encodeKeyListCancel({ change: changeOf(action.index), index: action.index }));
      case 'reject': {
        const { cause } = action;
        return this.envelope({ type: 'networkRejection', accessTechnology: 8, updateAttachType: 9, cause });
      }
      case 'located':
        return this.envelope({ type: 'locationStatus', status: 0 });
      case 'authenticate': {
        const pair = file.keyList!.pairs[this.#card.state.list!.current]!;
        const key = prepare({ algorithm: 'milenage', k: fromHex(pair.k!), opc: fromHex(pair.opc!) });
        const sqn = encodeSqn(SQN_DEFAULT, action.seq, 0);
        const vector = authenticationVector(key, drawn('r').bytes(16), sqn, fromHex('8000'));
        const select = uicc.encodeCommand({ cla: 0, ins: 0xa4, p1: 4, p2: 0x0c, data: action.name });
        if (!this.send(select)) return;
        const data = uicc.encodeChallenge(vector);
        return void this.command({ cla: 0, ins: 0x88, p1: 0, p2: 0x81, data, le: 256 });
      }
      case 'write':
        if (!this.send(fromHex('00a4080c047f106f3a'))) return;
        return void this.send(concat(fromHex('00dc01041c'), new Uint8Array(28).fill(action.byte)));
      case 'remote':
        return this.packet(
          encodeCompactCommands([fromHex('00a4000c026f7b'), fromHex('00d600000300f110')]),
          TAR.rfmUsim,
        );
      case 'wrongPin':
        return void this.send(fromHex('0020000a083030303030303030'));
    }
  }

  check(): void {
    sane(this.#card.state);
    assert.equal(
      formatCardFile(this.#card.state),
      formatCardFile(stateOf(parseCardFile(this.disk.read(PATH)))),
    );
    assert.deepEqual([...this.disk.files.keys()], [PATH], 'nothing is left beside it');
  }
}

test('power may go at any command and inside any write: the card is as before it or as after it', () => {
  let cuts = 0;
  let trials = 0;
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          action,
          cut: fc.option(
            fc.record({
              in: fc.integer({ min: 1, max: 8 }),
              extent: fc.double({ min: 0, max: 1, noNaN: true }),
            }),
            { freq: 2 },
          ),
        }),
        {
          minLength: 10,
          maxLength: 40,
        },
      ),
      (steps) => {
        const pair = new Pair();
        pair.boot();
        for (const { action, cut } of steps) {
          if (cut && pair.disk.cutIn === undefined) {
            pair.disk.cutIn = cut.in;
            pair.disk.extent = cut.extent;
          }
          pair.perform(action);
          pair.check();
          if (pair.disk.read(PATH).includes('"trial"')) trials++;
        }
        cuts += pair.cuts;
      },
    ),
    { numRuns: 100 },
  );
  assert.ok(cuts > 100, `only ${cuts} cuts`);
  assert.ok(trials > 30, `only ${trials} states on trial`);
});

test('a store that fails turns the card off; what it had acknowledged is there', () => {
  const disk = new FakeDisk();
  disk.files.set(PATH, formatFile(file));
  const card = createCard({ store: fileStore(disk, PATH) });
  card.powerOn();
  card.transmit(fromHex('00a4080c047f106f3a'));
  const update = concat(fromHex('00dc01041c'), new Uint8Array(28).fill(1));
  assert.deepEqual(card.transmit(update), fromHex('9000'));
  disk.cutIn = 1;
  assert.throws(() => card.transmit(concat(fromHex('00dc01041c'), new Uint8Array(28).fill(2))), PowerCut);
  assert.throws(() => card.transmit(update), /no power/);
  const [content] = fileStore(disk, PATH)
    .load()
    .contents.filter((bytes) => bytes.length === 280);
  assert.equal(content![0], 1);
});

test('nothing is written where nothing changed', () => {
  let saves = 0;
  const memory = memoryStore();
  const card = createCard({ file, store: { ...memory, save: (state) => (saves++, memory.save(state)) } });
  card.powerOn();
  const before = saves;
  for (let i = 0; i < 100; i++) card.transmit(fromHex('80f2000c'));
  card.transmit(fromHex('00a40004023f00'));
  assert.equal(saves, before);
});
