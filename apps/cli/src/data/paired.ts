/** The data sets that super-resolution learns from: an original and its low-quality version, `scale` times smaller. */
import { basename, dirname, extname, join, sep } from "node:path";
import type { Rng } from "@deplsr/tensor";
import { UserError } from "../errors.ts";
import { resolveBeside } from "./captioned.ts";
import { crop } from "./crop.ts";
import { listImages, stem } from "./folder.ts";
import { type Image, readImage } from "./image.ts";
import { readTable } from "./tsv.ts";

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
  readonly dataroot_gt: string | null;
  readonly dataroot_lq: string | null;
  readonly meta_info: string | null;
  readonly filename_tmpl: string;
}

/**
 * Lists the pairs of a data set.
 *
 * @param key the configuration's key of `source`, for messages
 * @throws UserError when folders or the TSV are missing or name nothing
 */
export async function listPairs(source: PairedSource, scale: number, key: string): Promise<PairPaths[]> {
  if (source.type === "PairedImageDataset_LSDIR") {
    if (source.meta_info === null)
      throw new UserError(`config: ${key}.meta_info is missing: a TSV with a column filepath`);
    const { rows } = await readTable(source.meta_info, ["filepath"]);
    if (rows.length === 0) throw new UserError(`tsv: ${source.meta_info} has no usable row: add some`);
    return rows.map((row) => {
      const gt = resolveBeside(source.meta_info!, row.filepath!);
      return { gt, lq: lowQualityPath(gt, scale) };
    });
  }
  const { dataroot_gt: gtRoot, dataroot_lq: lqRoot } = source;
  if (gtRoot === null || lqRoot === null) {
    throw new UserError(
      `config: ${key}.dataroot_gt and ${key}.dataroot_lq are both needed: two folders with images of the same names`,
    );
  }
  return (await listImages(gtRoot)).map((gt) => ({
    gt,
    lq: join(lqRoot, source.filename_tmpl.replace("{}", stem(gt)) + extname(gt)),
  }));
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
 * @throws UserError when a file cannot be read or the sizes do not belong together
 */
export async function readPair(paths: PairPaths, scale: number): Promise<Pair> {
  const [gt, lq] = await Promise.all([readImage(paths.gt), readImage(paths.lq)]);
  const width = lq.width * scale;
  const height = lq.height * scale;
  const extraX = gt.width - width;
  const extraY = gt.height - height;
  if (extraX < 0 || extraY < 0 || extraX >= scale || extraY >= scale) {
    throw new UserError(
      `data: ${paths.gt} is ${gt.width}x${gt.height} where ${paths.lq} times ${scale} is ${width}x${height}: the two are no pair`,
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
 * @param size the low-quality square's side
 * @throws UserError when the pair is smaller than that
 */
export function randomPatch(pair: Pair, size: number, augmentation: Augmentation, rng: Rng, name: string): Pair {
  const { gt, lq } = pair;
  if (lq.width < size || lq.height < size) {
    throw new UserError(
      `data: ${name} is ${lq.width}x${lq.height}, smaller than the square of ${size} pixels to be cut from it`,
    );
  }
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
