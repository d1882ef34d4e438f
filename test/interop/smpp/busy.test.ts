/** Our OTA gateway at a foreign service centre (node-smpp) that is too busy, drops the link, or answers late. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { realEdge } from '../../../src/edge/real.ts';
import type { Clock } from '../../../src/edge/index.ts';
import { openOperatorStore } from '../../../src/network/operator/store.ts';
import { createOtaGateway } from '../../../src/network/ota/gateway.ts';
import { createSoftwareVault } from '../../../src/network/vault/software.ts';
import { COMMAND_STATUS } from '../../../src/standards/smpp/index.ts';

interface LibraryPdu {
  destination_addr: string;
  short_message: { message?: Buffer; udh?: Buffer[] };
  response(fields?: object): LibraryPdu;
}
interface LibrarySession {
  on(event: string, listener: (pdu: LibraryPdu) => void): void;
  send(pdu: LibraryPdu): void;
  destroy(): void;
}
interface Library {
  createServer(session: (session: LibrarySession) => void): {
    listen(port: number, host: string, done: () => void): void;
    address(): { port: number };
    close(done: () => void): void;
  };
}
const library = createRequire(import.meta.url)('smpp') as Library;

/** Hours in seconds: pauses here are half a minute and more. */
const FASTER = 100;
const began = performance.now();
const clock: Clock = {
  now: () => Math.floor(Date.UTC(2026, 0, 1) + (performance.now() - began) * FASTER),
  after: (milliseconds, run) => realEdge.clock.after(milliseconds / FASTER, run),
  hold: (work) => work,
};
const keys = { kic: new Uint8Array(16).fill(1), kid: new Uint8Array(16).fill(2) };

type Verdict = 'take' | 'throttle' | 'full' | 'drop' | 'late';

/** What the service centre got, when it does so with each submission. */
async function submissions(
  verdicts: readonly Verdict[],
  cards: number,
): Promise<{ taken: string[]; all: string[] }> {
  const [taken, all]: [string[], string[]] = [[], []];
  let enough: () => void = () => undefined;
  const done = new Promise<void>((resolve) => (enough = resolve));
  const open = new Set<LibrarySession>();
  const server = library.createServer((session) => {
    open.add(session);
    session.on('error', () => undefined);
    session.on('bind_transceiver', (pdu) => session.send(pdu.response({ system_id: 'theirs' })));
    session.on('submit_sm', (pdu) => {
      const { udh, message } = pdu.short_message;
      const text = Buffer.concat([...(udh ?? []), message ?? Buffer.alloc(0)]).toString('hex');
      const what = `${pdu.destination_addr} ${text}`;
      const verdict = verdicts[all.length] ?? 'take';
      all.push(what);
      const status = { throttle: COMMAND_STATUS.ESME_RTHROTTLED, full: COMMAND_STATUS.ESME_RMSGQFUL }[
        verdict as string
      ];
      if (status !== undefined) {
        session.send(pdu.response({ command_status: status }));
        return;
      }
      taken.push(what);
      const answer = (): void => session.send(pdu.response({ message_id: String(taken.length) }));
      if (verdict === 'drop') session.destroy();
      else if (verdict === 'late') clock.after(40_000, answer);
      else answer();
      if (new Set(taken).size === cards && all.length >= verdicts.length) clock.after(120_000, enough);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const store = openOperatorStore(':memory:');
  const edge = { ...realEdge, clock };
  const vault = await createSoftwareVault({
    keyEncryptionKey: new Uint8Array(32),
    random: edge.random,
    clock,
  });
  const gateway = createOtaGateway({
    edge,
    store,
    vault,
    smsc: { host: '127.0.0.1', port: server.address().port },
    systemId: 'ota',
    password: 'x',
    limits: { window: 1 },
    address: '9990199000002',
    proved: () => undefined,
    reported: () => undefined,
  });
  for (let n = 1; n <= cards; n++) {
    const [imsi, iccid] = [`00101000000000${n}`, `898821100000000001${n}`];
    store.insert({ imsi, msisdn: `9990100000${n}`, iccid, state: 'ready', change: null });
    store.putOtaKeys({
      iccid,
      keySet: 1,
      algorithm: 'aes',
      ota: vault.sealOta('card', keys),
      label: 'card',
      counter: 0,
    });
    const tar = Uint8Array.of(0xbf, 0xff, 0x3b);
    gateway.send({
      change: `001122334455660${n}`,
      command: 'switch',
      iccid,
      imsi,
      keySet: 1,
      tar,
      script: tar,
    });
  }
  await done;
  gateway.close();
  for (const session of open) session.destroy();
  await new Promise<void>((resolve) => server.close(resolve));
  store.close();
  return { taken, all };
}

test('too busy: each message is submitted until it is taken, the very same, and is taken once', async () => {
  const { taken, all } = await submissions(['throttle', 'take', 'full', 'full', 'take'], 3);
  assert.equal(taken.length, 3);
  assert.equal(new Set(all).size, 3);
  assert.equal(all[0], all[1]);
  assert.deepEqual([all[3], all[4]], [all[2], all[2]]);
});

for (const verdict of ['drop', 'late'] as const) {
  test(`${verdict === 'drop' ? 'the link dropped before' : 'too late with'} its answer: a second copy is the first to the letter`, async () => {
    const { taken } = await submissions([verdict, 'take'], 2);
    assert.equal(new Set(taken).size, 2);
    assert.equal(taken.length, 3);
    assert.equal(taken.filter((each) => each === taken[0]).length, 2);
  });
}
