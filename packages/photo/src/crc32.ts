/** The checksum of PNG's chunks and of ZIP's files. @see https://www.w3.org/TR/png-3/#D-CRCAppendix; four bytes at a time, as zlib does */

const TABLES: readonly Uint32Array[] = makeTables();

function makeTables(): Uint32Array[] {
  const first = Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
    return value;
  });
  const tables = [first];
  for (let i = 1; i < 4; i++) {
    tables.push(tables[i - 1]!.map((value) => first[value & 0xff]! ^ (value >>> 8)));
  }
  return tables;
}

/** CRC-32 of bytes. @param before of the bytes before these, where they come in pieces */
export function crc32(bytes: Uint8Array, before = 0): number {
  const [a, b, c, d] = TABLES as [Uint32Array, Uint32Array, Uint32Array, Uint32Array];
  let crc = ~before;
  let at = 0;
  for (; at + 4 <= bytes.length; at += 4) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    crc = d[crc & 0xff]! ^ c[(crc >>> 8) & 0xff]! ^ b[(crc >>> 16) & 0xff]! ^ a[crc >>> 24]!;
  }
  for (; at < bytes.length; at++) crc = a[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}
