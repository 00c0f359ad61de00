/** Scores as a table for people, as CSV, and as JSON. */
import type { MetricInfo } from "@deplsr/metrics";
import { table } from "../output.ts";
import type { ImageScores, Scores } from "./score.ts";

/** Lines with the scores of every image, their means, and the best image of each metric. */
export function scoreLines({ images, mean }: Scores, metrics: readonly MetricInfo[]): string[] {
  const row = (name: string, scores: ReadonlyMap<string, number>): string[] => [
    name,
    ...metrics.map((metric) => scores.get(metric.name)?.toFixed(4) ?? "-"),
  ];
  const rows = [...images.map(({ name, scores }) => row(name, scores)), row("mean", mean)];
  const best = metrics.flatMap((metric) => {
    const name = bestImage(images, metric);
    return name === undefined ? [] : [`${name} (${metric.name}, ${metric.lowerBetter ? "lowest" : "highest"})`];
  });
  return [...table(["image", ...metrics.map(label)], rows), ...(best.length > 0 ? [`best: ${best.join(", ")}`] : [])];
}

/** A line for every image, behind a header of `name` and the metrics' labels. */
export function scoreCsv({ images }: Scores, metrics: readonly MetricInfo[]): string {
  const lines = images.map(({ name, scores }) => [
    name,
    ...metrics.map((metric) => String(scores.get(metric.name) ?? "")),
  ]);
  return [["name", ...metrics.map(label)], ...lines].map((cells) => `${cells.map(quote).join(",")}\n`).join("");
}

/** What `--json` prints. JSON has no infinity, which the PSNR of equal images is: it is the text "Infinity". */
export function scoreJson({ images, mean, skipped }: Scores, metrics: readonly MetricInfo[]): Record<string, unknown> {
  const plain = (scores: ReadonlyMap<string, number>): Record<string, number | string> =>
    Object.fromEntries([...scores].map(([name, score]) => [name, Number.isFinite(score) ? score : String(score)]));
  return {
    mean: plain(mean),
    images: images.map(({ name, scores }) => ({ name, ...plain(scores) })),
    best: Object.fromEntries(metrics.map((metric) => [metric.name, bestImage(images, metric)])),
    labels: Object.fromEntries(metrics.map((metric) => [metric.name, label(metric)])),
    ...(skipped.length > 0 && { skipped }),
  };
}

function label({ name, label: full = name }: MetricInfo): string {
  return full;
}

function bestImage(images: readonly ImageScores[], { name, lowerBetter }: MetricInfo): string | undefined {
  const sign = lowerBetter ? -1 : 1;
  let best: { readonly name: string; readonly score: number } | undefined;
  for (const image of images) {
    const score = image.scores.get(name);
    if (score !== undefined && (!best || sign * score > sign * best.score)) best = { name: image.name, score };
  }
  return best?.name;
}

function quote(cell: string): string {
  return /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}
