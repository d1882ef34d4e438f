/** Serves an operator. */
import { mkdirSync } from 'node:fs';
import type { Edge } from '../../edge/index.ts';
import { realDisk } from '../../edge/real.ts';
import { createEscrowClient } from '../../network/escrow/client.ts';
import { createManufacturerClient } from '../../network/manufacturer/client.ts';
import { createOperator } from '../../network/operator/operator.ts';
import {
  parseMapping,
  parseTransportKeys,
  type CardDataImport,
} from '../../network/operator/card-data/index.ts';
import { batchFeeder } from '../../network/operator/subscribers/batch-file.ts';
import type { SubscriberKeeper } from '../../network/operator/subscribers/keeper.ts';
import { osmoHlrKeeper } from '../../network/operator/subscribers/osmo-hlr.ts';
import { restFeeder } from '../../network/operator/subscribers/rest.ts';
import { createOwnerClient } from '../../network/owner/client.ts';
import type { KeyVault } from '../../network/vault/vault.ts';
import { createSigner } from '../../network/wire/statements.ts';
import { FieldError } from '../../standards/bytes/index.ts';
import type { Section } from '../config/schema.ts';
import { takeIn } from '../take-in.ts';
import type { Files } from '../files.ts';
import { databaseFile, limitsOf, prepareVault, seconds, vaultKeys, type Served, type Start } from './role.ts';

type Keeper = (edge: Edge, vault: KeyVault) => SubscriberKeeper;

/** Another HSS, if one is named. */
function prepareKeeper(files: Files, config: Section<'operator'>['subscribers']): Keeper | undefined {
  if (!config) return undefined;
  const { osmoHlr, batchFiles, rest } = config;
  if (osmoHlr) {
    const { algorithms, ...where } = osmoHlr;
    return (edge, vault) => osmoHlrKeeper({ edge, vault, ...where, ...(algorithms && { algorithms }) });
  }
  if (batchFiles) {
    const { folder, transportKeyIndex, s6a } = batchFiles;
    const field = 'operator.subscribers.batchFiles.transportKey';
    const transportKey = files.bytes(field, batchFiles.transportKey, 16, 32);
    return (_edge, vault) => {
      mkdirSync(folder, { recursive: true });
      return { feeder: batchFeeder({ disk: realDisk, vault, folder, transportKey, transportKeyIndex }), s6a };
    };
  }
  const { to, s6a, hostName, prefix } = rest!;
  const key = files.jwk('operator.subscribers.rest.key', rest!.key);
  const bearer = rest!.bearer && files.secret('operator.subscribers.rest.bearer', rest!.bearer, 'a token');
  return (edge, vault) => ({
    feeder: restFeeder({
      edge,
      vault,
      to,
      key,
      ...(hostName !== undefined && { hostName }),
      ...(prefix !== undefined && { prefix }),
      ...(bearer !== undefined && { bearer }),
    }),
    s6a,
  });
}

/** What `run` throws of a document is noted as wrong with it. */
function named(files: Files, field: string, run: () => CardDataImport): CardDataImport {
  const before = files.problems.length;
  try {
    return run();
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    if (files.problems.length === before)
      files.wrong(`${field}: ${error.field}`, error.value, error.expected);
    return {};
  }
}

export function prepareOperator(section: Section<'operator'>, organisation: string, files: Files): Start {
  const database = databaseFile(files, 'operator.database', section.database);
  const openVault = prepareVault(files, 'operator.vault', section.vault);
  const signing = files.privateKey('operator.signingKey', section.signingKey, 'ed25519');
  const vaults = vaultKeys(files, 'operator.operators', section.operators);
  const manufacturers = (section.manufacturers ?? []).map(({ name, at, key }, i) => ({
    name,
    at,
    key: files.point(`operator.manufacturers.${i}.key`, key),
  }));
  const otaPassword = files.password('operator.otaPassword', section.otaPassword);
  const esmes = (section.esmes ?? []).map(({ systemId, addresses, ratePerSecond, queue, password }, i) => ({
    systemId,
    addresses,
    password: files.password(`operator.esmes.${i}.password`, password),
    ...(ratePerSecond !== undefined && { ratePerSecond }),
    ...(queue !== undefined && { queue }),
  }));
  const keeper = prepareKeeper(files, section.subscribers);
  const otaLimits = limitsOf(section.otaLimits);
  const { listen, escrow, owner, cscfs, onAlarm } = section;
  const cards = (section.cards ?? []).map(({ file, state, mapping, transportKeys }, i) => {
    const field = `operator.cards.${i}`;
    const how = named(files, field, () => ({
      ...(mapping !== undefined && {
        mapping: parseMapping(files.document(`${field}.mapping`, mapping, false)),
      }),
      ...(transportKeys !== undefined && {
        keys: parseTransportKeys(files.document(`${field}.transportKeys`, transportKeys, true)),
      }),
    }));
    return { ...files.toTakeIn(`${field}.file`, file, true), state, how };
  });

  return async ({ edge, ring, onError, tookIn, closing }): Promise<Served> => {
    const vault = await openVault(edge);
    const clients = {
      escrow: createEscrowClient(edge, escrow.at),
      owner: createOwnerClient(edge, owner.at),
      manufacturers: manufacturers.map(({ at, ...rest }) => ({
        ...rest,
        client: createManufacturerClient(edge, at),
      })),
    };
    closing.push(() => {
      clients.escrow.close();
      clients.owner.close();
      for (const { client } of clients.manufacturers) client.close();
    });
    const subscribers = keeper?.(edge, vault);
    const operator = await createOperator({
      edge,
      profile: { name: organisation, ...section.profile },
      database,
      vault,
      signer: await createSigner(edge.clock, organisation, signing),
      ring,
      escrow: { name: escrow.name, client: clients.escrow },
      vaults: { ...vaults, [organisation]: vault.publicKey },
      manufacturers: clients.manufacturers,
      owner: clients.owner,
      api: listen.api,
      hss: listen.hss,
      smsc: listen.smsc,
      scef: listen.scef,
      smpp: listen.smpp,
      ...(listen.gsup && { gsup: listen.gsup }),
      ...(cscfs && { cscfs }),
      ...(onAlarm && { onAlarm }),
      ...(subscribers && { subscribers }),
      otaPassword,
      ...(otaLimits && { otaLimits }),
      esmes,
      ...seconds('watchdogMs', section.watchdogSeconds),
      ...seconds('longPollMs', section.longPollSeconds),
      onError,
    });
    closing.push(() => operator.close());
    for (const { state, how, ...file } of cards) {
      if (takeIn(database, file, () => void operator.importCardData(file.text, state, how))) {
        tookIn(file.path);
      }
    }
    return {
      endpoints: operator.endpoints,
      databases: [database],
      peers: {
        escrow: escrow.at,
        owner: owner.at,
        ...Object.fromEntries(manufacturers.map(({ name, at }) => [`manufacturer ${name}`, at])),
      },
    };
  };
}
