/** Folders of fixtures on a disk. */
import { readdir, readFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import type { PixelImage } from "@deplsr/clip";
import sharp from "sharp";
import { oneLine, UserError } from "./errors.ts";
import type { Folder } from "./folder.ts";

/** Throws a `UserError` when the folder is missing. */
export async function diskFolder(name: string): Promise<Folder> {
  return { name, files: await listFiles(name), read: (path) => readFile(join(name, path)), decode };
}

async function listFiles(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    return files.map((file) => relative(folder, file).split(sep).join("/")).sort();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException; // readdir throws no other
    if (code === "ENOENT") throw new UserError(`the folder ${folder} does not exist`);
    if (code === "ENOTDIR") throw new UserError(`${folder} is not a folder`);
    throw new UserError(`the folder ${folder} cannot be read: ${oneLine(error)}`);
  }
}

/** Transparency is over white, as in a page. */
async function decode(bytes: Uint8Array, name: string): Promise<PixelImage> {
  const picture = sharp(bytes).flatten({ background: "white" }).toColourspace("srgb").raw({ depth: "uchar" });
  const { data, info } = await picture.toBuffer({ resolveWithObject: true }).catch((error) => {
    throw new Error(`${name} is no image that can be decoded: ${oneLine(error)}`);
  });
  const { width, height, channels } = info;
  if (channels !== 1 && channels !== 3) throw new Error(`${name} decodes to ${channels} channels instead of 1 or 3`);
  return { width, height, channels, data };
}
