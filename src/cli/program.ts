/** The command line from the words of a call to its exit code, whichever process it is in. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { FieldError } from '../standards/bytes/index.ts';
import { caCommand } from './ca.ts';
import { cardCommand } from './card.ts';
import { configCommand } from './config.ts';
import { doctorCommand } from './doctor.ts';
import { labCommand } from './lab.ts';
import { serveCommand } from './serve.ts';
import { toolCommand } from './tool.ts';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** What the console ends a line with is not written twice. */
const line = (text: string): string => text.replace(/\n$/, '');

function program(): Command {
  const all = new Command('rehome')
    .description('Gives a machine its mobile operator over the air, and moves whole fleets to another.')
    .version(version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => console.log(line(text)),
      writeErr: (text) => console.error(line(text)),
      outputError: (text, write) => write(text.replace(/^error: /, 'rehome: ')),
    });
  for (const command of [
    labCommand(),
    serveCommand(),
    configCommand(),
    cardCommand(),
    toolCommand(),
    caCommand(),
    doctorCommand(),
  ]) {
    all.addCommand(command);
  }
  const strict = (command: Command): void => {
    command.exitOverride().configureOutput(all.configureOutput());
    command.commands.forEach(strict);
  };
  all.commands.forEach(strict);
  return all;
}

/**
 * Does what a call asks for. It reads `process.stdin` and answers on the console; a command may set
 * `process.exitCode` to say that it ended and did not succeed.
 * @param words of the call, from the name of the command on
 * @returns the exit code: 0 done, 1 failed, 2 bad input
 */
export async function call(words: readonly string[]): Promise<number> {
  try {
    await program().parseAsync(words, { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof CommanderError) {
      // Help and version were asked for; everything else commander says is about the words of the call.
      return error.exitCode === 0 ? 0 : 2;
    }
    // All that is wrong with a configuration is told at once, a line each.
    const told = error instanceof Error ? error.message : String(error);
    for (const each of told.split('\n')) console.error(`rehome: ${each}`);
    return error instanceof FieldError ? 2 : 1;
  }
}
