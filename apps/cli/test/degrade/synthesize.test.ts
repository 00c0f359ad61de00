import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SEMANTIC_OPTIONS } from "@deplsr/degradation";
import { describe, expect, test } from "vitest";
import { readCaptioned } from "../../src/data/captioned.ts";
import { readImage, writeImage } from "../../src/data/image.ts";
import { type SynthesisRequest, synthesize } from "../../src/degrade/synthesize.ts";
import { Output } from "../../src/output.ts";
import { useDevice } from "../device.ts";
import { picture } from "../pictures.ts";
import { temporaryFolder } from "../temporary-folder.ts";

describe("synthesize", () => {
  const device = useDevice();

  function quiet(): { output: Output; lines: string[] } {
    const lines: string[] = [];
    const stream = { write: (text: string) => lines.push(text) };
    return { output: new Output(false, { stdout: stream, stderr: stream }), lines };
  }

  async function request(folder: string, overrides: Partial<SynthesisRequest> = {}): Promise<SynthesisRequest> {
    await writeImage(join(folder, "photos", "a.png"), picture(48, 40));
    await writeImage(join(folder, "photos", "b.png"), picture(40, 44, 2));
    return {
      sources: ["a.png", "b.png"].map((name) => ({
        path: join(folder, "photos", name),
        title: `photograph ${name} 🐑`,
      })),
      count: 3,
      fit: "crop",
      options: { ...SEMANTIC_OPTIONS, lqSize: 32 },
      chain: "reference",
      seed: 5,
      folder: join(folder, "out"),
      table: join(folder, "out", "degraded.tsv"),
      batchSize: 2,
      ...overrides,
    };
  }

  test("writes the images and a table that the training reads", async () => {
    const folder = temporaryFolder();
    const { images, skipped } = await synthesize(device(), await request(folder), quiet().output);
    expect(skipped).toEqual([]);
    expect(images).toHaveLength(6);
    const { items } = await readCaptioned(join(folder, "out", "degraded.tsv"));
    expect(items.map(({ path }) => path)).toEqual(images.map(({ out }) => out));
    for (const { path, texts } of items) {
      expect(await readImage(path)).toMatchObject({ width: 32, height: 32 });
      expect(texts).toHaveLength(7);
      expect(texts[0]).toMatch(/^photograph [ab]\.png 🐑$/);
      expect(texts[1]).toMatch(
        /^blur with sigma:\d\.\d,(gaussian noise with sigma|poisson noise with scale):[\d.]+,jpeg with quality factor:\d+\.\d/,
      );
      expect(texts[2]).toBe(texts[1]!.split(",")[0]);
      expect(texts[6]!.startsWith("no ")).toBe(!texts[1]!.endsWith("artifacts"));
    }
  });

  test("the same seed gives the same bytes, another one others; the batch size changes nothing", async () => {
    const all = async (overrides: Partial<SynthesisRequest>): Promise<Buffer[]> => {
      const folder = temporaryFolder();
      await synthesize(device(), await request(folder, overrides), quiet().output);
      const out = overrides.folder ?? join(folder, "out");
      return readdirSync(out)
        .sort()
        .map((name) => readFileSync(join(out, name)));
    };
    const first = await all({ batchSize: 3 });
    const one = temporaryFolder();
    await synthesize(device(), await request(one), quiet().output);
    expect(
      readdirSync(join(one, "out"))
        .sort()
        .map((name) => readFileSync(join(one, "out", name)).equals(first.shift()!)),
    ).toEqual(Array(7).fill(true));
    const other = temporaryFolder();
    await synthesize(device(), await request(other, { seed: 6 }), quiet().output);
    expect(readFileSync(join(other, "out", "a_001.png")).equals(readFileSync(join(one, "out", "a_001.png")))).toBe(
      false,
    );
  });

  test("squash takes the whole photograph; a truncated or small one is left out, counted and told", async () => {
    const folder = temporaryFolder();
    const base = await request(folder, { fit: "squash", count: 1 });
    writeFileSync(join(folder, "photos", "cut.png"), readFileSync(join(folder, "photos", "a.png")).subarray(0, 900));
    await writeImage(join(folder, "photos", "dot.png"), picture(1, 1));
    const extra = ["cut.png", "dot.png", "none.png"].map((name) => ({
      path: join(folder, "photos", name),
      title: "x",
    }));
    const { output, lines } = quiet();
    const result = await synthesize(device(), { ...base, sources: [...extra, ...base.sources] }, output);
    expect(result.images.map(({ out }) => out)).toEqual([join(folder, "out", "a.png"), join(folder, "out", "b.png")]);
    expect(result.skipped.map(({ reason }) => reason)).toEqual([
      expect.stringContaining("cut.png is truncated or damaged"),
      expect.stringContaining("dot.png is 1x1: at least 11 pixels a side are needed"),
      expect.stringContaining("none.png does not exist"),
    ]);
    expect(lines.filter((line) => line.startsWith("warning:"))).toHaveLength(3);
  });

  test("when nothing is left it fails and writes no table", async () => {
    const folder = temporaryFolder();
    const base = await request(folder);
    const sources = [{ path: join(folder, "photos", "none.png"), title: "x" }];
    await expect(synthesize(device(), { ...base, sources }, quiet().output)).rejects.toThrow(
      /^degrade: nothing could be degraded: image: .*none.png does not exist/,
    );
    expect(readdirSync(folder)).toEqual(["photos"]);
  });
});
