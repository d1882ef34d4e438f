/** PUT KEY: what it may replace, and what becomes of the counter. */
import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import { test } from 'node:test';
import { createCard, createCardFile, memoryStore, type CardFile } from '../../../src/device/uicc/index.ts';
import { concat, fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import { RESPONSE_STATUS, TAR, encodeCompactCommands, keyByte } from '../../../src/standards/ota/index.ts';
import { drawn, freshCard, gatewayOf, proofOf, terminalOf, type Gateway, type Terminal } from './terminal.ts';

type Keys = Partial<Record<'kic' | 'kid' | 'kik', Uint8Array>>;
const NAMES = ['kic', 'kid', 'kik'] as const;
const select = fromHex('00a4000c023f00');

/** PUT KEY under this KIK of keys that follow each other: AES, by GlobalPlatform Amendment D §7.2. */
function putKey(kik: string, replaces: number, number: number, keys: Keys): Uint8Array {
  const names = NAMES.filter((name) => keys[name]);
  const fields = names.map((name) => {
    const key = keys[name]!;
    const cipher = createCipheriv('aes-128-cbc', fromHex(kik), new Uint8Array(16)).setAutoPadding(false);
    const check = createCipheriv('aes-128-ecb', key, null).update(new Uint8Array(16).fill(1)).subarray(0, 3);
    return concat(fromHex('881110'), cipher.update(key), fromHex('03'), check);
  });
  const data = concat(Uint8Array.of(number), ...fields);
  const p2 = (names.length > 1 ? 0x80 : 0) | (NAMES.indexOf(names[0]!) + 1);
  return concat(Uint8Array.of(0x80, 0xd8, replaces, p2, data.length), data);
}

const key = (byte: number): Uint8Array => new Uint8Array(16).fill(byte);
const NEW = { kic: key(0xa1), kid: key(0xb2), kik: key(0xc3) };

/** A gateway with these keys as set `number`. */
function under(file: CardFile, keys: { kic: string; kid: string }, tar: Uint8Array, number = 1): Gateway {
  const pairs = [{ index: 0, state: 'current' as const, kic: keys.kic, kid: keys.kid }];
  const gateway = gatewayOf({ ...file, keyList: { pairs, next: 1 } }, 0, tar);
  const byte = keyByte(number, 'aes');
  gateway.header = { ...gateway.header, kic: byte, kid: byte };
  return gateway;
}

/** A card without a list, and its key sets. */
function cardWith(sets: Partial<NonNullable<CardFile['ota']>['keySets'][number]>[]): {
  terminal: Terminal;
  file: CardFile;
} {
  const file = createCardFile({ imsi: '001010000000001', pairs: 0 }, drawn('sets'));
  const [first] = file.ota!.keySets;
  const keySets = sets.map((set, i) => ({ ...first!, number: i + 1, ...set }));
  const card = createCard({ store: memoryStore(), file: { ...file, ota: { keySets } } });
  card.powerOn();
  return { terminal: terminalOf(card), file: { ...file, ota: { keySets } } };
}

const replay = (terminal: Terminal, gateway: Gateway, tpdu: Uint8Array): number =>
  proofOf(gateway, terminal.envelope({ type: 'smsPpDownload', tpdu }).data).status;

test('PUT KEY replaces a key set, and makes one: the old keys are heard no more', () => {
  const { terminal, file } = freshCard({ pairs: 0 });
  const set = file.ota!.keySets[0]!;
  const old = under(file, set, TAR.issuerSecurityDomain);
  const bent = putKey(set.kik!, 1, 1, NEW);
  bent[20]! ^= 1;
  assert.equal(old.run(terminal, bent).sw, 0x6a80, 'a check value that does not hold');
  assert.equal(old.run(terminal, putKey(set.kik!, 2, 2, NEW)).sw, 0x6a88, 'no such set');
  assert.equal(old.run(terminal, putKey(set.kik!, 0, 1, NEW)).sw, 0x6985, 'there is a set of that number');
  const more = old.run(terminal, putKey(set.kik!, 0, 2, NEW));
  assert.deepEqual([more.sw, more.data.length, more.data[0]], [0x9000, 10, 2]);
  assert.equal(old.run(terminal, putKey(set.kik!, 1, 1, NEW)).sw, 0x9000, 'proven under the keys that asked');
  assert.equal(old.send(terminal, select)?.status, RESPONSE_STATUS.integrityFailed);
  const fresh = under(file, { kic: toHex(NEW.kic), kid: toHex(NEW.kid) }, TAR.rfmUsim);
  assert.equal(fresh.run(terminal, select).sw, 0x9000, 'from counter 1 on');
});

test('PUT KEY needs a KIK, and leaves the pair of a key list alone', () => {
  const { terminal, file } = freshCard();
  const gateway = gatewayOf(file, 0, TAR.issuerSecurityDomain);
  assert.equal(gateway.run(terminal, putKey('00'.repeat(16), 1, 1, NEW)).sw, 0x6985);
  assert.equal(gateway.run(terminal, fromHex('80f0000000')).sw, 0x6d00);
});

for (const names of [
  ['kic'],
  ['kid'],
  ['kik'],
  ['kic', 'kid'],
  ['kid', 'kik'],
  ['kic', 'kid', 'kik'],
] as const) {
  for (const same of [true, false]) {
    const what = `${names.join(' and ')}, ${same ? 'of which one is as before' : 'new'}`;
    test(`no packet of before is carried out again after PUT KEY of ${what}`, () => {
      const { terminal, file } = cardWith([{}]);
      const set = file.ota!.keySets[0]!;
      const keys: Keys = Object.fromEntries(names.map((name) => [name, NEW[name]]));
      if (same) keys[names[0]] = fromHex(set[names[0]]!);
      const rfm = under(file, set, TAR.rfmUsim);
      rfm.counter = 1;
      const [before] = rfm.messages(select);
      assert.equal(replay(terminal, rfm, before!), RESPONSE_STATUS.ok);
      const domain = under(file, set, TAR.issuerSecurityDomain);
      domain.counter = 2;
      const [put] = domain.messages(encodeCompactCommands([putKey(set.kik!, 1, 1, keys)]));
      assert.equal(replay(terminal, domain, put!), RESPONSE_STATUS.ok);
      const counter = terminal.card.state.keySets[0]!.counter;
      const renewed = !same && keys.kic !== undefined && keys.kid !== undefined;
      assert.equal(counter, renewed ? 0 : 2, 'it begins anew only where both keys are others');
      for (const tpdu of [before!, put!]) {
        const state = terminal.card.state;
        terminal.envelope({ type: 'smsPpDownload', tpdu });
        assert.equal(terminal.card.state, state, 'nothing was done');
      }
    });
  }
}

test('a limited key set replaces none but itself; what it makes is as limited', () => {
  const tars = ['000000', 'b00000'];
  const other = { kic: '77'.repeat(16), kid: '88'.repeat(16), kik: '99'.repeat(16) };
  const { terminal, file } = cardWith([{ tars }, other]);
  const set = file.ota!.keySets[0]!;
  const agent = under(file, set, TAR.issuerSecurityDomain);
  assert.equal(agent.run(terminal, putKey(set.kik!, 2, 2, NEW)).sw, 0x6985, 'another set');
  assert.equal(agent.run(terminal, putKey(set.kik!, 2, 3, NEW)).sw, 0x6985, 'under another number');
  assert.equal(toHex(terminal.card.state.keySets[1]!.kic), other.kic);
  assert.equal(agent.run(terminal, putKey(set.kik!, 0, 3, NEW)).sw, 0x9000);
  assert.equal(agent.run(terminal, putKey(set.kik!, 1, 1, NEW)).sw, 0x9000);
  assert.deepEqual(
    terminal.card.state.keySets.map((one) => [one.number, one.tars]),
    [
      [1, tars],
      [2, undefined],
      [3, tars],
    ],
  );
  for (const number of [1, 3]) {
    const made = { kic: toHex(NEW.kic), kid: toHex(NEW.kid) };
    const usim = under(file, made, TAR.rfmUsim, number);
    assert.equal(usim.send(terminal, select)?.status, RESPONSE_STATUS.securityError);
    assert.equal(under(file, made, TAR.rfmShared, number).run(terminal, select).sw, 0x9000);
  }
  const owner = under(file, other, TAR.issuerSecurityDomain, 2);
  assert.equal(owner.run(terminal, putKey(other.kik, 1, 1, { ...NEW, kic: key(1) })).sw, 0x9000);
  assert.deepEqual(
    terminal.card.state.keySets[0]!.tars,
    tars,
    'replaced by a set without a limit, it keeps its own',
  );
});
