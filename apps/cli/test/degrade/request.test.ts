import { mkdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { describe, expect, test } from "vitest";
import { writeImage } from "../../src/data/image.ts";
import type { DegradeFlags } from "../../src/degrade/request.ts";
import { type Wanted, wantedSet } from "../../src/degrade/request.ts";
import { Output } from "../../src/output.ts";
import { picture } from "../pictures.ts";
import { alone } from "../recorded-output.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const FLAGS: DegradeFlags = {
  backend: undefined,
  adapter: undefined,
  images: [],
  out: "out",
  pipeline: "semantic",
  config: undefined,
  root: undefined,
  captions: undefined,
  "caption-command": undefined,
  "caption-timeout": 60,
  caption: "a photo",
  count: 1,
  fit: "squash",
  chain: "reference",
  size: undefined,
  scale: undefined,
  seed: undefined,
  jobs: 2,
  preview: false,
};

const warnings: string[] = [];

function wanted(flags: Partial<DegradeFlags>): Promise<Wanted> {
  warnings.length = 0;
  const stream = { write: (text: string) => warnings.push(text) };
  return wantedSet({ ...FLAGS, ...flags }, alone(new Output("text", { stdout: stream, stderr: stream })));
}

function originals(...names: string[]): string {
  const folder = temporaryFolder();
  for (const name of names) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), "");
  }
  return folder;
}

describe("wantedSet", () => {
  test("semantic: squares and a TSV in the folder", async () => {
    const folder = originals("photos/a.png", "photos/sub/b.jpg");
    const { request, preview } = await wanted({
      images: [join(folder, "photos")],
      out: "set",
      preview: true,
      count: 2,
      fit: "crop",
      size: 64,
    });
    expect([request.records, request.table]).toEqual(["set/degraded.jsonl", "set/degraded.tsv"]);
    expect(preview).toBe("set/preview.png");
    expect(request.plans.map((plan) => plan.out)).toEqual(["a_001.png", "a_002.png", "sub/b_001.png", "sub/b_002.png"]);
    expect(request.plans[0]).toMatchObject({ pipeline: "semantic", chain: "reference", draw: { lqSize: 64 } });
    expect(request.plans[0]!.square).toMatchObject({ size: 64 });
    expect(request.leastSide).toBe(11);
  });

  test("second-order: folder X4, and HR for the originals of squares", async () => {
    const folder = originals("photos/a.png");
    const flags = { images: [join(folder, "photos")], pipeline: "second-order" as const, out: "set" };
    const whole = await wanted(flags);
    expect([whole.request.records, whole.request.table]).toEqual(["set/X4/degraded.jsonl", null]);
    expect(whole.request.plans[0]).toMatchObject({ out: "a.png", square: null, draw: { scale: 4, crop: null } });
    expect(whole.request.plans[0]).not.toHaveProperty("original");
    expect(whole.request.leastSide).toBe(76);
    const { request } = await wanted({ ...flags, scale: 2, fit: "crop", count: 40 });
    expect(request.records).toBe("set/X2/degraded.jsonl");
    expect(request.plans).toHaveLength(40);
    expect(request.plans[39]).toMatchObject({ out: "a_040.png", original: "../HR/a_040.png", square: { size: 512 } });
  });

  test("without --out the images go beside a folder HR, as in the original's data sets", async () => {
    const folder = originals("set/HR/train/1.png", "set/HR/2.jpg");
    writeFileSync(join(folder, "set", "train.tsv"), "filepath\ttitle\nHR/train/1.png\ta cat\nHR/2.jpg\ta dog\n");
    const base = relative(process.cwd(), join(folder, "set"));
    for (const [flags, name] of [
      [{}, "LQ"],
      [{ pipeline: "second-order", scale: 2 }, "RealLQ"],
      [{ pipeline: "second-order" }, "RealLQx4"],
      [{ pipeline: "second-order", scale: 3 }, "RealLQx3"],
    ] as const) {
      const { request } = await wanted({ ...flags, images: [join(folder, "set", "train.tsv")], out: undefined });
      expect(request.records).toBe(join(base, name, "degraded.jsonl"));
      expect(request.plans.map((plan) => plan.out)).toEqual(["train/1.png", "2.png"]);
      expect(request.captions.known(join(folder, "set", "HR", "2.jpg"))).toBe("a dog");
    }
    // A second run finds what the first one wrote.
    mkdirSync(join(folder, "set", "LQ"));
    writeFileSync(join(folder, "set", "LQ", "2.png"), "");
    const all = await wanted({ images: [join(folder, "set")], out: undefined });
    expect(all.request.plans.map((plan) => plan.out)).toEqual(["2.png", "train/1.png"]);
    // What is drawn does not depend on how the photographs are named on the command line.
    const listed = await wanted({ images: [join(folder, "set", "train.tsv")], out: undefined });
    const found = await wanted({ images: [join(folder, "set", "HR")], out: undefined });
    expect(found.request.plans).toEqual([...listed.request.plans].reverse());
    await expect(wanted({ images: [join(originals("x/1.png"), "x")], out: undefined })).rejects.toThrow(
      "--out is missing: it can be left out where all photographs stand in one folder named HR",
    );
  });

  test("a configuration names photographs, folder and seed where the command line does not", async () => {
    const folder = originals("data/1.png", "data/2.png", "meta.txt");
    writeFileSync(join(folder, "meta.txt"), "2.png (480,480,3)\n");
    const config = join(folder, "x2.yml");
    writeFileSync(
      config,
      `scale: 2\nmanual_seed: 3\ndatasets: {train: {dataroot_gt: ${folder}/data, meta_info: ${folder}/meta.txt, dataroot_lq: lq, use_hflip: true}}\n`,
    );
    const { request } = await wanted({ config, pipeline: "second-order", out: undefined });
    expect(request.records).toBe("lq/X2/degraded.jsonl");
    expect(request.plans).toMatchObject([{ in: join(folder, "data", "2.png"), out: "2.png" }]);
    expect(warnings).toEqual([expect.stringContaining("use_hflip and use_rot are not used")]);
    const seeded = await wanted({ config, pipeline: "second-order", seed: 3 });
    expect(seeded.request.plans[0]!.draw).toEqual(request.plans[0]!.draw);
    expect((await wanted({ config, pipeline: "second-order", seed: 4 })).request.plans[0]!.draw).not.toEqual(
      request.plans[0]!.draw,
    );
  });

  test("records are planned again as they are", async () => {
    const folder = originals("photos/a.png");
    await writeImage(join(folder, "photos", "a.png"), picture(90, 80));
    const [plan] = (await wanted({ images: [join(folder, "photos")], pipeline: "second-order" })).request.plans;
    const file = join(folder, "set", "X4", "degraded.jsonl");
    mkdirSync(join(file, ".."), { recursive: true });
    writeFileSync(file, `${JSON.stringify({ ...plan, in: "../../photos/a.png", title: "a cat" })}\nhalf a li`);
    const { request } = await wanted({ images: [file], out: "again" });
    expect(request.records).toBe("again/X4/degraded.jsonl");
    expect(request.plans).toEqual([{ ...plan, in: join(folder, "photos", "a.png") }]);
    expect(request.captions.known(join(folder, "photos", "a.png"))).toBe("a cat");
    writeFileSync(file, "");
    await expect(wanted({ images: [file] })).rejects.toThrow("holds no records");
  });

  test("a folder without images, photographs of one name and options out of range are told in one line", async () => {
    const folder = originals("empty/notes.txt", "twice/a.jpg", "twice/a.png");
    const [empty, twice] = [join(folder, "empty"), join(folder, "twice")];
    await expect(wanted({ images: [empty] })).rejects.toThrow(
      `folder: ${empty} holds no images (.jpg, .jpeg, .jpe, .jif, .jfif, .png, .webp, .tif, .tiff, .avif, .gif)`,
    );
    await expect(wanted({ images: [twice] })).rejects.toThrow(
      `output: ${twice}/a.jpg and ${twice}/a.png would both be written to out/a.png: rename one`,
    );
    await expect(wanted({ images: [`${twice}/a.png`], out: twice })).rejects.toThrow(
      `output: ${twice}/a.png is a photograph: write to another folder`,
    );
    const sheet = originals("preview.jpg");
    await expect(wanted({ images: [`${sheet}/preview.jpg`], preview: true })).rejects.toThrow(
      "output: out/preview.png is the contact sheet's: rename the photograph",
    );
    const config = join(folder, "bad.yml");
    writeFileSync(config, "datasets: {train: {jpeg_range: [30, 120]}}\n");
    await expect(wanted({ images: [`${twice}/a.png`], config })).rejects.toThrow(
      `config: ${config}: jpeg_range [30, 120] must be rising, above 0 and not above 99`,
    );
    writeFileSync(config, "datasets: {train: {lq_size: 20000}}\n");
    await expect(wanted({ images: [`${twice}/a.png`], config })).rejects.toThrow(
      `config: ${config}: key "datasets.train.lq_size" is 20000: expected at most 16384`,
    );
    await expect(wanted({ images: [`${twice}/a.png`], count: 1e9 })).rejects.toThrow(
      "degrade: --count 1000000000 of 1 photograph makes 1000000000 images, more than 500000 in one run: make several",
    );
  });

  test("a file of captions that says nothing of the photographs is refused", async () => {
    const folder = originals("photos/a.png");
    const captions = join(folder, "captions.tsv");
    writeFileSync(captions, "filepath\tcaption\na.png\ta cat\n");
    await expect(wanted({ images: [join(folder, "photos")], captions })).rejects.toThrow(
      `captions: ${captions} says nothing of 1 photograph: a TSV needs the columns filepath and title`,
    );
  });

  test("flags that are out of range or do not go together are wrong usage", async () => {
    const images = [join(originals("photos/a.png"), "photos")];
    const pairs = { images, pipeline: "second-order" as const };
    const wrong: [Partial<DegradeFlags>, string][] = [
      [{ images, count: 0 }, "--count 0 must be a whole number of at least 1"],
      [{ images, jobs: 1.5 }, "--jobs 1.5 must be a whole number from 1 to 1024"],
      [{ images, jobs: 2000 }, "--jobs 2000 must be a whole number from 1 to 1024"],
      [{ images, seed: -1 }, "--seed -1 must be a whole number of at least 0"],
      [{ images, size: Number.NaN }, "--size NaN must be a whole number from 1 to 16384"],
      [{ images, size: 1e8 }, "--size 100000000 must be a whole number from 1 to 16384"],
      [{ ...pairs, scale: 1e8 }, "--scale 100000000 must be a whole number from 1 to 16384"],
      [{ images, "caption-timeout": 0 }, "--caption-timeout 0 must be"],
      [{ images, "caption-timeout": 2147484 }, "--caption-timeout 2147484 must be a whole number from 1 to 2147483"],
      [{ images, fit: "crop", size: 8 }, "--size 8 is too small: these options need squares of at least 11 pixels"],
      [{ images, scale: 2 }, "--scale goes with --pipeline second-order"],
      [{}, "which photographs?"],
      [{ images, caption: " " }, "--caption is empty: say what photographs without a caption show"],
      [{ ...pairs, chain: "sequential" }, "--chain goes with --pipeline semantic"],
      [{ images, captions: "none", "caption-command": "x {image}" }, "say two things"],
      [{ ...pairs, count: 2 }, "--count above 1 goes with --fit crop here"],
      [{ ...pairs, size: 96 }, "--size goes with --fit crop here"],
      [{ ...pairs, fit: "crop", size: 98 }, "--size 98 must be a multiple of the scale, 4"],
      [{ ...pairs, fit: "crop", size: 64 }, "--size 64 is too small: these options need squares of at least 76 pixels"],
      [{ ...pairs, fit: "crop", out: undefined }, "--out is missing: say where the squares"],
    ];
    for (const [flags, message] of wrong) {
      const error: unknown = await wanted(flags).catch((failure: unknown) => failure);
      expect(error).toMatchObject({ name: "UsageError", message: expect.stringContaining(message) });
    }
  });
});
