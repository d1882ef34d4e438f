/** Secured packets in short messages (TS 31.115 §4). */
import { DecodeError } from '../bytes/index.ts';
import { IEI, splitUserData, type UserData } from '../sms/index.ts';

export type PacketKind = 'command' | 'response';

const iei = (kind: PacketKind): number => (kind === 'command' ? IEI.commandPacket : IEI.responsePacket);

/**
 * User data of the short messages that carry a packet; only the first of several names the packet.
 * @param reference of the concatenation, 0–255; not used if one message is enough
 * @param room octets of user data in one message: 140 in SMS-DELIVER and SMS-SUBMIT
 * @throws FieldError if it takes more than 255 messages
 */
export function encodePacketSms(kind: PacketKind, packet: Uint8Array, reference = 0, room = 140): UserData[] {
  return splitUserData(packet, {
    reference,
    room,
    firstHeader: [{ iei: iei(kind), data: new Uint8Array(0) }],
  });
}

/**
 * The packet in whole (reassembled) user data; undefined if the header names none.
 * @throws DecodeError if the packet element carries data
 */
export function decodePacketSms(kind: PacketKind, userData: UserData): Uint8Array | undefined {
  const element = userData.header.find((one) => one.iei === iei(kind));
  if (!element) return undefined;
  if (element.data.length !== 0) {
    throw new DecodeError('packet identifier', `${element.data.length} bytes`, 'no data in the element');
  }
  return userData.data;
}
