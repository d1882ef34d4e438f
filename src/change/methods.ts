/** The alternatives whose changes can be driven, and what drives them. */
import type { Clock } from '../edge/index.ts';
import type { ChangeMethod } from './change.ts';
import { createKiListMethod } from './ki-list/method.ts';
import { createKiTransferMethod } from './ki-transfer/method.ts';
import type { Parties } from './parties.ts';
import { createSwapMethod } from './swap/method.ts';

export type DrivenAlternative = '2' | '3a' | '3b';

export const METHODS: Record<
  DrivenAlternative,
  (options: { clock: Clock; parties: Parties }) => ChangeMethod
> = {
  '2': createSwapMethod,
  '3a': createKiTransferMethod,
  '3b': createKiListMethod,
};
