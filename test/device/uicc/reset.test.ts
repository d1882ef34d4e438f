/** A switch and a fall-back need a reset of the card: what becomes of a trial in a terminal that does none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCard, memoryStore, type CardFile } from '../../../src/device/uicc/index.ts';
import { SQN_DEFAULT, authenticationVector, encodeSqn, prepare } from '../../../src/standards/aka/index.ts';
import { fromHex } from '../../../src/standards/bytes/index.ts';
import {
  COMMIT_ON_AKA,
  TAR,
  encodeExpandedCommands,
  encodeKeyListCancel,
  encodeKeyListCommit,
  encodeKeyListSwitch,
  type KeyListSwitch,
} from '../../../src/standards/ota/index.ts';
import * as uicc from '../../../src/standards/uicc/index.ts';
import {
  CHANGE,
  FULL,
  drawn,
  expire,
  freshCard,
  gatewayOf,
  order,
  terminalOf,
  types,
  type Gateway,
  type Reaction,
  type Terminal,
} from './terminal.ts';

const OTHER = fromHex('0807060504030201');
const NO_TIMERS = FULL.filter((facility) => facility !== 'timerManagement');

/** Answers REFRESH with this result and does nothing; undefined: never answers it. */
const ignoring =
  (result: number | undefined): Reaction =>
  (command) =>
    command.type === 'refresh' && result !== undefined ? { result } : undefined;

/** A card that has switched, in a terminal that was asked for a reset and has reacted so. */
function switched(
  react: Reaction,
  more: Partial<KeyListSwitch> = {},
  facilities = FULL,
): { terminal: Terminal; file: CardFile; a: Gateway; b: Gateway } {
  const { terminal, file } = freshCard();
  terminal.boot(facilities);
  const a = gatewayOf(file, 0);
  assert.equal(a.run(terminal, encodeKeyListSwitch(order(more))).sw, 0x9000);
  terminal.proactive(a.lastSw);
  const asked = facilities === FULL ? expire(terminal, 1, react) : terminal.poll(react);
  assert.equal(asked.at(-1)?.type, 'refresh');
  assert.equal(terminal.card.state.list?.current, 1);
  return { terminal, file, a, b: gatewayOf(file, 1) };
}

const trialOf = (terminal: Terminal): number | undefined => terminal.card.state.list?.trial?.secondsLeft;
const resets = (commands: uicc.ProactiveCommand[]): number =>
  commands.filter((command) => command.type === 'refresh').length;

function challenge(file: CardFile, pair: number): Uint8Array {
  const { k, opc } = file.keyList!.pairs[pair]!;
  const key = prepare({ algorithm: 'milenage', k: fromHex(k!), opc: fromHex(opc!) });
  const sqn = encodeSqn(SQN_DEFAULT, 1, 0);
  return uicc.encodeChallenge(authenticationVector(key, drawn('r').bytes(16), sqn, fromHex('8000')));
}

/** AUTHENTICATE, with what comes of it. */
function authenticate(terminal: Terminal, file: CardFile, pair: number): uicc.ProactiveCommand[] {
  terminal.selectUsim();
  const { sw } = terminal.command(0, 0x88, 0, 0x81, challenge(file, pair), 256);
  assert.ok(uicc.isSuccess(sw));
  return terminal.proactive(sw);
}

for (const result of [0x00, 0x03, 0x06, 0x10, 0x20, 0x21, 0x30, 0x32, undefined]) {
  const answer = result === undefined ? 'silence' : `result ${result.toString(16).padStart(2, '0')}`;
  const react = ignoring(result);

  test(`REFRESH without a reset, ${answer}: asked again, later each time, until the trial has run out; then as often`, () => {
    const { terminal, file } = switched(react);
    assert.equal(trialOf(terminal), 2400, 'a prompt reset costs nothing');
    const pauses: number[] = [];
    for (let i = 0; i < 20 && terminal.card.state.list!.trial; i++) {
      const commands = expire(terminal, 1, react);
      assert.deepEqual(types(commands), ['timerManagement', 'refresh']);
      const [timer] = commands;
      pauses.push(timer?.type === 'timerManagement' ? timer.seconds! : 0);
    }
    const { list, usim, contents } = terminal.card.state;
    assert.deepEqual(pauses, [120, 240, 480, 960, 540, 60], '60, and these: the whole trial, and no more');
    assert.deepEqual([list?.trial, list?.last, list?.current], [undefined, 'timeOut', 0]);
    assert.deepEqual([usim.k, contents.some((one) => one === undefined)], [fromHex(file.usim.k), false]);
    for (let i = 0; i < 12; i++) {
      assert.equal(resets(expire(terminal, 1, react)), 1, 'the way back is asked for as long');
    }
    const [timer] = expire(terminal, 1, react);
    assert.ok(timer?.type === 'timerManagement' && timer.seconds === 3600);
    const booted = terminal.boot();
    assert.deepEqual(types(booted), ['setUpEventList', 'sendShortMessage'], 'done at last');
    assert.deepEqual(expire(terminal), []);
  });

  test(`the same on polling, ${answer}`, () => {
    const { terminal } = switched(react, { trialSeconds: 600 }, NO_TIMERS);
    let asked = 0;
    let polls = 0;
    for (; polls < 100 && terminal.card.state.list!.trial; polls++) asked += resets(terminal.poll(react));
    assert.equal(polls, 20, '20 polls of half a minute');
    assert.equal(asked, 4, 'after 1, 3 and 7 minutes, and with the fall-back');
    asked = 0;
    for (let i = 0; i < 600; i++) asked += resets(terminal.poll(react));
    assert.ok(asked >= 8, `asked ${asked} times in five hours for the way back`);
    assert.deepEqual(types(terminal.boot(NO_TIMERS)), ['setUpEventList', 'sendShortMessage']);
  });
}

test('a terminal that takes no command at all, and polls: the trial runs out', () => {
  const { terminal, file } = freshCard();
  terminal.boot();
  const a = gatewayOf(file, 0);
  a.run(terminal, encodeKeyListSwitch(order({ trialSeconds: 600 })));
  const status = (): number => terminal.sw(0x80, uicc.INS.status, 0, 0x0c);
  let polls = 0;
  for (; polls < 100 && terminal.card.state.list?.last !== 'timeOut'; polls++)
    assert.equal(status() >> 8, 0x91);
  assert.equal(polls, 21, 'half a minute for the delay, twenty for the trial');
});

test('a command that is never answered is given up, and those behind it get their turn', () => {
  const { terminal } = switched(ignoring(undefined));
  const [first] = terminal.boot();
  assert.equal(first?.type, 'setUpEventList');
  terminal.card.powerOn();
  const sw = terminal.sw(0x80, 0x10, 0, 0, uicc.encodeTerminalProfile(FULL));
  terminal.command(0x80, uicc.INS.fetch, 0, 0, undefined, sw & 0xff);
  let polls = 0;
  for (; polls < 100 && terminal.poll().length === 0; polls++);
  assert.equal(polls, 19, 'ten minutes');
  const late = uicc.encodeTerminalResponse({ command: { number: 1, type: 5, qualifier: 0 }, result: 0 });
  assert.equal(terminal.sw(0x80, 0x14, 0, 0, late) & 0xf000, 0x6000, 'too late');
});

test('a timer that was started without a word counts; so does polling while none was confirmed', () => {
  const { terminal } = switched(ignoring(undefined));
  terminal.card.powerOn();
  terminal.sw(0x80, 0x10, 0, 0, uicc.encodeTerminalProfile(FULL));
  assert.equal(trialOf(terminal), 2300);
  terminal.envelope({ type: 'timerExpiration', timer: 1, seconds: 100 });
  assert.equal(trialOf(terminal), 2200);
  for (let i = 0; i < 4; i++) terminal.sw(0x80, uicc.INS.status, 0, 0x0c);
  assert.equal(trialOf(terminal), 2100);
});

test('a confirmed timer is the clock: polling beside it counts nothing', () => {
  const { terminal } = switched(ignoring(0x20));
  for (let i = 0; i < 1000; i++) terminal.poll();
  assert.equal(trialOf(terminal), 2400);
});

test('a terminal that cannot be asked for a reset is not switched, nor one that has yet to do one', () => {
  const without = FULL.filter((facility) => facility !== 'refresh');
  const { terminal, file } = freshCard();
  const a = gatewayOf(file, 0);
  assert.equal(a.run(terminal, encodeKeyListSwitch(order())).sw, 0x6985, 'no TERMINAL PROFILE yet');
  terminal.boot(without);
  assert.equal(a.run(terminal, encodeKeyListSwitch(order())).sw, 0x6985);
  assert.equal(terminal.card.state.list?.armed, undefined);
  const stubborn = switched(ignoring(0x20), { trialSeconds: 60 });
  expire(stubborn.terminal, 1, ignoring(0x20));
  assert.equal(stubborn.terminal.card.state.list?.current, 0);
  const again = encodeKeyListSwitch(order({ change: OTHER, index: 2 }));
  stubborn.a.counter = 10;
  assert.equal(stubborn.a.run(stubborn.terminal, again).sw, 0x6985);
  stubborn.terminal.boot();
  assert.equal(stubborn.a.run(stubborn.terminal, again).sw, 0x9000);
});

test('armed in one terminal, moved to one without REFRESH: it waits, and can be cancelled', () => {
  const { terminal, file } = freshCard();
  terminal.boot();
  const a = gatewayOf(file, 0);
  a.run(terminal, encodeKeyListSwitch(order()));
  terminal.boot(FULL.filter((facility) => facility !== 'refresh'));
  expire(terminal);
  assert.equal(terminal.card.state.list?.current, 0);
  const moved = terminal.card.state;
  assert.equal(a.run(terminal, encodeKeyListCancel({ change: CHANGE, index: 1 })).sw, 0x9000);
  const other = createCard({ store: memoryStore(moved) });
  const next = terminalOf(other);
  next.boot();
  assert.equal(resets(expire(next)), 1, 'in the next terminal it is done');
});

test('a terminal that authenticates under the new pair lives on it: no reset is asked for, the trial runs in slices', () => {
  const { terminal, file } = switched(ignoring(0x00));
  const commands = authenticate(terminal, file, 1);
  assert.deepEqual(types(commands), ['setUpEventList', 'timerManagement']);
  assert.equal(trialOf(terminal), 2300);
  assert.deepEqual(types(expire(terminal)), ['timerManagement']);
  const back = switched(ignoring(0x00), { trialSeconds: 60 });
  expire(back.terminal, 1, ignoring(0x00));
  assert.ok(types(authenticate(back.terminal, back.file, 0)).includes('sendShortMessage'), 'and is told of');
  assert.deepEqual(expire(back.terminal), []);
});

test('COMMIT before the reset ends the trial, and the reset is still asked for', () => {
  const { terminal, b } = switched(ignoring(0x20));
  assert.equal(b.run(terminal, encodeKeyListCommit({ change: CHANGE, index: 1 })).sw, 0x9000);
  terminal.proactive(b.lastSw);
  assert.equal(terminal.card.state.list?.last, 'committed');
  assert.equal(resets(expire(terminal)), 1);
  assert.equal(terminal.card.state.list?.current, 1);
  assert.deepEqual(terminal.boot(), []);
});

test('commit-on-AKA without a reset: committed, and nothing more is asked for', () => {
  const { terminal, file } = switched(ignoring(0x03), { policy: COMMIT_ON_AKA });
  assert.deepEqual(types(authenticate(terminal, file, 1)), ['timerManagement'], 'the clock is stopped');
  assert.equal(terminal.card.state.list?.last, 'committed');
  assert.deepEqual(expire(terminal), []);
});

test('CANCEL while the terminal is silent: one REFRESH waits, not two', () => {
  const { terminal, b } = switched(ignoring(undefined));
  assert.equal(b.run(terminal, encodeKeyListCancel({ change: CHANGE, index: 1 })).sw, 0x9000);
  assert.deepEqual(types(terminal.proactive(b.lastSw)), ['timerManagement', 'refresh']);
  assert.equal(terminal.card.state.list?.current, 0);
});

test('rejections before the reset are the old subscription’s: they end no trial', () => {
  const { terminal } = switched(ignoring(0x20));
  for (let i = 0; i < 3; i++) {
    terminal.envelope({ type: 'networkRejection', accessTechnology: 8, updateAttachType: 9, cause: 3 });
  }
  assert.equal(terminal.card.state.list?.trial?.rejections, 0);
});

test('a REFRESH that was never fetched: it waits once, and is taken back when it is not needed any more', () => {
  const unfetched = (): { terminal: Terminal; file: CardFile } => {
    const { terminal, file } = freshCard();
    terminal.boot();
    const a = gatewayOf(file, 0);
    a.run(terminal, encodeKeyListSwitch(order()));
    terminal.proactive(a.lastSw);
    terminal.envelope({ type: 'timerExpiration', timer: 1, seconds: 5 });
    return { terminal, file };
  };
  const cancelled = unfetched();
  const b = gatewayOf(cancelled.file, 1);
  assert.equal(b.run(cancelled.terminal, encodeKeyListCancel({ change: CHANGE, index: 1 })).sw, 0x9000);
  assert.equal(resets(cancelled.terminal.proactive(b.lastSw, ignoring(0x20))), 1);
  const served = unfetched();
  assert.equal(resets(authenticate(served.terminal, served.file, 1)), 0);
  assert.equal(trialOf(served.terminal), 2300);
});

test('a long slice of the terminal’s timer also ends the wait for a response', () => {
  const { terminal, file } = switched(ignoring(undefined), { trialSeconds: 86_400 });
  terminal.boot();
  const rfm = gatewayOf(file, 1, TAR.rfmUsim);
  const action = { type: 'immediateAction' as const, value: fromHex('8103010103') };
  rfm.counter = 10;
  rfm.send(terminal, encodeExpandedCommands([action]));
  assert.deepEqual(types(terminal.proactive(rfm.lastSw, ignoring(undefined))), ['refresh']);
  assert.deepEqual(types(expire(terminal)), ['timerManagement'], 'the next slice can be asked for');
});
