/**
 * Access conditions (TS 102 221 §9.2, ISO/IEC 7816-4 §5.4.3): the expanded rules of EF.ARR, the reference to
 * one of them, and the compact format.
 */
import { DecodeError, FieldError, Reader, Writer, concat } from '../bytes/index.ts';
import { decodeBerTlvs, encodeBerTlv, putBerTlv, takeBerTlv } from './tlv.ts';

/** Key references of PINs (TS 102 221 table 9.3). */
export const PIN = { pin1: 0x01, universal: 0x11, pin2: 0x81, adm1: 0x0a, adm2: 0x0b } as const;

/** Bits of an access mode byte of an EF, and of a DF (ISO/IEC 7816-4 tables 16, 17). */
export const EF_ACCESS = {
  read: 0x01,
  update: 0x02,
  write: 0x04,
  deactivate: 0x08,
  activate: 0x10,
  terminate: 0x20,
  delete: 0x40,
} as const;
export const DF_ACCESS = {
  deleteChild: 0x01,
  createEf: 0x02,
  createDf: 0x04,
  deactivate: 0x08,
  activate: 0x10,
  terminate: 0x20,
  delete: 0x40,
} as const;

/** Who may. */
export type AccessCondition =
  | 'always'
  | 'never'
  /** the PIN of this key reference was verified (or is disabled) */
  | { pin: number }
  | { anyOf: AccessCondition[] }
  | { allOf: AccessCondition[] };

/** What is allowed on one condition: an access mode byte, or one instruction code. */
export interface AccessRule {
  /** EF_ACCESS or DF_ACCESS bits; 0 when the rule is for `ins` */
  mode: number;
  ins?: number;
  condition: AccessCondition;
}

function putCondition(out: Writer, condition: AccessCondition): void {
  if (condition === 'always') putBerTlv(out, 0x90, new Uint8Array());
  else if (condition === 'never') putBerTlv(out, 0x97, new Uint8Array());
  else if ('pin' in condition) {
    // Control reference template: key reference, usage "user authentication, knowledge based".
    putBerTlv(out, 0xa4, Uint8Array.of(0x83, 0x01, condition.pin, 0x95, 0x01, 0x08));
  } else {
    const [tag, parts] = 'anyOf' in condition ? [0xa0, condition.anyOf] : [0xaf, condition.allOf];
    const inner = new Writer();
    for (const part of parts) putCondition(inner, part);
    putBerTlv(out, tag, inner.done());
  }
}

function takeCondition(reader: Reader, depth: number): AccessCondition {
  const { tag, value } = takeBerTlv(reader, 'access condition');
  if ((tag === 0x90 || tag === 0x97) && value.length === 0) return tag === 0x90 ? 'always' : 'never';
  if (tag === 0xa4) {
    const [key, usage, ...more] = decodeBerTlvs(value, 'control reference template');
    if (key?.tag !== 0x83 || key.value.length !== 1 || more.length > 0) {
      throw new DecodeError('control reference template', `${value.length} bytes`, 'one key reference');
    }
    if (usage?.tag !== 0x95 || usage.value.length !== 1 || usage.value[0] !== 0x08) {
      throw new DecodeError('usage qualifier', 'another', '08');
    }
    return { pin: key.value[0]! };
  }
  if ((tag === 0xa0 || tag === 0xaf) && depth < 4) {
    const inner = new Reader(value);
    const parts: AccessCondition[] = [];
    while (inner.remaining > 0) parts.push(takeCondition(inner, depth + 1));
    return tag === 0xa0 ? { anyOf: parts } : { allOf: parts };
  }
  throw new DecodeError('access condition', `tag ${tag.toString(16)}`, '90, 97, a4, a0 or af');
}

/** Access rules, one after the other: the content of a record of EF.ARR, without filling. */
export function encodeAccessRules(rules: readonly AccessRule[]): Uint8Array {
  const out = new Writer();
  for (const { mode, ins, condition } of rules) {
    if (ins === undefined) putBerTlv(out, 0x80, Uint8Array.of(mode));
    else putBerTlv(out, 0x84, Uint8Array.of(ins));
    putCondition(out, condition);
  }
  return out.done();
}

/** @throws DecodeError */
export function decodeAccessRules(bytes: Uint8Array): AccessRule[] {
  const reader = new Reader(bytes);
  const rules: AccessRule[] = [];
  while (reader.remaining > 0) {
    const { tag, value } = takeBerTlv(reader, 'access mode');
    if ((tag !== 0x80 && tag !== 0x84) || value.length !== 1) {
      throw new DecodeError(
        'access mode',
        `tag ${tag.toString(16)}, ${value.length} bytes`,
        '80 or 84, 1 byte',
      );
    }
    const condition = takeCondition(reader, 0);
    rules.push(tag === 0x80 ? { mode: value[0]!, condition } : { mode: 0, ins: value[0]!, condition });
  }
  return rules;
}

/** Whether a condition holds, given which PINs do. */
export function conditionHolds(condition: AccessCondition, verified: (pin: number) => boolean): boolean {
  if (condition === 'always') return true;
  if (condition === 'never') return false;
  if ('pin' in condition) return verified(condition.pin);
  if ('anyOf' in condition) return condition.anyOf.some((part) => conditionHolds(part, verified));
  return condition.allOf.every((part) => conditionHolds(part, verified));
}

/** The condition for a mode bit or an instruction; what no rule names is never allowed. */
export function conditionFor(
  rules: readonly AccessRule[],
  access: { mode: number } | { ins: number },
): AccessCondition {
  for (const rule of rules) {
    const named =
      'ins' in access ? rule.ins === access.ins : rule.ins === undefined && (rule.mode & access.mode) !== 0;
    if (named) return rule.condition;
  }
  return 'never';
}

/**
 * Security attributes in an FCP: a reference to a record of EF.ARR (8B), by security environment or not;
 * rules themselves (AB); or the compact format (8C), an access mode byte and a security condition byte for
 * each of its bits, the highest first.
 */
export type SecurityAttributes =
  | { kind: 'reference'; arr: number; record: number }
  | { kind: 'referenceBySe'; arr: number; records: { se: number; record: number }[] }
  | { kind: 'expanded'; rules: AccessRule[] }
  | { kind: 'compact'; mode: number; conditions: number[] };

/** The whole data object. @throws FieldError */
export function encodeSecurityAttributes(attributes: SecurityAttributes): Uint8Array {
  switch (attributes.kind) {
    case 'reference':
      return encodeBerTlv(0x8b, new Writer(3).u16(attributes.arr).u8(attributes.record).done());
    case 'referenceBySe': {
      const out = new Writer().u16(attributes.arr);
      for (const { se, record } of attributes.records) out.u8(se).u8(record);
      return encodeBerTlv(0x8b, out.done());
    }
    case 'expanded':
      return encodeBerTlv(0xab, encodeAccessRules(attributes.rules));
    case 'compact': {
      const { mode, conditions } = attributes;
      if (conditions.length !== bits(mode)) {
        throw new FieldError(
          'conditions',
          `${conditions.length} bytes`,
          `one for each bit of ${mode.toString(16)}`,
        );
      }
      return encodeBerTlv(0x8c, concat(Uint8Array.of(mode), Uint8Array.from(conditions)));
    }
  }
}

/** @throws DecodeError */
export function decodeSecurityAttributes(tag: number, value: Uint8Array): SecurityAttributes {
  const reader = new Reader(value);
  if (tag === 0xab) return { kind: 'expanded', rules: decodeAccessRules(value) };
  if (tag === 0x8c) {
    const mode = reader.u8('access mode');
    const conditions = [...reader.take(bits(mode), 'security conditions')];
    reader.end('compact security attributes');
    return { kind: 'compact', mode, conditions };
  }
  if (tag !== 0x8b) throw new DecodeError('security attributes', `tag ${tag.toString(16)}`, '8b, 8c or ab');
  const arr = reader.u16('EF.ARR');
  if (reader.remaining === 1) return { kind: 'reference', arr, record: reader.u8('record') };
  const records: { se: number; record: number }[] = [];
  while (reader.remaining > 0) records.push({ se: reader.u8('SE'), record: reader.u8('record') });
  if (records.length === 0) throw new DecodeError('EF.ARR record', 'absent', 'a record');
  return { kind: 'referenceBySe', arr, records };
}

function bits(mode: number): number {
  let count = 0;
  for (let bit = 0; bit < 7; bit++) count += (mode >> bit) & 1;
  return count;
}
