/** Photos to files. */
import {
  type AttachmentOptions,
  type Attachments,
  attachmentsOf,
  attachToJpeg,
  attachToWebp,
  interleave,
  isGrey,
  memorySink,
  overWhite,
  type PhotoMetadata,
  type Pixels,
  pieces,
  pngEncoder,
  type RowEncoder,
  roundedTo,
  toBytes,
} from "@deplsr/photo";
import sharp, { type Sharp } from "sharp";
import { writeFileAtomic } from "../files.ts";
import { noDeflation } from "./deflate.ts";
import { checkRoom, type OutputFormat, outputFormat } from "./output-format.ts";
import { srgbProfile } from "./srgb-profile.ts";
import { isStreamed, openPhotoWriter, type RowsDescription, startRows } from "./writer.ts";

/** What is written: pixels, and what stands beside them. */
export interface WritablePhoto extends Pixels {
  /** Written with one channel where the format can and the pixels are still grey. */
  readonly grey?: boolean;
  /** Of the photo that this one was made of: orientation and size are brought up to date. */
  readonly metadata?: PhotoMetadata;
}

/** How a photo is written. */
export interface EncodeOptions extends Pick<AttachmentOptions, "strip" | "provenance"> {
  readonly format: OutputFormat;
  /** 1 to 100 for JPEG (95), WebP (100 is lossless, the default) and AVIF (80, 100 is lossless); the others lose nothing. */
  readonly quality?: number;
}

/** A photo file's bytes, and what was lost on the way, a line each. */
export interface EncodedPhoto {
  readonly bytes: Uint8Array;
  readonly notes: readonly string[];
}

/** AVIF's largest depth. */
const AVIF_BITS = 12;

/** Encodes a photo. @throws UserError when the format has no room for so many pixels */
export async function encodePhoto(photo: WritablePhoto, options: EncodeOptions): Promise<EncodedPhoto> {
  const { format } = options;
  checkRoom(format, `the ${format.toUpperCase()}`, { ...photo, channels: photo.alpha ? 4 : 3 });
  const notes: string[] = [];
  switch (format) {
    case "jpeg":
      return { bytes: await encodeJpeg(photo, options, notes), notes };
    case "webp":
      return { bytes: await encodeWebp(photo, options, notes), notes };
    case "avif":
      return { bytes: await encodeAvif(photo, options, notes), notes };
    default: {
      const sink = memorySink();
      const description = rowsOf(photo, options);
      await writeAll(photo, description, await startRows(format, description, sink));
      return { bytes: sink.bytes(), notes };
    }
  }
}

/** Writes a photo, whole or not at all; the format follows from the name. Returns what was lost, a line each. @throws UserError, WriteError */
export async function writePhoto(
  path: string,
  photo: WritablePhoto,
  options: Omit<EncodeOptions, "format"> = {},
): Promise<readonly string[]> {
  const format = outputFormat(path);
  checkRoom(format, path, { ...photo, channels: photo.alpha ? 4 : 3 });
  if (isStreamed(format)) {
    const description = rowsOf(photo, options);
    const writer = await openPhotoWriter(path, description);
    await writeAll(photo, description, { writeRows: writer.writeRows, end: writer.close });
    return [];
  }
  const { bytes, notes } = await encodePhoto(photo, { ...options, format });
  await writeFileAtomic(path, bytes);
  return notes;
}

function rowsOf(photo: WritablePhoto, options: Omit<EncodeOptions, "format">): RowsDescription {
  const { width, height, depth, alpha, profile, metadata } = photo;
  const colours = photo.grey && profile === null && isGrey(photo.data) ? 1 : 3;
  const channels = (colours + (alpha ? 1 : 0)) as RowsDescription["channels"];
  return { ...options, width, height, depth, channels, profile, ...(metadata ? { metadata } : {}) };
}

async function writeAll(photo: Pixels, { channels }: RowsDescription, encoder: RowEncoder): Promise<void> {
  for (const [top, bottom] of pieces(photo)) await encoder.writeRows(interleave(photo, channels, top, bottom));
  await encoder.end();
}

async function encodeJpeg(photo: WritablePhoto, options: EncodeOptions, notes: string[]): Promise<Uint8Array> {
  if (photo.alpha !== null) notes.push("JPEG holds no transparency: the picture is put on white");
  const flat = photo.alpha === null ? photo : { ...photo, data: overWhite(photo), alpha: null };
  const attachments = await attached(photo, options);
  const encoder = eightBits(flat, notes, "JPEG").jpeg({ quality: options.quality ?? 95, chromaSubsampling: "4:4:4" });
  return attachToJpeg(await encoder.toBuffer(), attachments, notes);
}

async function encodeWebp(photo: WritablePhoto, options: EncodeOptions, notes: string[]): Promise<Uint8Array> {
  const quality = options.quality ?? 100;
  const encoder = eightBits(photo, notes, "WebP").webp(quality === 100 ? { lossless: true, exact: true } : { quality });
  const attachments = await attached(photo, options);
  return attachToWebp(await encoder.toBuffer(), attachments, { ...photo, alpha: photo.alpha !== null });
}

/** Metadata come to an AVIF from a PNG that the encoder reads them out of. */
async function encodeAvif(photo: WritablePhoto, options: EncodeOptions, notes: string[]): Promise<Uint8Array> {
  const quality = options.quality ?? 80;
  const deep = photo.depth === 16;
  if (deep) notes.push(`AVIF holds ${AVIF_BITS} bits a channel: 16 are rounded to those`);
  const sink = memorySink();
  const description: RowsDescription = { ...rowsOf({ ...photo, grey: false }, options) };
  const pixels = deep ? roundedTo(AVIF_BITS, photo) : photo;
  const encoder = await pngEncoder(description, await attached(photo, options), sink, {
    deflate: noDeflation,
    filtered: false,
  });
  await writeAll(pixels, description, encoder);
  const picture = sharp(sink.bytes(), { limitInputPixels: false }).keepIccProfile();
  if (!options.strip) picture.keepExif().keepXmp();
  if (deep) picture.toColourspace("rgb16");
  return picture
    .avif({ quality, lossless: quality === 100, chromaSubsampling: "4:4:4", bitdepth: deep ? AVIF_BITS : 8 })
    .toBuffer();
}

/** What stands beside the pixels; a file without a profile of its own says that it is sRGB, unless it shall say nothing. */
async function attached(photo: WritablePhoto, options: EncodeOptions): Promise<Attachments> {
  const attachments = attachmentsOf({ ...photo, ...options });
  return attachments.profile === null && !options.strip
    ? { ...attachments, profile: await srgbProfile() }
    : attachments;
}

function eightBits(photo: WritablePhoto, notes: string[], name: string): Sharp {
  if (photo.depth === 16) notes.push(`${name} holds 8 bits a channel: 16 are rounded to those`);
  const { width, height } = photo;
  const channels = photo.alpha === null ? 3 : 4;
  const data = toBytes(channels === 3 ? photo.data : interleave(photo, 4, 0, height));
  return sharp(data, { raw: { width, height, channels }, limitInputPixels: false });
}
