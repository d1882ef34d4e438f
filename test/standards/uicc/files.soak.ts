import { test } from 'node:test';
import { filesSurviveHostile } from './files-vectors.ts';

test('every file survives as many hostile bytes as any decoder; what it accepts it can write again', () => {
  filesSurviveHostile();
});
