/** A fleet as it leaves the factory: cards of each kind, the vendor's file for A, the escrow's pairs. */
import type { Random } from '../edge/index.ts';
import type { CardFile } from '../device/uicc/index.ts';
import type { OwnedDevice } from '../network/owner/owner.ts';
import type { OperatorProfile } from '../network/operator/profile.ts';
import type { AgentKeys } from '../network/ota-agent/agent.ts';
import type { EscrowedPair } from '../network/escrow/escrow.ts';
import type { SubscriberKey } from '../standards/aka/index.ts';
import { concat, toHex } from '../standards/bytes/index.ts';
import { publicKeyOf } from '../standards/globalplatform/index.ts';
import { FALLBACK_TAR, KEY_LIST_TAR, TAR } from '../standards/ota/index.ts';
import { luhnDigit } from '../standards/uicc/index.ts';
import { seededRandom } from './random.ts';

/** Alternatives that the lab can run. */
export const LAB_ALTERNATIVES = ['2', '3a', '3b'] as const;
export type LabAlternative = (typeof LAB_ALTERNATIVES)[number];

/**
 * Variants of 3b. `escrow`: who keeps the lists is not the manufacturer. `agent`: who switches the cards is neither A
 * nor B.
 */
export const LAB_VARIANTS = ['escrow', 'agent'] as const;
export type LabVariant = (typeof LAB_VARIANTS)[number];

/**
 * What a card can do: 3b's list; 3a's fall-back application, and besides it a certified key agreement key; or nothing
 * but remote file management.
 */
export type CardClass = 'keyList' | 'fallback' | 'hardened' | 'plain';

/** Of the cards of 3a every second can fall back, and every second of these is hardened. */
const KEY_TRANSFER_CLASSES: readonly CardClass[] = ['plain', 'fallback', 'plain', 'hardened'];

/** The manufacturer's word for a card's key agreement key (65 bytes). */
export type Certify = (iccid: string, publicKey: Uint8Array) => Uint8Array;

/** What cards without a key list compute. */
export type LabAlgorithm = 'milenage' | 'tuak';

/** An OTA agent's set on a card with a list, whose pair has set 1. */
const AGENT_KEY_SET = 2;
/** Pairs on each card of 3b, index 0 included. */
const PAIRS = 4;
/** Issuer identification of the lab's cards: 89, country 999 (none), issuer 00. */
export const ISSUER = '8999900';
/** Type allocation code of the lab's devices, from the range for test equipment (TS.06: 00). */
const TYPE_ALLOCATION = '00101234';
const COLUMNS = 'ICCID,IMSI,MSISDN,Ki,OPC,KIC1,KID1,KIK1,PIN1,PUK1,PIN2,PUK2,ADM1,APPLETS,ALGORITHM,TOPC';

export interface MadeDevice {
  name: string;
  alternative: LabAlternative;
  class: CardClass;
  imei: string;
  card: CardFile;
}

/** A card of B's that no device has yet, in the technician's box. */
export interface BoxedCard {
  iccid: string;
  card: CardFile;
}

export interface MadeFleet {
  devices: MadeDevice[];
  /** the vendor's card data for operator A; for B's stock; B's cards themselves */
  csv: string;
  stock: string;
  box: BoxedCard[];
  pairs: EscrowedPair[];
  /** key sets of an OTA agent on the cards with a list */
  agentKeys: AgentKeys[];
  owned: OwnedDevice[];
}

const APPLETS: Record<CardClass, readonly Uint8Array[]> = {
  keyList: [TAR.rfmIsim, KEY_LIST_TAR],
  fallback: [TAR.rfmIsim, FALLBACK_TAR],
  hardened: [TAR.rfmIsim, FALLBACK_TAR],
  plain: [TAR.rfmIsim],
};

/** How many devices each alternative has: even shares, what is left over to the first. */
export function shares(count: number, alternatives: readonly LabAlternative[]): LabAlternative[] {
  const each = Math.floor(count / alternatives.length);
  return alternatives.flatMap((alternative, i) =>
    new Array<LabAlternative>(each + (i === 0 ? count - each * alternatives.length : 0)).fill(alternative),
  );
}

interface Made {
  iccid: string;
  imsi: string;
  csvLine: string;
  card: CardFile;
  pairs: EscrowedPair[];
}

/** A card of an operator, with the line of the vendor's file that belongs to it. */
function makeCard(
  random: Random,
  i: number,
  cardClass: CardClass,
  operator: OperatorProfile,
  algorithm: LabAlgorithm,
  certify: Certify | undefined,
): Made {
  const key = (): Uint8Array => random.bytes(16);
  const body = ISSUER + operator.plmn.slice(-1) + String(i).padStart(10, '0');
  const iccid = body + luhnDigit(body);
  const imsi = operator.plmn + String(i).padStart(15 - operator.plmn.length, '0');
  const msisdn = operator.msisdnPrefix + String(i).padStart(8, '0');
  const pairs = Array.from({ length: cardClass === 'keyList' ? PAIRS : 1 }, (_, index) => ({
    index,
    k: key(),
    opc: key(),
    kic: key(),
    kid: key(),
  }));
  const first = pairs[0]!;
  // Of TUAK, whose K and TOPc have 256 bits each.
  const own: SubscriberKey =
    algorithm === 'tuak' && cardClass !== 'keyList'
      ? { algorithm, k: concat(first.k, key()), topc: concat(first.opc, key()) }
      : { algorithm: 'milenage', k: first.k, opc: first.opc };
  // The list's own keys are never replaced by PUT KEY: they have no KIK.
  const kik = cardClass === 'keyList' ? undefined : key();
  const digits = (length: number): string =>
    [...random.bytes(length)].map((byte) => String(byte % 10)).join('');
  const codes = { pin1: digits(4), puk1: digits(8), pin2: digits(4), puk2: digits(8), adm1: digits(8) };
  const casd = cardClass === 'hardened' && certify ? random.bytes(32) : undefined;
  const cells = [
    iccid,
    imsi,
    msisdn,
    toHex(own.k),
    own.opc ? toHex(own.opc) : '',
    ...[first.kic, first.kid].map(toHex),
    kik ? toHex(kik) : '',
    ...Object.values(codes),
    APPLETS[cardClass].map(toHex).join(' '),
    own.algorithm,
    own.topc ? toHex(own.topc) : '',
  ];
  return {
    iccid,
    imsi,
    csvLine: `${cells.join(',')}\n`,
    pairs: pairs.slice(1).map(({ index, k, opc, kic, kid }) => ({
      iccid,
      index,
      aka: { algorithm: 'milenage', k, opc },
      ota: { kic, kid },
    })),
    card: {
      format: 'rehome-card/1',
      iccid,
      ...codes,
      pinStatus: { pin1: { enabled: false } },
      usim: {
        imsi,
        mncLength: operator.plmn.length === 6 ? 3 : 2,
        algorithm: own.algorithm,
        k: toHex(own.k),
        ...(own.opc && { opc: toHex(own.opc) }),
        ...(own.topc && { topc: toHex(own.topc) }),
        msisdn,
        serviceCentre: operator.serviceCentre,
        spn: operator.serviceProviderName,
        apn: operator.apn,
      },
      ...(kik && {
        ota: {
          keySets: [
            { number: 1, algorithm: 'aes', kic: toHex(first.kic), kid: toHex(first.kid), kik: toHex(kik) },
          ],
        },
      }),
      ...((cardClass === 'fallback' || cardClass === 'hardened') && { fallback: {} }),
      ...(casd && {
        casd: { privateKey: toHex(casd), certificate: toHex(certify!(iccid, publicKeyOf(casd))) },
      }),
      ...(cardClass === 'keyList' && {
        keyList: {
          pairs: pairs.map(({ index, k, opc, kic, kid }) => ({
            index,
            state: index === 0 ? 'current' : 'unused',
            k: toHex(k),
            opc: toHex(opc),
            kic: toHex(kic),
            kid: toHex(kid),
          })),
          next: 1,
        },
      }),
    },
  };
}

/**
 * @param from A, whose subscriptions the cards come with
 * @param to B, whose cards wait in a box
 * @param options.algorithm of cards without a key list @param options.certify for hardened cards: there are none without
 * @param options.agent an OTA agent has a key set on the cards with a list
 */
export function makeFleet(
  count: number,
  alternatives: readonly LabAlternative[],
  seed: number,
  from: OperatorProfile,
  to: OperatorProfile,
  options: { algorithm?: LabAlgorithm; certify?: Certify; agent?: boolean } = {},
): MadeFleet {
  const { algorithm = 'milenage', certify } = options;
  const random = seededRandom(seed, 'factory');
  const fleet: MadeFleet = {
    devices: [],
    csv: `${COLUMNS}\n`,
    stock: `${COLUMNS}\n`,
    box: [],
    pairs: [],
    agentKeys: [],
    owned: [],
  };
  for (const [place, alternative] of shares(count, alternatives).entries()) {
    const i = place + 1;
    const wanted: CardClass =
      alternative === '3b'
        ? 'keyList'
        : alternative === '3a'
          ? KEY_TRANSFER_CLASSES[place % KEY_TRANSFER_CLASSES.length]!
          : 'plain';
    const cardClass = wanted === 'hardened' && !certify ? 'fallback' : wanted;
    const { iccid, imsi, csvLine, card, pairs } = makeCard(random, i, cardClass, from, algorithm, certify);
    const imeiBody = TYPE_ALLOCATION + String(i).padStart(6, '0');
    const imei = imeiBody + luhnDigit(imeiBody);
    const name = `device-${i}`;
    if (options.agent && cardClass === 'keyList') {
      const keys = { kic: random.bytes(16), kid: random.bytes(16) };
      fleet.agentKeys.push({ iccid, keySet: AGENT_KEY_SET, keys });
      const [kic, kid] = [toHex(keys.kic), toHex(keys.kid)];
      const tars = [toHex(KEY_LIST_TAR)];
      card.ota = { keySets: [{ number: AGENT_KEY_SET, algorithm: 'aes', kic, kid, tars }] };
    }
    fleet.csv += csvLine;
    fleet.pairs.push(...pairs);
    fleet.devices.push({ name, alternative, class: cardClass, imei, card });
    fleet.owned.push({ device: name, iccid, imei, operator: from.name, imsi });
    if (alternative === '2') {
      const boxed = makeCard(random, i, 'plain', to, algorithm, certify);
      fleet.stock += boxed.csvLine;
      fleet.box.push({ iccid: boxed.iccid, card: boxed.card });
    }
  }
  return fleet;
}
