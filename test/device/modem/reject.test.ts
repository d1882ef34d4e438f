/** Each cause of TS 24.301 §5.5.1.2.5: what the modem gives up, keeps, and tries next. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { EMM_CAUSE, encodeGprsTimer } from '../../../src/standards/nas/index.ts';
import {
  EF_EPSLOCI,
  EF_FPLMN,
  EF_IMSI,
  EVENT,
  REFRESH,
  UPDATE_STATUS,
} from '../../../src/standards/uicc/index.ts';
import { DURATION } from '../../../src/device/modem/index.ts';
import { MOST_UNPROVEN } from '../../../src/device/modem/timers.ts';
import { IMSI, attached, makeWorld, settle, type World } from './world.ts';

const HOUR = 3_600_000;

interface Rejection {
  plmns?: string[];
  /** with integrity: the device was attached before */
  proven?: boolean;
  t3346?: number;
  chance?: number;
}

/** A world whose first network rejects with this cause; its card wants to hear of it. */
async function rejected(
  t: TestContext,
  emmCause: number,
  { plmns = ['00199'], proven = false, t3346, chance = 0 }: Rejection = {},
): Promise<World> {
  const world = await makeWorld(t, { plmns, chance });
  world.card.put(EF_EPSLOCI, {
    guti: { plmn: '00199', mmeGroup: 1, mmeCode: 1, mTmsi: 1 },
    area: { plmn: '00199', code: 1 },
    status: 0,
  });
  world.card.proactive.push({
    type: 'setUpEventList',
    number: 1,
    events: [EVENT.networkRejection, EVENT.locationStatus],
  });
  // The card gets a turn every four hours.
  world.card.proactive.push({ type: 'pollInterval', number: 2, interval: { unit: 'minutes', value: 240 } });
  const reject = (): boolean => {
    world.net.send(
      {
        type: 'attachReject',
        emmCause,
        ...(t3346 !== undefined && { t3346Value: encodeGprsTimer(t3346) }),
      },
      proven ? 2 : 0,
    );
    return true;
  };
  if (!proven) world.net.onAttach = reject;
  await world.modem.powerOn();
  await settle();
  if (proven) {
    world.net.heard.length = 0;
    world.net.onAttach = reject;
    world.net.send({ type: 'networkDetachRequest', detachType: 1 });
    await settle();
  }
  return world;
}

const requests = (world: World): number[] => world.networks.map((net) => net.count('attachRequest'));

const heardByCard = (world: World) => world.card.envelopes.find(({ type }) => type === 'networkRejection');

/** The card has its say, and the network serves whoever comes. */
async function comesBackByRefresh(world: World): Promise<void> {
  world.net.onAttach = undefined;
  world.card.proactive.push({ type: 'refresh', number: 3, mode: REFRESH.uiccReset });
  await world.pass(4 * HOUR);
  assert.equal(world.modem.state.emm, 'registered');
  assert.equal(world.card.resets, 2);
}

/** That a rejected device asks once each T3247, which is at its least here, and `times` times in all. */
async function asksAgain(world: World, times: number): Promise<void> {
  for (let asked = requests(world)[0]!; asked < times; asked++) {
    assert.equal(world.modem.state.emm, 'limited');
    await world.pass(DURATION.t3247Least - 1);
    assert.deepEqual(requests(world), [asked]);
    await world.pass(1);
    assert.deepEqual(requests(world), [asked + 1]);
  }
}

async function asksNoMore(world: World): Promise<void> {
  const before = requests(world);
  await world.pass(48 * HOUR);
  assert.deepEqual(requests(world), before);
  assert.equal(world.modem.state.emm, 'limited');
}

for (const cause of [3, 6, 7, 8]) {
  test(`#${cause} with integrity: the USIM is invalid, whatever the time, until the card is reset`, async (t) => {
    const world = await rejected(t, cause, { plmns: ['00199', '00198'], proven: true });
    assert.deepEqual(
      world.events.find(({ type }) => type === 'rejected'),
      { type: 'rejected', cause },
    );
    await asksNoMore(world);
    assert.deepEqual(requests(world), [1, 0]);
    assert.deepEqual(world.card.get(EF_EPSLOCI), { status: UPDATE_STATUS.plmnNotAllowed });

    // The card heard of it, and may take the verdict back by REFRESH.
    assert.deepEqual(heardByCard(world), {
      type: 'networkRejection',
      trackingArea: { plmn: '00199', code: 1 },
      accessTechnology: 8,
      updateAttachType: 9,
      cause,
    });
    await comesBackByRefresh(world);
  });

  test(`#${cause} without: another area at once, this one after T3247, ten times, then as with it`, async (t) => {
    const elsewhere = await rejected(t, cause, { plmns: ['00199', '00198'] });
    assert.deepEqual(requests(elsewhere), [1, 1]);
    assert.equal(elsewhere.modem.state.plmn, '00198');
    assert.equal(elsewhere.modem.state.emm, 'registered');

    const world = await rejected(t, cause);
    assert.deepEqual(world.card.get(EF_EPSLOCI), { status: UPDATE_STATUS.plmnNotAllowed });
    // What it says of itself is as with integrity: the card may act at once.
    assert.deepEqual(heardByCard(world), {
      type: 'networkRejection',
      trackingArea: { plmn: '00199', code: 1 },
      accessTechnology: 8,
      updateAttachType: 9,
      cause,
    });
    await asksAgain(world, MOST_UNPROVEN + 1);
    await asksNoMore(world);
    await comesBackByRefresh(world);
  });
}

test('T3247 is drawn from 30 to 60 minutes, and goes on when another such rejection comes', async (t) => {
  const late = await rejected(t, 3, { chance: 255 });
  const drawn = DURATION.t3247Least + (255 / 256) * (DURATION.t3247Most - DURATION.t3247Least);
  await late.pass(drawn - 1);
  assert.deepEqual(requests(late), [1]);
  late.net.onAttach = undefined;
  await late.pass(1);
  assert.equal(late.modem.state.emm, 'registered');
  assert.ok(drawn < DURATION.t3247Most && DURATION.t3247Most === HOUR && 2 * DURATION.t3247Least === HOUR);

  // The second cell is silent first, so that its rejection comes ten seconds after the first one's.
  const two = await makeWorld(t, { plmns: ['00199', '00199'], chance: 0 });
  const [first, second] = two.networks;
  let silent = true;
  first!.onAttach = () => (first!.send({ type: 'attachReject', emmCause: 3 }, 0), true);
  second!.onAttach = () => {
    if (!silent) second!.send({ type: 'attachReject', emmCause: 3 }, 0);
    silent = false;
    return true;
  };
  await two.modem.powerOn();
  await settle();
  await two.pass(DURATION.t3410 + DURATION.t3411);
  assert.deepEqual(requests(two), [1, 2]);
  first!.onAttach = undefined;
  await two.pass(DURATION.t3247Least - DURATION.t3410 - DURATION.t3411 - 1);
  assert.equal(two.modem.state.emm, 'limited');
  await two.pass(1);
  assert.equal(two.modem.state.emm, 'registered');
});

test('what is accepted takes back what was counted; power off does not; another subscription has its own count', async (t) => {
  const world = await rejected(t, 3);
  const reject = world.net.onAttach;
  await asksAgain(world, MOST_UNPROVEN);
  world.net.onAttach = undefined;
  await world.pass(DURATION.t3247Least);
  assert.equal(world.modem.state.emm, 'registered');

  world.net.heard.length = 0;
  world.net.onAttach = reject;
  await world.modem.powerOff();
  await world.modem.powerOn();
  await settle();
  await asksAgain(world, MOST_UNPROVEN);
  // Ten are counted now, and stay counted.
  world.net.heard.length = 0;
  await world.modem.powerOff();
  await world.modem.powerOn();
  await settle();
  assert.deepEqual(requests(world), [1]);
  await asksNoMore(world);

  world.net.heard.length = 0;
  await world.modem.powerOff();
  world.card.put(EF_IMSI, '001010000000002');
  await world.modem.powerOn();
  await settle();
  await asksAgain(world, 3);
});

test('one rejection with integrity, and the next needs none', async (t) => {
  const world = await rejected(t, 8, { proven: true });
  world.net.heard.length = 0;
  world.net.onAttach = () => (world.net.send({ type: 'attachReject', emmCause: 3 }, 0), true);
  await world.modem.powerOff();
  await world.modem.powerOn();
  await settle();
  assert.deepEqual(requests(world), [1]);
  await asksNoMore(world);
});

test('AUTHENTICATION REJECT: as #3, with integrity and without', async (t) => {
  const world = await makeWorld(t, { chance: 0 });
  const reject = (headerType: number) => () => {
    world.net.send({ type: 'authenticationReject' }, headerType);
    return true;
  };
  world.net.onAttach = reject(0);
  await world.modem.powerOn();
  await settle();
  await asksAgain(world, 4);
  world.net.onAttach = undefined;
  await world.pass(DURATION.t3247Least);
  assert.equal(world.modem.state.emm, 'registered');
  world.net.onAttach = reject(2);
  world.net.send({ type: 'networkDetachRequest', detachType: 1 });
  await settle();
  await asksNoMore(world);
});

test('a timer T3402 that is not protected is not believed', async (t) => {
  const world = await makeWorld(t);
  world.net.onAttach = () => {
    world.net.send({ type: 'attachReject', emmCause: 17, t3402Value: encodeGprsTimer(11160) }, 0);
    return true;
  };
  await world.modem.powerOn();
  await settle();
  await world.pass(4 * DURATION.t3411);
  assert.deepEqual(requests(world), [5]);
  await world.pass(DURATION.t3402);
  assert.deepEqual(requests(world), [6]);
});

test('#11 with integrity: the network goes on EF.FPLMN; another one is tried at once', async (t) => {
  const world = await rejected(t, EMM_CAUSE.plmnNotAllowed, { plmns: ['00199', '00198'], proven: true });
  assert.deepEqual(requests(world), [1, 1]);
  assert.equal(world.modem.state.plmn, '00198');
  assert.deepEqual(world.card.get(EF_FPLMN), ['00199']);
  // The GUTI was forgotten on the way.
  assert.deepEqual(world.networks[1]!.last('attachRequest')!.epsMobileIdentity, {
    kind: 'imsi',
    digits: IMSI,
  });
});

test('#11 with integrity of the only network: nothing more, until the card clears the list and resets', async (t) => {
  const world = await rejected(t, EMM_CAUSE.plmnNotAllowed, { proven: true });
  await asksNoMore(world);
  world.card.put(EF_FPLMN, []);
  world.net.onAttach = undefined;
  world.card.proactive.push({ type: 'refresh', number: 3, mode: REFRESH.applicationReset });
  await world.pass(4 * HOUR);
  assert.equal(world.modem.state.emm, 'registered');
  assert.equal(world.card.resets, 1);
  assert.equal(world.card.responses.at(-1)?.result, 0);
});

for (const cause of [EMM_CAUSE.plmnNotAllowed, EMM_CAUSE.epsServicesNotAllowedInPlmn]) {
  test(`#${cause} without integrity: another network at once, this one after T3247, ten times`, async (t) => {
    const elsewhere = await rejected(t, cause, { plmns: ['00199', '00199', '00198'] });
    assert.deepEqual(requests(elsewhere), [1, 0, 1]);
    assert.equal(elsewhere.modem.state.plmn, '00198');

    const world = await rejected(t, cause);
    await asksAgain(world, MOST_UNPROVEN + 1);
    // Only what is believed is written down: a power cut must not make it last.
    assert.deepEqual(world.card.get(EF_FPLMN), cause === EMM_CAUSE.plmnNotAllowed ? ['00199'] : []);
    await asksNoMore(world);

    const doubted = await rejected(t, cause);
    await asksAgain(doubted, MOST_UNPROVEN);
    assert.deepEqual(doubted.card.get(EF_FPLMN), []);
    doubted.net.onAttach = undefined;
    await doubted.pass(DURATION.t3247Least);
    assert.equal(doubted.modem.state.emm, 'registered');
  });
}

for (const cause of [12, 13, 15]) {
  test(`#${cause}: the area is forbidden for half a day, or until T3247 without integrity; not the network`, async (t) => {
    for (const proven of [true, false]) {
      const world = await rejected(t, cause, { plmns: ['00199', '00199'], proven });
      assert.deepEqual(requests(world), [1, 1]);
      assert.equal(world.modem.state.emm, 'registered');
      assert.deepEqual(world.card.get(EF_FPLMN), []);

      const alone = await rejected(t, cause, { proven });
      assert.equal(alone.modem.state.emm, 'limited');
      await alone.pass((proven ? DURATION.forbiddenAreas : DURATION.t3247Least) - 1);
      assert.deepEqual(requests(alone), [1]);
      alone.net.onAttach = undefined;
      await alone.pass(1);
      assert.equal(alone.modem.state.emm, 'registered');
    }
  });
}

test('an area forbidden with integrity is free after half a day, whatever comes without meanwhile', async (t) => {
  const world = await rejected(t, 12, { plmns: ['00199', '00198'], proven: true });
  const [first, second] = world.networks;
  assert.equal(world.modem.state.plmn, '00198');
  second!.onAttach = () => (second!.send({ type: 'attachReject', emmCause: 13 }, 0), true);
  second!.send({ type: 'networkDetachRequest', detachType: 1 });
  await settle();
  first!.onAttach = undefined;
  await world.pass(DURATION.forbiddenAreas - 1);
  assert.equal(world.modem.state.emm, 'limited');
  await world.pass(1);
  assert.equal(world.modem.state.plmn, '00199');
  assert.equal(world.modem.state.emm, 'registered');
});

test('#14 with integrity: not for EPS in this network until switch off; EF.FPLMN stays as it is', async (t) => {
  const world = await rejected(t, EMM_CAUSE.epsServicesNotAllowedInPlmn, {
    plmns: ['00199', '00198'],
    proven: true,
  });
  assert.deepEqual(requests(world), [1, 1]);
  assert.deepEqual(world.card.get(EF_FPLMN), []);
  world.net.onAttach = undefined;
  await world.modem.powerOff();
  world.card.put(EF_EPSLOCI, { status: 1 });
  await world.modem.powerOn();
  await settle();
  assert.equal(world.modem.state.plmn, '00199');
});

for (const cause of [2, 17]) {
  test(`#${cause}: tried again after T3411, five times, then after T3402`, async (t) => {
    const world = await rejected(t, cause);
    assert.equal(world.modem.state.emm, 'waiting');
    await world.pass(4 * DURATION.t3411);
    assert.deepEqual(requests(world), [5]);
    await world.pass(DURATION.t3402 - 1);
    assert.deepEqual(requests(world), [5]);
    world.net.onAttach = undefined;
    await world.pass(1);
    assert.equal(world.modem.state.emm, 'registered');
  });
}

test('#22 unprotected: back after 15 to 30 minutes, whatever the timer said', async (t) => {
  const world = await rejected(t, EMM_CAUSE.congestion, { t3346: 11160 });
  await world.pass(DURATION.t3346Least - 1);
  assert.deepEqual(requests(world), [1]);
  world.net.onAttach = undefined;
  await world.pass(DURATION.t3346Most - DURATION.t3346Least + 1);
  assert.equal(world.modem.state.emm, 'registered');
});

test('#22 without a timer is one failed attempt', async (t) => {
  const world = await rejected(t, EMM_CAUSE.congestion);
  world.net.onAttach = undefined;
  await world.pass(DURATION.t3411);
  assert.equal(world.modem.state.emm, 'registered');
});

test('#22 in a protected update: back after the time it says', async (t) => {
  const world = await attached(t);
  world.net.send({ type: 'networkDetachRequest', detachType: 1 });
  world.net.onAttach = () => {
    world.net.send({ type: 'attachReject', emmCause: 22, t3346Value: encodeGprsTimer(60) }, 1);
    return true;
  };
  await settle();
  const before = requests(world)[0]!;
  world.net.onAttach = undefined;
  await world.pass(60_000 - 1);
  assert.equal(requests(world)[0], before);
  await world.pass(1);
  assert.equal(world.modem.state.emm, 'registered');
});

test('once registered, an unprotected rejection or detach is not heard', async (t) => {
  const world = await attached(t);
  for (const message of [
    { type: 'attachReject', emmCause: 3 },
    { type: 'authenticationReject' },
    { type: 'networkDetachRequest', detachType: 2, emmCause: 3 },
    { type: 'trackingAreaUpdateReject', emmCause: 3 },
    { type: 'serviceReject', emmCause: 3 },
  ] as const) {
    world.net.send(message, 0);
    await settle();
  }
  assert.equal(world.modem.state.emm, 'registered');
  assert.equal(world.seen('rejected'), 0);
  assert.equal(world.net.count('detachAccept'), 0);
});

test('a protected detach with a cause is as final as the cause', async (t) => {
  const world = await attached(t);
  world.net.send({ type: 'networkDetachRequest', detachType: 2, emmCause: 8 });
  await settle();
  assert.equal(world.modem.state.emm, 'limited');
  const quiet = await attached(t);
  quiet.net.send({ type: 'networkDetachRequest', detachType: 2 });
  await settle();
  assert.equal(quiet.modem.state.emm, 'waiting');
  await quiet.pass(DURATION.t3402);
  assert.equal(quiet.modem.state.emm, 'registered');
});
