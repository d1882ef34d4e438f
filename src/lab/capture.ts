/**
 * The capture: every message as received, in IPv4 frames of a pcapng file (draft-ietf-opsawg-pcapng), one
 * address per role and the registered ports, whatever the real ports were. Written by the lab, not sniffed.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import type { Clock } from '../edge/index.ts';
import { FieldError } from '../standards/bytes/index.ts';
import type { WireEnd } from './wires.ts';

/** LINKTYPE_IPV4 */
const LINK_TYPE_IPV4 = 228;
/** Largest TCP segment the capture writes, in bytes. */
const SEGMENT = 32_000;
/** Longest message that is waited for, in bytes. */
const MOST = 1 << 20;
/** Bytes and frames gathered before they are written to the file: what a killed process takes with it. */
const BUFFER = 1 << 20;
const FRAMES = 100;

/** Ends by which a process can still write down what it gathered. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

const SECTION_HEADER = 0x0a0d0d0a;
const BYTE_ORDER = 0x1a2b3c4d;

const OPT_END = 0;
const OPT_COMMENT = 1;

/** Streams whose messages the capture can tell apart. */
export type CapturedStream = 'diameter' | 'smpp' | 'gsup';

/** How long the message is at the front of a stream of at least 4 bytes, as it says itself. */
function saidLength(service: CapturedStream, bytes: Buffer): number {
  switch (service) {
    case 'diameter':
      // version, then 3 bytes of length
      return bytes.readUIntBE(1, 3);
    case 'smpp':
      return bytes.readUInt32BE(0);
    case 'gsup':
      // IPA: the length of what follows the header of 3 bytes
      return 3 + bytes.readUInt16BE(0);
  }
}

export interface Capture {
  udp(from: WireEnd, to: WireEnd, payload: Uint8Array, comment?: string): void;
  /** A chunk of a TCP stream: each message that is whole now becomes a frame, in sequence. */
  tcp(service: CapturedStream, from: WireEnd, to: WireEnd, chunk: Uint8Array): void;
  close(): void;
}

function padded(length: number): number {
  return (length + 3) & ~3;
}

function block(type: number, body: Buffer): Buffer {
  const length = 12 + padded(body.length);
  const out = Buffer.alloc(length);
  out.writeUInt32LE(type, 0);
  out.writeUInt32LE(length, 4);
  body.copy(out, 8);
  out.writeUInt32LE(length, length - 4);
  return out;
}

/** RFC 1071 */
function checksum(bytes: Uint8Array, start: number): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function ipv4(address: string): Buffer {
  return Buffer.from(address.split('.').map(Number));
}

/** Where the last whole block ends of a file as the lab writes it, in bytes; undefined if it is none. */
function endOfBlocks(file: number): number | undefined {
  const { size } = fstatSync(file);
  const head = Buffer.alloc(12);
  let end = 0;
  while (end + 12 <= size) {
    readSync(file, head, 0, 12, end);
    const length = head.readUInt32LE(4);
    if (end === 0 && (head.readUInt32LE(0) !== SECTION_HEADER || head.readUInt32LE(8) !== BYTE_ORDER)) {
      return undefined;
    }
    if (length < 12 || length % 4 !== 0 || end + length > size) break;
    end += length;
  }
  // An empty file is none yet.
  return end === 0 && size > 0 ? undefined : end;
}

/** @param append whether what is there stays: a section of its own comes after it */
function createFile(path: string, append: boolean): number {
  let file: number | undefined;
  try {
    file = openSync(path, append ? 'a+' : 'w');
    if (!append) return file;
    const end = endOfBlocks(file);
    if (end === undefined) throw new FieldError('--pcap', path, 'a capture (pcapng) to go on with');
    // A block that was cut off would hide all that comes after it.
    ftruncateSync(file, end);
    return file;
  } catch (error) {
    if (file !== undefined) closeSync(file);
    if (error instanceof FieldError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw new FieldError('--pcap', path, `a file that can be written (${code ?? String(error)})`);
  }
}

/**
 * Opens `path` for writing at once, so that a wrong path is known before anything runs.
 * @param append goes on with the capture that is there, if there is one, in a section of its own
 * @throws FieldError if it cannot be written, or if what is there is no pcapng
 */
export function openCapture(path: string, clock: Clock, append = false): Capture {
  const file = createFile(path, append);
  let pending: Buffer[] = [];
  let size = 0;
  let identification = 0;
  const sequence = new Map<string, number>();
  /** by direction of a connection: the beginning of a message that is not whole yet */
  const unfinished = new Map<string, Buffer>();
  const flush = (): void => {
    if (size > 0) writeSync(file, Buffer.concat(pending));
    pending = [];
    size = 0;
  };
  const write = (bytes: Buffer): void => {
    pending.push(bytes);
    size += bytes.length;
    if (size > BUFFER || pending.length >= FRAMES) flush();
  };
  const frame = (
    protocol: number,
    from: WireEnd,
    to: WireEnd,
    segment: Buffer,
    at: number,
    comment?: string,
  ): void => {
    const pseudo = Buffer.concat([ipv4(from.address), ipv4(to.address), Buffer.from([0, protocol, 0, 0])]);
    pseudo.writeUInt16BE(segment.length, 10);
    let sum = 0;
    for (let i = 0; i < 12; i += 2) sum += pseudo.readUInt16BE(i);
    segment.writeUInt16BE(checksum(segment, sum) || 0xffff, at);
    const header = Buffer.alloc(20);
    header[0] = 0x45;
    header.writeUInt16BE(20 + segment.length, 2);
    header.writeUInt16BE(identification++ & 0xffff, 4);
    header[8] = 64;
    header[9] = protocol;
    pseudo.copy(header, 12, 0, 8);
    header.writeUInt16BE(checksum(header, 0), 10);

    const length = header.length + segment.length;
    const text = comment ? Buffer.from(comment, 'utf8') : undefined;
    const body = Buffer.alloc(20 + padded(length) + (text ? 8 + padded(text.length) : 0));
    const microseconds = BigInt(Math.round(clock.now() * 1000));
    body.writeUInt32LE(Number(microseconds >> 32n), 4);
    body.writeUInt32LE(Number(microseconds & 0xffffffffn), 8);
    body.writeUInt32LE(length, 12);
    body.writeUInt32LE(length, 16);
    header.copy(body, 20);
    segment.copy(body, 40);
    if (text) {
      const options = 20 + padded(length);
      body.writeUInt16LE(OPT_COMMENT, options);
      body.writeUInt16LE(text.length, options + 2);
      text.copy(body, options + 4);
      body.writeUInt16LE(OPT_END, options + 4 + padded(text.length));
    }
    write(block(6, body));
  };

  /** One message, in as many TCP segments as it takes. */
  const segment = (there: string, back: string, from: WireEnd, to: WireEnd, message: Buffer): void => {
    for (let offset = 0; offset < message.length; offset += SEGMENT) {
      const part = message.subarray(offset, offset + SEGMENT);
      const seq = sequence.get(there) ?? 1;
      sequence.set(there, (seq + part.length) >>> 0);
      const bytes = Buffer.alloc(20 + part.length);
      bytes.writeUInt16BE(from.port, 0);
      bytes.writeUInt16BE(to.port, 2);
      bytes.writeUInt32BE(seq, 4);
      bytes.writeUInt32BE(sequence.get(back) ?? 1, 8);
      bytes[12] = 5 << 4;
      // PSH, ACK
      bytes[13] = 0x18;
      bytes.writeUInt16BE(0xffff, 14);
      bytes.set(part, 20);
      frame(6, from, to, bytes, 16);
    }
  };

  const section = Buffer.alloc(16);
  section.writeUInt32LE(BYTE_ORDER, 0);
  section.writeUInt16LE(1, 4);
  section.writeBigInt64LE(-1n, 8);
  write(block(SECTION_HEADER, section));
  const device = Buffer.alloc(8);
  device.writeUInt16LE(LINK_TYPE_IPV4, 0);
  write(block(1, device));
  flush();

  const atExit = (): void => {
    try {
      flush();
    } catch {
      // The process ends anyway.
    }
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    atExit();
    stopListening();
    // What the signal does to a process that does not listen, or what others who listen do.
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  };
  const stopListening = (): void => {
    process.off('exit', atExit);
    for (const signal of SIGNALS) process.off(signal, onSignal);
  };
  process.on('exit', atExit);
  for (const signal of SIGNALS) process.on(signal, onSignal);

  return {
    udp(from, to, payload, comment) {
      const segment = Buffer.alloc(8 + payload.length);
      segment.writeUInt16BE(from.port, 0);
      segment.writeUInt16BE(to.port, 2);
      segment.writeUInt16BE(segment.length, 4);
      segment.set(payload, 8);
      frame(17, from, to, segment, 6, comment);
    },
    tcp(service, from, to, chunk) {
      const there = `${from.address}:${from.port}>${to.address}:${to.port}`;
      const back = `${to.address}:${to.port}>${from.address}:${from.port}`;
      let bytes = Buffer.concat([unfinished.get(there) ?? Buffer.alloc(0), chunk]);
      while (bytes.length >= 4) {
        // What cannot be a message goes out as it is.
        const said = saidLength(service, bytes);
        const length = said < 4 || said > MOST ? bytes.length : said;
        if (bytes.length < length) break;
        segment(there, back, from, to, bytes.subarray(0, length));
        bytes = bytes.subarray(length);
      }
      unfinished.set(there, bytes);
    },
    close() {
      stopListening();
      flush();
      closeSync(file);
    },
  };
}
