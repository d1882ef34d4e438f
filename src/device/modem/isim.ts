/**
 * The ISIM as IMS uses it (TS 31.103 §5): read and challenged on a logical channel of its own, so that the USIM
 * on the basic channel stays selected.
 */
import { FieldError } from '../../standards/bytes/index.ts';
import {
  AUTHENTICATE_P2,
  EF_DIR,
  EF_DOMAIN,
  EF_IMPI,
  EF_IMPU,
  INS,
  ISIM_AID_PREFIX,
  SW,
  decodeAuthenticateResult,
  encodeChallenge,
  isSuccess,
  type AuthenticateResult,
  type ElementaryFile,
  type ImsIdentity,
  type ResponseApdu,
} from '../../standards/uicc/index.ts';
import type { Card } from './card.ts';

/** What the card answers to a challenge of IMS. */
export type ImsAnswer =
  | AuthenticateResult
  | { kind: 'macFailure' }
  /** the card has no ISIM, or no channel for it */
  | { kind: 'noIsim' }
  | { kind: 'error'; sw: number };

/** Commands to the ISIM, on its channel. */
interface Isim {
  command(ins: number, p1: number, p2: number, data?: Uint8Array): Promise<ResponseApdu>;
  read<T>(file: ElementaryFile<T>, record?: number): Promise<T | undefined>;
}

/** Records of EF.DIR that are looked at. */
const MOST_APPLICATIONS = 20;

/** Opens a channel, selects the ISIM there, and closes the channel whatever happens. */
async function withIsim<T>(card: Card, use: (isim: Isim) => Promise<T>): Promise<T | undefined> {
  const manage = { cla: 0, ins: INS.manageChannel };
  const opened = await card.command({ ...manage, p1: 0, p2: 0, le: 1 });
  const channel = opened.data[0] ?? 0;
  if (!isSuccess(opened.sw) || channel < 1 || channel > 3) return undefined;
  const isim: Isim = {
    command: (ins, p1, p2, data) =>
      card.command({ cla: channel, ins, p1, p2, ...(data && { data }), le: 256 }),
    async read(file, record = 1) {
      const selected = await isim.command(INS.select, 0, 4, Uint8Array.of(file.fid >> 8, file.fid & 0xff));
      if (!isSuccess(selected.sw)) return undefined;
      const { data, sw } =
        file.structure === 'transparent'
          ? await isim.command(INS.readBinary, 0, 0)
          : await isim.command(INS.readRecord, record, 4);
      if (!isSuccess(sw)) return undefined;
      try {
        return file.decode(data);
      } catch (error) {
        // Something that is not as specified counts as not there.
        if (error instanceof FieldError) return undefined;
        throw error;
      }
    },
  };
  try {
    const aid = await findIsim(isim);
    if (!aid || !isSuccess((await isim.command(INS.select, 4, 4, aid)).sw)) return undefined;
    return await use(isim);
  } finally {
    await card.command({ ...manage, p1: 0x80, p2: channel });
  }
}

/** The AID of the first ISIM in EF.DIR; the channel is at the MF. */
async function findIsim(isim: Isim): Promise<Uint8Array | undefined> {
  for (let record = 1; record <= MOST_APPLICATIONS; record++) {
    const application = await isim.read(EF_DIR, record);
    if (!application) return undefined;
    if (ISIM_AID_PREFIX.every((byte, i) => application.aid[i] === byte)) return application.aid;
  }
  return undefined;
}

/** Who the subscriber is in IMS; undefined without an ISIM, or where one of the three is not readable. */
export async function readIsim(card: Card): Promise<ImsIdentity | undefined> {
  return withIsim(card, async (isim) => {
    const impi = await isim.read(EF_IMPI);
    const impu = await isim.read(EF_IMPU);
    const domain = await isim.read(EF_DOMAIN);
    return impi === undefined || impu === undefined || domain === undefined
      ? undefined
      : { impi, impu, domain };
  });
}

/**
 * IMS AKA (TS 33.203 §6.1, TS 31.103 §7.1.2.1).
 * @param rand 16 bytes
 * @param autn 16 bytes
 */
export async function answerIms(card: Card, rand: Uint8Array, autn: Uint8Array): Promise<ImsAnswer> {
  const data = encodeChallenge({ rand, autn });
  const answer = await withIsim(card, async (isim): Promise<ImsAnswer> => {
    const response = await isim.command(INS.authenticate, 0, AUTHENTICATE_P2.ims, data);
    if (response.sw === SW.macFailure) return { kind: 'macFailure' };
    try {
      if (isSuccess(response.sw)) return decodeAuthenticateResult(response.data);
    } catch (error) {
      if (!(error instanceof FieldError)) throw error;
    }
    return { kind: 'error', sw: response.sw };
  });
  return answer ?? { kind: 'noIsim' };
}
