/** ENVELOPE commands: what the terminal tells the card (TS 102 223 §7, TS 31.111 §7). */
import { DecodeError, FieldError, Reader, Writer } from '../bytes/index.ts';
import {
  decodeAddress,
  decodeArea,
  encodeAddress,
  encodeArea,
  type Area,
  type DiallingNumber,
} from './numbers.ts';
import {
  decodeLocation,
  encodeLocation,
  mustTakeObject,
  mustTakeSized,
  takeObject,
  type Location,
} from './proactive.ts';
import { decodeComprehensionTlvs, encodeBerTlv, putComprehensionTlv, takeBerTlv } from './tlv.ts';
import type { ComprehensionTlv } from './tlv.ts';
import { CAT_TAG, DEVICE, EVENT, decodeTimerValue, encodeTimerValue } from './toolkit.ts';

/** BER-TLV tags of ENVELOPE (TS 101 220 table 7.17). */
export const ENVELOPE_TAG = {
  smsPpDownload: 0xd1,
  cellBroadcastDownload: 0xd2,
  menuSelection: 0xd3,
  callControl: 0xd4,
  moShortMessageControl: 0xd5,
  eventDownload: 0xd6,
  timerExpiration: 0xd7,
} as const;

/** What an ENVELOPE says. */
export type Envelope =
  /** a short message for the card (TS 31.111 §7.1.1): service centre as the RP-Originator-Address */
  | { type: 'smsPpDownload'; address?: DiallingNumber; tpdu: Uint8Array }
  /** timer 1–8 ran out; `seconds` since it was started (TS 102 223 §7.4) */
  | { type: 'timerExpiration'; timer: number; seconds: number }
  /** TS 102 223 §7.5.4; `location` with normal service */
  | { type: 'locationStatus'; status: number; location?: Location }
  | ({ type: 'networkRejection' } & NetworkRejection)
  /** any other event, objects after the device identities uninterpreted */
  | { type: 'event'; event: number; source: number; objects: ComprehensionTlv[] }
  /** any other envelope, all objects uninterpreted */
  | { type: 'other'; tag: number; objects: ComprehensionTlv[] };

/** Event download Network Rejection (TS 31.111 §7.5.2): one of the three areas, by technology. */
export interface NetworkRejection {
  /** PLMN and LAC, for location updating and IMSI attach */
  location?: Location;
  /** 6 bytes, for GPRS attach and routing area update */
  routingArea?: Uint8Array;
  /** for EPS attach and tracking area update */
  trackingArea?: Area;
  /** ACCESS_TECHNOLOGY */
  accessTechnology: number;
  /** UPDATE_ATTACH_TYPE */
  updateAttachType: number;
  /** cause of MM, GMM or EMM (TS 24.008, TS 24.301 §9.9.3.9) */
  cause: number;
}

/** The data of the ENVELOPE command. @throws FieldError */
export function encodeEnvelope(envelope: Envelope): Uint8Array {
  const out = new Writer(64);
  const put = (tag: number, value: Uint8Array): void => void putComprehensionTlv(out, tag, value);
  const devices = (source: number): void => put(CAT_TAG.deviceIdentities, Uint8Array.of(source, DEVICE.uicc));
  const event = (code: number, source: number): void => {
    put(CAT_TAG.eventList, Uint8Array.of(code));
    devices(source);
  };
  let tag: number = ENVELOPE_TAG.eventDownload;
  switch (envelope.type) {
    case 'smsPpDownload':
      tag = ENVELOPE_TAG.smsPpDownload;
      devices(DEVICE.network);
      if (envelope.address) put(CAT_TAG.address, encodeAddress(envelope.address));
      put(CAT_TAG.smsTpdu, envelope.tpdu);
      break;
    case 'timerExpiration':
      tag = ENVELOPE_TAG.timerExpiration;
      devices(DEVICE.terminal);
      if (envelope.timer < 1 || envelope.timer > 8) {
        throw new FieldError('timer', String(envelope.timer), '1 to 8');
      }
      put(CAT_TAG.timerIdentifier, Uint8Array.of(envelope.timer));
      put(CAT_TAG.timerValue, encodeTimerValue(envelope.seconds));
      break;
    case 'locationStatus':
      event(EVENT.locationStatus, DEVICE.terminal);
      put(CAT_TAG.locationStatus, Uint8Array.of(envelope.status));
      if (envelope.location) put(CAT_TAG.locationInformation, encodeLocation(envelope.location));
      break;
    case 'networkRejection':
      event(EVENT.networkRejection, DEVICE.network);
      if (envelope.location) put(CAT_TAG.locationInformation, encodeLocation(envelope.location));
      if (envelope.routingArea) put(CAT_TAG.routingArea, envelope.routingArea);
      if (envelope.trackingArea) put(CAT_TAG.trackingArea, encodeArea(envelope.trackingArea));
      put(CAT_TAG.accessTechnology, Uint8Array.of(envelope.accessTechnology));
      put(CAT_TAG.updateAttachType, Uint8Array.of(envelope.updateAttachType));
      put(CAT_TAG.rejectionCause, Uint8Array.of(envelope.cause));
      break;
    case 'event':
      event(envelope.event, envelope.source);
      for (const object of envelope.objects)
        putComprehensionTlv(out, object.tag, object.value, object.required);
      break;
    case 'other':
      tag = envelope.tag;
      for (const object of envelope.objects)
        putComprehensionTlv(out, object.tag, object.value, object.required);
      break;
  }
  return encodeBerTlv(tag, out.done());
}

/**
 * Data objects beside those of the specification are passed over, and so is the comprehension flag.
 * @throws DecodeError naming the data object
 */
export function decodeEnvelope(data: Uint8Array): Envelope {
  const reader = new Reader(data);
  const { tag, value } = takeBerTlv(reader, 'ENVELOPE');
  reader.end('ENVELOPE');
  const objects = decodeComprehensionTlvs(value, 'ENVELOPE');
  switch (tag) {
    case ENVELOPE_TAG.smsPpDownload: {
      expectDevices(objects, DEVICE.network);
      const address = takeObject(objects, CAT_TAG.address);
      const tpdu = mustTakeObject(objects, CAT_TAG.smsTpdu, 'SMS TPDU');
      return { type: 'smsPpDownload', ...(address && { address: decodeAddress(address) }), tpdu };
    }
    case ENVELOPE_TAG.timerExpiration: {
      expectDevices(objects, DEVICE.terminal);
      const timer = mustTakeSized(objects, CAT_TAG.timerIdentifier, 'timer identifier', 1)[0]!;
      if (timer < 1 || timer > 8) throw new DecodeError('timer identifier', String(timer), '1 to 8');
      const seconds = decodeTimerValue(mustTakeObject(objects, CAT_TAG.timerValue, 'timer value'));
      return { type: 'timerExpiration', timer, seconds };
    }
    case ENVELOPE_TAG.eventDownload:
      return decodeEvent(objects);
    default:
      return { type: 'other', tag, objects };
  }
}

function expectDevices(objects: ComprehensionTlv[], source: number): void {
  const devices = mustTakeSized(objects, CAT_TAG.deviceIdentities, 'device identities', 2);
  if (devices[0] !== source || devices[1] !== DEVICE.uicc) {
    throw new DecodeError('device identities', [...devices].join(' '), `${source} to the UICC`);
  }
}

function decodeEvent(objects: ComprehensionTlv[]): Envelope {
  const event = mustTakeSized(objects, CAT_TAG.eventList, 'event list', 1)[0]!;
  if (event === EVENT.locationStatus) {
    expectDevices(objects, DEVICE.terminal);
    const status = mustTakeSized(objects, CAT_TAG.locationStatus, 'location status', 1)[0]!;
    const location = takeObject(objects, CAT_TAG.locationInformation);
    return { type: 'locationStatus', status, ...(location && { location: decodeLocation(location) }) };
  }
  if (event === EVENT.networkRejection) {
    expectDevices(objects, DEVICE.network);
    const location = takeObject(objects, CAT_TAG.locationInformation);
    const routingArea = takeObject(objects, CAT_TAG.routingArea);
    const trackingArea = takeObject(objects, CAT_TAG.trackingArea);
    if (routingArea && routingArea.length !== 6) {
      throw new DecodeError('routing area', `${routingArea.length} bytes`, '6 bytes');
    }
    return {
      type: 'networkRejection',
      ...(location && { location: decodeLocation(location) }),
      ...(routingArea && { routingArea }),
      ...(trackingArea && { trackingArea: decodeArea(trackingArea, 'tracking area') }),
      accessTechnology: mustTakeSized(objects, CAT_TAG.accessTechnology, 'access technology', 1)[0]!,
      updateAttachType: mustTakeSized(objects, CAT_TAG.updateAttachType, 'update/attach type', 1)[0]!,
      cause: mustTakeSized(objects, CAT_TAG.rejectionCause, 'rejection cause', 1)[0]!,
    };
  }
  const devices = mustTakeSized(objects, CAT_TAG.deviceIdentities, 'device identities', 2);
  if (devices[1] !== DEVICE.uicc) throw new DecodeError('device identities', String(devices[1]), 'the UICC');
  return { type: 'event', event, source: devices[0]!, objects };
}
