/** A card manufacturer as operators reach it. */
import { z } from 'zod';
import type { Edge, Endpoint } from '../../edge/index.ts';
import { fromHex } from '../../standards/bytes/index.ts';
import { callRole } from '../wire/http.ts';

const certificates = z.object({
  certificates: z.array(
    z
      .string()
      .regex(/^(?:[0-9a-f]{2})+$/)
      .nullable(),
  ),
});

export interface ManufacturerClient {
  /**
   * Certificates of the cards' key agreement keys, in order; undefined for a card that has none or is not of this
   * manufacturer. What they are worth their signature says.
   */
  certificates(iccids: readonly string[]): Promise<(Uint8Array | undefined)[]>;
  close(): void;
}

export function createManufacturerClient(edge: Edge, at: Endpoint): ManufacturerClient {
  const caller = callRole(edge, at);
  return {
    async certificates(iccids) {
      const answer = certificates.parse(await caller.call('POST', '/certificates', { iccids }));
      return iccids.map((_, i) => {
        const hex = answer.certificates[i];
        return hex ? fromHex(hex, 'certificate') : undefined;
      });
    },
    close: () => caller.close(),
  };
}
