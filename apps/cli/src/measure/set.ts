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
import { checkSameFiles } from "../ranks/same-files.ts";

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
  /** So many of the first images are kept, to be shown; default none. */
  readonly keep?: number;
  /** Told of images that are left out, of all or of one metric. */
  readonly warn: (line: string) => void;
  /** The processes that share the set; default one. The first one alone is told by `warn` and `onItem`, in the order of the set. */
  readonly group?: ProcessGroup;
  /** Told how many images are done, those that are left out included. */
  readonly onItem?: (done: number) => void;
}

/** What is known of a set. */
export interface MeasuredImages {
  readonly means: ReadonlyMap<string, Mean>;
  /** The first that could be enlarged, with the first process alone. */
  readonly kept: readonly { readonly name: string; readonly image: Image }[];
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
  /** Enlarged; null where it could not be, or is not to be shown. */
  readonly image: Image | null;
}

/**
 * Enlarges and scores a set's images, one after the other. An image that cannot be read is left out with a warning. Processes that share the set all know the
 * means, which are those of one process to the bit: scores are added in the order of the set.
 */
export async function measureSet({ items }: ImageSet, measuring: Measuring): Promise<MeasuredImages> {
  const { metrics, warn, keep = 0, onItem = () => {}, group = new SingleProcess() } = measuring;
  const scores = metrics.map((): number[] => []);
  await checkSameFiles(
    group,
    items.flatMap(({ lq, gt }) => (gt === null ? [lq] : [lq, gt])),
  );
  const kept: { name: string; image: Image }[] = [];
  // Of each process the first ones: those of all are among them.
  let own = 0;
  await divide(group, items, {
    work: async (item) => {
      const measured = await measure(item, measuring);
      return measured.image && own++ < keep ? measured : { ...measured, image: null };
    },
    take: (measured, i) => {
      if (measured.image && kept.length < keep) kept.push({ name: items[i]!.name, image: measured.image });
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
  return { means: await fromFirst(group, () => means), kept };
}

async function measure(item: MeasuredItem, measuring: Measuring): Promise<Measured> {
  const { scale, metrics } = measuring;
  const warnings: string[] = [];
  const scores = metrics.map((): number | null => null);
  let enlarged: Image | null = null;
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
    enlarged = image;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    warnings.push(`${item.lq} is left out: ${oneLine(error)}`);
  }
  return { scores, warnings, image: enlarged };
}
