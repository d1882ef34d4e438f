/** `npm run test:soak` runs the short form; REHOME_SOAK=full the long one. */
import { test } from 'node:test';
import { overSilences } from './make-before-break.ts';

test('over many random silences of B and random causes, no device strands', async () => {
  await overSilences(process.env.REHOME_SOAK === 'full' ? 1000 : 40);
});
