/** The disk of a store becomes full: while the world is made, while it comes on the air, as changes are under way. */
import { fullDisks } from './disk-full.ts';

fullDisks([600, 2600, 4200], 40);
