import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { parseCardFile } from '../../src/device/uicc/index.ts';
import { REHOME, called, spawned, type Outcome } from './rehome.ts';

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'rehome-cli-card-'));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

/** Bad input: exit code 2, one line on standard error, nothing on standard output. */
function refused({ code, out, err }: Outcome, line: RegExp): void {
  assert.equal(code, 2, err);
  assert.equal(out, '');
  assert.match(err, line);
  assert.equal(err.trimEnd().split('\n').length, 1, err);
}

test('card new writes a card that card read shows, without its keys', async (t) => {
  const path = join(folder(t), 'card.json');
  const made = await spawned([
    'card',
    'new',
    '--out',
    path,
    '--imsi',
    '001010000000001',
    '--pairs',
    '2',
    '--apn',
    'iot',
  ]);
  assert.deepEqual([made.code, made.out], [0, '']);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const file = parseCardFile(readFileSync(path, 'utf8'));
  const { code, out, err } = await spawned(['card', 'read', '--card', path, '--json']);
  assert.deepEqual([code, err], [0, '']);
  assert.deepEqual(JSON.parse(out), {
    iccid: file.iccid,
    usim: { imsi: '001010000000001', mncLength: 2, algorithm: 'milenage', apn: 'iot' },
    isim: {
      impi: '001010000000001@ims.mnc001.mcc001.3gppnetwork.org',
      impu: 'sip:001010000000001@ims.mnc001.mcc001.3gppnetwork.org',
      domain: 'ims.mnc001.mcc001.3gppnetwork.org',
    },
    pin1Enabled: false,
    keyList: {
      pairs: [
        { index: 0, state: 'current' },
        { index: 1, state: 'unused' },
      ],
      state: 'home',
      next: 1,
      last: 'none',
    },
  });
  const text = await called(['card', 'read', '--card', path]);
  for (const secret of [file.usim.k, file.usim.opc!, file.adm1, file.keyList!.pairs[0]!.kic!]) {
    assert.ok(!text.out.includes(secret) && !out.includes(secret) && !made.err.includes(secret));
  }
});

test('card new --algorithm tuak: a card that card read shows, without TOPc', async (t) => {
  const path = join(folder(t), 'card.json');
  const made = await called(['card', 'new', '--out', path, '--algorithm', 'tuak', '--pairs', '0']);
  assert.deepEqual([made.code, made.out], [0, ''], made.err);
  const { usim } = parseCardFile(readFileSync(path, 'utf8'));
  assert.deepEqual([usim.algorithm, usim.k.length, usim.topc?.length], ['tuak', 64, 64]);
  const { code, out } = await called(['card', 'read', '--card', path]);
  assert.equal(code, 0);
  assert.match(out, /^Authentication {3}tuak$/m);
  assert.ok(![usim.k, usim.topc!].some((key) => out.includes(key) || made.err.includes(key)));
  refused(
    await called(['card', 'new', '--out', `${path}2`, '--algorithm', 'tuak']),
    /^rehome: --algorithm: tuak, expected milenage in a card with a key list\n$/,
  );
});

test('card new takes a profile from standard input, keys and all', async (t) => {
  const where = folder(t);
  const [one, two] = [join(where, 'one.json'), join(where, 'two.json')];
  await called(['card', 'new', '--out', one]);
  const text = readFileSync(one, 'utf8');
  assert.equal((await spawned(['card', 'new', '--from', '-', '--out', two], text)).code, 0);
  assert.equal(readFileSync(two, 'utf8'), text);
  refused(
    await called(['card', 'new', '--from', '-', '--out', two], text),
    /two\.json exists, expected a new file, or --force/,
  );
  refused(
    await called(['card', 'new', '--from', '-', '--imsi', '1', '--out', two], text),
    /--imsi: given with --from/,
  );
  refused(
    await called(['card', 'new', '--from', '-', '--force', '--out', two], '{}'),
    /^rehome: format: absent, expected "rehome-card\/1"\n$/,
  );
  assert.equal(readFileSync(two, 'utf8'), text, 'as it was');
});

test('what is wrong is one line that names it', async (t) => {
  const where = folder(t);
  const path = join(where, 'card.json');
  refused(
    await spawned(['card', 'new', '--out', path, '--imsi', '12']),
    /^rehome: --imsi: "12", expected 6 to 15 digits\n$/,
  );
  for (const [option, value, line] of [
    ['--apn', 'a..b', '--apn: "a\\.\\.b", expected labels joined by single dots'],
    ['--algorithm', 'foo', '--algorithm: "foo", expected milenage, tuak or test-xor'],
    ['--mnc-length', '4', '--mnc-length: 4, expected 2 or 3'],
    ['--service-centre', 'home', '--service-centre: "home", expected an international number, .*'],
    [
      '--iccid',
      '8988211000000000010',
      '--iccid: "8988211000000000010", expected a check digit that holds .*',
    ],
    ['--pairs', '256', '--pairs: 256, expected a whole number from 0 to 255'],
  ] as const) {
    refused(await called(['card', 'new', '--out', path, option, value]), new RegExp(`^rehome: ${line}\n$`));
  }
  refused(
    await called([
      ...['card', 'new', '--out', path, '--algorithm', 'test-xor', '--pairs', '0'],
      ...['--imsi', '262010000000001'],
    ]),
    /^rehome: --algorithm: "test-xor", expected milenage or tuak outside test networks, .*\n$/,
  );
  refused(
    await called(['card', 'new', '--out', path, '--from', '-', '--mnc-length', '2']),
    /^rehome: --mnc-length: given with --from, expected one of the two\n$/,
  );
  refused(
    await called(['card', 'new', '--out', path, '--pairs', 'many']),
    /^rehome: --pairs: "many", expected a whole number\n$/,
  );
  for (const force of [[], ['--force']]) {
    refused(
      await called(['card', 'new', '--out', join(where, 'no', 'card.json'), ...force]),
      /^rehome: --out: .*card\.json: ENOENT, expected a file that can be written\n$/,
    );
  }
  refused(await called(['card', 'new', '--out', where, '--force']), /^rehome: --out: .*, expected a file/);
  refused(
    await called(['card', 'read', '--card', path]),
    /^rehome: .*card\.json: no such file, expected a card file\n$/,
  );
  refused(
    await called(['card', 'serve', '--card', path, '--vpcd', 'nowhere']),
    /^rehome: --vpcd: "nowhere", expected HOST:PORT\n$/,
  );
  await called(['card', 'new', '--out', path]);
  const file = JSON.parse(readFileSync(path, 'utf8')) as { usim: { k: string } };
  file.usim.k = file.usim.k.slice(2);
  writeFileSync(path, JSON.stringify(file));
  for (const words of [['read'], ['serve', '--vpcd', '127.0.0.1:1']]) {
    const outcome = await called(['card', words[0]!, '--card', path, ...words.slice(1)]);
    refused(
      outcome,
      /^rehome: .*card\.json: usim\.k: 30 characters, expected 32 hexadecimal digits, or 64 for tuak\n$/,
    );
    assert.ok(!outcome.err.includes(file.usim.k));
  }
});

test('one process serves a card file at a time, and its end, however it comes, frees it', async (t) => {
  const where = folder(t);
  const path = join(where, 'card.json');
  const link = join(where, 'link.json');
  await called(['card', 'new', '--out', path]);
  symlinkSync(path, link);
  const reader = createServer().listen(0, '127.0.0.1');
  await once(reader, 'listening');
  t.after(() => reader.close());
  const serve = ['card', 'serve', '--vpcd', `127.0.0.1:${(reader.address() as AddressInfo).port}`, '--card'];
  const inReader = async (card: string): Promise<{ stop: (signal: NodeJS.Signals) => Promise<unknown> }> => {
    const child = spawn(REHOME, [...serve, card], { stdio: ['ignore', 'pipe', 'inherit'] });
    t.after(() => child.kill('SIGKILL'));
    const [line] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
    assert.match(line, /is in the reader/);
    return {
      stop: (signal) => {
        const gone = once(child, 'exit');
        child.kill(signal);
        return gone;
      },
    };
  };

  const first = await inReader(path);
  for (const card of [path, link]) {
    for (const words of [
      [...serve, card],
      ['card', 'new', '--out', card, '--force'],
    ]) {
      const { code, out, err } = await (card === path ? spawned : called)(words);
      const line = `rehome: ${card} is in use by another process; one at a time can have it\n`;
      assert.deepEqual([code, out, err], [1, '', line]);
    }
  }
  assert.equal((await called(['card', 'read', '--card', path])).code, 0, 'reading is free');

  await first.stop('SIGKILL');
  const second = await inReader(link);
  assert.equal((await called([...serve, path])).code, 1);
  await second.stop('SIGTERM');
  assert.deepEqual(readdirSync(where).sort(), ['card.json', 'link.json'], 'no lock is left');
  const third = await inReader(path);
  await third.stop('SIGINT');
});
