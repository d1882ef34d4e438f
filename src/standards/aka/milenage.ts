import { createCipheriv } from 'node:crypto';
import { FieldError, expectLength } from '../bytes/index.ts';
import type { AkaKey, AkaResponse } from './functions.ts';

/** The constants an operator may choose (TS 35.206 §4.1, §5.3). */
export interface MilenageConstants {
  /** c1 to c5: 16 bytes each */
  c: readonly [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  /** r1 to r5: bits to rotate left, 0–127 */
  r: readonly [number, number, number, number, number];
}

const lastByte = (value: number): Uint8Array => {
  const c = new Uint8Array(16);
  c[15] = value;
  return c;
};

/** TS 35.206 §4.1. */
export const MILENAGE_CONSTANTS: MilenageConstants = {
  c: [lastByte(0), lastByte(1), lastByte(2), lastByte(4), lastByte(8)],
  r: [64, 0, 32, 64, 96],
};

type Block = (input: Uint8Array) => Uint8Array;

/** AES-128 of any number of blocks; the key schedule is made once, the cipher is never finished. */
function aes(k: Uint8Array): Block {
  const cipher = createCipheriv('aes-128-ecb', k, null);
  cipher.setAutoPadding(false);
  return (input) => cipher.update(input);
}

/**
 * OPc = OP xor E_K(OP) (TS 35.206 §4.1).
 * @param k 16 bytes
 * @param op 16 bytes
 */
export function opcFromOp(k: Uint8Array, op: Uint8Array): Uint8Array {
  expectLength('k', k, 16);
  expectLength('op', op, 16);
  const opc = Uint8Array.from(aes(k)(op));
  for (let i = 0; i < 16; i++) opc[i]! ^= op[i]!;
  return opc;
}

export function prepareMilenage(
  k: Uint8Array,
  opc: Uint8Array,
  resLength: number,
  constants: MilenageConstants = MILENAGE_CONSTANTS,
): AkaKey {
  const { c, r } = constants;
  for (let i = 0; i < 5; i++) {
    expectLength(`c${i + 1}`, c[i]!, 16);
    if (!Number.isInteger(r[i]) || r[i]! < 0 || r[i]! > 127) {
      throw new FieldError(`r${i + 1}`, String(r[i]), '0 to 127 bits');
    }
  }
  const encrypt = aes(k);
  const own = Uint8Array.from(opc);
  // rot(x, r) takes byte (i + r/8) mod 16, and from the next one if r is no multiple of 8.
  const bytes = r.map((bits) => bits >> 3);
  const bits = r.map((value) => value & 7);
  const rotated = new Uint8Array(16);

  /** rot(x xor OPc, r_n) xor c_n, into `out` at `at`. */
  function put(x: Uint8Array, n: number, out: Uint8Array, at: number): void {
    const shift = bytes[n]!;
    const part = bits[n]!;
    const cn = c[n]!;
    if (part === 0) {
      for (let i = 0; i < 16; i++) {
        const from = (i + shift) & 15;
        out[at + i] = x[from]! ^ own[from]! ^ cn[i]!;
      }
      return;
    }
    for (let i = 0; i < 16; i++) rotated[i] = x[i]! ^ own[i]!;
    for (let i = 0; i < 16; i++) {
      const from = (i + shift) & 15;
      out[at + i] = (rotated[from]! << part) ^ (rotated[(from + 1) & 15]! >> (8 - part)) ^ cn[i]!;
    }
  }

  const input = new Uint8Array(16);
  function temp(rand: Uint8Array): Uint8Array {
    if (rand.length !== 16) expectLength('rand', rand, 16);
    for (let i = 0; i < 16; i++) input[i] = rand[i]! ^ own[i]!;
    return encrypt(input);
  }

  const in1 = new Uint8Array(16);
  /** TEMP xor rot(IN1 xor OPc, r1) xor c1, into `out` at `at`. */
  function putF1(t: Uint8Array, sqn: Uint8Array, amf: Uint8Array, out: Uint8Array, at: number): void {
    if (sqn.length !== 6) expectLength('sqn', sqn, 6);
    if (amf.length !== 2) expectLength('amf', amf, 2);
    for (let i = 0; i < 6; i++) in1[i] = in1[i + 8] = sqn[i]!;
    for (let i = 0; i < 2; i++) in1[i + 6] = in1[i + 14] = amf[i]!;
    put(in1, 0, out, at);
    for (let i = 0; i < 16; i++) out[at + i]! ^= t[i]!;
  }

  const blocks = new Uint8Array(64);
  function response(out: Uint8Array): AkaResponse {
    // Small arrays of their own: views would make each backing store a separate allocation.
    const res = new Uint8Array(resLength);
    for (let i = 0; i < resLength; i++) res[i] = out[i + 8]! ^ own[i + 8]!;
    const ak = new Uint8Array(6);
    for (let i = 0; i < 6; i++) ak[i] = out[i]! ^ own[i]!;
    return { res, ck: unmask(out, 16), ik: unmask(out, 32), ak };
  }

  function unmask(out: Uint8Array, from: number): Uint8Array {
    const result = new Uint8Array(16);
    for (let i = 0; i < 16; i++) result[i] = out[from + i]! ^ own[i]!;
    return result;
  }

  /** OUT1: MAC-A, then MAC-S. */
  function out1(rand: Uint8Array, sqn: Uint8Array, amf: Uint8Array): Uint8Array {
    putF1(temp(rand), sqn, amf, blocks, 0);
    return unmask(encrypt(blocks.subarray(0, 16)), 0);
  }

  return {
    algorithm: 'milenage',
    resLength,
    f1: (rand, sqn, amf) => out1(rand, sqn, amf).subarray(0, 8),
    f1Star: (rand, sqn, amf) => out1(rand, sqn, amf).subarray(8),
    f2345(rand) {
      const t = temp(rand);
      for (let n = 1; n < 4; n++) put(t, n, blocks, 16 * (n - 1));
      return response(encrypt(blocks.subarray(0, 48)));
    },
    f12345(rand, sqn, amf) {
      const t = temp(rand);
      for (let n = 1; n < 4; n++) put(t, n, blocks, 16 * (n - 1));
      putF1(t, sqn, amf, blocks, 48);
      const out = encrypt(blocks);
      const { res, ck, ik, ak } = response(out);
      return { res, ck, ik, ak, mac: unmask(out, 48) };
    },
    f5Star(rand) {
      put(temp(rand), 4, blocks, 0);
      return unmask(encrypt(blocks.subarray(0, 16)), 0).subarray(0, 6);
    },
  };
}
