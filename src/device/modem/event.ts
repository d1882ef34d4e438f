/** What a modem tells who watches it. Never a key. */

export type ModemEvent =
  | { type: 'attached'; imsi: string; plmn: string }
  /** by ATTACH REJECT and the like: an EMM cause */
  | { type: 'rejected'; cause: number }
  | { type: 'detached' }
  /** REFRESH of the card: its qualifier */
  | { type: 'refresh'; mode: number }
  /** a short message for the card, or for the device, and how the card took it */
  | { type: 'sms'; direction: 'toCard'; status: string }
  | { type: 'sms'; direction: 'toDevice'; tpdu: Uint8Array }
  /** one of the card's, delivered to the service centre or not */
  | { type: 'sms'; direction: 'fromCard'; delivered: boolean }
  /** application data from the network */
  | { type: 'data'; data: Uint8Array }
  /** a ciphered message as it was received, deciphered */
  | { type: 'plainNas'; direction: 'downlink'; bytes: Uint8Array }
  | { type: 'cardLost'; why: string }
  /** something went wrong that nobody foresaw; the modem goes on */
  | { type: 'fault'; why: string };
