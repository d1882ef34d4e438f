/** The sections of all roles but the operator. */
import { z } from 'zod';
import { apiOnly, databaseAt, limits, longPoll, vaultOf, watchdog } from './parts.ts';
import { key, listenAt, name, number, plmn, reachedAt, whole, type Values } from './values.ts';

export const visitedSection = () =>
  z.strictObject({
    plmn: key(plmn, 'MCC and MNC', { example: '00103' }),
    tac: key(whole(0, 65_535), 'tracking area code', { example: 1 }),
    realm: key(z.string().min(1), 'Diameter realm; that of its PLMN if not given (TS 23.003 §19.2)', {
      example: 'epc.mnc003.mcc001.3gppnetwork.org',
    }).optional(),
    originHost: key(z.string().min(1), "the MME's Diameter identity; mme. in that realm if not given", {
      example: 'mme.epc.mnc003.mcc001.3gppnetwork.org',
    }).optional(),
    mmeNumber: key(number, 'E.164 number of the MME, for SMS', { example: '9990399000001' }).optional(),
    listen: key(
      z.strictObject({
        cell: listenAt('devices (NAS in GSMTAP over UDP)', '127.0.0.1:4729'),
        diameter: listenAt('home networks that connect by themselves', '127.0.0.1:3870').optional(),
      }),
      'where it is reached',
    ),
    peers: key(
      z
        .array(
          z.strictObject({
            realm: key(
              z.string().min(1),
              "the realm it serves, or '*' of an agent that routes to all others",
              {
                example: 'epc.mnc001.mcc001.3gppnetwork.org',
              },
            ),
            at: reachedAt('where it waits for S6a, SGd or T6a', '127.0.0.1:3868'),
            host: key(z.string().min(1), 'its Diameter identity; learned from it if not given', {
              example: 'hss.epc.mnc001.mcc001.3gppnetwork.org',
            }).optional(),
          }),
        )
        .min(1, 'at least one'),
      'home networks and agents: an HSS, a service centre and a SCEF each',
    ),
    timers: key(
      z.strictObject({
        scale: key(
          z.number().positive('more than 0'),
          'every NAS and SMS timer is multiplied with it; 1 if not given',
          {
            example: 1,
          },
        ).optional(),
        homeAnswerSeconds: key(whole(1, 60), 'how long a home network may take; 6 if not given', {
          example: 6,
        }).optional(),
        periodicUpdateSeconds: key(whole(2, 11_160), 'T3412; 3240 if not given', {
          example: 3240,
        }).optional(),
        watchdogSeconds: watchdog(),
      }),
      'how long things take',
    ).optional(),
  });

export const escrowSection = (values: Values) =>
  z.strictObject({
    database: databaseAt(values, 'escrow.db'),
    vault: vaultOf(values, 'escrow'),
    listen: apiOnly('127.0.0.1:8443'),
    operators: key(
      z.record(
        name,
        z.strictObject({
          vault: values.fileOf("the public key of the operator's vault, JWK", 'b.vault.jwk'),
        }),
      ),
      'to whom pairs may go, by name',
      { entry: 'B' },
    ),
    pairs: values
      .fileOf('pairs of cards to take in, once: JSON, with keys in the clear', 'pairs.json')
      .optional(),
  });

export const manufacturerSection = (values: Values) =>
  z.strictObject({
    database: databaseAt(values, 'manufacturer.db'),
    vault: vaultOf(values, 'manufacturer'),
    signingKey: values.fileOf(
      'what it signs its statements with: Ed25519, PKCS#8 PEM',
      'manufacturer.signing.pem',
    ),
    certifyingKey: values.fileOf(
      'what it certifies cards with: P-256, PKCS#8 PEM',
      'manufacturer.certifying.pem',
    ),
    listen: apiOnly('127.0.0.1:8444'),
  });

export const agentSection = (values: Values) =>
  z.strictObject({
    database: databaseAt(values, 'agent.db'),
    vault: vaultOf(values, 'agent'),
    listen: apiOnly('127.0.0.1:8445'),
    accounts: key(
      z.record(
        name,
        z.strictObject({
          smsc: reachedAt("the operator's service centre (SMPP)", '127.0.0.1:2775'),
          systemId: key(z.string().min(1).max(15), 'how the agent is called there', { example: 'agent' }),
          password: values.secret('its password there, at most 8 characters', 'agent.a.password'),
          address: key(number, "the agent's number there", { example: '9990399000002' }),
          messages: values.fileOf('SQLite database of what is under way there', 'agent.a.db'),
          limits: limits(),
        }),
      ),
      'its accounts at service centres, by operator',
      { entry: 'A' },
    ),
    longPollSeconds: longPoll(),
  });

export const ownerSection = (values: Values) =>
  z.strictObject({
    database: databaseAt(values, 'owner.db'),
    signingKey: values.fileOf('what orders are signed with: Ed25519, PKCS#8 PEM', 'owner.signing.pem'),
    listen: apiOnly('127.0.0.1:8446'),
    operators: key(
      z.record(name, z.strictObject({ at: reachedAt("the operator's role interface", '127.0.0.1:8441') })),
      'operators of its devices, by name',
      { entry: 'A' },
    ),
    devices: values.fileOf('devices to take in, once: JSON', 'devices.json').optional(),
    audience: key(
      z.array(name),
      'who else must be able to read orders: escrow, OTA agent; by name. Nobody if not given',
      { example: ['escrow'] },
    ).optional(),
    agent: key(
      z.strictObject({
        name: key(name, 'its name', { example: 'agent' }),
        at: reachedAt('its role interface', '127.0.0.1:8445'),
      }),
      'an OTA agent that switches cards of 3b, where operators do not',
    ).optional(),
    changes: key(
      z.strictObject({
        database: databaseAt(values, 'changes.db'),
        listen: listenAt('orders of changes, and how they go', '127.0.0.1:8447'),
        alternatives: key(
          z
            .array(z.enum(['2', '3a', '3b'], { error: "one of '2', '3a', '3b', in quotes" }))
            .min(1, 'at least one'),
          'which it can drive',
          { example: ['2', '3a', '3b'] },
        ),
      }),
      'the change engine: the fleet server of this owner',
    ).optional(),
    silentAfterSeconds: key(
      whole(1, 31_536_000),
      'a device that was heard and is not heard for so long is told as silent; never if not given',
      { example: 86_400 },
    ).optional(),
    longPollSeconds: longPoll(),
  });
