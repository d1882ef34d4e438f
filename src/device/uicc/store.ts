/** Where a card's state outlives power: in memory, or in a card file that is replaced whole. */
import type { Disk } from '../../edge/index.ts';
import { FieldError } from '../../standards/bytes/index.ts';
import { loadCardFile } from './card-file.ts';
import { formatCardFile } from './card-file-writing.ts';
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

/** Where a file is written before it takes the other's place. One name, so that a stale one is found again. */
const beside = (path: string): string => `${path}.tmp`;

/** The file must be held: two writers would meet in the file beside it. */
function put(disk: Disk, path: string, text: string): void {
  try {
    disk.remove(beside(path));
    disk.write(beside(path), text);
    disk.replace(beside(path), path);
  } catch (error) {
    try {
      disk.remove(beside(path));
    } catch {
      // What went wrong first is what is told.
    }
    throw error;
  }
}

/**
 * Writes a file so that a reader sees the old text or the new, whatever happens.
 * @throws Error if another process holds the file
 */
export function writeWhole(disk: Disk, path: string, text: string): void {
  const hold = disk.hold(path);
  try {
    put(disk, hold.path, text);
  } finally {
    hold.release();
  }
}

/** @throws Error unless the text can be loaded as a card */
function prove(text: string): void {
  try {
    loadCardFile(text);
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    throw new Error(`not saved, no card file can hold this state: ${error.message}`, { cause: error });
  }
}

/** A card file that is this store's alone until it is closed. */
export interface FileStore extends CardStore {
  load(): CardState;
  close(): void;
}

/**
 * In a card file (docs/cards.md). A state that could not be loaded again is not saved.
 * @throws Error naming the file if another process, or another store, has it; FieldError from `load`, naming the
 * place in the JSON, if the file is not a card's
 */
export function fileStore(disk: Disk, path: string): FileStore {
  const hold = disk.hold(path);
  let open = true;
  const file = (): string => {
    if (!open) throw new Error(`${path} was given back`);
    return hold.path;
  };
  return {
    load() {
      const state = loadCardFile(disk.read(file()));
      // Left by a power cut: it may hold keys that the card is about to forget.
      disk.remove(beside(file()));
      return state;
    },
    save(state) {
      const text = formatCardFile(state);
      prove(text);
      put(disk, file(), text);
    },
    close() {
      open = false;
      hold.release();
    },
  };
}
