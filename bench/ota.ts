/** Secured packets a second, beside a bare node:crypto loop of the same ciphers over the same bytes. */
import { createCipheriv } from 'node:crypto';
import { fromHex } from '../src/standards/bytes/index.ts';
import {
  decodeSpi,
  encodeCommandPacket,
  keyByte,
  type CommandPacket,
  type OtaKeys,
} from '../src/standards/ota/index.ts';

export interface Measurement {
  name: string;
  measured: number;
  beside: number;
  ratio: number;
}

const SECONDS = 1;

/** How often a second `run` runs. */
function rate(run: (i: number) => void): number {
  for (let i = 0; i < 2000; i++) run(i);
  const end = performance.now() + SECONDS * 1000;
  const start = performance.now();
  let count = 0;
  while (performance.now() < end) {
    for (let i = 0; i < 500; i++) run(count++);
  }
  return (count * 1000) / (performance.now() - start);
}

/** What the ciphers alone cost: a checksum over the packet, then a ciphering of its body. */
function bare(name: string, key: Uint8Array, block: number, checked: number, ciphered: number): () => void {
  const iv = new Uint8Array(block);
  const check = new Uint8Array(Math.ceil(checked / block) * block);
  const body = new Uint8Array(ciphered);
  return () => {
    for (const data of [check, body]) {
      const cipher = createCipheriv(name, key, iv);
      cipher.setAutoPadding(false);
      cipher.update(data);
    }
  };
}

export async function run(): Promise<Measurement[]> {
  const data = fromHex('80100000' + '3a' + '00'.repeat(58));
  const suites: [string, 'aes' | 'des3-2', number, string, number][] = [
    ['AES-128, CMAC', 'aes', 16, 'aes-128-cbc', 16],
    ['3DES 2 keys, MAC', 'des3-2', 16, 'des-ede-cbc', 8],
  ];
  const measurements: Measurement[] = [];
  for (const [name, algorithm, keyLength, cipher, block] of suites) {
    const keys: OtaKeys = { kic: new Uint8Array(keyLength).fill(1), kid: new Uint8Array(keyLength).fill(2) };
    const command: CommandPacket = {
      security: decodeSpi(0x1619),
      kic: keyByte(1, algorithm),
      kid: keyByte(1, algorithm),
      tar: fromHex('bfff3b'),
      counter: 1,
      data,
    };
    const packet = encodeCommandPacket(command, keys);
    const measured = rate((i) => encodeCommandPacket({ ...command, counter: i + 1 }, keys));
    const beside = rate(bare(cipher, keys.kic!, block, packet.length, packet.length - 10));
    measurements.push({
      name: `secured packets/s/core, ${name} (${packet.length} bytes)`,
      measured,
      beside,
      ratio: measured / beside,
    });
  }
  return Promise.resolve(measurements);
}
