/** Long messages in several short ones (TS 23.040 §9.2.3.24.1, §9.2.3.24.8). */
import { DecodeError, FieldError, concat } from '../bytes/index.ts';
import { IEI, encodeHeader, type HeaderElement, type UserData } from './user-data.ts';

export interface ConcatenationOptions {
  /** names the whole: 0–255, or 0–65535 with `wide` */
  reference: number;
  /** 16 bit reference */
  wide?: boolean;
  /** octets of user data each part has room for; 140 in SMS-DELIVER and SMS-SUBMIT */
  room?: number;
  /** header elements of the first part only (TS 31.115: the packet identifier) */
  firstHeader?: readonly HeaderElement[];
}

/**
 * Splits 8 bit data; one part without concatenation header if it fits.
 * @throws FieldError if more than 255 parts would be needed
 */
export function splitUserData(data: Uint8Array, options: ConcatenationOptions): UserData[] {
  const room = options.room ?? 140;
  const first = options.firstHeader ?? [];
  if (encodeHeader(first).length + data.length <= room) return [{ header: first, data }];
  const most = options.wide ? 0xffff : 0xff;
  if (!Number.isInteger(options.reference) || options.reference < 0 || options.reference > most) {
    throw new FieldError('reference', String(options.reference), `a whole number from 0 to ${most}`);
  }
  const element = (total: number, number: number): HeaderElement =>
    options.wide
      ? {
          iei: IEI.concatenated16,
          data: Uint8Array.of(options.reference >> 8, options.reference & 0xff, total, number),
        }
      : { iei: IEI.concatenated8, data: Uint8Array.of(options.reference, total, number) };
  const laterRoom = room - encodeHeader([element(0, 0)]).length;
  const firstRoom = room - encodeHeader([element(0, 0), ...first]).length;
  if (firstRoom < 1) throw new FieldError('room', `${room} bytes`, 'more than the headers take');
  const total = 1 + Math.ceil((data.length - firstRoom) / laterRoom);
  if (total > 255) throw new FieldError('data', `${data.length} bytes`, 'at most 255 parts');
  const parts: UserData[] = [];
  let offset = 0;
  for (let number = 1; number <= total; number++) {
    const size = number === 1 ? firstRoom : laterRoom;
    parts.push({
      header: number === 1 ? [element(total, 1), ...first] : [element(total, number)],
      data: data.subarray(offset, offset + size),
    });
    offset += size;
  }
  return parts;
}

/** Where a part belongs; undefined if it is whole in itself. @throws DecodeError on a malformed element */
export function concatenationOf(
  userData: UserData,
): { reference: number; wide: boolean; total: number; number: number } | undefined {
  for (const { iei, data } of userData.header) {
    const wide = iei === IEI.concatenated16;
    if (iei !== IEI.concatenated8 && !wide) continue;
    const length = wide ? 4 : 3;
    if (data.length !== length) {
      throw new DecodeError('concatenation', `${data.length} bytes`, `${length} bytes`);
    }
    const reference = wide ? (data[0]! << 8) | data[1]! : data[0]!;
    const total = data[length - 2]!;
    const number = data[length - 1]!;
    if (number < 1 || number > total) {
      throw new DecodeError('concatenation', `part ${number} of ${total}`, 'a part from 1 to the total');
    }
    return { reference, wide, total, number };
  }
  return undefined;
}

interface Collected {
  parts: (UserData | undefined)[];
  missing: number;
}

/**
 * Puts parts together. Holds at most `wholes` unfinished messages; the oldest gives way. A repeated part
 * replaces nothing; parts of one reference with another total begin anew.
 */
export class Reassembly {
  readonly #open = new Map<string, Collected>();
  readonly #wholes: number;

  constructor(wholes = 16) {
    this.#wholes = wholes;
  }

  get unfinished(): number {
    return this.#open.size;
  }

  /**
   * @param from names the sender
   * @returns the whole, its header that of the first part without concatenation; undefined while parts miss
   * @throws DecodeError on a malformed concatenation element
   */
  add(from: string, userData: UserData): UserData | undefined {
    const place = concatenationOf(userData);
    if (!place) return userData;
    const key = `${from}/${place.wide ? 'w' : 'n'}${place.reference}`;
    let collected = this.#open.get(key);
    if (!collected || collected.parts.length !== place.total) {
      this.#open.delete(key);
      if (this.#open.size >= this.#wholes) {
        const [oldest] = this.#open.keys();
        this.#open.delete(oldest!);
      }
      collected = { parts: new Array<UserData | undefined>(place.total), missing: place.total };
      this.#open.set(key, collected);
    }
    if (!collected.parts[place.number - 1]) {
      collected.parts[place.number - 1] = userData;
      collected.missing--;
    }
    if (collected.missing > 0) return undefined;
    this.#open.delete(key);
    const parts = collected.parts as UserData[];
    return {
      header: parts[0]!.header.filter(({ iei }) => iei !== IEI.concatenated8 && iei !== IEI.concatenated16),
      data: concat(...parts.map((part) => part.data)),
    };
  }
}
