/** The card as the modem uses it: commands with all their chaining, files, and the waiting proactive command. */
import { DecodeError, FieldError } from '../../standards/bytes/index.ts';
import {
  AUTHENTICATE_P2,
  INS,
  SW,
  decodeAuthenticateResult,
  describeStatus,
  encodeChallenge,
  isSuccess,
  transceiveAsync,
  type AuthenticateResult,
  type CommandApdu,
  type ElementaryFile,
  type ResponseApdu,
} from '../../standards/uicc/index.ts';

/** Where a card sits. A rejection means that the card is gone. */
export interface CardReader {
  /** Powers the card, or resets it if it is on. @returns the answer to reset */
  powerOn(): Promise<Uint8Array>;
  powerOff(): Promise<void>;
  /** @param apdu a command APDU. @returns data, SW1, SW2 */
  transmit(apdu: Uint8Array): Promise<Uint8Array>;
}

/** The card does not answer any more. */
export class CardLost extends Error {
  constructor(why: unknown) {
    super(`card lost: ${why instanceof Error ? why.message : String(why)}`);
    this.name = 'CardLost';
  }
}

export interface Card {
  /** bytes of the proactive command that waits for FETCH; 0: none */
  waiting: number;
  reset(): Promise<void>;
  command(command: CommandApdu): Promise<ResponseApdu>;
  /** SELECT by name. @returns whether it is there */
  selectApplication(aid: Uint8Array): Promise<boolean>;
  /** What an elementary file of the current application says; undefined: not there, not readable, garbage. */
  read<T>(file: ElementaryFile<T>): Promise<T | undefined>;
  /** Records from 1 on, up to the end or `most`. */
  readRecords<T>(file: ElementaryFile<T>, most?: number): Promise<T[]>;
  /** Writes a file, or its first record, in the length it has. @returns whether it was written */
  update<T>(file: ElementaryFile<T>, value: T): Promise<boolean>;
  authenticate(
    rand: Uint8Array,
    autn: Uint8Array,
  ): Promise<AuthenticateResult | { kind: 'macFailure' } | { kind: 'error'; sw: number }>;
}

/** Something the card sent that is not as specified counts as not there. */
function tolerate<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (error instanceof FieldError) return undefined;
    throw error;
  }
}

/** @param life tells one power cycle from another: what a command of an earlier one brings is let go */
export function createCard(reader: CardReader, life: () => number): Card {
  const transmit = async (apdu: Uint8Array): Promise<Uint8Array> => {
    const mine = life();
    let answer: Uint8Array;
    try {
      answer = await reader.transmit(apdu);
    } catch (error) {
      throw new CardLost(error);
    }
    if (mine !== life()) throw new CardLost('power off');
    return answer;
  };
  const card: Card = {
    waiting: 0,
    async reset() {
      const mine = life();
      try {
        await reader.powerOn();
      } catch (error) {
        throw new CardLost(error);
      }
      if (mine !== life()) throw new CardLost('power off');
      card.waiting = 0;
    },
    async command(command) {
      let response: ResponseApdu;
      try {
        response = await transceiveAsync(transmit, command);
      } catch (error) {
        if (error instanceof DecodeError) throw new CardLost(error);
        throw error;
      }
      if (response.sw >> 8 === 0x91) card.waiting = response.sw & 0xff || 256;
      else if (response.sw === SW.ok) card.waiting = 0;
      return response;
    },
    async selectApplication(aid) {
      const { sw } = await card.command({ cla: 0, ins: INS.select, p1: 4, p2: 4, data: aid, le: 256 });
      return isSuccess(sw);
    },
    async read(file) {
      if (!(await select(file.fid))) return undefined;
      const { data, sw } = await readSelected(file, 1);
      return isSuccess(sw) ? tolerate(() => file.decode(data)) : undefined;
    },
    async readRecords<T>(file: ElementaryFile<T>, most = 254): Promise<T[]> {
      const found: T[] = [];
      if (!(await select(file.fid))) return found;
      for (let number = 1; number <= most; number++) {
        const { data, sw } = await readSelected(file, number);
        if (!isSuccess(sw)) break;
        const value = tolerate(() => ({ decoded: file.decode(data) }));
        if (value) found.push(value.decoded);
      }
      return found;
    },
    async update(file, value) {
      if (!(await select(file.fid))) return false;
      const { data: old, sw } = await readSelected(file, 1);
      if (!isSuccess(sw)) return false;
      const data = tolerate(() => file.encode(value, old.length));
      if (data === undefined) return false;
      const transparent = file.structure === 'transparent';
      const written = await card.command({
        cla: 0,
        ins: transparent ? INS.updateBinary : INS.updateRecord,
        p1: transparent ? 0 : 1,
        p2: transparent ? 0 : 4,
        data,
      });
      return isSuccess(written.sw);
    },
    async authenticate(rand, autn) {
      const data = encodeChallenge({ rand, autn });
      const command = { cla: 0, ins: INS.authenticate, p1: 0, p2: AUTHENTICATE_P2.umts, data, le: 256 };
      const response = await card.command(command);
      if (response.sw === SW.macFailure) return { kind: 'macFailure' };
      const result = isSuccess(response.sw)
        ? tolerate(() => decodeAuthenticateResult(response.data))
        : undefined;
      return result ?? { kind: 'error', sw: response.sw };
    },
  };

  async function select(fid: number): Promise<boolean> {
    const data = Uint8Array.of(fid >> 8, fid);
    const { sw } = await card.command({ cla: 0, ins: INS.select, p1: 0, p2: 4, data, le: 256 });
    return isSuccess(sw);
  }

  function readSelected<T>(file: ElementaryFile<T>, record: number): Promise<ResponseApdu> {
    return file.structure === 'transparent'
      ? card.command({ cla: 0, ins: INS.readBinary, p1: 0, p2: 0, le: 256 })
      : card.command({ cla: 0, ins: INS.readRecord, p1: record, p2: 4, le: 256 });
  }

  return card;
}

/** What a status word says, for a log. */
export const sayStatus = (sw: number): string =>
  `${sw.toString(16).padStart(4, '0')} (${describeStatus(sw)})`;
