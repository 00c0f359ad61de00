/**
 * Image files to pixels and back, as networks and metrics see them: a photo (`../photo`) as 8-bit sRGB with three channels, 16 bits rounded to
 * the nearest of 8, transparency composited over white.
 */
import type { Pixels } from "@deplsr/photo";
import sharp from "sharp";
import { decodePhoto } from "../photo/decode.ts";
import { outputFormat } from "../photo/output-format.ts";
import { readPhoto } from "../photo/read.ts";
import { encodePhoto, writePhoto } from "../photo/write.ts";

export { isPhotoName as isImageName } from "@deplsr/photo";
export { LARGEST_SIDE } from "../photo/decode.ts";

/** An RGB image, 8 bits a channel: `data` holds `height * width * 3` bytes, row by row, red first. */
export interface Image {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/**
 * Reads an image file.
 *
 * @param path JPEG, PNG, WebP, TIFF, AVIF or GIF (its first frame)
 * @returns 8-bit sRGB, see the head of this file
 * @throws UserError with one line when the file is missing, no image, truncated or damaged
 */
export async function readImage(path: string): Promise<Image> {
  return toImage(await readPhoto(path));
}

/** Decodes an image file's bytes. @param name the file's name, for messages. @throws UserError as `readImage` */
export async function decodeImage(bytes: Uint8Array, name: string): Promise<Image> {
  return toImage(await decodePhoto(bytes, name));
}

/** A photo's pixels with 8 bits, on white where it is transparent. */
export function toImage({ width, height, data, alpha }: Pixels): Image {
  if (data instanceof Uint8Array && alpha === null) return { width, height, data };
  const white = data instanceof Uint8Array ? 255 : 65535;
  const result = new Uint8Array(data.length);
  for (let i = 0; i < result.length; i++) {
    const opacity = alpha === null ? 1 : alpha[Math.floor(i / 3)]! / white;
    result[i] = Math.round((white + (data[i]! - white) * opacity) * (255 / white));
  }
  return { width, height, data: result };
}

/**
 * Writes an image, whole or not at all; the format follows from the name, as for photos: JPEG of quality 95 without chroma subsampling, the others without loss
 * but AVIF.
 *
 * @throws UserError for another ending, or when the file cannot be written
 */
export async function writeImage(path: string, image: Image): Promise<void> {
  await writePhoto(path, asPhoto(image), { strip: true });
}

/** An image as the bytes of a file whose format follows from `name`. */
export async function encodeImage(image: Image, name: string): Promise<Buffer> {
  const { bytes } = await encodePhoto(asPhoto(image), { format: outputFormat(name), strip: true });
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

function asPhoto(image: Image): Pixels {
  return { ...image, depth: 8, alpha: null, profile: null };
}

/** An image that is no longer than `side` on either side: itself where it fits, else a smaller one. */
export async function fitInto(image: Image, side: number): Promise<Image> {
  if (Math.max(image.width, image.height) <= side) return image;
  const { width, height, data } = image;
  const picture = sharp(data, { raw: { width, height, channels: 3 }, limitInputPixels: false });
  const small = await picture.resize(side, side, { fit: "inside" }).raw().toBuffer({ resolveWithObject: true });
  return { width: small.info.width, height: small.info.height, data: small.data };
}
