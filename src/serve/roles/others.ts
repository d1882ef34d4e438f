/** Serves a visited network, an escrow, a manufacturer, an OTA agent. */
import { createEscrow } from '../../network/escrow/escrow.ts';
import { createManufacturer } from '../../network/manufacturer/manufacturer.ts';
import { epcRealm } from '../../network/operator/profile.ts';
import { createOtaAgent, type AgentAccount } from '../../network/ota-agent/agent.ts';
import { createVisited } from '../../network/visited/index.ts';
import { createSigner } from '../../network/wire/statements.ts';
import type { Section } from '../config/schema.ts';
import type { Files } from '../files.ts';
import { pairsOf, takeIn } from '../take-in.ts';
import { databaseFile, limitsOf, prepareVault, seconds, vaultKeys, type Start } from './role.ts';

export function prepareVisited(section: Section<'visited'>): Start {
  const { plmn, tac, listen, mmeNumber, timers = {} } = section;
  const realm = section.realm ?? epcRealm(plmn);
  const peers = section.peers.map(({ realm: serves, at, host }) => ({
    realm: serves,
    endpoint: at,
    ...(host !== undefined && { host }),
  }));
  return async ({ edge, closing }) => {
    const visited = await createVisited({
      edge,
      plmn,
      tac,
      realm,
      originHost: section.originHost ?? `mme.${realm}`,
      cell: listen.cell,
      ...(listen.diameter && { listen: listen.diameter }),
      peers,
      ...(mmeNumber !== undefined && { mmeNumber }),
      ...(timers.scale !== undefined && { timerScale: timers.scale }),
      ...seconds('homeAnswerMs', timers.homeAnswerSeconds),
      ...seconds('watchdogMs', timers.watchdogSeconds),
      ...(timers.periodicUpdateSeconds !== undefined && {
        periodicUpdateSeconds: timers.periodicUpdateSeconds,
      }),
    });
    closing.push(() => visited.close());
    return {
      endpoints: { cell: visited.cellEndpoint, diameter: visited.diameterEndpoint },
      databases: [],
      peers: Object.fromEntries(section.peers.map(({ realm: serves, at }, i) => [`${i + 1} ${serves}`, at])),
      gauges: { devices: () => visited.registered() },
    };
  };
}

export function prepareEscrow(section: Section<'escrow'>, organisation: string, files: Files): Start {
  const database = databaseFile(files, 'escrow.database', section.database);
  const openVault = prepareVault(files, 'escrow.vault', section.vault);
  const vaults = vaultKeys(files, 'escrow.operators', section.operators);
  const pairs = section.pairs === undefined ? undefined : files.toTakeIn('escrow.pairs', section.pairs, true);
  return async ({ edge, ring, onError, tookIn, closing }) => {
    const escrow = await createEscrow({
      edge,
      name: organisation,
      api: section.listen.api,
      database,
      vault: await openVault(edge),
      ring,
      vaults,
      onError,
    });
    closing.push(() => escrow.close());
    if (pairs && takeIn(database, pairs, () => escrow.deposit(pairsOf(pairs)))) tookIn(pairs.path);
    return { endpoints: { api: escrow.endpoint }, databases: [database], peers: {} };
  };
}

export function prepareManufacturer(
  section: Section<'manufacturer'>,
  organisation: string,
  files: Files,
): Start {
  const database = databaseFile(files, 'manufacturer.database', section.database);
  const openVault = prepareVault(files, 'manufacturer.vault', section.vault);
  const signing = files.privateKey('manufacturer.signingKey', section.signingKey, 'ed25519');
  const certifyingKey = files.privateKey('manufacturer.certifyingKey', section.certifyingKey, 'P-256');
  // It stands as issuer in certificates of cards.
  if (!/^[\x20-\x7e]{1,16}$/.test(organisation)) {
    files.wrong('organisation', JSON.stringify(organisation), '1 to 16 ASCII characters, of a manufacturer');
  }
  return async ({ edge, onError, closing }) => {
    const manufacturer = await createManufacturer({
      edge,
      name: organisation,
      api: section.listen.api,
      database,
      vault: await openVault(edge),
      signer: await createSigner(edge.clock, organisation, signing),
      certifyingKey,
      onError,
    });
    closing.push(() => manufacturer.close());
    return { endpoints: { api: manufacturer.endpoint }, databases: [database], peers: {} };
  };
}

export function prepareOtaAgent(section: Section<'ota-agent'>, organisation: string, files: Files): Start {
  const database = databaseFile(files, 'ota-agent.database', section.database);
  const openVault = prepareVault(files, 'ota-agent.vault', section.vault);
  const accounts = Object.fromEntries(
    Object.entries(section.accounts).map(([name, account]): [string, AgentAccount] => {
      const field = `ota-agent.accounts.${name}`;
      const limits = limitsOf(account.limits);
      return [
        name,
        {
          smsc: account.smsc,
          systemId: account.systemId,
          password: files.password(`${field}.password`, account.password),
          address: account.address,
          messages: databaseFile(files, `${field}.messages`, account.messages),
          ...(limits && { limits }),
        },
      ];
    }),
  );
  return async ({ edge, ring, onError, closing }) => {
    const agent = await createOtaAgent({
      edge,
      name: organisation,
      api: section.listen.api,
      database,
      vault: await openVault(edge),
      ring,
      accounts,
      ...seconds('longPollMs', section.longPollSeconds),
      onError,
    });
    closing.push(() => agent.close());
    return {
      endpoints: { api: agent.endpoint },
      databases: [database, ...Object.values(accounts).map(({ messages }) => messages)],
      peers: Object.fromEntries(
        Object.entries(accounts).map(([name, { smsc }]) => [`service centre ${name}`, smsc]),
      ),
    };
  };
}
