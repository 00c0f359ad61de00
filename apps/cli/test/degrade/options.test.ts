import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SECOND_ORDER_OPTIONS, SEMANTIC_OPTIONS } from "@deplsr/degradation";
import { describe, expect, test } from "vitest";
import { secondOrderRun, semanticRun } from "../../src/config/degrade.ts";
import { parseConfig, readConfig } from "../../src/config/parse.ts";
import { secondOrderOptions, semanticOptions, smallestSide } from "../../src/degrade/options.ts";

const OPTIONS = fileURLToPath(new URL("../../../../options/degrade/", import.meta.url));

describe("configurations of degrade", () => {
  test("options/degrade hold the published values, which are the defaults too, and those of the degradation package", async () => {
    const { config: semantic } = await readConfig(join(OPTIONS, "semantic.yml"), semanticRun);
    expect(semantic).toEqual({ ...parseConfig("", "empty.yml", semanticRun).config, name: semantic.name });
    expect(semanticOptions(semantic, "semantic.yml")).toMatchObject(SEMANTIC_OPTIONS);
    for (const scale of [2, 4]) {
      const name = `second-order-x${scale}`;
      const { config } = await readConfig(join(OPTIONS, `${name}.yml`), secondOrderRun);
      expect(config).toEqual({ ...parseConfig("", "empty.yml", secondOrderRun).config, name, scale });
      // Whole images, which are not turned: what differs from a training that makes its pairs on the way.
      const whole = { gtSize: null, useHflip: false };
      expect(secondOrderOptions(config, name)).toMatchObject({ ...SECOND_ORDER_OPTIONS, scale, ...whole });
    }
  });

  test("files of the originals load unchanged", () => {
    const realEsrgan = `
name: train_RealESRGANx4plus_400k_B12G4
model_type: RealESRGANModel
scale: 4
num_gpu: auto
manual_seed: 0
l1_gt_usm: True
percep_gt_usm: True
gan_gt_usm: False
resize_prob: [0.2, 0.7, 0.1]  # up, down, keep
gt_size: 256
queue_size: 180
datasets:
  train:
    name: DF2K+OST
    type: RealESRGANDataset
    dataroot_gt: datasets/DF2K
    meta_info: datasets/DF2K/meta_info.txt
    io_backend:
      type: disk
    kernel_list: ['iso', 'aniso']
    kernel_prob: [0.6, 0.4]
    gt_size: 256
    use_hflip: True
    use_rot: False
    use_shuffle: true
    num_worker_per_gpu: 5
    batch_size_per_gpu: 12
    dataset_enlarge_ratio: 1
    prefetch_mode: ~
network_g: { type: RRDBNet, num_in_ch: 3 }
network_d: { type: UNetDiscriminatorSN }
path: { pretrain_network_g: ~ }
train: { ema_decay: 0.999, optim_g: { type: Adam, lr: !!float 1e-4 } }
logger: { print_freq: 100 }
dist_params: { backend: nccl, port: 29500 }
`;
    const { config } = parseConfig(realEsrgan, "x4plus.yml", secondOrderRun);
    expect(config.datasets.train).toMatchObject({ dataroot_gt: "datasets/DF2K", kernel_prob: [0.6, 0.4] });
    const srclip =
      "scale: 2\ndatasets:\n  train:\n    type: SRClipDataset\n    poisson_noise_prob: 0.5\n    prefetch_mode: ~\n";
    expect(parseConfig(srclip, "train_srclip.yml", semanticRun).config.scale).toBe(2);
  });

  test("an option out of its range is named as in the file, with the range", () => {
    const semantic = (text: string) =>
      semanticOptions(parseConfig(`datasets:\n  train:\n    ${text}`, "s.yml", semanticRun).config, "s.yml");
    expect(() => semantic("noise_range: [5, 1]")).toThrow(
      "config: s.yml: noise_range [5, 1] must be rising and not below 0",
    );
    expect(() => semantic("jpeg_range: [30, 100]")).toThrow(
      "jpeg_range [30, 100] must be rising, above 0 and not above 99",
    );
    expect(() => semantic("blur_kernel_size: 20")).toThrow(
      "config: s.yml: blur_kernel_size 20 must be odd and at least 19",
    );
    expect(() => semantic("kernel_prob: [0.5, 0.6]")).toThrow("kernel_prob [0.5, 0.6] must be 2 shares of 1");
    expect(() => semantic("final_sinc_prob: 1.5")).toThrow(
      'key "datasets.train.final_sinc_prob" is 1.5: expected at most 1',
    );
    const pairs = (text: string) => secondOrderOptions(parseConfig(text, "p.yml", secondOrderRun).config, "p.yml");
    expect(() => pairs("resize_range2: [1.1, 1.2]")).toThrow(
      "config: p.yml: resize_range2 [1.1, 1.2] must be above 0, on both sides of 1",
    );
    expect(() => pairs("resize_prob: [0.5, 0.5]")).toThrow(
      "config: p.yml: resize_prob [0.5, 0.5] must be 3 shares of 1",
    );
    expect(() => pairs("scale: 0")).toThrow('key "scale" is 0: expected more than 0');
  });

  test("the smallest side follows from the kernels", () => {
    expect(smallestSide(SEMANTIC_OPTIONS)).toBe(11);
    // 11 pixels for the second blur, after shrinking to 0.15, on multiples of 4.
    expect(smallestSide(SECOND_ORDER_OPTIONS)).toBe(256);
    expect(smallestSide({ ...SECOND_ORDER_OPTIONS, gtSize: null })).toBe(76);
  });
});
