import { join } from "node:path";
import { Device } from "@deplsr/tensor";
import { afterAll, expect, test, vi } from "vitest";
import { checkConfig } from "../../src/config/parse.ts";
import { srRun } from "../../src/config/sr.ts";
import { prepareSr } from "../../src/train/sr.ts";
import { recordedOutput } from "../recorded-output.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { TINY_DAT } from "../tiny-network.ts";
import { pairsIn, writePairs } from "../tiny-training.ts";

const device = await Device.request({ backend: "webgpu" });
afterAll(() => device.destroy());

test("steps of a training are captured once they are steady, with the bits of those that are not", async () => {
  const folder = temporaryFolder();
  await writePairs(folder, [20, 20, 20]);
  const steps = 8;
  // Whoever leaves steps out has to read in each, which is never captured.
  const trainings = ["stop", "skip"].map(async (on_nan) => {
    const run = checkConfig(
      {
        name: "tiny",
        scale: 2,
        datasets: pairsIn(folder),
        network_g: { ...TINY_DAT, drop_path_rate: 0.2, attn_drop_rate: 0.1, depth: [2] },
        train: {
          ema_decay: 0.9,
          accum_iter: 2,
          grad_clip: 0.5,
          on_nan,
          checkpoint: "blocks",
          optim_g: { lr: 1e-3 },
          scheduler: { type: "CosineAnnealingLR", T_max: steps },
          total_iter: steps,
        },
      },
      "tiny.yml",
      srRun,
    );
    return (await prepareSr(device, run, join(folder, "run"), recordedOutput().output)).training;
  });
  const [captured, plain] = await Promise.all(trainings);
  const capture = vi.spyOn(device, "capture");
  const clock = { mark: () => {} };
  for (let step = 1; step <= steps; step++) {
    // The second one is marked, and waits between its parts.
    using loss = await captured!.step(step, clock);
    using expected = await plain!.step(step);
    expect(await loss.data()).toEqual(await expected.data());
    expect(capture).toHaveBeenCalledTimes(step < 4 ? 0 : 1);
  }
  const numbers = [captured!, plain!].map(async ({ state }) => {
    const { model, optimizer, ema } = state();
    const tensors = [...model, ...ema!.stateDict(), ...optimizer.stateDict().tensors];
    return Promise.all(tensors.map(async ([name, tensor]) => [name, await tensor.data()] as const));
  });
  expect(await numbers[0]).toEqual(await numbers[1]);
});
