/** `npm run test:soak` runs the short form; REHOME_SOAK=full the long one. */
import { test } from 'node:test';
import { holds } from './invariants.ts';

test('the invariants hold over many random plans of faults', async () => {
  await holds(process.env.REHOME_SOAK === 'full' ? 300 : 24);
});
