/** The UICC: a card operating system with a USIM, an OTA receiver and the key list of alternative 3b. */
export { ATR, createCard, type Card, type CardOptions } from './card.ts';
export { CARD_FORMAT, checkCardFile, parseCardFile, stateOf, type CardFile } from './card-file.ts';
export { fileOf, formatCardFile, formatFile } from './card-file-writing.ts';
export { ISIM_AID, USIM_AID } from './layout.ts';
export { createCardFile, type CardOptions as NewCardOptions } from './profile.ts';
export {
  imsiContent,
  type CardState,
  type KeyList,
  type KeySet,
  type Pair,
  type PairState,
} from './state.ts';
export { fileStore, memoryStore, writeWhole, type CardStore, type FileStore } from './store.ts';
export { serveVpcd, type VpcdLink } from './vpcd.ts';
