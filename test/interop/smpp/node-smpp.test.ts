/** The SMPP library that most Node services use, as ESME against our service centre's side and the other way. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { realEdge } from '../../../src/edge/real.ts';
import { connectSmpp, serveSmpp } from '../../../src/network/wire/smpp.ts';
import { COMMAND_STATUS, type ShortMessage } from '../../../src/standards/smpp/index.ts';
import { toHex } from '../../../src/standards/bytes/index.ts';

interface LibraryPdu {
  command: string;
  command_status: number;
  message_id: string;
  system_id: string;
  password: string;
  response(fields?: object): LibraryPdu;
}
interface LibrarySession {
  on(event: string, listener: (pdu: LibraryPdu) => void): void;
  bind_transceiver(fields: object, done: (pdu: LibraryPdu) => void): void;
  submit_sm(fields: object, done: (pdu: LibraryPdu) => void): void;
  deliver_sm(fields: object, done: (pdu: LibraryPdu) => void): void;
  send(pdu: LibraryPdu): void;
  close(): void;
}
interface Library {
  connect(options: { host: string; port: number }, connected: () => void): LibrarySession;
  createServer(session: (session: LibrarySession) => void): {
    listen(port: number, host: string, done: () => void): void;
    address(): { port: number };
    close(done: () => void): void;
  };
}
const library = createRequire(import.meta.url)('smpp') as Library;

const packet = Buffer.from('0270000015060119252500000100112233445566778899aabbccddeeff', 'hex');

test('node-smpp as ESME: binds to us, is refused with a wrong password, submits binary', async () => {
  const got: ShortMessage[] = [];
  const server = await serveSmpp({
    edge: realEdge,
    at: { host: '127.0.0.1', port: 0 },
    systemId: 'SMSC',
    bind: ({ password }) => (password === 'right' ? COMMAND_STATUS.ESME_ROK : COMMAND_STATUS.ESME_RINVPASWD),
    answer: (pdu) => {
      assert.ok(pdu.command === 'submit_sm');
      got.push(pdu);
      return { command: 'submit_sm_resp', sequence: pdu.sequence, status: 0, messageId: 'm-1' };
    },
  });
  const session = await new Promise<LibrarySession>((resolve) => {
    const made: LibrarySession = library.connect(server.endpoint, () => resolve(made));
  });
  const bind = (password: string): Promise<LibraryPdu> =>
    new Promise((resolve) => session.bind_transceiver({ system_id: 'esme', password }, resolve));
  assert.equal((await bind('wrong')).command_status, COMMAND_STATUS.ESME_RINVPASWD);
  const bound = await bind('right');
  assert.equal(bound.command_status, 0);
  assert.equal(bound.system_id, 'SMSC');
  const response = await new Promise<LibraryPdu>((resolve) =>
    session.submit_sm(
      {
        destination_addr: '99901000001',
        source_addr: '9990100',
        esm_class: 0x40,
        protocol_id: 0x7f,
        data_coding: 0xf6,
        short_message: packet,
      },
      resolve,
    ),
  );
  assert.equal(response.message_id, 'm-1');
  assert.equal(toHex(got[0]!.shortMessage), packet.toString('hex'));
  assert.equal(got[0]!.destination.address, '99901000001');
  session.close();
  await server.close();
});

test('node-smpp as service centre: we bind to it, submit, and take its delivery', async () => {
  let deliver: (() => void) | undefined;
  const server = library.createServer((session) => {
    session.on('bind_transceiver', (pdu) => session.send(pdu.response({ system_id: 'their-smsc' })));
    session.on('submit_sm', (pdu) => session.send(pdu.response({ message_id: '77' })));
    deliver = () =>
      session.deliver_sm(
        {
          esm_class: 0x48,
          data_coding: 0xf6,
          short_message: packet,
          source_addr: '1',
          destination_addr: '2',
        },
        () => undefined,
      );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const delivered: ShortMessage[] = [];
  let took: (() => void) | undefined;
  const taken = new Promise<void>((resolve) => {
    took = resolve;
  });
  const esme = await new Promise<ReturnType<typeof connectSmpp>>((resolve) => {
    const made: ReturnType<typeof connectSmpp> = connectSmpp({
      edge: realEdge,
      to: { host: '127.0.0.1', port: server.address().port },
      systemId: 'ota',
      password: 'x',
      bound: () => resolve(made),
      deliver: (pdu) => {
        delivered.push(pdu);
        took!();
        return 0;
      },
    });
  });
  const response = await esme.request({
    command: 'submit_sm',
    serviceType: '',
    source: { ton: 1, npi: 1, address: '9990100' },
    destination: { ton: 1, npi: 1, address: '99901000001' },
    esmClass: 0x40,
    protocolId: 0x7f,
    priority: 0,
    scheduleDeliveryTime: '',
    validityPeriod: '',
    registeredDelivery: 5,
    replaceIfPresent: 0,
    dataCoding: 0xf6,
    defaultMessageId: 0,
    shortMessage: packet,
    tlvs: [],
  });
  assert.ok('messageId' in response && response.messageId === '77');
  deliver!();
  await taken;
  assert.equal(toHex(delivered[0]!.shortMessage), packet.toString('hex'));
  esme.close();
  await new Promise<void>((resolve) => server.close(resolve));
});
