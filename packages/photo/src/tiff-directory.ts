/** The directories of a TIFF structure, which EXIF blocks and most camera raw files are too: read into values, and laid out again. */
import { toLatin1 } from "./bytes.ts";

/** One entry of a directory. */
export interface TiffEntry {
  readonly tag: number;
  /** 1 byte, 2 text, 3 short, 4 long, 5 rational, 7 undefined ... */
  readonly type: number;
  /** The values, little-endian whatever the file is. */
  readonly bytes: Uint8Array;
  /** Where its twelve bytes stand in the file. */
  readonly at: number;
}

/** A directory's entries by their tag, and where the next directory stands; 0 for nowhere. */
export interface TiffDirectory {
  readonly entries: ReadonlyMap<number, TiffEntry>;
  readonly next: number;
  /** Where the offset of the next directory stands. */
  readonly nextAt: number;
}

/** A TIFF structure that can be looked into. */
export interface TiffStructure {
  readonly littleEndian: boolean;
  /** Where the first directory stands. */
  readonly first: number;
  /** The directory at an offset; null where none can be read. */
  directory(offset: number): TiffDirectory | null;
}

/** What is to be laid out: entries, and directories that a pointer entry leads to. */
export interface TiffTree {
  readonly entries: readonly Omit<TiffEntry, "at">[];
  readonly children?: ReadonlyMap<number, TiffTree>;
}

/** Tags with a role of their own. */
export const EXIF_POINTER = 0x8769;
export const GPS_POINTER = 0x8825;
export const INTEROP_POINTER = 0xa005;

/** Bytes of one value, and of the unit whose order of bytes depends on the file, by type. */
const SIZES: Readonly<Record<number, readonly [value: number, unit: number]>> = {
  1: [1, 1],
  2: [1, 1],
  3: [2, 2],
  4: [4, 4],
  5: [8, 4],
  6: [1, 1],
  7: [1, 1],
  8: [2, 2],
  9: [4, 4],
  10: [8, 4],
  11: [4, 4],
  12: [8, 8],
  13: [4, 4],
  16: [8, 8],
};

/** Opens a TIFF structure (not BigTIFF); null where the bytes are none. */
export function openTiff(bytes: Uint8Array): TiffStructure | null {
  if (bytes.length < 8) return null;
  const order = String.fromCharCode(bytes[0]!, bytes[1]!);
  if (order !== "II" && order !== "MM") return null;
  const littleEndian = order === "II";
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const directory = (offset: number): TiffDirectory | null => {
    if (offset < 8 || offset + 2 > bytes.length) return null;
    const count = view.getUint16(offset, littleEndian);
    const end = offset + 2 + count * 12;
    if (end > bytes.length) return null;
    const entries = new Map<number, TiffEntry>();
    for (let at = offset + 2; at < end; at += 12) {
      const tag = view.getUint16(at, littleEndian);
      const type = view.getUint16(at + 2, littleEndian);
      const [size, unit] = SIZES[type] ?? [0, 0];
      const length = size * view.getUint32(at + 4, littleEndian);
      const from = length <= 4 ? at + 8 : view.getUint32(at + 8, littleEndian);
      if (size === 0 || from + length > bytes.length) continue;
      const value = Uint8Array.from(bytes.subarray(from, from + length));
      if (!littleEndian) reverseUnits(value, unit);
      entries.set(tag, { tag, type, bytes: value, at });
    }
    const next = end + 4 <= bytes.length ? view.getUint32(end, littleEndian) : 0;
    return { entries, next, nextAt: end };
  };
  return { littleEndian, first: view.getUint32(4, littleEndian), directory };
}

/** An entry's whole numbers; none where there is no such entry or it holds other values. */
export function wholeNumbers(entry: TiffEntry | undefined): number[] {
  if (entry === undefined) return [];
  const size = { 1: 1, 3: 2, 4: 4, 13: 4 }[entry.type];
  if (size === undefined) return [];
  const { buffer, byteOffset, length } = entry.bytes;
  const view = new DataView(buffer, byteOffset, length);
  return Array.from({ length: length / size }, (_, i) =>
    size === 1 ? view.getUint8(i) : size === 2 ? view.getUint16(i * 2, true) : view.getUint32(i * 4, true),
  );
}

/** An entry's text, without what follows its end mark. */
export function textOf(entry: TiffEntry | undefined): string {
  if (entry?.type !== 2) return "";
  return toLatin1(entry.bytes).replace(/\0.*$/s, "").trim();
}

/** An entry of whole numbers: short, long, or long8 as BigTIFF has it. */
export function numberEntry(tag: number, type: 3 | 4 | 16, values: readonly number[]): Omit<TiffEntry, "at"> {
  const size = { 3: 2, 4: 4, 16: 8 }[type];
  const bytes = new Uint8Array(values.length * size);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of values.entries()) {
    if (type === 3) view.setUint16(i * 2, value, true);
    else if (type === 4) view.setUint32(i * 4, value, true);
    else view.setBigUint64(i * 8, BigInt(value), true);
  }
  return { tag, type, bytes };
}

/**
 * Lays directories out, little-endian, one after the other with their values behind each.
 *
 * @param offset where in the file the bytes will stand: that of the first directory
 * @param big as BigTIFF has them, with offsets of 64 bits
 */
export function layOut(tree: TiffTree, offset: number, big = false): Uint8Array {
  const children = [...(tree.children ?? [])];
  const pointers = children.map(([tag]) => numberEntry(tag, big ? 16 : 4, [0]));
  const entries = [...tree.entries, ...pointers].sort((a, b) => a.tag - b.tag);
  const [head, step, room] = big ? [8, 20, 8] : [2, 12, 4];
  const own = head + entries.length * step + room;
  const values = entries.map(({ bytes }) => (bytes.length > room ? bytes.length + (bytes.length % 2) : 0));
  let at = offset + own + values.reduce((sum, length) => sum + length, 0);
  const below = new Map<number, number>();
  const parts: Uint8Array[] = [];
  for (const [tag, child] of children) {
    below.set(tag, at);
    const part = layOut(child, at, big);
    parts.push(part);
    at += part.length;
  }
  const bytes = new Uint8Array(at - offset);
  const view = new DataView(bytes.buffer);
  const setOffset = (place: number, value: number): void =>
    big ? view.setBigUint64(place, BigInt(value), true) : view.setUint32(place, value, true);
  if (big) setOffset(0, entries.length);
  else view.setUint16(0, entries.length, true);
  let valueAt = own;
  for (const [i, entry] of entries.entries()) {
    const place = head + i * step;
    view.setUint16(place, entry.tag, true);
    view.setUint16(place + 2, entry.type, true);
    setOffset(place + 4, entry.bytes.length / SIZES[entry.type]![0]);
    const child = below.get(entry.tag);
    if (child !== undefined) setOffset(place + step - room, child);
    else if (entry.bytes.length <= room) bytes.set(entry.bytes, place + step - room);
    else {
      setOffset(place + step - room, offset + valueAt);
      bytes.set(entry.bytes, valueAt);
      valueAt += values[i]!;
    }
  }
  let partAt = bytes.length - parts.reduce((sum, part) => sum + part.length, 0);
  for (const part of parts) {
    bytes.set(part, partAt);
    partAt += part.length;
  }
  return bytes;
}

function reverseUnits(bytes: Uint8Array, unit: number): void {
  for (let at = 0; unit > 1 && at + unit <= bytes.length; at += unit) bytes.subarray(at, at + unit).reverse();
}
