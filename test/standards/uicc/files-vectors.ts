/** Files of a card with what they mean, and hostile bytes for each of them. */
import { fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import * as uicc from '../../../src/standards/uicc/index.ts';
import { surviveHostile } from '../hostile.ts';

const blank = (length: number): string => 'ff'.repeat(length);
const international = uicc.international;

/**
 * Content and meaning. Files marked "card": as real cards hold them, published with pySim; the others are
 * written out from the coding in TS 31.102, TS 102 221 and TS 51.011.
 */
export const vectors: [uicc.ElementaryFile<never>, string, unknown][] = [];
function vector<T>(file: uicc.ElementaryFile<T>, hex: string, value: T): void {
  vectors.push([file as uicc.ElementaryFile<never>, hex.replaceAll(' ', ''), value]);
}

vector(uicc.EF_ICCID, '988812010000400310f0', '8988211000000430010'); // card
vector(uicc.EF_PL, '656e64657275ffffffff', ['en', 'de', 'ru', undefined, undefined]); // card
vector(uicc.EF_PL, '6465ffff', ['de', undefined]);
vector(uicc.EF_LI, '656effff', ['en', undefined]);
vector(
  uicc.EF_DIR,
  '61294f10a0000000871002ffffffff890709000050055553696d31730ea00c80011781025f608203454150',
  {
    aid: fromHex('a0000000871002ffffffff8907090000'),
    label: 'USim1',
    other: [{ tag: 0x73, value: fromHex('a00c80011781025f608203454150') }],
  },
); // card
vector(uicc.EF_DIR, blank(38), undefined);
vector(uicc.EF_ARR, `80010390 00${blank(4)}`, [{ mode: 3, condition: 'always' }]);
vector(uicc.EF_ARR_USIM, `800101a406830101950108${blank(4)}`, [{ mode: 1, condition: { pin: 1 } }]);
vector(uicc.EF_IMSI, '080910101032547698', '001010123456789');
vector(uicc.EF_IMSI, '0801101010325476f8', '00101012345678');
vector(uicc.EF_IMSI, '04110000f0ffffffff', '100000');
vector(uicc.EF_AD, '00000002', { mode: 0, information: 0, mncLength: 2 }); // card
vector(uicc.EF_AD, '010001020a', { mode: 1, information: 1, mncLength: 2, more: fromHex('0a') });
vector(uicc.EF_ACC, '0008', 8);
vector(uicc.EF_UST, '000e04', [10, 11, 12, 19]);
vector(uicc.EF_EST, '04', [3]);
// card, each of the four with a text or a name
vector(
  uicc.EF_IMPI,
  `803137333830303630303030303031303140696d732e6d6e633030302e6d63633733382e336770706e6574776f726b2e6f7267${blank(9)}`,
  '738006000000101@ims.mnc000.mcc738.3gppnetwork.org',
);
vector(
  uicc.EF_DOMAIN,
  '8021696d732e6d6e633030302e6d63633733382e336770706e6574776f726b2e6f7267',
  'ims.mnc000.mcc738.3gppnetwork.org',
);
vector(
  uicc.EF_IMPU,
  '80357369703a37333830303630303030303031303140696d732e6d6e633030302e6d63633733382e336770706e6574776f726b2e6f7267ffff',
  'sip:738006000000101@ims.mnc000.mcc738.3gppnetwork.org',
);
vector(
  uicc.EF_PCSCF,
  '802c0070637363662e696d732e6d6e633030302e6d63633733382e7075622e336770706e6574776f726b2e6f7267',
  { type: 'fqdn', name: 'pcscf.ims.mnc000.mcc738.pub.3gppnetwork.org' },
);
vector(uicc.EF_PCSCF, `800501c0a80c22${blank(5)}`, { type: 'ipv4', address: fromHex('c0a80c22') }); // card
vector(uicc.EF_PCSCF, '801102fe800000000000000042d7fffe530335', {
  type: 'ipv6',
  address: fromHex('fe800000000000000042d7fffe530335'),
}); // card
vector(uicc.EF_PCSCF, blank(20), undefined);
vector(uicc.EF_IMPI, blank(60), undefined);
vector(uicc.EF_IMPU, blank(64), undefined);
vector(uicc.EF_IMPU, '801174656c3a2b383832313030303030303031ff', 'tel:+882100000001');
vector(uicc.EF_DOMAIN, '80036f7267ffff', 'org');
vector(uicc.EF_AD_ISIM, '000000', { mode: 0, information: 0 });
vector(uicc.EF_AD_ISIM, '80000102', { mode: 0x80, information: 1, more: fromHex('02') });
vector(uicc.EF_IST, '11', [1, 5]);
vector(uicc.EF_ARR_ISIM, `800101a406830101950108${blank(4)}`, [{ mode: 1, condition: { pin: 1 } }]);
vector(uicc.EF_KEYS, `07${'11'.repeat(16)}${'22'.repeat(16)}`, {
  ksi: 7,
  ck: new Uint8Array(16).fill(0x11),
  ik: new Uint8Array(16).fill(0x22),
});
vector(uicc.EF_KEYSPS, `00${'33'.repeat(16)}${'44'.repeat(16)}`, {
  ksi: 0,
  ck: new Uint8Array(16).fill(0x33),
  ik: new Uint8Array(16).fill(0x44),
});
vector(uicc.EF_HPLMNWACT, '62f210400062f2108000', [
  { plmn: '26201', act: uicc.ACT.eUtran },
  { plmn: '26201', act: uicc.ACT.utran },
]); // card
vector(uicc.EF_OPLMNWACT, '62f220488cffffff0000', [{ plmn: '26202', act: 0x488c }]); // card
vector(uicc.EF_PLMNWACT, '0011000080ffffff0000', [{ plmn: '001001', act: 0x80 }]);
vector(uicc.EF_FPLMN, '62f210ffffffffffff130064', ['26201', '310460']);
vector(uicc.EF_EHPLMN, '00f110ffffff', ['00101']);
vector(uicc.EF_HPPLMN, '05', 5); // card
vector(uicc.EF_LOCI, '47d1264a62f21037211e00', {
  tmsi: fromHex('47d1264a'),
  area: { plmn: '26201', code: 0x3721 },
  reserved: 0x1e,
  status: 0,
}); // card
vector(uicc.EF_LOCI, 'ffffffffffffff0000ff01', { tmsi: fromHex('ffffffff'), reserved: 0xff, status: 1 });
vector(uicc.EF_PSLOCI, 'c0112233aabbcc62f21000010500', {
  ptmsi: fromHex('c0112233'),
  signature: fromHex('aabbcc'),
  area: { plmn: '26201', code: 1 },
  routingArea: 5,
  status: 0,
});
vector(uicc.EF_EPSLOCI, '0bf600f1108001020a0b0c0d00f110000700', {
  guti: { plmn: '00101', mmeGroup: 0x8001, mmeCode: 2, mTmsi: 0x0a0b0c0d },
  area: { plmn: '00101', code: 7 },
  status: 0,
});
vector(uicc.EF_EPSLOCI, `${blank(12)}ffffff000001`, { status: 1 });
vector(uicc.EF_EPSNSC, `a0348001038120${'5a'.repeat(32)}820400000007830400000009840102${blank(2)}`, {
  ksi: 3,
  kAsme: new Uint8Array(32).fill(0x5a),
  uplinkCount: 7,
  downlinkCount: 9,
  algorithms: 2,
});
vector(uicc.EF_EPSNSC, blank(80), undefined);
vector(uicc.EF_SPN, `01${toHex(new TextEncoder().encode('Blue'))}${blank(12)}`, { display: 1, name: 'Blue' });
vector(uicc.EF_SPN, `0080041104180411ffff${blank(7)}`, { display: 0, name: 'БИБ' });
vector(
  uicc.EF_SMSP,
  '534d5343ffffffffffffffffffffffffe1ffffffffffffffffffffffff0891945197109099f9ffffff0000a9',
  {
    alpha: 'SMSC',
    serviceCentre: international('4915790109999'),
    pid: 0,
    dcs: 0,
    validity: 169,
  },
); // card
vector(uicc.EF_SMSP, `fe05912143f5${blank(22)}`, {
  alpha: '',
  destination: international('12345'),
});
vector(uicc.EF_SMS, `0107919471690000f0${'04'}${'00'.repeat(3)}${blank(163)}`, {
  status: 1,
  serviceCentre: international('49179600000'),
  tpdu: fromHex(`04000000${blank(163)}`),
});
vector(uicc.EF_SMS, `00${blank(175)}`, { status: 0, tpdu: new Uint8Array() });
vector(uicc.EF_SMSS, '2aff', { lastReference: 42, memoryFull: false });
vector(uicc.EF_SMSS, '2afe', { lastReference: 42, memoryFull: true });
vector(uicc.EF_MSISDN, '456967656e65205275666e756d6d6572ffffffff0891947172199181f3ffffffffff', {
  alpha: 'Eigene Rufnummer',
  number: international('4917279119183'),
  configuration: 0xff,
  extension: 0xff,
}); // card
vector(uicc.EF_MSISDN, blank(28), { alpha: '', configuration: 0xff, extension: 0xff });
vector(uicc.EF_START_HFN, 'f00000f00000', { cs: 0xf00000, ps: 0xf00000 }); // card
vector(uicc.EF_THRESHOLD, 'f01000', 15732736); // card
vector(uicc.EF_ECC, '19f1ff01', { code: '911', category: 1 }); // card
vector(uicc.EF_ECC, `1121ff534f53ffffff02`, { code: '1112', category: 2, label: 'SOS' });
vector(uicc.EF_ECC, blank(14), undefined);
vector(uicc.EF_ACL, '01dd0d03696f7408696e7465726e6574ff', ['iot.internet']);
vector(uicc.EF_ACL, '02dd00dd0403617061ffff', ['', 'apa']);

/** What a file accepts it can write again; all else is refused. @param inputs for each file */
export function filesSurviveHostile(inputs?: number): void {
  for (const file of new Set(vectors.map(([file]) => file))) {
    const samples = vectors.filter(([other]) => other === file).map(([, hex]) => fromHex(hex));
    surviveHostile(
      (bytes) => file.decode(bytes),
      samples,
      // A text that came in a UCS2 form we do not write may need more room.
      ['EF.SPN', 'EF.SMSP', 'EF.MSISDN', 'EF.ECC', 'EF.DIR'].includes(file.name)
        ? undefined
        : (value, length) => file.encode(value, length),
      undefined,
      inputs,
    );
  }
}
