#!/usr/bin/env node
/** `rehome`: the command line. Exit codes: 0 done, 1 failed, 2 bad input. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { FieldError } from '../standards/bytes/index.ts';
import { cardCommand } from './card.ts';
import { doctorCommand } from './doctor.ts';
import { labCommand } from './lab.ts';
import { toolCommand } from './tool.ts';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = new Command('rehome')
  .description('Gives a machine its mobile operator over the air, and moves whole fleets to another.')
  .version(version)
  .exitOverride()
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'rehome: ')) });
for (const command of [labCommand(), cardCommand(), toolCommand(), doctorCommand()]) {
  program.addCommand(command);
}
const strict = (command: Command): void => {
  command.exitOverride().configureOutput(program.configureOutput());
  command.commands.forEach(strict);
};
program.commands.forEach(strict);

// Who reads our output may stop reading, or have no room: no reason for a stack trace.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE')
      process.stderr.write(`rehome: cannot write: ${error.code ?? error.message}\n`);
    process.exit(error.code === 'EPIPE' ? 0 : 1);
  });
}

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // Help and version were asked for; everything else commander says is about the words of the call.
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else if (error instanceof FieldError) {
    console.error(`rehome: ${error.message}`);
    process.exitCode = 2;
  } else {
    console.error(`rehome: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}
