/** Arbitrary short messages of every kind. */
import fc from 'fast-check';
import {
  alphabetOf,
  type Address,
  type CpMessage,
  type HeaderElement,
  type RpMessage,
  type TimeStamp,
  type Tpdu,
  type UserData,
  type ValidityPeriod,
} from '../../../src/standards/sms/index.ts';

const octet = fc.nat(255);
const flags = { noNullPrototype: true };
const bytes = (min: number, max: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: min, maxLength: max });

export const address: fc.Arbitrary<Address> = fc.record(
  {
    type: fc.constantFrom<Address['type']>('unknown', 'international', 'national', 'abbreviated'),
    plan: fc.nat(15),
    value: fc.stringMatching(/^[0-9*#a-c]{0,20}$/),
  },
  flags,
);
const named: fc.Arbitrary<Address> = fc.record(
  {
    type: fc.constant('alphanumeric' as const),
    plan: fc.nat(15),
    value: fc.stringMatching(/^[A-Za-z0-9 ]{0,11}$/),
  },
  flags,
);
export const timeStamp: fc.Arbitrary<TimeStamp> = fc.record(
  {
    time: fc.integer({ min: 946_771_200, max: 4_000_000_000 }).map((seconds) => seconds * 1000),
    zone: fc.integer({ min: -79, max: 79 }),
  },
  flags,
);

const header: fc.Arbitrary<HeaderElement[]> = fc.array(fc.record({ iei: octet, data: bytes(0, 8) }, flags), {
  maxLength: 3,
});

/** User data that fits `room` octets, in a coding with its alphabet. */
const userData = (room: number, dcs: number): fc.Arbitrary<UserData> =>
  header.chain((elements) =>
    fc.record(
      {
        header: fc.constant(elements),
        data:
          alphabetOf(dcs) === 'gsm7'
            ? fc.uint8Array({ max: 0x7f, maxLength: Math.floor(((room - 32) * 8) / 7) })
            : bytes(0, room - 32),
      },
      flags,
    ),
  );

interface Body {
  dcs: number;
  userData: UserData;
}
const body = (room: number): fc.Arbitrary<Body> =>
  octet.chain((dcs) => fc.record({ dcs: fc.constant(dcs), userData: userData(room, dcs) }, flags));

/** What TP-PI announces, or nothing. */
const optional = (room: number): fc.Arbitrary<Partial<Body> & { pid?: number }> =>
  fc.oneof(
    fc.record({ pid: octet, dcs: octet }, { ...flags, requiredKeys: [] }),
    body(room),
    userData(room, 0).map((one) => ({ userData: one })),
  );

const set = fc.constant(true as const);
const cause = fc.option(fc.integer({ min: 0x80, max: 0xff }), { nil: undefined });
const withCause = (value: number | undefined): { cause?: number } =>
  value === undefined ? {} : { cause: value };

const validity: fc.Arbitrary<ValidityPeriod | undefined> = fc.oneof(
  fc.constant(undefined),
  octet.map((value) => ({ format: 'relative' as const, value })),
  timeStamp.map((stamp) => ({ format: 'absolute' as const, stamp })),
  bytes(7, 7).map((value) => ({ format: 'enhanced' as const, bytes: value })),
);

export const tpdu: fc.Arbitrary<Tpdu> = fc.oneof(
  fc
    .tuple(
      fc.record(
        { moreMessages: fc.boolean(), pid: octet, timeStamp, originator: fc.oneof(address, named) },
        flags,
      ),
      fc.record(
        { loopPrevention: set, statusReportIndication: set, replyPath: set },
        { ...flags, requiredKeys: [] },
      ),
      body(140),
    )
    .map(([required, some, content]): Tpdu => ({ type: 'deliver', ...required, ...some, ...content })),
  fc
    .tuple(
      fc.record({ reference: octet, pid: octet, destination: address }, flags),
      fc.record(
        { rejectDuplicates: set, statusReportRequest: set, replyPath: set },
        { ...flags, requiredKeys: [] },
      ),
      body(140),
      validity,
    )
    .map(([required, some, content, period]): Tpdu => ({
      type: 'submit',
      ...required,
      ...some,
      ...content,
      ...(period ? { validity: period } : {}),
    })),
  fc
    .tuple(cause, optional(158))
    .map(([value, some]): Tpdu => ({ type: 'deliverReport', ...withCause(value), ...some })),
  fc.tuple(cause, timeStamp, optional(151)).map(([value, stamp, some]): Tpdu => ({
    type: 'submitReport',
    ...withCause(value),
    timeStamp: stamp,
    ...some,
  })),
  fc
    .tuple(
      fc.record(
        {
          moreMessages: fc.boolean(),
          reference: octet,
          recipient: address,
          timeStamp,
          dischargeTime: timeStamp,
          status: octet,
        },
        flags,
      ),
      fc.record({ loopPrevention: set, ofCommand: set }, { ...flags, requiredKeys: [] }),
      optional(131),
    )
    .map(([required, some, content]): Tpdu => ({ type: 'statusReport', ...required, ...some, ...content })),
  fc
    .tuple(
      fc.record(
        {
          reference: octet,
          pid: octet,
          command: octet,
          messageNumber: octet,
          destination: address,
          data: bytes(0, 157),
        },
        flags,
      ),
      fc.record({ statusReportRequest: set, headerInData: set }, { ...flags, requiredKeys: [] }),
    )
    .map(([required, some]): Tpdu => ({ type: 'command', ...required, ...some })),
);

const inner = bytes(0, 233);
export const rp: fc.Arbitrary<RpMessage> = fc.oneof(
  fc.record(
    {
      type: fc.constant('data' as const),
      toDevice: fc.constant(true as const),
      reference: octet,
      originator: address,
      tpdu: inner,
    },
    flags,
  ),
  fc.record(
    {
      type: fc.constant('data' as const),
      toDevice: fc.constant(false as const),
      reference: octet,
      destination: address,
      tpdu: inner,
    },
    flags,
  ),
  fc.record(
    { type: fc.constant('ack' as const), toDevice: fc.boolean(), reference: octet, tpdu: inner },
    { ...flags, requiredKeys: ['type', 'toDevice', 'reference'] },
  ),
  fc.record(
    {
      type: fc.constant('error' as const),
      toDevice: fc.boolean(),
      reference: octet,
      cause: fc.nat(127),
      diagnostic: octet,
      tpdu: inner,
    },
    { ...flags, requiredKeys: ['type', 'toDevice', 'reference', 'cause'] },
  ),
  fc.record(
    {
      type: fc.constant('memoryAvailable' as const),
      toDevice: fc.constant(false as const),
      reference: octet,
    },
    flags,
  ),
);

const cpHead = { transaction: fc.nat(7), fromInitiator: fc.boolean() };
export const cp: fc.Arbitrary<CpMessage> = fc.oneof(
  fc.record({ ...cpHead, type: fc.constant('data' as const), rp: bytes(0, 248) }, flags),
  fc.record({ ...cpHead, type: fc.constant('ack' as const) }, flags),
  fc.record({ ...cpHead, type: fc.constant('error' as const), cause: fc.nat(127) }, flags),
);
