/** What sections of several roles have in common. */
import { z } from 'zod';
import { key, listenAt, oneOf, whole, type Values } from './values.ts';

export const longPoll = () =>
  key(whole(1, 3600), 'how long a reader of what happens here is kept waiting; 600 if not given', {
    example: 600,
  }).optional();

export const watchdog = () =>
  key(whole(1, 86_400), 'silence after which a Diameter watchdog goes out; 30 if not given', {
    example: 30,
  }).optional();

export const databaseAt = ({ fileOf }: Values, example: string) =>
  fileOf('SQLite database; made if it is not there', example);

export const limits = () =>
  key(
    z.strictObject({
      window: key(whole(1, 10_000), 'messages submitted and not yet answered; 32 if not given', {
        example: 32,
      }).optional(),
      ratePerSecond: key(z.number().positive('more than 0'), 'messages a second; no limit if not given', {
        example: 100,
      }).optional(),
    }),
    'what the service centre allows',
  ).optional();

/** Where a role's long-term keys are sealed. */
export const vaultOf = ({ fileOf, secret }: Values, holder: string) =>
  key(
    oneOf(
      z.strictObject({
        software: key(
          z.strictObject({
            keyEncryptionKey: secret(
              '32 bytes in 64 hexadecimal digits, under which keys are sealed',
              `${holder}.kek`,
            ),
            transportKey: fileOf('to which others wrap keys: P-256, PKCS#8 PEM', `${holder}.transport.pem`),
          }),
          'in this process',
        ).optional(),
        pkcs11: key(
          z.strictObject({
            module: fileOf('the PKCS#11 module', '/usr/lib/softhsm/libsofthsm2.so'),
            token: key(z.string().min(1, 'the label of a token'), "the token's label", { example: 'rehome' }),
            pin: secret("the user's PIN", `${holder}.pin`),
          }),
          'in a hardware security module',
        ).optional(),
      }),
      'software',
      'pkcs11',
    ),
    'where keys of cards and subscriptions are sealed',
    { exclusive: true },
  );

export const apiOnly = (example: string) =>
  key(z.strictObject({ api: listenAt('the role interface', example) }), 'where it is reached');
