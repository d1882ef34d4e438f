import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parseAddress } from '../../src/serve/config/values.ts';
import { escrowSection, newTrial, operatorSection, vaultOf, type Running } from './trial.ts';

const NOWHERE = '127.0.0.1:9';
const trial = newTrial();
after(() => trial.end());

/** What a management endpoint says. */
async function ask(running: Running, path: string): Promise<{ status: number; body: string }> {
  const { management } = await running.ready;
  const answer = await fetch(`http://${management!.http}${path}`);
  return { status: answer.status, body: await answer.text() };
}

async function stop(running: Running, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  running.child.kill(signal);
  assert.deepEqual(await running.ended, { code: 0, signal: null }, running.err());
}

before(() => {
  trial.organisation(
    ['operator:A', 'visited:A', 'escrow:A', 'manufacturer:A', 'ota-agent:A', 'owner:A'],
    `${operatorSection('A', 1, { escrow: NOWHERE, owner: NOWHERE, others: ['A'] })}
visited:
  plmn: '00103'
  tac: 1
  listen: {cell: 0, diameter: 0}
  peers: [{realm: epc.mnc001.mcc001.3gppnetwork.org, at: '${NOWHERE}'}]
${escrowSection(['A'])}
manufacturer:
  database: manufacturer.db
  vault: ${vaultOf('manufacturer')}
  signingKey: manufacturer.signing.pem
  certifyingKey: manufacturer.certifying.pem
  listen: {api: 0}
ota-agent:
  database: agent.db
  vault: ${vaultOf('agent')}
  listen: {api: 0}
  accounts: {A: {smsc: '${NOWHERE}', systemId: agent, password: {environment: AGENT}, address: '99903', messages: agent-a.db}}
owner:
  database: owner.db
  signingKey: owner.signing.pem
  listen: {api: 0}
  operators: {A: {at: '${NOWHERE}'}}
  changes: {database: changes.db, listen: 0, alternatives: ['2', '3a', '3b']}
`,
  );
  // One organisation in all roles has one key in the ring.
  trial.introduce({ A: ['8988'] });
  const ring = JSON.parse(readFileSync(join(trial.folder, 'parties.json'), 'utf8')) as Record<string, object>;
  writeFileSync(
    join(trial.folder, 'parties.json'),
    JSON.stringify({ A: { ...ring.A, iccids: undefined, role: 'operator' } }),
  );
});

describe('rehome serve', () => {
  const AGENT = { AGENT: 'secret' };

  it('serves all roles of a configuration, says where, and ends when it is told to', async () => {
    const running = trial.serve(['--config', 'A.yaml'], AGENT);
    const listening = await running.ready;
    assert.deepEqual(Object.keys(listening), [
      'operator',
      'visited',
      'escrow',
      'manufacturer',
      'ota-agent',
      'owner',
      'management',
    ]);
    assert.deepEqual(Object.keys(listening.operator!), ['api', 'hss', 'smsc', 'scef', 'smpp']);
    assert.deepEqual(Object.keys(listening.owner!), ['api', 'changes']);
    for (const at of Object.values(listening).flatMap(Object.values))
      assert.match(at, /^127\.0\.0\.1:[1-9]\d*$/);
    assert.equal(running.out().split('\n').length, 2, 'one line, and no more');
    await stop(running);
    assert.deepEqual(
      running
        .log()
        .filter(({ msg }) => msg !== 'serving')
        .map(({ msg }) => msg),
      ['stopping', 'stopped'],
    );
  });

  for (const role of ['operator', 'visited', 'escrow', 'manufacturer', 'ota-agent', 'owner']) {
    it(`serves ${role} alone, ends at SIGINT, and starts again where it was killed`, async () => {
      const words = ['--config', 'A.yaml', '--role', role];
      const first = trial.serve(words, AGENT);
      assert.deepEqual(Object.keys(await first.ready), [role, 'management']);
      first.child.kill('SIGKILL');
      assert.deepEqual(await first.ended, { code: null, signal: 'SIGKILL' });
      const second = trial.serve(words, AGENT);
      await second.ready;
      await stop(second, 'SIGINT');
    });
  }

  it('tells who runs it whether it is alive and ready, and what it has done', async () => {
    const running = trial.serve(['--config', 'A.yaml', '--role', 'escrow,owner'], AGENT);
    assert.deepEqual(await ask(running, '/healthz'), { status: 200, body: '{"alive":true}\n' });
    const ready = await ask(running, '/readyz');
    assert.equal(ready.status, 200);
    assert.deepEqual(JSON.parse(ready.body), {
      ready: true,
      roles: {
        escrow: { databases: 'open', peers: {} },
        owner: { databases: 'open', peers: { 'operator A': 'not reached' } },
      },
    });
    const { status, body } = await ask(running, '/metrics');
    assert.equal(status, 200);
    assert.match(body, /^process_resident_memory_bytes [1-9]/m);
    assert.match(body, /^rehome_changes_live\{role="owner"\} 0$/m);
    assert.match(body, /^rehome_crl_next_update_seconds\{role=""\} 1\d{9}/m);
    assert.match(body, /^rehome_certificate_not_after_seconds\{role=""\} 1\d{9}$/m);
    assert.equal((await ask(running, '/other')).status, 404);
    const { management } = await running.ready;
    assert.equal((await fetch(`http://${management!.http}/metrics`, { method: 'POST' })).status, 405);
    // A database that is gone is no service.
    rmSync(join(trial.folder, 'escrow.db'));
    const gone = await ask(running, '/readyz');
    assert.equal(gone.status, 503);
    assert.match(gone.body, /"escrow":\{"databases":"[^"]*escrow\.db: unable to open/);
    await stop(running);
  });

  /** A request of which half has been sent. */
  async function halfAsked(running: Running): Promise<{ finish(): void; answer: Promise<string> }> {
    const { port } = parseAddress((await running.ready).escrow!.api!)!;
    const socket = connect(port, '127.0.0.1');
    let said = '';
    const answer = new Promise<string>((resolve) => socket.once('close', () => resolve(said)));
    socket.on('data', (bytes: Buffer) => (said += bytes.toString())).on('error', () => undefined);
    socket.write(
      'POST /burnt HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n[',
    );
    // It is under way when it has been counted, which nothing shows; the other end has surely read it after this.
    await ask(running, '/healthz');
    await new Promise((resolve) => setTimeout(resolve, 200));
    return { finish: () => void socket.write(']'), answer };
  }
  const isStopping = async (running: Running): Promise<void> => {
    while (!running.log().some(({ msg }) => msg === 'stopping'))
      await new Promise((resolve) => setTimeout(resolve, 20));
  };

  it('finishes what is under way before it ends, and is alive but not ready meanwhile', async () => {
    const running = trial.serve(['--config', 'A.yaml', '--role', 'escrow'], AGENT);
    const { finish, answer } = await halfAsked(running);
    running.child.kill('SIGTERM');
    await isStopping(running);
    assert.equal((await ask(running, '/healthz')).status, 200);
    const ready = await ask(running, '/readyz');
    assert.equal(ready.status, 503);
    assert.match(ready.body, /^\{"ready":false/);
    finish();
    assert.match(await answer, /^HTTP\/1\.1 200 /);
    assert.deepEqual(await running.ended, { code: 0, signal: null });
  });

  it('ends at once when it is told a second time', async () => {
    const running = trial.serve(['--config', 'A.yaml', '--role', 'escrow'], AGENT);
    const { answer } = await halfAsked(running);
    running.child.kill('SIGTERM');
    await isStopping(running);
    running.child.kill('SIGINT');
    assert.deepEqual(await running.ended, { code: 1, signal: null });
    assert.equal(await answer, '');
    assert.equal(
      running.log().some(({ msg }) => msg === 'stopped'),
      false,
    );
  });

  it('is the only one to have its databases', async () => {
    const first = trial.serve(['--config', 'A.yaml', '--role', 'escrow'], AGENT);
    await first.ready;
    const second = trial.serve(['--config', 'A.yaml', '--role', 'escrow'], AGENT);
    assert.deepEqual(await second.ended, { code: 1, signal: null });
    assert.match(
      second.err(),
      /^rehome: \S+escrow\.db is in use by another process; one at a time can have it\n$/,
    );
    await stop(first);
  });

  it('says in one line which port is in use, and leaves nothing behind', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as AddressInfo;
    const text = readFileSync(join(trial.folder, 'A.yaml'), 'utf8').replace(
      /(escrow\.db[^]*?listen: )\{api: 0\}/,
      `$1{api: ${port}}`,
    );
    writeFileSync(join(trial.folder, 'taken.yaml'), text);
    const running = trial.serve(['--config', 'taken.yaml', '--role', 'visited,escrow'], AGENT);
    assert.deepEqual(await running.ended, { code: 1, signal: null });
    assert.equal(running.out(), '');
    const told = running
      .err()
      .split('\n')
      .filter((each) => each !== '' && !each.startsWith('{'));
    assert.deepEqual(told, [
      `rehome: port ${port} on 127.0.0.1 is in use; free it or choose another (0: the system picks)`,
    ]);
    taken.close();
  });

  it('says all that is wrong with a configuration, a line each, and starts nothing', async () => {
    writeFileSync(join(trial.folder, 'bad.yaml'), 'organisation: 3\nescrow: {}\n');
    const running = trial.serve(['--config', 'bad.yaml']);
    assert.deepEqual(await running.ended, { code: 2, signal: null });
    const lines = running.err().trim().split('\n');
    assert.equal(lines.length, 7);
    for (const line of lines) assert.match(line, /^rehome: bad\.yaml: \S+: .*, expected /);
    const unset = trial.serve(['--config', 'A.yaml', '--role', 'ota-agent']);
    assert.deepEqual(await unset.ended, { code: 2, signal: null });
    assert.match(
      unset.err(),
      /^rehome: \S+A\.yaml: ota-agent\.accounts\.A\.password\.environment: AGENT is not set, expected a password/,
    );
    const none = trial.serve(['--config', 'none.yaml']);
    assert.deepEqual(await none.ended, { code: 2, signal: null });
    assert.equal(none.err(), 'rehome: none.yaml: the file: absent, expected a file to read\n');
  });
});
