/** The cell: a UDP socket on which every device is an address; a place where the air can be bad. */
import type { Edge, Endpoint } from '../../edge/index.ts';
import { DecodeError } from '../../standards/bytes/index.ts';
import { GSMTAP_LTE_NAS, GSMTAP_NAS, decodeGsmtap, encodeGsmtap } from '../../standards/gsmtap/index.ts';
import { isProtected, type Direction } from '../../standards/nas/index.ts';

/** One arrival of a message. */
export interface Delivery {
  /** 0: at once */
  afterMs: number;
  message: Uint8Array;
}

/**
 * What becomes of a NAS message on the air: nothing (lost, jammed), itself at once, later (delayed, reordered),
 * or more than once. `carriesSms` opens the message to see whether a short message is inside.
 */
export type Disturb = (
  message: Uint8Array,
  direction: Direction,
  device: Endpoint,
  carriesSms: () => boolean,
) => readonly Delivery[];

export interface Cell {
  readonly endpoint: Endpoint;
  /** Sends a NAS message to a device; `carriesSms`: as it says. */
  send(message: Uint8Array, to: Endpoint, carriesSms?: boolean): void;
  close(): void;
}

/** Longest NAS message taken, in bytes; TS 24.301 §9.1 leaves it to the lower layers (TS 36.323: 8188). */
const LONGEST = 8188;

/** Who takes what the cell hears. */
export interface Hearer {
  receive(message: Uint8Array, from: Endpoint): void;
  /** Whether an uplink message carries a short message; it counts as not received yet. */
  carriesSms(message: Uint8Array, from: Endpoint): boolean;
}

export async function createCell(
  edge: Edge,
  at: Endpoint,
  disturb: Disturb | undefined,
  hearer: Hearer,
): Promise<Cell> {
  let closed = false;

  function carry(
    message: Uint8Array,
    direction: Direction,
    device: Endpoint,
    carriesSms: () => boolean,
    arrive: (message: Uint8Array) => void,
  ): void {
    if (!disturb) {
      arrive(message);
      return;
    }
    for (const delivery of disturb(message, direction, device, carriesSms)) {
      if (delivery.afterMs <= 0) arrive(delivery.message);
      else {
        edge.clock.after(delivery.afterMs, () => {
          if (!closed) arrive(delivery.message);
        });
      }
    }
  }

  const socket = await edge.sockets.bind('gsmtap', at, (datagram, from) => {
    let payload: Uint8Array;
    try {
      const packet = decodeGsmtap(datagram);
      if (packet.type !== GSMTAP_LTE_NAS || !packet.uplink || packet.payload.length > LONGEST) return;
      payload = new Uint8Array(packet.payload);
    } catch (error) {
      if (error instanceof DecodeError) return;
      throw error;
    }
    const carriesSms = (): boolean => hearer.carriesSms(payload, from);
    carry(payload, 'uplink', from, carriesSms, (message) => hearer.receive(message, from));
  });

  return {
    endpoint: socket.endpoint,
    send(message, to, carriesSms = false) {
      const say = (): boolean => carriesSms;
      carry(message, 'downlink', to, say, (arrived) => {
        const subType = isProtected(arrived) ? GSMTAP_NAS.protected : GSMTAP_NAS.plain;
        socket.send(encodeGsmtap({ type: GSMTAP_LTE_NAS, subType, uplink: false, payload: arrived }), to);
      });
    },
    close() {
      closed = true;
      socket.close();
    },
  };
}
