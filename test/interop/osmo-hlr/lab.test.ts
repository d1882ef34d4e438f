/**
 * Whole changes of operator where both operators' subscribers are kept by a real osmo-hlr: devices attach with its
 * vectors, resynchronise to their cards' numbers, and are moved; what is retired is gone from it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { realEdge } from '../../../src/edge/real.ts';
import { parseFaults } from '../../../src/lab/faults.ts';
import { runLab } from '../../../src/lab/lab.ts';
import type { VectorRequest } from '../../../src/network/operator/vectors.ts';
import { osmoHlrKeeper } from '../../../src/network/operator/subscribers/osmo-hlr.ts';
import { connectCtrl } from '../../../src/network/wire/osmo-ctrl.ts';
import { startHlr } from './hlr.ts';

test('devices attach and change operator by 2, 3a and 3b with the keys that osmo-hlr keeps', async (t) => {
  const hlr = await startHlr(t);
  if (!hlr) return;
  const asked: Record<'A' | 'B', VectorRequest[]> = { A: [], B: [] };
  const { result, complete } = await runLab({
    alternatives: ['2', '3a', '3b'],
    devices: 6,
    seed: 5,
    faults: parseFaults([]),
    tell: () => undefined,
    keeper(operator, vault) {
      const keeper = osmoHlrKeeper({
        edge: realEdge,
        ctrl: hlr.ctrl,
        gsup: hlr.gsup,
        vault,
        unitName: `rehome-${operator}`,
      });
      return {
        ...keeper,
        vectors: {
          take(request) {
            asked[operator].push(request);
            return keeper.vectors!.take(request);
          },
        },
      };
    },
  });
  assert.ok(complete, JSON.stringify(result));
  assert.equal(result.moved, 6);
  assert.equal(result.stranded, 0);
  // Cards of 3a come with the numbers that A gave, which osmo-hlr cannot be told: they resynchronise it.
  assert.ok(
    asked.B.some(({ resync }) => resync !== undefined),
    'nobody resynchronised at B',
  );
  const look = connectCtrl({ edge: realEdge, to: hlr.ctrl });
  t.after(() => look.close());
  const kept = async (imsis: Iterable<string>): Promise<boolean[]> =>
    Promise.all(
      [...new Set(imsis)].map((imsi) =>
        look.get(`subscriber.by-imsi-${imsi}.info`).then(
          () => true,
          () => false,
        ),
      ),
    );
  const imsisOf = (of: readonly VectorRequest[]): string[] => of.map(({ imsi }) => imsi);
  assert.deepEqual(new Set(await kept(imsisOf(asked.A))), new Set([false]), 'what A retired is still there');
  const byB = imsisOf(asked.B).filter((imsi) => !imsi.endsWith('99999'));
  assert.deepEqual(new Set(await kept(byB)), new Set([true]));
});
