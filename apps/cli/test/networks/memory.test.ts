import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { CLIP_PRESETS, clipShapes } from "@deplsr/clip";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const run = promisify(execFile);
const at = (path: string): string => fileURLToPath(new URL(`../../../../${path}`, import.meta.url));

/** What reading may take beyond the weights on the device. */
const MOST = 300e6;
const MIB = 2 ** 20;

interface Finished {
  readonly stdout: string;
  /** The largest size that the process had in memory. */
  readonly peak: number;
}

/**
 * Module that prints the largest size of its process in kilobytes when that ends. Linux begins what `resourceUsage()` counts with
 * the size of the process that starts this one, here that of all tests so far: its own is in /proc.
 */
const AT_EXIT = `
import { readFileSync } from "node:fs";
const own = () => /VmHWM:\\s*(\\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))[1];
process.on("exit", () => console.error("peak " + (process.platform === "linux" ? own() : process.resourceUsage().maxRSS)));`;

/** Runs a TypeScript file in a process of its own. */
async function measured(script: string, ...args: readonly string[]): Promise<Finished> {
  const atExit = `data:text/javascript,${encodeURIComponent(AT_EXIT)}`;
  const node = ["--conditions", "@deplsr/source", "--import", "tsx", "--import", atExit];
  const { stdout, stderr } = await run(process.execPath, [...node, at(script), ...args], { cwd: at("") });
  const [, kilobytes] = /^peak (\d+)$/m.exec(stderr) ?? [];
  return { stdout, peak: Number(kilobytes) * 1024 };
}

/** Element `i` of tensor `t`, as scripts/make-weights.ts writes it. */
const value = (t: number, i: number): number =>
  Math.fround(((Math.imul(i + 1, 2654435761) ^ Math.imul(t + 1, 40503)) >>> 0) * (0.04 / 2 ** 32) - 0.02);

describe("a file of the size of ViT-B/32", () => {
  let folder = "";
  const file = (name: string): string => join(folder, name);
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "deplsr-memory-"));
    await measured("scripts/make-weights.ts", "ViT-B-32", file("clip.pth"));
    expect(statSync(file("clip.pth")).size).toBeGreaterThan(600e6);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("is converted and inspected in little memory", async () => {
    const converted = await measured("apps/cli/src/main.ts", "convert", file("clip.pth"), file("clip.safetensors"));
    expect(converted.peak).toBeLessThan(MOST);
    const half = await measured(
      "apps/cli/src/main.ts",
      "convert",
      file("clip.pth"),
      file("half.pth"),
      "--fp16",
      "--json",
    );
    expect(half.peak).toBeLessThan(MOST);
    const inspected = await measured("apps/cli/src/main.ts", "inspect", file("half.pth"), "--json");
    expect(inspected.peak).toBeLessThan(MOST);
    expect(JSON.parse(inspected.stdout)).toMatchObject({ model: "CLIP", parameters: 151_277_313 });
    console.info(
      `convert ${toMiB(converted.peak)}, --fp16 ${toMiB(half.peak)} in ${JSON.parse(half.stdout).ms} ms, inspect ${toMiB(inspected.peak)}`,
    );
  });

  test.each(["clip.pth", "clip.safetensors", "half.pth"])("%s loads with little beside its weights", async (name) => {
    const { stdout, peak } = await measured("apps/cli/test/networks/load-clip.ts", file(name));
    const { weights, ms, numbers } = JSON.parse(stdout);
    expect(peak - weights).toBeLessThan(MOST);
    const tensor = [...clipShapes(CLIP_PRESETS.get("ViT-B-32")!).keys()].indexOf("visual.proj");
    const expected = [3, 2, 1].map((fromEnd) => value(tensor, 768 * 512 - fromEnd));
    if (name !== "half.pth") expect(numbers).toEqual(expected);
    else expected.forEach((number, i) => void expect(Math.abs(number - numbers[i])).toBeLessThan(1e-5));
    console.info(`${name}: ${Math.round(ms)} ms, ${toMiB(peak - weights)} beside the weights`);
  });
});

function toMiB(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`;
}
