/** The ISIM of a card: its files, its challenges, what becomes of both when the card is switched. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  createCard,
  formatCardFile,
  memoryStore,
  parseCardFile,
  stateOf,
  type CardFile,
} from '../../../src/device/uicc/index.ts';
import { ISIM_AID, USIM_AID } from '../../../src/device/uicc/layout.ts';
import {
  SQN_DEFAULT,
  authenticationVector,
  encodeSqn,
  prepare,
  verifyAuts,
  type AkaKey,
} from '../../../src/standards/aka/index.ts';
import { FieldError, fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import {
  COMMIT_ON_AKA,
  FALLBACK_TAR,
  KEY_LIST_TAR,
  TAR,
  decodeCompactResponse,
  encodeCompactCommands,
  encodeKeyListCommit,
  encodeKeyListSwitch,
} from '../../../src/standards/ota/index.ts';
import * as uicc from '../../../src/standards/uicc/index.ts';
import { MILENAGE_SETS } from '../../standards/aka/milenage-vectors.ts';
import {
  CHANGE,
  expire,
  freshCard,
  gatewayOf,
  order,
  terminalOf,
  type Gateway,
  type Terminal,
} from './terminal.ts';

const IMS = new Uint8Array(2);

/** 91xx: done too, and a proactive command waits. */
const done = (sw: number): void => assert.ok(sw >> 8 === 0x90 || sw >> 8 === 0x91, sw.toString(16));

const selectIsim = (terminal: Terminal): void => done(terminal.sw(0, 0xa4, 4, 0x0c, uicc.ISIM_AID_PREFIX));

/** What a file of the application in use says, read as a terminal reads it. */
function read<T>(terminal: Terminal, file: uicc.ElementaryFile<T>): T {
  done(terminal.sw(0, 0xa4, 0, 0x0c, Uint8Array.of(file.fid >> 8, file.fid & 0xff)));
  const { data, sw } =
    file.structure === 'transparent'
      ? terminal.command(0, 0xb0, 0, 0, undefined, 256)
      : terminal.command(0, 0xb2, 1, 4, undefined, 256);
  done(sw);
  return file.decode(data);
}

function identity(terminal: Terminal): uicc.ImsIdentity {
  selectIsim(terminal);
  return {
    impi: read(terminal, uicc.EF_IMPI)!,
    impu: read(terminal, uicc.EF_IMPU)!,
    domain: read(terminal, uicc.EF_DOMAIN)!,
  };
}

function challenge(terminal: Terminal, rand: Uint8Array, autn: Uint8Array, p2 = 0x81) {
  const data = uicc.encodeChallenge({ rand, autn });
  return terminal.command(0, 0x88, 0, p2, data, 256);
}

const keyOf = ({ usim }: CardFile): AkaKey =>
  prepare({
    algorithm: usim.algorithm,
    k: fromHex(usim.k),
    ...(usim.opc && { opc: fromHex(usim.opc) }),
    ...(usim.topc && { topc: fromHex(usim.topc) }),
  });

describe('files', () => {
  test('a new card has the identities of its IMSI, and what a real ISIM must have', () => {
    const { terminal } = freshCard({ imsi: '310410123456789', mncLength: 3 });
    assert.deepEqual(identity(terminal), uicc.imsIdentityOf('310410123456789', 3));
    assert.deepEqual(read(terminal, uicc.EF_IST), [1, 5]);
    assert.deepEqual(read(terminal, uicc.EF_AD_ISIM), { mode: 0, information: 0 });
    assert.equal(read(terminal, uicc.EF_PCSCF), undefined);
    assert.ok(read(terminal, uicc.EF_ARR_ISIM).length > 0);
    const fcp = uicc.decodeFcp(terminal.command(0, 0xa4, 0, 4, '6f02', 256).data);
    assert.deepEqual([fcp.size, fcp.sfi], [60, 2]);
    assert.equal(terminal.sw(0, 0xa4, 0, 0x0c, '6f46'), 0x6a82, 'EF.SPN is the USIM’s');
  });

  test('the ADF says its name, and 7FFF is the application of the channel', () => {
    const { terminal } = freshCard();
    const adf = uicc.decodeFcp(terminal.command(0, 0xa4, 4, 4, ISIM_AID, 256).data);
    assert.deepEqual(adf.dfName, ISIM_AID);
    assert.equal(terminal.sw(0, 0xa4, 0x08, 0x0c, '7fff6f02'), 0x9000);
    // A channel of its own for the ISIM leaves the USIM where it is.
    terminal.selectUsim();
    assert.deepEqual(terminal.command(0, 0x70, 0, 0, undefined, 1).data, Uint8Array.of(1));
    assert.equal(terminal.sw(1, 0xa4, 4, 0x0c, uicc.ISIM_AID_PREFIX), 0x9000);
    assert.equal(terminal.sw(1, 0xa4, 0, 0x0c, '6f02'), 0x9000);
    assert.equal(terminal.sw(0, 0xa4, 0, 0x0c, '6f02'), 0x6a82);
    assert.equal(toHex(terminal.command(0x80, 0xf2, 0, 1, undefined, 256).data), `8410${toHex(USIM_AID)}`);
    assert.equal(toHex(terminal.command(0x81, 0xf2, 0, 1, undefined, 256).data), `8410${toHex(ISIM_AID)}`);
  });

  test('identities are read with PIN1 and written by the operator; the service table too', () => {
    const { terminal, file } = freshCard({ pin1Enabled: true });
    selectIsim(terminal);
    for (const fid of ['6f02', '6f03', '6f04', '6f07', '6f09']) {
      assert.equal(terminal.sw(0, 0xa4, 0, 0x0c, fid), 0x9000);
      const [ins, p1, p2] = fid === '6f04' || fid === '6f09' ? [0xb2, 1, 4] : [0xb0, 0, 0];
      assert.equal(terminal.sw(0, ins!, p1!, p2!, undefined, 256), 0x6982, fid);
    }
    assert.equal(terminal.sw(0, 0xa4, 0, 0x0c, '6fad'), 0x9000);
    assert.equal(terminal.sw(0, 0xb0, 0, 0, undefined, 256), 0x9000, 'EF.AD always');
    const code = new Uint8Array(8).fill(0xff);
    code.set(new TextEncoder().encode(file.pin1));
    assert.equal(terminal.sw(0, 0x20, 0, 1, code), 0x9000);
    assert.equal(identity(terminal).impi, uicc.imsIdentityOf(file.usim.imsi, 2).impi);
    const impi = uicc.EF_IMPI.encode('other@ims');
    assert.equal(terminal.sw(0, 0xd6, 0x82, 0, impi), 0x6982, 'not with PIN1');
    assert.equal(terminal.sw(0, 0x20, 0, 0x0a, new TextEncoder().encode(file.adm1)), 0x9000);
    assert.equal(terminal.sw(0, 0xd6, 0x82, 0, impi), 0x9000);
    assert.equal(identity(terminal).impi, 'other@ims');
  });

  test('remote file management of the ISIM has its own TAR, and sees no file of the USIM', () => {
    const { terminal, file } = freshCard();
    const gateway = gatewayOf(file, 0, TAR.rfmIsim);
    const run = (...commands: string[]) =>
      decodeCompactResponse(
        gateway.send(terminal, encodeCompactCommands(commands.map((each) => fromHex(each))))!.data,
      );
    assert.equal(run('00d682000c' + '800a616161616140622e6f72').sw, 0x9000);
    assert.equal(run('00a4000c026f46').sw, 0x6a82);
  });
});

describe('challenges', () => {
  test('the sets of TS 35.208 through the ISIM: RES, CK and IK, and no Kc', () => {
    assert.ok(MILENAGE_SETS.length >= 6);
    for (const set of MILENAGE_SETS) {
      const [k, ran, , , opc, , , f2, f3, f4] = set.split(' ') as string[];
      const file = structuredClone(freshCard({ pairs: 0 }).file);
      Object.assign(file.usim, { k, opc });
      const card = createCard({ store: memoryStore(), file });
      card.powerOn();
      const terminal = terminalOf(card);
      selectIsim(terminal);
      const { rand, autn } = authenticationVector(
        keyOf(file),
        fromHex(ran!),
        encodeSqn(SQN_DEFAULT, 1, 24),
        IMS,
      );
      assert.deepEqual(uicc.decodeAuthenticateResult(challenge(terminal, rand, autn).data), {
        kind: 'success',
        res: fromHex(f2!),
        ck: fromHex(f3!),
        ik: fromHex(f4!),
      });
    }
  });

  test('a card with TUAK answers as its centre expects', () => {
    const { terminal, file } = freshCard({ algorithm: 'tuak', pairs: 0 });
    selectIsim(terminal);
    const sqn = encodeSqn(SQN_DEFAULT, 1, 24);
    const vector = authenticationVector(keyOf(file), new Uint8Array(16).fill(7), sqn, IMS);
    const answer = uicc.decodeAuthenticateResult(challenge(terminal, vector.rand, vector.autn).data);
    assert.deepEqual(answer, { kind: 'success', res: vector.xres, ck: vector.ck, ik: vector.ik });
  });

  test('USIM and ISIM share sequence numbers: what one has answered is not fresh to the other', () => {
    const { terminal, file } = freshCard();
    const key = keyOf(file);
    const vector = (seq: number, ind: number) =>
      authenticationVector(key, new Uint8Array(16).fill(seq), encodeSqn(SQN_DEFAULT, seq, ind), IMS);
    for (const [first, second] of [
      ['usim', 'isim'],
      ['isim', 'usim'],
    ] as const) {
      const select = (name: string): void => (name === 'isim' ? selectIsim(terminal) : terminal.selectUsim());
      const used = vector(first === 'usim' ? 10 : 20, 24);
      select(first);
      assert.equal(challenge(terminal, used.rand, used.autn).sw, 0x9000);
      const { seq } = terminal.card.state.usim.sqn;
      select(second);
      const again = uicc.decodeAuthenticateResult(challenge(terminal, used.rand, used.autn).data);
      assert.equal(again.kind, 'synchronisationFailure', `${first}, then ${second}`);
      // AUTS is the centre's: it names the highest number, wherever it came from.
      const { auts } = again as { auts: Uint8Array };
      const expected = encodeSqn(SQN_DEFAULT, first === 'usim' ? 10 : 20, 24);
      assert.deepEqual(verifyAuts(key, used.rand, auts), expected);
      assert.deepEqual(terminal.card.state.usim.sqn.seq, seq);
    }
  });

  test('a wrong MAC, another context, no application, a missing PIN', () => {
    const { terminal, file } = freshCard({ pin1Enabled: true });
    const { rand, autn } = authenticationVector(
      keyOf(file),
      new Uint8Array(16),
      encodeSqn(SQN_DEFAULT, 1, 0),
      IMS,
    );
    assert.equal(challenge(terminal, rand, autn).sw, 0x6985);
    selectIsim(terminal);
    assert.equal(challenge(terminal, rand, autn).sw, 0x6982);
    const code = new Uint8Array(8).fill(0xff);
    code.set(new TextEncoder().encode(file.pin1));
    assert.equal(terminal.sw(0, 0x20, 0, 1, code), 0x9000);
    assert.equal(
      challenge(
        terminal,
        rand,
        autn.map((byte, i) => (i === 15 ? byte ^ 1 : byte)),
      ).sw,
      0x9862,
    );
    // GSM, HTTP Digest, GBA, local key establishment: TS 31.103 §7.1.2, table of status words.
    for (const p2 of [0x80, 0x82, 0x84, 0x86]) assert.equal(challenge(terminal, rand, autn, p2).sw, 0x9864);
    for (const p2 of [0x00, 0x01, 0x88, 0xff]) assert.equal(challenge(terminal, rand, autn, p2).sw, 0x6a86);
    assert.equal(terminal.sw(0, 0x88, 0, 0x81, uicc.encodeChallenge({ rand }), 256), 0x6700);
    assert.equal(challenge(terminal, rand, autn).sw, 0x9000);
  });
});

describe('a switch', () => {
  const HOME = uicc.imsIdentityOf('001010000000001', 2);
  const AWAY = uicc.imsIdentityOf(order().imsi, 2);

  /** A card that has switched to `order` and was reset. The ISIM named a P-CSCF of the old network. */
  function switched(index: 0 | 1): { terminal: Terminal; gateway: Gateway } {
    const made = freshCard({ pairs: index === 0 ? 0 : 4 }).file;
    const pcscf = toHex(uicc.EF_PCSCF.encode({ type: 'fqdn', name: 'pcscf.a.example' }));
    const file = { ...made, ...(index === 0 && { fallback: {} }), files: { 'isim/6f09': pcscf } };
    const card = createCard({ store: memoryStore(), file });
    const terminal = terminalOf(card);
    terminal.boot();
    const keys = (made.ota?.keySets ?? made.keyList!.pairs)[0]!;
    const pairs = [{ index: 0, state: 'current' as const, kic: keys.kic!, kid: keys.kid! }];
    const tar = index === 0 ? FALLBACK_TAR : KEY_LIST_TAR;
    const gateway = gatewayOf({ ...file, keyList: { pairs, next: 1 } }, 0, tar);
    assert.equal(gateway.run(terminal, encodeKeyListSwitch(order({ index }))).sw, 0x9000);
    assert.deepEqual(identity(terminal), HOME, 'not yet');
    terminal.proactive(gateway.lastSw);
    assert.equal(expire(terminal).at(-1)?.type, 'refresh');
    terminal.boot();
    return { terminal, gateway: index === 0 ? gateway : gatewayOf(made, 1) };
  }

  for (const [what, index] of [
    ['3a: the fall-back application', 0],
    ['3b: the list', 1],
  ] as const) {
    test(`${what} switches the ISIM with the USIM, and takes both back`, () => {
      const { terminal } = switched(index);
      assert.deepEqual(identity(terminal), AWAY);
      assert.equal(read(terminal, uicc.EF_PCSCF), undefined, 'the old network’s P-CSCF is forgotten');
      for (let i = 0; i < 24; i++) expire(terminal);
      terminal.boot();
      assert.deepEqual(identity(terminal), HOME);
      assert.deepEqual(read(terminal, uicc.EF_PCSCF), { type: 'fqdn', name: 'pcscf.a.example' });
    });

    test(`${what} keeps it after COMMIT`, () => {
      const { terminal, gateway } = switched(index);
      assert.equal(gateway.run(terminal, encodeKeyListCommit({ change: CHANGE, index })).sw, 0x9000);
      terminal.boot();
      assert.deepEqual(identity(terminal), AWAY);
      assert.deepEqual(parseCardFile(formatCardFile(terminal.card.state)).isim, AWAY);
    });
  }

  test('a challenge of IMS ends no trial: it says nothing of the access', () => {
    const { terminal, file } = freshCard();
    terminal.boot();
    const a = gatewayOf(file, 0);
    a.run(terminal, encodeKeyListSwitch(order({ policy: COMMIT_ON_AKA })));
    terminal.proactive(a.lastSw);
    expire(terminal);
    terminal.boot();
    const { k, opc } = file.keyList!.pairs[1]!;
    const key = prepare({ algorithm: 'milenage', k: fromHex(k!), opc: fromHex(opc!) });
    const ask = (seq: number): number => {
      const vector = authenticationVector(key, new Uint8Array(16), encodeSqn(SQN_DEFAULT, seq, 24), IMS);
      return challenge(terminal, vector.rand, vector.autn).sw & 0xff00;
    };
    selectIsim(terminal);
    assert.equal(ask(1), 0x9000);
    assert.ok(terminal.card.state.list?.trial);
    terminal.selectUsim();
    ask(2);
    assert.equal(terminal.card.state.list?.last, 'committed');
  });

  test('a trial of a card file from before has an ISIM to fall back to', () => {
    const { terminal } = switched(1);
    const file = parseCardFile(formatCardFile(terminal.card.state));
    const { saved } = file.keyList!.trial!;
    const old = Object.fromEntries(Object.entries(saved).filter(([path]) => !path.startsWith('isim/')));
    assert.equal(Object.keys(saved).length - Object.keys(old).length, 4);
    const { isim: _, ...rest } = {
      ...file,
      keyList: { ...file.keyList!, trial: { ...file.keyList!.trial!, saved: old } },
    };
    const card = createCard({ store: memoryStore(), file: parseCardFile(JSON.stringify(rest)) });
    const again = terminalOf(card);
    again.boot();
    assert.deepEqual(identity(again), AWAY);
    for (let i = 0; i < 24; i++) expire(again);
    again.boot();
    assert.deepEqual(identity(again), HOME);
    const { 'isim/6f02': _impi, ...part } = saved;
    assert.throws(
      () =>
        stateOf({ ...file, keyList: { ...file.keyList!, trial: { ...file.keyList!.trial!, saved: part } } }),
      { field: 'keyList.trial.saved.isim/6f02' },
    );
  });
});

describe('the card file', () => {
  const load = (file: unknown) => stateOf(parseCardFile(JSON.stringify(file)));

  test('a file of before has an ISIM derived from its IMSI, and says so when it is written', () => {
    const { isim, ...old } = freshCard().file;
    assert.deepEqual(isim, uicc.imsIdentityOf('001010000000001', 2));
    const state = load(old);
    assert.ok(state.isim);
    assert.deepEqual(parseCardFile(formatCardFile(state)).isim, isim);
  });

  test('another identity is kept as it is; only part of one is given', () => {
    const isim = { impi: 'camera@ims.example.org', impu: 'tel:+882100000001' };
    const written = parseCardFile(formatCardFile(load({ ...freshCard().file, isim })));
    assert.deepEqual(written.isim, { ...isim, domain: 'ims.mnc001.mcc001.3gppnetwork.org' });
  });

  test('null is a card without: EF.DIR has the USIM alone, and nothing answers to the name or the TAR', () => {
    const { terminal, file } = freshCard({ withoutIsim: true });
    assert.equal(file.isim, null);
    assert.equal(terminal.sw(0, 0xa4, 4, 0x0c, uicc.ISIM_AID_PREFIX), 0x6a82);
    terminal.sw(0, 0xa4, 0, 0x0c, '2f00');
    assert.equal(uicc.EF_DIR.decode(terminal.command(0, 0xb2, 2, 4, undefined, 38).data), undefined);
    assert.equal(
      gatewayOf(file, 0, TAR.rfmIsim).send(terminal, fromHex('00a4000c026f02'))?.status,
      9,
      'TAR unknown',
    );
    const text = formatCardFile(terminal.card.state);
    assert.equal(parseCardFile(text).isim, null);
    assert.ok(!text.includes('isim/'));
  });

  test('what no ISIM can hold, and files of an ISIM that is not there, are one line', () => {
    const { file } = freshCard();
    for (const [more, field] of [
      [{ isim: { impi: 'nobody' } }, 'isim.impi'],
      [{ isim: { impu: '001010000000001' } }, 'isim.impu'],
      [{ isim: { domain: 'd'.repeat(39) } }, 'isim.domain'],
      [{ isim: { imsi: '1' } }, 'isim.imsi'],
      [{ isim: null, files: { 'isim/6f07': '00' } }, 'files'],
      [{ isim: null, deactivated: ['isim/6f02'] }, 'deactivated'],
      [{ files: { 'isim/6f46': '00' } }, 'files'],
    ] as const) {
      assert.throws(
        () => load({ ...file, ...more }),
        (error) => error instanceof FieldError && error.field === field,
        field,
      );
    }
  });

  test('whatever an operator writes into the ISIM is there when the card is loaded again', () => {
    const content = fc.oneof(
      fc.tuple(fc.constant(uicc.EF_IMPI), fc.constantFrom('a@b', undefined, 'x'.repeat(50) + '@b')),
      fc.tuple(fc.constant(uicc.EF_IMPU), fc.constantFrom('tel:+1', undefined, 'sip:a@b')),
      fc.tuple(fc.constant(uicc.EF_DOMAIN), fc.constantFrom('b.c', undefined)),
    );
    fc.assert(
      fc.property(fc.array(content, { maxLength: 4 }), fc.boolean(), (written, garbage) => {
        const { terminal, file } = freshCard();
        selectIsim(terminal);
        terminal.sw(0, 0x20, 0, 0x0a, new TextEncoder().encode(file.adm1));
        for (const [each, value] of written) {
          const data = each.encode(value);
          const sw =
            each.structure === 'transparent'
              ? terminal.sw(0, 0xd6, 0x80 | each.sfi, 0, data)
              : terminal.sw(0, 0xdc, 1, (each.sfi << 3) | 4, data);
          assert.equal(sw, 0x9000);
        }
        if (garbage) assert.equal(terminal.sw(0, 0xd6, 0x82, 30, fromHex('00ff00')), 0x9000);
        const { state } = terminal.card;
        assert.deepEqual(load(JSON.parse(formatCardFile(state))), state);
      }),
      { numRuns: 60 },
    );
  });
});
