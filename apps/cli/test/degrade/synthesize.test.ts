import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SECOND_ORDER_OPTIONS, SEMANTIC_OPTIONS } from "@deplsr/degradation";
import { describe, expect, test } from "vitest";
import { readCaptioned, resolveBeside } from "../../src/data/captioned.ts";
import { crop } from "../../src/data/crop.ts";
import { readImage, writeImage } from "../../src/data/image.ts";
import { cutSquare, degradeImages } from "../../src/degrade/images.ts";
import { smallestSide } from "../../src/degrade/options.ts";
import { type PlanOptions, planImages, secondOrderRecipes, semanticRecipes } from "../../src/degrade/plan.ts";
import { readRecords } from "../../src/degrade/records.ts";
import { type SynthesisRequest, synthesize } from "../../src/degrade/synthesize.ts";
import { UserError } from "../../src/errors.ts";
import { Output } from "../../src/output.ts";
import { useDevice } from "../device.ts";
import { picture } from "../pictures.ts";
import { alone } from "../recorded-output.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const SQUARES = { ...SEMANTIC_OPTIONS, lqSize: 32 };
const PAIRS = { ...SECOND_ORDER_OPTIONS, gtSize: null, useHflip: false };

/** Every file below a folder with its bytes. */
function filesOf(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = names.map((entry) => join(entry.parentPath, entry.name)).sort();
  return Object.fromEntries(paths.map((path) => [path.slice(folder.length + 1), readFileSync(path, "base64")]));
}

describe("synthesize", () => {
  const device = useDevice();

  function quiet(): { output: Output; lines: string[] } {
    const lines: string[] = [];
    const stream = { write: (text: string) => lines.push(text) };
    return { output: new Output("text", { stdout: stream, stderr: stream }), lines };
  }

  async function photographs(folder: string): Promise<void> {
    await writeImage(join(folder, "photos", "a.png"), picture(90, 80));
    await writeImage(join(folder, "photos", "sub", "b.png"), picture(83, 94, 2));
  }

  /** Three squares of each photograph into `out`. */
  function squares(folder: string, overrides: Partial<PlanOptions> & Partial<SynthesisRequest> = {}): SynthesisRequest {
    const records = join(folder, "out", "degraded.jsonl");
    const plans = planImages({
      sources: ["a", "sub/b"].map((name) => ({ path: join(folder, "photos", `${name}.png`), name })),
      count: 3,
      square: 32,
      seed: 5,
      draw: semanticRecipes(SQUARES, "reference"),
      folder: join(folder, "out"),
      originals: null,
      ...overrides,
      records,
    });
    return {
      plans,
      table: join(folder, "out", "degraded.tsv"),
      captions: { known: (path) => `photograph ${path.at(-5)} 🐑`, ask: async () => "" },
      fallback: "a photo",
      leastSide: 11,
      batchSize: 2,
      jobs: 2,
      ...overrides,
      records,
    };
  }

  /** The second-order pipeline: a pair of each photograph, or of squares of it. */
  function pairs(folder: string, square: number | null): SynthesisRequest {
    const request = squares(folder, {
      count: square === null ? 1 : 2,
      square,
      draw: secondOrderRecipes(PAIRS),
      originals: square === null ? null : join(folder, "out", "HR"),
    });
    return { ...request, table: null, batchSize: 1, leastSide: smallestSide(PAIRS) };
  }

  const run = (request: SynthesisRequest) => synthesize(device(), request, alone(quiet().output));

  test("writes the images and a table that the training reads", async () => {
    const folder = temporaryFolder();
    await photographs(folder);
    const { records, skipped, kept } = await run(squares(folder));
    expect([skipped, kept, records.length]).toEqual([[], 0, 6]);
    const { items } = await readCaptioned(join(folder, "out", "degraded.tsv"));
    expect(items.map(({ path }) => path)).toEqual(
      ["a_001", "a_002", "a_003", "sub/b_001", "sub/b_002", "sub/b_003"].map((name) =>
        join(folder, "out", `${name}.png`),
      ),
    );
    for (const { path, texts } of items) {
      expect(await readImage(path)).toMatchObject({ width: 32, height: 32 });
      expect(texts).toHaveLength(7);
      expect(texts[0]).toMatch(/^photograph [ab] 🐑$/);
      expect(texts[1]).toMatch(
        /^blur with sigma:\d\.\d,(gaussian noise with sigma|poisson noise with scale):[\d.]+,jpeg with quality factor:\d+\.\d/,
      );
      expect(texts[2]).toBe(texts[1]!.split(",")[0]);
      expect(texts[6]!.startsWith("no ")).toBe(!texts[1]!.endsWith("artifacts"));
    }
  });

  test("the same seed gives the same bytes, whatever the order, the jobs and the batches; another seed others", async () => {
    const folder = temporaryFolder();
    await photographs(folder);
    const all = async (overrides: Parameters<typeof squares>[1]): Promise<Record<string, string>> => {
      rmSync(join(folder, "out"), { recursive: true, force: true });
      await run(squares(folder, overrides));
      return filesOf(join(folder, "out"));
    };
    const first = await all({});
    expect(Object.keys(first)).toHaveLength(8);
    expect(await all({ jobs: 1, batchSize: 3 })).toEqual(first);
    const alone = await all({ sources: [{ path: join(folder, "photos", "sub", "b.png"), name: "sub/b" }], count: 2 });
    for (const name of ["sub/b_001.png", "sub/b_002.png"]) expect(alone[name]).toBe(first[name]);
    const other = await all({ seed: 6 });
    for (const name of Object.keys(first)) expect(other[name]).not.toBe(first[name]);
  });

  test("stopped anywhere and started again, it makes what is missing and ends with the same bytes", async () => {
    const folder = temporaryFolder();
    await photographs(folder);
    const out = join(folder, "out");
    for (const request of [squares(folder), pairs(folder, 80)]) {
      rmSync(out, { recursive: true, force: true });
      await run(request);
      const whole = filesOf(out);
      const [first, , third, ...later] = readFileSync(request.records, "utf8").trimEnd().split("\n") as [
        string,
        string,
        string,
      ];
      // The third image was being written, its record was half there, and a process that is no more left a temporary file.
      rmSync(request.table ?? request.records);
      rmSync(join(out, JSON.parse(third).out));
      writeFileSync(request.records, `${later.join("\n")}\n${first}\n${third}\n${third.slice(0, 90)}`);
      writeFileSync(join(out, ".a_003.png.99999999-1.tmp"), "half a picture");
      const { kept } = await run(request);
      expect(kept).toBe(later.length + 1);
      expect(filesOf(out)).toEqual(whole);
    }
  });

  test("images of other options or another seed are made anew, which is told", async () => {
    const folder = temporaryFolder();
    await photographs(folder);
    await run(squares(folder));
    const draw = semanticRecipes(SQUARES, "sequential");
    for (const overrides of [{ seed: 6 }, { seed: 6, draw }]) {
      const { output, lines } = quiet();
      expect((await synthesize(device(), squares(folder, overrides), alone(output))).kept).toBe(0);
      expect(lines[0]).toBe("warning: made anew: 6 images of another seed or other options\n");
    }
    const more = quiet();
    expect((await synthesize(device(), squares(folder, { seed: 6, draw, count: 4 }), alone(more.output))).kept).toBe(6);
    expect(more.lines.join("")).not.toContain("warning");
  });

  test("every image can be made again from its record", async () => {
    const folder = temporaryFolder();
    await photographs(folder);
    for (const request of [squares(folder), pairs(folder, 80), pairs(folder, null)]) {
      await run(request);
      for (const record of await readRecords(request.records)) {
        const photo = await readImage(resolveBeside(request.records, record.in));
        const piece = record.square ? cutSquare(photo, record.square) : photo;
        const [image] = await degradeImages(device(), [piece], [record]);
        expect(image).toEqual(await readImage(join(folder, "out", record.out)));
        if (record.original) expect(piece).toEqual(await readImage(join(folder, "out", record.original)));
      }
    }
  });

  test("pairs: a photograph that is no multiple of the scale is cut to one, squares are kept beside their low quality", async () => {
    const folder = temporaryFolder();
    await photographs(folder);
    await run(pairs(folder, null));
    const sizes = async (...names: string[]): Promise<[number, number][]> =>
      Promise.all(names.map(async (name) => readImage(join(folder, "out", name)).then((i) => [i.width, i.height])));
    expect(await sizes("a.png", "sub/b.png")).toEqual([
      [22, 20],
      [20, 23],
    ]);
    const [record] = await readRecords(join(folder, "out", "degraded.jsonl"));
    const multiple = crop(picture(90, 80), { left: 0, top: 0, width: 88, height: 80 });
    const [lq] = await degradeImages(device(), [multiple], [record!]);
    expect(lq).toEqual(await readImage(join(folder, "out", "a.png")));
    await run(pairs(folder, 80));
    expect(await sizes("a_001.png", "HR/a_001.png", "sub/b_002.png", "HR/sub/b_002.png")).toEqual([
      [20, 20],
      [80, 80],
      [20, 20],
      [80, 80],
    ]);
  });

  test("a truncated, a small and a missing photograph are left out, counted and told", async () => {
    const folder = temporaryFolder();
    await photographs(folder);
    const photos = join(folder, "photos");
    writeFileSync(join(photos, "cut.png"), readFileSync(join(photos, "a.png")).subarray(0, 900));
    await writeImage(join(photos, "dot.png"), picture(1, 1));
    await writeImage(join(photos, "low.png"), picture(80, 31));
    const sources = ["cut", "dot", "none", "low", "a"].map((name) => ({ path: join(photos, `${name}.png`), name }));
    const whole = await run(squares(folder, { sources, square: null, count: 1 }));
    expect(whole.records.map(({ out }) => out)).toEqual(["low.png", "a.png"]);
    expect(whole.skipped).toEqual([
      { name: join(photos, "cut.png"), reason: expect.stringContaining("cut.png is truncated or damaged") },
      {
        name: join(photos, "dot.png"),
        reason: expect.stringContaining("is 1x1: at least 11 pixels a side are needed"),
      },
      { name: join(photos, "none.png"), reason: expect.stringContaining("none.png does not exist") },
    ]);
    const { skipped } = await run(squares(folder, { sources: sources.slice(3) }));
    expect(skipped).toEqual([
      {
        name: join(photos, "low.png"),
        reason: expect.stringContaining("is 80x31: at least 32 pixels a side are needed"),
      },
    ]);
  });

  test("a caption that fails is counted, stands as the common one, and is asked for again by the next run", async () => {
    const folder = temporaryFolder();
    await photographs(folder);
    const asked: string[] = [];
    const captions = (good: boolean): SynthesisRequest["captions"] => ({
      known: () => undefined,
      ask: async (path) => {
        asked.push(path.at(-5)!);
        if (path.endsWith("b.png") && !good) throw new UserError("caption: no idea");
        return "a thing";
      },
    });
    const first = await run(squares(folder, { captions: captions(false) }));
    expect(first.captionless).toEqual([{ name: join(folder, "photos/sub/b.png"), reason: "caption: no idea" }]);
    const titles = async (): Promise<(string | undefined)[]> =>
      (await readCaptioned(join(folder, "out", "degraded.tsv"))).items.map(({ texts }) => texts[0]);
    expect(await titles()).toEqual([...Array(3).fill("a thing"), ...Array(3).fill("a photo")]);
    const images = filesOf(join(folder, "out"));
    rmSync(join(folder, "out", "a_002.png"));
    asked.length = 0;
    const second = await run(squares(folder, { captions: captions(true) }));
    expect([second.kept, second.captionless, asked]).toEqual([5, [], ["b"]]);
    expect(await titles()).toEqual(Array(6).fill("a thing"));
    expect(filesOf(join(folder, "out"))["a_002.png"]).toBe(images["a_002.png"]);
  });

  test("files that no records tell of are left alone", async () => {
    const folder = temporaryFolder();
    await photographs(folder);
    const mine = join(folder, "out", "sub", "b_001.png");
    await writeImage(mine, picture(5, 5));
    const before = filesOf(folder);
    await expect(synthesize(device(), squares(folder), alone(quiet().output))).rejects.toThrow(
      `degrade: ${mine} exists, and no degraded.jsonl says that an earlier run made it: choose another --out, or remove it`,
    );
    expect(filesOf(folder)).toEqual(before);
  });

  test("two photographs of one name are refused before anything is made", () => {
    const sources = ["a.png", "a.jpg"].map((name) => ({ path: join("photos", name), name: "a" }));
    expect(() => squares("set", { sources })).toThrow(
      `output: ${join("photos", "a.png")} and ${join("photos", "a.jpg")} would both be written to ${join("set", "out", "a.png")}: rename one`,
    );
  });

  test("when nothing is left it fails and writes no table", async () => {
    const folder = temporaryFolder();
    const sources = [{ path: join(folder, "none.png"), name: "none" }];
    await expect(run(squares(folder, { sources }))).rejects.toThrow(
      /^degrade: nothing could be degraded: image: .*none.png does not exist/,
    );
    expect(existsSync(join(folder, "out", "degraded.tsv"))).toBe(false);
  });
});
