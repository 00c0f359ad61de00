/** PNG, row by row. @see https://www.w3.org/TR/png-3/ */
import { promisify } from "node:util";
import { constants, crc32, deflateRaw, deflateSync } from "node:zlib";
import type { Attachments, RowFormat } from "./row-format.ts";
import { type RowEncoder, RowStrips, rowsPerStrip, type Sink } from "./row-strips.ts";

const compress = promisify(deflateRaw);

/** After Paeth's filter photographs hold runs and little else: finding those alone is faster than level 2, and smaller. */
const FAST = { level: 1, strategy: constants.Z_RLE };

/** Values as PNG has them for a number of channels: grey, grey and opacity, RGB, RGB and opacity. */
const COLOUR_TYPES = { 1: 0, 2: 4, 3: 2, 4: 6 } as const;

/** Starts a PNG. @param compressed false for one that is read again at once */
export async function pngEncoder(
  format: RowFormat,
  attachments: Attachments,
  sink: Sink,
  compressed = true,
): Promise<RowEncoder> {
  const { width, height, channels, depth } = format;
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, COLOUR_TYPES[channels]], 8);
  await sink.write(Buffer.from("\x89PNG\r\n\x1a\n", "latin1"));
  await sink.write(chunk("IHDR", header));
  for (const part of attached(attachments)) await sink.write(part);
  const rowValues = width * channels;
  const step = (channels * depth) / 8;
  const stride = rowValues * (depth / 8);
  let above = new Uint8Array(stride);
  let checksum = 1;
  // Each strip is compressed for itself, on a thread of its own, and ends on a whole byte: one behind the other they are one stream.
  await sink.write(chunk("IDAT", Uint8Array.of(0x78, 0x01)));
  const strips = new RowStrips({
    height,
    rowValues,
    rowsPerStrip: rowsPerStrip(stride),
    async compress(rows) {
      const bytes = bigEndian(rows);
      const filtered = filter(bytes, above, stride, step, !compressed);
      above = bytes.slice(-stride);
      checksum = adler32(checksum, filtered);
      return compress(filtered, { ...(compressed ? FAST : { level: 0 }), finishFlush: constants.Z_SYNC_FLUSH });
    },
    write: (strip) => sink.write(chunk("IDAT", strip)),
  });
  return {
    writeRows: (rows) => strips.writeRows(rows),
    async end() {
      await strips.end();
      const tail = Buffer.from([3, 0, 0, 0, 0, 0]);
      tail.writeUInt32BE(checksum, 2);
      await sink.write(chunk("IDAT", tail));
      await sink.write(chunk("IEND", new Uint8Array(0)));
    },
  };
}

function attached({ profile, exif, xmp, density }: Attachments): Uint8Array[] {
  const parts: Uint8Array[] = [];
  if (profile === null) parts.push(chunk("sRGB", Uint8Array.of(0)));
  else parts.push(chunk("iCCP", Buffer.concat([Buffer.from("ICC profile\0\0", "latin1"), deflateSync(profile)])));
  if (density !== null) {
    const size = Buffer.alloc(9);
    const perMetre = Math.round(density / 0.0254);
    size.writeUInt32BE(perMetre, 0);
    size.writeUInt32BE(perMetre, 4);
    size[8] = 1;
    parts.push(chunk("pHYs", size));
  }
  if (exif !== null) parts.push(chunk("eXIf", exif));
  if (xmp !== null) parts.push(chunk("iTXt", Buffer.from(`XML:com.adobe.xmp\0\0\0\0\0${xmp}`, "utf8")));
  return parts;
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(data.length + 12);
  bytes.writeUInt32BE(data.length, 0);
  bytes.write(type, 4, "latin1");
  bytes.set(data, 8);
  bytes.writeUInt32BE(crc32(bytes.subarray(4, data.length + 8)), data.length + 8);
  return bytes;
}

/** Values as PNG stores them. */
function bigEndian(rows: Uint8Array | Uint16Array): Uint8Array {
  if (rows instanceof Uint8Array) return rows;
  return Buffer.from(rows.buffer.slice(rows.byteOffset, rows.byteOffset + rows.byteLength)).swap16();
}

/** Rows with their filter before each: what Paeth's predictor leaves, or the values as they are. */
function filter(bytes: Uint8Array, above: Uint8Array, stride: number, step: number, plain: boolean): Uint8Array {
  const rows = bytes.length / stride;
  const result = new Uint8Array(bytes.length + rows);
  for (let row = 0; row < rows; row++) {
    const from = row * stride;
    const to = from + row;
    const current = bytes.subarray(from, from + stride);
    if (plain) result.set(current, to + 1);
    else {
      result[to] = 4;
      paeth(
        current,
        row === 0 ? above : bytes.subarray(from - stride, from),
        step,
        result.subarray(to + 1, to + 1 + stride),
      );
    }
  }
  return result;
}

/** @see https://www.w3.org/TR/png-3/#9Filter-type-4-Paeth */
function paeth(current: Uint8Array, above: Uint8Array, step: number, result: Uint8Array): void {
  for (let i = 0; i < step && i < current.length; i++) result[i] = current[i]! - above[i]!;
  for (let i = step; i < current.length; i++) {
    const left = current[i - step]!;
    const up = above[i]!;
    const corner = above[i - step]!;
    const toLeft = Math.abs(up - corner);
    const toUp = Math.abs(left - corner);
    const toCorner = Math.abs(left + up - 2 * corner);
    const nearest = toLeft <= toUp && toLeft <= toCorner ? left : toUp <= toCorner ? up : corner;
    result[i] = current[i]! - nearest;
  }
}

/** @see RFC 1950, 8.2; as many bytes between two remainders as fit into 32 bits */
function adler32(start: number, bytes: Uint8Array): number {
  let low = start & 0xffff;
  let high = start >>> 16;
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(at + 3800, bytes.length);
    for (; at < end; at++) {
      low += bytes[at]!;
      high += low;
    }
    low %= 65521;
    high %= 65521;
  }
  return ((high << 16) | low) >>> 0;
}
