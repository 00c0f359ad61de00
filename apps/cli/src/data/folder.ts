/** Finding the images of a folder. */
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { isPhotoName, PHOTO_EXTENSIONS } from "@deplsr/photo";
import { systemCode, UserError } from "../errors.ts";
import { findPhotos, listFolder } from "../photo/find.ts";

/**
 * The image files of a folder, sorted by name; hidden files are left out.
 *
 * @param recursive also those in its sub-folders, which are left out otherwise
 * @throws UserError when the folder is missing or holds no image
 */
export async function listImages(folder: string, recursive = false): Promise<string[]> {
  const { files } = await listFolder(folder, recursive);
  const images = files.filter(({ path }) => isPhotoName(path));
  if (images.length === 0) {
    throw new UserError(`folder: ${folder} holds no images (${PHOTO_EXTENSIONS.join(", ")}): check the path`);
  }
  return images.map(({ path }) => path);
}

/** The images that the arguments of a command name, see `findPhotos`. @throws UserError as that */
export async function expandInputs(inputs: readonly string[]): Promise<string[]> {
  return (await findPhotos(inputs)).photos.map(({ path }) => path);
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
