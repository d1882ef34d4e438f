/** An OTA agent's key set on a card with a list: good for the list application, and for nothing else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createCard,
  createCardFile,
  memoryStore,
  type Card,
  type CardFile,
} from '../../../src/device/uicc/index.ts';
import { SQN_DEFAULT, authenticationVector, encodeSqn, prepare } from '../../../src/standards/aka/index.ts';
import { fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import {
  COMMIT_ON_AKA,
  FALLBACK_TAR,
  KEY_LIST_TAR,
  RESPONSE_STATUS,
  TAR,
  encodeCompactCommands,
  encodeKeyListCancel,
  encodeKeyListCommit,
  encodeKeyListSwitch,
  keyByte,
} from '../../../src/standards/ota/index.ts';
import { INS, encodeChallenge } from '../../../src/standards/uicc/index.ts';
import {
  CHANGE,
  drawn,
  expire,
  gatewayOf,
  order,
  terminalOf,
  type Gateway,
  type Terminal,
} from './terminal.ts';

const keys = { kic: '11'.repeat(16), kid: '22'.repeat(16) };

/** A card with an agent's set 2 that is limited to these applications. */
function cardWith(tars: readonly Uint8Array[] | undefined, more: Partial<CardFile> = {}) {
  const made = createCardFile({ imsi: '001010000000001', pairs: 3 }, drawn('agent'));
  const set = { number: 2, algorithm: 'aes' as const, ...keys, ...(tars && { tars: tars.map(toHex) }) };
  const file: CardFile = { ...made, ota: { keySets: [set] }, ...more };
  const card = createCard({ store: memoryStore(), file });
  const terminal = terminalOf(card);
  terminal.boot();
  const gateway = (tar = KEY_LIST_TAR): Gateway => {
    const pairs = [{ index: 0, state: 'current' as const, ...keys }];
    const made = gatewayOf({ ...file, keyList: { pairs, next: 1 } }, 0, tar);
    const byte = keyByte(2, 'aes');
    made.header = { ...made.header, kic: byte, kid: byte };
    return made;
  };
  return { card, terminal, gateway };
}

test('under a set that is limited to the list application a card is switched, committed and called back', () => {
  const { card, terminal, gateway } = cardWith([KEY_LIST_TAR]);
  const agent = gateway();
  assert.equal(agent.run(terminal, encodeKeyListSwitch(order())).sw, 0x9000);
  expire(terminal);
  const early = agent.run(terminal, encodeKeyListCommit({ change: CHANGE, index: 1 }));
  assert.equal(
    early.sw,
    0x6985,
    'not before the terminal was reset and the new pair has answered a challenge',
  );
  terminal.boot();
  assert.equal(card.state.list?.current, 1);
  assert.equal(agent.run(terminal, encodeKeyListCommit({ change: CHANGE, index: 1 })).sw, 0x6985);
  challenge(card, terminal);
  assert.equal(agent.run(terminal, encodeKeyListCommit({ change: CHANGE, index: 1 })).sw, 0x9000);
  assert.equal(card.state.list?.trial, undefined);
  assert.equal(card.state.list?.last, 'committed');

  const second = cardWith([KEY_LIST_TAR]);
  const other = second.gateway();
  assert.equal(other.run(second.terminal, encodeKeyListSwitch(order())).sw, 0x9000);
  assert.equal(other.run(second.terminal, encodeKeyListCancel({ change: CHANGE, index: 1 })).sw, 0x9000);
  assert.equal(second.card.state.list?.current, 0);
});

/** The network of the card's current pair authenticates it. */
function challenge(card: Card, terminal: Terminal): void {
  const { usim } = card.state;
  const rand = new Uint8Array(16).fill(9);
  const sqn = encodeSqn(SQN_DEFAULT, Math.max(...usim.sqn.seq) + 1, 0);
  const { autn } = authenticationVector(prepare(usim), rand, sqn, Uint8Array.of(0x80, 0));
  terminal.selectUsim();
  assert.equal(terminal.sw(0, INS.authenticate, 0, 0x81, encodeChallenge({ rand, autn }), 256), 0x9000);
}

test('an agent begins no trial that ends without a commit', () => {
  const { card, terminal, gateway } = cardWith([KEY_LIST_TAR]);
  assert.equal(gateway().run(terminal, encodeKeyListSwitch(order({ policy: COMMIT_ON_AKA }))).sw, 0x6982);
  assert.equal(card.state.list?.armed, undefined);
});

test('a set that is good for more, or for all, switches nothing', () => {
  for (const tars of [undefined, [KEY_LIST_TAR, TAR.rfmShared]]) {
    const { card, terminal, gateway } = cardWith(tars);
    assert.equal(gateway().run(terminal, encodeKeyListSwitch(order())).sw, 0x6982);
    assert.equal(card.state.list?.armed, undefined);
  }
});

test('the agent reads and writes nothing else: no file, no key', () => {
  const { terminal, gateway } = cardWith([KEY_LIST_TAR]);
  const select = encodeCompactCommands([fromHex('00a4000c023f00')]);
  for (const tar of [TAR.rfmShared, TAR.rfmUsim, TAR.issuerSecurityDomain, FALLBACK_TAR]) {
    assert.notEqual(gateway(tar).send(terminal, select)?.status, RESPONSE_STATUS.ok, toHex(tar));
  }
});
