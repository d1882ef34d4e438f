/**
 * The card's side of the toolkit: proactive commands in a queue, one at a time, and alarms, which run on the
 * terminal's timers, or where it has none on its polling. All of it is gone with power.
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
  seconds: number;
  /** counted down by STATUS, not by a timer of the terminal */
  polled: boolean;
}

export class Toolkit {
  /** what the terminal can do; undefined before TERMINAL PROFILE */
  facilities: ReadonlySet<TerminalFacility> | undefined;
  #queue: Job[] = [];
  #postponed: Job[] = [];
  #waiting: { job: Job; bytes: Uint8Array; number: number } | undefined;
  #running: { job: Job; number: number } | undefined;
  #number = 0;
  #alarms = new Map<number, Alarm>();
  #pollSeconds = USUAL_POLL;
  #polling = false;

  /** Begins anew with what the terminal can do. */
  begin(profile: Uint8Array): void {
    this.facilities = decodeTerminalProfile(profile);
    this.#queue = [];
    this.#postponed = [];
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

  /** Puts a job aside until the terminal polls or reports something. */
  postpone(job: Job): void {
    this.#postponed.push(job);
  }

  /** Takes back what was not fetched yet. */
  withdraw(which: (job: Job) => boolean): void {
    this.#queue = this.#queue.filter((job) => !which(job));
    if (this.#waiting && which(this.#waiting.job)) this.#waiting = undefined;
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
    this.#running = { job: waiting.job, number: waiting.number };
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
    this.#alarms.set(id, { seconds, polled: !timers });
    this.withdraw((job) => job.command.type === 'timerManagement' && job.command.timer === id);
    if (timers) {
      this.send({
        command: { type: 'timerManagement', timer: id, action: 'start', seconds },
        respond: (response) => {
          const alarm = this.#alarms.get(id);
          if (!performed(response) && alarm?.seconds === seconds) {
            alarm.polled = true;
            this.#poll();
          }
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
    if (!alarm.polled) this.send({ command: { type: 'timerManagement', timer: id, action: 'deactivate' } });
  }

  /** Lets all alarms go without a word to the terminal, which a reset will make forget them. */
  forgetAlarms(): void {
    this.#alarms.clear();
    this.withdraw((job) => job.command.type === 'timerManagement');
  }

  /** A timer of the terminal ran out. @returns whether it was one that we set */
  expired(id: number): boolean {
    this.#resume();
    const alarm = this.#alarms.get(id);
    if (!alarm || alarm.polled) return false;
    this.#alarms.delete(id);
    return true;
  }

  /** The terminal polled. @returns the alarms that are due by its polling */
  polled(): number[] {
    this.#resume();
    const due: number[] = [];
    for (const [id, alarm] of this.#alarms) {
      if (!alarm.polled) continue;
      alarm.seconds -= this.#pollSeconds;
      if (alarm.seconds <= 0) due.push(id);
    }
    for (const id of due) this.#alarms.delete(id);
    return due;
  }

  #resume(): void {
    this.#queue.push(...this.#postponed.splice(0));
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
