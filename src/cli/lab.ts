/** `rehome lab`: a whole world on this machine, told as it happens. */
import { isDeepStrictEqual } from 'node:util';
import { Command } from 'commander';
import { FieldError } from '../standards/bytes/index.ts';
import { FAULT_NAMES, parseFaults } from '../lab/faults.ts';
import { LAB_ALTERNATIVES, LAB_VARIANTS, type LabAlternative, type LabVariant } from '../lab/fleet.ts';
import type { LabLine, LabRun } from '../lab/lab.ts';
import type { LabStore } from '../lab/store.ts';

const MOST_DEVICES = 10_000;

function whole(field: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!/^[0-9]+$/.test(text) || value < least || value > most) {
    throw new FieldError(field, JSON.stringify(text), `a whole number from ${least} to ${most}`);
  }
  return value;
}

const list = (text: string): string[] => text.split(',').map((each) => each.trim());

/** Virtual time as hours, minutes and seconds. */
function clockOf(seconds: number): string {
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  return parts.map((part) => String(part).padStart(2, '0')).join(':');
}

const WORDS: Record<string, string> = {
  done: 'moved to B',
  rolledBack: 'rolled back, lives on A',
  awaitingVisit: 'awaits a visit',
};

function table({ result, visits, knowers }: LabRun): string {
  const head = [
    'alternative',
    'devices',
    'moved',
    'rolled back',
    'awaiting visit',
    'stranded',
    'SMS/device',
    'air bytes/device',
    'visits',
    'Ki known to',
  ];
  const rows = Object.entries(result.alternatives).map(([name, each]) => [
    name,
    each.devices,
    each.moved,
    each.rolledBack,
    each.awaitingVisit,
    each.stranded,
    each.smsPerDevice,
    each.airBytesPerDevice,
    visits[name] ?? 0,
    Object.entries(knowers[name] ?? {})
      .map(([who, count]) => `${who} ${count}×`)
      .join(', '),
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => String(row[i]).length)));
  const line = (cells: readonly (string | number)[]): string =>
    cells
      .map((cell, i) => (i === 0 ? String(cell).padEnd(widths[i]!) : String(cell).padStart(widths[i]!)))
      .join('  ');
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}

function alternativesOf(text: string): LabAlternative[] {
  const names = list(text);
  if (names.length === 1 && names[0] === 'all') return [...LAB_ALTERNATIVES];
  const known = (name: string): name is LabAlternative => LAB_ALTERNATIVES.some((each) => each === name);
  const given = names.filter(known);
  if (given.length !== names.length || new Set(names).size !== names.length) {
    throw new FieldError(
      '--alternative',
      JSON.stringify(text),
      `all, or of ${LAB_ALTERNATIVES.join(', ')} each at most once`,
    );
  }
  return given;
}

function variantsOf(text: string | undefined): LabVariant[] {
  if (text === undefined) return [];
  const known = (name: string): name is LabVariant => LAB_VARIANTS.some((each) => each === name);
  const names = list(text);
  const given = names.filter(known);
  if (given.length !== names.length) {
    throw new FieldError('--variant', JSON.stringify(text), `of ${LAB_VARIANTS.join(', ')}`);
  }
  return given;
}

interface LabFlags {
  alternative: string;
  variant?: string;
  devices: string;
  seed: string;
  fault?: string;
  pcap?: string;
  store?: string;
  resume?: boolean;
  json?: boolean;
}

export function labCommand(): Command {
  return new Command('lab')
    .description('a fleet with real cards is moved from one operator to another, on this machine')
    .option(
      '--alternative <names>',
      `which alternatives of TR 33.812: ${LAB_ALTERNATIVES.join(', ')} or all`,
      'all',
    )
    .option('--variant <names>', `variants of 3b: ${LAB_VARIANTS.join(', ')}`)
    .option('--devices <n>', 'how many devices', '20')
    .option('--fault <names>', `what goes wrong: ${FAULT_NAMES.join(', ')}`)
    .option('--seed <n>', 'what decides keys and chance', '1')
    .option('--pcap <file>', 'write every message to a capture (pcapng)')
    .option('--store <file>', 'keep the whole world in this file and others beside it')
    .option('--resume', 'go on with the world in --store')
    .option('--json', 'one JSON document on standard output, all else on standard error')
    .action(async (flags: LabFlags) => {
      const alternatives = alternativesOf(flags.alternative);
      const variants = variantsOf(flags.variant);
      const devices = whole('--devices', flags.devices, 1, MOST_DEVICES);
      const seed = whole('--seed', flags.seed, 0, 2 ** 31);
      const faults = parseFaults(flags.fault === undefined ? [] : list(flags.fault));
      const say = flags.json ? console.error : console.log;
      const tell = (line: LabLine): void => {
        const time = clockOf(line.at);
        if (line.type === 'stage') {
          say(`${time}  ${line.text}`);
        } else {
          const count = `${line.ended}/${line.devices}`;
          const why = line.why === undefined ? '' : ` (${line.why})`;
          say(`${time}  ${line.device.padEnd(12)} ${WORDS[line.state] ?? line.state}${why}  ${count}`);
        }
      };
      if (flags.resume && flags.store === undefined) {
        throw new FieldError('--resume', 'given', '--store with it');
      }
      // Loaded when asked for: the other commands start without a whole world.
      const { runLab } = await import('../lab/lab.ts');
      const { diskFull, isDiskFull, openLabStore } = await import('../lab/store.ts');
      /**
       * A full disk, wherever it is met, ends the process: what is on it is whole, and nothing that goes on in memory
       * could be kept. All else is thrown on.
       */
      const stop = (error: unknown): never => {
        if (flags.store === undefined || !isDiskFull(error)) throw error;
        console.error(`rehome: ${diskFull(flags.store).message}`);
        process.exit(1);
      };
      process.once('uncaughtException', (error) => {
        try {
          stop(error);
        } catch {
          console.error(error);
          process.exit(1);
        }
      });
      const opened = (): LabStore | undefined =>
        flags.store === undefined ? undefined : openLabStore(flags.store, flags.resume === true);
      let store: LabStore | undefined;
      try {
        store = opened();
      } catch (error) {
        stop(error);
      }
      if (store) {
        const asked = { alternatives, variants, devices, seed, faults };
        const made = store.get<typeof asked>('options');
        if (made !== undefined && !isDeepStrictEqual(made, asked)) {
          throw new FieldError(
            '--store',
            flags.store!,
            `the options that its world was made with: ${JSON.stringify(made)}`,
          );
        }
        store.put('options', asked);
      }
      const run = await runLab({
        alternatives,
        variants,
        devices,
        seed,
        faults,
        ...(flags.pcap === undefined ? {} : { pcap: flags.pcap }),
        ...(store === undefined ? {} : { store }),
        tell,
      }).catch(stop);
      store?.close();
      const { result, complete } = run;
      if (flags.json) {
        console.log(JSON.stringify(result));
      } else {
        console.log(`\n${table(run)}\n`);
        console.log(
          `${result.from} → ${result.to}: ${result.moved} of ${result.devices} moved in ${result.seconds} s, ` +
            `stranded ${result.stranded}`,
        );
        if (flags.pcap !== undefined) console.log(`capture: ${flags.pcap}`);
        console.log(
          'Radio, card silicon, time and technicians are simulated; messages, sockets, ciphers and cards’ logic are not.',
        );
      }
      if (!complete) process.exitCode = 1;
    });
}
