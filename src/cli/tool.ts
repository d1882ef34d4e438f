/** `rehome tool`: the standards at your fingertips, JSON on standard input, JSON on standard output. */
import { Command } from 'commander';
import { readJson } from './json.ts';
import { aka } from './tool-aka.ts';
import { cardDataCommand } from './tool-card-data.ts';
import { otaDecode, otaEncode } from './tool-ota.ts';

export function toolCommand(): Command {
  const tool = new Command('tool').description(
    'the standards at your fingertips: JSON on stdin, JSON on stdout',
  );
  const add = (name: string, description: string, run: (input: unknown) => unknown): void => {
    tool
      .command(name)
      .description(description)
      .option('--json', 'JSON is what it prints anyway')
      .action(async () => {
        console.log(JSON.stringify(run(await readJson(process.stdin))));
      });
  };
  add(
    'aka',
    'Milenage (TS 35.206), TUAK (TS 35.231) or test-xor (TS 34.108): f1 to f5* and AUTN of one challenge',
    aka,
  );
  add('ota-encode', 'a secured command packet (TS 102 225), from its length on', otaEncode);
  add('ota-decode', 'a secured response packet (TS 102 225), from its length on', otaDecode);
  tool.addCommand(cardDataCommand());
  return tool;
}
