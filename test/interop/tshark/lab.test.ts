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

const DEVICES = 10;

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
      const count = (filter: string): number =>
        execFileSync(tshark, ['-r', pcap, '-Y', filter, '-T', 'fields', '-e', 'frame.number'], {
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'ignore'],
        })
          .split('\n')
          .filter(Boolean).length;
      // A TCP frame may hold several Diameter messages: of those, occurrences are counted.
      const occurrences = (filter: string, field: string, value: string): number =>
        execFileSync(tshark, ['-r', pcap, '-Y', filter, '-T', 'fields', '-e', field], {
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'ignore'],
        })
          .split(/[\n,]/)
          .filter((each) => each === value).length;

      assert.equal(count('_ws.malformed'), 0, 'malformed');
      assert.equal(count('_ws.expert.severity == error'), 0, 'errors');
      assert.equal(count('_ws.unreassembled'), 0);
      const moved = result.moved;
      const attaches = fault ? DEVICES * 3 : DEVICES * 2;
      assert.equal(count('nas_eps.nas_msg_emm_type == 0x41'), attaches, 'attach requests');
      assert.ok(count('nas_eps.nas_msg_emm_type == 0x52') >= DEVICES + moved, 'authentication requests');
      // Sub-type 1 is as sent, 0 the deciphered twin, which a comment marks.
      const ciphered = count('gsmtap[12:1] == 01 && nas_eps.ciphered_msg');
      const twins = count('gsmtap && frame.comment == "deciphered"');
      assert.ok(ciphered >= DEVICES * 5);
      assert.equal(twins, ciphered, 'each ciphered message has its twin');
      assert.equal(count('gsmtap[12:1] == 00 && nas_eps.ciphered_msg'), 0);
      assert.equal(count('nas_eps.nas_msg_esm_type == 0xeb') > 0, true, 'small data');
      // SMS-PP secured packets: the command packet's header element, on the air, in SGd and in SMPP.
      const packets = 'gsm_sms.ie_identifier == 0x70';
      assert.ok(count(`gsmtap && (${packets})`) >= DEVICES, 'secured packets on the air');
      assert.ok(count(`diameter && (${packets})`) >= DEVICES, 'secured packets by SGd');
      assert.ok(count('smpp.command_id == 0x00000004') >= DEVICES, 'submit_sm');
      assert.ok(count('smpp.command_id == 0x00000005') >= DEVICES, 'deliver_sm');
      // One successful Update-Location at B for each moved device (B's address, answers of command 316).
      assert.equal(
        occurrences(
          'ip.src == 10.2.0.1 && diameter.cmd.code == 316 && diameter.flags.request == 0',
          'diameter.cmd.code',
          '316',
        ),
        moved,
        'Update-Location answers of B',
      );
      assert.equal(
        occurrences('ip.src == 10.2.0.1 && diameter.cmd.code == 316', 'diameter.Result-Code', '2001') >=
          moved,
        true,
      );
      for (const code of ['8388646', '8388647']) {
        assert.ok(
          occurrences(`diameter.cmd.code == ${code}`, 'diameter.cmd.code', code) >= 2 * DEVICES,
          code,
        );
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
        devices: 12,
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
