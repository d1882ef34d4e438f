/** The service capability exposure function: small data of devices by T6a (TS 29.128), on to their owners. */
import type { Edge, Endpoint } from '../../edge/index.ts';
import {
  APPLICATION,
  EXPERIMENTAL_RESULT,
  RESULT,
  answerOf,
  connectionManagement,
  errorAnswer,
  experimental,
  moData,
  readRequest,
} from '../../standards/diameter/index.ts';
import { createDiameterNode, type DiameterNode } from '../wire/diameter.ts';
import type { OperatorStore } from './store.ts';

export interface ScefOptions {
  edge: Edge;
  store: OperatorStore;
  host: string;
  realm: string;
  listen: Endpoint;
  /** milliseconds of the Diameter watchdog */
  watchdogMs?: number;
  /** what a device of a subscriber sent */
  data(imsi: string, payload: Uint8Array): void;
}

export function createScef(options: ScefOptions): Promise<DiameterNode> {
  const origin = { originHost: options.host, originRealm: options.realm };
  return createDiameterNode({
    edge: options.edge,
    ...origin,
    applications: [APPLICATION.t6a],
    listen: options.listen,
    ...(options.watchdogMs === undefined ? {} : { watchdogMs: options.watchdogMs }),
    peers: [],
    handle(request) {
      switch (request.command) {
        case moData.code: {
          const values = readRequest(moData, request);
          const { userName, msisdn } = values.userIdentifier;
          const subscriber = userName
            ? options.store.byImsi(userName)
            : msisdn
              ? options.store.byMsisdn(msisdn)
              : undefined;
          const known = subscriber?.state === 'ready';
          if (known && values.nonIpData) options.data(subscriber.imsi, values.nonIpData);
          return answerOf(moData, request, {
            sessionId: values.sessionId,
            ...origin,
            ...(known ? { resultCode: RESULT.success } : experimental(EXPERIMENTAL_RESULT.userUnknown)),
          });
        }
        case connectionManagement.code: {
          const values = readRequest(connectionManagement, request);
          return answerOf(connectionManagement, request, {
            sessionId: values.sessionId,
            ...origin,
            resultCode: RESULT.success,
          });
        }
        default:
          return errorAnswer(request, origin, RESULT.commandUnsupported);
      }
    },
  });
}
