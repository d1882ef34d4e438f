import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { realEdge } from '../../../src/edge/real.ts';
import { createOwnerClient, type OwnerClient } from '../../../src/network/owner/client.ts';
import { createOwner, type Owner } from '../../../src/network/owner/owner.ts';
import { Problem } from '../../../src/network/wire/http.ts';
import { createSigner, readStatement, type Signer } from '../../../src/network/wire/statements.ts';

const ANY = { host: '127.0.0.1', port: 0 };
const DEVICE = {
  device: 'd',
  iccid: '8988211000000000010',
  imei: '490154203237518',
  operator: 'A',
  imsi: '001010000000001',
};
const ELSEWHERE = { device: 'd', operator: 'B', imsi: '001020000000001' };
const CHANGE = '00112233445566aa';

describe('the owner', () => {
  let owner: Owner, client: OwnerClient, signer: Signer;

  before(async () => {
    signer = await createSigner(realEdge.clock, 'owner');
    owner = await createOwner({
      edge: realEdge,
      name: 'owner',
      api: ANY,
      database: ':memory:',
      signer,
      operators: ['A', 'B'],
      audience: ['escrow'],
    });
    owner.register([DEVICE]);
    client = createOwnerClient(realEdge, owner.endpoint);
  });
  after(async () => {
    client.close();
    await owner.close();
  });

  const refused = (asked: Promise<unknown>, status: number, code: string, why: RegExp): Promise<void> =>
    assert.rejects(asked, (error) => {
      assert.ok(error instanceof Problem);
      assert.deepEqual([error.status, error.code], [status, code]);
      assert.match(error.message, why);
      return true;
    });
  const order = (asked: { device?: string; to?: string; alternative?: string }): Promise<string[]> =>
    client.order([
      { change: CHANGE, device: 'd', to: 'B', alternative: '3b' },
      { change: CHANGE, device: 'd', to: 'B', alternative: '3b', ...asked },
    ]);

  test('signs an order for whom it concerns: both operators, and who must see it', async () => {
    const [jws] = await order({});
    const ring = { owner: { role: 'owner' as const, key: signer.publicKey } };
    for (const reader of ['A', 'B', 'escrow']) {
      const read = await readStatement('order', jws!, ring, reader, realEdge.clock);
      assert.deepEqual([read.from, read.to, read.imsi, read.change], ['A', 'B', DEVICE.imsi, CHANGE]);
    }
    await assert.rejects(
      readStatement('order', jws!, ring, 'C', realEdge.clock),
      /addressed to A, B, escrow/,
    );
  });

  test('orders no device to an operator that is none of his, nor to where it is, nor one that is not his', async () => {
    await refused(order({ to: 'C' }), 422, 'unknown-operator', /to: "C", expected one of A, B/);
    await refused(order({ to: 'A' }), 409, 'already-there', /device d is with A/);
    await refused(order({ device: 'e' }), 404, 'unknown-device', /device e is not this owner's/);
    await refused(order({ alternative: '4' }), 400, 'bad-request', /1\.alternative/);
  });

  test('believes no move to an operator he does not know, nor of a device that is not his; nothing is kept then', async () => {
    await refused(
      client.moved([ELSEWHERE, { ...ELSEWHERE, operator: 'C' }]),
      422,
      'unknown-operator',
      /operator: "C"/,
    );
    await refused(
      client.moved([ELSEWHERE, { ...ELSEWHERE, device: 'e' }]),
      404,
      'unknown-device',
      /device e/,
    );
    assert.equal((await client.device('d')).operator, 'A');
    await client.moved([ELSEWHERE]);
    assert.equal((await client.device('d')).operator, 'B');
  });

  test('the next order names the card that the move put in, not the one before; no card is in two devices', async () => {
    const other = { ...DEVICE, device: 'f', iccid: '8988211000000000101' };
    owner.register([other]);
    const cardOf = async (): Promise<string[]> => {
      const [jws] = await client.order([{ change: CHANGE, device: 'f', to: 'A', alternative: '3a' }]);
      const ring = { owner: { role: 'owner' as const, key: signer.publicKey } };
      const { iccid, imsi } = await readStatement('order', jws!, ring, 'A', realEdge.clock);
      return [iccid, imsi];
    };
    const there = { ...ELSEWHERE, device: 'f' };
    await client.moved([there]);
    assert.deepEqual(await cardOf(), [other.iccid, there.imsi], 'the card is the same');
    await refused(
      client.moved([{ ...there, iccid: DEVICE.iccid }]),
      409,
      'card-elsewhere',
      /8988211000000000010 is in device d/,
    );
    const iccid = '8988211000000000119';
    await client.moved([{ ...there, iccid }]);
    assert.deepEqual(await cardOf(), [iccid, there.imsi]);
  });

  test('takes no scan of another card, of another device, or of work that nobody ordered', async () => {
    const iccid = '8988211000000000011';
    const scan = { change: CHANGE, kind: 'swap', technician: 't', iccid, imei: DEVICE.imei } as const;
    await refused(client.pair(scan), 404, 'no-work-order', /has no such work order/);
    await client.orderWork([{ change: CHANGE, device: 'd', kind: 'swap', iccid }]);
    const other = { ...scan, iccid: '8988211000000000029' };
    await refused(client.pair(other), 409, 'wrong-card', /8988211000000000029, expected 8988211000000000011/);
    await refused(client.pair({ ...scan, imei: '490154203237526' }), 409, 'wrong-device', /imei: 490/);
    await client.pair(scan);
  });

  test('signs for the operator of a device alone that it is to be served no more', async () => {
    const word = { suspend: true, reason: 'stolen' };
    const [jws] = await client.suspension([{ ...word, device: 'd' }]);
    const ring = { owner: { role: 'owner' as const, key: signer.publicKey } };
    const read = await readStatement('suspension', jws!, ring, 'B', realEdge.clock);
    const { imsi } = ELSEWHERE;
    assert.deepEqual(
      [read.iccid, read.imsi, read.suspend, read.reason],
      [DEVICE.iccid, imsi, true, 'stolen'],
    );
    await assert.rejects(
      readStatement('suspension', jws!, ring, 'A', realEdge.clock),
      /addressed to B, not A/,
    );
    await refused(client.suspension([{ ...word, device: 'e' }]), 404, 'unknown-device', /device e/);
  });

  test('says what became of work that is called off: scanned already, called off, never ordered', async () => {
    const [open, strange] = ['00112233445566ab', '00112233445566ac'];
    const iccid = '8988211000000000011';
    await client.orderWork([{ change: open, device: 'd', kind: 'swap', iccid }]);
    const all = [CHANGE, open, strange];
    assert.deepEqual(await client.cancelWork(all), ['done', 'cancelled', 'none']);
    assert.deepEqual(await client.cancelWork(all), ['done', 'cancelled', 'none'], 'once more, the same');
    const scan = { change: open, kind: 'swap', technician: 't', iccid, imei: DEVICE.imei } as const;
    await refused(client.pair(scan), 409, 'cancelled', /was called off/);
  });

  test('hears a device by its name, over the operator that says so; no stranger', async () => {
    const payload = (text: string): Uint8Array => new TextEncoder().encode(text);
    const heard = { operator: 'B', imsi: ELSEWHERE.imsi };
    await refused(
      client.application({ ...heard, payload: payload('e 1') }),
      404,
      'unknown-device',
      /no device of this owner/,
    );
    assert.equal((await client.device('d')).heard, null);
    await client.application({ ...heard, payload: payload('d 1') });
    const { heard: last } = await client.device('d');
    assert.deepEqual([last?.operator, last?.imsi], ['B', ELSEWHERE.imsi]);
  });
});
