/** Scoring images with metrics. */
import type { ImageMetric, Metric } from "@deplsr/metrics";
import { type Image, readImage } from "../data/image.ts";
import type { SkippedItem } from "../data/skipped.ts";
import { oneLine, UserError } from "../errors.ts";
import { counted, type Output } from "../output.ts";
import type { ImagePair, PairedFiles } from "./pairs.ts";

/** The scores of one image by the metrics' names. */
export interface ImageScores {
  readonly name: string;
  readonly scores: ReadonlyMap<string, number>;
}

/** What came out. */
export interface Scores {
  /** The images with at least one score. */
  readonly images: readonly ImageScores[];
  /** Means over the images that a metric could score; and the scores of metrics that compare whole sets. */
  readonly mean: ReadonlyMap<string, number>;
  /** Images and metrics that were left out. */
  readonly skipped: readonly SkippedItem[];
}

type Skip = (name: string, reason: string) => void;

/** Scores every image with every metric. What cannot be read or scored is left out and listed. */
export async function scoreAll(
  { pairs, references }: PairedFiles,
  metrics: readonly Metric[],
  output: Output,
): Promise<Scores> {
  const images: ImageScores[] = [];
  const skipped: SkippedItem[] = [];
  const skip: Skip = (name, reason) => {
    if (!skipped.some((item) => item.name === name && item.reason === reason)) skipped.push({ name, reason });
  };
  const mean = new Map<string, number>();
  const single = metrics.filter((metric) => "score" in metric);
  const bar = output.progress("iqa", pairs.length, "image");
  for (const [i, pair] of pairs.entries()) {
    const scores = single.length > 0 ? await scorePair(pair, single, skip) : new Map<string, number>();
    if (scores.size > 0) images.push({ name: pair.name, scores });
    bar.update(i + 1);
  }
  bar.finish();
  for (const { name } of single) {
    const known = images.flatMap(({ scores }) => scores.get(name) ?? []);
    if (known.length > 0) mean.set(name, known.reduce((sum, score) => sum + score, 0) / known.length);
  }
  for (const metric of metrics) {
    if ("score" in metric) continue;
    const files = pairs.map(({ image }) => image);
    const score = await attempt(metric.name, skip, () =>
      metric.scoreSets(readable(files, skip), readable(references, skip)),
    );
    if (score === undefined) continue;
    mean.set(metric.name, score);
    output.line(
      `${metric.name}: ${counted(files.length, "image")} beside ${references.length}; few images make it too large`,
    );
  }
  return { images, mean, skipped };
}

async function scorePair(pair: ImagePair, metrics: readonly ImageMetric[], skip: Skip): Promise<Map<string, number>> {
  const scores = new Map<string, number>();
  const image = await attempt(pair.image, skip, () => readImage(pair.image));
  if (!image) return scores;
  const comparing = metrics.some((metric) => metric.needsReference);
  const reference = comparing ? await readReference(pair, image, skip) : undefined;
  for (const metric of metrics) {
    if (metric.needsReference && !reference) continue;
    const score = await attempt(pair.image, skip, async () => metric.score(image, reference));
    if (score !== undefined) scores.set(metric.name, score);
  }
  return scores;
}

async function readReference(
  { image: path, reference }: ImagePair,
  image: Image,
  skip: Skip,
): Promise<Image | undefined> {
  if (reference === undefined) {
    skip(path, "there is no reference of its name");
    return undefined;
  }
  const should = await attempt(path, skip, () => readImage(reference));
  if (!should || (should.width === image.width && should.height === image.height)) return should;
  skip(
    path,
    `it is ${image.width} x ${image.height}, but its reference ${reference} is ${should.width} x ${should.height}: both must have one size`,
  );
  return undefined;
}

/** The images of files, as far as they can be read. */
async function* readable(files: readonly string[], skip: Skip): AsyncGenerator<Image> {
  for (const file of files) {
    const image = await attempt(file, skip, () => readImage(file));
    if (image) yield image;
  }
}

/** The result of `work`; undefined, and a reason why, where the image is at fault. */
async function attempt<T>(name: string, skip: Skip, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof UserError || error instanceof RangeError)) throw error;
    skip(name, oneLine(error));
    return undefined;
  }
}
