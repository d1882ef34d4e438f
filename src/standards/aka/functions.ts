/** f2 to f5 of one RAND. */
export interface AkaResponse {
  /** resLength bytes */
  res: Uint8Array;
  /** 16 bytes */
  ck: Uint8Array;
  /** 16 bytes */
  ik: Uint8Array;
  /** 6 bytes */
  ak: Uint8Array;
}

/** The functions f1 to f5* of one subscriber (TS 33.102 §6.3), with its key schedule made once. */
export interface AkaKey {
  readonly algorithm: 'milenage' | 'test-xor';
  readonly resLength: number;
  /** f1 and f1*: MAC-A (8 bytes), then MAC-S (8 bytes), of RAND (16), SQN (6), AMF (2) */
  f1(rand: Uint8Array, sqn: Uint8Array, amf: Uint8Array): Uint8Array;
  f2345(rand: Uint8Array): AkaResponse;
  /** f1 and f2 to f5 in one go: what an authentication vector takes */
  f12345(rand: Uint8Array, sqn: Uint8Array, amf: Uint8Array): AkaResponse & { mac: Uint8Array };
  /** f5*: AK for resynchronisation, 6 bytes */
  f5Star(rand: Uint8Array): Uint8Array;
}
