import { join } from "node:path";
import { Rng } from "@deplsr/tensor";
import { describe, expect, test } from "vitest";
import { checkConfig } from "../../src/config/parse.ts";
import { srRun } from "../../src/config/sr.ts";
import { BatchCourse } from "../../src/data/course.ts";
import { writeImage } from "../../src/data/image.ts";
import type { PairBatches } from "../../src/data/pair-batches.ts";
import { detailedSquare, synthesizedPairs } from "../../src/data/synthesized-pairs.ts";
import { useDevice } from "../device.ts";
import { picture } from "../pictures.ts";
import { recordedOutput } from "../recorded-output.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { TINY_DAT } from "../tiny-network.ts";

const device = useDevice();
const SCHEDULE = { optim_g: { lr: 1e-3 }, scheduler: { type: "MultiStepLR", milestones: [2] }, total_iter: 3 };

async function photographs(): Promise<string> {
  const folder = temporaryFolder();
  for (const i of [0, 1, 2]) await writeImage(join(folder, `${i}.png`), picture(48, 40, i));
  return folder;
}

function parsed(dataroot_gt: string, train: object = {}, root: object = {}) {
  const set = {
    type: "RealESRGANDataset",
    dataroot_gt,
    gt_size: 16,
    crop_pad_size: 32,
    batch_size_per_gpu: 2,
    mixture: { clean: 0.3, light: 0.3, heavy: 0.4 },
    ...train,
  };
  const sizes = { resize_range: [0.6, 1.5], queue_size: 6, ...root };
  const config = { name: "a", scale: 2, datasets: { train: set }, network_g: TINY_DAT, train: SCHEDULE, ...sizes };
  return checkConfig(config, "a.yml", srRun);
}

async function pairsOf(run: ReturnType<typeof parsed>): Promise<PairBatches> {
  const set = run.datasets.train;
  if (set.type !== "RealESRGANDataset") throw new Error("another type");
  const course = new BatchCourse({ rank: 0, size: 1 }, 1);
  return synthesizedPairs(device(), run, set, { course, output: recordedOutput().output });
}

async function bytes(pairs: PairBatches, number: number): Promise<number[][]> {
  const { lq, gt } = await pairs.batch(number);
  expect([lq.shape, gt.shape]).toEqual([
    [2, 3, 8, 8],
    [2, 3, 16, 16],
  ]);
  const values = [[...(await lq.data())], [...(await gt.data())]];
  lq.dispose();
  gt.dispose();
  return values;
}

describe("pairs that are made on the way", () => {
  test("are the same from any batch on", async () => {
    const run = parsed(await photographs());
    const whole = await pairsOf(run);
    expect([whole.items, whole.perEpoch]).toEqual([3, 1]);
    const batches: number[][][] = [];
    for (let number = 1; number <= 12; number++) batches.push(await bytes(whole, number));
    // 256 levels in both images, and no batch twice.
    for (const value of batches.flat(2)) expect(Math.abs(value * 255 - Math.round(value * 255))).toBeLessThan(1e-3);
    expect(new Set(batches.map((batch) => JSON.stringify(batch))).size).toBe(12);
    const late = await pairsOf(run);
    for (const number of [8, 9, 10, 11, 12]) expect(await bytes(late, number)).toEqual(batches[number - 1]);
  });

  test("take no more memory than the pool", async () => {
    // Tables of sizes that come up for the first time are kept a while: here none do.
    const sizes = { resize_prob: [0, 0, 1], resize_prob2: [0, 0, 1] };
    const pairs = await pairsOf(parsed(await photographs(), {}, sizes));
    for (let number = 1; number <= 10; number++) await bytes(pairs, number);
    const before = device().memory().liveBytes;
    for (let number = 11; number <= 20; number++) await bytes(pairs, number);
    expect(device().memory().liveBytes).toBe(before);
  });

  test("come out of photographs that are large enough, and of options that fit together", async () => {
    const folder = await photographs();
    await writeImage(join(folder, "small.png"), picture(40, 20, 9));
    const pairs = await pairsOf(parsed(folder));
    for (let number = 1; number <= 4; number++) await bytes(pairs, number);
    const name = join(folder, "small.png");
    const reason = `data: ${name} is 40x20, smaller than the square of 32 pixels to be cut from it (crop_pad_size)`;
    expect(pairs.skipped()).toEqual([{ name, reason }]);
    await expect(pairsOf(parsed(folder, {}, { queue_size: 7 }))).rejects.toThrow(
      'config: key "queue_size" is 7: expected a multiple of datasets.train.batch_size_per_gpu, 2',
    );
    await expect(pairsOf(parsed(folder, {}, { resize_range: [0.15, 1.5] }))).rejects.toThrow(
      "config: a: datasets.train.crop_pad_size is 32: these kernels need at least 74",
    );
    await expect(pairsOf(parsed(folder, { light: { noise_range: [5, 1] } }))).rejects.toThrow(
      "config: a: datasets.train.light: noise_range [5, 1] must be rising and not below 0",
    );
    await expect(pairsOf(parsed(folder, { dataroot_gt: null }))).rejects.toThrow(
      "config: datasets.train.dataroot_gt is missing: a folder of photographs (or meta_info, a list of them)",
    );
  });
});

test("of several squares the one with the most detail is taken, of one it is that one", () => {
  // Grey but for a corner of stripes.
  const data = new Uint8Array(64 * 64 * 3).fill(128);
  for (let y = 0; y < 32; y++) for (let x = 0; x < 32; x += 2) data.fill(255, (y * 64 + x) * 3, (y * 64 + x) * 3 + 3);
  const photo = { width: 64, height: 64, data };
  const stripes = (candidates: number, seed: number): number =>
    detailedSquare(photo, 16, candidates, new Rng(seed)).data.filter((value) => value === 255).length;
  const means = [1, 4].map((count) => Array.from({ length: 100 }, (_, seed) => stripes(count, seed)));
  const [one, four] = means.map((found) => found.reduce((sum, value) => sum + value, 0) / 100) as [number, number];
  expect(four).toBeGreaterThan(2 * one);
  expect(detailedSquare(photo, 64, 1, new Rng(0))).toEqual(photo);
});

describe("its configuration", () => {
  test("has Real-ESRGAN's values where it says nothing", () => {
    const { resize_range2, queue_size, datasets } = parsed("gt", { mixture: undefined }, { queue_size: undefined });
    expect([resize_range2, queue_size]).toEqual([[0.3, 1.2], 180]);
    expect(datasets.train).toMatchObject({
      mixture: { clean: 0, light: 0, heavy: 1 },
      kernel_prob: [0.45, 0.25, 0.12, 0.03, 0.12, 0.03],
      final_sinc_prob: 0.8,
      use_hflip: true,
      use_rot: false,
    });
  });

  test("says what is wrong", () => {
    expect(() => parsed("gt", { mixture: { clean: 0.5, light: 0.2 } })).toThrow(
      'config: a.yml: key "datasets.train.mixture" is {"clean":0.5,"light":0.2}: expected shares of 1',
    );
    expect(() => parsed("gt", { blur_sigmas: [1, 2] })).toThrow(
      'config: a.yml: unknown key "datasets.train.blur_sigmas": did you mean "blur_sigma"?',
    );
    expect(() => parsed("gt", { type: "RealESRGAN" })).toThrow(
      'config: a.yml: key "datasets.train.type" is "RealESRGAN": expected one of "PairedImageDataset", "PairedImageDataset_LSDIR", "SingleImageDataset", "RealESRGANDataset"',
    );
    const pairs = { train: { dataroot_gt: "gt", dataroot_lq: "lq" } };
    const config = { name: "a", scale: 2, datasets: pairs, network_g: TINY_DAT, train: SCHEDULE, queue_size: 4 };
    expect(() => checkConfig(config, "a.yml", srRun)).toThrow(
      'config: a.yml: key "queue_size" is 4: expected nothing here: only a datasets.train of the type RealESRGANDataset makes its pairs',
    );
  });
});
