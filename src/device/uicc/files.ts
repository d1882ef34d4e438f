/** Commands on files: SELECT, STATUS, READ, UPDATE, SEARCH, INCREASE, ACTIVATE, DEACTIVATE (TS 102 221 §11.1). */
import { concat, equal } from '../../standards/bytes/index.ts';
import {
  EF_ACCESS,
  FID,
  INS,
  PIN,
  SW,
  encodeBerTlv,
  encodeFcp,
  type Fcp,
} from '../../standards/uicc/index.ts';
import {
  AIDS,
  DIRECTORY_RULE,
  FILES,
  findFile,
  findSfi,
  type Application,
  type Directory,
} from './layout.ts';
import { done, refuse, type Answer } from './answer.ts';
import { allowed, type Call } from './session.ts';

const PARENT: Record<Directory, Directory> = { mf: 'mf', telecom: 'mf', usim: 'mf', isim: 'mf' };
const DIRECTORY_FID: Record<Directory, number> = {
  mf: FID.mf,
  telecom: FID.telecom,
  usim: FID.currentAdf,
  isim: FID.currentAdf,
};

/** What SELECT found. */
interface Target {
  directory: Directory;
  file?: number;
}

const word = (data: Uint8Array, at: number): number => (data[at]! << 8) | data[at + 1]!;

/** A file identifier as seen from a directory (TS 102 221 §8.4.1). */
function childOf(call: Call, from: Directory, fid: number): Target | undefined {
  if (fid === FID.mf) return { directory: 'mf' };
  if (fid === FID.currentAdf) {
    const { application } = call.channel;
    return application && { directory: application };
  }
  if (fid === FID.telecom) return { directory: 'telecom' };
  const file = findFile(from, fid);
  return file === undefined ? undefined : { directory: from, file };
}

function byPath(call: Call, start: Directory, path: Uint8Array): Target | undefined {
  let at: Target | undefined = { directory: start };
  for (let i = 0; i < path.length && at; i += 2) {
    // Only the last may be an EF; a step down is into a child, not sideways.
    if (at.file !== undefined) return undefined;
    const fid = word(path, i);
    if (fid === FID.mf && i > 0) return undefined;
    if (fid === FID.telecom && at.directory !== 'mf') return undefined;
    at = childOf(call, at.directory, fid);
  }
  return at;
}

/** SELECT (§11.1.1). */
export function select(call: Call): Answer {
  const { command, channel, session } = call;
  const { p1, p2 } = command;
  const data = command.data ?? new Uint8Array();
  // What to bring back: FCP; 00 asks for FCI (ISO/IEC 7816-4), whose place FCP takes; 0C nothing.
  if ((p2 & 0x90) !== 0 || (p2 & 0x0c) === 0x08) return refuse(SW.wrongP1P2);
  let target: Target | undefined;
  switch (p1) {
    case 0x00:
      if (data.length !== 0 && data.length !== 2) return refuse(SW.wrongLength);
      target = data.length === 0 ? { directory: 'mf' } : childOf(call, channel.directory, word(data, 0));
      break;
    case 0x01:
      if (data.length !== 2) return refuse(SW.wrongLength);
      target = channel.directory === 'mf' ? childOf(call, 'mf', word(data, 0)) : undefined;
      if (target?.file !== undefined || target?.directory === 'mf') target = undefined;
      break;
    case 0x03:
      if (data.length !== 0) return refuse(SW.wrongLength);
      target = { directory: PARENT[channel.directory] };
      break;
    case 0x04:
      return selectApplication(call, data);
    case 0x08:
    case 0x09: {
      if (data.length === 0 || data.length % 2 !== 0) return refuse(SW.wrongLength);
      // A path from the MF may name the MF; one through 7FFF starts at the current ADF.
      const rest = word(data, 0) === FID.mf && p1 === 0x08 ? data.subarray(2) : data;
      target = byPath(call, p1 === 0x08 ? 'mf' : channel.directory, rest);
      break;
    }
    default:
      return refuse(SW.wrongP1P2);
  }
  if (!target) return refuse(SW.fileNotFound);
  channel.directory = target.directory;
  if (target.file === undefined) delete channel.file;
  else channel.file = target.file;
  channel.record = 0;
  const deactivated = target.file !== undefined && session.state.deactivated.includes(target.file);
  const sw = deactivated ? SW.deactivated : SW.ok;
  return (p2 & 0x0c) === 0x0c ? { sw } : { sw, data: fcpOf(call, target) };
}

/** Applications whose name begins so, in the order of EF.DIR. */
function applicationsOf({ session }: Call, name: Uint8Array): Application[] {
  const there: readonly Application[] = session.state.isim ? ['usim', 'isim'] : ['usim'];
  return there.filter((each) => equal(AIDS[each].subarray(0, name.length), name));
}

/** Which of them a P2 means: 0 first, 1 last, 2 next and 3 previous, as seen from the one selected (§11.1.1.2). */
function occurrenceOf(
  found: readonly Application[],
  occurrence: number,
  selected: Application | undefined,
): Application | undefined {
  const at = selected === undefined ? -1 : found.indexOf(selected);
  if (occurrence === 0 || (occurrence === 2 && at < 0)) return found[0];
  if (occurrence === 1 || (occurrence === 3 && at < 0)) return found.at(-1);
  return found[occurrence === 2 ? at + 1 : at - 1];
}

/** By name, whole or its beginning. */
function selectApplication(call: Call, name: Uint8Array): Answer {
  const { command, channel } = call;
  if (name.length < 1 || name.length > 16) return refuse(SW.wrongLength);
  const application = occurrenceOf(applicationsOf(call, name), command.p2 & 0x03, channel.application);
  if (!application) return refuse(SW.fileNotFound);
  delete channel.file;
  channel.record = 0;
  if ((command.p2 & 0x60) === 0x40) {
    // Termination of the application: the channel is back at the MF.
    channel.directory = 'mf';
    delete channel.application;
    return done();
  }
  channel.directory = application;
  channel.application = application;
  return (command.p2 & 0x0c) === 0x0c ? done() : done(fcpOf(call, { directory: application }));
}

/** File control parameters of a file or directory. */
function fcpOf(call: Call, { directory, file }: Target): Uint8Array {
  const { state } = call.session;
  const arr = directory === 'mf' ? 0x2f06 : 0x6f06;
  const reference = (record: number): Fcp['security'] => ({ kind: 'reference', arr, record });
  if (file === undefined) {
    const pins = (['pin1', 'pin2', 'adm1'] as const).map((name) => ({
      key: PIN[name],
      enabled: state.pins[name].enabled,
    }));
    return encodeFcp({
      descriptor: { type: 'df', shareable: true },
      fid: DIRECTORY_FID[directory],
      ...((directory === 'usim' || directory === 'isim') && { dfName: AIDS[directory] }),
      // Clock stop allowed, all supply voltages (§11.1.1.4.6.2).
      ...(directory === 'mf' && { proprietary: [{ tag: 0x80, value: Uint8Array.of(0x71) }] }),
      lifeCycle: 'activated',
      security: reference(DIRECTORY_RULE)!,
      pins,
    });
  }
  const spec = FILES[file]!;
  return encodeFcp({
    descriptor:
      spec.structure === 'transparent'
        ? { type: 'transparent', shareable: true }
        : { type: spec.structure, shareable: true, recordLength: spec.length, records: spec.records },
    fid: spec.fid,
    lifeCycle: state.deactivated.includes(file) ? 'deactivated' : 'activated',
    security: reference(spec.rule)!,
    size: spec.length * spec.records,
    sfi: spec.sfi,
  });
}

/** STATUS (§11.1.2). */
export function status(call: Call): Answer {
  const { p1, p2 } = call.command;
  if (p1 > 2) return refuse(SW.wrongP1P2);
  switch (p2) {
    case 0x00:
      return done(fcpOf(call, { directory: call.channel.directory }));
    case 0x01: {
      const { application } = call.channel;
      return application ? done(encodeBerTlv(0x84, AIDS[application])) : done();
    }
    case 0x0c:
      return done();
    default:
      return refuse(SW.wrongP1P2);
  }
}

/** The file that a command is for: by short identifier, which selects it, or the current one. */
function fileFor(call: Call, sfi: number | undefined): number | Answer {
  const { channel } = call;
  if (sfi === undefined || sfi === 0) return channel.file ?? refuse(SW.noEfSelected);
  const file = findSfi(channel.directory, sfi);
  if (file === undefined) return refuse(SW.fileNotFound);
  if (channel.file !== file) channel.record = 0;
  channel.file = file;
  return file;
}

/** Why a command on a file may not go on; undefined: it may. */
function obstacle(
  call: Call,
  file: number,
  structures: readonly string[],
  access: { mode: number } | { ins: number },
): Answer | undefined {
  if (!structures.includes(FILES[file]!.structure)) return refuse(SW.incompatibleFile);
  if (!allowed(call, file, access)) return refuse(SW.securityStatus);
  if (call.session.state.deactivated.includes(file)) return refuse(SW.dataInvalidated);
  return undefined;
}

/** Puts the content of a file in the state. */
function write(call: Call, file: number, content: Uint8Array): void {
  const { session } = call;
  session.state = { ...session.state, contents: session.state.contents.with(file, content) };
}

/** READ BINARY and UPDATE BINARY (§11.1.3, §11.1.4). */
export function binary(call: Call): Answer {
  const { command, session } = call;
  const { p1, p2, data, le } = command;
  const short = (p1 & 0x80) !== 0;
  if (short && ((p1 & 0x60) !== 0 || (p1 & 0x1f) === 0)) return refuse(SW.wrongP1P2);
  const file = fileFor(call, short ? p1 & 0x1f : undefined);
  if (typeof file !== 'number') return file;
  const updating = command.ins === INS.updateBinary;
  const stop = obstacle(call, file, ['transparent'], {
    mode: updating ? EF_ACCESS.update : EF_ACCESS.read,
  });
  if (stop) return stop;
  const content = session.state.contents[file]!;
  const offset = short ? p2 : (p1 << 8) | p2;
  if (offset >= content.length) return refuse(SW.wrongP1P2Length);
  if (!updating) {
    if (data) return refuse(SW.wrongLength);
    return done(content.subarray(offset, offset + (le ?? 256)));
  }
  if (!data) return refuse(SW.wrongLength);
  if (offset + data.length > content.length) return refuse(SW.wrongLength);
  const changed = content.slice();
  changed.set(data, offset);
  write(call, file, changed);
  return done();
}

/** The record that P1 and the mode name, or why there is none. */
function recordFor(call: Call, file: number, mode: number): number | Answer {
  const { channel, command } = call;
  const { records, structure } = FILES[file]!;
  const cyclic = structure === 'cyclic';
  if (mode === 4) {
    const record = command.p1 === 0 ? channel.record : command.p1;
    return record >= 1 && record <= records ? record : refuse(SW.recordNotFound);
  }
  if (command.p1 !== 0) return refuse(SW.wrongP1P2);
  let record = channel.record;
  if (mode === 2) record = record === 0 ? 1 : record + 1;
  else record = record === 0 ? (cyclic ? 1 : records) : record - 1;
  if (cyclic) record = record > records ? 1 : record < 1 ? records : record;
  if (record < 1 || record > records) return refuse(SW.recordNotFound);
  channel.record = record;
  return record;
}

/** READ RECORD and UPDATE RECORD (§11.1.5, §11.1.6). */
export function record(call: Call): Answer {
  const { command, session, channel } = call;
  const mode = command.p2 & 0x07;
  if (mode < 2 || mode > 4) return refuse(SW.wrongP1P2);
  const file = fileFor(call, command.p2 >> 3);
  if (typeof file !== 'number') return file;
  const updating = command.ins === INS.updateRecord;
  const spec = FILES[file]!;
  const stop = obstacle(call, file, ['linearFixed', 'cyclic'], {
    mode: updating ? EF_ACCESS.update : EF_ACCESS.read,
  });
  if (stop) return stop;
  const content = session.state.contents[file]!;
  const { length } = spec;
  if (!updating) {
    if (command.data) return refuse(SW.wrongLength);
    // The length is the record's (§11.1.5.2); asked before the pointer moves.
    if (command.le !== undefined && command.le !== length) return refuse(SW.wrongLe | (length & 0xff));
    const at = recordFor(call, file, mode);
    if (typeof at !== 'number') return at;
    return done(content.subarray((at - 1) * length, at * length));
  }
  if (command.data?.length !== length) return refuse(SW.wrongLength);
  if (spec.structure === 'cyclic') {
    // The oldest record becomes the newest, number 1.
    if (mode !== 3 || command.p1 !== 0) return refuse(SW.wrongP1P2);
    write(call, file, concat(command.data, content.subarray(0, content.length - length)));
    channel.record = 1;
    return done();
  }
  const at = recordFor(call, file, mode);
  if (typeof at !== 'number') return at;
  const changed = content.slice();
  changed.set(command.data, (at - 1) * length);
  write(call, file, changed);
  return done();
}

/** SEARCH RECORD, simple search forward and backward (§11.1.7). */
export function searchRecord(call: Call): Answer {
  const { command, session, channel } = call;
  const { p1, p2, data: pattern } = command;
  const mode = p2 & 0x07;
  if (mode !== 4 && mode !== 5) return refuse(SW.wrongP1P2);
  const file = fileFor(call, p2 >> 3);
  if (typeof file !== 'number') return file;
  const stop = obstacle(call, file, ['linearFixed', 'cyclic'], { mode: EF_ACCESS.read });
  if (stop) return stop;
  const { length, records } = FILES[file]!;
  if (!pattern || pattern.length > length) return refuse(SW.wrongLength);
  const start = p1 === 0 ? channel.record : p1;
  if (start < 1 || start > records) return refuse(SW.recordNotFound);
  const content = session.state.contents[file]!;
  const found: number[] = [];
  for (let at = start; at >= 1 && at <= records; at += mode === 4 ? 1 : -1) {
    const one = Buffer.from(content.subarray((at - 1) * length, at * length));
    if (one.includes(Buffer.from(pattern))) found.push(at);
  }
  // Nothing found is a warning without data (§11.1.7.2).
  if (found.length === 0) return refuse(SW.endOfFile);
  channel.record = found[0]!;
  return done(Uint8Array.from(found));
}

/** INCREASE (§11.1.8): the newest record of a cyclic file, plus a value, becomes the newest. */
export function increase(call: Call): Answer {
  const { command, session, channel } = call;
  const { p1, p2, data } = command;
  if (p2 !== 0 || ((p1 & 0x80) === 0 ? p1 !== 0 : (p1 & 0x60) !== 0 || (p1 & 0x1f) === 0)) {
    return refuse(SW.wrongP1P2);
  }
  const file = fileFor(call, (p1 & 0x80) !== 0 ? p1 & 0x1f : undefined);
  if (typeof file !== 'number') return file;
  const stop = obstacle(call, file, ['cyclic'], { ins: INS.increase });
  if (stop) return stop;
  const { length } = FILES[file]!;
  if (!data || data.length > length) return refuse(SW.wrongLength);
  const content = session.state.contents[file]!;
  const sum = content.slice(0, length);
  let carry = 0;
  for (let i = 1; i <= length; i++) {
    const total = sum[length - i]! + (data[data.length - i] ?? 0) + carry;
    sum[length - i] = total;
    carry = total >> 8;
  }
  if (carry !== 0) return refuse(SW.increaseAtMaximum);
  write(call, file, concat(sum, content.subarray(0, content.length - length)));
  channel.record = 1;
  const added = new Uint8Array(length);
  added.set(data, length - data.length);
  return done(concat(sum, added));
}

/** ACTIVATE FILE and DEACTIVATE FILE (§11.1.14, §11.1.15): the current EF, or the one selected as in SELECT. */
export function setActive(call: Call): Answer {
  const { command, session, channel } = call;
  const data = command.data ?? new Uint8Array();
  let file: number | undefined;
  if (command.p2 !== 0) return refuse(SW.wrongP1P2);
  if (data.length === 0) {
    if (command.p1 !== 0) return refuse(SW.wrongP1P2);
    file = channel.file;
    if (file === undefined) return refuse(SW.noEfSelected);
  } else {
    if (data.length % 2 !== 0) return refuse(SW.wrongLength);
    if (command.p1 !== 0x00 && command.p1 !== 0x08 && command.p1 !== 0x09) return refuse(SW.wrongP1P2);
    const rest = command.p1 === 0x08 && word(data, 0) === FID.mf ? data.subarray(2) : data;
    const start = command.p1 === 0x08 ? 'mf' : channel.directory;
    file = byPath(call, start, rest)?.file;
    if (file === undefined) return refuse(SW.fileNotFound);
  }
  const activate = command.ins === INS.activateFile;
  if (!allowed(call, file, { mode: activate ? EF_ACCESS.activate : EF_ACCESS.deactivate })) {
    return refuse(SW.securityStatus);
  }
  const { state } = session;
  const others = state.deactivated.filter((place) => place !== file);
  const changed = activate ? others : [...others, file];
  if (changed.length !== state.deactivated.length) session.state = { ...state, deactivated: changed };
  return done();
}
