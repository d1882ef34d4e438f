/** What the modem reads of a USIM when it starts with it, and what it leaves there (TS 31.102 §5.1.1, §5.2). */
import type { Guti, NasSecurityState, Tai } from '../../standards/nas/index.ts';
import {
  EF_ACC,
  EF_ACL,
  EF_AD,
  EF_DIR,
  EF_EHPLMN,
  EF_EPSLOCI,
  EF_EPSNSC,
  EF_FPLMN,
  EF_HPLMNWACT,
  EF_ICCID,
  EF_IMSI,
  EF_SMSP,
  EF_UST,
  FID,
  INS,
  UPDATE_STATUS,
  USIM_AID_PREFIX,
  type EpsLocationInformation,
} from '../../standards/uicc/index.ts';
import { isSuccess, type DiallingNumber } from '../../standards/uicc/index.ts';
import type { Card } from './card.ts';

/** A subscription in the modem. */
export interface Usim {
  imsi: string;
  /** home network: MCC and MNC of the IMSI */
  homePlmn: string;
  /** networks that count as home (EF.EHPLMN), or the home network alone */
  homePlmns: string[];
  /** home networks to look for, in order (EF.HPLMNwAcT) */
  preferredPlmns: string[];
  /** EF.FPLMN */
  forbiddenPlmns: string[];
  accessClasses: number;
  /** numbers of EF.UST */
  services: number[];
  guti?: Guti;
  /** last visited registered TAI */
  tai?: Tai;
  /** UPDATE_STATUS */
  status: number;
  /** the security context found in EF.EPSNSC */
  security?: NasSecurityState;
  /** the first access point name of EF.ACL */
  apn?: string;
  /** service centre of EF.SMSP */
  serviceCentre?: DiallingNumber;
}

/** The AID of the first USIM in EF.DIR, and the ICCID; the card was just reset. */
export async function findUsim(card: Card): Promise<{ iccid?: string; aid?: Uint8Array }> {
  const iccid = await card.read(EF_ICCID);
  const mf = Uint8Array.of(FID.mf >> 8, FID.mf & 0xff);
  await card.command({ cla: 0, ins: INS.select, p1: 0, p2: 4, data: mf, le: 256 });
  const applications = await card.readRecords(EF_DIR);
  const aid = applications.find((one) => USIM_AID_PREFIX.every((byte, i) => one?.aid[i] === byte))?.aid;
  return { ...(iccid !== undefined && { iccid }), ...(aid && { aid }) };
}

/** Reads the selected USIM. @returns undefined if it has no usable IMSI */
export async function readUsim(card: Card): Promise<Usim | undefined> {
  const imsi = await card.read(EF_IMSI);
  if (imsi === undefined) return undefined;
  const mncLength = (await card.read(EF_AD))?.mncLength ?? 2;
  const homePlmn = imsi.slice(0, 3 + mncLength);
  const services = (await card.read(EF_UST)) ?? [];
  const equivalents = (await card.read(EF_EHPLMN)) ?? [];
  const location = await card.read(EF_EPSLOCI);
  const stored = await card.read(EF_EPSNSC);
  const usim: Usim = {
    imsi,
    homePlmn,
    homePlmns: equivalents.length > 0 ? equivalents : [homePlmn],
    preferredPlmns: ((await card.read(EF_HPLMNWACT)) ?? []).map(({ plmn }) => plmn),
    forbiddenPlmns: (await card.read(EF_FPLMN)) ?? [],
    accessClasses: (await card.read(EF_ACC)) ?? 0,
    services,
    status: location?.status ?? UPDATE_STATUS.notUpdated,
  };
  if (location?.guti) {
    const { plmn, mmeGroup, mmeCode, mTmsi } = location.guti;
    usim.guti = { kind: 'guti', plmn, mmeGroupId: mmeGroup, mmeCode, mTmsi };
  }
  if (location?.area) usim.tai = { plmn: location.area.plmn, tac: location.area.code };
  if (stored && stored.ksi < 7 && stored.kAsme.length === 32) {
    usim.security = {
      ksi: stored.ksi,
      kAsme: stored.kAsme,
      eea: (stored.algorithms >> 4) & 7,
      eia: stored.algorithms & 7,
      uplink: stored.uplinkCount,
      downlink: stored.downlinkCount,
    };
  }
  const apn = (await card.read(EF_ACL))?.find((name) => name !== '');
  if (apn !== undefined) usim.apn = apn;
  const parameters = await card.read(EF_SMSP);
  if (parameters?.serviceCentre) usim.serviceCentre = parameters.serviceCentre;
  return usim;
}

/** Leaves in EF.EPSLOCI where the device is. */
export async function storeLocation(
  card: Card,
  { guti, tai, status }: Pick<Usim, 'guti' | 'tai' | 'status'>,
): Promise<void> {
  const location: EpsLocationInformation = { status };
  if (guti) {
    const { plmn, mmeGroupId, mmeCode, mTmsi } = guti;
    location.guti = { plmn, mmeGroup: mmeGroupId, mmeCode, mTmsi };
  }
  if (tai) location.area = { plmn: tai.plmn, code: tai.tac };
  await card.update(EF_EPSLOCI, location);
}

/**
 * Leaves the security context in EF.EPSNSC when the device deregisters, and takes it out while it is in use,
 * so that no count is used twice after a power cut (TS 24.301 §4.4.2.1, TS 33.401 §7.2.6).
 */
export async function storeSecurity(card: Card, state: NasSecurityState | undefined): Promise<void> {
  await card.update(
    EF_EPSNSC,
    state === undefined
      ? { ksi: 7, kAsme: new Uint8Array(), uplinkCount: 0, downlinkCount: 0, algorithms: 0 }
      : {
          ksi: state.ksi,
          kAsme: state.kAsme,
          uplinkCount: state.uplink,
          downlinkCount: state.downlink,
          algorithms: (state.eea << 4) | state.eia,
        },
  );
}

/** Adds to EF.FPLMN; the oldest goes when it is full. */
export async function storeForbiddenPlmns(card: Card, plmns: readonly string[]): Promise<void> {
  for (let kept = [...plmns]; kept.length > 0; kept = kept.slice(1)) {
    if (await card.update(EF_FPLMN, kept)) return;
  }
}

/** Tells the card that the application is in use, or about to be left (TS 102 221 §14.5.2, STATUS). */
export async function sayStatusOfApplication(card: Card, p1: 0 | 1 | 2): Promise<boolean> {
  const { sw } = await card.command({ cla: 0x80, ins: INS.status, p1, p2: 0x0c });
  return isSuccess(sw);
}
