/** Making cards: everything that is not given is drawn. */
import type { Random } from '../../edge/index.ts';
import { FieldError, toHex } from '../../standards/bytes/index.ts';
import { imsIdentityOf, luhnDigit } from '../../standards/uicc/index.ts';
import { CARD_FORMAT, checkCardFile, type CardFile } from './card-file.ts';

/** What a new card shall be. */
export interface CardOptions {
  /** 18–20 digits; default 8988 and random, with check digit */
  iccid?: string;
  /** default in the test network 001 01 */
  imsi?: string;
  /** default 2 */
  mncLength?: 2 | 3;
  msisdn?: string;
  spn?: string;
  serviceCentre?: string;
  apn?: string;
  /** default milenage; tuak draws a K of 256 bits */
  algorithm?: CardFile['usim']['algorithm'];
  /** pairs of the key list, 1–255; 0: no key list, and a key set of its own */
  pairs?: number;
  /** a USIM alone; default false: an ISIM beside it, with the identities that are derived from the IMSI */
  withoutIsim?: boolean;
  /** whether PIN1 is asked for; default false: nobody types into a machine */
  pin1Enabled?: boolean;
}

function digits(random: Random, count: number): string {
  let text = '';
  while (text.length < count) {
    // Bytes of 250 and above would make 0 to 5 likelier.
    for (const byte of random.bytes(count)) if (byte < 250 && text.length < count) text += byte % 10;
  }
  return text;
}

/**
 * A card file with random keys and what the options name.
 * @throws FieldError naming the option
 */
export function createCardFile(options: CardOptions, random: Random): CardFile {
  const pairs = options.pairs ?? 4;
  if (!Number.isInteger(pairs) || pairs < 0 || pairs > 255) {
    throw new FieldError('pairs', String(pairs), 'a whole number from 0 to 255');
  }
  const algorithm = options.algorithm ?? 'milenage';
  if (pairs > 0 && algorithm !== 'milenage') {
    throw new FieldError('algorithm', algorithm, 'milenage in a card with a key list');
  }
  const key = (length = 16): string => toHex(random.bytes(length));
  const head = `8988${digits(random, 14)}`;
  const list = Array.from({ length: pairs }, (_, index) => ({
    index,
    state: index === 0 ? ('current' as const) : ('unused' as const),
    k: key(),
    opc: key(),
    kic: key(),
    kid: key(),
  }));
  const first = list[0] ?? { k: key(algorithm === 'tuak' ? 32 : 16), opc: key() };
  const file = checkCardFile({
    format: CARD_FORMAT,
    iccid: options.iccid ?? `${head}${luhnDigit(head)}`,
    pin1: digits(random, 4),
    puk1: digits(random, 8),
    pin2: digits(random, 4),
    puk2: digits(random, 8),
    adm1: digits(random, 8),
    pinStatus: { pin1: { enabled: options.pin1Enabled ?? false } },
    usim: {
      imsi: options.imsi ?? `00101${digits(random, 10)}`,
      mncLength: options.mncLength ?? 2,
      algorithm,
      k: first.k,
      ...(algorithm === 'milenage' && { opc: first.opc }),
      ...(algorithm === 'tuak' && { topc: key(32) }),
      ...(options.msisdn !== undefined && { msisdn: options.msisdn }),
      ...(options.spn !== undefined && { spn: options.spn }),
      ...(options.serviceCentre !== undefined && { serviceCentre: options.serviceCentre }),
      ...(options.apn !== undefined && { apn: options.apn }),
    },
    isim: null,
    ...(pairs === 0
      ? { ota: { keySets: [{ number: 1, algorithm: 'aes', kic: key(), kid: key(), kik: key() }] } }
      : { keyList: { pairs: list, next: 1 } }),
  });
  const { imsi, mncLength } = file.usim;
  return { ...file, isim: options.withoutIsim ? null : imsIdentityOf(imsi, mncLength) };
}
