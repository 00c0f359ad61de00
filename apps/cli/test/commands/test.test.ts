import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { crop } from "../../src/data/crop.ts";
import { readImage, writeImage } from "../../src/data/image.ts";
import { picture } from "../pictures.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { testOptions } from "../test-options.ts";
import { deplsr } from "./run-command.ts";

/** Two sets of small pairs and an option file in the original's form. */
async function prepared(more = ""): Promise<string> {
  const folder = temporaryFolder();
  for (const [set, seeds] of [
    ["a", [1, 2]],
    ["b", [3]],
  ] as const) {
    for (const seed of seeds) {
      const hr = picture(48, 40, seed);
      await writeImage(join(folder, set, "HR", `p${seed}.png`), hr);
      await writeImage(join(folder, set, "LR", `p${seed}x2.png`), crop(hr, { left: 3, top: 5, width: 24, height: 20 }));
    }
  }
  const sets = ["a", "b"].map((set, i) => {
    const roots = `dataroot_gt: ${set}/HR, dataroot_lq: ${set}/LR, filename_tmpl: '{}x2'`;
    return `test_${i + 1}: { name: ${set.toUpperCase()}, type: PairedImageDataset, ${roots}, io_backend: { type: disk } }`;
  });
  const metrics = ["ssim: { type: calculate_ssim, crop_border: 2, test_y_channel: true }"];
  writeFileSync(join(folder, "test.yml"), testOptions(sets, { metrics, more }));
  return folder;
}

test("enlarges and measures as upscale and iqa do, into the original's folders", async () => {
  const folder = await prepared();
  const { code, stdout, stderr } = await deplsr(["test", "-opt", "test.yml", "--json"], folder);
  expect([code, stderr.includes("use_chop")]).toEqual([0, false]);
  const { results, out } = JSON.parse(stdout) as { results: Record<string, Record<string, number>>; out: string };
  expect(out).toBe(join("results", "small"));
  const shown = (set: string): string[] => readdirSync(join(folder, out, "visualization", set));
  expect([shown("A"), shown("B")]).toEqual([["p1x2_small.png", "p2x2_small.png"], ["p3x2_small.png"]]);
  const [log = ""] = readdirSync(join(folder, out)).filter((name) => /^test_small_.*\.log$/.test(name));
  const lines = readFileSync(join(folder, out, log), "utf8");
  for (const [set, means] of Object.entries(results)) {
    expect(lines).toContain(
      `Validation ${set}\n\t # psnr: ${means.psnr!.toFixed(4)}\n\t # ssim: ${means.ssim!.toFixed(4)}\n`,
    );
  }
  // The same network by the other commands.
  const upscale = [
    "upscale",
    "a/LR",
    "--model",
    "realdat-x2",
    "--colour",
    "free",
    "--blend",
    "reference",
    "--tile",
    "200",
  ];
  expect((await deplsr([...upscale, "--suffix", "_small", "--out", "plain"], folder)).code).toBe(0);
  mkdirSync(join(folder, "hr"));
  for (const seed of [1, 2]) {
    const name = `p${seed}x2_small.png`;
    expect(await readImage(join(folder, "plain", name))).toEqual(
      await readImage(join(folder, out, "visualization", "A", name)),
    );
    writeFileSync(join(folder, "hr", name), readFileSync(join(folder, `a/HR/p${seed}.png`)));
  }
  const iqa = await deplsr(
    ["iqa", "plain", "--ref", "hr", "--metrics", "psnr,ssim", "--crop", "2", "--y", "--json"],
    folder,
  );
  const { mean } = JSON.parse(iqa.stdout) as { mean: Record<string, number> };
  expect(mean.psnr).toBeCloseTo(results.A!.psnr!, 6);
  expect(mean.ssim).toBeCloseTo(results.A!.ssim!, 6);
  // What stood there is kept, and nothing else is touched.
  const again = await deplsr(["test", "-opt", "test.yml", "--force_yml", "val:metrics=~"], folder);
  expect([again.code, again.stdout]).toEqual([
    0,
    expect.stringMatching(/are now in results.small_archived_\d{8}_\d{6}\n/),
  ]);
  const other = await deplsr(["test", "-opt", "test.yml", "--out", "a"], folder);
  expect([other.code, other.stderr]).toEqual([
    1,
    expect.stringContaining("test: a holds something that is no test's results"),
  ]);
});

test("refuses in one line what it cannot test, before anything is written", async () => {
  const folder = await prepared();
  const bad: [args: string[], message: string][] = [
    [["--set", "path.pretrain_network_g=~"], "path.pretrain_network_g"],
    [["--set", "path.pretrain_network_g=none.pth"], "checkpoint: none.pth does not exist"],
    [["--set", "datasets.test_1.dataroot_gt=~"], "dataroot_gt"],
    [["--set", "datasets.test_2.name=A"], "two of datasets have the name A"],
    [["--set", "network_g.embed_dim=32"], "realdat-x2"],
    [["--set", "datasets.test_1.dataroot_lq=nowhere"], "nowhere"],
  ];
  for (const [args, message] of bad) {
    const { code, stderr } = await deplsr(["test", "-opt", "test.yml", ...args], folder);
    const errors = stderr.split("\n").filter((line) => line.startsWith("error: "));
    expect([args, code, errors]).toEqual([args, 1, [expect.stringContaining(message)]]);
    expect(readdirSync(folder)).not.toContain("visualization");
  }
});
