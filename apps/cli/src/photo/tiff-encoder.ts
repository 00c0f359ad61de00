/** TIFF in compressed strips, row by row; BigTIFF where 4 GiB may not be enough. @see TIFF 6.0, and its Technical Notes for Deflate */
import { promisify } from "node:util";
import { deflate } from "node:zlib";
import {
  type Attachments,
  descriptiveTree,
  layOut,
  numberEntry,
  type RowEncoder,
  type RowFormat,
  RowStrips,
  rowsPerStrip,
  type Sink,
  type TiffEntry,
  UPRIGHT,
} from "@deplsr/photo";

const compress = promisify(deflate);

/** Fast: higher ones make photographs smaller by a few percent, in many times the time. */
const LEVEL = 1;

/** Where offsets of 32 bits end, with room for the directories. */
const MOST_BYTES = 2 ** 32 - 2 ** 26;

/** Starts a TIFF. @param big whether it is a BigTIFF, by default where the pixels would not fit otherwise */
export async function tiffEncoder(
  format: RowFormat,
  attachments: Attachments,
  sink: Sink,
  big: boolean = (format.width * format.height * format.channels * format.depth) / 8 > MOST_BYTES,
): Promise<RowEncoder> {
  const { width, height, channels, depth } = format;
  const rowValues = width * channels;
  const stripRows = rowsPerStrip((rowValues * depth) / 8);
  const header = Buffer.from(big ? "II+\0\x08\0\0\0\0\0\0\0\0\0\0\0" : "II*\0\0\0\0\0", "latin1");
  await sink.write(header);
  let position = header.length;
  const offsets: number[] = [];
  const lengths: number[] = [];
  const strips = new RowStrips({
    height,
    rowValues,
    rowsPerStrip: stripRows,
    compress: (rows) => compress(differences(rows, rowValues, channels), { level: LEVEL }),
    async write(strip) {
      offsets.push(position);
      lengths.push(strip.length);
      await sink.write(strip);
      position += strip.length;
    },
  });
  return {
    writeRows: (rows) => strips.writeRows(rows),
    async end() {
      await strips.end();
      const padding = position % 8 === 0 ? 0 : 8 - (position % 8);
      if (padding > 0) await sink.write(new Uint8Array(padding));
      position += padding;
      const described = attachments.exif && descriptiveTree(attachments.exif);
      const entries = [
        ...pixelEntries(format, stripRows, big ? 16 : 4, offsets, lengths),
        ...attachedEntries(attachments),
        ...(described?.entries ?? []).filter(({ tag }) => tag !== UPRIGHT.tag),
      ];
      const children = described?.children;
      await sink.write(layOut(children ? { entries, children } : { entries }, position, big));
      if (big) header.writeBigUInt64LE(BigInt(position), 8);
      else header.writeUInt32LE(position, 4);
      await sink.writeAt(header, 0);
    },
  };
}

type Entry = Omit<TiffEntry, "at">;

function pixelEntries(
  { width, height, channels, depth }: RowFormat,
  stripRows: number,
  offsetType: 4 | 16,
  offsets: readonly number[],
  lengths: readonly number[],
): Entry[] {
  const opacity = channels % 2 === 0 ? [numberEntry(0x0152, 3, [2])] : [];
  return [
    numberEntry(0x0100, 4, [width]),
    numberEntry(0x0101, 4, [height]),
    numberEntry(0x0102, 3, Array(channels).fill(depth)),
    numberEntry(0x0103, 3, [8]), // Deflate
    numberEntry(0x0106, 3, [channels < 3 ? 1 : 2]), // black is 0, or RGB
    numberEntry(0x0111, offsetType, offsets),
    UPRIGHT,
    numberEntry(0x0115, 3, [channels]),
    numberEntry(0x0116, 4, [stripRows]),
    numberEntry(0x0117, offsetType, lengths),
    numberEntry(0x011c, 3, [1]), // interleaved
    numberEntry(0x013d, 3, [2]), // differences
    ...opacity,
  ];
}

function attachedEntries({ profile, xmp, density }: Attachments): Entry[] {
  const entries: Entry[] = [];
  if (density !== null) {
    const ratio = numberEntry(0x011a, 4, [Math.round(density * 1000), 1000]).bytes;
    entries.push({ tag: 0x011a, type: 5, bytes: ratio }, { tag: 0x011b, type: 5, bytes: ratio });
    entries.push(numberEntry(0x0128, 3, [2])); // pixels per inch
  }
  if (xmp !== null) entries.push({ tag: 0x02bc, type: 1, bytes: Buffer.from(xmp, "utf8") });
  if (profile !== null) entries.push({ tag: 0x8773, type: 7, bytes: profile });
  return entries;
}

/** What each value has more than that of the pixel to its left, little-endian. */
function differences(rows: Uint8Array | Uint16Array, rowValues: number, channels: number): Uint8Array {
  const result = rows.slice();
  for (let row = 0; row < rows.length; row += rowValues) {
    for (let i = row + channels; i < row + rowValues; i++) result[i] = rows[i]! - rows[i - channels]!;
  }
  return new Uint8Array(result.buffer, result.byteOffset, result.byteLength);
}
