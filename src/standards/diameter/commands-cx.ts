/** Commands of Cx that authenticate (TS 29.229 §6.1). */
import { many, one, optional } from './avp.ts';
import { APPLICATION, tgpp } from './commands.ts';
import * as avp from './dictionary.ts';

/** Authentication schemes of SIP (TS 29.229 §6.3.9); `Unknown` leaves the choice to the HSS. */
export const SIP_SCHEME = { aka: 'Digest-AKAv1-MD5', unknown: 'Unknown' } as const;

/** MAR, MAA */
export const multimediaAuth = tgpp(
  'Multimedia-Auth',
  303,
  APPLICATION.cx,
  {
    userName: one(avp.userName),
    supportedFeatures: many(avp.supportedFeatures),
    publicIdentity: one(avp.publicIdentity),
    sipAuthDataItem: one(avp.sipAuthDataItem),
    sipNumberAuthItems: one(avp.sipNumberAuthItems),
    serverName: one(avp.serverName),
  },
  {
    userName: optional(avp.userName),
    supportedFeatures: many(avp.supportedFeatures),
    publicIdentity: optional(avp.publicIdentity),
    sipNumberAuthItems: optional(avp.sipNumberAuthItems),
    sipAuthDataItems: many(avp.sipAuthDataItem),
  },
);
