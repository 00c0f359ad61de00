import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Adam, type Init, Linear, Module } from "@deplsr/nn";
import { assign, backward, Rng, readSafetensors, scope, square, sum } from "@deplsr/tensor";
import { describe, expect, test } from "vitest";
import { RunFolder } from "../../src/run-folder.ts";
import { checkpointFiles, loadWeights, readDescription, type TrainingState } from "../../src/train/checkpoint.ts";
import { useDevice } from "../device.ts";
import { temporaryFolder } from "../temporary-folder.ts";

class Pair extends Module {
  readonly first: Linear;
  readonly second: Linear;

  constructor(width: number, init: Init) {
    super();
    this.first = new Linear(2, width, {}, init);
    this.second = new Linear(width, 1, {}, init);
  }
}

describe("checkpoints", () => {
  const device = useDevice();
  const make = (width: number, seed: number): Pair => new Pair(width, { device: device(), rng: new Rng(seed) });

  async function save(model: Pair, step: number): Promise<string> {
    const optimizer = new Adam([{ params: model.parameters(), lr: 0.1 }]);
    scope(() => optimizer.step(backward(sum(square(model.first.weight)))));
    const state: TrainingState = {
      description: { kind: "sr", config: { width: 3 } },
      model: model.stateDict(),
      optimizer,
      step,
      seed: 7,
    };
    const run = await RunFolder.open(join(temporaryFolder(), "run"), { config: "", now: new Date() });
    return run.saveCheckpoint(step, await checkpointFiles(state));
  }

  test("weights come back, and moments, counts, step and seed are there for resuming", async () => {
    const model = make(3, 1);
    const folder = await save(model, 12);
    const other = make(3, 2);
    const report = await loadWeights(folder, (entries, options) => other.loadStateDict(entries, options));
    expect(report.loaded).toHaveLength(4);
    expect(await other.first.weight.data()).toEqual(await model.first.weight.data());
    expect(await readDescription(folder, "sr")).toEqual({ kind: "sr", config: { width: 3 } });
    const { tensors } = readSafetensors(readFileSync(join(folder, "optimizer.safetensors")));
    expect([...tensors.keys()].sort()).toEqual(
      ["exp_avg", "exp_avg_sq"].flatMap((moment) =>
        ["first.bias", "first.weight", "second.bias", "second.weight"].map((name) => `${moment}.${name}`),
      ),
    );
    expect(JSON.parse(readFileSync(join(folder, "state.json"), "utf8"))).toMatchObject({
      step: 12,
      seed: 7,
      optimizer: { lr: [0.1], steps: { "first.weight": 1, "second.bias": 0 } },
    });
  });

  test("a checkpoint of another shape is refused with every mismatch in one line", async () => {
    const folder = await save(make(3, 1), 1);
    const wide = make(4, 1);
    const load = loadWeights(folder, (entries, options) => wide.loadStateDict(entries, options));
    const message = await load.then(
      () => "",
      (error: Error) => error.message,
    );
    expect(message).toContain(`checkpoint: ${join(folder, "model.safetensors")} does not fit the network: `);
    expect(message).toContain("first.weight [3, 2] (expected [4, 2])");
    expect(message).toContain("first.bias [3] (expected [4])");
    expect(message).toContain("second.weight [1, 3] (expected [1, 4])");
    expect(message).not.toContain("\n");
  });

  test("with strict: false what fits is loaded and the rest is told", async () => {
    const model = make(3, 1);
    const folder = await save(model, 1);
    const wide = make(4, 1);
    const load = loadWeights(folder, (entries, options) => wide.loadStateDict(entries, options), { strict: false });
    const report = await load;
    expect(report.loaded).toEqual(["second.bias"]);
    expect([...report.mismatched].sort()).toEqual(["first.bias", "first.weight", "second.weight"]);
  });

  test("a parameter that is NaN is not saved", async () => {
    const model = make(3, 1);
    scope(() => assign(model.second.bias!, device().full([1], Number.NaN)));
    await expect(save(model, 5)).rejects.toThrow(
      "second.bias holds a value that is no number after step 5: nothing is saved",
    );
  });

  test("a damaged, missing or other checkpoint says so in one line", async () => {
    const model = make(3, 1);
    const folder = await save(model, 1);
    const path = join(folder, "model.safetensors");
    writeFileSync(path, readFileSync(path).subarray(0, 60));
    const load = (): Promise<unknown> =>
      loadWeights(folder, (entries, options) => model.loadStateDict(entries, options));
    await expect(load()).rejects.toThrow(/cannot be read: safetensors: [^\n]*cut off/);
    await expect(readDescription(folder, "srclip")).rejects.toThrow(
      'holds a network of kind "sr" where "srclip" is needed',
    );
    writeFileSync(join(folder, "model.json"), "{");
    await expect(readDescription(folder, "sr")).rejects.toThrow("model.json is not JSON");
    writeFileSync(join(folder, "model.json"), "[]");
    await expect(readDescription(folder, "sr")).rejects.toThrow(
      "does not describe a network: the checkpoint is damaged",
    );
    await expect(readDescription(join(folder, "none"), "sr")).rejects.toThrow(
      "model.json does not exist: check the path",
    );
  });
});
