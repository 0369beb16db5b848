/** CRC-32 (ISO 3309, as in gzip): notices that a file has changed by accident, and not what was made to match. */

/** node:zlib is faster from here on, its loading included. */
const LONG_BYTES = 10_000;

/** What each value of four bits leaves of the polynomial 0xedb88320. */
const TABLE = Int32Array.of(
  ...[0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c],
  ...[0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c],
);

/** @param before the checksum of what stands before `content`, to go on from there */
export function crc32(content: Buffer, before = 0): number {
  if (content.length >= LONG_BYTES) return process.getBuiltinModule('node:zlib').crc32(content, before);
  let crc = ~before;
  for (const byte of content) crc = shift4(shift4(crc ^ byte));
  return ~crc >>> 0;
}

const shift4 = (crc: number) => (TABLE[crc & 0xf] ?? 0) ^ (crc >>> 4);
