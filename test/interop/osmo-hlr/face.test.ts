/**
 * Our HSS as an Osmocom core sees it. The independent client is osmo-hlr again, as the proxy it is for subscribers
 * it does not know: what a serving network asks it, it asks our GSUP server by Osmocom's own client library.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Endpoint } from '../../../src/edge/index.ts';
import { realEdge } from '../../../src/edge/real.ts';
import { makeFleet } from '../../../src/lab/fleet.ts';
import { PROFILES } from '../../../src/lab/operators.ts';
import { createOperator, type Operator } from '../../../src/network/operator/operator.ts';
import { createSoftwareVault } from '../../../src/network/vault/software.ts';
import { connectGsup } from '../../../src/network/wire/gsup.ts';
import { createSigner } from '../../../src/network/wire/statements.ts';
import { openChallenge, prepare } from '../../../src/standards/aka/index.ts';
import { fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import { GMM_CAUSE, GSUP_RAT, type GsupRequest } from '../../../src/standards/gsup/index.ts';
import { startHlr } from './hlr.ts';

const ANY: Endpoint = { host: '127.0.0.1', port: 0 };

test('a serving network is served by our HSS through a real osmo-hlr', async (t) => {
  const operator: Operator = await createOperator({
    edge: realEdge,
    profile: PROFILES.A,
    database: ':memory:',
    vault: await createSoftwareVault({
      keyEncryptionKey: new Uint8Array(32),
      random: realEdge.random,
      clock: realEdge.clock,
    }),
    signer: await createSigner(realEdge.clock, 'A'),
    ring: {},
    vaults: {},
    escrow: { name: 'escrow', client: {} as never },
    owner: {} as never,
    api: ANY,
    hss: ANY,
    smsc: ANY,
    scef: ANY,
    smpp: ANY,
    gsup: ANY,
    otaPassword: 'secret',
  });
  t.after(() => operator.close());
  const fleet = makeFleet(1, ['3b'], 1, PROFILES.A, PROFILES.B);
  operator.importCardData(fleet.csv);
  const { imsi, msisdn, k, opc } = fleet.devices[0]!.card.usim;
  const { host, port } = operator.endpoints.gsup!;
  const hlr = await startHlr(t, ['mslookup', ' client', `  gateway-proxy ${host} ${port}`]);
  if (!hlr) return;

  const inserted: GsupRequest[] = [];
  const client = connectGsup({
    edge: realEdge,
    to: hlr.gsup,
    unitName: 'MSC-test',
    handle(request) {
      inserted.push(request);
      return { type: 'insertDataResult', imsi: request.imsi };
    },
  });
  t.after(() => client.close());
  const key = prepare({ algorithm: 'milenage', k: fromHex(k), opc: fromHex(opc!) });
  for (const [currentRat, amf] of [
    [GSUP_RAT.eutranSgs, '8000'],
    [GSUP_RAT.utranIu, '0000'],
  ] as const) {
    const answer = await client.request({
      type: 'sendAuthInfoRequest',
      imsi,
      vectors: 3,
      currentRat,
      cnDomain: 1,
    });
    assert.ok(answer.type === 'sendAuthInfoResult', `${JSON.stringify(answer)}\n${hlr.log()}`);
    assert.equal(answer.tuples.length, 3);
    for (const { rand, umts, gsm } of answer.tuples) {
      const opened = openChallenge(key, rand, umts!.autn);
      assert.ok(opened.macValid && gsm);
      assert.equal(toHex(opened.amf), amf);
    }
  }
  const updated = await client.request({ type: 'updateLocationRequest', imsi, cnDomain: 1 });
  assert.equal(updated.type, 'updateLocationResult');
  assert.equal(inserted.length, 1);
  const data = inserted[0];
  assert.ok(data?.type === 'insertDataRequest');
  assert.equal(data.msisdn, msisdn);
  assert.deepEqual(data.pdpInfos, [{ contextId: 1, apn: PROFILES.A.apn }]);
  const unknown = await client.request({ type: 'sendAuthInfoRequest', imsi: '001019999999999' });
  assert.ok(unknown.type === 'sendAuthInfoError' && unknown.cause === GMM_CAUSE.imsiUnknown);
});
