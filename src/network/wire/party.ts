/** Who a process is: a role of an organisation, as its certificate says it in subjectAltName. */
import { FieldError } from '../../standards/bytes/index.ts';

export const PARTY_ROLES = [
  'owner',
  'operator',
  'visited',
  'escrow',
  'manufacturer',
  'ota-agent',
  'supplier',
  'regulator',
  'technician',
  'fleet-user',
  'registration',
  'validation',
  'wlan',
] as const;
export type PartyRole = (typeof PARTY_ROLES)[number];

export interface Party {
  role: PartyRole;
  organisation: string;
}

const PREFIX = 'urn:rehome:';

/** `urn:rehome:ROLE:ORGANISATION`, the organisation percent-encoded. */
export const formatParty = ({ role, organisation }: Party): string =>
  `${PREFIX}${role}:${encodeURIComponent(organisation)}`;

/** @throws FieldError if it is no such URN, or of a role that is not known */
export function parseParty(text: string): Party {
  const [, role, organisation] = /^urn:rehome:([^:]+):([^:]+)$/.exec(text) ?? [];
  const known = PARTY_ROLES.find((each) => each === role);
  const expected = `${PREFIX}ROLE:ORGANISATION`;
  if (!known || organisation === undefined) throw new FieldError('party', JSON.stringify(text), expected);
  try {
    return { role: known, organisation: decodeURIComponent(organisation) };
  } catch {
    throw new FieldError('party', JSON.stringify(text), expected);
  }
}
