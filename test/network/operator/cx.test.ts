/** IMS AKA from end to end: a serving CSCF asks the HSS over Cx, the ISIM of a card in a modem answers. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { Edge } from '../../../src/edge/index.ts';
import { createCard } from '../../../src/device/uicc/index.ts';
import { memoryStore } from '../../../src/device/uicc/store.ts';
import { createModem, type Modem } from '../../../src/device/modem/index.ts';
import { VirtualClock } from '../../../src/lab/clock.ts';
import { makeFleet, type MadeDevice } from '../../../src/lab/fleet.ts';
import { PROFILES } from '../../../src/lab/operators.ts';
import { seededRandom } from '../../../src/lab/random.ts';
import { Wires } from '../../../src/lab/wires.ts';
import { createOperator, type Operator } from '../../../src/network/operator/operator.ts';
import { epcRealm } from '../../../src/network/operator/profile.ts';
import { createSoftwareVault } from '../../../src/network/vault/software.ts';
import { createDiameterNode, type DiameterNode } from '../../../src/network/wire/diameter.ts';
import { createSigner } from '../../../src/network/wire/statements.ts';
import { SQN_DEFAULT, decodeSqn, openChallenge, prepare } from '../../../src/standards/aka/index.ts';
import { concat, fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import {
  APPLICATION,
  EXPERIMENTAL_RESULT,
  RESULT,
  SIP_SCHEME,
  authenticationInformation,
  capabilitiesExchange,
  decodeMessage,
  encodeMessage,
  messageLength,
  multimediaAuth,
  readAnswer,
  requestOf,
  resultOf,
  type AnswerValues,
  type Message,
  type RequestValues,
} from '../../../src/standards/diameter/index.ts';
import { imsIdentityOf } from '../../../src/standards/uicc/index.ts';

const ANY = { host: '127.0.0.1', port: 0 };
const REALM = epcRealm('00101');
const DOMAIN = 'ims.mnc001.mcc001.3gppnetwork.org';
const HOST = `scscf.${DOMAIN}`;
const CSCF = `sip:${HOST}`;

/** Digest-AKAv1-MD5 (RFC 3310 §3.3, RFC 2617 §3.2.2): RES is the password, RAND and AUTN are the nonce. */
function digest(
  user: string,
  realm: string,
  res: Uint8Array,
  nonce: string,
  method: string,
  uri: string,
): string {
  const md5 = (...parts: (string | Uint8Array)[]): string => {
    const hash = createHash('md5');
    for (const part of parts) hash.update(part);
    return hash.digest('hex');
  };
  return md5(`${md5(`${user}:${realm}:`, res)}:${nonce}:${md5(`${method}:${uri}`)}`);
}

for (const algorithm of ['milenage', 'tuak'] as const) {
  describe(`IMS AKA with ${algorithm}`, () => {
    const fleet = makeFleet(2, ['3a'], 1, PROFILES.A, PROFILES.B, { algorithm });
    const [first, second] = fleet.devices as [MadeDevice, MadeDevice];
    const { usim } = first.card;
    const identity = imsIdentityOf(usim.imsi, 2);
    const key = prepare({
      algorithm,
      k: fromHex(usim.k),
      ...(usim.opc && { opc: fromHex(usim.opc) }),
      ...(usim.topc && { topc: fromHex(usim.topc) }),
    });
    let clock: VirtualClock, wires: Wires, edge: Edge, operator: Operator, cscf: DiameterNode, modem: Modem;

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
    const nodeOf = (originHost: string, originRealm: string): Promise<DiameterNode> =>
      createDiameterNode({
        edge,
        originHost,
        originRealm,
        applications: [APPLICATION.cx, APPLICATION.s6a],
        peers: [{ realm: REALM, endpoint: operator.endpoints.hss }],
        handle: () => {
          throw new Error('nobody asks a CSCF');
        },
      });
    beforeEach(async () => {
      clock = new VirtualClock(Date.UTC(2026, 0, 1));
      wires = new Wires();
      edge = { clock, sockets: wires.of('10.0.0.1'), random: seededRandom(1, 'operator') };
      const vault = await createSoftwareVault({
        keyEncryptionKey: new Uint8Array(32),
        random: edge.random,
        clock,
      });
      operator = await createOperator({
        edge,
        profile: { ...PROFILES.A, algorithms: ['milenage', 'tuak'] },
        database: ':memory:',
        vault,
        signer: await createSigner(clock, 'A'),
        ring: {},
        vaults: {},
        escrow: { name: 'escrow', client: {} as never },
        owner: {} as never,
        api: ANY,
        hss: ANY,
        smsc: ANY,
        scef: ANY,
        smpp: ANY,
        cscfs: [HOST, `SCSCF2.${DOMAIN}`],
        otaPassword: 'secret',
      });
      operator.importCardData(fleet.csv);
      cscf = await nodeOf(HOST, DOMAIN);
      const card = createCard({ store: memoryStore(), file: first.card });
      modem = await createModem({
        edge,
        card: {
          powerOn: () => Promise.resolve(card.powerOn()),
          powerOff: () => Promise.resolve(card.powerOff()),
          transmit: (apdu) => Promise.resolve(card.transmit(apdu)),
        },
        imei: first.imei,
        cells: [],
        bind: ANY,
      });
      await pass(modem.powerOn());
    });
    afterEach(async () => {
      await pass(modem.close());
      await pass(cscf.close());
      await pass(operator.close());
    });

    /** What the HSS answers to a peer that sends it a request though it was not offered its application. */
    const answerTo = async (originHost: string, originRealm: string, request: Message) => {
      const socket = edge.sockets.connect('diameter', operator.endpoints.hss);
      const answered = new Promise<Message>((resolve) => {
        let unread = Buffer.alloc(0);
        socket.on('data', (chunk: Uint8Array) => {
          unread = Buffer.concat([unread, chunk]);
          while (unread.length >= 4 && unread.length >= messageLength(unread)) {
            const message = decodeMessage(unread.subarray(0, messageLength(unread)));
            unread = unread.subarray(messageLength(unread));
            if (message.command === capabilitiesExchange.code) socket.write(encodeMessage(request));
            else resolve(message);
          }
        });
      });
      const cer = requestOf(capabilitiesExchange, {
        originHost,
        originRealm,
        hostIpAddresses: [new Uint8Array(4)],
        vendorId: 0,
        productName: 'test',
        authApplicationIds: [APPLICATION.s6a, APPLICATION.cx],
      });
      socket.write(encodeMessage(cer));
      const answer = await pass(answered);
      socket.destroy();
      return answer;
    };
    const head = (node = cscf) => ({
      sessionId: node.sessionId(),
      originHost: node.originHost,
      originRealm: node.originRealm,
      destinationRealm: REALM,
    });
    const ask = async (
      more: Partial<RequestValues<typeof multimediaAuth>> = {},
      node = cscf,
    ): Promise<AnswerValues<typeof multimediaAuth>> => {
      const request = requestOf(multimediaAuth, {
        ...head(node),
        userName: identity.impi,
        publicIdentity: identity.impu,
        sipNumberAuthItems: 1,
        serverName: CSCF,
        sipAuthDataItem: { scheme: SIP_SCHEME.aka },
        ...more,
      });
      return readAnswer(multimediaAuth, await pass(node.request(request)));
    };
    const challenged = async (more: Parameters<typeof ask>[0] = {}) => {
      const answer = await ask(more);
      assert.equal(answer.resultCode, RESULT.success);
      const [item] = answer.sipAuthDataItems!;
      const authenticate = item!.authenticate!;
      assert.equal(authenticate.length, 32);
      return {
        item: item!,
        rand: authenticate.subarray(0, 16),
        autn: authenticate.subarray(16),
        nonce: Buffer.from(authenticate).toString('base64'),
      };
    };

    test('the ISIM answers what the HSS expects, and a digest of it is the CSCF’s', async () => {
      const { item, rand, autn, nonce } = await challenged();
      assert.equal(item.scheme, 'Digest-AKAv1-MD5');
      assert.deepEqual(openChallenge(key, rand, autn).amf, new Uint8Array(2), 'no separation bit');
      const answer = await pass(modem.answerIms(rand, autn));
      assert.deepEqual(answer, {
        kind: 'success',
        res: item.authorization,
        ck: item.confidentialityKey,
        ik: item.integrityKey,
      });
      assert.deepEqual(await pass(modem.imsIdentity()), identity);
      assert.equal(modem.state.imsi, usim.imsi, 'the USIM is still selected');
      assert.ok(answer?.kind === 'success');
      const uri = `sip:${identity.domain}`;
      assert.equal(
        digest(identity.impi, identity.domain, answer.res, nonce, 'REGISTER', uri),
        digest(identity.impi, identity.domain, item.authorization!, nonce, 'REGISTER', uri),
      );
    });

    test('nobody gets CK and IK but a serving CSCF that the operator names, and as the one that it is', async () => {
      const visited = epcRealm('00103');
      for (const [host, realm] of [
        [`mme.${visited}`, visited],
        [`scscf3.${DOMAIN}`, DOMAIN],
        [`${HOST}.example.org`, DOMAIN],
      ] as const) {
        const peer = await nodeOf(host, realm);
        // It is not offered Cx, so its node sends nothing; and where it sends all the same it is told so.
        await assert.rejects(ask({}, peer), /no peer for realm/, host);
        for (const as of [peer.originHost, HOST]) {
          const request = requestOf(multimediaAuth, {
            ...head(peer),
            originHost: as,
            originRealm: DOMAIN,
            userName: identity.impi,
            publicIdentity: identity.impu,
            sipNumberAuthItems: 1,
            serverName: CSCF,
            sipAuthDataItem: { scheme: SIP_SCHEME.aka },
          });
          const answer = readAnswer(multimediaAuth, await answerTo(host, realm, request));
          assert.deepEqual(
            [answer.resultCode, answer.sipAuthDataItems],
            [RESULT.applicationUnsupported, undefined],
          );
        }
        await pass(peer.close());
      }
      for (const more of [
        { originHost: `scscf2.${DOMAIN}` },
        { originRealm: visited },
        { serverName: `sip:scscf2.${DOMAIN}` },
        { serverName: `sip:${HOST}@scscf2.${DOMAIN}` },
        { serverName: `sip:${HOST}.example.org` },
        { serverName: HOST },
      ]) {
        const { resultCode, sipAuthDataItems } = await ask(more);
        assert.deepEqual(
          [resultCode, sipAuthDataItems],
          [RESULT.authorizationRejected, undefined],
          JSON.stringify(more),
        );
      }
      for (const more of [
        { originRealm: REALM },
        { originHost: HOST.toUpperCase() },
        { serverName: `sip:scscf@${HOST}:5060;lr` },
      ]) {
        assert.equal((await ask(more)).resultCode, RESULT.success, JSON.stringify(more));
      }
    });

    test('a challenge is answered once; AUTS brings the HSS after the card', async () => {
      const old = await challenged();
      assert.equal((await pass(modem.answerIms(old.rand, old.autn)))?.kind, 'success');
      const again = await pass(modem.answerIms(old.rand, old.autn));
      assert.ok(again?.kind === 'synchronisationFailure');
      const authorization = concat(old.rand, again.auts);
      const resync = { scheme: SIP_SCHEME.aka, authorization };
      const fresh = await challenged({ sipAuthDataItem: resync });
      assert.equal((await pass(modem.answerIms(fresh.rand, fresh.autn)))?.kind, 'success');
      // Another CSCF was not given that challenge; and an AUTS that nobody signed moves nothing.
      const elsewhere = await nodeOf(`scscf2.${DOMAIN}`, REALM);
      const second = `sip:scscf2.${DOMAIN}:5060;lr`;
      const other = await ask({ serverName: second, sipAuthDataItem: resync }, elsewhere);
      assert.equal(other.resultCode, RESULT.unableToComply);
      assert.equal((await ask({ serverName: second }, elsewhere)).resultCode, RESULT.success);
      await pass(elsewhere.close());
      const wrong = concat(
        old.rand,
        again.auts.map((byte) => byte ^ 1),
      );
      assert.equal(
        (await ask({ sipAuthDataItem: { scheme: SIP_SCHEME.aka, authorization: wrong } })).resultCode,
        RESULT.unableToComply,
      );
      const short = { scheme: SIP_SCHEME.aka, authorization: wrong.subarray(0, 29) };
      const { resultCode, failedAvps } = await ask({ sipAuthDataItem: short });
      assert.deepEqual([resultCode, failedAvps?.[0]?.[0]?.code], [RESULT.invalidAvpValue, 610]);
    });

    test('the vectors of one answer are good in any order', async () => {
      const kept = cscfVectors(await ask({ sipNumberAuthItems: 5 }));
      const last = kept.at(-1)!;
      assert.equal((await pass(modem.answerIms(last.rand, last.autn)))?.kind, 'success');
      // An older one of the same answer has another index and is still good, as a CSCF that keeps them needs.
      assert.equal((await pass(modem.answerIms(kept[0]!.rand, kept[0]!.autn)))?.kind, 'success');
    });

    test('what an MME takes meanwhile does not make the CSCF’s vectors old', async () => {
      const kept = await challenged();
      for (let i = 0; i < 40; i++) {
        const request = requestOf(authenticationInformation, {
          ...head(),
          userName: usim.imsi,
          visitedPlmnId: '00103',
          requestedEutranAuthenticationInfo: { numberOfRequestedVectors: 1 },
        });
        const { authenticationInfo } = readAnswer(
          authenticationInformation,
          await pass(cscf.request(request)),
        );
        const { rand, autn } = authenticationInfo!.eutranVectors![0]!;
        const { ind } = decodeSqn(SQN_DEFAULT, openChallenge(key, rand, autn).sqn);
        assert.ok(ind < 24, `index ${ind} of the accesses`);
        assert.equal((await pass(modem.answerIms(rand, autn)))?.kind, 'success');
      }
      const { ind } = decodeSqn(SQN_DEFAULT, openChallenge(key, kept.rand, kept.autn).sqn);
      assert.ok(ind >= 24, `index ${ind} of IMS`);
      assert.equal((await pass(modem.answerIms(kept.rand, kept.autn)))?.kind, 'success');
    });

    test('identities are known and belong together; another scheme is refused', async () => {
      const other = imsIdentityOf(second.card.usim.imsi, 2);
      const { msisdn } = usim;
      const { userUnknown, identitiesDontMatch, authSchemeNotSupported } = EXPERIMENTAL_RESULT;
      const elsewhere = imsIdentityOf('001020000000001', 2);
      for (const [more, code] of [
        [{ publicIdentity: `tel:+${msisdn}` }, RESULT.success],
        [{ publicIdentity: `sip:+${msisdn}@${identity.domain};user=phone` }, RESULT.success],
        [{ userName: identity.impi.toUpperCase() }, RESULT.success],
        [{ sipAuthDataItem: { scheme: SIP_SCHEME.unknown } }, RESULT.success],
        [{ publicIdentity: other.impu }, identitiesDontMatch],
        [{ publicIdentity: `tel:+${second.card.usim.msisdn}` }, identitiesDontMatch],
        [{ publicIdentity: 'tel:+1' }, userUnknown],
        [{ publicIdentity: identity.impi }, userUnknown],
        [{ publicIdentity: `mailto:${identity.impi}` }, userUnknown],
        [{ userName: elsewhere.impi, publicIdentity: elsewhere.impu }, userUnknown],
        [{ userName: usim.imsi }, userUnknown],
        [{ userName: `${usim.imsi}@ims.mnc002.mcc001.3gppnetwork.org` }, userUnknown],
        [{ sipAuthDataItem: { scheme: 'SIP Digest' } }, authSchemeNotSupported],
        [{ sipAuthDataItem: { scheme: 'Early-IMS-Security' } }, authSchemeNotSupported],
        [{ sipAuthDataItem: {} }, authSchemeNotSupported],
      ] as const) {
        assert.equal(resultOf(await ask(more)), code, JSON.stringify(more));
      }
    });

    test('as many items as are asked for, five at most, each with the fields of TS 29.228 table 6.3.4', async () => {
      const answer = await ask({ sipNumberAuthItems: 9 });
      assert.equal(answer.sipNumberAuthItems, 5);
      assert.deepEqual(
        answer.sipAuthDataItems!.map((item) => item.itemNumber),
        [1, 2, 3, 4, 5],
      );
      const rands = new Set(
        answer.sipAuthDataItems!.map((item) => toHex(item.authenticate!.subarray(0, 16))),
      );
      assert.equal(rands.size, 5);
      assert.deepEqual([answer.userName, answer.publicIdentity], [identity.impi, identity.impu]);
    });

    test('a modem that is off, and a card without an ISIM, answer nothing', async () => {
      const { rand, autn } = await challenged();
      await modem.powerOff();
      assert.equal(await modem.answerIms(rand, autn), undefined);
      const card = createCard({ store: memoryStore(), file: { ...first.card, isim: null } });
      const other = await createModem({
        edge,
        card: {
          powerOn: () => Promise.resolve(card.powerOn()),
          powerOff: () => Promise.resolve(card.powerOff()),
          transmit: (apdu) => Promise.resolve(card.transmit(apdu)),
        },
        imei: first.imei,
        cells: [],
        bind: ANY,
      });
      await pass(other.powerOn());
      assert.deepEqual(await pass(other.answerIms(rand, autn)), { kind: 'noIsim' });
      assert.equal(await pass(other.imsIdentity()), undefined);
      await pass(other.close());
    });
  });
}

const cscfVectors = ({ sipAuthDataItems }: AnswerValues<typeof multimediaAuth>) =>
  sipAuthDataItems!.map(({ authenticate }) => ({
    rand: authenticate!.subarray(0, 16),
    autn: authenticate!.subarray(16),
  }));
