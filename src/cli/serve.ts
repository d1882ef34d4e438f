/** `rehome serve`: roles in a process of their own, until it is told to stop (docs/serve.md). */
import { Command } from 'commander';

/** How long what is under way may take when it is told to stop, in milliseconds. */
const PATIENCE = 30_000;

interface ServeFlags {
  config: string;
  role?: string[];
}

async function run({ config, role }: ServeFlags): Promise<void> {
  // What it needs takes its time to load, which no other command should wait for.
  const { readConfig } = await import('../serve/config/read.ts');
  const { serve } = await import('../serve/serve.ts');
  const { whyOf } = await import('../serve/log.ts');
  const read = readConfig(config, role);
  let told: (signal: string) => void = () => undefined;
  const signalled = new Promise<string>((resolve) => (told = resolve));
  const first = (signal: NodeJS.Signals): void => {
    for (const each of ['SIGTERM', 'SIGINT'] as const) {
      process.off(each, first);
      // Who asks twice does not want to wait.
      process.on(each, () => process.exit(1));
    }
    told(signal);
  };
  // From here on: what has begun to start can be stopped.
  process.on('SIGTERM', first).on('SIGINT', first);
  const serving = await serve(read, { environment: process.env });
  const { log } = serving;
  process.on('uncaughtException', (error) => {
    log.error('unexpected, and the end', { why: whyOf(error) });
    process.exit(1);
  });
  console.log(`ready ${JSON.stringify(serving.listening)}`);
  const signal = await signalled;
  log.info('stopping', { signal });
  const late = setTimeout(() => {
    log.error('not finished in time', { milliseconds: PATIENCE });
    process.exit(1);
  }, PATIENCE);
  await serving.stop();
  clearTimeout(late);
  log.info('stopped');
  // Whatever else would keep it, there is nothing left to do.
  process.exit(0);
}

export function serveCommand(): Command {
  return new Command('serve')
    .description('serves the roles of a configuration in this process, until SIGTERM or SIGINT')
    .requiredOption('--config <file>', 'the configuration; `rehome config example` prints one')
    .option('--role <names>', 'these of its roles alone', (text) =>
      text.split(',').map((each) => each.trim()),
    )
    .action(run);
}
