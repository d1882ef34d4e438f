import type { Endpoint } from '../../edge/index.ts';

/** What can be seen from within the visited network. */
export type VisitedEvent =
  /** a ciphered message from a device, deciphered */
  | { type: 'plainNas'; direction: 'uplink'; bytes: Uint8Array; device: Endpoint }
  | { type: 'attached'; imsi: string; imei: string | undefined; device: Endpoint }
  | { type: 'rejected'; imsi: string | undefined; cause: number; device: Endpoint }
  /** the device answered a challenge wrongly */
  | { type: 'authenticationRejected'; imsi: string; device: Endpoint }
  | { type: 'detached'; imsi: string; by: 'device' | 'home' | 'silence' }
  | { type: 'sms'; imsi: string; direction: 'toDevice' | 'fromDevice'; outcome: 'delivered' | 'failed' }
  /** data of the application that the home network did not take */
  | { type: 'dataLost'; imsi: string };
