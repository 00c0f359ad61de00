import { assign, backward, Device, Rng, scope, sum } from "@deplsr/tensor";
import { expectClose, testDevice } from "@deplsr/tensor/testing";
import { describe, expect, it } from "vitest";
import { Adam, BatchNorm2d, Ema, Identity, Linear, Sequential } from "../../src/index.ts";

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

  it("is a few launches a step, whatever gets gradients, and costs normalisation none", async () => {
    const webgpu = await Device.request({ backend: "webgpu" });
    // The backend's own field, which its interface does not tell of.
    const { queue, pool } = (
      webgpu.backend as unknown as { gpu: { queue: { launches: number }; pool: { onFree: unknown } } }
    ).gpu;
    pool.onFree = undefined;
    const own = { device: webgpu, rng: new Rng(1) };
    const layers = Array.from({ length: 6 }, () => [new BatchNorm2d(3, {}, own), new Linear(4, 4, own)]).flat();
    const model = new Sequential(...layers);
    const ema = new Ema(model, 0.5);
    const norms = layers.filter((layer) => layer instanceof BatchNorm2d);
    const optimizer = new Adam([{ params: norms.flatMap((norm) => [norm.weight, norm.bias]), lr: 0.1 }]);
    const x = webgpu.tensor(
      Float32Array.from({ length: 24 }, (_, i) => Math.sin(i)),
      [2, 3, 2, 2],
    );
    let [forward, average] = [0, 0];
    for (let i = 0; i < 4; i++) {
      scope(() => {
        const before = queue.launches;
        const ys = norms.map((norm) => norm.forward(x, { training: true }));
        forward = queue.launches - before;
        const losses = ys.map((y) => sum(y.square()));
        optimizer.step(backward(losses.reduce((a, b) => a.add(b))));
        const stepped = queue.launches;
        ema.update();
        average = queue.launches - stepped;
      });
    }
    expect(forward).toBe(norms.length);
    // Parameters with gradients, those without, buffers, and the zeros between averages and between copies.
    expect(average).toBeLessThanOrEqual(5);
    const averages = ema.stateDict();
    for (const [name, value] of model.buffers()) expect(await averages.get(name)!.data()).toEqual(await value.data());
    expectClose(await averages.get("1.weight")!.data(), await (layers[1] as Linear).weight.data());
    expect(await norms[0]!.numBatchesTracked.item()).toBe(4);
    webgpu.destroy();
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
