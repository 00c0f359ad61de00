/**
 * Draws how the networks in the box learned, from the runs of `train-models`: the training loss, and PSNR on pairs of photographs that were held out.
 *
 *     npm run draw-curves -- [FOLDER] [--out docs/training-curves.svg]       default: runs/models
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { lineChart, type Series } from "../apps/cli/src/report/chart.ts";
import { Curve } from "../apps/cli/src/report/curve.ts";
import { recordsOf } from "../apps/cli/src/train/report-page.ts";

const root = fileURLToPath(new URL("../", import.meta.url));
const { values, positionals } = parseArgs({
  options: { out: { type: "string", default: join(root, "docs/training-curves.svg") } },
  allowPositionals: true,
});
const folder = resolve(positionals[0] ?? join(root, "runs/models"));
const runs = ["dat-x2", "realdat-x2", "realdat-x4"].filter((run) => existsSync(join(folder, run, "metrics.jsonl")));
if (runs.length === 0) {
  console.error(`draw-curves: ${folder} has no run of npm run train-models`);
  process.exit(1);
}

/** A curve of what the lines of a run say under a key. */
function series(run: string, key: string, most: number): Series {
  const curve = new Curve(most);
  for (const record of recordsOf(readFileSync(join(folder, run, "metrics.jsonl"), "utf8"))) {
    const { step, [key]: value } = record as unknown as Record<string, number | undefined>;
    if (step !== undefined && value !== undefined) curve.add(step, value);
  }
  return curve.series(run);
}

const charts = [
  lineChart(
    "L1 of the training pairs",
    "step",
    runs.map((run) => series(run, "l_pix", 200)),
  ),
  lineChart(
    "PSNR of the luma, held-out pairs",
    "step",
    runs.map((run) => ({ ...series(run, "metrics/held-out/psnr", 1000), smooth: false })),
    "dB",
  ),
];
const sides = charts.map(({ html }, i) => `<g transform="translate(${i * 460})">${html}</g>`);
const style =
  "svg{background:#fff}text{font:12px system-ui,sans-serif;fill:#444}.title{font-weight:600}.axis{stroke:#ddd}";
writeFileSync(
  values.out,
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 920 240" width="920" height="240"><title>How the networks in the box learned</title><style>${style}</style>${sides.join("")}</svg>\n`,
);
console.log(`${runs.join(", ")} -> ${values.out}`);
