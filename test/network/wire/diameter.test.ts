import assert from 'node:assert/strict';
import { connect, createServer, type AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { realEdge } from '../../../src/edge/real.ts';
import {
  APPLICATION,
  RESULT,
  answerOf,
  authenticationInformation,
  capabilitiesExchange,
  decodeMessage,
  encodeMessage,
  mtForwardShortMessage,
  readAnswer,
  readRequest,
  requestOf,
  type Message,
} from '../../../src/standards/diameter/index.ts';
import {
  createDiameterNode,
  type DiameterNode,
  type DiameterNodeOptions,
} from '../../../src/network/wire/diameter.ts';

const LOOPBACK = { host: '127.0.0.1', port: 0 };
const applications = [APPLICATION.s6a, APPLICATION.sgd];

async function node(
  t: TestContext,
  name: string,
  realm: string,
  options: Partial<DiameterNodeOptions> = {},
): Promise<DiameterNode> {
  const made = await createDiameterNode({
    edge: realEdge,
    originHost: `${name}.${realm}`,
    originRealm: realm,
    applications,
    peers: [],
    handle: () => assert.fail('no request is expected'),
    ...options,
  });
  t.after(() => made.close());
  return made;
}

const air = (from: DiameterNode, destinationRealm: string): Message =>
  requestOf(authenticationInformation, {
    sessionId: from.sessionId(),
    originHost: from.originHost,
    originRealm: from.originRealm,
    destinationRealm,
    userName: '001010000000001',
    visitedPlmnId: '00101',
  });

test('requests go both ways over one connection, by realm', async (t) => {
  const hss = await node(t, 'hss', 'home', {
    listen: LOOPBACK,
    handle(request) {
      const { sessionId, userName } = readRequest(authenticationInformation, request);
      assert.equal(userName, '001010000000001');
      return answerOf(authenticationInformation, request, {
        sessionId,
        originHost: 'hss.home',
        originRealm: 'home',
        resultCode: RESULT.success,
      });
    },
  });
  const mme = await node(t, 'mme', 'visited', {
    peers: [{ realm: 'home', endpoint: hss.endpoint! }],
    handle: (request) =>
      answerOf(mtForwardShortMessage, request, {
        originHost: 'mme.visited',
        originRealm: 'visited',
        resultCode: RESULT.success,
        smRpUi: readRequest(mtForwardShortMessage, request).smRpUi,
      }),
  });
  const answer = readAnswer(authenticationInformation, await mme.request(air(mme, 'home')));
  assert.equal(answer.resultCode, RESULT.success);
  assert.equal(answer.originHost, 'hss.home');
  const back = await hss.request(
    requestOf(mtForwardShortMessage, {
      sessionId: hss.sessionId(),
      originHost: hss.originHost,
      originRealm: hss.originRealm,
      destinationHost: 'mme.visited',
      destinationRealm: 'visited',
      userName: '001010000000001',
      scAddress: '4912345',
      smRpUi: Uint8Array.of(1, 2, 3),
    }),
  );
  assert.deepEqual(readAnswer(mtForwardShortMessage, back).smRpUi, Uint8Array.of(1, 2, 3));
});

test('a thousand requests at once are each answered with their own answer', async (t) => {
  const hss = await node(t, 'hss', 'home', {
    listen: LOOPBACK,
    async handle(request) {
      const { userName } = readRequest(authenticationInformation, request);
      if (Number(userName) % 2 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      return answerOf(authenticationInformation, request, {
        originHost: 'hss.home',
        originRealm: 'home',
        resultCode: RESULT.success,
        errorMessage: userName,
      });
    },
  });
  const mme = await node(t, 'mme', 'visited', { peers: [{ realm: 'home', endpoint: hss.endpoint! }] });
  const one = async (i: number): Promise<void> => {
    const request = requestOf(authenticationInformation, {
      sessionId: mme.sessionId(),
      originHost: mme.originHost,
      originRealm: mme.originRealm,
      destinationRealm: 'home',
      userName: String(i),
      visitedPlmnId: '00101',
    });
    assert.equal(readAnswer(authenticationInformation, await mme.request(request)).errorMessage, String(i));
  };
  await Promise.all(Array.from({ length: 1000 }, (_, i) => one(i)));
});

test('an agent (realm *) takes what no other peer serves; without one the realm is unreachable', async (t) => {
  const agent = await node(t, 'agent', 'core', { listen: LOOPBACK });
  const direct = await node(t, 'mme', 'visited', { peers: [{ realm: 'core', endpoint: agent.endpoint! }] });
  await assert.rejects(direct.request(air(direct, 'home')), {
    name: 'DiameterFailure',
    reason: 'unreachable',
  });
  const routed = await node(t, 'mme2', 'visited', { peers: [{ realm: '*', endpoint: agent.endpoint! }] });
  // This agent routes nowhere, and says so.
  const answer = readAnswer(authenticationInformation, await routed.request(air(routed, 'home')));
  assert.equal(answer.resultCode, RESULT.unableToDeliver);
});

test('peers of one realm are told apart by their applications', async (t) => {
  const answering =
    (name: string) =>
    (request: Message): Message =>
      answerOf(authenticationInformation, request, {
        originHost: name,
        originRealm: 'home',
        resultCode: RESULT.success,
      });
  const smsc = await node(t, 'smsc', 'home', {
    listen: LOOPBACK,
    applications: [APPLICATION.sgd],
    handle: answering('smsc.home'),
  });
  const hss = await node(t, 'hss', 'home', {
    listen: LOOPBACK,
    applications: [APPLICATION.s6a],
    handle: answering('hss.home'),
  });
  const mme = await node(t, 'mme', 'visited', {
    peers: [smsc, hss].map(({ endpoint }) => ({ realm: 'home', endpoint: endpoint! })),
  });
  const send = async (application: number): Promise<string> => {
    const answer = await mme.request({ ...air(mme, 'home'), application });
    return readAnswer(authenticationInformation, answer).originHost;
  };
  assert.equal(await send(APPLICATION.s6a), 'hss.home');
  assert.equal(await send(APPLICATION.sgd), 'smsc.home');
  await assert.rejects(send(APPLICATION.t6a), { reason: 'unreachable' });
});

test('a request that lacks an AVP is answered 5005 with the AVP named', async (t) => {
  const hss = await node(t, 'hss', 'home', {
    listen: LOOPBACK,
    handle: (request) => assert.fail(readRequest(authenticationInformation, request).userName),
  });
  const mme = await node(t, 'mme', 'visited', { peers: [{ realm: 'home', endpoint: hss.endpoint! }] });
  const request = air(mme, 'home');
  request.avps = request.avps.filter(({ code }) => code !== 1);
  const answer = readAnswer(authenticationInformation, await mme.request(request));
  assert.equal(answer.resultCode, RESULT.missingAvp);
  assert.equal(answer.failedAvps?.[0]?.[0]?.code, 1);
});

test('no answer in time, and a lost connection, are told apart', async (t) => {
  const silent = await node(t, 'hss', 'home', {
    listen: LOOPBACK,
    handle: () => new Promise(() => undefined),
  });
  const mme = await node(t, 'mme', 'visited', { peers: [{ realm: 'home', endpoint: silent.endpoint! }] });
  await assert.rejects(mme.request(air(mme, 'home'), { timeoutMs: 300 }), { reason: 'timeout' });
  const lost = assert.rejects(mme.request(air(mme, 'home')), { reason: 'lost' });
  await silent.close();
  await lost;
});

test('a peer that starts late is reached, and reached again after it went away', async (t) => {
  const placeholder = createServer();
  await new Promise<void>((resolve) => placeholder.listen(0, '127.0.0.1', resolve));
  const { port } = placeholder.address() as AddressInfo;
  await new Promise((resolve) => placeholder.close(resolve));
  const endpoint = { host: '127.0.0.1', port };
  const mme = await node(t, 'mme', 'visited', { peers: [{ realm: 'home', endpoint }] });
  const handle = (request: Message): Message =>
    answerOf(authenticationInformation, request, {
      originHost: 'hss.home',
      originRealm: 'home',
      resultCode: RESULT.success,
    });
  const early = mme.request(air(mme, 'home'));
  const firstHss = await node(t, 'hss', 'home', { listen: endpoint, handle });
  await early;
  await firstHss.close();
  await node(t, 'hss', 'home', { listen: endpoint, handle });
  await mme.request(air(mme, 'home'));
});

test('a peer without a common application, and one that is not whom we wanted, are not used', async (t) => {
  const other = await node(t, 'hss', 'home', { listen: LOOPBACK, applications: [APPLICATION.s6c] });
  const mme = await node(t, 'mme', 'visited', { peers: [{ realm: 'home', endpoint: other.endpoint! }] });
  await assert.rejects(mme.request(air(mme, 'home'), { timeoutMs: 200 }), { reason: 'unreachable' });
  const hss = await node(t, 'hss', 'home', { listen: LOOPBACK });
  const picky = await node(t, 'mme2', 'visited', {
    peers: [{ host: 'other.home', realm: 'home', endpoint: hss.endpoint! }],
  });
  await assert.rejects(picky.request(air(picky, 'home'), { timeoutMs: 200 }), { reason: 'unreachable' });
});

/** A peer that exchanges capabilities and then does as the test says. */
async function scriptedPeer(
  t: TestContext,
  onMessage: (message: Message, send: (bytes: Uint8Array) => void) => void,
): Promise<{ host: string; port: number }> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      for (let at = 0; at < chunk.length;) {
        const length = chunk.readUIntBE(at + 1, 3);
        const message = decodeMessage(chunk.subarray(at, at + length));
        at += length;
        if (message.command === capabilitiesExchange.code) {
          const answer = answerOf(capabilitiesExchange, message, {
            resultCode: RESULT.success,
            originHost: 'hss.home',
            originRealm: 'home',
            authApplicationIds: [APPLICATION.relay],
          });
          socket.write(encodeMessage(answer));
        } else {
          onMessage(message, (bytes) => void socket.write(bytes));
        }
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => void server.close());
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
}

test('a peer that answers no watchdog is given up, with what was asked of it', async (t) => {
  let watchdogs = 0;
  const endpoint = await scriptedPeer(t, (message) => {
    if (message.command === 280) watchdogs++;
  });
  const mme = await node(t, 'mme', 'visited', { peers: [{ realm: 'home', endpoint }], watchdogMs: 40 });
  await assert.rejects(mme.request(air(mme, 'home')), { reason: 'lost' });
  assert.equal(watchdogs, 2);
});

test('an idle connection stays open on watchdogs alone', async (t) => {
  const hss = await node(t, 'hss', 'home', {
    listen: LOOPBACK,
    watchdogMs: 20,
    handle: (request) =>
      answerOf(authenticationInformation, request, {
        originHost: 'hss.home',
        originRealm: 'home',
        resultCode: RESULT.success,
      }),
  });
  const mme = await node(t, 'mme', 'visited', {
    peers: [{ realm: 'home', endpoint: hss.endpoint! }],
    watchdogMs: 20,
  });
  await mme.request(air(mme, 'home'));
  await new Promise((resolve) => setTimeout(resolve, 200));
  await mme.request(air(mme, 'home'), { timeoutMs: 100 });
});

test('hostile bytes end their connection and no other', async (t) => {
  const hss = await node(t, 'hss', 'home', {
    listen: LOOPBACK,
    handle: (request) =>
      answerOf(authenticationInformation, request, {
        originHost: 'hss.home',
        originRealm: 'home',
        resultCode: RESULT.success,
      }),
  });
  const mme = await node(t, 'mme', 'visited', { peers: [{ realm: 'home', endpoint: hss.endpoint! }] });
  await mme.request(air(mme, 'home'));
  const cer = encodeMessage(
    requestOf(capabilitiesExchange, {
      originHost: 'x.y',
      originRealm: 'y',
      hostIpAddresses: [Uint8Array.of(127, 0, 0, 1)],
      vendorId: 0,
      productName: 'x',
      authApplicationIds: [APPLICATION.s6a],
    }),
  );
  const hostile: [string, Uint8Array][] = [
    ['another protocol', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['a length of zero', Uint8Array.of(1, 0, 0, 0)],
    ['a length over the bound', Uint8Array.of(1, 0x7f, 0xff, 0xfc)],
    ['a request before capabilities', encodeMessage(air(mme, 'home'))],
    [
      'an AVP longer than its message',
      Buffer.concat([cer, cer.subarray(0, 20), Buffer.alloc(cer.length - 20, 0xff)]),
    ],
  ];
  for (const [what, bytes] of hostile) {
    await new Promise<void>((resolve, reject) => {
      const socket = connect(hss.endpoint!.port, '127.0.0.1', () => socket.write(bytes));
      socket.on('data', () => undefined);
      socket.on('error', () => undefined);
      socket.on('close', () => resolve());
      socket.setTimeout(2000, () => reject(new Error(`${what}: still open`)));
    });
  }
  assert.equal((await mme.request(air(mme, 'home'))).error, false);
});
