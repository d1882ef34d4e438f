/**
 * A bad link between a service centre and a visited network: relays Diameter octet for octet, but for messages
 * that carry SMS (TS 29.338), of which some get lost, come late or come twice.
 */
import type { Socket } from 'node:net';
import type { Clock, Endpoint, Listener, Sockets } from '../edge/index.ts';
import {
  decodeMessage,
  messageLength,
  moForwardShortMessage,
  mtForwardShortMessage,
} from '../standards/diameter/index.ts';

export interface LinkOptions {
  clock: Clock;
  sockets: Sockets;
  at: Endpoint;
  to: Endpoint;
  /** milliseconds after which each copy of an SMS arrives; empty: it is lost */
  disturb: () => readonly number[];
}

const SMS: ReadonlySet<number> = new Set([mtForwardShortMessage.code, moForwardShortMessage.code]);

export function createLink({ clock, sockets, at, to, disturb }: LinkOptions): Promise<Listener> {
  const relay = (from: Socket, into: Socket): void => {
    let unparsed = Buffer.alloc(0);
    from.on('data', (chunk: Uint8Array) => {
      unparsed = Buffer.concat([unparsed, chunk]);
      while (unparsed.length >= 4) {
        const length = messageLength(unparsed);
        if (unparsed.length < length) break;
        const message = Buffer.from(unparsed.subarray(0, length));
        unparsed = unparsed.subarray(length);
        if (!SMS.has(decodeMessage(message).command)) into.write(message);
        else {
          for (const later of disturb()) {
            if (later <= 0) into.write(message);
            else {
              clock.after(later, () => {
                if (into.writable) into.write(message);
              });
            }
          }
        }
      }
    });
    from.once('close', () => into.destroy());
    from.on('error', () => undefined);
  };
  return sockets.listen('diameter', at, (near) => {
    const far = sockets.connect('diameter', to);
    relay(near, far);
    relay(far, near);
  });
}
