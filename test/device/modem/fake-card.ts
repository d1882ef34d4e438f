/** A card as small as a test needs: files, AUTHENTICATE by Milenage, a queue of proactive commands. */
import { makeAuts, openChallenge, prepare, type AkaKey } from '../../../src/standards/aka/index.ts';
import { concat, equal, fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import type { CardReader } from '../../../src/device/modem/index.ts';
import {
  EF_ACC,
  EF_ACL,
  EF_AD,
  EF_DIR,
  EF_EPSLOCI,
  EF_EPSNSC,
  EF_FPLMN,
  EF_ICCID,
  EF_IMSI,
  EF_UST,
  INS,
  USIM_AID_PREFIX,
  decodeCommand,
  decodeEnvelope,
  decodeTerminalResponse,
  encodeAuthenticateResult,
  encodeProactiveCommand,
  type CommandApdu,
  type ElementaryFile,
  type Envelope,
  type ProactiveCommand,
  type TerminalResponse,
} from '../../../src/standards/uicc/index.ts';

const AID = concat(USIM_AID_PREFIX, fromHex('ffffffff8907090000'));

export interface FakeCard extends CardReader {
  readonly key: AkaKey;
  /** highest SQN accepted */
  sqn: Uint8Array;
  /** what comes next by FETCH */
  proactive: ProactiveCommand[];
  /** all that was heard */
  envelopes: Envelope[];
  responses: TerminalResponse[];
  resets: number;
  statuses: number;
  /** answers SMS-PP DOWNLOAD */
  download: (tpdu: Uint8Array) => { data: Uint8Array; sw: number };
  /** throws at this APDU, counted from now */
  diesAt: number | undefined;
  get<T>(file: ElementaryFile<T>): T;
  put<T>(file: ElementaryFile<T>, value: T): void;
}

const empty = new Uint8Array();

export function fakeCard(imsi: string, apn?: string): FakeCard {
  const key = prepare({
    algorithm: 'milenage',
    k: fromHex('465b5ce8b199b49faa5f0a2ee238a6bc'),
    opc: fromHex('cd63cb71954a9f4e48a5994e37a02baf'),
  });
  const files = new Map<number, Uint8Array>();
  let selected: Uint8Array | undefined;
  let waiting: { data: Uint8Array; sw: number } | undefined;
  let pending = false;

  const end = (data: Uint8Array, sw: number): Uint8Array => concat(data, Uint8Array.of(sw >> 8, sw & 255));
  /** 9000, or 91xx if a proactive command waits. */
  const ok = (data: Uint8Array = empty): Uint8Array => {
    const next = card.proactive[0];
    return end(data, next && !pending ? 0x9100 | encodeProactiveCommand(next).length : 0x9000);
  };

  const commands: Record<number, (command: CommandApdu) => Uint8Array> = {
    [INS.select]: ({ p1, data }) => {
      if (p1 === 4) {
        if (!equal(data!, AID)) return end(empty, 0x6a82);
        selected = undefined;
        return ok();
      }
      const fid = (data![0]! << 8) | data![1]!;
      selected = files.get(fid);
      if (selected === undefined && fid !== 0x3f00) return end(empty, 0x6a82);
      waiting = { data: fromHex('6200'), sw: 0x9000 };
      return end(empty, 0x6102);
    },
    [INS.getResponse]: () => {
      const { data, sw } = waiting!;
      return sw === 0x9000 ? ok(data) : end(data, sw);
    },
    [INS.readBinary]: ({ le }) =>
      le === selected!.length ? ok(selected) : end(empty, 0x6c00 | selected!.length),
    [INS.readRecord]: ({ le, p1 }) => {
      if (p1 > 1) return end(empty, 0x6a83);
      return le === selected!.length ? ok(selected) : end(empty, 0x6c00 | selected!.length);
    },
    [INS.updateBinary]: ({ data }) => (selected!.set(data!), ok()),
    [INS.updateRecord]: ({ data }) => (selected!.set(data!), ok()),
    [INS.terminalProfile]: () => ok(),
    [INS.status]: () => (card.statuses++, ok()),
    [INS.authenticate]: ({ data }) => {
      const [rand, autn] = [data!.subarray(1, 17), data!.subarray(18)];
      const challenge = openChallenge(key, rand, autn);
      if (!challenge.macValid) return end(empty, 0x9862);
      let answer: Uint8Array;
      if (toHex(challenge.sqn) > toHex(card.sqn)) {
        card.sqn = challenge.sqn;
        const { res, ck, ik } = challenge;
        answer = encodeAuthenticateResult({ kind: 'success', res, ck, ik });
      } else {
        answer = encodeAuthenticateResult({
          kind: 'synchronisationFailure',
          auts: makeAuts(key, rand, card.sqn),
        });
      }
      waiting = { data: answer, sw: 0x9000 };
      return end(empty, 0x6100 | answer.length);
    },
    [INS.fetch]: () => {
      pending = true;
      return end(encodeProactiveCommand(card.proactive.shift()!), 0x9000);
    },
    [INS.terminalResponse]: ({ data }) => {
      pending = false;
      card.responses.push(decodeTerminalResponse(data!));
      return ok();
    },
    [INS.envelope]: ({ data }) => {
      const envelope = decodeEnvelope(data!);
      card.envelopes.push(envelope);
      if (envelope.type !== 'smsPpDownload') return ok();
      const { data: answer, sw } = card.download(envelope.tpdu);
      if (answer.length === 0) return sw === 0x9000 ? ok() : end(empty, sw);
      waiting = { data: answer, sw };
      return end(empty, 0x6100 | answer.length);
    },
  };

  const card: FakeCard = {
    key,
    sqn: new Uint8Array(6),
    proactive: [],
    envelopes: [],
    responses: [],
    resets: 0,
    statuses: 0,
    download: () => ({ data: empty, sw: 0x9000 }),
    diesAt: undefined,
    get: (file) => file.decode(files.get(file.fid)!),
    put: (file, value) => void files.set(file.fid, Uint8Array.from(file.encode(value))),
    powerOn() {
      card.resets++;
      selected = undefined;
      waiting = undefined;
      pending = false;
      return Promise.resolve(fromHex('3b00'));
    },
    powerOff: () => Promise.resolve(),
    transmit(apdu) {
      if (card.diesAt !== undefined && card.diesAt-- <= 0) return Promise.reject(new Error('no card'));
      const command = decodeCommand(apdu);
      const run = commands[command.ins];
      return Promise.resolve(run ? run(command) : end(empty, 0x6d00));
    },
  };
  card.put(EF_ICCID, '89882110000000000001');
  card.put(EF_DIR, { aid: AID });
  card.put(EF_IMSI, imsi);
  card.put(EF_AD, { mode: 0, information: 0, mncLength: 2 });
  card.put(EF_ACC, 1);
  card.put(EF_UST, []);
  card.put(EF_FPLMN, []);
  card.put(EF_EPSLOCI, { status: 1 });
  card.put(EF_EPSNSC, undefined);
  if (apn !== undefined) card.put(EF_ACL, [apn]);
  return card;
}
