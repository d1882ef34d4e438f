/** A card with a key agreement key: sets that are agreed on, what is deleted, and another Ki. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { test } from 'node:test';
import {
  USIM_AID,
  createCard,
  createCardFile,
  formatCardFile,
  memoryStore,
  parseCardFile,
  type CardFile,
  type CardState,
} from '../../../src/device/uicc/index.ts';
import { authenticationVector, encodeSqn, prepare, SQN_DEFAULT } from '../../../src/standards/aka/index.ts';
import { FieldError, fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import * as gp from '../../../src/standards/globalplatform/index.ts';
import {
  FALLBACK_TAR,
  RESPONSE_STATUS,
  TAR,
  encodeCompactCommands,
  encodeKeyListSwitch,
  keyByte,
} from '../../../src/standards/ota/index.ts';
import { INS, encodeChallenge } from '../../../src/standards/uicc/index.ts';
import {
  drawn,
  expire,
  gatewayOf,
  order,
  terminalOf,
  types,
  type Gateway,
  type Terminal,
} from './terminal.ts';

const some = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, at) => (at * 5 + seed) & 0x7f);
const CARD_KEY = some(32, 1);
const ONCE = some(32, 2);
const issuer = generateKeyPairSync('ec', { namedCurve: 'P-256' });

const certificateOf = (privateKey: Uint8Array): string =>
  toHex(
    gp.encodeCertificate(
      {
        serial: Uint8Array.of(1),
        issuer: Uint8Array.of(2),
        subject: Uint8Array.of(3),
        publicKey: gp.publicKeyOf(privateKey),
      },
      (data) => sign('sha256', data, { key: issuer.privateKey, dsaEncoding: 'ieee-p1363' }),
    ),
  );

interface Held {
  terminal: Terminal;
  file: CardFile;
  state(): CardState;
  /** under the set that the card came with */
  gateway: Gateway;
  store: ReturnType<typeof memoryStore>;
}

function hardened(more: Partial<CardFile> = {}): Held {
  const made = createCardFile({ imsi: '001010000000001', pairs: 0 }, drawn('hardened'));
  const file: CardFile = {
    ...made,
    fallback: {},
    casd: { privateKey: toHex(CARD_KEY), certificate: certificateOf(CARD_KEY) },
    ...more,
  };
  const store = memoryStore();
  const card = createCard({ store, file });
  const terminal = terminalOf(card);
  terminal.boot();
  const { kic, kid } = file.ota!.keySets[0]!;
  return {
    terminal,
    file,
    state: () => card.state,
    gateway: under(file, 1, { kic: fromHex(kic), kid: fromHex(kid) }),
    store,
  };
}

/** A gateway to the issuer security domain, or another application, under these keys. */
function under(
  file: CardFile,
  number: number,
  keys: { kic: Uint8Array; kid: Uint8Array },
  tar: Uint8Array = TAR.issuerSecurityDomain,
): Gateway {
  const pairs = [{ index: 0, state: 'current' as const, kic: toHex(keys.kic), kid: toHex(keys.kid) }];
  const gateway = gatewayOf({ ...file, keyList: { pairs, next: 1 } }, 0, tar);
  const byte = keyByte(number, 'aes');
  gateway.header = { ...gateway.header, kic: byte, kid: byte };
  return gateway;
}

const agreement = (keySet = 2, once = ONCE): gp.KeyAgreement => ({
  keySet,
  keyLength: 16,
  ephemeral: gp.publicKeyOf(once),
});
const agreed = (keySet = 2, once = ONCE): gp.AgreedKeys =>
  gp.agreeKeys(agreement(keySet, once), once, gp.publicKeyOf(CARD_KEY));
/** A gateway under set 2, which is agreed on for it. */
function ownOf(terminal: Terminal, file: CardFile, gateway: Gateway): Gateway {
  assert.equal(gateway.run(terminal, gp.encodeKeyAgreement(agreement())).sw, 0x9000);
  return under(file, 2, agreed());
}
const install = gp.encodeInstallForPersonalisation(USIM_AID);

/** AUTHENTICATE under a Ki: the status word, and the tag of the answer. */
function challenge(terminal: Terminal, k: Uint8Array, opc: Uint8Array, seq: number): string {
  const rand = some(16, seq);
  const key = prepare({ algorithm: 'milenage', k, opc });
  const { autn } = authenticationVector(key, rand, encodeSqn(SQN_DEFAULT, seq, 0), Uint8Array.of(0x80, 0));
  terminal.selectUsim();
  const { sw, data } = terminal.command(0, INS.authenticate, 0, 0x81, encodeChallenge({ rand, autn }), 256);
  return sw === 0x9000 ? toHex(data.subarray(0, 1)) : sw.toString(16);
}

test('a set is agreed on: the receipt is right, and packets under its keys are heard', () => {
  const { terminal, file, gateway } = hardened();
  const { sw, data } = gateway.run(terminal, gp.encodeKeyAgreement(agreement()));
  assert.equal(sw, 0x9000);
  const { receipt, ...keys } = agreed();
  assert.deepEqual(gp.decodeReceipt(data), receipt);
  const own = under(file, 2, keys);
  const information = own.run(terminal, gp.encodeGetKeyInformation());
  assert.deepEqual(
    gp.decodeKeyInformation(information.data).map(({ keySet, identifier }) => [keySet, identifier]),
    [
      [1, 1],
      [1, 2],
      [1, 3],
      [2, 1],
      [2, 2],
      [2, 3],
    ],
  );
});

test('the same agreement once more has the same answer and touches nothing; another is refused', () => {
  const { terminal, file, gateway, state } = hardened();
  const first = gateway.run(terminal, gp.encodeKeyAgreement(agreement()));
  const own = under(file, 2, agreed());
  own.run(terminal, gp.encodeGetKeyInformation());
  const counter = state().keySets[1]!.counter;
  assert.ok(counter > 0);
  const again = gateway.run(terminal, gp.encodeKeyAgreement(agreement()));
  assert.deepEqual(again.data, first.data);
  assert.equal(state().keySets[1]!.counter, counter, 'no packet of before is good again');
  const other = gateway.run(terminal, gp.encodeKeyAgreement(agreement(2, some(32, 9))));
  assert.equal(other.sw, 0x6985);
  assert.deepEqual(state().keySets[1]!.kic, agreed().kic);
});

test('a card without a key of its own agrees on nothing, nor does a set that is limited to some applications', () => {
  const without = hardened({ casd: undefined } as never);
  assert.equal(without.gateway.run(without.terminal, gp.encodeKeyAgreement(agreement())).sw, 0x6d00);
  const base = hardened().file.ota!.keySets[0]!;
  const limited = hardened({
    ota: {
      keySets: [
        { ...base, tars: ['000000'] },
        { ...base, number: 3 },
      ],
    },
  });
  for (const command of [
    gp.encodeKeyAgreement(agreement()),
    gp.encodeDeleteKeySet(3),
    gp.encodeStoreAka({ algorithm: 'milenage', k: some(16, 1), opc: some(16, 2) }, fromHex(base.kik!)),
  ]) {
    assert.equal(limited.gateway.run(limited.terminal, install, command).sw, 0x6985);
  }
  assert.deepEqual(
    limited.state().keySets.map(({ number }) => number),
    [1, 3],
  );
  assert.equal(limited.state().usim.renewed, undefined);
});

test('a set is deleted, and heard no more; nobody deletes what carries the packet', () => {
  const { terminal, file, gateway, state } = hardened();
  gateway.run(terminal, gp.encodeKeyAgreement(agreement()));
  const own = under(file, 2, agreed());
  assert.equal(own.run(terminal, gp.encodeDeleteKeySet(2)).sw, 0x6985);
  assert.equal(own.run(terminal, gp.encodeDeleteKeySet(7)).sw, 0x6a88);
  assert.equal(own.run(terminal, gp.encodeDeleteKeySet(1)).sw, 0x9000);
  assert.deepEqual(
    state().keySets.map(({ number }) => number),
    [2],
  );
  const refused = gateway.send(terminal, encodeCompactCommands([gp.encodeGetKeyInformation()]));
  assert.notEqual(refused?.status, RESPONSE_STATUS.ok);
});

test('another Ki: both are good until one challenge proves the new one, then the old one is gone', () => {
  const { terminal, file, gateway, state, store } = hardened();
  const old = { k: fromHex(file.usim.k), opc: fromHex(file.usim.opc!) };
  const fresh = { k: some(16, 3), opc: some(16, 4) };
  const old1 = fromHex(file.ota!.keySets[0]!.kik!);
  const asA = gp.encodeStoreAka({ algorithm: 'milenage', ...fresh }, old1);
  assert.equal(gateway.run(terminal, install, asA).sw, 0x6985, 'under a set that others may know');
  const own = ownOf(terminal, file, gateway);
  const command = gp.encodeStoreAka({ algorithm: 'milenage', ...fresh }, agreed().kik);
  assert.equal(own.run(terminal, command).sw, 0x6985, 'for no application');
  assert.equal(own.run(terminal, install, command).sw, 0x9000);
  // As it is after a power cut.
  const saved = parseCardFile(formatCardFile(store.load()!));
  assert.equal(saved.usim.renewed?.k, toHex(fresh.k));
  const again = createCard({ store: memoryStore(), file: saved });
  again.powerOn();
  assert.equal(challenge(terminalOf(again), fresh.k, fresh.opc, 40), 'db');
  assert.equal(again.state.usim.renewed, undefined);
  assert.deepEqual(again.state.usim.k, fresh.k);

  assert.equal(challenge(terminal, old.k, old.opc, 50), 'db', 'B may not know yet that it arrived');
  assert.equal(challenge(terminal, some(16, 7), fresh.opc, 51), '9862');
  assert.notEqual(state().usim.renewed, undefined);
  assert.equal(challenge(terminal, fresh.k, fresh.opc, 50), 'dc', 'one sequence number for both');
  assert.equal(challenge(terminal, fresh.k, fresh.opc, 52), 'db');
  assert.equal(challenge(terminal, old.k, old.opc, 60), '9862', 'who knew the old one is nobody now');
  const foreign = gp.encodeStoreAka(
    { algorithm: 'milenage', k: some(16, 5), opc: some(16, 6) },
    agreed().kik,
  );
  assert.equal(own.run(terminal, install, foreign).sw, 0x9000);
  assert.equal(own.run(terminal, install, command).sw, 0x9000, 'the same once more');
  assert.equal(state().usim.renewed, undefined, 'and nothing else waits any more');
});

test('after PUT KEY of the set that switches the card, what was armed under its old keys is called off', () => {
  const { terminal, file, gateway, state } = hardened();
  const first = file.ota!.keySets[0]!;
  const list = under(file, 1, { kic: fromHex(first.kic), kid: fromHex(first.kid) }, FALLBACK_TAR);
  list.counter = 100;
  const own = ownOf(terminal, file, gateway);
  assert.equal(list.run(terminal, encodeKeyListSwitch(order({ index: 0 }))).sw, 0x9000);
  assert.notEqual(state().list?.armed, undefined);
  const command = gp.encodeStoreAka(
    { algorithm: 'milenage', k: some(16, 3), opc: some(16, 4) },
    agreed().kik,
  );
  assert.equal(own.run(terminal, install, command).sw, 0x6985, 'no other Ki while a switch waits');
  const keys = [some(16, 11), some(16, 12), some(16, 13)] as const;
  const put = gp.encodePutKey({ replaces: 1, keySet: 1, algorithm: 'aes', keys, under: agreed().kik });
  assert.equal(own.run(terminal, put).sw, 0x9000);
  assert.equal(state().list?.armed, undefined);
  expire(terminal);
  assert.equal(state().list?.trial, undefined);
  assert.equal(own.run(terminal, install, command).sw, 0x9000);
});

test('nothing of another Ki is taken that is bent, too short or for another application', () => {
  const held = hardened();
  const { terminal, file, state } = held;
  const gateway = ownOf(terminal, file, held.gateway);
  const { kik } = agreed();
  const command = gp.encodeStoreAka({ algorithm: 'milenage', k: some(16, 3), opc: some(16, 4) }, kik);
  const isim = gp.encodeInstallForPersonalisation(fromHex('a0000000871004'));
  assert.equal(gateway.run(terminal, isim, command).sw, 0x6a88);
  const bent = command.map((byte, i) => (i === command.length - 1 ? byte ^ 1 : byte));
  assert.equal(gateway.run(terminal, install, bent).sw, 0x6a80);
  const short = gp.encodeStoreAka({ algorithm: 'milenage', k: some(15, 3), opc: some(16, 4) }, kik);
  assert.equal(gateway.run(terminal, install, short).sw, 0x6a80);
  assert.equal(state().usim.renewed, undefined);
});

test('the certificate is told, and a card file whose certificate is of another key is none', () => {
  const { terminal, gateway, file } = hardened();
  // Too long for a deliver report: it comes by messages of the card's own.
  const proof = gateway.send(terminal, encodeCompactCommands([fromHex('80ca7f2100')]));
  assert.equal(proof?.status, RESPONSE_STATUS.bySubmit);
  assert.deepEqual(types(terminal.proactive(gateway.lastSw)), ['sendShortMessage', 'sendShortMessage']);
  const mixed = { ...file, casd: { ...file.casd!, certificate: certificateOf(some(32, 8)) } };
  assert.throws(
    () => createCard({ store: memoryStore(), file: mixed }),
    (error) =>
      error instanceof FieldError &&
      error.field === 'casd.certificate' &&
      !error.message.includes(file.casd!.privateKey),
  );
});
