import { existsSync } from "node:fs";
import { join } from "node:path";
import { Adam, Linear, Module } from "@deplsr/nn";
import { freeze, keep, Rng } from "@deplsr/tensor";
import { describe, expect, test } from "vitest";
import { checkConfig } from "../../src/config/parse.ts";
import { srRun } from "../../src/config/sr.ts";
import { countParameters, type DryRun, dryRunLines, tryTraining } from "../../src/train/dry-run.ts";
import { prepareSr } from "../../src/train/sr.ts";
import { useDevice } from "../device.ts";
import { recordedOutput } from "../recorded-output.ts";
import { temporaryFolder } from "../temporary-folder.ts";
import { TINY_DAT } from "../tiny-network.ts";
import { pairsIn, writePairs } from "../tiny-training.ts";

const RUN: DryRun = {
  parameters: { all: 1010, trained: 10 },
  parts: { clip: { all: 1000, trained: 0 }, head: { all: 10, trained: 10 } },
  seconds: [12, 2, 4],
  totalSeconds: 309,
  memory: { between: 2 ** 21, highest: 2 ** 23 },
  checkpoint: { bytes: 2 ** 22, clip: null },
  values: { l_pix: 0.5, l_fine: 12 },
};

test("says everything that a long training would be asked", () => {
  expect(dryRunLines({ name: "x2", train: { lr: 2e-4 } }, 100, RUN)).toEqual([
    "name: x2",
    "train:",
    "  lr: 0.0002",
    "",
    "parameters  number  trained",
    "clip          1000        0",
    "head            10       10",
    "all           1010       10",
    "",
    "memory: 2 MiB between steps, 8 MiB at most",
    "checkpoints: 4 MiB each",
    "time: 12 s for the first step, 3.0 s for each one after it; about 5 min 09 s for 100 steps without validations and checkpoints",
    "values of step 3: l_pix 5.0000e-1, l_fine 1.2000e+1",
    "dry run: nothing was written",
  ]);
});

describe("tryTraining", () => {
  const device = useDevice();
  const state = () => {
    const model = new Linear(3, 2, {}, { device: device(), rng: new Rng(1) });
    const optimizer = new Adam([{ params: model.parameters(), lr: 1 }]);
    return { description: { kind: "sr" as const, config: {} }, model: model.stateDict(), optimizer };
  };

  test("does three steps and tells their times and memory", async () => {
    let now = 0;
    const steps: number[] = [];
    const step = (number: number) => {
      steps.push(number);
      now += number === 1 ? 12_000 : 1000 * number;
      return keep(device().tensor([number, 7]));
    };
    const run = await tryTraining(device(), { total: 100, names: ["a", "b"], step, state }, new Map(), () => now);
    expect(steps).toEqual([1, 2, 3]);
    expect(run.seconds).toEqual([12, 2, 3]);
    expect(run.totalSeconds).toBe(9.5 + 250);
    expect(run.values).toEqual({ a: 3, b: 7 });
    expect(run.memory.highest).toBeGreaterThan(0);
    // Eight weights and two moments of each.
    expect(run.checkpoint).toEqual({ bytes: 4 * 3 * 8, clip: null });
  });

  test("of a training of one step, one", async () => {
    let now = 0;
    const step = () => {
      now += 2000;
      return keep(device().tensor([1]));
    };
    const run = await tryTraining(device(), { total: 1, names: ["a"], step, state }, new Map(), () => now);
    expect(run).toMatchObject({ seconds: [2], totalSeconds: 2 });
  });

  test("a value that is no number is an error as in the training", async () => {
    const step = () => keep(device().tensor([Number.NaN]));
    await expect(tryTraining(device(), { total: 9, names: ["l_pix"], step, state }, new Map())).rejects.toThrow(
      "train: l_pix is NaN at step 1: lower the learning rate or clip the gradients",
    );
  });

  test("parameters are counted by their first words, frozen ones apart", () => {
    class Two extends Module {
      readonly body = new Linear(3, 2, {}, { device: device(), rng: new Rng(1) });
      readonly head = new Linear(2, 1, {}, { device: device(), rng: new Rng(2) });
    }
    const model = new Two();
    freeze(model.body.weight);
    expect(countParameters(model.parameters())).toEqual({
      all: 11,
      trained: 5,
      parts: { body: { all: 8, trained: 2 }, head: { all: 3, trained: 3 } },
    });
  });

  test("with a training as it is prepared, writes nothing", async () => {
    const folder = temporaryFolder();
    await writePairs(folder, [16, 16]);
    const config = checkConfig(
      {
        name: "tiny",
        scale: 2,
        datasets: pairsIn(folder),
        network_g: TINY_DAT,
        train: { optim_g: { lr: 1e-3 }, scheduler: { type: "MultiStepLR", milestones: [2] }, total_iter: 5000 },
      },
      "tiny.yml",
      srRun,
    );
    const out = join(folder, "run");
    const { training, network } = await prepareSr(device(), config, out, recordedOutput().output);
    const run = await tryTraining(device(), training, network.module.parameters());
    expect(run.parameters.all).toBe(network.module.parameterCount());
    expect(run.parameters.trained).toBe(run.parameters.all);
    expect(run.seconds).toHaveLength(3);
    // Weights and two moments.
    expect(run.memory.between).toBeGreaterThan(3 * 4 * run.parameters.all);
    expect(run.memory.highest).toBeGreaterThan(run.memory.between);
    expect(run.values.l_pix).toBeGreaterThan(0);
    expect(existsSync(out)).toBe(false);
    const text = dryRunLines(config, training.total, run).join("\n");
    expect(text).toContain("total_iter: 5000");
    expect(text).toMatch(/^all +\d+ +\d+$/m);
  });
});
