/** Small data of devices over the control plane: ESM DATA TRANSPORT to T6a (TS 23.401 §5.3.4B, TS 29.128). */
import { CONNECTION_ACTION } from '../../standards/diameter/index.ts';
import type { NasMessage, NasMessageOf } from '../../standards/nas/index.ts';
import type { VisitedEvent } from './event.ts';
import type { Home } from './home.ts';
import type { Ue } from './ue.ts';

export interface DataWorld {
  home: Home;
  /** @returns false if the device cannot be reached */
  send(ue: Ue, message: NasMessage): boolean;
  observe(event: VisitedEvent): void;
}

export interface Data {
  /** the bearer is there, or gone: the home network's exposure function is told */
  opened(ue: Ue): void;
  closed(ue: Ue): void;
  receive(ue: Ue, message: NasMessageOf<'esmDataTransport'>): void;
  push(ue: Ue, payload: Uint8Array): boolean;
}

export function createData({ home, send, observe }: DataWorld): Data {
  return {
    opened: (ue) => void home.connection(ue, CONNECTION_ACTION.establishment),
    closed(ue) {
      if (!ue.bearer) return;
      void home.connection(ue, CONNECTION_ACTION.release);
      ue.bearer = undefined;
    },
    receive(ue, { ebi, userDataContainer }) {
      const { bearer, imsi } = ue;
      if (!bearer || bearer.ebi !== ebi || imsi === undefined) return;
      void home.data(ue, userDataContainer).then((taken) => {
        if (!taken) observe({ type: 'dataLost', imsi });
      });
    },
    push(ue, payload) {
      if (!ue.registered || !ue.bearer) return false;
      return send(ue, {
        type: 'esmDataTransport',
        ebi: ue.bearer.ebi,
        pti: 0,
        userDataContainer: payload,
      });
    },
  };
}
