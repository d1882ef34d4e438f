/** `rehome card`: makes cards, puts them into a PC/SC reader, says what is on them. */
import { Command } from 'commander';
import {
  checkCardFile,
  createCard,
  createCardFile,
  fileOf,
  fileStore,
  formatFile,
  parseCardFile,
  serveVpcd,
  stateOf,
  writeWhole,
  type Card,
  type CardFile,
  type NewCardOptions,
} from '../device/uicc/index.ts';
import type { Endpoint } from '../edge/index.ts';
import { realDisk, realRandom, realSockets } from '../edge/real.ts';
import { FieldError } from '../standards/bytes/index.ts';
import { readJson } from './json.ts';

/** A whole number of the command line. */
const whole =
  (option: string) =>
  (text: string): number => {
    if (!/^[0-9]+$/.test(text)) throw new FieldError(option, JSON.stringify(text), 'a whole number');
    return Number(text);
  };

/** One of the algorithms of a card. */
function algorithm(text: string): CardFile['usim']['algorithm'] {
  if (text === 'milenage' || text === 'tuak' || text === 'test-xor') return text;
  throw new FieldError('--algorithm', JSON.stringify(text), 'milenage, tuak or test-xor');
}

/** An option as it is typed: `--service-centre` of `serviceCentre`. */
const optionOf = (name: string): string =>
  `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** Says of which option an error speaks, where it speaks of a field that an option gives. */
function inOptions<T>(options: object, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof FieldError)) throw error;
    const name = error.field.replace(/^usim\./, '');
    throw name in options ? new FieldError(optionOf(name), error.value, error.expected) : error;
  }
}

/** Says of which file an error speaks. */
function inFile<T>(path: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (error instanceof FieldError)
      throw new FieldError(`${path}: ${error.field}`, error.value, error.expected);
    const { code } = error as NodeJS.ErrnoException;
    if (code !== undefined)
      throw new FieldError(path, code === 'ENOENT' ? 'no such file' : code, 'a card file');
    throw error;
  }
}

interface NewOptions extends NewCardOptions {
  out: string;
  from?: string;
  force?: true;
}

async function make(options: NewOptions): Promise<void> {
  const { out, from, force, ...wanted } = options;
  let file: CardFile;
  if (from === undefined) {
    file = inOptions(wanted, () => createCardFile(wanted, realRandom));
  } else {
    const [first] = Object.keys(wanted);
    if (first !== undefined) throw new FieldError(optionOf(first), 'given with --from', 'one of the two');
    file =
      from === '-'
        ? checkCardFile(await readJson(process.stdin))
        : inFile(from, () => parseCardFile(realDisk.read(from)));
  }
  const text = formatFile(file);
  written(out, () => (force ? writeWhole(realDisk, out, text) : realDisk.write(out, text)));
  console.error(`card ${file.iccid}, IMSI ${file.usim.imsi}, written to ${out}; it holds the card's keys`);
}

/** Says that it is about --out if a file cannot be written. */
function written(path: string, run: () => void): void {
  try {
    run();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // A card's keys are not made twice.
    if (code === 'EEXIST') throw new FieldError('--out', `${path} exists`, 'a new file, or --force');
    if (code !== undefined) throw new FieldError('--out', `${path}: ${code}`, 'a file that can be written');
    throw error;
  }
}

/** HOST:PORT, the host in brackets if it has colons. */
function endpoint(text: string): Endpoint {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]+)):([0-9]{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  const host = bracketed ?? plain;
  if (host === undefined || port < 1 || port > 65535) {
    throw new FieldError('--vpcd', JSON.stringify(text), 'HOST:PORT');
  }
  return { host, port };
}

async function serve(options: { card: string; vpcd: string }): Promise<void> {
  const to = endpoint(options.vpcd);
  const store = inFile(options.card, () => fileStore(realDisk, options.card));
  try {
    const card = inFile(options.card, () => createCard({ store }));
    await served(card, to);
  } finally {
    store.close();
  }
}

/** Keeps a card in a reader until somebody interrupts. */
async function served(card: Card, to: Endpoint): Promise<void> {
  const link = serveVpcd(realSockets, to, card);
  let stopping = false;
  const stop = (): void => {
    stopping = true;
    link.close();
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  try {
    await link.connected;
    console.log(`card ${card.state.iccid} is in the reader at ${to.host}:${to.port}`);
    await link.closed;
    if (!stopping) throw new Error(`the reader at ${to.host}:${to.port} went away`);
  } catch (error) {
    if (!stopping) throw error;
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}

/** What of a card is not secret. */
function publicPart(file: CardFile): Record<string, unknown> {
  const { usim, keyList } = file;
  return {
    iccid: file.iccid,
    usim: {
      imsi: usim.imsi,
      mncLength: usim.mncLength,
      algorithm: usim.algorithm,
      ...(usim.msisdn !== undefined && { msisdn: usim.msisdn }),
      ...(usim.spn !== undefined && { spn: usim.spn }),
      ...(usim.serviceCentre !== undefined && { serviceCentre: usim.serviceCentre }),
      ...(usim.apn !== undefined && { apn: usim.apn }),
    },
    ...(file.isim && { isim: file.isim }),
    pin1Enabled: file.pinStatus?.pin1?.enabled ?? false,
    ...(file.ota && {
      keySets: file.ota.keySets.map(({ number, algorithm, counter }) => ({
        number,
        algorithm,
        counter: counter ?? 0,
      })),
    }),
    ...(keyList && {
      keyList: {
        pairs: keyList.pairs.map(({ index, state }) => ({ index, state })),
        state: keyList.trial ? 'trial' : keyList.armed === undefined ? 'home' : 'armed',
        next: keyList.next,
        last: keyList.last ?? 'none',
      },
    }),
  };
}

function read(options: { card: string; json?: true }): void {
  // As it would be written now: what a file of before leaves out is told too.
  const file = inFile(options.card, () => fileOf(stateOf(parseCardFile(realDisk.read(options.card)))));
  const shown = publicPart(file);
  if (options.json) {
    console.log(JSON.stringify(shown));
    return;
  }
  const { usim, keyList } = file;
  console.log(`ICCID            ${file.iccid}`);
  console.log(`IMSI             ${usim.imsi} (MNC of ${usim.mncLength} digits)`);
  if (usim.msisdn !== undefined) console.log(`MSISDN           +${usim.msisdn}`);
  if (usim.spn !== undefined) console.log(`Operator         ${usim.spn}`);
  if (usim.serviceCentre !== undefined) console.log(`Service centre   +${usim.serviceCentre}`);
  if (usim.apn !== undefined) console.log(`APN              ${usim.apn}`);
  if (file.isim?.impi !== undefined) console.log(`IMS private      ${file.isim.impi}`);
  if (file.isim?.impu !== undefined) console.log(`IMS public       ${file.isim.impu}`);
  if (file.isim === null) console.log('ISIM             none');
  console.log(`Authentication   ${usim.algorithm}`);
  for (const set of file.ota?.keySets ?? []) {
    console.log(`OTA key set ${String(set.number).padEnd(5)}${set.algorithm}, counter ${set.counter ?? 0}`);
  }
  if (keyList) {
    const { state } = (shown as { keyList: { state: string } }).keyList;
    console.log(`Key list         ${state}, ${keyList.pairs.length} pairs, next ${keyList.next}`);
    for (const { index, state } of keyList.pairs) console.log(`  pair ${String(index).padEnd(9)} ${state}`);
  }
}

export function cardCommand(): Command {
  const card = new Command('card').description('makes cards, serves them to PC/SC, reads their files');
  card
    .command('new')
    .description('makes a card file; what is not given is drawn. Keys are never arguments: --from')
    .requiredOption('--out <file>', 'where to write it; only its owner may read it')
    .option('--from <file>', 'take this card file as the profile, - for standard input')
    .option('--force', 'replace a file that is there')
    .option('--iccid <digits>', '18 digits, or 19 or 20 with the check digit')
    .option('--imsi <digits>', '6 to 15 digits')
    .option('--mnc-length <digits>', '2 or 3', whole('--mnc-length'))
    .option('--msisdn <digits>', 'international, digits only')
    .option('--spn <text>', "the operator's name")
    .option('--service-centre <digits>', 'international, digits only')
    .option('--apn <name>', 'access point name')
    .option('--algorithm <name>', 'milenage or tuak, or test-xor in test networks', algorithm)
    .option('--pairs <number>', 'pairs of the key list; 0: none', whole('--pairs'))
    .option('--without-isim', 'a USIM alone')
    .option('--pin1-enabled', 'PIN1 is asked for')
    .action(async (options: NewOptions) => make(options));
  card
    .command('serve')
    .description('puts a card into a virtual reader of pcscd (vsmartcard-vpcd), until interrupted')
    .requiredOption('--card <file>', 'the card file; it is kept up to date')
    .requiredOption('--vpcd <host:port>', 'where vpcd listens, usually 127.0.0.1:35963')
    .action(async (options: { card: string; vpcd: string }) => serve(options));
  card
    .command('read')
    .description('says what is on a card, without its keys')
    .requiredOption('--card <file>', 'the card file')
    .option('--json', 'as one JSON document')
    .action((options: { card: string; json?: true }) => read(options));
  return card;
}
