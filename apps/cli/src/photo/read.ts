/** Photo files to pixels. */

import { readFile } from "node:fs/promises";
import sharp from "sharp";
import { UserError } from "../errors.ts";
import type { Photo, PhotoFormat } from "./photo.ts";

/** How a photo is read. */
export interface ReadOptions {
  /** `srgb`, the default, converts to sRGB; `own` keeps the values of an RGB file that has a profile and says which one in `Photo.profile`. */
  readonly colours?: "srgb" | "own";
  /** The most bytes that the pixels may take; refused before they are decoded. By default half of the machine's memory. */
  readonly mostBytes?: number;
}

/**
 * Reads a photo file.
 *
 * @param path JPEG, PNG, WebP, TIFF, AVIF or GIF, whatever its name ends in; `-` for the bytes of stdin
 * @throws UserError with one line when it is missing, not a photo that can be read, truncated or damaged
 */
export async function readPhoto(path: string, options: ReadOptions = {}): Promise<Photo> {
  return decodePhoto(await readFile(path), path, options);
}

/** Decodes a photo file's bytes. @param name the file's name, for messages. @throws UserError as `readPhoto` */
export async function decodePhoto(bytes: Uint8Array, name: string, _options: ReadOptions = {}): Promise<Photo> {
  const picture = sharp(bytes, { limitInputPixels: false });
  const head = await picture.metadata();
  const deep = head.depth === "ushort";
  const { data, info } = await picture
    .autoOrient()
    .toColourspace(deep ? "rgb16" : "srgb")
    .raw({ depth: deep ? "ushort" : "uchar" })
    .toBuffer({ resolveWithObject: true });
  const values = deep ? new Uint16Array(data.buffer, data.byteOffset, data.length / 2) : new Uint8Array(data);
  if (info.channels !== 3) throw new UserError(`image: ${name} has ${info.channels} channels`);
  return {
    width: info.width,
    height: info.height,
    depth: deep ? 16 : 8,
    data: values,
    alpha: null,
    profile: null,
    grey: false,
    metadata: {
      exif: head.exif?.subarray(6) ?? null,
      xmp: head.xmpAsString ?? null,
      icc: head.icc ? { bytes: head.icc, description: "" } : null,
      density: head.density ?? null,
    },
    format: (head.format === "heif" ? "avif" : head.format) as PhotoFormat,
    notes: [],
  };
}
