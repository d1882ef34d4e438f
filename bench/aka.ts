/** Authentication vectors per second beside a bare loop of the AES calls they take, in one process. */
import { createCipheriv, randomBytes } from 'node:crypto';
import { SQN_DEFAULT, authenticationVector, encodeSqn, prepare } from '../src/standards/aka/index.ts';

export async function run(): Promise<{ name: string; measured: number; beside: number; ratio: number }[]> {
  const k = randomBytes(16);
  const rand = randomBytes(16);
  const sqn = encodeSqn(SQN_DEFAULT, 1, 1);
  const amf = Uint8Array.of(0x80, 0);
  const key = prepare({ algorithm: 'milenage', k, opc: randomBytes(16) });
  const cipher = createCipheriv('aes-128-ecb', k, null);
  cipher.setAutoPadding(false);
  const [one, four] = [new Uint8Array(16), new Uint8Array(64)];

  const rate = (work: () => unknown): number => {
    const count = 50_000;
    const start = process.hrtime.bigint();
    for (let i = 0; i < count; i++) work();
    return (count * 1e9) / Number(process.hrtime.bigint() - start);
  };
  const vector = (): unknown => authenticationVector(key, rand, sqn, amf);
  // TEMP, then OUT1 to OUT4.
  const bare = (): number => cipher.update(one).length + cipher.update(four).length;

  // Best of a few, alternating, so that a busy machine hurts both alike.
  let measured = 0;
  let beside = 0;
  for (let round = 0; round < 5; round++) {
    measured = Math.max(measured, rate(vector));
    beside = Math.max(beside, rate(bare));
  }
  return [{ name: 'authentication vectors/s, Milenage', measured, beside, ratio: measured / beside }];
}
