/**
 * GSUP requests per second of our authentication centre beside a real osmo-hlr: five vectors each, the sequence
 * number on disk before they leave, both asked by the same generator in a process of its own with many in flight.
 */
import { execFileSync, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { realEdge } from '../src/edge/real.ts';
import { createGsupFace } from '../src/network/operator/gsup.ts';
import { openOperatorStore } from '../src/network/operator/store.ts';
import { createOwnVectors } from '../src/network/operator/vectors.ts';
import { createSoftwareVault } from '../src/network/vault/software.ts';
import { connectCtrl } from '../src/network/wire/osmo-ctrl.ts';
import { fromHex } from '../src/standards/bytes/index.ts';
import {
  GSUP_PORT,
  GSUP_RAT,
  IDENTITY,
  IPA_EXTENSION,
  IPA_PROTOCOL,
  OSMO_HLR_CTRL_PORT,
  encodeCcm,
  encodeGsup,
  encodeIpa,
  ipaLength,
} from '../src/standards/gsup/index.ts';

const SUBSCRIBERS = 500;
const IN_FLIGHT = 200;
const REQUESTS = 10_000;
const K = '465b5ce8b199b49faa5f0a2ee238a6bc';
const OPC = 'cd63cb71954a9f4e48a5994e37a02baf';
const imsiOf = (n: number): string => `00101${String(n).padStart(10, '0')}`;

/** Asks `count` times and hears as many results. @returns requests per second */
async function generate(host: string, port: number, count: number): Promise<number> {
  const requests = Array.from({ length: SUBSCRIBERS }, (_, n) =>
    encodeIpa({
      protocol: IPA_PROTOCOL.osmo,
      extension: IPA_EXTENSION.gsup,
      payload: encodeGsup({ type: 'sendAuthInfoRequest', imsi: imsiOf(n), currentRat: GSUP_RAT.eutranSgs }),
    }),
  );
  const socket = connect({ host, port, noDelay: true });
  await once(socket, 'connect');
  socket.write(
    encodeIpa({
      protocol: IPA_PROTOCOL.ccm,
      payload: encodeCcm({
        type: 'idResp',
        values: [
          { tag: IDENTITY.unitId, value: '0/0/0' },
          { tag: IDENTITY.serialNumber, value: 'bench' },
        ],
      }),
    }),
  );
  let sent = 0;
  let heard = 0;
  let pending: Buffer = Buffer.alloc(0);
  const start = process.hrtime.bigint();
  const ask = (most: number): void => {
    const some: Uint8Array[] = [];
    while (some.length < most && sent < count) some.push(requests[sent++ % SUBSCRIBERS]!);
    if (some.length > 0) socket.write(Buffer.concat(some));
  };
  ask(IN_FLIGHT);
  await new Promise<void>((resolve, reject) => {
    socket.on('close', () => reject(new Error('the link was closed')));
    socket.on('data', (chunk: Buffer) => {
      pending = pending.length > 0 ? Buffer.concat([pending, chunk]) : chunk;
      let answered = 0;
      for (;;) {
        const length = ipaLength(pending);
        if (length === undefined || pending.length < length) break;
        if (pending[2] === IPA_PROTOCOL.osmo) {
          // The result of SendAuthInfo with five tuples of 98 bytes and more.
          if (pending[4] !== 0x0a || length < 500) {
            reject(new Error(`refused: ${pending.subarray(0, length).toString('hex')}`));
            return;
          }
          answered++;
        }
        pending = pending.subarray(length);
      }
      heard += answered;
      if (heard >= count) resolve();
      else ask(answered);
    });
  });
  const rate = (count * 1e9) / Number(process.hrtime.bigint() - start);
  socket.removeAllListeners('close');
  socket.destroy();
  return rate;
}

/** The generator in a process of its own, so that what is measured has a core to itself. */
async function measure(host: string, port: number): Promise<number> {
  const child = fork(import.meta.filename, [host, String(port)]);
  let rate: number | undefined;
  child.on('message', (said) => (rate = Number(said)));
  await once(child, 'exit');
  if (rate === undefined) throw new Error(`the generator failed against ${host} port ${port}`);
  return rate;
}

async function ours(folder: string): Promise<{ port: number; close(): Promise<void> }> {
  const store = openOperatorStore(join(folder, 'operator'));
  const { clock, random } = realEdge;
  const vault = await createSoftwareVault({ keyEncryptionKey: new Uint8Array(32), random, clock });
  store.transaction(() => {
    for (let n = 0; n < SUBSCRIBERS; n++) {
      const imsi = imsiOf(n);
      const aka = vault.sealAka(imsi, { algorithm: 'milenage', k: fromHex(K), opc: fromHex(OPC) });
      store.insert({ imsi, msisdn: String(n), iccid: String(n), state: 'ready', change: null });
      store.update(imsi, { aka, label: imsi });
    }
  });
  const face = await createGsupFace({
    edge: realEdge,
    store,
    vectors: createOwnVectors({ clock, random, store, vault }),
    listen: { host: '127.0.0.1', port: 0 },
    apn: 'iot',
    accepts: () => true,
    authenticated: () => undefined,
    registered: () => undefined,
  });
  return {
    port: face.endpoint.port,
    async close() {
      await face.close();
      store.close();
    },
  };
}

async function theirs(folder: string, host: string): Promise<() => Promise<void>> {
  const database = join(folder, 'hlr.db');
  execFileSync('osmo-hlr-db-tool', ['-l', database, 'create'], { stdio: 'ignore' });
  const config = join(folder, 'hlr.cfg');
  writeFileSync(
    config,
    [
      'log stderr',
      ' logging level set-all error',
      'line vty',
      ` bind ${host}`,
      'ctrl',
      ` bind ${host}`,
      'hlr',
      ' gsup',
      `  bind ip ${host}`,
      '',
    ].join('\n'),
  );
  const child = spawn('osmo-hlr', ['-c', config, '-l', database], { cwd: folder, stdio: 'ignore' });
  const ended = once(child, 'close');
  const ctrl = connectCtrl({ edge: realEdge, to: { host, port: OSMO_HLR_CTRL_PORT } });
  for (let tries = 0; ; tries++) {
    try {
      await ctrl.set('subscriber.create', imsiOf(0));
      break;
    } catch (error) {
      if (tries === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  for (let n = 0; n < SUBSCRIBERS; n++) {
    if (n > 0) await ctrl.set('subscriber.create', imsiOf(n));
    await ctrl.set(`subscriber.by-imsi-${imsiOf(n)}.aud3g`, `milenage,${K},opc,${OPC}`, 'secret');
  }
  ctrl.close();
  return async () => {
    child.kill('SIGKILL');
    await ended;
  };
}

export async function run(): Promise<{ name: string; measured: number; beside: number; ratio: number }[]> {
  const name = 'GSUP requests/s, 5 vectors, durable SQN, beside osmo-hlr';
  const folder = mkdtempSync(join(tmpdir(), 'rehome-bench-gsup-'));
  const closing: (() => unknown)[] = [() => rmSync(folder, { recursive: true })];
  try {
    const own = await ours(folder);
    closing.push(() => own.close());
    const host = `127.${1 + Math.floor(254 * Math.random())}.3.7`;
    let peer = true;
    try {
      closing.push(await theirs(folder, host));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      console.error('osmo-hlr is missing: apt-get install osmo-hlr; nothing to measure beside');
      peer = false;
    }
    let measured = 0;
    let beside = 0;
    // Best of a few, alternating, so that a busy machine hurts both alike.
    for (let round = 0; round < 3; round++) {
      measured = Math.max(measured, await measure('127.0.0.1', own.port));
      if (peer) beside = Math.max(beside, await measure(host, GSUP_PORT));
    }
    return [{ name, measured, beside, ratio: measured / beside }];
  } finally {
    for (const close of closing.reverse()) await close();
  }
}

if (process.send && process.argv.length === 4) {
  const [, , host, port] = process.argv;
  process.send(await generate(host!, Number(port), REQUESTS));
  process.disconnect();
}
