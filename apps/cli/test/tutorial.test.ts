import { execFile } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { demoPhotos } from "../src/demo/photos.ts";
import { LAUNCHER } from "./commands/run-command.ts";
import { temporaryFolder } from "./temporary-folder.ts";

const run = promisify(execFile);
const text = readFileSync(new URL("../../../docs/tutorial-own-photos.md", import.meta.url), "utf8");

/** Fewer images and steps: what the tutorial says is tried, not what it reaches. */
const SMALLER: readonly (readonly [from: RegExp, to: string])[] = [
  [/--count \d+/g, "--count 2"],
  [/^steps: \d+$/gm, "steps: 2"],
  [/^batch_size: \d+$/gm, "batch_size: 4"],
  [/^warmup: \d+$/gm, "warmup: 1"],
  [/total_iter: \d+/g, "total_iter: 2"],
  [/(val_freq|print_freq|save_checkpoint_freq): \d+/g, "$1: 1"],
  [/step-100/g, "step-1"],
  [/upscale val\//g, "upscale pairs-val/X2"],
];

describe("the tutorial on one's own photos", () => {
  test("its commands do what they say, in their order", { timeout: 300_000 }, async () => {
    const smaller = SMALLER.reduce((all, [from, to]) => all.replace(from, to), text);
    const folder = temporaryFolder();
    mkdirSync(join(folder, "photos"));
    for (const { name, path } of demoPhotos().slice(0, 4)) copyFileSync(path, join(folder, "photos", `${name}.jpg`));
    for (const [, name, yaml] of smaller.matchAll(/```yaml\n# (\S+)\n([\s\S]*?)```/g)) {
      writeFileSync(join(folder, name!), yaml!);
    }
    const commands = smaller
      .replace(/```[\s\S]*?```/g, "")
      .split("\n")
      .filter((line) => line.startsWith("    "));
    expect(commands.filter((line) => line.includes("npx deplsr")).length).toBeGreaterThan(10);
    const script = [
      "set -e",
      `npx() { shift; "${process.execPath}" "${LAUNCHER}" "$@" --backend cpu; }`,
      ...commands,
    ].join("\n");
    const { stdout } = await run("bash", ["-c", script], { cwd: folder, maxBuffer: 2 ** 26 });
    expect(readdirSync(join(folder, "val"))).toEqual(["fawn.jpg"]);
    expect(existsSync(join(folder, "clip", "preview.png"))).toBe(true);
    expect(readdirSync(join(folder, "runs", "my_RealDAT_x2", "checkpoints"))).toEqual(
      expect.arrayContaining(["best-psnr", "best-ssim", "step-1", "step-2"]),
    );
    expect(existsSync(join(folder, "runs", "my_RealDAT_x2", "report.html"))).toBe(true);
    expect(readdirSync(join(folder, "late"))).toEqual(["fawn_001_x2.png", "fawn_002_x2.png"]);
    expect(readdirSync(join(folder, "larger"))).toEqual(readdirSync(join(folder, "late")));
    // The means of both networks, in two tables.
    expect(stdout.match(/^mean +\d+\.\d{4} +\d\.\d{4}$/gm)).toHaveLength(2);
  });
});
