/** The capture of a whole run, as a foreign reader sees it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseFaults } from '../../../src/lab/faults.ts';
import { runLab } from '../../../src/lab/lab.ts';
import { findCommand, requirePeer } from '../peer.ts';

const DEVICES = 6;

/** What one pass of tshark says of a capture: frames of each filter, and the Diameter messages in the rest. */
function seenBy(
  tshark: string,
  pcap: string,
  filters: readonly string[],
): { count(filter: string): number; messages: DiameterSeen[] } {
  const fields = ['ip.src', 'diameter.cmd.code', 'diameter.flags.request', 'diameter.Result-Code'];
  const output = execFileSync(
    tshark,
    [
      ...['-r', pcap, '-Y', 'diameter', '-T', 'fields', ...fields.flatMap((field) => ['-e', field])],
      ...['-z', ['io,stat,0', ...filters].join(',')],
    ],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
  );
  const [, ...numbers] = /^\|[^|]*<>[^|]*\|(.*)\|$/m.exec(output)![0]!.split('|').slice(1, -1);
  assert.equal(numbers.length, 2 * filters.length, output.slice(-2000));
  const counts = new Map(filters.map((filter, i) => [filter, Number(numbers[2 * i])]));
  return {
    count: (filter) => counts.get(filter)!,
    messages: output
      .slice(0, output.indexOf('| IO Statistics'))
      .split('\n')
      .filter((row) => row.includes('\t'))
      .map((row) => {
        const [from, codes, requests, results] = row.split('\t');
        return {
          from: from!,
          codes: codes!.split(','),
          requests: requests!.split(','),
          results: results!.split(','),
        };
      }),
  };
}

/** The messages of one TCP frame, which may hold several. */
interface DiameterSeen {
  from: string;
  codes: string[];
  requests: string[];
  results: string[];
}

const PACKET = 'gsm_sms.ie_identifier == 0x70';
const FILTERS = {
  malformed: '_ws.malformed',
  errors: '_ws.expert.severity == error',
  unreassembled: '_ws.unreassembled',
  attaches: 'nas_eps.nas_msg_emm_type == 0x41',
  authentications: 'nas_eps.nas_msg_emm_type == 0x52',
  // Sub-type 1 is as sent, 0 the deciphered twin, which a comment marks.
  ciphered: 'gsmtap[12:1] == 01 && nas_eps.ciphered_msg',
  twins: 'gsmtap && frame.comment == "deciphered"',
  cipheredTwins: 'gsmtap[12:1] == 00 && nas_eps.ciphered_msg',
  smallData: 'nas_eps.nas_msg_esm_type == 0xeb',
  // SMS-PP secured packets: the command packet's header element, on the air, in SGd and in SMPP.
  onTheAir: `gsmtap && (${PACKET})`,
  bySgd: `diameter && (${PACKET})`,
  submitted: 'smpp.command_id == 0x00000004',
  delivered: 'smpp.command_id == 0x00000005',
};

for (const fault of [undefined, 'emm-cause-8']) {
  test(`tshark finds all of a run${fault ? ` with ${fault}` : ''}, and nothing malformed`, async (t) => {
    const tshark = requirePeer(t, findCommand('tshark'), 'tshark', 'tshark');
    if (tshark === undefined) return;
    const folder = mkdtempSync(join(tmpdir(), 'rehome-pcap-'));
    try {
      const pcap = join(folder, 'air.pcapng');
      const { result } = await runLab({
        alternatives: ['3b'],
        devices: DEVICES,
        seed: 7,
        faults: parseFaults(fault ? [fault] : []),
        pcap,
        tell: () => undefined,
      });
      assert.equal(result.stranded, 0);
      const { count, messages } = seenBy(tshark, pcap, Object.values(FILTERS));

      assert.equal(count(FILTERS.malformed), 0, 'malformed');
      assert.equal(count(FILTERS.errors), 0, 'errors');
      assert.equal(count(FILTERS.unreassembled), 0);
      const moved = result.moved;
      const attaches = fault ? DEVICES * 3 : DEVICES * 2;
      assert.equal(count(FILTERS.attaches), attaches, 'attach requests');
      assert.ok(count(FILTERS.authentications) >= DEVICES + moved, 'authentication requests');
      const ciphered = count(FILTERS.ciphered);
      assert.ok(ciphered >= DEVICES * 5);
      assert.equal(count(FILTERS.twins), ciphered, 'each ciphered message has its twin');
      assert.equal(count(FILTERS.cipheredTwins), 0);
      assert.equal(count(FILTERS.smallData) > 0, true, 'small data');
      assert.ok(count(FILTERS.onTheAir) >= DEVICES, 'secured packets on the air');
      assert.ok(count(FILTERS.bySgd) >= DEVICES, 'secured packets by SGd');
      assert.ok(count(FILTERS.submitted) >= DEVICES, 'submit_sm');
      assert.ok(count(FILTERS.delivered) >= DEVICES, 'deliver_sm');
      const occurrences = (values: readonly string[], value: string): number =>
        values.filter((each) => each === value).length;
      // One successful Update-Location at B for each moved device (B's address, answers of command 316).
      const ofB = messages.filter(({ from, codes }) => from === '10.2.0.1' && codes.includes('316'));
      const answers = ofB.filter(({ requests }) => requests.some((each) => /^(0|False)$/.test(each)));
      assert.equal(
        occurrences(
          answers.flatMap(({ codes }) => codes),
          '316',
        ),
        moved,
        'Update-Location answers of B',
      );
      assert.equal(
        occurrences(
          ofB.flatMap(({ results }) => results),
          '2001',
        ) >= moved,
        true,
      );
      for (const code of ['8388646', '8388647']) {
        const found = occurrences(
          messages.flatMap(({ codes }) => codes),
          code,
        );
        assert.ok(found >= 2 * DEVICES, code);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}

for (const faults of [[], ['lose-sms', 'duplicate-sms', 'reorder', 'cut-power', 'jam']]) {
  test(`tshark finds nothing malformed in a run of all alternatives${faults.length > 0 ? ' under fire' : ''}`, async (t) => {
    const tshark = requirePeer(t, findCommand('tshark'), 'tshark', 'tshark');
    if (tshark === undefined) return;
    const folder = mkdtempSync(join(tmpdir(), 'rehome-pcap-'));
    try {
      const pcap = join(folder, 'air.pcapng');
      const { result } = await runLab({
        alternatives: ['2', '3a', '3b'],
        devices: DEVICES,
        seed: 7,
        faults: parseFaults(faults),
        pcap,
        tell: () => undefined,
      });
      assert.equal(result.stranded, 0);
      const lines = execFileSync(
        tshark,
        ['-r', pcap, '-Y', '_ws.malformed || _ws.expert.severity == error'],
        { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
      );
      assert.equal(lines.split('\n').slice(0, 5).join('\n'), '');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
}
