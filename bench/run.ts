/**
 * `npm run bench`: every figure beside a limit or a peer measured in the same run, as a ratio. With names as
 * arguments only those: `npm run bench -- aka engine`.
 */
import * as aka from './aka.ts';
import * as engine from './engine.ts';
import * as gsup from './gsup.ts';
import * as ota from './ota.ts';

const benches = { aka, ota, engine, gsup };
const wanted = process.argv.slice(2);
for (const name of wanted) {
  if (!(name in benches)) {
    console.error(`bench: no ${name}; there are ${Object.keys(benches).join(', ')}`);
    process.exit(2);
  }
}
console.log(`node ${process.versions.node}, one core`);
for (const [name, { run }] of Object.entries(benches)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  for (const { name: what, measured, beside, ratio } of await run()) {
    const figure = (value: number): string => Math.round(value).toLocaleString('en-GB').padStart(11);
    console.log(
      `${what.padEnd(58)} ${figure(measured)}  beside ${figure(beside)}  ratio ${ratio.toFixed(2)}`,
    );
  }
}
