/** The owner as others reach it: his orders, his devices, what his application heard. */
import { z } from 'zod';
import type { Edge, Endpoint } from '../../edge/index.ts';
import { followFeed, type FeedEvent } from '../wire/feed.ts';
import { callRole } from '../wire/http.ts';

export interface OwnerClient {
  /** Signed orders, one per request, in the same order. */
  order(
    requests: readonly {
      change: string;
      device: string;
      to: string;
      alternative: string;
      agent?: string;
    }[],
  ): Promise<string[]>;
  /** Signed words to the operators of devices, one per request in the same order: no service for now, or again. */
  suspension(requests: readonly { device: string; suspend: boolean; reason: string }[]): Promise<string[]>;
  /** Tells where a device lives after its change, and on which card if that is another one now. */
  moved(
    devices: readonly { device: string; operator: string; imsi: string; iccid?: string }[],
  ): Promise<void>;
  /** Hands over what a device sent to its application. */
  application(heard: { operator: string; imsi: string; payload: Uint8Array }): Promise<void>;
  /** Sends technicians: with B's card to a device, or to put the old one back. */
  orderWork(
    work: readonly { change: string; kind: 'swap' | 'restore'; device: string; iccid: string }[],
  ): Promise<void>;
  /**
   * Calls swaps off that have not happened. What became of each, in order: `cancelled` · `done`: it was scanned
   * already · `none`: there is no such work order
   */
  cancelWork(changes: readonly string[]): Promise<('cancelled' | 'done' | 'none')[]>;
  /** A technician's scan on site. @throws Problem wrong-device, wrong-card, cancelled */
  pair(scan: {
    change: string;
    kind: 'swap' | 'restore';
    imei: string;
    iccid: string;
    technician: string;
  }): Promise<void>;
  device(
    device: string,
  ): Promise<{ operator: string; heard: { operator: string; imsi: string; at: number } | null }>;
  follow(after: number, receive: (events: FeedEvent[]) => void): { close(): void };
  close(): void;
}

export function createOwnerClient(edge: Edge, at: Endpoint): OwnerClient {
  const caller = callRole(edge, at);
  return {
    order: async (requests) =>
      z.object({ orders: z.array(z.string()) }).parse(await caller.call('POST', '/orders', requests)).orders,
    suspension: async (requests) =>
      z
        .object({ suspensions: z.array(z.string()) })
        .parse(await caller.call('POST', '/suspensions', requests)).suspensions,
    moved: async (devices) => void (await caller.call('POST', '/moved', devices)),
    application: async ({ operator, imsi, payload }) =>
      void (await caller.call('POST', '/application', {
        operator,
        imsi,
        payload: Buffer.from(payload).toString('base64'),
      })),
    orderWork: async (work) => void (await caller.call('POST', '/work-orders', work)),
    cancelWork: async (changes) =>
      z
        .object({ results: z.array(z.enum(['cancelled', 'done', 'none'])).length(changes.length) })
        .parse(await caller.call('POST', '/work-orders/cancelled', changes)).results,
    pair: async (scan) => void (await caller.call('POST', '/pairings', scan)),
    device: async (device) =>
      z
        .object({
          operator: z.string(),
          heard: z.object({ operator: z.string(), imsi: z.string(), at: z.number() }).nullable(),
        })
        .parse(await caller.call('GET', `/devices/${encodeURIComponent(device)}`)),
    follow: (after, receive) => followFeed(edge.clock, caller, after, receive),
    close: () => caller.close(),
  };
}
