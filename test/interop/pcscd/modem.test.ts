import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { createModem, listPcscReaders, openPcscReader } from '../../../src/device/modem/index.ts';
import { ATR, parseCardFile } from '../../../src/device/uicc/index.ts';
import { connectLocal, realEdge } from '../../../src/edge/real.ts';
import { SQN_DEFAULT, authenticationVector, encodeSqn, prepare } from '../../../src/standards/aka/index.ts';
import { fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import { imsIdentityOf } from '../../../src/standards/uicc/index.ts';
import { fakeNetwork } from '../../device/modem/fake-network.ts';
import { withPcscd } from '../pcscd.ts';

const run = promisify(execFile);
const REHOME = join(import.meta.dirname, '../../../rehome');

test('the modem attaches with our card in a PC/SC reader', async (t) => {
  const vpcd = await withPcscd(t);
  if (vpcd === undefined) return;
  const folder = mkdtempSync(join(tmpdir(), 'rehome-pcsc-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'card.json');
  await run(REHOME, ['card', 'new', '--out', path, '--imsi', '001010123456789']);
  const file = parseCardFile(readFileSync(path, 'utf8'));
  const serve = spawn(REHOME, ['card', 'serve', '--card', path, '--vpcd', `${vpcd.host}:${vpcd.port}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => serve.kill('SIGKILL'));
  await once(serve.stdout, 'data');

  // pcscd sees a card that was put in within a second or so.
  let readers = await listPcscReaders({ connect: connectLocal });
  for (let i = 0; i < 40 && !readers.some(({ present }) => present); i++) {
    await sleep(100);
    readers = await listPcscReaders({ connect: connectLocal });
  }
  const [reader] = readers.filter(({ present }) => present);
  assert.equal(reader?.name, 'Virtual PCD 00 00');
  assert.equal(toHex(reader.atr), toHex(ATR));
  await assert.rejects(
    openPcscReader({ connect: connectLocal, reader: 'No such' }),
    /^FieldError: reader: "No such", expected one of pcscd's readers: "Virtual PCD 00 00"/,
  );

  const card = await openPcscReader({ connect: connectLocal });
  t.after(() => card.close());
  assert.equal(toHex(await card.powerOn()), toHex(ATR));
  assert.match(toHex(await card.transmit(fromHex('00a40004023f0000'))), /^62.*9000$|^61..$/);

  const pair = file.keyList?.pairs.find(({ state }) => state === 'current') ?? file.usim;
  const { k, opc } = pair as { k: string; opc: string };
  const network = await fakeNetwork(
    '00199',
    prepare({ algorithm: 'milenage', k: fromHex(k), opc: fromHex(opc) }),
  );
  t.after(() => network.close());
  let done: (value: unknown) => void;
  const attached = new Promise((resolve) => (done = resolve));
  const modem = await createModem({
    edge: realEdge,
    card,
    imei: '356938035643809',
    cells: [network],
    bind: { host: '127.0.0.1', port: 0 },
    observe: (event) => {
      if (event.type === 'attached' || event.type === 'cardLost' || event.type === 'rejected') done(event);
    },
  });
  t.after(() => modem.close());
  await modem.powerOn();
  assert.deepEqual(await attached, { type: 'attached', imsi: '001010123456789', plmn: '00199' });
  assert.equal(modem.state.iccid, file.iccid);
  // The ISIM beside it, on a logical channel of its own.
  assert.deepEqual(await modem.imsIdentity(), imsIdentityOf('001010123456789', 2));
  const key = prepare({ algorithm: 'milenage', k: fromHex(k), opc: fromHex(opc) });
  const sqn = encodeSqn(SQN_DEFAULT, 1000, 24);
  const vector = authenticationVector(key, new Uint8Array(16), sqn, new Uint8Array(2));
  const { rand, autn, xres, ck, ik } = vector;
  assert.deepEqual(await modem.answerIms(rand, autn), { kind: 'success', res: xres, ck, ik });
  assert.equal((await modem.answerIms(rand, autn))?.kind, 'synchronisationFailure');

  await modem.close();
  const exit = once(serve, 'exit');
  serve.kill('SIGTERM');
  await exit;
});

test('without pcscd there is one clear line', async () => {
  await assert.rejects(
    listPcscReaders({ connect: connectLocal, path: '/nowhere/pcscd.comm' }),
    /^Error: pcscd at \/nowhere\/pcscd\.comm: ENOENT; is it running\?$/,
  );
});
