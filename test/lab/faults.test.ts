/**
 * Nothing strands a device: B silent, bad air, lost messages, power cuts, and a trial for each EMM cause.
 * More devices and seeds: faults.soak.ts.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FieldError } from '../../src/standards/bytes/index.ts';
import { FAULT_NAMES, TRIAL_CAUSES, parseFaults } from '../../src/lab/faults.ts';
import type { LabAlternative } from '../../src/lab/fleet.ts';
import { runLab, type LabLine, type LabOptions } from '../../src/lab/lab.ts';

async function run(
  fault: string | undefined,
  devices = 3,
  seed = 11,
  alternatives: readonly LabAlternative[] = ['3b'],
  more: Partial<LabOptions> = {},
) {
  const lines: LabLine[] = [];
  const { result, complete } = await runLab({
    alternatives,
    devices,
    seed,
    faults: parseFaults(fault === undefined ? [] : fault.split(',')),
    tell: (line) => lines.push(line),
    ...more,
  });
  assert.equal(result.stranded, 0);
  assert.equal(
    result.moved + result.rolledBack + result.pristine + result.awaitingVisit,
    devices,
    'all are somewhere',
  );
  assert.ok(complete);
  const stages = lines.flatMap((line) => (line.type === 'stage' ? [line.text] : []));
  const why = lines.flatMap((line) => (line.type === 'ended' ? [line.why ?? ''] : []));
  const minutes = lines.flatMap((line) => (line.type === 'ended' ? [line.at / 60] : []));
  return { result, stages, why, minutes };
}

test('without a fault all are moved, by two short messages each, the first within seconds', async () => {
  const { result } = await run(undefined, 8);
  assert.equal(result.moved, 8);
  const each = result.alternatives['3b']!;
  assert.equal(each.smsPerDevice, 2);
  assert.ok(each.airBytesPerDevice > 300 && each.airBytesPerDevice < 1000);
  assert.equal(result.effectsRepeated, 0);
  assert.deepEqual(Object.keys(result), [
    'from',
    'to',
    'devices',
    'moved',
    'rolledBack',
    'pristine',
    'awaitingVisit',
    'stranded',
    'seconds',
    'resumed',
    'inDoubt',
    'effectsRepeated',
    'alternatives',
  ]);
  assert.deepEqual(Object.keys(each), [
    'devices',
    'moved',
    'rolledBack',
    'pristine',
    'awaitingVisit',
    'stranded',
    'smsPerDevice',
    'airBytesPerDevice',
    'roleMessagesPerDevice',
  ]);
});

/** A day passes in which an HSS is silent: no link to it is looked at meanwhile. */
const IDLE = { patienceMs: 86_400_000 };

test('target-down: nobody is moved, nothing is sent to a card, everybody is served by A', async () => {
  const { result, why } = await run('target-down', 3, 11, ['3b'], IDLE);
  assert.equal(result.rolledBack, 3);
  assert.equal(result.alternatives['3b']!.smsPerDevice, 0);
  for (const each of why) assert.match(each, /HSS of B does not answer/);
});

test('target-down-late: the cards come back to A by themselves, and are moved when B answers again', async () => {
  const { result, why, stages } = await run('target-down-late', 3, 11, ['3b'], IDLE);
  const back = why.filter((each) => each !== '');
  assert.ok(back.length > 0);
  assert.ok(stages.includes(`their owner orders the ${back.length} that came back once more`));
  assert.equal(result.moved, 3);
});

for (const cause of TRIAL_CAUSES) {
  const waits = cause === 17 || cause === 22;
  test(`EMM cause #${cause} on trial: back on A ${waits ? 'when the trial is over' : 'soon'}, and the card says why`, async () => {
    const { result, why, minutes } = await run(`emm-cause-${cause}`, 2);
    assert.equal(result.rolledBack, 2);
    for (const each of why) assert.match(each, waits ? /fell back: timeOut/ : /fell back: rejected/);
    for (const each of minutes) assert.ok(waits ? each > 55 && each < 90 : each < 30, `${each} minutes`);
  });
}

const ALL = 'lose-sms,duplicate-sms,reorder,cut-power,jam';
for (const fault of [...ALL.split(','), ALL]) {
  test(`${fault}: cards of 3a, plain and with a fall-back, and of 3b: most are moved, nothing is done twice`, async () => {
    // Together they meet a hardened card, too.
    const devices = fault === ALL ? 8 : 4;
    const { result, stages } = await run(fault, devices, 7, ['3a', '3b']);
    assert.ok(result.moved > devices / 2, JSON.stringify(result));
    const wrong = stages.find((each) => each.startsWith('went wrong: ')) ?? '';
    for (const each of fault.split(',')) assert.match(wrong, new RegExp(`${each} \\d+×`));
    assert.equal(result.awaitingVisit, 0);
    assert.equal(result.effectsRepeated, 0);
  });
}

test('target-down: of 3a not one message is sent either', async () => {
  const { result } = await run('target-down', 4, 7, ['3a'], IDLE);
  assert.equal(result.rolledBack, 4);
  assert.equal(result.alternatives['3a']!.smsPerDevice, 0);
});

test('shares: the total is split evenly, what is left over goes to the first named', async () => {
  const { result } = await run(undefined, 5, 7, ['3a', '3b']);
  assert.equal(result.alternatives['3a']!.devices, 3);
  assert.equal(result.alternatives['3b']!.devices, 2);
  assert.deepEqual(result.alternatives['3a']!.cards, { plain: 2, fallback: 1 });
});

test('a device that falls silent after its change is stranded, whatever the state machine says', async () => {
  const { result, complete } = await runLab({
    alternatives: ['3b'],
    devices: 3,
    seed: 11,
    faults: parseFaults([]),
    tell: () => undefined,
    beforeVerdict: ({ devices }) => void devices[1]!.close(),
  });
  assert.equal(result.moved, 2);
  assert.equal(result.stranded, 1);
  assert.equal(complete, false);
});

test('a fault that is none is named, with those there are', () => {
  assert.throws(
    () => parseFaults(['emm-cause-99']),
    (error: FieldError) => error.expected === FAULT_NAMES.join(', '),
  );
});
