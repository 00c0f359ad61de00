/** CRC-32 of zip archives, eight bytes at a time. @see https://create.stephan-brumme.com/crc32/#slicing-by-8-overview */

/** Table k holds the checksum of each byte followed by k zeros. */
const TABLES = makeTables();

function makeTables(): Uint32Array {
  const tables = new Uint32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    tables[byte] = crc;
  }
  for (let i = 256; i < tables.length; i++) tables[i] = (tables[i - 256]! >>> 8) ^ tables[tables[i - 256]! & 255]!;
  return tables;
}

/** The checksum of `bytes`, or of what `before` is the checksum of and `bytes` after it. */
export function crc32(bytes: Uint8Array, before = 0): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let crc = ~before;
  let at = 0;
  for (; at + 8 <= bytes.length; at += 8) {
    const a = view.getUint32(at, true) ^ crc;
    const b = view.getUint32(at + 4, true);
    crc =
      TABLES[0x700 + (a & 255)]! ^
      TABLES[0x600 + ((a >>> 8) & 255)]! ^
      TABLES[0x500 + ((a >>> 16) & 255)]! ^
      TABLES[0x400 + (a >>> 24)]! ^
      TABLES[0x300 + (b & 255)]! ^
      TABLES[0x200 + ((b >>> 8) & 255)]! ^
      TABLES[0x100 + ((b >>> 16) & 255)]! ^
      TABLES[b >>> 24]!;
  }
  for (; at < bytes.length; at++) crc = (crc >>> 8) ^ TABLES[(crc ^ bytes[at]!) & 255]!;
  return ~crc >>> 0;
}
