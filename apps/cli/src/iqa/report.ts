/** Scores as a table for people, as CSV, and as JSON. */
import type { MetricInfo } from "@deplsr/metrics";
import { csv } from "../data/csv.ts";
import type { SkippedItem } from "../data/skipped.ts";
import { counted, table } from "../output.ts";
import type { ImageScores, MeanScore, Scores } from "./score.ts";

/** A set that was scored; its name is null where it is not one of several. */
export interface ScoredSet {
  readonly name: string | null;
  readonly scores: Scores;
}

/** What is told of scores. */
export interface Report {
  /** For people. */
  readonly lines: readonly string[];
  /** The file of `--csv`. */
  readonly csv: string;
  /** What `--json` prints. */
  readonly json: Readonly<Record<string, unknown>>;
}

/**
 * A report image by image where one set was scored by itself, else one of means.
 *
 * @param missing metrics that no set could be scored with
 */
export function reportOf(
  sets: readonly ScoredSet[],
  metrics: readonly MetricInfo[],
  missing: readonly SkippedItem[],
): Report {
  const [{ name, scores }] = sets as readonly [ScoredSet]; // askedSets gives one or more
  if (name === null) {
    return {
      lines: scoreLines(scores, metrics),
      csv: scoreCsv(scores, metrics),
      json: scoreJson({ ...scores, skipped: [...missing, ...scores.skipped] }, metrics),
    };
  }
  const json = sets.map((set) => ({ name: set.name, ...scoreJson(set.scores, metrics) }));
  return {
    lines: setLines(sets, metrics),
    csv: setCsv(sets, metrics),
    json: { sets: json, ...(missing.length > 0 && { skipped: missing }) },
  };
}

/** Lines with the scores of every image, their means, what those are over where images are missing, and the best image of each metric. */
function scoreLines({ given, images, mean }: Scores, metrics: readonly MetricInfo[]): string[] {
  const row = (name: string, score: (metric: string) => number | undefined): string[] => [
    name,
    ...metrics.map((metric) => score(metric.name)?.toFixed(4) ?? "-"),
  ];
  const rows = images.map(({ name, scores }) => row(name, (metric) => scores.get(metric)));
  const means = row("mean", (metric) => mean.get(metric)?.value);
  const fewer = metrics.flatMap(({ name }) => {
    const over = mean.get(name)?.images ?? given;
    return over < given ? [`the mean of ${name} is over ${over} of ${counted(given, "image")}`] : [];
  });
  const best = metrics.flatMap((metric) => {
    const image = bestImage(images, metric);
    return image === undefined ? [] : [`${image.name} (${metric.name}, ${direction(metric)})`];
  });
  return [
    ...table(["image", ...metrics.map(label)], [...rows, means]),
    ...fewer,
    ...(best.length > 0 ? [`best: ${best.join(", ")}`] : []),
  ];
}

/** Lines with the means of every set and metric, and the best image of each. */
function setLines(sets: readonly ScoredSet[], metrics: readonly MetricInfo[]): string[] {
  const rows = eachMean(sets, metrics).map(({ set, metric, value, images, given, best }) => [
    set,
    label(metric),
    value.toFixed(4),
    images < given ? `${images} of ${given}` : String(images),
    best === undefined ? "-" : `${best.name} (${direction(metric)})`,
  ]);
  return table(["set", "metric", "mean", "images", "best"], rows);
}

/** A line for every image, behind a header of `name` and the metrics' labels. */
function scoreCsv({ images }: Scores, metrics: readonly MetricInfo[]): string {
  const lines = images.map(({ name, scores }) => [
    name,
    ...metrics.map((metric) => String(scores.get(metric.name) ?? "")),
  ]);
  return csv([["name", ...metrics.map(label)], ...lines]);
}

/**
 * A line for every mean of every set, as DePLSR's `scripts/iqa.py` writes them: the metric's name and the best image's file, none where a metric compares whole
 * sets. A mean over fewer images than there are says so beside the metric's name: it is not to be compared with the others.
 */
function setCsv(sets: readonly ScoredSet[], metrics: readonly MetricInfo[]): string {
  const lines = eachMean(sets, metrics).map(({ set, metric: { name }, value, images, given, best }) => [
    set,
    images < given ? `${name} (${images} of ${counted(given, "image")})` : name,
    String(value),
    best?.file ?? "",
  ]);
  return csv([["Dataset", "Metric", "Score", "Best Image"], ...lines]);
}

/** The scores of one set. JSON has no infinity, which the PSNR of equal images is: it is the text "Infinity". */
function scoreJson({ given, images, mean, skipped }: Scores, metrics: readonly MetricInfo[]): Record<string, unknown> {
  const plain = (scores: ReadonlyMap<string, number>): Record<string, number | string> =>
    Object.fromEntries([...scores].map(([name, score]) => [name, Number.isFinite(score) ? score : String(score)]));
  return {
    mean: plain(new Map([...mean].map(([name, { value }]) => [name, value]))),
    given,
    scored: Object.fromEntries([...mean].map(([name, { images }]) => [name, images])),
    images: images.map(({ name, scores }) => ({ name, ...plain(scores) })),
    best: Object.fromEntries(metrics.map((metric) => [metric.name, bestImage(images, metric)?.name])),
    labels: Object.fromEntries(metrics.map((metric) => [metric.name, label(metric)])),
    ...(skipped.length > 0 && { skipped }),
  };
}

/** The means that there are, set by set. */
function eachMean(sets: readonly ScoredSet[], metrics: readonly MetricInfo[]): SetMean[] {
  return sets.flatMap(({ name, scores: { given, images, mean } }) =>
    metrics.flatMap((metric) => {
      const found = mean.get(metric.name);
      return found === undefined ? [] : [{ set: name ?? "", metric, given, ...found, best: bestImage(images, metric) }];
    }),
  );
}

/** A mean of a set, over `images` of the `given` ones. */
interface SetMean extends MeanScore {
  readonly set: string;
  readonly metric: MetricInfo;
  readonly given: number;
  readonly best: ImageScores | undefined;
}

function label({ name, label: full = name }: MetricInfo): string {
  return full;
}

/** Which end of a metric's scores is the good one. */
function direction({ lowerBetter }: MetricInfo): string {
  return lowerBetter ? "lowest" : "highest";
}

function bestImage(images: readonly ImageScores[], { name, lowerBetter }: MetricInfo): ImageScores | undefined {
  const sign = lowerBetter ? -1 : 1;
  let best: { readonly image: ImageScores; readonly score: number } | undefined;
  for (const image of images) {
    const score = image.scores.get(name);
    if (score !== undefined && (!best || sign * score > sign * best.score)) best = { image, score };
  }
  return best?.image;
}
