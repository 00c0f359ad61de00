import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  CNNIQA,
  CNNIQA_KONIQ,
  imageTensor,
  niqe,
  OWN_PRISTINE_MODEL,
  psnr,
  psnrPyiqa,
  ssim,
  ssimPyiqa,
} from "@deplsr/metrics";
import { encodeCheckpoint } from "@deplsr/nn";
import { Device, Rng } from "@deplsr/tensor";
import { describe, expect, test } from "vitest";
import { type Image, writeImage } from "../../src/data/image.ts";
import { writeFileAtomic } from "../../src/files.ts";
import { runFitNiqe } from "../../src/iqa/fit-niqe.ts";
import { type IqaFlags, runIqa } from "../../src/iqa/run.ts";
import { picture } from "../pictures.ts";
import { alone, recordedOutput } from "../recorded-output.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const DEFAULTS: IqaFlags = {
  images: undefined,
  ref: undefined,
  set: [],
  "crop-reference": false,
  metrics: undefined,
  crop: 0,
  y: false,
  csv: undefined,
  overwrite: false,
  "niqe-params": undefined,
  weights: "weights",
  backend: undefined,
  adapter: undefined,
};

/** The object that `--json` prints, and what people read. */
async function iqa(flags: Partial<IqaFlags>): Promise<{ json: Scored; text: string }> {
  const { output, stdout, stderr } = recordedOutput(true);
  await runIqa({ ...DEFAULTS, ...flags }, alone(output));
  return { json: JSON.parse(stdout()), text: stderr() };
}

interface Scored {
  mean: Record<string, number | string>;
  given: number;
  scored: Record<string, number>;
  images: ({ name: string } & Record<string, unknown>)[];
  best: Record<string, string>;
  labels: Record<string, string>;
  skipped?: { name: string; reason: string }[];
}

/** The picture with each byte moved a little. */
function disturbed({ data, ...size }: Image): Image {
  return { ...size, data: data.map((value, i) => Math.min(255, value + (i % 7))) };
}

describe("iqa", () => {
  test("scores a folder against a folder and leaves out, with reasons, what cannot be scored", async () => {
    const folder = temporaryFolder();
    const at = (name: string): string => join(folder, name);
    const hr = picture(208, 110);
    await writeImage(at("hr/one.png"), hr);
    await writeImage(at("hr/two.png"), picture(40, 30));
    await writeImage(at("hr/odd.png"), picture(20, 20));
    await writeImage(at("sr/one_x4.png"), disturbed(hr));
    await writeImage(at("sr/two.png"), picture(40, 30));
    await writeImage(at("sr/odd.png"), picture(21, 20));
    await writeImage(at("sr/alone.png"), picture(220, 120, 3));
    await writeFileAtomic(at("sr/broken.png"), readFileSync(at("sr/two.png")).subarray(0, 100));
    const { json, text } = await iqa({ images: at("sr"), ref: at("hr"), crop: 4, y: true, csv: at("scores.csv") });

    const options = { channels: "y", cropBorder: 4 } as const;
    const alone = niqe(picture(220, 120, 3), OWN_PRISTINE_MODEL, { cropBorder: 4 });
    const one = {
      psnr: psnr(disturbed(hr), hr, options),
      ssim: ssim(disturbed(hr), hr, options),
      niqe: niqe(disturbed(hr), OWN_PRISTINE_MODEL, { cropBorder: 4 }),
    };
    expect(json.images).toEqual([
      { name: "alone", niqe: alone },
      { name: "one_x4", ...one },
      { name: "two", psnr: "Infinity", ssim: 1 },
    ]);
    expect(json.mean).toEqual({ psnr: "Infinity", ssim: (one.ssim + 1) / 2, niqe: (alone + one.niqe) / 2 });
    expect([json.given, json.scored]).toEqual([5, { psnr: 2, ssim: 2, niqe: 2 }]);
    expect(text).toContain("the mean of ssim is over 2 of 5 images\n");
    expect(json.best).toEqual({ psnr: "two", ssim: "two", niqe: alone < one.niqe ? "alone" : "one_x4" });
    expect(json.labels.niqe).toBe("niqe (own pristine model, crop 4)");
    expect(json.skipped?.map(({ name, reason }) => [name.slice(folder.length + 1), reason])).toEqual([
      ["sr/alone.png", "there is no reference of its name"],
      ["sr/broken.png", expect.stringContaining("truncated or damaged")],
      ["sr/odd.png", `it is 21 x 20, but its reference ${at("hr/odd.png")} is 20 x 20: both must have one size`],
      ["sr/odd.png", "niqe: 13 x 12 pixels hold 0 blocks of 96 x 96 with texture, but 2 are needed"],
      ["sr/two.png", "niqe: 32 x 22 pixels hold 0 blocks of 96 x 96 with texture, but 2 are needed"],
    ]);
    expect(text).toContain("left out 5 images or metrics:");
    expect(text).toMatch(/^image +psnr \(y, crop 4\) +ssim \(y, crop 4\) +niqe \(own pristine model, crop 4\)$/m);
    expect(text).toMatch(/^two +Infinity +1.0000 +-$/m);
    expect(readFileSync(at("scores.csv"), "utf8").split("\n")).toEqual([
      'name,"psnr (y, crop 4)","ssim (y, crop 4)","niqe (own pristine model, crop 4)"',
      `alone,,,${alone}`,
      `one_x4,${one.psnr},${one.ssim},${one.niqe}`,
      "two,Infinity,1,",
      "",
    ]);
  });

  test("scores one file, without a reference by NIQE alone, by the parameters that it is given", async () => {
    const file = join(temporaryFolder(), "a.png");
    const image = picture(200, 100);
    await writeImage(file, image);
    const shipped = await iqa({ images: file });
    expect(shipped.json.mean).toEqual({ niqe: niqe(image, OWN_PRISTINE_MODEL) });
    const parameters = fileURLToPath(new URL("../../../../packages/metrics/src/niqe-pristine.json", import.meta.url));
    const given = await iqa({ images: file, metrics: "NIQE, niqe-pyiqa,niqe", "niqe-params": parameters });
    expect(given.json.mean).toEqual({
      niqe: shipped.json.mean.niqe,
      "niqe-pyiqa": niqe(image, OWN_PRISTINE_MODEL, { form: "pyiqa" }),
    });
    expect(given.json.labels).toEqual({
      niqe: "niqe (niqe-pristine.json)",
      "niqe-pyiqa": "niqe-pyiqa (niqe-pristine.json)",
    });
    expect(given.text).toMatch(/^image +niqe \(niqe-pristine.json\) +niqe-pyiqa \(niqe-pristine.json\)$/m);
  });

  test("learned metrics take their weights from a folder; those without go on without them", async () => {
    const folder = temporaryFolder();
    const at = (name: string): string => join(folder, name);
    const image = picture(32, 24);
    await writeImage(at("a.png"), image);
    const wanted = { images: at("a.png"), ref: at("a.png"), weights: at("w"), backend: "cpu" } as const;
    await expect(iqa({ ...wanted, metrics: "lpips,cnniqa" })).rejects.toThrow(
      /^iqa: lpips needs alexnet-owt-7be5be79.pth \(https.*\) and LPIPS_v0.1_alex-df73285e.pth \(.*\): bring them into .*w; cnniqa needs/,
    );
    const device = await Device.request({ backend: "cpu" });
    const network = new CNNIQA(CNNIQA_KONIQ, { device, rng: new Rng(1) });
    await writeFileAtomic(at("w/CNNIQA_koniq10k-e6f14c91.pth"), await encodeCheckpoint(network));
    const [expected] = await network.forward(imageTensor(device, image)).data();
    device.destroy();
    const { json, text } = await iqa({ ...wanted, metrics: "ssim,lpips,cnniqa" });
    expect(json.images).toEqual([{ name: "a", ssim: 1, cnniqa: expect.closeTo(expected!, 5) }]);
    expect(json.skipped).toEqual([{ name: "lpips", reason: expect.stringContaining("lpips needs alexnet") }]);
    expect(text).toMatch(/^a +1.0000 +-?\d\.\d{4}$/m);
  });

  test("says in one line what it cannot do", async () => {
    const folder = temporaryFolder();
    const file = join(folder, "a.png");
    await writeImage(file, picture(20, 20));
    await writeFileAtomic(join(folder, "a.json"), "{}");
    const wrong: [flags: Partial<IqaFlags>, message: string][] = [
      [{ metrics: "psnr" }, "--metrics: psnr compares with a reference: give one with --ref"],
      [{ metrics: "snr", ref: file }, '--metrics: "snr" is not known, is "psnr" meant? (there are psnr, ssim, niqe'],
      [{ crop: 1.5 }, "--crop 1.5 must be a whole number of at least 0"],
      [{ "niqe-params": join(folder, "none.mat") }, "none.mat does not exist: check the path of --niqe-params"],
      [{ "niqe-params": join(folder, "a.json") }, '"mu_pris_param" is missing'],
      [{ "niqe-params": file }, "a.png cannot be used ("],
      [{ ref: join(folder, "hr") }, "hr does not exist"],
      [{ images: undefined }, "iqa: give images, or sets of them with --set NAME=SR,HR"],
      [{ set: [`a=${file}`] }, `iqa: ${file} stands beside --set: give it as a set, --set NAME=${file}`],
      [{ images: join(folder, "a.json") }, "a.json is not an image but text"],
      [{ images: file, ref: join(folder, "a.json"), metrics: "psnr" }, "a.json is not an image but text"],
      [{}, `iqa: nothing could be scored: ${file}: niqe: 20 x 20 pixels hold 0 blocks`],
    ];
    for (const [flags, message] of wrong) await expect(iqa({ images: file, ...flags })).rejects.toThrow(message);
  });
});

describe("iqa --set", () => {
  const metrics = "psnr-pyiqa,ssim-pyiqa";

  test("writes the means of each set as the original's script does, with the best image of each metric's direction", async () => {
    const folder = temporaryFolder();
    const at = (name: string): string => join(folder, name);
    const [first, second] = [picture(208, 110), picture(220, 120, 3)];
    await writeImage(at("hr/a.png"), first);
    await writeImage(at("hr/b, c.png"), second);
    await writeImage(at("sr/a_x4.png"), disturbed(disturbed(first)));
    await writeImage(at("sr/b, c.png"), disturbed(second));
    await writeImage(at("photos/late.png"), first);
    await writeImage(at("photos/small.png"), picture(20, 20));
    const set = [`Two, quoted=${at("sr")},${at("hr")}`, `mine=${at("photos")}`];
    const { output, stdout } = recordedOutput();
    await runIqa({ ...DEFAULTS, set, metrics: `${metrics},niqe`, csv: at("metrics.csv") }, alone(output));

    const [one, two] = [disturbed(disturbed(first)), disturbed(second)];
    const psnrs = [psnrPyiqa(one, first), psnrPyiqa(two, second)] as const;
    const ssims = [ssimPyiqa(one, first), ssimPyiqa(two, second)] as const;
    const niqes = [niqe(one, OWN_PRISTINE_MODEL), niqe(two, OWN_PRISTINE_MODEL)] as const;
    expect(psnrs[0]).toBeLessThan(psnrs[1]);
    // "b, c" is the best: it is quoted, as the set's name is.
    const bestOf = (values: readonly number[], lower: boolean): string =>
      (lower ? values[0]! < values[1]! : values[0]! > values[1]!) ? "a_x4.png" : '"b, c.png"';
    const mean = ([x, y]: readonly [number, number]): number => (x + y) / 2;
    expect(readFileSync(at("metrics.csv"), "utf8").split("\n")).toEqual([
      "Dataset,Metric,Score,Best Image",
      `"Two, quoted",psnr-pyiqa,${mean(psnrs)},"b, c.png"`,
      `"Two, quoted",ssim-pyiqa,${mean(ssims)},${bestOf(ssims, false)}`,
      `"Two, quoted",niqe,${mean(niqes)},${bestOf(niqes, true)}`,
      `mine,niqe (1 of 2 images),${niqe(first, OWN_PRISTINE_MODEL)},late.png`,
      "",
    ]);
    expect(stdout()).toMatch(/^set +metric +mean +images +best$/m);
    expect(stdout()).toMatch(/^mine +niqe \(own pristine model\) +\d+\.\d{4} +1 of 2 +late \(lowest\)$/m);
  });

  test("a set without originals is scored by what needs none, and says so; all others go on", async () => {
    const folder = temporaryFolder();
    const at = (name: string): string => join(folder, name);
    for (const name of ["sr/a.png", "sr/b.png", "hr/a.png", "hr/c.png"]) await writeImage(at(name), picture(32, 24));
    const set = [`alone=${at("sr")}`, `both=${at("sr")},${at("hr")}`];
    const { output, stdout, stderr } = recordedOutput(true);
    await runIqa({ ...DEFAULTS, set, metrics }, alone(output));
    const { sets } = JSON.parse(stdout()) as { sets: (Scored & { name: string })[] };
    expect(sets.map(({ name, mean, given, scored }) => ({ name, mean, given, scored }))).toEqual([
      { name: "alone", mean: {}, given: 2, scored: {} },
      {
        name: "both",
        mean: { "psnr-pyiqa": 80, "ssim-pyiqa": 1 },
        given: 2,
        scored: { "psnr-pyiqa": 1, "ssim-pyiqa": 1 },
      },
    ]);
    expect(sets[0]!.skipped).toEqual([
      {
        name: "alone",
        reason: `there are no originals for psnr-pyiqa, ssim-pyiqa: give them with --set alone=${at("sr")},HR`,
      },
    ]);
    expect(stderr()).toContain(`1 of 2 references have no image: ${at("hr/c.png")}`);
    await expect(iqa({ set: [`alone=${at("sr")}`], metrics })).rejects.toThrow(
      "--metrics: psnr-pyiqa compares with a reference: give one with --ref, or --set NAME=SR,HR",
    );
  });

  test("refuses in one line what it does not understand, and a mean over nothing", async () => {
    const folder = temporaryFolder();
    const at = (name: string): string => join(folder, name);
    await writeImage(at("sr/a.png"), picture(32, 24));
    await writeImage(at("hr/b.png"), picture(32, 24));
    await writeFileAtomic(at("table.tsv"), "filepath\ttitle\n");
    mkdirSync(at("empty"));
    const must = "must be NAME=SR,HR";
    const wrong: [flags: Partial<IqaFlags>, message: string][] = [
      [{ set: ["sr"] }, `--set "sr" ${must}`],
      [{ set: ["=sr,hr"] }, must],
      [{ set: ["a=,hr"] }, must],
      [{ set: ["a=sr,hr,lr"] }, must],
      [{ set: ["a=sr", "a=other"] }, "--set: two sets have the name a: give others"],
      [{ set: ["a=sr"], ref: "hr" }, "--ref goes with images: a set names its originals"],
      [{ set: [`a=${at("none")}`] }, "none does not exist"],
      [{ set: [`a=${at("empty")}`] }, "empty holds no images"],
      [{ set: [`a=${at("sr")},${at("hr")},`] }, must],
      [{ set: [`a=${at("sr/a.png")},${at("table.tsv")}`], metrics }, "table.tsv is not an image but text"],
      [{ set: [`a=${at("table.tsv")}`], metrics: "niqe" }, "iqa: nothing could be scored: "],
    ];
    for (const [flags, message] of wrong) await expect(iqa(flags)).rejects.toThrow(message);
    await writeImage(at("sr/c.png"), picture(32, 24));
    await expect(iqa({ set: [`a=${at("sr")},${at("hr")}`], metrics })).rejects.toThrow(
      `iqa: nothing could be scored: ${at("sr/a.png")}: there is no reference of its name`,
    );
  });
});

describe("iqa --crop-reference", () => {
  test("compares with the reference's upper left, cut to the image's size; without it the flag is named", async () => {
    const folder = temporaryFolder();
    const at = (name: string): string => join(folder, name);
    const reference = picture(51, 39);
    // What `mod_crop` leaves of it at x4.
    const cut = { width: 48, height: 36, data: new Uint8Array(48 * 36 * 3) };
    for (let y = 0; y < 36; y++) {
      for (let x = 0; x < 3 * 48; x++) cut.data[y * 3 * 48 + x] = reference.data[y * 3 * 51 + x]!;
    }
    await writeImage(at("hr.png"), reference);
    await writeImage(at("sr.png"), disturbed(cut));
    const asked = { images: at("sr.png"), ref: at("hr.png"), metrics: "psnr,ssim", crop: 4 };
    const { json } = await iqa({ ...asked, "crop-reference": true });
    const options = { channels: "rgb", cropBorder: 4 } as const;
    expect(json.mean).toEqual({ psnr: psnr(disturbed(cut), cut, options), ssim: ssim(disturbed(cut), cut, options) });
    await expect(iqa(asked)).rejects.toThrow(
      `it is 48 x 36, but its reference ${at("hr.png")} is 51 x 39: both must have one size (--crop-reference cuts`,
    );
  });

  test("does not cut what no scale leaves over, nor the image", async () => {
    const folder = temporaryFolder();
    const at = (name: string): string => join(folder, name);
    await writeImage(at("small.png"), picture(24, 20));
    await writeImage(at("large.png"), picture(40, 36));
    const asked = { metrics: "psnr", "crop-reference": true };
    const cutsOff = "--crop-reference cuts off less than 16 pixels each way";
    await expect(iqa({ ...asked, images: at("small.png"), ref: at("large.png") })).rejects.toThrow(cutsOff);
    await expect(iqa({ ...asked, images: at("large.png"), ref: at("small.png") })).rejects.toThrow(cutsOff);
  });
});

describe("iqa fit-niqe", () => {
  test("writes a model that iqa takes, with the names of its photographs", async () => {
    const folder = temporaryFolder();
    const out = join(folder, "model.json");
    for (let seed = 0; seed < 6; seed++) {
      await writeImage(join(folder, `photographs/${seed}.png`), picture(300, 290, seed));
    }
    await writeImage(join(folder, "photographs/small.png"), picture(90, 90));
    const { output, stdout, stderr } = recordedOutput(true);
    await runFitNiqe({ photographs: join(folder, "photographs"), out, about: "Drawn", overwrite: false }, { output });
    const report = JSON.parse(stdout());
    expect(report).toMatchObject({
      out,
      photographs: 6,
      skipped: [{ reason: "it has no block of 96 x 96 pixels with texture" }],
    });
    expect(stderr()).toContain("left out 1 of 7 photographs:");
    const { about, photographs, blocks } = JSON.parse(readFileSync(out, "utf8"));
    expect([about, photographs]).toEqual(["Drawn", [0, 1, 2, 3, 4, 5].map((seed) => `${seed}.png`)]);
    expect(blocks).toBe(report.blocks);
    await writeImage(join(folder, "noisy.png"), disturbed(picture(300, 290)));
    const [natural, noisy] = await Promise.all(
      ["photographs/0.png", "noisy.png"].map((name) => iqa({ images: join(folder, name), "niqe-params": out })),
    );
    expect(Number(natural!.json.mean.niqe)).toBeLessThan(Number(noisy!.json.mean.niqe));
  });

  test("needs more blocks than features", async () => {
    const folder = temporaryFolder();
    await writeImage(join(folder, "a.png"), picture(200, 100));
    const fit = runFitNiqe(
      { photographs: folder, out: join(folder, "x.json"), about: undefined, overwrite: false },
      { output: recordedOutput().output },
    );
    await expect(fit).rejects.toThrow("sharp blocks cannot tell what is natural, more than 36 are needed");
  });

  test("where its file goes is checked before any photograph is read", async () => {
    const folder = temporaryFolder();
    const photographs = join(folder, "photographs");
    await writeImage(join(photographs, "a.png"), picture(20, 10));
    writeFileSync(join(folder, "model.json"), "{}");
    const wrong: [out: string, message: string][] = [
      ["model.json", `fit-niqe: ${folder}/model.json exists: choose another name, or --overwrite to replace it`],
      ["photographs", `fit-niqe: ${photographs} exists`],
      ["model.json/a.json", "is a file, not a folder: choose another path"],
    ];
    for (const [name, message] of wrong) {
      const { output, stderr } = recordedOutput();
      const flags = { photographs, out: join(folder, name), about: undefined, overwrite: false };
      await expect(runFitNiqe(flags, { output })).rejects.toThrow(message);
      expect(stderr()).toBe("");
    }
    const replacing = { photographs, about: undefined, overwrite: true, out: photographs };
    await expect(runFitNiqe(replacing, { output: recordedOutput().output })).rejects.toThrow(
      "is a folder: give a file name",
    );
    await expect(iqa({ images: photographs, csv: join(folder, "model.json", "a.csv") })).rejects.toThrow(
      "is a file, not a folder",
    );
    const csv = join(folder, "model.json");
    await expect(iqa({ images: photographs, csv })).rejects.toThrow(
      `iqa: ${csv} exists: choose another name, or --overwrite to replace it`,
    );
    const scores = { images: photographs, ref: photographs, metrics: "psnr-pyiqa", csv };
    await iqa({ ...scores, overwrite: true });
    expect(readFileSync(csv, "utf8")).toBe("name,psnr-pyiqa (rgb)\na,80\n");
  });
});

const published = fileURLToPath(new URL("../../../../../shared/data/", import.meta.url));

if (existsSync(published)) {
  test("agrees with what BasicSR publishes", async () => {
    const folder = join(published, "metrics_ref");
    const { values, tolerance, crop_border } = JSON.parse(readFileSync(join(folder, "expected.json"), "utf8"));
    const { json } = await iqa({
      images: join(folder, "bic"),
      ref: join(folder, "gt"),
      crop: crop_border,
      y: true,
      metrics: "psnr,ssim",
    });
    expect(json.images.map(({ name }) => name)).toEqual(Object.keys(values).sort());
    for (const { name, psnr, ssim } of json.images) {
      expect(Math.abs(Number(psnr) - values[name].psnr_y)).toBeLessThan(tolerance);
      expect(Math.abs(Number(ssim) - values[name].ssim_y)).toBeLessThan(tolerance);
    }
  });

  test("agrees with pyiqa's calibration on TID2013", async () => {
    const folder = join(published, "iqa_calibration");
    const [header, ...rows] = readFileSync(join(folder, "calibration_summary.csv"), "utf8").trim().split("\n");
    const calibrated = new Map(rows.map((row) => [row.split(",", 1)[0], row.split(",").slice(1).map(Number)]));
    const { json } = await iqa({
      images: join(folder, "dist"),
      ref: join(folder, "ref"),
      metrics: "psnr-pyiqa,ssim-pyiqa",
    });
    expect(json.images.map(({ name }) => `${name}.bmp`)).toEqual(header!.split(",").slice(1));
    for (const [metric, row] of [
      ["psnr-pyiqa", "psnr(ours)"],
      ["ssim-pyiqa", "ssim(ours)"],
    ] as const) {
      for (const [i, image] of json.images.entries()) {
        expect(Math.abs(Number(image[metric]) - calibrated.get(row)![i]!)).toBeLessThan(1e-4);
      }
    }
  });
}
