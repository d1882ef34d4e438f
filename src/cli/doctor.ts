/** `rehome doctor`: what is installed, what is missing, and what it would give. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { Command } from 'commander';

interface Part {
  name: string;
  /** a command on the PATH, or a file */
  look: string;
  package: string;
  gives: string;
}

const PARTS: readonly Part[] = [
  { name: 'pcscd', look: 'pcscd', package: 'pcscd', gives: 'our cards in a PC/SC reader' },
  {
    name: 'vpcd',
    look: '/usr/lib/pcsc/drivers/serial/libifdvpcd.so',
    package: 'vsmartcard-vpcd',
    gives: 'the reader that `rehome card serve` puts a card into',
  },
  { name: 'opensc-tool', look: 'opensc-tool', package: 'opensc', gives: 'a foreign look at a card' },
  {
    name: 'tshark',
    look: 'tshark',
    package: 'tshark',
    gives: 'a foreign look at a capture of `rehome lab --pcap`',
  },
  {
    name: 'osmo-auc-gen',
    look: 'osmo-auc-gen',
    package: 'libosmocore-utils',
    gives: 'authentication vectors to compare with `rehome tool aka`',
  },
  {
    name: 'freeDiameterd',
    look: 'freeDiameterd',
    package: 'freediameter',
    gives: 'a foreign Diameter relay between visited and home network',
  },
  {
    name: 'osmo-hlr',
    look: 'osmo-hlr',
    package: 'osmo-hlr',
    gives: 'a foreign HSS that keeps the subscribers, and a GSUP client of ours',
  },
];

function found(look: string): boolean {
  const folders = look.startsWith('/')
    ? ['']
    : [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, look), look.startsWith('/') ? constants.R_OK : constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('what is installed, what is missing, and what it would give')
    .option('--json', 'one JSON document on standard output')
    .action((options: { json?: boolean }) => {
      const node = {
        version: process.versions.node,
        enough: Number(process.versions.node.split('.')[0]) >= 24,
      };
      const peers = PARTS.map((part) => ({
        name: part.name,
        found: found(part.look),
        package: part.package,
        gives: part.gives,
      }));
      if (options.json) {
        console.log(JSON.stringify({ node, peers }));
      } else {
        console.log(`node ${node.version}: ${node.enough ? 'fine' : 'too old, needs 24'}`);
        for (const peer of peers) {
          const state = peer.found ? 'found  ' : 'missing';
          const install = peer.found ? '' : `; apt-get install ${peer.package}`;
          console.log(`${state}  ${peer.name.padEnd(13)} ${peer.gives}${install}`);
        }
        console.log('Nothing of these is needed for `rehome lab`.');
      }
      process.exitCode = node.enough ? 0 : 1;
    });
}
