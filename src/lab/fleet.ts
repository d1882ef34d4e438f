/** A fleet as it leaves the factory: cards with their lists, the vendor's file for A, the escrow's pairs. */
import type { CardFile } from '../device/uicc/index.ts';
import type { OwnedDevice } from '../network/owner/owner.ts';
import type { OperatorProfile } from '../network/operator/profile.ts';
import type { EscrowedPair } from '../network/escrow/escrow.ts';
import { toHex } from '../standards/bytes/index.ts';
import { luhnDigit } from '../standards/uicc/index.ts';
import { seededRandom } from './random.ts';

/** Pairs on each card, index 0 included. */
const PAIRS = 4;
/** Issuer identification of the lab's cards: 89, country 999 (none), issuer 00. */
const ISSUER = '8999900';
/** Type allocation code of the lab's devices, from the range for test equipment (TS.06: 00). */
const TYPE_ALLOCATION = '00101234';

export interface MadeDevice {
  name: string;
  imei: string;
  card: CardFile;
}

export interface MadeFleet {
  devices: MadeDevice[];
  /** the vendor's card data for operator A */
  csv: string;
  pairs: EscrowedPair[];
  owned: OwnedDevice[];
}

/**
 * @param operator A, whose subscriptions the cards come with
 */
export function makeFleet(count: number, seed: number, operator: OperatorProfile): MadeFleet {
  const random = seededRandom(seed, 'factory');
  const key = (): Uint8Array => random.bytes(16);
  const hex = (bytes: Uint8Array): string => toHex(bytes);
  const fleet: MadeFleet = { devices: [], csv: 'ICCID,IMSI,MSISDN,Ki,OPC,KIC1,KID1\n', pairs: [], owned: [] };
  for (let i = 1; i <= count; i++) {
    const body = ISSUER + String(i).padStart(11, '0');
    const iccid = body + luhnDigit(body);
    const imsi = operator.plmn + String(i).padStart(15 - operator.plmn.length, '0');
    const msisdn = operator.msisdnPrefix + String(i).padStart(8, '0');
    const imeiBody = TYPE_ALLOCATION + String(i).padStart(6, '0');
    const imei = imeiBody + luhnDigit(imeiBody);
    const name = `device-${i}`;
    const pairs = Array.from({ length: PAIRS }, (_, index) => ({
      index,
      k: key(),
      opc: key(),
      kic: key(),
      kid: key(),
    }));
    const first = pairs[0]!;
    fleet.csv += `${[iccid, imsi, msisdn, ...[first.k, first.opc, first.kic, first.kid].map(hex)].join(',')}\n`;
    for (const { index, k, opc, kic, kid } of pairs.slice(1)) {
      fleet.pairs.push({ iccid, index, aka: { algorithm: 'milenage', k, opc }, ota: { kic, kid } });
    }
    const digits = (length: number): string =>
      [...random.bytes(length)].map((byte) => String(byte % 10)).join('');
    fleet.devices.push({
      name,
      imei,
      card: {
        format: 'rehome-card/1',
        iccid,
        pin1: digits(4),
        puk1: digits(8),
        pin2: digits(4),
        puk2: digits(8),
        adm1: digits(8),
        pinStatus: { pin1: { enabled: false } },
        usim: {
          imsi,
          mncLength: operator.plmn.length === 6 ? 3 : 2,
          algorithm: 'milenage',
          k: hex(first.k),
          opc: hex(first.opc),
          msisdn,
          serviceCentre: operator.serviceCentre,
          spn: operator.serviceProviderName,
          apn: operator.apn,
        },
        keyList: {
          pairs: pairs.map(({ index, k, opc, kic, kid }) => ({
            index,
            state: index === 0 ? 'current' : 'unused',
            k: hex(k),
            opc: hex(opc),
            kic: hex(kic),
            kid: hex(kid),
          })),
          next: 1,
        },
      },
    });
    fleet.owned.push({ device: name, iccid, imei, operator: operator.name, imsi });
  }
  return fleet;
}
