/**
 * Remote commands (TS 102 226): scripts in compact and expanded format, and remote file management, whose
 * access domain is the operator's: ADM and PINs are taken as verified, `never` stays never.
 * What is verified at the terminal neither helps a script nor is changed by one (see pins.ts).
 */
import { DecodeError, FieldError } from '../../standards/bytes/index.ts';
import {
  decodeCompactCommands,
  decodeExpandedCommands,
  encodeCompactResponse,
  encodeExpandedResponse,
  isOutgoing,
  type ExpandedAnswer,
  type ExpandedResponse,
} from '../../standards/ota/index.ts';
import {
  CAT_TAG,
  DEVICE,
  INS,
  PROACTIVE_TAG,
  REFRESH,
  RESULT,
  SW,
  decodeCommand,
  decodeComprehensionTlvs,
  decodeProactiveCommand,
  encodeBerTlv,
  encodeComprehensionTlvs,
  type ComprehensionTlv,
} from '../../standards/uicc/index.ts';
import type { CommandApdu } from '../../standards/uicc/index.ts';
import { dispatch } from './dispatch.ts';
import type { Directory } from './layout.ts';
import { refuse, type Answer } from './answer.ts';
import { newChannel, type Channel, type Session } from './session.ts';
import type { Job } from './toolkit.ts';

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
  const channel: Channel = {
    ...newChannel(),
    directory,
    ...((directory === 'usim' || directory === 'isim') && { application: directory }),
  };
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
  /** what there was to say when an early response was asked for */
  let early: ExpandedResponse | undefined;
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
      } else {
        const outcome = command.type === 'immediateAction' ? actNow(session, command.value) : 'unknown';
        if (outcome === 'answered') early ??= { executed, answers: answers.slice() };
        if (outcome === 'unknown') answers.push({ type: 'badFormat', reason: 1 });
        if (outcome === 'absent') answers.push({ type: 'immediateAction', value: NOT_DONE });
        if (outcome === 'unknown' || outcome === 'absent') break;
      }
    }
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    answers.push({ type: 'badFormat', reason: 2 });
  }
  return encodeExpandedResponse(early ?? { executed, answers }, indefinite);
}

/** Forms of immediate action that are one byte (TS 102 226 §5.2.1.2); 01 to 7F name a record of EF.RMA. */
const PROACTIVE_SESSION = 0x81;
const EARLY_RESPONSE = 0x82;
/** General result of an action that is not there: beyond capabilities. */
const NOT_DONE = Uint8Array.of(0x80 | CAT_TAG.result, 1, RESULT.beyondCapabilities);

/** Modes of REFRESH that need nothing but to be named; file change wants a list of files. */
const PLAIN_REFRESH: readonly number[] = [
  REFRESH.initAndFullFileChange,
  REFRESH.init,
  REFRESH.uiccReset,
  REFRESH.applicationReset,
  REFRESH.sessionReset,
];
const FILE_REFRESH: readonly number[] = [REFRESH.fileChange, REFRESH.initAndFileChange];
/** Bytes of data objects: what is fetched has a length of one byte. */
const LONGEST_REFRESH = 240;
/** Device identities, where a script leaves them out. */
const TO_TERMINAL: ComprehensionTlv = {
  tag: CAT_TAG.deviceIdentities,
  value: Uint8Array.of(DEVICE.uicc, DEVICE.terminal),
  required: true,
};

/**
 * Immediate action (TS 102 226 §5.2.1.2): a REFRESH as data objects of a proactive command, or one byte.
 * @returns `done` · `answered`: the response is to say what was done so far · `absent`: a record of a file that
 * the card does not have · `unknown`: none of these
 */
function actNow(session: Session, value: Uint8Array): 'done' | 'answered' | 'absent' | 'unknown' {
  if (value.length === 1) {
    const form = value[0]!;
    // Commands for the terminal wait for each other anyway.
    if (form === PROACTIVE_SESSION) return 'done';
    if (form === EARLY_RESPONSE) return 'answered';
    return form >= 0x01 && form <= 0x7f ? 'absent' : 'unknown';
  }
  try {
    const command = refreshOf(value);
    if (!command) return 'unknown';
    session.toolkit.send({ command });
    return 'done';
  } catch (error) {
    if (error instanceof DecodeError) return 'unknown';
    throw error;
  }
}

/** @throws DecodeError if these are no data objects of a proactive command */
function refreshOf(value: Uint8Array): Job['command'] | undefined {
  if (value.length > LONGEST_REFRESH) return undefined;
  const objects = decodeComprehensionTlvs(value);
  if (objects[1]?.tag !== CAT_TAG.deviceIdentities) objects.splice(1, 0, TO_TERMINAL);
  const command = decodeProactiveCommand(encodeBerTlv(PROACTIVE_TAG, encodeComprehensionTlvs(objects)));
  if (command.type !== 'refresh' || command.extra) return undefined;
  const { mode, files, aid } = command;
  if (!(files ? FILE_REFRESH : PLAIN_REFRESH).includes(mode)) return undefined;
  return { type: 'refresh', mode, ...(files && { files }), ...(aid && { aid: aid.slice() }) };
}
