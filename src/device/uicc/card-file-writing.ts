/** Writing a card file (docs/cards.md). */
import type { SubscriberKey } from '../../standards/aka/index.ts';
import { equal, toHex } from '../../standards/bytes/index.ts';
import { encodeKeyListSwitch, type KeyListOutcome } from '../../standards/ota/index.ts';
import { CARD_FORMAT, accepts, type CardFile } from './card-file-schema.ts';
import { isimOf } from './isim.ts';
import { FILES, pathOf } from './layout.ts';
import {
  NO_IMSI,
  issuedContents,
  subscriptionOf,
  type CardState,
  type KeyList,
  type PinState,
  type Subscription,
} from './state.ts';

const byPath = (files: Iterable<readonly [number, Uint8Array]>): Record<string, string> =>
  Object.fromEntries([...files].map(([place, content]) => [pathOf(FILES[place]!), toHex(content)]));

function listFile(list: KeyList, indLength: number): Pick<CardFile, 'keyList' | 'fallback'> {
  const remembered = progressOf(list, indLength);
  if (list.pairs.length === 0) return { fallback: remembered };
  const keyList = {
    pairs: list.pairs.map(({ index, state, keys, counter }) => ({
      index,
      state,
      ...(keys && { k: toHex(keys.k), opc: toHex(keys.opc), kic: toHex(keys.kic), kid: toHex(keys.kid) }),
      ...(counter > 0 && { counter }),
    })),
    next: list.next,
  };
  return { keyList: { ...keyList, ...remembered } };
}

/** What the application remembers of switches. */
function progressOf(list: KeyList, indLength: number): NonNullable<CardFile['fallback']> {
  const { trial } = list;
  return {
    ...(list.change.some((byte) => byte !== 0) && { change: toHex(list.change) }),
    ...(list.last !== 'none' && { last: list.last satisfies KeyListOutcome }),
    ...(list.report !== undefined && { report: list.report }),
    ...(list.armed && { armed: toHex(encodeKeyListSwitch(list.armed.command).subarray(5)) }),
    ...(trial && {
      trial: {
        command: toHex(encodeKeyListSwitch(trial.command).subarray(5)),
        from: trial.from,
        secondsLeft: trial.secondsLeft,
        rejections: trial.rejections,
        saved: byPath(trial.saved),
        savedSqn: { indLength, seq: [...trial.savedSqn.seq] },
        ...(trial.proven && { proven: true }),
      },
    }),
  };
}

const keyFile = (key: SubscriberKey): NonNullable<CardFile['usim']['renewed']> => ({
  algorithm: key.algorithm,
  k: toHex(key.k),
  ...(key.opc && { opc: toHex(key.opc) }),
  ...(key.topc && { topc: toHex(key.topc) }),
  ...(key.resLength !== undefined && { resLength: key.resLength }),
  ...(key.keccakIterations !== undefined && { keccakIterations: key.keccakIterations }),
});

/** The file that describes a card. */
export function fileOf(state: CardState): CardFile {
  const { pins, usim, keySets, list } = state;
  // What a card file has no words for stays in `files`.
  const subscription: Subscription = {
    imsi: NO_IMSI,
    mncLength: 2,
    ...subscriptionOf(state.contents, (name, value) =>
      accepts(name === 'serviceProviderName' ? 'spn' : (name as keyof CardFile['usim']), value),
    ),
    ...(state.isim && { isim: isimOf(state.contents) }),
  };
  const { imsi, mncLength, msisdn, serviceProviderName, serviceCentre, apn, accessClasses } = subscription;
  const issued = issuedContents(state.iccid, subscription, state.isim);
  const changed = state.contents.flatMap((content, place): [number, Uint8Array][] =>
    content === issued[place] ||
    equal(content, issued[place]!) ||
    (!state.isim && FILES[place]!.parent === 'isim')
      ? []
      : [[place, content]],
  );
  const status = (pin: PinState): NonNullable<NonNullable<CardFile['pinStatus']>['pin1']> => ({
    enabled: pin.enabled,
    tries: pin.tries,
    ...(pin.puk !== undefined && { unblockTries: pin.pukTries }),
  });
  return {
    format: CARD_FORMAT,
    iccid: state.iccid,
    pin1: pins.pin1.value,
    puk1: pins.pin1.puk!,
    pin2: pins.pin2.value,
    puk2: pins.pin2.puk!,
    adm1: pins.adm1.value,
    pinStatus: { pin1: status(pins.pin1), pin2: status(pins.pin2), adm1: status(pins.adm1) },
    usim: {
      imsi,
      mncLength,
      ...keyFile(usim),
      ...(usim.renewed && { renewed: keyFile(usim.renewed) }),
      sqn: { indLength: usim.scheme.indLength, seq: [...usim.sqn.seq] },
      ...(msisdn !== undefined && { msisdn }),
      ...(serviceProviderName !== undefined && { spn: serviceProviderName }),
      ...(serviceCentre !== undefined && { serviceCentre }),
      ...(apn !== undefined && { apn }),
      ...(accessClasses !== undefined && { accessClasses }),
    },
    isim: subscription.isim ?? null,
    ...(keySets.length > 0 && {
      ota: {
        keySets: keySets.map(({ number, algorithm, kic, kid, kik, counter, tars, agreed }) => ({
          number,
          algorithm,
          kic: toHex(kic),
          kid: toHex(kid),
          ...(kik && { kik: toHex(kik) }),
          counter,
          ...(tars && { tars: [...tars] }),
          ...(agreed && { agreed }),
        })),
      },
    }),
    ...(list && listFile(list, usim.scheme.indLength)),
    ...(state.casd && {
      casd: {
        privateKey: toHex(state.casd.privateKey),
        certificate: toHex(state.casd.certificate),
      },
    }),
    ...(changed.length > 0 && { files: byPath(changed) }),
    ...(state.deactivated.length > 0 && {
      deactivated: state.deactivated.map((place) => pathOf(FILES[place]!)),
    }),
  };
}

/** The text of a card file; lists of numbers in one line. */
export function formatCardFile(state: CardState): string {
  return formatFile(fileOf(state));
}

export const formatFile = (file: CardFile): string =>
  `${JSON.stringify(file, null, 2).replace(/\[\s*(\d[\d,\s]*?)\s*\]/g, (_, numbers: string) => `[${numbers.replace(/\s+/g, ' ')}]`)}\n`;
