/** f2 to f5 of one RAND. */
export interface AkaResponse {
  /** resLength bytes */
  res: Uint8Array;
  /** 16 bytes; of TUAK by itself also 32 */
  ck: Uint8Array;
  /** 16 bytes; of TUAK by itself also 32 */
  ik: Uint8Array;
  /** 6 bytes */
  ak: Uint8Array;
}

/** The functions f1 to f5* of one subscriber (TS 33.102 §6.3), with its key schedule made once. */
export interface AkaKey {
  readonly algorithm: 'milenage' | 'tuak' | 'test-xor';
  readonly resLength: number;
  /** f1: MAC-A (8 bytes) of RAND (16), SQN (6), AMF (2) */
  f1(rand: Uint8Array, sqn: Uint8Array, amf: Uint8Array): Uint8Array;
  /** f1*: MAC-S (8 bytes) of RAND (16), SQN (6), AMF (2) */
  f1Star(rand: Uint8Array, sqn: Uint8Array, amf: Uint8Array): Uint8Array;
  f2345(rand: Uint8Array): AkaResponse;
  /** f1 and f2 to f5 in one go, MAC-A first among 8 bytes or more: what an authentication vector takes */
  f12345(rand: Uint8Array, sqn: Uint8Array, amf: Uint8Array): AkaResponse & { mac: Uint8Array };
  /** f5*: AK for resynchronisation, 6 bytes */
  f5Star(rand: Uint8Array): Uint8Array;
}
