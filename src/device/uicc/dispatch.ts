/** Which function carries out which command. */
import { INS, SW } from '../../standards/uicc/index.ts';
import { authenticate } from './authenticate.ts';
import { binary, increase, record, searchRecord, select, setActive, status } from './files.ts';
import { pinCommand } from './pins.ts';
import { refuse, type Answer } from './answer.ts';
import type { Call } from './session.ts';

/** Class 0X and 4X: ISO commands. Class 8X and CX: ETSI's. */
const ISO = new Map<number, (call: Call) => Answer>([
  [INS.select, select],
  [INS.readBinary, binary],
  [INS.updateBinary, binary],
  [INS.readRecord, record],
  [INS.updateRecord, record],
  [INS.searchRecord, searchRecord],
  [INS.verifyPin, pinCommand],
  [INS.changePin, pinCommand],
  [INS.disablePin, pinCommand],
  [INS.enablePin, pinCommand],
  [INS.unblockPin, pinCommand],
  [INS.activateFile, setActive],
  [INS.deactivateFile, setActive],
  [INS.authenticate, authenticate],
]);
const ETSI = new Map<number, (call: Call) => Answer>([
  [INS.status, status],
  [INS.increase, increase],
]);

/** Carries out a command on files, PINs or keys. */
export function dispatch(call: Call): Answer {
  const { cla, ins } = call.command;
  const [own, other] = (cla & 0x80) === 0 ? [ISO, ETSI] : [ETSI, ISO];
  const run = own.get(ins);
  if (run) return run(call);
  return refuse(other.has(ins) ? SW.claNotSupported : SW.insNotSupported);
}
