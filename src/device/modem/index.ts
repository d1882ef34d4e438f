/** The modem of a device: reads a card, registers with a network by NAS over GSMTAP, serves the card's toolkit. */
export { createModem, type Modem, type ModemOptions, type ModemState } from './modem.ts';
export { CardLost, type CardReader } from './card.ts';
export type { ImsAnswer } from './isim.ts';
export type { EmmState } from './mobility.ts';
export type { ModemEvent } from './event.ts';
export type { Cell } from './select.ts';
export { DURATION } from './timers.ts';
export {
  PCSCD_SOCKET,
  listPcscReaders,
  openPcscReader,
  type PcscCardReader,
  type PcscOptions,
  type PcscReaderState,
} from './pcsc.ts';
