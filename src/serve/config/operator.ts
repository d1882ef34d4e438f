/** The section of an operator, which has the most to say. */
import { z } from 'zod';
import { databaseAt, limits, longPoll, vaultOf, watchdog } from './parts.ts';
import { key, listenAt, name, number, oneOf, plmn, reachedAt, whole, type Values } from './values.ts';

const ALGORITHMS = ['milenage', 'tuak', 'test-xor'] as const;

const profile = () =>
  key(
    z.strictObject({
      plmn: key(plmn, 'MCC and MNC', { example: '00101' }),
      msisdnPrefix: key(number, 'E.164 prefix of its MSISDNs', { example: '99901' }),
      serviceCentre: key(number, 'E.164 number of its service centre', { example: '9990199000001' }),
      otaAddress: key(number, 'E.164 number of its OTA gateway', { example: '9990199000002' }),
      apn: key(z.string().min(1).max(100), 'access point name', { example: 'm2m.a' }),
      serviceProviderName: key(z.string().min(1).max(16, 'at most 16 characters'), 'what a device shows', {
        example: 'Operator A',
      }),
      algorithms: key(
        z.array(z.enum(ALGORITHMS)).min(1, 'at least one'),
        'what its authentication centre may compute; test-xor in test networks alone',
        { example: ['milenage', 'tuak'] },
      ),
    }),
    'who it is: its network, numbers and names',
  );

const esme = ({ secret }: Values) =>
  z.strictObject({
    systemId: key(z.string().min(1).max(15), 'how it is called', { example: 'agent' }),
    password: secret('its password, at most 8 characters', 'agent.password'),
    addresses: key(z.array(number).min(1, 'at least one'), 'numbers whose messages from devices go to it', {
      example: ['9990399000002'],
    }),
    ratePerSecond: key(z.number().positive('more than 0'), 'messages a second; no limit if not given', {
      example: 50,
    }).optional(),
    queue: key(whole(1, 10_000_000), 'messages that may wait for their devices; no limit if not given', {
      example: 10_000,
    }).optional(),
  });

/** Another HSS (docs/hss.md). */
const subscribers = ({ fileOf, secret }: Values) =>
  key(
    oneOf(
      z.strictObject({
        osmoHlr: key(
          z.strictObject({
            ctrl: reachedAt('its control interface', '127.0.0.1:4259'),
            gsup: reachedAt('its GSUP', '127.0.0.1:4222'),
            unitName: key(z.string().min(1), 'how it knows this process', { example: 'rehome' }),
            algorithms: key(z.array(z.enum(ALGORITHMS)), 'what it can compute; Milenage if not given', {
              example: ['milenage'],
            }).optional(),
          }),
          'an OsmoHLR',
        ).optional(),
        batchFiles: key(
          z.strictObject({
            folder: fileOf('where batches go and results come', 'hss-batches'),
            transportKey: secret('16 or 32 bytes in hexadecimal, shared with the HSS', 'hss.transport'),
            transportKeyIndex: key(whole(0, 255), 'which key that is, in the files', { example: 7 }),
            s6a: reachedAt('where it answers serving networks', '127.0.0.1:3869'),
          }),
          'an HSS that is fed by files',
        ).optional(),
        rest: key(
          z.strictObject({
            to: reachedAt('where it listens (HTTP; TLS is a tunnel’s)', '127.0.0.1:8080'),
            hostName: key(z.string().min(1), 'the Host it is called by', {
              example: 'hss.example',
            }).optional(),
            prefix: key(z.string().regex(/^\//, 'a path that begins with /'), 'before /subscribers', {
              example: '/provisioning/v1',
            }).optional(),
            key: fileOf('its P-256 key, JWK, to which keys are wrapped', 'hss.jwk'),
            bearer: secret('token of its Authorization header', 'hss.token').optional(),
            s6a: reachedAt('where it answers serving networks', '127.0.0.1:3869'),
          }),
          'an HSS with a REST interface',
        ).optional(),
      }),
      'osmoHlr',
      'batchFiles',
      'rest',
    ),
    "who keeps the subscribers, if not rehome's own HSS (docs/hss.md)",
    { exclusive: true },
  ).optional();

export const operatorSection = (values: Values) =>
  z.strictObject({
    profile: profile(),
    database: databaseAt(values, 'operator.db'),
    vault: vaultOf(values, 'operator'),
    signingKey: values.fileOf(
      'what it signs its statements with: Ed25519, PKCS#8 PEM',
      'operator.signing.pem',
    ),
    listen: key(
      z.strictObject({
        api: listenAt('the role interface', '127.0.0.1:8441'),
        hss: listenAt('S6a and S6c of the HSS (Diameter)', '127.0.0.1:3868'),
        smsc: listenAt('SGd of the service centre (Diameter)', '127.0.0.1:3871'),
        scef: listenAt('T6a of the SCEF (Diameter)', '127.0.0.1:3872'),
        smpp: listenAt('SMPP of the service centre', '127.0.0.1:2775'),
        gsup: listenAt('GSUP, for an Osmocom core', '127.0.0.1:4222').optional(),
      }),
      'where it is reached',
    ),
    escrow: key(
      z.strictObject({
        name: key(name, 'its name', { example: 'escrow' }),
        at: reachedAt('its role interface', '127.0.0.1:8443'),
      }),
      'who keeps the pairs of its cards (3b)',
    ),
    owner: key(
      z.strictObject({ at: reachedAt('its role interface', '127.0.0.1:8446') }),
      'to whom what devices send goes',
    ),
    operators: key(
      z.record(
        name,
        z.strictObject({ vault: values.fileOf('the public key of its vault, JWK', 'b.vault.jwk') }),
      ),
      'other operators to whom keys of cards may go (3a), by name',
      { entry: 'B' },
    ),
    manufacturers: key(
      z.array(
        z.strictObject({
          name: key(name, 'its name', { example: 'manufacturer' }),
          at: reachedAt('its role interface', '127.0.0.1:8444'),
          key: values.fileOf('its certifying key: P-256, public, PEM', 'manufacturer.certifying.pub.pem'),
        }),
      ),
      'of cards whose certified keys it would use (3a); none if not given',
    ).optional(),
    cards: key(
      z.array(
        z.strictObject({
          file: values.fileOf(
            "a card vendor's file (docs/card-data.md); it may have keys in the clear",
            'cards.csv',
          ),
          state: key(
            z.enum(['ready', 'stock']),
            'ready: with a subscription each; stock: to be sold; ready if not given',
            {
              example: 'ready',
            },
          ).optional(),
          mapping: values
            .fileOf('what its columns are, if they are not the usual ones: JSON', 'mapping.json')
            .optional(),
          transportKeys: values
            .fileOf('the keys that it is enciphered under: JSON', 'transport-keys.json')
            .optional(),
        }),
      ),
      'cards to take in, once each',
    ).optional(),
    otaPassword: values.secret(
      'of its OTA gateway at its service centre, at most 8 characters',
      'operator.ota.password',
    ),
    otaLimits: limits(),
    esmes: key(z.array(esme(values)), 'other systems that may bind to the service centre').optional(),
    cscfs: key(
      z.array(z.string().min(1)),
      'Diameter identities of its serving CSCFs (Cx); none if not given',
      {
        example: ['scscf.ims.mnc001.mcc001.3gppnetwork.org'],
      },
    ).optional(),
    onAlarm: key(
      z.enum(['refuse', 'suspend']),
      'what becomes of a bound subscription whose card is in another device; refuse if not given',
      { example: 'refuse' },
    ).optional(),
    subscribers: subscribers(values),
    watchdogSeconds: watchdog(),
    longPollSeconds: longPoll(),
  });
