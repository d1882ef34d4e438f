import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex } from '../../../src/standards/bytes/index.ts';
import { encodeKeyListSwitch } from '../../../src/standards/ota/index.ts';
import * as uicc from '../../../src/standards/uicc/index.ts';
import { surviveHostile } from '../../standards/hostile.ts';
import { FULL, freshCard, gatewayOf } from './terminal.ts';

const command = (cla: number, ins: number, p1: number, p2: number, data: Uint8Array): Uint8Array =>
  uicc.encodeCommand({ cla, ins, p1, p2, data });

test('whatever a terminal sends, the card answers with a status word and makes no mistake of its own', () => {
  const { terminal, file } = freshCard();
  const gateway = gatewayOf(file, 0);
  gateway.counter = 1;
  const [tpdu] = gateway.messages(
    encodeKeyListSwitch({
      change: new Uint8Array(8).fill(1),
      index: 1,
      imsi: '001020000000042',
      mncLength: 2,
      trialSeconds: 60,
      delaySeconds: 0,
      policy: 0,
    }),
  );
  const envelope = (told: uicc.Envelope): Uint8Array => command(0x80, 0xc2, 0, 0, uicc.encodeEnvelope(told));
  const samples = [
    '00a40004023f00',
    '00a4040007a0000000871002',
    '00a40804047fff6f07',
    '00a4000c026f3c',
    '00b0870009',
    '00d68d000300f110',
    '00b2010426',
    '00dc010403aabbcc',
    '00a2010401ff',
    '8032000003000001',
    '00200001083132333435363738',
    '002c00010831323334353637383132333435363738',
    '0070000001',
    '00708001',
    '80f2000000',
    '8012000020',
    '8014000010810301030082028281830100',
    '00c0000010',
    '0088008122101111111111111111111111111111111110' + '22'.repeat(16),
  ].map((hex) => fromHex(hex));
  samples.push(
    command(0x80, 0x10, 0, 0, uicc.encodeTerminalProfile(FULL)),
    envelope({ type: 'smsPpDownload', tpdu: tpdu! }),
    envelope({ type: 'timerExpiration', timer: 1, seconds: 1 }),
    envelope({ type: 'networkRejection', accessTechnology: 8, updateAttachType: 9, cause: 3 }),
  );
  // The card's own faults are thrown by the harness; a status word is all that may come.
  surviveHostile((apdu) => {
    const answer = terminal.card.transmit(apdu);
    assert.ok(answer.length >= 2 && answer.length <= 258);
    assert.ok([0x6, 0x9].includes(answer[answer.length - 2]! >> 4));
    return answer.length;
  }, samples);
});
