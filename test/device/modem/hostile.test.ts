/** What a false cell, a vanishing card and a failing battery can do to a modem: nothing that lasts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex } from '../../../src/standards/bytes/index.ts';
import { encodeNas, type NasMessage } from '../../../src/standards/nas/index.ts';
import { SAMPLES } from '../../standards/nas/samples.ts';
import { attached, makeWorld, settle } from './world.ts';

const MINUTE = 60_000;
const DOWNLINK = SAMPLES.map(([, message]) => encodeNas(message));

/** Random bytes, messages of either side, and messages bent at one byte. */
const hostile = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.constantFrom(...DOWNLINK),
  fc.tuple(fc.constantFrom(...DOWNLINK), fc.nat(), fc.nat(255)).map(([bytes, at, value]) => {
    const bent = Uint8Array.from(bytes);
    bent[at % bent.length] = value;
    return bent;
  }),
);

test('a registered modem takes no harm from what is not protected', async (t) => {
  const { net, modem, events } = await attached(t);
  const before = net.heard.length;
  for (const bytes of fc.sample(hostile, { numRuns: 600, seed: 1 })) {
    net.sendRaw(bytes);
    // As if protected, by someone without the key.
    net.sendRaw(Uint8Array.of(0x27, 1, 2, 3, 4, net.security!.state.downlink & 255, ...bytes));
  }
  await settle();
  assert.equal(modem.state.emm, 'registered');
  assert.equal(events.filter(({ type }) => type === 'fault' || type === 'rejected').length, 0);
  // It may refuse a false SECURITY MODE COMMAND, and says nothing else.
  assert.ok(net.heard.slice(before).every(({ type }) => type === 'securityModeReject'));
  net.send({ type: 'identityRequest', identityType: 3 });
  await settle();
  assert.equal(net.count('identityResponse'), 1);
});

test('a network gone mad with the right key cannot crash it', async (t) => {
  const { net, modem, events } = await attached(t);
  const harmless = fc.sample(hostile, { numRuns: 500, seed: 2 }).filter(({ length }) => length >= 2);
  for (const bytes of harmless) net.sendRaw(net.security!.protect(bytes, 'downlink', 2));
  await settle();
  assert.equal(events.filter(({ type }) => type === 'fault').length, 0);
  assert.ok(['registered', 'limited', 'waiting', 'attaching'].includes(modem.state.emm));
  await modem.powerOff();
  await modem.powerOn();
  await settle();
  assert.equal(modem.state.emm, 'registered');
});

test('protected garbage is answered by EMM STATUS', async (t) => {
  const { net } = await attached(t);
  net.sendRaw(net.security!.protect(fromHex('07ff'), 'downlink', 2));
  await settle();
  assert.equal(net.last('emmStatus')!.emmCause, 97);
  net.sendRaw(net.security!.protect(fromHex('0755'), 'downlink', 2));
  await settle();
  assert.equal(net.last('emmStatus')!.emmCause, 96);
  net.send({ type: 'attachComplete', esmMessageContainer: fromHex('0200dc') });
  await settle();
  assert.equal(net.last('emmStatus')!.emmCause, 98);
});

test('a message sent twice is heard once', async (t) => {
  const { net } = await attached(t);
  const message: NasMessage = { type: 'identityRequest', identityType: 2 };
  const bytes = net.security!.protect(encodeNas(message), 'downlink', 2);
  net.sendRaw(bytes);
  net.sendRaw(bytes);
  await settle();
  assert.equal(net.count('identityResponse'), 1);
});

test('without security only the IMSI is told', async (t) => {
  const { net, modem } = await makeWorld(t);
  net.onAttach = () => {
    for (const identityType of [2, 3, 4]) net.send({ type: 'identityRequest', identityType }, 0);
    return true;
  };
  await modem.powerOn();
  await settle();
  assert.equal(net.count('identityResponse'), 0);
});

test('a card that vanishes at any APDU: said, silent, and well after the next power on', async (t) => {
  const world = await makeWorld(t);
  const { card, modem, events, pass } = world;
  let lost = 0;
  for (let at = 0; ; at++) {
    card.diesAt = at;
    await modem.powerOn();
    await settle();
    if (!events.some(({ type }) => type === 'cardLost')) break;
    lost++;
    assert.equal(modem.state.emm, 'off', `at ${at}`);
    events.length = 0;
    await pass(MINUTE);
    assert.equal(events.length, 0, `at ${at}`);
  }
  // Start, reading, authentication, and writing where it is.
  assert.ok(lost > 40, `${lost} APDUs`);
  assert.equal(modem.state.emm, 'registered');
});

test('power cut at any moment: the next life knows nothing of the last', async (t) => {
  const { card, modem, events, net } = await makeWorld(t);
  const transmit = card.transmit.bind(card);
  for (let at = 1; at < 60; at += 3) {
    let count = 0;
    card.transmit = async (apdu) => {
      const answer = await transmit(apdu);
      if (++count === at) await modem.powerOff();
      return answer;
    };
    await modem.powerOn();
    await settle();
    if (count < at) break;
    assert.equal(modem.state.emm, 'off');
    const commands = count;
    await settle();
    assert.equal(count, commands, 'nothing more was said to the card');
  }
  card.transmit = transmit;
  await modem.powerOff();
  await modem.powerOn();
  await settle();
  assert.equal(modem.state.emm, 'registered');
  assert.equal(events.filter(({ type }) => type === 'fault' || type === 'cardLost').length, 0);
  assert.equal(net.count('detachRequest'), 0);
});
