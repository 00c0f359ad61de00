import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { storedEntry, writeSafetensors } from "@deplsr/tensor";
import sharp from "sharp";
import { afterAll, beforeAll, expect, it } from "vitest";
import { parity } from "../src/command.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "parity-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function run(...args: string[]): Promise<{ code: number; lines: string[] }> {
  const lines: string[] = [];
  const code = await parity([folder, "--browser", ...args], (line) => lines.push(line));
  return { code, lines };
}

/** Softmax of three numbers; the expected ones are `shift` away from it. */
function softmaxFixture(shift: number): Uint8Array {
  const x = [0.5, -1, 2];
  const total = x.reduce((sum, value) => sum + Math.exp(value), 0);
  const y = Float32Array.from(x, (value) => Math.exp(value) / total + shift);
  return writeSafetensors(
    [
      ["case.in.x", storedEntry(Float32Array.from(x), [3])],
      ["case.out", storedEntry(y, [3])],
    ],
    {
      group: "ops",
      config: JSON.stringify({ case: { op: "softmax", inputs: { x: "x" }, outputs: ["out"], gradients: [], dim: 0 } }),
      roles: JSON.stringify({ input: ["*.in.*"], forward: ["*.out"] }),
      tolerance: JSON.stringify({ forward: { rel: 1e-6 } }),
    },
  );
}

/** A colour picture and a grey one that hold every level, and their pixels, in a group that is not asked for. */
async function writePictures(): Promise<void> {
  const [width, height] = [256, 2];
  const files = [];
  for (const [name, channels] of [
    ["colour", 3],
    ["grey", 1],
  ] as const) {
    const levels = Uint8Array.from({ length: width * height * channels }, (_, i) => (i * 89) % 256);
    const picture = sharp(levels, { raw: { width, height, channels } });
    await picture
      .toColourspace(channels === 1 ? "b-w" : "srgb")
      .png()
      .toFile(join(folder, `${name}.png`));
    const pixels = storedEntry(levels, [height, width, channels]);
    const metadata = { group: "pixels", roles: JSON.stringify({ input: ["in.*"] }) };
    writeFileSync(join(folder, `${name}.safetensors`), writeSafetensors([["in.image", pixels]], metadata));
    files.push({ file: `${name}.png`, expectation: `decodes (8-bit RGB) exactly to in.image of ${name}.safetensors` });
  }
  writeFileSync(join(folder, "index.json"), JSON.stringify({ group: "clip", files }));
}

it("compares in a page what it compares in Node, picture files among it", async () => {
  writeFileSync(join(folder, "right.safetensors"), softmaxFixture(0));
  writeFileSync(join(folder, "wrong.safetensors"), softmaxFixture(1e-3));
  await writePictures();
  const { code, lines } = await run("--only", "ops,clip", "--backend", "webgpu");
  expect(lines[0]).toMatch(/^webgpu on .*swiftshader.* \(browser;/);
  expect(lines.slice(1, 4)).toEqual([
    "pass  colour.png  as expected",
    "pass  grey.png  as expected",
    expect.stringMatching(/^pass {2}right.safetensors case {2}abs .* tolerance rel 1e-6 \(case.out\)$/),
  ]);
  expect(lines[4]).toMatch(/^FAIL {2}wrong.safetensors case .* 3 of 3 values differ too much$/);
  expect(lines.slice(5)).toEqual(["3 passed, 1 failed"]);
  expect(code).toBe(1);
});

it("ends with the page's own error", async () => {
  await expect(run("--adapter", "hardware")).rejects.toThrow(
    /^this browser has no WebGPU adapter of the kind "hardware"/,
  );
});
