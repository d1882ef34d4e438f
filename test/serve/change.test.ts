/** A change of operator between processes: each role in one of its own, and devices that attach to a cell of theirs. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Edge } from '../../src/edge/index.ts';
import { realEdge } from '../../src/edge/real.ts';
import { createLabDevice, type LabDevice } from '../../src/lab/device.ts';
import { makeFleet } from '../../src/lab/fleet.ts';
import { PROFILES } from '../../src/lab/operators.ts';
import { noStore } from '../../src/lab/store.ts';
import { callRole } from '../../src/network/wire/http.ts';
import { toHex } from '../../src/standards/bytes/index.ts';
import { parseAddress } from '../../src/serve/config/values.ts';
import { scaledClock, type Scale } from '../../src/serve/time.ts';
import { escrowSection, newTrial, operatorSection, type Running } from './trial.ts';

/** An address of this test alone, so that ports can be known before anything listens. */
const HOST = `127.${64 + ((process.pid >> 8) & 63)}.${process.pid & 255}.7`;
const PORT = { owner: 8446, changes: 8447, escrow: 8443, A: 8441, B: 8442, cell: 4729 };
const at = (port: number): string => `${HOST}:${port}`;
const time: Scale = { scale: 30, from: { virtual: Date.UTC(2026, 0, 1), wall: Date.now() } };
const TIME = `time: {scale: 30, from: {virtual: '2026-01-01T00:00:00Z', wall: '${new Date(time.from.wall).toISOString()}'}}`;
const DEVICES = 2;

const trial = newTrial();
const edge: Edge = { ...realEdge, clock: scaledClock(time) };
const fleet = makeFleet(DEVICES, ['3b', '3a'], 7, PROFILES.A, PROFILES.B);
const running: Record<string, Running> = {};
const devices: LabDevice[] = [];
after(async () => {
  await Promise.all(devices.map((device) => device.close()));
  await trial.end();
});

const operatorOf = (name: 'A' | 'B', digit: number): string => {
  const own = operatorSection(name, digit, {
    escrow: at(PORT.escrow),
    owner: at(PORT.owner),
    others: ['A', 'B'].filter((other) => other !== name),
    extra: name === 'A' ? '  cards: [{file: cards.csv}]\n' : '',
  });
  const p = PORT[name];
  return own
    .replace(
      '{api: 0, hss: 0, smsc: 0, scef: 0, smpp: 0}',
      `{api: '${at(p)}', hss: '${at(p + 100)}', smsc: '${at(p + 200)}', scef: '${at(p + 300)}', smpp: 0}`,
    )
    .replace(/msisdnPrefix: '.*'/, `msisdnPrefix: '${PROFILES[name].msisdnPrefix}'`)
    .replace(/apn: .*/, `apn: ${PROFILES[name].apn}`);
};
const peers = (['A', 'B'] as const).flatMap((name, i) =>
  [100, 200, 300].map(
    (more) => `{realm: epc.mnc00${i + 1}.mcc001.3gppnetwork.org, at: '${at(PORT[name] + more)}'}`,
  ),
);

before(async () => {
  trial.put('cards.csv', fleet.csv);
  trial.put('devices.json', JSON.stringify(fleet.owned));
  const hexed = (_: string, value: unknown): unknown => (value instanceof Uint8Array ? toHex(value) : value);
  trial.put('pairs.json', JSON.stringify(fleet.pairs, hexed));
  const hosts = [HOST];
  trial.organisation(['operator:A'], `${TIME}\n${operatorOf('A', 1)}`, hosts);
  trial.organisation(['operator:B'], `${TIME}\n${operatorOf('B', 2)}`, hosts);
  trial.organisation(
    ['escrow:E'],
    `${TIME}\n${escrowSection(['A', 'B']).replace('api: 0', `api: '${at(PORT.escrow)}'`)}  pairs: pairs.json\n`,
    hosts,
  );
  trial.organisation(
    ['owner:O'],
    `${TIME}
owner:
  database: owner.db
  signingKey: owner.signing.pem
  listen: {api: '${at(PORT.owner)}'}
  operators: {A: {at: '${at(PORT.A)}'}, B: {at: '${at(PORT.B)}'}}
  audience: [E]
  devices: devices.json
  changes: {database: changes.db, listen: '${at(PORT.changes)}', alternatives: ['3a', '3b']}
`,
    hosts,
  );
  trial.organisation(
    ['visited:V'],
    `${TIME}
visited:
  plmn: '00103'
  tac: 1
  listen: {cell: '${at(PORT.cell)}'}
  peers: [${peers.join(', ')}]
  timers: {watchdogSeconds: 3600}
`,
    hosts,
  );
  trial.introduce();
  for (const name of ['E', 'O', 'A', 'B', 'V']) running[name] = trial.serve(['--config', `${name}.yaml`]);
  await Promise.all(Object.values(running).map(({ ready }) => ready));
});

/** Waits until something is so; the test's own time is its limit. */
async function until<T>(look: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

describe('roles in processes of their own', () => {
  it('move devices from one operator to another, and each log tells the story of each change', async () => {
    for (const made of fleet.devices) {
      const device = await createLabDevice({
        edge,
        made,
        card: made.card,
        store: noStore().card(made.name, 'usim'),
        cell: { plmn: '00103', tac: 1, endpoint: { host: HOST, port: PORT.cell } },
        heartbeatMs: 60_000,
        cut: () => undefined,
        observe: () => undefined,
      });
      devices.push(device);
      device.powerOn();
    }
    const owner = callRole(edge, parseAddress(at(PORT.owner))!);
    const changes = callRole(edge, parseAddress(at(PORT.changes))!);
    const over = async (device: string): Promise<string | undefined> => {
      const { heard } = (await owner.call('GET', `/devices/${device}`)) as {
        heard: { operator: string } | null;
      };
      return heard?.operator;
    };
    for (const { name } of fleet.devices)
      await until(async () => ((await over(name)) === 'A' ? true : undefined));
    const wanted = fleet.devices.map(({ name, alternative }, i) => ({
      change: `00000000000000${10 + i}`,
      device: name,
      to: 'B',
      alternative,
    }));
    await changes.call('POST', '/changes', wanted);
    // The same once more is the same.
    await changes.call('POST', '/changes', wanted);
    for (const { change, device } of wanted) {
      const ended = await until(async () => {
        const state = (await changes.call('GET', `/changes/${change}`)) as { state: string };
        return state.state === 'live' ? undefined : state;
      });
      assert.equal(ended.state, 'done', JSON.stringify(ended));
      await until(async () => ((await over(device)) === 'B' ? true : undefined));
    }
    assert.deepEqual(
      await changes.call('GET', '/changes').then((all) => (all as { total: number }).total),
      DEVICES,
    );
    owner.close();
    changes.close();
    for (const { change, alternative } of wanted) {
      for (const name of alternative === '3b' ? ['A', 'B', 'E', 'O'] : ['A', 'B', 'O']) {
        const lines = running[name]!.log().filter((line) => line.change === change);
        assert.ok(lines.length > 0, `${name} says nothing of ${change}`);
      }
      const steps = running.O!.log().filter((line) => line.msg === 'step' && line.change === change);
      assert.equal(steps.at(-1)!.state, 'done');
    }
  });

  it('keep keys and secrets out of their logs', () => {
    const secrets = fleet.devices.map(({ card }) => card.usim.k);
    for (const [name, { err, out }] of Object.entries(running)) {
      const said = (err() + out()).toLowerCase();
      for (const secret of [...secrets, ...fleet.pairs.map(({ aka }) => toHex(aka.k))]) {
        assert.equal(said.includes(String(secret).toLowerCase()), false, name);
      }
      // No statement either: it holds wrapped keys.
      assert.doesNotMatch(said, /eyj[\w-]{20,}/);
    }
  });

  it('count what they did', async () => {
    const metrics = async (name: string): Promise<string> => {
      const { management } = await running[name]!.ready;
      return (await fetch(`http://${management!.http}/metrics`)).text();
    };
    const owner = await metrics('O');
    assert.match(owner, /^rehome_changes_ended_total\{alternative="3b",state="done"\} 1$/m);
    assert.match(owner, /^rehome_changes_ended_total\{alternative="3a",state="done"\} 1$/m);
    assert.match(owner, /^rehome_change_steps_total\{alternative="3b",step="reserve",outcome="next"\} 1$/m);
    const b = await metrics('B');
    assert.match(b, /^rehome_hss_authentications_total\{role="operator"\} [1-9]/m);
    assert.match(
      b,
      /^rehome_requests_made_total\{role="operator",peer="escrow",purpose="POST \/pairs",status="200"\} [1-9]/m,
    );
    assert.match(await metrics('A'), /^rehome_sms_submitted_total\{role="operator"\} [1-9]/m);
    assert.match(
      await metrics('E'),
      /^rehome_requests_served_total\{role="escrow",route="\/pairs",status="200",caller="[^"]+"\} [1-9]/m,
    );
    assert.match(await metrics('V'), /^rehome_devices_registered\{role="visited"\} 2$/m);
  });

  it('take nothing in twice when they start again', async () => {
    for (const name of ['A', 'E', 'O']) {
      running[name]!.child.kill('SIGKILL');
      await running[name]!.ended;
      assert.ok(running[name]!.log().some(({ msg }) => msg === 'taken in'));
      const again = trial.serve(['--config', `${name}.yaml`]);
      await again.ready;
      again.child.kill('SIGTERM');
      assert.equal((await again.ended).code, 0, again.err());
      assert.equal(
        again.log().some(({ msg }) => msg === 'taken in'),
        false,
      );
    }
  });
});
