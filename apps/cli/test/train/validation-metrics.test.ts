import { readdirSync } from "node:fs";
import { join } from "node:path";
import { CNNIQA, CNNIQA_KONIQ, imageTensor, LPIPS } from "@deplsr/metrics";
import { encodeCheckpoint } from "@deplsr/nn";
import { Rng } from "@deplsr/tensor";
import { describe, expect, test } from "vitest";
import { checkConfig } from "../../src/config/parse.ts";
import { srRun } from "../../src/config/sr.ts";
import { readImage, writeImage } from "../../src/data/image.ts";
import { writeFileAtomic } from "../../src/files.ts";
import { prepareSr } from "../../src/train/sr.ts";
import { upscaleImage } from "../../src/upscale/upscale.ts";
import { useDevice } from "../device.ts";
import { picture } from "../pictures.ts";
import { recordedOutput } from "../recorded-output.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { TINY_DAT } from "../tiny-network.ts";

describe("learned metrics in validation", () => {
  const device = useDevice();

  test("are computed where their weights are, and hold no memory in between; the others are named once", async () => {
    const folder = temporaryFolder();
    for (let i = 0; i < 2; i++) {
      await writeImage(join(folder, "gt", `${i}.png`), picture(48, 40, i));
      await writeImage(join(folder, "lq", `${i}.png`), picture(24, 20, i));
    }
    const init = { device: device(), rng: new Rng(1) };
    const [quality, distance] = [new CNNIQA(CNNIQA_KONIQ, init), new LPIPS({ net: "squeeze" }, init)];
    const weights = join(folder, "weights");
    await writeFileAtomic(join(weights, "CNNIQA_koniq10k-e6f14c91.pth"), await encodeCheckpoint(quality));
    for (const name of ["squeezenet1_1-b8a52dc0.pth", "LPIPS_v0.1_squeeze-4a5350f2.pth"]) {
      await writeFileAtomic(join(weights, name), await encodeCheckpoint(distance));
    }
    await writeFileAtomic(join(weights, "musiq_koniq_ckpt-e95806b9.pth"), "no weights");
    const places = { dataroot_gt: join(folder, "gt"), dataroot_lq: join(folder, "lq") };
    const config = {
      name: "tiny",
      scale: 2,
      datasets: {
        train: { ...places, gt_size: 16, batch_size_per_gpu: 2 },
        val: { name: "pairs", ...places },
        val_1: { name: "singles", type: "SingleImageDataset", dataroot_lq: join(folder, "lq") },
      },
      network_g: TINY_DAT,
      train: { optim_g: { lr: 1e-2 }, scheduler: { type: "MultiStepLR", milestones: [] }, total_iter: 1 },
      val: {
        metrics: {
          natural: { type: "cnniqa", weights },
          distance: { type: "lpips-squeeze", weights },
          seen: { type: "musiq", weights },
          textures: { type: "dists", weights: join(folder, "elsewhere") },
        },
      },
    };
    const run = await checkConfig(config, "tiny.yml", srRun);
    const { output, stderr } = recordedOutput();
    const { training, network } = await prepareSr(device(), run, join(folder, "run"), output);
    const said = stderr();
    expect(said).toMatch(
      /config: val.metrics.seen is left out: musiq: musiq_koniq_ckpt-e95806b9.pth in .* cannot be used/,
    );
    expect(said).toMatch(/config: val.metrics.textures is left out: dists needs vgg16-397923af.pth \(https.*elsewhere/);
    const { liveBytes } = device().memory();
    const [pairs, singles] = await training.validation!.run(1);
    await training.validation!.run(2);
    expect(stderr()).toBe(said);
    expect(device().memory().liveBytes).toBe(liveBytes);

    let [sum, apart] = [0, 0];
    for (const name of readdirSync(places.dataroot_lq)) {
      const lq = await readImage(join(places.dataroot_lq, name));
      const image = await upscaleImage(device(), { network, srclip: null, prompt: null }, lq);
      const [x, y] = [image, await readImage(join(places.dataroot_gt, name))].map((one) => imageTensor(device(), one));
      sum += (await quality.forward(x!).data())[0]!;
      apart += (await distance.forward(x!, y!).data())[0]!;
    }
    const natural = { value: expect.closeTo(sum / 2, 5), lowerBetter: false };
    expect(pairs!.metrics).toEqual({ natural, distance: { value: expect.closeTo(apart / 2, 5), lowerBetter: true } });
    expect(Math.abs(apart)).toBeGreaterThan(1e-3);
    expect(singles!.metrics).toEqual({ natural });
    for (const module of [network.module, quality, distance]) module.dispose();
  });
});
