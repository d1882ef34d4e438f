/** The disk of a store becomes full while the changes are under way. Other moments: disk-full.soak.ts. */
import { fullDisks } from './disk-full.ts';

fullDisks([2000], 12);
