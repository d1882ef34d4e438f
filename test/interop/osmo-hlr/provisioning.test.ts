/** What rehome writes into a real osmo-hlr, and the vectors it gives for it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { realEdge } from '../../../src/edge/real.ts';
import type {
  FedSubscriber,
  FeedEntry,
  SubscriberKeeper,
} from '../../../src/network/operator/subscribers/keeper.ts';
import { osmoHlrKeeper } from '../../../src/network/operator/subscribers/osmo-hlr.ts';
import { createSoftwareVault } from '../../../src/network/vault/software.ts';
import { connectCtrl } from '../../../src/network/wire/osmo-ctrl.ts';
import {
  SQN_DEFAULT,
  decodeSqn,
  makeAuts,
  openChallenge,
  prepare,
  type SubscriberKey,
} from '../../../src/standards/aka/index.ts';
import { fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import { startHlr, type RealHlr } from './hlr.ts';

const IMSI = '001019876543210';
const key: SubscriberKey = {
  algorithm: 'milenage',
  k: fromHex('465b5ce8b199b49faa5f0a2ee238a6bc'),
  opc: fromHex('cd63cb71954a9f4e48a5994e37a02baf'),
};

async function keeperAt(hlr: RealHlr, more: { algorithms?: SubscriberKey['algorithm'][] } = {}) {
  const vault = await createSoftwareVault({
    keyEncryptionKey: new Uint8Array(32),
    random: realEdge.random,
    clock: realEdge.clock,
  });
  const subscriber = (imsi: string, msisdn: string, of = key): FedSubscriber => ({
    imsi,
    msisdn,
    iccid: '8988211000000000001',
    aka: vault.sealAka(imsi, of),
    label: imsi,
    seq: 0,
  });
  const keeper: SubscriberKeeper = osmoHlrKeeper({
    edge: realEdge,
    ctrl: hlr.ctrl,
    gsup: hlr.gsup,
    vault,
    unitName: 'rehome-test',
    ...more,
  });
  return { keeper, subscriber };
}

const put = (id: string, subscriber: FedSubscriber): FeedEntry => ({
  id,
  action: 'put',
  known: false,
  subscriber,
});
const TAKEN = [{ taken: true }];

test('a subscriber is created, changed and deleted in osmo-hlr, each as often as one likes', async (t) => {
  const hlr = await startHlr(t);
  if (!hlr) return;
  const { keeper, subscriber } = await keeperAt(hlr);
  const look = connectCtrl({ edge: realEdge, to: hlr.ctrl });
  t.after(() => {
    void keeper.feeder.close();
    look.close();
  });
  const show = (): Promise<string> => look.get(`subscriber.by-imsi-${IMSI}.info-all`);
  const { feeder } = keeper;
  for (const [id, msisdn] of [
    ['1', '491111'],
    ['1', '491111'],
    ['2', '492222'],
  ]) {
    assert.deepEqual(await feeder.feed([put(id!, subscriber(IMSI, msisdn!))]), TAKEN);
    const shown = await show();
    assert.match(shown, new RegExp(`msisdn\t${msisdn}`));
    assert.match(
      shown,
      new RegExp(`aud3g.k\t${toHex(key.k)}\naud3g.opc\t${toHex(key.opc!)}\naud3g.ind_bitlen\t5`),
    );
  }
  const other = { ...key, k: fromHex('00112233445566778899aabbccddeeff') };
  assert.deepEqual(await feeder.feed([put('3', subscriber(IMSI, '492222', other))]), TAKEN);
  assert.match(await show(), new RegExp(`aud3g.k\t${toHex(other.k)}`));
  for (let i = 0; i < 2; i++) {
    assert.deepEqual(await feeder.feed([{ id: '4', action: 'remove', imsi: IMSI }]), TAKEN);
    await assert.rejects(show(), /No such subscriber/);
  }
});

test('what it cannot keep is refused by name, and no key is in what is said of it', async (t) => {
  const hlr = await startHlr(t);
  if (!hlr) return;
  const tuak: SubscriberKey = { algorithm: 'tuak', k: key.k, topc: new Uint8Array(32).fill(0x5a) };
  const careful = await keeperAt(hlr);
  const bold = await keeperAt(hlr, { algorithms: ['milenage', 'tuak'] });
  t.after(() => {
    void careful.keeper.feeder.close();
    void bold.keeper.feeder.close();
  });
  const said = [
    ...(await careful.keeper.feeder.feed([put('1', careful.subscriber(IMSI, '491111', tuak))])),
    // As if it were one that has TUAK: 1.5 has not, and says so itself.
    ...(await bold.keeper.feeder.feed([put('2', bold.subscriber(IMSI, '491111', tuak))])),
  ];
  assert.deepEqual(said[0], { refused: 'this OsmoHLR has no tuak', code: 'algorithm-unsupported' });
  const other = await bold.keeper.feeder.feed([put('3', bold.subscriber('001019876543211', '492222'))]);
  assert.deepEqual(other, TAKEN);
  // The MSISDN of another.
  const taken = await bold.keeper.feeder.feed([put('4', bold.subscriber('001019876543212', '492222'))]);
  assert.match(JSON.stringify(taken), /msisdn: .*"code":"hss-refuses"/);
  assert.ok(!JSON.stringify([said, taken]).includes(toHex(key.k)));
});

test('one that is not there is told later', async (t) => {
  const { keeper, subscriber } = await keeperAt({
    ctrl: { host: '127.0.0.1', port: 1 },
    gsup: { host: '127.0.0.1', port: 1 },
    log: () => '',
  });
  t.after(() => void keeper.feeder.close());
  const [outcome] = await keeper.feeder.feed([put('1', subscriber(IMSI, '491111'))]);
  assert.match(JSON.stringify(outcome), /"later":"control interface at 127.0.0.1 port 1: ECONNREFUSED"/);
});

test('its vectors: for EPS with the separation bit and for others without, and after AUTS above the card’s number', async (t) => {
  const hlr = await startHlr(t);
  if (!hlr) return;
  const { keeper, subscriber } = await keeperAt(hlr);
  t.after(() => void keeper.feeder.close());
  await keeper.feeder.feed([put('1', subscriber(IMSI, '491111'))]);
  const prepared = prepare(key);
  const take = async (eps: boolean, resync?: { rand: Uint8Array; auts: Uint8Array }) => {
    const answer = await keeper.vectors!.take({ imsi: IMSI, count: 2, eps, ...(resync ? { resync } : {}) });
    assert.ok('vectors' in answer, JSON.stringify(answer));
    assert.equal(answer.vectors.length, 2);
    return answer.vectors.map((vector) => {
      const opened = openChallenge(prepared, vector.rand, vector.autn);
      assert.ok(opened.macValid);
      assert.deepEqual([opened.res, opened.ck, opened.ik], [vector.xres, vector.ck, vector.ik]);
      return { vector, amf: toHex(opened.amf), seq: decodeSqn(SQN_DEFAULT, opened.sqn).seq };
    });
  };
  const eps = await take(true);
  assert.deepEqual(
    eps.map(({ amf }) => amf),
    ['8000', '8000'],
  );
  assert.deepEqual(
    (await take(false)).map(({ amf }) => amf),
    ['0000', '0000'],
  );
  const sqnMs = fromHex('000000100000');
  const { rand } = eps[0]!.vector;
  const [after] = await take(true, { rand, auts: makeAuts(prepared, rand, sqnMs) });
  assert.ok(after!.seq > decodeSqn(SQN_DEFAULT, sqnMs).seq);
  const forged = makeAuts(prepared, rand, fromHex('0fffffff0000'));
  forged[13]! ^= 1;
  const refused = await keeper.vectors!.take({
    imsi: IMSI,
    count: 1,
    eps: true,
    resync: { rand, auts: forged },
  });
  assert.deepEqual(refused, { refused: 'resync' });
  assert.deepEqual(await keeper.vectors!.take({ imsi: '001010000000000', count: 1, eps: true }), {
    refused: 'unknown',
  });
});
