import { expectLength } from '../bytes/index.ts';
import type { AkaKey, AkaResponse } from './functions.ts';

/** The test algorithm of TS 34.108 §8.1.2: everything follows from XDOUT = K xor RAND. No secret survives it. */
export function prepareTestXor(k: Uint8Array, resLength: number): AkaKey {
  const own = Uint8Array.from(k);
  const xdout = (rand: Uint8Array): Uint8Array => {
    expectLength('rand', rand, 16);
    const x = new Uint8Array(16);
    for (let i = 0; i < 16; i++) x[i] = own[i]! ^ rand[i]!;
    return x;
  };
  const rotate = (x: Uint8Array, by: number): Uint8Array => {
    const out = new Uint8Array(16);
    for (let i = 0; i < 16; i++) out[i] = x[(i + by) & 15]!;
    return out;
  };
  const response = (x: Uint8Array): AkaResponse => ({
    res: x.slice(0, resLength),
    ck: rotate(x, 1),
    ik: rotate(x, 2),
    ak: x.slice(3, 9),
  });
  /** MAC-A, and MAC-S as well: f1* is f1. */
  const macOf = (x: Uint8Array, sqn: Uint8Array, amf: Uint8Array): Uint8Array => {
    expectLength('sqn', sqn, 6);
    expectLength('amf', amf, 2);
    const mac = new Uint8Array(8);
    for (let i = 0; i < 8; i++) mac[i] = x[i]! ^ (i < 6 ? sqn[i]! : amf[i - 6]!);
    return mac;
  };
  return {
    algorithm: 'test-xor',
    resLength,
    f1: (rand, sqn, amf) => macOf(xdout(rand), sqn, amf),
    f1Star: (rand, sqn, amf) => macOf(xdout(rand), sqn, amf),
    f2345: (rand) => response(xdout(rand)),
    f12345(rand, sqn, amf) {
      const x = xdout(rand);
      return { ...response(x), mac: macOf(x, sqn, amf) };
    },
    f5Star: (rand) => xdout(rand).slice(3, 9),
  };
}
