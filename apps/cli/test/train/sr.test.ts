import { join } from "node:path";
import { localGroup } from "@deplsr/distributed/testing";
import { expect, test } from "vitest";
import { checkConfig } from "../../src/config/parse.ts";
import { srRun } from "../../src/config/sr.ts";
import { prepareSr } from "../../src/train/sr.ts";
import { useDevice } from "../device.ts";
import { recordedOutput } from "../recorded-output.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { TINY_DAT } from "../tiny-network.ts";
import { pairsIn, writePairs } from "../tiny-training.ts";

const device = useDevice();

test("a pair that is too small is named and left out, also where every pair is taken several times", async () => {
  const folder = temporaryFolder();
  await writePairs(folder, [20, 6, 20, 20]);
  const run = checkConfig(
    {
      name: "tiny",
      scale: 2,
      datasets: pairsIn(folder, { batch_size_per_gpu: 4, dataset_enlarge_ratio: 3 }),
      network_g: TINY_DAT,
      train: { optim_g: { lr: 1e-3 }, scheduler: { type: "MultiStepLR", milestones: [2] }, total_iter: 3 },
    },
    "tiny.yml",
    srRun,
  );
  const { output, stderr } = recordedOutput();
  const { training, skipped } = await prepareSr(device(), run, join(folder, "run"), output);
  // An epoch of 12 items has 3 batches.
  for (let step = 1; step <= 3; step++) {
    using loss = await training.step(step);
    expect((await loss.data())[0]).toBeGreaterThan(0);
  }
  const name = join(folder, "lq", "1.png");
  const reason = `data: ${name} is 6x6, smaller than the square of 8 pixels to be cut from it`;
  expect(skipped()).toEqual([{ name, reason }]);
  expect(stderr()).toBe(`warning: data: ${name} is left out: ${reason}\n`);
});

test("a batch of one pair is refused where batch normalisation sees no other", async () => {
  const folder = temporaryFolder();
  await writePairs(folder, [20, 20, 20]);
  /** The processes of a training of one pair each. */
  const prepare = (processes: number, sync_bn: boolean) => {
    const scheduler = { type: "MultiStepLR", milestones: [2] };
    const config = {
      name: "tiny",
      scale: 2,
      datasets: pairsIn(folder, { batch_size_per_gpu: 1 }),
      network_g: TINY_DAT,
      train: { optim_g: { lr: 1e-3 }, scheduler, total_iter: 3, sync_bn },
    };
    const run = checkConfig(config, "tiny.yml", srRun);
    const prepared = localGroup(processes).map((group) =>
      prepareSr(device(), run, join(folder, "run"), recordedOutput().output, group),
    );
    return Promise.all(prepared);
  };
  const refusal = 'config: key "datasets.train.batch_size_per_gpu" is 1: expected at least 2';
  for (const sync of [false, true]) await expect(prepare(1, sync)).rejects.toThrow(new RegExp(`^${refusal}$`));
  await expect(prepare(2, false)).rejects.toThrow(`${refusal}, or "train.sync_bn": true`);
  expect(await prepare(2, true)).toHaveLength(2);
});
