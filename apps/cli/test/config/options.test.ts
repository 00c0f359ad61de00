import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SECOND_ORDER_OPTIONS } from "@deplsr/degradation";
import { describe, expect, test } from "vitest";
import { secondOrderRun, semanticRun } from "../../src/config/degrade.ts";
import { readConfig } from "../../src/config/parse.ts";
import { fromSet } from "../../src/config/set.ts";
import { srRun, srTest, validationSets } from "../../src/config/sr.ts";
import { srclipRun } from "../../src/config/srclip.ts";
import { unusedKeys } from "../../src/config/unused.ts";
import { mixtureOptions, secondOrderOptions, semanticOptions } from "../../src/degrade/options.ts";

const OPTIONS = fileURLToPath(new URL("../../../../options/", import.meta.url));

const SIZES = ["RealDAT_x2", "RealDAT_x4", "RealDAT_S_x2", "RealDAT_S_x4", "RealDAT_light_x2", "RealDAT_light_x4"];

/** Batch, rate, steps, pixels that validation leaves out: the table of the paper's recipes. */
const RECIPES: Readonly<Record<string, readonly number[]>> = {
  RealDAT_x2: [4, 2e-4, 500_000, 2],
  RealDAT_x4: [4, 2e-4, 500_000, 2],
  RealDAT_S_x2: [4, 2e-4, 500_000, 2],
  RealDAT_S_x4: [4, 1e-4, 250_000, 4],
  RealDAT_light_x2: [16, 2e-4, 500_000, 2],
  RealDAT_light_x4: [16, 2e-4, 500_000, 4],
};

describe("the files under options/", () => {
  test("are the original's by name", () => {
    expect(readdirSync(join(OPTIONS, "train")).sort()).toEqual(
      [...SIZES.map((size) => `train_${size}.yml`), "train_srclip.yml"].sort(),
    );
    expect(readdirSync(join(OPTIONS, "test")).sort()).toEqual(
      SIZES.filter((size) => size !== "RealDAT_light_x2")
        .map((size) => `test_${size}.yml`)
        .sort(),
    );
  });

  test.each(SIZES)("train_%s", async (size) => {
    const file = join(OPTIONS, "train", `train_${size}.yml`);
    const { config, warnings } = await readConfig(file, srRun);
    expect(warnings).toEqual([]);
    expect(config.name).toBe(`train_${size}`);
    expect(config.scale).toBe(Number(size.at(-1)));
    expect(config.network_g.upscale).toBe(config.scale);
    const { train } = config.datasets;
    expect(train.gt_size).toBe(64 * config.scale);
    const psnr = config.val?.metrics?.psnr;
    expect([train.batch_size_per_gpu, config.train.optim_g.lr, config.train.total_iter, psnr]).toEqual([
      ...RECIPES[size]!.slice(0, 3),
      { type: "calculate_psnr", crop_border: RECIPES[size]![3], test_y_channel: true, better: "higher" },
    ]);
    expect(validationSets(config).map(([key, { name }]) => [key, name])).toEqual([["val", "DIV2K"]]);
    expect(readFileSync(file, "utf8")).toContain(`deplsr train sr --config options/train/train_${size}.yml`);
    expect(unusedKeys(config).filter((key) => !/validated/.test(key))).toEqual([]);
  });

  test.each(SIZES.filter((size) => size !== "RealDAT_light_x2"))("test_%s", async (size) => {
    const { config, warnings } = await readConfig(join(OPTIONS, "test", `test_${size}.yml`), srTest);
    expect(warnings).toEqual([]);
    expect(config.name).toBe(`test_${size}`);
    const train = (await readConfig(join(OPTIONS, "train", `train_${size}.yml`), srRun)).config;
    expect(config.network_g).toEqual(train.network_g);
    expect(config.path.pretrain_network_g).toContain(`runs/${train.name}/`);
    expect(Object.values(config.datasets)).toHaveLength(6);
    expect(config.val).toMatchObject({ save_img: true, use_chop: true });
    expect(Object.keys(config.val.metrics ?? {})).toEqual(["psnr", "ssim"]);
  });

  test("train_srclip", async () => {
    const { config, warnings } = await readConfig(join(OPTIONS, "train", "train_srclip.yml"), srclipRun);
    expect(warnings).toEqual([]);
    expect(unusedKeys(config)).toEqual([]);
    expect(config).toMatchObject({ name: "train_srclip", batch_size: 512, lr: 2e-5, eps: 1e-6, epochs: 30 });
  });
});

describe("the recipes of the models in the box", () => {
  const recipe = (name: string): string =>
    fileURLToPath(new URL(`../../../../scripts/models/${name}.yml`, import.meta.url));

  test.each([2, 4])("realdat-x%i", async (scale) => {
    const { config, warnings } = await readConfig(recipe(`realdat-x${scale}`), srRun);
    expect([...warnings, ...unusedKeys(config)]).toEqual([]);
    expect([config.scale, config.network_g.upscale, config.datasets.train.gt_size]).toEqual([scale, scale, 48 * scale]);
    const set = config.datasets.train;
    if (set.type !== "RealESRGANDataset") throw new Error("another type");
    const measured = await readConfig(recipe("pairs"), secondOrderRun);
    expect(measured.warnings).toEqual([]);
    // What is measured on is as heavy as what is learned from.
    const own = ["scale", "gtSize", "useHflip", "useRot"];
    const levels = secondOrderOptions(measured.config, "pairs.yml");
    expect(mixtureOptions(config, set).heavy).toMatchObject(
      Object.fromEntries(Object.entries(levels).filter(([key]) => key in SECOND_ORDER_OPTIONS && !own.includes(key))),
    );
    expect(mixtureOptions(config, set)).toMatchObject({
      shares: { clean: 0.35, light: 0.35, heavy: 0.3 },
      light: { noiseRange: [0, 30], jpegRange: [40, 95], kernelList: ["iso", "aniso"] },
      heavy: { scale, gtSize: 48 * scale, noiseRange: [1, 30], jpegRange2: [40, 95], useRot: true, queueSize: 180 },
    });
  });

  test("the prompt decides where the fusion looks, which a DAT has none of", async () => {
    const { config } = await readConfig(recipe("realdat-x2"), srRun);
    expect(config.train.fusion_init).toBe("fan_in");
    const dat = readConfig(recipe("dat-x2"), srRun, fromSet(["train.fusion_init=fan_in"]));
    await expect(dat).rejects.toThrow(/train\.fusion_init.*fan_in is of no use here: a DAT has no fusion/);
  });

  test("squares and srclip", async () => {
    const squares = await readConfig(recipe("squares"), semanticRun);
    const { config, warnings } = await readConfig(recipe("srclip"), srclipRun);
    expect([...squares.warnings, ...warnings, ...unusedKeys(config)]).toEqual([]);
    expect(semanticOptions(squares.config, "squares.yml")).toMatchObject({ lqSize: 96, finalSincProb: 0.5 });
    expect([config.val_template, config.val_levels, config.image_fit]).toEqual(["{prompt}", "training", "crop"]);
  });
});
