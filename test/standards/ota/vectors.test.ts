import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import {
  RESPONSE_STATUS,
  aesCmac,
  decodeCommandPacket,
  decodeCompactCommands,
  decodeCompactResponse,
  decodePacketSms,
  decodeResponsePacket,
  decodeSpi,
  encodeCommandPacket,
  encodeCompactCommands,
  encodeCompactResponse,
  encodeExpandedCommands,
  encodePacketSms,
  encodeResponsePacket,
  encodeSpi,
  type CommandHeader,
  type OtaKeys,
} from '../../../src/standards/ota/index.ts';
import { redundancy } from '../../../src/standards/ota/ciphers.ts';
import { decodeTpduFromDevice, decodeTpduToDevice, encodeTpdu } from '../../../src/standards/sms/index.ts';

interface CommandVector {
  source: string;
  spi: string;
  kic: string;
  kid: string;
  keys: { kic?: string; kid?: string };
  tar: string;
  counter: number;
  data: string;
  packet: string;
}

// Keys of sysmoISIM-SJA5 sample cards, from pySim's tests/unittests/test_ota.py.
const SJA5_3DES = { kic: '300102030405060708090a0b0c0d0e0f', kid: '301102030405060708090a0b0c0d0e0f' };
const SJA5_AES = { kic: '200102030405060708090a0b0c0d0e0f', kid: '201102030405060708090a0b0c0d0e0f' };
// Keys of a sysmoUSIM card, from the same file.
const SYSMO_3DES = { kic: 'c21dd66acac13cb3bc8b331b24afb57b', kid: '12110c78e678c25408233076aa033615' };
// Keys of the unit tests in asterix/SecurePacket.py (Petr Tobiska, Gemalto).
const ASTERIX = { kic: '2233445566778899aabbccddeeff0011', kid: '456789abcdef012356789abcdef01234' };
const ASTERIX_3 = {
  kic: '0956f342366c6c92f32d5392ecb1cbd5c051db484843f0eb',
  kid: '9cd41f792bc38c08a5df849b4118c71aea4d8192207297c8',
};
const CRC_CARD = { kic: '263b48dbcbc1c21c0aa13e4d4516c446' };

const commands: CommandVector[] = [
  {
    source: 'pySim 3DES-SJA5-CIPHERED-CC',
    ...{ spi: '0619', kic: '35', kid: '35', keys: SJA5_3DES, tar: 'b00011', counter: 0 },
    data: '00a40004023f00',
    packet: '00201506193535b00011ae733256918d050b87c94fbfe12e4dc402f262c41cf67f2f',
  },
  {
    source: 'pySim 3DES-SJA5-UNCIPHERED-CC',
    ...{ spi: '0609', kic: '35', kid: '35', keys: SJA5_3DES, tar: 'b00011', counter: 0 },
    data: '00a40004023f00',
    packet: '00201506093535b00011c49ac91ab8159ba5b83a54fb6385e0a5e31694f8b215fafc',
  },
  {
    source: 'pySim 3DES-SJA5-UNCIPHERED-NOCC',
    ...{ spi: '0601', kic: '35', kid: '35', keys: SJA5_3DES, tar: 'b00011', counter: 0 },
    data: '00a40004023f00',
    packet: '00201506013535b000113190be334900f52b025f3f7eddfe868e96ebf310023b7769',
  },
  {
    source: 'pySim AES128-SJA5-CIPHERED-CC',
    ...{ spi: '0619', kic: '22', kid: '22', keys: SJA5_AES, tar: 'b00011', counter: 0 },
    data: '00a40004023f00',
    packet: '00281506192222b00011e87cceebb2d93083011ce294f93fc4d8de80da1abae8c37ca3e72ec4432e5058',
  },
  {
    source: 'pySim test_cmd_3des_ciphered',
    ...{ spi: '0419', kic: '35', kid: '35', keys: SYSMO_3DES, tar: 'b00000', counter: 0 },
    data: '00a40000023f00',
    packet: '00180d04193535b00000e3ec80a849b554421276af3883927c20',
  },
  {
    // pySim's bytes lack CPL where nothing is ciphered; it is in the check.
    source: 'pySim test_cmd_3des_signed',
    ...{ spi: '0219', kic: '35', kid: '35', keys: SYSMO_3DES, tar: 'b00000', counter: 0 },
    data: '00a40000023f00',
    packet: '001d' + '1502193535b00000000000000000072ea17bdb72060e00a40000023f00',
  },
  {
    source: 'pySim test_cmd_3des_none',
    ...{ spi: '0019', kic: '35', kid: '35', keys: SYSMO_3DES, tar: 'b00000', counter: 0 },
    data: '00a40000023f00',
    packet: '0015' + '0d00193535b0000000000000000000a40000023f00',
  },
  {
    source: 'asterix SPI 0400',
    ...{ spi: '0400', kic: '15', kid: '15', tar: '000000', counter: 0 },
    keys: { kic: 'aabbccddeeff00112233445566778899' },
    data: 'abecedab',
    packet: '00180d04001515000000b959e0d6bfabcf59f158041eeb0ab14a',
  },
  {
    source: 'asterix SPI 0e00',
    ...{ spi: '0e00', kic: '25', kid: '25', keys: ASTERIX, tar: 'c00000', counter: 1 },
    data: 'a0a40000023f00',
    packet: '0020150e002525c0000028bdea5bafc32c4ce1a79b247eceb40888775ee0a700742a',
  },
  {
    source: 'asterix SPI 1201',
    ...{ spi: '1201', kic: '25', kid: '25', keys: ASTERIX, tar: 'c00000', counter: 1 },
    data: 'a0a40000023f00',
    packet: '001d1512012525c000000000000001004fbdb3740e950c28a0a40000023f00',
  },
  {
    source: 'asterix SPI 1601',
    ...{ spi: '1601', kic: '25', kid: '25', keys: ASTERIX, tar: 'c00000', counter: 1 },
    data: 'a0a40000023f00',
    packet: '00201516012525c0000090b844a4faabef7184998080d900a6f55a7ad667b45ea3a6',
  },
  {
    source: 'asterix SPI 1601, 3 keys',
    ...{ spi: '1601', kic: '39', kid: '39', keys: ASTERIX_3, tar: 'c20010', counter: 6 },
    data: 'a0a40000023f00',
    packet: '00201516013939c20010bc10ee50a5c581408562d8f2c80d2c9aa0aed19da2cd7d50',
  },
  {
    source: 'asterix SPI 1201, 3 keys',
    ...{ spi: '1201', kic: '39', kid: '39', keys: ASTERIX_3, tar: 'c20010', counter: 7 },
    data: 'a0a40000023f00',
    packet: '001d1512013939c200100000000007008523e37e6dbccf7da0a40000023f00',
  },
  {
    source: 'asterix SPI 1535, CRC-32, recorded with a card',
    ...{ spi: '1535', kic: '15', kid: '15', keys: CRC_CARD, tar: 'c00000', counter: 0x76 },
    data: '80ca00e00000c0000000',
    packet: '00201115351515c000004d5c2c7f43d3e774316c66ce8e1d5045755bacef5dc83203',
  },
];

const keysOf = ({ keys }: { keys: { kic?: string; kid?: string } }): OtaKeys => ({
  ...(keys.kic ? { kic: fromHex(keys.kic) } : {}),
  ...(keys.kid ? { kid: fromHex(keys.kid) } : {}),
});

const headerOf = (vector: { spi: string; kic: string; kid: string; tar: string }): CommandHeader => ({
  security: decodeSpi(parseInt(vector.spi, 16)),
  kic: parseInt(vector.kic, 16),
  kid: parseInt(vector.kid, 16),
  tar: fromHex(vector.tar),
});

for (const vector of commands) {
  test(`a command packet equals ${vector.source}, and opens`, () => {
    const header = headerOf(vector);
    const command = { ...header, counter: vector.counter, data: fromHex(vector.data) };
    assert.equal(toHex(encodeCommandPacket(command, keysOf(vector))), vector.packet);
    assert.equal(encodeSpi(header.security), parseInt(vector.spi, 16));
    const received = decodeCommandPacket(fromHex(vector.packet), { keysOf: () => keysOf(vector) });
    assert.deepEqual(received, {
      header,
      status: RESPONSE_STATUS.ok,
      counter: vector.counter,
      data: fromHex(vector.data),
    });
  });
}

// All from cards (pySim test_ota.py, docs/smpp-ota-tool.rst; asterix), after the user data header 027100.
const responses = [
  {
    source: 'sysmoISIM AES, ciphered, CC',
    ...{ spi: '0619', kic: '22', kid: '22', keys: SJA5_AES, tar: 'b00011', counter: 0, data: '016132' },
    packet: '002412b00011ebc6b497e2cad7aedf36ace0e3a29b38853f0fe9ccde81913be5702b73abce1f',
  },
  {
    source: 'sysmoISIM 3DES, ciphered, CC',
    ...{ spi: '0619', kic: '35', kid: '35', keys: SJA5_3DES, tar: 'b00011', counter: 0, data: '016132' },
    packet: '001c12b000118bb989492c632529326a2f4681feb37c825bc9021c9f6d0b',
  },
  {
    source: 'sysmoISIM 3DES, CC',
    ...{ spi: '0609', kic: '35', kid: '35', keys: SJA5_3DES, tar: 'b00011', counter: 0, data: '016132' },
    packet: '001612b0001100000000000000b5bcd6353a421fae016132',
  },
  {
    source: 'sysmoISIM 3DES, plain',
    ...{ spi: '0601', kic: '35', kid: '35', keys: SJA5_3DES, tar: 'b00011', counter: 0, data: '016132' },
    packet: '000e0ab0001100000000000000016132',
  },
  {
    source: 'sysmoUSIM 3DES, ciphered, CC',
    ...{ spi: '0619', kic: '35', kid: '35', keys: SYSMO_3DES, tar: 'b00011', counter: 0, data: '01612f' },
    packet: '001c12b000119660ebdb81be189b5e4389e9e7ab2bc0954f963ad869ed7c',
  },
  {
    source: 'sysmoUSIM 3DES, CC',
    ...{ spi: '0609', kic: '35', kid: '35', keys: SYSMO_3DES, tar: 'b00011', counter: 0, data: '01612f' },
    packet: '001612b000110000000000000055f47118381175fb01612f',
  },
  {
    source: 'Gemalto card, 3DES, ciphered, CRC-32, by SMS-SUBMIT',
    ...{ spi: '1535', kic: '15', kid: '15', keys: CRC_CARD, tar: 'c00000', counter: 0x76 },
    data: '019000e012c00401018210c00402018210c00403018210',
    packet: '002c0ec00000888b39c361c66d5f3dc4efcef508cc228021dd34e577b147e54eff18b3922c9176644e2e8aa9a695',
  },
];

for (const vector of responses) {
  test(`the response of a ${vector.source} card opens, and is what we would send`, () => {
    const header = headerOf(vector);
    const response = {
      tar: header.tar,
      counter: vector.counter,
      status: RESPONSE_STATUS.ok,
      data: fromHex(vector.data),
    };
    const secured = vector.spi !== '0601';
    assert.deepEqual(decodeResponsePacket(fromHex(vector.packet), header, keysOf(vector)), {
      ...response,
      secured,
    });
    assert.equal(toHex(encodeResponsePacket(response, header, keysOf(vector))), vector.packet);
  });
}

test('a response whose data was changed is refused', () => {
  const changed = fromHex('001612b000110000000000000055f47118381175fb02612f');
  const vector = { spi: '0609', kic: '35', kid: '35', tar: 'b00011', keys: SYSMO_3DES };
  assert.throws(
    () => decodeResponsePacket(changed, headerOf(vector), keysOf(vector)),
    /^DecodeError: RC\/CC/,
  );
});

test('CRC-16 and CRC-32 equal the examples of TS 102 225 annex B', () => {
  assert.equal(toHex(redundancy('crc16', fromHex('0102030405'))), '22ec');
  assert.equal(toHex(redundancy('crc32', fromHex('0102030405'))), '470b99f4');
});

test('AES-CMAC equals the examples of NIST SP 800-38B annex D', () => {
  const message =
    '6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51' +
    '30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710';
  const keys = {
    128: '2b7e151628aed2a6abf7158809cf4f3c',
    192: '8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b',
    256: '603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4',
  };
  const expected: [keyof typeof keys, number, string][] = [
    [128, 0, 'bb1d6929e95937287fa37d129b756746'],
    [128, 16, '070a16b46b4d4144f79bdd9dd04a287c'],
    [128, 40, 'dfa66747de9ae63030ca32611497c827'],
    [128, 64, '51f0bebf7e3b9d92fc49741779363cfe'],
    [192, 0, 'd17ddf46adaacde531cac483de7a9367'],
    [192, 40, '8a1de5be2eb31aad089a82e6ee908b0e'],
    [256, 16, '28a7023f452e8f82bd4bf28d8c37c35c'],
    [256, 64, 'e1992190549f6ed5696a2c056c315410'],
  ];
  for (const [bits, length, mac] of expected) {
    assert.equal(toHex(aesCmac(fromHex(keys[bits]), fromHex(message).subarray(0, length))), mac);
  }
});

test('a packet rides in an SMS-DELIVER as a sysmoISIM was sent it (pySim 3DES-SJA5-CIPHERED-CC)', () => {
  const bytes =
    '400881214365877ff6227052000000000302700000201506193535b00011ae733256918d050b87c94fbfe12e4dc402f262c41cf67f2f';
  // pySim counted only the header in TP-UDL and set no TP-MMS; the rest is the same.
  const [userData] = encodePacketSms('command', fromHex(commands[0]!.packet));
  const tpdu = encodeTpdu({
    type: 'deliver',
    moreMessages: true,
    originator: { type: 'unknown', plan: 1, value: '12345678' },
    pid: 0x7f,
    dcs: 0xf6,
    timeStamp: { time: Date.UTC(2022, 6, 25), zone: 0 },
    userData: userData!,
  });
  assert.equal(toHex(tpdu), bytes.replace('000000000302', '000000002502'));
  const decoded = decodeTpduToDevice(tpdu);
  assert(decoded.type === 'deliver');
  assert.equal(toHex(decodePacketSms('command', decoded.userData)!), commands[0]!.packet);
});

test('the SMS-SUBMIT of a card with its response opens (asterix, recorded with a card)', () => {
  const tpdu =
    '4100038119f000f631027100002c0ec00000888b39c361c66d5f3dc4efcef508cc228021dd34e577b147e54eff18b3922c9176644e2e8aa9a695';
  const submit = decodeTpduFromDevice(fromHex(tpdu));
  assert(submit.type === 'submit');
  assert.equal(submit.destination.value, '910');
  assert.equal(toHex(decodePacketSms('response', submit.userData)!), responses[6]!.packet);
  assert.equal(toHex(encodeTpdu(submit)), tpdu);
});

test('compact commands and responses are those that cards took and gave', () => {
  const parts = [fromHex('80ca00e000'), fromHex('00c0000000')];
  assert.equal(toHex(encodeCompactCommands(parts)), commands[13]!.data);
  assert.deepEqual(decodeCompactCommands(fromHex(commands[13]!.data)), parts);
  const response = { executed: 1, sw: 0x9000, data: fromHex('e012c00401018210c00402018210c00403018210') };
  assert.deepEqual(decodeCompactResponse(fromHex(responses[6]!.data)), response);
  assert.equal(toHex(encodeCompactResponse(response)), responses[6]!.data);
});

test('an expanded command has the form of TS 102 226 §5.2.1', () => {
  const apdu = fromHex('80f28002024f0000');
  const commandsOf = [{ type: 'apdu' as const, apdu }];
  assert.equal(toHex(encodeExpandedCommands(commandsOf, true)), 'ae802208' + '80f28002024f0000' + '0000');
  assert.equal(toHex(encodeExpandedCommands(commandsOf)), 'aa0a2208' + '80f28002024f0000');
  const long = encodeExpandedCommands([{ type: 'apdu', apdu: new Uint8Array(200) }]);
  assert.equal(toHex(long.subarray(0, 6)), 'aa81cb2281c8');
});
