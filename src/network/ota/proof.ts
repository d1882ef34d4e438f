/** What comes back to the OTA gateway: short messages, response packets, and what scripts answered. */
import { DecodeError, Reader } from '../../standards/bytes/index.ts';
import {
  decodeCompactResponse,
  decodeExpandedResponse,
  decodeResponsePacket,
  type CommandHeader,
  type ReceivedResponse,
} from '../../standards/ota/index.ts';
import { readHeader, type UserData } from '../../standards/sms/index.ts';
import { ESM_CLASS, TLV, tlvOf, type ShortMessage } from '../../standards/smpp/index.ts';
import type { OtaKeyPair } from '../vault/vault.ts';

/** What came of a command. `unproven`: nothing is known; the card may have done it. */
export type OtaResult =
  /** `data`: what the last command that answered with data said */
  { result: 'done'; data: Uint8Array } | { result: 'refused'; sw: number } | { result: 'unproven' };

/** Header and text of a short message as SMPP carries them. */
export function userDataOf(pdu: ShortMessage): UserData {
  const bytes =
    pdu.shortMessage.length > 0
      ? pdu.shortMessage
      : (tlvOf(pdu.tlvs, TLV.message_payload) ?? pdu.shortMessage);
  if ((pdu.esmClass & ESM_CLASS.udhIndicator) === 0) return { header: [], data: bytes };
  const reader = new Reader(bytes);
  const header = readHeader(reader);
  return { header, data: reader.rest() };
}

/** A response packet under these keys; undefined if it is not one. */
export function readResponse(
  packet: Uint8Array,
  header: CommandHeader,
  keys: OtaKeyPair,
): ReceivedResponse | undefined {
  try {
    return decodeResponsePacket(packet, header, keys);
  } catch (error) {
    if (error instanceof DecodeError) return undefined;
    throw error;
  }
}

/** What a script's response says (TS 102 226 §5): all of it done, or the status that ended it. */
export function resultOfScript(script: Uint8Array, data: Uint8Array): OtaResult {
  if (script[0] !== 0xaa && script[0] !== 0xae) {
    const { sw, data: answer } = decodeCompactResponse(data);
    return sw === 0x9000 ? { result: 'done', data: answer } : { result: 'refused', sw };
  }
  let content = new Uint8Array();
  for (const answer of decodeExpandedResponse(data).answers) {
    if (answer.type === 'badFormat') return { result: 'refused', sw: 0x6f00 | answer.reason };
    if (answer.type !== 'apdu') continue;
    if (answer.sw !== 0x9000) return { result: 'refused', sw: answer.sw };
    if (answer.data.length > 0) content = new Uint8Array(answer.data);
  }
  return { result: 'done', data: content };
}
