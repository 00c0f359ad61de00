import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CNNIQA, CNNIQA_KONIQ, imageTensor, niqe, OWN_PRISTINE_MODEL, psnr, ssim } from "@deplsr/metrics";
import { encodeCheckpoint } from "@deplsr/nn";
import { Device, Rng } from "@deplsr/tensor";
import { describe, expect, test } from "vitest";
import { type Image, writeImage } from "../../src/data/image.ts";
import { writeFileAtomic } from "../../src/files.ts";
import { runFitNiqe } from "../../src/iqa/fit-niqe.ts";
import { type IqaFlags, runIqa } from "../../src/iqa/run.ts";
import { picture } from "../pictures.ts";
import { recordedOutput } from "../recorded-output.ts";
import { temporaryFolder } from "../temporary-folder.ts";

const DEFAULTS: Omit<IqaFlags, "images"> = {
  ref: undefined,
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
async function iqa(flags: Partial<IqaFlags> & { images: string }): Promise<{ json: Scored; text: string }> {
  const { output, stdout, stderr } = recordedOutput(true);
  await runIqa({ ...DEFAULTS, ...flags }, { output });
  return { json: JSON.parse(stdout()), text: stderr() };
}

interface Scored {
  mean: Record<string, number | string>;
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
      [{ ref: join(folder, "hr") }, "hr does not exist"],
      [{}, `iqa: nothing could be scored: ${file}: niqe: 20 x 20 pixels hold 0 blocks`],
    ];
    for (const [flags, message] of wrong) await expect(iqa({ images: file, ...flags })).rejects.toThrow(message);
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
