import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { ATR, ISIM_AID, USIM_AID, parseCardFile } from '../../../src/device/uicc/index.ts';
import { toHex } from '../../../src/standards/bytes/index.ts';
import { EF_DIR, EF_DOMAIN, EF_ICCID, EF_IMPI, EF_IMPU, EF_IMSI } from '../../../src/standards/uicc/index.ts';
import { findCommand, requirePeer } from '../peer.ts';
import { withPcscd } from '../pcscd.ts';

const run = promisify(execFile);
const REHOME = join(import.meta.dirname, '../../../rehome');

/** The bytes that opensc-tool shows, and the status words before them. */
function received(output: string): { sw: string[]; bytes: string } {
  const sw = [...output.matchAll(/SW1=0x([0-9A-F]{2}), SW2=0x([0-9A-F]{2})/g)].map(([, a, b]) => `${a}${b}`);
  const bytes = [...output.matchAll(/^((?:[0-9A-F]{2} ){1,16})/gm)].map(([, hex]) =>
    hex!.replaceAll(' ', ''),
  );
  return { sw, bytes: bytes.join('').toLowerCase() };
}

test('opensc-tool finds our card in the reader and reads ICCID and IMSI as in the card file', async (t) => {
  const tool = requirePeer(t, findCommand('opensc-tool'), 'opensc-tool', 'opensc');
  if (tool === undefined) return;
  const vpcd = await withPcscd(t);
  if (vpcd === undefined) return;
  const where = `${vpcd.host}:${vpcd.port}`;
  const folder = mkdtempSync(join(tmpdir(), 'rehome-opensc-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'card.json');
  await run(REHOME, ['card', 'new', '--out', path, '--imsi', '001010123456789']);

  const serve = spawn(REHOME, ['card', 'serve', '--card', path, '--vpcd', where], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => serve.kill('SIGKILL'));
  const file = parseCardFile(readFileSync(path, 'utf8'));
  const early = once(serve, 'exit').then(([code]) => assert.fail(`card serve ended with ${String(code)}`));
  early.catch(() => undefined);
  const [line] = (await Promise.race([once(serve.stdout.setEncoding('utf8'), 'data'), early])) as [string];
  assert.equal(line, `card ${file.iccid} is in the reader at ${where}\n`);

  const opensc = async (...words: string[]): Promise<string> => {
    for (let attempt = 0; ; attempt++) {
      try {
        const { stdout } = await run(tool, words);
        return stdout;
      } catch (error) {
        // pcscd sees a card that was put in within a second or so.
        if (attempt === 20) throw error;
        await sleep(250);
      }
    }
  };
  /** Without a search for a driver: each asks the card dozens of things, and each takes vpcd 40 ms. */
  const send = async (...apdus: string[]): Promise<{ sw: string[]; bytes: string }> =>
    received(
      await opensc('--reader', '0', '--card-driver', 'default', ...apdus.flatMap((apdu) => ['-s', apdu])),
    );

  assert.match(await opensc('--reader', '0', '--atr'), new RegExp(toHex(ATR).match(/../g)!.join(':')));
  assert.match(await opensc('--list-readers'), /0\s+Yes\s+Virtual PCD 00 00/);

  // After all that the drivers ask to find out whose card it is.
  const mf = received(await opensc('--reader', '0', '-s', '00A40004023F0000'));
  assert.deepEqual(mf.sw, ['9000']);
  assert.match(mf.bytes, /^62..82027821.*83023f00/);

  const dir = await send('00A4000C022F00', '00B2010426');
  assert.equal(dir.sw.at(-1), '9000');
  assert.ok(dir.bytes.endsWith(toHex(EF_DIR.encode({ aid: USIM_AID, label: 'USIM' }))));
  const second = await send('00A4000C022F00', '00B2020426');
  assert.ok(second.bytes.endsWith(toHex(EF_DIR.encode({ aid: ISIM_AID, label: 'ISIM' }))));

  const usim = await send(`00A4040410${toHex(USIM_AID)}00`);
  assert.deepEqual(usim.sw, ['9000']);
  assert.ok(usim.bytes.includes(`8410${toHex(USIM_AID)}`), 'the AID is in the FCP');
  assert.match(usim.bytes, /c6..9001/, 'the PIN status is in the FCP');

  const iccid = await send('00A4000C023F00', '00A4000C022FE2', '00B000000A');
  assert.equal(iccid.bytes, toHex(EF_ICCID.encode(file.iccid)));
  const imsi = await send(`00A4040C10${toHex(USIM_AID)}`, '00A4000C026F07', '00B0000009');
  assert.deepEqual(imsi.sw, ['9000', '9000', '9000']);
  assert.equal(imsi.bytes, toHex(EF_IMSI.encode(file.usim.imsi)));

  const isim = await send(`00A4040410${toHex(ISIM_AID)}00`);
  assert.deepEqual(isim.sw, ['9000']);
  assert.ok(isim.bytes.includes(`8410${toHex(ISIM_AID)}`), 'the AID is in the FCP');
  const identity = await send(
    '00A4040C07A0000000871004',
    ...['00A4000C026F02', '00B000003C', '00A4000C026F03', '00B0000028', '00A4000C026F04', '00B2010440'],
  );
  assert.deepEqual(identity.sw, new Array(7).fill('9000'));
  const { impi, impu, domain } = file.isim!;
  const contents = [EF_IMPI.encode(impi), EF_DOMAIN.encode(domain), EF_IMPU.encode(impu)];
  assert.equal(identity.bytes, contents.map(toHex).join(''));

  // What a terminal writes is in the file afterwards, and the program ends at a signal.
  await send(`00A4040C10${toHex(USIM_AID)}`, '00A4000C026F7B', '00D600000300F110');
  const exit = once(serve, 'exit');
  serve.kill('SIGTERM');
  assert.deepEqual(await exit, [0, null]);
  assert.equal(parseCardFile(readFileSync(path, 'utf8')).files?.['7fff/6f7b'], '00f110ffffffffffffffffff');
});

test('a reader that is not there is one clear line', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'rehome-opensc-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'card.json');
  await run(REHOME, ['card', 'new', '--out', path]);
  await assert.rejects(
    run(REHOME, ['card', 'serve', '--card', path, '--vpcd', '127.0.0.1:1']),
    (error: { code: number; stderr: string }) => {
      assert.equal(error.code, 1);
      assert.match(error.stderr, /^rehome: no virtual reader at 127\.0\.0\.1 port 1: ECONNREFUSED.*\n$/);
      return true;
    },
  );
});
