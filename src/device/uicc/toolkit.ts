/**
 * The card's side of the toolkit: proactive commands in a queue, one at a time, and alarms, which run on the
 * terminal's timers, or where it has none, or does not say that one runs, on its polling. All of it is gone
 * with power.
 */
import { FieldError } from '../../standards/bytes/index.ts';
import {
  SW,
  decodeTerminalProfile,
  decodeTerminalResponse,
  durationSeconds,
  encodeProactiveCommand,
  type CommandApdu,
  type ProactiveCommand,
  type TerminalFacility,
  type TerminalResponse,
} from '../../standards/uicc/index.ts';
import { done, refuse, type Answer } from './answer.ts';

/** Seconds between two STATUS commands of a terminal that did not say otherwise (TS 102 221 §14.5.2). */
const USUAL_POLL = 30;
/** Seconds, as far as the card hears of time, after which no response to a command is waited for any more. */
const PATIENCE = 600;

/** A proactive command to be sent, and what to do with its response (undefined: one that cannot be read). */
export interface Job {
  command: Unnumbered<ProactiveCommand>;
  respond?: (response: TerminalResponse | undefined) => void;
}
type Unnumbered<Command> = Command extends { number: number } ? Omit<Command, 'number'> : never;

/** Whether the terminal says that it did what was asked. */
export const performed = (response: TerminalResponse | undefined): boolean =>
  response !== undefined && response.result < 0x10;

interface Alarm {
  /** in all, and left where polling counts them */
  seconds: number;
  left: number;
  /** the terminal's timer: none, asked for and perhaps running, or running, in which case polling does not count */
  timer: 'none' | 'asked' | 'runs';
}

export class Toolkit {
  /** what the terminal can do; undefined before TERMINAL PROFILE */
  facilities: ReadonlySet<TerminalFacility> | undefined;
  #queue: Job[] = [];
  #waiting: { job: Job; bytes: Uint8Array; number: number } | undefined;
  /** `age`: seconds, as far as the card heard of them */
  #running: { job: Job; number: number; age: number } | undefined;
  #number = 0;
  #alarms = new Map<number, Alarm>();
  #pollSeconds = USUAL_POLL;
  #polling = false;

  /** Begins anew with what the terminal can do. */
  begin(profile: Uint8Array): void {
    this.facilities = decodeTerminalProfile(profile);
    this.#queue = [];
    this.#waiting = undefined;
    this.#running = undefined;
    this.#alarms.clear();
    this.#pollSeconds = USUAL_POLL;
    this.#polling = false;
  }

  has(facility: TerminalFacility): boolean {
    return this.facilities?.has(facility) ?? false;
  }

  send(job: Job): void {
    this.#queue.push(job);
  }

  /** Takes back what was not fetched yet. */
  withdraw(which: (job: Job) => boolean): void {
    this.#queue = this.#queue.filter((job) => !which(job));
    if (this.#waiting && which(this.#waiting.job)) this.#waiting = undefined;
  }

  /** Whether such a job waits to be fetched. */
  holds(which: (job: Job) => boolean): boolean {
    return this.#queue.some(which) || (this.#waiting !== undefined && which(this.#waiting.job));
  }

  /** Stops waiting for the response to what was fetched: one that comes later is refused. */
  giveUp(which: (job: Job) => boolean): void {
    const running = this.#running;
    if (!running || !which(running.job)) return;
    this.#running = undefined;
    running.job.respond?.(undefined);
  }

  /** Bytes of the command that waits for FETCH; 0: none, or the terminal is not ready for one. */
  get waiting(): number {
    if (!this.facilities || this.#running) return 0;
    if (!this.#waiting) {
      // A refresh ends all that came before it: last.
      const first = this.#queue.findIndex((job) => job.command.type !== 'refresh');
      const [job] = this.#queue.splice(Math.max(first, 0), 1);
      if (!job) return 0;
      this.#number = (this.#number % 254) + 1;
      const bytes = encodeProactiveCommand({ ...job.command, number: this.#number } as ProactiveCommand);
      this.#waiting = { job, bytes, number: this.#number };
    }
    return this.#waiting.bytes.length;
  }

  /** FETCH (TS 102 221 §11.2.3). */
  fetch(command: CommandApdu): Answer {
    const { p1, p2, data, le } = command;
    if (p1 !== 0 || p2 !== 0) return refuse(SW.wrongP1P2);
    if (data) return refuse(SW.wrongLength);
    const length = this.waiting;
    const waiting = this.#waiting;
    if (length === 0 || !waiting) return refuse(SW.conditions);
    if (le !== undefined && le !== length) return refuse(SW.wrongLe | (length & 0xff));
    this.#running = { job: waiting.job, number: waiting.number, age: 0 };
    this.#waiting = undefined;
    return done(waiting.bytes);
  }

  /** TERMINAL RESPONSE (§11.2.4). */
  respond(command: CommandApdu): Answer {
    const running = this.#running;
    if (!running) return refuse(SW.conditions);
    let response: TerminalResponse | undefined;
    try {
      response = decodeTerminalResponse(command.data ?? new Uint8Array());
    } catch (error) {
      if (!(error instanceof FieldError)) throw error;
    }
    if (response && response.command.number !== running.number) return refuse(SW.wrongData);
    this.#running = undefined;
    running.job.respond?.(response);
    return done();
  }

  /** Sets alarm 1–8, in place of any that runs under that number. */
  setAlarm(id: number, seconds: number): void {
    const timers = this.has('timerManagement') && this.has('timerExpiration');
    const alarm: Alarm = { seconds, left: seconds, timer: timers ? 'asked' : 'none' };
    this.#alarms.set(id, alarm);
    this.withdraw((job) => job.command.type === 'timerManagement' && job.command.timer === id);
    if (timers) {
      this.send({
        command: { type: 'timerManagement', timer: id, action: 'start', seconds },
        respond: (response) => {
          if (this.#alarms.get(id) !== alarm) return;
          alarm.timer = performed(response) ? 'runs' : 'none';
          if (alarm.timer === 'none') this.#poll();
        },
      });
    } else {
      this.#poll();
    }
  }

  clearAlarm(id: number): void {
    const alarm = this.#alarms.get(id);
    if (!alarm) return;
    this.#alarms.delete(id);
    this.withdraw((job) => job.command.type === 'timerManagement' && job.command.timer === id);
    if (alarm.timer !== 'none')
      this.send({ command: { type: 'timerManagement', timer: id, action: 'deactivate' } });
  }

  /** Lets all alarms go without a word to the terminal, which a reset will make forget them. */
  forgetAlarms(): void {
    this.#alarms.clear();
    this.withdraw((job) => job.command.type === 'timerManagement');
  }

  /** A timer of the terminal ran out. @returns whether it was one that we set */
  expired(id: number): boolean {
    const alarm = this.#alarms.get(id);
    if (!alarm || alarm.timer === 'none') return false;
    this.#alarms.delete(id);
    this.#age(alarm.seconds);
    return true;
  }

  /** The terminal polled. @returns the alarms that are due by its polling */
  polled(): number[] {
    const due: number[] = [];
    for (const [id, alarm] of this.#alarms) {
      // A timer that was never confirmed may not run.
      if (alarm.timer === 'runs') continue;
      alarm.left -= this.#pollSeconds;
      if (alarm.left <= 0) due.push(id);
    }
    for (const id of due) this.#alarms.delete(id);
    this.#age(this.#pollSeconds);
    return due;
  }

  /** A terminal that never answers must not keep all that comes after from being asked. */
  #age(seconds: number): void {
    const running = this.#running;
    if (!running) return;
    running.age += seconds;
    if (running.age >= PATIENCE) this.giveUp(() => true);
  }

  #poll(): void {
    if (this.#polling || !this.has('pollInterval')) return;
    this.#polling = true;
    this.send({
      command: { type: 'pollInterval', interval: { unit: 'seconds', value: USUAL_POLL } },
      respond: (response) => {
        if (performed(response) && response?.interval) {
          this.#pollSeconds = durationSeconds(response.interval);
        }
      },
    });
  }
}
