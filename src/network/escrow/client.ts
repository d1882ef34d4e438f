/** The escrow as operators reach it. */
import { z } from 'zod';
import type { Edge, Endpoint } from '../../edge/index.ts';
import { callRole } from '../wire/http.ts';

const pairSchema = z.union([
  z.object({ keys: z.string(), index: z.number() }),
  z.object({ error: z.string(), code: z.string() }),
]);

export interface EscrowClient {
  /** `next`: lowest index that may still be released, null if the list is exhausted; burnt ones are counted */
  card(iccid: string): Promise<{ pairs: number; next: number | null; burnt: number }>;
  /** Asks for pairs, showing the owner's order and A's release; keys come wrapped to the operator's vault. */
  pairs(
    operator: string,
    requests: readonly { order: string; release: string }[],
  ): Promise<z.infer<typeof pairSchema>[]>;
  /**
   * A manufacturer's pairs, each a signed statement with the keys wrapped to the escrow's vault; kept when this
   * returns. @returns for each why it was refused, or undefined
   */
  deposit(statements: readonly string[]): Promise<(string | undefined)[]>;
  /** Says of pairs that they were released and rolled back. */
  burnt(statements: readonly string[]): Promise<void>;
  close(): void;
}

export function createEscrowClient(edge: Edge, at: Endpoint): EscrowClient {
  const caller = callRole(edge, at);
  return {
    card: async (iccid) =>
      z
        .object({ pairs: z.number(), next: z.number().nullable(), burnt: z.number() })
        .parse(await caller.call('GET', `/cards/${iccid}`)),
    pairs: async (operator, requests) =>
      z
        .object({ pairs: z.array(pairSchema) })
        .parse(await caller.call('POST', '/pairs', { operator, requests })).pairs,
    deposit: async (statements) =>
      z
        .object({ refused: z.array(z.string().nullable()) })
        .parse(await caller.call('POST', '/deposits', statements))
        .refused.map((why) => why ?? undefined),
    burnt: async (statements) => void (await caller.call('POST', '/burnt', statements)),
    close: () => caller.close(),
  };
}
