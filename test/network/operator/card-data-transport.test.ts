/** Vendors' files whose keys are enciphered: pySim's columns, output files, and what speaks for a transport key. */
import assert from 'node:assert/strict';
import { createCipheriv } from 'node:crypto';
import { test } from 'node:test';
import {
  importCards,
  parseCardData,
  parseMapping,
  parseTransportKeys,
  readCardData,
  streamCardData,
} from '../../../src/network/operator/card-data/index.ts';
import { openOperatorStore } from '../../../src/network/operator/store.ts';
import { realClock } from '../../../src/edge/real.ts';
import { seededRandom } from '../../../src/lab/random.ts';
import { createSoftwareVault } from '../../../src/network/vault/software.ts';
import { opcFromOp } from '../../../src/standards/aka/index.ts';
import { FieldError, fromHex, toHex } from '../../../src/standards/bytes/index.ts';

/** KI as pySim's scheme enciphers it: openssl enc -aes-128-cbc -K 00…0f -iv 23…23 -nopad */
const PYSIM_CELL = '82916286ee3bf17274b425ab2cce7f91';
const KI = '465b5ce8b199b49faa5f0a2ee238a6bc';
const OP = 'cdc202d5123e20f62b6d676ac72cb318';
const OPC = 'cd63cb71954a9f4e48a5994e37a02baf';
const KIC = '0123456789abcdeffedcba9876543210';
const KID = '112233445566778899aabbccddeeff00';
const AES_KEY = '000102030405060708090a0b0c0d0e0f';
const DES_KEY = '0123456789abcdeffedcba9876543211';

const enciphered = (name: string, key: string, iv: string | null, plain: string | Buffer): string => {
  const cipher = createCipheriv(name, Buffer.from(key, 'hex'), iv === null ? null : Buffer.from(iv, 'hex'));
  return cipher
    .setAutoPadding(false)
    .update(plain as Buffer)
    .toString('hex');
};
const aes = (plain: string | Buffer, key = AES_KEY, iv = '23'.repeat(16)): string =>
  enciphered('aes-128-cbc', key, iv, typeof plain === 'string' ? Buffer.from(plain, 'hex') : plain);
const des = (plain: string | Buffer): string =>
  enciphered(
    'des-ede3',
    DES_KEY + DES_KEY.slice(0, 16),
    null,
    typeof plain === 'string' ? Buffer.from(plain, 'hex') : plain,
  );
const filled = (code: string, length: number): Buffer =>
  Buffer.concat([Buffer.from(code), Buffer.alloc(length - code.length, 0xff)]);

const refused = (run: () => unknown, message: RegExp): void => {
  assert.throws(run, (error: unknown) => {
    assert.ok(error instanceof FieldError, String(error));
    assert.match(error.message, message);
    for (const key of [KI, OP, OPC, KIC, KID, AES_KEY, DES_KEY]) {
      assert.ok(!error.message.includes(key.slice(0, 12)), `a key is shown: ${error.message}`);
    }
    return true;
  });
};

const PYSIM_HEADER = 'IMSI,ICCID,MSISDN,KI,OPC,UICC_SCP03_KIC1,UICC_SCP03_KID1,UICC_SCP03_KIK1';
const pysim = (key = AES_KEY): string =>
  [
    PYSIM_HEADER,
    [
      '001010000000001',
      '8988211000000000011',
      '99901000001',
      aes(KI, key),
      aes(OPC, key),
      aes(KIC),
      aes(KID),
      aes(KIC),
    ].join(','),
  ].join('\n');
const pysimKeys = (more: object = {}): ReturnType<typeof parseTransportKeys> =>
  parseTransportKeys({ keys: { ki: AES_KEY, OPC: AES_KEY, UICC_SCP03: { key: AES_KEY } }, ...more });

test('pySim’s enciphered columns: by column, by group of columns, each under its key', () => {
  assert.ok(pysim().includes(PYSIM_CELL));
  const [card] = parseCardData(pysim(), ['00101'], { keys: pysimKeys(), accept: 'unverified' });
  assert.deepEqual(card!.aka, { algorithm: 'milenage', k: fromHex(KI), opc: fromHex(OPC) });
  assert.deepEqual(card!.ota, [
    { keySet: 1, algorithm: 'aes', kic: fromHex(KIC), kid: fromHex(KID), kik: fromHex(KIC) },
  ]);
  refused(
    () => parseCardData(pysim(), ['00101'], { keys: parseTransportKeys({ keys: { UICC_SCP02: AES_KEY } }) }),
    /^transport key UICC_SCP02: for no column of this file/,
  );
});

test('a transport key that nothing speaks for is not taken by itself; OP speaks for it, or says that it is wrong', () => {
  refused(
    () => parseCardData(pysim(), ['00101'], { keys: pysimKeys() }),
    /^transport key KI: not verifiable, expected/,
  );
  const { report } = readCardData(pysim(), { ranges: ['00101'], keys: pysimKeys({ op: OP }) });
  assert.deepEqual(
    report.transportKeys.map(({ name, verifiedBy }) => [name, verifiedBy]),
    [
      ['KI', ['opc']],
      ['OPC', []],
      ['UICC_SCP03', []],
    ],
  );
  refused(
    () => readCardData(pysim('ff'.repeat(16)), { ranges: ['00101'], keys: pysimKeys({ op: OP }) }),
    /^transport key KI: deciphered with it, line 2, opc is not that of OP and this Ki/,
  );
});

test('a key check value is compared before anything is opened: of the key file, over zeros or ones', () => {
  // AES-128 of zeros, and of bytes 01, under 000102…0f; 3DES of zeros under the other key.
  const zeros = enciphered('aes-128-ecb', AES_KEY, null, Buffer.alloc(16)).slice(0, 6);
  const ones = enciphered('aes-128-ecb', AES_KEY, null, Buffer.alloc(16, 1)).slice(0, 6);
  for (const kcv of [zeros, ones.toUpperCase()]) {
    const keys = parseTransportKeys({
      keys: { KI: { key: AES_KEY, kcv }, OPC: { key: AES_KEY, kcv }, UICC_SCP03: { key: AES_KEY, kcv } },
    });
    assert.equal(parseCardData(pysim(), ['00101'], { keys }).length, 1);
  }
  const keys = parseTransportKeys({ keys: { KI: { key: 'ee'.repeat(16), kcv: zeros } } });
  refused(
    () => parseCardData(`${PYSIM_HEADER}\nnot even looked at,,,,,,,`, ['00101'], { keys }),
    /^transport key KI: a key whose check value is [0-9a-f]{6} or [0-9a-f]{6}, expected the key with check value [0-9a-f]{6} \(the key file\)/,
  );
});

const MAPPING = {
  format: 'out',
  encryption: { cipher: '3des', mode: 'ecb' },
  columns: {
    IMSI: { field: 'imsi', coding: 'ef-imsi' },
    Ser_nb: { field: 'iccid', coding: 'swapped' },
    MSISDN: 'msisdn',
    PIN1: 'pin1',
    PUK1: { field: 'puk1', encryption: true },
    ADM1: { field: 'adm1', encryption: true },
    KI: { field: 'ki', encryption: true },
    KIC1: { field: 'kic1', encryption: true },
    KID1: { field: 'kid1', encryption: true },
    KIC2: { field: 'kic2', encryption: { cipher: 'aes', mode: 'cbc', key: 'ota' } },
    KID2: { field: 'kid2', encryption: { cipher: 'aes', mode: 'cbc', key: 'ota' } },
    ALG2: 'ota_algorithm2',
  },
  otaAlgorithm: 'des3-2',
};
const outKeys = (more: object = {}): ReturnType<typeof parseTransportKeys> =>
  parseTransportKeys({ keys: { '3': DES_KEY, ota: AES_KEY }, op: OP, ...more });
const swapped = (digits: string): string =>
  (digits + 'f'.repeat(digits.length % 2)).replace(/(.)(.)/g, '$2$1');
const line = (n: number, puk = '12345678'): string =>
  [
    `08${swapped(`9${`00101000000000${n}`}`)}`,
    swapped(['8988211000000000011', '8988211000000000029'][n - 1]!),
    `9990100000${n}`,
    '1234',
    des(filled(puk, 8)),
    des(Buffer.from('ADMIN\u0001\u0002x')),
    des(KI),
    des(KIC),
    des(KID),
    aes(KIC, AES_KEY, '00'.repeat(16)),
    aes(KID, AES_KEY, '00'.repeat(16)),
    'AES',
  ].join(' ');
const out = (more: readonly string[] = [], lines = [line(1), line(2)]): string =>
  [
    '* HEADER DESCRIPTION',
    '***************************************',
    'Customer        : Operator A',
    'Quantity        : 2',
    'Type            : USIM',
    'Profile         : 01.02',
    'Batch           : 0007',
    'Transport_key   : 3',
    'Address1        : Lane 1',
    'Graph_ref       : G-17',
    ...more,
    '* INPUT VARIABLES DESCRIPTION',
    'Var_In:',
    'IMSI: 001010000000001',
    '* OUTPUT VARIABLES DESCRIPTION',
    'Var_Out:IMSI/Ser_nb/MSISDN/PIN1/PUK1/ADM1/KI/KIC1/KID1/KIC2/KID2/ALG2',
    ...lines,
    '',
  ].join('\r\n');
const readOut = (text: string, keys = outKeys(), mapping: object = MAPPING) =>
  readCardData(text, { ranges: ['00101'], keys, mapping: parseMapping(mapping) });

test('an output file: header, swapped numbers, 3DES and AES columns, OPc from OP, several key sets', () => {
  const { rows, report } = readOut(out());
  assert.deepEqual(
    rows.map(({ line, imsi, iccid, msisdn }) => [line, imsi, iccid, msisdn]),
    [
      [16, '001010000000001', '8988211000000000011', '99901000001'],
      [17, '001010000000002', '8988211000000000029', '99901000002'],
    ],
  );
  const card = rows[0]!.card!;
  assert.equal(toHex(card.aka.opc!), toHex(opcFromOp(fromHex(KI), fromHex(OP))));
  assert.deepEqual(
    card.ota.map(({ keySet, algorithm, kic }) => [keySet, algorithm, toHex(kic)]),
    [
      [1, 'des3-2', KIC],
      [2, 'aes', KIC],
    ],
  );
  assert.deepEqual(card.codes, { pin1: '1234', puk1: '12345678', adm1: '41444d494e010278' });
  assert.equal(report.header.graph_ref, 'G-17');
  assert.equal(report.header.imsi, undefined, 'what was ordered is not about the batch');
  assert.deepEqual(
    report.transportKeys.map(({ name, opened, verifiedBy }) => [name, opened, verifiedBy]),
    [
      ['3', true, ['codes']],
      ['ota', true, []],
    ],
  );
  assert.ok(!JSON.stringify(report).includes(DES_KEY.slice(0, 8)));
});

test('a wrong transport key is named as such by codes that are no digits, by the header’s check value, by its length', () => {
  refused(
    () => readOut(out(), parseTransportKeys({ keys: { '3': 'a1'.repeat(16), ota: AES_KEY }, op: OP })),
    /^transport key 3: deciphered with it, line 16, puk1 is not made of digits, expected the key that this file/,
  );
  refused(
    () => readOut(out(['Transport_key_KCV: 0A0B0C'])),
    /^transport key 3: a key whose check value is [0-9a-f]{6}, expected the key with check value 0a0b0c \(the file’s header\)$/,
  );
  refused(
    () => readOut(out(), parseTransportKeys({ keys: { '3': 'a1'.repeat(32), ota: AES_KEY }, op: OP })),
    /^transport key 3: 32 bytes, expected 16 or 24 bytes for 3DES$/,
  );
  refused(
    () => readOut(out(), parseTransportKeys({ keys: { ota: AES_KEY }, op: OP })),
    /^transport key 3: not there/,
  );
  // The key was right for the card before: now it is the card.
  refused(
    () => readOut(out([], [line(1), line(2, '1234567x')])),
    /^line 17, puk1: 16 characters, expected 8 digits$/,
  );
});

test('a file that is cut off, of a wrong shape, or without the mapping that it needs', () => {
  refused(() => readOut(out([], [line(1)])), /^header, quantity: 2, expected 1, as many as there are cards$/);
  refused(() => readOut(out([], [line(1), line(2).slice(0, -40)])), /^line 17: 10 values, expected 12/);
  refused(
    () => readOut(out([], [line(1), line(2).replace('AES', 'COMP')])),
    /^line 17, ota_algorithm2: 4 characters, expected aes/,
  );
  refused(
    () => readCardData(out(), { ranges: ['00101'], keys: outKeys() }),
    /^header, transport_key: 3, expected a mapping/,
  );
  refused(() => parseMapping({ columns: { a: 'kix1' } }), /^mapping, columns, a: not as specified/);
  refused(
    () => parseMapping({ columns: { a: { field: 'imsi', encryption: { cipher: 'aes', mode: 'ecb' } } } }),
    /^mapping, columns, a: imsi enciphered/,
  );
  refused(
    () =>
      parseMapping({ columns: { a: { field: 'ki', encryption: { cipher: 'aes', mode: 'cbc', iv: '00' } } } }),
    /^mapping, columns, a, iv: 1 bytes, expected 16 bytes$/,
  );
  refused(
    () => readOut(out(), outKeys(), { ...MAPPING, columns: { ...MAPPING.columns, KIC7: 'kic7' } }),
    /^header, kic7: no such column/,
  );
  refused(() => parseTransportKeys({ keys: { '3': 'zz' } }), /^transport keys, keys, 3: not as specified/);
  refused(() => parseTransportKeys({ keys: { '3': '00'.repeat(8) } }), /^transport key 3: 8 bytes/);
});

test('without the key only what is open is checked, and that is said', () => {
  const { rows, report } = readCardData(out(), {
    ranges: ['00101'],
    mapping: parseMapping(MAPPING),
    closed: 'leave',
  });
  assert.equal(rows[1]!.imsi, '001010000000002');
  assert.equal(rows[1]!.card, undefined);
  assert.deepEqual(
    report.transportKeys.map(({ name, opened, kcv }) => [name, opened, kcv]),
    [
      ['3', false, undefined],
      ['ota', false, undefined],
    ],
  );
  assert.deepEqual(
    report.columns.map(({ transportKey }) => transportKey),
    [null, null, null, null, '3', '3', '3', '3', '3', 'ota', 'ota', null],
  );
});

test('odd parity of all bytes of all DES keys speaks for a transport key', () => {
  const odd = (key: string): string =>
    toHex(
      fromHex(key).map((byte) => {
        const ones = (byte & 0xfe).toString(2).replaceAll('0', '').length;
        return (byte & 0xfe) | ((ones + 1) & 1);
      }),
    );
  const csv = (kic: string): string =>
    [
      'IMSI,ICCID,MSISDN,KI,OPC,UICC_SCP02_KIC1,UICC_SCP02_KID1',
      ['001010000000001', '8988211000000000011', '99901000001', KI, OPC, aes(kic), aes(odd(KID))].join(','),
    ].join('\n');
  const keys = parseTransportKeys({ keys: { UICC_SCP02: AES_KEY } });
  const [card] = parseCardData(csv(odd(KIC)), ['00101'], { keys });
  assert.equal(card!.ota[0]!.algorithm, 'des3-2');
  refused(() => parseCardData(csv(KID), ['00101'], { keys }), /^transport key UICC_SCP02: not verifiable/);
});

test('all key sets go into the operator’s store, each under its algorithm; in pieces it is the same file', async () => {
  const store = openOperatorStore(':memory:');
  const vault = await createSoftwareVault({
    keyEncryptionKey: new Uint8Array(32),
    random: seededRandom(1, 'vault'),
    clock: realClock,
  });
  const how = { keys: outKeys(), mapping: parseMapping(MAPPING), accept: 'unverified' } as const;
  importCards(store, vault, parseCardData(out(), ['00101'], how));
  for (const [set, algorithm] of [
    [1, 'des3-2'],
    [2, 'aes'],
  ] as const) {
    const kept = store.otaKeys('8988211000000000029', set)!;
    assert.equal(kept.algorithm, algorithm);
    assert.equal(
      vault.withOtaKeys(kept.label, kept.ota, ({ kid }) => toHex(kid)),
      KID,
    );
  }
  store.close();
  const pieces = async function* (text: string): AsyncGenerator<string> {
    for (let i = 0; i < text.length; i += 7) yield await Promise.resolve(text.slice(i, i + 7));
  };
  for (const [text, options] of [
    [out(), { ranges: ['00101'], keys: outKeys(), mapping: parseMapping(MAPPING) }],
    [pysim(), { ranges: ['00101'], keys: pysimKeys() }],
  ] as const) {
    const rows: unknown[] = [];
    const report = await streamCardData(pieces(text), options, (row) => rows.push(row));
    assert.deepEqual({ rows, report }, readCardData(text, options));
  }
  await assert.rejects(
    streamCardData(pieces(`${PYSIM_HEADER}\n1,2`), { ranges: ['00101'], keys: pysimKeys() }),
    /^FieldError: line \d+: .*as many columns as its header/,
  );
});
