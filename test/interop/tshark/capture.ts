/** Writes UDP datagrams into a pcap file and has tshark dissect it. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writer, concat } from '../../../src/standards/bytes/index.ts';

/** libpcap 2.4, link type 228 (raw IPv4), a packet per datagram from 10.0.0.1 to 10.0.0.2. */
export function udpCapture(port: number, datagrams: readonly Uint8Array[]): Uint8Array {
  const head = new DataView(new ArrayBuffer(24));
  [0xa1b2c3d4, 0x00020004, 0, 0, 65535, 228].forEach((value, i) => head.setUint32(4 * i, value));
  const packets = datagrams.map((datagram, i) => {
    const ip = new Writer(20)
      .u16(0x4500)
      .u16(28 + datagram.length)
      .u32(0)
      .u16(0x4011)
      .u16(0);
    ip.u32(0x0a000001).u32(0x0a000002);
    const udp = new Writer(8)
      .u16(port)
      .u16(port)
      .u16(8 + datagram.length)
      .u16(0);
    const length = 28 + datagram.length;
    return concat(
      new Writer(16).u32(i).u32(0).u32(length).u32(length).done(),
      ip.done(),
      udp.done(),
      datagram,
    );
  });
  return concat(new Uint8Array(head.buffer), ...packets);
}

/** What tshark prints for a capture: one element per packet, with its details. */
export function dissect(tshark: string, capture: Uint8Array, options: string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'rehome-tshark-'));
  try {
    const file = join(folder, 'capture.pcap');
    writeFileSync(file, capture);
    return execFileSync(tshark, ['-r', file, ...options], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
