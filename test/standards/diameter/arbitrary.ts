/** Arbitrary values for every AVP type, so that every command is generated from the dictionary itself. */
import fc from 'fast-check';
import type { AvpType, Members } from '../../../src/standards/diameter/index.ts';

const bytes = (min: number, max: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: min, maxLength: max });

/** AVPs whose values are narrower than their type. */
const special: Record<string, fc.Arbitrary<unknown>> = {
  'Visited-PLMN-Id': fc.stringMatching(/^[0-9]{5,6}$/),
  'Re-Synchronization-Info': bytes(30, 30),
  RAND: bytes(16, 16),
  XRES: bytes(4, 16),
  AUTN: bytes(16, 16),
  KASME: bytes(32, 32),
  'Bearer-Identifier': bytes(1, 1),
  'Confidentiality-Key': bytes(16, 16),
  'Integrity-Key': bytes(16, 16),
  'Host-IP-Address': fc.oneof(bytes(4, 4), bytes(16, 16)),
};
const digits = [
  'MSISDN',
  'SC-Address',
  'MME-Number-for-MT-SMS',
  'SGSN-Number',
  'MSC-Number',
  'SMS-GMSC-Address',
];

const anyAvp = fc.record(
  {
    code: fc.nat(0xffff),
    vendor: fc.constantFrom(0, 10415),
    mandatory: fc.boolean(),
    data: bytes(0, 9),
  },
  { noNullPrototype: true },
);

export function valueOf(type: AvpType<unknown>, all = false): fc.Arbitrary<unknown> {
  if (special[type.name]) return special[type.name]!;
  if (digits.includes(type.name)) return fc.stringMatching(/^[0-9]{0,20}$/);
  switch (type.type) {
    case 'OctetString':
      return bytes(0, 40);
    case 'UTF8String':
      return fc.string({ unit: 'grapheme', maxLength: 30 });
    case 'DiameterIdentity':
      return fc.stringMatching(/^[a-z0-9.-]{1,40}$/);
    case 'Unsigned32':
    case 'Enumerated':
      return fc.nat(0xffffffff);
    case 'Time':
      return fc.integer({ min: 0, max: 0x7fffffff }).map((seconds) => seconds * 1000);
    case 'Grouped':
      return type.members ? valuesOf(type.members, all) : fc.array(anyAvp, { maxLength: 3 });
    default:
      throw new Error(`no arbitrary for ${type.name} of type ${type.type}`);
  }
}

/** Objects that fit a group or a command; `all`: with everything that is optional, down to the last group. */
export function valuesOf(members: Members, all = false): fc.Arbitrary<Record<string, unknown>> {
  const fields: Record<string, fc.Arbitrary<unknown>> = {};
  const required: string[] = [];
  for (const [name, member] of Object.entries(members)) {
    if (member.how === 'fixed') continue;
    const single = valueOf(member.avp as AvpType<unknown>, all);
    if (all || member.how === 'one') required.push(name);
    fields[name] = member.how === 'many' ? fc.array(single, { minLength: 1, maxLength: 2 }) : single;
  }
  return fc.record(fields, { requiredKeys: required, noNullPrototype: true });
}
