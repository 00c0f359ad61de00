/** The data sets that super-resolution learns from: an original and its low-quality version, `scale` times smaller. */
import { existsSync } from "node:fs";
import { basename, dirname, extname, isAbsolute, join, sep } from "node:path";
import type { Rng } from "@deplsr/tensor";
import { UserError } from "../errors.ts";
import { sortedNames } from "../files.ts";
import { counted } from "../output.ts";
import { resolveBeside } from "./captioned.ts";
import { crop } from "./crop.ts";
import { listImages, stem } from "./folder.ts";
import { type Image, readImage } from "./image.ts";
import { readMetaInfo } from "./meta-info.ts";
import type { SkippedItem } from "./skipped.ts";
import { badRows, readTable } from "./tsv.ts";

/** The files of one pair. */
export interface PairPaths {
  readonly gt: string;
  readonly lq: string;
}

/** One pair of pictures: `gt` is exactly `scale` times as large as `lq`. */
export interface Pair {
  readonly gt: Image;
  readonly lq: Image;
}

/** Where pairs come from: the fields of `datasets.train` that say so. */
export interface PairedSource {
  readonly type: "PairedImageDataset" | "PairedImageDataset_LSDIR";
  /** Folders of originals, and of their low-quality versions: as many, in the same order. */
  readonly dataroot_gt: string | readonly string[] | null;
  readonly dataroot_lq: string | readonly string[] | null;
  readonly meta_info: string | null;
  /** Names the originals, one a line, where not all of `dataroot_gt` are wanted. */
  readonly meta_info_file: string | null;
  readonly filename_tmpl: string;
}

/** The pairs of a data set, and the rows of its table that could not be used. */
export interface PairList {
  readonly pairs: readonly PairPaths[];
  readonly skipped: readonly SkippedItem[];
}

/**
 * Lists the pairs of a data set. Whether the files can be read turns out when they are.
 *
 * @param key the configuration's key of `source`, for messages
 * @throws UserError when folders or lists are missing or name nothing, or two originals share a low-quality image
 */
export async function listPairs(source: PairedSource, scale: number, key: string): Promise<PairList> {
  const folders = source.type === "PairedImageDataset";
  const list = await (folders ? folderPairs(source, key) : tablePairs(source, scale, key));
  const originals = new Map<string, string>();
  for (const { gt, lq } of list.pairs) {
    const other = originals.get(lq) ?? gt;
    if (other !== gt) throw new UserError(`data: ${lq} belongs to both ${other} and ${gt}: give them different names`);
    originals.set(lq, gt);
  }
  return list;
}

/** Folders whose names follow the template, two by two. */
async function folderPairs(source: PairedSource, key: string): Promise<PairList> {
  const gtRoots = [source.dataroot_gt ?? []].flat();
  const lqRoots = [source.dataroot_lq ?? []].flat();
  if (gtRoots.length === 0 || lqRoots.length === 0) {
    throw new UserError(
      `config: ${key}.dataroot_gt and ${key}.dataroot_lq are both needed: two folders with images of the same names`,
    );
  }
  if (gtRoots.length !== lqRoots.length) {
    throw new UserError(
      `config: ${key}.dataroot_gt names ${counted(gtRoots.length, "folder")} and ${key}.dataroot_lq ${lqRoots.length}: they belong together two by two`,
    );
  }
  const names = source.meta_info_file === null ? null : await readMetaInfo(source.meta_info_file);
  if (names !== null && gtRoots.length > 1) {
    throw new UserError(`config: ${key}.meta_info_file names images of one folder: give one dataroot_gt`);
  }
  const pairs: PairPaths[] = [];
  for (const [i, gtRoot] of gtRoots.entries()) {
    const originals = names?.map((name) => (isAbsolute(name) ? name : join(gtRoot, name)));
    pairs.push(...(await pairsOf(originals ?? (await listImages(gtRoot)), lqRoots[i]!, source.filename_tmpl)));
  }
  return { pairs, skipped: [] };
}

async function pairsOf(originals: readonly string[], lqRoot: string, template: string): Promise<PairPaths[]> {
  const names = new Set(await sortedNames(lqRoot));
  const byStem = new Map([...names].map((name) => [stem(name), name]));
  return originals.map((gt) => {
    const wanted = template.replace("{}", stem(gt));
    const sameEnding = wanted + extname(gt);
    // A JPEG's low-quality version may well be a PNG.
    const name = names.has(sameEnding) ? sameEnding : (byStem.get(wanted) ?? sameEnding);
    return { gt, lq: join(lqRoot, name) };
  });
}

/** A TSV of originals, whose low-quality versions stand in a folder beside theirs. */
async function tablePairs({ meta_info: table }: PairedSource, scale: number, key: string): Promise<PairList> {
  if (table === null) throw new UserError(`config: ${key}.meta_info is missing: a TSV with a column filepath`);
  const { rows, bad } = await readTable(table, ["filepath"]);
  if (rows.length === 0) throw new UserError(`tsv: ${table} has no usable row: add some`);
  const pairs = rows.map((row) => {
    const gt = resolveBeside(table, row.filepath!);
    const lq = lowQualityPath(gt, scale);
    const png = `${lq.slice(0, -extname(lq).length)}.png`;
    return { gt, lq: !existsSync(lq) && existsSync(png) ? png : lq };
  });
  return { pairs, skipped: badRows(table, bad) };
}

/** The path of an original's low-quality version: its folder `HR` becomes `RealLQ` (x2) or `RealLQx4` (other scales by their number). */
export function lowQualityPath(gt: string, scale: number): string {
  const parts = dirname(gt).split(sep);
  const at = parts.lastIndexOf("HR");
  if (at < 0)
    throw new UserError(`data: ${gt} has no folder named HR in its path, so its low-quality version cannot be found`);
  parts[at] = scale === 2 ? "RealLQ" : `RealLQx${scale}`;
  return join(parts.join(sep), basename(gt));
}

/**
 * Reads a pair; an original that is larger by less than `scale` pixels than `scale` times the other is cut to fit.
 *
 * @param least the smallest side that the low-quality image may have
 * @param read how a file is read: by a `Decoder`, for one
 * @throws UserError when a file cannot be read, the sizes do not belong together or are too small
 */
export async function readPair(paths: PairPaths, scale: number, least = 1, read = readImage): Promise<Pair> {
  const reads = [read(paths.gt), read(paths.lq)] as const;
  // Where neither can be read the original is named, whichever of them is found out first.
  await Promise.allSettled(reads);
  const [gt, lq] = [await reads[0], await reads[1]];
  const width = lq.width * scale;
  const height = lq.height * scale;
  const extraX = gt.width - width;
  const extraY = gt.height - height;
  if (extraX < 0 || extraY < 0 || extraX >= scale || extraY >= scale) {
    throw new UserError(
      `data: ${paths.gt} is ${gt.width}x${gt.height} where ${paths.lq} times ${scale} is ${width}x${height}: the two are no pair`,
    );
  }
  if (Math.min(lq.width, lq.height) < least) {
    throw new UserError(
      `data: ${paths.lq} is ${lq.width}x${lq.height}, smaller than the square of ${least} pixels to be cut from it`,
    );
  }
  return { gt: extraX + extraY === 0 ? gt : crop(gt, { left: 0, top: 0, width, height }), lq };
}

/** How training pairs are varied. */
export interface Augmentation {
  /** Mirrors left and right in half of the cases. */
  readonly flip: boolean;
  /** Mirrors top and bottom, and swaps rows and columns, each in half of the cases. */
  readonly rotate: boolean;
}

/**
 * A random square of a pair, cut on the grid of the low-quality image and varied, the same way in both.
 *
 * @param pair no smaller than the square, which `readPair` has seen to
 * @param size the low-quality square's side
 */
export function randomPatch(pair: Pair, size: number, augmentation: Augmentation, rng: Rng): Pair {
  const { gt, lq } = pair;
  const scale = gt.width / lq.width;
  const left = rng.integer(lq.width - size + 1);
  const top = rng.integer(lq.height - size + 1);
  const cut = {
    lq: crop(lq, { left, top, width: size, height: size }),
    gt: crop(gt, { left: left * scale, top: top * scale, width: size * scale, height: size * scale }),
  };
  const mirrorX = augmentation.flip && rng.uniform() < 0.5;
  const mirrorY = augmentation.rotate && rng.uniform() < 0.5;
  const transpose = augmentation.rotate && rng.uniform() < 0.5;
  return { gt: turned(cut.gt, mirrorX, mirrorY, transpose), lq: turned(cut.lq, mirrorX, mirrorY, transpose) };
}

/** A square image mirrored left to right, top to bottom, and with rows and columns exchanged, in this order. */
export function turned(image: Image, mirrorX: boolean, mirrorY: boolean, transpose: boolean): Image {
  const side = image.width;
  const data = new Uint8Array(image.data.length);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const [u, v] = transpose ? [y, x] : [x, y];
      const from = ((mirrorY ? side - 1 - v : v) * side + (mirrorX ? side - 1 - u : u)) * 3;
      data.set(image.data.subarray(from, from + 3), (y * side + x) * 3);
    }
  }
  return { width: side, height: side, data };
}
