import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { ATR, serveVpcd } from '../../../src/device/uicc/index.ts';
import { realSockets } from '../../../src/edge/real.ts';
import { concat, fromHex, toHex } from '../../../src/standards/bytes/index.ts';
import { freshCard } from './terminal.ts';

const frame = (hex: string): Uint8Array => {
  const bytes = fromHex(hex);
  return concat(Uint8Array.of(bytes.length >> 8, bytes.length), bytes);
};

/** A reader that waits for one card. */
async function reader(): Promise<{ port: number; card: Promise<Socket>; close(): Promise<void> }> {
  let seated: (socket: Socket) => void = () => undefined;
  const card = new Promise<Socket>((resolve) => (seated = resolve));
  const listener = await realSockets.listen('vpcd', { host: '127.0.0.1', port: 0 }, (socket) =>
    seated(socket),
  );
  return { port: listener.endpoint.port, card, close: () => listener.close() };
}

/** As many bytes as asked for. */
async function receive(socket: Socket, length: number): Promise<string> {
  let all = new Uint8Array();
  while (all.length < length) {
    const [chunk] = (await once(socket, 'data')) as [Uint8Array];
    all = new Uint8Array(concat(all, chunk));
  }
  return toHex(all);
}

test('power, reset, ATR and commands, however the stream is cut', async () => {
  const { terminal } = freshCard();
  const { port, card, close } = await reader();
  const link = serveVpcd(realSockets, { host: '127.0.0.1', port }, terminal.card);
  await link.connected;
  const socket = await card;
  socket.write(frame('04'));
  assert.equal(await receive(socket, 2 + ATR.length), `00${ATR.length.toString(16)}${toHex(ATR)}`);
  socket.write(frame('00a40000'));
  assert.equal(await receive(socket, 4), '00026f00', 'no power yet');
  socket.write(concat(frame('01'), frame('00a4000c023f00'), frame('00a4000c022fe2')));
  assert.equal(await receive(socket, 8), '0002900000029000');
  for (const byte of frame('00b000000a')) {
    socket.write(Uint8Array.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.match(await receive(socket, 14), /^000c98.*9000$/);
  socket.write(concat(frame('02'), frame('00b000000a')));
  assert.equal(await receive(socket, 4), '00026986', 'a reset forgets what was selected');
  link.close();
  await link.closed;
  assert.throws(() => terminal.card.transmit(fromHex('00a40000')), /no power/);
  await close();
});

test('a reader that goes away ends the link; one that is not there is named', async () => {
  const { terminal } = freshCard();
  const { port, card, close } = await reader();
  const link = serveVpcd(realSockets, { host: '127.0.0.1', port }, terminal.card);
  await link.connected;
  (await card).end();
  await link.closed;
  await close();
  const none = serveVpcd(realSockets, { host: '127.0.0.1', port }, terminal.card);
  await assert.rejects(
    none.connected,
    new RegExp(`^Error: no virtual reader at 127.0.0.1 port ${port}: ECONNREFUSED`),
  );
});
