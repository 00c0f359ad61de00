/** Photo files made byte by byte, from the formats' definitions, so that what reads them is not what made them. */
import { crc32, deflateSync } from "node:zlib";

type Values = Uint8Array | Uint16Array | Float32Array;

/** Rows of values with their meaning. */
export interface Raw {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
  readonly values: Values;
  readonly icc?: Uint8Array;
  readonly orientation?: number;
}

/** A PNG without filters. @see https://www.w3.org/TR/png-3/ */
export function png({ width, height, channels, values, icc }: Raw): Buffer {
  const depth = values instanceof Uint8Array ? 8 : 16;
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, [0, 0, 4, 2, 6][channels]!], 8);
  const rows: Buffer[] = [];
  for (let y = 0; y < height; y++) {
    const row = Buffer.alloc(1 + (width * channels * depth) / 8);
    for (let i = 0; i < width * channels; i++) {
      const value = values[y * width * channels + i]!;
      if (depth === 8) row[1 + i] = value;
      else row.writeUInt16BE(value, 1 + i * 2);
    }
    rows.push(row);
  }
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    pngChunk("IHDR", header),
    ...(icc ? [pngChunk("iCCP", Buffer.concat([Buffer.from("x\0\0"), deflateSync(icc)]))] : []),
    pngChunk("IDAT", deflateSync(Buffer.concat(rows))),
    pngChunk("IEND", Buffer.alloc(0)),
  ]);
}

function pngChunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const bytes = Buffer.alloc(body.length + 8);
  bytes.writeUInt32BE(data.length, 0);
  bytes.set(body, 4);
  bytes.writeUInt32BE(crc32(body), body.length + 4);
  return bytes;
}

/** Entries of a TIFF directory: tag, type, values. */
export type Tags = readonly (readonly [tag: number, type: 1 | 2 | 3 | 4 | 7, values: readonly number[]])[];

/** A TIFF in one strip, in either order of bytes. @see TIFF 6.0 */
export function tiff(raw: Raw, { big = false, more = [] as Tags } = {}): Buffer {
  const { width, height, channels, values, icc, orientation = 1 } = raw;
  const size = values.BYTES_PER_ELEMENT;
  const pixels = Buffer.alloc(values.length * size);
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (size === 1) pixels[i] = value;
    else if (size === 2) big ? pixels.writeUInt16BE(value, i * 2) : pixels.writeUInt16LE(value, i * 2);
    else big ? pixels.writeFloatBE(value, i * 4) : pixels.writeFloatLE(value, i * 4);
  }
  const repeated = (value: number): number[] => Array(channels).fill(value);
  const tags: Tags = [
    [0x0100, 4, [width]],
    [0x0101, 4, [height]],
    [0x0102, 3, repeated(size * 8)],
    [0x0103, 3, [1]],
    [0x0106, 3, [channels < 3 ? 1 : 2]],
    [0x0111, 4, [8]],
    [0x0112, 3, [orientation]],
    [0x0115, 3, [channels]],
    [0x0116, 4, [height]],
    [0x0117, 4, [pixels.length]],
    ...(channels % 2 === 0 ? ([[0x0152, 3, [2]]] as const) : []),
    [0x0153, 3, repeated(values instanceof Float32Array ? 3 : 1)],
    ...(icc ? ([[0x8773, 7, [...icc]]] as const) : []),
    ...more,
  ];
  const padded = Buffer.concat([pixels, Buffer.alloc(pixels.length % 2)]);
  const head = Buffer.alloc(8);
  head.write(big ? "MM" : "II");
  const put = (buffer: Buffer, bytes: number, value: number, at: number): number =>
    big ? buffer.writeUIntBE(value, at, bytes) : buffer.writeUIntLE(value, at, bytes);
  put(head, 2, 42, 2);
  put(head, 4, 8 + padded.length, 4);
  return Buffer.concat([head, padded, directory(tags, 8 + padded.length, big)]);
}

/** A TIFF directory with its values behind it. */
export function directory(tags: Tags, offset: number, big = false): Buffer {
  const sorted = [...tags].sort(([a], [b]) => a - b);
  const put = (buffer: Buffer, bytes: number, value: number, at: number): number =>
    big ? buffer.writeUIntBE(value, at, bytes) : buffer.writeUIntLE(value, at, bytes);
  const table = Buffer.alloc(2 + sorted.length * 12 + 4);
  const behind: Buffer[] = [];
  let end = offset + table.length;
  put(table, 2, sorted.length, 0);
  for (const [i, [tag, type, values]] of sorted.entries()) {
    const size = type === 3 ? 2 : type === 4 ? 4 : 1;
    const bytes = Buffer.alloc(values.length * size);
    for (const [j, value] of values.entries()) put(bytes, size, value, j * size);
    const at = 2 + i * 12;
    put(table, 2, tag, at);
    put(table, 2, type, at + 2);
    put(table, 4, values.length, at + 4);
    if (bytes.length <= 4) table.set(bytes, at + 8);
    else {
      put(table, 4, end, at + 8);
      behind.push(bytes, Buffer.alloc(bytes.length % 2));
      end += bytes.length + (bytes.length % 2);
    }
  }
  return Buffer.concat([table, ...behind]);
}

/** Columns of a profile: red, green and blue as XYZ under D50. */
export type Columns = readonly (readonly [number, number, number])[];

/** Adobe RGB (1998). */
export const ADOBE: Columns = [
  [0.60974, 0.31111, 0.01947],
  [0.20528, 0.62567, 0.06087],
  [0.14919, 0.06322, 0.74457],
];

/** sRGB. */
export const SRGB: Columns = [
  [0.4360747, 0.2225045, 0.0139322],
  [0.3850649, 0.7168786, 0.0971045],
  [0.1430804, 0.0606169, 0.7141733],
];

/** An ICC profile of a power curve, with a matrix for RGB. @see ICC.1:2001-04 */
export function matrixProfile(
  space: "RGB" | "GRAY",
  gamma: number,
  columns: Columns = ADOBE,
  name = "made for a test",
): Buffer {
  const curve = Buffer.alloc(16);
  curve.write("curv");
  curve.writeUInt32BE(1, 8);
  curve.writeUInt16BE(Math.round(gamma * 256), 12);
  const tags: [string, Buffer][] = [
    ["desc", description(name)],
    ["wtpt", xyz([0.9642, 1, 0.8249])],
  ];
  if (space === "GRAY") tags.push(["kTRC", curve]);
  else for (const [i, c] of ["r", "g", "b"].entries()) tags.push([`${c}XYZ`, xyz(columns[i]!)], [`${c}TRC`, curve]);
  return profile(space, tags);
}

/** An ICC profile that holds tables instead of a matrix: the same colours, from a cube of two points a side, which is exact for a matrix. */
export function tableProfile(gamma: number, columns: Columns): Buffer {
  const points = 1024;
  const table = Buffer.alloc(52 + 3 * points * 2 + 8 * 3 * 2 + 3 * 2 * 2);
  table.write("mft2");
  table.set([3, 3, 2], 8);
  for (const i of [0, 4, 8]) table.writeInt32BE(65536, 12 + i * 4);
  table.writeUInt16BE(points, 48);
  table.writeUInt16BE(2, 50);
  let at = 52;
  for (let c = 0; c < 3; c++)
    for (let i = 0; i < points; i++) at = table.writeUInt16BE(Math.round((i / (points - 1)) ** gamma * 65535), at);
  for (const r of [0, 1])
    for (const g of [0, 1])
      for (const b of [0, 1])
        for (let k = 0; k < 3; k++)
          at = table.writeUInt16BE(
            Math.round((r * columns[0]![k]! + g * columns[1]![k]! + b * columns[2]![k]!) * 32768),
            at,
          );
  for (let c = 0; c < 3; c++) for (const value of [0, 65535]) at = table.writeUInt16BE(value, at);
  return profile("RGB", [
    ["desc", description("tables")],
    ["wtpt", xyz([0.9642, 1, 0.8249])],
    ["A2B0", table],
  ]);
}

function description(name: string): Buffer {
  const bytes = Buffer.alloc(Math.ceil((12 + name.length + 1 + 78) / 4) * 4);
  bytes.write("desc");
  bytes.writeUInt32BE(name.length + 1, 8);
  bytes.write(name, 12);
  return bytes;
}

function xyz(values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(20);
  bytes.write("XYZ ");
  for (const [i, value] of values.entries()) bytes.writeInt32BE(Math.round(value * 65536), 8 + i * 4);
  return bytes;
}

function profile(space: string, tags: readonly (readonly [string, Buffer])[]): Buffer {
  const head = Buffer.alloc(132 + tags.length * 12);
  let end = head.length;
  for (const [i, [name, { length }]] of tags.entries()) {
    head.write(name, 132 + i * 12);
    head.writeUInt32BE(end, 136 + i * 12);
    head.writeUInt32BE(length, 140 + i * 12);
    end += length;
  }
  head.writeUInt32BE(end, 0);
  head.writeUInt32BE(0x02400000, 8);
  head.write("mntr", 12);
  head.write(space.padEnd(4), 16);
  head.write("XYZ ", 20);
  head.write("acsp", 36);
  for (const [i, value] of [0.9642, 1, 0.8249].entries()) head.writeInt32BE(Math.round(value * 65536), 68 + i * 4);
  head.writeUInt32BE(tags.length, 128);
  return Buffer.concat([head, ...tags.map(([, bytes]) => bytes)]);
}
