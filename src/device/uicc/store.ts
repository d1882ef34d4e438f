/** Where a card's state outlives power: in memory, or in a card file that is replaced whole. */
import { randomUUID } from 'node:crypto';
import type { Disk } from '../../edge/index.ts';
import { formatCardFile, parseCardFile, stateOf } from './card-file.ts';
import type { CardState } from './state.ts';

/** Keeps one card's state. */
export interface CardStore {
  /** The last state saved; undefined if there never was one. */
  load(): CardState | undefined;
  /** Returns when the state is safe. If it throws, or power goes, the old or the new state is there. */
  save(state: CardState): void;
}

/** In memory: keeps a reference, which is enough because states are never changed. */
export function memoryStore(state?: CardState): CardStore {
  let kept = state;
  return {
    load: () => kept,
    save: (state) => {
      kept = state;
    },
  };
}

/** Writes a file so that a reader sees the old text or the new, whatever happens. */
export function writeWhole(disk: Disk, path: string, text: string): void {
  const beside = `${path}.${randomUUID()}.tmp`;
  try {
    disk.write(beside, text);
    disk.replace(beside, path);
  } catch (error) {
    try {
      disk.remove(beside);
    } catch {
      // It may not be there; what went wrong first is what is told.
    }
    throw error;
  }
}

/**
 * In a card file (docs/cards.md).
 * @throws FieldError from `load`, naming the place in the JSON, if the file is not a card's
 */
export function fileStore(disk: Disk, path: string): CardStore {
  return {
    load: () => stateOf(parseCardFile(disk.read(path))),
    save: (state) => writeWhole(disk, path, formatCardFile(state)),
  };
}
