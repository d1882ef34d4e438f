/** `rehome config`: examples of configurations, and what is wrong with one. */
import { Command } from 'commander';
import { realDisk, realRandom } from '../edge/real.ts';
import { FieldError } from '../standards/bytes/index.ts';

async function example({ role }: { role: string[] }): Promise<void> {
  const { exampleConfig } = await import('../serve/config/describe.ts');
  const { SERVED_ROLES } = await import('../serve/config/schema.ts');
  const unknown = role.find((name) => !SERVED_ROLES.some((each) => each === name));
  if (unknown !== undefined) {
    throw new FieldError('--role', JSON.stringify(unknown), `of ${SERVED_ROLES.join(', ')}`);
  }
  console.log(exampleConfig(SERVED_ROLES.filter((each) => role.includes(each))).replace(/\n$/, ''));
}

async function check(file: string, { files }: { files?: true }): Promise<void> {
  const { readConfig } = await import('../serve/config/read.ts');
  const read = readConfig(file);
  if (files) {
    const { prepareConfig } = await import('../serve/serve.ts');
    prepareConfig(read, process.env);
  }
  const more = files ? '' : '; --files looks at the files that it names, too';
  console.log(`${file}: ${read.roles.join(', ')} of ${read.config.organisation}${more}`);
}

async function keys(file: string): Promise<void> {
  const { readConfig } = await import('../serve/config/read.ts');
  const { makeKeys } = await import('../serve/keys.ts');
  console.log(JSON.stringify(makeKeys(readConfig(file), realDisk, realRandom), undefined, 2));
}

export function configCommand(): Command {
  const config = new Command('config').description('configurations of `rehome serve`');
  config
    .command('example')
    .description('prints a configuration with every key that it may have')
    .requiredOption('--role <names>', 'for which roles', (text) => text.split(',').map((each) => each.trim()))
    .action(example);
  config
    .command('check')
    .description('says all that is wrong with a configuration')
    .argument('<file>', 'the configuration')
    .option('--files', 'also of the files that it names: certificates, keys, secrets, the key ring')
    .action(check);
  config
    .command('keys')
    .description(
      'makes the keys and passwords that a configuration names and that are not there; prints the public ones',
    )
    .argument('<file>', 'the configuration')
    .action(keys);
  return config;
}
