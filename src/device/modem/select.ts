/** Which cell to camp on (TS 23.122 §4.4.3, TS 24.301 §5.2.2.3), and what is forbidden. */
import type { Endpoint } from '../../edge/index.ts';
import type { Tai } from '../../standards/nas/index.ts';
import type { RejectAction } from './cause.ts';
import type { Usim } from './usim.ts';

/** A cell that the modem can hear. */
export interface Cell {
  /** MCC and MNC, 5 or 6 digits */
  plmn: string;
  /** tracking area code, 0–65535 */
  tac: number;
  /** where its radio is: a UDP socket */
  endpoint: Endpoint;
}

/** Networks and areas that told the device to stay away. */
export interface Forbidden {
  /** EF.FPLMN and what came since */
  plmns: Set<string>;
  /** for EPS services only; forgotten at switch off */
  plmnsForEps: Set<string>;
  /** tracking areas, of roaming and of region; forgotten at switch off and after a while */
  areas: Set<string>;
  /** cells passed over for now: they did not answer, or seem false */
  cells: Set<Cell>;
  /** by rejections that nobody proved; forgotten when T3247 runs out (TS 24.301 §5.3.7b) */
  unproven: { plmns: Set<string>; areas: Set<string> };
}

const areaKey = ({ plmn, tac }: Tai): string => `${plmn} ${tac}`;

export const newForbidden = (plmns: readonly string[]): Forbidden => ({
  plmns: new Set(plmns),
  plmnsForEps: new Set(),
  areas: new Set(),
  cells: new Set(),
  unproven: { plmns: new Set(), areas: new Set() },
});

/** Puts a cell's network or area on the list that a rejection names; never the home network on FPLMN. */
export function forbid(
  forbidden: Forbidden,
  { forbid: list, untilT3247 }: RejectAction,
  cell: Cell,
  usim: Usim,
): void {
  switch (list) {
    case 'plmn':
      if (untilT3247) {
        forbidden.unproven.plmns.add(cell.plmn);
      } else if (!usim.homePlmns.includes(cell.plmn)) {
        forbidden.plmns.delete(cell.plmn);
        forbidden.plmns.add(cell.plmn);
      } else {
        forbidden.plmnsForEps.add(cell.plmn);
      }
      break;
    case 'plmnForEps':
      (untilT3247 ? forbidden.unproven.plmns : forbidden.plmnsForEps).add(cell.plmn);
      break;
    case 'areaOfRegion':
    case 'areaOfRoaming':
      (untilT3247 ? forbidden.unproven.areas : forbidden.areas).add(areaKey(cell));
      break;
    case undefined:
      break;
  }
}

/**
 * The best cell that is not forbidden: of the registered network, then of a home network, then of those the
 * card prefers, then any; among equals the first heard.
 */
export function selectCell(
  cells: readonly Cell[],
  usim: Usim,
  forbidden: Forbidden,
  registered: string | undefined,
): Cell | undefined {
  const rank = ({ plmn }: Cell): number => {
    if (plmn === registered) return 0;
    const home = usim.homePlmns.indexOf(plmn);
    if (home >= 0) return 1 + home / 1000;
    const preferred = usim.preferredPlmns.indexOf(plmn);
    return preferred >= 0 ? 2 + preferred / 1000 : 3;
  };
  const { unproven } = forbidden;
  let best: Cell | undefined;
  for (const cell of cells) {
    if (forbidden.plmns.has(cell.plmn) || forbidden.plmnsForEps.has(cell.plmn)) continue;
    if (forbidden.areas.has(areaKey(cell)) || forbidden.cells.has(cell)) continue;
    if (unproven.plmns.has(cell.plmn) || unproven.areas.has(areaKey(cell))) continue;
    if (best === undefined || rank(cell) < rank(best)) best = cell;
  }
  return best;
}
