/**
 * Draws the degraded test squares and writes `degraded.jsonl`; the same file at every run.
 *
 *     npx tsx --conditions @deplsr/source benchmarks/src/results/draw-degraded.ts [FOLDER_OF_TEST_SETS]
 *
 * What is drawn from is what the trainings' own validation has: `pairs.yml` for heavy ones, `light` of `realdat-x2.yml` for light ones.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { drawMixture, type MixtureOptions } from "@deplsr/degradation";
import { Device, Rng } from "@deplsr/tensor";
import { secondOrderRun } from "../../../apps/cli/src/config/degrade.ts";
import { readConfig } from "../../../apps/cli/src/config/parse.ts";
import { srRun } from "../../../apps/cli/src/config/sr.ts";
import { crop } from "../../../apps/cli/src/data/crop.ts";
import { readImage } from "../../../apps/cli/src/data/image.ts";
import { mixtureOptions, secondOrderOptions } from "../../../apps/cli/src/degrade/options.ts";
import { DEGRADED_FILE, type DegradedSquare, degradeSquare, sha256Of } from "./degraded.ts";

const SEED = 15;
/** Pixels of a square's side at each scale. */
const SIDES = { 2: 192, 4: 256 } as const;
const PHOTOGRAPHS = [
  ...[1, 3, 4, 5, 6, 7, 8, 13, 15, 17, 19, 23].map((n) => `kodak/kodim${String(n).padStart(2, "0")}.png`),
  ...[2, 5, 7, 10, 12, 14, 16, 19].map((n) => `bsd100/HR/img_${String(n).padStart(3, "0")}.png`),
  ...[1, 4, 26, 62].map((n) => `urban100/HR/img_${String(n).padStart(3, "0")}.png`),
];

/** What squares of a scale are drawn from. */
async function optionsOf(scale: number): Promise<Omit<MixtureOptions, "shares">> {
  const recipe = (name: string): string => fileURLToPath(new URL(`../../../scripts/models/${name}`, import.meta.url));
  const heavy = await readConfig(recipe("pairs.yml"), secondOrderRun);
  const run = (await readConfig(recipe("realdat-x2.yml"), srRun)).config;
  const set = run.datasets.train;
  if (!("mixture" in set)) throw new Error("realdat-x2.yml trains on no mixture");
  return {
    light: mixtureOptions(run, set).light,
    heavy: { ...secondOrderOptions(heavy.config, "pairs.yml"), scale },
  };
}

const folder = process.argv[2] ?? fileURLToPath(new URL("../../../../shared/data", import.meta.url));
const device = await Device.request({ backend: "cpu" });
const lines: string[] = [];
for (const kind of ["light", "heavy"] as const) {
  for (const scale of [2, 4] as const) {
    const side = SIDES[scale];
    const options = { shares: { clean: 0, light: 0, heavy: 0, [kind]: 1 }, ...(await optionsOf(scale)) };
    for (const image of PHOTOGRAPHS) {
      const rng = new Rng(SEED).fork(kind).fork(scale).fork(image);
      const photograph = await readImage(join(folder, image));
      const square = {
        left: rng.integer(photograph.width - side + 1),
        top: rng.integer(photograph.height - side + 1),
        side,
      };
      const draw = drawMixture(rng.integer(2 ** 31), { count: 1, side }, options)[0]!;
      const original = crop(photograph, { ...square, width: side, height: side });
      const sha256 = sha256Of(await degradeSquare(device, original, draw));
      lines.push(JSON.stringify({ kind, image, ...square, draw, sha256 } satisfies DegradedSquare));
    }
  }
}
writeFileSync(DEGRADED_FILE, `${lines.join("\n")}\n`);
process.stderr.write(`${lines.length} squares in ${fileURLToPath(DEGRADED_FILE)}\n`);
device.destroy();
