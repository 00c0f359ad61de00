/** Finding the images of a folder. */
import { stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { systemCode, UserError } from "../errors.ts";
import { sortedNames } from "../files.ts";
import { IMAGE_EXTENSIONS, isImageName } from "./image.ts";

/**
 * The image files of a folder, sorted by name; hidden files are left out.
 *
 * @param recursive also those in its sub-folders, which are left out otherwise
 * @throws UserError when the folder is missing or holds no image
 */
export async function listImages(folder: string, recursive = false): Promise<string[]> {
  const hidden = /(^|[\\/])\./;
  const names = (await sortedNames(folder, recursive)).filter((name) => isImageName(name) && !hidden.test(name));
  if (names.length === 0) {
    throw new UserError(`folder: ${folder} holds no images (${IMAGE_EXTENSIONS.join(", ")}): check the path`);
  }
  return names.map((name) => join(folder, name));
}

/** The images that the arguments of a command name: files stay, a folder becomes its images. @throws UserError as `listImages` */
export async function expandInputs(inputs: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for (const input of inputs) {
    if (await isFolder(input)) files.push(...(await listImages(input)));
    else files.push(input);
  }
  return files;
}

/** A file's name without folder and ending: `photos/sheep.v2.jpg` to `sheep.v2`. */
export function stem(path: string): string {
  return basename(path).replace(/\.[^.]+$/, "");
}

/** Whether a path is a folder. @throws UserError when nothing stands there */
export async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (systemCode(error) === "ENOENT") throw new UserError(`input: ${path} does not exist: check the path`);
    throw error;
  }
}
