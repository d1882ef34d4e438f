/** Remote commands in compact format (TS 102 226 §5.1). */
import { DecodeError, FieldError, Reader, Writer, concat } from '../bytes/index.ts';

/** Instructions whose P3 is the length of an answer: no data follows (TS 102 221 §10.1.2). */
const OUTGOING = new Set([0x12, 0x84, 0xb0, 0xb2, 0xc0, 0xca, 0xcb, 0xf2]);

/** Whether P3 is Le. 8X CB is RETRIEVE DATA with a tag to send; GET STATUS is not STATUS: see the caller. */
export const isOutgoing = (cla: number, ins: number): boolean =>
  OUTGOING.has(ins) && !((cla & 0x80) !== 0 && ins === 0xcb);

/**
 * Commands one after the other: `CLA INS P1 P2 P3` and P3 bytes of data, or none where P3 asks for an answer.
 * P3 = 0 asks for all there is. Only the last answer comes back.
 * @throws FieldError on a command that is not so formed
 */
export function encodeCompactCommands(
  commands: readonly Uint8Array[],
  outgoing: (cla: number, ins: number) => boolean = isOutgoing,
): Uint8Array {
  for (const [index, command] of commands.entries()) {
    const data = outgoing(command[0] ?? 0, command[1] ?? 0) ? 0 : (command[4] ?? 0);
    if (command.length !== 5 + data) {
      throw new FieldError(
        `command ${index + 1}`,
        `${command.length} bytes`,
        `${5 + data} bytes, as P3 says`,
      );
    }
  }
  return concat(...commands);
}

/** @throws DecodeError if the data ends inside a command */
export function decodeCompactCommands(
  data: Uint8Array,
  outgoing: (cla: number, ins: number) => boolean = isOutgoing,
): Uint8Array[] {
  const commands: Uint8Array[] = [];
  const reader = new Reader(data);
  while (reader.remaining > 0) {
    const from = reader.offset;
    const header = reader.take(5, 'remote command');
    if (!outgoing(header[0]!, header[1]!)) reader.take(header[4]!, 'remote command data');
    commands.push(data.subarray(from, reader.offset));
  }
  return commands;
}

/** What the card answers: how many commands it did, and the last one's status words and data. */
export interface CompactResponse {
  /** 0–255 */
  executed: number;
  /** SW1 SW2 */
  sw: number;
  data: Uint8Array;
}

export function encodeCompactResponse(response: CompactResponse): Uint8Array {
  if (!Number.isInteger(response.executed) || response.executed < 0 || response.executed > 255) {
    throw new FieldError('executed', String(response.executed), 'a whole number from 0 to 255');
  }
  return new Writer(3 + response.data.length)
    .u8(response.executed)
    .u16(response.sw)
    .put(response.data)
    .done();
}

/** @throws DecodeError if shorter than 3 bytes */
export function decodeCompactResponse(bytes: Uint8Array): CompactResponse {
  if (bytes.length < 3) throw new DecodeError('compact response', `${bytes.length} bytes`, 'at least 3');
  const reader = new Reader(bytes);
  return { executed: reader.u8('executed'), sw: reader.u16('SW'), data: reader.rest() };
}
