/**
 * Of alternative 3a: B takes a card over whose keys A knows. First a key set of B's own is added, then under it
 * every set that A knew gets other keys. Where the card has a key agreement key that its manufacturer has
 * certified, the own set is agreed on and Ki is replaced too, so that A cannot follow; else the own set travels
 * under a key that A knows, and A, who reads the first message, can read the second.
 */
import { timingSafeEqual } from 'node:crypto';
import { DecodeError, equal } from '../../standards/bytes/index.ts';
import {
  certificateDay,
  decodeCertificate,
  decodeKeyInformation,
  decodeReceipt,
  encodeDeleteKeySet,
  encodeGetKeyInformation,
  encodeInstallForPersonalisation,
  encodeKeyAgreement,
  encodePutKey,
  isCertified,
  type KeySetAlgorithm,
} from '../../standards/globalplatform/index.ts';
import {
  TAR,
  encodeCompactCommands,
  encodeExpandedCommands,
  type ExpandedCommand,
} from '../../standards/ota/index.ts';
import { EF_ICCID, USIM_AID_PREFIX } from '../../standards/uicc/index.ts';
import type { ManufacturerClient } from '../manufacturer/client.ts';
import { AGREED_KEY, otaLabel, type OtaKeyPair } from '../vault/vault.ts';
import { refuse, type ChangeContext } from './changes.ts';
import type { OtaResult } from '../ota/gateway.ts';
import { RESET } from './remote-files.ts';
import type { Subscriber } from './store.ts';

/** Conditions not satisfied: the card's answer to a new key set whose number is taken. */
const TAKEN = 0x6985;
/** The set that scripts go out under, where a card has it. */
export const KEY_SET = 1;
/** Keys that are on their way to the card as set n wait as set n + 16. */
export const PENDING = 16;
/**
 * Commands of a take-over, in their order: the own set; other keys for each set that A knew; on a hardened card a look
 * at what sets there are, after those of which nobody told are deleted, until it is clean; and the end of it, which on a
 * hardened card is another Ki.
 */
const OWN = 'takeover-own';
const SET = 'takeover-set-';
const LOOK = 'takeover-look-';
const END = 'takeover';
const AGAIN = 'takeover-reset';
/** A card that is never clean is none. */
const MOST_LOOKS = 9;
/** What became of a number that B wanted: somebody has a set there; or the receipt was not of the certified key. */
const BY_OTHERS = 1;
const FORGED = 2;
/** Receipts that do not hold after which the card is not the one that was certified, or A holds the line. */
const MOST_FORGED = 4;
/** Referenced data not found: what was to be deleted is gone already. */
const GONE = 0x6a88;

/** A manufacturer whose certificates count: its public key came not from another operator. */
export interface TrustedManufacturer {
  name: string;
  /** a point of P-256, 65 bytes */
  key: Uint8Array;
  client: ManufacturerClient;
}

export interface TakeOverPart {
  /**
   * Asks the manufacturers for the cards' certificates and keeps what is certified.
   * @returns for each card whether it can be taken over so that its old operator cannot follow
   * @throws Problem while a manufacturer is silent: a card is not weaker because somebody says nothing
   */
  certify(iccids: readonly string[]): Promise<boolean[]>;
  /** @throws Problem `no-kik` if nothing can be replaced */
  takeOver(change: string, subscriber: Subscriber): void;
  /** Has the card reset its terminal, so that it is authenticated with the new Ki. */
  reset(change: string, subscriber: Subscriber): void;
  /** A command of a take-over has its answer. @returns what the feed shall say of it; undefined: it is none */
  proved(change: string, command: string, subscriber: Subscriber, result: OtaResult): string | undefined;
  /** a take-over has begun: the card is B's */
  hasBegun(change: string): boolean;
}

export function createTakeOver(
  context: ChangeContext,
  manufacturers: readonly TrustedManufacturer[],
): TakeOverPart {
  const { edge, store, vault, ota } = context;
  const { database } = store;
  database.exec(`
    CREATE TABLE IF NOT EXISTS certified (iccid TEXT PRIMARY KEY, public_key BLOB NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS agreement (
      change TEXT NOT NULL, key_set INTEGER NOT NULL, ephemeral BLOB NOT NULL, receipt BLOB NOT NULL,
      taken INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (change, key_set)
    ) STRICT;
    CREATE TABLE IF NOT EXISTS renewal (change TEXT PRIMARY KEY, aka BLOB NOT NULL) STRICT;
  `);
  const putCertified = database.prepare(
    'INSERT INTO certified (iccid, public_key) VALUES (?, ?) ON CONFLICT (iccid) DO UPDATE SET public_key = excluded.public_key',
  );
  const dropCertified = database.prepare('DELETE FROM certified WHERE iccid = ?');
  const certifiedKey = database.prepare('SELECT public_key FROM certified WHERE iccid = ?');
  const putAgreement = database.prepare(
    'INSERT INTO agreement (change, key_set, ephemeral, receipt) VALUES (?, ?, ?, ?)',
  );
  const agreements = database.prepare('SELECT * FROM agreement WHERE change = ? ORDER BY rowid');
  const mark = database.prepare('UPDATE agreement SET taken = ? WHERE change = ? AND key_set = ?');
  const putRenewal = database.prepare('INSERT INTO renewal (change, aka) VALUES (?, ?)');
  const renewalOf = database.prepare('SELECT aka FROM renewal WHERE change = ?');
  const dropRenewal = database.prepare('DELETE FROM renewal WHERE change = ?');
  const begun = database.prepare('SELECT 1 FROM ota_message WHERE change = ? AND command = ?');

  const keyOf = (iccid: string): Uint8Array | undefined =>
    certifiedKey.get(iccid)?.public_key as Uint8Array | undefined;

  const certify = async (iccids: readonly string[]): Promise<boolean[]> => {
    const today = certificateDay(edge.clock.now());
    const keys = new Map<string, Uint8Array>();
    for (const { name, key, client } of manufacturers) {
      let certificates: (Uint8Array | undefined)[];
      try {
        certificates = await client.certificates(iccids);
      } catch (error) {
        throw refuse(503, 'manufacturer-silent', `${name} does not answer: ${(error as Error).message}`);
      }
      certificates.forEach((bytes, i) => {
        if (!bytes) return;
        const iccid = iccids[i]!;
        try {
          const certificate = decodeCertificate(bytes);
          const own = equal(certificate.subject, EF_ICCID.encode(iccid));
          if (own && isCertified(certificate, key, today)) keys.set(iccid, certificate.publicKey);
        } catch (error) {
          if (!(error instanceof DecodeError)) throw error;
        }
      });
    }
    store.transaction(() => {
      for (const iccid of iccids) {
        const key = keys.get(iccid);
        if (key) putCertified.run(iccid, key);
        else dropCertified.run(iccid);
      }
    });
    return iccids.map((iccid) => keys.has(iccid));
  };

  const useKeys = <T>(iccid: string, keySet: number, use: (keys: OtaKeyPair) => T): T => {
    const set = store.otaKeys(iccid, keySet)!;
    return vault.withOtaKeys(set.label, set.ota, use);
  };
  const putKey = (
    iccid: string,
    replaces: number,
    keySet: number,
    at: number,
    algorithm: KeySetAlgorithm,
    under: Uint8Array,
  ): Uint8Array =>
    useKeys(iccid, at, ({ kic, kid, kik }) =>
      encodePutKey({ replaces, keySet, algorithm, keys: [kic, kid, kik!], under }),
    );
  const toDomain = (
    change: string,
    command: string,
    { iccid, imsi }: Subscriber,
    keySet: number,
    script: Uint8Array,
  ): void => ota.send({ change, command, iccid, imsi, keySet, tar: TAR.issuerSecurityDomain, script });

  const isOwn = (iccid: string, set: number): boolean =>
    store.otaKeys(iccid, set)?.label.endsWith(' own') ?? false;
  /** Sets of the card as far as they are known here. */
  const setsOf = (iccid: string): number[] => store.otaKeySets(iccid).filter((set) => set < PENDING);
  /** The number of the set that B adds: the first that the card does not have. */
  const ownSet = (iccid: string, taken: readonly number[] = []): number => {
    const sets = setsOf(iccid);
    const own = sets.find((set) => isOwn(iccid, set));
    if (own !== undefined) return own;
    for (let set = 2; set < PENDING; set++) if (!sets.includes(set) && !taken.includes(set)) return set;
    throw refuse(409, 'bad-keys', `card ${iccid} has no room for another key set`);
  };
  const ownLabel = (iccid: string, change: string, set: number): string =>
    `${otaLabel(`${iccid} ${change}`, set)} own`;

  /** Under the KIK that A knows. */
  const addOwn = (change: string, subscriber: Subscriber): void => {
    const { iccid } = subscriber;
    const old = store.otaKeys(iccid, KEY_SET);
    const under = old && useKeys(iccid, KEY_SET, ({ kik }) => kik);
    if (!old || !under) {
      throw refuse(409, 'no-kik', `card ${iccid} has no KIK under which its keys could be replaced`);
    }
    const own = ownSet(iccid);
    const algorithm = old.algorithm as KeySetAlgorithm;
    if (!isOwn(iccid, own)) {
      const label = ownLabel(iccid, change, own);
      const keys = vault.makeOta(label, algorithm);
      store.putOtaKeys({ iccid, keySet: own, algorithm, ota: keys, label, counter: 0 });
    }
    const script = encodeCompactCommands([putKey(iccid, 0, own, own, algorithm, under)]);
    toDomain(change, OWN, subscriber, KEY_SET, script);
  };

  interface Agreement {
    keySet: number;
    ephemeral: Uint8Array;
    receipt: Uint8Array;
    command: string;
  }
  const agreementOf = (change: string): Agreement | undefined => {
    const rows = agreements.all(change);
    const place = rows.findIndex((row) => row.taken === 0);
    const row = rows[place];
    return (
      row && {
        keySet: Number(row.key_set),
        ephemeral: row.ephemeral as Uint8Array,
        receipt: row.receipt as Uint8Array,
        command: place === 0 ? OWN : `${OWN}-${String(row.key_set)}`,
      }
    );
  };

  /** What travels is a public key: A reads it and knows nothing. */
  const agreeOwn = (change: string, subscriber: Subscriber, cardKey: Uint8Array): void => {
    const { iccid } = subscriber;
    if (!agreementOf(change)) {
      const before = agreements.all(change);
      if (before.filter((row) => row.taken === FORGED).length >= MOST_FORGED) {
        throw refuse(409, 'bad-keys', `card ${iccid} has not shown the key that is certified`);
      }
      const taken = before.map((row) => Number(row.key_set));
      const keySet = ownSet(iccid, taken);
      const label = ownLabel(iccid, change, keySet);
      const agreed = vault.agreeOta(label, cardKey, keySet);
      store.transaction(() => {
        store.putOtaKeys({ iccid, keySet, algorithm: 'aes', ota: agreed.ota, label, counter: 0 });
        putAgreement.run(change, keySet, agreed.ephemeral, agreed.receipt);
      });
    }
    const { keySet, ephemeral, command } = agreementOf(change)!;
    const under = setsOf(iccid).find((set) => !isOwn(iccid, set));
    if (under === undefined) throw refuse(409, 'bad-keys', `card ${iccid} has no OTA key set here`);
    const apdu = encodeKeyAgreement({ keySet, keyLength: AGREED_KEY, ephemeral });
    toDomain(change, command, subscriber, under, encodeCompactCommands([apdu]));
  };

  const takeOver: TakeOverPart['takeOver'] = (change, subscriber) => {
    if (ota.resultOf(change, END)?.result === 'done') return;
    const cardKey = keyOf(subscriber.iccid);
    if (cardKey) agreeOwn(change, subscriber, cardKey);
    else addOwn(change, subscriber);
  };

  const newLabel = (iccid: string, change: string, set: number): string =>
    `${otaLabel(`${iccid} ${change}`, set)} new`;
  /** Sets that A knew, and that have not got other keys yet. One of another kind PUT KEY cannot replace. */
  const oldSets = (change: string, iccid: string): number[] => {
    const own = ownSet(iccid);
    const { algorithm } = store.otaKeys(iccid, own)!;
    return setsOf(iccid).filter((set) => {
      const keys = store.otaKeys(iccid, set)!;
      return set !== own && keys.algorithm === algorithm && keys.label !== newLabel(iccid, change, set);
    });
  };

  /** What comes next, now that B has a set of its own. */
  const goOn = (change: string, subscriber: Subscriber): void => {
    const { iccid } = subscriber;
    const old = oldSets(change, iccid);
    const [set] = old;
    const hardened = agreementOf(change) !== undefined;
    if (set === undefined) {
      if (hardened) look(change, subscriber, 1, []);
      return;
    }
    const own = ownSet(iccid);
    const algorithm = store.otaKeys(iccid, set)!.algorithm as KeySetAlgorithm;
    if (!store.otaKeys(iccid, set + PENDING)) {
      const label = newLabel(iccid, change, set);
      const keys = vault.makeOta(label, algorithm);
      store.putOtaKeys({ iccid, keySet: set + PENDING, algorithm, ota: keys, label, counter: 0 });
    }
    const under = useKeys(iccid, own, ({ kik }) => kik!);
    const apdu = putKey(iccid, set, set, set + PENDING, algorithm, under);
    const command = !hardened && old.length === 1 ? END : `${SET}${set}`;
    toDomain(change, command, subscriber, own, encodeCompactCommands([apdu]));
  };

  /** The card has the keys that waited: so has B, from now on. */
  const adoptSet = (iccid: string): void =>
    store.transaction(() => {
      for (const set of store.otaKeySets(iccid)) {
        if (set >= PENDING) store.moveOtaKeys(iccid, set, set - PENDING);
      }
    });

  const look = (change: string, subscriber: Subscriber, n: number, unwanted: readonly number[]): void => {
    const script = encodeCompactCommands([...unwanted.map(encodeDeleteKeySet), encodeGetKeyInformation()]);
    toDomain(change, `${LOOK}${n}`, subscriber, ownSet(subscriber.iccid), script);
  };

  /** Sets on the card that are neither B's own nor replaced by it. @throws DecodeError */
  const unwantedOf = (change: string, iccid: string, data: Uint8Array): number[] => {
    const own = ownSet(iccid);
    const good = setsOf(iccid).filter(
      (set) => set === own || store.otaKeys(iccid, set)!.label === newLabel(iccid, change, set),
    );
    return [...new Set(decodeKeyInformation(data).map(({ keySet }) => keySet))].filter(
      (set) => !good.includes(set),
    );
  };

  /** Nobody but B speaks to the card any more: another Ki, where the card can take it, and a reset to use it. */
  const end = (change: string, subscriber: Subscriber): void => {
    const { aka, label, iccid } = subscriber;
    const own = ownSet(iccid);
    const { algorithm, ownConstants } = vault.describeAka(label!, aka!);
    const commands: ExpandedCommand[] = [{ type: 'apdu', apdu: encodeGetKeyInformation() }];
    if (algorithm !== 'test-xor' && !ownConstants) {
      if (!renewalOf.get(change)) putRenewal.run(change, vault.renewAka(label!, aka!));
      const fresh = renewalOf.get(change)!.aka as Uint8Array;
      commands.unshift(
        { type: 'apdu', apdu: encodeInstallForPersonalisation(USIM_AID_PREFIX) },
        { type: 'apdu', apdu: vault.storeAka(label!, fresh, store.otaKeys(iccid, own)!) },
      );
      commands.push({ type: 'immediateAction', value: RESET });
    }
    toDomain(change, END, subscriber, own, encodeExpandedCommands(commands));
  };

  /** The card has the Ki: so has the authentication centre, from now on. */
  const adoptKi = (change: string, { imsi, iccid, aka, label }: Subscriber): void => {
    const unknown = setsOf(iccid).filter((set) => oldSets(change, iccid).includes(set));
    store.transaction(() => {
      for (const set of unknown) store.dropOtaKeys(iccid, set);
      const renewed = renewalOf.get(change);
      if (!renewed) return;
      store.update(imsi, { aka: renewed.aka as Uint8Array });
      if (aka && label) vault.forgetAka(label, aka);
      dropRenewal.run(change);
    });
  };

  const ownProved = (
    change: string,
    subscriber: Subscriber,
    agreement: Agreement | undefined,
    result: OtaResult,
  ): string => {
    const taken = result.result === 'refused' && result.sw === TAKEN;
    if (!agreement) {
      // Refused as taken: the set is there already, from a time whose answer was lost.
      if (result.result === 'done' || taken) goOn(change, subscriber);
      return result.result;
    }
    if (taken) {
      // Somebody has a set there of which nobody told. B's goes elsewhere, and that one goes when B rules.
      store.dropOtaKeys(subscriber.iccid, agreement.keySet);
      mark.run(BY_OTHERS, change, agreement.keySet);
      agreeOwn(change, subscriber, keyOf(subscriber.iccid)!);
      return result.result;
    }
    if (result.result !== 'done') return result.result;
    // A knows the keys that this proof is under, but not those of the receipt: another number, another time.
    if (!isReceipt(result.data, agreement.receipt)) {
      store.dropOtaKeys(subscriber.iccid, agreement.keySet);
      mark.run(FORGED, change, agreement.keySet);
      return 'forged';
    }
    goOn(change, subscriber);
    return 'done';
  };

  const looked = (change: string, subscriber: Subscriber, n: number, result: OtaResult): string => {
    if (result.result === 'unproven') return result.result;
    if (n >= MOST_LOOKS) return 'refused';
    if (result.result === 'refused') {
      if (result.sw !== GONE) return result.result;
      // Deleted before, and its answer was lost: what is there is asked for alone.
      look(change, subscriber, n + 1, []);
      return 'done';
    }
    const unwanted = unwantedOf(change, subscriber.iccid, result.data);
    if (unwanted.length > 0) look(change, subscriber, n + 1, unwanted);
    else end(change, subscriber);
    return 'done';
  };

  const proved: TakeOverPart['proved'] = (change, command, subscriber, result) => {
    const agreement = agreementOf(change);
    try {
      if (command === OWN || command === agreement?.command) {
        return ownProved(change, subscriber, agreement, result);
      }
      if (command.startsWith(LOOK)) {
        return looked(change, subscriber, Number(command.slice(LOOK.length)), result);
      }
      if (command !== END && !command.startsWith(SET)) return undefined;
      if (result.result !== 'done') return result.result;
      if (command === END && agreement) {
        // Nothing can have come in between: a set comes under a set.
        if (unwantedOf(change, subscriber.iccid, result.data).length > 0) return 'refused';
        adoptKi(change, subscriber);
        return 'done';
      }
      adoptSet(subscriber.iccid);
      if (command !== END) goOn(change, subscriber);
      return 'done';
    } catch (error) {
      if (error instanceof DecodeError) return 'refused';
      throw error;
    }
  };

  return {
    certify,
    takeOver,
    reset(change, subscriber) {
      const script = encodeExpandedCommands([{ type: 'immediateAction', value: RESET }]);
      toDomain(change, AGAIN, subscriber, ownSet(subscriber.iccid), script);
    },
    proved,
    hasBegun: (change) => begun.get(change, OWN) !== undefined,
  };
}

function isReceipt(data: Uint8Array, expected: Uint8Array): boolean {
  try {
    return timingSafeEqual(decodeReceipt(data), expected);
  } catch (error) {
    if (error instanceof DecodeError) return false;
    throw error;
  }
}
