import { assign, Rng } from "@deplsr/tensor";
import { expectClose, testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it } from "vitest";
import { BatchNorm2d, Ema, Identity, Linear } from "../../src/index.ts";

const device = await testDevice();
const init = { device, rng: new Rng(1) };

describe("Ema", () => {
  it("averages parameters and copies buffers", async () => {
    const model = new BatchNorm2d(1, {}, init);
    const ema = new Ema(model, 0.9);
    assign(model.weight, device.tensor([2]));
    assign(model.runningMean, device.tensor([5]));
    assign(model.numBatchesTracked, device.tensor(Int32Array.of(3), []));
    ema.update();
    ema.update();
    const averages = ema.stateDict();
    expectClose(await averages.get("weight")!.data(), [0.9 * (0.9 + 0.2) + 0.2]);
    expect(await averages.get("running_mean")!.item()).toBe(5);
    expect(await averages.get("num_batches_tracked")!.item()).toBe(3);
    expect([...averages.keys()]).toEqual([...model.stateDict().keys()]);
  });

  it("starts as a copy that the model's later changes do not reach, and loads", async () => {
    const model = new Linear(1, 1, { bias: false }, init);
    const first = await model.weight.item();
    const ema = new Ema(model, 0.999);
    assign(model.weight, device.tensor([[100]].flat(), [1, 1]));
    expect(await ema.stateDict().get("weight")!.item()).toBe(first);
    ema.loadStateDict(model.stateDict());
    expect(await ema.stateDict().get("weight")!.item()).toBe(100);
    expect(() => ema.loadStateDict(new Map())).toThrow("Ema.loadStateDict: 1 missing: weight [1, 1]");
    expect(() => new Ema(model, 1)).toThrow("Ema: decay 1 is not in [0, 1)");
    expect(() => new Ema(new Identity(), 0.5)).toThrow("Ema: Identity has nothing to average");
  });
});
