/** Measuring a network on sets of images: enlarged, scored, and perhaps written. */
import { type ProcessGroup, SingleProcess } from "@deplsr/distributed";
import type { ImageMetric } from "@deplsr/metrics";
import type { MeasuredSet } from "../config/sr-data.ts";
import { listImages, stem } from "../data/folder.ts";
import { type Image, readImage, writeImage } from "../data/image.ts";
import { listPairs, readPair } from "../data/paired.ts";
import { oneLine, UserError } from "../errors.ts";
import { divide } from "../ranks/divide.ts";
import { fromFirst } from "../ranks/exchange.ts";

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
  /** Told of every image that this process made. */
  readonly onImage: (item: MeasuredItem, image: Image) => void;
  /** Told of images that are left out, of all or of one metric. */
  readonly warn: (line: string) => void;
  /** The processes that share the set; default one. The first one alone is told by `warn` and `onItem`, in the order of the set. */
  readonly group?: ProcessGroup;
  /** Told how many images are done, those that are left out included. */
  readonly onItem?: (done: number) => void;
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

/** What came of an image. */
interface Measured {
  /** By the metrics' places; null where one could not score it. */
  readonly scores: readonly (number | null)[];
  readonly warnings: readonly string[];
}

/** Enlarges and scores a set's images, one after the other. An image that cannot be read is left out with a warning. */
export async function measureSet({ items }: ImageSet, measuring: Measuring): Promise<ReadonlyMap<string, Mean>> {
  const { metrics, warn, onItem = () => {}, group = new SingleProcess() } = measuring;
  const scores = metrics.map((): number[] => []);
  await divide(group, items, {
    work: (item) => measure(item, measuring),
    take: (measured, i) => {
      for (const line of measured.warnings) warn(line);
      for (const [metric, score] of measured.scores.entries()) if (score !== null) scores[metric]!.push(score);
      onItem(i + 1);
    },
  });
  const means = new Map(
    metrics.flatMap(({ name, lowerBetter }, metric) => {
      const values = scores[metric]!;
      if (values.length === 0) return [];
      const value = values.reduce((sum, score) => sum + score, 0) / values.length;
      return [[name, { value, lowerBetter, images: values.length }] as const];
    }),
  );
  return fromFirst(group, () => means);
}

async function measure(item: MeasuredItem, measuring: Measuring): Promise<Measured> {
  const { scale, metrics } = measuring;
  const warnings: string[] = [];
  const scores = metrics.map((): number | null => null);
  try {
    const pair = item.gt === null ? null : await readPair({ gt: item.gt, lq: item.lq }, scale);
    const image = await measuring.enlarge(pair?.lq ?? (await readImage(item.lq)));
    for (const [i, metric] of metrics.entries()) {
      if (!pair && metric.needsReference) continue;
      try {
        scores[i] = await metric.score(image, pair?.gt);
      } catch (error) {
        // Too small for it, say.
        warnings.push(`${item.lq} is left out of ${metric.name}: ${oneLine(error)}`);
      }
    }
    const place = measuring.place(item);
    if (place !== null) await writeImage(place, image);
    measuring.onImage(item, image);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    warnings.push(`${item.lq} is left out: ${oneLine(error)}`);
  }
  return { scores, warnings };
}
