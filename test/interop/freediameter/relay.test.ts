/** A foreign relay between visited and home network: S6a, SGd and T6a through freeDiameter, in real time. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createCard, memoryStore } from '../../../src/device/uicc/index.ts';
import { createModem, type ModemEvent } from '../../../src/device/modem/index.ts';
import { realEdge } from '../../../src/edge/real.ts';
import type { Endpoint } from '../../../src/edge/index.ts';
import { makeFleet } from '../../../src/lab/fleet.ts';
import { PROFILES } from '../../../src/lab/operators.ts';
import { createOperator } from '../../../src/network/operator/operator.ts';
import { epcRealm } from '../../../src/network/operator/profile.ts';
import { createSoftwareVault } from '../../../src/network/vault/software.ts';
import { createVisited } from '../../../src/network/visited/index.ts';
import { connectSmpp, type Esme } from '../../../src/network/wire/smpp.ts';
import { createSigner } from '../../../src/network/wire/statements.ts';
import { findCommand, requirePeer } from '../peer.ts';

const ANY: Endpoint = { host: '127.0.0.1', port: 0 };
const HOME = epcRealm(PROFILES.A.plmn);
const VISITED = epcRealm('00103');

/** A port that was free a moment ago: the peer cannot be told to pick one. */
const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });

async function until(what: string, condition: () => boolean, log: () => string, seconds = 20): Promise<void> {
  const end = Date.now() + seconds * 1000;
  while (!condition()) {
    if (Date.now() > end) assert.fail(`${what} did not happen in ${seconds} s\n${log().slice(-3000)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('a device attaches, is sent a short message and sends its data through freeDiameter', async (t) => {
  const daemon = requirePeer(t, findCommand('freeDiameterd'), 'freeDiameterd', 'freediameter');
  if (daemon === undefined) return;
  const openssl = requirePeer(t, findCommand('openssl'), 'openssl', 'openssl');
  if (openssl === undefined) return;
  const closing: (() => unknown)[] = [];
  const folder = mkdtempSync(join(tmpdir(), 'rehome-freediameter-'));
  closing.push(() => rmSync(folder, { recursive: true }));
  let relay: ChildProcess | undefined;
  let log = '';
  try {
    const fleet = makeFleet(1, ['3b'], 1, PROFILES.A, PROFILES.B);
    const { card: file, imei } = fleet.devices[0]!;
    const heard: string[] = [];
    const operator = await createOperator({
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
      owner: {
        application: ({ payload }: { payload: Uint8Array }) => {
          heard.push(new TextDecoder().decode(payload));
          return Promise.resolve();
        },
      } as never,
      api: ANY,
      hss: ANY,
      smsc: ANY,
      scef: ANY,
      smpp: ANY,
      otaPassword: 'secret',
      esmes: [{ systemId: 'test', password: 'other', addresses: ['999019900'] }],
    });
    closing.push(() => operator.close());
    operator.importCardData(fleet.csv);

    execFileSync(
      openssl,
      [
        'req',
        '-x509',
        '-newkey',
        'rsa:2048',
        '-nodes',
        '-days',
        '2',
        '-subj',
        '/CN=relay.ipx',
        '-keyout',
        'key.pem',
        '-out',
        'cert.pem',
      ],
      { cwd: folder, stdio: 'ignore' },
    );
    const port = await freePort();
    const { hss, smsc, scef } = operator.endpoints;
    const peers = Object.entries({ hss, smsc, scef }).map(
      ([name, endpoint]) =>
        `ConnectPeer = "${name}.${HOME}" { No_TLS; ConnectTo = "127.0.0.1"; Port = ${endpoint.port}; };`,
    );
    writeFileSync(join(folder, 'whitelist'), 'ALLOW_IPSEC *.3gppnetwork.org\n');
    writeFileSync(
      join(folder, 'relay.conf'),
      [
        'Identity = "relay.ipx";',
        'Realm = "ipx";',
        `Port = ${port};`,
        'SecPort = 0;',
        'No_SCTP;',
        'No_IPv6;',
        'ListenOn = "127.0.0.1";',
        `TLS_Cred = "${folder}/cert.pem", "${folder}/key.pem";`,
        `TLS_CA = "${folder}/cert.pem";`,
        `LoadExtension = "acl_wl.fdx" : "${folder}/whitelist";`,
        ...peers,
        '',
      ].join('\n'),
    );
    relay = spawn(daemon, ['-c', join(folder, 'relay.conf')], { stdio: ['ignore', 'pipe', 'pipe'] });
    relay.stdout!.on('data', (text: Buffer) => (log += text.toString()));
    relay.stderr!.on('data', (text: Buffer) => (log += text.toString()));
    const ended = new Promise<void>((resolve) => relay!.once('close', () => resolve()));
    closing.push(async () => {
      relay!.kill('SIGKILL');
      await ended;
    });
    const open = (name: string): boolean => new RegExp(`STATE_OPEN.*${name}|${name}.*STATE_OPEN`).test(log);
    await until(
      'the home network behind the relay',
      () => ['hss', 'smsc', 'scef'].every(open),
      () => log,
    );

    const visited = await createVisited({
      edge: realEdge,
      plmn: '00103',
      tac: 1,
      realm: VISITED,
      originHost: `mme.${VISITED}`,
      cell: ANY,
      homeRealmOf: () => HOME,
      peers: [{ realm: '*', endpoint: { host: '127.0.0.1', port } }],
    });
    closing.push(() => visited.close());
    const card = createCard({ file, store: memoryStore() });
    const events: ModemEvent[] = [];
    const modem = await createModem({
      edge: realEdge,
      card: {
        powerOn: () => Promise.resolve(card.powerOn()),
        powerOff: () => Promise.resolve(card.powerOff()),
        transmit: (apdu) => Promise.resolve(card.transmit(apdu)),
      },
      imei,
      cells: [{ plmn: '00103', tac: 1, endpoint: visited.cellEndpoint }],
      bind: ANY,
      heartbeat: { intervalMs: 60_000, payload: () => new TextEncoder().encode('device-1 0') },
      observe: (event) => events.push(event),
    });
    closing.push(() => modem.close());
    await modem.powerOn();
    await until(
      'the attach',
      () => modem.state.emm === 'registered',
      () => log,
    );
    // Small data went by T6a.
    await until(
      'the data',
      () => heard.includes('device-1 0'),
      () => log,
    );
    // A short message comes by SGd, from the home network through the relay.
    const esme = await new Promise<Esme>((resolve) => {
      const made: Esme = connectSmpp({
        edge: realEdge,
        to: operator.endpoints.smpp,
        systemId: 'test',
        password: 'other',
        bound: () => resolve(made),
        deliver: () => 0,
      });
    });
    closing.push(() => esme.close());
    await esme.request({
      command: 'submit_sm',
      serviceType: '',
      source: { ton: 1, npi: 1, address: '999019900' },
      destination: { ton: 1, npi: 1, address: file.usim.msisdn! },
      esmClass: 0,
      protocolId: 0,
      priority: 0,
      scheduleDeliveryTime: '',
      validityPeriod: '',
      registeredDelivery: 0,
      replaceIfPresent: 0,
      dataCoding: 0,
      defaultMessageId: 0,
      shortMessage: new TextEncoder().encode('hello'),
      tlvs: [],
    });
    await until(
      'the short message',
      () => events.some((event) => event.type === 'sms' && event.direction === 'toDevice'),
      () => log,
    );
    assert.ok(!/ERROR/.test(log), log);
  } finally {
    for (const close of closing.reverse()) await close();
  }
  assert.throws(() => readFileSync(folder));
});
