/** A card with TUAK: its file, and AUTHENTICATE with it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createCard,
  createCardFile,
  formatCardFile,
  formatFile,
  memoryStore,
  parseCardFile,
  stateOf,
  type CardFile,
} from '../../../src/device/uicc/index.ts';
import {
  SQN_DEFAULT,
  authenticationVector,
  decodeSqn,
  encodeSqn,
  prepare,
  verifyAuts,
  type AkaKey,
} from '../../../src/standards/aka/index.ts';
import { FieldError, fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import { decodeAuthenticateResult, encodeChallenge } from '../../../src/standards/uicc/index.ts';
import { drawn, terminalOf } from './terminal.ts';

const made = (): CardFile => createCardFile({ algorithm: 'tuak', pairs: 0 }, drawn('tuak'));

/** The key as the network has it. */
const keyOf = ({ usim }: CardFile): AkaKey =>
  prepare({
    algorithm: 'tuak',
    k: fromHex(usim.k),
    topc: fromHex(usim.topc!),
    ...(usim.resLength !== undefined && { resLength: usim.resLength }),
    ...(usim.keccakIterations !== undefined && { keccakIterations: usim.keccakIterations }),
  });

test('a new card with TUAK has a K of 256 bits and a TOPc; it is kept as it is', () => {
  const file = made();
  const { usim } = file;
  assert.deepEqual([usim.algorithm, usim.k.length, usim.topc?.length, usim.opc], ['tuak', 64, 64, undefined]);
  for (const own of [usim, { ...usim, k: usim.k.slice(32), resLength: 16, keccakIterations: 2 }]) {
    const again = parseCardFile(formatCardFile(stateOf({ ...file, usim: own }))).usim;
    assert.deepEqual({ ...again, ...own }, again);
  }
});

test('a file with TUAK that makes no card is one line, without a key', () => {
  const { usim } = made();
  const edits: [Partial<Record<keyof CardFile['usim'], unknown>>, RegExp][] = [
    [{ topc: undefined }, /^usim\.topc: absent, expected 32 bytes for tuak$/],
    [{ topc: usim.k.slice(2) }, /^usim\.topc: 62 characters, expected 64 hexadecimal digits$/],
    [{ opc: usim.k.slice(32) }, /^usim\.opc: present, expected none for tuak$/],
    [{ k: usim.k.slice(16) }, /^usim\.k: 48 characters, expected 32 hexadecimal digits, or 64 for tuak$/],
    [{ resLength: 5 }, /^usim\.resLength: 5, expected 4, 8 or 16 bytes for tuak$/],
    [{ keccakIterations: 0 }, /^usim\.keccakIterations: 0, expected a whole number from 1 to 255$/],
    [{ algorithm: 'milenage' }, /^usim\.topc: present, expected none for milenage$/],
    [
      { algorithm: 'milenage', topc: undefined, opc: usim.k.slice(32) },
      /^usim\.k: 32 bytes, expected 16 bytes$/,
    ],
    [{ algorithm: 'comp128' }, /^usim\.algorithm: "comp128", expected milenage, tuak or test-xor$/],
  ];
  for (const [edit, message] of edits) {
    assert.throws(
      () => parseCardFile(formatFile({ ...made(), usim: { ...usim, ...edit } as CardFile['usim'] })),
      (error) => {
        assert.ok(error instanceof FieldError);
        assert.match(error.message, message);
        return (
          !error.message.includes(usim.k.slice(40, 56)) && !error.message.includes(usim.topc!.slice(8, 24))
        );
      },
    );
  }
  assert.throws(() => createCardFile({ algorithm: 'tuak' }, drawn('x')), {
    field: 'algorithm',
    message: /milenage in a card with a key list/,
  });
});

for (const [what, own] of [
  ['K of 256 bits', {}],
  ['K of 128 bits, RES of 128, Keccak twice', { k: 'c0'.repeat(16), resLength: 16, keccakIterations: 2 }],
] as const) {
  test(`AUTHENTICATE with TUAK, ${what}: the network’s own RES, CK and IK; then AUTS and on from there`, () => {
    const file = made();
    const edited = { ...file, usim: { ...file.usim, ...own } };
    const card = createCard({ store: memoryStore(), file: edited });
    card.powerOn();
    const terminal = terminalOf(card);
    terminal.selectUsim();
    const key = keyOf(edited);
    const vector = (seq: number): ReturnType<typeof authenticationVector> =>
      authenticationVector(
        key,
        drawn(`rand ${seq}`).bytes(16),
        encodeSqn(SQN_DEFAULT, seq, 1),
        fromHex('8000'),
      );
    const authenticate = (challenge: { rand: Uint8Array; autn: Uint8Array }) =>
      terminal.command(0, 0x88, 0, 0x81, encodeChallenge(challenge), 256);
    const expected = vector(9);
    const first = decodeAuthenticateResult(authenticate(expected).data);
    assert.ok(first.kind === 'success');
    assert.deepEqual(
      [first.res, first.ck, first.ik].map(toHex),
      [expected.xres, expected.ck, expected.ik].map(toHex),
    );
    assert.deepEqual([first.res.length, first.ck.length], [edited.usim.resLength ?? 8, 16]);

    const old = vector(5);
    const second = decodeAuthenticateResult(authenticate(old).data);
    assert.ok(second.kind === 'synchronisationFailure');
    const sqnMs = verifyAuts(key, old.rand, second.auts);
    assert.deepEqual(decodeSqn(SQN_DEFAULT, sqnMs!), { seq: 9, ind: 1 });
    assert.equal(decodeAuthenticateResult(authenticate(vector(10)).data).kind, 'success');

    const forged = vector(11);
    forged.autn[15]! ^= 1;
    assert.equal(authenticate(forged).sw, 0x9862);
    // The GSM context: c2 of 16 bytes of RES at most (TS 33.102 §6.8.1.2).
    assert.equal(terminal.sw(0, 0x88, 0, 0x80, encodeChallenge({ rand: forged.rand }), 256), 0x9000);
  });
}
