/**
 * Remote commands (TS 102 226): scripts in compact and expanded format, and remote file management, whose
 * access domain is the operator's: ADM and PINs are taken as verified, `never` stays never.
 */
import { DecodeError, FieldError } from '../../standards/bytes/index.ts';
import {
  decodeCompactCommands,
  decodeExpandedCommands,
  encodeCompactResponse,
  encodeExpandedResponse,
  isOutgoing,
  type ExpandedAnswer,
} from '../../standards/ota/index.ts';
import { INS, PROACTIVE, SW, decodeCommand, decodeComprehensionTlvs } from '../../standards/uicc/index.ts';
import type { CommandApdu } from '../../standards/uicc/index.ts';
import { dispatch } from './dispatch.ts';
import type { Directory } from './layout.ts';
import { refuse, type Answer } from './answer.ts';
import { newChannel, type Channel, type Session } from './session.ts';

/** Commands of remote file management (TS 102 226 table 7.1), and GET RESPONSE, which is handled here. */
const REMOTE = new Set<number>([
  INS.select,
  INS.readBinary,
  INS.readRecord,
  INS.updateBinary,
  INS.updateRecord,
  INS.searchRecord,
  INS.increase,
  INS.verifyPin,
  INS.changePin,
  INS.disablePin,
  INS.enablePin,
  INS.unblockPin,
  INS.activateFile,
  INS.deactivateFile,
]);

/** Status words after which a script goes on: done, or a warning. */
const goesOn = (sw: number): boolean =>
  [0x90, 0x91, 0x61, 0x62, 0x63].includes(sw >> 8) && (sw & 0xfff0) !== SW.triesLeft;

/** Remote file management: commands as on a channel of their own. */
function fileManagement(session: Session, directory: Directory): (apdu: Uint8Array) => Answer {
  const channel: Channel = { ...newChannel(), directory, application: directory === 'usim' };
  let held: Uint8Array | undefined;
  return (apdu) => {
    let command: CommandApdu;
    try {
      command = decodeCommand(apdu);
    } catch (error) {
      if (error instanceof FieldError) return refuse(SW.wrongLength);
      throw error;
    }
    if (command.ins === INS.getResponse && held) {
      const data = held.subarray(0, command.le ?? held.length);
      held = undefined;
      return { sw: SW.ok, data };
    }
    held = undefined;
    if (!REMOTE.has(command.ins)) return refuse(SW.insNotSupported);
    // In a script a length of 0 asks for all there is.
    if (command.ins === INS.readRecord && command.le === 256) delete command.le;
    const answer = dispatch({ session, channel, command, remote: true });
    if (command.data && answer.data && command.le === undefined) {
      held = answer.data;
      return refuse(SW.more | (held.length & 0xff));
    }
    return answer;
  };
}

/**
 * Runs a script and says what came of it: the data of the response packet. A command that fails ends it.
 * @param directory where remote file management starts
 * @param run what takes the commands, if not remote file management
 */
export function runScript(
  session: Session,
  data: Uint8Array,
  directory: Directory,
  run = fileManagement(session, directory),
  outgoing = isOutgoing,
): Uint8Array {
  if (data[0] === 0xaa || data[0] === 0xae) return expanded(session, data, run);
  let commands: Uint8Array[];
  try {
    commands = decodeCompactCommands(data, outgoing);
  } catch (error) {
    if (error instanceof DecodeError) {
      return encodeCompactResponse({ executed: 0, sw: SW.wrongLength, data: new Uint8Array() });
    }
    throw error;
  }
  let executed = 0;
  let last: Answer = { sw: SW.ok };
  for (const command of commands) {
    last = run(command);
    executed = Math.min(executed + 1, 255);
    if (!goesOn(last.sw)) break;
  }
  return encodeCompactResponse({ executed, sw: last.sw, data: last.data ?? new Uint8Array() });
}

function expanded(session: Session, data: Uint8Array, run: (apdu: Uint8Array) => Answer): Uint8Array {
  const answers: ExpandedAnswer[] = [];
  let executed = 0;
  let indefinite = data[0] === 0xae;
  try {
    const script = decodeExpandedCommands(data);
    indefinite = script.indefinite;
    for (const command of script.commands) {
      executed++;
      if (command.type === 'apdu') {
        const { sw, data = new Uint8Array() } = run(command.apdu);
        answers.push({ type: 'apdu', data, sw });
        if (!goesOn(sw)) break;
      } else if (command.type !== 'immediateAction' || !actNow(session, command.value)) {
        answers.push({ type: 'badFormat', reason: 1 });
        break;
      }
    }
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    answers.push({ type: 'badFormat', reason: 2 });
  }
  return encodeExpandedResponse({ executed, answers }, indefinite);
}

/** Immediate action (TS 102 226 §5.2.1.2): a REFRESH, named by its command details. @returns whether it was one */
function actNow(session: Session, value: Uint8Array): boolean {
  try {
    const [details] = decodeComprehensionTlvs(value);
    const [, type, mode] = details?.tag === 0x01 && details.value.length === 3 ? details.value : [];
    if (type !== PROACTIVE.refresh || mode === undefined) return false;
    session.toolkit.send({ command: { type: 'refresh', mode } });
    return true;
  } catch (error) {
    if (error instanceof DecodeError) return false;
    throw error;
  }
}
