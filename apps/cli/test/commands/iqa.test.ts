import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { writeImage } from "../../src/data/image.ts";
import { picture } from "../pictures.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { deplsr } from "./run-command.ts";

test("iqa prints one object; wrong usage ends with 2, what cannot be scored with 1", async () => {
  const folder = temporaryFolder();
  await writeImage(join(folder, "sr/a_x2.png"), picture(30, 20));
  await writeImage(join(folder, "hr/a.png"), picture(30, 20));
  const [done, help, noMetric, noNumber, tooSmall, fit, sets, notOne] = await Promise.all([
    deplsr(["iqa", "sr", "--ref", "hr", "--metrics", "psnr-pyiqa,ssim", "--y", "--json"], folder),
    deplsr(["iqa", "--help"], folder),
    deplsr(["iqa", "sr", "--metrics", "sharpness"], folder),
    deplsr(["iqa", "sr", "--crop", "many"], folder),
    deplsr(["iqa", "sr", "--json"], folder),
    deplsr(["iqa", "fit-niqe", "hr", "model.json"], folder),
    deplsr(["iqa", "--set", "a=sr,hr", "--set", "b=hr,hr", "--metrics", "ssim", "--csv", "means.csv"], folder),
    deplsr(["iqa", "--set", "sr"], folder),
  ]);
  expect(done!.code).toBe(0);
  expect(JSON.parse(done!.stdout)).toMatchObject({
    mean: { "psnr-pyiqa": expect.closeTo(80, 9), ssim: 1 },
    images: [{ name: "a_x2", "psnr-pyiqa": expect.closeTo(80, 9), ssim: 1 }],
  });
  expect(help!.stdout).toContain("deplsr iqa fit-niqe <photographs> <out>");
  expect(help!.stdout).toContain("Examples:");
  expect([noMetric!.code, noNumber!.code, tooSmall!.code, fit!.code]).toEqual([2, 2, 1, 1]);
  expect([sets!.code, notOne!.code]).toEqual([0, 2]);
  expect(readFileSync(join(folder, "means.csv"), "utf8")).toBe(
    "Dataset,Metric,Score,Best Image\na,ssim,1,a_x2.png\nb,ssim,1,a.png\n",
  );
  expect(notOne!.stderr).toMatch(/^error: --set "sr" must be NAME=SR,HR[^\n]+\n$/);
  expect(noMetric!.stderr).toMatch(/^error: --metrics: "sharpness" is not known[^\n]+\n$/);
  expect(noNumber!.stderr).toContain("--crop NaN must be a whole number of at least 0");
  expect(JSON.parse(tooSmall!.stdout).error).toContain("niqe: 30 x 20 pixels hold 0 blocks of 96 x 96");
  expect(fit!.stderr).toContain("more than 36 are needed");
});
