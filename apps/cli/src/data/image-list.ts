/** Files that name images, and perhaps say what they show: TSV, JSON, and BasicSR's meta-info files. */
import { basename, dirname, extname, resolve } from "node:path";
import { oneLine, UserError } from "../errors.ts";
import { counted } from "../output.ts";
import { readMetaInfo } from "./meta-info.ts";
import type { SkippedItem } from "./skipped.ts";
import { readText } from "./text.ts";
import { badRows, readTable } from "./tsv.ts";

/** An image that a list names. */
export interface ListedImage {
  /** As it is written in the list. */
  readonly name: string;
  /** Where the image is. */
  readonly path: string;
  /** What it shows; null where the list does not say. */
  readonly title: string | null;
}

/** A list, and its entries that cannot be used. */
export interface ImageList {
  readonly images: readonly ListedImage[];
  readonly bad: readonly SkippedItem[];
}

/** The endings of files that are read as lists. A `.csv` has tabs between its cells, as the original's have. */
export const LIST_EXTENSIONS: readonly string[] = [".tsv", ".csv", ".json", ".txt"];

/**
 * Reads a list: a TSV with a column `filepath` and perhaps `title`; JSON, either `{ "a.png": "a cat" }` or `[{ "path": "a.png", "title": "a cat"
 * }]` (`filepath` and `caption` are understood as well); or text with a path a line.
 *
 * @param root the folder that paths count from. Default: the list's own
 * @throws UserError when it cannot be read or names nothing
 */
export async function readImageList(file: string, root = dirname(file)): Promise<ImageList> {
  const { entries, bad } = await readEntries(file);
  if (entries.length === 0)
    throw new UserError(`list: ${file} names no images (${counted(bad.length, "bad entry", "bad entries")}): add some`);
  return { images: entries.map(({ name, title }) => ({ name, path: resolve(root, name), title: title || null })), bad };
}

/**
 * Captions from such a list, found by an image's path, else by its file's name where only one entry has it.
 *
 * @returns the caption of an image, undefined where there is none; and the entries that cannot be used
 */
export async function readCaptions(
  file: string,
): Promise<{ captionOf: (path: string) => string | undefined; bad: readonly SkippedItem[] }> {
  const { images, bad } = await readImageList(file);
  const captions = new Map<string, string | undefined>();
  for (const { name, title } of images) {
    const key = basename(name);
    captions.set(key, captions.has(key) ? undefined : (title ?? undefined));
  }
  for (const { path, title } of images) if (title !== null) captions.set(path, title);
  return { captionOf: (path) => captions.get(resolve(path)) ?? captions.get(basename(path)), bad };
}

interface Entry {
  readonly name: string;
  readonly title: string | undefined;
}

async function readEntries(file: string): Promise<{ entries: Entry[]; bad: SkippedItem[] }> {
  switch (extname(file).toLowerCase()) {
    case ".json":
      return jsonEntries(await readText(file, "list"), file);
    case ".txt":
      return { entries: (await readMetaInfo(file)).map((name) => ({ name, title: undefined })), bad: [] };
    default: {
      const { rows, bad } = await readTable(file, ["filepath"]);
      return { entries: rows.map(({ filepath, title }) => ({ name: filepath!, title })), bad: badRows(file, bad) };
    }
  }
}

function jsonEntries(text: string, file: string): { entries: Entry[]; bad: SkippedItem[] } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UserError(`list: ${file} is not valid JSON: ${oneLine(error)}`);
  }
  if (typeof value !== "object" || value === null) {
    throw new UserError(
      `list: ${file} is neither { "image": "caption" } nor [{ "path", "title" }]: write one of these`,
    );
  }
  const found = Array.isArray(value)
    ? value.map((item: unknown) => listed(item))
    : Object.entries(value).map(([name, title]) => listed({ path: name, title }));
  const bad = found.flatMap((entry, i) =>
    entry === undefined ? [{ name: `${file} entry ${i + 1}`, reason: "no text for its path, or for its title" }] : [],
  );
  return { entries: found.filter((entry) => entry !== undefined), bad };
}

function listed(item: unknown): Entry | undefined {
  if (typeof item !== "object" || item === null) return undefined;
  const { path, filepath = path, caption, title = caption } = item as Record<string, unknown>;
  if (typeof filepath !== "string" || filepath === "") return undefined;
  return title === undefined || typeof title === "string" ? { name: filepath, title } : undefined;
}
