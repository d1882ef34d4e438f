/**
 * A card in a PC/SC reader, by pcscd's own client protocol over its Unix socket (pcsc-lite 1.6.1 and later,
 * winscard_msg.h, protocol 4.x): a header of size and command, then a structure; the answer is the structure
 * again, its last number the result. Numbers are in the machine's byte order.
 */
import type { Socket } from 'node:net';
import { DecodeError, FieldError } from '../../standards/bytes/index.ts';
import { decodeCommand } from '../../standards/uicc/index.ts';
import type { CardReader } from './card.ts';

/** Where pcscd listens. */
export const PCSCD_SOCKET = '/run/pcscd/pcscd.comm';

const COMMAND = {
  establishContext: 0x01,
  releaseContext: 0x02,
  connect: 0x04,
  reconnect: 0x05,
  disconnect: 0x06,
  transmit: 0x09,
  version: 0x11,
  readersState: 0x12,
} as const;

const VERSION_MAJOR = 4;
const VERSION_MINOR = 4;
const SCOPE_SYSTEM = 2;
const SHARE_EXCLUSIVE = 1;
const PROTOCOL_T0 = 1;
const PROTOCOL_T1 = 2;
const UNPOWER_CARD = 2;
const CARD_PRESENT = 0x0004;

const NAME_SIZE = 128;
const READERS = 16;
/** readerName[128], eventCounter, readerState, readerSharing, cardAtr[33], 3 of padding, cardAtrLength, cardProtocol */
const READER_STATE_SIZE = 184;
/** Most bytes an answer of a card has, extended lengths included. */
const MOST_RECEIVED = 65536 + 3 + 12;

/** What the result of a call means (pcsclite.h), those that a user can do something about. */
const ERRORS: Readonly<Record<number, string>> = {
  0x80100009: 'no such reader',
  0x8010000b: 'the reader is in use by another program',
  0x8010000c: 'no card in the reader',
  0x8010000f: 'the card speaks neither T=0 nor T=1',
  0x80100016: 'the transaction failed',
  0x80100017: 'the reader is gone',
  0x80100066: 'the card does not answer',
  0x80100067: 'the card has no power',
  0x80100068: 'the card was reset',
  0x80100069: 'the card was taken out',
  0x8010006a: 'access denied',
};

/** A reader that pcscd knows. */
export interface PcscReaderState {
  name: string;
  present: boolean;
  /** answer to reset; empty without a card */
  atr: Uint8Array;
}

export interface PcscOptions {
  /** opens a Unix socket: connectLocal of the edge */
  connect: (path: string) => Socket;
  /** default PCSCD_SOCKET */
  path?: string;
  /** by its whole name; default the first that holds a card */
  reader?: string;
}

/** A card reader, and the end of its use. */
export interface PcscCardReader extends CardReader {
  readonly name: string;
  close(): void;
}

/** Reads exactly as many bytes as asked for, in turn. */
function byteStream(socket: Socket): (length: number) => Promise<Uint8Array> {
  let held: Buffer = Buffer.alloc(0);
  let wanted: { length: number; done: (bytes: Uint8Array) => void; fail: (error: Error) => void } | undefined;
  let ended: Error | undefined;
  const give = (): void => {
    if (wanted === undefined) return;
    const { length, done, fail } = wanted;
    if (held.length >= length) {
      wanted = undefined;
      const bytes = new Uint8Array(held.subarray(0, length));
      held = held.subarray(length);
      done(bytes);
    } else if (ended) {
      wanted = undefined;
      fail(ended);
    }
  };
  socket.on('data', (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    give();
  });
  socket.on('error', (error) => {
    ended = error;
    give();
  });
  socket.on('close', () => {
    ended ??= new Error('pcscd closed the connection');
    give();
  });
  return (length) =>
    new Promise((done, fail) => {
      wanted = { length, done, fail };
      give();
    });
}

const LITTLE = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

function numbers(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length >> 2 }, (_, i) => view.getUint32(4 * i, LITTLE));
}

/** Numbers of 32 bits, and bytes between them. */
function structure(...parts: readonly (number | Uint8Array)[]): Uint8Array {
  const size = parts.reduce<number>((sum, part) => sum + (typeof part === 'number' ? 4 : part.length), 0);
  const out = new Uint8Array(size);
  const view = new DataView(out.buffer);
  let at = 0;
  for (const part of parts) {
    if (typeof part === 'number') {
      view.setUint32(at, part, LITTLE);
      at += 4;
    } else {
      out.set(part, at);
      at += part.length;
    }
  }
  return out;
}

interface Session {
  /** one structure there, the same back */
  call(command: number, body: Uint8Array, more?: Uint8Array): Promise<Uint8Array>;
  /** like call; the numbers of the answer, whose last must be 0 */
  ask(what: string, command: number, body: Uint8Array, more?: Uint8Array): Promise<number[]>;
  read(length: number): Promise<Uint8Array>;
  readers(): Promise<PcscReaderState[]>;
  close(): void;
}

function check(what: string, result: number): void {
  if (result !== 0) {
    const says = ERRORS[result] ?? `error 0x${result.toString(16)}`;
    throw new Error(`${what}: ${says}`);
  }
}

async function openSession(
  { connect, path = PCSCD_SOCKET }: PcscOptions,
  minor = VERSION_MINOR,
): Promise<Session> {
  const socket = connect(path);
  const read = byteStream(socket);
  const call: Session['call'] = async (command, body, more) => {
    socket.write(structure(body.length, command, body, ...(more ? [more] : [])));
    return read(body.length);
  };
  const session: Session = {
    call,
    async ask(what, command, body, more) {
      const answer = numbers(await call(command, body, more));
      check(what, answer.at(-1)!);
      return answer;
    },
    read,
    async readers() {
      socket.write(structure(0, COMMAND.readersState));
      const all = await read(READERS * READER_STATE_SIZE);
      return Array.from({ length: READERS }, (_, i) =>
        readerState(all.subarray(i * READER_STATE_SIZE)),
      ).filter(({ name }) => name !== '');
    },
    close: () => socket.destroy(),
  };
  let answer: number[];
  try {
    answer = numbers(await call(COMMAND.version, structure(VERSION_MAJOR, minor, 0)));
  } catch (error) {
    socket.destroy();
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(`pcscd at ${path}: ${code ?? String(error)}; is it running?`, { cause: error });
  }
  const [major, theirs, result] = answer;
  if (result === 0) return session;
  session.close();
  // Another minor version of the same protocol will do: these structures have not changed since 4.0.
  if (major === VERSION_MAJOR && theirs !== undefined && theirs !== minor && minor === VERSION_MINOR) {
    return openSession({ connect, path }, theirs);
  }
  throw new Error(`pcscd at ${path}: protocol ${major}.${theirs}, expected ${VERSION_MAJOR}.x`);
}

function readerState(bytes: Uint8Array): PcscReaderState {
  const name = bytes.subarray(0, NAME_SIZE);
  const end = name.indexOf(0);
  const [, state] = numbers(bytes.subarray(NAME_SIZE, NAME_SIZE + 12));
  const [atrLength] = numbers(bytes.subarray(176, 180));
  const present = (state! & CARD_PRESENT) !== 0;
  return {
    name: Buffer.from(name.subarray(0, end < 0 ? NAME_SIZE : end)).toString('utf8'),
    present,
    atr: present ? bytes.slice(NAME_SIZE + 12, NAME_SIZE + 12 + Math.min(atrLength!, 33)) : new Uint8Array(),
  };
}

/** The readers that pcscd knows. Rejects with one line if there is no pcscd. */
export async function listPcscReaders(options: Omit<PcscOptions, 'reader'>): Promise<PcscReaderState[]> {
  const session = await openSession(options);
  try {
    return await session.readers();
  } finally {
    session.close();
  }
}

/**
 * Takes a reader for oneself. The card is powered by powerOn.
 * Rejects with one line: no pcscd, no such reader, no card.
 */
export async function openPcscReader(options: PcscOptions): Promise<PcscCardReader> {
  const session = await openSession(options);
  try {
    const readers = await session.readers();
    const found =
      options.reader === undefined
        ? readers.find(({ present }) => present)
        : readers.find(({ name }) => name === options.reader);
    if (found === undefined) {
      const names = readers.map(({ name }) => JSON.stringify(name)).join(', ') || 'none';
      throw new FieldError(
        'reader',
        options.reader === undefined ? 'none with a card' : JSON.stringify(options.reader),
        `one of pcscd's readers: ${names}`,
      );
    }
    const [, context] = await session.ask(
      'PC/SC context',
      COMMAND.establishContext,
      structure(SCOPE_SYSTEM, 0, 0),
    );
    return cardReader(session, found.name, context!);
  } catch (error) {
    session.close();
    throw error;
  }
}

function cardReader(session: Session, name: string, context: number): PcscCardReader {
  const field = new Uint8Array(NAME_SIZE);
  field.set(Buffer.from(name, 'utf8').subarray(0, NAME_SIZE - 1));
  let card: { handle: number; protocol: number } | undefined;

  /** T=0 has no case 4: the length expected is asked for by GET RESPONSE (ISO/IEC 7816-3 §12.2.5). */
  function forProtocol(apdu: Uint8Array): Uint8Array {
    if (card?.protocol !== PROTOCOL_T0) return apdu;
    try {
      const { data, le, extended } = decodeCommand(apdu);
      return data && le !== undefined && !extended ? apdu.subarray(0, -1) : apdu;
    } catch (error) {
      if (error instanceof DecodeError) return apdu;
      throw error;
    }
  }

  return {
    name,
    async powerOn() {
      const protocols = PROTOCOL_T0 | PROTOCOL_T1;
      if (card === undefined) {
        const body = structure(context, field, SHARE_EXCLUSIVE, protocols, 0, 0, 0);
        const answer = await session.ask(name, COMMAND.connect, body);
        card = { handle: answer.at(-3)!, protocol: answer.at(-2)! };
      }
      // A cold reset, whoever used the card before.
      const body = structure(card.handle, SHARE_EXCLUSIVE, protocols, UNPOWER_CARD, 0, 0);
      const answer = await session.ask(name, COMMAND.reconnect, body);
      card.protocol = answer[4]!;
      const state = (await session.readers()).find((reader) => reader.name === name);
      return state?.atr ?? new Uint8Array();
    },
    async powerOff() {
      if (card === undefined) return;
      const { handle } = card;
      card = undefined;
      await session.call(COMMAND.disconnect, structure(handle, UNPOWER_CARD, 0));
    },
    async transmit(apdu) {
      if (card === undefined) throw new Error(`${name}: the card has no power`);
      const sent = forProtocol(apdu);
      const { handle, protocol } = card;
      const body = structure(handle, protocol, 8, sent.length, protocol, 8, MOST_RECEIVED, 0);
      const answer = await session.ask(name, COMMAND.transmit, body, sent);
      const length = answer[6]!;
      if (length > MOST_RECEIVED) throw new Error(`${name}: an answer of ${length} bytes`);
      return session.read(length);
    },
    close: () => session.close(),
  };
}
