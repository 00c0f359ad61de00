/** PNG, row by row. @see https://www.w3.org/TR/png-3/ */
import { fromLatin1, fromUtf8, joined, viewOf } from "./bytes.ts";
import { crc32 } from "./crc32.ts";
import type { Attachments, RowFormat } from "./row-format.ts";
import { type RowEncoder, RowStrips, rowsPerStrip, type Sink } from "./row-strips.ts";

/** Raw Deflate (RFC 1951) of bytes that come piece by piece: what its calls give, one behind the other, is the whole. */
export interface Deflation {
  /** Takes a piece, and gives what is ready. Called in order, perhaps before the one before has resolved; the piece is not changed meanwhile. */
  add(piece: Uint8Array): Promise<Uint8Array>;
  /** Gives the rest. */
  end(): Promise<Uint8Array>;
}

/** Starts compressing: zlib's in Node, `CompressionStream` in browsers. */
export type StartDeflation = () => Deflation;

/** How a PNG is made. */
export interface PngOptions {
  readonly deflate: StartDeflation;
  /** Default true; false leaves rows as they are, for a deflation that is made for speed. */
  readonly filtered?: boolean;
}

/** Values as PNG has them for a number of channels: grey, grey and opacity, RGB, RGB and opacity. */
const COLOUR_TYPES = { 1: 0, 2: 4, 3: 2, 4: 6 } as const;

/** Starts a PNG. */
export async function pngEncoder(
  format: RowFormat,
  attachments: Attachments,
  sink: Sink,
  { deflate, filtered = true }: PngOptions,
): Promise<RowEncoder> {
  const { width, height, channels, depth } = format;
  const header = new Uint8Array(13);
  viewOf(header).setUint32(0, width);
  viewOf(header).setUint32(4, height);
  header.set([depth, COLOUR_TYPES[channels]], 8);
  await sink.write(fromLatin1("\x89PNG\r\n\x1a\n"));
  await sink.write(chunk("IHDR", header));
  for (const part of await attached(attachments, deflate)) await sink.write(part);
  const rowValues = width * channels;
  const step = (channels * depth) / 8;
  const stride = rowValues * (depth / 8);
  let above = new Uint8Array(stride);
  let checksum = 1;
  const deflation = deflate();
  const write = async (part: Uint8Array): Promise<void> => {
    if (part.length > 0) await sink.write(chunk("IDAT", part));
  };
  await write(ZLIB_HEAD);
  const strips = new RowStrips({
    height,
    rowValues,
    rowsPerStrip: rowsPerStrip(stride),
    async compress(rows) {
      const bytes = bigEndian(rows);
      const lines = filter(bytes, above, stride, step, !filtered);
      above = bytes.slice(-stride);
      checksum = adler32(checksum, lines);
      return deflation.add(lines);
    },
    write,
  });
  return {
    writeRows: (rows) => strips.writeRows(rows),
    async end() {
      await strips.end();
      await write(joined([await deflation.end(), bigEndian32(checksum)]));
      await sink.write(chunk("IEND", new Uint8Array(0)));
    },
  };
}

async function attached({ profile, exif, xmp, density }: Attachments, deflate: StartDeflation): Promise<Uint8Array[]> {
  const parts: Uint8Array[] = [];
  if (profile === null) parts.push(chunk("sRGB", Uint8Array.of(0)));
  else parts.push(chunk("iCCP", joined([fromLatin1("ICC profile\0\0"), await zlibOf(profile, deflate)])));
  if (density !== null) {
    const perMetre = bigEndian32(Math.round(density / 0.0254));
    parts.push(chunk("pHYs", joined([perMetre, perMetre, Uint8Array.of(1)])));
  }
  if (exif !== null) parts.push(chunk("eXIf", exif));
  if (xmp !== null) parts.push(chunk("iTXt", fromUtf8(`XML:com.adobe.xmp\0\0\0\0\0${xmp}`)));
  return parts;
}

/** What a zlib stream begins with (RFC 1950): Deflate, a window of 32 KiB, fast. */
const ZLIB_HEAD = Uint8Array.of(0x78, 0x01);

async function zlibOf(bytes: Uint8Array, deflate: StartDeflation): Promise<Uint8Array> {
  const deflation = deflate();
  const parts = [await deflation.add(bytes), await deflation.end()];
  return joined([ZLIB_HEAD, ...parts, bigEndian32(adler32(1, bytes))]);
}

function bigEndian32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(data.length + 12);
  bytes.set(bigEndian32(data.length));
  bytes.set(fromLatin1(type), 4);
  bytes.set(data, 8);
  bytes.set(bigEndian32(crc32(bytes.subarray(4, data.length + 8))), data.length + 8);
  return bytes;
}

/** Values as PNG stores them. */
function bigEndian(rows: Uint8Array | Uint16Array): Uint8Array {
  if (rows instanceof Uint8Array) return rows;
  const bytes = new Uint8Array(rows.length * 2);
  for (let i = 0; i < rows.length; i++) {
    bytes[2 * i] = rows[i]! >> 8;
    bytes[2 * i + 1] = rows[i]!;
  }
  return bytes;
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
