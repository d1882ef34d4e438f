/** A device of the test's making: it speaks NAS, one message at a time, as the test says. */
import assert from 'node:assert/strict';
import { realEdge } from '../../../src/edge/real.ts';
import type { Endpoint } from '../../../src/edge/index.ts';
import { deriveKasme, makeAuts, openChallenge, prepare } from '../../../src/standards/aka/index.ts';
import {
  GSMTAP_LTE_NAS,
  GSMTAP_NAS,
  decodeGsmtap,
  encodeGsmtap,
} from '../../../src/standards/gsmtap/index.ts';
import {
  ADDITIONAL_UPDATE_TYPE,
  ATTACH_TYPE,
  ESM_INFORMATION_REQUIRED,
  NO_KEY,
  PDN_TYPE,
  REQUEST_TYPE,
  SECURITY_HEADER,
  createNasSecurity,
  decodeNas,
  encodeNas,
  encodePlmn,
  isProtected,
  splitProtected,
  type Guti,
  type NasMessage,
  type NasMessageOf,
  type NasSecurity,
  type SecurityCapability,
} from '../../../src/standards/nas/index.ts';

export const PLMN = '00103';
export const KEY = {
  algorithm: 'milenage',
  k: new Uint8Array(16).fill(7),
  opc: new Uint8Array(16).fill(9),
} as const;
export const SQN_MS = Uint8Array.of(0, 0, 0, 0, 9, 0);
export const key = prepare(KEY);

export interface Heard {
  message: NasMessage;
  /** it came protected, and the protection held */
  verified: boolean;
  bytes: Uint8Array;
}

export interface ScriptedUe {
  imsi: string;
  guti: Guti | undefined;
  security: NasSecurity | undefined;
  readonly endpoint: Endpoint;
  /** what came and was not asked for yet */
  readonly inbox: Heard[];
  /** bytes as they are */
  sendBytes(bytes: Uint8Array): void;
  sendPlain(message: NasMessage): void;
  send(message: NasMessage, headerType?: number): void;
  /** the next message, whatever it is */
  hear(): Promise<Heard>;
  /** the next message, which must be of this type */
  expect<K extends NasMessage['type']>(type: K): Promise<NasMessageOf<K>>;
  /** that nothing comes for a while */
  silence(milliseconds?: number): Promise<void>;
  attachRequest(change?: Partial<NasMessageOf<'attachRequest'>>): NasMessageOf<'attachRequest'>;
  /** from a challenge on: answers it, and takes the security mode. @param imeisv undefined: it keeps that back */
  authenticate(imeisv?: string | undefined): Promise<void>;
  /** all of it, by IMSI, or by GUTI and the stored context */
  attach(apn?: string): Promise<NasMessageOf<'attachAccept'>>;
  close(): void;
}

export const CAPABILITY: SecurityCapability = { eea: 0xa0, eia: 0x20, more: Uint8Array.of(0, 0, 0, 4) };

export async function createUe(cell: Endpoint, imsi: string): Promise<ScriptedUe> {
  const inbox: Heard[] = [];
  let waiting: ((heard: Heard) => void) | undefined;

  const socket = await realEdge.sockets.bind('gsmtap', { host: '127.0.0.1', port: 0 }, (datagram) => {
    const { payload, subType, uplink } = decodeGsmtap(new Uint8Array(datagram));
    assert.equal(uplink, false);
    assert.equal(subType, isProtected(payload) ? GSMTAP_NAS.protected : GSMTAP_NAS.plain);
    let heard: Heard | undefined;
    if (!isProtected(payload)) {
      heard = { message: decodeNas(payload, 'downlink'), verified: false, bytes: payload };
    } else {
      const { headerType, payload: inner } = splitProtected(payload);
      if (headerType === SECURITY_HEADER.integrityNewContext) {
        heard = { message: decodeNas(inner, 'downlink'), verified: false, bytes: payload };
      } else {
        const opened = ue.security?.unprotect(payload, 'downlink');
        if (opened) heard = { message: decodeNas(opened.plain, 'downlink'), verified: true, bytes: payload };
      }
    }
    if (!heard) return;
    if (waiting) {
      const take = waiting;
      waiting = undefined;
      take(heard);
    } else inbox.push(heard);
  });

  function sendBytes(bytes: Uint8Array): void {
    const subType = isProtected(bytes) ? GSMTAP_NAS.protected : GSMTAP_NAS.plain;
    socket.send(encodeGsmtap({ type: GSMTAP_LTE_NAS, subType, uplink: true, payload: bytes }), cell);
  }

  function hear(): Promise<Heard> {
    const first = inbox.shift();
    if (first) return Promise.resolve(first);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting = undefined;
        reject(new Error(`${imsi}: nothing heard in 5 s`));
      }, 5000);
      waiting = (heard) => {
        clearTimeout(timer);
        resolve(heard);
      };
    });
  }

  async function expect<K extends NasMessage['type']>(type: K): Promise<NasMessageOf<K>> {
    const { message } = await hear();
    assert.equal(message.type, type, JSON.stringify(message));
    return message as NasMessageOf<K>;
  }

  const ue: ScriptedUe = {
    imsi,
    guti: undefined,
    security: undefined,
    endpoint: socket.endpoint,
    inbox,
    sendBytes,
    sendPlain: (message) => sendBytes(encodeNas(message)),
    send(message, headerType = SECURITY_HEADER.integrityCiphered) {
      sendBytes(ue.security!.protect(encodeNas(message), 'uplink', headerType));
    },
    hear,
    expect,
    async silence(milliseconds = 100) {
      await new Promise((resolve) => setTimeout(resolve, milliseconds));
      assert.deepEqual(
        inbox.map(({ message }) => message),
        [],
      );
    },
    attachRequest: (change = {}) => ({
      type: 'attachRequest',
      attachType: ATTACH_TYPE.eps,
      nasKeySetIdentifier: ue.security?.state.ksi ?? NO_KEY,
      epsMobileIdentity: ue.guti ?? { kind: 'imsi', digits: ue.imsi },
      ueNetworkCapability: CAPABILITY,
      esmMessageContainer: encodeNas({
        type: 'pdnConnectivityRequest',
        ebi: 0,
        pti: 1,
        requestType: REQUEST_TYPE.initial,
        pdnType: PDN_TYPE.nonIp,
      }),
      additionalUpdateType: ADDITIONAL_UPDATE_TYPE.smsOnly | ADDITIONAL_UPDATE_TYPE.controlPlaneCiot,
      ...change,
    }),
    async authenticate(...given) {
      const imeisv = given.length > 0 ? given[0] : '3520990017614801';
      const { rand, autn, nasKeySetIdentifier } = await expect('authenticationRequest');
      const { res, ck, ik, macValid } = openChallenge(key, rand, autn);
      assert.equal(macValid, true);
      ue.sendPlain({ type: 'authenticationResponse', res });
      const { message, bytes } = await hear();
      assert(message.type === 'securityModeCommand', message.type);
      assert.equal(message.nasKeySetIdentifier, nasKeySetIdentifier);
      assert.deepEqual(message.selectedNasSecurityAlgorithms, { eea: 2, eia: 2 });
      assert.deepEqual(message.replayedUeSecurityCapabilities, {
        ...CAPABILITY,
        more: Uint8Array.of(0, 0),
      });
      const kAsme = deriveKasme(ck, ik, encodePlmn(PLMN), autn.subarray(0, 6));
      ue.security = createNasSecurity({
        ksi: nasKeySetIdentifier,
        kAsme,
        eea: 2,
        eia: 2,
        uplink: 0,
        downlink: 0,
      });
      assert(ue.security.unprotect(bytes, 'downlink'), 'the security mode command is genuine');
      assert.equal(message.imeisvRequest, 1);
      ue.send(
        {
          type: 'securityModeComplete',
          ...(imeisv !== undefined && { imeisv: { kind: 'imeisv', digits: imeisv } }),
        },
        SECURITY_HEADER.integrityCipheredNewContext,
      );
    },
    async attach(apn) {
      const known = ue.security !== undefined && ue.guti !== undefined;
      const request = ue.attachRequest(
        apn === undefined
          ? {}
          : {
              esmMessageContainer: encodeNas({
                type: 'pdnConnectivityRequest',
                ebi: 0,
                pti: 1,
                requestType: REQUEST_TYPE.initial,
                pdnType: PDN_TYPE.nonIp,
                esmInformationTransferFlag: ESM_INFORMATION_REQUIRED,
              }),
            },
      );
      if (known) ue.send(request, SECURITY_HEADER.integrity);
      else {
        ue.sendPlain(request);
        await ue.authenticate();
      }
      if (apn !== undefined) {
        const { pti } = await expect('esmInformationRequest');
        ue.send({ type: 'esmInformationResponse', ebi: 0, pti, accessPointName: apn });
      }
      const accept = await expect('attachAccept');
      ue.guti = accept.guti;
      const esm = decodeNas(accept.esmMessageContainer, 'downlink');
      assert(esm.type === 'activateDefaultEpsBearerContextRequest');
      ue.send({
        type: 'attachComplete',
        esmMessageContainer: encodeNas({
          type: 'activateDefaultEpsBearerContextAccept',
          ebi: esm.ebi,
          pti: 0,
        }),
      });
      return accept;
    },
    close: () => socket.close(),
  };
  return ue;
}

/** What a device says to a challenge whose SQN it has seen. */
export const autsOf = (rand: Uint8Array): Uint8Array => makeAuts(key, rand, SQN_MS);
