/** Folders of fixtures on a disk. */
import { readdir, readFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { decodeImage } from "../data/image.ts";
import { oneLine, systemCode, UserError } from "../errors.ts";
import type { Folder } from "./folder.ts";

/** Throws a `UserError` when the folder is missing. */
export async function diskFolder(name: string): Promise<Folder> {
  return { name, files: await listFiles(name), read: (path) => readFile(join(name, path)), decode: decodeImage };
}

async function listFiles(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    return files.map((file) => relative(folder, file).split(sep).join("/")).sort();
  } catch (error) {
    if (systemCode(error) === "ENOENT") throw new UserError(`the folder ${folder} does not exist`);
    if (systemCode(error) === "ENOTDIR") throw new UserError(`${folder} is not a folder`);
    throw new UserError(`the folder ${folder} cannot be read: ${oneLine(error)}`);
  }
}
