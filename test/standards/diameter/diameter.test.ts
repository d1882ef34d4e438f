import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DecodeError, fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import {
  RESULT,
  allCommands,
  answerOf,
  authenticationInformation,
  avp,
  capabilitiesExchange,
  decodeMessage,
  deviceWatchdog,
  encodeMessage,
  errorAnswer,
  experimental,
  readAnswer,
  readRequest,
  requestOf,
  resultOf,
  succeeded,
  updateLocation,
  type Message,
} from '../../../src/standards/diameter/index.ts';
import { surviveHostile } from '../hostile.ts';
import { valuesOf } from './arbitrary.ts';

const EACH = 60;

test('a Device-Watchdog-Request has the bytes of RFC 6733 §3 and §4', () => {
  const message = {
    ...requestOf(deviceWatchdog, { originHost: 'a.b', originRealm: 'b', originStateId: 7 }),
    hopByHop: 0x01020304,
    endToEnd: 0x05060708,
  };
  const bytes =
    '01000040' +
    '80000118' +
    '00000000' +
    '01020304' +
    '05060708' +
    '00000108' +
    '4000000b' +
    '612e6200' +
    '00000128' +
    '40000009' +
    '62000000' +
    '00000116' +
    '4000000c' +
    '00000007';
  const expected = bytes.replace('01000040', `010000${(bytes.length / 2).toString(16)}`);
  assert.equal(toHex(encodeMessage(message)), expected);
  assert.deepEqual(decodeMessage(fromHex(expected)), message);
});

test('a 3GPP AVP has the V bit and its vendor, and a PLMN the nibbles of TS 24.008', () => {
  const request = requestOf(authenticationInformation, {
    sessionId: 's',
    originHost: 'h',
    originRealm: 'r',
    destinationRealm: 'd',
    userName: '001010000000001',
    visitedPlmnId: '310260',
  });
  const hex = toHex(encodeMessage(request));
  assert(hex.includes('0000057f' + 'c000000f' + '000028af' + '13006200'));
  assert.equal(toHex(avp.visitedPlmnId.encode('00101')), '00f110');
  assert.equal(avp.visitedPlmnId.decode(fromHex('130062')), '310260');
});

test('times keep their second across the NTP eras', () => {
  for (const time of [0, Date.UTC(2026, 10, 24), Date.UTC(2040, 0, 1), Date.UTC(2100, 0, 1)]) {
    assert.equal(avp.smDeliveryStartTime.decode(avp.smDeliveryStartTime.encode(time)), time);
  }
  // RFC 5905 figure 4: 1999-12-31 is 3155587200 s of era 0
  assert.equal(toHex(avp.smDeliveryStartTime.encode(Date.UTC(1999, 11, 31))), 'bc167080');
});

for (const command of allCommands()) {
  test(`${command.name}: request and answer come back as they went`, () => {
    fc.assert(
      fc.property(
        valuesOf(command.request),
        valuesOf(command.answer),
        fc.nat(0xffffffff),
        fc.nat(0xffffffff),
        (question, reply, hopByHop, endToEnd) => {
          const request = { ...requestOf(command, question as never), hopByHop, endToEnd };
          const seen = decodeMessage(encodeMessage(request));
          assert.deepEqual(seen, request);
          assert.deepEqual(readRequest(command, seen), question);
          const answer = answerOf(command, seen, { ...reply, resultCode: RESULT.success } as never);
          const back = decodeMessage(encodeMessage(answer));
          assert.equal(back.hopByHop, hopByHop);
          assert.deepEqual(readAnswer(command, back), { ...reply, resultCode: RESULT.success });
        },
      ),
      { numRuns: EACH },
    );
  });
}

/** Reads bytes as a message, and that as the command it is. */
function readAll(bytes: Uint8Array): Message {
  const message = decodeMessage(bytes);
  const command = allCommands().find(({ code }) => code === message.command);
  if (!command) return message;
  try {
    if (message.request) readRequest(command, message);
    else readAnswer(command, message);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
  }
  return message;
}

test('hostile bytes give a DecodeError and nothing else', () => {
  const good = allCommands().flatMap((command) => {
    const [question] = fc.sample(valuesOf(command.request), { numRuns: 1, seed: 42 });
    const [reply] = fc.sample(valuesOf(command.answer), { numRuns: 1, seed: 42 });
    const request = requestOf(command, question as never);
    return [encodeMessage(request), encodeMessage(answerOf(command, request, reply as never))];
  });
  surviveHostile(readAll, good, encodeMessage);
});

test('an AVP of no dictionary is refused with the M bit (5001) and ignored without', () => {
  const base = requestOf(deviceWatchdog, { originHost: 'a', originRealm: 'b' });
  const foreign = { code: 4242, vendor: 99, data: Uint8Array.of(1) };
  const read = (mandatory: boolean): unknown =>
    readRequest(deviceWatchdog, { ...base, avps: [...base.avps, { ...foreign, mandatory }] });
  assert.deepEqual(read(false), { originHost: 'a', originRealm: 'b' });
  assert.throws(() => read(true), { name: 'AvpError', resultCode: RESULT.avpUnsupported });
});

test('an AVP that comes twice, or is missing, or has a wrong length is refused with its own code', () => {
  const base = requestOf(deviceWatchdog, { originHost: 'a', originRealm: 'b', originStateId: 1 });
  const [host, realm, state] = base.avps;
  const read = (avps: Message['avps']): unknown => readRequest(deviceWatchdog, { ...base, avps });
  assert.throws(() => read([host!, realm!, host!]), { resultCode: RESULT.avpOccursTooOften });
  assert.throws(() => read([host!]), { resultCode: RESULT.missingAvp });
  assert.throws(() => read([host!, realm!, { ...state!, data: new Uint8Array(3) }]), {
    resultCode: RESULT.invalidAvpValue,
  });
});

test('an answer with the E bit is read though it lacks what the command asks for', () => {
  const request = requestOf(capabilitiesExchange, {
    originHost: 'a',
    originRealm: 'b',
    vendorId: 0,
    productName: 'x',
  });
  const answer = errorAnswer(request, { originHost: 'c', originRealm: 'd' }, RESULT.unableToDeliver);
  assert.equal(answer.error, true);
  const seen = readAnswer(capabilitiesExchange, decodeMessage(encodeMessage(answer)));
  assert.equal(seen.resultCode, RESULT.unableToDeliver);
});

test('results of both kinds are told apart from success', () => {
  assert.equal(succeeded({ resultCode: 2001 }), true);
  assert.equal(succeeded(experimental(5001)), false);
  assert.equal(resultOf(experimental(5420)), 5420);
  assert.equal(succeeded({}), false);
});

test('the encoder names what it is not given', () => {
  assert.throws(
    () => requestOf(updateLocation, { sessionId: 's' } as never),
    /^FieldError: Origin-Host: absent, expected present$/,
  );
});
