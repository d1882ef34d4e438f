/** What an operator hears of an OsmoHLR that refuses: its words, and never a key in them. */
import assert from 'node:assert/strict';
import { createServer, type AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import type { Endpoint } from '../../../src/edge/index.ts';
import { realEdge } from '../../../src/edge/real.ts';
import { osmoHlrKeeper } from '../../../src/network/operator/subscribers/osmo-hlr.ts';
import { createSoftwareVault } from '../../../src/network/vault/software.ts';
import { connectCtrl } from '../../../src/network/wire/osmo-ctrl.ts';
import { fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import {
  IPA_EXTENSION,
  IPA_PROTOCOL,
  decodeIpa,
  encodeIpa,
  ipaLength,
} from '../../../src/standards/gsup/index.ts';

const K = '465b5ce8b199b49faa5f0a2ee238a6bc';
const OPC = 'cd63cb71954a9f4e48a5994e37a02baf';
const IMSI = '001019876543210';

/** Takes every command but that which sets the variable, and repeats that one in its error, as some do. */
async function echoing(t: TestContext, variable: string): Promise<{ at: Endpoint; heard: string[] }> {
  const heard: string[] = [];
  const server = createServer((socket) => {
    t.after(() => void socket.destroy());
    let bytes = Buffer.alloc(0);
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      for (;;) {
        const length = ipaLength(bytes);
        if (length === undefined || bytes.length < length) return;
        const line = Buffer.from(decodeIpa(bytes.subarray(0, length)).payload).toString();
        bytes = bytes.subarray(length);
        heard.push(line);
        const [kind, id, name] = line.split(' ');
        const answer = name!.endsWith(variable)
          ? `ERROR ${id} cannot do ${line}`
          : `${kind}_REPLY ${id} ${name} OK`;
        socket.write(
          encodeIpa({
            protocol: IPA_PROTOCOL.osmo,
            extension: IPA_EXTENSION.ctrl,
            payload: Buffer.from(answer),
          }),
        );
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => void server.close());
  return { at: { host: '127.0.0.1', port: (server.address() as AddressInfo).port }, heard };
}

test('the reason of a refusal is told, but not where the value is a secret', async (t) => {
  const { at } = await echoing(t, 'aud3g');
  const ctrl = connectCtrl({ edge: realEdge, to: at });
  t.after(() => ctrl.close());
  await assert.rejects(ctrl.set('x.aud3g', 'open'), /x\.aud3g: cannot do SET \d+ x\.aud3g open/);
  await assert.rejects(ctrl.set('x.aud3g', K, 'secret'), (error: Error) => {
    assert.equal(error.message, 'x.aud3g: refused');
    return !JSON.stringify({ ...error, stack: error.stack }).includes(K);
  });
});

for (const variable of ['aud3g', 'msisdn']) {
  test(`an OsmoHLR that refuses ${variable} and repeats the command tells nobody a key`, async (t) => {
    const { at, heard } = await echoing(t, variable);
    const vault = await createSoftwareVault({
      keyEncryptionKey: new Uint8Array(32),
      random: realEdge.random,
      clock: realEdge.clock,
    });
    const { feeder } = osmoHlrKeeper({
      edge: realEdge,
      ctrl: at,
      gsup: { host: '127.0.0.1', port: 1 },
      vault,
      unitName: 'rehome-test',
    });
    t.after(() => void feeder.close());
    const aka = vault.sealAka(IMSI, { algorithm: 'milenage', k: fromHex(K), opc: fromHex(OPC) });
    const subscriber = {
      imsi: IMSI,
      msisdn: '491111',
      iccid: '8988211000000000001',
      aka,
      label: IMSI,
      seq: 0,
    };
    const [outcome] = await feeder.feed([{ id: '1', action: 'put', known: false, subscriber }]);
    assert.ok('refused' in outcome! && outcome.code === 'hss-refuses');
    assert.ok(outcome.refused.includes(`${variable}: `));
    for (const secret of [K, OPC, toHex(aka)]) assert.ok(!JSON.stringify(outcome).includes(secret));
    // It had the key, so that there was something to tell.
    assert.equal(
      heard.some((line) => line.includes(K)),
      variable === 'aud3g',
    );
  });
}
