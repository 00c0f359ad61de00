/** Measuring a network on sets of images: enlarged, scored, and perhaps written. */
import type { ImageMetric } from "@deplsr/metrics";
import type { MeasuredSet } from "../config/sr-data.ts";
import { listImages, stem } from "../data/folder.ts";
import { type Image, readImage, writeImage } from "../data/image.ts";
import { listPairs, readPair } from "../data/paired.ts";
import { oneLine, UserError } from "../errors.ts";

/** A low-quality image, and its original where there is one. */
export interface MeasuredItem {
  readonly name: string;
  readonly lq: string;
  readonly gt: string | null;
}

/** A set that was listed. */
export interface ImageSet {
  readonly name: string;
  readonly items: readonly MeasuredItem[];
}

/** How a set is measured. */
export interface Measuring {
  readonly scale: number;
  readonly metrics: readonly ImageMetric[];
  readonly enlarge: (image: Image) => Promise<Image>;
  /** Where an enlarged image goes; null where it is not written. */
  readonly place: (item: MeasuredItem) => string | null;
  /** Told of every image, and of those that are left out, of all or of one metric. */
  readonly onImage: (item: MeasuredItem, image: Image) => void;
  readonly warn: (line: string) => void;
}

/** The mean of a metric over the images that it could score. */
export interface Mean {
  readonly value: number;
  readonly lowerBetter: boolean;
  readonly images: number;
}

/** Lists a data set of a configuration. @throws UserError when it cannot be */
export async function listSet(key: string, source: MeasuredSet, scale: number): Promise<ImageSet> {
  const name = source.name === "data" ? key : source.name;
  const { type, dataroot_lq: roots } = source;
  if (type !== "SingleImageDataset") {
    const { pairs } = await listPairs({ ...source, type }, scale, `datasets.${key}`);
    return { name, items: pairs.map(({ gt, lq }) => ({ name: stem(lq), lq, gt })) };
  }
  if (roots === null) throw new UserError(`config: datasets.${key}.dataroot_lq is missing: a folder of images`);
  const images = (await Promise.all([roots].flat().map((root) => listImages(root)))).flat();
  return { name, items: images.map((lq) => ({ name: stem(lq), lq, gt: null })) };
}

/** Enlarges and scores a set's images, one after the other. An image that cannot be read is left out with a warning. */
export async function measureSet({ items }: ImageSet, measuring: Measuring): Promise<ReadonlyMap<string, Mean>> {
  const { scale, metrics, warn } = measuring;
  const scores = new Map<ImageMetric, number[]>(metrics.map((metric) => [metric, []]));
  for (const item of items) {
    try {
      const pair = item.gt === null ? null : await readPair({ gt: item.gt, lq: item.lq }, scale);
      const image = await measuring.enlarge(pair?.lq ?? (await readImage(item.lq)));
      for (const [metric, values] of scores) {
        if (!pair && metric.needsReference) continue;
        try {
          values.push(await metric.score(image, pair?.gt));
        } catch (error) {
          // Too small for it, say.
          warn(`${item.lq} is left out of ${metric.name}: ${oneLine(error)}`);
        }
      }
      const place = measuring.place(item);
      if (place !== null) await writeImage(place, image);
      measuring.onImage(item, image);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      warn(`${item.lq} is left out: ${oneLine(error)}`);
    }
  }
  return new Map(
    [...scores].flatMap(([{ name, lowerBetter }, values]) => {
      if (values.length === 0) return [];
      const value = values.reduce((sum, score) => sum + score, 0) / values.length;
      return [[name, { value, lowerBetter, images: values.length }] as const];
    }),
  );
}
