/** Each cause of TS 24.301 §5.5.1.2.5: what the modem gives up, keeps, and tries next. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { EMM_CAUSE, encodeGprsTimer } from '../../../src/standards/nas/index.ts';
import { EF_EPSLOCI, EF_FPLMN, EVENT, REFRESH, UPDATE_STATUS } from '../../../src/standards/uicc/index.ts';
import { DURATION } from '../../../src/device/modem/index.ts';
import { IMSI, attached, makeWorld, settle, type World } from './world.ts';

const HOUR = 3_600_000;

/** A world whose first network rejects with this cause; its card wants to hear of it. */
async function rejected(t: TestContext, emmCause: number, plmns: string[], t3346?: number): Promise<World> {
  const world = await makeWorld(t, { plmns });
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
  world.net.onAttach = () => {
    world.net.send(
      {
        type: 'attachReject',
        emmCause,
        ...(t3346 !== undefined && { t3346Value: encodeGprsTimer(t3346) }),
      },
      0,
    );
    return true;
  };
  await world.modem.powerOn();
  await settle();
  return world;
}

const requests = (world: World): number[] => world.networks.map((net) => net.count('attachRequest'));

for (const cause of [3, 6, 7, 8]) {
  test(`#${cause}: the USIM is invalid, whatever the time, until the card is reset`, async (t) => {
    const world = await rejected(t, cause, ['00199', '00198']);
    assert.deepEqual(
      world.events.find(({ type }) => type === 'rejected'),
      { type: 'rejected', cause },
    );
    await world.pass(48 * HOUR);
    assert.deepEqual(requests(world), [1, 0]);
    assert.equal(world.modem.state.emm, 'limited');
    assert.deepEqual(world.card.get(EF_EPSLOCI), { status: UPDATE_STATUS.plmnNotAllowed });

    // The card heard of it, and may take the verdict back by REFRESH.
    assert.deepEqual(
      world.card.envelopes.find(({ type }) => type === 'networkRejection'),
      {
        type: 'networkRejection',
        trackingArea: { plmn: '00199', code: 1 },
        accessTechnology: 8,
        updateAttachType: 9,
        cause,
      },
    );
    world.net.onAttach = undefined;
    world.card.proactive.push({ type: 'refresh', number: 3, mode: REFRESH.uiccReset });
    await world.pass(4 * HOUR);
    assert.equal(world.modem.state.emm, 'registered');
    assert.equal(world.card.resets, 2);
  });
}

test('AUTHENTICATION REJECT: as #3', async (t) => {
  const world = await makeWorld(t);
  world.net.onAttach = () => {
    world.net.send({ type: 'authenticationReject' }, 0);
    return true;
  };
  await world.modem.powerOn();
  await settle();
  await world.pass(48 * HOUR);
  assert.deepEqual(requests(world), [1]);
  assert.equal(world.modem.state.emm, 'limited');
});

test('#11: the network goes on EF.FPLMN; another one is tried at once', async (t) => {
  const world = await rejected(t, EMM_CAUSE.plmnNotAllowed, ['00199', '00198']);
  assert.deepEqual(requests(world), [1, 1]);
  assert.equal(world.modem.state.plmn, '00198');
  assert.deepEqual(world.card.get(EF_FPLMN), ['00199']);
  // The GUTI was forgotten on the way.
  assert.deepEqual(world.networks[1]!.last('attachRequest')!.epsMobileIdentity, {
    kind: 'imsi',
    digits: IMSI,
  });
});

test('#11 of the only network: nothing more, until the card clears the list and resets', async (t) => {
  const world = await rejected(t, EMM_CAUSE.plmnNotAllowed, ['00199']);
  await world.pass(48 * HOUR);
  assert.deepEqual(requests(world), [1]);
  world.card.put(EF_FPLMN, []);
  world.net.onAttach = undefined;
  world.card.proactive.push({ type: 'refresh', number: 3, mode: REFRESH.applicationReset });
  await world.pass(4 * HOUR);
  assert.equal(world.modem.state.emm, 'registered');
  assert.equal(world.card.resets, 1);
  assert.equal(world.card.responses.at(-1)?.result, 0);
});

for (const cause of [12, 13, 15]) {
  test(`#${cause}: the area is forbidden for half a day, not the network`, async (t) => {
    const world = await rejected(t, cause, ['00199', '00199']);
    assert.deepEqual(requests(world), [1, 1]);
    assert.equal(world.modem.state.emm, 'registered');
    assert.deepEqual(world.card.get(EF_FPLMN), []);

    const alone = await rejected(t, cause, ['00199']);
    assert.equal(alone.modem.state.emm, 'limited');
    await alone.pass(DURATION.forbiddenAreas - 1);
    assert.deepEqual(requests(alone), [1]);
    alone.net.onAttach = undefined;
    await alone.pass(1);
    assert.equal(alone.modem.state.emm, 'registered');
  });
}

test('#14: not for EPS in this network until switch off; EF.FPLMN stays as it is', async (t) => {
  const world = await rejected(t, EMM_CAUSE.epsServicesNotAllowedInPlmn, ['00199', '00198']);
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
    const world = await rejected(t, cause, ['00199']);
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
  const world = await rejected(t, EMM_CAUSE.congestion, ['00199'], 11160);
  await world.pass(DURATION.t3346Least - 1);
  assert.deepEqual(requests(world), [1]);
  world.net.onAttach = undefined;
  await world.pass(DURATION.t3346Most - DURATION.t3346Least + 1);
  assert.equal(world.modem.state.emm, 'registered');
});

test('#22 without a timer is one failed attempt', async (t) => {
  const world = await rejected(t, EMM_CAUSE.congestion, ['00199']);
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
