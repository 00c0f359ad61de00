/** What a file is, by its content. */
import { extname } from "node:path";

/** The file name endings of photos, lower case. */
export const PHOTO_EXTENSIONS: readonly string[] = [
  ".jpg",
  ".jpeg",
  ".jpe",
  ".jif",
  ".jfif",
  ".png",
  ".webp",
  ".tif",
  ".tiff",
  ".avif",
  ".gif",
];

/** Whether a file name ends like a photo's. */
export function isPhotoName(name: string): boolean {
  return PHOTO_EXTENSIONS.includes(extname(name).toLowerCase());
}

/** What a file is, for a list of what was left out; null where that is not known. */
export async function kindOfFile(_path: string): Promise<string | null> {
  return null;
}
