/**
 * Image files to pixels and back, as networks and metrics see them: a photo (`../photo`) as 8-bit sRGB with three channels, 16 bits rounded to
 * the nearest of 8, transparency composited over white.
 */
import { extname } from "node:path";
import sharp from "sharp";
import { UserError } from "../errors.ts";
import { writeFileAtomic } from "../files.ts";
import { decodePhoto } from "../photo/decode.ts";
import type { Pixels } from "../photo/photo.ts";
import { readPhoto } from "../photo/read.ts";

export { LARGEST_SIDE } from "../photo/decode.ts";
export { isPhotoName as isImageName } from "../photo/format.ts";

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
 * Writes an image, whole or not at all; the format follows from the name: `.png`, `.jpg`/`.jpeg` (quality 95, no chroma subsampling), `.webp` (lossless).
 *
 * @throws UserError for another ending, or when the file cannot be written
 */
export async function writeImage(path: string, image: Image): Promise<void> {
  await writeFileAtomic(path, await encodeImage(image, path));
}

/** The longest sides that formats have room for. */
const FORMAT_SIDES: ReadonlyMap<string, number> = new Map([
  [".jpg", 65535],
  [".jpeg", 65535],
  [".webp", 16383],
]);
/** An array of Node 20 ends here. */
const MOST_BYTES = 2 ** 32;

/**
 * Checks that an image of this size can be written, before it is made.
 *
 * @param name the file's, which says the format
 * @throws UserError when it has no room for so many pixels
 */
export function checkWritable(name: string, { width, height }: Pick<Image, "width" | "height">): void {
  const side = FORMAT_SIDES.get(extname(name).toLowerCase());
  if (side !== undefined && Math.max(width, height) > side) {
    throw new UserError(
      `image: ${name} would be ${width}x${height}, where its format ends at ${side} pixels a side: write a .png`,
    );
  }
  if (width * height * 3 > MOST_BYTES) {
    throw new UserError(
      `image: ${name} would be ${width}x${height}, over the 4 GiB that an image may take: cut the photograph in parts first`,
    );
  }
}

/** An image as the bytes of a file whose format follows from `name`. */
export async function encodeImage(image: Image, name: string): Promise<Buffer> {
  const { width, height, data } = image;
  const picture = sharp(data, { raw: { width, height, channels: 3 }, limitInputPixels: false });
  switch (extname(name).toLowerCase()) {
    case ".png":
      return picture.png().toBuffer();
    case ".jpg":
    case ".jpeg":
      return picture.jpeg({ quality: 95, chromaSubsampling: "4:4:4" }).toBuffer();
    case ".webp":
      return picture.webp({ lossless: true }).toBuffer();
    default:
      throw new UserError(`image: cannot write ${name}: its name must end in .png, .jpg or .webp`);
  }
}

/** An image that is no longer than `side` on either side: itself where it fits, else a smaller one. */
export async function fitInto(image: Image, side: number): Promise<Image> {
  if (Math.max(image.width, image.height) <= side) return image;
  const { width, height, data } = image;
  const picture = sharp(data, { raw: { width, height, channels: 3 }, limitInputPixels: false });
  const small = await picture.resize(side, side, { fit: "inside" }).raw().toBuffer({ resolveWithObject: true });
  return { width: small.info.width, height: small.info.height, data: small.data };
}
