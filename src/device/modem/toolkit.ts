/** The card application toolkit in the modem (TS 102 223, TS 31.111): what the card asks for, what it is told. */
import type { Clock } from '../../edge/index.ts';
import { DecodeError, encodeBcd } from '../../standards/bytes/index.ts';
import {
  ACCESS_TECHNOLOGY,
  EVENT,
  INS,
  LOCAL_INFORMATION,
  REFRESH,
  RESULT,
  SW,
  commandDetails,
  decodeProactiveCommand,
  durationSeconds,
  encodeEnvelope,
  encodeTerminalProfile,
  encodeTerminalResponse,
  isSuccess,
  type Area,
  type DiallingNumber,
  type Duration,
  type Envelope,
  type NetworkRejection,
  type ProactiveCommand,
  type ResponseApdu,
  type TerminalFacility,
  type TerminalResponse,
} from '../../standards/uicc/index.ts';
import type { Card } from './card.ts';
import type { MoResult } from './sms.ts';
import type { Timers } from './timers.ts';

export interface ToolkitWorld {
  card: Card;
  clock: Clock;
  timers: Timers;
  /** what timers are multiplied with */
  scale: number;
  /** 15 digits */
  imei: string;
  /** where the device is served; undefined: nowhere */
  location(): Area | undefined;
  /** whether a message of the card's can leave, now or in a moment */
  canSend(): boolean;
  serviceCentre(): DiallingNumber | undefined;
  submit(serviceCentre: DiallingNumber, tpdu: Uint8Array, done: (result: MoResult) => Promise<void>): void;
  /** REFRESH; resolves when the device stands as the card wants it */
  refresh(mode: number): Promise<void>;
}

export interface Toolkit {
  /** TERMINAL PROFILE */
  begin(): Promise<void>;
  /** Fetches and carries out what waits on the card. */
  serve(): Promise<void>;
  /** SMS-PP DOWNLOAD at once; its answer is the card's to the network. */
  download(serviceCentre: DiallingNumber, tpdu: Uint8Array): Promise<ResponseApdu>;
  /** Event download, if the card wants to know. */
  locationStatus(status: number): Promise<void>;
  networkRejection(rejection: NetworkRejection): Promise<void>;
  /** The card was reset: timers, events and polling are off (TS 102 223 §6.4.7, §6.4.16, §6.4.21). */
  reset(): void;
}

const FACILITIES: readonly TerminalFacility[] = [
  'profileDownload',
  'smsPpDownload',
  'timerExpiration',
  'commandResult',
  'moreTime',
  'pollInterval',
  'pollingOff',
  'refresh',
  'sendShortMessage',
  'provideLocalInformation',
  'setUpEventList',
  'locationStatusEvent',
  'timerManagement',
  'timerCurrentValue',
  'networkRejectionEvent',
  'networkRejectionEUtran',
];

/** Proactive commands in a row before other work gets its turn; a card that never ends is not served for ever. */
const MOST_IN_A_ROW = 50;
/** Envelopes that wait for a busy card. */
const MOST_WAITING = 16;
/** No service (TS 102 223 §8.12.2: additional information for "unable to process"). */
const NO_SERVICE = 0x04;

type Answer = Omit<TerminalResponse, 'command'>;

export function createToolkit(world: ToolkitWorld): Toolkit {
  const { card, timers } = world;
  let events = new Set<number>();
  const cardTimers = new Map<number, { started: number; seconds: number }>();
  /** a command of the card's is being carried out and not yet responded to */
  let busy = false;
  let waiting: Envelope[] = [];
  /** grows with each reset, so that what belongs to an earlier session is let go */
  let session = 0;

  async function respond(command: ProactiveCommand, answer: Answer): Promise<void> {
    busy = false;
    const data = encodeTerminalResponse({ command: commandDetails(command), ...answer });
    await card.command({ cla: 0x80, ins: INS.terminalResponse, p1: 0, p2: 0, data });
  }

  function elapsed(started: number): number {
    return Math.floor((world.clock.now() - started) / (1000 * world.scale));
  }

  function timer(command: ProactiveCommand & { type: 'timerManagement' }): Answer {
    const { timer: id, action } = command;
    const running = cardTimers.get(id);
    const left = running && Math.max(0, running.seconds - elapsed(running.started));
    if (action === 'start') {
      const seconds = command.seconds!;
      cardTimers.set(id, { started: world.clock.now(), seconds });
      timers.start(`card ${id}`, seconds * 1000, async () => {
        cardTimers.delete(id);
        await tell({ type: 'timerExpiration', timer: id, seconds });
      });
      return { result: RESULT.ok, timer: id };
    }
    if (left === undefined) return { result: RESULT.timerContradiction, timer: id };
    if (action === 'deactivate') {
      cardTimers.delete(id);
      timers.stop(`card ${id}`);
    }
    return { result: RESULT.ok, timer: id, seconds: left };
  }

  function poll(interval: Duration): void {
    timers.start('poll', durationSeconds(interval) * 1000, async () => {
      poll(interval);
      if (!busy) await card.command({ cla: 0x80, ins: INS.status, p1: 0, p2: 0x0c });
    });
  }

  function localInformation(what: number): Answer {
    switch (what) {
      case LOCAL_INFORMATION.location: {
        const location = world.location();
        return location
          ? { result: RESULT.ok, location }
          : { result: RESULT.terminalUnable, additional: Uint8Array.of(NO_SERVICE) };
      }
      case LOCAL_INFORMATION.imei:
        return { result: RESULT.ok, imei: world.imei };
      case LOCAL_INFORMATION.imeisv:
        return { result: RESULT.ok, imeisv: `${world.imei.slice(0, 14)}01` };
      case LOCAL_INFORMATION.accessTechnology:
        return { result: RESULT.ok, accessTechnology: ACCESS_TECHNOLOGY.eUtran };
      case LOCAL_INFORMATION.dateTime: {
        const now = new Date(world.clock.now()).toISOString();
        // Swapped digits: year to second, then the time zone: UTC.
        const digits = now.slice(2, 19).replace(/[^0-9]/g, '');
        return { result: RESULT.ok, dateTime: Uint8Array.of(...encodeBcd(digits), 0) };
      }
      default:
        return { result: RESULT.beyondCapabilities };
    }
  }

  function sendShortMessage(command: ProactiveCommand & { type: 'sendShortMessage' }): Answer | undefined {
    const serviceCentre = command.address ?? world.serviceCentre();
    if (command.packing) return { result: RESULT.beyondCapabilities };
    if (serviceCentre === undefined) return { result: RESULT.valuesMissing };
    if (!world.canSend()) return { result: RESULT.terminalUnable, additional: Uint8Array.of(NO_SERVICE) };
    const mine = session;
    world.submit(serviceCentre, Uint8Array.from(command.tpdu), async (result) => {
      if (mine !== session) return;
      await respond(
        command,
        result.kind === 'delivered'
          ? { result: RESULT.ok }
          : result.kind === 'rpError'
            ? { result: RESULT.smsRpError, additional: Uint8Array.of(result.cause) }
            : { result: RESULT.networkUnable, additional: Uint8Array.of(0) },
      );
    });
    return undefined;
  }

  /** @returns the answer, or undefined when it comes later or none is due */
  async function carryOut(command: ProactiveCommand): Promise<Answer | undefined> {
    if (command.extra?.some(({ required }) => required)) return { result: RESULT.dataNotUnderstood };
    switch (command.type) {
      case 'refresh': {
        const mine = session;
        await world.refresh(command.mode);
        // After a reset of the card nobody waits for a response (TS 102 223 §6.4.7).
        return command.mode === REFRESH.uiccReset || mine !== session ? undefined : { result: RESULT.ok };
      }
      case 'timerManagement':
        return timer(command);
      case 'pollInterval':
        poll(command.interval);
        return { result: RESULT.ok, interval: command.interval };
      case 'pollingOff':
        timers.stop('poll');
        return { result: RESULT.ok };
      case 'setUpEventList':
        events = new Set(command.events);
        return { result: RESULT.ok };
      case 'sendShortMessage':
        return sendShortMessage(command);
      case 'provideLocalInformation':
        return localInformation(command.what);
      case 'moreTime':
        return { result: RESULT.ok };
      case 'displayText':
      case 'other':
        return { result: RESULT.beyondCapabilities };
    }
  }

  async function serveOne(): Promise<void> {
    const { data, sw } = await card.command({ cla: 0x80, ins: INS.fetch, p1: 0, p2: 0, le: card.waiting });
    card.waiting = 0;
    if (!isSuccess(sw)) return;
    let command: ProactiveCommand;
    try {
      command = decodeProactiveCommand(data);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      // Its details, if they stand where they must: D0, length, 01 or 81, 03.
      const at = data[1] === 0x81 ? 3 : 2;
      if ((data[at]! & 0x7f) !== 1 || data[at + 1] !== 3 || data.length < at + 5) return;
      const details = { number: data[at + 2]!, type: data[at + 3]!, qualifier: data[at + 4]! };
      const response = encodeTerminalResponse({ command: details, result: RESULT.dataNotUnderstood });
      await card.command({ cla: 0x80, ins: INS.terminalResponse, p1: 0, p2: 0, data: response });
      return;
    }
    busy = true;
    const mine = session;
    const answer = await carryOut(command);
    if (answer !== undefined) await respond(command, answer);
    else if (mine === session && command.type === 'refresh') busy = false;
  }

  async function flush(): Promise<void> {
    while (!busy && card.waiting === 0 && waiting.length > 0) await deliver(waiting.shift()!);
  }

  /** @returns false if the card is busy, and the envelope waits */
  async function deliver(envelope: Envelope): Promise<void> {
    const { sw } = await card.command(command(envelope));
    if (sw === SW.toolkitBusy && waiting.length < MOST_WAITING) {
      waiting.unshift(envelope);
      // Again when the card has been served, at the latest in a while.
      timers.start('busy card', 1000, flush);
    }
  }

  const command = (envelope: Envelope) =>
    ({ cla: 0x80, ins: INS.envelope, p1: 0, p2: 0, data: encodeEnvelope(envelope), le: 256 }) as const;

  async function tell(envelope: Envelope): Promise<void> {
    if (waiting.length >= MOST_WAITING) waiting.shift();
    waiting.push(envelope);
    await flush();
  }

  return {
    async begin() {
      const data = encodeTerminalProfile(FACILITIES);
      await card.command({ cla: 0x80, ins: INS.terminalProfile, p1: 0, p2: 0, data });
    },
    async serve() {
      for (let i = 0; i < MOST_IN_A_ROW; i++) {
        if (!busy && card.waiting > 0) await serveOne();
        else if (!busy && waiting.length > 0 && !timers.running('busy card')) await flush();
        else return;
      }
      // More another time.
      timers.start('busy card', 1000, () => undefined);
    },
    download: (serviceCentre, tpdu) =>
      card.command(command({ type: 'smsPpDownload', address: serviceCentre, tpdu })),
    async locationStatus(status) {
      if (!events.has(EVENT.locationStatus)) return;
      const location = world.location();
      await tell({ type: 'locationStatus', status, ...(location && { location }) });
    },
    async networkRejection(rejection) {
      if (events.has(EVENT.networkRejection)) await tell({ type: 'networkRejection', ...rejection });
    },
    reset() {
      session++;
      busy = false;
      events = new Set();
      cardTimers.clear();
      waiting = [];
      timers.stopAll();
    },
  };
}
