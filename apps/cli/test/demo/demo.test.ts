import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { readImage } from "../../src/data/image.ts";
import { runDemo } from "../../src/demo/demo.ts";
import { demoPhotos } from "../../src/demo/photos.ts";
import { COMPARISON_SIDE, PLACES } from "../../src/demo/recipe.ts";
import { demoReport } from "../../src/demo/report.ts";
import { useDevice } from "../device.ts";
import { recordedOutput } from "../recorded-output.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { TINY_DAT, writeRandomNetwork } from "../tiny-network.ts";

const device = useDevice();

describe("the demo", () => {
  test("its photographs are there, two of them held out", () => {
    const photos = demoPhotos();
    for (const { path } of photos) expect(existsSync(path)).toBe(true);
    expect(photos.filter(({ heldOut }) => heldOut).map(({ name }) => name)).toEqual(["deer", "waterfall"]);
  });

  test("begins as bicubic interpolation, and shows a shipped network beside it", async () => {
    const folder = temporaryFolder();
    const file = join(folder, "shipped.safetensors");
    await writeRandomNetwork(file, TINY_DAT);
    const options = { photos: demoPhotos(), folder, squares: 4, srclipSteps: 1, srSteps: 1, seed: 1 };
    const shipped = { name: "large-x2", weights: pathToFileURL(file) };
    const result = await runDemo(device(), { ...options, shipped, output: recordedOutput().output });
    expect(result.comparisons.map(({ name }) => name)).toEqual(["deer", "waterfall"]);
    for (const { enlarged } of result.comparisons) {
      expect(enlarged.map(({ by }) => by)).toEqual(["bicubic", "ours", "large-x2"]);
      const [bicubic, ours, other] = enlarged.map(({ quality }) => quality.psnr);
      // One step of training is of no consequence; random weights are.
      expect(Math.abs(ours! - bicubic!)).toBeLessThan(1);
      expect(other).toBeLessThan(bicubic!);
    }
    const picture = await readImage(join(folder, PLACES.comparison));
    expect([picture.width, picture.height]).toEqual([4 * COMPARISON_SIDE + 3 * 8, 2 * COMPARISON_SIDE + 8]);
    const report = await demoReport(device(), result, join(folder, PLACES.heldOut), null);
    expect(report).toContain("deer: bicubic, ours, large-x2, original");
    expect(report.match(/PSNR (bicubic|ours|large-x2)/g)).toEqual(["PSNR bicubic", "PSNR ours", "PSNR large-x2"]);
  });

  test("without one it shows bicubic interpolation, its own and the original", async () => {
    const folder = temporaryFolder();
    const options = { photos: demoPhotos(), folder, squares: 4, srclipSteps: 1, srSteps: 1, seed: 1 };
    const result = await runDemo(device(), { ...options, shipped: null, output: recordedOutput().output });
    const picture = await readImage(join(folder, PLACES.comparison));
    expect(picture.width).toBe(3 * COMPARISON_SIDE + 2 * 8);
    const report = await demoReport(device(), result, join(folder, PLACES.heldOut), null);
    expect(report).toContain("waterfall: bicubic, ours, original");
    expect(readFileSync(join(folder, PLACES.training), "utf8")).toContain("a golden temple among pine trees");
  });
});
