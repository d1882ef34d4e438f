/** What GSM networks take of a quintet: conversion functions c2 and c3 (TS 33.102 §6.8.1.2). */
import { FieldError, expectLength } from '../bytes/index.ts';

/** c2. @param xres 4 to 16 bytes @returns SRES, 4 bytes */
export function sresOf(xres: Uint8Array): Uint8Array {
  if (xres.length < 4 || xres.length > 16)
    throw new FieldError('xres', `${xres.length} bytes`, '4 to 16 bytes');
  const sres = new Uint8Array(4);
  for (let i = 0; i < xres.length; i++) sres[i & 3]! ^= xres[i]!;
  return sres;
}

/** c3. @param ck 16 bytes @param ik 16 bytes @returns Kc, 8 bytes */
export function kcOf(ck: Uint8Array, ik: Uint8Array): Uint8Array {
  expectLength('ck', ck, 16);
  expectLength('ik', ik, 16);
  const kc = new Uint8Array(8);
  for (let i = 0; i < 8; i++) kc[i] = ck[i]! ^ ck[i + 8]! ^ ik[i]! ^ ik[i + 8]!;
  return kc;
}
