/** Short messages: TPDUs (TS 23.040), alphabets (TS 23.038), relay and control protocols (TS 24.011). */
export * from './gsm7.ts';
export {
  PLAN_E164,
  TYPES_OF_NUMBER,
  decodeRpAddress,
  encodeRpAddress,
  international,
  type Address,
  type TypeOfNumber,
} from './address.ts';
export { relativeValidity, type TimeStamp, type ValidityPeriod } from './time.ts';
export {
  DCS_CARD,
  IEI,
  NO_USER_DATA,
  PID_CARD,
  alphabetOf,
  encodeHeader,
  readHeader,
  type Alphabet,
  type HeaderElement,
  type UserData,
} from './user-data.ts';
export * from './tpdu.ts';
export * from './concatenation.ts';
export * from './relay.ts';
