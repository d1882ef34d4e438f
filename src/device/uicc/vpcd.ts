/**
 * A card in a virtual reader of vsmartcard's vpcd, which pcscd offers as any other: we connect to it. Messages
 * both ways are a length in 2 bytes, big-endian, and so many bytes; one byte alone is a control code.
 */
import type { Endpoint, Sockets } from '../../edge/index.ts';
import { ATR, type Card } from './card.ts';

const CONTROL = { off: 0, on: 1, reset: 2, atr: 4 } as const;

export interface VpcdLink {
  /** resolves when we are in the reader; rejects with one line if nobody listens there */
  connected: Promise<void>;
  /** resolves when the link was closed by either side; rejects if it broke, or the card's store did */
  closed: Promise<void>;
  close(): void;
}

/** Puts a card into the reader that listens at `to`. */
export function serveVpcd(sockets: Sockets, to: Endpoint, card: Card): VpcdLink {
  const socket = sockets.connect('vpcd', to);
  let buffer = new Uint8Array();
  let isConnected = false;
  let powered = false;

  const answer = (message: Uint8Array): void => {
    const frame = new Uint8Array(2 + message.length);
    frame[0] = message.length >> 8;
    frame[1] = message.length;
    frame.set(message, 2);
    socket.write(frame);
  };

  const handle = (message: Uint8Array): void => {
    if (message.length !== 1) {
      // A command to a card without power: no card would answer; the reader gets "technical problem".
      answer(powered ? card.transmit(message) : Uint8Array.of(0x6f, 0x00));
      return;
    }
    switch (message[0]!) {
      case CONTROL.off:
        card.powerOff();
        powered = false;
        break;
      case CONTROL.on:
      case CONTROL.reset:
        card.powerOn();
        powered = true;
        break;
      case CONTROL.atr:
        // Asked before power, too, to see whether there is a card.
        answer(ATR);
        break;
      default:
      // A code we do not know is passed over, as by other cards.
    }
  };

  const connected = new Promise<void>((resolve, reject) => {
    socket.once('connect', () => {
      isConnected = true;
      resolve();
    });
    socket.once('close', () => reject(new Error('closed')));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        new Error(
          `no virtual reader at ${to.host} port ${to.port}: ${error.code ?? error.message}; is pcscd running?`,
        ),
      );
    });
  });
  const closed = new Promise<void>((resolve, reject) => {
    let failure: unknown;
    socket.on('error', (error) => {
      failure = error;
    });
    socket.once('close', () => {
      card.powerOff();
      if (failure !== undefined && isConnected)
        reject(failure instanceof Error ? failure : new Error('broken'));
      else resolve();
    });
    socket.on('data', (chunk: Uint8Array) => {
      const all = new Uint8Array(buffer.length + chunk.length);
      all.set(buffer);
      all.set(chunk, buffer.length);
      let at = 0;
      try {
        while (all.length - at >= 2) {
          const length = (all[at]! << 8) | all[at + 1]!;
          if (all.length - at - 2 < length) break;
          const message = all.subarray(at + 2, at + 2 + length);
          at += 2 + length;
          if (length > 0) handle(message);
        }
      } catch (error) {
        failure = error;
        socket.destroy();
        return;
      }
      buffer = all.slice(at);
    });
  });
  // Whoever waits for one of the two must not be surprised by the other.
  connected.catch(() => undefined);
  closed.catch(() => undefined);
  return { connected, closed, close: () => socket.destroy() };
}
