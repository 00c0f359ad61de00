/** Scoring images with metrics. */
import { basename } from "node:path";
import type { ProcessGroup } from "@deplsr/distributed";
import type { ImageMetric, Metric } from "@deplsr/metrics";
import { crop } from "../data/crop.ts";
import { type Image, readImage } from "../data/image.ts";
import type { SkippedItem } from "../data/skipped.ts";
import { oneLine, UserError } from "../errors.ts";
import { counted, type Output } from "../output.ts";
import { divide } from "../ranks/divide.ts";
import type { ImagePair, PairedFiles } from "./pairs.ts";

/** The scores of one image by the metrics' names. */
export interface ImageScores {
  readonly name: string;
  /** Its file's name, with the ending. */
  readonly file: string;
  readonly scores: ReadonlyMap<string, number>;
}

/** A mean over the images that a metric could score, or the score of a metric that compares whole sets. */
export interface MeanScore {
  readonly value: number;
  /** Over so many images. */
  readonly images: number;
}

/** What came out. */
export interface Scores {
  /** How many images there were to score. */
  readonly given: number;
  /** The images with at least one score. */
  readonly images: readonly ImageScores[];
  /** By the metrics' names; without those that could score no image. */
  readonly mean: ReadonlyMap<string, MeanScore>;
  /** Images and metrics that were left out. */
  readonly skipped: readonly SkippedItem[];
}

/** How images are scored. */
export interface ScoreOptions {
  readonly output: Output;
  /** Whether a reference is cut to its image's size where it is larger by what a scale leaves over. */
  readonly cropReference: boolean;
  /** The processes that share the images. */
  readonly group: ProcessGroup;
}

type Skip = (name: string, reason: string) => void;

/**
 * Scores every image with every metric. What cannot be read or scored is left out and listed. Of several processes the first one has the result;
 * metrics that compare whole sets are its own work.
 */
export async function scoreAll(
  { pairs, references }: PairedFiles,
  metrics: readonly Metric[],
  { output, cropReference, group }: ScoreOptions,
): Promise<Scores> {
  const images: ImageScores[] = [];
  const skipped: SkippedItem[] = [];
  const skip: Skip = (name, reason) => {
    if (!skipped.some((item) => item.name === name && item.reason === reason)) skipped.push({ name, reason });
  };
  const mean = new Map<string, MeanScore>();
  const single = metrics.filter((metric) => "score" in metric);
  const bar = output.progress("iqa", pairs.length, "image");
  await divide(group, pairs, {
    work: (pair) => scorePair(pair, single, cropReference),
    take: ({ scores, reasons }, i) => {
      const { name, image } = pairs[i]!;
      if (scores.size > 0) images.push({ name, file: basename(image), scores });
      for (const reason of reasons) skip(image, reason);
      bar.update(i + 1);
    },
  });
  bar.finish();
  for (const { name } of single) {
    const known = images.flatMap(({ scores }) => scores.get(name) ?? []);
    if (known.length === 0) continue;
    mean.set(name, { value: known.reduce((sum, score) => sum + score, 0) / known.length, images: known.length });
  }
  for (const metric of metrics) {
    if ("score" in metric || group.rank > 0) continue;
    const files = pairs.map(({ image }) => image);
    const [read, beside] = [new Set<string>(), new Set<string>()];
    const value = await attempt(metric.name, skip, () =>
      metric.scoreSets(readable(files, { skip, read }), readable(references, { skip, read: beside })),
    );
    if (value === undefined) continue;
    mean.set(metric.name, { value, images: read.size });
    output.line(`${metric.name}: ${counted(read.size, "image")} beside ${beside.size}; few images make it too large`);
  }
  return { given: pairs.length, images, mean, skipped };
}

/** How an image is paired and what is told where that fails. */
type Pairing = Pick<ScoreOptions, "cropReference"> & { readonly skip: Skip };

/** What came out of an image, and why something did not. */
interface PairScores {
  readonly scores: Map<string, number>;
  readonly reasons: readonly string[];
}

async function scorePair(
  pair: ImagePair,
  metrics: readonly ImageMetric[],
  cropReference: boolean,
): Promise<PairScores> {
  const reasons: string[] = [];
  const skip: Skip = (_, reason) => void reasons.push(reason);
  const scores = new Map<string, number>();
  if (metrics.length === 0) return { scores, reasons };
  const image = await attempt(pair.image, skip, () => readImage(pair.image));
  if (!image) return { scores, reasons };
  const comparing = metrics.some((metric) => metric.needsReference);
  const reference = comparing ? await readReference(pair, image, { skip, cropReference }) : undefined;
  for (const metric of metrics) {
    if (metric.needsReference && !reference) continue;
    const score = await attempt(pair.image, skip, async () => metric.score(image, reference));
    if (score !== undefined) scores.set(metric.name, score);
  }
  return { scores, reasons };
}

async function readReference(
  { image: path, reference }: ImagePair,
  image: Image,
  { skip, cropReference }: Pairing,
): Promise<Image | undefined> {
  if (reference === undefined) {
    skip(path, "there is no reference of its name");
    return undefined;
  }
  const should = await attempt(path, skip, () => readImage(reference));
  if (!should) return undefined;
  const { width, height } = image;
  if (should.width === width && should.height === height) return should;
  const [right, below] = [should.width - width, should.height - height];
  const leftOver = right >= 0 && below >= 0 && Math.max(right, below) < MOST_SCALE;
  if (leftOver && cropReference) return crop(should, { left: 0, top: 0, width, height });
  const sizes = `it is ${width} x ${height}, but its reference ${reference} is ${should.width} x ${should.height}`;
  const advice = cropReference
    ? `--crop-reference cuts off less than ${MOST_SCALE} pixels each way, as a scale leaves over`
    : `both must have one size${leftOver ? " (--crop-reference cuts the reference, as for a scale that leaves pixels over)" : ""}`;
  skip(path, `${sizes}: ${advice}`);
  return undefined;
}

/** Scales are below: an enlarged image lacks less than its scale of what it was made from. A reference that is larger by more belongs to something else. */
const MOST_SCALE = 16;

/** The images of files, as far as they can be read. @param read is told the files of those */
async function* readable(
  files: readonly string[],
  { skip, read }: { readonly skip: Skip; readonly read: Set<string> },
): AsyncGenerator<Image> {
  for (const file of files) {
    const image = await attempt(file, skip, () => readImage(file));
    if (!image) continue;
    read.add(file);
    yield image;
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
