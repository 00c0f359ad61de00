/** Lists of images as BasicSR keeps them: a path a line, perhaps with the image's size behind it, `0001_s001.png (480,480,3)`. */
import { UserError } from "../errors.ts";
import { readText } from "./text.ts";

const SIZE = /\s*(\(\s*\d+(\s*,\s*\d+)*\s*\))?\s*$/;

/** The paths of a list, as they are written. @throws UserError when the file is missing or names nothing */
export async function readMetaInfo(file: string): Promise<string[]> {
  const lines = (await readText(file, "list")).split("\n");
  const names = lines.map((line) => line.replace(SIZE, "")).filter((name) => name !== "");
  if (names.length === 0) throw new UserError(`list: ${file} names no images: write one path a line`);
  return names;
}
