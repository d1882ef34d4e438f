import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DecodeError, FieldError, fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import {
  createNasSecurity,
  eea2,
  eia2,
  isProtected,
  prepareCmac,
  splitProtected,
  type NasSecurityState,
} from '../../../src/standards/nas/index.ts';
import { surviveHostile } from '../hostile.ts';

test('AES-CMAC: RFC 4493 §4', () => {
  const cmac = prepareCmac(fromHex('2b7e151628aed2a6abf7158809cf4f3c'));
  const message = fromHex(
    '6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51' +
      '30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710',
  );
  const want: [number, string][] = [
    [0, 'bb1d6929e95937287fa37d129b756746'],
    [16, '070a16b46b4d4144f79bdd9dd04a287c'],
    [40, 'dfa66747de9ae63030ca32611497c827'],
    [64, '51f0bebf7e3b9d92fc49741779363cfe'],
  ];
  for (const [length, mac] of want) assert.equal(toHex(cmac(message.subarray(0, length))), mac);
});

test('128-EIA2: TS 33.401 annex C.2, the sets of whole bytes', () => {
  const set2 = prepareCmac(fromHex('d3c5d592327fb11c4035c6680af8c6d1'));
  assert.equal(toHex(eia2(set2, 0x398a59b4, 0x1a, 'downlink', fromHex('484583d5afe082ae'))), 'b93787e6');
  const set5 = prepareCmac(fromHex('83fd23a244a74cf358da3019f1722635'));
  const message =
    '35c68716633c66fb750c266865d53c11ea05b1e9fa49c8398d48e1efa5909d39' +
    '47902837f5ae96d5a05bc8d61ca8dbef1b13a4b4abfe4fb1006045b674bb5472' +
    '9304c382be53a5af05556176f6eaa2ef1d05e4b083181ee674cda5a485f74d7a';
  assert.equal(toHex(eia2(set5, 0x36af6144, 0x0f, 'downlink', fromHex(message))), 'e657e182');
});

test('128-EEA2: TS 33.401 annex C.1, sets 1 to 5', () => {
  const sets: [string, number, number, 'uplink' | 'downlink', number, string, string][] = [
    [
      'd3c5d592327fb11c4035c6680af8c6d1',
      0x398a59b4,
      0x15,
      'downlink',
      253,
      '981ba6824c1bfb1ab485472029b71d808ce33e2cc3c0b5fc1f3de8a6dc66b1f0',
      'e9fed8a63d155304d71df20bf3e82214b20ed7dad2f233dc3c22d7bdeeed8e78',
    ],
    [
      '2bd6459f82c440e0952c49104805ff48',
      0xc675a64b,
      0x0c,
      'downlink',
      798,
      '7ec61272743bf1614726446a6c38ced166f6ca76eb5430044286346cef130f92' +
        '922b03450d3a9975e5bd2ea0eb55ad8e1b199e3ec4316020e9a1b285e7627953' +
        '59b7bdfd39bef4b2484583d5afe082aee638bf5fd5a606193901a08f4ab41aab' +
        '9b134880',
      '5961605353c64bdca15b195e288553a910632506d6200aa790c4c806c99904cf' +
        '2445cc50bb1cf168a49673734e081b57e324ce5259c0e78d4cd97b870976503c' +
        '0943f2cb5ae8f052c7b7d392239587b8956086bcab18836042e2e6ce42432a17' +
        '105c53d0',
    ],
    [
      '0a8b6bd8d9b08b08d64e32d1817777fb',
      0x544d49cd,
      0x04,
      'uplink',
      310,
      'fd40a41d370a1f65745095687d47ba1d36d2349e23f644392c8ea9c49d40c13271aff264d0f24800',
      '75750d37b4bba2a4dedb34235bd68c6645acdaaca48138a3b0c471e2a7041a576423d2927287f000',
    ],
    [
      'aa1f95aea533bcb32eb63bf52d8f831a',
      0x72d8c671,
      0x10,
      'downlink',
      1022,
      'fb1b96c5c8badfb2e8e8edfde78e57f2ad81e74103fc430a534dcc37afcec70e' +
        '1517bb06f27219dae49022ddc47a068de4c9496a951a6b09edbdc864c7adbd74' +
        '0ac50c022f3082bafd22d78197c5d508b977bca13f32e652e74ba728576077ce' +
        '628c535e87dc6077ba07d29068590c8cb5f1088e082cfa0ec961302d69cf3d44',
      'dfb440acb3773549efc04628aeb8d8156275230bdc690d94b00d8d95f28c4b56' +
        '307f60f4ca55eba661ebba72ac808fa8c49e26788ed04a5d606cb418de74878b' +
        '9a22f8ef29590bc4eb57c9faf7c41524a885b8979c423f2f8f8e0592a9879201' +
        'be7ff9777a162ab810feb324ba74c4c156e04d39097209653ac33e5a5f2d8864',
    ],
    [
      '9618ae46891f86578eebe90ef7a1202e',
      0xc675a64b,
      0x0c,
      'downlink',
      1245,
      '8daa17b1ae050529c6827f28c0ef6a1242e93f8b314fb18a77f790ae049fedd6' +
        '12267fecaefc450174d76d9f9aa7755a30cd90a9a5874bf48eaf70eea3a62a25' +
        '0a8b6bd8d9b08b08d64e32d1817777fb544d49cd49720e219dbf8bbed33904e1' +
        'fd40a41d370a1f65745095687d47ba1d36d2349e23f644392c8ea9c49d40c132' +
        '71aff264d0f24841d6465f0996ff84e65fc517c53efc3363c38492a8',
      '919c8c33d66789703d05a0d7ce82a2aeac4ee76c0f4da050335e8a84e7897ba5' +
        'df2f36bd513e3d0c8578c7a0fcf043e03aa3a39fbaad7d15be074faa5d9029f7' +
        '1fb457b647834714b0e18f117fca10677945096c8c5f326ba8d6095eb29c3e36' +
        'cf245d1622aafe921f7566c4f5d644f2f1fc0ec684ddb21349747622e209295d' +
        '27ff3f95623371d49b147c0af486171f22cd04b1cbeb2658223e6938',
    ],
  ];
  for (const [key, count, bearer, direction, bits, plain, want] of sets) {
    const got = eea2(fromHex(key), count, bearer, direction, fromHex(plain));
    // The sets end within a byte, with zeros after it.
    const bitsOf = (bytes: Uint8Array): string =>
      [...bytes]
        .map((byte) => byte.toString(2).padStart(8, '0'))
        .join('')
        .slice(0, bits);
    assert.equal(bitsOf(got), bitsOf(fromHex(want)));
  }
});

const state = (more: Partial<NasSecurityState> = {}): NasSecurityState => ({
  ksi: 0,
  kAsme: fromHex('70d7071aa016a087f9d888ad51f3a83e2c83443ab27843b35bd1b4923615091c'),
  eea: 2,
  eia: 2,
  uplink: 0,
  downlink: 0,
  ...more,
});

test('what one side protects, the other opens: any header, any count, across the overflow', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 2, maxLength: 80 }),
      fc.integer({ min: 1, max: 4 }),
      // Room for the counts that a mistakable ciphertext skips.
      fc.nat(2 ** 24 - 260),
      fc.nat(200),
      fc.constantFrom(0, 2),
      (message, headerType, start, lost, eea) => {
        const device = createNasSecurity(state({ uplink: start + lost, eea }));
        const network = createNasSecurity(state({ uplink: start, eea }));
        const bytes = device.protect(message, 'uplink', headerType);
        assert.ok(isProtected(bytes));
        assert.equal(splitProtected(bytes).headerType, headerType);
        assert.deepEqual(network.unprotect(bytes, 'uplink'), { headerType, plain: message });
        assert.equal(network.state.uplink, device.state.uplink);
        // Not twice, not from the other side, not bent.
        const { uplink, downlink } = network.state;
        assert.equal(network.unprotect(bytes, 'uplink'), undefined);
        assert.equal(network.unprotect(bytes, 'downlink'), undefined);
        const bent = Uint8Array.from(bytes);
        bent[bytes.length - 1]! ^= 1;
        assert.equal(createNasSecurity(state({ uplink: start, eea })).unprotect(bent, 'uplink'), undefined);
        assert.deepEqual([network.state.uplink, network.state.downlink], [uplink, downlink]);
      },
    ),
  );
});

test('a ciphered message hides its content, an integrity-protected one does not', () => {
  const message = fromHex('0762020102030405060708');
  const hidden = createNasSecurity(state()).protect(message, 'downlink', 2);
  assert.ok(!toHex(hidden).includes('0102030405060708'));
  assert.ok(toHex(createNasSecurity(state()).protect(message, 'downlink', 1)).endsWith(toHex(message)));
});

test('the last of 2^24 counts is used, then no more', () => {
  const device = createNasSecurity(state({ uplink: 2 ** 24 - 1 }));
  device.protect(fromHex('0746'), 'uplink', 2);
  assert.throws(() => device.protect(fromHex('0746'), 'uplink', 2), /^FieldError: NAS COUNT/);
});

test('EIA0 passes only where it is allowed', () => {
  assert.throws(() => createNasSecurity(state({ eia: 0 })), /^FieldError: eia: 0/);
  assert.throws(() => createNasSecurity(state({ eea: 1 })), FieldError);
  const emergency = createNasSecurity(state({ eia: 0, eea: 0 }), { nullIntegrity: true });
  assert.equal(toHex(emergency.protect(fromHex('0746'), 'uplink', 1)), '17' + '00000000' + '00' + '0746');
});

test('hostile bytes: not genuine, or an error that names a field', () => {
  const security = createNasSecurity(state());
  const valid = [1, 2, 3, 4].map((type) =>
    createNasSecurity(state()).protect(fromHex('07620401020304'), 'downlink', type),
  );
  const open = (bytes: Uint8Array): ReturnType<typeof security.unprotect> => {
    security.state.downlink = 0;
    return security.unprotect(bytes, 'downlink');
  };
  // The code covers all but the header type: bending that alone swaps ciphered and not.
  surviveHostile(open, valid, undefined, (opened) => {
    if (opened !== undefined) assert.equal(opened.plain.length, 7);
  });
  assert.throws(() => splitProtected(fromHex('c70000')), DecodeError);
});

test('no ciphertext begins like a plain message, and the receiver follows the counts that were passed over', () => {
  const device = createNasSecurity(state());
  const network = createNasSecurity(state());
  const message = fromHex('075f01');
  let skipped = 0;
  for (let i = 0; i < 400; i++) {
    const before = device.state.uplink;
    const sent = device.protect(message, 'uplink', 2);
    skipped += device.state.uplink - before - 1;
    assert.ok(![2, 7, 15].includes(sent[6]! & 0x0f));
    assert.equal(toHex(network.unprotect(sent, 'uplink')!.plain), toHex(message));
  }
  // Three of sixteen first nibbles are passed over.
  assert.ok(skipped > 40 && skipped < 160, String(skipped));
  const plain = createNasSecurity(state(), { unmistakable: false });
  for (let i = 0; i < 50; i++) plain.protect(message, 'uplink', 2);
  assert.equal(plain.state.uplink, state().uplink + 50);
});
