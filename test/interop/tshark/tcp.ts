/** Writes messages as TCP segments, each of a connection of its own, for tshark to dissect. */
import { Writer, concat } from '../../../src/standards/bytes/index.ts';

/** libpcap 2.4, link type 228 (raw IPv4); message i goes from 10.0.0.1 port 20000+i to 10.0.0.2. */
export function tcpCapture(port: number, messages: readonly Uint8Array[]): Uint8Array {
  const head = new Writer(24).u32(0xa1b2c3d4).u32(0x00020004).u32(0).u32(0).u32(65535).u32(228).done();
  const packets = messages.map((message, i) => {
    const length = 40 + message.length;
    const out = new Writer(16 + length).u32(i).u32(0).u32(length).u32(length);
    out.u16(0x4500).u16(length).u32(0).u16(0x4006).u16(0).u32(0x0a000001).u32(0x0a000002);
    out
      .u16(20000 + i)
      .u16(port)
      .u32(1)
      .u32(1)
      .u16(0x5018)
      .u16(0xffff)
      .u32(0);
    return out.put(message).done();
  });
  return concat(head, ...packets);
}
