/** A few of the silences of make-before-break.soak.ts. */
import { test } from 'node:test';
import { overSilences } from './make-before-break.ts';

test('over random silences of B and random causes, no device strands', async () => {
  await overSilences(8);
});
