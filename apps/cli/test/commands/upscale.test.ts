import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { beforeAll, describe, expect, test } from "vitest";
import { decodeImage, readImage, writeImage } from "../../src/data/image.ts";
import { picture } from "../pictures.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { TINY_DAT, writeNearestNetwork, writeRandomNetwork } from "../tiny-network.ts";
import { deplsr, type Finished, LAUNCHER, type Running, start } from "./run-command.ts";

let network = "";

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), "deplsr-nearest-"));
  network = join(folder, "nearest.safetensors");
  await writeNearestNetwork(network);
  return () => rmSync(folder, { recursive: true, force: true });
});

function upscale(folder: string, ...args: string[]): Promise<Finished> {
  return deplsr(["upscale", "--model", network, "--backend", "cpu", ...args], folder);
}

/** Whether each pixel of a picture is there four times in another one. */
async function isTwice(large: string | Uint8Array, small: string): Promise<boolean> {
  const [a, b] = [
    typeof large === "string" ? await readImage(large) : await decodeImage(large, "a"),
    await readImage(small),
  ];
  if (a.width !== 2 * b.width || a.height !== 2 * b.height) return false;
  return a.data.every((value, i) => {
    const [x, y] = [Math.floor(i / 3) % a.width, Math.floor(i / 3 / a.width)];
    return value === b.data[(Math.floor(y / 2) * b.width + Math.floor(x / 2)) * 3 + (i % 3)];
  });
}

test("a folder: one object, sub-folders kept, what is left out is told; a second run skips what is done", async () => {
  const folder = temporaryFolder();
  const damaged = join(folder, "in", "bad.jpg");
  await writeImage(join(folder, "in", "a.jpg"), picture(20, 12));
  await writeImage(join(folder, "in", "a.png"), picture(20, 12));
  await writeImage(join(folder, "in", "sub", "b.png"), picture(9, 11));
  const heic = Buffer.concat([Buffer.from("\0\0\0\x18ftypheic\0\0\0\0mif1heic", "latin1"), Buffer.alloc(100)]);
  writeFileSync(join(folder, "in", "c.heic"), heic);
  writeFileSync(damaged, readFileSync(join(folder, "in", "a.jpg")).subarray(0, 200));
  const made = [
    { in: "in/a.jpg", out: "out/a-jpg_x2.png", width: 40, height: 24, ms: expect.any(Number) },
    { in: "in/a.png", out: "out/a-png_x2.png", width: 40, height: 24, ms: expect.any(Number) },
    { in: "in/sub/b.png", out: "out/sub/b_x2.png", width: 18, height: 22, ms: expect.any(Number) },
  ];
  const args = ["in", "--recursive", "--out", "out"];
  const first = await upscale(folder, ...args, "--json");
  expect(JSON.parse(first.stdout)).toEqual({
    images: made,
    skipped: [
      { name: "in/c.heic", reason: "is HEIC (HEVC), which is not read" },
      { name: "in/bad.jpg", reason: expect.stringContaining("in/bad.jpg is truncated or damaged") },
    ],
  });
  expect(first.code).toBe(1);
  expect(first.stderr).toContain("warning: in/bad.jpg is left out: image: in/bad.jpg is truncated or damaged");
  for (const { in: small, out: large } of made)
    expect(await isTwice(join(folder, large), join(folder, small))).toBe(true);
  expect(first.stderr).toContain("warning: left out 2 of 5 photographs");
  rmSync(damaged);
  rmSync(join(folder, "in", "c.heic"));

  const second = await upscale(folder, ...args, "--jsonl");
  const lines = second.stdout.trimEnd().split("\n");
  expect(lines.map((line) => JSON.parse(line))).toEqual(
    made.map((image) => ({ in: image.in, skipped: `is done already: ${image.out}` })),
  );
  expect([second.code, second.stderr]).toEqual([
    0,
    expect.stringContaining("3 photographs of 3 had been done already"),
  ]);

  const again = await upscale(folder, ...args, "--jsonl", "--overwrite");
  expect(
    again.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line)),
  ).toEqual(made);
  expect(again.code).toBe(0);
});

test("another file is left alone, and so is a photo of other options, unless --overwrite says otherwise", async () => {
  const folder = temporaryFolder();
  for (const name of ["a.png", "b.png"]) await writeImage(join(folder, "in", name), picture(8, 8, name.length));
  mkdirSync(join(folder, "out"));
  writeFileSync(join(folder, "out", "a_x2.png"), "mine");
  const first = await upscale(folder, "in", "--out", "out");
  expect(first.code).toBe(1);
  expect(first.stderr).toContain(
    "in/a.png is left out: upscale: out/a_x2.png exists: choose another name, or --overwrite to replace it\n",
  );
  expect(readFileSync(join(folder, "out", "a_x2.png"), "utf8")).toBe("mine");
  const single = await upscale(folder, "in/b.png", "--out", "out/b_x2.png", "--strength", "0.5");
  expect([single.code, single.stderr]).toEqual([
    1,
    expect.stringMatching(/^error: upscale: out\/b_x2.png exists: choose another name, or --overwrite to replace it$/m),
  ]);
  expect((await upscale(folder, "in", "--out", "out", "--overwrite")).code).toBe(0);
  expect(await isTwice(join(folder, "out", "a_x2.png"), join(folder, "in", "a.png"))).toBe(true);
});

test("a photo is never written over, --overwrite or not, by whatever name", async () => {
  const folder = temporaryFolder();
  const path = join(folder, "a.png");
  await writeImage(path, picture(8, 8));
  const before = readFileSync(path);
  symlinkSync(path, join(folder, "soft.png"));
  linkSync(path, join(folder, "hard.png"));
  const ways: [args: string[], message: string][] = [
    [["--suffix", "", "--format", "same", "--out", "."], "a.png is the photograph itself"],
    [["--out", "soft.png"], "soft.png is the photograph a.png"],
    [["--out", "hard.png", "--overwrite"], "hard.png is the photograph a.png"],
  ];
  for (const [args, message] of ways) {
    const { code, stderr } = await upscale(folder, "a.png", ...args);
    expect([args, code, stderr]).toEqual([
      args,
      1,
      expect.stringContaining(`error: upscale: ${message}: choose another --out or --suffix\n`),
    ]);
  }
  expect(readFileSync(path).equals(before)).toBe(true);
  expect(readdirSync(folder).sort()).toEqual(["a.png", "hard.png", "soft.png"]);
});

test("pipes and names after --", async () => {
  const folder = temporaryFolder();
  await writeImage(join(folder, "a.png"), picture(10, 6));
  copyFileSync(join(folder, "a.png"), join(folder, "--odd.png"));
  const piped = spawnSync(
    process.execPath,
    [LAUNCHER, "upscale", "-", "--out", "-", "--model", network, "--backend", "cpu", "--format", "tiff"],
    { cwd: folder, input: readFileSync(join(folder, "a.png")) },
  );
  expect(piped.status).toBe(0);
  expect(piped.stdout.subarray(0, 4).toString("latin1")).toBe("II*\0");
  expect(await isTwice(piped.stdout, join(folder, "a.png"))).toBe(true);
  const empty = spawnSync(process.execPath, [LAUNCHER, "upscale", "-", "--out", "-", "--model", network], {
    cwd: folder,
    input: "",
    encoding: "utf8",
  });
  expect([empty.status, empty.stdout]).toEqual([1, ""]);
  expect(empty.stderr).toContain("error: image: stdin is empty (0 bytes)");
  const both = await upscale(folder, "a.png", "--out", "-", "--json");
  expect([both.code, JSON.parse(both.stdout)]).toEqual([
    2,
    { error: "--out - needs stdout for the picture: leave --json and --jsonl out" },
  ]);
  expect((await upscale(folder, "--", "--odd.png")).code).toBe(0);
  expect(await isTwice(join(folder, "--odd_x2.png"), join(folder, "a.png"))).toBe(true);
});

test("flags that cannot be end with 2 and one line", async () => {
  const folder = temporaryFolder();
  const wrong: [args: string[], message: string][] = [
    [["--strength", "2"], "--strength 2 must be a number from 0 to 1"],
    [["--scale", "0"], "--scale 0 must be a number above 0, at most 64"],
    [["--scale", "2", "--width", "100"], "--scale beside --width or --height: give either"],
    [["--width", "1.5"], "--width 1.5 must be a whole number of at least 1"],
    [["--quality", "101"], "--quality 101 must be a whole number from 1 to 100"],
    [["--suffix", "a/b"], "--suffix a/b must not hold a slash: --out says the folder"],
    [["--format", "png", "--out", "b.jpg"], "--format png beside --out b.jpg, whose name says the format: give either"],
  ];
  const ended = await Promise.all(wrong.map(([args]) => upscale(folder, "a.png", ...args)));
  for (const [i, [args, message]] of wrong.entries())
    expect([args, ended[i]]).toEqual([args, { code: 2, stdout: "", stderr: `error: ${message}\n` }]);
});

describe("a signal in the middle of a tile", () => {
  const slow = {
    ...TINY_DAT,
    embed_dim: 180,
    split_size: [8, 32],
    depth: [2, 2],
    num_heads: [6, 6],
    expansion_factor: 4,
  };

  /** Starts a run whose tiles take half a minute. → it and the process that computes, once it does */
  async function computing(folder: string): Promise<{ running: Running; pid: number }> {
    await writeRandomNetwork(join(folder, "slow.safetensors"), slow);
    const flat = { width: 600, height: 600, data: new Uint8Array(600 * 600 * 3).fill(120) };
    await writeImage(join(folder, "flat.png"), flat);
    const args = ["--model", "slow.safetensors", "--backend", "cpu", "--tile", "300"];
    const running = start(["upscale", "flat.png", "--out", "out", ...args], folder);
    for (;;) {
      // The first temporary file is the trial whether the folder can be written.
      const names = existsSync(join(folder, "out")) ? readdirSync(join(folder, "out")).join() : "";
      const pid = /\.(\d+)-2\.tmp/.exec(names)?.[1];
      if (pid !== undefined) {
        await setTimeout(1000);
        return { running, pid: Number(pid) };
      }
      await Promise.race([setTimeout(20), running.finished.then(({ stderr }) => Promise.reject(new Error(stderr)))]);
    }
  }

  test.each([
    ["SIGINT", "all", 130],
    ["SIGTERM", "launcher", 143],
  ] as const)("%s to %s ends it at once, with nothing half-written", async (signal, to, code) => {
    const folder = temporaryFolder();
    const { running } = await computing(folder);
    const started = performance.now();
    running.signal(signal, to);
    const ended = await running.finished;
    // Long before the tile is done, also where the machine is busy.
    expect(performance.now() - started).toBeLessThan(10_000);
    expect([ended.code, ended.stdout.includes("->")]).toEqual([code, false]);
    expect(readdirSync(join(folder, "out"))).toEqual([]);
  });

  test("the system that ends it, as where memory runs out, is told of; nothing half-written stays", async () => {
    const folder = temporaryFolder();
    const { running, pid } = await computing(folder);
    process.kill(pid, "SIGKILL");
    const { code, stderr } = await running.finished;
    expect(code).toBe(137);
    expect(stderr).toMatch(/^error: the system ended this \(SIGKILL\), as it does where memory runs out: [^\n]+$/m);
    expect(readdirSync(join(folder, "out"))).toEqual([]);
  });
});
