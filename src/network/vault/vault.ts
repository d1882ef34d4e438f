/**
 * Where long-term keys live. A role keeps them sealed in its database and has the vault compute; nothing
 * else reads Ki. `label` names what a key is for (an IMSI, or ICCID and index) and is bound into the seal.
 */
import type { JWK } from 'jose';
import type { AuthenticationVector, SubscriberKey } from '../../standards/aka/index.ts';
import type { OtaAlgorithm } from '../../standards/ota/index.ts';

/** KIc and KID of one OTA key set (TS 102 225 §5.1), and KIK where it has one: 16, 24 or 32 bytes each. */
export interface OtaKeyPair {
  kic: Uint8Array;
  kid: Uint8Array;
  kik?: Uint8Array;
}

/** PINs, unblocking codes and administrative code of a card, as text; those that its vendor gave. */
export interface CardCodes {
  pin1?: string;
  puk1?: string;
  pin2?: string;
  puk2?: string;
  adm1?: string;
}

/** An OTA key set, sealed. */
export interface SealedOta {
  /** 1–15 */
  keySet: number;
  algorithm: OtaAlgorithm;
  /** what the seal is bound to */
  label: string;
  ota: Uint8Array;
}

/** What an authentication centre must support for a key; nothing of it is secret. */
export interface AlgorithmProfile {
  algorithm: SubscriberKey['algorithm'];
  resLength: number;
  /** Milenage with constants of the operator's own (TS 35.206 §5.3) */
  ownConstants: boolean;
}

/** All secrets of a subscription on a card, sealed. */
export interface SecretBundle {
  aka: Uint8Array;
  ota: readonly SealedOta[];
  /** CardCodes */
  codes?: Uint8Array;
}

/** Bytes of the AES keys that are agreed on with a card. */
export const AGREED_KEY = 16;

/** What the seal of a card's OTA key set is bound to. */
export const otaLabel = (label: string, keySet: number): string => `${label} set ${keySet}`;

export interface KeyVault {
  /** to which others wrap keys for this vault */
  readonly publicKey: JWK;
  sealAka(label: string, key: SubscriberKey): Uint8Array;
  sealOta(label: string, keys: OtaKeyPair): Uint8Array;
  /** A new OTA key set with KIK, drawn in here and sealed. */
  makeOta(label: string, algorithm: OtaAlgorithm): Uint8Array;
  /**
   * An OTA key set that is agreed on with a card (GlobalPlatform Amendment A), from a one-time key drawn in here.
   * @param cardKey the card's certified key, 65 bytes
   * @returns the set sealed; the one-time public key, 65 bytes; the receipt that only that card can answer, 16 bytes
   */
  agreeOta(
    label: string,
    cardKey: Uint8Array,
    keySet: number,
  ): { ota: Uint8Array; ephemeral: Uint8Array; receipt: Uint8Array };
  /** Another Ki and OPc or TOPc of the same algorithm, drawn in here and sealed under the same label. */
  renewAka(label: string, sealed: Uint8Array): Uint8Array;
  /** The command that puts a sealed Ki onto a card, ciphered under the KIK of a set. @throws FieldError */
  storeAka(label: string, sealed: Uint8Array, under: SealedOta): Uint8Array;
  /** Keeps nothing in memory any more of a sealed Ki that is destroyed, or that another took the place of. */
  forgetAka(label: string, sealed: Uint8Array): void;
  sealCodes(label: string, codes: CardCodes): Uint8Array;
  /** Whether a sealed key is this Ki (16 or 32 bytes). */
  isKi(label: string, sealed: Uint8Array, k: Uint8Array): boolean;
  /** Algorithm, length of RES in bytes and whose constants: what another operator must be able to do. */
  describeAka(label: string, sealed: Uint8Array): AlgorithmProfile;
  /** @param rand 16 bytes @param sqn 6 bytes @param amf 2 bytes */
  vector(
    label: string,
    sealed: Uint8Array,
    rand: Uint8Array,
    sqn: Uint8Array,
    amf: Uint8Array,
  ): AuthenticationVector;
  /** SQN_MS (6 bytes) of an AUTS (14 bytes), undefined if its MAC-S is wrong (TS 33.102 §6.3.5) */
  resynchronise(
    label: string,
    sealed: Uint8Array,
    rand: Uint8Array,
    auts: Uint8Array,
  ): Uint8Array | undefined;
  /** Lends a key to who provisions an HSS, for the length of one call; it is wiped after. */
  withAka<T>(label: string, sealed: Uint8Array, use: (key: SubscriberKey) => T): T;
  /** Lends an OTA key set to a codec for the length of one call. */
  withOtaKeys<T>(label: string, sealed: Uint8Array, use: (keys: OtaKeyPair) => T): T;
  /** Wraps a bundle to a recipient; `context` says for what, and the recipient must ask for the same. */
  wrap(bundle: SecretBundle, label: string, recipient: JWK, context: string): Promise<string>;
  /**
   * Takes in what was wrapped to this vault, sealing it under `label`, each OTA key set under the label of it.
   * @throws Problem
   */
  unwrap(wrapped: string, label: string, context: string): Promise<SecretBundle>;
}
