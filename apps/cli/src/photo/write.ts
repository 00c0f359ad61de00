/** Photos to files. */
import { extname } from "node:path";
import sharp from "sharp";
import { UserError } from "../errors.ts";
import { writeFileAtomic } from "../files.ts";
import type { PhotoMetadata, Pixels } from "./photo.ts";
import type { Provenance } from "./provenance.ts";

/** The formats that are written. */
export type OutputFormat = "png" | "jpeg" | "webp" | "avif" | "tiff";

/** What is written: pixels, and what stands beside them. */
export interface WritablePhoto extends Pixels {
  /** Written with one channel where the format can. */
  readonly grey?: boolean;
  /** Of the photo that this one was made of: orientation and size are brought up to date. */
  readonly metadata?: PhotoMetadata;
}

/** How a photo is written. */
export interface EncodeOptions {
  readonly format: OutputFormat;
  /** 1 to 100 for JPEG (95), WebP (100 is lossless, the default) and AVIF (80); the others lose nothing. */
  readonly quality?: number;
  /** Leaves EXIF, XMP and what made the picture out; a colour profile stays, colours would be wrong without it. */
  readonly strip?: boolean;
  /** What made the picture, for its XMP packet. */
  readonly provenance?: Provenance;
}

/** A photo file's bytes, and what was lost on the way, a line each. */
export interface EncodedPhoto {
  readonly bytes: Uint8Array;
  readonly notes: readonly string[];
}

const ENDINGS: Readonly<Record<string, OutputFormat>> = {
  ".png": "png",
  ".jpg": "jpeg",
  ".jpeg": "jpeg",
  ".jpe": "jpeg",
  ".jfif": "jpeg",
  ".webp": "webp",
  ".avif": "avif",
  ".tif": "tiff",
  ".tiff": "tiff",
};

/** The format that a file's name asks for. @throws UserError when it is none that is written */
export function outputFormat(name: string): OutputFormat {
  const format = ENDINGS[extname(name).toLowerCase()];
  if (format !== undefined) return format;
  throw new UserError(`image: cannot write ${name}: its name must end in .png, .jpg, .webp, .avif or .tif`);
}

/** Encodes a photo. @throws UserError when the format has no room for so many pixels */
export async function encodePhoto(photo: WritablePhoto, options: EncodeOptions): Promise<EncodedPhoto> {
  const { width, height, data } = photo;
  const picture = sharp(data, { raw: { width, height, channels: 3 }, limitInputPixels: false });
  if (photo.depth === 16) picture.toColourspace("rgb16");
  const { quality } = options;
  return { bytes: await picture.toFormat(options.format, quality ? { quality } : {}).toBuffer(), notes: [] };
}

/** Writes a photo, whole or not at all; the format follows from the name. Returns what was lost, a line each. @throws UserError, WriteError */
export async function writePhoto(
  path: string,
  photo: WritablePhoto,
  options: Omit<EncodeOptions, "format"> = {},
): Promise<readonly string[]> {
  const { bytes, notes } = await encodePhoto(photo, { ...options, format: outputFormat(path) });
  await writeFileAtomic(path, bytes);
  return notes;
}
