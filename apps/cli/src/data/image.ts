/**
 * Image files to pixels and back. Every image enters as 8-bit sRGB with three channels: grey is repeated, 16 bits are rounded to the nearest
 * of 8, CMYK and embedded colour profiles are converted, the EXIF orientation is applied, and transparency is composited over white.
 */
import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import sharp from "sharp";
import { oneLine, systemCode, UserError } from "../errors.ts";
import { writeFileAtomic } from "../files.ts";

/** An RGB image, 8 bits a channel: `data` holds `height * width * 3` bytes, row by row, red first. */
export interface Image {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** The file name endings that are read, lower case. */
export const IMAGE_EXTENSIONS: readonly string[] = [".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".avif", ".gif"];

/** Whether a file name ends like an image's. */
export function isImageName(name: string): boolean {
  return IMAGE_EXTENSIONS.includes(extname(name).toLowerCase());
}

/** The longest side of a square image that is read. */
export const LARGEST_SIDE = 2 ** 14;

/** More pixels than this are refused before they are decoded. */
const MOST_PIXELS = LARGEST_SIDE ** 2;

/**
 * Reads an image file.
 *
 * @param path JPEG, PNG, WebP, TIFF, AVIF or GIF (its first frame)
 * @returns 8-bit sRGB, see the head of this file
 * @throws UserError with one line when the file is missing, no image, truncated or damaged
 */
export async function readImage(path: string): Promise<Image> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    const code = systemCode(error);
    if (code === "ENOENT") throw new UserError(`image: ${path} does not exist: check the path`);
    if (code === "EISDIR") throw new UserError(`image: ${path} is a folder: give an image file`);
    throw new UserError(`image: ${path} cannot be read: ${oneLine(error)}`);
  }
  return decodeImage(bytes, path);
}

/** Decodes an image file's bytes. @param name the file's name, for messages. @throws UserError as `readImage` */
export async function decodeImage(bytes: Uint8Array, name: string): Promise<Image> {
  if (bytes.length === 0)
    throw new UserError(`image: ${name} is empty (0 bytes): it was not written to the end, get it again`);
  const picture = sharp(bytes, { failOn: "error", limitInputPixels: false });
  const { depth, width, height } = await picture.metadata().catch((error) => {
    throw explainHeader(error, name);
  });
  if (width * height > MOST_PIXELS) {
    throw new UserError(
      `image: ${name} has more than ${MOST_PIXELS} pixels (${width}x${height}): make it smaller first`,
    );
  }
  const deep = depth === "ushort";
  try {
    const { data, info } = await picture
      .rotate()
      .toColourspace(deep ? "rgb16" : "srgb")
      .raw({ depth: deep ? "ushort" : "uchar" })
      .toBuffer({ resolveWithObject: true });
    const values = deep
      ? new Uint16Array(data.buffer, data.byteOffset, data.length / 2)
      : new Uint8Array(data.buffer, data.byteOffset, data.length);
    return { width: info.width, height: info.height, data: toThreeChannels(values, info.channels) };
  } catch (error) {
    throw damaged(error, name);
  }
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

/**
 * Pixels of one to four channels, the last of two or four being the opacity, as RGB of 8 bits on white. The decoder would do it as well, but
 * cuts the lower bits of 16 off, which darkens by half a level.
 */
function toThreeChannels(values: Uint8Array | Uint16Array, channels: number): Uint8Array {
  const white = values instanceof Uint8Array ? 255 : 65535;
  if (channels === 3 && values instanceof Uint8Array) return values;
  const pixels = values.length / channels;
  const result = new Uint8Array(pixels * 3);
  for (let i = 0; i < pixels; i++) {
    const opacity = channels % 2 === 0 ? values[(i + 1) * channels - 1]! / white : 1;
    for (let c = 0; c < 3; c++) {
      const value = values[i * channels + (channels > 2 ? c : 0)]!;
      result[i * 3 + c] = Math.round((white + (value - white) * opacity) * (255 / white));
    }
  }
  return result;
}

function explainHeader(error: unknown, name: string): UserError {
  if (!/unsupported image format/i.test(firstSentence(error))) return damaged(error, name);
  return new UserError(
    `image: ${name} is not an image that can be read: give a JPEG, PNG, WebP, TIFF, AVIF or GIF file`,
  );
}

function damaged(error: unknown, name: string): UserError {
  return new UserError(`image: ${name} is truncated or damaged (${firstSentence(error)}): get the file again`);
}

/** A decoder may report the same failure many times over: the first line is enough. */
function firstSentence(error: unknown): string {
  const [first = ""] = (error instanceof Error ? error.message : String(error)).trim().split("\n");
  return oneLine(first.replace(/:\s*$/, ""));
}
