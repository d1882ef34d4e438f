/**
 * The part of A and of B in alternative 3a, asked over HTTP: what is refused, who can open what, and what is left
 * when keys are destroyed. The card is real, the serving network scripted, time virtual.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { Edge } from '../../../src/edge/index.ts';
import { createCard, memoryStore, type CardFile } from '../../../src/device/uicc/index.ts';
import { VirtualClock } from '../../../src/lab/clock.ts';
import { makeFleet } from '../../../src/lab/fleet.ts';
import { PROFILES } from '../../../src/lab/operators.ts';
import { seededRandom } from '../../../src/lab/random.ts';
import { Wires } from '../../../src/lab/wires.ts';
import {
  createOperatorClient,
  type OperatorClient,
  type Refused,
} from '../../../src/network/operator/client.ts';
import { createOperator, type Operator } from '../../../src/network/operator/operator.ts';
import { epcRealm, type OperatorProfile } from '../../../src/network/operator/profile.ts';
import { createSoftwareVault } from '../../../src/network/vault/software.ts';
import type { KeyVault } from '../../../src/network/vault/vault.ts';
import { createDiameterNode, type DiameterNode } from '../../../src/network/wire/diameter.ts';
import { createSigner, type Order, type Signer } from '../../../src/network/wire/statements.ts';
import { fromHex } from '../../../src/standards/bytes/index.ts';
import {
  APPLICATION,
  RAT_TYPE,
  RESULT,
  answerOf,
  authenticationInformation,
  mtForwardShortMessage,
  readRequest,
  requestOf,
  updateLocation,
} from '../../../src/standards/diameter/index.ts';
import { encodeTpdu, readHeader } from '../../../src/standards/sms/index.ts';
import { Reader } from '../../../src/standards/bytes/index.ts';
import { terminalOf, type Terminal } from '../../device/uicc/terminal.ts';

const ANY = { host: '127.0.0.1', port: 0 };
const VISITED = epcRealm('00103');
const CHANGE = '00112233445566aa';
const fleet = makeFleet(2, ['3a'], 1, PROFILES.A, PROFILES.B);
const [plain, fallback] = fleet.devices.map(({ card }) => card) as [CardFile, CardFile];

describe('3a, operator by operator', () => {
  let clock: VirtualClock, wires: Wires, folder: string, mme: DiameterNode, terminal: Terminal;
  let operators: Record<'A' | 'B', Operator>;
  let clients: Record<'A' | 'B', OperatorClient>;
  let signers: Record<'owner' | 'A' | 'B' | 'C', Signer>;
  let vaults: Record<'A' | 'B' | 'C', KeyVault>;
  let algorithms: string[];
  /** bodies of all requests and answers */
  let bodies: string[];

  const pass = async <T>(work: Promise<T>): Promise<T> => {
    let done = false;
    const settled = work.finally(() => (done = true));
    settled.catch(() => undefined);
    await clock.run(
      () => done,
      () => wires.inFlight(),
    );
    return settled;
  };
  const until = (condition: () => boolean): Promise<boolean> => clock.run(condition, () => wires.inFlight());
  const rows = (operator: 'A' | 'B', query: string): Record<string, unknown>[] => {
    const database = new DatabaseSync(join(folder, operator), { readOnly: true });
    try {
      return database.prepare(query).all();
    } finally {
      database.close();
    }
  };

  /** Asks one operator for one thing; what was refused is returned. */
  const ask = async <Request, Answer extends object>(
    name: 'A' | 'B',
    verb: (client: OperatorClient) => (requests: readonly Request[]) => Promise<(Answer | Refused)[]>,
    request: Request | Promise<Request>,
  ): Promise<Answer | Refused> => {
    const given = await request;
    const [answer] = await pass(verb(clients[name])([given]));
    bodies.push(JSON.stringify([given, answer]));
    return answer!;
  };
  const good = <Answer extends object>(answer: Answer | Refused): Answer => {
    if ('error' in answer) assert.fail(`${answer.code}: ${answer.error}`);
    return answer;
  };
  const refused = (answer: object, code: string): void =>
    assert.equal((answer as Partial<Refused>).code, code, JSON.stringify(answer));
  const times = (): { iat: number; exp: number } => {
    const iat = Math.floor(clock.now() / 1000);
    return { iat, exp: iat + 3600 };
  };
  const order = (
    card: CardFile = plain,
    more: Partial<Order> = {},
    signer = signers.owner,
  ): Promise<string> =>
    signer.sign('order', {
      aud: ['A', 'B'],
      ...times(),
      change: CHANGE,
      device: 'd',
      iccid: card.iccid,
      imei: '490154203237518',
      imsi: card.usim.imsi,
      from: 'A',
      to: 'B',
      alternative: '3a',
      ...more,
    });

  /** The device attaches with this IMSI, and messages to it reach this card. */
  const attach = async (imsi: string, card: CardFile): Promise<void> => {
    const made = createCard({ store: memoryStore(), file: card });
    made.powerOn();
    terminal = terminalOf(made);
    terminal.boot();
    await register(imsi);
  };
  const register = (imsi: string): Promise<unknown> =>
    pass(
      mme.request(
        requestOf(updateLocation, {
          sessionId: mme.sessionId(),
          originHost: mme.originHost,
          originRealm: VISITED,
          destinationRealm: epcRealm(imsi.slice(0, 5)),
          userName: imsi,
          ratType: RAT_TYPE.eutran,
          ulrFlags: 0x22,
          visitedPlmnId: '00103',
          terminalInformation: { imei: '49015420323751' },
        }),
      ),
    );
  const proven = async (operator: 'A' | 'B', command: string): Promise<unknown> => {
    const find = (): unknown =>
      rows(operator, `SELECT state FROM ota_message WHERE command = '${command}' AND result IS NOT NULL`)[0]
        ?.state;
    await until(() => find() !== undefined);
    return find();
  };
  /** Up to the point where B could take the keys in. */
  const transferred = async (card = plain): Promise<string> => {
    good(await ask('B', (each) => each.reserve, order(card)));
    await attach(card.usim.imsi, card);
    good(await ask('A', (each) => each.reach, order(card)));
    assert.equal(await proven('A', 'reach'), 'done');
    return good(await ask('A', (each) => each.transfer, order(card))).transfer;
  };
  const taken = async (card = plain): Promise<void> => {
    const transfer = await transferred(card);
    good(
      await ask(
        'B',
        (each) => each.takeIn,
        order(card).then((order) => ({ order, transfer })),
      ),
    );
  };
  const payload = <T>(jws: string): T =>
    JSON.parse(Buffer.from(jws.split('.')[1]!, 'base64url').toString()) as T;

  beforeEach(async () => {
    clock = new VirtualClock(Date.UTC(2026, 0, 1));
    wires = new Wires();
    folder = mkdtempSync(join(tmpdir(), 'rehome-transfer-'));
    bodies = [];
    algorithms = ['milenage'];
    const vault = (name: string): Promise<KeyVault> =>
      createSoftwareVault({
        keyEncryptionKey: seededRandom(2, name).bytes(32),
        random: seededRandom(1, name),
        clock,
      });
    vaults = { A: await vault('A'), B: await vault('B'), C: await vault('C') };
    signers = {} as typeof signers;
    for (const name of ['owner', 'A', 'B', 'C'] as const) signers[name] = await createSigner(clock, name);
    const ring = Object.fromEntries(
      Object.values(signers).map(({ name, publicKey }) => [
        name,
        { role: name === 'owner' ? ('owner' as const) : ('operator' as const), key: publicKey },
      ]),
    );
    operators = {} as typeof operators;
    clients = {} as typeof clients;
    for (const name of ['A', 'B'] as const) {
      const edge: Edge = { clock, sockets: wires.of(`10.0.0.${name}`), random: seededRandom(1, name) };
      const profile: OperatorProfile = {
        ...PROFILES[name],
        ...(name === 'B' && { algorithms: algorithms as OperatorProfile['algorithms'] }),
      };
      operators[name] = await createOperator({
        edge,
        profile,
        database: join(folder, name),
        vault: vaults[name],
        signer: signers[name],
        ring,
        vaults: { A: vaults.A.publicKey, B: vaults.B.publicKey },
        escrow: { name: 'escrow', client: {} as never },
        owner: {} as never,
        api: ANY,
        hss: ANY,
        smsc: ANY,
        scef: ANY,
        smpp: ANY,
        otaPassword: 'secret',
      });
      clients[name] = createOperatorClient(edge, operators[name].endpoints.api);
    }
    operators.A.importCardData(fleet.csv);
    mme = await createDiameterNode({
      edge: { clock, sockets: wires.of('10.0.0.3'), random: seededRandom(1, 'mme') },
      originHost: `mme.${VISITED}`,
      originRealm: VISITED,
      applications: [APPLICATION.s6a, APPLICATION.sgd],
      peers: (['A', 'B'] as const).flatMap((name) =>
        [operators[name].endpoints.hss, operators[name].endpoints.smsc].map((endpoint) => ({
          realm: epcRealm(PROFILES[name].plmn),
          endpoint,
        })),
      ),
      handle(request) {
        const values = readRequest(mtForwardShortMessage, request);
        const { data } = terminal.envelope({ type: 'smsPpDownload', tpdu: values.smRpUi });
        const reader = new Reader(data);
        const userData =
          data.length === 0 ? { header: [], data } : { header: readHeader(reader), data: reader.rest() };
        return answerOf(mtForwardShortMessage, request, {
          sessionId: values.sessionId,
          originHost: mme.originHost,
          originRealm: VISITED,
          resultCode: RESULT.success,
          smRpUi: encodeTpdu({ type: 'deliverReport', pid: 0x7f, dcs: 0xf6, userData }),
        });
      },
    });
  });
  afterEach(async () => {
    for (const client of Object.values(clients)) client.close();
    await pass(mme.close());
    for (const operator of Object.values(operators)) await pass(operator.close());
    rmSync(folder, { recursive: true, force: true });
  });

  test('A says what the card is, and B refuses what it cannot compute: nothing has moved', async () => {
    good(await ask('B', (each) => each.reserve, order()));
    const { profile, wayBack } = good(await ask('A', (each) => each.profile, order()));
    assert.deepEqual(profile, {
      algorithm: 'milenage',
      resLength: 8,
      ownConstants: false,
      indLength: 5,
      fallback: false,
    });
    assert.equal(payload<{ imsi: string }>(wayBack).imsi, plain.usim.imsi);
    const second = good(await ask('A', (each) => each.profile, order(fallback, { change: '00'.repeat(8) })));
    assert.equal(second.profile.fallback, true);
    const accept = order().then((order) => ({ order, profile }));
    good(await ask('B', (each) => each.accept, accept));
    for (const indLength of [0, 4, 6]) {
      const other = accept.then(({ order }) => ({ order, profile: { ...profile, indLength } }));
      refused(await ask('B', (each) => each.accept, other), 'sqn-unsupported');
    }
    algorithms.splice(0, 1, 'test-xor');
    refused(await ask('B', (each) => each.accept, accept), 'algorithm-unsupported');
    assert.deepEqual(rows('A', 'SELECT * FROM key_transfer'), []);
    assert.deepEqual(rows('A', 'SELECT * FROM ota_message'), []);
    refused(await ask('A', (each) => each.profile, order(plain, { from: 'C' })), 'not-here');
    refused(await ask('A', (each) => each.profile, order(plain, { alternative: '3b' })), 'bad-order');
    refused(await ask('A', (each) => each.profile, order(plain, {}, signers.B)), 'bad-order');
  });

  test('whatever B said to the profile, keys of an algorithm that it lacks are not taken in', async () => {
    const transfer = await transferred();
    algorithms.splice(0, 1, 'test-xor');
    const answer = await ask(
      'B',
      (each) => each.takeIn,
      order().then((order) => ({ order, transfer })),
    );
    refused(answer, 'algorithm-unsupported');
    assert.deepEqual(rows('B', 'SELECT iccid FROM ota_key'), []);
  });

  test('no key leaves A before the card has answered, with its own ICCID', async () => {
    good(await ask('B', (each) => each.reserve, order()));
    refused(await ask('A', (each) => each.transfer, order()), 'not-reached');
    // Another card, with the keys and the IMSI of the one that is meant.
    await attach(plain.usim.imsi, { ...plain, iccid: fallback.iccid });
    good(await ask('A', (each) => each.reach, order()));
    assert.equal(await proven('A', 'reach'), 'done');
    const events: Record<string, unknown>[] = [];
    const following = clients.A.follow(0, (some) => events.push(...some));
    await until(() => events.some(({ command }) => command === 'reach'));
    following.close();
    assert.equal(events.find(({ command }) => command === 'reach')?.result, 'foreign-card');
    const answer = await ask('A', (each) => each.transfer, order());
    refused(answer, 'unknown-card');
    assert.deepEqual(rows('A', 'SELECT * FROM key_transfer'), []);
  });

  test('keys go to the operator that the order names, and open in its vault alone, for that change alone', async () => {
    const transfer = await transferred();
    const { keys, to } = payload<{ keys: string; to: string }>(transfer);
    assert.equal(to, 'B');
    assert.deepEqual(
      rows('A', 'SELECT change, iccid, operator, destroyed FROM key_transfer').map((row) => ({ ...row })),
      [{ change: CHANGE, iccid: plain.iccid, operator: 'B', destroyed: null }],
    );
    const context = `B ${plain.iccid} ${CHANGE}`;
    for (const name of ['A', 'C'] as const)
      await assert.rejects(vaults[name].unwrap(keys, 'x', context), /not wrapped/);
    await assert.rejects(vaults.B.unwrap(keys, 'x', `B ${plain.iccid} ${'0'.repeat(16)}`), /not wrapped/);
    const { aka, ota } = await vaults.B.unwrap(keys, 'x', context);
    assert.equal(vaults.B.describeAka('x', aka).algorithm, 'milenage');
    assert.equal(ota.length, 1);
    const toC = { to: 'C', aud: ['A', 'C'] };
    refused(await ask('A', (each) => each.transfer, order(plain, toC)), 'not-here');
    refused(
      await ask(
        'B',
        (each) => each.takeIn,
        order(plain, toC).then((order) => ({ order, transfer })),
      ),
      'bad-order',
    );
  });

  test('B takes in nothing but A’s transfer of that card for that order', async () => {
    const transfer = await transferred();
    const given = payload<Parameters<Signer['sign']>[1]>(transfer) as unknown as Parameters<
      typeof signers.A.sign<'key-transfer'>
    >[1];
    const takeIn = async (jws: string | Promise<string>): Promise<object> => {
      const transfer = await jws;
      return ask(
        'B',
        (each) => each.takeIn,
        order().then((order) => ({ order, transfer })),
      );
    };
    const { iss: _iss, ...statement } = given as typeof given & { iss: string };
    refused(await takeIn(signers.C.sign('key-transfer', statement)), 'bad-keys');
    refused(await takeIn(signers.owner.sign('key-transfer', statement)), 'bad-key-transfer');
    const other = { change: '00'.repeat(8) };
    refused(await takeIn(signers.A.sign('key-transfer', { ...statement, ...other })), 'bad-keys');
    refused(
      await takeIn(signers.A.sign('key-transfer', { ...statement, iccid: fallback.iccid })),
      'bad-keys',
    );
    refused(await takeIn(signers.A.sign('key-transfer', { ...statement, aud: ['C'] })), 'bad-key-transfer');
    refused(await takeIn(`${transfer.slice(0, -4)}AAAA`), 'bad-key-transfer');
    assert.deepEqual(rows('B', 'SELECT iccid FROM ota_key'), []);
    good(await takeIn(transfer));
    good(await takeIn(transfer));
    assert.equal(operators.B.knowsKi(plain.iccid, fromHex(plain.usim.k)), true);
  });

  test('sequence numbers of another scheme, or near their end, are not taken in', async () => {
    const { iss: _iss, ...statement } = payload<
      Parameters<typeof signers.A.sign<'key-transfer'>>[1] & { iss: string }
    >(await transferred());
    const takeIn = async (sqn: { indLength: number; seq: number }): Promise<object> => {
      const transfer = await signers.A.sign('key-transfer', { ...statement, sqn });
      return ask(
        'B',
        (each) => each.takeIn,
        order().then((order) => ({ order, transfer })),
      );
    };
    const most = 2 ** 43 - 2 ** 29;
    for (const sqn of [
      { indLength: 4, seq: 0 },
      { indLength: 6, seq: 0 },
      { indLength: 5, seq: most + 1 },
      { indLength: 5, seq: 2 ** 43 },
      { indLength: 5, seq: Number.MAX_SAFE_INTEGER },
    ]) {
      refused(await takeIn(sqn), 'sqn-unsupported');
    }
    assert.deepEqual(rows('B', 'SELECT iccid FROM ota_key'), []);
    assert.deepEqual(rows('B', `SELECT imsi FROM subscriber WHERE state = 'ready'`), []);
    good(await takeIn({ indLength: 5, seq: most }));
  });

  test('B’s first vector and first packet are above what A may use up meanwhile', async () => {
    const transfer = await transferred();
    const { sqn, counters } = payload<{
      sqn: { seq: number };
      counters: { keySet: number; counter: number }[];
    }>(transfer);
    // A trial's worth of accesses, and of commands that each go out again and again.
    const authenticate = requestOf(authenticationInformation, {
      sessionId: mme.sessionId(),
      originHost: mme.originHost,
      originRealm: VISITED,
      destinationRealm: epcRealm(PROFILES.A.plmn),
      userName: plain.usim.imsi,
      visitedPlmnId: '00103',
      requestedEutranAuthenticationInfo: { numberOfRequestedVectors: 5 },
    });
    for (let i = 0; i < 200; i++) await pass(mme.request(authenticate));
    good(
      await ask(
        'B',
        (each) => each.takeIn,
        order().then((order) => ({ order, transfer })),
      ),
    );
    const seqAt = (name: 'A' | 'B', imsi: string): number =>
      Number(rows(name, `SELECT seq FROM subscriber WHERE imsi = '${imsi}'`)[0]!.seq);
    const reserved = String(rows('B', 'SELECT imsi FROM subscriber')[0]!.imsi);
    assert.equal(seqAt('A', plain.usim.imsi), sqn.seq + 1000);
    assert.ok(seqAt('B', reserved) >= seqAt('A', plain.usim.imsi));
    assert.ok(counters.length > 0);
    for (const { keySet, counter } of counters) {
      const [at] = rows('B', `SELECT counter FROM ota_key WHERE key_set = ${keySet}`);
      assert.ok(Number(at!.counter) >= counter + 4 * 8, `set ${keySet}`);
    }
  });

  test('A writes nothing to a card whose keys B does not have', async () => {
    const { reservation } = good(await ask('B', (each) => each.reserve, order()));
    const write = order().then((order) => ({ order, reservation }));
    refused(await ask('A', (each) => each.write, write), 'not-given');
    assert.deepEqual(rows('A', `SELECT id FROM ota_message WHERE command = 'write'`), []);
  });

  test('destroyed: Ki, OTA keys and codes are gone at B, and A takes the receipt from B alone', async () => {
    await taken();
    const atB = `SELECT iccid FROM ota_key UNION SELECT iccid FROM card UNION SELECT iccid FROM subscriber WHERE aka IS NOT NULL`;
    assert.equal(rows('B', atB).length, 1);
    const { receipt } = good(await ask('B', (each) => each.destroy, order()));
    assert.deepEqual(rows('B', atB), []);
    assert.equal(operators.B.knowsKi(plain.iccid, fromHex(plain.usim.k)), false);
    const destroyed = (): unknown => rows('A', 'SELECT destroyed FROM key_transfer')[0]?.destroyed;
    const statement = { aud: ['A'], ...times(), change: CHANGE, iccid: plain.iccid };
    refused(await ask('A', (each) => each.exposed, signers.C.sign('destroyed', statement)), 'not-given');
    refused(
      await ask('A', (each) => each.exposed, signers.owner.sign('destroyed', statement)),
      'bad-destroyed',
    );
    const of = (more: object): Promise<string> => signers.B.sign('destroyed', { ...statement, ...more });
    refused(await ask('A', (each) => each.exposed, of({ change: '00'.repeat(8) })), 'not-given');
    refused(await ask('A', (each) => each.exposed, of({ iccid: fallback.iccid })), 'not-given');
    assert.equal(destroyed(), null);
    good(await ask('A', (each) => each.exposed, receipt));
    assert.equal(destroyed(), receipt);
    refused(await ask('A', (each) => each.transfer, order()), 'bad-order');
    const again = good(await ask('B', (each) => each.destroy, order()));
    assert.equal(payload<{ change: string }>(again.receipt).change, CHANGE);
  });

  test('a transfer that is late finds nobody at B to take it in', async () => {
    const transfer = await transferred();
    good(await ask('B', (each) => each.destroy, order()));
    const answer = await ask(
      'B',
      (each) => each.takeIn,
      order().then((order) => ({ order, transfer })),
    );
    refused(answer, 'bad-order');
    assert.deepEqual(rows('B', 'SELECT iccid FROM ota_key'), []);
  });

  test('once B has begun to take a card over, nobody has it destroyed or called back', async () => {
    const { wayBack } = good(await ask('A', (each) => each.profile, order()));
    await taken();
    const { imsi } = rows('B', `SELECT imsi FROM subscriber`)[0]!;
    await register(String(imsi));
    good(await ask('B', (each) => each.takeOver, order()));
    assert.equal(await proven('B', 'takeover'), 'done');
    good(await ask('B', (each) => each.takeOver, order()));
    refused(await ask('B', (each) => each.destroy, order()), 'committed');
    refused(
      await ask(
        'B',
        (each) => each.restore,
        order().then((order) => ({ order, wayBack })),
      ),
      'committed',
    );
    assert.deepEqual(
      terminal.card.state.keySets.map(({ number }) => number),
      [1, 2],
    );
    assert.equal(operators.B.knowsKi(plain.iccid, fromHex(plain.usim.k)), true);
  });

  test('no body and no database ever holds a key in the clear', async () => {
    await taken();
    const { imsi } = rows('B', `SELECT imsi FROM subscriber`)[0]!;
    await register(String(imsi));
    good(await ask('B', (each) => each.takeOver, order()));
    assert.equal(await proven('B', 'takeover'), 'done');
    const { usim, ota, adm1, puk1 } = plain;
    const [set] = ota!.keySets;
    const replaced = terminal.card.state.keySets.flatMap(({ kic, kid, kik }) => [kic, kid, kik!]);
    const secrets = [usim.k, usim.opc!, set!.kic, set!.kid, set!.kik!].map((key) => Buffer.from(key, 'hex'));
    const keys = [...secrets, ...replaced.map((key) => Buffer.from(key))];
    assert.equal(keys.length, 11);
    const codes = [adm1, puk1].map((code) => Buffer.from(code));
    /** All files, write-ahead logs included; then what lies in their cells, as it would be dumped. */
    const files = readdirSync(folder).map((name) => readFileSync(join(folder, name)).toString('latin1'));
    assert.ok(files.length >= 2);
    const cells = (['A', 'B'] as const).flatMap((operator) =>
      rows(operator, `SELECT name FROM sqlite_schema WHERE type = 'table'`).flatMap(({ name }) =>
        rows(operator, `SELECT * FROM "${String(name)}"`).flatMap((row) =>
          Object.values(row).map((cell) =>
            cell instanceof Uint8Array ? Buffer.from(cell).toString('latin1') : String(cell),
          ),
        ),
      ),
    );
    const all = [...files, ...cells, ...bodies, ...bodies.map((body) => decoded(body))].join('\n');
    const lower = all.toLowerCase();
    for (const key of keys) {
      assert.ok(!all.includes(key.toString('latin1')), 'raw');
      assert.ok(!lower.includes(key.toString('hex')), 'hexadecimal');
      assert.ok(!all.includes(key.toString('base64').replace(/=+$/, '')), 'base64');
      assert.ok(!all.includes(key.toString('base64url')), 'base64url');
    }
    for (const code of codes) {
      assert.ok(!all.includes(code.toString('latin1')), 'a code');
      assert.ok(!lower.includes(code.toString('hex')), 'a code in hexadecimal');
    }
    assert.ok(all.includes(plain.iccid), 'the search would find something');
  });
});

/** What stands in the statements of a body, which travel in base64url. */
const decoded = (body: string): string =>
  [...body.matchAll(/[A-Za-z0-9_-]{40,}/g)]
    .map(([part]) => Buffer.from(part, 'base64url').toString('latin1'))
    .join('\n');
