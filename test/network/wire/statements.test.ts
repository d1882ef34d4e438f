import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { VirtualClock } from '../../../src/lab/clock.ts';
import { Problem } from '../../../src/network/wire/http.ts';
import {
  createSigner,
  readStatement,
  type KeyRing,
  type Order,
  type Signer,
  type StatementKind,
} from '../../../src/network/wire/statements.ts';

const NOW = Date.UTC(2026, 0, 1);
const SECOND = NOW / 1000;

describe('a statement', () => {
  const clock = new VirtualClock(NOW);
  let owner: Signer, a: Signer, ring: KeyRing;
  const body: Omit<Order, 'iss'> = {
    aud: ['A', 'B', 'escrow'],
    iat: SECOND,
    exp: SECOND + 3600,
    change: '00112233445566aa',
    device: 'd',
    iccid: '8988211000000000010',
    imei: '490154203237518',
    imsi: '001010000000001',
    from: 'A',
    to: 'B',
    alternative: '3b',
  };
  const burnt = { ...body, index: 1 };

  before(async () => {
    owner = await createSigner(clock, 'owner');
    a = await createSigner(clock, 'A');
    ring = {
      owner: { role: 'owner', key: owner.publicKey },
      A: { role: 'operator', key: a.publicKey },
    };
  });

  const order = (change: Partial<Order> = {}, signer = owner): Promise<string> =>
    signer.sign('order', { ...body, ...change });
  const read = (
    jws: string,
    { kind = 'order', expired }: { kind?: StatementKind; expired?: 'refuse' | 'allow' } = {},
  ): Promise<unknown> => readStatement(kind, jws, ring, 'B', clock, expired);
  const refused = async (reading: Promise<unknown>, why: RegExp, code = 'bad-order'): Promise<void> => {
    await assert.rejects(reading, (error) => {
      assert.ok(error instanceof Problem, String(error));
      assert.deepEqual([error.status, error.code], [403, code]);
      assert.match(error.message, why);
      return true;
    });
  };

  test('is read as it was said, by whom it is addressed to', async () => {
    assert.deepEqual(await read(await order()), { ...body, iss: 'owner' });
  });

  test('is over when its time is, to the second, unless its reader goes on with what was begun in time', async () => {
    const over = await order({ exp: SECOND });
    await refused(read(over), /^order: expired$/);
    assert.ok(await read(await order({ exp: SECOND + 1 })));
    assert.ok(await read(over, { expired: 'allow' }));
  });

  test('that is over is forgiven nothing else', async () => {
    const over = { exp: SECOND };
    const allow = { expired: 'allow' } as const;
    await refused(read(await order({ ...over, aud: ['A'] }), allow), /addressed to A, not B/);
    await refused(
      read(await order(over, await createSigner(clock, 'owner')), allow),
      /signature is not owner's/,
    );
  });

  test('to others is refused', async () => {
    await refused(read(await order({ aud: ['A', 'escrow'] })), /addressed to A, escrow, not B/);
  });

  test('from the future is refused, but for a minute between two clocks', async () => {
    await refused(read(await order({ iat: SECOND + 61 })), /from the future/);
    await refused(read(await order({ iat: SECOND + 61 }), { expired: 'allow' }), /from the future/);
    assert.ok(await read(await order({ iat: SECOND + 60 })));
  });

  test('of another kind is refused, even where it says the same', async () => {
    const { device: _d, imei: _e, imsi: _i, from: _f, to: _t, alternative: _a, ...rest } = burnt;
    const jws = await a.sign('index-burnt', rest);
    assert.ok(await read(jws, { kind: 'index-burnt' }));
    await refused(read(jws), /not a statement of that kind/);
    await refused(
      read(await a.sign('destroyed', { ...rest, index: undefined } as never), { kind: 'index-burnt' }),
      /not a statement of that kind/,
      'bad-index-burnt',
    );
  });

  test('counts only of who may say such a thing: no operator orders, no owner releases, no stranger anything', async () => {
    await refused(read(await order({}, a)), /signed by A, whose word does not count/);
    const stranger = await createSigner(clock, 'C');
    await refused(read(await order({}, stranger)), /signed by C, whose word does not count/);
    const { device: _d, imei: _e, imsi: _i, from: _f, to: _t, alternative: _a, ...rest } = burnt;
    await refused(
      read(await owner.sign('index-burnt', rest), { kind: 'index-burnt' }),
      /signed by owner, whose word does not count/,
      'bad-index-burnt',
    );
  });

  test('with a bent signature, another’s, or a bent word is refused', async () => {
    const jws = await order();
    const [header, payload, signature] = jws.split('.') as [string, string, string];
    const bent = Buffer.from(signature, 'base64url');
    bent[10]! ^= 1;
    await refused(read(`${header}.${payload}.${bent.toString('base64url')}`), /signature is not owner's/);
    await refused(read(await order({}, await createSigner(clock, 'owner'))), /signature is not owner's/);
    const other = Buffer.from(JSON.stringify({ ...body, iss: 'owner', to: 'C' })).toString('base64url');
    await refused(read(`${header}.${other}.${signature}`), /signature is not owner's/);
  });

  test('that names no algorithm, or none of ours, is refused', async () => {
    const [, payload] = (await order()).split('.') as [string, string, string];
    const none = Buffer.from(JSON.stringify({ alg: 'none', typ: 'rehome-order' })).toString('base64url');
    await refused(read(`${none}.${payload}.`), /signature is not owner's/);
  });

  test('that cannot be read, or is not as its schema, is refused by the word', async () => {
    for (const junk of ['', 'x', 'a.b.c', '..']) await refused(read(junk), /unreadable|not a statement/);
    await refused(read(await order({ imsi: 'x' })), /expected an IMSI of 6 to 15 digits/);
    await refused(read(await order({ more: 1 } as never)), /more/);
  });
});
