/** Photo files to bytes, and those to pixels. */
import { type FileHandle, open } from "node:fs/promises";
import { buffer } from "node:stream/consumers";
import type { Photo } from "@deplsr/photo";
import { oneLine, systemCode, UserError } from "../errors.ts";
import { type DecodeOptions, decodePhoto } from "./decode.ts";

/** A file that a buffer of Node 20 has no room for. */
const MOST_FILE_BYTES = 2 ** 31 - 1;

/**
 * Reads a photo file.
 *
 * @param path JPEG, PNG, WebP, TIFF, AVIF or GIF, whatever its name ends in; `-` for the bytes of stdin
 * @throws UserError with one line when it is missing, not a photo that can be read, truncated or damaged
 */
export async function readPhoto(path: string, options: DecodeOptions = {}): Promise<Photo> {
  if (path === "-") return decodePhoto(await buffer(process.stdin), "stdin", options);
  return decodePhoto(await readPhotoFile(path), path, options);
}

/** A photo file's bytes. @throws UserError when it is missing, no file, too large, or changes meanwhile */
export async function readPhotoFile(path: string): Promise<Buffer> {
  try {
    const file = await open(path, "r");
    try {
      return await readWhole(file, path);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof UserError) throw error;
    const code = systemCode(error);
    if (code === "ENOENT") throw new UserError(`image: ${path} does not exist: check the path`);
    if (code === "EISDIR") throw new UserError(`image: ${path} is a folder: give an image file`);
    if (code === "EACCES") throw new UserError(`image: ${path} may not be read: check its permissions`);
    throw new UserError(`image: ${path} cannot be read: ${oneLine(error)}`);
  }
}

async function readWhole(file: FileHandle, path: string): Promise<Buffer> {
  const before = await file.stat();
  if (before.isDirectory()) throw new UserError(`image: ${path} is a folder: give an image file`);
  if (before.size > MOST_FILE_BYTES)
    throw new UserError(
      `image: ${path} is a file of ${gigabytes(before.size)}, more than the 2.1 GB that can be read: make it smaller first`,
    );
  const bytes = await file.readFile();
  const after = await file.stat();
  if (
    before.isFile() &&
    (after.size !== before.size || after.mtimeMs !== before.mtimeMs || bytes.length !== before.size)
  )
    throw new UserError(`image: ${path} changed while it was read: wait until it is written to its end`);
  return bytes;
}

/** Bytes for people: "7.2 GB". */
export function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
