import { homedir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/config/parse.ts";
import { type SrRunConfig, srRun, srTest, validationSets } from "../../src/config/sr.ts";
import { srclipRun } from "../../src/config/srclip.ts";
import { DAT_FILE, SR } from "./files.ts";

const parsed = (text: string): SrRunConfig => parseConfig(text, "a.yml", srRun).config;
const withTrain = (more: string): SrRunConfig => parsed(SR.replace("dataroot_lq: lq", more));
const withSchedule = (scheduler: string): SrRunConfig =>
  parsed(SR.replace("{type: MultiStepLR, milestones: [5]}", scheduler));

describe("the original's spellings", () => {
  test("!!float on whatever number", () => {
    for (const [text, value] of [
      ["2e-4", 2e-4],
      ["1", 1],
      ["1.", 1],
      ["+3", 3],
      [".5", 0.5],
      ["5e3", 5000],
    ] as const) {
      expect(parsed(SR.replace("1e-4", `!!float ${text}`)).train.optim_g.lr).toBe(value);
    }
    const text = `${SR}val: {val_freq: !!float 5e3}\nlogger: {print_freq: !!float 200}\n`;
    expect(parsed(text)).toMatchObject({ val: { val_freq: 5000 }, logger: { print_freq: 200 } });
    expect(
      withSchedule("{type: MultiStepLR, milestones: [!!float 2e3, !!float 4], gamma: !!float 1}").train,
    ).toMatchObject({ scheduler: { milestones: [2000, 4], gamma: 1 } });
  });

  test("DATModle, and anchors that are merged", () => {
    expect(parsed(DAT_FILE).model_type).toBe("DATModle");
    const text = `${SR.replace("datasets: {train: {dataroot_gt: gt, dataroot_lq: lq}}\n", "")}datasets:
  train: &set {dataroot_gt: gt, dataroot_lq: lq, filename_tmpl: '{}x2'}
  val: {<<: *set, name: other}
`;
    expect(parsed(text).datasets.val).toMatchObject({ name: "other", dataroot_gt: "gt", filename_tmpl: "{}x2" });
  });

  test("~ is as good as leaving a key out, except for true and false", () => {
    const text = `${SR}path: ~\nlogger: {save_checkpoint_freq: ~}\nval: ~\ndist_params: ~\n`;
    expect(parsed(text)).toEqual(parsed(SR));
    expect(parsed(`${SR}path: {param_key_g: ~}\n`).path.param_key_g).toBe(null);
    expect(parsed(`${SR}path: {}\n`).path.param_key_g).toBe(null);
    expect(
      parsed(SR.replace("total_iter: 9", "total_iter: 9, perceptual_opt: ~, gan_opt: ~, ema_decay: ~")).train,
    ).toEqual(parsed(SR).train);
    expect(withTrain("dataroot_lq: lq, mean: ~, color: ~, meta_info_file: ~, num_worker_per_gpu: ~")).toEqual(
      parsed(SR),
    );
    expect(() => withTrain("dataroot_lq: lq, use_rot: ~")).toThrow(
      'key "datasets.train.use_rot" is null: expected true or false',
    );
    expect(() => parsed(SR.replace("name: a", "name: ~"))).toThrow('key "name" is null: expected text');
  });

  test("manual_seed: ~ is drawn from the clock", () => {
    const { manual_seed } = parsed(`${SR}manual_seed: ~\n`);
    expect(Number.isSafeInteger(manual_seed)).toBe(true);
    expect(manual_seed).toBeGreaterThan(0);
    expect(parsed(SR).manual_seed).toBe(0);
    const srclip = "name: a\nmodel: ViT-B-32\ntrain_data: a.tsv\nsteps: 3\nseed: ~\n";
    expect(parseConfig(srclip, "a.yml", srclipRun).config.seed).toBeGreaterThan(0);
  });

  test("~/ is the home directory in every path", () => {
    const home = (name: string): string => join(homedir(), name);
    const train = withTrain("dataroot_lq: [~/lq, /abs/lq], meta_info: ~/a.tsv, meta_info_file: ~/b.txt");
    expect(train.datasets.train).toMatchObject({
      dataroot_lq: [home("lq"), "/abs/lq"],
      meta_info: home("a.tsv"),
      meta_info_file: home("b.txt"),
    });
    const path = parsed(
      `${SR}path: {pretrain_network_g: ~/n.pth, srclip_pretrain_network: ~/runs/s, resume_state: ~/runs/r}\n`,
    ).path;
    expect(path).toMatchObject({
      pretrain_network_g: home("n.pth"),
      srclip_pretrain_network: home("runs/s"),
      resume_state: home("runs/r"),
    });
    expect(parsed(SR.replace("dataroot_gt: gt", "dataroot_gt: a~/b")).datasets.train.dataroot_gt).toBe("a~/b");
    const srclip = "name: a\nmodel: ViT-B-32\npretrained: ~/c.pt\ntrain_data: ~/a.tsv\nval_data: ~/v.tsv\nsteps: 3\n";
    expect(parseConfig(srclip, "a.yml", srclipRun).config).toMatchObject({
      pretrained: home("c.pt"),
      train_data: home("a.tsv"),
      val_data: home("v.tsv"),
    });
  });
});

describe("data sets", () => {
  test("several to validate with, by their keys", () => {
    const text = SR.replace(
      "lq}}",
      "lq}, val: {name: a}, val_2: {name: b}, val_set5: {name: c, type: SingleImageDataset}}",
    );
    expect(validationSets(parsed(text)).map(([key, { name, type }]) => [key, name, type])).toEqual([
      ["val", "a", "PairedImageDataset"],
      ["val_2", "b", "PairedImageDataset"],
      ["val_set5", "c", "SingleImageDataset"],
    ]);
    expect(validationSets(parsed(SR))).toEqual([]);
    expect(() => parsed(SR.replace("lq}}", "lq}, vla: {name: a}}"))).toThrow(
      'unknown key "datasets.vla": did you mean "val"?',
    );
    expect(() => parsed(SR.replace("lq}}", "lq}, val_1: {nmae: a}}"))).toThrow(
      'unknown key "datasets.val_1.nmae": did you mean "name"?',
    );
    expect(() => parsed(SR.replace("train: {dataroot_gt", "val: {dataroot_gt"))).toThrow(
      'key "datasets.train" is missing: expected a group of keys',
    );
  });

  test("SingleImageDataset can be measured, not learned from", () => {
    const single = "name: a\nscale: 2\nnetwork_g: {type: DAT, upscale: 2}\nval: {save_img: true}\n";
    const { config } = parseConfig(
      `${single}datasets: {test_1: {type: SingleImageDataset, dataroot_lq: photos}}\n`,
      "t.yml",
      srTest,
    );
    expect(config.datasets.test_1).toMatchObject({
      type: "SingleImageDataset",
      dataroot_gt: null,
      dataroot_lq: "photos",
    });
    expect(() => withTrain("type: SingleImageDataset, dataroot_lq: lq")).toThrow(
      'key "datasets.train.type" is "SingleImageDataset": expected a data set with originals to learn from',
    );
  });

  test("an lmdb is refused with how to get folders, other readers by name", () => {
    for (const more of [
      "dataroot_lq: lq, io_backend: {type: lmdb}",
      "dataroot_lq: lq.lmdb",
      "dataroot_lq: [lq.lmdb/]",
    ]) {
      expect(() => withTrain(more)).toThrow(
        /^config: a.yml: key "[^\n]+folders of images: unpack an lmdb by python -c "[^\n]+"$/,
      );
    }
    expect(() => withTrain("dataroot_lq: lq, io_backend: {type: memcached}")).toThrow(
      'key "datasets.train.io_backend" is {"type":"memcached"}: expected type disk',
    );
  });

  test("mean, std and color", () => {
    expect(withTrain("dataroot_lq: lq, mean: [0.5, 0.4, 0.3], std: [1., 1., 1.]").datasets.train.mean).toEqual([
      0.5, 0.4, 0.3,
    ]);
    expect(withTrain("dataroot_lq: lq, color: y").datasets.train.color).toBe("y");
    expect(() => withTrain("dataroot_lq: lq, color: hsv")).toThrow('"datasets.train.color" is "hsv": expected "y"');
  });
});

describe("schedulers", () => {
  test("restarts and their weights, cosines with and without", () => {
    const multi = "{type: MultiStepRestartLR, milestones: [5], restarts: [0, 8], restart_weights: [1, 0.5]}";
    expect(withSchedule(multi).train.scheduler).toMatchObject({ restarts: [0, 8], restart_weights: [1, 0.5] });
    const cosine =
      "{type: CosineAnnealingRestartLR, periods: [4, 4], restart_weights: [1, 0.5], eta_min: !!float 1e-7}";
    expect(withSchedule(cosine).train.scheduler).toMatchObject({ periods: [4, 4], eta_min: 1e-7 });
    expect(withSchedule("{type: CosineAnnealingLR, T_max: 9}").train.scheduler).toMatchObject({ T_max: 9, eta_min: 0 });
    expect(() => withSchedule("{type: CosineAnnealingRestartLR, periods: [4, 4], restart_weights: [1]}")).toThrow(
      'key "train.scheduler.restart_weights" is [1]: expected as many as "periods" has entries',
    );
    expect(() => withSchedule("{type: MultiStepLR, milestones: [4], restarts: [0, 3]}")).toThrow(
      'key "train.scheduler.restart_weights" is missing: expected as many as "restarts" has entries',
    );
  });

  test("losses and networks that are not here are refused with the reason, not passed over", () => {
    expect(() => parsed(SR.replace("total_iter: 9", "total_iter: 9, perceptual_opt: {type: PerceptualLoss}"))).toThrow(
      'key "train.perceptual_opt" is {"type":"PerceptualLoss"}: expected ~: only pixel losses are known here',
    );
    expect(() => parsed(`${SR}network_d: {type: VGG}\n`)).toThrow("expected ~: no discriminator is trained here");
  });
});

describe("metrics", () => {
  test("BasicSR's and the learned ones, with the side that is better", () => {
    const { val } = parsed(
      `${SR}val: {metrics: {psnr: {type: calculate_psnr, crop_border: 4}, n: {type: calculate_niqe}, l: {type: lpips}, m: {type: musiq}}}\n`,
    );
    expect(val?.metrics).toEqual({
      psnr: { type: "calculate_psnr", crop_border: 4, test_y_channel: false, better: "higher" },
      n: { type: "calculate_niqe", crop_border: 0, convert_to: "y", better: "lower" },
      l: { type: "lpips", weights: "weights", better: "lower" },
      m: { type: "musiq", weights: "weights", better: "higher" },
    });
    expect(() => parsed(`${SR}val: {metrics: {a: {type: psnr}}}\n`)).toThrow(
      'key "val.metrics.a.type" is "psnr": expected one of "calculate_psnr", "calculate_ssim", "calculate_niqe", "lpips"',
    );
  });
});
