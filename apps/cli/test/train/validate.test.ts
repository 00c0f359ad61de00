import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { psnr } from "@deplsr/metrics";
import { openTensorFile } from "@deplsr/nn";
import { assign, bytesSource, type FileTensor, readTensor, type Tensor } from "@deplsr/tensor";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { checkConfig } from "../../src/config/parse.ts";
import { srRun } from "../../src/config/sr.ts";
import { runConvert } from "../../src/convert/run.ts";
import { readImage, writeImage } from "../../src/data/image.ts";
import { writeFileAtomic } from "../../src/files.ts";
import { loadSr } from "../../src/networks/sr.ts";
import { runSession } from "../../src/train/session.ts";
import { prepareSr } from "../../src/train/sr.ts";
import { upscaleImage } from "../../src/upscale/upscale.ts";
import { useDevice } from "../device.ts";
import { picture } from "../pictures.ts";
import { recordedOutput } from "../recorded-output.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { TINY_DAT } from "../tiny-network.ts";

type FileTensors = ReadonlyMap<string, FileTensor>;

async function runOf(folder: string, changes: object = {}) {
  for (let i = 0; i < 3; i++) {
    await writeImage(join(folder, "gt", `${i}.png`), picture(40, 40, i));
    await writeImage(join(folder, "lq", `${i}.png`), picture(20, 20, i));
  }
  await writeFileAtomic(join(folder, "lq-only", "broken.png"), "no picture");
  await writeImage(join(folder, "lq-only", "one.png"), picture(60, 130, 1));
  const places = { dataroot_gt: join(folder, "gt"), dataroot_lq: join(folder, "lq") };
  const config = {
    name: "tiny",
    scale: 2,
    datasets: {
      train: { ...places, gt_size: 16, batch_size_per_gpu: 2 },
      val: { name: "pairs", ...places },
      val_1: { name: "singles", type: "SingleImageDataset", dataroot_lq: join(folder, "lq-only") },
    },
    network_g: TINY_DAT,
    train: {
      ema_decay: 0.5,
      optim_g: { lr: 1e-2 },
      scheduler: { type: "MultiStepLR", milestones: [100] },
      total_iter: 5,
    },
    val: {
      val_freq: 2,
      save_img: true,
      metrics: {
        psnr: { type: "calculate_psnr", crop_border: 2, test_y_channel: true },
        niqe: { type: "calculate_niqe" },
        lpips: { type: "lpips" },
      },
    },
    logger: { use_tb_logger: true, print_freq: 1 },
    ...changes,
  };
  return checkConfig(config, "tiny.yml", srRun);
}

describe("validation while training", () => {
  const device = useDevice();

  test("measures each set with the averages, keeps the best and shows all of it", async () => {
    const folder = temporaryFolder();
    const run = await runOf(folder);
    const out = join(folder, "run");
    const { output, stderr } = recordedOutput();
    const { training, network } = await prepareSr(device(), run, out, output);
    const result = await runSession({ training, folder: out, config: run, output, events: true });
    for (const line of [
      "config: val.metrics.lpips is left out: lpips needs alexnet-owt-7be5be79.pth (",
      `validation: ${join(folder, "lq-only", "broken.png")} is left out: `,
      `validation: ${join(folder, "lq", "0.png")} is left out of niqe: `,
    ]) {
      expect(stderr().split(line).length).toBe(2);
    }
    const records = readFileSync(join(out, "metrics.jsonl"), "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    const measured = records.filter((record) => "metrics/pairs/psnr" in record);
    expect(measured.map(({ step }) => step)).toEqual([2, 4, 5]);
    expect(records.filter((record) => "metrics/singles/niqe" in record).length).toBe(3);
    expect(records.some((record) => "metrics/singles/psnr" in record)).toBe(false);

    // The last value again, from the averages of the last checkpoint.
    const own = network.module.stateDict();
    const averages = training.state().ema!.stateDict();
    const differs = await Promise.all(
      [...averages].map(async ([name, tensor]) => {
        const [a, b] = [await tensor.data(), await own.get(name)!.data()];
        return a.some((value, i) => value !== b[i]);
      }),
    );
    expect(differs.some((one) => one)).toBe(true);
    // They are what a run is loaded and converted with.
    const loaded = await loadSr(device(), join(out, "checkpoints", "step-5"));
    await runConvert(
      { in: out, out: join(folder, "both.pth"), key: undefined, fp16: false, overwrite: false },
      { output },
    );
    await runConvert(
      { in: out, out: join(folder, "raw.pth"), key: "params", fp16: false, overwrite: false },
      { output },
    );
    const [both, raw] = await Promise.all(
      ["both.pth", "raw.pth"].map(async (name) => openTensorFile(bytesSource(readFileSync(join(folder, name))))),
    );
    const values = async (from: FileTensors, name: string): Promise<string> =>
      Buffer.from((await readTensor(from.get(name)!)).bytes).toString("base64");
    const bytes = async (tensor: Tensor): Promise<string> =>
      Buffer.from((await tensor.data()).buffer).toString("base64");
    for (const name of ["conv_first.weight", "layers.0.blocks.0.attn.qkv.weight"]) {
      const average = await bytes(averages.get(name)!);
      expect(await bytes(loaded.network.module.stateDict().get(name)!)).toEqual(average);
      expect(await values(both!.tensors, `params_ema/${name}`)).toEqual(average);
      expect(await values(both!.tensors, `params/${name}`)).toEqual(await bytes(own.get(name)!));
      expect(await values(raw!.tensors, name)).toEqual(await bytes(own.get(name)!));
    }
    loaded.network.module.dispose();
    // A training that starts from it takes them as well, unless it names the weights.
    for (const [key, expected] of [
      [null, averages],
      ["params", own],
    ] as const) {
      const path = { ...run.path, pretrain_network_g: out, param_key_g: key };
      const next = await prepareSr(device(), { ...run, path }, join(folder, "next"), output);
      for (const [name, tensor] of next.network.module.stateDict()) {
        expect(await bytes(tensor)).toEqual(await bytes(expected.get(name)!));
      }
      next.network.module.dispose();
    }
    network.module.loadStateDict(averages);
    let sum = 0;
    for (let i = 0; i < 3; i++) {
      const lq = await readImage(join(folder, "lq", `${i}.png`));
      const gt = await readImage(join(folder, "gt", `${i}.png`));
      const image = await upscaleImage(device(), { network, srclip: null, prompt: null }, lq);
      sum += psnr(image, gt, { channels: "y", cropBorder: 2 });
      const saved = await readImage(join(out, "visualization", "pairs", `${i}`, `${i}_5.png`));
      expect(Buffer.from(saved.data).equals(Buffer.from(image.data))).toBe(true);
    }
    expect(measured.at(-1)["metrics/pairs/psnr"]).toBeCloseTo(sum / 3, 6);

    const best = Math.max(...measured.map((record) => record["metrics/pairs/psnr"]));
    const { value, step } = result.best!.pairs!.psnr!;
    expect(value).toBe(best);
    const state = JSON.parse(readFileSync(join(out, "checkpoints", "best-psnr", "state.json"), "utf8"));
    expect([state.step, state.best.pairs.psnr]).toEqual([step, { value, step }]);
    expect(readdirSync(join(out, "checkpoints")).sort()).toEqual(["best-psnr", "step-5"]);
    const log = readFileSync(join(out, "log.txt"), "utf8");
    expect(log).toContain("Validation pairs");
    expect(log).toContain(`Best: ${value.toFixed(4)} @ ${step} iter`);
    expect(readFileSync(join(out, "report.html"), "utf8")).toMatch(/pairs[\s\S]*<img/);
    expect(readdirSync(out).some((name) => name.startsWith("events.out.tfevents"))).toBe(true);
    network.module.dispose();
  });

  test("says what cannot be listed before anything runs, and does without where no set is given", async () => {
    const folder = temporaryFolder();
    const run = await runOf(folder);
    const { output } = recordedOutput();
    const wrong = { ...run, datasets: { ...run.datasets, val_1: run.datasets.val! } } as typeof run;
    await expect(prepareSr(device(), wrong, join(folder, "run"), output)).rejects.toThrow("have one name: give others");
    expect(existsSync(join(folder, "run"))).toBe(false);
    const { training } = await prepareSr(
      device(),
      { ...run, datasets: { train: run.datasets.train } } as typeof run,
      join(folder, "run"),
      output,
    );
    expect(training.validation).toBe(null);
    expect(stringify(run)).toContain("val_freq");
  });

  test("a step whose loss is no number is left out, statistics and averages too, and said", async () => {
    const folder = temporaryFolder();
    const config = await runOf(folder);
    const run = { ...config, train: { ...config.train, on_nan: "skip" as const, total_iter: 3 }, val: undefined };
    const out = join(folder, "run");
    const { output } = recordedOutput();
    const { training, network } = await prepareSr(device(), run, out, output);
    const bias = network.module.parameters().get("conv_first.bias")!;
    const fine = await bias.data();
    const values = async (): Promise<number[][]> =>
      Promise.all([...network.module.stateDict().values()].map(async (tensor) => [...(await tensor.data())]));
    // A weight that is no number, for one step.
    const spoilt = device().full(bias.shape, Number.NaN);
    assign(bias, spoilt);
    const before = await values();
    using loss = await training.step(1);
    expect((await loss.data())[0]).toBeNaN();
    expect(await values()).toEqual(before);
    assign(bias, device().tensor(fine));
    using good = await training.step(2);
    expect((await good.data())[0]).toBeGreaterThan(0);
    expect(await values()).not.toEqual(before);
    network.module.dispose();
  });
});
