/** The data set that SRCLIP learns from: degraded images with a caption and six texts that say how they were degraded. */
import { dirname, isAbsolute, join, relative, resolve } from "node:path";
import type { FINE_FEATURES } from "@deplsr/degradation";
import { UserError } from "../errors.ts";
import { counted } from "../output.ts";
import { isBelow } from "./sources.ts";
import { type BadRow, readTable } from "./tsv.ts";

/** The columns of the data set (spec/srclip.md, 8): path, caption, the whole degradation, then blur, gaussian, poisson, jpeg and ringing. */
export const CAPTIONED_COLUMNS = [
  "filepath",
  "title",
  "title2",
  "title3",
  "title4",
  "title5",
  "title6",
  "title7",
] as const;

/** One of the five degradations. */
export type DegradationName = (typeof FINE_FEATURES)[number];

/** One degraded image. */
export interface CaptionedItem {
  /** Where the image is. */
  readonly path: string;
  /** Caption, whole degradation, and one text for each of `FINE_FEATURES`: seven. */
  readonly texts: readonly string[];
}

/**
 * Reads such a data set. Paths that are not absolute count from the TSV's folder.
 *
 * @returns the items, and the rows that were left out
 * @throws UserError when the file or a column is missing, or no row is left
 */
export async function readCaptioned(file: string): Promise<{ items: CaptionedItem[]; bad: readonly BadRow[] }> {
  const { rows, bad } = await readTable(file, CAPTIONED_COLUMNS);
  const items = rows.map((row) => ({
    path: resolveBeside(file, row.filepath!),
    texts: CAPTIONED_COLUMNS.slice(1).map((column) => row[column]!),
  }));
  if (items.length === 0)
    throw new UserError(`tsv: ${file} has no usable row (${counted(bad.length, "bad one")}): add some`);
  return { items, bad };
}

/** A path of a TSV as one that can be opened: those that are not absolute count from the TSV's folder. */
export function resolveBeside(file: string, path: string): string {
  return isAbsolute(path) ? path : join(dirname(file), path);
}

/** The other way round: a path as a TSV names it, counted from the TSV's folder unless it is absolute and leads elsewhere. */
export function namedBeside(file: string, path: string): string {
  const folder = dirname(file);
  return isAbsolute(path) && !isBelow(path, resolve(folder)) ? path : relative(resolve(folder), resolve(path));
}
