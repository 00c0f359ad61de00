import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type DegradationLevels, degradationCaption, fineLabels } from "@deplsr/degradation";
import { expect, test } from "vitest";
import { CAPTIONED_COLUMNS } from "../../src/data/captioned.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const root = fileURLToPath(new URL("../../../../", import.meta.url));

function row(levels: DegradationLevels): string {
  return ["a.png", "a cat", degradationCaption(levels), ...fineLabels(levels)].join("\t");
}

test("scripts/round-levels.ts writes the nearest of seven levels of each degradation", () => {
  const folder = temporaryFolder();
  const [from, to] = [join(folder, "degraded.tsv"), join(folder, "rounded.tsv")];
  const levels: DegradationLevels[] = [
    { blurSigma: 1.2, noise: { type: "gaussian", sigma: 23.8 }, quality: 46.2, ringing: false },
    { blurSigma: 2.9, noise: { type: "poisson", scale: 0.3 }, quality: 94.8, ringing: true },
    { blurSigma: 0.2, noise: { type: "gaussian", sigma: 2.1 }, quality: 30, ringing: false },
  ];
  writeFileSync(from, `${[CAPTIONED_COLUMNS.join("\t"), ...levels.map(row)].join("\n")}\n`);
  const script = join(root, "scripts/round-levels.ts");
  execFileSync(process.execPath, ["--conditions", "@deplsr/source", "--import", "tsx", script, from, to], {
    cwd: root,
  });
  expect(readFileSync(to, "utf8").trimEnd().split("\n").slice(1)).toEqual([
    row({ blurSigma: 1, noise: { type: "gaussian", sigma: 25 }, quality: 50, ringing: false }),
    row({ blurSigma: 3, noise: { type: "poisson", scale: 0.5 }, quality: 90, ringing: true }),
    // Noise of nearly nothing is none.
    row({ blurSigma: 0, noise: null, quality: 30, ringing: false }),
  ]);
});
