/** A terminal for tests: talks to a card as a modem would, and sends it what an operator's gateway sends. */
import { createHash } from 'node:crypto';
import {
  createCard,
  createCardFile,
  memoryStore,
  type Card,
  type CardFile,
  type CardStore,
  type NewCardOptions,
} from '../../../src/device/uicc/index.ts';
import type { Random } from '../../../src/edge/index.ts';
import { Reader, fromHex } from '../../../src/standards/bytes/index.ts';
import {
  KEY_LIST_INS,
  KEY_LIST_TAR,
  decodeCompactResponse,
  decodePacketSms,
  decodeResponsePacket,
  encodeCommandPacket,
  encodeCompactCommands,
  encodePacketSms,
  keyByte,
  type CommandHeader,
  type CompactResponse,
  type KeyListSwitch,
  type OtaKeys,
  type ReceivedResponse,
  type SecurityParameters,
} from '../../../src/standards/ota/index.ts';
import {
  DCS_CARD,
  PID_CARD,
  encodeTpdu,
  international,
  readHeader,
  type UserData,
} from '../../../src/standards/sms/index.ts';
import {
  INS,
  USIM_AID_PREFIX,
  commandDetails,
  decodeProactiveCommand,
  encodeEnvelope,
  encodeTerminalProfile,
  encodeTerminalResponse,
  transceive,
  type CommandApdu,
  type Envelope,
  type ProactiveCommand,
  type ResponseApdu,
  type TerminalFacility,
  type TerminalResponse,
} from '../../../src/standards/uicc/index.ts';

/** Randomness that is the same each time. */
export function drawn(seed: string): Random {
  let count = 0;
  return {
    bytes(length) {
      const out = new Uint8Array(length);
      for (let at = 0; at < length; at += 32) {
        out.set(
          createHash('sha256')
            .update(`${seed} ${count++}`)
            .digest()
            .subarray(0, length - at),
          at,
        );
      }
      return out;
    },
  };
}

export const FULL: readonly TerminalFacility[] = [
  'profileDownload',
  'smsPpDownload',
  'timerExpiration',
  'moreTime',
  'pollInterval',
  'refresh',
  'sendShortMessage',
  'setUpEventList',
  'locationStatusEvent',
  'timerManagement',
  'networkRejectionEvent',
  'networkRejectionEUtran',
];

/** What a terminal answers to a proactive command; OK where nothing is said. */
export type Reaction = (command: ProactiveCommand) => Partial<TerminalResponse> | undefined;

export interface Terminal {
  readonly card: Card;
  command(
    cla: number,
    ins: number,
    p1: number,
    p2: number,
    data?: string | Uint8Array,
    le?: number,
  ): ResponseApdu;
  /** The status word alone. */
  sw(cla: number, ins: number, p1: number, p2: number, data?: string | Uint8Array, le?: number): number;
  /** Resets the card and tells it what the terminal can do. */
  boot(facilities?: readonly TerminalFacility[]): ProactiveCommand[];
  /** Fetches and answers what waits. */
  proactive(sw: number, react?: Reaction): ProactiveCommand[];
  envelope(envelope: Envelope): ResponseApdu;
  /** STATUS, with what comes of it. */
  poll(react?: Reaction): ProactiveCommand[];
  selectUsim(): void;
}

export function terminalOf(card: Card): Terminal {
  const transmit = (apdu: Uint8Array): Uint8Array => card.transmit(apdu);
  const terminal: Terminal = {
    card,
    command(cla, ins, p1, p2, data, le) {
      const bytes = typeof data === 'string' ? fromHex(data) : data;
      const command: CommandApdu = { cla, ins, p1, p2 };
      if (bytes && bytes.length > 0) command.data = bytes;
      if (le !== undefined) command.le = le;
      return transceive(transmit, command);
    },
    sw: (...words) => terminal.command(...words).sw,
    boot(facilities = FULL) {
      card.powerOn();
      return terminal.proactive(
        terminal.sw(0x80, INS.terminalProfile, 0, 0, encodeTerminalProfile(facilities)),
      );
    },
    proactive(sw, react = () => undefined) {
      const commands: ProactiveCommand[] = [];
      for (let word = sw; word >> 8 === 0x91 && commands.length < 50;) {
        const { data } = terminal.command(0x80, INS.fetch, 0, 0, undefined, word & 0xff);
        const command = decodeProactiveCommand(data);
        commands.push(command);
        const reaction = react(command);
        // A reset answers a refresh; there is no terminal response.
        if (command.type === 'refresh' && !reaction) break;
        const usual: Partial<TerminalResponse> =
          command.type === 'pollInterval' ? { interval: command.interval } : {};
        const response = encodeTerminalResponse({
          command: commandDetails(command),
          result: 0,
          ...usual,
          ...reaction,
        });
        word = terminal.sw(0x80, INS.terminalResponse, 0, 0, response);
      }
      return commands;
    },
    envelope: (envelope) => terminal.command(0x80, INS.envelope, 0, 0, encodeEnvelope(envelope)),
    poll: (react) => terminal.proactive(terminal.sw(0x80, INS.status, 0, 0x0c), react),
    selectUsim() {
      terminal.command(0x00, INS.select, 0x04, 0x0c, USIM_AID_PREFIX);
    },
  };
  return terminal;
}

/** A fresh card, powered; a mistake of the card's own is a failure of the test. */
export function freshCard(
  options: NewCardOptions = {},
  store: CardStore = memoryStore(),
  seed = 'card',
): { terminal: Terminal; file: CardFile } {
  const file = createCardFile({ imsi: '001010000000001', msisdn: '882100000001', ...options }, drawn(seed));
  const card = createCard({
    store,
    file,
    fault: (error) => {
      throw error;
    },
  });
  card.powerOn();
  return { terminal: terminalOf(card), file };
}

export const types = (commands: ProactiveCommand[]): string[] => commands.map(({ type }) => type);

/** A timer of the terminal runs out, with what comes of it. */
export const expire = (terminal: Terminal, timer = 1, react?: Reaction): ProactiveCommand[] =>
  terminal.proactive(terminal.envelope({ type: 'timerExpiration', timer, seconds: 1 }).sw, react);

/** Name of the change of `order`. */
export const CHANGE = fromHex('0102030405060708');

/** SWITCH to pair 1 on a trial of 40 minutes. */
export const order = (more: Partial<KeyListSwitch> = {}): KeyListSwitch => ({
  change: CHANGE,
  index: 1,
  imsi: '001020000000042',
  mncLength: 2,
  trialSeconds: 2400,
  delaySeconds: 5,
  policy: 0,
  serviceCentre: '88290001',
  msisdn: '882900042',
  serviceProviderName: 'Blue',
  apn: 'iot.blue',
  reportTo: '88210000',
  ...more,
});

/** The security that the gateway uses: checksum, ciphering, a rising counter, proof at once. */
export const SECURITY: SecurityParameters = {
  integrity: 'cc',
  ciphered: true,
  counter: 'higher',
  proof: 'always',
  proofIntegrity: 'cc',
  proofCiphered: true,
  proofBy: 'deliverReport',
};

export interface Gateway {
  counter: number;
  keys: OtaKeys;
  header: CommandHeader;
  /** Sends a packet with this data; the proof that came back. */
  send(terminal: Terminal, data: Uint8Array): ReceivedResponse | undefined;
  /** Sends commands of one application in compact format. */
  run(terminal: Terminal, ...commands: Uint8Array[]): CompactResponse;
  /** The short messages' TPDUs of one packet. */
  messages(data: Uint8Array): Uint8Array[];
  /** The status word of the last message, for what waits. */
  lastSw: number;
}

/** A gateway that holds the keys of one pair of the list. */
export function gatewayOf(
  file: CardFile,
  pair: number,
  tar: Uint8Array = KEY_LIST_TAR,
  security: Partial<SecurityParameters> = {},
): Gateway {
  const keys = file.keyList!.pairs[pair]!;
  const set = keyByte(1, 'aes');
  const gateway: Gateway = {
    counter: 0,
    lastSw: 0,
    keys: { kic: fromHex(keys.kic!), kid: fromHex(keys.kid!) },
    header: { security: { ...SECURITY, ...security }, kic: set, kid: set, tar },
    messages(data) {
      const packet = encodeCommandPacket({ ...gateway.header, counter: gateway.counter, data }, gateway.keys);
      return encodePacketSms('command', packet, gateway.counter & 0xff).map((userData) => deliver(userData));
    },
    send(terminal, data) {
      gateway.counter++;
      let last: ResponseApdu | undefined;
      for (const tpdu of gateway.messages(data)) {
        last = terminal.envelope({
          type: 'smsPpDownload',
          address: { tonNpi: 0x91, digits: '88210000' },
          tpdu,
        });
      }
      gateway.lastSw = last!.sw;
      return last!.data.length === 0 ? undefined : proofOf(gateway, last!.data);
    },
    run(terminal, ...commands) {
      const outgoing = (cla: number, ins: number): boolean => cla === 0x80 && ins === KEY_LIST_INS.status;
      const data = encodeCompactCommands(commands, tar === KEY_LIST_TAR ? outgoing : undefined);
      const proof = gateway.send(terminal, data);
      if (proof?.status !== 0) throw new Error(`packet refused with status ${proof?.status}`);
      return decodeCompactResponse(proof.data);
    },
  };
  return gateway;
}

/** Opens the user data of a deliver report. */
export function proofOf(gateway: Gateway, report: Uint8Array): ReceivedResponse {
  const reader = new Reader(report);
  const userData: UserData = { header: readHeader(reader), data: reader.rest() };
  return decodeResponsePacket(decodePacketSms('response', userData)!, gateway.header, gateway.keys);
}

/** An SMS-DELIVER for the card. */
export const deliver = (userData: UserData, from = '88299'): Uint8Array =>
  encodeTpdu({
    type: 'deliver',
    moreMessages: false,
    originator: international(from),
    pid: PID_CARD,
    dcs: DCS_CARD,
    timeStamp: { time: 1_795_507_200_000, zone: 0 },
    userData,
  });
