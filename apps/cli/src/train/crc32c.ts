/**
 * CRC-32C (Castagnoli), the checksum of TensorBoard's records; Node's `zlib.crc32` has the other polynomial.
 *
 * @param bytes of any length
 * @returns an unsigned number of 32 bits
 * @see https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4 whose examples are the test
 */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** The polynomial 0x1edc6f41, bits reversed. */
const POLYNOMIAL = 0x82f63b78;

/** What a byte leaves behind. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
  return crc;
});
