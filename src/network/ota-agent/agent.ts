/**
 * An OTA agent who is neither A nor B (a variant of alternative 3b): it switches cards under a key set of its own
 * that is good for the list application and nothing else, over the service centre of whichever operator serves the
 * card. It never has a Ki, nor a pair's OTA keys. It moves a card only on the owner's order that names it, with A's
 * release and B's reservation; and ends a trial only with B's consent.
 */
import { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import type { Edge, Endpoint } from '../../edge/index.ts';
import { FieldError, fromHex } from '../../standards/bytes/index.ts';
import {
  COMMIT_ON_AKA,
  KEY_LIST_TAR,
  encodeCompactCommands,
  encodeKeyListCancel,
  encodeKeyListCommit,
  encodeKeyListSwitch,
} from '../../standards/ota/index.ts';
import { atomically } from '../wire/atomically.ts';
import { createOtaGateway, type OtaGateway } from '../ota/gateway.ts';
import { KEY_SCHEMA, MESSAGE_SCHEMA, openOtaKeys, type GatewayStore } from '../ota/store.ts';
import type { KeyVault, OtaKeyPair } from '../vault/vault.ts';
import { createFeed } from '../wire/feed.ts';
import { Problem, post, serveApi, type Route } from '../wire/http.ts';
import type { SmscLimits } from '../wire/pace.ts';
import { readStatement, type KeyRing, type Order, type Reservation } from '../wire/statements.ts';
import {
  agentCommitSchema,
  agentStopSchema,
  agentSwitchSchema,
  type AgentCommit,
  type AgentStop,
  type AgentSwitch,
} from './client.ts';

/** An operator's service centre, as the agent is known there. */
export interface AgentAccount {
  smsc: Endpoint;
  systemId: string;
  /** at most 8 characters */
  password: string;
  /** the agent's number there */
  address: string;
  /** database file of what is under way there, or `:memory:` */
  messages: string;
  limits?: SmscLimits;
}

/** The agent's key set on a card, which the card limits to the list application. */
export interface AgentKeys {
  iccid: string;
  /** 2–15; set 1 is the pair's */
  keySet: number;
  /** AES */
  keys: OtaKeyPair;
}

export interface OtaAgentOptions {
  edge: Edge;
  name: string;
  /** where to listen */
  api: Endpoint;
  /** database file, or `:memory:` */
  database: string;
  vault: KeyVault;
  /** whose statements count */
  ring: KeyRing;
  /** by operator */
  accounts: Record<string, AgentAccount>;
  /** milliseconds that a reader of what happens here is kept waiting; 600000 if not given */
  longPollMs?: number;
  onError?: (error: unknown) => void;
}

export interface OtaAgent {
  readonly endpoint: Endpoint;
  /** Takes in key sets of new cards. All or none. @throws FieldError on a card that is known already */
  importKeys(sets: readonly AgentKeys[]): void;
  close(): Promise<void>;
}

/** A change as its statements say it. */
interface Mandate {
  ordered: Order;
  index: number;
  serving: { msisdn: string; reportTo: string };
  reserved: Reservation;
}

const SCHEMA = `
  PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
  ${KEY_SCHEMA}
  CREATE TABLE IF NOT EXISTS number (
    operator TEXT NOT NULL, imsi TEXT NOT NULL, msisdn TEXT NOT NULL, iccid TEXT NOT NULL,
    PRIMARY KEY (operator, imsi), UNIQUE (operator, msisdn)
  ) STRICT;
`;

const refuse = (status: number, code: string, detail: string): Problem => new Problem(status, code, detail);

export async function createOtaAgent(options: OtaAgentOptions): Promise<OtaAgent> {
  const { edge, name, vault, ring } = options;
  const onError = options.onError ?? ((): void => undefined);
  const database = new DatabaseSync(options.database);
  database.exec(SCHEMA);
  const feed = createFeed(database, edge.clock, options.longPollMs);
  const keys = openOtaKeys(database);
  const learn = database.prepare(
    `INSERT INTO number (operator, imsi, msisdn, iccid) VALUES (?, ?, ?, ?)
     ON CONFLICT (operator, imsi) DO UPDATE SET msisdn = excluded.msisdn, iccid = excluded.iccid`,
  );
  const byImsi = database.prepare('SELECT msisdn FROM number WHERE operator = ? AND imsi = ?');
  const byMsisdn = database.prepare('SELECT imsi, iccid FROM number WHERE operator = ? AND msisdn = ?');

  const gateways = new Map<string, { gateway: OtaGateway; messages: DatabaseSync }>();
  for (const [operator, account] of Object.entries(options.accounts)) {
    const messages = new DatabaseSync(account.messages);
    messages.exec(`PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; ${MESSAGE_SCHEMA}`);
    const store: GatewayStore = {
      database: messages,
      otaKeys: (iccid, keySet) => keys.otaKeys(iccid, keySet),
      takeCounter: (iccid, keySet) => keys.takeCounter(iccid, keySet),
      byImsi(imsi) {
        const row = byImsi.get(operator, imsi);
        return row && { msisdn: String(row.msisdn) };
      },
      byMsisdn(msisdn) {
        const row = byMsisdn.get(operator, msisdn);
        return row && { imsi: String(row.imsi), iccid: String(row.iccid) };
      },
    };
    const gateway = createOtaGateway({
      edge,
      store,
      vault,
      smsc: account.smsc,
      systemId: account.systemId,
      password: account.password,
      address: account.address,
      ...(account.limits && { limits: account.limits }),
      proved({ change, command }, result) {
        const sw = result.result === 'refused' ? { sw: result.sw.toString(16) } : {};
        feed.append('proof', { change, command, over: operator, result: result.result, ...sw });
      },
      // Cards report to their operator, under a pair's keys.
      reported: () => undefined,
    });
    gateways.set(operator, { gateway, messages });
  }
  const gatewayOf = (operator: string): OtaGateway => {
    const found = gateways.get(operator);
    if (!found) throw refuse(409, 'not-here', `${name} has no account with ${operator}`);
    return found.gateway;
  };

  /** Reads what the agent is to act on, and learns where the card can be reached. */
  const mandateOf = async (
    request: { order: string; release: string; reservation: string },
    expired: 'refuse' | 'allow',
  ): Promise<Mandate> => {
    const ordered = await readStatement('order', request.order, ring, name, edge.clock, expired);
    if (ordered.alternative !== '3b' || ordered.agent !== name) {
      throw refuse(403, 'bad-order', `the order is not for 3b by ${name}`);
    }
    const release = await readStatement('index-release', request.release, ring, name, edge.clock, expired);
    const reserved = await readStatement('reservation', request.reservation, ring, name, edge.clock, expired);
    for (const [what, { iss, change, iccid }, by] of [
      ['release', release, ordered.from],
      ['reservation', reserved, ordered.to],
    ] as const) {
      if (iss !== by || change !== ordered.change || iccid !== ordered.iccid) {
        throw refuse(403, `bad-${what}`, `the ${what} is not ${by}'s for this order`);
      }
    }
    if (release.to !== ordered.to || !release.serving) {
      throw refuse(403, 'bad-release', `the release does not say where ${name} reaches the card`);
    }
    const { iccid } = ordered;
    learn.run(ordered.from, ordered.imsi, release.serving.msisdn, iccid);
    learn.run(ordered.to, reserved.imsi, reserved.settings.msisdn, iccid);
    return { ordered, index: release.index, serving: release.serving, reserved };
  };

  const send = (
    operator: string,
    command: string,
    { ordered, reserved }: Mandate,
    apdu: Uint8Array,
  ): void => {
    const { iccid, change } = ordered;
    const [keySet] = keys.otaKeySets(iccid);
    if (keySet === undefined) throw refuse(409, 'unknown-card', `${name} has no keys for card ${iccid}`);
    gatewayOf(operator).send({
      change,
      command,
      iccid,
      imsi: operator === ordered.to ? reserved.imsi : ordered.imsi,
      keySet,
      tar: KEY_LIST_TAR,
      script: encodeCompactCommands([apdu]),
    });
  };

  const switchOne = async (request: AgentSwitch): Promise<{ ok: true }> => {
    const mandate = await mandateOf(request, 'allow');
    const { ordered, index, serving, reserved } = mandate;
    const { imsi, settings } = reserved;
    let apdu: Uint8Array;
    try {
      apdu = encodeKeyListSwitch({
        change: fromHex(ordered.change),
        index,
        imsi,
        mncLength: settings.mncLength,
        trialSeconds: request.trialSeconds,
        delaySeconds: request.delaySeconds,
        policy: request.commitOnAka ? COMMIT_ON_AKA : 0,
        serviceCentre: settings.serviceCentre,
        msisdn: settings.msisdn,
        serviceProviderName: settings.serviceProviderName,
        apn: settings.apn,
        reportTo: serving.reportTo,
      });
    } catch (error) {
      if (!(error instanceof FieldError)) throw error;
      throw refuse(400, 'bad-settings', error.message);
    }
    send(ordered.from, 'switch', mandate, apdu);
    return { ok: true };
  };

  const commit = async (request: AgentCommit): Promise<{ ok: true }> => {
    const mandate = await mandateOf(request, 'allow');
    const { ordered, index } = mandate;
    const consent = await readStatement('commit-consent', request.consent, ring, name, edge.clock);
    if (consent.iss !== ordered.to || consent.change !== ordered.change || consent.iccid !== ordered.iccid) {
      throw refuse(403, 'bad-consent', `the consent is not ${ordered.to}'s for this order`);
    }
    const apdu = encodeKeyListCommit({ change: fromHex(ordered.change), index });
    send(ordered.to, 'commit', mandate, apdu);
    return { ok: true };
  };

  const stop = async (request: AgentStop): Promise<{ ok: true }> => {
    const mandate = await mandateOf(request, 'allow');
    const { ordered, index } = mandate;
    const { over } = request;
    if (over !== ordered.from && over !== ordered.to) {
      throw refuse(
        400,
        'bad-request',
        `over: ${JSON.stringify(over)}, expected ${ordered.from} or ${ordered.to}`,
      );
    }
    gatewayOf(over).withdraw(ordered.change, over === ordered.from ? 'switch' : 'commit');
    const apdu = encodeKeyListCancel({ change: fromHex(ordered.change), index });
    send(over, 'cancel', mandate, apdu);
    return { ok: true };
  };

  /** What one request is refused for does not touch the others. */
  const batch = <Q>(path: string, schema: z.ZodType<Q>, run: (request: Q) => Promise<{ ok: true }>): Route =>
    post(path, z.strictObject({ requests: z.array(schema).max(1000) }), async ({ body }) => ({
      results: await Promise.all(
        body.requests.map((request) =>
          run(request).catch((error: unknown) => {
            if (error instanceof Problem) return { error: error.message, code: error.code };
            onError(error);
            return { error: `${name} failed at it`, code: 'failed' };
          }),
        ),
      ),
    }));
  const server = await serveApi(
    edge,
    options.api,
    [
      feed.route,
      batch('/switches', agentSwitchSchema, switchOne),
      batch('/commits', agentCommitSchema, commit),
      batch('/stops', agentStopSchema, stop),
    ],
    onError,
  );
  return {
    endpoint: server.endpoint,
    importKeys(sets) {
      atomically(database, () => {
        for (const { iccid, keySet, keys: own } of sets) {
          if (keys.otaKeySets(iccid).length > 0) {
            throw new FieldError('iccid', iccid, 'a card that is not known already');
          }
          const label = `${iccid} ${name}`;
          keys.putOtaKeys({
            iccid,
            keySet,
            algorithm: 'aes',
            ota: vault.sealOta(label, own),
            label,
            counter: 0,
          });
        }
      });
    },
    async close() {
      for (const { gateway } of gateways.values()) gateway.close();
      await server.close();
      for (const { messages } of gateways.values()) messages.close();
      database.close();
    },
  };
}
