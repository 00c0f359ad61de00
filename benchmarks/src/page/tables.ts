/** What was measured of the page, as tables. */
import { markdownTable } from "../results/page.ts";
import type { Contestant } from "./compare.ts";
import type { MemoryCurve, Phase, Sample } from "./memory.ts";
import type { Visit } from "./visit.ts";

/** A number with so many places, or a dash. */
const digits = (value: number | null | undefined, places = 0): string => value?.toFixed(places) ?? "-";

/** The middle one. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}

/** The ways to enlarge a megapixel. */
export function compareTable(contestants: readonly Contestant[]): string {
  const head = ["", "on", "s", "longest freeze, s", "worst line", "usual line", "opacity kept"];
  return markdownTable(
    head,
    contestants.map(({ name, device, seconds, freeze, seams, opacity, failed }) => [
      name,
      device,
      failed ?? digits(seconds, 1),
      digits(freeze && freeze.longestGap / 1000, 2),
      digits(seams?.worst, 2),
      digits(seams?.usual, 2),
      opacity === null ? "-" : opacity ? "yes" : "no",
    ]),
  );
}

/** Medians of visits, in ms. */
export function visitTable(visits: Readonly<Record<string, readonly Visit[]>>): string {
  const columns: readonly (readonly [keyof Visit, string])[] = [
    ["firstPaint", "first paint"],
    ["firstContent", "first content"],
    ["interactive", "can be used"],
    ["device", "device known"],
    ["bars", "photo to bars"],
    ["longestTask", "longest task"],
  ];
  return markdownTable(
    ["ms, medians", ...columns.map(([, name]) => name)],
    Object.entries(visits).map(([name, all]) => [
      name,
      ...columns.map(([column]) => digits(median(all.map((visit) => visit[column])))),
    ]),
  );
}

const sum = ({ browser, renderer, gpu, other }: Sample): number => browser + renderer + gpu + other;

/** Each phase by itself: the most and the last, in MiB. */
export function memoryTable({ samples }: MemoryCurve): string {
  const phases = [...new Set(samples.map(({ phase }) => phase))];
  return markdownTable(
    ["MiB", "seconds", "the page's process, most", "at the end", "all processes, most", "at the end"],
    phases.map((phase: Phase) => {
      const of = samples.filter((sample) => sample.phase === phase);
      const last = of.at(-1)!;
      return [
        phase,
        digits(last.at - of[0]!.at, 1),
        digits(Math.max(...of.map(({ renderer }) => renderer))),
        digits(last.renderer),
        digits(Math.max(...of.map(sum))),
        digits(sum(last)),
      ];
    }),
  );
}
