/** The files of a subscription as one set: the ISIM's part first, the rest once that is proven. */
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { createFileSets, type FileSets } from '../../../src/network/operator/file-sets.ts';
import type { OtaCommand, OtaGateway, OtaResult } from '../../../src/network/ota/gateway.ts';
import { isimScript, subscriptionScript } from '../../../src/network/operator/remote-files.ts';
import { openOperatorStore, type OperatorStore } from '../../../src/network/operator/store.ts';
import { FieldError, toHex } from '../../../src/standards/bytes/index.ts';
import { TAR } from '../../../src/standards/ota/index.ts';

const ICCID = '8999900100000000011';
const IMSI = '001010000000001';
const B = {
  imsi: '001020000000042',
  settings: {
    mncLength: 2 as const,
    serviceCentre: '9990299000001',
    msisdn: '99902000042',
    serviceProviderName: 'Operator B',
    apn: 'm2m.b',
    reportTo: '9990299000002',
  },
};
const done: OtaResult = { result: 'done', data: new Uint8Array() };

describe('a set of files', () => {
  let store: OperatorStore, files: FileSets;
  let sent: OtaCommand[], withdrawn: string[];

  const gateway = (): OtaGateway => ({
    send: (command) => void sent.push(command),
    withdraw: (change, command) => void withdrawn.push(`${change} ${command}`),
    withdrawAll: () => undefined,
    resultOf: () => undefined,
    close: () => undefined,
  });
  const open = (applets: readonly string[]): void => {
    sent = [];
    withdrawn = [];
    store = openOperatorStore(':memory:');
    store.insert({ imsi: IMSI, msisdn: '1', iccid: ICCID, state: 'ready', change: null });
    store.putCard({ iccid: ICCID, label: 'a', codes: null, applets });
    files = createFileSets(store, gateway());
  };
  const send = (command: 'write' | 'restore' = 'write', change = 'c1'): void =>
    files.send({ change, command, subscriber: store.byImsi(IMSI)!, keySet: 1, ...B, apnBefore: 'm2m.a' });
  const names = (): string[] => sent.map(({ command }) => command);

  beforeEach(() => open([toHex(TAR.rfmIsim)]));

  test('the USIM’s script waits for the proof of the ISIM’s', () => {
    send();
    assert.deepEqual(names(), ['write-isim']);
    assert.deepEqual(sent[0]!.tar, TAR.rfmIsim);
    assert.deepEqual(sent[0]!.script, isimScript(B.imsi, 2));
    files.proved('c1', 'write-isim', { result: 'unproven' });
    files.proved('c1', 'write-isim', { result: 'refused', sw: 0x6700 });
    files.proved('c2', 'write-isim', done);
    files.proved('c1', 'reach', done);
    assert.deepEqual(names(), ['write-isim'], 'a card of which nothing is known stays A’s');
    files.proved('c1', 'write-isim', done);
    assert.deepEqual(names(), ['write-isim', 'write']);
    const { tar, script, iccid, imsi, keySet } = sent[1]!;
    assert.deepEqual([tar, iccid, imsi, keySet], [TAR.rfmUsim, ICCID, IMSI, 1]);
    assert.deepEqual(script, subscriptionScript(B.imsi, B.settings, 'm2m.a'));
  });

  test('a gateway that starts again between the two goes on from what is on file', () => {
    send();
    files = createFileSets(store, gateway());
    files.proved('c1', 'write-isim', done);
    assert.deepEqual(names(), ['write-isim', 'write']);
  });

  test('a card without an ISIM gets the script alone', () => {
    for (const applets of [[], ['bfff3a']]) {
      open(applets);
      send();
      assert.deepEqual(names(), ['write']);
    }
  });

  test('the way home does not end at an ISIM that refuses or is never heard', () => {
    for (const result of [{ result: 'refused', sw: 0x6a82 }, { result: 'unproven' }, done] as const) {
      open([toHex(TAR.rfmIsim)]);
      send('restore');
      assert.deepEqual(names(), ['restore-isim']);
      files.proved('c1', 'restore-isim', result);
      assert.deepEqual(names(), ['restore-isim', 'restore']);
    }
  });

  test('what is withdrawn is withdrawn whole: a proof that comes late sends nothing', () => {
    send();
    files.withdraw('c1', 'write');
    assert.deepEqual(withdrawn.sort(), ['c1 write', 'c1 write-isim']);
    files.proved('c1', 'write-isim', done);
    assert.deepEqual(names(), ['write-isim']);
  });

  test('what no file can hold is refused before anything is sent', () => {
    const settings = { ...B.settings, serviceProviderName: 'a name of more than sixteen characters' };
    const subscriber = store.byImsi(IMSI)!;
    assert.throws(
      () => files.send({ change: 'c1', command: 'write', subscriber, keySet: 1, imsi: B.imsi, settings }),
      FieldError,
    );
    assert.deepEqual(names(), []);
  });
});
