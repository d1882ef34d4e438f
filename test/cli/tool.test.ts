/** The command line as a user calls it: words in, documents out, one line for what is wrong. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { test } from 'node:test';

const REHOME = join(import.meta.dirname, '../../rehome');

export async function rehome(
  words: readonly string[],
  input = '',
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  // From another folder: the command must find its own way home.
  const child = spawn(REHOME, words, { cwd: tmpdir(), stdio: 'pipe' });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text: Buffer) => (stdout += text.toString()));
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout, stderr };
}

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
  const fromOp = await rehome(['tool', 'aka'], JSON.stringify(SET_1));
  assert.equal(fromOp.code, 0, fromOp.stderr);
  assert.equal(fromOp.stderr, '');
  assert.deepEqual(JSON.parse(fromOp.stdout), expected);
  const { op: _op, ...rest } = SET_1;
  const fromOpc = await rehome(['tool', 'aka'], JSON.stringify({ ...rest, opc: expected.opc }));
  assert.deepEqual(JSON.parse(fromOpc.stdout), expected);
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
    ['{', /^rehome: standard input: 1 bytes, expected one JSON document/],
    [[], /^rehome: input: /],
  ];
  for (const [input, line] of cases) {
    const { code, stdout, stderr } = await rehome(
      ['tool', 'aka'],
      typeof input === 'string' ? input : JSON.stringify(input),
    );
    assert.equal(code, 2, stderr);
    assert.equal(stdout, '');
    assert.match(stderr, line);
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
    assert.ok(!stderr.includes(SET_1.k.slice(4, 20)));
  }
});

test('tool ota-encode and ota-decode: what design and specification show', async () => {
  const keys = { spi: '0619', kic: '22', kicKey: '11'.repeat(16), kid: '22', kidKey: '22'.repeat(16) };
  const { code, stdout, stderr } = await rehome(
    ['tool', 'ota-encode'],
    JSON.stringify({ ...keys, tar: 'B00011', counter: '0000000000', data: '00a40004023f00' }),
  );
  assert.equal(code, 0, stderr);
  const { commandPacket } = JSON.parse(stdout) as { commandPacket: string };
  // CPL counts what follows it; CHL 0x15: 13 and a checksum of 8; then SPI, KIc, KID, TAR in clear.
  assert.equal(parseInt(commandPacket.slice(0, 4), 16), commandPacket.length / 2 - 2);
  assert.match(commandPacket, /^....1506192222b00011/i);
  const short = await rehome(
    ['tool', 'ota-encode'],
    JSON.stringify({ ...keys, kidKey: '22'.repeat(15), tar: 'B00011', counter: '0000000000', data: '00' }),
  );
  assert.equal(short.code, 2);
  assert.match(short.stderr, /^rehome: kidKey: /);
  const garbage = await rehome(
    ['tool', 'ota-decode'],
    JSON.stringify({ ...keys, responsePacket: '0003aabb' }),
  );
  assert.equal(garbage.code, 2);
  assert.equal(garbage.stderr.trim().split('\n').length, 1);
});

test('tool card-data: a vendor’s file as an operator would take it, without a key in the answer', async () => {
  const csv = `ICCID,IMSI,MSISDN,Ki,OPC,KIC1,KID1\n8988211000000000011,001010000000001,99901000001,${['a', 'b', 'c', 'd'].map((d) => d.repeat(32)).join(',')}\n`;
  const good = await rehome(['tool', 'card-data'], JSON.stringify({ csv, imsiRanges: ['00101'] }));
  assert.deepEqual(JSON.parse(good.stdout), {
    cards: [{ line: 2, iccid: '8988211000000000011', imsi: '001010000000001', msisdn: '99901000001' }],
  });
  const foreign = await rehome(['tool', 'card-data'], JSON.stringify({ csv, imsiRanges: ['00102'] }));
  assert.equal(foreign.code, 2);
  assert.match(foreign.stderr, /^rehome: line 2, imsi: 001010000000001, expected an IMSI of this operator/);
});

test('words that are none: exit 2 and one line', async () => {
  for (const words of [
    ['nonsense'],
    ['lab', '--devices', 'many'],
    ['lab', '--fault', 'gremlins'],
    ['lab', '--alternative', '9z'],
    ['tool', 'aka', '--frob'],
  ]) {
    const { code, stderr } = await rehome(words);
    assert.equal(code, 2, `${words.join(' ')}: ${stderr}`);
    assert.match(stderr, /^rehome: /);
  }
  assert.equal((await rehome(['--help'])).code, 0);
  assert.equal((await rehome(['lab', '--help'])).code, 0);
});

test('doctor says what is there and what is missing', async () => {
  const { code, stdout } = await rehome(['doctor', '--json']);
  assert.equal(code, 0);
  const { node, peers } = JSON.parse(stdout) as {
    node: { enough: boolean };
    peers: { name: string; gives: string }[];
  };
  assert.ok(node.enough);
  assert.ok(peers.some(({ name }) => name === 'tshark'));
  assert.ok(peers.every(({ gives }) => gives.length > 0));
});
