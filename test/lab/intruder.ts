/** Somebody who tries to have a device moved that nobody ordered, with words that look like an order for it. */
import { CompactSign } from 'jose';
import { generateKeyPairSync } from 'node:crypto';
import type { World } from '../../src/lab/world.ts';

/** A word, and whether it is only good for another alternative: then what all have in common may be done with it. */
interface Word {
  what: string;
  order: string;
  common: boolean;
}

/**
 * @param real the owner's order for that device by an alternative that nobody runs
 * @param other the owner's order for another device, by `alternative`
 */
async function wordsOf(alternative: string, real: string, other: string): Promise<Word[]> {
  const [, body] = real.split('.');
  const claims = {
    ...(JSON.parse(Buffer.from(body!, 'base64url').toString('utf8')) as Record<string, unknown>),
    alternative,
  };
  const payload = Buffer.from(JSON.stringify(claims));
  const [head, , signature] = other.split('.');
  return [
    {
      what: 'an order of a stranger',
      order: await new CompactSign(payload)
        .setProtectedHeader({ alg: 'EdDSA', typ: 'rehome-order' })
        .sign(generateKeyPairSync('ed25519').privateKey),
      common: true,
    },
    {
      what: 'the signature of another device’s order',
      order: [head, payload.toString('base64url'), signature].join('.'),
      common: true,
    },
    { what: 'an order for another alternative', order: real, common: false },
  ];
}

/**
 * Asks A, B and the OTA agent for all that would move the device.
 * @param trusted an order that counts, in the stranger's place: to see that what comes of it is found out
 * @returns what was not refused, in words
 */
export async function intrude(
  world: World,
  alternative: '2' | '3a' | '3b',
  real: string,
  other: string,
  trusted?: string,
): Promise<string[]> {
  const { operators, agent } = world;
  const { A, B } = operators;
  const found: string[] = [];
  const none = 'x.y.z';
  const terms = { trialSeconds: 3600, delaySeconds: 1, commitOnAka: true };
  const words = trusted
    ? [{ what: 'an order of a stranger', order: trusted, common: true }]
    : await wordsOf(alternative, real, other);
  for (const { what, order, common } of words) {
    const tried = async <T extends object>(name: string, asking: Promise<T[]>): Promise<Partial<T>> => {
      const [answer] = await asking;
      if (!('code' in answer!)) found.push(`${name} was not refused with ${what}`);
      return answer!;
    };
    const answer = common ? await tried('reserve', B.reserve([order])) : {};
    const reservation = 'reservation' in answer ? String(answer.reservation) : none;
    if (alternative === '2') {
      await tried('assign', B.assign([order]));
      await tried('activate', B.activate([order]));
    }
    if (alternative === '3a') {
      await tried('profile', A.profile([order]));
      await tried('reach', A.reach([order]));
      await tried('transfer', A.transfer([order]));
      await tried('takeIn', B.takeIn([{ order, transfer: none }]));
      await tried('write', A.write([{ order, reservation }]));
      await tried('takeOver', B.takeOver([order]));
    }
    if (alternative === '3b') {
      const said = await tried('release', A.release([order]));
      const release = 'release' in said ? String(said.release) : none;
      await tried('subscribe', B.subscribe([{ order, release }]));
      await tried('switch', A.switch([{ order, reservation, index: 1, ...terms }]));
      if (agent) {
        await tried('agent switch', agent.client.switch([{ order, release, reservation, ...terms }]));
      }
    }
    if (alternative !== '2') await tried('commit', B.commit([order]));
    if (common) await tried('retire', A.retire([order]));
  }
  return found;
}
