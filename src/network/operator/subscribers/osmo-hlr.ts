/**
 * Subscribers kept by an OsmoHLR: provisioned over its control interface, which takes all we need (create, delete,
 * MSISDN, keys: osmo-hlr 1.5 and newer); vectors come over GSUP, with the separation bit as we ask as EUTRAN.
 */
import type { Edge, Endpoint } from '../../../edge/index.ts';
import type { SubscriberKey } from '../../../standards/aka/index.ts';
import { toHex } from '../../../standards/bytes/index.ts';
import { GMM_CAUSE, GSUP_RAT } from '../../../standards/gsup/index.ts';
import { connectGsup, type GsupClient } from '../../wire/gsup.ts';
import { CtrlRefused, connectCtrl, type CtrlClient } from '../../wire/osmo-ctrl.ts';
import type { KeyVault } from '../../vault/vault.ts';
import type { Quintet, VectorAnswer, VectorRequest, VectorSource } from '../vectors.ts';
import type { FedSubscriber, FeedEntry, FeedOutcome, SubscriberKeeper } from './keeper.ts';

/** Bits of IND that OsmoHLR is told to use: those of our own authentication centre. */
const IND_BITS = 5;
const NOBODY = 'No such subscriber.';

export interface OsmoHlrOptions {
  edge: Edge;
  /** its control interface, 4259 if it was not told otherwise */
  ctrl: Endpoint;
  gsup: Endpoint;
  vault: KeyVault;
  /** by which name it knows us among its GSUP peers; it keeps an IND of the sequence numbers for each */
  unitName: string;
  /** what it can compute: Milenage alone up to 1.5, TUAK too from 1.7 on; Milenage if not given */
  algorithms?: readonly SubscriberKey['algorithm'][];
  /** milliseconds that it may take for vectors; 5000 if not given */
  answerMs?: number;
}

/** What OsmoHLR cannot compute, or undefined. It has one form of each algorithm, with RES of 8 bytes. */
function unsupported(key: SubscriberKey, algorithms: readonly string[]): string | undefined {
  if (!algorithms.includes(key.algorithm)) return `this OsmoHLR has no ${key.algorithm}`;
  if (key.constants) return 'OsmoHLR has no Milenage constants of an operator’s own';
  if ((key.resLength ?? 8) !== 8) return `OsmoHLR gives RES of 8 bytes, the card ${key.resLength}`;
  if ((key.keccakIterations ?? 1) !== 1) return 'OsmoHLR has one Keccak iteration';
  return undefined;
}

/** The value of `aud3g`. Holds the key: for the wire alone. */
const aud3g = (key: SubscriberKey): string =>
  `${key.algorithm},${toHex(key.k)},opc,${toHex(key.opc ?? key.topc!)},${IND_BITS}`;

/** A vector source that asks an HLR over GSUP. */
export function createGsupVectors(client: GsupClient, answerMs = 5_000): VectorSource {
  return {
    async take({ imsi, count, eps, resync }: VectorRequest): Promise<VectorAnswer> {
      let answer;
      try {
        answer = await client.request(
          {
            type: 'sendAuthInfoRequest',
            imsi,
            vectors: count,
            currentRat: eps ? GSUP_RAT.eutranSgs : GSUP_RAT.utranIu,
            ...(resync ? { auts: resync.auts, rand: resync.rand } : {}),
          },
          answerMs,
        );
      } catch {
        return { refused: 'unavailable' };
      }
      if (answer.type === 'sendAuthInfoError') {
        // An AUTS that is not the card's has the same cause there as an IMSI that nobody knows.
        if (resync) return { refused: 'resync' };
        return { refused: answer.cause === GMM_CAUSE.imsiUnknown ? 'unknown' : 'unavailable' };
      }
      if (answer.type !== 'sendAuthInfoResult') return { refused: 'unavailable' };
      const vectors: Quintet[] = [];
      for (const { rand, umts } of answer.tuples) {
        // A subscriber with 2G keys alone has no quintets.
        if (umts) vectors.push({ rand, autn: umts.autn, xres: umts.res, ck: umts.ck, ik: umts.ik });
      }
      return vectors.length > 0 ? { vectors: vectors.slice(0, count) } : { refused: 'unavailable' };
    },
  };
}

export function osmoHlrKeeper(options: OsmoHlrOptions): SubscriberKeeper {
  const { edge, vault } = options;
  const algorithms = options.algorithms ?? ['milenage'];
  const ctrl: CtrlClient = connectCtrl({ edge, to: options.ctrl });
  const gsup = connectGsup({ edge, to: options.gsup, unitName: options.unitName });

  const has = async (imsi: string): Promise<boolean> => {
    try {
      await ctrl.get(`subscriber.by-imsi-${imsi}.info`);
      return true;
    } catch (error) {
      if (error instanceof CtrlRefused && error.reason === NOBODY) return false;
      throw error;
    }
  };

  const put = async ({ imsi, msisdn, aka, label }: FedSubscriber): Promise<FeedOutcome> => {
    const prepared = vault.withAka(label, aka, (key) => {
      const refused = unsupported(key, algorithms);
      return refused === undefined ? { value: aud3g(key) } : { refused };
    });
    if ('refused' in prepared) return { refused: prepared.refused, code: 'algorithm-unsupported' };
    if (!(await has(imsi))) await ctrl.set('subscriber.create', imsi);
    const by = `subscriber.by-imsi-${imsi}`;
    await ctrl.set(`${by}.msisdn`, msisdn);
    // Last, as it is what makes it authenticate. It also begins the sequence numbers anew: the card resynchronises.
    await ctrl.set(`${by}.aud3g`, prepared.value, 'secret');
    return { taken: true };
  };

  const remove = async (imsi: string): Promise<FeedOutcome> => {
    if (await has(imsi)) await ctrl.set('subscriber.delete', imsi);
    return { taken: true };
  };

  const one = async (entry: FeedEntry): Promise<FeedOutcome> => {
    try {
      return await (entry.action === 'put' ? put(entry.subscriber) : remove(entry.imsi));
    } catch (error) {
      if (error instanceof CtrlRefused) return { refused: error.message, code: 'hss-refuses' };
      return { later: (error as Error).message };
    }
  };

  return {
    // One connection, on which OsmoHLR answers in order: all at once is as fast as it goes.
    feeder: {
      feed: (entries) => Promise.all(entries.map(one)),
      close() {
        ctrl.close();
        gsup.close();
      },
    },
    vectors: createGsupVectors(gsup, options.answerMs),
  };
}
