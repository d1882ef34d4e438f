/**
 * Where long-term keys live. A role keeps them sealed in its database and has the vault compute; nothing
 * else reads Ki. `label` names what a key is for (an IMSI, or ICCID and index) and is bound into the seal.
 */
import type { JWK } from 'jose';
import type { AuthenticationVector, SubscriberKey } from '../../standards/aka/index.ts';

/** KIc and KID of one OTA key set (TS 102 225 §5.1): 16, 24 or 32 bytes each. */
export interface OtaKeyPair {
  kic: Uint8Array;
  kid: Uint8Array;
}

/** A subscription's keys, sealed. */
export interface SecretBundle {
  aka: Uint8Array;
  ota: Uint8Array;
}

export interface KeyVault {
  /** to which others wrap keys for this vault */
  readonly publicKey: JWK;
  sealAka(label: string, key: SubscriberKey): Uint8Array;
  sealOta(label: string, keys: OtaKeyPair): Uint8Array;
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
  /** Lends an OTA key set to a codec for the length of one call. */
  withOtaKeys<T>(label: string, sealed: Uint8Array, use: (keys: OtaKeyPair) => T): T;
  /** Wraps a bundle to a recipient; `context` says for what, and the recipient must ask for the same. */
  wrap(bundle: SecretBundle, label: string, recipient: JWK, context: string): Promise<string>;
  /** Takes in what was wrapped to this vault, sealing it under `label`. @throws Problem */
  unwrap(wrapped: string, label: string, context: string): Promise<SecretBundle>;
}
