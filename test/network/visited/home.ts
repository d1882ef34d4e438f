/** A home network of the test's making: HSS, SMSC and SCEF in one Diameter node, which does as the test says. */
import type { TestContext } from 'node:test';
import type { Clock } from '../../../src/edge/index.ts';
import { realEdge } from '../../../src/edge/real.ts';
import { authenticationVector, deriveKasme, verifyAuts } from '../../../src/standards/aka/index.ts';
import { toHex } from '../../../src/standards/bytes/index.ts';
import {
  APPLICATION,
  RESULT,
  allCommands,
  answerOf,
  authenticationInformation,
  connectionManagement,
  mtForwardShortMessage,
  moData,
  moForwardShortMessage,
  notify,
  purgeUe,
  readAnswer,
  readRequest,
  requestOf,
  updateLocation,
  type AnswerValues,
  type Message,
  type RequestValues,
} from '../../../src/standards/diameter/index.ts';
import { encodePlmn } from '../../../src/standards/bytes/index.ts';
import { createDiameterNode, type DiameterNode } from '../../../src/network/wire/diameter.ts';
import {
  createVisited,
  type Visited,
  type VisitedEvent,
  type VisitedOptions,
} from '../../../src/network/visited/index.ts';
import { PLMN, createUe, key, type ScriptedUe } from './ue.ts';

export const HOME_REALM = 'epc.mnc001.mcc001.3gppnetwork.org';
const MME_REALM = 'epc.mnc003.mcc001.3gppnetwork.org';
const LOOPBACK = { host: '127.0.0.1', port: 0 };

export interface ScriptedHome {
  node: DiameterNode;
  /** every request, as it came */
  seen: Message[];
  /** names of the commands seen, in order */
  commands(): string[];
  /** the last request of a command */
  last<C extends { code: number }>(command: C): RequestValues<C>;
  /** what is answered instead of success, by command code; undefined for ever: no answer */
  answers: Map<number, object | 'nothing'>;
  /** the SQN of the next vector */
  sqn: number;
  /** SQN_MS of the last valid resynchronisation */
  resynchronised: string | undefined;
  deliver(imsi: string, smRpUi: Uint8Array): Promise<AnswerValues<typeof mtForwardShortMessage>>;
}

export async function createHome(t: TestContext): Promise<ScriptedHome> {
  const origin = { originHost: `all.${HOME_REALM}`, originRealm: HOME_REALM };

  const fixed = (request: Message): Message | undefined => {
    const given = home.answers.get(request.command);
    if (!given || given === 'nothing') return undefined;
    const command = allCommands().find(({ code }) => code === request.command)!;
    return answerOf(command, request, { ...origin, ...given } as never);
  };

  function handle(request: Message): Message | Promise<Message> {
    home.seen.push(request);
    if (home.answers.get(request.command) === 'nothing') return new Promise(() => undefined);
    const success = { ...origin, resultCode: RESULT.success };
    switch (request.command) {
      case authenticationInformation.code: {
        const { requestedEutranAuthenticationInfo, visitedPlmnId } = readRequest(
          authenticationInformation,
          request,
        );
        const resync = requestedEutranAuthenticationInfo?.reSynchronizationInfo;
        if (resync) {
          const sqnMs = verifyAuts(key, resync.slice(0, 16), resync.slice(16));
          home.resynchronised = sqnMs && toHex(sqnMs);
          home.sqn = 0x1000;
        }
        const other = fixed(request);
        if (other) return other;
        const sqn = Uint8Array.of(0, 0, 0, 0, home.sqn >> 8, home.sqn);
        home.sqn += 32;
        const rand = realEdge.random.bytes(16);
        const vector = authenticationVector(key, rand, sqn, Uint8Array.of(0x80, 0));
        const kasme = deriveKasme(
          vector.ck,
          vector.ik,
          encodePlmn(visitedPlmnId),
          vector.autn.subarray(0, 6),
        );
        const eutranVectors = [{ rand, xres: vector.xres, autn: vector.autn, kasme }];
        return answerOf(authenticationInformation, request, {
          ...success,
          authenticationInfo: { eutranVectors },
        });
      }
      case updateLocation.code:
        return (
          fixed(request) ??
          answerOf(updateLocation, request, {
            ...success,
            subscriptionData: {
              msisdn: '9990100001',
              apnConfigurationProfile: {
                contextIdentifier: 1,
                allApnConfigurationsIncludedIndicator: 0,
                apnConfigurations: [{ contextIdentifier: 1, pdnType: 0, serviceSelection: 'm2m.a' }],
              },
            },
          })
        );
      default: {
        const command = [notify, purgeUe, moForwardShortMessage, connectionManagement, moData].find(
          ({ code }) => code === request.command,
        );
        return fixed(request) ?? answerOf(command as never, request, success as never);
      }
    }
  }

  const node = await createDiameterNode({
    edge: realEdge,
    ...origin,
    applications: [APPLICATION.s6a, APPLICATION.sgd, APPLICATION.t6a],
    listen: LOOPBACK,
    peers: [],
    handle,
  });
  const home: ScriptedHome = {
    node,
    seen: [],
    commands: () =>
      home.seen.map((message) => allCommands().find(({ code }) => code === message.command)!.name),
    last(command) {
      const message = home.seen.findLast(({ command: code }) => code === command.code);
      return readRequest(command as never, message!) as never;
    },
    answers: new Map(),
    sqn: 0x200,
    resynchronised: undefined,
    async deliver(imsi, smRpUi) {
      const answer = await node.request(
        requestOf(mtForwardShortMessage, {
          sessionId: node.sessionId(),
          ...origin,
          destinationHost: `mme.${MME_REALM}`,
          destinationRealm: MME_REALM,
          userName: imsi,
          scAddress: '9990199000001',
          smRpUi,
        }),
      );
      return readAnswer(mtForwardShortMessage, answer);
    },
  };
  t.after(() => node.close());
  return home;
}

export interface Stage {
  home: ScriptedHome;
  visited: Visited;
  events: VisitedEvent[];
  ue(imsi?: string): Promise<ScriptedUe>;
  /** waits until something is so */
  until(what: string, condition: () => boolean): Promise<void>;
}

/**
 * A real clock on which the long timers, of a minute and more, wait until they are told that time has passed.
 * Retransmissions go on in real time, so that a slow machine does not lose an answer to a timer made short.
 */
export function patientClock(): { clock: Clock; pass(milliseconds: number): void } {
  const { clock } = realEdge;
  let passed = 0;
  const long = new Set<{ at: number; run: () => void }>();
  const now = (): number => clock.now() + passed;
  return {
    clock: {
      now,
      hold: (work) => work,
      after(milliseconds, run) {
        if (milliseconds < 60_000) return clock.after(milliseconds, run);
        const timer = { at: now() + milliseconds, run };
        long.add(timer);
        return { cancel: () => void long.delete(timer) };
      },
    },
    pass(milliseconds) {
      passed += milliseconds;
      for (const timer of [...long].filter(({ at }) => at <= now())) {
        long.delete(timer);
        timer.run();
      }
    },
  };
}

/** Home and visited network, and devices as wanted. */
export async function stage(t: TestContext, options: Partial<VisitedOptions> = {}): Promise<Stage> {
  const home = await createHome(t);
  const events: VisitedEvent[] = [];
  const visited = await createVisited({
    edge: realEdge,
    plmn: PLMN,
    tac: 1,
    realm: MME_REALM,
    originHost: `mme.${MME_REALM}`,
    cell: LOOPBACK,
    peers: [{ realm: HOME_REALM, endpoint: home.node.endpoint! }],
    observe: (event) => events.push(event),
    ...options,
  });
  t.after(() => visited.close());
  return {
    home,
    visited,
    events,
    async ue(imsi = '001010000000001') {
      const made = await createUe(visited.cellEndpoint, imsi);
      t.after(() => made.close());
      return made;
    },
    async until(what, condition) {
      const end = Date.now() + 5000;
      while (!condition()) {
        if (Date.now() > end) throw new Error(`never: ${what}`);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    },
  };
}
