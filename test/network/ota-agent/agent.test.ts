/** Whose words an OTA agent acts on, and what it has. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { realEdge } from '../../../src/edge/real.ts';
import { createOtaAgent, type OtaAgent } from '../../../src/network/ota-agent/agent.ts';
import { createOtaAgentClient, type OtaAgentClient } from '../../../src/network/ota-agent/client.ts';
import { createSoftwareVault } from '../../../src/network/vault/software.ts';
import { createSigner, type Signer } from '../../../src/network/wire/statements.ts';
import { FieldError } from '../../../src/standards/bytes/index.ts';

const ANY = { host: '127.0.0.1', port: 0 };
/** Nobody listens there: what is accepted waits. */
const NOWHERE = { host: '127.0.0.1', port: 9 };
const ICCID = '8988211000000000010';
const CHANGE = '00112233445566aa';
const OTHER_CHANGE = 'ffffffffffffffff';

type Name = 'owner' | 'A' | 'B' | 'C';
let signers: Record<Name, Signer>;
let agent: OtaAgent, client: OtaAgentClient;

before(async () => {
  const names: Name[] = ['owner', 'A', 'B', 'C'];
  const made = await Promise.all(names.map((name) => createSigner(realEdge.clock, name)));
  signers = Object.fromEntries(made.map((each) => [each.name, each])) as typeof signers;
  const account = {
    smsc: NOWHERE,
    systemId: 'agent',
    password: 'secret',
    address: '9990399000002',
    messages: ':memory:',
  };
  agent = await createOtaAgent({
    edge: realEdge,
    name: 'agent',
    api: ANY,
    database: ':memory:',
    vault: await createSoftwareVault({
      keyEncryptionKey: new Uint8Array(32).fill(1),
      random: realEdge.random,
      clock: realEdge.clock,
    }),
    ring: Object.fromEntries(
      made.map(({ name, publicKey }) => [
        name,
        { role: name === 'owner' ? 'owner' : 'operator', key: publicKey },
      ]),
    ),
    accounts: { A: account, B: account },
  });
  agent.importKeys([
    { iccid: ICCID, keySet: 2, keys: { kic: new Uint8Array(16).fill(2), kid: new Uint8Array(16).fill(3) } },
  ]);
  client = createOtaAgentClient(realEdge, agent.endpoint);
});
after(async () => {
  client.close();
  await agent.close();
});

const times = () => {
  const iat = Math.floor(Date.now() / 1000);
  return { iat, exp: iat + 3600 };
};
const order = (more: object = {}, by: Name = 'owner'): Promise<string> =>
  signers[by].sign('order', {
    aud: ['A', 'B', 'agent'],
    ...times(),
    change: CHANGE,
    device: 'd',
    iccid: ICCID,
    imei: '490154203237518',
    imsi: '001010000000001',
    from: 'A',
    to: 'B',
    alternative: '3b',
    agent: 'agent',
    ...more,
  });
const release = (more: object = {}, by: Name = 'A'): Promise<string> =>
  signers[by].sign('index-release', {
    aud: ['escrow', 'B', 'agent'],
    ...times(),
    change: CHANGE,
    iccid: ICCID,
    index: 1,
    to: 'B',
    serving: { msisdn: '99901000001', reportTo: '9990199000002' },
    ...more,
  });
const reservation = (more: object = {}, by: Name = 'B'): Promise<string> =>
  signers[by].sign('reservation', {
    aud: ['A', 'agent'],
    ...times(),
    change: CHANGE,
    iccid: ICCID,
    imsi: '001020000000001',
    settings: {
      mncLength: 2,
      serviceCentre: '9990299000001',
      msisdn: '99902000001',
      serviceProviderName: 'B',
      apn: 'm2m.b',
      reportTo: '9990299000002',
    },
    ...more,
  });
const consent = (more: object = {}, by: Name = 'B'): Promise<string> =>
  signers[by].sign('commit-consent', {
    aud: ['agent'],
    ...times(),
    change: CHANGE,
    iccid: ICCID,
    ...more,
  });
const terms = { trialSeconds: 3600, delaySeconds: 10, commitOnAka: false };
interface Words {
  order?: Promise<string>;
  release?: Promise<string>;
  reservation?: Promise<string>;
}
const mandate = async (words: Words) => ({
  order: await (words.order ?? order()),
  release: await (words.release ?? release()),
  reservation: await (words.reservation ?? reservation()),
});
const switched = async (words: Words = {}): Promise<string> => {
  const [answer] = await client.switch([{ ...(await mandate(words)), ...terms }]);
  return 'code' in answer! ? answer.code : 'ok';
};

test('it switches on the owner’s order that names it, with A’s release and B’s reservation', async () => {
  assert.equal(await switched(), 'ok');
  assert.equal(await switched(), 'ok', 'the same once more');
});

test('nobody else’s word will do, nor one of another change, card, alternative or agent', async () => {
  for (const [words, code] of [
    [{ order: order({}, 'C') }, 'bad-order'],
    [{ order: order({ agent: undefined }) }, 'bad-order'],
    [{ order: order({ agent: 'another', aud: ['A', 'B', 'agent'] }) }, 'bad-order'],
    [{ order: order({ alternative: '3a' }) }, 'bad-order'],
    [{ order: order({ aud: ['A', 'B'] }) }, 'bad-order'],
    [{ order: order({ change: OTHER_CHANGE }) }, 'bad-release'],
    [{ release: release({}, 'B') }, 'bad-release'],
    [{ release: release({}, 'C') }, 'bad-release'],
    [{ release: release({ change: OTHER_CHANGE }) }, 'bad-release'],
    [{ release: release({ iccid: '8988211000000000028' }) }, 'bad-release'],
    [{ release: release({ to: 'C' }) }, 'bad-release'],
    [{ release: release({ serving: undefined }) }, 'bad-release'],
    [{ release: release({ aud: ['escrow', 'B'] }) }, 'bad-index-release'],
    [{ reservation: reservation({}, 'A') }, 'bad-reservation'],
    [{ reservation: reservation({ change: OTHER_CHANGE }) }, 'bad-reservation'],
    [{ reservation: reservation({ aud: ['A'] }) }, 'bad-reservation'],
    [
      {
        order: order({ iccid: '8988211000000000028' }),
        release: release({ iccid: '8988211000000000028' }),
        reservation: reservation({ iccid: '8988211000000000028' }),
      },
      'unknown-card',
    ],
    [{ order: order({ from: 'C', to: 'B' }), release: release({}, 'C') }, 'not-here'],
  ] as [Words, string][]) {
    assert.equal(await switched(words), code, JSON.stringify(await mandate(words)));
  }
});

test('a trial ends for good with B’s consent alone', async () => {
  const commit = async (word: Promise<string>): Promise<string> => {
    const [answer] = await client.commit([{ ...(await mandate({})), consent: await word }]);
    return 'code' in answer! ? answer.code : 'ok';
  };
  assert.equal(await commit(consent({}, 'A')), 'bad-consent');
  assert.equal(await commit(consent({ change: OTHER_CHANGE })), 'bad-consent');
  assert.equal(await commit(consent({ iccid: '8988211000000000028' })), 'bad-consent');
  assert.equal(await commit(consent({ aud: ['A'] })), 'bad-commit-consent');
  assert.equal(await commit(reservation()), 'bad-commit-consent');
  assert.equal(await commit(consent()), 'ok');
});

test('it is called off over A or over B, and nowhere else', async () => {
  const stop = async (over: string): Promise<string> => {
    const [answer] = await client.stop([{ ...(await mandate({})), over }]);
    return 'code' in answer! ? answer.code : 'ok';
  };
  assert.equal(await stop('C'), 'bad-request');
  assert.equal(await stop('A'), 'ok');
  assert.equal(await stop('B'), 'ok');
});

test('one refusal of a batch does not touch the others; a card is taken in once', async () => {
  const good = { ...(await mandate({})), ...terms };
  const bad = { ...(await mandate({ release: release({}, 'C') })), ...terms };
  const answers = await client.switch([bad, good]);
  assert.deepEqual(
    answers.map((answer) => ('code' in answer ? answer.code : 'ok')),
    ['bad-release', 'ok'],
  );
  const keys = { kic: new Uint8Array(16), kid: new Uint8Array(16) };
  assert.throws(() => agent.importKeys([{ iccid: ICCID, keySet: 2, keys }]), FieldError);
});
