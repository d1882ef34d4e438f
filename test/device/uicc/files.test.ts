import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ATR, ISIM_AID, USIM_AID } from '../../../src/device/uicc/index.ts';
import { fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import { EF_ARR, EF_DIR, EF_ICCID, EF_IMSI, decodeFcp } from '../../../src/standards/uicc/index.ts';
import { freshCard } from './terminal.ts';

const hex = (card: { transmit(apdu: Uint8Array): Uint8Array }, apdu: string): string =>
  toHex(card.transmit(fromHex(apdu.replaceAll(' ', ''))));

test('the ATR is one: T=0 and T=15 offered, lengths and check byte right', () => {
  assert.equal(ATR[0], 0x3b);
  assert.equal(
    ATR.reduce((sum, byte) => sum ^ byte, 0),
    0x3b,
    'TCK makes the xor of all but TS zero',
  );
  const historical = ATR[1]! & 0x0f;
  assert.equal(ATR.length, 2 + 4 + historical + 1);
  assert.ok(ATR.length <= 33);
  const { terminal } = freshCard();
  assert.deepEqual(terminal.card.powerOn(), ATR);
});

test('SELECT by identifier, path, name and parent; FCP says what the file is', () => {
  const { terminal, file } = freshCard();
  const fcp = (p1: number, data: string): ReturnType<typeof decodeFcp> =>
    decodeFcp(terminal.command(0, 0xa4, p1, 0x04, data, 256).data);
  const mf = fcp(0x00, '3f00');
  assert.equal(mf.fid, 0x3f00);
  assert.deepEqual(mf.pins, [
    { key: 0x01, enabled: false },
    { key: 0x81, enabled: true },
    { key: 0x0a, enabled: true },
  ]);
  const dir = fcp(0x00, '2f00');
  assert.deepEqual(dir.descriptor, { type: 'linearFixed', shareable: true, recordLength: 38, records: 2 });
  assert.equal(dir.sfi, 0x1e);
  for (const [record, aid] of [
    [1, USIM_AID],
    [2, ISIM_AID],
  ] as const) {
    const { data: application } = terminal.command(0, 0xb2, record, 0x04, undefined, 38);
    assert.deepEqual(EF_DIR.decode(application)?.aid, aid);
  }
  assert.equal(terminal.sw(0, 0xa4, 0x00, 0x04, '7fff'), 0x6a82, 'no application yet');
  const adf = fcp(0x04, 'a0000000871002');
  assert.deepEqual(adf.dfName, USIM_AID);
  assert.equal(fcp(0x00, '6f07').size, 9);
  assert.equal(fcp(0x08, '7fff6f07').fid, 0x6f07);
  assert.equal(fcp(0x08, '7f106f3a').fid, 0x6f3a);
  assert.equal(fcp(0x03, '').fid, 0x3f00);
  assert.equal(fcp(0x09, '2fe2').size, 10);
  assert.equal(fcp(0x01, '7f10').fid, 0x7f10);
  assert.equal(fcp(0x00, '').fid, 0x3f00, 'no data: the MF');
  const { data } = terminal.command(0, 0xb0, 0x82, 0, undefined, 10);
  assert.equal(EF_ICCID.decode(data), file.iccid, 'by short identifier, relative to the MF');
});

test('SELECT of what is not there changes nothing, and says so', () => {
  const { terminal } = freshCard();
  terminal.command(0, 0xa4, 0x00, 0x0c, '2fe2');
  for (const [p1, data, sw] of [
    [0x00, '6f07', 0x6a82],
    [0x00, '3f', 0x6700],
    [0x04, 'a0000000871005', 0x6a82],
    [0x04, `${toHex(USIM_AID)}`.slice(0, 28) + 'ffff', 0x6a82],
    [0x08, '7f102fe2', 0x6a82],
    [0x02, '', 0x6a86],
  ] as const) {
    assert.equal(terminal.sw(0, 0xa4, p1, 0x0c, data), sw, data);
  }
  assert.equal(terminal.sw(0, 0xa4, 0x00, 0x08, '2fe2'), 0x6a86);
  assert.equal(terminal.command(0, 0xb0, 0, 0, undefined, 10).data.length, 10, 'EF.ICCID is still selected');
});

test('applications of one beginning: first, last, next and previous; terminated, one is gone', () => {
  const { terminal } = freshCard();
  const aid = (): string => toHex(terminal.command(0x80, 0xf2, 0, 1, undefined, 256).data).slice(4);
  for (const [p2, found] of [
    [0x0c, USIM_AID], // first
    [0x0e, ISIM_AID], // next
    [0x0f, USIM_AID], // previous
    [0x0d, ISIM_AID], // last
    [0x0f, USIM_AID],
  ] as const) {
    assert.equal(terminal.sw(0, 0xa4, 4, p2, 'a000000087'), 0x9000);
    assert.equal(aid(), toHex(found), p2.toString(16));
  }
  assert.equal(terminal.sw(0, 0xa4, 4, 0x0f, 'a000000087'), 0x6a82, 'nothing before the first');
  assert.equal(aid(), toHex(USIM_AID), 'and it is still selected');
  assert.equal(terminal.sw(0, 0xa4, 0, 0x0c, '7fff'), 0x9000);
  assert.equal(terminal.sw(0, 0xa4, 4, 0x4c, toHex(USIM_AID)), 0x9000);
  assert.equal(terminal.sw(0, 0xa4, 0, 0x0c, '7fff'), 0x6a82);
});

test('T=0: 61xx and GET RESPONSE, 6Cxx and once more', () => {
  const { card } = freshCard().terminal;
  const sw = hex(card, '00a40004 02 3f00');
  assert.match(sw, /^61..$/);
  const length = sw.slice(2);
  assert.equal(hex(card, '00c00000ff'), `6c${length}`);
  assert.match(hex(card, `00c0000002`), /^62..61..$/, 'a part, and how much is left');
  assert.match(hex(card, `00a40004023f00`), /^61/);
  assert.match(hex(card, `00c00000${length}`), /^62.*9000$/);
  assert.equal(hex(card, `00c00000${length}`), '6985', 'once');
  assert.match(hex(card, `00a40004023f00`), /^61/);
  hex(card, '00a4000c022fe2');
  assert.equal(hex(card, `00c00000${length}`), '6985', 'not after another command');
  assert.equal(hex(card, '00b0000000'), '6c0a');
  assert.match(hex(card, '00b000000a'), /9000$/);
  assert.equal(hex(card, '80f2000000').slice(0, 2), '6c');
});

test('READ and UPDATE BINARY keep to the file and to who may', () => {
  const { terminal } = freshCard();
  terminal.selectUsim();
  terminal.command(0, 0xa4, 0, 0x0c, '6f7b');
  assert.equal(terminal.sw(0, 0xd6, 0, 3, '00f110'), 0x9000);
  assert.equal(toHex(terminal.command(0, 0xb0, 0, 0, undefined, 12).data), 'ffffff00f110ffffffffffff');
  assert.equal(terminal.sw(0, 0xd6, 0, 10, '00f110'), 0x6700, 'past the end');
  assert.equal(terminal.sw(0, 0xb0, 0, 12, undefined, 1), 0x6b00, 'offset outside');
  assert.equal(terminal.sw(0, 0xd6, 0, 0), 0x6700, 'nothing to write');
  assert.equal(terminal.sw(0, 0xd6, 0x87, 0, '08'), 0x6982, 'EF.IMSI is the operator’s');
  assert.equal(terminal.sw(0, 0xb0, 0xe7, 0, undefined, 1), 0x6a86);
  assert.equal(terminal.sw(0, 0xb0, 0x9f, 0, undefined, 1), 0x6a82, 'no such short identifier');
  terminal.command(0, 0xa4, 8, 0x0c, '2fe2');
  assert.equal(terminal.sw(0, 0x20, 0, 0x0a, adm(terminal.card.state.pins.adm1.value)), 0x9000);
  assert.equal(terminal.sw(0, 0xd6, 0, 0, '98'), 0x6982, 'nobody writes EF.ICCID, ADM neither');
});

const adm = (value: string): Uint8Array => new TextEncoder().encode(value);

test('ADM may write what others may only read, and it stays written', () => {
  const { terminal } = freshCard();
  terminal.selectUsim();
  assert.equal(terminal.sw(0, 0x20, 0, 0x0a, adm(terminal.card.state.pins.adm1.value)), 0x9000);
  const imsi = EF_IMSI.encode('001029999999999');
  assert.equal(terminal.sw(0, 0xd6, 0x87, 0, imsi), 0x9000);
  terminal.card.powerOn();
  terminal.selectUsim();
  assert.deepEqual(terminal.command(0, 0xb0, 0x87, 0, undefined, 9).data, imsi);
  assert.equal(terminal.sw(0, 0xd6, 0x87, 0, imsi), 0x6982, 'ADM is forgotten with power');
});

test('records: absolute, current, next, previous; a pattern is found', () => {
  const { terminal } = freshCard();
  terminal.command(0, 0xa4, 8, 0x0c, '7f106f3a');
  const record = (fill: string): string => fill.repeat(28);
  assert.equal(terminal.sw(0, 0xdc, 3, 4, record('33')), 0x9000);
  assert.equal(terminal.sw(0, 0xdc, 5, 4, record('33')), 0x9000);
  assert.equal(terminal.sw(0, 0xdc, 3, 4, '33'), 0x6700);
  assert.equal(terminal.sw(0, 0xdc, 11, 4, record('33')), 0x6a83);
  assert.equal(terminal.sw(0, 0xdc, 3, 1, record('33')), 0x6a86);
  assert.equal(toHex(terminal.command(0, 0xb2, 3, 4, undefined, 256).data), record('33'), 'after 6Cxx');
  const current = (p1: number, p2: number): string =>
    toHex(terminal.command(0, 0xb2, p1, p2, undefined, 28).data).slice(0, 2);
  assert.deepEqual(
    [current(0, 2), current(0, 2), current(0, 2), current(0, 3), current(0, 2), current(0, 4)],
    ['ff', 'ff', '33', 'ff', '33', '33'],
  );
  assert.equal(toHex(terminal.command(0, 0xa2, 1, 4, '3333', 256).data), '0305');
  assert.equal(toHex(terminal.command(0, 0xa2, 10, 5, '3333', 256).data), '0503');
  assert.equal(terminal.sw(0, 0xa2, 6, 4, '3333', 256), 0x6282);
  assert.equal(terminal.sw(0, 0xb0, 0, 0, undefined, 1), 0x6981, 'READ BINARY of records');
});

test('a cyclic file turns; INCREASE adds and stops at the top', () => {
  const { terminal } = freshCard();
  terminal.selectUsim();
  terminal.command(0, 0xa4, 0, 0x0c, '6f39');
  assert.equal(toHex(terminal.command(0x80, 0x32, 0, 0, '0000ff', 256).data), '0000ff0000ff');
  assert.equal(toHex(terminal.command(0x80, 0x32, 0, 0, '000002', 256).data), '000101000002');
  const records = [1, 2, 3].map((at) => toHex(terminal.command(0, 0xb2, at, 4, undefined, 3).data));
  assert.deepEqual(records, ['000101', '0000ff', '000000']);
  assert.equal(terminal.sw(0, 0xdc, 0, 3, 'ffffff'), 0x9000);
  assert.equal(terminal.sw(0x80, 0x32, 0, 0, '000001'), 0x9850);
  assert.equal(terminal.sw(0, 0xdc, 1, 4, '000000'), 0x6a86, 'only the oldest can be written');
});

test('a deactivated file is there and cannot be read', () => {
  const { terminal } = freshCard();
  terminal.selectUsim();
  terminal.command(0, 0xa4, 0, 0x0c, '6f7b');
  assert.equal(terminal.sw(0, 0x04, 0, 0), 0x6982);
  terminal.sw(0, 0x20, 0, 0x0a, adm(terminal.card.state.pins.adm1.value));
  assert.equal(terminal.sw(0, 0x04, 0, 0), 0x9000);
  assert.equal(terminal.sw(0, 0xb0, 0, 0, undefined, 1), 0x6984);
  terminal.card.powerOn();
  terminal.selectUsim();
  const { data, sw } = terminal.command(0, 0xa4, 0, 0x04, '6f7b', 256);
  assert.equal(sw, 0x6283);
  assert.equal(decodeFcp(data).lifeCycle, 'deactivated');
  terminal.sw(0, 0x20, 0, 0x0a, adm(terminal.card.state.pins.adm1.value));
  assert.equal(terminal.sw(0, 0x44, 0, 0, '6f7b'), 0x9000);
  assert.equal(terminal.sw(0, 0xb0, 0, 0, undefined, 1), 0x9000);
});

test('logical channels: opened, told apart, closed; there are four', () => {
  const { terminal } = freshCard();
  terminal.selectUsim();
  assert.deepEqual(
    [1, 2, 3].map(() => toHex(terminal.command(0, 0x70, 0, 0, undefined, 1).data)),
    ['01', '02', '03'],
  );
  assert.equal(terminal.sw(0, 0x70, 0, 0, undefined, 1), 0x6a81);
  assert.equal(terminal.sw(0x01, 0xa4, 0, 0x0c, '2fe2'), 0x9000, 'channel 1 is at the MF');
  assert.equal(terminal.sw(0x00, 0xb0, 0x87, 0, undefined, 9), 0x9000, 'channel 0 is in the USIM');
  assert.equal(terminal.command(0x01, 0xa4, 0, 0x04, '3f00', 256).sw, 0x9000, 'GET RESPONSE on its channel');
  assert.equal(terminal.sw(0, 0x70, 0x80, 1), 0x9000);
  assert.equal(terminal.sw(0x01, 0xa4, 0, 0x0c, '2fe2'), 0x6881);
  assert.equal(terminal.sw(0, 0x70, 0x80, 0), 0x6a86, 'the basic channel stays');
  assert.equal(terminal.sw(0x41, 0xa4, 0, 0x0c, '2fe2'), 0x6881);
});

test('STATUS tells directory and application', () => {
  const { terminal } = freshCard();
  assert.equal(decodeFcp(terminal.command(0x80, 0xf2, 0, 0, undefined, 256).data).fid, 0x3f00);
  terminal.selectUsim();
  assert.equal(toHex(terminal.command(0x80, 0xf2, 1, 1, undefined, 256).data), `8410${toHex(USIM_AID)}`);
  assert.equal(terminal.sw(0x80, 0xf2, 0, 0x0c), 0x9000);
  assert.equal(terminal.sw(0x80, 0xf2, 3, 0), 0x6a86);
});

test('what no card does is refused by its name', () => {
  const { card } = freshCard().terminal;
  for (const [apdu, sw] of [
    ['00', '6700'],
    ['00a4000005aa', '6700'],
    ['00fa000000', '6d00'],
    ['80a4000000', '6e00'],
    ['00f2000000', '6e00'],
    ['a0a40000023f00', '6e00'],
    ['ff00000000', '6e00'],
    ['04a40000023f00', '6882'],
    ['00b0000001', '6986'],
    ['0088008110', '6985'],
  ]) {
    assert.equal(hex(card, apdu!), sw, apdu);
  }
  card.powerOff();
  assert.throws(() => card.transmit(fromHex('00a40000')), /no power/);
});

test('every file says whose rule it has, and EF.ARR has it', () => {
  const { terminal } = freshCard();
  const { data } = terminal.command(0, 0xa4, 8, 0x04, '2fe2', 256);
  const { security } = decodeFcp(data);
  assert.ok(security?.kind === 'reference' && security.arr === 0x2f06);
  terminal.command(0, 0xa4, 8, 0x0c, '2f06');
  const rules = EF_ARR.decode(terminal.command(0, 0xb2, security.record, 4, undefined, 256).data);
  assert.deepEqual(rules, [
    { mode: 1, condition: 'always' },
    { mode: 2, condition: 'never' },
  ]);
});
