/** The command line as a user calls it: words in, documents out, one line for what is wrong. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { called, spawned } from './rehome.ts';

const SET_1 = {
  algorithm: 'milenage',
  k: '465b5ce8b199b49faa5f0a2ee238a6bc',
  op: 'cdc202d5123e20f62b6d676ac72cb318',
  rand: '23553cbe9637a89d218ae64dae47bf35',
  sqn: 'ff9bb4d0b607',
  amf: 'b9b9',
};

test('tool aka: TS 35.208 test set 1, from OP and from OPc', async () => {
  const expected = {
    opc: 'cd63cb71954a9f4e48a5994e37a02baf',
    macA: '4a9ffac354dfafb3',
    macS: '01cfaf9ec4e871e9',
    res: 'a54211d5e3ba50bf',
    ck: 'b40ba9a3c58b2a05bbf0d987b21bf8cb',
    ik: 'f769bcd751044604127672711c6d3441',
    ak: 'aa689c648370',
    akStar: '451e8beca43b',
    autn: '55f328b43577b9b94a9ffac354dfafb3',
  };
  const fromOp = await spawned(['tool', 'aka'], JSON.stringify(SET_1));
  assert.equal(fromOp.code, 0, fromOp.err);
  assert.equal(fromOp.err, '');
  assert.deepEqual(JSON.parse(fromOp.out), expected);
  const { op: _op, ...rest } = SET_1;
  const fromOpc = await called(['tool', 'aka'], JSON.stringify({ ...rest, opc: expected.opc }));
  assert.deepEqual(JSON.parse(fromOpc.out), expected);
});

const TUAK_6 = {
  algorithm: 'tuak',
  k: '1574ca56881d05c189c82880f789c9cd4244955f4426aa2b69c29f15770e5aa5',
  top: 'e59f6eb10ea406813f4991b0b9e02f181edf4c7e17b480f66d34da35ee88c95e',
  rand: 'c570aac68cde651fb1e3088322498bef',
  sqn: 'c89bb71f3a41',
  amf: '297d',
  resLength: 256,
  macLength: 256,
  ckLength: 256,
  ikLength: 256,
  keccakIterations: 2,
};

test('tool aka: TS 35.233 test sets 6 and 1, from TOP and from TOPc', async () => {
  const expected = {
    topc: 'b04a66f26c62fcd6c82de22a179ab65506ecf47f56245cd149966cfa9cec7a51',
    macA: '90d2289ed1ca1c3dbc2247bb480d431ac71d2e4a7677f6e997cfddb0cbad88b7',
    macS: '427355dbac30e825063aba61b556e87583abac638e3ab01c4c884ad9d458dc2f',
    res: 'd67e6e64590d22eecba7324afa4af4460c93f01b24506d6e12047d789a94c867',
    ck: 'ede57edfc57cdffe1aae75066a1b7479bbc3837438e88d37a801cccc9f972b89',
    ik: '48ed9299126e5057402fe01f9201cf25249f9c5c0ed2afcf084755daff1d3999',
    ak: '6aae8d18c448',
    akStar: '8c5f33b61f4e',
    autn: 'a2353a07fe09297d90d2289ed1ca1c3dbc2247bb480d431ac71d2e4a7677f6e997cfddb0cbad88b7',
  };
  const fromTop = await called(['tool', 'aka'], JSON.stringify(TUAK_6));
  assert.deepEqual([fromTop.code, fromTop.err], [0, '']);
  assert.deepEqual(JSON.parse(fromTop.out), expected);
  const { top: _top, ...rest } = TUAK_6;
  const fromTopc = await called(['tool', 'aka'], JSON.stringify({ ...rest, topc: expected.topc }));
  assert.deepEqual(JSON.parse(fromTopc.out), expected);
  // Set 1 has the usual lengths but for its RES.
  const usual = await called(
    ['tool', 'aka'],
    JSON.stringify({
      algorithm: 'tuak',
      k: 'ab'.repeat(16),
      topc: 'bd04d9530e87513c5d837ac2ad954623a8e2330c115305a73eb45d1f40cccbff',
      rand: '42'.repeat(16),
      sqn: '11'.repeat(6),
      amf: 'ffff',
      resLength: 32,
    }),
  );
  const { res, ck, autn } = JSON.parse(usual.out) as Record<string, string>;
  assert.deepEqual(
    { res, ck, autn },
    {
      res: '657acd64',
      ck: 'd71a1e5c6caffe986a26f783e5c78be1',
      autn: '608e0f8a8145fffff9a54e6aeaa8618d',
    },
  );
});

test('tool aka: wrong input is exit 2 and one line that names the field and hides the key', async () => {
  const cases: [object | string, RegExp][] = [
    [{ ...SET_1, k: SET_1.k.slice(2) }, /^rehome: k: 15 bytes, expected 16 bytes/],
    [{ ...SET_1, k: `${SET_1.k.slice(1)}g` }, /^rehome: k: a character that is not hexadecimal/],
    [{ ...SET_1, sqn: '00' }, /^rehome: sqn: 1 bytes, expected 6 bytes/],
    [{ ...SET_1, opc: SET_1.op }, /^rehome: op: present, as is opc/],
    [{ ...SET_1, algorithm: 'comp128' }, /^rehome: algorithm: /],
    [{ ...SET_1, algorithm: 'test-xor' }, /^rehome: op: present, expected none for test-xor/],
    [{ ...SET_1, ki: '00' }, /^rehome: ki: /],
    [{ ...SET_1, top: TUAK_6.top }, /^rehome: top: present, expected none for milenage/],
    [{ ...SET_1, resLength: 64 }, /^rehome: resLength: present, expected none for milenage/],
    [
      { ...SET_1, op: undefined, opc: undefined },
      /^rehome: op: absent, as is opc, expected either op or opc/,
    ],
    [{ ...TUAK_6, op: SET_1.op }, /^rehome: op: present, expected none for tuak/],
    [{ ...TUAK_6, topc: TUAK_6.top }, /^rehome: top: present, as is topc, expected either top or topc/],
    [{ ...TUAK_6, top: SET_1.op }, /^rehome: top: 16 bytes, expected 32 bytes/],
    [{ ...TUAK_6, k: TUAK_6.k.slice(16) }, /^rehome: k: 24 bytes, expected 16 or 32 bytes/],
    [{ ...TUAK_6, macLength: 96 }, /^rehome: macLength: 96, expected 64, 128 or 256 bits/],
    [{ ...TUAK_6, resLength: 8 }, /^rehome: resLength: 8, expected 32, 64, 128 or 256 bits/],
    [{ ...TUAK_6, ckLength: 64 }, /^rehome: ckLength: 64, expected 128 or 256 bits/],
    [{ ...TUAK_6, ikLength: '128' }, /^rehome: ikLength: not as specified, expected number/],
    [{ ...TUAK_6, keccakIterations: 0 }, /^rehome: keccakIterations: 0, expected 1 to 255/],
    ['{', /^rehome: standard input: 1 bytes, expected one JSON document/],
    [[], /^rehome: input: /],
  ];
  for (const [i, [input, line]] of cases.entries()) {
    const { code, out, err } = await (i === 0 ? spawned : called)(
      ['tool', 'aka'],
      typeof input === 'string' ? input : JSON.stringify(input),
    );
    assert.equal(code, 2, err);
    assert.equal(out, '');
    assert.match(err, line);
    assert.equal(err.trim().split('\n').length, 1, err);
    for (const { k } of [SET_1, TUAK_6]) assert.ok(!err.includes(k.slice(20, 30)));
  }
});

test('tool ota-encode and ota-decode: what design and specification show', async () => {
  const keys = { spi: '0619', kic: '22', kicKey: '11'.repeat(16), kid: '22', kidKey: '22'.repeat(16) };
  const { code, out, err } = await spawned(
    ['tool', 'ota-encode'],
    JSON.stringify({ ...keys, tar: 'B00011', counter: '0000000000', data: '00a40004023f00' }),
  );
  assert.equal(code, 0, err);
  const { commandPacket } = JSON.parse(out) as { commandPacket: string };
  // CPL counts what follows it; CHL 0x15: 13 and a checksum of 8; then SPI, KIc, KID, TAR in clear.
  assert.equal(parseInt(commandPacket.slice(0, 4), 16), commandPacket.length / 2 - 2);
  assert.match(commandPacket, /^....1506192222b00011/i);
  const short = await called(
    ['tool', 'ota-encode'],
    JSON.stringify({ ...keys, kidKey: '22'.repeat(15), tar: 'B00011', counter: '0000000000', data: '00' }),
  );
  assert.equal(short.code, 2);
  assert.match(short.err, /^rehome: kidKey: /);
  const garbage = await spawned(
    ['tool', 'ota-decode'],
    JSON.stringify({ ...keys, responsePacket: '0003aabb' }),
  );
  assert.equal(garbage.code, 2);
  assert.equal(garbage.err.trim().split('\n').length, 1);
});

test('tool card-data: a vendor’s file as an operator would take it, without a key in the answer', async () => {
  const csv = `ICCID,IMSI,MSISDN,Ki,OPC,KIC1,KID1\n8988211000000000011,001010000000001,99901000001,${['a', 'b', 'c', 'd'].map((d) => d.repeat(32)).join(',')}\n`;
  const good = await spawned(['tool', 'card-data'], JSON.stringify({ csv, imsiRanges: ['00101'] }));
  assert.deepEqual(JSON.parse(good.out), {
    cards: [{ line: 2, iccid: '8988211000000000011', imsi: '001010000000001', msisdn: '99901000001' }],
  });
  const foreign = await called(['tool', 'card-data'], JSON.stringify({ csv, imsiRanges: ['00102'] }));
  assert.equal(foreign.code, 2);
  assert.match(foreign.err, /^rehome: line 2, imsi: 001010000000001, expected an IMSI of this operator/);
});

test('tool card-data: a file and its transport keys, which only their owner may read; no key in the answer', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rehome-cards-'));
  try {
    const [file, keys] = [join(folder, 'cards.csv'), join(folder, 'keys.json')];
    // KI is TS 35.208's of test set 1 under AES-128 000102…0f, CBC from 23…23 (pySim).
    writeFileSync(
      file,
      `ICCID,IMSI,MSISDN,KI,KIC1,KID1\n8988211000000000011,001010000000001,99901000001,82916286ee3bf17274b425ab2cce7f91,${'c'.repeat(32)},${'d'.repeat(32)}\n`,
    );
    const secrets = JSON.stringify({ keys: { KI: '000102030405060708090a0b0c0d0e0f' }, op: SET_1.op });
    writeFileSync(keys, secrets, { mode: 0o644 });
    const words = ['tool', 'card-data', '--file', file, '--imsi-range', '00101'];
    const open = await called([...words, '--transport-keys', keys]);
    assert.equal(open.code, 2);
    assert.match(open.err, /^rehome: --transport-keys: .*its owner alone/);
    chmodSync(keys, 0o600);
    const good = await called([...words, '--transport-keys', keys]);
    assert.equal(good.code, 0, good.err);
    const { cards, transportKeys } = JSON.parse(good.out) as { cards: number; transportKeys: object[] };
    assert.equal(cards, 1);
    assert.deepEqual(transportKeys, [
      { name: 'KI', cipher: 'aes', kcv: 'c6a13b', opened: true, verifiedBy: [] },
    ]);
    assert.deepEqual((await spawned([...words, '--transport-keys', '-'], secrets)).out, good.out);
    const absent = await called([...words, '--transport-keys', join(folder, 'none')]);
    assert.equal(absent.code, 2);
    assert.match(absent.err, /^rehome: --transport-keys: .*ENOENT/);
    const gone = await called([...words.slice(0, 3), join(folder, 'none'), ...words.slice(4)]);
    assert.equal(gone.code, 2);
    assert.match(gone.err, /^rehome: --file: .*ENOENT/);
    assert.equal((await called(words.slice(0, 4))).code, 2);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('words that are none: exit 2 and one line', async () => {
  for (const words of [
    ['nonsense'],
    ['lab', '--devices', 'many'],
    ['lab', '--fault', 'gremlins'],
    ['lab', '--alternative', '9z'],
    ['tool', 'aka', '--frob'],
  ]) {
    const { code, err } = await (words.length === 1 ? spawned : called)(words);
    assert.equal(code, 2, `${words.join(' ')}: ${err}`);
    assert.match(err, /^rehome: /);
  }
  assert.equal((await spawned(['--help'])).code, 0);
  assert.equal((await called(['lab', '--help'])).code, 0);
});

test('doctor says what is there and what is missing', async () => {
  const { code, out } = await spawned(['doctor', '--json']);
  assert.equal(code, 0);
  const { node, peers } = JSON.parse(out) as {
    node: { enough: boolean };
    peers: { name: string; gives: string }[];
  };
  assert.ok(node.enough);
  assert.ok(peers.some(({ name }) => name === 'tshark'));
  assert.ok(peers.every(({ gives }) => gives.length > 0));
});
