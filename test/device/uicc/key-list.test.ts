import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCard, memoryStore, type CardFile } from '../../../src/device/uicc/index.ts';
import { SQN_DEFAULT, authenticationVector, encodeSqn, prepare } from '../../../src/standards/aka/index.ts';
import { fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import {
  COMMIT_ON_AKA,
  KEY_LIST_STATUS,
  decodeCommandPacket,
  decodeKeyListStatus,
  decodePacketSms,
  encodeKeyListCancel,
  encodeKeyListCommit,
  encodeKeyListSwitch,
  type KeyListStatus,
  type KeyListSwitch,
} from '../../../src/standards/ota/index.ts';
import { decodeTpduFromDevice } from '../../../src/standards/sms/index.ts';
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
  type Terminal,
} from './terminal.ts';

const OTHER = fromHex('0807060504030201');
/** Switches of the same name that are others. */
const OTHERS: readonly Partial<KeyListSwitch>[] = [
  { index: 2 },
  { imsi: '001020000000043' },
  { trialSeconds: 2401 },
  { policy: COMMIT_ON_AKA },
  { apn: 'iot.green' },
  { reportTo: '88210001' },
];

function read<T>(terminal: Terminal, file: uicc.ElementaryFile<T>): T {
  terminal.command(0, 0xa4, 8, 0x0c, new Uint8Array([0x7f, 0xff, file.fid >> 8, file.fid & 0xff]));
  const { data } =
    file.structure === 'transparent'
      ? terminal.command(0, 0xb0, 0, 0, undefined, 256)
      : terminal.command(0, 0xb2, 1, 4, undefined, 256);
  return file.decode(data);
}

/** Switches a fresh card to pair 1 and resets it: it is on trial. */
function onTrial(more: Partial<KeyListSwitch> = {}): {
  terminal: Terminal;
  file: CardFile;
  a: Gateway;
  b: Gateway;
  booted: uicc.ProactiveCommand[];
} {
  const { terminal, file } = freshCard({ serviceCentre: '88210001', apn: 'iot.red', spn: 'Red' });
  terminal.boot();
  const command = order(more);
  const a = gatewayOf(file, 0);
  assert.equal(a.run(terminal, encodeKeyListSwitch(command)).sw, 0x9000);
  terminal.proactive(a.lastSw);
  assert.deepEqual(types(expire(terminal)), ['timerManagement', 'refresh']);
  return { terminal, file, a, b: gatewayOf(file, command.index), booted: terminal.boot() };
}

const statusOf = (gateway: Gateway, terminal: Terminal): KeyListStatus =>
  decodeKeyListStatus(gateway.run(terminal, KEY_LIST_STATUS).data);

test('SWITCH is answered first; after the delay everything changes at once, and the card asks for a reset', () => {
  const { terminal, file } = freshCard({ serviceCentre: '88210001' });
  assert.deepEqual(terminal.boot(), [], 'at home a card asks for nothing');
  terminal.selectUsim();
  terminal.command(0, 0xd6, 0x8d, 0, '00f110');
  const a = gatewayOf(file, 0);
  assert.equal(a.run(terminal, encodeKeyListSwitch(order())).sw, 0x9000);
  const [timer] = terminal.proactive(a.lastSw);
  assert.ok(timer?.type === 'timerManagement' && timer.action === 'start' && timer.seconds === 5);
  assert.equal(read(terminal, uicc.EF_IMSI), file.usim.imsi, 'not yet');
  assert.equal(statusOf(a, terminal).state, 'armed');
  const refresh = expire(terminal).at(-1);
  assert.ok(refresh?.type === 'refresh' && refresh.mode === uicc.REFRESH.uiccReset);
  terminal.boot();
  terminal.selectUsim();
  assert.equal(read(terminal, uicc.EF_IMSI), '001020000000042');
  assert.equal(read(terminal, uicc.EF_AD).mncLength, 2);
  assert.equal(read(terminal, uicc.EF_ACC), 1 << 2);
  assert.deepEqual(
    read(terminal, uicc.EF_HPLMNWACT).map(({ plmn }) => plmn),
    ['00102'],
  );
  assert.deepEqual(read(terminal, uicc.EF_FPLMN), []);
  assert.equal(read(terminal, uicc.EF_MSISDN).number?.digits, '882900042');
  assert.equal(read(terminal, uicc.EF_SMSP).serviceCentre?.digits, '88290001');
  assert.equal(read(terminal, uicc.EF_SPN).name, 'Blue');
  assert.deepEqual(read(terminal, uicc.EF_ACL), ['iot.blue']);
  assert.equal(read(terminal, uicc.EF_EPSLOCI).guti, undefined);
  const { usim } = terminal.card.state;
  assert.equal(toHex(usim.k), file.keyList!.pairs[1]!.k);
  assert.ok(usim.sqn.seq.every((seq) => seq === 0));
});

test('on trial the card wants to hear of rejections, and runs its clock in slices', () => {
  const { booted, terminal } = onTrial();
  assert.deepEqual(types(booted), ['setUpEventList', 'timerManagement']);
  assert.ok(booted[0]?.type === 'setUpEventList');
  assert.deepEqual(booted[0].events, [uicc.EVENT.locationStatus, uicc.EVENT.networkRejection]);
  assert.ok(booted[1]?.type === 'timerManagement' && booted[1].seconds === 100);
  let slices = 1;
  for (; slices < 100; slices++) if (expire(terminal).some(({ type }) => type === 'refresh')) break;
  assert.equal(slices, 24, '24 slices of 100 seconds');
});

test('COMMIT under the new pair ends the trial; the old keys are gone, and nothing falls back', () => {
  const { terminal, file, a, b } = onTrial();
  assert.equal(b.run(terminal, encodeKeyListCommit({ change: OTHER, index: 1 })).sw, 0x6985);
  assert.equal(b.run(terminal, encodeKeyListCommit({ change: CHANGE, index: 1 })).sw, 0x9000);
  assert.deepEqual(types(terminal.proactive(b.lastSw)), ['timerManagement'], 'the clock is stopped');
  assert.equal(b.run(terminal, encodeKeyListCommit({ change: CHANGE, index: 1 })).sw, 0x9000, 'again');
  const old = terminal.card.state.list!.pairs[0]!;
  assert.deepEqual([old.state, old.keys], ['erased', undefined]);
  assert.deepEqual(statusOf(b, terminal), {
    state: 'home',
    index: 1,
    next: 2,
    pairs: 4,
    change: CHANGE,
    last: 'committed',
  });
  assert.deepEqual(expire(terminal), []);
  assert.deepEqual(terminal.boot(), []);
  assert.notEqual(a.send(terminal, KEY_LIST_STATUS)?.status, 0, 'A is heard no more');
  assert.equal(toHex(terminal.card.state.usim.k), file.keyList!.pairs[1]!.k);
});

test('a trial that nobody commits falls back: files, keys and SQN as before, the pair burnt, and it is told', () => {
  const { terminal, file, a } = onTrial();
  const before = { imsi: file.usim.imsi, apn: 'iot.red', spn: 'Red' };
  for (let i = 0; i < 24; i++) expire(terminal);
  const booted = terminal.boot();
  assert.deepEqual(types(booted), ['setUpEventList', 'sendShortMessage']);
  terminal.selectUsim();
  assert.equal(read(terminal, uicc.EF_IMSI), before.imsi);
  assert.deepEqual(read(terminal, uicc.EF_ACL), [before.apn]);
  assert.equal(read(terminal, uicc.EF_SPN).name, before.spn);
  assert.equal(toHex(terminal.card.state.usim.k), file.usim.k);
  const status: KeyListStatus = {
    state: 'home',
    index: 0,
    next: 2,
    pairs: 4,
    change: CHANGE,
    last: 'timeOut',
  };
  const message = booted[1];
  assert.ok(message?.type === 'sendShortMessage');
  const tpdu = decodeTpduFromDevice(message.tpdu);
  assert.ok(tpdu.type === 'submit' && tpdu.destination.value === '88210000');
  const report = decodeCommandPacket(decodePacketSms('command', tpdu.userData!)!, { keysOf: () => a.keys });
  assert.equal(report.status, 0);
  assert.deepEqual(decodeKeyListStatus(report.data), status);
  assert.deepEqual(terminal.boot(), [], 'told once');
  assert.deepEqual(statusOf(a, terminal), status);
  const burnt = terminal.card.state.list!.pairs[1]!;
  assert.deepEqual([burnt.state, burnt.keys], ['burnt', undefined]);
  assert.equal(a.run(terminal, encodeKeyListSwitch(order({ change: OTHER }))).sw, 0x6a83, 'never again');
  assert.equal(a.run(terminal, encodeKeyListSwitch(order())).sw, 0x9000, 'the same change has been');
  assert.equal(statusOf(a, terminal).state, 'home');
});

test('the report is tried again until the terminal has sent it', () => {
  const { terminal } = onTrial();
  for (let i = 0; i < 24; i++) expire(terminal);
  const unable: Partial<uicc.TerminalResponse> = { result: uicc.RESULT.networkUnable };
  const react = (command: uicc.ProactiveCommand): Partial<uicc.TerminalResponse> | undefined =>
    command.type === 'sendShortMessage' ? unable : undefined;
  terminal.card.powerOn();
  const sw = terminal.sw(0x80, 0x10, 0, 0, uicc.encodeTerminalProfile(FULL));
  const booted = terminal.proactive(sw, react);
  assert.deepEqual(types(booted), ['setUpEventList', 'sendShortMessage', 'timerManagement']);
  const again = terminal.proactive(
    terminal.envelope({ type: 'timerExpiration', timer: 2, seconds: 30 }).sw,
    react,
  );
  assert.deepEqual(types(again), ['sendShortMessage', 'timerManagement']);
  assert.ok(again[1]?.type === 'timerManagement' && again[1].seconds === 60, 'later each time');
  const { sw: registered } = terminal.envelope({ type: 'locationStatus', status: 0 });
  assert.ok(
    types(terminal.proactive(registered)).includes('sendShortMessage'),
    'at once when there is service',
  );
  assert.equal(terminal.card.state.list?.report, undefined);
});

for (const cause of [2, 3, 6, 8, 11, 12, 13, 14, 15]) {
  test(`EMM cause #${cause}: a second rejection, or a minute, and the card falls back`, () => {
    const reject = (terminal: Terminal): uicc.ProactiveCommand[] =>
      terminal.proactive(
        terminal.envelope({
          type: 'networkRejection',
          accessTechnology: 8,
          updateAttachType: 9,
          cause,
          trackingArea: { plmn: '00102', code: 1 },
        }).sw,
      );
    const one = onTrial();
    const [timer] = reject(one.terminal);
    assert.ok(timer?.type === 'timerManagement' && timer.seconds === 60);
    assert.deepEqual(types(expire(one.terminal)), ['timerManagement', 'refresh']);
    assert.equal(one.terminal.card.state.list?.last, 'rejected');
    const two = onTrial();
    reject(two.terminal);
    assert.deepEqual(types(reject(two.terminal)), ['timerManagement', 'refresh']);
    assert.equal(two.terminal.card.state.list?.current, 0);
  });
}

test('EMM causes #17 and #22 are a matter of waiting; service after a rejection lets the trial go on', () => {
  const { terminal } = onTrial();
  const reject = (cause: number): number =>
    terminal.envelope({ type: 'networkRejection', accessTechnology: 8, updateAttachType: 9, cause }).sw;
  for (const cause of [17, 22, 17, 22]) assert.equal(reject(cause), 0x9000);
  terminal.proactive(reject(15));
  const [timer] = terminal.proactive(terminal.envelope({ type: 'locationStatus', status: 0 }).sw);
  assert.ok(timer?.type === 'timerManagement' && timer.seconds === 100);
  assert.deepEqual(types(terminal.proactive(reject(15))), ['timerManagement'], 'counted from there');
});

test('a reboot loop ends the trial; a power cut costs at most a slice', () => {
  const { terminal } = onTrial();
  const left = (): number => terminal.card.state.list!.trial!.secondsLeft;
  assert.equal(left(), 2300);
  terminal.boot();
  assert.equal(left(), 2200);
  let boots = 0;
  for (; terminal.card.state.list?.trial && boots < 100; boots++) terminal.boot();
  assert.equal(boots, 23);
  assert.equal(terminal.card.state.list?.last, 'timeOut');
});

test('a terminal without timers: its polling is the clock', () => {
  const facilities = FULL.filter((facility) => facility !== 'timerManagement');
  const { terminal, file } = freshCard();
  terminal.boot(facilities);
  const a = gatewayOf(file, 0);
  a.run(terminal, encodeKeyListSwitch(order({ trialSeconds: 600 })));
  assert.deepEqual(types(terminal.proactive(a.lastSw)), ['pollInterval']);
  assert.deepEqual(types(terminal.poll()), ['refresh']);
  terminal.boot(facilities);
  let polls = 0;
  const slow = (command: uicc.ProactiveCommand): Partial<uicc.TerminalResponse> | undefined =>
    command.type === 'pollInterval' ? { interval: { unit: 'minutes', value: 1 } } : undefined;
  for (; terminal.card.state.list?.trial && polls < 100; polls++) terminal.poll(slow);
  assert.ok(polls >= 10 && polls <= 24, `${polls} polls of half a minute for ten minutes in 24 slices`);
});

test('a terminal that has timers and cannot start one: polling takes over', () => {
  const { terminal, file } = freshCard();
  terminal.boot();
  const a = gatewayOf(file, 0);
  a.run(terminal, encodeKeyListSwitch(order()));
  const commands = terminal.proactive(a.lastSw, (command) =>
    command.type === 'timerManagement' ? { result: uicc.RESULT.terminalUnable } : undefined,
  );
  assert.deepEqual(types(commands), ['timerManagement', 'pollInterval']);
  assert.deepEqual(types(terminal.poll()), ['timerManagement', 'refresh']);
});

test('an armed switch survives power; the delay is over then', () => {
  const { terminal, file } = freshCard();
  terminal.boot();
  const a = gatewayOf(file, 0);
  a.run(terminal, encodeKeyListSwitch(order({ delaySeconds: 600 })));
  const [timer] = terminal.boot();
  assert.ok(timer?.type === 'timerManagement' && timer.seconds === 1);
  assert.deepEqual(types(expire(terminal)), ['timerManagement', 'refresh']);
});

test('CANCEL under the new pair falls back at once', () => {
  const { terminal, b, a } = onTrial();
  assert.equal(b.run(terminal, encodeKeyListCancel({ change: CHANGE, index: 1 })).sw, 0x9000);
  assert.deepEqual(types(terminal.proactive(b.lastSw)).at(-1), 'refresh');
  terminal.boot();
  assert.equal(statusOf(a, terminal).last, 'cancelled');
  assert.equal(a.run(terminal, encodeKeyListCancel({ change: CHANGE, index: 1 })).sw, 0x9000, 'done before');
  assert.equal(a.run(terminal, encodeKeyListCancel({ change: OTHER, index: 1 })).sw, 0x6985);
});

test('CANCEL while armed, under the pair in use: nothing changes, and a late SWITCH of that change does nothing', () => {
  const { terminal, file } = freshCard();
  terminal.boot();
  const a = gatewayOf(file, 0);
  assert.equal(a.run(terminal, encodeKeyListSwitch(order())).sw, 0x9000);
  terminal.proactive(a.lastSw);
  assert.equal(a.run(terminal, encodeKeyListCancel({ change: CHANGE, index: 2 })).sw, 0x6985);
  assert.equal(a.run(terminal, encodeKeyListCancel({ change: CHANGE, index: 1 })).sw, 0x9000);
  assert.deepEqual(types(terminal.proactive(a.lastSw)), ['timerManagement'], 'the timer is stopped');
  assert.deepEqual(expire(terminal), []);
  assert.equal(a.run(terminal, encodeKeyListSwitch(order())).sw, 0x9000);
  const status = statusOf(a, terminal);
  assert.deepEqual([status.state, status.last, status.index, status.next], ['home', 'cancelled', 0, 1]);
  assert.equal(a.run(terminal, encodeKeyListSwitch(order({ change: OTHER, index: 1 }))).sw, 0x9000);
});

test('commit-on-AKA: the first good challenge ends the trial', () => {
  const { terminal, file, b } = onTrial({ policy: COMMIT_ON_AKA });
  const pair = file.keyList!.pairs[1]!;
  const key = prepare({ algorithm: 'milenage', k: fromHex(pair.k!), opc: fromHex(pair.opc!) });
  const vector = authenticationVector(
    key,
    drawn('r').bytes(16),
    encodeSqn(SQN_DEFAULT, 1, 0),
    fromHex('8000'),
  );
  terminal.selectUsim();
  const forged = { rand: vector.rand, autn: vector.autn.map((byte) => byte ^ 1) };
  assert.equal(terminal.sw(0, 0x88, 0, 0x81, uicc.encodeChallenge(forged), 256), 0x9862);
  assert.ok(terminal.card.state.list?.trial);
  const { sw } = terminal.command(0, 0x88, 0, 0x81, uicc.encodeChallenge(vector), 256);
  assert.ok(uicc.isSuccess(sw));
  assert.equal(statusOf(b, terminal).last, 'committed');
});

test('a switch that may not be is refused, and the card is as it was', () => {
  const { terminal, file } = freshCard();
  terminal.boot();
  const a = gatewayOf(file, 0);
  const lists = (): string =>
    JSON.stringify(terminal.card.state.list, (name, value) => (name === 'counter' ? 0 : (value as unknown)));
  const before = lists();
  const tried = (apdu: Uint8Array): number => a.run(terminal, apdu).sw;
  assert.equal(tried(encodeKeyListSwitch(order({ index: 4 }))), 0x6a83);
  assert.equal(tried(encodeKeyListSwitch(order({ apn: 'a..b' }))), 0x6a80);
  const bent = encodeKeyListSwitch(order());
  bent[5] = 0x79;
  assert.equal(tried(bent), 0x6a80);
  const nameless = encodeKeyListSwitch(order());
  nameless.fill(0, 7, 15);
  assert.equal(tried(nameless), 0x6a80, 'zeros name no change');
  assert.equal(tried(encodeKeyListCommit({ change: CHANGE, index: 1 })), 0x6985);
  assert.equal(tried(encodeKeyListCancel({ change: CHANGE, index: 1 })), 0x6985);
  assert.equal(tried(fromHex('8020000000')), 0x6d00);
  assert.equal(tried(fromHex('804201000101')), 0x6a86);
  assert.equal(lists(), before);
  assert.equal(tried(encodeKeyListSwitch(order())), 0x9000);
  assert.equal(tried(encodeKeyListSwitch(order())), 0x9000, 'a repetition');
  for (const other of OTHERS)
    assert.equal(tried(encodeKeyListSwitch(order(other))), 0x6985, 'not a repetition');
  assert.equal(tried(encodeKeyListSwitch(order({ change: OTHER, index: 2 }))), 0x6985, 'one at a time');
});

test('skipped indexes are skipped for ever, and the list comes to its end', () => {
  const { terminal, b, file } = onTrial({ index: 2 });
  assert.equal(b.run(terminal, encodeKeyListCommit({ change: CHANGE, index: 2 })).sw, 0x9000);
  terminal.proactive(b.lastSw);
  assert.deepEqual(
    terminal.card.state.list!.pairs.map(({ state }) => state),
    ['erased', 'skipped', 'current', 'unused'],
  );
  assert.equal(b.run(terminal, encodeKeyListSwitch(order({ change: OTHER, index: 1 }))).sw, 0x6a83);
  assert.equal(b.run(terminal, encodeKeyListSwitch(order({ change: OTHER, index: 3 }))).sw, 0x9000);
  terminal.proactive(b.lastSw);
  expire(terminal);
  terminal.boot();
  const c = gatewayOf(file, 3);
  assert.equal(c.run(terminal, encodeKeyListCommit({ change: OTHER, index: 3 })).sw, 0x9000);
  assert.equal(
    c.run(terminal, encodeKeyListSwitch(order({ change: fromHex('aaaaaaaaaaaaaaaa'), index: 4 }))).sw,
    0x6a84,
  );
});

test('only the pair’s own keys switch; another set of the card may ask where it stands', () => {
  const { file } = freshCard();
  const keySet = { number: 3, algorithm: 'aes' as const, kic: '11'.repeat(16), kid: '22'.repeat(16) };
  const card = createCard({ store: memoryStore(), file: { ...file, ota: { keySets: [keySet] } } });
  card.powerOn();
  const terminal = terminalOf(card);
  const agent = gatewayOf(
    { ...file, keyList: { pairs: [{ index: 0, state: 'current', ...keySet }], next: 1 } },
    0,
  );
  agent.header = { ...agent.header, kic: 0x32, kid: 0x32 };
  assert.equal(agent.run(terminal, encodeKeyListSwitch(order())).sw, 0x6982);
  assert.equal(statusOf(agent, terminal).state, 'home');
});

test('the name of a change that is over is no answer to another switch', () => {
  const trial = onTrial();
  for (const other of OTHERS) {
    assert.equal(trial.b.run(trial.terminal, encodeKeyListSwitch(order(other))).sw, 0x6985, 'on trial');
  }
  assert.equal(trial.b.run(trial.terminal, encodeKeyListSwitch(order())).sw, 0x9000);
  assert.equal(trial.b.run(trial.terminal, encodeKeyListCommit({ change: CHANGE, index: 1 })).sw, 0x9000);
  const after = (gateway: Gateway, more: Partial<KeyListSwitch>): number =>
    gateway.run(trial.terminal, encodeKeyListSwitch(order(more))).sw;
  assert.equal(after(trial.b, {}), 0x9000, 'committed');
  assert.equal(after(trial.b, { index: 2 }), 0x6985);
  assert.equal(after(trial.b, { imsi: '001020000000043' }), 0x6985);
  const back = onTrial();
  assert.equal(back.b.run(back.terminal, encodeKeyListCancel({ change: CHANGE, index: 1 })).sw, 0x9000);
  back.terminal.boot();
  assert.equal(back.a.run(back.terminal, encodeKeyListSwitch(order({ index: 2 }))).sw, 0x6985, 'cancelled');
  assert.equal(back.a.run(back.terminal, encodeKeyListSwitch(order())).sw, 0x9000);
});
