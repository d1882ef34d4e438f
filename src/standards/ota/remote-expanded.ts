/** Remote commands in expanded format (TS 102 226 §5.2). */
import { DecodeError, FieldError, Reader, Writer } from '../bytes/index.ts';

export type ExpandedCommand =
  /** a whole C-APDU, with Le where there is one */
  | { type: 'apdu'; apdu: Uint8Array }
  | { type: 'immediateAction' | 'errorAction' | 'scriptChaining'; value: Uint8Array };

export type ExpandedAnswer =
  | { type: 'apdu'; data: Uint8Array; sw: number }
  /** 1 unknown tag · 2 wrong length · 3 length not found */
  | { type: 'badFormat'; reason: number }
  | { type: 'immediateAction' | 'scriptChaining'; value: Uint8Array };

export interface ExpandedResponse {
  /** how many command TLVs were executed; not told in indefinite length coding by every card */
  executed?: number;
  answers: ExpandedAnswer[];
}

const TAG = {
  apdu: 0x22,
  answer: 0x23,
  executed: 0x80,
  immediateAction: 0x81,
  errorAction: 0x82,
  scriptChaining: 0x83,
  badFormat: 0x90,
} as const;
const TEMPLATE = { command: [0xaa, 0xae], response: [0xab, 0xaf] } as const;

function writeLength(out: Writer, length: number): void {
  if (length < 0x80) out.u8(length);
  else if (length <= 0xff) out.u8(0x81).u8(length);
  else if (length <= 0xffff) out.u8(0x82).u16(length);
  else throw new FieldError('length', String(length), 'at most 65535');
}

function writeTlv(out: Writer, tag: number, value: Uint8Array): void {
  out.u8(tag);
  writeLength(out, value.length);
  out.put(value);
}

function readLength(reader: Reader, field: string): number {
  const first = reader.u8(field);
  if (first < 0x80) return first;
  const length = first === 0x81 ? reader.u8(field) : first === 0x82 ? reader.u16(field) : -1;
  if (length < (first === 0x81 ? 0x80 : 0x100)) {
    throw new DecodeError(field, `length coding 0x${first.toString(16)}`, 'the shortest coding, up to 82');
  }
  return length;
}

function template(kind: 'command' | 'response', body: Uint8Array, indefinite: boolean): Uint8Array {
  const [definiteTag, indefiniteTag] = TEMPLATE[kind];
  const out = new Writer(body.length + 4);
  if (indefinite) return out.u8(indefiniteTag).u8(0x80).put(body).u16(0).done();
  writeTlv(out, definiteTag, body);
  return out.done();
}

/** Every TLV in a template, in order. */
function contents(
  kind: 'command' | 'response',
  bytes: Uint8Array,
): { indefinite: boolean; tlvs: [tag: number, value: Uint8Array][] } {
  const [definiteTag, indefiniteTag] = TEMPLATE[kind];
  const outer = new Reader(bytes);
  const tag = outer.u8('template');
  const indefinite = tag === indefiniteTag;
  if (!indefinite && tag !== definiteTag) {
    throw new DecodeError('template', `0x${tag.toString(16)}`, `a ${kind} scripting template`);
  }
  let inner: Reader;
  if (indefinite) {
    if (outer.u8('template length') !== 0x80) {
      throw new DecodeError('template length', 'definite', '80 with this tag');
    }
    inner = outer;
  } else {
    inner = new Reader(outer.take(readLength(outer, 'template length'), 'template'));
    outer.end('template');
  }
  const tlvs: [number, Uint8Array][] = [];
  for (;;) {
    if (!indefinite && inner.remaining === 0) break;
    const innerTag = inner.u8('TLV tag');
    const value = inner.take(readLength(inner, 'TLV length'), 'TLV');
    if (indefinite && innerTag === 0) {
      if (value.length > 0) throw new DecodeError('end of contents', `${value.length} bytes`, '00 00');
      inner.end('template');
      break;
    }
    tlvs.push([innerTag, value]);
  }
  return { indefinite, tlvs };
}

/** A command scripting template, of definite (AA) or indefinite (AE) length. */
export function encodeExpandedCommands(commands: readonly ExpandedCommand[], indefinite = false): Uint8Array {
  const body = new Writer(128);
  for (const command of commands) {
    if (command.type === 'apdu') writeTlv(body, TAG.apdu, command.apdu);
    else writeTlv(body, TAG[command.type], command.value);
  }
  return template('command', body.done(), indefinite);
}

/** @throws DecodeError on a TLV that is none of a command script */
export function decodeExpandedCommands(bytes: Uint8Array): {
  indefinite: boolean;
  commands: ExpandedCommand[];
} {
  const { indefinite, tlvs } = contents('command', bytes);
  const commands = tlvs.map(([tag, value]): ExpandedCommand => {
    switch (tag) {
      case TAG.apdu:
        if (value.length < 4) throw new DecodeError('C-APDU', `${value.length} bytes`, 'at least 4');
        return { type: 'apdu', apdu: value };
      case TAG.immediateAction:
        return { type: 'immediateAction', value };
      case TAG.errorAction:
        return { type: 'errorAction', value };
      case TAG.scriptChaining:
        return { type: 'scriptChaining', value };
      default:
        throw new DecodeError('command script', `tag 0x${tag.toString(16)}`, '22, 81, 82 or 83');
    }
  });
  return { indefinite, commands };
}

/** The number as the shortest integer, in one byte or two. */
function executedBytes(executed: number): Uint8Array {
  if (!Number.isInteger(executed) || executed < 0 || executed > 0xffff) {
    throw new FieldError('executed', String(executed), 'a whole number from 0 to 65535');
  }
  return executed > 0xff ? Uint8Array.of(executed >> 8, executed) : Uint8Array.of(executed);
}

/** A response scripting template, of definite (AB) or indefinite (AF) length. */
export function encodeExpandedResponse(response: ExpandedResponse, indefinite = false): Uint8Array {
  const body = new Writer(128);
  if (response.executed !== undefined) writeTlv(body, TAG.executed, executedBytes(response.executed));
  for (const answer of response.answers) {
    if (answer.type === 'apdu') {
      const value = new Writer(2 + answer.data.length).put(answer.data).u16(answer.sw).done();
      writeTlv(body, TAG.answer, value);
    } else if (answer.type === 'badFormat') {
      writeTlv(body, TAG.badFormat, Uint8Array.of(answer.reason));
    } else {
      writeTlv(body, TAG[answer.type], answer.value);
    }
  }
  return template('response', body.done(), indefinite);
}

/** @throws DecodeError on a TLV that is none of a response script */
export function decodeExpandedResponse(bytes: Uint8Array): ExpandedResponse {
  const { tlvs } = contents('response', bytes);
  const response: ExpandedResponse = { answers: [] };
  for (const [tag, value] of tlvs) {
    switch (tag) {
      case TAG.executed:
        if (value.length < 1 || value.length > 2 || response.executed !== undefined) {
          throw new DecodeError('executed', `${value.length} bytes`, '1 or 2 bytes, once');
        }
        response.executed = value.length === 1 ? value[0]! : (value[0]! << 8) | value[1]!;
        break;
      case TAG.answer:
        if (value.length < 2) throw new DecodeError('R-APDU', `${value.length} bytes`, 'at least 2');
        response.answers.push({
          type: 'apdu',
          data: value.subarray(0, -2),
          sw: (value[value.length - 2]! << 8) | value[value.length - 1]!,
        });
        break;
      case TAG.badFormat:
        if (value.length !== 1) throw new DecodeError('bad format', `${value.length} bytes`, '1 byte');
        response.answers.push({ type: 'badFormat', reason: value[0]! });
        break;
      case TAG.immediateAction:
        response.answers.push({ type: 'immediateAction', value });
        break;
      case TAG.scriptChaining:
        response.answers.push({ type: 'scriptChaining', value });
        break;
      default:
        throw new DecodeError('response script', `tag 0x${tag.toString(16)}`, '80, 23, 90, 81 or 83');
    }
  }
  return response;
}
