/** The bytes of photo files to pixels that stand upright, with the colours that the file means, at the depth that it has. */
import { totalmem } from "node:os";
import {
  exifOfTiff,
  type Photo,
  type PhotoFormat,
  type PhotoMetadata,
  profileHead,
  recognise,
  refusal,
} from "@deplsr/photo";
import sharp, { type Metadata } from "sharp";
import { UserError } from "../errors.ts";
import { type ColourOptions, convertColours } from "./convert.ts";
import { withEnd } from "./jpeg-end.ts";
import { damaged, decodeSamples, isGreySpace, separate, tripled } from "./samples.ts";

/** How a photo is decoded. */
export interface DecodeOptions extends ColourOptions {
  /** The most bytes that the pixels may take; refused before they are decoded. By default half of the machine's memory. */
  readonly mostBytes?: number;
}

/** The longest side of a square image that is read. */
export const LARGEST_SIDE = 2 ** 14;

/** More pixels than this are refused before they are decoded. */
const MOST_PIXELS = LARGEST_SIDE ** 2;

/**
 * Decodes a photo file's bytes.
 *
 * @param name the file's name, for messages
 * @throws UserError with one line when it is not a photo that can be read, truncated, damaged or too large
 */
export async function decodePhoto(bytes: Uint8Array, name: string, options: DecodeOptions = {}): Promise<Photo> {
  const format = formatOf(bytes, name);
  const notes: string[] = [];
  const head = await sharp(bytes, { limitInputPixels: false })
    .metadata()
    .catch((error) => {
      throw damaged(error, name);
    });
  checkSize(head, name, options);
  const metadata = metadataOf(bytes, format, head);
  const samples = await decodeSamples(bytes, head, metadata, name, notes).catch(async (error: unknown) => {
    if (format !== "jpeg" || !(error instanceof UserError) || !/premature end/.test(error.message)) throw error;
    return decodeSamples(await withEnd(bytes, name, notes), head, metadata, name, notes);
  });
  const { width, height, values } = samples;
  if ((head.pages ?? 1) > 1 && format !== "avif")
    notes.push(`${name} holds ${head.pages} ${format === "tiff" ? "pages" : "frames"}: the first one is read`);
  const grey = isGreySpace(head.space);
  const { data, alpha } = separate(samples, grey);
  const own = await convertColours(data, grey, head, metadata, options, name, notes);
  return {
    width,
    height,
    depth: values instanceof Uint8Array ? 8 : 16,
    data: grey ? tripled(data) : data,
    alpha: alpha?.every((value) => value === (values instanceof Uint8Array ? 255 : 65535)) ? null : alpha,
    profile: own,
    grey,
    metadata,
    format,
    notes,
  };
}

function formatOf(bytes: Uint8Array, name: string): PhotoFormat {
  if (bytes.length === 0)
    throw new UserError(`image: ${name} is empty (0 bytes): it was not written to the end, get it again`);
  const content = recognise(bytes);
  if (content?.photo) return content.photo;
  throw new UserError(`image: ${name} ${refusal(content)}`);
}

function checkSize({ width, height, channels, depth }: Metadata, name: string, { mostBytes }: DecodeOptions): void {
  if (width * height > MOST_PIXELS)
    throw new UserError(
      `image: ${name} has more than ${MOST_PIXELS} pixels (${width}x${height}): make it smaller first`,
    );
  const bytes = width * height * Math.max(3, channels) * (depth === "uchar" ? 1 : 2);
  const most = mostBytes ?? Math.floor(totalmem() / 2);
  if (bytes > most)
    throw new UserError(
      `image: ${name} is ${width}x${height}: its pixels take ${bytes} bytes where there is room for ${most}: make it smaller first`,
    );
}

function metadataOf(bytes: Uint8Array, format: PhotoFormat, head: Metadata): PhotoMetadata {
  const block = head.exif;
  const start = block?.toString("latin1", 0, 4) === "Exif" ? 6 : 0;
  const icc = head.icc && profileHead(head.icc);
  return {
    exif: block ? block.subarray(start) : format === "tiff" ? exifOfTiff(bytes) : null,
    xmp: head.xmpAsString ?? null,
    icc: head.icc && icc ? { bytes: head.icc, description: icc.description } : null,
    density: head.density ?? null,
  };
}
