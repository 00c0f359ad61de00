/**
 * Rounds the levels in the texts of a degraded data set, so that a small network meets each of few texts often, and two levels that nobody can
 * tell apart do not count as different.
 *
 *     npx tsx --conditions @deplsr/source scripts/round-levels.ts degraded.tsv rounded.tsv
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { type DegradationLevels, degradationCaption, fineLabels, parseCaption } from "@deplsr/degradation";

/** To the nearest multiple of a step, within two ends. */
function nearest(value: number, step: number, [low, high]: readonly [number, number]): number {
  return Math.min(high, Math.max(low, Math.round(value / step) * step));
}

function rounded({ blurSigma, noise, quality, ringing }: DegradationLevels): DegradationLevels {
  const noises = {
    gaussian: (sigma: number) => ({ type: "gaussian", sigma: nearest(sigma, 5, [0, 30]) }) as const,
    poisson: (scale: number) => ({ type: "poisson", scale: nearest(scale, 0.5, [0, 3]) }) as const,
  };
  const heard = noise?.type === "gaussian" ? noises.gaussian(noise.sigma) : noise && noises.poisson(noise.scale);
  const silent = heard !== null && (heard.type === "gaussian" ? heard.sigma : heard.scale) === 0;
  return {
    blurSigma: nearest(blurSigma, 0.5, [0, 3]),
    // Noise that is rounded to nothing is written as none.
    noise: silent ? null : heard,
    quality: nearest(quality, 10, [30, 90]),
    ringing,
  };
}

const [from, to] = process.argv.slice(2);
if (from === undefined || to === undefined) throw new Error("usage: round-levels.ts FROM.tsv TO.tsv");
const [header = "", ...rows] = readFileSync(from, "utf8").trimEnd().split("\n");
const whole = header.split("\t").indexOf("title2");
const lines = rows.map((row) => {
  const cells = row.split("\t");
  const levels = rounded(parseCaption(cells[whole]!));
  return [...cells.slice(0, whole), degradationCaption(levels), ...fineLabels(levels)].join("\t");
});
writeFileSync(`${to}.tmp`, `${[header, ...lines].join("\n")}\n`);
renameSync(`${to}.tmp`, to);
