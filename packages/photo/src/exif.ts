/** EXIF blocks: looked into, brought up to date, moved from and to TIFF files. */
import { fromLatin1, joined, viewOf } from "./bytes.ts";
import {
  EXIF_POINTER,
  GPS_POINTER,
  INTEROP_POINTER,
  layOut,
  numberEntry,
  openTiff,
  type TiffDirectory,
  type TiffStructure,
  type TiffTree,
  textOf,
  wholeNumbers,
} from "./tiff-directory.ts";

const ORIENTATION = 0x0112;
const X_RESOLUTION = 0x011a;
const RESOLUTION_UNIT = 0x0128;
const COLOUR_SPACE = 0xa001;
const WIDTH = 0xa002;
const HEIGHT = 0xa003;
const INTEROP_INDEX = 0x0001;

/** What a TIFF's first directory says about the photo, not about how its pixels are stored: these go from file to file. */
const DESCRIPTIVE = new Set([
  0x010d,
  0x010e,
  0x010f,
  0x0110,
  ORIENTATION,
  0x0131,
  0x0132,
  0x013b,
  0x013c,
  0x4746,
  0x4749,
  0x8298,
  0x9c9b,
  0x9c9c,
  0x9c9d,
  0x9c9e,
  0x9c9f,
]);

/** The EXIF block of a TIFF file: what its first directory says about the photo, with the EXIF and GPS directories; null where it says nothing. */
export function exifOfTiff(bytes: Uint8Array): Uint8Array | null {
  const tree = descriptiveTree(bytes);
  if (tree === null || (tree.entries.every(({ tag }) => tag === ORIENTATION) && !tree.children?.size)) return null;
  const block = layOut(tree, 8);
  return joined([fromLatin1("II*\0\x08\0\0\0"), block]);
}

/** The entries of an EXIF block or a TIFF file that describe the photo, as a tree; null where there is none. */
export function descriptiveTree(bytes: Uint8Array): TiffTree | null {
  const tiff = openTiff(bytes);
  const first = tiff?.directory(tiff.first);
  if (!tiff || !first) return null;
  return {
    entries: [...first.entries.values()].filter(({ tag }) => DESCRIPTIVE.has(tag)),
    children: children(tiff, first, [EXIF_POINTER, GPS_POINTER]),
  };
}

function children(tiff: TiffStructure, directory: TiffDirectory, tags: readonly number[]): Map<number, TiffTree> {
  const found = new Map<number, TiffTree>();
  for (const tag of tags) {
    const below = child(tiff, directory, tag);
    if (below === null) continue;
    const entries = [...below.entries.values()].filter((entry) => entry.tag !== INTEROP_POINTER);
    found.set(tag, { entries, children: tag === EXIF_POINTER ? children(tiff, below, [INTEROP_POINTER]) : new Map() });
  }
  return found;
}

function child(tiff: TiffStructure, directory: TiffDirectory, pointer: number): TiffDirectory | null {
  const [offset] = wholeNumbers(directory.entries.get(pointer));
  return offset === undefined ? null : tiff.directory(offset);
}

/**
 * An EXIF block for an upright picture of another size: orientation 1, the new width and height where the old ones stand, sRGB as colour space where the pixels
 * are, no thumbnail. Everything else stays byte by byte and where it is, because cameras' private notes hold offsets. A block that cannot be read is null.
 */
export function updateExif(
  exif: Uint8Array,
  size: { readonly width: number; readonly height: number; readonly srgb: boolean },
): Uint8Array | null {
  const bytes = Uint8Array.from(exif);
  const tiff = openTiff(bytes);
  const first = tiff?.directory(tiff.first);
  if (!tiff || !first) return null;
  const view = new DataView(bytes.buffer);
  const set = (directory: TiffDirectory | null, tag: number, value: number): void => {
    const entry = directory?.entries.get(tag);
    if (entry === undefined || (entry.type !== 3 && entry.type !== 4) || wholeNumbers(entry).length !== 1) return;
    const short = entry.type === 3 && value <= 0xffff;
    if (!short) view.setUint16(entry.at + 2, 4, tiff.littleEndian);
    if (short) view.setUint16(entry.at + 8, value, tiff.littleEndian);
    else view.setUint32(entry.at + 8, value, tiff.littleEndian);
  };
  const photo = child(tiff, first, EXIF_POINTER);
  set(first, ORIENTATION, 1);
  set(photo, WIDTH, size.width);
  set(photo, HEIGHT, size.height);
  if (size.srgb) set(photo, COLOUR_SPACE, 1);
  const interop = photo && child(tiff, photo, INTEROP_POINTER)?.entries.get(INTEROP_INDEX);
  if (size.srgb && textOf(interop ?? undefined) === "R03") bytes.set(fromLatin1("R98"), interop!.at + 8);
  return first.next === 0 ? bytes : withoutThumbnail(bytes, tiff, first);
}

/** The thumbnail shows the old picture, perhaps turned, perhaps what was cut off since: its bytes go too. */
function withoutThumbnail(bytes: Uint8Array, tiff: TiffStructure, first: TiffDirectory): Uint8Array {
  const thumbnail = tiff.directory(first.next)?.entries;
  const [at] = wholeNumbers(thumbnail?.get(0x0201));
  const [length] = wholeNumbers(thumbnail?.get(0x0202));
  new DataView(bytes.buffer).setUint32(first.nextAt, 0);
  if (at === undefined || length === undefined || at + length > bytes.length) return bytes;
  if (at + length >= bytes.length - 1) return bytes.slice(0, at);
  bytes.fill(0, at, at + length);
  return bytes;
}

/** Whether an EXIF block says that the colours are Adobe RGB, as cameras do that embed no profile. */
export function isAdobeRgb(exif: Uint8Array): boolean {
  const tiff = openTiff(exif);
  const first = tiff?.directory(tiff.first);
  const photo = tiff && first ? child(tiff, first, EXIF_POINTER) : null;
  if (!tiff || !photo || wholeNumbers(photo.entries.get(COLOUR_SPACE))[0] === 1) return false;
  return textOf(child(tiff, photo, INTEROP_POINTER)?.entries.get(INTEROP_INDEX)) === "R03";
}

/** The orientation that an EXIF block tells, 1 to 8; undefined where it tells none. */
export function orientationOf(exif: Uint8Array): number | undefined {
  const tiff = openTiff(exif);
  const [orientation] = wholeNumbers(tiff?.directory(tiff.first)?.entries.get(ORIENTATION));
  return orientation !== undefined && orientation >= 1 && orientation <= 8 ? orientation : undefined;
}

/** The pixels per inch that an EXIF block tells; undefined where it tells none. */
export function resolutionOf(exif: Uint8Array): number | undefined {
  const tiff = openTiff(exif);
  const entries = tiff?.directory(tiff.first)?.entries;
  const ratio = entries?.get(X_RESOLUTION);
  const unit = wholeNumbers(entries?.get(RESOLUTION_UNIT))[0] ?? 2;
  if (ratio?.type !== 5 || (unit !== 2 && unit !== 3)) return undefined;
  const view = viewOf(ratio.bytes);
  const perUnit = view.getUint32(0, true) / view.getUint32(4, true);
  return Number.isFinite(perUnit) && perUnit > 0 ? Math.round(perUnit * (unit === 3 ? 2.54 : 1)) : undefined;
}

/** The orientation entry of a new directory. */
export const UPRIGHT = numberEntry(ORIENTATION, 3, [1]);
