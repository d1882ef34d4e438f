/**
 * The list application of alternative 3b (standards/ota/key-list.ts is its contract): pairs of Ki and OPc with
 * their OTA keys, a switch that is tried before it is kept, and the way back by itself.
 *
 * The card has no clock. The trial runs in slices on the terminal's timers or polling; a slice is charged and
 * saved before it runs, so that a power cut costs at most one, and a reboot loop ends the trial. A terminal that
 * does not do the reset it is asked for is asked again and again, and the trial runs out meanwhile.
 */
import { newSqnArray, type SqnArray } from '../../standards/aka/index.ts';
import { FieldError, equal, toHex } from '../../standards/bytes/index.ts';
import {
  COMMIT_ON_AKA,
  FALLBACK_TAR,
  KEY_LIST_CLA,
  KEY_LIST_INS,
  KEY_LIST_KEY_SET,
  KEY_LIST_SW,
  KEY_LIST_TAR,
  decodeKeyListEnd,
  decodeKeyListSwitch,
  encodeCommandPacket,
  encodeKeyListStatus,
  encodeKeyListSwitch,
  encodePacketSms,
  keyByte,
  type KeyListEnd,
  type KeyListOutcome,
  type KeyListState,
  type KeyListSwitch,
  type OtaAlgorithm,
  type OtaKeys,
} from '../../standards/ota/index.ts';
import { DCS_CARD, encodeTpdu, international } from '../../standards/sms/index.ts';
import {
  EF_IMSI,
  EVENT,
  LOCATION_STATUS,
  REFRESH,
  TIMER_LONGEST,
  decodeCommand,
  type CommandApdu,
  type TerminalFacility,
} from '../../standards/uicc/index.ts';
import { FILES } from './layout.ts';
import { done, refuse, type Answer } from './answer.ts';
import type { Session } from './session.ts';
import {
  TRANSIENT_FILES,
  imsiContent,
  pairAt,
  pairsOf,
  subscriptionFiles,
  withFiles,
  type KeyList,
  type Pair,
  type PairState,
  type Trial,
} from './state.ts';
import { performed, type Job } from './toolkit.ts';

/** Alarms: the delay, the wait for a reset and the slices; and when to try the report again. */
const CLOCK = 1;
const REPORT = 2;

/** A trial is charged in this many slices, none shorter than so many seconds. */
const SLICES = 24;
const SHORTEST_SLICE = 10;
/** How long after a rejection the card still waits, in seconds, and how many it bears. */
const GRACE = 60;
const REJECTIONS = 2;
/** First and longest pause between attempts to report, in seconds. */
const REPORT_PAUSE = 30;
const REPORT_LONGEST = 3600;
/** First and longest pause before a terminal is asked for a reset again, in seconds. */
const RESET_PAUSE = 60;
const RESET_LONGEST = 3600;

/** EMM causes after which the new subscription is of no use here (TS 24.301 §5.5.1.2.5). */
const FATAL = new Set([2, 3, 6, 8, 11, 12, 13, 14, 15]);

function put(session: Session, changed: Partial<KeyList>): void {
  session.state = { ...session.state, list: { ...session.state.list!, ...changed } };
}

/** Under the pair's keys, or those of an agent, whose set is good for this application alone. */
function maySwitch({ state }: Session, keySet: number): boolean {
  if (keySet === KEY_LIST_KEY_SET) return true;
  const tars = state.keySets.find(({ number }) => number === keySet)?.tars;
  return pairsOf(state) !== undefined && tars?.length === 1 && tars[0] === toHex(KEY_LIST_TAR);
}

/** A command of the application, already proven; `keySet` is the one whose keys proved it. */
export function listCommand(session: Session, keySet: number, bytes: Uint8Array): Answer {
  let command: CommandApdu;
  try {
    command = decodeCommand(bytes);
  } catch (error) {
    if (error instanceof FieldError) return refuse(KEY_LIST_SW.wrongData);
    throw error;
  }
  const { list } = session.state;
  if (!list || command.cla !== KEY_LIST_CLA) return refuse(0x6e00);
  if (command.p1 !== 0 || command.p2 !== 0) return refuse(0x6a86);
  const data = command.data ?? new Uint8Array();
  try {
    switch (command.ins) {
      case KEY_LIST_INS.status:
        return data.length === 0 ? done(statusOf(list)) : refuse(KEY_LIST_SW.wrongData);
      case KEY_LIST_INS.switch:
      case KEY_LIST_INS.commit:
      case KEY_LIST_INS.cancel:
        if (!maySwitch(session, keySet)) return refuse(KEY_LIST_SW.security);
        if (command.ins === KEY_LIST_INS.switch) {
          const order = decodeKeyListSwitch(data);
          // A trial that an agent begins ends by a commit, or not at all.
          if (keySet !== KEY_LIST_KEY_SET && (order.policy & COMMIT_ON_AKA) !== 0) {
            return refuse(KEY_LIST_SW.security);
          }
          return arm(session, list, order);
        }
        if (command.ins === KEY_LIST_INS.commit) {
          // The pair's own keys say that the card is where it was sent; an agent's are the same everywhere.
          const unproven = list.trial && (!list.trial.proven || session.resetPause !== undefined);
          if (keySet !== KEY_LIST_KEY_SET && unproven) return refuse(KEY_LIST_SW.conditions);
          return commit(session, list, decodeKeyListEnd(data));
        }
        return cancel(session, list, decodeKeyListEnd(data));
      default:
        return refuse(0x6d00);
    }
  } catch (error) {
    if (error instanceof FieldError) return refuse(KEY_LIST_SW.wrongData);
    throw error;
  }
}

/** Whether P3 of a command of the application is the length of an answer. */
export const listOutgoing = (cla: number, ins: number): boolean =>
  cla === KEY_LIST_CLA && ins === KEY_LIST_INS.status;

const stateName = (list: KeyList): KeyListState => (list.trial ? 'trial' : list.armed ? 'armed' : 'home');

const statusOf = (list: KeyList): Uint8Array =>
  encodeKeyListStatus({
    state: stateName(list),
    index: list.current,
    next: list.next,
    pairs: list.pairs.length,
    change: list.change,
    last: list.last,
  });

const sameSwitch = (one: KeyListSwitch, other: KeyListSwitch): boolean =>
  equal(encodeKeyListSwitch(one), encodeKeyListSwitch(other));

/** Whether the change that ended last was this one, as far as the card still knows. */
function ended(session: Session, list: KeyList, command: KeyListSwitch): boolean {
  const stands = list.last !== 'committed' || equal(imsiContent(session.state), EF_IMSI.encode(command.imsi));
  if (list.pairs.length === 0) return command.index === 0 && stands;
  const last = list.next - 1;
  // Cancelled before it was tried: its index is still to come.
  if (list.last === 'cancelled' && pairAt(list, last).state !== 'burnt') return command.index > last;
  if (command.index !== last) return false;
  return stands;
}

const unlessZero = (index: number): Answer | undefined =>
  index === 0 ? undefined : refuse(KEY_LIST_SW.indexNotUsable);

function unlessUsable(list: KeyList, index: number): Answer | undefined {
  if (list.next >= list.pairs.length) return refuse(KEY_LIST_SW.exhausted);
  const usable = index >= list.next && index < list.pairs.length && pairAt(list, index).state === 'unused';
  return usable ? undefined : refuse(KEY_LIST_SW.indexNotUsable);
}

/** SWITCH: checked whole, then it waits for its delay. */
function arm(session: Session, list: KeyList, command: KeyListSwitch): Answer {
  const running = list.armed ?? list.trial;
  // A repetition has had its effect already, whatever became of it since; another switch of that name never has.
  if (running) {
    return refuse(sameSwitch(command, running.command) ? KEY_LIST_SW.done : KEY_LIST_SW.conditions);
  }
  if (equal(command.change, list.change)) {
    return refuse(ended(session, list, command) ? KEY_LIST_SW.done : KEY_LIST_SW.conditions);
  }
  // Without a reset the terminal would stay with the subscription that the card has left.
  if (!session.toolkit.has('refresh') || session.resetPause !== undefined) {
    return refuse(KEY_LIST_SW.conditions);
  }
  const refusal = list.pairs.length === 0 ? unlessZero(command.index) : unlessUsable(list, command.index);
  if (refusal) return refusal;
  // What no file can hold is found out now, not when the answer is long gone.
  subscriptionFiles(command);
  put(session, { armed: { command: { ...command, change: command.change.slice() } } });
  session.toolkit.setAlarm(CLOCK, Math.max(1, Math.min(command.delaySeconds, TIMER_LONGEST)));
  return done();
}

/** Pairs with some in another state; those that are of no more use lose their keys. */
function withStates(pairs: readonly Pair[], states: ReadonlyMap<number, PairState>): Pair[] {
  return pairs.map((pair): Pair => {
    const state = states.get(pair.index);
    if (state === undefined) return pair;
    if (state === 'current' || state === 'saved') return { ...pair, state };
    return { index: pair.index, counter: pair.counter, state };
  });
}

const blanks = (): (readonly [number, Uint8Array])[] =>
  TRANSIENT_FILES.map((file) => [file, FILES[file]!.blank]);

const isReset = ({ command }: Job): boolean =>
  command.type === 'refresh' && command.mode === REFRESH.uiccReset;

/**
 * Asks for a reset until it comes: until then the terminal lives on what it read before. No response counts, not
 * even a good one, as the reset itself is what was asked for; the clock starts first, since a terminal that
 * stays silent can be asked for nothing more.
 */
function refresh(session: Session): void {
  session.toolkit.forgetAlarms();
  session.resetPause = RESET_PAUSE;
  askForReset(session);
}

/** Seconds of this wait for the reset: a trial ends in the middle of it. */
const resetWait = ({ resetPause, state }: Session): number =>
  Math.min(resetPause!, state.list?.trial?.secondsLeft ?? RESET_LONGEST);

function askForReset(session: Session): void {
  const { toolkit } = session;
  toolkit.setAlarm(CLOCK, resetWait(session));
  toolkit.giveUp(isReset);
  if (!toolkit.holds(isReset)) toolkit.send({ command: { type: 'refresh', mode: REFRESH.uiccReset } });
}

/** The reset has not come: the wait is charged to the trial, if one runs, and the terminal is asked again. */
function resetOverdue(session: Session, list: KeyList): void {
  const { trial } = list;
  if (trial) {
    const secondsLeft = trial.secondsLeft - resetWait(session);
    if (secondsLeft <= 0) {
      fallBack(session, list, trial, 'timeOut');
      return;
    }
    put(session, { trial: { ...trial, secondsLeft } });
  }
  session.resetPause = Math.min(2 * session.resetPause!, RESET_LONGEST);
  askForReset(session);
}

/** Ki and OPc of a pair, with the SQN that goes with them. */
function useKeys(session: Session, { keys }: Pair, sqn: SqnArray): void {
  const { state } = session;
  session.state = { ...state, usim: { ...state.usim, k: keys!.k, opc: keys!.opc, sqn } };
}

/** The switch itself: files, keys and list change together. */
function perform(session: Session, list: KeyList, command: KeyListSwitch): void {
  const { state } = session;
  const files = subscriptionFiles(command);
  const states = new Map<number, PairState>([
    [list.current, 'saved'],
    [command.index, 'current'],
  ]);
  for (let index = list.next; index < command.index; index++) states.set(index, 'skipped');
  const trial: Trial = {
    command,
    from: list.current,
    secondsLeft: command.trialSeconds,
    rejections: 0,
    saved: files.map(([file]) => [file, state.contents[file]!]),
    savedSqn: state.usim.sqn,
  };
  session.state = {
    ...state,
    contents: withFiles(state.contents, [...files, ...blanks()]),
  };
  if (list.pairs.length > 0) {
    useKeys(session, pairAt(list, command.index), newSqnArray(state.usim.scheme));
    put(session, {
      pairs: withStates(list.pairs, states),
      current: command.index,
      next: command.index + 1,
    });
  }
  put(session, {
    armed: undefined,
    trial,
    change: command.change,
    last: 'none',
    report: undefined,
  });
  refresh(session);
}

/** Back to the saved pair, for good: the tried one is burnt. */
function fallBack(session: Session, list: KeyList, trial: Trial, outcome: KeyListOutcome): void {
  const { state } = session;
  session.state = { ...state, contents: withFiles(state.contents, [...trial.saved, ...blanks()]) };
  // A card that kept its keys keeps its SQN: B has counted on with it.
  if (list.pairs.length > 0) {
    useKeys(session, pairAt(list, trial.from), trial.savedSqn);
    const states = new Map<number, PairState>([
      [list.current, 'burnt'],
      [trial.from, 'current'],
    ]);
    put(session, { pairs: withStates(list.pairs, states), current: trial.from });
  }
  put(session, {
    trial: undefined,
    last: outcome,
    report: trial.command.reportTo,
  });
  refresh(session);
}

/** The new pair is kept: the old one's keys are erased, there is no way back. */
function keep(session: Session, list: KeyList, trial: Trial): void {
  const states = new Map<number, PairState>([[trial.from, 'erased']]);
  put(session, { pairs: withStates(list.pairs, states), trial: undefined, last: 'committed' });
  if (session.resetPause === undefined) session.toolkit.clearAlarm(CLOCK);
}

/** The set under which the card is switched has other keys: what was armed under those of before is called off. */
export function disarm(session: Session): void {
  const { list } = session.state;
  if (!list?.armed || list.pairs.length > 0) return;
  put(session, { armed: undefined, change: list.armed.command.change, last: 'cancelled' });
  session.toolkit.clearAlarm(CLOCK);
}

const names = (end: KeyListEnd, { command }: { command: KeyListSwitch }): boolean =>
  equal(end.change, command.change) && end.index === command.index;

function commit(session: Session, list: KeyList, end: KeyListEnd): Answer {
  if (list.trial && names(end, list.trial)) {
    keep(session, list, list.trial);
    return done();
  }
  const before = list.last === 'committed' && equal(end.change, list.change) && end.index === list.current;
  return refuse(before && !list.trial ? KEY_LIST_SW.done : KEY_LIST_SW.conditions);
}

function cancel(session: Session, list: KeyList, end: KeyListEnd): Answer {
  if (list.trial && names(end, list.trial)) {
    fallBack(session, list, list.trial, 'cancelled');
    return done();
  }
  if (list.armed && names(end, list.armed)) {
    // Remembered as ended, so that a late repetition of its SWITCH does nothing.
    put(session, { armed: undefined, change: list.armed.command.change, last: 'cancelled' });
    session.toolkit.clearAlarm(CLOCK);
    return done();
  }
  const before = stateName(list) === 'home' && list.last === 'cancelled' && equal(end.change, list.change);
  return refuse(before ? KEY_LIST_SW.done : KEY_LIST_SW.conditions);
}

/**
 * A challenge was answered: under `commit-on-AKA` that ends the trial. And who was sent it lives on the
 * subscription of now, with or without a reset.
 */
export function authenticated(session: Session): void {
  const { list } = session.state;
  // Where a switch leaves the keys as they are, only the reset tells whose challenge it was.
  if (list?.pairs.length === 0 && session.resetPause !== undefined) return;
  if (list?.trial && (list.trial.command.policy & COMMIT_ON_AKA) !== 0) keep(session, list, list.trial);
  else if (list?.trial && !list.trial.proven) put(session, { trial: { ...list.trial, proven: true } });
  if (session.resetPause === undefined) return;
  session.resetPause = undefined;
  session.toolkit.clearAlarm(CLOCK);
  session.toolkit.withdraw(isReset);
  watch(session);
}

/** Charges the next part of the trial and lets it run; when nothing is left, the trial is over. */
function runSlice(session: Session): void {
  const list = session.state.list!;
  const trial = list.trial!;
  if (trial.secondsLeft === 0) {
    fallBack(session, list, trial, trial.rejections > 0 ? 'rejected' : 'timeOut');
    return;
  }
  const whole = trial.command.trialSeconds;
  const slice = trial.rejections > 0 ? GRACE : Math.max(SHORTEST_SLICE, Math.ceil(whole / SLICES));
  const seconds = Math.min(slice, TIMER_LONGEST, trial.secondsLeft);
  put(session, { trial: { ...trial, secondsLeft: trial.secondsLeft - seconds } });
  session.toolkit.setAlarm(CLOCK, seconds);
}

/** The terminal has come up and said what it can do. */
export function started(session: Session): void {
  session.resetPause = undefined;
  // The answer to SWITCH left before the power went, or never will: nothing to wait for.
  if (session.state.list?.armed) session.toolkit.setAlarm(CLOCK, 1);
  watch(session);
}

/** The terminal lives on what the card holds now: the trial runs on, or what became of it is told. */
function watch(session: Session): void {
  const { list } = session.state;
  if (!list) return;
  const { toolkit } = session;
  if (list.trial || list.report !== undefined) {
    const wanted: [TerminalFacility, number][] = [['locationStatusEvent', EVENT.locationStatus]];
    if (list.trial) wanted.push(['networkRejectionEvent', EVENT.networkRejection]);
    const events = wanted.filter(([facility]) => toolkit.has(facility)).map(([, event]) => event);
    if (events.length > 0 && toolkit.has('setUpEventList')) {
      toolkit.send({ command: { type: 'setUpEventList', events } });
    }
  }
  if (list.trial) runSlice(session);
  if (session.state.list?.report !== undefined) sendReport(session);
}

/** An alarm went off. */
export function alarm(session: Session, id: number): void {
  const { list } = session.state;
  if (!list) return;
  if (id === REPORT) {
    sendReport(session);
  } else if (id === CLOCK && session.resetPause !== undefined) {
    resetOverdue(session, list);
  } else if (id === CLOCK && list.armed) {
    // In a terminal that cannot be asked for a reset it stays armed, for the next one or for a CANCEL.
    if (session.toolkit.has('refresh')) perform(session, list, list.armed.command);
  } else if (id === CLOCK && list.trial) {
    if (list.trial.rejections > 0) fallBack(session, list, list.trial, 'rejected');
    else runSlice(session);
  }
}

/** The network refused the terminal. */
export function networkRejected(session: Session, cause: number): void {
  const { list } = session.state;
  // Before the reset it is the old subscription that was refused.
  if (!list?.trial || session.resetPause !== undefined || !FATAL.has(cause)) return;
  const rejections = list.trial.rejections + 1;
  const trial = { ...list.trial, rejections };
  if (rejections >= REJECTIONS) {
    fallBack(session, list, trial, 'rejected');
    return;
  }
  put(session, { trial });
  session.toolkit.setAlarm(CLOCK, Math.min(GRACE, trial.command.trialSeconds));
}

/** The terminal's service changed. */
export function located(session: Session, status: number): void {
  const { list } = session.state;
  if (!list || status !== LOCATION_STATUS.normal) return;
  if (list.trial && list.trial.rejections > 0 && list.trial.secondsLeft > 0) {
    // Registered after all: the trial goes on.
    put(session, { trial: { ...list.trial, rejections: 0 } });
    runSlice(session);
  }
  if (list.report !== undefined) sendReport(session);
}

/** Key set 1, under which the card reports: the pair's, or the card's own. */
function reportKeys(
  { state }: Session,
  list: KeyList,
): { keys: OtaKeys; counter: number; algorithm: OtaAlgorithm } | undefined {
  if (list.pairs.length > 0) {
    const { keys, counter } = pairAt(list, list.current);
    return { keys: keys!, counter, algorithm: 'aes' };
  }
  const set = state.keySets.find(({ number }) => number === KEY_LIST_KEY_SET);
  return set && { keys: set, counter: set.counter, algorithm: set.algorithm };
}

/**
 * Tells the gateway, under the keys of the pair in use, where the card stands: a command packet to the list
 * application's own TAR with KeyListStatus as data. Again and again until the terminal has sent it.
 */
function sendReport(session: Session): void {
  const { list } = session.state;
  const { toolkit } = session;
  if (list?.report === undefined || !toolkit.has('sendShortMessage')) return;
  toolkit.clearAlarm(REPORT);
  toolkit.withdraw((job) => job.command.type === 'sendShortMessage');
  const set1 = reportKeys(session, list);
  if (!set1) return;
  const { keys, counter, algorithm } = set1;
  const set = keyByte(KEY_LIST_KEY_SET, algorithm);
  const packet = encodeCommandPacket(
    {
      security: {
        integrity: 'cc',
        ciphered: true,
        counter: 'unchecked',
        proof: 'none',
        proofIntegrity: 'none',
        proofCiphered: false,
        proofBy: 'deliverReport',
      },
      kic: set,
      kid: set,
      tar: list.pairs.length > 0 ? KEY_LIST_TAR : FALLBACK_TAR,
      counter,
      data: statusOf(list),
    },
    keys,
  );
  const [userData] = encodePacketSms('command', packet);
  const tpdu = encodeTpdu({
    type: 'submit',
    reference: 0,
    destination: international(list.report),
    pid: 0,
    dcs: DCS_CARD,
    userData: userData!,
  });
  const told = { change: list.change, last: list.last };
  toolkit.send({
    command: { type: 'sendShortMessage', tpdu },
    respond: (response) => {
      const now = session.state.list;
      if (now?.report === undefined) return;
      if (!performed(response)) {
        const pause = session.reportPause ?? REPORT_PAUSE;
        toolkit.setAlarm(REPORT, pause);
        session.reportPause = Math.min(2 * pause, REPORT_LONGEST);
      } else if (equal(now.change, told.change) && now.last === told.last) {
        put(session, { report: undefined });
      }
    },
  });
}
