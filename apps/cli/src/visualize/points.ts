/** The images of a plot and what they are coloured by. */
import { basename, dirname, sep } from "node:path";
import { FINE_FEATURES } from "@deplsr/degradation";
import { isPhotoName } from "@deplsr/photo";
import { DIAGNOSIS_KINDS } from "@deplsr/srclip";
import { Rng } from "@deplsr/tensor";
import { type DegradationName, readCaptioned } from "../data/captioned.ts";
import { isFolder } from "../data/folder.ts";
import type { SkippedItem } from "../data/skipped.ts";
import { badRows } from "../data/tsv.ts";
import { oneLine, UserError } from "../errors.ts";
import { nearestPrompt } from "../evaluate/protocol.ts";
import { kindOfFile } from "../photo/file-kind.ts";
import { listFolder } from "../photo/find.ts";

/** What points are coloured by. */
export type GroupBy = "predicted" | "label" | "folder";

/** An image of the data. */
export interface DataImage {
  readonly path: string;
  /** The sub-folder that it is in. */
  readonly folder: string;
  /** The text of its degradation of the kind that is shown; null where the data does not tell. */
  readonly label: string | null;
}

/** The images that are shown. */
export interface DataImages {
  readonly images: readonly DataImage[];
  /** What colours them, where nothing else is asked for. */
  readonly natural: GroupBy;
  /** Rows that cannot be used. */
  readonly skipped: readonly SkippedItem[];
}

/**
 * The images of a TSV, or of a folder and its sub-folders.
 *
 * @throws UserError when there is neither, or no image in it
 */
export async function dataImages(data: string, kind: DegradationName): Promise<DataImages> {
  if (!(await isFolder(data))) {
    if (isPhotoName(data) || (await kindOfFile(data)) !== null)
      throw new UserError(`visualize: ${data} is no table: give a TSV of many images, or a folder of them`);
    const { items, bad } = await readCaptioned(data);
    const column = 2 + FINE_FEATURES.indexOf(kind);
    const images = items.map(({ path, texts }) => ({
      path,
      folder: basename(dirname(path)),
      label: texts[column]!,
    }));
    return { images, natural: "predicted", skipped: badRows(data, bad) };
  }
  const { files } = await listFolder(data, true);
  const images = files
    .filter(({ path }) => isPhotoName(path))
    .map(({ path, name }) => {
      const parts = name.split(sep);
      return { path, folder: parts.length > 1 ? parts[0]! : ".", label: null };
    });
  if (images.length === 0) throw new UserError(`folder: ${data} holds no images: check the path`);
  const folders = new Set(images.map(({ folder }) => folder));
  return { images, natural: folders.size > 1 ? "folder" : "predicted", skipped: [] };
}

/** So many of the images, chosen by a seed, in their order; all where there are no more. */
export function sampled<T>(all: readonly T[], count: number, seed: number): T[] {
  const rng = new Rng(seed).fork("images of the plot");
  const left = all.map((_, i) => i);
  const chosen: number[] = [];
  while (chosen.length < count && left.length > 0) chosen.push(left.splice(rng.integer(left.length), 1)[0]!);
  return chosen.sort((a, b) => a - b).map((i) => all[i]!);
}

/** The levels of a kind of degradation in their order, `sigma:0.5`. */
export function levelsOf(kind: DegradationName): string[] {
  return kindOf(kind).prompts.map((prompt) => prompt.replace(/^.* with /, ""));
}

/** Which of the levels is nearest to what a text says. @throws UserError when it says none */
export function nearestLevel(kind: DegradationName, text: string): number {
  try {
    return nearestPrompt(kindOf(kind), text);
  } catch (error) {
    throw new UserError(`visualize: the label of ${kind}: ${oneLine(error)}`);
  }
}

/** The kind of degradation of a name, with the levels that photographs are compared with. */
export function kindOf(name: DegradationName): (typeof DIAGNOSIS_KINDS)[number] {
  return DIAGNOSIS_KINDS[FINE_FEATURES.indexOf(name)]!;
}
