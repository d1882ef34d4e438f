import assert from 'node:assert/strict';
import { test } from 'node:test';
import { importCards, parseCardData } from '../../../src/network/operator/card-data/index.ts';
import { openOperatorStore } from '../../../src/network/operator/store.ts';
import { realClock } from '../../../src/edge/real.ts';
import { createSoftwareVault } from '../../../src/network/vault/software.ts';
import { FieldError, fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import { seededRandom } from '../../../src/lab/random.ts';

const HEADER = 'ICCID,IMSI,MSISDN,Ki,OPC,KIC1,KID1';
const key = (digit: string): string => digit.repeat(32);
const row = (
  changes: Partial<Record<'iccid' | 'imsi' | 'msisdn' | 'ki' | 'opc' | 'kic' | 'kid', string>> = {},
): string =>
  [
    changes.iccid ?? '8988211000000000011',
    changes.imsi ?? '001010000000001',
    changes.msisdn ?? '99901000001',
    changes.ki ?? key('a'),
    changes.opc ?? key('b'),
    changes.kic ?? key('c'),
    changes.kid ?? key('d'),
  ].join(',');
const second = { iccid: '8988211000000000029', imsi: '001010000000002', msisdn: '99901000002' };

const refused = (csv: string, message: RegExp): void => {
  assert.throws(
    () => parseCardData(csv, ['00101']),
    (error: unknown) => {
      assert.ok(error instanceof FieldError);
      assert.match(error.message, message);
      for (const digit of 'abcd') assert.ok(!error.message.includes(digit.repeat(8)), 'a key is shown');
      return true;
    },
  );
};

test('columns in any order and case, other columns left alone', () => {
  const csv =
    `imsi;x\n`.replace(';x\n', ',Name,ki,opc,iccid,msisdn,kic1,kid1\n') +
    [
      '001010000000001',
      'n',
      key('a'),
      key('b'),
      '8988211000000000011',
      '99901000001',
      key('c'),
      key('d'),
    ].join(',');
  const [card] = parseCardData(csv, ['00101']);
  assert.equal(card!.imsi, '001010000000001');
  assert.deepEqual(card!.aka, { algorithm: 'milenage', k: fromHex(key('a')), opc: fromHex(key('b')) });
  assert.equal(card!.line, 2);
});

test('what is wrong is named by line and column, and keys are not shown', () => {
  refused(`${HEADER}\n${row({ ki: 'aa'.repeat(15) })}`, /^line 2, ki: 15 bytes, expected 16 bytes$/);
  refused(
    `${HEADER}\n${row({ opc: `${'b'.repeat(31)}z` })}`,
    /^line 2, opc: a character that is not hexadecimal/,
  );
  refused(`${HEADER}\n${row({ kid: 'dd'.repeat(8) })}`, /^line 2, kid1: 8 bytes, expected 16/);
  refused(
    `${HEADER}\n${row()}\n${row({ ...second, iccid: '8988211000000000011' })}`,
    /^line 3, iccid: 8988211000000000011, .*line 2$/,
  );
  refused(
    `${HEADER}\n${row({ imsi: '001020000000001' })}`,
    /^line 2, imsi: 001020000000001, expected an IMSI of this operator, beginning with 00101$/,
  );
  refused(`${HEADER}\n${row({ iccid: '8988211000000000012' })}`, /^line 2, iccid: .*check digit/);
  refused(`${HEADER}\n${row({ msisdn: '' })}`, /^line 2, msisdn: empty/);
  refused(`ICCID,IMSI\n8988211000000000011,001010000000001`, /^header, msisdn: no such column/);
  refused('', /^card data: no card/);
  refused(HEADER, /^card data: no card/);
  refused(row(), /^header, imsi: no such column/);
  refused(`${HEADER},Ki\n${row()},${'aa'.repeat(16)}`, /^header, ki: 2 columns/);
  refused(`${HEADER}\n\n\n${row({ msisdn: '' })}`, /^line 4, msisdn: empty/);
  refused(`${HEADER}\n1,2,3`, /^line \d+: .*columns/);
});

test('cards with TUAK, alone and beside others, by ALGORITHM and TOPC', () => {
  const topc = 'b'.repeat(64);
  const alone = parseCardData(
    `${HEADER.replace('OPC', 'TOPC')},Algorithm\n${row({ ki: 'a'.repeat(64), opc: topc })},TUAK`,
    ['00101'],
  );
  assert.deepEqual(alone[0]!.aka, { algorithm: 'tuak', k: fromHex('a'.repeat(64)), topc: fromHex(topc) });
  const both = `${HEADER},ALGORITHM,TOPC`;
  const mixed = `${both}\n${row()},,\n${row({ ...second, opc: '' })},tuak,${topc}`;
  assert.deepEqual(
    parseCardData(mixed, ['00101']).map(({ aka: { algorithm, k, opc, topc } }) => [
      algorithm,
      k.length,
      opc?.length,
      topc?.length,
    ]),
    [
      ['milenage', 16, 16, undefined],
      ['tuak', 16, undefined, 32],
    ],
  );
  refused(`${both}\n${row()},tuak,${topc}`, /^line 2, opc: present, expected none for tuak$/);
  refused(`${both}\n${row()},,${topc}`, /^line 2, topc: present, expected none for milenage$/);
  refused(`${both}\n${row({ opc: '' })},tuak,`, /^line 2, topc: empty, expected a value for tuak$/);
  refused(`${both}\n${row({ opc: '' })},milenage,`, /^line 2, opc: empty, expected a value for milenage$/);
  refused(`${both}\n${row({ opc: '' })},tuak,${key('b')}`, /^line 2, topc: 16 bytes, expected 32 bytes$/);
  refused(
    `${both}\n${row({ opc: '', ki: 'a'.repeat(48) })},tuak,${topc}`,
    /^line 2, ki: 24 bytes, expected 16 or 32 bytes$/,
  );
  refused(`${both}\n${row({ ki: 'a'.repeat(64) })},,`, /^line 2, ki: 32 bytes, expected 16 bytes$/);
  refused(`${both}\n${row()},comp128,`, /^line 2, algorithm: 7 characters, expected milenage or tuak$/);
  refused(`${HEADER.replace(',OPC', '')}\n1`, /^header, opc: no such column, .*, and opc or topc$/);
  refused(`${HEADER},TOPC,topc\n1`, /^header, topc: 2 columns/);
  refused(`${HEADER},algorithm,ALGORITHM\n1`, /^header, algorithm: 2 columns/);
});

test('a file is taken in whole or not at all, and keys lie sealed', async () => {
  const store = openOperatorStore(':memory:');
  const vault = await createSoftwareVault({
    keyEncryptionKey: new Uint8Array(32),
    random: seededRandom(1, 'vault'),
    clock: realClock,
  });
  importCards(store, vault, parseCardData(`${HEADER}\n${row()}`, ['00101']));
  const again = parseCardData(
    `${HEADER}\n${row(second)}\n${row({ iccid: '8988211000000000037', msisdn: '99901000003' })}`,
    ['00101'],
  );
  assert.throws(
    () => importCards(store, vault, again),
    /^FieldError: line 3, imsi: 001010000000001, expected one that this operator does not have yet$/,
  );
  assert.equal(store.byImsi(second.imsi), undefined, 'the good line before the bad one is not kept');
  const subscriber = store.byImsi('001010000000001')!;
  assert.equal(subscriber.state, 'ready');
  assert.ok(!toHex(subscriber.aka!).includes(key('a')));
  assert.ok(!Buffer.from(subscriber.aka!).toString('latin1').includes(key('a')));
  store.close();
});

test('a key in a column that is not for keys is never shown', () => {
  const cells = row().split(',');
  const names = HEADER.split(',');
  const keys = cells.filter((cell) => /^[0-9a-f]{32,}$/i.test(cell));
  assert.ok(keys.length >= 4);
  for (const name of names) {
    for (const key of keys) {
      const mixed = names.map((each, i) => (each === name ? key : cells[i]!)).join(',');
      try {
        parseCardData(`${HEADER}\n${mixed}`, ['00101']);
      } catch (error) {
        assert.ok(!String(error).includes(key), `${name}: ${String(error)}`);
      }
    }
  }
});
