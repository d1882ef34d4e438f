/** An authority and what it issues, for tests. */
import { createAuthority, issueCertificate, type Authority, type Issued } from '../../src/ca/authority.ts';
import { realRandom } from '../../src/edge/real.ts';
import { parseParty } from '../../src/network/wire/party.ts';

export const DAY = 86_400_000;

export const newAuthority = (name = 'Trial CA', days = 3650): Authority =>
  createAuthority({ name, random: realRandom, now: Date.now(), days });

/** @param parties as `operator:A` */
export const issue = (
  authority: Authority,
  parties: string[],
  how: { hosts?: string[]; now?: number; days?: number } = {},
): Issued =>
  issueCertificate(authority, {
    parties: parties.map((each) => parseParty(`urn:rehome:${each}`)),
    random: realRandom,
    now: Date.now(),
    ...how,
  });
