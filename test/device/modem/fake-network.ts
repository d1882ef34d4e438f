/** A visited network as small as a test needs: one cell, one device, real UDP. */
import {
  authenticationVector,
  deriveKasme,
  verifyAuts,
  type AkaKey,
} from '../../../src/standards/aka/index.ts';
import { fromHex } from '../../../src/standards/bytes/index.ts';
import type { Datagrams, Endpoint } from '../../../src/edge/index.ts';
import { realSockets } from '../../../src/edge/real.ts';
import { GSMTAP_LTE_NAS, decodeGsmtap, encodeGsmtap } from '../../../src/standards/gsmtap/index.ts';
import {
  createNasSecurity,
  decodeNas,
  encodeNas,
  encodePlmn,
  isProtected,
  splitProtected,
  type NasMessage,
  type NasMessageOf,
  type NasSecurity,
  type SecurityCapability,
} from '../../../src/standards/nas/index.ts';

export interface FakeNetwork {
  endpoint: Endpoint;
  readonly plmn: string;
  readonly tac: number;
  /** all messages of the device, deciphered */
  heard: NasMessage[];
  security: NasSecurity | undefined;
  /** answers an attach request in place of the usual; true: handled */
  onAttach: ((request: NasMessageOf<'attachRequest'>) => boolean) | undefined;
  /** the vector's SQN, AMF and MAC can be spoilt */
  sqn: Uint8Array;
  amf: string;
  spoilMac: boolean;
  algorithms: { eea: number; eia: number };
  /** what the device said it can do, as the network says it back */
  replayed: (said: SecurityCapability) => SecurityCapability;
  knowsGuti: boolean;
  t3412: number;
  silent: boolean;
  send(message: NasMessage, headerType?: number): void;
  sendRaw(bytes: Uint8Array): void;
  last<K extends NasMessage['type']>(type: K): NasMessageOf<K> | undefined;
  count(type: NasMessage['type']): number;
  close(): void;
}

export async function fakeNetwork(plmn: string, key: AkaKey, tac = 1): Promise<FakeNetwork> {
  let device: Endpoint | undefined;
  let kAsme: Uint8Array | undefined;
  let rand = fromHex('23553cbe9637a89d218ae64dae47bf35');

  const socket: Datagrams = await realSockets.bind('gsmtap', { host: '127.0.0.1', port: 0 }, receive);

  function challenge(): void {
    rand = rand.map((byte) => (byte + 1) & 255);
    const vector = authenticationVector(key, rand, network.sqn, fromHex(network.amf));
    const autn = Uint8Array.from(vector.autn);
    kAsme = deriveKasme(vector.ck, vector.ik, encodePlmn(plmn), autn.subarray(0, 6));
    if (network.spoilMac) autn[15]! ^= 1;
    network.send({ type: 'authenticationRequest', nasKeySetIdentifier: 0, rand, autn }, 0);
  }

  function accept(): void {
    network.send({
      type: 'attachAccept',
      epsAttachResult: 1,
      t3412Value: network.t3412,
      taiList: [{ kind: 'codes', plmn, tacs: [tac] }],
      guti: { kind: 'guti', plmn, mmeGroupId: 1, mmeCode: 1, mTmsi: 0x1234 },
      esmMessageContainer: encodeNas({
        type: 'activateDefaultEpsBearerContextRequest',
        ebi: 5,
        pti: 1,
        epsQos: Uint8Array.of(9),
        accessPointName: 'fleet',
        pdnAddress: { pdnType: 5, address: new Uint8Array(4) },
      }),
    });
  }

  function handle(message: NasMessage): void {
    network.heard.push(message);
    switch (message.type) {
      case 'attachRequest':
        if (network.onAttach?.(message) === true) return;
        if (message.epsMobileIdentity.kind === 'guti' && !network.knowsGuti) {
          network.send({ type: 'identityRequest', identityType: 1 }, 0);
        } else {
          challenge();
        }
        break;
      case 'identityResponse':
        challenge();
        break;
      case 'authenticationFailure':
        if (message.emmCause === 21) {
          const sqnMs = verifyAuts(key, rand, message.authenticationFailureParameter!)!;
          network.sqn = sqnMs.slice();
          network.sqn[4]! += 1;
          challenge();
        }
        break;
      case 'authenticationResponse': {
        network.security = createNasSecurity({
          ksi: 0,
          kAsme: kAsme!,
          eea: 2,
          eia: 2,
          uplink: 0,
          downlink: 0,
        });
        network.sqn = network.sqn.slice();
        network.sqn[4]! += 1;
        network.send(
          {
            type: 'securityModeCommand',
            selectedNasSecurityAlgorithms: network.algorithms,
            nasKeySetIdentifier: 0,
            replayedUeSecurityCapabilities: network.replayed(
              network.last('attachRequest')!.ueNetworkCapability,
            ),
            imeisvRequest: 1,
          },
          3,
        );
        break;
      }
      case 'securityModeComplete': {
        const request = network.last('attachRequest')!;
        const esm = decodeNas(request.esmMessageContainer, 'uplink');
        if (esm.type === 'pdnConnectivityRequest' && esm.esmInformationTransferFlag === 1) {
          network.send({ type: 'esmInformationRequest', ebi: 0, pti: esm.pti });
        } else {
          accept();
        }
        break;
      }
      case 'esmInformationResponse':
        accept();
        break;
      case 'trackingAreaUpdateRequest':
        network.send({ type: 'trackingAreaUpdateAccept', epsUpdateResult: 0 });
        break;
      default:
    }
  }

  function receive(bytes: Uint8Array, from: Endpoint): void {
    if (network.silent) return;
    device = from;
    const { payload } = decodeGsmtap(bytes);
    if (!isProtected(payload)) return handle(decodeNas(payload, 'uplink'));
    const opened = network.security?.unprotect(payload, 'uplink');
    if (opened) return handle(decodeNas(opened.plain, 'uplink'));
    const { headerType, payload: inner } = splitProtected(payload);
    if (headerType === 1) handle(decodeNas(inner, 'uplink'));
  }

  const network: FakeNetwork = {
    endpoint: socket.endpoint,
    plmn,
    tac,
    heard: [],
    security: undefined,
    onAttach: undefined,
    sqn: fromHex('000000000020'),
    amf: '8000',
    spoilMac: false,
    algorithms: { eea: 2, eia: 2 },
    replayed: ({ eea, eia }) => ({ eea, eia, more: new Uint8Array() }),
    knowsGuti: false,
    t3412: 0xe0,
    silent: false,
    send(message, headerType = 2) {
      const plain = encodeNas(message);
      network.sendRaw(headerType === 0 ? plain : network.security!.protect(plain, 'downlink', headerType));
    },
    sendRaw(bytes) {
      const subType = isProtected(bytes) ? 1 : 0;
      socket.send(encodeGsmtap({ type: GSMTAP_LTE_NAS, subType, uplink: false, payload: bytes }), device!);
    },
    last: (type) => network.heard.findLast((one) => one.type === type) as never,
    count: (type) => network.heard.filter((one) => one.type === type).length,
    close: () => socket.close(),
  };
  return network;
}
