/** `rehome tool ota-encode` and `ota-decode`: secured packets, JSON in and out. */
import { z } from 'zod';
import { FieldError, fromHex, toHex } from '../standards/bytes/index.ts';
import {
  decodeResponsePacket,
  decodeSpi,
  encodeCommandPacket,
  type CommandHeader,
  type OtaKeys,
} from '../standards/ota/index.ts';
import { badField, bytesOf } from './json.ts';

const security = {
  spi: z.string(),
  kic: z.string(),
  /** only where something is ciphered */
  kicKey: z.string().optional(),
  kid: z.string(),
  /** only with a cryptographic checksum */
  kidKey: z.string().optional(),
  /** bytes of an AES checksum, 8 if not given */
  ccLength: z.literal([4, 8]).optional(),
};
const encodeSchema = z.strictObject({
  ...security,
  tar: z.string(),
  counter: z.string(),
  data: z.string(),
});
/** A command's own fields may stand beside the response, so that one file serves both tools. */
const decodeSchema = z.strictObject({
  ...security,
  responsePacket: z.string(),
  tar: z.string().optional(),
  counter: z.string().optional(),
  data: z.string().optional(),
});

const number = (value: Uint8Array): number => value.reduce((sum, byte) => sum * 256 + byte, 0);

/** The packet's names of fields, as the input has them. */
const INPUT_NAMES: Record<string, string> = { SPI: 'spi', KIc: 'kic', KID: 'kid', TAR: 'tar' };

/** Runs `run`; an error that names none of the input's fields is the packet's, if there is one. */
function naming<T>(packet: string | undefined, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    const name = INPUT_NAMES[error.field] ?? error.field;
    if (packet === undefined || name in security) throw new FieldError(name, error.value, error.expected);
    throw new FieldError(packet, `${error.field}: ${error.value}`, error.expected);
  }
}

function header(input: { spi: string; kic: string; kid: string }): Omit<CommandHeader, 'tar'> {
  const spi = number(bytesOf('spi', input.spi, 2));
  return {
    security: naming(undefined, () => decodeSpi(spi)),
    kic: number(bytesOf('kic', input.kic, 1)),
    kid: number(bytesOf('kid', input.kid, 1)),
  };
}

function keys(input: {
  kicKey?: string | undefined;
  kidKey?: string | undefined;
  ccLength?: 4 | 8 | undefined;
}): OtaKeys {
  return {
    ...(input.kicKey !== undefined ? { kic: fromHex(input.kicKey, 'kicKey') } : {}),
    ...(input.kidKey !== undefined ? { kid: fromHex(input.kidKey, 'kidKey') } : {}),
    ...(input.ccLength !== undefined ? { ccLength: input.ccLength } : {}),
  };
}

/**
 * @param input `{spi, kic, kicKey, kid, kidKey, tar, counter, data}`, hexadecimal
 * @returns `{commandPacket}`, hexadecimal, from the command packet length on
 * @throws FieldError naming the field, never a key's content
 */
export function otaEncode(input: unknown): { commandPacket: string } {
  const checked = encodeSchema.safeParse(input);
  if (!checked.success) throw badField(checked.error);
  const { data } = checked;
  const command = {
    ...header(data),
    tar: bytesOf('tar', data.tar, 3),
    counter: number(bytesOf('counter', data.counter, 5)),
    data: fromHex(data.data, 'data'),
  };
  const otaKeys = keys(data);
  return { commandPacket: toHex(naming(undefined, () => encodeCommandPacket(command, otaKeys))) };
}

/**
 * @param input `{responsePacket, spi, kic, kicKey, kid, kidKey}`, hexadecimal, the packet from its length on
 * @returns `{tar, counter, status, data}`, hexadecimal
 * @throws FieldError naming the field, never a key's content
 */
export function otaDecode(input: unknown): { tar: string; counter: string; status: string; data: string } {
  const checked = decodeSchema.safeParse(input);
  if (!checked.success) throw badField(checked.error);
  const { data } = checked;
  const command = { ...header(data), tar: new Uint8Array(3) };
  const otaKeys = keys(data);
  const packet = fromHex(data.responsePacket, 'responsePacket');
  const response = naming('responsePacket', () => decodeResponsePacket(packet, command, otaKeys));
  return {
    tar: toHex(response.tar),
    counter: response.counter.toString(16).padStart(10, '0'),
    status: response.status.toString(16).padStart(2, '0'),
    data: toHex(response.data),
  };
}
