#!/usr/bin/env node
/** `rehome`: the command line. Exit codes: 0 done, 1 failed, 2 bad input. */
import { call } from './program.ts';

// Who reads our output may stop reading, or have no room: no reason for a stack trace.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE')
      process.stderr.write(`rehome: cannot write: ${error.code ?? error.message}\n`);
    process.exit(error.code === 'EPIPE' ? 0 : 1);
  });
}

process.exitCode = await call(process.argv.slice(2));
